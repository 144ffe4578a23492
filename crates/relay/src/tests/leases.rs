//! Who holds what, who fell silent, and what a reclaim leaves behind.

use super::{Stage, client_message};
use crate::{PoolMode, Reclaim, Settings, StatementText};
use events::{ExemptReason, LeaseRow, LeaseState, ReclaimReason, Suspicion};
use std::time::Duration;

fn rows(s: &Stage) -> Vec<LeaseRow> {
    let mut rows = Vec::new();
    s.hub.lease_rows(true, &mut rows);
    rows
}

fn row(s: &Stage) -> LeaseRow {
    rows(s).pop().expect("a lease")
}

fn suspicion() -> Suspicion {
    Suspicion {
        reason: ReclaimReason::Pattern,
        sure: 80,
        leases: 5,
        bound: Duration::from_secs(5),
        learned: false,
        with_release: false,
    }
}

/// What the pool would ask for, if the lease of server 0 is silent.
fn asked(s: &Stage, enforce: bool) -> Option<Reclaim> {
    let silent = s.ports.silent.first()?;
    Some(Reclaim {
        client: silent.client,
        conn: silent.conn,
        slot: silent.slot,
        silent_since: silent.silent_since,
        enforce,
        suspicion: suspicion(),
    })
}

fn reclaim(s: &mut Stage, asked: &Reclaim) -> Option<LeaseRow> {
    let mut told = None;
    s.dispatch(&[], |hub, now, ports, out| {
        told = hub.reclaim(now, asked, ports, out);
    });
    told
}

#[test]
fn a_lease_has_a_name() {
    let mut s = Stage::new(2);
    let c = s.client(&[("application_name", "shop-web-7d4b9c6f5d-x7k2p")]);
    assert!(rows(&s).is_empty());
    s.send(c, "Q BEGIN");
    s.answer(0, "C SELECT 1 / Z I");
    s.answer(0, "C BEGIN / Z T");
    s.send(
        c,
        "Q SELECT 'secret' FROM t /*application='x',release='1.2'*/",
    );
    let lease = row(&s);
    assert_eq!(lease.state, LeaseState::Active);
    assert_eq!(lease.silent_since, None);
    assert_eq!(lease.statement, "SELECT ? FROM t");
    s.answer(0, "C SELECT 1 / Z T");
    let lease = row(&s);
    assert_eq!(
        (lease.state, lease.silent_since),
        (LeaseState::Idle, Some(s.now))
    );
    assert_eq!(lease.application, "shop-web-7d4b9c6f5d-x7k2p");
    assert_eq!((&*lease.kind, lease.release.as_str()), ("shop-web", "1.2"));
    assert_eq!(lease.tags, "application=x,release=1.2");
    assert_eq!((lease.user.as_str(), lease.database.as_str()), ("u", "d"));
    s.send(c, "Q COMMIT");
    assert_eq!(row(&s).statement, "SELECT ? FROM t", "COMMIT tells nothing");
    s.answer(0, "C COMMIT / Z I");
    assert!(rows(&s).is_empty());
}

#[test]
fn prepared_statements_are_named_too() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "P a=BEGIN / P b=SELECT $1, 'secret' FROM t / S");
    s.answer(0, "1 / 1 / Z I");
    s.send(c, "B a / E / B b / E / S");
    s.answer(0, "2 / C BEGIN / 2 / C SELECT 1 / Z T");
    assert_eq!(row(&s).statement, "SELECT $1, ? FROM t");
    s.send(c, "P =SELECT 'other secret' / B  / E / S");
    s.answer(0, "1 / 2 / C SELECT 1 / Z T");
    assert_eq!(row(&s).statement, "SELECT ?");
    s.send(c, "F");
    assert_eq!(row(&s).statement, "function call");
}

#[test]
fn the_settings_say_how_much_of_a_statement_is_shown() {
    for (text, wanted) in [
        (StatementText::Normalised, "SELECT ? FROM t"),
        (StatementText::Off, ""),
        (StatementText::Fingerprint, "16"),
    ] {
        let settings = Settings {
            statement_text: text,
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let c = s.client(&[]);
        s.send(c, "Q SELECT 'secret' FROM t");
        let shown = row(&s).statement;
        match text {
            StatementText::Fingerprint => assert_eq!(shown.len().to_string(), wanted, "{shown}"),
            _ => assert_eq!(shown, wanted),
        }
        let mut without = Vec::new();
        s.hub.lease_rows(false, &mut without);
        assert_eq!(without[0].statement, "");
    }
}

/// What a lease must be to be silent, and what it must not be.
#[test]
fn silence_is_a_server_that_waits_in_a_transaction() {
    let table: [(&str, &str, Option<&str>); 9] = [
        ("Q BEGIN", "C BEGIN / Z T", Some("silent")),
        (
            "Q BEGIN / Q SELECT 1",
            "C BEGIN / Z T / C SELECT 1 / Z T",
            Some("silent"),
        ),
        (
            "Q BEGIN / Q x",
            "C BEGIN / Z T / E 42601 / Z E",
            Some("silent"),
        ),
        (
            "P =SELECT 1 / B  / E / H",
            "1 / 2 / C SELECT 1",
            Some("silent"),
        ),
        // The server works.
        ("Q BEGIN / Q SELECT 1", "C BEGIN / Z T", None),
        // No transaction.
        ("Q LISTEN a", "C LISTEN / Z I", None),
        ("Q CREATE TEMP TABLE t ()", "C CREATE TABLE / Z I", None),
        // COPY data is awaited.
        ("Q COPY t FROM STDIN", "G", None),
        ("Q SELECT 1", "C SELECT 1 / Z I", None),
    ];
    for (messages, answer, wanted) in table {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, messages);
        s.answer(0, answer);
        s.pass(3);
        let found = s.ports.silent.first().map(|_| "silent");
        assert_eq!(found, wanted, "{messages}");
    }
}

#[test]
fn half_a_message_is_no_silence() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    let mut bytes = Vec::new();
    client_message(&mut bytes, "Q SELECT 1");
    s.client_bytes(c, &bytes[..7]);
    s.pass(3);
    assert!(s.ports.silent.is_empty());
}

#[test]
fn some_leases_are_never_taken_back_by_default() {
    type Row = (
        &'static [(&'static str, &'static str)],
        &'static str,
        ExemptReason,
    );
    let table: [Row; 9] = [
        (&[], "LISTEN a", ExemptReason::Listen),
        (
            &[],
            "SELECT pg_advisory_lock(1)",
            ExemptReason::AdvisoryLock,
        ),
        (
            &[],
            "SELECT pg_export_snapshot()",
            ExemptReason::ExportedSnapshot,
        ),
        (&[], "CREATE TABLE t ()", ExemptReason::Ddl),
        (&[], "COPY t TO STDOUT", ExemptReason::Copy),
        (
            &[("application_name", "psql")],
            "SELECT 1",
            ExemptReason::Interactive,
        ),
        (
            &[("application_name", "pg_dump")],
            "SELECT 1",
            ExemptReason::Dump,
        ),
        (
            &[("application_name", "alembic")],
            "SELECT 1",
            ExemptReason::Migration,
        ),
        (
            &[],
            "SELECT 1 FROM alembic_version",
            ExemptReason::Migration,
        ),
    ];
    for (params, statement, reason) in table {
        let mut s = Stage::new(1);
        let c = s.client(params);
        if !params.is_empty() {
            s.send(c, "Q BEGIN");
            s.answer(0, "C SELECT 1 / Z I");
            s.answer(0, "C BEGIN / Z T");
        } else {
            s.send(c, "Q BEGIN");
            s.answer(0, "C BEGIN / Z T");
        }
        s.send(c, &format!("Q {statement}"));
        s.answer(0, "C SELECT 1 / Z T");
        s.pass(3);
        assert_eq!(row(&s).exempt, Some(reason), "{statement}");
        assert!(row(&s).silent_since.is_some(), "{statement}");
        assert!(s.ports.silent.is_empty(), "{statement}");
    }
}

#[test]
fn the_settings_exempt_users_and_applications() {
    for (name, exempt) in [("u", true), ("shop", true), ("other", false)] {
        let settings = Settings {
            reclaim_exempt: [name.into()].into(),
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let c = s.client(&[]);
        s.send(c, "Q SET application_name = 'shop'");
        s.answer(0, "C SET / Z I");
        s.send(c, "Q BEGIN");
        s.answer(0, "C BEGIN / Z T");
        s.pass(3);
        assert_eq!(row(&s).application, "shop");
        assert_eq!(row(&s).exempt.is_some(), exempt, "{name}");
        assert_eq!(s.ports.silent.is_empty(), exempt, "{name}");
    }
}

/// What was left at the server, what is sent to take it back, and that the
/// connection is lent again only then.
#[test]
fn a_reclaim_leaves_nothing() {
    // Messages, answers, then pairs of what the server gets and its answer.
    type Story = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    );
    let table: [Story; 6] = [
        (
            "Q BEGIN / Q SELECT 1",
            "C BEGIN / Z T / C SELECT 1 / Z T",
            &[("Q ROLLBACK", "C ROLLBACK / Z I")],
        ),
        (
            "Q BEGIN / Q x",
            "C BEGIN / Z T / E 42601 / Z E",
            &[("Q ROLLBACK", "C ROLLBACK / Z I")],
        ),
        // The Sync ends what no BEGIN began.
        (
            "P =SELECT 1 / B  / E / H",
            "1 / 2 / C SELECT 1",
            &[("S", "Z I")],
        ),
        (
            "Q BEGIN / P =SELECT 1 / B  / E / H",
            "C BEGIN / Z T / 1 / 2 / C SELECT 1",
            &[("S", "Z T"), ("Q ROLLBACK", "C ROLLBACK / Z I")],
        ),
        (
            "Q CREATE TEMP TABLE t () / Q BEGIN",
            "C CREATE TABLE / Z I / C BEGIN / Z T",
            &[
                ("Q ROLLBACK", "C ROLLBACK / Z I"),
                ("Q DISCARD ALL", "C DISCARD ALL / Z I"),
            ],
        ),
        (
            "Q BEGIN / Q SET work_mem = 1",
            "C BEGIN / Z T / C SET / Z T",
            &[
                ("Q ROLLBACK", "C ROLLBACK / Z I"),
                ("Q DISCARD ALL", "C DISCARD ALL / Z I"),
            ],
        ),
    ];
    for (messages, answers, steps) in table {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, messages);
        s.answer(0, answers);
        s.server_got(0);
        s.client_got(c);
        s.pass(2);
        let asked = asked(&s, true).unwrap_or_else(|| panic!("{messages}: not silent"));
        let told = reclaim(&mut s, &asked).expect("it was silent");
        assert_eq!(told.suspicion, Some(suspicion()));
        assert_eq!(s.client_got(c), "E 25P03", "{messages}");
        assert_eq!(s.closed, [format!("c{c} reclaimed")]);
        assert_eq!(s.ports.reclaims, [true]);
        for (sent, answer) in steps {
            assert!(s.ports.idle.is_empty(), "{messages}");
            assert_eq!(s.server_got(0), *sent, "{messages}");
            s.answer(0, answer);
        }
        assert_eq!(s.server_got(0), "");
        assert_eq!(s.ports.idle.len(), 1, "{messages}");
    }
}

#[test]
fn a_session_that_was_taken_back_runs_nothing_more() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.server_got(0);
    s.pass(2);
    let asked = asked(&s, true).unwrap();
    reclaim(&mut s, &asked);
    assert_eq!(s.server_got(0), "Q ROLLBACK");
    // What it sent before it read of its end.
    s.send(c, "Q INSERT INTO t VALUES (1) / Q COMMIT");
    s.answer(0, "C ROLLBACK / Z I");
    assert_eq!(s.server_got(0), "");
}

#[test]
fn what_is_not_confirmed_is_closed() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.pass(2);
    let asked = asked(&s, true).unwrap();
    reclaim(&mut s, &asked);
    s.pass(11);
    assert_eq!(
        s.closed,
        [format!("c{c} reclaimed"), "s0 server_unresponsive".into()]
    );
    assert!(s.ports.idle.is_empty());
}

#[test]
fn who_has_spoken_meanwhile_keeps_its_lease() {
    for messages in ["Q SELECT 1", "Q CREATE TABLE t ()"] {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, "Q BEGIN");
        s.answer(0, "C BEGIN / Z T");
        s.pass(2);
        let asked = asked(&s, true).unwrap();
        s.send(c, messages);
        assert!(reclaim(&mut s, &asked).is_none());
        s.answer(0, "C SELECT 1 / Z T");
        assert!(reclaim(&mut s, &asked).is_none(), "it spoke");
        assert_eq!(s.ports.reclaims, [false, false]);
        assert!(s.closed.is_empty());
        s.pass(1);
        // Its end comes as usual.
        s.send(c, "Q COMMIT");
        s.answer(0, "C COMMIT / Z I");
        s.pass(1);
        assert!(s.ports.silent.is_empty());
    }
}

#[test]
fn watching_touches_nothing() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN / Q SELECT 'secret'");
    s.answer(0, "C BEGIN / Z T / C SELECT 1 / Z T");
    s.server_got(0);
    s.client_got(c);
    s.pass(2);
    let asked = asked(&s, false).unwrap();
    let told = reclaim(&mut s, &asked).expect("named");
    assert_eq!(told.statement, "SELECT ?");
    assert_eq!(
        (s.client_got(c), s.server_got(0)),
        (String::new(), String::new())
    );
    assert!(s.closed.is_empty());
}

#[test]
fn broken_silences_and_ended_leases_are_lessons() {
    let mut s = Stage::new(1);
    let c = s.client(&[("application_name", "shop/1.4")]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C SELECT 1 / Z I");
    s.answer(0, "C BEGIN / Z T");
    s.send(c, "Q SELECT 5");
    s.answer(0, "C SELECT 1 / Z T");
    s.pass(3);
    assert!(s.ports.lessons.is_empty());
    s.send(c, "Q SELECT 1 FROM t");
    s.answer(0, "C SELECT 1 / Z T");
    s.send(c, "Q COMMIT");
    s.answer(0, "C COMMIT / Z I");
    s.pass(1);
    let told: Vec<_> = s
        .ports
        .lessons
        .iter()
        .map(|l| {
            (
                &*l.class.kind,
                l.class.release.as_deref(),
                l.held.map(|t| t.as_secs()),
                l.silent.map(|t| t.as_secs()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("shop", Some("1.4"), None, Some(3)),
            ("shop", Some("1.4"), Some(3), None)
        ]
    );
    assert_ne!(
        s.ports.lessons[0].class.statement,
        s.ports.lessons[1].class.statement
    );
}

#[test]
fn silent_leases_are_told_each_second_and_their_end_once() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.pass(2);
    assert_eq!(s.ports.silent.len(), 1);
    s.send(c, "Q COMMIT");
    s.answer(0, "C COMMIT / Z I");
    s.pass(1);
    assert!(s.ports.silent.is_empty());
}

#[test]
fn in_session_mode_the_session_ends_with_the_lease() {
    let mut s = Stage::with(1, PoolMode::Session, Settings::default());
    let c = s.client(&[]);
    s.send(c, "Q SELECT 1");
    s.answer(0, "C SELECT 1 / Z I");
    s.pass(2);
    assert!(
        s.ports.silent.is_empty(),
        "outside a transaction a session may rest"
    );
    assert_eq!(row(&s).state, LeaseState::Kept);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.server_got(0);
    s.pass(2);
    let asked = asked(&s, true).unwrap();
    reclaim(&mut s, &asked);
    assert_eq!(s.server_got(0), "Q ROLLBACK");
    s.answer(0, "C ROLLBACK / Z I");
    assert_eq!(s.server_got(0), "Q DISCARD ALL");
    s.answer(0, "C DISCARD ALL / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}
