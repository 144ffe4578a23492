//! What is told of the way to etcd: in the log when it changes, in figures always.

use crate::registry::UpstreamCell;
use events::Time;
use events::snapshot::LedgerRow;
use pool::LedgerFigures;
use pool::ledger::{Erased, TakenOut};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// A way that fails for so long is told of, and again after as long.
const PATIENCE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(60);
/// Longest reason that is kept.
const REASON_MAX: usize = 300;

impl UpstreamCell {
    /// Its ledger's way, for a moment.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keeper has given their shares to the others.
pub(super) fn taken_out(server: &str, rows: &[TakenOut]) {
    for row in rows {
        tracing::warn!(
            server,
            instance = format!("{:08x}", row.instance),
            share = row.claim,
            reason = %row.why,
            "an instance is gone without a word: its share is free for the others"
        );
    }
}

/// The way of one server's ledger. Touched by the ledger's thread, read by whoever
/// looks on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Why the last question failed; empty: it did not.
    why: String,
    since: Option<Time>,
    logged: Option<Time>,
    asked: u64,
    failed: u64,
    forgotten: u64,
}

impl Told {
    pub(super) fn asked(&mut self) {
        self.asked += 1;
    }

    pub(super) fn answered(&mut self, now: Time, server: &str) {
        if self.logged.take().is_some() {
            let away = self.since.map_or(0, |since| now.since(since).as_secs());
            tracing::info!(server, away_s = away, "etcd answers again: shares move");
        }
        self.why.clear();
        self.since = None;
    }

    /// Nothing was asked of etcd for it.
    pub(super) fn fault(&mut self, now: Time, why: &str) {
        self.why = why.chars().take(REASON_MAX).collect();
        self.since.get_or_insert(now);
    }

    pub(super) fn failed(&mut self, now: Time, server: &str, why: &str) {
        self.failed += 1;
        self.fault(now, why);
        let lasts = self.since.is_some_and(|since| now.since(since) >= PATIENCE);
        let quiet = self.logged.is_none_or(|at| now.since(at) >= AGAIN);
        if lasts && quiet {
            self.logged = Some(now);
            tracing::warn!(
                server,
                reason = self.why,
                "the ledger does not answer: shares stand and do not grow, newcomers open nothing"
            );
        }
    }

    pub(super) fn forgot(&mut self, now: Time, server: &str) {
        self.forgotten += 1;
        self.logged = Some(now);
        tracing::error!(
            server,
            reason = self.why,
            "etcd is not what it was: was a backup restored? Nothing grows for ten seconds, and each instance writes its share anew"
        );
    }

    /// Somebody has deleted keys of ours.
    pub(super) fn erased(&mut self, server: &str, reason: Erased) {
        self.forgotten += 1;
        tracing::error!(
            server,
            %reason,
            "keys of the ledger were deleted in etcd: the share stands and does not grow for ten seconds, and each instance writes its own anew"
        );
    }

    /// As people see it.
    pub(crate) fn row(&self, f: LedgerFigures) -> LedgerRow {
        let state = match f {
            _ if f.frozen => "forgotten",
            _ if f.blind => "away",
            _ if !f.joined && !self.why.is_empty() => "away",
            _ if !f.joined => "joining",
            _ if !self.why.is_empty() => "failing",
            _ => "joined",
        };
        LedgerRow {
            state,
            why: self.why.clone(),
            sits: f.sits,
            keeps: f.keeps,
            asked: self.asked,
            failed: self.failed,
            forgotten: self.forgotten,
        }
    }
}
