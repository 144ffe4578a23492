//! The monitor session, the line that it reads, and a server without a slot.

use super::*;
use crate::budget::{BudgetSettings, MonitorStep, Reading};
use crate::figures::BudgetState;
use events::FlowId;

/// A stage whose server has a monitor, in the pool with the last id.
pub(super) fn watched(pools: &[PoolSettings]) -> (Stage, PoolId) {
    let mut s = Stage::new(90, pools);
    let settings = BudgetSettings {
        instance: 7,
        ..BudgetSettings::default()
    };
    let monitor = s.up.add_monitor(s.now, settings);
    (s, monitor)
}

/// The monitor session takes connection `s{n}`, and reads until it has nothing to ask.
pub(super) fn reads(s: &mut Stage, monitor: PoolId, n: u32, max: u32, others: u32) {
    if s.up.conn(s.conn(n)).unwrap().lease.is_none() {
        s.opened(n);
        let granted =
            s.up.checkout(s.now, monitor, client(0, u32::MAX), FlowId(0));
        assert!(matches!(granted, Checkout::Granted { .. }));
    }
    for _ in 0..3 {
        let MonitorStep::Ask(name) = s.up.monitor_step(s.now) else {
            return;
        };
        let reading = Reading {
            max_connections: max,
            superuser_reserved: 3,
            backends: others + s.up.charged(),
            names: vec![name.into()],
            ..Reading::default()
        };
        s.up.monitor_heard(s.now, &reading);
    }
}

#[test]
fn the_monitor_is_opened_first_and_clients_wait_for_what_it_reads() {
    let (mut s, monitor) = watched(&[plain(500)]);
    for slot in 0..20 {
        assert_eq!(s.ask(A, 0, slot), "queued");
    }
    assert_eq!(s.says(), "open s0 on w0", "the monitor alone");
    // 20 − 3 − 5 headroom − 4 others − the monitor itself.
    reads(&mut s, monitor, 0, 20, 4);
    assert_eq!(s.says().matches("open").count(), 7);
    assert_eq!((s.up.line(), s.up.charged()), (8, 8));
    let f = s.up.budget();
    assert_eq!((f.state, f.parts.line, f.claim), (BudgetState::Known, 7, 7));
    assert_eq!(f.largest_pool, 500);
}

#[test]
fn without_an_answer_the_stated_line_serves_after_two_seconds() {
    let (mut s, _) = watched(&[plain(500)]);
    s.ask(A, 0, 1);
    assert_eq!(s.says(), "open s0 on w0");
    s.at(1900);
    assert_eq!(s.says(), "");
    s.at(2100);
    assert_eq!(s.says(), "open s1 on w0");
    assert_eq!(s.up.budget().state, BudgetState::Unknown);
}

#[test]
fn a_line_that_falls_closes_idle_connections_now_and_others_at_their_return() {
    let (mut s, monitor) = watched(&[plain(10)]);
    s.at(2);
    s.says();
    reads(&mut s, monitor, 0, 15, 0);
    for slot in 0..6 {
        s.ask(A, 0, slot);
    }
    s.says();
    (1..7).for_each(|n| s.opened(n));
    s.says();
    assert_eq!(s.back(1), "kept");
    s.at(2100);
    reads(&mut s, monitor, 0, 15, 3);
    assert_eq!(s.says(), "close s1 line_fell");
    assert_eq!(s.back(2), "close line_fell");
    assert_eq!(s.back(3), "close line_fell");
    assert_eq!(s.back(4), "kept");
    // The monitor itself is not what is closed.
    assert_eq!(s.up.monitor_step(s.now), MonitorStep::Rest);
}

#[test]
fn a_server_without_a_slot_refuses_nobody_and_is_asked_again_later() {
    let mut s = Stage::new(90, &[plain(50)]);
    s.busy(A, 0, 3);
    s.ask(A, 0, 100);
    s.ask(A, 0, 101);
    assert_eq!(s.says().matches("open").count(), 2);
    s.up.open_full(s.now, s.conn(3), false);
    s.up.open_full(s.now, s.conn(4), false);
    assert_eq!(s.says(), "");
    let f = s.up.budget();
    assert_eq!((f.state, f.line, f.full), (BudgetState::Shrunk, 3, 2));
    // What is open serves on.
    assert_eq!(s.back(0), "kept");
    assert_eq!(s.says(), "grant s0 to c0.100");
    s.at(1900);
    assert_eq!(s.says(), "", "two refusals: two seconds");
    s.at(2200);
    assert_eq!(s.says(), "open s4 on w0");
    s.opened(4);
    assert_eq!(s.says(), "grant s4 to c0.101");
    s.at(60_000);
    s.up.tick(s.now);
    assert_eq!(
        (s.up.budget().state, s.up.line()),
        (BudgetState::Unknown, 90)
    );
}

#[test]
fn a_role_without_a_slot_holds_back_its_own_pool_only() {
    let mut s = Stage::new(90, &[plain(50), plain(50)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 100);
    assert_eq!(s.says(), "open s1 on w0");
    s.up.open_full(s.now, s.conn(1), true);
    assert_eq!(s.says(), "");
    s.ask(B, 0, 200);
    assert_eq!(s.says(), "open s1 on w0");
    assert_eq!(s.up.line(), 90);
    s.at(1200);
    assert_eq!(s.says(), "open s2 on w0");
}

#[test]
fn a_pause_ends_the_monitor_session_and_a_resume_brings_it_back() {
    let (mut s, monitor) = watched(&[plain(5)]);
    s.at(2);
    s.says();
    reads(&mut s, monitor, 0, 100, 0);
    s.up.pause(s.now, monitor);
    assert_eq!(s.up.monitor_step(s.now), MonitorStep::Close);
    s.up.closing(s.now, s.conn(0));
    s.closed(0);
    s.at(5000);
    assert_eq!(s.says(), "");
    s.up.resume(s.now, monitor);
    assert_eq!(s.says(), "open s0 on w0");
}
