//! What came last before it was over.

use super::{Entry, EntryKind, Incident};
use crate::{Cause, Subject, safe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change that fits the cause is looked for within this time before the recovery.
const FITTING_MS: i64 = 15 * 60_000;
/// Any other change within this.
const NEAR_MS: i64 = 3 * 60_000;
/// A change is noticed up to a second or two after it acted.
const SLACK_MS: i64 = 3_000;

/// What ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A change that fits the cause came shortly before.
    Change,
    /// Some change came shortly before; nothing says that it mattered.
    Perhaps,
    /// Nothing was seen that changed.
    #[default]
    Itself,
}

/// What ended it, as far as that is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ended {
    /// When clients were well again.
    pub recovered_ms: i64,
    /// What kind of end.
    pub by: EndedBy,
    /// The change.
    pub change: Option<Entry>,
}

impl Ended {
    /// Looks back from the recovery.
    pub(super) fn of(incident: &Incident, resolved_ms: i64) -> Ended {
        let hurt = incident.impact.hurt_last_ms;
        let recovered_ms = hurt.map_or(resolved_ms, |at| at.min(resolved_ms));
        let cause = incident.cause();
        let kinds = cause.map_or(&[][..], |c| fitting(c.cause));
        let nothing = Subject::default();
        let subject = cause.map_or(&nothing, |c| &c.subject);
        let within = |entry: &&Entry, span: i64| {
            let from = incident.onset_ms.max(recovered_ms - span);
            entry.kind.is_change()
                && entry.at_ms > from
                && entry.at_ms <= recovered_ms + SLACK_MS
                && touches(entry, subject)
        };
        let latest = |span: i64, fits: &dyn Fn(&Entry) -> bool| {
            let mut entries = incident.timeline.iter().rev();
            entries.find(|e| within(e, span) && fits(e)).cloned()
        };
        // The change that is blamed is no remedy, however near it stands.
        let blamed = cause.and_then(|c| c.change.clone());
        let other = |e: &Entry| blamed.as_ref() != Some(e);
        let fit = latest(FITTING_MS, &|e| kinds.contains(&e.kind) && other(e));
        let (by, change) = match fit {
            Some(change) => (EndedBy::Change, Some(change)),
            None => match latest(NEAR_MS, &other) {
                Some(change) => (EndedBy::Perhaps, Some(change)),
                None => (EndedBy::Itself, None),
            },
        };
        Ended {
            recovered_ms,
            by,
            change,
        }
    }
}

/// What kinds of change could end this cause.
const fn fitting(cause: Cause) -> &'static [EntryKind] {
    use EntryKind::{Action, Guard, Release, Secret, Server, Settings};
    match cause {
        Cause::LimitTooSmall | Cause::LimitTooLarge | Cause::Growth | Cause::SettingsChange => {
            &[Settings, Action, Guard]
        }
        Cause::UpstreamPoolTooSmall | Cause::UpstreamLeak => &[Release, Action],
        Cause::Leak => &[Guard, Release, Action],
        Cause::SlowStatements | Cause::Locks => &[Action, Release, Server],
        Cause::ServerSaturated => &[Server, Action, Settings, Release],
        Cause::Network | Cause::PoolerStarved => &[Action],
        Cause::AbusiveSource | Cause::ConnectionStorm => &[Action, Release, Settings, Guard],
        Cause::DatabaseDown => &[Server, Settings, Action],
        Cause::Credentials => &[Secret, Settings, Action],
        Cause::BudgetSqueezed => &[Server, Settings, Action],
    }
}

/// A change of somebody else's application or database is none of this one's.
fn touches(entry: &Entry, subject: &Subject) -> bool {
    let ours = [
        &subject.application,
        &subject.database,
        &subject.user,
        &subject.server,
        &subject.setting,
    ];
    let known = ours.iter().any(|name| !name.is_empty());
    if entry.subject.is_empty() || !known {
        return true;
    }
    // What an application is released as says nothing of a database, and the
    // reverse: only names of the same kind can differ.
    let named = |name: &str| entry.subject == safe::name(name);
    match entry.kind {
        EntryKind::Release => subject.application.is_empty() || named(&subject.application),
        EntryKind::Server => subject.server.is_empty() || named(&subject.server),
        _ => {
            let pool = format!("{}/{}", subject.database, subject.user);
            subject.database.is_empty()
                || named(&pool)
                || !entry.subject.contains('/')
                || ours.iter().any(|name| !name.is_empty() && named(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finding, State, Verdict};

    fn incident(cause: Cause, changes: &[(i64, EntryKind, &str)]) -> Incident {
        let mut incident = Incident {
            onset_ms: 0,
            ..Incident::default()
        };
        incident.think(&Verdict {
            at_ms: 1_000,
            state: State::Hurt,
            findings: vec![Finding {
                cause,
                sure: 90,
                subject: Subject {
                    database: "shop".into(),
                    user: "web".into(),
                    application: "coupons".into(),
                    ..Subject::default()
                },
                text: String::new(),
                figures: Vec::new(),
                change: None,
                next: Vec::new(),
            }],
            ..Verdict::default()
        });
        for (at_s, kind, subject) in changes {
            incident.enter(Entry {
                subject: (*subject).to_owned(),
                ..Entry::new(at_s * 1_000, *kind, "a change")
            });
        }
        incident
    }

    #[test]
    fn the_nearest_change_that_fits_is_what_ended_it() {
        type Row = (
            Cause,
            &'static [(i64, EntryKind, &'static str)],
            EndedBy,
            Option<i64>,
        );
        let table: [Row; 6] = [
            (
                Cause::Leak,
                &[
                    (100, EntryKind::Release, "coupons"),
                    (590, EntryKind::Settings, ""),
                ],
                EndedBy::Change,
                Some(100),
            ),
            (
                Cause::Leak,
                &[(590, EntryKind::Release, "search")],
                EndedBy::Itself,
                None,
            ),
            (
                Cause::SettingsChange,
                &[
                    (500, EntryKind::Settings, ""),
                    (590, EntryKind::Settings, ""),
                ],
                EndedBy::Change,
                Some(590),
            ),
            (
                Cause::SettingsChange,
                &[(590, EntryKind::Settings, "other/api")],
                EndedBy::Itself,
                None,
            ),
            (
                Cause::Network,
                &[(590, EntryKind::Settings, "")],
                EndedBy::Perhaps,
                Some(590),
            ),
            // After the recovery.
            (
                Cause::SettingsChange,
                &[(700, EntryKind::Settings, "")],
                EndedBy::Itself,
                None,
            ),
        ];
        for (cause, changes, by, at_s) in table {
            let ended = Ended::of(&incident(cause, changes), 600_000);
            let at = ended.change.map(|e| e.at_ms / 1_000);
            assert_eq!((ended.by, at), (by, at_s), "{cause:?} {changes:?}");
        }
    }
}
