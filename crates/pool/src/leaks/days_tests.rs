//! Thirty days of one pool, second by second: honest silences of every length,
//! and leaks among them. Who is named, who is taken back, and who wrongly.

use super::*;

const DAY: u64 = 86_400;
const DAYS: u64 = 30;
const SIZE: u32 = 20;
/// Connections that honest work keeps busy.
const BUSY: u32 = 8;
/// A leak that was not named after this counts as missed.
const LEAK_LASTS: u64 = 900;

/// A small generator of numbers (splitmix64): the same days each time.
struct Rng(u64);

impl Rng {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Log-normal: half of the values are below `median`.
    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        median * (sigma * normal).exp()
    }
}

/// A lease with a silence: honest ones end it, leaks do not.
struct Open {
    slot: u32,
    class: Arc<LeaseClass>,
    since: u64,
    ends: Option<u64>,
    named: bool,
}

#[derive(Default)]
struct Score {
    leaks: u32,
    named: u32,
    named_after: Vec<u64>,
    taken_back: u32,
    wrongly: u32,
    alarms: u32,
    silences: u64,
}

struct Days {
    rng: Rng,
    leaks: Leaks,
    open: Vec<Open>,
    slots: u32,
    /// Of the leak under way: when it began, leases still to come, its class.
    leak: Option<(u64, u32, Arc<LeaseClass>, bool)>,
    score: Score,
}

fn class(kind: &str, statement: u64) -> Arc<LeaseClass> {
    Arc::new(LeaseClass {
        user: "u".into(),
        kind: kind.into(),
        statement,
        release: None,
    })
}

fn at(second: u64) -> Time {
    Time::from_micros((second + 1) * 1_000_000)
}

impl Days {
    fn silence(&mut self, now: u64, class: &Arc<LeaseClass>, seconds: f64) {
        self.score.silences += 1;
        let silent = Duration::from_secs_f64(seconds);
        if seconds < 1.0 {
            return self.lesson(now, class, silent);
        }
        let ends = Some(now + seconds.ceil() as u64);
        self.hold(now, class, ends);
    }

    fn lesson(&mut self, now: u64, class: &Arc<LeaseClass>, silent: Duration) {
        let notable = silent >= NOTABLE;
        let lessons = [
            Lesson {
                class: Arc::clone(class),
                held: Some(silent),
                silent: None,
            },
            Lesson {
                class: Arc::clone(class),
                held: None,
                silent: Some(silent),
            },
        ];
        self.leaks
            .learn(at(now), &lessons[..1 + usize::from(notable)]);
    }

    fn hold(&mut self, now: u64, class: &Arc<LeaseClass>, ends: Option<u64>) {
        self.slots += 1;
        self.open.push(Open {
            slot: self.slots,
            class: Arc::clone(class),
            since: now,
            ends,
            named: false,
        });
    }

    /// What honest clients begin in this second.
    fn honest(&mut self, now: u64) {
        let of_day = now % DAY;
        if self.rng.chance(0.5) {
            let (n, ms) = (self.rng.bits() % 4, self.rng.exponential(0.02));
            self.silence(now, &class("web", n), ms);
        }
        // A pause of its own, seldom.
        if self.rng.chance(0.0005) {
            let seconds = 1.0 + 3.0 * self.rng.unit();
            self.silence(now, &class("web", 0), seconds);
        }
        if self.rng.chance(0.2) {
            let seconds = self.rng.exponential(0.8);
            self.silence(now, &class("worker", 10), seconds);
        }
        if self.rng.chance(1.0 / 60.0) {
            let seconds = self.rng.lognormal(8.0, 0.8);
            self.silence(now, &class("report", 11), seconds);
        }
        // The nightly batch: five clients for ten minutes, talking at pauses.
        if (2 * 3600..2 * 3600 + 600).contains(&of_day) && self.rng.chance(0.5) {
            let seconds = 1.0 + 19.0 * self.rng.unit();
            self.silence(now, &class("nightly", 12), seconds);
        }
    }

    /// Leaks: a statement that is known or a new one, forgotten again and again.
    fn leak(&mut self, now: u64) {
        match self.leak.take() {
            None if now % 10_000 == 9_000 => {
                let known = self.rng.chance(0.7);
                let statement = if known { 1 } else { 1000 + now };
                let leak = (now, 14, class("web", statement), false);
                self.score.leaks += 1;
                self.leak = Some(leak);
            }
            Some((began, _, _, named)) if now >= began + LEAK_LASTS => {
                // The application is started anew.
                self.score.named += u32::from(named);
                self.open.retain(|open| open.ends.is_some());
            }
            Some((began, left, class, named)) => {
                let more = left > 0 && (now - began).is_multiple_of(7);
                if more {
                    self.hold(now, &class, None);
                }
                self.leak = Some((began, left - u32::from(more), class, named));
            }
            None => {}
        }
    }

    /// Silences that end are lessons; the rest is reported.
    fn report(&mut self, now: u64) {
        let ended: Vec<Open> = self
            .open
            .extract_if(.., |open| open.ends.is_some_and(|end| end <= now))
            .collect();
        for open in ended {
            self.lesson(now, &open.class, at(now).since(at(open.since)));
        }
        let leaked = self.open.iter().filter(|o| o.ends.is_none()).count() as u32;
        // Also when nothing leaks somebody waits, for a minute in each hour.
        let busy = now % 3600 < 60;
        let waiting = (BUSY + leaked).saturating_sub(SIZE) + 3 * u32::from(busy);
        let lease = |open: &Open| SilentLease {
            conn: ConnId {
                slot: open.slot,
                generation: 0,
            },
            client: ClientId {
                worker: WorkerId(0),
                generation: 0,
                slot: open.slot,
            },
            slot: open.slot,
            silent_since: at(open.since),
            class: Arc::clone(&open.class),
        };
        let silent = self.open.iter().filter(|open| open.since < now).map(lease);
        let view = View {
            now: at(now),
            settings: LeakSettings::default(),
            mode: GuardMode::Enforce,
            size: SIZE,
            lent: BUSY + leaked,
            waiting,
            oldest_wait: Duration::from_secs(u64::from(waiting > 0)),
            holds: &|_, _| true,
            others_wait: &|_| true,
        };
        let verdicts = self.leaks.report(WorkerId(0), silent.collect(), &view);
        self.judge(now, &verdicts);
    }

    fn judge(&mut self, now: u64, verdicts: &[Verdict]) {
        for open in &mut self.open {
            let conn = ConnId {
                slot: open.slot,
                generation: 0,
            };
            if open.named || self.leaks.suspicion(conn).is_none() {
                continue;
            }
            open.named = true;
            match (open.ends, &mut self.leak) {
                (Some(_), _) => self.score.alarms += 1,
                (None, Some((began, _, _, named))) if !*named => {
                    *named = true;
                    self.score.named_after.push(now - *began);
                }
                _ => {}
            }
        }
        for verdict in verdicts {
            let slot = verdict.lease.slot;
            let open = self.open.iter().position(|open| open.slot == slot);
            let Some(open) = open.map(|i| self.open.swap_remove(i)) else {
                continue;
            };
            match open.ends {
                Some(_) => self.score.wrongly += 1,
                None => self.score.taken_back += 1,
            }
            self.leaks.outcome(
                verdict.lease.conn,
                verdict.lease.client,
                Some(GuardMode::Enforce),
            );
        }
    }
}

/// The 95 % Wilson interval of a share, in percent.
fn wilson(hits: u32, of: u32) -> (f64, f64) {
    let (p, n, z) = (f64::from(hits) / f64::from(of), f64::from(of), 1.96);
    let middle = p + z * z / (2.0 * n);
    let wide = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    (
        100.0 * (middle - wide) / whole,
        100.0 * (middle + wide) / whole,
    )
}

#[test]
#[allow(clippy::print_stdout)] // The figures are the point.
fn thirty_days_of_honest_silences_and_leaks() {
    let mut days = Days {
        rng: Rng(7),
        leaks: Leaks::default(),
        open: Vec::new(),
        slots: 0,
        leak: None,
        score: Score::default(),
    };
    for now in 0..DAYS * DAY {
        days.honest(now);
        days.leak(now);
        days.report(now);
    }
    let mut score = days.score;
    score.named_after.sort_unstable();
    let median = score.named_after.get(score.named_after.len() / 2);
    let (low, high) = wilson(score.named, score.leaks);
    println!(
        "{} honest silences, {} of them suspected, {} taken back; {} leaks, {} named ({low:.1} to {high:.1} %), \
         after {median:?} s in the median, {} leases taken back",
        score.silences, score.alarms, score.wrongly, score.leaks, score.named, score.taken_back
    );
    assert_eq!(score.wrongly, 0);
    assert!(score.alarms <= 1);
    assert!(score.leaks >= 200 && low >= 95.0);
    assert!(score.taken_back >= score.leaks);
}
