//! A server refuses our proof: the secret is read again before anybody is told.

use super::*;

const CONN: ConnId = ConnId {
    slot: 0,
    generation: 0,
};

fn report(code: &'static str) -> Vec<u8> {
    let mut error = Vec::new();
    let report = ErrorReport {
        severity: "FATAL",
        code,
        message: "no",
        detail: None,
        hint: None,
    };
    back::error(&mut error, &report);
    error
}

/// A hub with one login under way whose secret can be read again, or not.
fn logging_in(rereadable: bool) -> Stage {
    let mut s = Stage::new(0);
    s.ports.failed = Some(Vec::new());
    assert_eq!(s.hub.open(s.now, CONN, Arc::clone(&s.ports.info)), 0);
    if rereadable {
        s.hub.can_read_secret_again(0);
    }
    connect(&mut s);
    s
}

fn connect(s: &mut Stage) {
    let unix = (Address::Unix, Address::Unix);
    s.dispatch(&[], |hub, _, _, out| {
        hub.server_connected(0, unix, "", None, out);
    });
}

fn failed(s: &Stage) -> &[(String, bool)] {
    s.ports.failed.as_deref().unwrap_or_default()
}

fn keep(s: &mut Stage, for_good: bool) {
    s.dispatch(&[], |hub, now, ports, out| {
        hub.keep_refusal(now, 0, CONN, for_good, ports, out);
    });
}

#[test]
fn only_a_refused_proof_is_doubted() {
    for (code, rereadable, doubted) in [
        ("28P01", true, true),
        ("28000", true, true),
        ("28P01", false, false),
        ("3D000", true, false),
        ("53300", true, false),
    ] {
        let mut s = logging_in(rereadable);
        s.server_bytes(0, &report(code));
        let doubt = s.hub.wants_secret(0);
        assert_eq!(doubt.is_some(), doubted, "{code} {rereadable}");
        assert_eq!(failed(&s).is_empty(), doubted, "{code}");
        assert!(s.hub.wants_secret(0).is_none(), "told once");
    }
}

#[test]
fn after_the_proof_was_taken_nothing_is_doubted() {
    let mut s = logging_in(true);
    let mut hello = Vec::new();
    back::auth_ok(&mut hello);
    hello.extend(report("28000"));
    s.server_bytes(0, &hello);
    assert!(s.hub.wants_secret(0).is_none());
    assert_eq!(failed(&s), [("no".to_owned(), true)]);
}

#[test]
fn another_secret_logs_in_on_the_same_connection() {
    let mut s = logging_in(true);
    s.server_bytes(0, &report("28P01"));
    let doubt = s.hub.wants_secret(0).expect("doubted");
    assert_eq!((doubt.conn, doubt.count), (CONN, 1));
    let other = ConnId {
        slot: 0,
        generation: 9,
    };
    let info = Arc::clone(&s.ports.info);
    assert!(
        !s.hub.log_in_again(0, other, Arc::clone(&info)),
        "another one"
    );
    assert!(s.hub.log_in_again(0, CONN, info));
    connect(&mut s);
    // Refused again: counted, so that the shell knows when to stop.
    s.server_bytes(0, &report("28P01"));
    assert_eq!(s.hub.wants_secret(0).map(|d| d.count), Some(2));
    let info = Arc::clone(&s.ports.info);
    assert!(s.hub.log_in_again(0, CONN, info));
    connect(&mut s);
    let mut hello = Vec::new();
    back::auth_ok(&mut hello);
    back::backend_key(&mut hello, 7, &[1, 2, 3, 4]);
    back::ready(&mut hello, Status::Idle);
    s.server_bytes(0, &hello);
    assert_eq!(s.ports.idle, [(CONN, 0)], "it is in the pool");
    assert!(failed(&s).is_empty());
}

#[test]
fn without_another_secret_the_refusal_stands() {
    for for_good in [true, false] {
        let mut s = logging_in(true);
        s.server_bytes(0, &report("28P01"));
        assert!(s.hub.wants_secret(0).is_some());
        assert!(failed(&s).is_empty(), "not before the secret was read");
        keep(&mut s, for_good);
        assert_eq!(failed(&s), [("no".to_owned(), for_good)]);
        keep(&mut s, for_good);
        assert_eq!(failed(&s).len(), 1, "once");
    }
}

#[test]
fn a_login_that_ended_meanwhile_is_left_alone() {
    let mut s = logging_in(true);
    s.server_bytes(0, &report("28P01"));
    assert!(s.hub.wants_secret(0).is_some());
    s.dispatch(&[], |hub, now, ports, out| {
        hub.server_gone(now, 0, Some("server_connect_timeout"), ports, out);
    });
    assert_eq!(failed(&s).len(), 1);
    let info = Arc::clone(&s.ports.info);
    assert!(!s.hub.log_in_again(0, CONN, info));
    keep(&mut s, true);
    assert_eq!(failed(&s).len(), 1);
}
