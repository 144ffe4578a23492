//! Alerts, whom they concern, and who is told: `[alerts]`, `[owners]`, `[notify]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::entries::EntryKey;
use crate::error::{Problem, quoted};
use crate::plan::SecretRef;
use crate::table::{Class, Support};
use crate::value::{Kind, Value};

/// The names of the built-in alerts, for `alerts.silence`.
pub const ALERT_NAMES: &[&str] = &[
    "PlimsollPoolExhausted",
    "PlimsollPoolExhaustionForecast",
    "PlimsollPoolTooSmall",
    "PlimsollBudgetSqueezed",
    "PlimsollWaitObjective",
    "PlimsollLeak",
    "PlimsollLimitUpstream",
    "PlimsollSettingsDrift",
    "PlimsollSettingsRolledBack",
    "PlimsollFleetSplitSettings",
    "PlimsollServerRefusing",
    "PlimsollCredentialFailing",
];
/// The words of `alerts.wait_target`.
pub(crate) const TARGETS: &[&str] = &["90%", "95%", "99%", "99.5%", "99.9%", "99.95%", "99.99%"];
/// The words of `notify.NAME.kind`.
pub(crate) const NOTIFY_KINDS: &[&str] =
    &["pagerduty", "alertmanager", "slack", "webhook", "command"];
/// The words of `notify.NAME.min_severity`.
pub(crate) const SEVERITIES: &[&str] = &["info", "warning", "error", "critical"];
/// Most owners, and most notifiers.
pub(crate) const NOTIFIERS_MAX: usize = 32;
/// Longest URL, bytes.
const URL_MAX: usize = 2_048;

/// `[alerts]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alerting {
    /// Built-in alerts are looked for.
    pub enabled: bool,
    /// Names of alerts that nobody wants.
    pub silence: Vec<String>,
    /// Waits for a connection are to be no longer than this.
    pub wait_objective: Duration,
    /// The share of waits for which that is to hold, as written.
    pub wait_target: String,
    /// Where the playbook is; the section's name is added.
    pub runbook_base: String,
    /// Alerts that begin within so long of each other are one message.
    pub group_window: Duration,
    /// After a start nothing fires for so long.
    pub grace: Duration,
    /// What the playbook offers to tell people who wait; empty: its own text.
    pub status_message: String,
    /// Who looks after applications and databases, by name; `*` for all others.
    pub owners: BTreeMap<String, Ownership>,
    /// Where alerts are sent, by name.
    pub notifiers: BTreeMap<String, Notifier>,
}

impl Alerting {
    /// The share of waits that are to be within the objective.
    pub fn target(&self) -> f64 {
        let percent = self.wait_target.trim_end_matches('%').parse::<f64>();
        percent.map_or(0.999, |p| p / 100.0)
    }
}

/// Who looks after an application or a database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ownership {
    /// The team.
    pub team: Option<String>,
    /// Where it talks.
    pub channel: Option<String>,
    /// Whom to call when nobody answers.
    pub escalation: Option<String>,
}

/// Where alerts are sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notifier {
    /// One of the words of `kind`.
    pub kind: Option<String>,
    /// The address, where it is no secret.
    pub url: Option<String>,
    /// File that holds the address.
    pub url_file: Option<String>,
    /// Environment variable that holds the address.
    pub url_env: Option<String>,
    /// File that holds PagerDuty's routing key, or a bearer token.
    pub key_file: Option<String>,
    /// Environment variable that holds it.
    pub key_env: Option<String>,
    /// The command; no shell reads it.
    pub command: Option<Vec<String>>,
    /// Less severe alerts are not sent; unset: warning.
    pub min_severity: Option<String>,
    /// Only alerts of these teams; unset: of all.
    pub teams: Option<Vec<String>>,
    /// Also when an alert is over; unset: yes.
    pub resolved: Option<bool>,
    /// Authorities beside the system's that its certificate is checked against (PEM).
    pub ca_file: Option<String>,
}

impl Notifier {
    /// Where the address is kept, if it is a secret.
    pub fn url_from(&self) -> Option<SecretRef> {
        place(&self.url_file, &self.url_env)
    }

    /// Where the routing key or the token is kept.
    pub fn key_from(&self) -> Option<SecretRef> {
        place(&self.key_file, &self.key_env)
    }
}

fn place(file: &Option<String>, env: &Option<String>) -> Option<SecretRef> {
    let file = file.as_ref().map(|f| SecretRef::File(PathBuf::from(f)));
    file.or_else(|| env.clone().map(SecretRef::Env))
}

macro_rules! key {
    ($name:literal, $kind:expr, $variant:ident, $f:ident, $meaning:literal) => {
        EntryKey {
            ini: &[],
            toml: $name,
            kind: $kind,
            class: Class::PerCheckout,
            support: Support::Honoured,
            meaning: $meaning,
            set: |t, v| {
                if let Value::$variant(v) = v {
                    t.$f = Some(v);
                }
                Ok(())
            },
            get: |t| t.$f.clone().map(Value::$variant),
        }
    };
}

pub(crate) static OWNER_KEYS: &[EntryKey<Ownership>] = &[
    key!(
        "team",
        Kind::Text,
        Text,
        team,
        "Team that looks after the application or database NAME; `*` stands for all others."
    ),
    key!(
        "channel",
        Kind::Text,
        Text,
        channel,
        "Where that team talks."
    ),
    key!(
        "escalation",
        Kind::Text,
        Text,
        escalation,
        "Whom to call when nobody answers."
    ),
];

pub(crate) static NOTIFY_KEYS: &[EntryKey<Notifier>] = &[
    key!(
        "kind",
        Kind::Choice(NOTIFY_KINDS),
        Text,
        kind,
        "How alerts are sent: PagerDuty Events v2, Alertmanager's API v2, a Slack-compatible webhook, a webhook with Plimsoll's JSON, or a command that gets that JSON on standard input."
    ),
    EntryKey {
        ini: &[],
        toml: "url",
        kind: Kind::Text,
        class: Class::PerCheckout,
        support: Support::Honoured,
        meaning: "Address, where it is no secret; PagerDuty and its own service need none.",
        set: |t, v| {
            if let Value::Text(v) = v {
                t.url = Some(checked_url(v)?);
            }
            Ok(())
        },
        get: |t| t.url.clone().map(Value::Text),
    },
    key!(
        "url_file",
        Kind::Path,
        Text,
        url_file,
        "File that holds the address and nothing else, read at each message."
    ),
    key!(
        "url_env",
        Kind::Text,
        Text,
        url_env,
        "Environment variable that holds the address."
    ),
    key!(
        "key_file",
        Kind::Path,
        Text,
        key_file,
        "File that holds PagerDuty's routing key; for the others, a bearer token."
    ),
    key!(
        "key_env",
        Kind::Text,
        Text,
        key_env,
        "Environment variable that holds it."
    ),
    key!(
        "command",
        Kind::List,
        List,
        command,
        "Program and arguments; no shell, 10 seconds at most."
    ),
    key!(
        "min_severity",
        Kind::Choice(SEVERITIES),
        Text,
        min_severity,
        "Less severe alerts are not sent; unset: warning."
    ),
    key!(
        "teams",
        Kind::List,
        List,
        teams,
        "Only alerts whose owner is one of these teams; unset: all."
    ),
    key!(
        "resolved",
        Kind::Flag,
        Flag,
        resolved,
        "Send also that an alert is over; unset: true."
    ),
    key!(
        "ca_file",
        Kind::Path,
        Text,
        ca_file,
        "Authorities beside the system's that its certificate is checked against (PEM)."
    ),
];

/// Schemes and hosts only; what connects to it checks the rest.
fn checked_url(url: String) -> Result<String, Problem> {
    let help = "write for example \"https://alerts.example.com/hook\"";
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|r| r.split(['/', '?', '#']).next());
    match authority {
        None => Err(Problem::new("this is no address of http:// or https://").help(help)),
        Some("") => Err(Problem::new("the address names no host").help(help)),
        Some(a) if a.contains('@') => Err(Problem::new("the address holds a login")
            .why("secrets are kept elsewhere")
            .help("put the whole address into a file and name it with `url_file`")),
        Some(_) if url.len() > URL_MAX || url.chars().any(|c| c.is_control() || c == ' ') => {
            Err(Problem::new("the address is too long, or has blanks in it").help(help))
        }
        Some(_) => Ok(url),
    }
}

/// What a notifier lacks, or has too much of.
pub(crate) fn fault(notifier: &Notifier) -> Option<Problem> {
    let url = [&notifier.url, &notifier.url_file, &notifier.url_env];
    let urls = url.iter().filter(|u| u.is_some()).count();
    let problem = |text: &str, help: &str| Some(Problem::new(text).help(help));
    if notifier.key_file.is_some() && notifier.key_env.is_some() {
        return problem(
            "the key is given in two ways",
            "keep one of key_file, key_env",
        );
    }
    if urls > 1 {
        return problem(
            "the address is given in more than one way",
            "keep one of url, url_file, url_env",
        );
    }
    let has_program = notifier
        .command
        .as_ref()
        .is_some_and(|argv| argv.first().is_some_and(|p| !p.is_empty()));
    match (notifier.kind.as_deref(), urls) {
        (None, _) => problem(
            "a notifier has no kind",
            "add `kind`, for example \"slack\"",
        ),
        (Some("command"), _) if !has_program => problem(
            "a command is to be run, but none is named",
            "add for example `command = [\"/usr/local/bin/page\"]`",
        ),
        (Some("command"), 0) => None,
        (Some("command"), _) => problem("a command has no address", "leave the address out"),
        (Some(_), _) if notifier.command.is_some() => problem(
            "only a notifier of the kind command runs one",
            "leave `command` out, or write `kind = \"command\"`",
        ),
        (Some("pagerduty"), _) if notifier.key_from().is_none() => problem(
            "PagerDuty needs a routing key",
            "name the file that holds it with `key_file`, or the variable with `key_env`",
        ),
        (Some("pagerduty"), _) => None,
        (Some("slack"), 1) if notifier.url.is_some() => Some(
            Problem::new("the address of a Slack webhook is a secret")
                .why("whoever has it can write there")
                .help("put it into a file and name that with `url_file`"),
        ),
        (Some(kind), 0) => Some(
            Problem::new(format!(
                "a notifier of the kind {} has no address",
                quoted(kind)
            ))
            .help("add one of url, url_file, url_env"),
        ),
        _ => None,
    }
}
