//! Prepared statements are shared by those who see the same tables, and by nobody else.

use super::Stage;
use crate::{PoolMode, Settings};

/// Begins a transaction, runs `statement` in it and prepares a query of `t`.
fn prepares_in_a_transaction(s: &mut Stage, client: u32, statement: &str) {
    s.send(client, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.send(client, &format!("Q {statement}"));
    s.answer(0, "C X / Z T");
    s.server_got(0);
    s.send(client, "P a=SELECT * FROM t / S");
}

/// The next client at the connection may see another table of that name, or the
/// one that was there before the rollback.
#[test]
fn what_only_one_client_saw_is_prepared_for_it_alone() {
    for statement in [
        "CREATE TEMP TABLE t (a int)",
        "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
        "SELECT 1 a INTO TEMP t",
        "ALTER TABLE t ADD b int",
    ] {
        let mut s = Stage::new(1);
        let (c, next) = (s.client(&[]), s.client(&[]));
        prepares_in_a_transaction(&mut s, c, statement);
        assert_eq!(s.server_got(0), "P #SELECT * FROM t=SELECT * FROM t / S");
        s.answer(0, "1 / Z T");
        s.send(c, "Q ROLLBACK");
        s.answer(0, "C ROLLBACK / Z I");
        s.server_got(0);
        for text in ["SELECT * FROM t", "SELECT 2"] {
            s.send(next, &format!("P a{text}={text} / S"));
            let parsed = format!("P #{text}={text} / S");
            assert_eq!(s.server_got(0), parsed, "{statement}");
            s.answer(0, "1 / Z I");
        }
        // Its own number ended with the transaction: it shares again.
        s.client_got(c);
        s.send(c, "P b=SELECT 2 / S");
        assert_eq!(s.server_got(0), "S", "{statement}");
        s.answer(0, "Z I");
        assert_eq!(s.client_got(c), "1 / Z I");
    }
}

/// Two clients with temporary tables of one name, one after the other.
#[test]
fn each_temporary_table_has_statements_of_its_own() {
    let create = "CREATE TEMP TABLE t (a int) ON COMMIT DROP";
    let mut s = Stage::new(1);
    for _ in 0..2 {
        let c = s.client(&[]);
        prepares_in_a_transaction(&mut s, c, create);
        assert_eq!(s.server_got(0), "P #SELECT * FROM t=SELECT * FROM t / S");
        s.answer(0, "1 / Z T");
        s.send(c, "P b=SELECT * FROM t / S");
        assert_eq!(s.server_got(0), "S", "the same tables");
        s.answer(0, "Z T");
        s.send(c, "Q COMMIT");
        s.answer(0, "C COMMIT / Z I");
        s.server_got(0);
    }
}

/// That one client's temporary table hides a permanent one says nothing of the
/// statements of others.
#[test]
fn a_mismatch_behind_a_temporary_table_stays_with_its_client() {
    let mut s = Stage::new(2);
    let (c, other) = (s.client(&[]), s.client(&[]));
    for client in [c, other] {
        s.send(client, "P a=SELECT * FROM t / S");
        let server = if s.server_got(0).is_empty() { 1 } else { 0 };
        s.answer(server, "1 / Z I");
    }
    s.client_got(other);
    s.server_got(1);
    s.send(c, "Q CREATE TEMP TABLE t (b int)");
    let pinned = if s.server_got(0).is_empty() { 1 } else { 0 };
    s.answer(pinned, "C CREATE TABLE / Z I");
    s.send(c, "B a / E / S");
    s.answer(pinned, "E 0A000 / Z I");
    assert!(s.client_got(c).ends_with("E 0A000 / Z I"));
    s.send(other, "B a / E / S");
    let got = s.server_got(1 - pinned);
    assert!(got.contains("B #SELECT * FROM t"), "{got}");
}

/// In session mode names are the server's, so that SQL may use them.
#[test]
fn a_session_prepares_under_the_clients_own_names() {
    let mut s = Stage::with(1, PoolMode::Session, Settings::default());
    let c = s.client(&[]);
    s.send(c, "P a=SELECT 1 / D a / S / Q EXECUTE a");
    s.names.clear();
    assert_eq!(
        s.server_got(0),
        "P #SELECT 1=SELECT 1 / D #SELECT 1 / S / Q EXECUTE a"
    );
    assert_eq!(s.names.keys().next().map(Vec::as_slice), Some(&b"a"[..]));
    s.answer(0, "1 / t / n / Z I / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "1 / t / n / Z I / C SELECT 1 / Z I");
    s.send(c, "B a / E / C a / S");
    assert_eq!(s.server_got(0), "B #SELECT 1 / E / C #SELECT 1 / S");
    s.answer(0, "2 / C SELECT 1 / 3 / Z I");
    assert_eq!(s.client_got(c), "2 / C SELECT 1 / 3 / Z I");
}

/// Where the reset leaves prepared statements, their connection is not used again.
#[test]
fn no_session_finds_the_statements_of_another() {
    for (reset, closed) in [("DISCARD ALL", &[][..]), ("RESET ALL", &["s0 "][..])] {
        let settings = Settings {
            reset_query: reset.into(),
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Session, settings);
        let c = s.client(&[]);
        s.send(c, "P a=SELECT 1 / S");
        s.answer(0, "1 / Z I");
        s.server_got(0);
        s.closed.clear();
        s.send(c, "X");
        assert_eq!(s.server_got(0), format!("Q {reset}"));
        s.answer(0, "C RESET / Z I");
        let servers = s.closed.iter().filter(|c| c.starts_with('s')).count();
        assert_eq!(servers, closed.len(), "{reset}: {:?}", s.closed);
    }
}
