//! What a client leaves behind, and what reaches only it.

use super::{ConnId, Stage};
use crate::{CancelOutcome, PeerInfo};
use events::snapshot::Address;
use wire::front;

/// A session lock outlives the statement that failed after it was taken.
#[test]
fn a_lock_of_a_statement_that_failed_does_not_stay_with_the_connection() {
    let rows = [
        ("Q SELECT pg_advisory_lock(1), 1/0", "E 22012 / Z I"),
        (
            "P =SELECT pg_advisory_lock(1), 1/0 / B  / E / S",
            "1 / 2 / E 22012 / Z I",
        ),
        (
            "Q SELECT 1; SELECT pg_try_advisory_lock(1), 1/0",
            "C SELECT 1 / E 22012 / Z I",
        ),
    ];
    for (messages, answer) in rows {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, messages);
        s.server_got(0);
        s.answer(0, answer);
        assert_eq!(s.server_got(0), "Q DISCARD ALL", "{messages}");
        s.answer(0, "C DISCARD ALL / Z I");
        assert_eq!(s.ports.idle.len(), 1);
    }
    // What failed before it, or takes no lock of the session, leaves nothing.
    for messages in [
        "Q SELECT 1/0; SELECT pg_advisory_lock(1)",
        "Q SELECT pg_advisory_xact_lock(1), 1/0",
        "Q SET work_mem = 'bad'",
    ] {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, messages);
        s.server_got(0);
        s.answer(0, "E 22012 / Z I");
        assert_eq!(s.server_got(0), "", "{messages}");
    }
}

/// A function that is called by its number may change the session: only those
/// of large objects are known not to.
#[test]
fn a_function_call_leaves_nothing_to_the_next_client() {
    for (function, reset) in [(1576u32, "Q DISCARD ALL"), (954, "")] {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        let mut bytes = b"F\0\0\0\x0e".to_vec();
        bytes.extend(function.to_be_bytes());
        bytes.extend([0; 6]);
        s.client_bytes(c, &bytes[..7]);
        s.client_bytes(c, &bytes[7..]);
        assert_eq!(s.server_got(0), "F");
        s.answer(0, "V / Z I");
        assert_eq!(s.client_got(c), "V / Z I");
        assert_eq!(s.server_got(0), reset, "{function}");
    }
}

/// What is notified while the pooler's own statement runs is the client's.
#[test]
fn no_notification_is_lost_behind_the_poolers_own_statements() {
    let mut s = Stage::new(1);
    let c = s.client(&[("TimeZone", "CET")]);
    s.send(c, "Q LISTEN a");
    s.answer(0, "C SELECT 1 / Z I");
    s.answer(0, "C LISTEN / Z I");
    s.send(c, "Q RESET timezone / Q next");
    s.answer(0, "C RESET / Z I");
    s.client_got(c);
    s.answer(0, "A a / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "A");
    s.answer(0, "C SELECT 1 / Z I / A a");
    assert_eq!(s.client_got(c), "C SELECT 1 / Z I / A");
}

/// What we answer ourselves waits until a message that comes in parts is whole.
#[test]
fn nothing_of_ours_is_written_into_a_servers_message() {
    let rows = [
        ("C a / S", "Z T", "A / 3 / Z T"),
        ("Q DEALLOCATE a", "", "A / C DEALLOCATE / Z T"),
    ];
    let mut notification = Vec::new();
    wire::back::notification(&mut notification, 7, "channel", "");
    for (messages, answer, seen) in rows {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, "P a=one / S / Q BEGIN");
        s.answer(0, "1 / Z I / C BEGIN / Z T");
        s.client_got(c);
        s.server_bytes(0, &notification[..8]);
        s.send(c, messages);
        s.server_bytes(0, &notification[8..]);
        if !answer.is_empty() {
            s.answer(0, answer);
        }
        assert_eq!(s.client_got(c), seen);
    }
}

/// Whose requests wait one after the other does not hold up the end of all.
#[test]
fn a_client_refused_in_a_drain_is_sent_home() {
    let mut s = Stage::new(1);
    let (holder, c) = (s.client(&[]), s.client(&[]));
    s.send(holder, "Q BEGIN");
    s.send(c, "Q one / Q two");
    s.dispatch(&[], |hub, now, ports, out| hub.drain(now, ports, out));
    let reason = events::RefuseReason::WaitTimeout;
    s.dispatch(&[], |hub, now, ports, out| {
        hub.refuse(now, c, reason, std::time::Duration::ZERO, None, ports, out);
    });
    assert_eq!(s.client_got(c), "E 53300 / E 57P01");
}

#[test]
fn nobody_gets_notifications_that_were_meant_for_another() {
    let mut s = Stage::new(1);
    let c = s.client(&[("TimeZone", "CET")]);
    s.answer(0, "A a");
    s.send(c, "Q next");
    s.answer(0, "A a / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "");
}

/// A session of protocol 3.2 has a key of 32 bytes; nobody may try the four
/// bytes of an older one instead.
#[test]
fn a_long_cancel_key_cannot_be_cut_short() {
    for (minor, len) in [(0, 4), (2, 32)] {
        let mut s = Stage::new(1);
        let (c, key) = s.client_of(minor, &[]);
        assert_eq!(key.len(), 4 + len);
        let pid = i32::from_be_bytes([key[0], key[1], key[2], key[3]]);
        s.send(c, "Q SELECT pg_sleep(9)");
        for tried in [&key[4..8], &key[4..], &[0; 32]] {
            let mut outcome = CancelOutcome::Unknown;
            s.dispatch(&[], |hub, now, ports, out| {
                outcome = hub.cancel(now, pid, tried, ports, out);
            });
            let fits = tried == &key[4..];
            assert_eq!(
                outcome != CancelOutcome::Unknown,
                fits,
                "3.{minor}: {} bytes",
                tried.len()
            );
        }
    }
}

/// PREPARE of SQL and Parse share their names.
#[test]
fn a_name_that_sql_prepared_is_taken() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q PREPARE a AS SELECT 1");
    s.answer(0, "C PREPARE / Z I");
    s.server_got(0);
    s.client_got(c);
    s.send(c, "P a=again / S");
    assert_eq!(s.server_got(0), "P #= / P #again=again / S");
    s.answer(0, "1 / E 42P05 / Z I");
    assert_eq!(s.client_got(c), "E 42P05 / Z I");
    s.send(c, "Q DEALLOCATE a");
    s.answer(0, "C DEALLOCATE / Z I");
    s.server_got(0);
    s.send(c, "P a=again / S");
    assert_eq!(s.server_got(0), "P #again=again / S");
}

const ASK: &str = "Q SELECT pg_catalog.current_setting('app.user', true)";
const SET: &str = "P =SELECT set_config('app.user', $1, false) / B  / E / S";

/// A setting with a value from a parameter follows the client once the server
/// has told it: nobody is kept on a connection for it.
#[test]
fn a_setting_whose_value_no_text_told_is_asked_for() {
    let mut s = Stage::new(1);
    let (a, b) = (s.client(&[]), s.client(&[]));
    s.send(a, SET);
    s.server_got(0);
    s.answer(0, "1 / 2 / D 7 / C SELECT 1 / Z I");
    assert_eq!(s.client_got(a), "1 / 2 / D 7 / C SELECT 1 / Z I");
    assert_eq!(s.server_got(0), ASK);
    s.answer(0, "T / D 7 / C SELECT 1 / Z I");
    assert_eq!(s.client_got(a), "", "the pooler's own");
    assert_eq!(s.ports.idle.len(), 1);
    s.send(b, "Q select");
    assert_eq!(s.server_got(0), "Q RESET \"app.user\";");
    s.answer(0, "C RESET / Z I / C X / Z I");
    s.server_got(0);
    s.send(a, "Q select");
    let set = "Q SELECT pg_catalog.set_config('app.user', '7', false);";
    assert_eq!(s.server_got(0), set);
}

#[test]
fn what_comes_while_the_server_is_asked_is_handled_after() {
    let mut s = Stage::new(1);
    let a = s.client(&[]);
    s.send(a, SET);
    s.answer(0, "1 / 2 / D 7 / C SELECT 1 / Z I");
    s.server_got(0);
    s.send(a, "Q next");
    assert_eq!(s.server_got(0), "");
    s.answer(0, "T / D 7 / C SELECT 1 / Z I");
    assert_eq!(s.server_got(0), "Q next");
    s.answer(0, "C X / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}

#[test]
fn a_setting_is_not_asked_for_where_that_does_not_help() {
    // Messages, answers, and what keeps the client.
    let rows = [
        (
            "Q SELECT set_config('role', user, false)",
            "C SELECT 1 / Z I",
            "",
        ),
        (
            "Q SELECT set_config(a, b, false) FROM t",
            "C SELECT 1 / Z I",
            "",
        ),
        (
            "Q LISTEN a; SELECT set_config('app.user', user, false)",
            "C LISTEN / C SELECT 1 / Z I",
            "",
        ),
        // Refused there: kept until DISCARD ALL.
        (
            "Q SELECT set_config('app.user', user, false)",
            "C SELECT 1 / Z I",
            ASK,
        ),
    ];
    for (messages, answers, asked) in rows {
        let mut s = Stage::new(1);
        let a = s.client(&[]);
        s.send(a, messages);
        s.server_got(0);
        s.answer(0, answers);
        assert_eq!(s.server_got(0), asked, "{messages}");
        if !asked.is_empty() {
            s.answer(0, "E 42501 / Z I");
            assert_eq!(s.server_got(0), "", "not asked again");
        }
        assert_eq!(s.ports.idle.len(), 0, "{messages}");
        s.send(a, "Q DISCARD ALL");
        s.answer(0, "C DISCARD ALL / Z I");
        assert_eq!(s.ports.idle.len(), 1, "{messages}");
    }
}

#[test]
fn a_setting_that_was_rolled_back_is_not_asked_for() {
    let mut s = Stage::new(1);
    let a = s.client(&[]);
    s.send(
        a,
        "Q BEGIN / Q SELECT set_config('app.user', user, false) / Q ROLLBACK",
    );
    s.server_got(0);
    s.answer(0, "C BEGIN / Z T / C SELECT 1 / Z T / C ROLLBACK / Z I");
    assert_eq!(s.server_got(0), "");
    assert_eq!(s.ports.idle.len(), 1);
}

/// RESET after it leads to the client's own login, as ever.
#[test]
fn a_setting_that_a_later_text_told_is_not_asked_for() {
    for (later, done) in [
        ("RESET timezone", "C RESET"),
        ("RESET ALL", "C RESET"),
        ("SET timezone = 'UTC'", "C SET"),
    ] {
        let mut s = Stage::new(1);
        let a = s.client(&[("TimeZone", "CET")]);
        s.send(
            a,
            &format!("Q BEGIN; SELECT set_config('timezone', user, false); {later}; COMMIT"),
        );
        s.answer(0, "C SELECT 1 / Z I");
        s.server_got(0);
        s.answer(
            0,
            &format!("C BEGIN / C SELECT 1 / {done} / C COMMIT / Z I"),
        );
        assert_eq!(s.server_got(0), "", "{later}");
        assert_eq!(s.ports.idle.len(), 1, "{later}");
    }
}

/// The connection that a login is granted ends on the way, again and again.
#[test]
fn a_login_whose_waits_begin_anew_ends_at_its_own_deadline() {
    let mut s = Stage::new(0);
    let peer = PeerInfo {
        addr: Address::Unix,
        local_addr: Address::Unix,
    };
    let c = s.hub.accept(s.now, peer);
    let mut hello = Vec::new();
    front::startup(&mut hello, 0, [("user", "u"), ("database", "d")]);
    s.client_bytes(c, &hello);
    let mut granted = 0;
    while let Some(id) = s.ports.waiting.pop_front() {
        s.pass(25);
        let gone = ConnId {
            slot: 0,
            generation: 7,
        };
        s.dispatch(&[], |hub, now, ports, out| {
            hub.granted(now, id, 0, gone, ports, out)
        });
        granted += 1;
    }
    assert_eq!(granted, 3, "it may take 60 s");
    assert_eq!(s.closed, ["c0 client_login_timeout"]);
}

/// A pool refuses a client that was moved meanwhile, and waits in another one.
#[test]
fn a_refusal_that_crosses_a_move_ends_the_wait_in_the_other_pool_too() {
    let mut s = Stage::new(1);
    let (holder, c) = (s.client(&[]), s.client(&[]));
    s.send(holder, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.send(c, "Q one");
    let id = s.ports.waiting[0];
    let other = std::sync::Arc::new(crate::PoolInfo {
        key: crate::PoolKey(1),
        ..super::pool_info(crate::PoolMode::Transaction)
    });
    s.dispatch(&[], |hub, now, ports, out| {
        hub.pool_moved(now, crate::PoolKey(0), &other, ports, out);
    });
    assert_eq!(s.ports.waiting, [id], "it waits there now");
    s.dispatch(&[], |hub, now, ports, out| {
        let reason = events::RefuseReason::WaitTimeout;
        hub.refused(now, id, reason, Default::default(), None, ports, out);
    });
    assert_eq!(s.client_got(c), "E 53300 / Z I");
    assert!(s.ports.waiting.is_empty());
}

/// In session mode the server knows a client's statements by its own names. They
/// are followed all the same: what they do, and when the pool changes its mode.
#[test]
fn statements_under_their_own_names_are_followed_out_of_session_mode() {
    let mut s = Stage::with(1, crate::PoolMode::Session, crate::Settings::default());
    let c = s.client(&[]);
    let text = "SET search_path TO x";
    let (parse, run) = (format!("P a={text}"), "B a / E / S");
    s.send(c, &format!("{parse} / {run}"));
    assert_eq!(
        s.server_got(0),
        format!("P #{text}={text} / B #{text} / E / S")
    );
    s.answer(0, "1 / 2 / C SET / Z I");
    // Twice is the server's to refuse; Close and DEALLOCATE are its own too.
    for (sent, answer) in [
        (format!("{parse} / S"), "E 42P05 / Z I"),
        ("D a / S".into(), "t / n / Z I"),
        ("P b=SELECT 2 / C b / S".into(), "1 / 3 / Z I"),
        ("P b=SELECT 2 / S".into(), "1 / Z I"),
        ("Q DEALLOCATE b".into(), "C DEALLOCATE / Z I"),
        ("P b=SELECT 2 / S".into(), "1 / Z I"),
        // A Close that is skipped closes nothing.
        ("B x / C b / S".into(), "E 26000 / Z I"),
    ] {
        s.client_got(c);
        s.server_got(0);
        s.send(c, &sent);
        let mut raw = Vec::new();
        sent.split(" / ")
            .for_each(|m| super::client_message(&mut raw, m));
        assert_eq!(s.server_got(0), s.read(&raw, true), "{sent}");
        s.answer(0, answer);
        assert_eq!(s.client_got(c), answer, "{sent}");
    }
    s.hub.pool_changed(&std::sync::Arc::new(super::pool_info(
        crate::PoolMode::Transaction,
    )));
    s.send(c, "Q SELECT 1");
    s.answer(0, "C SELECT 1 / Z I");
    assert_eq!(s.server_got(0), "Q SELECT 1 / Q DISCARD ALL");
    s.answer(0, "C DISCARD ALL / Z I");
    s.client_got(c);
    // Now by our names, under the parameter that a statement had set.
    s.send(c, "B b / E / S");
    let set = s.server_got(0);
    assert!(set.contains("search_path"), "{set}");
    s.answer(0, "C SELECT 1 / Z I");
    assert_eq!(
        s.server_got(0),
        "P #SELECT 2=SELECT 2 / B #SELECT 2 / E / S"
    );
    s.answer(0, "1 / 2 / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "2 / C SELECT 1 / Z I");
}
