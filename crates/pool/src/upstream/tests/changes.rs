//! Settings change, pools close, while connections are lent and clients wait.

use super::*;

#[test]
fn a_larger_size_opens_for_those_who_wait() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    assert_eq!(s.says(), "");
    s.up.configure_pool(s.now, A, plain(2));
    assert_eq!(s.says(), "open s1 on w0");
}

#[test]
fn a_smaller_size_closes_idle_connections_now_and_lent_ones_at_their_return() {
    let mut s = Stage::new(10, &[plain(4)]);
    s.ready(A, 0, 4);
    (0..3).for_each(|slot| drop(s.ask(A, 0, slot)));
    s.ask(A, 0, 9);
    s.back(0);
    s.up.configure_pool(s.now, A, plain(2));
    assert_eq!(s.says(), "close s0 settings_changed");
    assert_eq!(s.back(1), "close settings_changed");
    assert_eq!(s.back(2), "kept");
    assert_eq!(s.ask(A, 0, 10), "s2");
    assert_eq!(s.back(3), "kept");
}

#[test]
fn a_pause_queues_and_empties_the_pool_until_it_is_resumed() {
    let mut s = Stage::new(10, &[plain(2)]);
    s.ready(A, 0, 2);
    s.ask(A, 0, 1);
    s.up.pause(s.now, A);
    assert_eq!(s.says(), "close s0 paused");
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.back(1), "close paused");
    s.closed(0);
    s.closed(1);
    assert_eq!((s.says(), s.up.charged()), (String::new(), 0));
    assert!(s.up.figures(A, s.now).paused);
    s.up.resume(s.now, A);
    assert!(s.says().starts_with("open"));
}

#[test]
fn a_disabled_pool_refuses_who_comes_and_serves_who_waits() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.up.disable(A);
    assert_eq!(s.ask(A, 0, 2), "disabled");
    s.back(0);
    assert_eq!(s.says(), "grant s0 to c0.1");
    s.back(0);
    s.up.enable(A);
    assert_eq!(s.ask(A, 0, 2), "s0");
}

#[test]
fn reconnect_replaces_every_connection() {
    let mut s = Stage::new(10, &[plain(4)]);
    s.ready(A, 0, 2);
    s.ask(A, 0, 1);
    s.ask(A, 1, 2);
    assert_eq!(s.says(), "move s0 from w0 to c1.2");
    s.ask(A, 0, 3);
    assert_eq!(s.says(), "open s2 on w0");
    s.up.reconnect(s.now, A, CloseReason::AdminKill);
    // The one on its way is still lent once, the one being opened is not.
    assert!(s.arrived(0, 1, 2));
    s.opened(2);
    assert_eq!(s.says(), "close s2 admin_kill, open s3 on w0");
    assert!(s.up.is_to_close(s.conn(0)) && !s.up.is_to_close(s.conn(3)));
    assert_eq!(s.back(0), "close admin_kill");
    assert_eq!(s.back(1), "close admin_kill");
    s.opened(3);
    assert_eq!(s.says(), "grant s3 to c0.3");
    assert_eq!(s.back(3), "kept");
}

#[test]
fn a_kill_refuses_the_queue_and_closes_what_comes_back() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.up.kill(s.now, A);
    assert_eq!(s.says(), "refuse c0.1 disabled");
    s.up.resume(s.now, A);
    assert_eq!(s.back(0), "close admin_kill");
}

#[test]
fn a_retired_pool_is_removed_when_its_last_connection_is_closed() {
    let mut s = Stage::new(10, &[plain(2), plain(1)]);
    s.ready(A, 0, 2);
    s.ask(A, 0, 1);
    s.up.retire_pool(s.now, A);
    assert_eq!(s.says(), "close s0 settings_changed");
    assert_eq!(s.ask(A, 0, 2), "disabled");
    s.up.resume(s.now, A);
    assert_eq!(s.ask(A, 0, 2), "disabled");
    s.closed(0);
    assert!(!s.up.remove_pool(A));
    assert_eq!(s.back(1), "close settings_changed");
    assert!(!s.up.remove_pool(A));
    s.closed(1);
    assert!(s.up.remove_pool(A));
    assert_eq!(s.up.pools().collect::<Vec<_>>(), [B]);
    assert_eq!(s.ask(A, 0, 3), "disabled");
    assert_eq!(s.up.add_pool(plain(1)), A);
}

#[test]
fn a_shutdown_refuses_everyone_and_closes_as_connections_come_back() {
    let mut s = Stage::new(10, &[plain(3)]);
    s.ready_on(A, &[1, 0]);
    assert_eq!(s.ask(A, 0, 9), "s1");
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    assert_eq!(s.says(), "move s0 from w1 to c0.1, open s2 on w0");
    s.up.shutdown(s.now);
    assert_eq!(s.says(), "refuse c0.1 shutdown, refuse c0.2 shutdown");
    assert_eq!(s.ask(A, 0, 3), "shutdown");
    assert!(!s.arrived(0, 0, 1));
    s.opened(2);
    assert_eq!(s.says(), "close s0 shutdown, close s2 shutdown");
    assert_eq!(s.back(1), "close shutdown");
    (0..3).for_each(|n| s.closed(n));
    assert_eq!(s.up.charged(), 0);
}

#[test]
fn changed_caps_move_the_charge() {
    let mut s = Stage::new(10, &[]);
    let (narrow, wide) = (s.up.add_cap(1), s.up.add_cap(5));
    s.up.add_pool(with_cap(5, narrow));
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    assert_eq!(s.says(), "");
    s.up.configure_pool(s.now, A, with_cap(5, wide));
    assert_eq!(s.says(), "open s1 on w0");
    s.up.configure_pool(s.now, A, with_cap(5, narrow));
    assert_eq!(s.back(0), "close settings_changed");
}

#[test]
fn a_pool_with_waiters_is_not_removed_and_a_hungry_one_leaves_no_trace() {
    let mut s = Stage::new(1, &[plain(1), plain(1)]);
    s.busy(A, 0, 1);
    s.ask(B, 0, 1);
    assert!(!s.up.remove_pool(B));
    s.up.cancel_wait(s.now, client(0, 1), B);
    assert!(s.up.remove_pool(B));
    s.closed(0);
    assert_eq!((s.says(), s.up.charged()), (String::new(), 0));
}

#[test]
fn a_failed_pool_refuses_its_queue_and_starts_afresh() {
    let mut s = Stage::new(10, &[plain(1), plain(1)]);
    s.busy(A, 0, 1);
    s.busy(B, 0, 1);
    s.ask(A, 0, 1);
    s.ask(B, 0, 2);
    s.up.fail_pool(s.now, A);
    assert_eq!(s.says(), "refuse c0.1 panic");
    assert_eq!(s.ask(A, 0, 3), "queued");
    assert_eq!(s.back(0), "close panic");
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(s.back(1), "kept");
    assert_eq!(s.says(), "grant s1 to c0.2");
}
