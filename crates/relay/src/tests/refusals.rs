//! Clients that are told no: what they see, and that their session goes on.

use super::*;
use crate::ErrorStyle;
use events::RefuseReason;

fn style(style: ErrorStyle) -> Settings {
    Settings {
        error_style: style,
        ..Settings::default()
    }
}

/// What a client sees of these messages when no connection is there for it,
/// and then of a query that is served.
fn told(messages: &str, reason: RefuseReason, settings: Settings) -> (String, String) {
    let mut s = Stage::with(1, PoolMode::Transaction, settings);
    let c = s.client(&[]);
    s.ports.refuse = Some(reason);
    s.send(c, messages);
    let refused = s.client_got(c);
    if s.closed
        .iter()
        .any(|line| line.starts_with(&format!("c{c} ")))
    {
        return (refused, s.closed.join(", "));
    }
    s.ports.refuse = None;
    s.server_got(0);
    s.send(c, "Q next");
    let sent = s.server_got(0);
    s.answer(0, "C SELECT 1 / Z I");
    (refused, format!("{sent} > {}", s.client_got(c)))
}

#[test]
fn a_refusal_answers_each_request_and_keeps_the_session() {
    let served = "Q next > C SELECT 1 / Z I";
    let table = [
        ("Q one", "E 53300 / Z I"),
        ("Q one / Q two", "E 53300 / Z I / E 53300 / Z I"),
        ("F", "E 53300 / Z I"),
        // One error for a batch; nothing of it is run.
        ("P a=one / B a / E / S", "E 53300 / Z I"),
        (
            "P a=one / B a / E / S / P b=two / B b / E / S",
            "E 53300 / Z I / E 53300 / Z I",
        ),
        ("P =one / B  / E / Q two", "E 53300"),
        (
            "P =one / B  / E / S / Q two",
            "E 53300 / Z I / E 53300 / Z I",
        ),
    ];
    for reason in [
        RefuseReason::WaitTimeout,
        RefuseReason::QueueFull,
        RefuseReason::Shed,
    ] {
        for (messages, expected) in table {
            let (refused, after) = told(messages, reason, Settings::default());
            assert_eq!(refused, expected, "{reason}: {messages}");
            // An unfinished batch drops all until its Sync.
            if expected.ends_with("Z I") {
                assert_eq!(after, served, "{reason}: {messages}");
            }
        }
    }
}

#[test]
fn only_pgbouncers_own_reasons_end_a_session_and_only_in_its_style() {
    let table = [
        (
            RefuseReason::WaitTimeout,
            "E 08P01",
            "c0 query_wait_timeout",
        ),
        (
            RefuseReason::Shed,
            "E 53300 / Z I",
            "Q next > C SELECT 1 / Z I",
        ),
        (
            RefuseReason::QueueFull,
            "E 53300 / Z I",
            "Q next > C SELECT 1 / Z I",
        ),
    ];
    for (reason, refused, after) in table {
        let seen = told("Q one", reason, style(ErrorStyle::Pgbouncer));
        assert_eq!(seen, (refused.to_owned(), after.to_owned()), "{reason}");
    }
    let seen = told("Q one", RefuseReason::Shutdown, Settings::default());
    assert_eq!(seen, ("E 57P01".into(), "c0 shutdown".into()));
}

#[test]
fn each_refusal_is_counted_once_under_its_reason() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    for reason in [
        RefuseReason::WaitTimeout,
        RefuseReason::QueueFull,
        RefuseReason::Shed,
        RefuseReason::ServerDown,
        RefuseReason::Disabled,
    ] {
        s.ports.refuse = Some(reason);
        s.send(c, "P a=one / B a / E / S");
        let counted = s.hub.worker_stats().refusals;
        assert_eq!(counted[reason as usize], 1, "{reason}");
    }
    let all: u64 = s.hub.worker_stats().refusals.iter().sum();
    assert_eq!(all, 5);
}

/// The fields of the first message that came to a client.
fn fields(s: &mut Stage, client: u32) -> (String, String, String) {
    let bytes = s.at_client.remove(&client).unwrap_or_default();
    let frame = frame::peek(&bytes).expect("a frame").expect("whole");
    let fields = ErrorFields::parse(&bytes[frame::HEADER..frame.len]).expect("fields");
    let detail = fields.detail().unwrap_or_default().into_owned();
    let hint = fields.hint().unwrap_or_default().into_owned();
    (fields.severity().to_owned(), detail, hint)
}

#[test]
fn a_logged_in_client_learns_figures_and_a_login_none() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.ports.refuse = Some(RefuseReason::QueueFull);
    s.send(c, "Q one");
    let (severity, detail, hint) = fields(&mut s, c);
    assert_eq!(severity, "ERROR");
    assert_eq!(
        detail,
        "Pool \"d\", user \"u\": 9 of 9 connections in use, 3 clients wait. No more may wait."
    );
    assert!(hint.contains("pool.queue_max"), "{hint}");

    // No server is known yet: the login itself needs a connection.
    let mut s = Stage::new(0);
    s.ports.refuse = Some(RefuseReason::QueueFull);
    let peer = PeerInfo {
        addr: Address::Unix,
        local_addr: Address::Unix,
    };
    let slot = s.hub.accept(s.now, peer);
    let mut hello = Vec::new();
    front::startup(&mut hello, 0, [("user", "u"), ("database", "d")]);
    s.client_bytes(slot, &hello);
    let (severity, detail, _) = fields(&mut s, slot);
    assert_eq!(severity, "FATAL");
    assert_eq!(detail, "The login needs a connection of database \"d\".");
    assert_eq!(s.closed, ["c0 client_refused"]);
}

#[test]
fn others_are_named_with_error_detail_full_only() {
    for (full, named) in [(false, false), (true, true)] {
        let settings = Settings {
            error_detail_full: full,
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let c = s.client(&[]);
        s.ports.refuse = Some(RefuseReason::WaitTimeout);
        s.send(c, "Q one");
        let (_, detail, _) = fields(&mut s, c);
        assert_eq!(detail.contains("boss"), named, "{detail}");
    }
}

#[test]
fn who_waits_for_long_gets_one_notice() {
    for (own, detail) in [
        (
            ErrorStyle::Plimsoll,
            "Pool \"d\", user \"u\": 9 of 9 connections in use, 3 clients wait. Waiting since 5100 ms; there is no limit.",
        ),
        (ErrorStyle::Pgbouncer, ""),
    ] {
        let settings = Settings {
            wait_notify: Some(std::time::Duration::from_secs(5)),
            ..style(own)
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let (holder, c) = (s.client(&[]), s.client(&[]));
        s.send(holder, "Q BEGIN");
        s.send(c, "Q one");
        for (at_ms, notices) in [(5_000, 0), (5_100, 1), (9_000, 0)] {
            s.now = Time::from_micros(1_000_000 + at_ms * 1_000);
            s.dispatch(&[], |hub, now, ports, out| hub.tick(now, ports, out));
            let count = s.at_client.get(&c).map_or(0, |_| 1);
            assert_eq!(count, notices, "at {at_ms} ms");
            if count == 1 {
                let (severity, text, _) = fields(&mut s, c);
                assert_eq!((severity.as_str(), text.as_str()), ("NOTICE", detail));
            }
        }
    }
}

/// What a server says to a Query that is refused for its pin, and what the
/// client hears.
#[test]
fn a_query_that_may_not_pin_fails_as_a_query_does() {
    let table = [
        // Alone, and in a transaction that failed.
        ("", "", "E 42703 / Z I", "E 53300 / Z I", ""),
        ("", "", "E 25P02 / Z E", "E 25P02 / Z E", ""),
        // It ends the batch before it.
        (
            "P =one / B  / E / ",
            "P =one / B / E / ",
            "1 / 2 / C SELECT 1 / E 42703 / Z I",
            "1 / 2 / C SELECT 1 / E 53300 / Z I",
            "",
        ),
        // The batch failed, and the server skips it: the Sync is the client's to send.
        (
            "P =one / B  / E / ",
            "P =one / B / E / ",
            "1 / E 22P02",
            "1 / E 22P02",
            "Z E",
        ),
    ];
    for (before, sent, answer, heard, synced) in table {
        let mut s = Stage::new(1);
        let info = PoolInfo {
            pins_max: 0,
            ..pool_info(PoolMode::Transaction)
        };
        s.ports.info = Arc::new(info);
        let c = s.client(&[]);
        s.send(c, &format!("{before}Q LISTEN a"));
        let failing = format!("{sent}Q SELECT \"plimsoll refused this\"");
        assert_eq!(s.server_got(0), failing);
        s.answer(0, answer);
        assert_eq!(s.client_got(c), heard, "{answer}");
        if !synced.is_empty() {
            s.send(c, "S");
            assert_eq!(s.server_got(0), "S");
            s.answer(0, synced);
            assert_eq!(s.client_got(c), synced, "{answer}");
        }
    }
}
