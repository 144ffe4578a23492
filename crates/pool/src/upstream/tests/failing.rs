//! A server that refuses or is away: pauses between tries, answers for waiters.

use super::*;
use crate::RETRY_DELAY_MAX;
use crate::upstream::opening::{restart_delay, retry_delay};

#[test]
fn a_start_with_the_database_down_is_told_at_once_and_recovers_on_its_own() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    assert_eq!(s.says(), "open s0 on w0, open s1 on w0");
    // Never reached: no restart explains it, so nobody waits for the next try.
    s.failed(0, false);
    assert_eq!(
        s.says(),
        "refuse c0.1 server_down: the server said no, refuse c0.2 server_down: the server said no"
    );
    s.failed(1, false);
    assert_eq!(s.ask(A, 0, 3), "server_down");
    // Who comes after the pause is the next try.
    s.at(101);
    assert_eq!(s.ask(A, 0, 4), "queued");
    assert_eq!(s.says(), "open s1 on w0");
    s.opened(1);
    assert_eq!(s.says(), "grant s1 to c0.4");
    assert_eq!((s.up.failure(A), s.up.outage(A)), (None, None));
}

#[test]
fn in_pgbouncer_s_place_clients_wait_for_a_server_that_starts_beside_it() {
    let mut s = Stage::new(10, &[plain(5)]);
    let patient = UpstreamSettings {
        patient: true,
        ..s.up.settings.clone()
    };
    s.up.configure(s.now, patient);
    s.ask(A, 0, 1);
    assert_eq!(s.says(), "open s0 on w0");
    s.failed(0, false);
    assert_eq!((s.says().as_str(), s.ask(A, 0, 2).as_str()), ("", "queued"));
    s.at(101);
    assert_eq!(s.says(), "open s0 on w0");
    s.opened(0);
    assert_eq!(s.says(), "grant s0 to c0.1, open s1 on w0");
}

#[test]
fn a_connection_that_closes_at_its_return_is_no_hope_for_who_waits() {
    let mut s = Stage::new(10, &[plain(2)]);
    s.busy(A, 0, 1);
    assert_eq!(s.ask(A, 0, 1), "queued");
    assert_eq!(s.says(), "open s1 on w0");
    s.failed(1, true);
    // The lent one comes back and serves the next.
    assert_eq!(s.says(), "");
    s.up.reconnect(s.now, A, CloseReason::AdminKill);
    assert_eq!(s.ask(A, 0, 2), "server_down");
    s.at(2000);
    assert_eq!(s.says(), "open s1 on w0");
    s.failed(1, true);
    assert_eq!(s.says(), "refuse c0.1 server_down: the server said no");
}

/// A pool whose only connection has just ended, with a client that waits.
fn lost(s: &mut Stage) {
    s.busy(A, 0, 1);
    assert_eq!(s.ask(A, 0, 1), "queued");
    s.says();
    s.failed(1, false);
    s.closed(0);
    assert_eq!(s.says(), "");
}

#[test]
fn a_short_outage_is_waited_out_with_tries_at_growing_pauses() {
    let mut s = Stage::new(10, &[plain(5)]);
    lost(&mut s);
    let mut tries = Vec::new();
    for at in 2..=1000 {
        s.at(at);
        if s.says().starts_with("open") {
            tries.push(at);
            s.failed(0, false);
        }
    }
    // One try at a time: after 100 ms, 200 ms, 400 ms.
    assert_eq!(tries, [101, 301, 701]);
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.says(), "");
}

#[test]
fn a_long_outage_is_told_to_those_who_wait_and_those_who_come() {
    let mut s = Stage::new(10, &[plain(5)]);
    lost(&mut s);
    for at in [101, 301, 701] {
        s.at(at);
        assert_eq!(s.says(), "open s0 on w0");
        s.failed(0, false);
    }
    // login_retry is 1 s: a server that is away for so long is not restarting.
    s.at(1000);
    assert_eq!(s.says(), "");
    s.at(1001);
    assert_eq!(s.says(), "refuse c0.1 server_down: the server said no");
    assert_eq!(s.ask(A, 0, 2), "server_down");
    let outage = s.up.outage(A).expect("an outage");
    assert_eq!(
        (outage.since, outage.last, outage.login),
        (Time::from_micros(1000), Time::from_micros(701_000), false)
    );
    // The next try is due 800 ms after the last: who comes then waits for its end.
    s.at(1501);
    assert_eq!(s.ask(A, 0, 3), "queued");
    assert_eq!(s.says(), "open s0 on w0");
    s.at(5000);
    assert_eq!(s.says(), "");
    s.failed(0, false);
    assert_eq!(s.says(), "refuse c0.3 server_down: the server said no");
}

#[test]
fn nobody_tries_while_nobody_waits_and_an_old_outage_is_over() {
    let settings = PoolSettings {
        wait_timeout: Some(ms(500)),
        ..plain(5)
    };
    let mut s = Stage::new(10, &[settings]);
    lost(&mut s);
    for at in [101, 301] {
        s.at(at);
        assert_eq!(s.says(), "open s0 on w0");
        s.failed(0, false);
    }
    s.at(60_000);
    assert_eq!(s.says(), "refuse c0.1 wait_timeout: the server said no");
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.says(), "open s0 on w0");
    // A minute ago is no part of this outage.
    s.failed(0, false);
    assert_eq!(s.says(), "");
    let outage = s.up.outage(A).expect("an outage");
    assert_eq!(outage.since, Time::from_micros(60_000_000));
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
fn an_outage_beside_a_connection_that_lives_needs_no_further_ticks() {
    let mut s = Stage::new(10, &[plain(5)]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.says();
    s.failed(1, true);
    for at in [500, 1500, 2500] {
        s.at(at);
        let next = s.up.next_tick().unwrap_or(Time::FAR);
        assert!(next > Time::from_micros(at * 1000), "due again at {at} ms");
        s.says();
    }
}

#[test]
fn failures_under_way_together_count_once() {
    let mut s = Stage::new(10, &[plain(5)]);
    (0..5).for_each(|slot| drop(s.ask(A, 0, slot)));
    s.says();
    (0..5).for_each(|n| s.failed(n, true));
    assert_eq!(s.up.counters().open_failures, 5);
    s.says();
    s.at(1000);
    assert_eq!(s.ask(A, 0, 7), "server_down");
    s.at(1001);
    assert_eq!(s.ask(A, 0, 8), "queued");
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
fn pauses_of_an_outage_grow_from_short_to_five_seconds() {
    let pauses = |retry| -> Vec<u128> {
        (1..10)
            .map(|n| restart_delay(ms(retry), n).as_millis())
            .collect()
    };
    let to_five = [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000];
    assert_eq!(pauses(15_000), to_five);
    assert_eq!(pauses(3000)[5..7], [3000, 3000]);
    assert_eq!(pauses(0)[..3], [20, 40, 80]);
    assert_eq!(restart_delay(Duration::ZERO, u32::MAX), ms(1000));
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
