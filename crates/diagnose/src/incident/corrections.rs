//! What would keep it from happening again, and what would prove that it does.

use crate::Cause;
use crate::alert::AlertName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One item of the task list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Correction {
    /// What to do.
    pub text: String,
    /// What proves that it was done, and works.
    pub proof: Proof,
}

/// What proves a correction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Proof {
    /// A rule of `plimsoll check`, by its name: it finds nothing.
    Rule(String),
    /// A setting, by its name in plimsoll.toml: it has this value.
    Setting(String, String),
    /// A built-in alert: it reaches the team, in time.
    Alert(AlertName),
    /// A command that ends well.
    Command(String),
    /// A rehearsal, in words: what is tried, and what must come of it.
    Rehearsal(String),
}

/// A row of the table: what to do and how it is proven.
type Row = (&'static str, Said);

/// A proof, as it stands in the table.
#[derive(Clone, Copy)]
enum Said {
    Rule(&'static str),
    Setting(&'static str, &'static str),
    Alert(AlertName),
    Command(&'static str),
    Rehearsal(&'static str),
}

use Said::{Command, Rehearsal, Rule, Setting};

/// The same load where it hurts nobody.
const AT_THIS_LOAD: &str = "this load on a test system, with these settings, raises no alert";
/// Nothing stays held.
const NOTHING_HELD: &str =
    "when the application's tests are over, `SHOW LEASES` names no lease of theirs";
/// People, not machines.
const ON_CALL: &str =
    "the same fault on a test system: whoever is on call names the cause by `plimsoll diagnose`";

/// Whatever the cause was.
const ALWAYS: &[Row] = &[
    (
        "Go through this report with all teams concerned, and finish what is left to people in it.",
        Command("plimsoll incident report ID"),
    ),
    (
        "Practise this outage once with whoever is on call.",
        Rehearsal(ON_CALL),
    ),
];

/// What belongs to each cause.
const fn rows(cause: Cause) -> &'static [Row] {
    match cause {
        Cause::LimitTooSmall => LIMIT_TOO_SMALL,
        Cause::LimitTooLarge => LIMIT_TOO_LARGE,
        Cause::UpstreamPoolTooSmall => UPSTREAM_POOL_TOO_SMALL,
        Cause::UpstreamLeak => UPSTREAM_LEAK,
        Cause::Leak => LEAK,
        Cause::Growth => GROWTH,
        Cause::SettingsChange => SETTINGS_CHANGE,
        Cause::SlowStatements => SLOW_STATEMENTS,
        Cause::Locks => LOCKS,
        Cause::ServerSaturated => SERVER_SATURATED,
        Cause::Network => NETWORK,
        Cause::AbusiveSource => ABUSIVE_SOURCE,
        Cause::ConnectionStorm => CONNECTION_STORM,
        Cause::DatabaseDown => DATABASE_DOWN,
        Cause::Credentials => CREDENTIALS,
        Cause::BudgetSqueezed => BUDGET_SQUEEZED,
        Cause::PoolerStarved => POOLER_STARVED,
    }
}

const LIMIT_TOO_SMALL: &[Row] = &[
    (
        "Size the pool from rates and times, with room for peaks.",
        Command("plimsoll size"),
    ),
    (
        "Check in CI that no pool is smaller than what its processes ask of it.",
        Rule("pool-too-small"),
    ),
    (
        "Let the size follow demand, within the line.",
        Setting("pool.size", "\"auto\""),
    ),
    (
        "See to it that the early alert reaches the team.",
        Said::Alert(AlertName::PoolTooSmall),
    ),
    (
        "Rehearse peak load before each change of limits.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const LIMIT_TOO_LARGE: &[Row] = &[
    (
        "Bound every pool by a number that the server can work on.",
        Rule("size-over-server"),
    ),
    ("Leave no pool without a limit.", Rule("limit-unlimited")),
    (
        "Check that all copies of the application together stay below the server's limit.",
        Rule("fleet-over-server"),
    ),
    (
        "Let the server's own figures draw the line.",
        Setting("server.monitor_user", "a user that may read them"),
    ),
    (
        "Rehearse a surge, and find the size beyond which the server gets slower.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const UPSTREAM_POOL_TOO_SMALL: &[Row] = &[
    (
        "Give the application's own pool as many connections as it has threads that use them.",
        Rule("pool-too-small"),
    ),
    (
        "Check the application's settings in its own CI, against the last release.",
        Rule("changed-much"),
    ),
    (
        "See to it that the alert about the application's pool reaches its team.",
        Said::Alert(AlertName::LimitUpstream),
    ),
    (
        "Rehearse the application's peak before its release.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const UPSTREAM_LEAK: &[Row] = &[
    (
        "Release connections after every transaction, also after errors.",
        Rehearsal(NOTHING_HELD),
    ),
    (
        "Turn on the leak detection of the application's own pool.",
        Rule("leak-detection-off"),
    ),
    (
        "Run the application's tests under the leak test in CI.",
        Rehearsal(NOTHING_HELD),
    ),
    (
        "See to it that the alert about the application's pool reaches its team.",
        Said::Alert(AlertName::LimitUpstream),
    ),
];

const LEAK: &[Row] = &[
    (
        "Release connections after every transaction, also after errors, in the code that is named above.",
        Rehearsal(NOTHING_HELD),
    ),
    (
        "Run the application's tests under the leak test in CI.",
        Rehearsal(NOTHING_HELD),
    ),
    (
        "Let leaks be taken back while others wait.",
        Setting("guards.reclaim", "\"enforce\""),
    ),
    (
        "Bound transactions in which nothing happens.",
        Rule("idle-transaction-unbounded"),
    ),
    (
        "See to it that the alert about leaks reaches the application's team.",
        Said::Alert(AlertName::Leak),
    ),
];

const GROWTH: &[Row] = &[
    (
        "Raise the limit within the line, from rates and times.",
        Command("plimsoll size"),
    ),
    (
        "Let the size follow demand, within the line.",
        Setting("pool.size", "\"auto\""),
    ),
    (
        "See to it that the forecast reaches the team while there is time.",
        Said::Alert(AlertName::PoolExhaustionForecast),
    ),
    ("Rehearse next quarter's traffic.", Rehearsal(AT_THIS_LOAD)),
];

const SETTINGS_CHANGE: &[Row] = &[
    (
        "Check every change of settings in CI, against the version that serves.",
        Rule("changed-much"),
    ),
    (
        "Let a change that hurts be taken back by itself.",
        Setting("guards.auto_revert", "\"enforce\""),
    ),
    (
        "Look at the plan, with its prediction, before a change is applied.",
        Command("plimsoll plan --detailed-exitcode"),
    ),
    (
        "Let nothing but the gate change the settings: an overwritten file is held.",
        Setting("guards.drift", "\"enforce\""),
    ),
    (
        "See to it that drift reaches whoever deploys.",
        Said::Alert(AlertName::SettingsDrift),
    ),
];

const SLOW_STATEMENTS: &[Row] = &[
    (
        "Bound how long a single statement may take.",
        Rule("statement-unbounded"),
    ),
    (
        "Find what made the statements slower: a release, a plan, a missing index.",
        Command("plimsoll diagnose"),
    ),
    (
        "Rehearse the statements with data as large as production's.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const LOCKS: &[Row] = &[
    (
        "Bound transactions in which nothing happens: they keep their locks.",
        Rule("idle-transaction-unbounded"),
    ),
    (
        "Let migrations give up early when they do not get a lock (lock_timeout).",
        Rehearsal("a migration on a test system that meets a held lock gives up by itself"),
    ),
    (
        "See to it that waits beyond the objective reach the team.",
        Said::Alert(AlertName::WaitObjective),
    ),
];

const SERVER_SATURATED: &[Row] = &[
    (
        "Bound the load by what the server can work on.",
        Rule("size-over-server"),
    ),
    (
        "Tell how many cores the server has, so that sizes start from there.",
        Setting("server.cores", "the number of its cores"),
    ),
    (
        "Find by load tests where the server ends.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const NETWORK: &[Row] = &[
    (
        "Let dead peers be noticed within a minute and a half.",
        Setting("tcp.keepalive_idle", "\"60s\""),
    ),
    (
        "Close idle connections before firewalls forget them.",
        Rule("idle-beyond-firewall"),
    ),
];

const ABUSIVE_SOURCE: &[Row] = &[
    (
        "Bound how many clients one user may have.",
        Setting("clients.max_per_user", "a number"),
    ),
    (
        "Refuse early who would wait in vain.",
        Setting("guards.shed", "\"enforce\""),
    ),
    (
        "Rehearse a flood by one application beside normal traffic.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const CONNECTION_STORM: &[Row] = &[
    (
        "Let clients keep their connections, and retry with growing pauses.",
        Rule("lifetime-unbounded"),
    ),
    (
        "Bound how many connections are opened at the server at a time.",
        Setting("server.connects_max", "a small number"),
    ),
    (
        "Rehearse that all clients connect at once.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

const DATABASE_DOWN: &[Row] = &[
    (
        "See to it that a refusing server reaches the database team at once.",
        Said::Alert(AlertName::ServerRefusing),
    ),
    (
        "Bound every wait, so that clients get an answer while the server is away.",
        Rule("wait-unbounded"),
    ),
    ("Practise a failover with traffic.", Rehearsal(ON_CALL)),
];

const CREDENTIALS: &[Row] = &[
    (
        "Rotate secrets and certificates before they end.",
        Said::Alert(AlertName::CredentialFailing),
    ),
    (
        "Keep secrets beside the settings, not in them, so that a rotation is no change of settings.",
        Rule("secret-in-file"),
    ),
];

const BUDGET_SQUEEZED: &[Row] = &[
    (
        "Bound what else connects to the server: other poolers, jobs, people.",
        Rule("fleet-over-server"),
    ),
    (
        "Let the line follow what others hold.",
        Setting("server.monitor_user", "a user that may read it"),
    ),
    (
        "See to it that a squeezed budget reaches the database team.",
        Said::Alert(AlertName::BudgetSqueezed),
    ),
];

const POOLER_STARVED: &[Row] = &[
    (
        "Give the pooler processor time of its own: a larger quota, or a machine without other load.",
        Command("plimsoll diagnose"),
    ),
    (
        "Rehearse peak load on the machine that the pooler runs on.",
        Rehearsal(AT_THIS_LOAD),
    ),
];

/// Where the cause is unknown: what would make it known the next time.
const UNKNOWN: &[Row] = &[
    (
        "Give the monitor user the grants that the diagnosis lacked (listed above).",
        Setting("server.monitor_user", "a user that may read them"),
    ),
    (
        "Send the recorded hour to somebody who can say more.",
        Command("plimsoll bundle"),
    ),
];

/// The task list for a cause.
pub(super) fn of(cause: Option<Cause>, id: &str) -> Vec<Correction> {
    let own = cause.map_or(UNKNOWN, rows);
    let said = |(text, said): &Row| Correction {
        text: (*text).to_owned(),
        proof: match *said {
            Said::Rule(rule) => Proof::Rule(rule.to_owned()),
            Said::Setting(name, value) => Proof::Setting(name.to_owned(), value.to_owned()),
            Said::Alert(alert) => Proof::Alert(alert),
            Said::Command(command) => Proof::Command(command.replace(" ID", &format!(" {id}"))),
            Said::Rehearsal(words) => Proof::Rehearsal(words.to_owned()),
        },
    };
    own.iter().chain(ALWAYS).map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_settings_that_are_named_exist() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a page");
        let settings = read("docs/settings.md");
        for cause in Cause::ALL.iter().copied().map(Some).chain([None]) {
            let items = of(cause, "X");
            assert!(items.len() > ALWAYS.len(), "{cause:?}");
            for item in items {
                match item.proof {
                    Proof::Rule(rule) => {
                        read(&format!("docs/rules/{rule}.md"));
                    }
                    Proof::Setting(name, _) => {
                        assert!(settings.contains(&format!("`{name}`")), "{name}");
                    }
                    Proof::Command(command) => {
                        let known = ["size", "plan", "diagnose", "bundle", "incident"];
                        let word = command.strip_prefix("plimsoll ").expect("ours");
                        let word = word.split(' ').next().unwrap_or_default();
                        assert!(known.contains(&word), "{command}");
                    }
                    Proof::Alert(_) | Proof::Rehearsal(_) => {}
                }
            }
        }
    }
}
