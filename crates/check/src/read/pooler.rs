//! PgBouncer in a container: images that write its file from variables.

use super::env::{Scene, Setting, target};
use super::value::{self, Unit, Word};
use crate::facts::{Facts, Limit, Mode, Odd, Pool, Timeouts, Tool, Value, Wait};
use crate::place::Place;
use std::time::Duration;

const DEFAULT: &str = "PgBouncer's default";

/// PgBouncer's keys with their values, however they were written.
pub(crate) struct Keys<'a>(pub Vec<(String, &'a Word)>);

impl Keys<'_> {
    fn word(&self, key: &str) -> Option<&Word> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, word)| *word)
    }

    fn count(&self, key: &str, facts: &mut Facts) -> Option<Value<u64>> {
        self.word(key)?.count(Tool::PgBouncer, facts)
    }

    fn limit(&self, key: &str, facts: &mut Facts) -> Option<Value<Limit>> {
        self.word(key)?.limit(Tool::PgBouncer, facts)
    }

    fn time(&self, key: &str, default_s: u64, facts: &mut Facts) -> Option<Value<Wait>> {
        let word = self.word(key);
        let stated = word.and_then(|w| w.time(Tool::PgBouncer, Unit::Seconds, facts));
        let default = value::wait(Duration::from_secs(default_s));
        Some(stated.unwrap_or(Value::default(default, DEFAULT)))
    }
}

/// PgBouncer's keys among the variables of its images: `POOL_MODE`
/// (edoburu) or `PGBOUNCER_POOL_MODE` (Bitnami).
pub(crate) fn from_variables(
    scene: &Scene<'_>,
    settings: &[Setting],
    facts: &mut Facts,
) -> Option<Pool> {
    let prefixed = settings.iter().any(|s| s.name.starts_with("PGBOUNCER_"));
    let named = |name: &str| settings.iter().any(|s| s.name == name);
    let plain = named("POOL_MODE") && (named("MAX_CLIENT_CONN") || named("DEFAULT_POOL_SIZE"));
    let writes = [
        "DATABASE_URL",
        "DATABASE_URLS",
        "DB_HOST",
        "POSTGRESQL_HOST",
        "DATABASES_HOST",
    ];
    let sized = [
        "POOL_MODE",
        "DEFAULT_POOL_SIZE",
        "MAX_CLIENT_CONN",
        "MAX_DB_CONNECTIONS",
    ];
    // Without any of these the image runs a file that is mounted.
    let image = scene.image.contains("pgbouncer")
        && (prefixed || writes.iter().chain(&sized).any(|name| named(name)));
    let ours = image || plain || (prefixed && named("PGBOUNCER_POOL_MODE"));
    if !ours {
        return None;
    }
    let keys = settings.iter().filter_map(|setting| {
        let name = setting
            .name
            .strip_prefix("PGBOUNCER_")
            .unwrap_or(&setting.name);
        Some((name.to_ascii_lowercase(), setting.word.as_ref()?))
    });
    let keys = Keys(keys.collect());
    let mut pool = pool(scene.name, scene.place, &keys, facts);
    pool.target = target(settings);
    Some(pool)
}

/// The pool that PgBouncer's keys describe.
pub(crate) fn pool(name: &str, place: &Place, keys: &Keys<'_>, facts: &mut Facts) -> Pool {
    let size = keys.limit("default_pool_size", facts);
    let size = size.unwrap_or(Value::default(Limit::Of(20), DEFAULT));
    let mut pool = value::pool(Tool::PgBouncer, name, place.clone(), size);
    let min = keys.count("min_pool_size", facts);
    pool.min = Some(min.unwrap_or(Value::default(0, DEFAULT)));
    let extra = keys.count("reserve_pool_size", facts).map(value::at_most);
    pool.extra = Some(extra.unwrap_or(Value::default(Limit::Of(0), DEFAULT)));
    let cap = keys.limit("max_db_connections", facts);
    pool.cap = Some(cap.unwrap_or(Value::default(Limit::Unlimited, DEFAULT)));
    let clients = keys.count("max_client_conn", facts).map(value::at_most);
    pool.clients = Some(clients.unwrap_or(Value::default(Limit::Of(100), DEFAULT)));
    pool.mode = Some(mode(keys.word("pool_mode"), facts));
    let prepared = keys.count("max_prepared_statements", facts);
    let since = "PgBouncer's default since 1.24: max_prepared_statements = 200";
    pool.keeps_prepared = Some(prepared.map_or(Value::default(true, since), |v| Value {
        value: v.value > 0,
        origin: v.origin,
    }));
    pool.timeouts = Timeouts {
        connect: keys.time("server_connect_timeout", 15, facts),
        wait: keys.time("query_wait_timeout", 120, facts),
        statement: keys.time("query_timeout", 0, facts),
        idle_in_transaction: keys.time("idle_transaction_timeout", 0, facts),
        idle: keys.time("server_idle_timeout", 600, facts),
        lifetime: keys.time("server_lifetime", 3600, facts),
        leak: None,
        request: None,
    };
    pool
}

fn mode(word: Option<&Word>, facts: &mut Facts) -> Value<Mode> {
    let Some(word) = word.and_then(Word::literal) else {
        return Value::default(Mode::Session, DEFAULT);
    };
    match self::named(&word.text) {
        Some(mode) => Value::stated(mode, word.place),
        None => {
            facts.odd.push(Odd {
                tool: Tool::PgBouncer,
                place: word.place,
                what: "no pool mode of this name".to_owned(),
                help: "session, transaction or statement".to_owned(),
            });
            Value::default(Mode::Session, DEFAULT)
        }
    }
}

/// A pool mode by its name.
pub(crate) fn named(text: &str) -> Option<Mode> {
    match text {
        "session" => Some(Mode::Session),
        "transaction" => Some(Mode::Transaction),
        "statement" => Some(Mode::Statement),
        _ => None,
    }
}
