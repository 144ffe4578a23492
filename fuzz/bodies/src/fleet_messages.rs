//! Messages between instances: bytes that nobody sealed open nothing; what is sealed
//! and changed on its way opens nothing; whoever has the key can say anything, and is
//! believed only what can be.

use arbitrary::{Arbitrary, Unstructured};
use events::Time;
use fleet::{
    BODY_MAX, Book, Draft, Failure, Gate, Heard, Key, MESSAGE_MAX, Own, PEERS_MAX, PROTOCOL,
    Refused, ServerSays, Statement, Trust, TurnedDown, WINDOW_MS,
};
use std::net::SocketAddr;

const NOW: i64 = 1_800_000_000_000;
const KEY: &[u8] = b"the key of a fuzzed fleet";
/// Steps of one run.
const STEPS: usize = 60;

/// The properties of messages, statements and the book of peers.
pub fn fleet(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    match first % 4 {
        0 => statement(rest),
        1 => unsealed(rest),
        2 => drop(changed(&mut Unstructured::new(rest))),
        _ => drop(peers(&mut Unstructured::new(rest))),
    }
}

/// What is read is written so that it can be read, within its bounds.
fn statement(data: &[u8]) {
    let Ok(read) = Statement::parse(data) else {
        return;
    };
    let json = read.to_json();
    assert!(json.len() <= BODY_MAX);
    let again = Statement::parse(json.as_bytes()).expect("our own");
    assert_eq!(again.instance, read.instance);
    assert!(again.alerts.len() <= read.alerts.len());
    let texts = [&read.instance, &read.fleet, &read.clients_at, &read.alike];
    assert!(texts.iter().all(|text| !text.chars().any(char::is_control)));
}

/// Bytes that no key made; without a key they are at most a message.
fn unsealed(data: &[u8]) {
    let keys = [Key::new(KEY)];
    let mut gate = Gate::new("shop", "a:1");
    let refused = gate.open(Trust::Keys(&keys), NOW, data, None);
    assert!(refused.is_err(), "nobody sealed it");
    if let Ok(opened) = gate.open(Trust::Elsewhere, NOW, data, None) {
        assert!(data.len() <= MESSAGE_MAX && opened.body.len() <= BODY_MAX);
        assert!(!opened.sender.is_empty());
        let again = gate.open(Trust::Elsewhere, NOW, data, None);
        assert_eq!(again.map_err(|no| no.reason), Err(Refused::Replay));
    }
}

/// A message of ours with one byte changed, or by a clock of its own.
fn changed(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let off_ms = i64::arbitrary(u)?;
    let said = said(u, "b:1")?;
    let draft = Draft {
        fleet: "shop",
        sender: "b:1",
        receiver: bool::arbitrary(u)?.then_some("a:1"),
        at_ms: NOW.saturating_add(off_ms),
        nonce: u.arbitrary()?,
        port: u.arbitrary()?,
        answers: None,
    };
    let (key, mut gate) = (Key::new(KEY), Gate::new("shop", "a:1"));
    let sealed = draft.seal(Some(&key), &said.to_json());
    let trust = [key];
    let mut other = sealed.clone();
    let at = u.choose_index(other.len())?;
    other[at] ^= u8::arbitrary(u)?.max(1);
    if let Ok(opened) = gate.open(Trust::Keys(&trust), NOW, &other, None) {
        // Only how the head is written may differ, such as an escape: never what it says.
        assert_eq!((opened.sender.as_str(), opened.port), ("b:1", draft.port));
        assert!(sealed.ends_with(opened.body));
        return Ok(());
    }
    let opened = gate.open(Trust::Keys(&trust), NOW, &sealed, None);
    let timely = (-WINDOW_MS..=WINDOW_MS).contains(&draft.at_ms.saturating_sub(NOW));
    assert_eq!(opened.is_ok(), timely, "{off_ms}");
    Ok(())
}

/// What somebody with the key might say.
fn said(u: &mut Unstructured<'_>, instance: &str) -> arbitrary::Result<Statement> {
    let off_ms = match u.int_in_range(0..=3)? {
        0 => i64::arbitrary(u)?,
        _ => u.int_in_range(-90_000..=90_000)?,
    };
    let server = ServerSays {
        server: String::arbitrary(u)?,
        line: u.arbitrary()?,
        share: u.arbitrary()?,
        held: u.arbitrary()?,
        ..ServerSays::default()
    };
    let places = ["0.0.0.0:1", "127.0.0.1:2", "10.0.0.9:3", "[::]:0", "x", ""];
    let hashes = ["ours", "theirs", ""];
    Ok(Statement {
        protocol: u.int_in_range(0..=PROTOCOL + 1)?,
        fleet: "shop".into(),
        instance: instance.into(),
        started_ms: NOW.saturating_sub(u.int_in_range(0..=2)?),
        clock_ms: NOW.saturating_add(off_ms),
        settings: (*u.choose(&hashes)?).into(),
        turned_down: vec![TurnedDown {
            hash: (*u.choose(&hashes)?).into(),
            reason: String::new(),
        }],
        servers: vec![server],
        clients_at: (*u.choose(&places)?).into(),
        ..Statement::default()
    })
}

/// Peers that come, go, lie and flood.
fn peers(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let own = Own {
        fleet: "shop".into(),
        instance: "a:1".into(),
        started_ms: NOW,
    };
    let mut book = Book::new(own, u.arbitrary()?);
    let mut now_ms = 0;
    for _ in 0..STEPS {
        if u.is_empty() {
            break;
        }
        let now = Time::from_micros(now_ms * 1_000);
        let place = SocketAddr::from(([10, 0, 0, u8::arbitrary(u)?], 6433));
        match u.int_in_range(0..=5)? {
            0 => {
                let many = (0..u16::arbitrary(u)? % 600).map(|n| {
                    let [high, low] = n.to_be_bytes();
                    SocketAddr::from(([10, 1, high, low], 6433))
                });
                book.addresses(now, &many.chain([place]).collect::<Vec<_>>());
            }
            1 => {
                let name = format!("{}:1", char::from(u.int_in_range(b'a'..=b'f')?));
                let said = said(u, &name)?;
                let clock = NOW.saturating_add(now_ms as i64);
                let at = bool::arbitrary(u)?.then_some(place);
                let ours = name == "a:1" && said.started_ms == NOW;
                match book.heard(now, clock, said, at) {
                    Ok(Heard::Ourselves) => assert!(ours),
                    Ok(_) => assert!(!ours && name != "a:1"),
                    Err(doubt) => assert!(!doubt.label().is_empty()),
                }
                if let Some(at) = at {
                    book.answered(at, &name);
                }
            }
            2 => drop(book.due(now)),
            3 => book.failed(now, place, *u.choose(&[Failure::Late, Failure::Sealed])?),
            4 => now_ms += u.int_in_range(0..=700_000)?,
            _ => book.tick(now, "ours"),
        }
        believed(&book);
    }
    Ok(())
}

/// What holds of everybody whose word is used, after each step.
fn believed(book: &Book) {
    assert!(book.peers().count() <= PEERS_MAX);
    for peer in book.believed() {
        assert_ne!(peer.instance, "a:1");
        assert!(peer.said.servers.iter().all(|s| s.share <= s.line));
        if let Some(place) = peer.clients_at() {
            assert!(place.port() > 0 && !place.ip().is_loopback());
        }
    }
    assert!(book.differing().all(|peer| peer.said.serves() != "ours"));
}
