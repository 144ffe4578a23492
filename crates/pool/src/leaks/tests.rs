//! Each rule, from both sides.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn class(kind: &str, statement: u64) -> Arc<LeaseClass> {
    Arc::new(LeaseClass {
        user: "u".into(),
        kind: kind.into(),
        statement,
        release: None,
    })
}

/// A pool in which everybody waits who can.
struct Stage {
    leaks: Leaks,
    now: Time,
    size: u32,
    waiting: u32,
    oldest_wait: Duration,
    others: bool,
}

impl Stage {
    fn new(size: u32) -> Stage {
        Stage {
            leaks: Leaks::default(),
            now: Time::from_micros(1_000_000_000_000),
            size,
            waiting: 100,
            oldest_wait: SECOND,
            others: true,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// So many leases that ended well, with a silence each, spread over a minute.
    fn learn(&mut self, class: &Arc<LeaseClass>, silent: Duration) {
        for _ in 0..30 {
            self.pass(2 * SECOND);
            let lesson = Lesson {
                class: Arc::clone(class),
                held: Some(silent),
                silent: Some(silent),
            };
            self.leaks.learn(self.now, &[lesson]);
        }
    }

    /// Leases of this class, all silent for so long; their slots begin at `from`.
    fn leases(
        &self,
        class: &Arc<LeaseClass>,
        from: u32,
        count: u32,
        silent: Duration,
    ) -> Vec<SilentLease> {
        let since = Time::from_micros(
            self.now
                .as_micros()
                .saturating_sub(silent.as_micros() as u64),
        );
        let lease = |slot| SilentLease {
            conn: ConnId {
                slot,
                generation: 0,
            },
            client: ClientId {
                worker: WorkerId(0),
                generation: 0,
                slot,
            },
            slot,
            silent_since: since,
            class: Arc::clone(class),
        };
        (from..from + count).map(lease).collect()
    }

    /// How many are to go.
    fn report(&mut self, leases: Vec<SilentLease>) -> Vec<Verdict> {
        let others = self.others;
        let view = View {
            now: self.now,
            settings: LeakSettings::default(),
            mode: GuardMode::Enforce,
            size: self.size,
            lent: leases.len() as u32,
            waiting: self.waiting,
            oldest_wait: self.oldest_wait,
            holds: &|_, _| true,
            others_wait: &|_| others,
        };
        self.leaks.report(WorkerId(0), leases, &view)
    }
}

/// Kind known or not, how many of a pool of how many, silent for how long: who goes.
#[test]
fn a_pattern_is_five_or_a_quarter_of_the_pool() {
    let table = [
        (false, 5, 100, 6, 5),
        (false, 5, 100, 4, 0),
        (false, 4, 100, 60, 0),
        (false, 3, 12, 6, 3),
        (false, 2, 8, 60, 0),
        (true, 2, 8, 3, 2),
        (true, 2, 9, 3, 0),
        (true, 1, 4, 60, 0),
        (true, 5, 100, 3, 5),
        (true, 5, 100, 1, 0),
    ];
    for (known, count, size, silent, wanted) in table {
        let mut s = Stage::new(size);
        let class = class("shop", 7);
        if known {
            s.learn(&class, Duration::from_millis(60));
        }
        let leases = s.leases(&class, 0, count, silent * SECOND);
        let found = s.report(leases);
        assert_eq!(
            found.len(),
            wanted,
            "known {known}, {count} of {size}, {silent} s"
        );
        assert!(
            found
                .iter()
                .all(|v| v.suspicion.reason == ReclaimReason::Pattern)
        );
    }
}

#[test]
fn what_is_usual_for_a_kind_is_no_leak() {
    let mut s = Stage::new(20);
    let batch = class("nightly", 7);
    s.learn(&batch, 40 * SECOND);
    let leases = s.leases(&batch, 0, 10, 70 * SECOND);
    assert_eq!(s.report(leases).len(), 0);
    // The same application with a statement that is new.
    let leases = s.leases(&class("nightly", 8), 0, 10, 70 * SECOND);
    assert_eq!(s.report(leases).len(), 0);
    let leases = s.leases(&batch, 0, 10, 200 * SECOND);
    assert_eq!(s.report(leases).len(), 10);
}

#[test]
fn one_alone_goes_after_minutes_and_only_when_its_kind_is_known() {
    let known = class("shop", 7);
    for (of, silent, wanted) in [
        (&known, 299, 0),
        (&known, 301, 1),
        (&class("new", 7), 9000, 0),
    ] {
        let mut s = Stage::new(20);
        s.learn(&known, Duration::from_millis(60));
        let leases = s.leases(of, 0, 1, silent * SECOND);
        assert_eq!(s.report(leases).len(), wanted, "{} {silent} s", of.kind);
    }
}

#[test]
fn different_statements_are_no_pattern() {
    let mut s = Stage::new(100);
    let leases = (0..9)
        .flat_map(|n| s.leases(&class("shop", n), n as u32, 1, 60 * SECOND))
        .collect();
    assert_eq!(s.report(leases).len(), 0);
}

#[test]
fn the_oldest_go_first_and_no_more_than_wait() {
    let mut s = Stage::new(20);
    let class = class("shop", 7);
    let mut leases = s.leases(&class, 0, 5, 6 * SECOND);
    leases.extend(s.leases(&class, 5, 5, 9 * SECOND));
    s.waiting = 3;
    let slots: Vec<u32> = s
        .report(leases.clone())
        .iter()
        .map(|v| v.lease.slot)
        .collect();
    assert_eq!(slots, [5, 6, 7]);
    s.waiting = 0;
    assert_eq!(s.report(leases).len(), 0);
}

/// One connection is left, and serves all others in turn: nobody waits for
/// long, and everybody is slow.
#[test]
fn a_queue_that_never_empties_is_a_wait_too() {
    let mut s = Stage::new(7);
    s.oldest_wait = Duration::from_millis(450);
    let class = class("shop", 7);
    let mut gone = 0;
    for second in 6..12 {
        let leases = s.leases(&class, 0, 6, second * SECOND);
        gone += s.report(leases).len();
        assert_eq!(gone, if second < 11 { 0 } else { 6 }, "after {second} s");
        s.pass(SECOND);
    }
    // A look at which nobody waits begins it anew.
    let mut s = Stage::new(7);
    s.oldest_wait = Duration::from_millis(450);
    for second in 6..20 {
        s.waiting = if second % 4 == 0 { 0 } else { 30 };
        let leases = s.leases(&class, 0, 6, second * SECOND);
        assert_eq!(s.report(leases).len(), 0, "after {second} s");
        s.pass(SECOND);
    }
}

#[test]
fn a_kind_that_only_keeps_itself_waiting_gets_longer() {
    let class = class("shop", 7);
    for (silent, wanted) in [(6, 0), (31, 5)] {
        let mut s = Stage::new(20);
        s.others = false;
        let leases = s.leases(&class, 0, 5, silent * SECOND);
        assert_eq!(s.report(leases).len(), wanted, "{silent} s");
    }
}

#[test]
fn who_speaks_again_is_let_go() {
    let mut s = Stage::new(20);
    s.waiting = 0;
    let class = class("shop", 7);
    let leases = s.leases(&class, 0, 6, 6 * SECOND);
    s.report(leases.clone());
    assert_eq!(s.leaks.figures().suspects, 6);
    assert!(s.leaks.suspicion(leases[0].conn).is_some());
    s.pass(SECOND);
    s.report(Vec::new());
    assert_eq!(
        (s.leaks.figures().suspects, s.leaks.figures().retracted),
        (0, 6)
    );
    assert!(s.leaks.suspicion(leases[0].conn).is_none());
}

#[test]
fn evidence_makes_sure() {
    let of = |version: &str| {
        Arc::new(LeaseClass {
            release: Some(version.into()),
            ..(*class("shop", 7)).clone()
        })
    };
    let mut s = Stage::new(20);
    let sure = |s: &mut Stage, class: &Arc<LeaseClass>, silent| {
        let leases = s.leases(class, 0, 6, silent * SECOND);
        s.report(leases).first().map(|v| v.suspicion)
    };
    let unknown = sure(&mut s, &of("1"), 6).unwrap();
    s.learn(&of("1"), Duration::from_millis(60));
    s.pass(SECOND);
    let known = sure(&mut s, &of("1"), 6).unwrap();
    assert!(known.sure > unknown.sure && !known.with_release);
    // A release that comes up while the application is known.
    s.pass(100 * SECOND);
    let new = of("2");
    s.leaks.learned.see(s.now, &new);
    s.pass(60 * SECOND);
    let with_release = sure(&mut s, &new, 20).unwrap();
    assert!(with_release.with_release && with_release.sure > known.sure);
    assert!(with_release.sure <= 99);
}

#[test]
fn a_marked_release_is_evidence() {
    let mut s = Stage::new(20);
    let class = class("shop", 7);
    s.leaks.mark_release(s.now, "shop");
    s.pass(60 * SECOND);
    let leases = s.leases(&class, 0, 6, 20 * SECOND);
    assert!(s.report(leases)[0].suspicion.with_release);
    let leases = s.leases(&class, 0, 6, 100 * SECOND);
    assert!(
        !s.report(leases)[0].suspicion.with_release,
        "it began before"
    );
}

#[test]
fn reports_of_several_workers_are_one_picture() {
    let mut s = Stage::new(20);
    let class = class("shop", 7);
    let (first, second) = (
        s.leases(&class, 0, 3, 6 * SECOND),
        s.leases(&class, 3, 3, 6 * SECOND),
    );
    let view = |now| View {
        now,
        settings: LeakSettings::default(),
        mode: GuardMode::Enforce,
        size: 100,
        lent: 6,
        waiting: 100,
        oldest_wait: SECOND,
        holds: &|_, _| true,
        others_wait: &|_| true,
    };
    assert_eq!(s.leaks.report(WorkerId(0), first, &view(s.now)).len(), 0);
    let found = s.leaks.report(WorkerId(1), second.clone(), &view(s.now));
    assert_eq!(found.len(), 6);
    assert_eq!(found.iter().filter(|v| v.worker == WorkerId(1)).count(), 3);
    // A worker that has fallen silent itself is not believed for ever.
    s.pass(REPORT_AGE * 2);
    s.leaks.report(WorkerId(1), second, &view(s.now));
    assert_eq!(s.leaks.figures().silent, 3);
}

#[test]
fn another_application_is_told_by_its_flow() {
    let class = class("shop-web", 7);
    for (flow, other) in [
        ("u\0shop-web-7d4b9c6f5d-x7k2p", false),
        ("u\0", false),
        ("u\0billing", true),
        ("v\0shop-web", true),
        ("auth_query", true),
    ] {
        assert_eq!(is_other(flow, &class), other, "{flow:?}");
    }
}
