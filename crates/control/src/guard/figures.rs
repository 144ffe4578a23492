//! Figures of a guard, and its page of metrics.

use crate::Health;
use crate::metrics::{Encoder, Format, Unit};
use crate::settings::store::now_ms;
use std::sync::{Arc, Mutex};

/// A look that is older than this is none: the loop hangs.
const LOOK_AGE_MAX_MS: i64 = 30_000;

/// Figures of a guard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Each file, and whether it differs from what was accepted.
    pub files: Vec<(String, bool)>,
    /// Drifts that were told.
    pub drifts: u64,
    /// Files written back.
    pub restores: u64,
    /// Files that were to be written back, and were not.
    pub not_restored: u64,
    /// Changes that the history lacks.
    pub unrecorded: u64,
    /// Settings that wait for a reload, a restart, a correction.
    pub waiting: [u64; 3],
    /// The server cannot be asked.
    pub server_silent: bool,
    /// The last look; milliseconds since 1970, UTC.
    pub looked_ms: i64,
}

/// The page of `--metrics`.
pub struct Page(pub Arc<Mutex<Figures>>);

impl Page {
    /// Its text.
    pub fn text(&self, format: Format) -> String {
        let figures = self.0.lock().map(|f| f.clone()).unwrap_or_default();
        metrics(&figures, format)
    }

    /// Whether the loop looks.
    pub fn health(&self) -> Health {
        let looked = self.0.lock().map_or(0, |f| f.looked_ms);
        match now_ms() - looked < LOOK_AGE_MAX_MS {
            true => Health::Good,
            false => Health::Bad("the guard does not look".to_owned()),
        }
    }
}

/// The figures as text.
pub fn metrics(figures: &Figures, format: Format) -> String {
    let mut e = Encoder::new(format);
    e.gauges("plimsoll_guard_files", Unit::None, "Files under guard.")
        .add(&[], figures.files.len() as u64);
    let mut drift = e.gauges(
        "plimsoll_guard_drift",
        Unit::None,
        "1 where a file differs from what was accepted, is gone or cannot be read.",
    );
    for (file, differs) in &figures.files {
        drift.add(&[("file", file)], u64::from(*differs));
    }
    let mut waiting = e.gauges(
        "plimsoll_guard_settings_waiting",
        Unit::None,
        "Settings of the server that are written and do not run, by what brings them.",
    );
    for (words, n) in ["reload", "restart", "correction"]
        .iter()
        .zip(figures.waiting)
    {
        waiting.add(&[("for", words)], n);
    }
    let counters = [
        (
            "plimsoll_guard_drifts",
            "Drifts that were told.",
            figures.drifts,
        ),
        (
            "plimsoll_guard_restores",
            "Files written back.",
            figures.restores,
        ),
        (
            "plimsoll_guard_restores_refused",
            "Files that were to be written back, and were not.",
            figures.not_restored,
        ),
    ];
    for (name, help, n) in counters {
        e.counters(name, Unit::None, help).add(&[], n);
    }
    e.gauges(
        "plimsoll_guard_unrecorded",
        Unit::None,
        "Changes that the history could not take; 0 once it says so.",
    )
    .add(&[], figures.unrecorded);
    e.gauges(
        "plimsoll_guard_server_silent",
        Unit::None,
        "1 where the server cannot be asked for its settings.",
    )
    .add(&[], u64::from(figures.server_silent));
    e.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_each_file() {
        let figures = Figures {
            files: vec![("/e/a.conf".into(), false), ("/e/b\".conf".into(), true)],
            restores: 2,
            waiting: [0, 3, 0],
            ..Figures::default()
        };
        let text = metrics(&figures, Format::OpenMetrics);
        for line in [
            "plimsoll_guard_files 2",
            "plimsoll_guard_drift{file=\"/e/a.conf\"} 0",
            "plimsoll_guard_drift{file=\"/e/b\\\".conf\"} 1",
            "plimsoll_guard_restores_total 2",
            "plimsoll_guard_settings_waiting{for=\"restart\"} 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        assert!(matches!(Page(Arc::default()).health(), Health::Bad(_)));
    }
}
