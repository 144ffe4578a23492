//! What changed between two looks, worth a line across every chart: settings,
//! secrets, servers and their lines.

use crate::settings::Figures;
use events::sample::{Marker, MarkerKind, Name};
use events::snapshot::{BudgetRow, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The line's own wobble is no change: others come and go.
const LINE_SHARE_MIN: u32 = 10;

/// What was seen at the last look.
#[derive(Default)]
pub(super) struct Noticing {
    seen: bool,
    sizes: BTreeMap<(String, String), u32>,
    rotations: u64,
    refused_secrets: u64,
    started_at: BTreeMap<String, (i64, bool)>,
    lines: BTreeMap<String, (u32, u32)>,
    drift: bool,
    /// When the keeper told of other settings.
    told_ms: i64,
}

/// Sizes follow what the keeper tells within this time: it is told once.
const FOLLOWS_MS: i64 = 5_000;

impl Noticing {
    pub(super) fn look(
        &mut self,
        now: &Snapshot,
        settings: Option<&Figures>,
        at_ms: i64,
    ) -> Vec<Marker> {
        let mut notes = Notes {
            at_ms,
            markers: Vec::new(),
        };
        self.settings(settings, &mut notes);
        self.secrets(now, &mut notes);
        self.servers(now, &mut notes);
        self.lines(&now.budgets, &mut notes);
        self.sizes(now, &mut notes);
        let first = !std::mem::replace(&mut self.seen, true);
        if first {
            notes.markers.retain(|m| m.kind == MarkerKind::Settings);
        }
        notes.markers
    }

    fn settings(&mut self, settings: Option<&Figures>, notes: &mut Notes) {
        let Some(figures) = settings else { return };
        for change in figures.take_news() {
            let kind = match change.rolled_back {
                true => MarkerKind::RolledBack,
                false => MarkerKind::Settings,
            };
            notes.add(kind, "", change.text, &change.actor);
            self.told_ms = notes.at_ms;
        }
        let drift = figures
            .flags()
            .iter()
            .any(|(name, on)| *name == "drift" && *on);
        if drift && !self.drift {
            notes.add(
                MarkerKind::Drift,
                "",
                "the settings file says what does not serve".to_owned(),
                "",
            );
        }
        self.drift = drift;
    }

    fn secrets(&mut self, now: &Snapshot, notes: &mut Notes) {
        let sum = |rows: &[(&'static str, u64)]| rows.iter().map(|(_, n)| n).sum::<u64>();
        let (taken, refused) = (sum(&now.secrets.rotations), sum(&now.secrets.refused));
        if taken > self.rotations {
            notes.add(
                MarkerKind::Secret,
                "",
                "a secret or certificate was rotated".to_owned(),
                "",
            );
        }
        if refused > self.refused_secrets {
            let text = "a new secret or certificate was refused: the old one stays".to_owned();
            notes.add(MarkerKind::Secret, "", text, "");
        }
        (self.rotations, self.refused_secrets) = (taken, refused);
    }

    fn servers(&mut self, now: &Snapshot, notes: &mut Notes) {
        for row in &now.upstreams {
            let Some(activity) = &row.activity else {
                continue;
            };
            let state = (activity.started_at_unix, activity.in_recovery);
            let before = self.started_at.insert(row.upstream.clone(), state);
            let Some((started, standby)) = before else {
                continue;
            };
            if started != state.0 {
                let text = "the database server was restarted, or is another one".to_owned();
                notes.add(MarkerKind::Server, &row.upstream, text, "");
            }
            if standby != state.1 {
                let what = if state.1 {
                    "is a standby now"
                } else {
                    "is a primary now"
                };
                let text = format!("the database server {what}");
                notes.add(MarkerKind::Server, &row.upstream, text, "");
            }
        }
    }

    fn lines(&mut self, budgets: &[BudgetRow], notes: &mut Notes) {
        for row in budgets.iter().filter(|row| row.max_connections > 0) {
            let now = (row.max_connections, row.line);
            let Some((limit, line)) = self.lines.get(&row.upstream).copied() else {
                self.lines.insert(row.upstream.clone(), now);
                continue;
            };
            let far = line.abs_diff(row.line) * 100 >= LINE_SHARE_MIN * line.max(1);
            if limit != row.max_connections {
                let text = format!("max_connections: {limit} → {}", row.max_connections);
                notes.add(MarkerKind::Line, &row.upstream, text, "");
            } else if far {
                let others = row.others;
                let text = format!("line: {line} → {} (others hold {others})", row.line);
                notes.add(MarkerKind::Line, &row.upstream, text, "");
            } else {
                continue;
            }
            self.lines.insert(row.upstream.clone(), now);
        }
    }

    /// A fixed pool's size says that settings changed, also where no keeper told.
    fn sizes(&mut self, now: &Snapshot, notes: &mut Notes) {
        for row in now.pools.iter().filter(|row| row.sizing.is_none()) {
            let key = (row.database.clone(), row.user.clone());
            let before = self.sizes.insert(key, row.size);
            let told = notes.at_ms.saturating_sub(self.told_ms) <= FOLLOWS_MS;
            let told = told && self.told_ms > 0;
            if let Some(before) = before.filter(|before| *before != row.size && !told) {
                let whose = format!("{}/{}", row.database, row.user);
                let text = format!("pool size: {before} → {}", row.size);
                notes.add(MarkerKind::Settings, &whose, text, "");
            }
        }
        if self.sizes.len() > 2 * now.pools.len() + 16 {
            self.sizes.clear();
        }
    }
}

struct Notes {
    at_ms: i64,
    markers: Vec<Marker>,
}

impl Notes {
    fn add(&mut self, kind: MarkerKind, subject: &str, text: String, actor: &str) {
        self.markers.push(Marker {
            at_ms: self.at_ms,
            kind,
            subject: Arc::from(subject),
            text,
            actor: Name::from(actor),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::snapshot::PoolRow;

    fn sized(size: u32) -> Snapshot {
        Snapshot {
            pools: vec![PoolRow {
                database: "shop".into(),
                user: "web".into(),
                size,
                ..PoolRow::default()
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_size_that_changed_is_noticed_once() {
        let mut noticing = Noticing::default();
        assert_eq!(noticing.look(&sized(20), None, 1), []);
        assert_eq!(noticing.look(&sized(20), None, 2), []);
        let markers = noticing.look(&sized(2), None, 3);
        let texts: Vec<&str> = markers.iter().map(|m| m.text.as_str()).collect();
        assert_eq!(texts, ["pool size: 20 → 2"]);
        assert_eq!(noticing.look(&sized(2), None, 4), []);
    }

    #[test]
    fn a_wobbling_line_is_no_change_and_a_fallen_one_is() {
        let line = |line| Snapshot {
            budgets: vec![BudgetRow {
                upstream: "db".into(),
                max_connections: 100,
                line,
                ..BudgetRow::default()
            }],
            ..Snapshot::default()
        };
        let mut noticing = Noticing::default();
        let seen: Vec<usize> = [90, 89, 88, 90, 60, 61]
            .into_iter()
            .map(|n| noticing.look(&line(n), None, 0).len())
            .collect();
        assert_eq!(seen, [0, 0, 0, 0, 1, 0]);
    }
}
