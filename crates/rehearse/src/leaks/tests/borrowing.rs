//! Connections that are not returned, and those that are idle for a good reason.

use super::world::World;
use crate::leaks::facts::Deed;
use crate::leaks::journal::Mark;
use crate::leaks::rules::Kind;

const KEPT: Kind = Kind::ConnectionNotReturned;

fn told(test: &str) -> Vec<(Kind, String)> {
    vec![(KEPT, test.to_owned())]
}

fn place() -> String {
    "shop.py:3 in find".to_owned()
}

#[test]
fn what_a_pool_lent_and_never_got_back() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.deed(7, client, Deed::Borrowed(place()));
        world.ask(client, "select a from t", b'I');
    });
    world.test(7, "second", |_| ());
    world.mark(7, Mark::Exits);
    world.leave(client);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn what_a_pool_got_back_may_be_idle_to_the_end() {
    let mut world = World::new();
    let (one, other) = (world.connect(7), world.connect(7));
    world.test(7, "first", |world| {
        for client in [one, other] {
            world.deed(7, client, Deed::Borrowed(place()));
            world.ask(client, "select a from t", b'I');
            world.deed(7, client, Deed::Returned);
        }
    });
    // Another pool of the same program opens its own.
    let third = world.connect(7);
    world.test(7, "second", |world| {
        world.ask(third, "select a from t", b'I')
    });
    world.mark(7, Mark::Exits);
    for client in [one, other, third] {
        world.lose(client);
    }
    assert_eq!(world.leaks(), []);
}

#[test]
fn a_connection_that_several_tests_share_is_a_note() {
    let mut world = World::new();
    let client = world.connect(7);
    world.deed(7, client, Deed::Borrowed(place()));
    for test in ["first", "second"] {
        world.test(7, test, |world| world.ask(client, "select a from t", b'I'));
    }
    world.lose(client);
    let report = world.report();
    assert_eq!((report.leaks, report.notes), (0, 1));
}

#[test]
fn what_is_closed_while_it_is_lent_costs_the_pool_a_place() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "first", |world| {
        world.deed(7, client, Deed::Borrowed(place()));
        world.ask(client, "select a from t", b'I');
        world.leave(client);
    });
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn what_the_garbage_collector_gives_back_in_time_is_no_leak() {
    for late in [false, true] {
        let mut world = World::new();
        let client = world.connect(7);
        world.test(7, "first", |world| {
            world.deed(7, client, Deed::Borrowed(place()));
            world.ask(client, "select a from t", b'I');
            if !late {
                world.deed(7, client, Deed::Collected);
            }
        });
        if late {
            world.deed(7, client, Deed::Collected);
        }
        world.leave(client);
        let wanted = if late { told("first") } else { vec![] };
        assert_eq!(world.leaks(), wanted, "late: {late}");
    }
}

#[test]
fn a_thread_that_ends_closes_its_connection() {
    for closes in [false, true] {
        let mut world = World::new();
        let client = world.test(7, "first", |world| {
            let client = world.connect(7);
            world.deed(7, client, Deed::Opened(place()));
            world.ask(client, "select a from t", b'I');
            world.deed(7, client, Deed::Orphaned);
            if closes {
                world.leave(client);
            }
            client
        });
        if !closes {
            world.wait(200);
            world.leave(client);
        }
        let wanted = if closes { vec![] } else { told("first") };
        assert_eq!(world.leaks(), wanted, "closes: {closes}");
    }
}

#[test]
fn a_connection_of_the_whole_session_may_stay_open() {
    let mut world = World::new();
    let client = world.connect(7);
    world.deed(7, client, Deed::Opened(place()));
    world.test(7, "first", |world| {
        world.ask(client, "select a from t", b'I')
    });
    world.test(7, "second", |_| ());
    world.lose(client);
    assert_eq!(world.leaks(), []);
}

#[test]
fn a_connection_that_one_test_opens_is_closed_by_it() {
    let mut world = World::new();
    let client = world.test(7, "first", |world| {
        let client = world.connect(7);
        world.deed(7, client, Deed::Opened(place()));
        world.ask(client, "select a from t", b'I');
        client
    });
    world.lose(client);
    assert_eq!(world.leaks(), told("first"));
}

#[test]
fn a_program_that_opens_more_instead_of_using_what_is_idle_has_leaked() {
    let mut world = World::new();
    let leaked = world.connect(7);
    world.ask(leaked, "select a from t", b'I');
    world.wait(100);
    let other = world.connect(7);
    world.ask(other, "select a from t", b'I');
    world.lose(other);
    world.lose(leaked);
    assert_eq!(world.leaks(), told(""));
}

#[test]
fn a_pool_that_grew_for_a_moment_has_not() {
    let mut world = World::new();
    let (one, other) = (world.connect(7), world.connect(7));
    world.ask_only(one, "select a from t");
    world.ask(other, "select a from t", b'I');
    world.wait(500);
    // The last one used is the first one lent.
    world.ask(other, "select a from t", b'I');
    world.lose(other);
    world.lose(one);
    assert_eq!(world.leaks(), []);
}

#[test]
fn who_listens_is_silent_on_purpose() {
    let mut world = World::new();
    let listening = world.connect(7);
    world.ask(listening, "select a from t", b'I');
    world.ask(listening, "listen news", b'I');
    world.wait(100);
    let other = world.connect(7);
    world.ask(other, "select a from t", b'I');
    world.leave(other);
    world.lose(listening);
    assert_eq!(world.leaks(), []);
}

#[test]
fn other_processes_and_databases_are_no_comparison() {
    let mut world = World::new();
    let idle = world.connect(7);
    world.ask(idle, "select a from t", b'I');
    world.wait(100);
    let other = world.connect(8);
    world.ask(other, "select a from t", b'I');
    world.leave(other);
    world.lose(idle);
    assert_eq!(world.leaks(), []);
}

#[test]
fn a_pool_that_is_shut_down_closes_what_it_has() {
    let mut world = World::new();
    let (leaked, pooled) = (world.connect(7), world.connect(7));
    world.ask(leaked, "select a from t where b", b'I');
    world.wait(100);
    world.ask(pooled, "select a from t", b'I');
    world.leave(pooled);
    world.lose(leaked);
    assert_eq!(world.leaks(), told(""));
}

#[test]
fn a_thread_may_keep_a_connection_for_itself() {
    for (thread, wanted) in [("1", told("")), ("2", vec![])] {
        let mut world = World::new();
        let first = world.connect(7);
        world.opens(7, first, "1");
        world.ask(first, "select a from t", b'I');
        world.wait(100);
        let second = world.connect(7);
        world.opens(7, second, thread);
        world.ask(second, "select a from t", b'I');
        world.lose(second);
        world.lose(first);
        assert_eq!(world.leaks(), wanted, "thread {thread}");
    }
}
