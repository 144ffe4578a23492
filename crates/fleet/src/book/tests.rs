//! Peers that come, go, lie and are mistaken for others.

use super::*;
use crate::statement::{ServerSays, TurnedDown};

const NOW: i64 = 1_800_000_000_000;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

fn own() -> Own {
    Own {
        fleet: "shop".into(),
        instance: "a:1".into(),
        started_ms: NOW - 1_000,
    }
}

fn book() -> Book {
    Book::new(own(), 1)
}

fn said(instance: &str, ms: u64) -> Statement {
    Statement {
        protocol: PROTOCOL,
        fleet: "shop".into(),
        instance: instance.into(),
        started_ms: NOW - 5_000,
        clock_ms: NOW + ms as i64,
        settings: "ours".into(),
        ..Statement::default()
    }
}

fn hear(book: &mut Book, ms: u64, said: Statement) -> Result<Heard, Doubt> {
    book.heard(at(ms), NOW + ms as i64, said, None)
}

fn state(book: &Book, instance: &str) -> Option<PeerState> {
    book.peers()
        .find(|p| p.instance == instance)
        .map(|p| p.state)
}

fn news(book: &mut Book) -> Vec<News> {
    std::iter::from_fn(|| book.poll()).collect()
}

fn place(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 6433))
}

#[test]
fn a_peer_comes_falls_silent_is_back_and_is_forgotten() {
    let mut book = book();
    assert_eq!(hear(&mut book, 0, said("b:1", 0)), Ok(Heard::Taken));
    assert_eq!(state(&book, "b:1"), Some(PeerState::Ok));
    assert_eq!(news(&mut book), [News::Came("b:1".into(), None)]);
    book.tick(at(4_900), "ours");
    assert_eq!(state(&book, "b:1"), Some(PeerState::Ok));
    book.tick(at(5_000), "ours");
    assert_eq!(state(&book, "b:1"), Some(PeerState::Silent));
    // What it said last is kept, and used for nothing.
    assert_eq!(book.peers().next().map(|p| p.said.clock_ms), Some(NOW));
    assert_eq!(book.believed().count(), 0);
    hear(&mut book, 8_000, said("b:1", 8_000)).expect("true");
    let turns: Vec<_> = news(&mut book)
        .into_iter()
        .map(|n| match n {
            News::Turned(_, _, from, to, _) => (from, to),
            other => panic!("{other:?}"),
        })
        .collect();
    let (ok, silent) = (PeerState::Ok, PeerState::Silent);
    assert_eq!(turns, [(ok, silent), (silent, ok)]);
    book.tick(at(8_000 + 599_000), "ours");
    assert_eq!(book.peers().count(), 1);
    book.tick(at(8_000 + 600_000), "ours");
    assert_eq!(book.peers().count(), 0);
    assert_eq!(
        news(&mut book).last(),
        Some(&News::Gone("b:1".into(), None))
    );
}

#[test]
fn what_cannot_be_is_not_used() {
    let server = |share, line| ServerSays {
        share,
        line,
        ..ServerSays::default()
    };
    type Bend = fn(&mut Statement, &dyn Fn(u32, u32) -> ServerSays);
    let table: [(Bend, Doubt, PeerState); 8] = [
        (
            |s, row| s.servers.push(row(11, 10)),
            Doubt::Share,
            PeerState::Liar,
        ),
        (
            |s, row| s.servers.push(row(1, u32::MAX)),
            Doubt::Figures,
            PeerState::Liar,
        ),
        (|s, _| s.clock_ms -= 120_000, Doubt::Clock, PeerState::Liar),
        (|s, _| s.clock_ms += 120_000, Doubt::Clock, PeerState::Liar),
        (|s, _| s.clock_ms = i64::MIN, Doubt::Clock, PeerState::Liar),
        (
            |s, _| s.started_ms = s.clock_ms + 61_000,
            Doubt::Start,
            PeerState::Liar,
        ),
        (
            |s, _| s.fleet = "other".into(),
            Doubt::Fleet,
            PeerState::AnotherFleet,
        ),
        (
            |s, _| s.instance = "a:1".into(),
            Doubt::OurName,
            PeerState::Liar,
        ),
    ];
    for (bend, doubt, expected) in table {
        let mut book = book();
        hear(&mut book, 0, said("b:1", 0)).expect("true");
        let mut bad = said("b:1", 1_000);
        bad.clients = 99;
        bend(&mut bad, &server);
        let name = bad.instance.clone();
        assert_eq!(hear(&mut book, 1_000, bad), Err(doubt));
        assert_eq!(state(&book, &name), Some(expected), "{doubt:?}");
        assert!(book.peers().all(|p| p.said.clients == 0), "{doubt:?}");
        // It says the truth again: a while later it is believed again.
        if name == "b:1" {
            assert_eq!(book.believed().count(), 0);
            hear(&mut book, 2_000, said("b:1", 2_000)).expect("true");
            assert_eq!(state(&book, "b:1"), Some(expected));
            hear(&mut book, 32_000, said("b:1", 32_000)).expect("true");
            assert_eq!(state(&book, "b:1"), Some(PeerState::Ok));
        }
    }
}

#[test]
fn a_restart_is_no_lie_and_two_with_one_name_are() {
    let mut book = book();
    hear(&mut book, 0, said("b:1", 0)).expect("true");
    let again = |ms: u64| Statement {
        started_ms: NOW,
        ..said("b:1", ms)
    };
    hear(&mut book, 1_000, again(1_000)).expect("it started anew");
    assert_eq!(state(&book, "b:1"), Some(PeerState::Ok));
    // The one from before still speaks.
    let both = hear(&mut book, 2_000, said("b:1", 2_000));
    assert_eq!(both, Err(Doubt::Twice));
    hear(&mut book, 2_100, again(2_100)).expect("true");
    assert_eq!(state(&book, "b:1"), Some(PeerState::Liar));
    assert_eq!(book.believed().count(), 0);
}

#[test]
fn statements_that_overtook_each_other_leave_the_newest() {
    let mut book = book();
    hear(&mut book, 1_000, said("b:1", 1_000)).expect("true");
    let older = hear(&mut book, 1_100, said("b:1", 500));
    assert_eq!(older, Ok(Heard::Older));
    assert_eq!(
        book.peers().next().map(|p| p.said.clock_ms),
        Some(NOW + 1_000)
    );
}

#[test]
fn another_language_is_heard_and_told() {
    let mut book = book();
    let later = Statement {
        protocol: PROTOCOL + 1,
        clients: 3,
        ..said("b:1", 0)
    };
    hear(&mut book, 0, later).expect("true");
    assert_eq!(state(&book, "b:1"), Some(PeerState::AnotherVersion));
    assert_eq!(book.believed().map(|p| p.said.clients).sum::<u64>(), 3);
}

#[test]
fn each_address_has_one_question_under_way() {
    let mut book = book();
    book.addresses(at(0), &[place(1), place(2)]);
    assert_eq!(book.due(at(0)).len(), 2);
    assert_eq!(book.due(at(60_000)), []);
    book.answered(place(1), "b:1");
    let asks = book.due(at(60_000));
    assert_eq!(asks.len(), 1);
    assert_eq!(asks[0].receiver.as_deref(), Some("b:1"));
    // After a failure nobody knows who listens there.
    book.failed(at(60_500), place(1), Failure::Refused);
    let asks = book.due(at(70_000));
    assert_eq!((asks[0].receiver.as_deref(), asks[0].refused), (None, true));
    // Each second, less or more by a little.
    book.answered(place(1), "b:1");
    assert_eq!(book.due(at(70_849)), []);
    assert_eq!(book.due(at(71_151)).len(), 1);
}

#[test]
fn an_address_of_our_own_is_no_peer() {
    let mut book = book();
    book.addresses(at(0), &[place(1)]);
    book.due(at(0));
    let ours = Statement {
        started_ms: own().started_ms,
        ..said("a:1", 0)
    };
    let heard = book.heard(at(0), NOW, ours, Some(place(1)));
    assert_eq!(heard, Ok(Heard::Ourselves));
    book.answered(place(1), "a:1");
    assert!(book.everybody().is_empty());
}

#[test]
fn who_never_answered_is_shown_by_its_address() {
    let mut book = book();
    book.addresses(at(0), &[place(1), place(2)]);
    book.failed(at(0), place(1), Failure::Refused);
    book.failed(at(0), place(2), Failure::Unreachable);
    let states: Vec<_> = book.everybody().iter().map(|p| p.state).collect();
    assert_eq!(states, [PeerState::Refused, PeerState::Silent]);
    // It is known now, and is shown once.
    let heard = book.heard(at(0), NOW, said("b:1", 0), Some(place(2)));
    assert_eq!(heard, Ok(Heard::Taken));
    book.answered(place(2), "b:1");
    assert_eq!(book.everybody().len(), 2);
    // A peer that refuses us after it was heard.
    book.failed(at(9_000), place(2), Failure::Refused);
    book.tick(at(9_000), "");
    assert_eq!(state(&book, "b:1"), Some(PeerState::Refused));
}

#[test]
fn peers_are_bounded() {
    let mut book = book();
    for n in 0..PEERS_MAX + 20 {
        let heard = hear(&mut book, 0, said(&format!("b:{n}"), 0));
        let expected = if n < PEERS_MAX {
            Heard::Taken
        } else {
            Heard::TooMany
        };
        assert_eq!(heard, Ok(expected));
    }
    let many: Vec<SocketAddr> = (0..PEERS_MAX as u16 + 20)
        .map(|n| SocketAddr::from(([10, 0, 0, 1], 1_000 + n)))
        .collect();
    book.addresses(at(0), &many);
    assert_eq!(book.due(at(0)).len(), PEERS_MAX);
    assert_eq!((book.peers().count(), book.too_many), (PEERS_MAX, 40));
}

#[test]
fn other_settings_are_told_after_a_minute() {
    let mut book = book();
    let other = |ms: u64| Statement {
        settings: "theirs".into(),
        turned_down: vec![TurnedDown {
            hash: "ours".into(),
            reason: "check".into(),
        }],
        ..said("b:1", ms)
    };
    for second in 0..=61 {
        hear(&mut book, second * 1_000, other(second * 1_000)).expect("true");
        book.tick(at(second * 1_000), "ours");
    }
    let told = news(&mut book);
    assert_eq!(
        told.last(),
        Some(&News::Differs("b:1".into(), "theirs".into()))
    );
    assert_eq!(book.spread().by_hash.len(), 2);
    assert_eq!(book.rejected_by_peer("ours"), Some(("b:1", "check")));
    assert_eq!(book.rejected_by_peer("theirs"), None);
    assert_eq!(book.rejected_by_peer(""), None);
    hear(&mut book, 62_000, said("b:1", 62_000)).expect("true");
    book.tick(at(62_000), "ours");
    assert_eq!(news(&mut book), [News::Agrees("b:1".into())]);
    assert_eq!(book.spread().by_hash.get("ours"), Some(&2));
}

#[test]
fn clients_connect_where_a_peer_states_or_is_heard() {
    let heard = Some(place(2));
    let here = Some(SocketAddr::from(([127, 0, 0, 1], 6433)));
    let table = [
        ("0.0.0.0:6432", heard, Some("10.0.0.2:6432")),
        ("[::]:6432", heard, Some("10.0.0.2:6432")),
        ("10.9.9.9:6432", heard, Some("10.9.9.9:6432")),
        ("127.0.0.1:6432", here, Some("127.0.0.1:6432")),
        // Its own machine is not ours.
        ("127.0.0.1:6432", heard, None),
        ("127.0.0.1:6432", None, None),
        ("0.0.0.0:6432", None, None),
        ("0.0.0.0:0", heard, None),
        ("224.0.0.1:6432", heard, None),
        ("plimsoll.example:6432", heard, None),
        ("", heard, None),
    ];
    for (stated, address, expected) in table {
        let mut book = book();
        let said = Statement {
            clients_at: stated.into(),
            ..said("b:1", 0)
        };
        book.heard(at(0), NOW, said, address).expect("true");
        let peer = book.peers().next().expect("heard");
        let found = peer.clients_at().map(|a| a.to_string());
        assert_eq!(found.as_deref(), expected, "{stated} {address:?}");
    }
}

#[test]
fn clocks_that_differ_by_minutes_and_hours_make_liars_whose_word_is_not_used() {
    const HOUR: i64 = 3_600_000;
    let offs = [
        62_000,
        5 * 60_000,
        3 * HOUR,
        -61_000,
        -26 * HOUR,
        i64::MAX,
        i64::MIN,
    ];
    for off_ms in offs {
        let mut book = book();
        let good = Statement {
            clients_at: "10.0.0.2:6432".into(),
            servers: vec![ServerSays {
                line: 90,
                share: 30,
                ..ServerSays::default()
            }],
            ..said("b:1", 0)
        };
        book.heard(at(0), NOW, good.clone(), Some(place(2)))
            .expect("true");
        book.tick(at(0), "ours");
        assert_eq!(book.believed().count(), 1);
        // Its clock jumps, and it says other things with it.
        let jumped = Statement {
            clock_ms: NOW.saturating_add(off_ms),
            settings: "theirs".into(),
            turned_down: vec![TurnedDown {
                hash: "ours".into(),
                reason: "hurt".into(),
            }],
            ..good.clone()
        };
        let heard = book.heard(at(1_000), NOW + 1_000, jumped, Some(place(2)));
        assert_eq!(heard, Err(Doubt::Clock), "{off_ms}");
        book.tick(at(1_000), "ours");
        assert_eq!(state(&book, "b:1"), Some(PeerState::Liar), "{off_ms}");
        assert_eq!(book.believed().count(), 0);
        assert_eq!(book.rejected_by_peer("ours"), None);
        assert_eq!(book.differing().count(), 0);
        assert_eq!(book.spread().by_hash.len(), 1);
        // NTP has mended it, and half a minute has passed.
        let later = Statement {
            clock_ms: NOW + 32_000,
            ..good
        };
        book.heard(at(32_000), NOW + 32_000, later, Some(place(2)))
            .expect("true");
        assert_eq!(state(&book, "b:1"), Some(PeerState::Ok), "{off_ms}");
    }
}

#[test]
fn a_clock_that_is_set_back_by_less_than_the_window_silences_nobody() {
    let mut book = book();
    hear(&mut book, 0, said("b:1", 50_000)).expect("true");
    // What was overtaken on its way is older, and passed over.
    assert_eq!(hear(&mut book, 900, said("b:1", 49_000)), Ok(Heard::Older));
    for second in 1..20 {
        let back = said("b:1", 10_000 + second * 1_000);
        assert_eq!(hear(&mut book, second * 1_000, back), Ok(Heard::Taken));
        book.tick(at(second * 1_000), "ours");
        assert_eq!(state(&book, "b:1"), Some(PeerState::Ok), "{second}");
    }
}
