//! Who would wait in vain is refused at once; nobody else is.

use super::*;
use events::{Guard, GuardMode};

/// Two connections, each held for `hold` ms, and waiters that come `each` ms,
/// for so long. Returns the stage and how many were refused at once.
struct Rush {
    s: Stage,
    next: u32,
    shed: u32,
    /// When each lease ends, by connection.
    ends: [u64; 2],
    at: u64,
}

impl Rush {
    fn new(deadline_ms: Option<u64>, mode: GuardMode) -> Rush {
        let mut settings = PoolSettings {
            wait_timeout: deadline_ms.map(ms),
            ..plain(2)
        };
        settings.guards.set(Guard::Shed, mode);
        let mut s = Stage::new(10, &[settings]);
        for (n, slot) in s.ready(A, 0, 2).into_iter().enumerate() {
            assert_eq!(slot, n as u32);
        }
        for slot in 0..2 {
            assert!(s.ask_as(A, "u\0web", 0, 900 + slot).starts_with('s'));
        }
        Rush {
            s,
            next: 0,
            shed: 0,
            ends: [0; 2],
            at: 1,
        }
    }

    /// So many milliseconds in which `per_ms` clients come, and leases last `hold`.
    fn go(&mut self, span: u64, per_ms: u32, hold: u64) {
        for _ in 0..span {
            self.at += 1;
            self.s.at(self.at);
            for n in 0..2 {
                let busy = self.s.up.conn_state(self.s.conn(n)) == Some(crate::ConnState::Lent);
                if busy && self.at >= self.ends[n as usize] {
                    self.ends[n as usize] = self.at + hold;
                    self.s.back(n);
                }
            }
            for _ in 0..per_ms {
                self.next += 1;
                let said = self.s.ask_as(A, "u\0web", 0, 1000 + self.next);
                self.shed += u32::from(said == "shed");
            }
            while self.s.up.poll().is_some() {}
        }
    }

    fn counts(&self) -> (u64, u64, u64) {
        let guards = self.s.up.counters().guards;
        (
            guards.done(Guard::Shed),
            guards.would(Guard::Shed),
            guards.needless(Guard::Shed),
        )
    }

    fn timeouts(&self) -> u64 {
        self.s.up.counters().refusals[events::RefuseReason::WaitTimeout as usize]
    }
}

#[test]
fn above_capacity_the_queue_stops_growing_where_waiting_is_in_vain() {
    // 200 a second are served, 1,000 come: half a second's worth may wait.
    let mut rush = Rush::new(Some(500), GuardMode::Enforce);
    rush.go(6_000, 1, 10);
    let waiting = rush.s.up.figures(A, rush.s.now).waiting;
    assert!((90..=140).contains(&waiting), "{waiting} wait");
    assert!(rush.shed > 2_500, "{} were refused at once", rush.shed);
    assert_eq!(rush.counts(), (rush.shed.into(), 0, 0));
    // The words of the refusal rest on the same prediction.
    let flow = rush.s.up.flow(A, "u\0web");
    let plight = rush.s.up.plight(A, flow, true);
    assert!(plight.predicted > ms(625), "{plight:?}");
    assert_eq!((plight.size, plight.in_use), (2, 2));
    assert_eq!(plight.deadline, Some(ms(500)));
    assert_eq!(plight.holders, vec![("u\0web".into(), 2)]);
}

#[test]
fn a_guard_that_watches_counts_and_one_that_is_off_does_not() {
    let mut watching = Rush::new(Some(500), GuardMode::Observe);
    watching.go(4_000, 1, 10);
    let (done, would, needless) = watching.counts();
    assert!(done == 0 && would > 500, "{done} done, {would} would");
    assert_eq!(watching.shed, 0);
    assert_eq!(
        needless, 0,
        "nobody was served in time but for those who gave up"
    );
    let mut off = Rush::new(Some(500), GuardMode::Off);
    off.go(4_000, 1, 10);
    assert_eq!(off.counts(), (0, 0, 0));
    assert!(off.timeouts() > 500);
}

#[test]
fn what_should_not_be_refused_is_not() {
    type Story = (&'static str, Option<u64>, fn(&mut Rush));
    let table: [Story; 5] = [
        ("a burst that is served in time", Some(5_000), |r| {
            r.go(1, 500, 10);
            r.go(4_000, 0, 10);
        }),
        ("no deadline", None, |r| r.go(3_000, 1, 10)),
        (
            "a batch system, minutes within its deadline",
            Some(600_000),
            |r| {
                r.go(1, 200, 4_000);
                r.go(60_000, 0, 4_000);
                r.go(1, 30, 4_000);
            },
        ),
        ("nothing comes back for a while", Some(2_000), |r| {
            r.go(200, 1, 10);
            for _ in 0..150 {
                r.go(9, 0, 100_000);
                r.go(1, 1, 100_000);
            }
        }),
        ("a slow spell that is over", Some(3_000), |r| {
            // 40 a second, too slow for long; then ten times as fast.
            r.go(2_500, 0, 50);
            r.go(1, 100, 50);
            r.go(1_500, 0, 50);
            r.go(400, 1, 5);
        }),
    ];
    for (what, deadline, story) in table {
        let mut rush = Rush::new(deadline, GuardMode::Enforce);
        story(&mut rush);
        assert_eq!(rush.shed, 0, "{what}");
        assert_eq!(rush.counts(), (0, 0, 0), "{what}");
    }
}

#[test]
fn a_quiet_flow_is_served_while_the_noisy_one_is_refused() {
    let mut rush = Rush::new(Some(500), GuardMode::Enforce);
    rush.go(3_000, 1, 10);
    assert!(rush.shed > 0);
    assert_eq!(rush.s.ask_as(A, "u\0quiet", 0, 9_000_000), "queued");
    let mut waited = 0;
    let quiet = client(0, 9_000_000);
    while rush.s.up.waiters(A).any(|w| w.client == quiet) {
        waited += 1;
        assert!(waited <= 10, "the quiet client waits for {waited} ms");
        rush.go(1, 1, 10);
    }
}

#[test]
fn the_guards_mode_can_change_while_clients_wait() {
    let mut rush = Rush::new(Some(500), GuardMode::Enforce);
    rush.go(3_000, 1, 10);
    let shed = rush.shed;
    let guards = rush.s.up.pool_settings(A).expect("a pool").guards;
    rush.s.up.set_guards(A, guards.observing());
    rush.go(500, 1, 10);
    assert_eq!(rush.shed, shed, "it only watches");
    rush.s.up.set_guards(A, guards);
    rush.go(100, 1, 10);
    assert!(rush.shed > shed);
}
