//! Instances of one fleet serve different settings, for longer than a change takes
//! to reach all of them.

use super::engine::{Condition, Seen, clean};
use super::{AlertName, SettingsSplit};
use crate::{Figure, Subject, Unit};

/// A file reaches all instances within two minutes where a cluster carries it, and
/// one after the other watches how it does with it.
const FOR_MS: i64 = 5 * 60_000;
/// Two rollouts in a row are one split.
const QUIET_MS: i64 = 15_000;
/// Instances that are named.
const NAMED_MAX: usize = 3;

pub(super) fn look(seen: &Seen<'_>, found: &mut Vec<Condition>) {
    if let Some(split) = seen.facts.split {
        found.push(condition(split));
    }
}

fn condition(split: &SettingsSplit) -> Condition {
    // The same at each instance, so that one of them tells.
    let subject = Subject {
        setting: "fleet".into(),
        ..Subject::default()
    };
    let named = split.others.iter().take(NAMED_MAX);
    let mut others: Vec<String> = named.map(|name| clean(name)).collect();
    if let Some(more) = split.others.len().checked_sub(NAMED_MAX)
        && more > 0
    {
        others.push(format!("{more} more"));
    }
    let summary = format!(
        "{} instances serve {} different settings: {} serve{} others than {} does",
        split.instances,
        split.versions,
        others.join(", "),
        if split.others.len() == 1 { "s" } else { "" },
        clean(&split.here),
    );
    let count = |name: &str, n: u32| Figure::new(name, f64::from(n), Unit::Count);
    Condition::new(AlertName::FleetSplitSettings, subject, summary)
        .lasting(FOR_MS, QUIET_MS)
        .figure(count("versions", split.versions))
        .figure(count("instances", split.instances))
        .step("See who serves what", "plimsoll status")
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollFleetSplitSettings",
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertSettings, AlertState, Alerts, Facts};
    use events::sample::Sample;

    fn split() -> SettingsSplit {
        SettingsSplit {
            here: "shop-1:7".into(),
            others: vec!["shop-2:7".into()],
            versions: 2,
            instances: 3,
        }
    }

    /// What is told within so many seconds, each with the second.
    fn told(
        alerts: &mut Alerts,
        from: i64,
        to: i64,
        split: Option<&SettingsSplit>,
    ) -> Vec<(i64, AlertState, String)> {
        let facts = Facts {
            split,
            ..Facts::default()
        };
        let look = |second: i64| {
            let changes = alerts.look(&Sample::default(), &facts, second * 1_000);
            let told = changes
                .into_iter()
                .map(move |c| (second, c.state, c.summary));
            told.collect::<Vec<_>>()
        };
        (from..to).flat_map(look).collect()
    }

    #[test]
    fn it_is_told_when_a_rollout_would_be_over_and_ends_with_it() {
        let mut alerts = Alerts::new(AlertSettings::default());
        let one = split();
        assert_eq!(told(&mut alerts, 0, 299, Some(&one)), []);
        let begun = told(&mut alerts, 299, 310, Some(&one));
        let text =
            "3 instances serve 2 different settings: shop-2:7 serves others than shop-1:7 does";
        assert_eq!(begun, [(300, AlertState::Firing, text.to_owned())]);
        let ended = told(&mut alerts, 310, 340, None);
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!(ended[0].1, AlertState::Resolved);
    }

    #[test]
    fn a_rollout_that_reaches_all_is_no_alert() {
        let mut alerts = Alerts::new(AlertSettings::default());
        for start in [0, 600, 1_200] {
            assert_eq!(told(&mut alerts, start, start + 240, Some(&split())), []);
            assert_eq!(told(&mut alerts, start + 240, start + 600, None), []);
        }
    }

    #[test]
    fn few_are_named_and_no_name_breaks_the_line() {
        let mut alerts = Alerts::new(AlertSettings::default());
        let many = SettingsSplit {
            others: (2..9).map(|n| format!("shop\n-{n}")).collect(),
            instances: 8,
            ..split()
        };
        let begun = told(&mut alerts, 0, 310, Some(&many));
        let text = &begun[0].2;
        assert!(text.contains("4 more serve others than"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}
