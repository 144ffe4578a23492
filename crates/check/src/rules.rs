//! The rules: facts in, findings out. One file each family.

mod changes;
mod drivers;
mod fleet;
mod limits;
mod servers;
mod sessions;
mod texts;
mod times;

pub(crate) use drivers::watched;

use crate::engine::Options;
use crate::facts::Facts;
use crate::files::Files;
use crate::finding::{Finding, Severity};

/// A rule. Its page is `docs/rules/ID.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name in every output and in suppressions.
    pub id: &'static str,
    /// How bad it usually is.
    pub severity: Severity,
    /// What it says, in one line.
    pub title: &'static str,
}

macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $title:literal;)*) => {
        $(
            #[doc = $title]
            pub(crate) static $name: Rule = Rule {
                id: $id,
                severity: Severity::$severity,
                title: $title,
            };
        )*
        /// All rules, by topic.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    LIMIT_UNLIMITED "limit-unlimited" Error "a pool has no limit";
    LIMIT_MISSING "limit-missing" Warning "nothing bounds the connections of a pooler to its server as a whole";
    SIZE_OVER_SERVER "size-over-server" Error "one pool asks for more than the server has";
    FLEET_OVER_SERVER "fleet-over-server" Error "all copies together ask for more than the server has";
    POOL_TOO_SMALL "pool-too-small" Error "a pool is smaller than what its own process asks of it";
    MIN_ABOVE_MAX "min-above-max" Error "the minimum of a pool is above its maximum";
    WAIT_UNBOUNDED "wait-unbounded" Warning "whoever waits for a connection waits without an end";
    STATEMENT_UNBOUNDED "statement-unbounded" Note "no statement has a time limit";
    IDLE_TRANSACTION_UNBOUNDED "idle-transaction-unbounded" Warning "a transaction in which nothing happens may hold its connection for ever";
    TIMEOUT_ORDER "timeout-order" Warning "a timeout ends before the one that it contains";
    LIFETIME_UNBOUNDED "lifetime-unbounded" Note "connections are never replaced";
    IDLE_BEYOND_FIREWALL "idle-beyond-firewall" Warning "idle connections are kept longer than firewalls remember them";
    LEAK_DETECTION_OFF "leak-detection-off" Note "a borrowed connection that never comes back is not reported";
    TRANSACTION_POOLING "transaction-pooling" Error "the application needs its session, and the pooler lends by transaction";
    CHANGED_MUCH "changed-much" Error "a limit changed by a large factor";
    VALUES_DIFFER "values-differ" Note "environments that should be alike are not";
    DRIVER_FAULT "driver-fault" Warning "this version of a driver or pool has a known fault in its handling of connections";
    SECRET_IN_FILE "secret-in-file" Warning "a secret stands in the file";
    VALUE_ODD "value-odd" Error "a value cannot mean what was meant";
    KEY_UNREAD "key-unread" Warning "nothing reads this setting";
    KEY_RENAMED "key-renamed" Warning "a setting stands there under its old name";
    SERVER_DIFFERS "server-differs" Warning "the server runs with other settings than its files say";
    UNREADABLE "unreadable" Error "the file could not be read";
    SUPPRESSION "suppression" Warning "a suppression does not hold";
}

/// Runs them all.
pub(crate) fn run(files: &Files, facts: &Facts, options: &Options) -> Vec<Finding> {
    let mut out = Vec::new();
    if let Some(before) = &options.before {
        changes::since(facts, before, &mut out);
    }
    changes::between(files, facts, &mut out);
    limits::run(facts, options, &mut out);
    fleet::run(facts, options, &mut out);
    times::run(facts, &mut out);
    sessions::run(facts, &mut out);
    servers::run(facts, &mut out);
    drivers::run(facts, &mut out);
    texts::run(facts, &mut out);
    out
}
