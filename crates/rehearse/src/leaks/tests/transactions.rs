//! Transactions left open, and those that only look so.

use super::world::World;
use crate::leaks::journal::Mark;
use crate::leaks::rules::Kind;

const OPEN: Kind = Kind::TransactionLeftOpen;

fn told(test: &str) -> Vec<(Kind, String)> {
    vec![(OPEN, test.to_owned())]
}

#[test]
fn one_that_is_open_when_its_process_ends_is_named_by_the_test_that_began_it() {
    let mut world = World::new();
    let (healthy, leaking) = (world.connect(7), world.connect(7));
    world.test(7, "first", |world| {
        world.ask(leaking, "begin", b'T');
        world.execute(leaking, "insert into t values ($1)", b'T');
    });
    world.test(7, "second", |world| {
        world.ask(healthy, "select a from t", b'I')
    });
    world.leave(healthy);
    world.lose(leaking);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn what_a_finalizer_ends_was_not_ended() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| world.ask(client, "begin", b'T'));
    world.mark(7, Mark::Exits);
    world.ask(client, "rollback", b'I');
    world.leave(client);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn one_that_a_fixture_ends_later_is_none() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.ask(client, "begin", b'T');
        world.ask(client, "insert into t values (1)", b'T');
    });
    world.test(7, "second", |world| {
        world.ask(client, "select a from t", b'T')
    });
    world.ask(client, "rollback", b'I');
    world.leave(client);
    assert_eq!(world.leaks(), []);
}

#[test]
fn one_that_is_begun_again_was_forgotten() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.ask(client, "begin", b'T');
        world.ask(client, "update t set a = 1", b'T');
    });
    world.test(7, "second", |world| {
        world.ask(client, "begin", b'T');
        world.ask(client, "commit", b'I');
    });
    world.leave(client);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn one_that_follows_another_in_one_message_is_not_begun_again() {
    let mut world = World::new();
    let client = world.connect(7);
    world.ask(client, "begin", b'T');
    world.ask(client, "commit; begin", b'T');
    world.ask(client, "commit", b'I');
    world.leave(client);
    assert_eq!(world.leaks(), []);
}

/// How a connection is closed in the middle of a transaction, by what it did.
#[test]
fn closing_a_connection_ends_what_only_read() {
    let table: [(&str, Option<&str>, &[Kind]); 3] = [
        // A driver that begins by itself: reading needs no end.
        ("select a from t", None, &[]),
        ("select a from t", Some("insert into t values (1)"), &[OPEN]),
        ("insert into t values (1)", None, &[OPEN]),
    ];
    for (text, more, wanted) in table {
        let mut world = World::new();
        let client = world.connect(7);
        world.test(7, "first", |world| {
            world.ask(client, "begin", b'T');
            world.ask(client, text, b'T');
            if let Some(more) = more {
                world.ask(client, more, b'T');
            }
        });
        world.wait(50);
        world.leave(client);
        let kinds: Vec<Kind> = world.leaks().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, wanted, "{text} {more:?}");
    }
}

#[test]
fn a_failed_one_that_is_closed_is_over() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.ask(client, "begin", b'T');
        world.ask(client, "insert into t values (1)", b'T');
        world.ask(client, "nonsense", b'E');
    });
    world.leave(client);
    assert_eq!(world.leaks(), []);
}

#[test]
fn work_that_is_closed_within_its_test_is_a_note() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.ask(client, "begin", b'T');
        world.ask(client, "insert into t values (1)", b'T');
        world.leave(client);
    });
    let report = world.report();
    assert_eq!((report.leaks, report.notes), (0, 1));
}

#[test]
fn a_program_that_was_cut_off_left_nothing_open() {
    for cut in [false, true] {
        let mut world = World::new();
        let client = world.connect(7);
        world.ask(client, "begin", b'T');
        world.ask(client, "insert into t values (1)", b'T');
        world.lose(client);
        world.fails(cut);
        assert_eq!(world.leaks(), [], "cut: {cut}");
    }
    // It was silent for long before.
    let mut world = World::new();
    let client = world.connect(7);
    world.ask(client, "begin", b'T');
    world.wait(5_000);
    world.lose(client);
    world.fails(true);
    assert_eq!(world.leaks(), told(""));
}

#[test]
fn a_statement_that_waits_for_a_leaks_lock_is_no_leak() {
    let mut world = World::new();
    let (leaking, waiting) = (world.connect(7), world.connect(7));
    world.test(7, "first", |world| {
        world.ask(leaking, "begin", b'T');
        world.ask(leaking, "lock table t", b'T');
    });
    world.ask(waiting, "begin", b'T');
    world.ask_only(waiting, "truncate t");
    world.wait(9_000);
    world.lose(waiting);
    world.lose(leaking);
    world.fails(true);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn a_printed_name_serves_where_no_test_is_reported() {
    let mut world = World::new();
    let client = world.connect(7);
    world.print("OrderTest > pays() STARTED");
    world.ask(client, "select a from t", b'I');
    world.print("OrderTest > refunds() STARTED");
    world.ask(client, "begin", b'T');
    world.print("OrderTest > lists() STARTED");
    world.lose(client);
    assert_eq!(world.leaks(), told("OrderTest > refunds()"));
}

#[test]
fn a_servers_leak_is_named_by_the_test_that_ran_alone() {
    let mut world = World::new();
    let client = world.connect(8);
    world.test(7, "asks the server", |world| {
        world.ask(client, "begin", b'T')
    });
    world.test(7, "asks nobody", |_| ());
    world.lose(client);
    assert_eq!(world.leaks(), told("asks the server"));
}
