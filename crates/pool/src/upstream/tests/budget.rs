//! The budget: what is charged, when a slot is free again, who gives way.

use super::*;

#[test]
fn nothing_is_opened_at_the_line_over_all_pools() {
    let mut s = Stage::new(3, &[plain(2), plain(2)]);
    s.busy(A, 0, 2);
    s.busy(B, 0, 1);
    assert_eq!(s.ask(B, 0, 1), "queued");
    assert_eq!(s.says(), "");
    // Closing is not closed.
    assert_eq!(
        s.back_with(0, Some(CloseReason::ServerFatal)),
        "close server_fatal"
    );
    assert_eq!(s.says(), "");
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(s.up.charged(), 3);
}

#[test]
fn freed_slots_go_to_the_hungry_pools_in_turn() {
    let mut s = Stage::new(2, &[plain(5), plain(5), plain(5)]);
    let c = PoolId(2);
    s.busy(A, 0, 2);
    s.ask(B, 0, 1);
    s.ask(B, 0, 2);
    s.ask(c, 0, 3);
    s.closed(0);
    s.closed(1);
    let pools: Vec<u32> = s.up.conns().map(|row| row.pool.0).collect();
    assert_eq!(pools.iter().max(), Some(&2), "{pools:?}");
    assert_eq!(pools.iter().min(), Some(&1), "{pools:?}");
    s.says();
}

#[test]
fn connects_under_way_are_bounded() {
    let mut s = Stage::new(100, &[plain(50)]);
    s.up.configure(
        s.now,
        UpstreamSettings {
            line: 100,
            connects_max: 2,
            login_retry: ms(1000),
            patient: false,
        },
    );
    for slot in 0..5 {
        s.ask(A, 0, slot);
    }
    assert_eq!(s.says(), "open s0 on w0, open s1 on w0");
    s.opened(0);
    assert_eq!(s.says(), "grant s0 to c0.0, open s2 on w0");
    s.failed(1, false);
    s.opened(2);
    assert_eq!(s.says(), "grant s2 to c0.1, open s1 on w0, open s3 on w0");
}

#[test]
fn the_longest_idle_connection_of_another_pool_makes_room_after_two_seconds() {
    let mut s = Stage::new(3, &[plain(3), plain(3)]);
    s.ready_on(A, &[0, 0, 1]);
    s.at(100);
    assert_eq!(s.ask(A, 1, 1), "s2");
    s.back(2);
    s.ask(B, 0, 1);
    s.at(1900);
    assert_eq!(s.says(), "");
    s.at(2150);
    assert_eq!(s.says(), "close s0 evicted");
    // One is enough for one waiter, and it is counted.
    s.at(5000);
    assert_eq!((s.says(), s.up.counters().evictions), (String::new(), 1));
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
}

/// A client that is refused after a second or less must not wait two for a
/// slot: pools beyond the line would starve.
#[test]
fn a_short_wait_shortens_the_time_until_another_pool_makes_room() {
    let rows = [
        // wait_timeout, given up by an idle connection, by a busy one
        (1000, 500, 500),
        (200, 100, 100),
        (60, 30, 30),
        (3000, 1500, 1500),
        (30_000, 2000, 2000),
    ];
    for (wait, idle, busy) in rows {
        let waits = PoolSettings {
            wait_timeout: Some(ms(wait)),
            ..plain(1)
        };
        let mut s = Stage::new(1, &[plain(1), waits.clone()]);
        s.ready(A, 0, 1);
        s.at(100);
        assert_eq!(s.ask(A, 0, 1), "s0");
        s.back(0);
        s.ask(B, 0, 1);
        s.at(100 + idle - 1);
        assert_eq!(s.says(), "", "wait_timeout {wait}: too early");
        s.at(100 + idle + idle / 2);
        assert_eq!(s.says(), "close s0 evicted", "wait_timeout {wait}");
        s.closed(0);
        assert_eq!(s.says(), "open s0 on w0");

        let mut s = Stage::new(1, &[plain(1), waits]);
        s.busy(A, 0, 1);
        s.at(100);
        s.ask(A, 0, 5);
        s.ask(B, 0, 1);
        s.at(100 + busy - 1);
        assert_eq!(s.back(0), "kept", "wait_timeout {wait}: too early");
        s.says();
        s.at(100 + busy + busy / 2);
        assert_eq!(s.back(0), "close evicted", "wait_timeout {wait}");
    }
}

#[test]
fn evictions_come_at_a_bounded_rate_and_stop_at_the_minimum() {
    let mut s = Stage::new(4, &[PoolSettings { min: 1, ..plain(4) }, plain(4)]);
    s.at(2);
    s.opened(0);
    s.at(3);
    s.says();
    for slot in 0..4 {
        s.ask(A, 0, slot);
    }
    s.says();
    (1..4).for_each(|n| s.opened(n));
    (0..4).for_each(|n| drop(s.back(n)));
    s.says();
    s.at(10_000);
    for slot in 0..4 {
        s.ask(B, 0, 10 + slot);
    }
    assert_eq!(s.says().matches("evicted").count(), 1);
    s.at(10_090);
    assert_eq!(s.says(), "");
    s.at(10_110);
    assert_eq!(s.says().matches("evicted").count(), 1);
    s.at(20_000);
    assert_eq!(s.says().matches("evicted").count(), 1);
    assert_eq!(
        (s.up.counters().evictions, s.up.figures(A, s.now).idle),
        (3, 1)
    );
}

#[test]
fn a_pool_without_any_connection_gets_one_from_a_pool_that_is_never_idle() {
    let mut s = Stage::new(2, &[plain(2), plain(2)]);
    s.busy(A, 0, 2);
    for slot in 0..9 {
        s.ask(A, 0, slot);
    }
    s.ask(B, 0, 100);
    s.at(1500);
    assert_eq!(s.back(0), "kept");
    s.says();
    s.at(2200);
    assert_eq!(s.back(0), "close evicted");
    // Not two for one, however long the end of file takes.
    s.at(2400);
    assert_eq!(s.back(1), "kept");
    s.says();
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(s.up.figures(B, s.now).opening, 1);
}

/// A giver that has waiters of its own, and may have more, does not take the
/// slot back.
#[test]
fn the_slot_that_a_busy_pool_gave_up_goes_to_the_pool_that_starved() {
    let mut s = Stage::new(2, &[plain(9), plain(9)]);
    s.busy(A, 0, 2);
    for slot in 0..9 {
        s.ask(A, 0, slot);
    }
    s.ask(B, 0, 100);
    s.at(2200);
    assert_eq!(s.back(0), "close evicted");
    s.closed(0);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(s.up.figures(B, s.now).opening, 1);
}

/// The pool with the most gives first; one whose connections do not come back
/// holds nobody up.
#[test]
fn the_pool_with_the_most_connections_gives_first() {
    let starved = |most_return: bool| {
        let c = PoolId(2);
        let mut s = Stage::new(6, &[plain(9), plain(9), plain(9)]);
        let most = s.busy(A, 0, 4);
        let few = s.busy(B, 0, 2);
        s.ask(A, 0, 1);
        s.ask(B, 0, 2);
        s.ask(c, 0, 3);
        s.at(2050);
        assert_eq!(s.back(few[0]), "kept");
        s.says();
        if most_return {
            return s.back(most[0]);
        }
        s.at(2350);
        s.back(few[1])
    };
    assert_eq!(starved(true), "close evicted");
    assert_eq!(starved(false), "close evicted");
}

#[test]
fn a_cap_is_shared_by_the_pools_that_name_it() {
    let mut s = Stage::new(100, &[]);
    let cap = s.up.add_cap(2);
    // Named twice, charged once.
    s.up.add_pool(PoolSettings {
        caps: vec![cap, cap],
        ..plain(5)
    });
    s.up.add_pool(with_cap(5, cap));
    let free = s.up.add_pool(plain(5));
    s.ask(A, 0, 1);
    s.ask(B, 0, 2);
    s.ask(B, 0, 3);
    s.ask(free, 0, 4);
    assert_eq!(s.says(), "open s0 on w0, open s1 on w0, open s2 on w0");
    s.up.configure_cap(s.now, cap, 3);
    assert_eq!(s.says(), "open s3 on w0");
    s.up.configure_cap(s.now, cap, 1);
    (0..4).for_each(|n| s.opened(n));
    // Above the lower cap, connections are closed instead of used.
    assert_eq!(s.says().matches("close").count(), 2);
}

#[test]
fn a_lower_cap_closes_idle_connections_now_and_lent_ones_at_their_return() {
    let mut s = Stage::new(100, &[]);
    let cap = s.up.add_cap(6);
    s.up.add_pool(with_cap(9, cap));
    s.up.add_pool(with_cap(9, cap));
    s.busy(A, 0, 2);
    s.busy(B, 0, 2);
    s.ready(B, 0, 2);
    s.ask(A, 0, 9);
    assert_eq!(s.says(), "", "the cap is full");
    s.up.configure_cap(s.now, cap, 3);
    assert_eq!(
        s.says(),
        "close s4 settings_changed, close s5 settings_changed"
    );
    // One above it is left; whoever comes back first gives it up, of any pool.
    assert_eq!(s.back(2), "close settings_changed");
    assert_eq!(s.back(3), "kept");
    assert_eq!(s.back(0), "kept");
    assert_eq!(s.says(), "grant s0 to c0.9");
    // What is being closed still counts until it is gone.
    s.up.configure_cap(s.now, cap, 4);
    s.ask(A, 0, 10);
    assert_eq!(s.says(), "");
    [2, 4, 5].into_iter().for_each(|n| s.closed(n));
    assert_eq!(s.says(), "open s5 on w0");
}

#[test]
fn only_a_pool_under_the_same_cap_makes_room_for_a_cap() {
    let mut s = Stage::new(100, &[]);
    let cap = s.up.add_cap(1);
    let free = s.up.add_pool(plain(5));
    let shared = s.up.add_pool(with_cap(5, cap));
    let wanting = s.up.add_pool(with_cap(5, cap));
    s.ready(free, 0, 1);
    s.ready(shared, 0, 1);
    s.at(3000);
    s.ask(wanting, 0, 1);
    assert_eq!(s.says(), "close s1 evicted");
}

#[test]
fn a_lower_line_closes_idle_connections_now_and_lent_ones_at_their_return() {
    let mut s = Stage::new(4, &[plain(4)]);
    s.ready(A, 0, 4);
    (0..3).for_each(|slot| drop(s.ask(A, 0, slot)));
    s.up.configure(
        s.now,
        UpstreamSettings {
            line: 2,
            connects_max: 9,
            login_retry: ms(1),
            patient: false,
        },
    );
    assert_eq!(s.says(), "close s0 settings_changed");
    assert_eq!(s.back(1), "close settings_changed");
    assert_eq!(s.back(2), "kept");
    assert_eq!(s.back(3), "kept");
    s.up.configure(
        s.now,
        UpstreamSettings {
            line: 0,
            connects_max: 9,
            login_retry: ms(1),
            patient: false,
        },
    );
    assert_eq!(
        s.says(),
        "close s2 settings_changed, close s3 settings_changed"
    );
    s.closed(0);
    assert_eq!(s.ask(A, 0, 1), "queued");
    assert_eq!(s.says(), "");
}

#[test]
fn the_reserve_opens_only_after_a_wait() {
    let reserve = PoolSettings {
        reserve: 1,
        reserve_after: ms(500),
        ..plain(1)
    };
    let mut s = Stage::new(10, &[reserve]);
    s.busy(A, 0, 1);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    s.at(500);
    assert_eq!(s.says(), "");
    s.at(501);
    assert_eq!(s.says(), "open s1 on w0");
    s.at(5000);
    assert_eq!(s.says(), "");
}

#[test]
fn the_minimum_is_kept_on_the_workers_with_the_fewest() {
    let mut s = Stage::new(10, &[]);
    s.up.set_workers(2);
    s.up.add_pool(PoolSettings { min: 3, ..plain(5) });
    s.at(2);
    assert_eq!(s.says(), "open s0 on w0, open s1 on w1, open s2 on w0");
    (0..3).for_each(|n| s.opened(n));
    s.closed(1);
    assert_eq!(s.says(), "open s1 on w1");
}

#[test]
fn idle_connections_above_the_minimum_end_after_the_idle_timeout() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            idle_timeout: Some(ms(1000)),
            ..plain(5)
        }],
    );
    s.ready(A, 0, 3);
    s.up.configure_pool(
        s.now,
        A,
        PoolSettings {
            idle_timeout: Some(ms(1000)),
            min: 1,
            ..plain(5)
        },
    );
    s.at(900);
    s.ask(A, 0, 1);
    s.back(2);
    s.at(1000);
    assert_eq!(s.says(), "");
    s.at(1001);
    assert_eq!(
        s.says(),
        "close s0 server_idle_timeout, close s1 server_idle_timeout"
    );
    s.at(60_000);
    assert_eq!(s.says(), "");
}

#[test]
fn old_connections_end_when_idle_or_returned() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            lifetime: Some(ms(1000)),
            ..plain(5)
        }],
    );
    s.ready(A, 0, 2);
    assert_eq!(s.ask(A, 0, 1), "s1");
    s.at(990);
    assert_eq!(s.says(), "");
    s.at(1001);
    assert_eq!(s.says(), "close s0 server_lifetime");
    assert_eq!(s.back(1), "close server_lifetime");
}

#[test]
fn a_lifetime_of_zero_is_one_lease() {
    let mut s = Stage::new(
        10,
        &[PoolSettings {
            lifetime: Some(Duration::ZERO),
            ..plain(2)
        }],
    );
    assert_eq!(s.ask(A, 0, 1), "queued");
    assert_eq!(s.says(), "open s0 on w0");
    s.up.cancel_wait(s.now, client(0, 1), A);
    s.opened(0);
    // Nobody has used it: it does not age.
    s.at(60_000);
    assert_eq!(s.says(), "");
    assert_eq!(s.ask(A, 0, 1), "s0");
    assert_eq!(s.ask(A, 0, 2), "queued");
    assert_eq!(s.says(), "open s1 on w0");
    // The waiter gets a new one, and never a used one.
    assert_eq!(s.back(0), "close server_lifetime");
}

#[test]
fn a_busy_pool_gives_up_its_last_connection_but_not_its_minimum() {
    const C: PoolId = PoolId(2);
    for (min, said) in [(0, "close evicted"), (1, "kept")] {
        let mut s = Stage::new(2, &[plain(2), plain(2), plain(2)]);
        s.busy(A, 0, 1);
        s.busy(C, 1, 1);
        s.up.configure_pool(s.now, A, PoolSettings { min, ..plain(2) });
        s.ask(A, 0, 1);
        s.ask(B, 0, 2);
        s.at(3000);
        assert_eq!(s.back(0), said, "minimum {min}");
    }
}

#[test]
fn a_pool_that_has_a_connection_takes_none_from_a_busy_one() {
    let mut s = Stage::new(3, &[plain(2), plain(2)]);
    s.busy(A, 0, 2);
    s.busy(B, 0, 1);
    s.ask(A, 0, 1);
    s.ask(B, 0, 2);
    s.at(3000);
    assert_eq!(s.back(0), "kept");
}

#[test]
fn connections_idle_equally_long_end_only_down_to_the_minimum() {
    let settings = PoolSettings {
        idle_timeout: Some(ms(1000)),
        ..plain(5)
    };
    let mut s = Stage::new(10, std::slice::from_ref(&settings));
    s.ready(A, 0, 3);
    s.up.configure_pool(s.now, A, PoolSettings { min: 1, ..settings });
    s.at(9000);
    assert_eq!(
        s.says(),
        "close s0 server_idle_timeout, close s1 server_idle_timeout"
    );
}
