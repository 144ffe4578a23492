//! Rails' config/database.yml, as far as it is for PostgreSQL.

use super::address::{self, Address};
use super::pgbouncer::distance;
use super::url::is_secret;
use super::value::{self, Unit, Word};
use super::yaml::{self, Node};
use crate::facts::{
    Facts, Feature, Limit, Odd, Pool, Secret, Target, Timeouts, Tool, Unread, Value, Wait,
};
use crate::place::{FileId, Place};
use std::time::Duration;

const DEFAULT: &str = "Rails' default";
/// Databases of one environment, environments, and keys that are compared with
/// the known ones.
const ENTRIES_MAX: usize = 200;

/// Reads the file. A pool is named after its environment: `production`, or
/// `production.primary` where there are several databases.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    let Some(root) = tree.documents.first() else {
        return;
    };
    for (key, node) in root.entries().into_iter().take(ENTRIES_MAX) {
        let name = key.text().unwrap_or("");
        // Templates for others, not environments.
        let template = matches!(name, "default" | "defaults" | "base" | "common");
        if template || name.starts_with('.') || name.starts_with("x-") {
            continue;
        }
        let entries = node.entries();
        let nested: Vec<_> = entries
            .iter()
            .filter(|(k, v)| v.is_map() && k.text() != Some("variables"))
            .take(ENTRIES_MAX)
            .collect();
        if node.get("adapter").is_some() || node.get("url").is_some() || nested.is_empty() {
            database(name.to_owned(), key, node, facts);
            continue;
        }
        for (inner, node) in nested {
            let name = format!("{name}.{}", inner.text().unwrap_or(""));
            database(name, inner, node, facts);
        }
    }
}

/// Keys that are set in the file or, failing that, in the URL.
struct Keys<'a> {
    node: &'a Node,
    address: Option<&'a Address>,
}

impl Keys<'_> {
    fn word(&self, key: &str) -> Option<Word> {
        // Rails merges the URL over the file.
        let url = self.address.and_then(|a| a.parameter(key)).cloned();
        url.or_else(|| self.node.get(key)?.word())
    }

    fn time(&self, key: &str, default: Wait, facts: &mut Facts) -> Option<Value<Wait>> {
        let word = self.word(key);
        let found = word
            .as_ref()
            .and_then(|w| w.time(Tool::Rails, Unit::Seconds, facts));
        if let (Some(word), Some(Wait::For(time))) = (&word, found.as_ref().map(|v| v.value))
            && key == "checkout_timeout"
            && time >= Duration::from_secs(1000)
        {
            facts.odd.push(Odd {
                tool: Tool::Rails,
                place: word.place.clone(),
                what: format!("`{key}` is in seconds: {} seconds", time.as_secs()),
                help: format!("for milliseconds write {}", time.as_secs() / 1000),
            });
        }
        Some(found.unwrap_or(Value::default(default, DEFAULT)))
    }
}

fn database(name: String, key: &Node, node: &Node, facts: &mut Facts) {
    let url = node.get("url").and_then(Node::word);
    let address = url.as_ref().and_then(|w| address::read(w, facts));
    let adapter = node.get("adapter").and_then(Node::text);
    let ours = match adapter {
        Some(adapter) => matches!(adapter, "postgresql" | "postgis"),
        None => address.is_some(),
    };
    if let Some(word) = node.get("password").and_then(Node::word)
        && word.variable.is_none()
        && is_secret(&word.text)
    {
        facts.secrets.push(Secret {
            place: word.place,
            what: format!("the database password of `{name}`"),
        });
    }
    if !ours {
        return;
    }
    let keys = Keys {
        node,
        address: address.as_ref(),
    };
    let mut pool = value::pool(Tool::Rails, name, key.place.clone(), size(&keys, facts));
    let min = keys.word("min_connections");
    let min = min.and_then(|w| w.count(Tool::Rails, facts));
    pool.min = Some(min.unwrap_or(Value::default(0, DEFAULT)));
    pool.timeouts = timeouts(&keys, facts);
    needs(&keys, key, &mut pool, facts);
    pool.target = target(&keys);
    unread(node, facts);
    facts.pools.push(pool);
}

/// `max_connections` since 8.1, `pool` before and still; negative: no limit.
fn size(keys: &Keys<'_>, facts: &mut Facts) -> Value<Limit> {
    let word = keys.word("max_connections").or_else(|| keys.word("pool"));
    let Some(word) = word else {
        return Value::default(Limit::Of(5), DEFAULT);
    };
    if let Some(text) = word.literal().filter(|w| w.text == "-1") {
        return Value::stated(Limit::Unlimited, text.place);
    }
    let count = word.count(Tool::Rails, facts);
    count.map_or(Value::default(Limit::Of(5), DEFAULT), value::at_most)
}

fn timeouts(keys: &Keys<'_>, facts: &mut Facts) -> Timeouts {
    let s = |n| Wait::For(Duration::from_secs(n));
    let off = "PostgreSQL's default: no limit";
    let mut timeouts = Timeouts {
        connect: Some(Value::default(Wait::Forever, "libpq's default: no limit")),
        wait: keys.time("checkout_timeout", s(5), facts),
        statement: Some(Value::default(Wait::Forever, off)),
        idle_in_transaction: Some(Value::default(Wait::Forever, off)),
        idle: keys.time("idle_timeout", s(300), facts),
        lifetime: None,
        leak: None,
        request: None,
    };
    if let Some(word) = keys.word("max_age") {
        timeouts.lifetime = word.time(Tool::Rails, Unit::Seconds, facts);
    }
    let mut ignored = Vec::new();
    if let Some(address) = keys.address {
        address::session(address, Tool::Rails, &mut timeouts, &mut ignored, facts);
    }
    if let Some(word) = keys.word("connect_timeout")
        && let Some(found) = word.time(Tool::Rails, Unit::Seconds, facts)
    {
        timeouts.connect = Some(found);
    }
    let variables = keys.node.get("variables");
    let variable = |key: &str| variables.and_then(|v| v.get(key)).and_then(Node::word);
    let slots = [
        ("statement_timeout", &mut timeouts.statement),
        (
            "idle_in_transaction_session_timeout",
            &mut timeouts.idle_in_transaction,
        ),
    ];
    for (key, slot) in slots {
        let found = variable(key).and_then(|w| value::postgres_timeout(&w, Tool::Rails, facts));
        if found.is_some() {
            *slot = found;
        }
    }
    timeouts
}

/// What Rails does with its session unless told otherwise.
fn needs(keys: &Keys<'_>, key: &Node, pool: &mut Pool, facts: &mut Facts) {
    for (setting, feature) in [
        ("prepared_statements", Feature::PreparedStatements),
        ("advisory_locks", Feature::AdvisoryLocks),
    ] {
        let word = keys.word(setting);
        match word.as_ref().and_then(Word::switch) {
            Some(switch) if !switch.value => {}
            Some(switch) => {
                let place = switch.place().cloned();
                pool.needs
                    .push((feature, place.unwrap_or(key.place.clone())));
            }
            None => pool.needs.push((feature, key.place.clone())),
        }
    }
    if let Some((key, node)) = keys.node.pair("variables")
        && !node.entries().is_empty()
    {
        pool.needs
            .push((Feature::SessionSettings, key.place.clone()));
    }
    if let Some(word) = keys.word("reaping_frequency") {
        word.time(Tool::Rails, Unit::Seconds, facts);
    }
}

fn target(keys: &Keys<'_>) -> Target {
    let own = |key: &str| Some(keys.node.get(key)?.word()?.literal()?.text);
    let url = keys.address.map(|a| a.target.clone()).unwrap_or_default();
    Target {
        host: url.host.or_else(|| own("host")),
        port: url.port.or_else(|| own("port")?.parse().ok()),
        database: url.database.or_else(|| own("database")),
    }
}

/// Keys that Rails' PostgreSQL adapter passes over, though they look right.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "timeout",
        "only SQLite's and MySQL's adapters read it",
        "`checkout_timeout` is the wait for a connection",
    ),
    (
        "pool_size",
        "Rails has no such setting",
        "`pool` (from 8.1 also `max_connections`)",
    ),
    ("max_pool", "Rails has no such setting", "`pool`"),
    ("max_pool_size", "Rails has no such setting", "`pool`"),
    (
        "pool_timeout",
        "Rails has no such setting",
        "`checkout_timeout`",
    ),
    ("wait_timeout", "gone since Rails 4", "`checkout_timeout`"),
    (
        "statement_timeout",
        "Rails does not read it here",
        "put it under `variables:`",
    ),
    (
        "lock_timeout",
        "Rails does not read it here",
        "put it under `variables:`",
    ),
    (
        "idle_in_transaction_session_timeout",
        "Rails does not read it here",
        "put it under `variables:`",
    ),
];

/// What concerns the pool: for a slip of the pen.
const KNOWN: &[&str] = &[
    "pool",
    "max_connections",
    "min_connections",
    "checkout_timeout",
    "idle_timeout",
    "reaping_frequency",
    "prepared_statements",
    "advisory_locks",
    "statement_limit",
    "connect_timeout",
    "variables",
];

fn unread(node: &Node, facts: &mut Facts) {
    for (key, _) in node.entries().into_iter().take(ENTRIES_MAX) {
        let name = key.text().unwrap_or("");
        let unread = &mut facts.unread;
        let mut push = |place: &Place, why: &str, help: String| {
            unread.push(Unread {
                tool: Tool::Rails,
                place: place.clone(),
                key: name.to_owned(),
                why: why.to_owned(),
                help,
            });
        };
        // What `rails new` writes for SQLite, and many keep: it limits nothing.
        if name == "timeout" {
            facts.leftover.push(key.place.clone());
        }
        if let Some((_, why, help)) = MISTAKES.iter().find(|(k, _, _)| *k == name) {
            push(&key.place, why, (*help).to_owned());
        } else if !KNOWN.contains(&name) && name.len() > 4 {
            let near = KNOWN.iter().find(|k| k.len() > 4 && distance(name, k) <= 2);
            if let Some(near) = near {
                push(
                    &key.place,
                    "Rails has no such setting",
                    format!("did you mean `{near}`?"),
                );
            }
        }
    }
}

#[cfg(test)]
#[path = "rails_tests.rs"]
mod tests;
