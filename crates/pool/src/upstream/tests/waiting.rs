//! The queue: order, fair shares, deadlines, bounds.

use super::*;
use crate::{FLOW_PASS_MAX, FLOWS_MAX, LOCAL_PASS_MAX};
use events::RefuseReason;

#[test]
fn the_flow_that_holds_least_comes_first_and_within_it_who_came_first() {
    let mut s = Stage::new(10, &[plain(3)]);
    s.ready(A, 0, 3);
    for (flow, slot) in [
        ("big", 1),
        ("big", 2),
        ("small", 3),
        ("big", 4),
        ("big", 5),
        ("small", 6),
        ("new", 7),
    ] {
        s.ask_as(A, flow, 0, slot);
    }
    // s2 and s1 are held by big, s0 by small; 4, 5 (big), 6 (small), 7 (new) wait.
    s.back(2);
    assert_eq!(s.says(), "grant s2 to c0.7");
    // Now each holds one: the oldest waiter.
    s.back(2);
    assert_eq!(s.says(), "grant s2 to c0.4");
    s.back(0);
    assert_eq!(s.says(), "grant s0 to c0.6");
    s.back(1);
    assert_eq!(s.says(), "grant s1 to c0.5");
}

#[test]
fn nobody_who_comes_passes_those_who_wait() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.back(0);
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.says(), "grant s0 to c0.1");
}

#[test]
fn a_local_waiter_passes_a_remote_one_eight_times_and_no_more() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 1, 1);
    for slot in 0..10 {
        s.ask(A, 0, slot);
    }
    for slot in 0..u32::from(LOCAL_PASS_MAX) {
        s.back(0);
        assert_eq!(s.says(), format!("grant s0 to c0.{slot}"));
    }
    s.back(0);
    assert_eq!(s.says(), "move s0 from w0 to c1.1");
}

#[test]
fn a_local_waiter_passes_a_remote_one_for_a_millisecond_and_no_longer() {
    for (later_us, said) in [
        (1000, "grant s0 to c0.3"),
        (1001, "move s0 from w0 to c1.1"),
    ] {
        let mut s = Stage::new(10, &[plain(1)]);
        s.busy(A, 0, 1);
        s.ask(A, 1, 1);
        s.ask(A, 0, 2);
        s.ask(A, 0, 3);
        // How long it waited before the first pass does not matter.
        s.at(500);
        s.back(0);
        assert_eq!(s.says(), "grant s0 to c0.2");
        s.now = s.now.after(Duration::from_micros(later_us));
        s.back(0);
        assert_eq!(s.says(), said);
    }
}

#[test]
fn being_local_does_not_help_a_flow_that_holds_more() {
    let mut s = Stage::new(10, &[plain(2)]);
    s.ready(A, 0, 2);
    s.ask_as(A, "big", 0, 1);
    s.ask_as(A, "big", 0, 2);
    s.ask_as(A, "big", 0, 3);
    s.ask_as(A, "small", 1, 4);
    s.back(0);
    assert_eq!(s.says(), "move s0 from w0 to c1.4");
}

#[test]
fn a_flow_that_holds_much_is_still_served_after_so_many_grants() {
    let mut s = Stage::new(10, &[plain(3)]);
    s.ready(A, 0, 3);
    // Big holds two for long, and one client of it waits.
    s.ask_as(A, "big", 0, 1);
    s.ask_as(A, "big", 0, 2);
    s.ask_as(A, "small", 0, 10);
    s.ask_as(A, "big", 0, 3);
    for n in 0..FLOW_PASS_MAX as u32 {
        s.ask_as(A, "small", 0, 11 + n);
        s.back(0);
        assert_eq!(s.says(), format!("grant s0 to c0.{}", 11 + n));
    }
    s.ask_as(A, "small", 0, 999);
    s.back(0);
    assert_eq!(s.says(), "grant s0 to c0.3");
    assert_eq!(s.up.counters().overdue, 1);
}

#[test]
fn the_deadline_refuses_who_waits_and_not_before() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            wait_timeout: Some(ms(100)),
            ..plain(2)
        }],
    );
    s.ready_on(A, &[1, 0]);
    assert_eq!(s.ask(A, 0, 9), "s1");
    s.ask(A, 0, 1);
    assert_eq!(s.says(), "move s0 from w1 to c0.1");
    s.at(51);
    s.ask(A, 0, 2);
    s.at(100);
    assert_eq!(s.says(), "");
    // The client to whom a connection was on its way is refused like any other.
    s.at(101);
    assert_eq!(s.says(), "refuse c0.1 wait_timeout");
    assert!(!s.arrived(0, 0, 1));
    assert_eq!(s.says(), "grant s0 to c0.2");
    s.at(1000);
    assert_eq!(s.says(), "");
}

#[test]
fn a_new_deadline_holds_for_those_who_wait_already() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.at(5000);
    s.up.configure_pool(
        s.now,
        A,
        PoolSettings {
            wait_timeout: Some(ms(6000)),
            ..plain(1)
        },
    );
    s.at(6000);
    assert_eq!(s.says(), "");
    s.at(6001);
    assert_eq!(s.says(), "refuse c0.1 wait_timeout");
}

#[test]
fn the_queue_is_bounded() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            queue_max: 2,
            ..plain(1)
        }],
    );
    s.busy(A, 0, 1);
    let answers: Vec<String> = (0..3).map(|slot| s.ask(A, 0, slot)).collect();
    assert_eq!(answers, ["queued", "queued", "queue_full"]);
    assert_eq!(
        s.up.counters().refusals[RefuseReason::QueueFull as usize],
        1
    );
    s.up.cancel_wait(s.now, client(0, 0), A);
    assert_eq!(s.ask(A, 0, 2), "queued");
}

#[test]
fn flows_beyond_the_bound_share_one_and_names_are_forgotten_when_unused() {
    let mut s = Stage::new(10, &[plain(1)]);
    let first = s.up.flow(A, "0");
    for n in 1..FLOWS_MAX {
        assert_ne!(s.up.flow(A, &n.to_string()), first);
    }
    let other = s.up.flow(A, "one more");
    assert_eq!(
        (s.up.flow(A, "and more"), s.up.flow_key(A, other)),
        (other, None)
    );
    assert_eq!(s.up.flow(A, "0"), first);
    s.up.drop_flow(A, first);
    assert_eq!(s.up.flow_key(A, first), Some("0"));
    s.up.drop_flow(A, first);
    assert_eq!(s.up.flow_key(A, first), None);
    assert_eq!(s.up.flow(A, "one more"), first);
}

#[test]
fn a_flow_stays_while_its_client_still_holds_a_connection() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.ready(A, 0, 1);
    let flow = s.up.flow(A, "gone");
    assert!(matches!(
        s.up.checkout(s.now, A, client(0, 1), flow),
        Checkout::Granted { .. }
    ));
    s.up.drop_flow(A, flow);
    assert_eq!(
        (s.up.flow_key(A, flow), s.up.flow_held(A, flow)),
        (Some("gone"), 1)
    );
    s.back(0);
    assert_eq!(s.up.flow_key(A, flow), None);
}

#[test]
fn a_thousand_waiters_are_found_by_client() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    for slot in 0..1000 {
        assert_eq!(s.ask(A, (slot % 4) as u16, slot), "queued");
    }
    for slot in (0..1000).rev() {
        assert!(
            s.up.cancel_wait(s.now, client((slot % 4) as u16, slot), A),
            "{slot}"
        );
    }
    assert_eq!(s.up.figures(A, s.now).waiting, 0);
    s.says();
}

#[test]
fn the_millisecond_counts_from_the_first_pass_not_the_last() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 1, 1);
    (2..5).for_each(|slot| drop(s.ask(A, 0, slot)));
    for said in [
        "grant s0 to c0.2",
        "grant s0 to c0.3",
        "move s0 from w0 to c1.1",
    ] {
        s.back(0);
        assert_eq!(s.says(), said);
        s.now = s.now.after(Duration::from_micros(600));
    }
}
