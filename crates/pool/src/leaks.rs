//! Leases that look forgotten: what is usual, who is beyond it, and who goes.
//!
//! Pure, and bounded. Workers tell what they saw: lessons of leases that ended
//! and of silences that were broken, and once a second the leases in which the
//! server waits for the client. Only silence counts: a client that talks may
//! hold its connection for hours.
//!
//! - A **pattern** is at least [`PATTERN_MIN`] leases, or a quarter of the
//!   pool, of one application and one last statement, all silent for longer
//!   than their kind ever was. While others wait, these go within seconds.
//! - A **single** lease goes after minutes, and only when its kind is known.
//!
//! The oldest go first, and no more than clients wait.

#[cfg(test)]
mod days_tests;
mod learned;
#[cfg(test)]
mod tests;

pub use learned::NOTABLE;

use crate::flows::Flows;
use crate::names;
use events::{ClientId, ConnId, GuardMode, LeakFigures, ReclaimReason, Suspicion, Time, WorkerId};
use learned::Learned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Leases of one kind that are a pattern whatever the size of the pool.
pub const PATTERN_MIN: usize = 5;
/// A quarter of the pool is a pattern too, but not fewer than these: of a kind
/// that is known, and of one that is not.
const PATTERN_KNOWN_MIN: usize = 2;
const PATTERN_UNKNOWN_MIN: usize = 3;
/// Silent leases that one worker may tell of, per pool.
pub const REPORT_MAX: usize = 1024;
/// A worker's report is believed for so long.
const REPORT_AGE: Duration = Duration::from_secs(3);
/// Others wait only when the oldest of them has waited for so long.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// Or when somebody waited at each look for so long: with a connection or two left
/// nobody waits long, and all are slow.
const QUEUE_STANDS: Duration = Duration::from_secs(5);
/// A reclaim that was asked for and not heard of since is forgotten.
const ASKED_MAX: Duration = Duration::from_secs(15);
/// Applications with counters of their own.
const COUNTED_MAX: usize = 32;
/// How much longer an unknown kind must be silent when only its own flow waits.
const ALONE_FACTOR: u32 = 6;
/// How many times its longest silence a lease must be silent: one of several, one alone.
const PATTERN_FACTOR: u32 = 2;
const SINGLE_FACTOR: u32 = 4;
/// Windows over which the least number of lent connections is taken.
const FLOOR_WINDOW: Duration = Duration::from_secs(10);
const FLOOR_WINDOWS: usize = 4;

/// Flows that are looked at for whether they are of another application.
const FLOWS_LOOKED_AT: usize = 64;

/// Whether a flow, named by user and application as it logged in, is another
/// application's. One without a name may have given it later.
pub(crate) fn is_other(flow: &str, class: &LeaseClass) -> bool {
    let (user, application) = flow.split_once('\0').unwrap_or((flow, ""));
    user != &*class.user || !application.is_empty() && names::kind(application) != *class.kind
}

/// The same of any of the flows that wait.
pub(crate) fn others_wait(flows: &Flows, class: &LeaseClass) -> bool {
    let mut waiting = flows.waiting().iter().take(FLOWS_LOOKED_AT);
    waiting.any(|flow| flows.key(*flow).is_none_or(|key| is_other(key, class)))
}

/// Whose lease it is, as far as leases of one kind behave alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeaseClass {
    /// The client's user.
    pub user: Arc<str>,
    /// Its application, without what differs between processes.
    pub kind: Arc<str>,
    /// The fingerprint of its last statement.
    pub statement: u64,
    /// The application's version, where known.
    pub release: Option<Arc<str>>,
}

impl LeaseClass {
    fn who(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.user), Arc::clone(&self.kind))
    }
}

/// A lease in which the server waits for the client, inside a transaction.
#[derive(Clone, Debug)]
pub struct SilentLease {
    /// The connection.
    pub conn: ConnId,
    /// Who holds it.
    pub client: ClientId,
    /// Where the worker keeps the connection.
    pub slot: u32,
    /// Since when the client has been silent.
    pub silent_since: Time,
    /// Whose it is.
    pub class: Arc<LeaseClass>,
}

/// What a worker saw of one lease: that it ended, or that a silence did.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Whose it was.
    pub class: Arc<LeaseClass>,
    /// It ended by itself after this time.
    pub held: Option<Duration>,
    /// The client spoke again after this time.
    pub silent: Option<Duration>,
}

/// How long silence lasts before it is acted upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeakSettings {
    /// Of several leases of a kind of which nothing is known.
    pub after: Duration,
    /// Of one lease alone.
    pub single_after: Duration,
}

impl Default for LeakSettings {
    fn default() -> Self {
        LeakSettings {
            after: Duration::from_secs(5),
            single_after: Duration::from_secs(300),
        }
    }
}

/// The pool, as far as leaks concern it.
pub(crate) struct View<'a> {
    pub now: Time,
    pub settings: LeakSettings,
    pub mode: GuardMode,
    /// Most connections of the pool.
    pub size: u32,
    pub lent: u32,
    pub waiting: u32,
    pub oldest_wait: Duration,
    /// Whether a connection is still lent to a client.
    pub holds: &'a dyn Fn(ConnId, ClientId) -> bool,
    /// Whether clients of other applications wait.
    pub others_wait: &'a dyn Fn(&LeaseClass) -> bool,
}

/// What is to be done about one lease.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub lease: SilentLease,
    pub worker: WorkerId,
    pub suspicion: Suspicion,
}

#[derive(Clone, Debug)]
struct Report {
    worker: WorkerId,
    at: Time,
    leases: Vec<SilentLease>,
}

/// A lease under suspicion.
#[derive(Clone, Debug)]
struct Suspect {
    client: ClientId,
    silent_since: Time,
    kind: Arc<str>,
    suspicion: Suspicion,
    /// When it was acted upon, or would have been.
    asked: Option<Time>,
}

/// The least number of lent connections, window by window.
#[derive(Clone, Debug, Default)]
struct Floor {
    ends: Option<Time>,
    least: u32,
    past: [u32; FLOOR_WINDOWS],
}

/// What one pool knows of leaks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaks {
    learned: Learned,
    reports: Vec<Report>,
    suspects: BTreeMap<(u32, u32), Suspect>,
    floor: Floor,
    /// Since when somebody waited at each look.
    waited_since: Option<Time>,
    figures: LeakFigures,
}

/// The silent leases of one application and statement.
struct Group<'a> {
    leases: Vec<(WorkerId, &'a SilentLease)>,
}

impl Leaks {
    pub fn learn(&mut self, now: Time, lessons: &[Lesson]) {
        for lesson in lessons {
            self.learned.learn(now, lesson);
        }
    }

    pub fn mark_release(&mut self, now: Time, application: &str) {
        self.learned.mark_release(now, application);
    }

    /// A worker's silent leases; says which of all are to go now.
    pub fn report(
        &mut self,
        worker: WorkerId,
        leases: Vec<SilentLease>,
        view: &View<'_>,
    ) -> Vec<Verdict> {
        self.floor.see(view.now, view.lent);
        self.waited_since = match view.waiting {
            0 => None,
            _ => self.waited_since.or(Some(view.now)),
        };
        self.reports
            .retain(|report| report.worker != worker && view.now.since(report.at) <= REPORT_AGE);
        if view.mode == GuardMode::Off {
            self.reports.clear();
            self.suspects.clear();
            self.figures.silent = 0;
            return Vec::new();
        }
        for lease in &leases {
            self.learned.see(view.now, &lease.class);
        }
        if !leases.is_empty() {
            let at = view.now;
            self.reports.push(Report { worker, at, leases });
        }
        self.look(view)
    }

    fn look(&mut self, view: &View<'_>) -> Vec<Verdict> {
        let reports = std::mem::take(&mut self.reports);
        let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
        let mut silent = 0;
        for report in &reports {
            for lease in &report.leases {
                if !(view.holds)(lease.conn, lease.client) {
                    continue;
                }
                silent += 1;
                let class = &lease.class;
                let group = groups
                    .entry((&class.user, &class.kind, class.statement))
                    .or_insert(Group { leases: Vec::new() });
                group.leases.push((report.worker, lease));
            }
        }
        let mut found = Vec::new();
        for group in groups.values() {
            self.suspect(group, view, &mut found);
        }
        self.follow(&found, view);
        self.figures.silent = silent;
        let chosen = self.choose(found, view);
        self.reports = reports;
        chosen
    }

    /// Adds those of a group that are beyond what is usual.
    fn suspect(&self, group: &Group<'_>, view: &View<'_>, found: &mut Vec<Verdict>) {
        let Some((_, one)) = group.leases.first() else {
            return;
        };
        let known = self.learned.of_class(view.now, &one.class);
        let bound = self.bound(known, &one.class, view);
        let beyond = |lease: &SilentLease| view.now.since(lease.silent_since) >= bound;
        let late = group.leases.iter().filter(|(_, lease)| beyond(lease));
        let leases = late.clone().count();
        let few = match known {
            Some(_) => PATTERN_KNOWN_MIN,
            None => PATTERN_UNKNOWN_MIN,
        };
        let pattern =
            leases >= PATTERN_MIN || leases >= few && leases * 4 >= view.size.max(1) as usize;
        if !pattern && known.is_none() {
            return;
        }
        for (worker, lease) in late {
            let with_release = self
                .learned
                .began_with_release(lease.silent_since, &lease.class);
            let suspicion = Suspicion {
                reason: match pattern {
                    true => ReclaimReason::Pattern,
                    false => ReclaimReason::Single,
                },
                sure: self.sure(
                    lease,
                    pattern,
                    known.is_some(),
                    bound,
                    with_release,
                    view.now,
                ),
                leases: leases as u32,
                bound,
                learned: known.is_some(),
                with_release,
            };
            found.push(Verdict {
                lease: (*lease).clone(),
                worker: *worker,
                suspicion,
            });
        }
    }

    /// The silence beyond which a lease of this kind is one of a pattern.
    fn bound(&self, known: Option<Duration>, class: &LeaseClass, view: &View<'_>) -> Duration {
        let after = view.settings.after;
        match known {
            Some(longest) => (after * 2 / 5).max(longest * PATTERN_FACTOR),
            None => {
                let longest = self.learned.of_application(class).unwrap_or_default();
                after.max(longest * PATTERN_FACTOR)
            }
        }
    }

    /// How sure it is that a lease was forgotten, in percent.
    fn sure(
        &self,
        lease: &SilentLease,
        pattern: bool,
        known: bool,
        bound: Duration,
        with_release: bool,
        now: Time,
    ) -> u8 {
        let long = now.since(lease.silent_since) >= bound * 4;
        let evidence = [
            (pattern, 25),
            (known, 20),
            (long, 10),
            (with_release, 10),
            (self.floor.rises(), 4),
        ];
        let points = evidence.iter().filter(|(seen, _)| *seen);
        30 + points.map(|(_, points)| points).sum::<u8>()
    }

    /// Suspects that are no more are let go; new ones are written down.
    fn follow(&mut self, found: &[Verdict], view: &View<'_>) {
        let now = view.now;
        let mut before = std::mem::take(&mut self.suspects);
        for verdict in found {
            let lease = &verdict.lease;
            let key = (lease.conn.slot, lease.conn.generation);
            let old = before
                .remove(&key)
                .filter(|old| old.silent_since == lease.silent_since && old.client == lease.client);
            // Asked for long ago, and still here: it may be asked for again.
            let asked = old.and_then(|old| old.asked);
            let again = view.mode == GuardMode::Enforce
                && asked.is_some_and(|at| now.since(at) > ASKED_MAX);
            let suspect = Suspect {
                client: lease.client,
                silent_since: lease.silent_since,
                kind: Arc::clone(&lease.class.kind),
                suspicion: verdict.suspicion,
                asked: asked.filter(|_| !again),
            };
            self.suspects.insert(key, suspect);
        }
        // Those that were taken back are no suspects any more when it is known.
        self.figures.retracted += before.len() as u64;
    }

    /// Of all suspects the oldest that may go, as many as clients wait.
    fn choose(&mut self, mut found: Vec<Verdict>, view: &View<'_>) -> Vec<Verdict> {
        let stands = self
            .waited_since
            .is_some_and(|at| view.now.since(at) >= QUEUE_STANDS);
        if view.waiting == 0 || view.oldest_wait < WAIT_MIN && !stands {
            return Vec::new();
        }
        let under_way = self.suspects.values().filter(|s| s.asked.is_some()).count();
        let room = (view.waiting as usize).saturating_sub(under_way);
        found.retain(|verdict| self.may_go(verdict, view));
        found.sort_by_key(|v| (v.lease.silent_since, v.lease.conn.slot));
        found.truncate(room);
        for verdict in &found {
            let key = (verdict.lease.conn.slot, verdict.lease.conn.generation);
            if let Some(suspect) = self.suspects.get_mut(&key) {
                suspect.asked = Some(view.now);
            }
        }
        found
    }

    fn may_go(&self, verdict: &Verdict, view: &View<'_>) -> bool {
        let (lease, suspicion) = (&verdict.lease, &verdict.suspicion);
        let key = (lease.conn.slot, lease.conn.generation);
        let asked = self.suspects.get(&key).is_some_and(|s| s.asked.is_some());
        let silent = view.now.since(lease.silent_since);
        let long_enough = match suspicion.reason {
            ReclaimReason::Pattern if suspicion.learned || (view.others_wait)(&lease.class) => true,
            // Nothing is known of it, and it keeps only its own kind waiting.
            ReclaimReason::Pattern => silent >= suspicion.bound * ALONE_FACTOR,
            ReclaimReason::Single => {
                let bound = suspicion.bound / PATTERN_FACTOR * SINGLE_FACTOR;
                suspicion.learned && silent >= bound.max(view.settings.single_after)
            }
        };
        !asked && long_enough
    }

    /// What became of a verdict: the lease was taken back, would have been, or
    /// (`None`) its client had spoken meanwhile.
    pub fn outcome(&mut self, conn: ConnId, client: ClientId, done: Option<GuardMode>) {
        let key = (conn.slot, conn.generation);
        let Some(suspect) = self.suspects.get(&key).filter(|s| s.client == client) else {
            return;
        };
        let reason = suspect.suspicion.reason as usize;
        let kind = Arc::clone(&suspect.kind);
        match done {
            Some(GuardMode::Enforce) => self.figures.reclaimed[reason] += 1,
            Some(_) => self.figures.observed[reason] += 1,
            None => self.figures.retracted += 1,
        }
        // One that is only watched stays under suspicion, and is named once.
        if done != Some(GuardMode::Observe) {
            self.suspects.remove(&key);
            for report in &mut self.reports {
                report.leases.retain(|lease| lease.conn != conn);
            }
        }
        if let Some(mode) = done {
            self.count(kind, mode == GuardMode::Enforce);
        }
    }

    fn count(&mut self, kind: Arc<str>, enforced: bool) {
        let rows = &mut self.figures.applications;
        let name: Arc<str> = match rows.len() {
            n if n < COUNTED_MAX || rows.iter().any(|(name, ..)| *name == kind) => kind,
            _ => "other".into(),
        };
        let at = rows.iter().position(|(row, ..)| *row == name);
        let at = at.unwrap_or_else(|| {
            rows.push((name, 0, 0));
            rows.len() - 1
        });
        if let Some((_, reclaimed, observed)) = rows.get_mut(at) {
            *reclaimed += u64::from(enforced);
            *observed += u64::from(!enforced);
        }
    }

    pub fn figures(&self) -> LeakFigures {
        LeakFigures {
            suspects: self.suspects.len() as u32,
            ..self.figures.clone()
        }
    }

    pub fn suspicion(&self, conn: ConnId) -> Option<Suspicion> {
        let suspect = self.suspects.get(&(conn.slot, conn.generation))?;
        Some(suspect.suspicion)
    }
}

impl Floor {
    fn see(&mut self, now: Time, lent: u32) {
        match self.ends {
            Some(end) if now < end => self.least = self.least.min(lent),
            _ => {
                self.past.rotate_left(1);
                if let Some(last) = self.past.last_mut() {
                    *last = self.least;
                }
                self.least = lent;
                self.ends = Some(now.after(FLOOR_WINDOW));
            }
        }
    }

    /// In each window more connections stayed lent than in the one before.
    fn rises(&self) -> bool {
        self.past.is_sorted_by(|a, b| a < b)
    }
}
