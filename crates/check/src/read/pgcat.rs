//! pgcat.toml: pools of databases with their users; times in milliseconds.

use super::foreign;
use super::pooler;
use super::tables::{self, Table};
use super::value::{self, Unit, Word};
use crate::facts::{Facts, Limit, Mode, Odd, Pool, Target, Timeouts, Tool, Unread, Value};
use crate::place::FileId;
use std::time::Duration;

const DEFAULT: &str = "PgCat's default";
/// Pools beyond these are not read.
const POOLS_MAX: usize = 2_000;

/// Reads the file: a pool for each user of each pool.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let Some(document) = tables::parse(file, text, facts) else {
        return;
    };
    let root = Table::new(file, text, document.as_table());
    let general = root.table("general");
    if let Some(general) = general {
        foreign::note(Tool::PgCat, general.keys(), KNOWN, OTHERS, facts);
        general.secrets(
            &["admin_password", "auth_query_password", "server_password"],
            facts,
        );
        misplaced(
            &general,
            "general",
            &[
                "pool_size",
                "pool_mode",
                "min_pool_size",
                "statement_timeout",
            ],
            facts,
        );
    }
    let pools = root.table("pools").map(|t| t.tables()).unwrap_or_default();
    for (name, pool) in pools {
        if facts.pools.len() > POOLS_MAX {
            break;
        }
        pool.secrets(&["auth_query_password"], facts);
        foreign::note(Tool::PgCat, pool.keys(), KNOWN, OTHERS, facts);
        misplaced(&pool, "pool", &["pool_size", "statement_timeout"], facts);
        let users = pool.table("users").map(|t| t.tables()).unwrap_or_default();
        for (_, user) in users {
            user.secrets(&["password", "server_password"], facts);
            foreign::note(Tool::PgCat, user.keys(), KNOWN, OTHERS, facts);
            let found = one(name, general, pool, user, facts);
            facts.pools.push(found);
        }
    }
}

/// PgCat's keys that concern connections.
const KNOWN: &[&str] = &[
    "pool_size",
    "min_pool_size",
    "pool_mode",
    "statement_timeout",
    "connect_timeout",
    "idle_timeout",
    "server_lifetime",
    "idle_client_in_transaction_timeout",
    "healthcheck_timeout",
    "healthcheck_delay",
    "shutdown_timeout",
    "checkout_failure_limit",
    "worker_threads",
    "server_round_robin",
    "prepared_statements",
    "prepared_statements_cache_size",
    "load_balancing_mode",
    "server_username",
    "server_password",
];

/// Other poolers' words, and what PgCat has for them.
const OTHERS: &[(&str, &str)] = &[
    ("query_wait_timeout", "`connect_timeout` bounds the wait"),
    ("checkout_timeout", "`connect_timeout` bounds the wait"),
    ("pool_timeout", "`connect_timeout` bounds the wait"),
    ("query_timeout", "`statement_timeout` of a user"),
    ("server_idle_timeout", "`idle_timeout`"),
    ("server_connect_timeout", "`connect_timeout`"),
    (
        "idle_transaction_timeout",
        "`idle_client_in_transaction_timeout`",
    ),
    ("default_pool_size", "`pool_size` of each user"),
    ("max_pool_size", "`pool_size` of each user"),
    ("reserve_pool_size", "a larger `pool_size`"),
    ("max_db_connections", "the `pool_size` of each user"),
    ("max_client_conn", "PgCat has no limit of clients"),
    ("max_connections", "the `pool_size` of each user"),
];

/// Keys that PgCat reads only for a user.
fn misplaced(table: &Table<'_>, what: &str, keys: &[&str], facts: &mut Facts) {
    for key in keys {
        if table.word(key).is_some() {
            facts.unread.push(Unread {
                tool: Tool::PgCat,
                place: table.key(key),
                key: (*key).to_owned(),
                why: format!("PgCat does not read `{key}` of `[{what}]`"),
                help: "put it under `[pools.NAME.users.0]`".to_owned(),
            });
        }
    }
}

fn one(
    name: &str,
    general: Option<Table<'_>>,
    pool: Table<'_>,
    user: Table<'_>,
    facts: &mut Facts,
) -> Pool {
    let login = user.word("username").map_or(String::new(), |w| w.text);
    let place = match user.word("pool_size") {
        Some(_) => user.key("pool_size"),
        None => user.place(),
    };
    let size = user
        .word("pool_size")
        .and_then(|w| w.count(Tool::PgCat, facts));
    let size = size.map_or(Value::default(Limit::Of(15), DEFAULT), value::at_most);
    let mut found = value::pool(Tool::PgCat, format!("{name}.{login}"), place, size);
    let min = user
        .word("min_pool_size")
        .and_then(|w| w.count(Tool::PgCat, facts));
    found.min = Some(min.unwrap_or(Value::default(0, DEFAULT)));
    let nearer = |key: &str| user.word(key).or_else(|| pool.word(key));
    let either = |key: &str| match key {
        "statement_timeout" => user.word(key),
        _ => nearer(key).or_else(|| general?.word(key)),
    };
    found.mode = Some(mode(nearer("pool_mode"), Tool::PgCat, DEFAULT, facts));
    let cache = either("prepared_statements_cache_size");
    let cache = cache.and_then(|w| w.count(Tool::PgCat, facts));
    let off = "PgCat's default: prepared_statements_cache_size = 0";
    found.keeps_prepared = Some(cache.map_or(Value::default(false, off), |v| Value {
        value: v.value > 0,
        origin: v.origin,
    }));
    let mut time = |key: &str, default_ms: u64| {
        let word = either(key);
        let stated = word
            .as_ref()
            .and_then(|w| w.time(Tool::PgCat, Unit::Milliseconds, facts));
        if let Some(word) = &word {
            value::short(Tool::PgCat, key, word, facts);
        }
        let default = value::wait(Duration::from_millis(default_ms));
        Some(stated.unwrap_or(Value::default(default, DEFAULT)))
    };
    found.timeouts = Timeouts {
        connect: time("connect_timeout", 1000),
        // The same setting bounds the wait for a connection of the pool.
        wait: time("connect_timeout", 1000),
        statement: time("statement_timeout", 0),
        idle_in_transaction: time("idle_client_in_transaction_timeout", 0),
        idle: time("idle_timeout", 600_000),
        lifetime: time("server_lifetime", 86_400_000),
        leak: None,
        request: None,
    };
    found.target = target(&pool);
    found
}

/// The first shard's first server.
fn target(pool: &Table<'_>) -> Target {
    let shards = pool.table("shards").map(|t| t.tables()).unwrap_or_default();
    let Some((_, shard)) = shards.first() else {
        return Target::default();
    };
    let server = shard.first_server("servers");
    Target {
        port: server.as_ref().and_then(|(_, port)| *port),
        host: server.map(|(host, _)| host),
        database: shard.word("database").map(|w| w.text),
    }
}

/// A pool mode, transaction when nothing is said.
pub(crate) fn mode(
    word: Option<Word>,
    tool: Tool,
    whose: &'static str,
    facts: &mut Facts,
) -> Value<Mode> {
    let Some(word) = word else {
        return Value::default(Mode::Transaction, whose);
    };
    match pooler::named(&word.text) {
        Some(mode) => Value::stated(mode, word.place),
        None => {
            facts.odd.push(Odd {
                tool,
                place: word.place,
                what: "no pool mode of this name".to_owned(),
                help: "session or transaction".to_owned(),
            });
            Value::default(Mode::Transaction, whose)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Wait;

    const SHOP: &str = "\
[general]
port = 6432
admin_username = \"admin\"
admin_password = \"adm1n\"
connect_timeout = 5000
idle_timeout = 30000

[pools.shop]
pool_mode = \"session\"

[pools.shop.users.0]
username = \"app\"
password = \"s3cret\"
pool_size = 25
min_pool_size = 3
statement_timeout = 30

[pools.shop.shards.0]
servers = [[\"10.0.0.1\", 5432, \"primary\"], [\"10.0.0.2\", 5432, \"replica\"]]
database = \"shop\"
";

    fn facts(text: &str) -> Facts {
        let mut facts = Facts::default();
        read(FileId(0), text, &mut facts);
        facts
    }

    #[test]
    fn a_user_is_a_pool() {
        let facts = facts(SHOP);
        let [pool] = &facts.pools[..] else {
            panic!("{:?}", facts.pools)
        };
        assert_eq!(
            (pool.name.as_str(), pool.size.value),
            ("shop.app", Limit::Of(25))
        );
        assert_eq!(&SHOP[pool.size.place().unwrap().range.clone()], "25");
        assert_eq!(pool.mode.as_ref().unwrap().value, Mode::Session);
        assert_eq!(pool.target.host.as_deref(), Some("10.0.0.1"));
        assert_eq!(pool.target.database.as_deref(), Some("shop"));
        let wait = pool.timeouts.wait.as_ref().unwrap();
        assert_eq!(wait.value, Wait::For(Duration::from_secs(5)));
        let idle = pool.timeouts.idle_in_transaction.as_ref().unwrap();
        assert_eq!(idle.value, Wait::Forever);
        let secrets: Vec<_> = facts
            .secrets
            .iter()
            .map(|s| &SHOP[s.place.range.clone()])
            .collect();
        assert_eq!(secrets, ["adm1n", "s3cret"]);
        assert_eq!(facts.odd.len(), 1);
        assert_eq!(&SHOP[facts.odd[0].place.range.clone()], "30");
    }

    #[test]
    fn settings_of_a_user_stand_nowhere_else() {
        let facts = facts(
            "[general]\npool_size = 5\n[pools.a]\npool_size = 9\n[pools.a.users.0]\nusername = \"u\"\n",
        );
        assert_eq!(facts.unread.len(), 2);
        assert_eq!(facts.pools[0].size, Value::default(Limit::Of(15), DEFAULT));
        assert_eq!(
            facts.pools[0].mode.as_ref().unwrap().value,
            Mode::Transaction
        );
    }

    #[test]
    fn what_is_no_pgcat_file_is_no_panic() {
        for text in [
            "",
            "pools = 5",
            "[pools]\na = 1",
            "[pools.a.users]\nb = 1",
            "[pools.a.users.0]\npool_size = []",
        ] {
            assert!(facts(text).broken.is_empty(), "{text}");
        }
        for text in ["[", "a = ", "a = \"", &"[".repeat(5000)] {
            let facts = facts(text);
            assert_eq!(facts.broken.len(), 1, "{text}");
            assert!(!facts.broken[0].0.range.is_empty());
        }
    }
}
