//! Drift of the settings file, and a change that was taken back.

use super::AlertName;
use super::engine::{Condition, Seen, clean};
use crate::{Figure, Subject, Unit};

/// A file that is being deployed differs for a moment.
const DRIFT_MS: i64 = 15_000;
/// A change that was taken back is shown for so many minutes.
const SHOWN_MINUTES: i64 = 60;

pub(super) fn look(seen: &Seen<'_>, found: &mut Vec<Condition>) {
    if let Some(since_ms) = seen.facts.drift_since_ms {
        let age_s = ((seen.now_ms - since_ms) / 1_000).max(0) as f64;
        let summary = String::from(
            "The settings file says something that does not serve and was not applied",
        );
        found.push(
            Condition::new(AlertName::SettingsDrift, subject("file"), summary)
                .lasting(DRIFT_MS, 15_000)
                .figure(Figure::new("differs_for", age_s, Unit::Seconds))
                .step("See what differs", "plimsoll plan")
                .step(
                    "Follow the steps for this alert",
                    "plimsoll playbook PlimsollSettingsDrift",
                ),
        );
    }
    if let Some(change) = seen.facts.rolled_back
        && seen.now_ms - change.at_ms < seen.minutes(SHOWN_MINUTES)
    {
        let version = match change.version {
            0 => String::from("A change of settings"),
            n => format!("Version {n} of the settings"),
        };
        let summary = format!("{version} was taken back: {}", clean(&change.why));
        found.push(
            Condition::new(AlertName::SettingsRolledBack, subject("version"), summary)
                .lasting(0, 1_000)
                .figure(Figure::new("version", change.version as f64, Unit::Count))
                .step(
                    "See the change and why it was taken back",
                    "plimsoll history",
                )
                .step(
                    "Follow the steps for this alert",
                    "plimsoll playbook PlimsollSettingsRolledBack",
                ),
        );
    }
}

fn subject(what: &str) -> Subject {
    Subject {
        setting: what.to_owned(),
        ..Subject::default()
    }
}
