//! Checkout and return: who gets which connection.

use super::*;
use crate::ConnState;

#[test]
fn the_connection_used_last_is_lent_first() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.ready(A, 0, 3);
    assert_eq!(s.ask(A, 0, 1), "s2");
    assert_eq!(s.ask(A, 0, 2), "s1");
    assert_eq!(s.back(2), "kept");
    assert_eq!(s.ask(A, 0, 3), "s2");
    assert_eq!(s.says(), "");
}

#[test]
fn the_clients_own_worker_comes_before_another() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.ready_on(A, &[1, 0]);
    assert_eq!(s.ask(A, 1, 1), "s0");
    assert_eq!(s.ask(A, 1, 2), "queued");
    assert_eq!(s.says(), "move s1 from w0 to c1.2");
    assert!(s.arrived(1, 1, 2));
    let figures = s.up.figures(A, s.now);
    assert_eq!(
        (
            figures.lent,
            figures.moving,
            figures.waiting,
            figures.handovers
        ),
        (2, 0, 0, 1)
    );
}

#[test]
fn the_connection_used_last_is_lent_first_or_the_one_idle_longest() {
    for (round_robin, order) in [(false, ["s1", "s1", "s1"]), (true, ["s0", "s1", "s0"])] {
        let mut s = Stage::new(
            10,
            &[PoolSettings {
                round_robin,
                ..plain(5)
            }],
        );
        s.ready(A, 0, 2);
        let lent = [1, 2, 3].map(|client| {
            let lent = s.ask(A, 0, client);
            let n = lent[1..].parse().expect("a connection");
            assert_eq!(s.back(n), "kept");
            lent
        });
        assert_eq!(lent, order, "round robin: {round_robin}");
    }
}

#[test]
fn an_idle_connection_elsewhere_is_moved_rather_than_one_opened() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            queue_max: 0,
            ..plain(5)
        }],
    );
    s.up.configure_pool(
        s.now,
        A,
        PoolSettings {
            queue_max: 9,
            ..plain(5)
        },
    );
    s.ready(A, 1, 1);
    // The queue's bound is for those who wait for a return, not for the way over.
    s.up.configure_pool(
        s.now,
        A,
        PoolSettings {
            queue_max: 0,
            ..plain(5)
        },
    );
    assert_eq!(s.ask(A, 0, 1), "queued");
    assert_eq!(s.says(), "move s0 from w1 to c0.1");
    assert_eq!(s.ask(A, 0, 2), "queue_full");
}

#[test]
fn each_waiter_gets_an_open_on_its_own_worker_up_to_the_size() {
    let mut s = Stage::new(10, &[plain(2)]);
    for (worker, slot) in [(1, 1), (0, 2), (2, 3)] {
        assert_eq!(s.ask(A, worker, slot), "queued");
    }
    assert_eq!(s.says(), "open s0 on w1, open s1 on w0");
    // The connection of worker 0 is there first: its own client gets it, although another came earlier.
    s.opened(1);
    assert_eq!(s.says(), "grant s1 to c0.2");
    s.opened(0);
    assert_eq!(s.says(), "grant s0 to c1.1");
    assert_eq!(s.up.counters().passes, 1);
}

#[test]
fn a_client_that_left_on_the_way_leaves_the_connection_idle_or_to_the_next() {
    for others in [false, true] {
        let mut s = Stage::new(10, &[plain(1)]);
        s.ready(A, 1, 1);
        s.ask(A, 0, 1);
        assert_eq!(s.says(), "move s0 from w1 to c0.1");
        if others {
            s.ask(A, 0, 2);
        }
        assert!(s.up.cancel_wait(s.now, client(0, 1), A));
        assert_eq!(s.says(), "");
        assert!(!s.arrived(0, 0, 1));
        assert_eq!(s.says(), if others { "grant s0 to c0.2" } else { "" });
        let state = s.up.conn_state(s.conn(0));
        assert_eq!(
            state,
            Some(if others {
                ConnState::Lent
            } else {
                ConnState::Idle
            })
        );
    }
}

#[test]
fn a_connection_lost_on_the_way_puts_its_waiter_back_in_front() {
    let mut s = Stage::new(10, &[plain(2)]);
    s.ready_on(A, &[1, 0]);
    assert_eq!(s.ask(A, 0, 9), "s1");
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    assert_eq!(s.says(), "move s0 from w1 to c0.1");
    s.up.closing(s.now, s.conn(0));
    assert_eq!(s.says(), "");
    assert_eq!(s.back(1), "kept");
    assert_eq!(s.says(), "grant s1 to c0.1");
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
}

#[test]
fn a_grant_decided_before_the_cancel_still_comes_and_is_returned() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    s.back(0);
    assert!(!s.up.cancel_wait(s.now, client(0, 1), A));
    assert_eq!(s.says(), "grant s0 to c0.1");
    assert_eq!(s.back(0), "kept");
    assert_eq!(s.says(), "grant s0 to c0.2");
}

#[test]
fn what_the_caller_will_not_keep_is_closed_and_charged_until_its_end() {
    let mut s = Stage::new(1, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    assert_eq!(
        s.back_with(0, Some(CloseReason::ServerProtocol)),
        "close server_protocol"
    );
    assert_eq!((s.says(), s.up.charged()), (String::new(), 1));
    s.closed(0);
    assert_eq!((s.says(), s.up.charged()), ("open s0 on w0".into(), 1));
}

#[test]
fn late_messages_about_a_reused_slot_change_nothing() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    let old = s.conn(0);
    s.closed(0);
    s.busy(A, 0, 1);
    assert_ne!(s.conn(0), old);
    s.up.closed(s.now, old);
    s.up.closing(s.now, old);
    assert_eq!(
        s.up.checkin(s.now, old, None),
        Checkin::Close(CloseReason::ServerGone)
    );
    assert_eq!((s.up.charged(), s.up.figures(A, s.now).lent), (1, 1));
}

#[test]
fn leases_waits_and_holds_are_recorded() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.at(11);
    s.ask(A, 0, 1);
    s.at(31);
    s.back(0);
    s.says();
    let lease = s.up.conns().next().unwrap().lease.unwrap();
    assert_eq!((lease.client, lease.since), (client(0, 1), s.now));
    assert_eq!(s.up.flow_key(A, lease.flow), Some("flow"));
    assert_eq!(s.up.waits(A).unwrap().max_micros(), 20_000);
    assert_eq!(s.up.holds(A).unwrap().max_micros(), 30_000);
}

#[test]
fn a_connection_that_arrives_for_another_client_is_not_lent_to_it() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.ready(A, 1, 1);
    s.ask(A, 0, 1);
    assert_eq!(s.says(), "move s0 from w1 to c0.1");
    assert!(!s.arrived(0, 0, 2));
    assert_eq!(s.says(), "grant s0 to c0.1");
}
