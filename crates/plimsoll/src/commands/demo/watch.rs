//! Follows leaks from snapshot to snapshot, as anybody can who reads them:
//! which leases stand silent, when one is taken back, and how long others wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use events::snapshot::{PoolRow, Snapshot};
use events::{Histogram, LeaseRow, Time};

/// A lease whose client is silent in its transaction for so long is shown.
const SILENT: Duration = Duration::from_secs(1);
/// Others are still said to wait for a leak when it ended so short a time ago.
const AFTERMATH: Duration = Duration::from_secs(1);
/// What is taken back within so long of each other is one event.
const ONE_EVENT: Duration = Duration::from_secs(4);

/// Silent leases of one application, release and last statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The application and its release.
    pub who: String,
    /// Its last statement, without literals.
    pub statement: String,
    /// How many.
    pub leases: u32,
    /// How long the longest of them has been silent.
    pub silent: Duration,
    /// How sure it is that they are forgotten, in percent; `None`: not suspected yet.
    pub sure: Option<u8>,
    /// The application without its release, by which leaks are counted.
    kind: Arc<str>,
}

/// Leases that were taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// From whom.
    pub who: String,
    /// Its last statement, without literals.
    pub statement: String,
    /// How many.
    pub leases: u64,
    /// How long the longest of them had been silent.
    pub silent: Duration,
    /// When the last of them was.
    pub at: Time,
}

/// What is known of leaks since the start.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Leases that were under suspicion.
    pub named: u64,
    /// Leases taken back.
    pub taken_back: u64,
    /// The largest leak that stands.
    pub standing: Option<Standing>,
    /// The last that was taken back.
    pub last: Option<TakenBack>,
    /// Most server connections that the line ever allowed.
    pub line_most: u32,
    /// Waits for a connection in the time in which a leak stood.
    pub waits_with: Histogram,
    /// All other waits.
    pub waits_without: Histogram,
    /// Leases taken back, by application.
    counts: BTreeMap<Arc<str>, u64>,
    /// When a leak was last seen.
    seen: Option<Time>,
    waits: Histogram,
}

impl Watch {
    /// Takes a snapshot in; says what has happened since the last one.
    pub fn see(&mut self, now: &Snapshot) -> Vec<String> {
        let before = self.standing.take();
        self.standing = largest(now);
        let mut told = Vec::new();
        if let Some(found) = &self.standing
            && found.sure.is_some()
            && before.as_ref().and_then(|b| b.sure).is_none()
        {
            told.push(found.text());
        }
        told.extend(self.take_backs(now, before.as_ref()));
        self.count(now);
        told
    }

    /// What was taken back since the last snapshot, by the pools' own counts.
    fn take_backs(&mut self, now: &Snapshot, before: Option<&Standing>) -> Option<String> {
        let mut sums: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for (kind, done, _) in now.pools.iter().flat_map(|pool| &pool.leaks.applications) {
            *sums.entry(Arc::clone(kind)).or_default() += done;
        }
        let old = std::mem::replace(&mut self.counts, sums);
        let new = |kind: &Arc<str>, n: u64| n.saturating_sub(old.get(kind).copied().unwrap_or(0));
        let (kind, leases) = self
            .counts
            .iter()
            .map(|(kind, n)| (kind, new(kind, *n)))
            .find(|(_, n)| *n > 0)?;
        let before = before.filter(|before| before.kind == *kind);
        let mut event = TakenBack {
            who: before.map_or_else(|| kind.to_string(), |b| b.who.clone()),
            statement: before.map_or_else(String::new, |b| b.statement.clone()),
            leases,
            silent: before.map_or(Duration::ZERO, |b| b.silent),
            at: now.at,
        };
        let text = event.text();
        if let Some(last) = self.last.take()
            && now.at.since(last.at) < ONE_EVENT
            && last.who.starts_with(&**kind)
        {
            event = TakenBack {
                leases: last.leases + leases,
                silent: last.silent.max(event.silent),
                at: now.at,
                ..last
            };
        }
        self.last = Some(event);
        Some(text)
    }

    fn count(&mut self, now: &Snapshot) {
        let leaks = || now.pools.iter().map(|pool| &pool.leaks);
        self.taken_back = leaks().flat_map(|l| l.reclaimed).sum();
        // Each suspect stands, has spoken or left, or was taken back.
        let suspects: u64 = leaks().map(|l| u64::from(l.suspects) + l.retracted).sum();
        self.named = self.named.max(suspects + self.taken_back);
        let lines = now.budgets.iter().map(|budget| budget.fleet_line);
        self.line_most = self.line_most.max(lines.max().unwrap_or(0));

        let mut waits = Histogram::new();
        for PoolRow { wait, .. } in &now.pools {
            waits.merge(wait);
        }
        let fresh = waits.since(&self.waits);
        self.waits = waits;
        if self.standing.is_some() {
            self.seen = Some(now.at);
        }
        match self.seen {
            Some(at) if now.at.since(at) <= AFTERMATH => self.waits_with.merge(&fresh),
            _ => self.waits_without.merge(&fresh),
        }
    }
}

/// The largest group of silent leases of one application and statement.
fn largest(now: &Snapshot) -> Option<Standing> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&LeaseRow>> = BTreeMap::new();
    for lease in &now.leases {
        let silent = lease.silent_since.map(|since| now.at.since(since));
        let long = silent.is_some_and(|silent| silent >= SILENT);
        if lease.exempt.is_none() && (long || lease.suspicion.is_some()) {
            let group = (&*lease.kind, &*lease.release, &*lease.statement);
            groups.entry(group).or_default().push(lease);
        }
    }
    let ((kind, release, statement), leases) = groups.into_iter().max_by_key(|(_, l)| l.len())?;
    let silences = leases.iter().filter_map(|lease| lease.silent_since);
    Some(Standing {
        who: match release {
            "" => kind.to_owned(),
            release => format!("{kind}/{release}"),
        },
        // A curious person's statement may have more than one line.
        statement: statement.replace(char::is_control, " "),
        leases: u32::try_from(leases.len()).unwrap_or(u32::MAX),
        silent: silences.map(|at| now.at.since(at)).max()?,
        sure: leases.iter().filter_map(|l| Some(l.suspicion?.sure)).max(),
        kind: kind.into(),
    })
}

impl Standing {
    /// In one line.
    pub fn text(&self) -> String {
        let head = self.head();
        format!("{head}: {}", self.statement)
    }

    /// Without the statement.
    pub fn head(&self) -> String {
        let sure = match self.sure {
            Some(percent) => format!("suspicion {percent} %"),
            None => "no suspicion".to_owned(),
        };
        format!(
            "{} of {} silent in a transaction for {:.1} s; {sure}",
            self.leases,
            self.who,
            self.silent.as_secs_f64()
        )
    }
}

impl TakenBack {
    /// In one line.
    pub fn text(&self) -> String {
        let head = self.head();
        format!("{head}: {}", self.statement)
    }

    /// Without the statement.
    pub fn head(&self) -> String {
        format!(
            "{} taken back from {}, silent for {:.1} s",
            self.leases,
            self.who,
            self.silent.as_secs_f64()
        )
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
#[cfg(test)]
pub use tests::{standing, watched};
