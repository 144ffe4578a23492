//! What convicts a change, and what does not.

use super::*;

/// A pool under a steady load, looked at five times a second.
struct World {
    snapshot: Snapshot,
}

const LOOK: Duration = Duration::from_millis(200);

impl World {
    fn new() -> World {
        let row = PoolRow {
            database: "app".into(),
            user: "anna".into(),
            ..PoolRow::default()
        };
        World {
            snapshot: Snapshot {
                pools: vec![row],
                closes: vec![0; CloseReason::COUNT],
                refusals: vec![0; RefuseReason::COUNT],
                at: Time::from_micros(1),
                ..Snapshot::default()
            },
        }
    }

    /// So many checkouts in one look, each with this wait and service time.
    fn go(&mut self, checkouts: u32, wait_ms: u64, service_ms: u64) -> &Snapshot {
        self.snapshot.at = self.snapshot.at.after(LOOK);
        let row = &mut self.snapshot.pools[0];
        for _ in 0..checkouts {
            row.wait.record(Duration::from_millis(wait_ms));
            row.service.record(Duration::from_millis(service_ms));
        }
        &self.snapshot
    }

    /// Half a minute like that.
    fn before(&mut self, checkouts: u32, wait_ms: u64, service_ms: u64) -> Judge {
        let old = self.snapshot.clone();
        for _ in 0..150 {
            self.go(checkouts, wait_ms, service_ms);
        }
        Judge::new(JudgeSettings::default(), &old, &self.snapshot)
    }
}

/// Looks until there is a verdict; with the time that it took.
fn until(judge: &mut Judge, mut next: impl FnMut(u32) -> Snapshot) -> (Verdict, u128, String) {
    for look in 1..=100 {
        let judgement = judge.look(&next(look));
        if let Some(verdict) = judgement.verdict {
            let text: Vec<String> = judgement.grounds.iter().map(Grounds::to_string).collect();
            return (verdict, (LOOK * look).as_millis(), text.join("; "));
        }
    }
    panic!("no verdict in twenty seconds");
}

#[test]
fn what_goes_on_as_before_is_fine_after_the_shortest_time() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, ms, _) = until(&mut judge, |_| world.go(100, 0, 5).clone());
    assert_eq!((verdict, ms), (Verdict::Fine, 2000));
    assert!(!judge.incident_open());
}

#[test]
fn waits_convict_within_a_second() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, ms, text) = until(&mut judge, |look| {
        world.go(30, 200 * u64::from(look), 5).clone()
    });
    assert_eq!(verdict, Verdict::Worse);
    assert!(ms <= 1000, "{ms}");
    assert_eq!(
        text,
        "app/anna: 30 of 30 checkouts waited longer than 100 ms; 0.0 % did before"
    );
}

#[test]
fn clients_that_only_wait_convict_too() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, ms, text) = until(&mut judge, |look| {
        world.snapshot.pools[0].cl_waiting = 7;
        world.snapshot.pools[0].maxwait_us = u64::from(look) * 200_000;
        world.go(0, 0, 5).clone()
    });
    assert_eq!(verdict, Verdict::Worse);
    assert!(ms <= 1000, "{ms}");
    assert!(text.contains("a client has waited"), "{text}");
}

#[test]
fn one_hiccup_convicts_nobody() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, _, text) = until(&mut judge, |look| {
        // The machine stood still for half a second, and caught up.
        let wait = if (3..=5).contains(&look) { 400 } else { 0 };
        world.go(if look == 5 { 200 } else { 100 }, wait, 5).clone()
    });
    assert_eq!(verdict, Verdict::Fine, "{text}");
}

#[test]
fn in_an_incident_only_worse_than_before_counts() {
    let mut world = World::new();
    world.snapshot.pools[0].maxwait_us = 8_000_000;
    world.snapshot.pools[0].cl_waiting = 50;
    let mut judge = world.before(20, 7_000, 5);
    assert!(judge.incident_open());
    let (verdict, _, text) = until(&mut judge, |_| world.go(30, 6_000, 5).clone());
    assert_eq!(verdict, Verdict::Fine, "still bad, and better: {text}");
}

#[test]
fn refusals_convict_and_a_stray_one_does_not() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let at = CloseReason::QueryTimeout as usize;
    let (verdict, ms, text) = until(&mut judge, |_| {
        world.snapshot.closes[at] += 3;
        world.go(100, 0, 5).clone()
    });
    assert_eq!(verdict, Verdict::Worse);
    assert!(ms <= 600, "{ms}");
    assert_eq!(text, "query_timeout came 15.0 times a second, 0.0 before");

    let mut judge = world.before(100, 0, 5);
    let (verdict, _, text) = until(&mut judge, |look| {
        world.snapshot.closes[at] += u64::from(look == 4);
        world.go(100, 0, 5).clone()
    });
    assert_eq!(verdict, Verdict::Fine, "{text}");
}

#[test]
fn more_connections_that_only_make_queries_slow_convict() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, ms, text) = until(&mut judge, |_| world.go(80, 0, 30).clone());
    assert_eq!(verdict, Verdict::Worse);
    assert!(ms <= 2_500, "{ms}");
    assert!(text.contains("30.0 ms, 5.0 ms before"), "{text}");
    // More work done at that price is what the change was for.
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, _, text) = until(&mut judge, |_| world.go(300, 0, 12).clone());
    assert_eq!(verdict, Verdict::Fine, "{text}");
}

#[test]
fn too_little_traffic_is_unknown() {
    let mut world = World::new();
    let mut judge = world.before(0, 0, 5);
    let (verdict, ms, text) = until(&mut judge, |look| {
        world.go(u32::from(look % 10 == 0), 0, 5).clone()
    });
    assert_eq!((verdict, ms), (Verdict::Unknown, 10_000));
    assert_eq!(text, "5 checkouts in 10 s are too few to judge by");
}

#[test]
fn a_load_that_goes_away_by_itself_is_not_the_change_s_fault() {
    let mut world = World::new();
    let mut judge = world.before(100, 0, 5);
    let (verdict, _, text) = until(&mut judge, |_| world.go(10, 0, 5).clone());
    assert_eq!(verdict, Verdict::Fine, "{text}");
}
