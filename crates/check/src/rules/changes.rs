//! What changed since, and what differs between environments.

use super::limits::{most, place_of};
use super::{CHANGED_MUCH, VALUES_DIFFER};
use crate::facts::{Facts, Limit, Pool};
use crate::files::Files;
use crate::finding::{Finding, Severity};
use crate::place::FileId;
use std::path::Path;

/// A limit cut to a third, or raised threefold, is more than tuning. Report 000
/// was a cut by an update.
const FACTOR: u64 = 3;

/// Words in a path that name an environment.
const ENVIRONMENTS: [&str; 8] = [
    "production",
    "prod",
    "staging",
    "stage",
    "development",
    "dev",
    "test",
    "preview",
];

/// Against the settings that serve now.
pub(super) fn since(facts: &Facts, before: &Facts, out: &mut Vec<Finding>) {
    for pool in &facts.pools {
        let same = |old: &&Pool| old.tool == pool.tool && old.name == pool.name;
        let mut olds = before.pools.iter().filter(same);
        // Two of one name cannot be told apart.
        let (Some(old), None) = (olds.next(), olds.next()) else {
            continue;
        };
        let (was, is) = (most(old), most(pool));
        if !is_far(was, is) {
            continue;
        }
        let smaller = is < was;
        let (why, help) = match smaller {
            true => (
                "normal traffic that had room before queues, and fails at its timeouts: report 000 began so",
                "smaller steps, one at a time, with a look at the waits between them",
            ),
            false => (
                "what was never measured is asked of the server at the next surge",
                "smaller steps, or a limit at the pooler",
            ),
        };
        out.push(
            Finding::new(
                &CHANGED_MUCH,
                place_of(&pool.size, pool),
                format!(
                    "`{}` may open {} connections; before it was {}",
                    pool.name,
                    words(is),
                    words(was)
                ),
            )
            .severity(match smaller {
                true => Severity::Error,
                false => Severity::Warning,
            })
            .why(why)
            .help(help),
        );
    }
}

fn is_far(was: Limit, is: Limit) -> bool {
    match (was, is) {
        (Limit::Of(was), Limit::Of(is)) => {
            is.saturating_mul(FACTOR) <= was || was.saturating_mul(FACTOR) <= is
        }
        (was, is) => was != is,
    }
}

fn words(limit: Limit) -> String {
    limit
        .number()
        .map_or("any number of".to_owned(), |n| n.to_string())
}

/// The same pool in files that differ only in the name of an environment.
pub(super) fn between(files: &Files, facts: &Facts, out: &mut Vec<Finding>) {
    let key = |file: FileId| environment(files.path(file));
    for (i, pool) in facts.pools.iter().enumerate() {
        let Some((rest, name)) = key(pool.place.file) else {
            continue;
        };
        for other in facts.pools.iter().skip(i + 1) {
            let Some((other_rest, other_name)) = key(other.place.file) else {
                continue;
            };
            let same = rest == other_rest
                && name != other_name
                && (pool.tool, &pool.name) == (other.tool, &other.name);
            if !same || pool.size.value == other.size.value {
                continue;
            }
            out.push(
                Finding::new(
                    &VALUES_DIFFER,
                    place_of(&other.size, other),
                    format!(
                        "`{}` has {} connections in {other_name}, {} in {name}",
                        pool.name,
                        words(other.size.value),
                        words(pool.size.value)
                    ),
                )
                .why("what holds in one environment says little about the other")
                .help("the same share of the server in each, or a comment that says why not")
                .beside(pool.size.place(), name.clone()),
            );
        }
    }
}

/// A path without the word for its environment, and the word.
fn environment(path: &Path) -> Option<(String, String)> {
    let text = path.to_str()?.to_ascii_lowercase();
    let word = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|part| ENVIRONMENTS.contains(part))?
        .to_owned();
    Some((text.replacen(&word, "*", 1), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_far_and_a_half_is_not() {
        for (was, is, far) in [
            (30, 10, true),
            (30, 15, false),
            (10, 30, true),
            (10, 10, false),
        ] {
            assert_eq!(is_far(Limit::Of(was), Limit::Of(is)), far, "{was} {is}");
        }
        assert!(is_far(Limit::Of(9), Limit::Unlimited));
    }

    #[test]
    fn an_environment_is_a_word_of_the_path() {
        let found = environment(Path::new("deploy/prod/pgbouncer.ini"));
        assert_eq!(
            found,
            Some(("deploy/*/pgbouncer.ini".to_owned(), "prod".to_owned()))
        );
        assert_eq!(environment(Path::new("products/pgbouncer.ini")), None);
    }
}
