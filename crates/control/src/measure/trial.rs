//! What a time of watching comes to: what each guard did or would have done, for
//! whom, when most, and whether it is safe to switch on.
//!
//! A fold over the spans on disk, one at a time: a week costs no more memory than
//! a minute. It needs no running pooler, and a restart in between loses nothing.

use super::KEPT_FILE;
use crate::settings::store::StoreError;
use events::sample::{GuardedSample, LineSample, Sample, add_guarded};
use events::{Guard, GuardMode};
use rusqlite::params;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long a look waits for who writes.
const BUSY: Duration = Duration::from_secs(2);
/// Less than this tells nothing of a week.
const ENOUGH_MS: u64 = 24 * 3_600_000;
/// Largest row that is read.
const BODY_BYTES_MAX: i64 = 4 << 20;
/// Servers that are told of.
const SERVERS_MAX: usize = 64;

/// A time of watching.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trial {
    /// Where it was asked to begin, UTC, milliseconds since 1970.
    pub from_ms: i64,
    /// And to end.
    pub until_ms: i64,
    /// How much of that the pooler was there and measured.
    pub seen_ms: u64,
    /// Starts of the pooler in it.
    pub starts: u64,
    /// Transactions served.
    pub transactions: u64,
    /// Every guard, in their order.
    pub guards: Vec<GuardTrial>,
    /// The budget of each database server; it always holds.
    pub servers: Vec<ServerTrial>,
}

/// What one guard came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GuardTrial {
    /// Its label.
    pub guard: String,
    /// "off", "observe" or "enforce", at the end.
    pub mode: String,
    /// How often it acted.
    pub done: u64,
    /// How often it would have.
    pub would: u64,
    /// Of these, how often needlessly.
    pub needless: u64,
    /// The span with the most of both; `None`: it had nothing to do.
    pub worst: Option<Worst>,
    /// Whom it met, most first.
    pub who: Vec<GuardedSample>,
    /// "safe", "mend first", "look", "acts", "off" or "too early".
    pub verdict: &'static str,
    /// What to do, in a sentence or two.
    pub advice: String,
}

/// The worst span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Worst {
    /// Its end, UTC, milliseconds since 1970.
    pub at_ms: i64,
    /// How long it is.
    pub span_ms: u64,
    /// How often, in it.
    pub times: u64,
}

/// What the budget of one server came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerTrial {
    /// `host:port` or a socket.
    pub upstream: String,
    /// The line at the end.
    pub line: u32,
    /// "known", "unknown" and so on, at the end.
    pub state: String,
    /// Most connections in use.
    pub used_most: u32,
    /// How long clients waited while the line was reached.
    pub held_ms: u64,
    /// The span in which that was longest.
    pub worst: Option<Worst>,
}

/// Reads what was measured in `[from_ms, until_ms]` from the state directory.
///
/// # Errors
/// There is no history, or it cannot be read here.
pub fn trial(directory: &Path, from_ms: i64, until_ms: i64) -> Result<Trial, StoreError> {
    let db = KEPT_FILE.read(&directory.join(KEPT_FILE.file), BUSY)?;
    let mut fold = Fold::new(from_ms, until_ms);
    let sql = "SELECT body FROM spans WHERE at_ms BETWEEN ?1 AND ?2 AND length(body) <= ?3 ORDER BY at_ms";
    let mut query = db.prepare(sql)?;
    let mut rows = query.query(params![from_ms, until_ms, BODY_BYTES_MAX])?;
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        // A newer binary's row says nothing here.
        if let Ok(sample) = serde_json::from_str::<Sample>(&body) {
            fold.add(&sample);
        }
    }
    let sql = "SELECT count(*) FROM markers WHERE kind = 'started' AND at_ms BETWEEN ?1 AND ?2";
    let starts: i64 = db.query_row(sql, params![from_ms, until_ms], |row| row.get(0))?;
    fold.trial.starts = u64::try_from(starts).unwrap_or(0);
    Ok(fold.finish())
}

/// Spans on their way to a [`Trial`].
struct Fold {
    trial: Trial,
    who: Vec<GuardedSample>,
    servers: BTreeMap<String, ServerTrial>,
}

impl Fold {
    fn new(from_ms: i64, until_ms: i64) -> Fold {
        let guard = |guard: Guard| GuardTrial {
            guard: guard.label().to_owned(),
            ..GuardTrial::default()
        };
        Fold {
            trial: Trial {
                from_ms,
                until_ms,
                guards: Guard::ALL.into_iter().map(guard).collect(),
                ..Trial::default()
            },
            who: Vec::new(),
            servers: BTreeMap::new(),
        }
    }

    fn add(&mut self, sample: &Sample) {
        let span_ms = u64::from(sample.span_ms);
        self.trial.seen_ms += span_ms;
        self.trial.transactions += sample.pools.iter().map(|p| p.transactions).sum::<u64>();
        for row in &sample.guards {
            let known = self.trial.guards.iter_mut();
            let Some(sum) = known.into_iter().find(|g| g.guard == *row.guard) else {
                continue;
            };
            row.mode.as_ref().clone_into(&mut sum.mode);
            sum.done += row.done;
            sum.would += row.would;
            sum.needless += row.needless;
            worst(&mut sum.worst, sample, row.done + row.would);
        }
        add_guarded(&mut self.who, &sample.guarded);
        for server in &sample.servers {
            self.server(&server.upstream, &server.line, sample);
        }
    }

    fn server(&mut self, upstream: &str, line: &LineSample, sample: &Sample) {
        if self.servers.len() >= SERVERS_MAX && !self.servers.contains_key(upstream) {
            return;
        }
        let sum = self.servers.entry(upstream.to_owned()).or_default();
        upstream.clone_into(&mut sum.upstream);
        line.state.as_ref().clone_into(&mut sum.state);
        sum.line = line.line;
        sum.used_most = sum.used_most.max(line.used_most).max(line.used);
        sum.held_ms += u64::from(line.held_ms);
        worst(&mut sum.worst, sample, u64::from(line.held_ms));
    }

    fn finish(mut self) -> Trial {
        self.who
            .sort_by_key(|row| std::cmp::Reverse(row.done + row.would + row.kept));
        let seen_ms = self.trial.seen_ms;
        for guard in &mut self.trial.guards {
            let theirs = |row: &&GuardedSample| *row.guard == *guard.guard;
            guard.who = self.who.iter().filter(theirs).cloned().collect();
            (guard.verdict, guard.advice) = judge(guard, seen_ms);
        }
        self.trial.servers = self.servers.into_values().collect();
        self.trial
    }
}

fn worst(worst: &mut Option<Worst>, sample: &Sample, times: u64) {
    if times > worst.map_or(0, |w| w.times) {
        *worst = Some(Worst {
            at_ms: sample.at_ms,
            span_ms: u64::from(sample.span_ms),
            times,
        });
    }
}

/// Whether it may be switched on, and what to do about what it met.
fn judge(row: &GuardTrial, seen_ms: u64) -> (&'static str, String) {
    let mode = GuardMode::from_word(&row.mode);
    let guard = Guard::ALL.into_iter().find(|g| g.label() == row.guard);
    let (Some(mode), Some(guard)) = (mode, guard) else {
        return ("too early", "Nothing was measured of it yet.".to_owned());
    };
    if mode == GuardMode::Off {
        return (
            "off",
            "It does not even look: set it to \"observe\" to learn what it would do.".to_owned(),
        );
    }
    if row.would == 0 && mode == GuardMode::Enforce {
        return ("acts", format!("It acts already: {} times.", row.done));
    }
    if row.would == 0 && seen_ms < ENOUGH_MS {
        return (
            "too early",
            "It had nothing to do so far; a day at least, a week better, tells more.".to_owned(),
        );
    }
    if row.would == 0 {
        return (
            "safe",
            "It would have done nothing: safe to switch on.".to_owned(),
        );
    }
    met(guard, row)
}

/// What to say of a guard that would have acted.
fn met(guard: Guard, row: &GuardTrial) -> (&'static str, String) {
    let first = row.who.iter().find(|w| w.would > 0);
    let who = first.map_or_else(|| "these clients".to_owned(), shown);
    let would = row.would;
    match guard {
        Guard::Reclaim => (
            "mend first",
            format!(
                "{would} leases would have been taken back, most from {who}: clients that hold connections and \
                 forget them. Mend them first (`plimsoll leaks`, playbook \"leak\"), or switch it on to have \
                 that done for you: their connection ends with 25P03, and others are served."
            ),
        ),
        Guard::Shed if row.needless * 10 > would => (
            "mend first",
            format!(
                "{would} clients would have been refused at once, and {} of them were served in time after all: \
                 leave it watching. The pool of {who} is too small for its peaks (`plimsoll size`).",
                row.needless
            ),
        ),
        Guard::Shed => (
            "safe",
            format!(
                "{would} clients would have been told at once what they learned at their deadline: safe to switch \
                 on. That they wait at all is the pool of {who} (`plimsoll size`)."
            ),
        ),
        Guard::AutoSize => (
            "look",
            format!(
                "Sizes would have moved {would} times within the line. Compare SHOW ADVICE with your sizes; then \
                 it is safe to switch on."
            ),
        ),
        Guard::AutoRevert => (
            "safe",
            format!(
                "{would} changes of the settings hurt and would have been taken back: safe to switch on."
            ),
        ),
        Guard::Drift => (
            "look",
            format!(
                "The settings file was changed {would} times by somebody else than `plimsoll apply`. If a deployment \
                 writes it, that is well: switched on, each change goes through the gate. Else find out who did."
            ),
        ),
        Guard::Pin => (
            "mend first",
            format!(
                "{would} statements would have been refused (53300), most of {who}: they make session state that \
                 transaction pooling cannot carry. Give these clients a pool of their own with pool_mode = \
                 \"session\", or raise pin_share_percent, before you switch it on."
            ),
        ),
    }
}

/// Who it is, in words.
pub fn shown(row: &GuardedSample) -> String {
    let application = match &*row.application {
        "" => "clients without an application_name".to_owned(),
        name => name.to_owned(),
    };
    match row.database.is_empty() {
        true => application,
        false => format!("{application} ({} as {})", row.database, row.user),
    }
}

#[cfg(test)]
mod tests;
