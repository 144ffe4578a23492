//! A server that refuses or is away: pauses between tries, answers for waiters.

use super::*;
use crate::RETRY_DELAY_MAX;
use crate::upstream::opening::retry_delay;

#[test]
fn a_start_with_the_database_down_recovers_on_its_own() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            wait_timeout: Some(ms(60_000)),
            ..plain(5)
        }],
    );
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    assert_eq!(s.says(), "open s0 on w0, open s1 on w0");
    s.failed(0, false);
    s.failed(1, false);
    assert_eq!(s.says(), "");
    s.at(1000);
    assert_eq!(s.says(), "");
    // One try at a time, at growing pauses: 1 s, then 2 s.
    s.at(1001);
    assert_eq!(s.says(), "open s1 on w0");
    s.failed(1, false);
    s.at(3000);
    assert_eq!(s.ask(A, 0, 3), "queued");
    assert_eq!(s.says(), "");
    s.at(3001);
    assert_eq!(s.says(), "open s1 on w0");
    s.opened(1);
    assert_eq!(s.says(), "grant s1 to c0.1, open s0 on w0, open s2 on w0");
    assert_eq!(s.up.failure(A), None);
}

#[test]
fn nobody_tries_while_nobody_waits() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            wait_timeout: Some(ms(500)),
            ..plain(5)
        }],
    );
    s.ask(A, 0, 1);
    s.says();
    s.failed(0, false);
    s.at(60_000);
    assert_eq!(s.says(), "refuse c0.1 wait_timeout: the server said no");
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.says(), "open s0 on w0");
}

#[test]
fn a_login_refused_for_good_refuses_those_who_wait_and_those_who_come() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.ask(A, 0, 1);
    s.says();
    s.failed(0, true);
    assert_eq!(s.says(), "refuse c0.1 server_down: the server said no");
    assert_eq!(s.ask(A, 0, 2), "server_down");
    assert_eq!(s.up.failure(A).as_deref(), Some("the server said no"));
    // After the pause the next client is the next try.
    s.at(1001);
    assert_eq!(s.ask(A, 0, 3), "queued");
    assert_eq!(s.says(), "open s0 on w0");
}

#[test]
fn a_connection_that_lives_keeps_the_queue_alive() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.says();
    s.failed(1, true);
    assert_eq!(s.says(), "");
    assert_eq!(s.ask(A, 0, 2), "queued");
    s.back(0);
    assert_eq!(s.says(), "grant s0 to c0.1");
}

#[test]
fn failures_under_way_together_count_once() {
    let mut s = Stage::new(10, &[plain(5)]);
    (0..5).for_each(|slot| drop(s.ask(A, 0, slot)));
    s.says();
    (0..5).for_each(|n| s.failed(n, false));
    assert_eq!(s.up.counters().open_failures, 5);
    s.at(1001);
    assert!(s.says().starts_with("open"));
}

#[test]
fn pauses_between_tries_double_up_to_the_bound() {
    let second = ms(1000);
    let pauses: Vec<u64> = (1..7).map(|n| retry_delay(second, n).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
    assert_eq!(retry_delay(ms(60_000), 9), ms(60_000));
    assert_eq!(retry_delay(Duration::ZERO, 1), ms(20));
    assert_eq!(retry_delay(Duration::ZERO, u32::MAX), RETRY_DELAY_MAX);
    assert_eq!(retry_delay(Duration::MAX, 40), Duration::MAX);
}

#[test]
fn another_attempt_under_way_does_not_keep_the_queue() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    s.says();
    s.failed(0, true);
    assert_eq!(s.says().matches("server_down").count(), 2);
    // It succeeds after all: the connection is there for the next client.
    s.opened(1);
    assert_eq!(s.ask(A, 0, 3), "s1");
}
