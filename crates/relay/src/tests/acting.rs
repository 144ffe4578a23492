//! What a person does to one client: cancel, reclaim, kill.

use super::Stage;
use crate::{PoolMode, Settings, StatementText};
use events::{Acted, ClientAct, LeaseStatement};

fn act(s: &mut Stage, client: u64, act: ClientAct) -> Acted {
    let mut acted = Acted::Gone;
    s.dispatch(&[], |hub, now, ports, out| {
        acted = hub.act(now, client, act, ports, out);
    });
    acted
}

fn id(s: &Stage) -> u64 {
    let mut rows = Vec::new();
    s.hub.lease_rows(false, &mut rows);
    rows.first().expect("a lease").client
}

fn statements(s: &Stage, clients: &[u64]) -> Vec<LeaseStatement> {
    let mut found = Vec::new();
    s.hub.lease_statements(clients, &mut found);
    found
}

#[test]
fn a_lease_is_taken_back_from_whoever_holds_it() {
    // An idle transaction, a running statement, an exempt client.
    for (name, messages, answers, next) in [
        ("web", "Q BEGIN", "C BEGIN / Z T", "Q ROLLBACK"),
        ("psql", "Q BEGIN", "C BEGIN / Z T", "Q ROLLBACK"),
        ("web", "Q SELECT pg_sleep(9)", "", ""),
    ] {
        let mut s = Stage::new(1);
        let c = s.client(&[("application_name", name)]);
        s.send(c, messages);
        // The server is told the application's name first.
        s.answer(0, "C SELECT 1 / Z I");
        if !answers.is_empty() {
            s.answer(0, answers);
        }
        s.server_got(0);
        s.client_got(c);
        s.pass(3);
        let client = id(&s);
        let Acted::Done(whose) = act(&mut s, client, ClientAct::Reclaim) else {
            panic!("{messages}: not taken back");
        };
        assert_eq!(whose.held.map(|held| held.as_secs()), Some(3));
        assert_eq!(
            (whose.user.as_str(), whose.application.as_str()),
            ("u", name)
        );
        assert_eq!(s.client_got(c), "E 25P03", "{messages}");
        assert_eq!(s.closed, [format!("c{c} reclaimed")]);
        assert_eq!(s.server_got(0), next, "{messages}");
        assert_eq!(act(&mut s, client, ClientAct::Kill), Acted::Gone);
    }
}

#[test]
fn who_holds_nothing_loses_nothing() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    let client = id(&s);
    s.answer(0, "C BEGIN / Z T");
    assert!(matches!(
        act(&mut s, client, ClientAct::Cancel),
        Acted::Nothing(_)
    ));
    s.send(c, "Q COMMIT");
    s.answer(0, "C COMMIT / Z I");
    s.client_got(c);
    let Acted::Nothing(whose) = act(&mut s, client, ClientAct::Reclaim) else {
        panic!("there was nothing to take back");
    };
    assert_eq!(whose.held, None);
    assert_eq!(s.client_got(c), "");
    assert_eq!(act(&mut s, client + 1, ClientAct::Kill), Acted::Gone);
    assert!(matches!(
        act(&mut s, client, ClientAct::Kill),
        Acted::Done(_)
    ));
    assert_eq!(s.client_got(c), "E 57P01");
}

#[test]
fn a_cancel_without_a_key_reaches_the_statement_and_the_waiter() {
    let mut s = Stage::new(1);
    let c = s.client(&[]);
    s.send(c, "Q SELECT pg_sleep(9)");
    let running = id(&s);
    assert!(matches!(
        act(&mut s, running, ClientAct::Cancel),
        Acted::Done(_)
    ));
    let waiter = s.client(&[]);
    s.send(waiter, "Q SELECT 2");
    assert_eq!(s.ports.waiting.len(), 1);
    // The next number.
    let next = running + 1;
    assert!(matches!(
        act(&mut s, next, ClientAct::Cancel),
        Acted::Done(_)
    ));
    assert!(s.ports.waiting.is_empty());
    assert_eq!(s.client_got(waiter), "E 57014 / Z I");
}

#[test]
fn statements_are_told_for_those_who_are_asked_for() {
    let settings = |statement_text| Settings {
        statement_text,
        ..Settings::default()
    };
    let mut s = Stage::with(
        2,
        PoolMode::Transaction,
        settings(StatementText::Normalised),
    );
    let (a, b) = (s.client(&[]), s.client(&[]));
    s.send(a, "Q SELECT 'secret' FROM t");
    s.send(b, "Q SELECT 'secret' FROM u");
    let mut rows = Vec::new();
    s.hub.lease_rows(false, &mut rows);
    let lease = rows.first().expect("a lease").clone();
    let told = statements(&s, &[lease.client]);
    assert_eq!(
        told,
        [LeaseStatement {
            client: lease.client,
            since: lease.since,
            statement: "SELECT ? FROM t".to_owned(),
        }]
    );
    assert!(statements(&s, &[]).is_empty());
    assert!(statements(&s, &[1]).is_empty());
    let mut off = Stage::with(1, PoolMode::Transaction, settings(StatementText::Off));
    let c = off.client(&[]);
    off.send(c, "Q SELECT 'secret' FROM t");
    let client = id(&off);
    assert_eq!(statements(&off, &[client])[0].statement, "");
}
