//! The table of drills: the five outages of the reports, then what only looks like them.

mod lookalikes;
mod outages;

use super::Drill;
use super::{Fault, Level, Path};
use diagnose::Cause;

/// In the order of the list.
pub(super) const DRILLS: &[Drill] = &[
    outages::RESTAURANT,
    outages::PRODUCT_PAGES,
    outages::MAIN_WEBSITE,
    outages::WEB_STACK,
    outages::MAIN_SERVICE,
    lookalikes::TICKETS,
    lookalikes::LEDGER,
    lookalikes::CATALOGUE,
    lookalikes::NEWSLETTER,
    lookalikes::GATE,
];

/// The network as the first idea: of 25 minutes in 000, of 10 in 004.
const NETWORK: Path = Path {
    causes: &[Cause::Network],
    actions: &["reroute"],
    what: "the network",
    why: "Connections fail and time out, and that is what a broken network does too. But a network \
          slows every statement, and the waiting here is for a connection, before anything is sent.",
};

/// Restarting the database, as in 004.
const RESTART: Path = Path {
    causes: &[Cause::DatabaseDown],
    actions: &["restart-database"],
    what: "a restart of the database",
    why: "It ends every session, so the pool is empty for a moment and things look better. \
          What filled it is still there, and everybody was cut off once more.",
};

/// Clearing caches, as in 004.
const CACHES: Path = Path {
    causes: &[],
    actions: &["clear-caches"],
    what: "clearing caches",
    why: "It is quick and feels harmless. No figure spoke for it, and afterwards each request asks the database for more.",
};

/// More connections as a reflex.
const MORE: Path = Path {
    causes: &[Cause::LimitTooSmall, Cause::Growth],
    actions: &["set-limit"],
    what: "a larger limit",
    why: "The pool is full and clients wait, so more connections look like the answer. Where the connections \
          that are there do not come back, or work slowly, more of them fill up too.",
};

#[cfg(test)]
mod tests {
    use super::super::Deed;
    use super::*;
    use diagnose::playbook;

    #[test]
    fn each_drill_is_whole() {
        for drill in DRILLS {
            let name = drill.name;
            assert!(!drill.causes.is_empty(), "{name}");
            assert!(
                drill.hints.len() >= 2,
                "{name}: a weak hint and a strong one"
            );
            assert!(drill.paths.len() >= 2, "{name}: what misleads");
            assert!(
                drill.story.len() >= 4,
                "{name}: what the report's people did"
            );
            assert!(playbook::of_cause(drill.causes[0]).is_some(), "{name}");
            for (cause, _) in drill.near {
                assert!(!drill.causes.contains(cause), "{name}: {}", cause.label());
            }
            for path in drill.paths {
                assert!(
                    !path.causes.iter().any(|c| drill.causes.contains(c)),
                    "{name}: {} misleads to the truth",
                    path.what
                );
                let offered = |word: &str| {
                    let first = |(usage, _): &(&str, &str)| usage.split(' ').next() == Some(word);
                    Deed::OFFERED.iter().any(first)
                };
                assert!(path.actions.iter().all(|a| offered(a)), "{name}");
            }
            // What is read before the answer gives no answer.
            for cause in drill.causes {
                assert!(!drill.pager.contains(cause.label()), "{name}");
                assert!(!drill.name.contains(cause.label()), "{name}");
            }
        }
        let mut names: Vec<&str> = DRILLS.iter().map(|d| d.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DRILLS.len(), "names are their own");
    }

    #[test]
    fn each_outage_of_the_reports_is_there_once() {
        for number in ["000", "001", "002", "003", "004"] {
            let of = |d: &&Drill| d.itself && d.report == number;
            assert_eq!(DRILLS.iter().filter(of).count(), 1, "{number}");
        }
    }
}
