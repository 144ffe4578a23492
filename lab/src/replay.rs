//! Kept cases: the row and the bundle of each, and judging them again without a server.

use crate::judge::{CALM, Row};
use control::bundle::Bundle;
use diagnose::Cause;
use events::sample::Record;
use std::path::Path;

/// Writes what a later replay needs.
pub fn keep(dir: &Path, row: &Row, bundle: &[u8]) {
    let path = dir.join(format!("case-{:03}", row.number));
    let text = serde_json::to_string_pretty(row).unwrap_or_default();
    let written = std::fs::write(path.with_extension("bundle"), bundle)
        .and_then(|()| std::fs::write(path.with_extension("json"), text));
    if let Err(error) = written {
        eprintln!("{}: {error}", path.display());
    }
}

/// The plain baseline's first answer at that moment.
pub fn plain(record: &Record, at_ms: Option<i64>) -> String {
    let mut record = record.clone();
    if let Some(at) = at_ms {
        record.seconds.retain(|sample| sample.at_ms <= at);
        record.markers.retain(|marker| marker.at_ms <= at);
    }
    diagnose::plain(&record).map_or(CALM.to_owned(), |cause: Cause| cause.label().to_owned())
}

/// The rows of a directory, judged again by the rules of this build.
pub fn rows(dir: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let Ok(mut row) = serde_json::from_str::<Row>(&text) else {
            continue;
        };
        match Bundle::read(&path.with_extension("bundle")) {
            Ok(bundle) => {
                let verdict = diagnose::diagnose(&bundle.record, row.judged_at_ms);
                let judged_at_ms = row.judged_at_ms;
                row.take(&verdict);
                row.judged_at_ms = judged_at_ms;
                row.plain = Some(plain(&bundle.record, row.judged_at_ms));
            }
            Err(error) => row.error = Some(error.to_string()),
        }
        rows.push(row);
    }
    rows.sort_by_key(|row| row.number);
    rows
}
