//! HikariCP's properties, wherever they stand: Spring's files or variables.

use super::address::{self, Address};
use super::pgbouncer::distance;
use super::value::{self, Unit, Word};
use crate::facts::{Facts, Feature, Limit, Odd, Pool, Secret, Timeouts, Tool, Unread, Value, Wait};
use crate::place::Place;
use crate::read::url::is_secret;
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT: &str = "HikariCP's default";
/// Keys that are compared with the known ones.
const KEYS_MAX: usize = 200;

/// A key as somebody wrote it, with its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub written: String,
    pub key: Place,
    pub word: Word,
}

/// Keys without their prefix, in [`canonical`] form.
pub(crate) type Keys = BTreeMap<String, Entry>;

/// `maximum-pool-size`, `maximumPoolSize` and `MAXIMUM_POOL_SIZE` are one key.
pub(crate) fn canonical(key: &str) -> String {
    let kept = key.chars().filter(|c| *c != '-' && *c != '_');
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// The properties of `HikariConfig`, as its documentation writes them.
const PROPERTIES: &[&str] = &[
    "maximum-pool-size",
    "minimum-idle",
    "connection-timeout",
    "idle-timeout",
    "max-lifetime",
    "keepalive-time",
    "leak-detection-threshold",
    "validation-timeout",
    "initialization-fail-timeout",
    "connection-test-query",
    "connection-init-sql",
    "pool-name",
    "auto-commit",
    "read-only",
    "register-mbeans",
    "allow-pool-suspension",
    "isolate-internal-queries",
    "transaction-isolation",
    "catalog",
    "schema",
    "username",
    "password",
    "credentials",
    "jdbc-url",
    "driver-class-name",
    "data-source",
    "data-source-class-name",
    "data-source-jndi",
    "data-source-properties",
    "exception-override",
    "exception-override-class-name",
    "health-check-properties",
    "health-check-registry",
    "metric-registry",
    "metrics-tracker-factory",
    "scheduled-executor",
    "thread-factory",
];

/// Whether HikariCP has such a property.
pub(crate) fn is_property(canonical_key: &str) -> bool {
    PROPERTIES.iter().any(|p| canonical(p) == canonical_key)
}

/// The pool that the keys describe; `address` is where its URL leads.
pub(crate) fn pool(
    name: &str,
    place: &Place,
    keys: &Keys,
    address: Option<&Address>,
    facts: &mut Facts,
) -> Pool {
    unknown(keys, facts);
    let word = |key: &str| keys.get(key).map(|entry| &entry.word);
    let size = word("maximumpoolsize").and_then(|w| w.count(Tool::Hikari, facts));
    let size = size.map_or(Value::default(Limit::Of(10), DEFAULT), value::at_most);
    let mut pool = value::pool(Tool::Hikari, name, place.clone(), size);
    let min = word("minimumidle").and_then(|w| w.count(Tool::Hikari, facts));
    pool.min = Some(min.unwrap_or_else(|| {
        let same = pool.size.value.number().unwrap_or(10);
        Value::default(same, "HikariCP's default: the same as its maximum")
    }));
    if let Some(entry) = keys.get("password").filter(|e| is_secret(&e.word.text)) {
        facts.secrets.push(Secret {
            place: entry.word.place.clone(),
            what: "the database password".to_owned(),
        });
    }
    pool.timeouts = timeouts(keys, facts);
    other_times(keys, facts);
    if let Some(sql) = word("connectioninitsql") {
        init_sql(sql, &mut pool, facts);
    }
    driver(keys, address, place, &mut pool, facts);
    pool
}

/// Keys that HikariCP does not have.
fn unknown(keys: &Keys, facts: &mut Facts) {
    for (key, entry) in keys.iter().take(KEYS_MAX) {
        if is_property(key) || key.contains('.') {
            continue;
        }
        let near = PROPERTIES
            .iter()
            .map(|p| (distance(key, &canonical(p)), *p))
            .min()
            .filter(|(far, _)| *far <= 4);
        facts.unread.push(Unread {
            tool: Tool::Hikari,
            place: entry.key.clone(),
            key: entry.written.clone(),
            why: "HikariCP has no such property; it is passed over in silence".to_owned(),
            help: near.map_or(String::new(), |(_, p)| format!("did you mean `{p}`?")),
        });
    }
}

/// What HikariCP does with a time that is too short.
struct Floor {
    /// It goes on with its default.
    replaced: bool,
    below: u64,
    then: &'static str,
}

fn time(
    keys: &Keys,
    key: &str,
    default: Wait,
    floor: &Floor,
    facts: &mut Facts,
) -> Option<Value<Wait>> {
    let Some(entry) = keys.get(key) else {
        return Some(Value::default(default, DEFAULT));
    };
    let found = entry.word.time(Tool::Hikari, Unit::Milliseconds, facts);
    let found = match found {
        Some(found) => found,
        // Kept elsewhere, or odd, which is said.
        None => return Some(Value::default(default, DEFAULT)),
    };
    if let Wait::For(time) = found.value {
        let ms = time.as_millis();
        if ms < u128::from(floor.below) {
            facts.odd.push(Odd {
                tool: Tool::Hikari,
                place: entry.word.place.clone(),
                what: format!("{ms} means {ms} milliseconds here; {}", floor.then),
                help: help(ms),
            });
            if floor.replaced {
                return Some(Value::default(default, DEFAULT));
            }
        }
    }
    Some(found)
}

/// What was probably meant: seconds.
fn help(ms: u128) -> String {
    format!("for {ms} seconds write {}", ms.saturating_mul(1000))
}

fn timeouts(keys: &Keys, facts: &mut Facts) -> Timeouts {
    let for_ms = |ms| Wait::For(Duration::from_millis(ms));
    let refused = Floor {
        below: value::MILLISECONDS_MIN,
        then: "HikariCP refuses to start below 250",
        replaced: false,
    };
    let idle = Floor {
        below: 10_000,
        then: "HikariCP takes 10 minutes instead",
        replaced: true,
    };
    let lifetime = Floor {
        below: 30_000,
        then: "HikariCP takes 30 minutes instead",
        replaced: true,
    };
    let leak = Floor {
        below: 2_000,
        then: "HikariCP turns leak detection off below 2000",
        replaced: true,
    };
    Timeouts {
        connect: None,
        wait: time(keys, "connectiontimeout", for_ms(30_000), &refused, facts),
        statement: Some(Value::default(
            Wait::Forever,
            "PostgreSQL's default: no limit",
        )),
        idle_in_transaction: Some(Value::default(
            Wait::Forever,
            "PostgreSQL's default: no limit",
        )),
        idle: time(keys, "idletimeout", for_ms(600_000), &idle, facts),
        lifetime: time(keys, "maxlifetime", for_ms(1_800_000), &lifetime, facts),
        leak: time(keys, "leakdetectionthreshold", Wait::Forever, &leak, facts),
        request: None,
    }
}

/// Times that have no place among the facts but may be odd.
fn other_times(keys: &Keys, facts: &mut Facts) {
    let validation = Floor {
        below: value::MILLISECONDS_MIN,
        then: "HikariCP refuses to start below 250",
        replaced: false,
    };
    let keepalive = Floor {
        below: 30_000,
        then: "HikariCP turns keep-alive off below 30000",
        replaced: true,
    };
    time(keys, "validationtimeout", Wait::Forever, &validation, facts);
    time(keys, "keepalivetime", Wait::Forever, &keepalive, facts);
}

/// `SET statement_timeout = '30s'` on each new connection.
fn init_sql(sql: &Word, pool: &mut Pool, facts: &mut Facts) {
    let lower = sql.text.to_ascii_lowercase();
    for statement in lower.split(';') {
        let Some(rest) = statement.trim().strip_prefix("set ") else {
            continue;
        };
        pool.needs
            .push((Feature::SessionSettings, sql.place.clone()));
        let rest = rest.trim().trim_start_matches("session ");
        let pair = rest.split_once('=').or_else(|| rest.split_once(" to "));
        let Some((key, text)) = pair else { continue };
        let text = text.trim().trim_matches('\'');
        let word = Word::new(text, sql.place.clone());
        let slot = match key.trim() {
            "statement_timeout" => &mut pool.timeouts.statement,
            "idle_in_transaction_session_timeout" => &mut pool.timeouts.idle_in_transaction,
            _ => continue,
        };
        if let Some(found) = value::postgres_timeout(&word, Tool::Hikari, facts) {
            *slot = Some(found);
        }
    }
}

/// The JDBC driver's own settings, in the URL or as data-source properties.
fn driver(
    keys: &Keys,
    address: Option<&Address>,
    place: &Place,
    pool: &mut Pool,
    facts: &mut Facts,
) {
    let parameter = |name: &str| {
        let property = format!("datasourceproperties.{}", canonical(name));
        let own = keys.get(&property).map(|entry| entry.word.clone());
        own.or_else(|| address.and_then(|a| a.parameter(name)).cloned())
    };
    let prepare = parameter("prepareThreshold");
    match prepare.as_ref().and_then(Word::literal) {
        Some(word) if word.text == "0" => {}
        Some(word) => pool.needs.push((Feature::PreparedStatements, word.place)),
        None => pool
            .needs
            .push((Feature::PreparedStatements, place.clone())),
    }
    if let Some(address) = address {
        pool.target = address.target.clone();
        address::session(
            address,
            Tool::Hikari,
            &mut pool.timeouts,
            &mut pool.needs,
            facts,
        );
    }
    for name in ["socketTimeout", "loginTimeout", "connectTimeout"] {
        let Some(found) = parameter(name).and_then(|word| seconds(name, &word, facts)) else {
            continue;
        };
        let statement = &mut pool.timeouts.statement;
        match name {
            "connectTimeout" => pool.timeouts.connect = Some(found),
            // It ends the connection when the server is silent for so long.
            "socketTimeout" if !statement.as_ref().is_some_and(Value::is_stated) => {
                *statement = Some(found);
            }
            _ => {}
        }
    }
    if pool.timeouts.connect.is_none() {
        let ten = Wait::For(Duration::from_secs(10));
        pool.timeouts.connect = Some(Value::default(ten, "the JDBC driver's default"));
    }
}

/// A time of the driver, which reads seconds; `None`: off, or odd.
fn seconds(name: &str, word: &Word, facts: &mut Facts) -> Option<Value<Wait>> {
    let found = word.time(Tool::Hikari, Unit::Seconds, facts)?;
    let time = found.value.time()?;
    if time >= Duration::from_secs(3600) {
        let s = time.as_secs();
        facts.odd.push(Odd {
            tool: Tool::Hikari,
            place: word.place.clone(),
            what: format!("the JDBC driver reads `{name}` in seconds: {s} seconds"),
            help: format!("for milliseconds write {}", s / 1000),
        });
    }
    Some(found)
}
