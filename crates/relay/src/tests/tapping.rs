//! When a client may be taken into a capture, and what it had before.

use super::Stage;
use crate::directory::{PoolMode, Settings};
use crate::tapping::Tappable;
use events::Time;
use events::tap::Taken;

fn taken(s: &Stage, client: u32) -> Option<Taken> {
    match s.hub.tappable(client, Time::ZERO, 1 << 16) {
        Tappable::Now(taken) => Some(taken),
        Tappable::Busy => None,
        Tappable::Never => panic!("it is logged in"),
        Tappable::TooMuch => panic!("it had little"),
    }
}

#[test]
fn a_client_is_taken_only_while_it_is_at_rest() {
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let mut s = Stage::with(1, mode, Settings::default());
        let c = s.client(&[]);
        let first = taken(&s, c).expect("it has just come");
        assert!(first.new && first.prepared.is_empty());
        assert_eq!(first.user, "u");
        // Half a message.
        s.client_bytes(c, b"Q\0\0\0");
        assert_eq!(taken(&s, c), None);
        s.client_bytes(c, b"\x0dSELECT 1\0");
        assert_eq!(taken(&s, c), None, "it is owed an answer");
        s.answer(0, "C SELECT 1 / Z I");
        assert!(taken(&s, c).is_some());
        s.send(c, "Q BEGIN");
        s.answer(0, "C BEGIN / Z T");
        assert_eq!(taken(&s, c), None, "a transaction is open");
        s.send(c, "Q COMMIT");
        s.answer(0, "C COMMIT / Z I");
        assert!(taken(&s, c).is_some());
        s.send(c, "P =SELECT 1");
        assert_eq!(taken(&s, c), None, "a batch is open");
        s.answer(0, "1");
        assert_eq!(taken(&s, c), None, "a batch is open");
        s.send(c, "S");
        s.answer(0, "Z I");
        assert!(taken(&s, c).is_some());
        s.send(c, "Q LISTEN a");
        s.answer(0, "C LISTEN / Z I");
        assert_eq!(
            taken(&s, c),
            None,
            "what pins it nobody could tell a replay"
        );
    }
}

#[test]
fn what_it_set_and_prepared_goes_with_it_within_a_bound() {
    let mut s = Stage::with(
        1,
        PoolMode::Transaction,
        Settings {
            prepared_max: 100,
            ..Settings::default()
        },
    );
    let c = s.client(&[("TimeZone", "CET"), ("application_name", "web")]);
    s.send(c, "P a=SELECT 1 / S");
    s.answer(0, "C SELECT 1 / C SELECT 1 / Z I / 1 / Z I");
    let later = s.now.after(std::time::Duration::from_secs(1));
    let Tappable::Now(taken) = s.hub.tappable(c, later, 1 << 16) else {
        panic!("it is at rest: {:?}", s.hub.phase(crate::Peer::Client(c)));
    };
    assert!(!taken.new);
    assert_eq!(taken.application, "web");
    let settings = String::from_utf8_lossy(&taken.settings).into_owned();
    assert!(settings.contains("'timezone', 'CET'"), "{settings}");
    let mut expected = Vec::new();
    wire::front::parse(&mut expected, b"a", b"SELECT 1", &[0, 0]);
    assert_eq!(taken.prepared, expected);
    let bytes = taken.bytes();
    assert!(matches!(s.hub.tappable(c, later, bytes), Tappable::Now(_)));
    let short = s.hub.tappable(c, later, bytes - 1);
    assert!(matches!(short, Tappable::TooMuch));
    // Settings count as what was prepared does.
    let c = s.client(&[("TimeZone", "CET")]);
    assert!(matches!(s.hub.tappable(c, later, 20), Tappable::TooMuch));
}
