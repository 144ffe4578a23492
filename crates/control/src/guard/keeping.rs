//! The part of [`Guard`] that writes down and counts.

use super::{For, Guard, News, Record, Verdict};
use crate::settings::store::{StoreError, now_ms};

impl Guard {
    /// Writes something down; `None`: the history could not take it.
    pub(super) fn record(&mut self, record: &Record<'_>) -> Option<u64> {
        match self.store.record(record) {
            Ok(number) => {
                if let Some((lost, why)) = self.unrecorded.take() {
                    let reason =
                        format!("{lost} changes before this one could not be written down: {why}");
                    let gap = Record {
                        what: "gap",
                        reason: &reason,
                        ..Record::of(record.path)
                    };
                    if self.store.record(&gap).is_err() {
                        self.unrecorded = Some((lost, why));
                    }
                }
                Some(number)
            }
            Err(error) => {
                self.lost(1, &error);
                None
            }
        }
    }

    /// The alert goes on; the history will say what it lacks.
    pub(super) fn lost(&mut self, changes: u64, error: &StoreError) {
        let before = self.unrecorded.take();
        if before.is_none() {
            tracing::error!(%error, "the guard's history cannot be written; alerts go on");
        }
        let so_far = before.map_or(0, |(n, _)| n);
        self.unrecorded = Some((so_far + changes, error.to_string()));
    }

    pub(super) fn count(&mut self, news: &[News]) {
        let Ok(mut figures) = self.figures.lock() else {
            return;
        };
        figures.looked_ms = now_ms();
        figures.unrecorded = self.unrecorded.as_ref().map_or(0, |(n, _)| *n);
        figures.server_silent = self.server_fault.is_some();
        for one in news {
            match one {
                News::Drift { .. } | News::Vanished { .. } => figures.drifts += 1,
                News::Restored { .. } => figures.restores += 1,
                News::NotRestored { .. } => figures.not_restored += 1,
                _ => {}
            }
        }
        figures.files = self
            .files
            .iter()
            .map(|(path, file)| {
                let well = matches!(file.verdict, Some(Verdict::Same | Verdict::Adopt));
                (path.display().to_string(), !well)
            })
            .collect();
        figures.waiting = [For::Reload, For::Restart, For::Correction]
            .map(|kind| self.waiting.keys().filter(|w| w.waits_for == kind).count() as u64);
    }
}
