//! What rules say about applications and users: shares and deadlines.

use super::*;
use crate::{FlowRule, FlowRules};
use std::sync::Arc;

fn rules(of: &[(&str, u32, Option<u64>)]) -> Arc<FlowRules> {
    let mut rules = FlowRules::default();
    for (application, weight, wait_ms) in of {
        let rule = FlowRule {
            weight: Some(*weight),
            wait_timeout: wait_ms.map(|n| Some(ms(n))),
        };
        rules.application(application, rule);
    }
    Arc::new(rules)
}

/// Six connections, 20 waiters of each of two applications, and who holds what
/// after so many returns, the oldest lease always first.
fn shares(weights: (u32, u32)) -> (u32, u32) {
    let mut s = Stage::new(10, &[plain(6)]);
    let settings = PoolSettings {
        rules: rules(&[("batch", weights.0, None), ("web", weights.1, None)]),
        ..plain(6)
    };
    s.up.configure_pool(s.now, A, settings);
    s.busy(A, 0, 6);
    for slot in 0..20 {
        s.ask_as(A, "u\0batch", 0, slot);
        s.ask_as(A, "u\0web", 0, 100 + slot);
    }
    for n in 0..12 {
        assert_eq!(s.back(n % 6), "kept");
    }
    let (batch, web) = (s.up.flow(A, "u\0batch"), s.up.flow(A, "u\0web"));
    s.says();
    (s.up.flow_held(A, batch), s.up.flow_held(A, web))
}

#[test]
fn connections_are_shared_by_weight() {
    for (weights, expected) in [((1, 1), (3, 3)), ((2, 1), (4, 2)), ((1, 5), (1, 5))] {
        assert_eq!(shares(weights), expected, "{weights:?}");
    }
}

#[test]
fn a_new_weight_holds_for_those_who_wait_already() {
    let mut s = Stage::new(10, &[plain(3)]);
    s.busy(A, 0, 3);
    for slot in 0..9 {
        s.ask_as(A, "u\0first", 0, slot);
        s.ask_as(A, "u\0second", 0, 100 + slot);
    }
    s.back(0);
    s.back(1);
    assert_eq!(s.says(), "grant s0 to c0.0, grant s1 to c0.100");
    let settings = PoolSettings {
        rules: rules(&[("second", 2, None)]),
        ..plain(3)
    };
    s.up.configure_pool(s.now, A, settings);
    assert_eq!(s.up.check_invariants(), Ok(()));
    s.back(2);
    assert_eq!(
        s.says(),
        "grant s2 to c0.101",
        "half as much for its weight"
    );
}

#[test]
fn each_application_is_refused_at_its_own_deadline() {
    let settings = PoolSettings {
        wait_timeout: Some(ms(1_000)),
        rules: rules(&[("reports", 1, Some(5_000)), ("checks", 1, Some(200))]),
        ..plain(1)
    };
    let mut s = Stage::new(10, &[settings]);
    s.busy(A, 0, 1);
    s.ask_as(A, "u\0reports", 0, 1);
    s.ask_as(A, "u\0web", 0, 2);
    s.ask_as(A, "u\0checks", 0, 3);
    let table = [
        (200, ""),
        (202, "refuse c0.3 wait_timeout"),
        (1_000, ""),
        (1_002, "refuse c0.2 wait_timeout"),
        (5_000, ""),
        (5_002, "refuse c0.1 wait_timeout"),
    ];
    for (at, said) in table {
        s.at(at);
        assert_eq!(s.says(), said, "at {at} ms");
    }
}

#[test]
fn a_shorter_deadline_comes_with_the_next_settings_for_waiters_too() {
    let mut s = Stage::new(10, &[plain(1)]);
    s.busy(A, 0, 1);
    s.ask_as(A, "u\0web", 0, 1);
    s.at(3_000);
    assert_eq!(s.says(), "", "it waits for ever");
    let settings = PoolSettings {
        rules: rules(&[("web", 1, Some(1_000))]),
        ..plain(1)
    };
    s.up.configure_pool(s.now, A, settings);
    s.at(3_001);
    assert_eq!(s.says(), "refuse c0.1 wait_timeout");
}
