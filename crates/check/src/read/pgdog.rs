//! pgdog.toml, and its users.toml.

use super::foreign;
use super::pgcat::mode;
use super::tables::{self, Table};
use super::value::{self, Unit};
use crate::facts::{Facts, Limit, Pool, Target, Timeouts, Tool, Value};
use crate::place::FileId;
use std::time::Duration;

const DEFAULT: &str = "PgDog's default";

/// PgDog's keys that concern connections.
const KNOWN: &[&str] = &[
    "default_pool_size",
    "pool_size",
    "min_pool_size",
    "pooler_mode",
    "statement_timeout",
    "query_timeout",
    "connect_timeout",
    "connect_attempts",
    "checkout_timeout",
    "idle_timeout",
    "client_idle_timeout",
    "client_idle_in_transaction_timeout",
    "client_login_timeout",
    "client_connection_recovery",
    "connection_recovery",
    "server_lifetime",
    "server_lifetime_jitter",
    "rollback_timeout",
    "ban_timeout",
    "shutdown_timeout",
    "healthcheck_timeout",
    "healthcheck_interval",
    "idle_healthcheck_interval",
    "idle_healthcheck_delay",
    "healthcheck_port",
    "prepared_statements",
    "prepared_statements_limit",
];

/// Other poolers' words, and what PgDog has for them.
const OTHERS: &[(&str, &str)] = &[
    ("pool_mode", "`pooler_mode`"),
    ("max_pool_size", "`pool_size`, or `default_pool_size`"),
    ("query_wait_timeout", "`checkout_timeout`"),
    ("pool_timeout", "`checkout_timeout`"),
    ("server_idle_timeout", "`idle_timeout`"),
    ("server_connect_timeout", "`connect_timeout`"),
    (
        "idle_transaction_timeout",
        "`client_idle_in_transaction_timeout`",
    ),
    (
        "idle_client_in_transaction_timeout",
        "`client_idle_in_transaction_timeout`",
    ),
    ("max_client_conn", "PgDog has no limit of clients"),
    ("max_db_connections", "the `pool_size` of each database"),
    ("reserve_pool_size", "a larger `pool_size`"),
    ("max_connections", "the `pool_size` of each database"),
];

/// Reads either file. A pool is a database's; users.toml makes one for each
/// user that states a size of its own.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let Some(document) = tables::parse(file, text, facts) else {
        return;
    };
    let root = Table::new(file, text, document.as_table());
    if let Some(admin) = root.table("admin") {
        admin.secrets(&["password"], facts);
    }
    let general = root.table("general");
    if let Some(general) = general {
        foreign::note(Tool::PgDog, general.keys(), KNOWN, OTHERS, facts);
    }
    for database in root.list("databases") {
        foreign::note(Tool::PgDog, database.keys(), KNOWN, OTHERS, facts);
        database.secrets(&["password"], facts);
        let name = database.word("name").map_or(String::new(), |w| w.text);
        let found = one(&name, general, database, facts);
        facts.pools.push(found);
    }
    for user in root.list("users") {
        user.secrets(&["password", "server_password"], facts);
        let sized = ["pool_size", "min_pool_size", "pooler_mode"];
        if sized.iter().any(|key| user.word(key).is_some()) {
            let text = |key: &str| user.word(key).map_or(String::new(), |w| w.text);
            let name = format!("{}.{}", text("database"), text("name"));
            let mut found = one(&name, general, user, facts);
            found.target.database = user.word("database").map(|w| w.text);
            facts.pools.push(found);
        }
    }
}

fn one(name: &str, general: Option<Table<'_>>, own: Table<'_>, facts: &mut Facts) -> Pool {
    let word = |key: &str, global: &str| own.word(key).or_else(|| general?.word(global));
    let size = word("pool_size", "default_pool_size");
    let size = size.and_then(|w| w.count(Tool::PgDog, facts));
    let size = size.map_or(Value::default(Limit::Of(10), DEFAULT), value::at_most);
    let place = match own.word("pool_size") {
        Some(_) => own.key("pool_size"),
        None => own.place(),
    };
    let mut pool = value::pool(Tool::PgDog, name, place, size);
    let min = word("min_pool_size", "min_pool_size");
    let min = min.and_then(|w| w.count(Tool::PgDog, facts));
    pool.min = Some(min.unwrap_or(Value::default(1, DEFAULT)));
    pool.mode = Some(mode(
        word("pooler_mode", "pooler_mode"),
        Tool::PgDog,
        DEFAULT,
        facts,
    ));
    let prepared = general.and_then(|g| g.word("prepared_statements"));
    pool.keeps_prepared = Some(match prepared {
        Some(word) => Value::stated(
            !matches!(word.text.as_str(), "disabled" | "false"),
            word.place,
        ),
        None => Value::default(true, "PgDog's default: extended"),
    });
    let mut time = |key: &str, default_ms: u64| {
        let word = word(key, key);
        let stated = word
            .as_ref()
            .and_then(|w| w.time(Tool::PgDog, Unit::Milliseconds, facts));
        if let Some(word) = &word {
            value::short(Tool::PgDog, key, word, facts);
        }
        let default = value::wait(Duration::from_millis(default_ms));
        Some(stated.unwrap_or(Value::default(default, DEFAULT)))
    };
    let statement = time("statement_timeout", 0);
    let query = time("query_timeout", 0);
    let stated = |v: &Option<Value<_>>| v.as_ref().is_some_and(Value::is_stated);
    pool.timeouts = Timeouts {
        connect: time("connect_timeout", 5000),
        wait: time("checkout_timeout", 5000),
        statement: if stated(&statement) { statement } else { query },
        idle_in_transaction: time("client_idle_in_transaction_timeout", 0),
        idle: time("idle_timeout", 60_000),
        lifetime: time("server_lifetime", 86_400_000),
        leak: None,
        request: None,
    };
    pool.target = Target {
        host: own.word("host").map(|w| w.text),
        port: own.word("port").and_then(|w| w.text.parse().ok()),
        database: own
            .word("database_name")
            .or_else(|| own.word("name"))
            .map(|w| w.text),
    };
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Mode, Wait};

    fn facts(text: &str) -> Facts {
        let mut facts = Facts::default();
        read(FileId(0), text, &mut facts);
        facts
    }

    #[test]
    fn a_database_is_a_pool_with_the_general_settings() {
        let text = "[general]\ndefault_pool_size = 30\ncheckout_timeout = 10\nidle_timeout = 120_000\nprepared_statements = \"disabled\"\n[[databases]]\nname = \"shop\"\nhost = \"10.0.0.1\"\n[[databases]]\nname = \"users\"\nhost = \"10.0.0.2\"\nport = 5433\npool_size = 5\npooler_mode = \"session\"\nstatement_timeout = 30_000\n";
        let facts = facts(text);
        let sizes: Vec<_> = facts.pools.iter().map(|p| p.size.value).collect();
        assert_eq!(sizes, [Limit::Of(30), Limit::Of(5)]);
        let users = &facts.pools[1];
        assert_eq!(&text[users.place.range.clone()], "pool_size");
        assert_eq!(users.mode.as_ref().unwrap().value, Mode::Session);
        assert_eq!(
            (users.target.host.as_deref(), users.target.port),
            (Some("10.0.0.2"), Some(5433))
        );
        let statement = users.timeouts.statement.as_ref().unwrap();
        assert_eq!(statement.value, Wait::For(Duration::from_secs(30)));
        assert!(!users.keeps_prepared.as_ref().unwrap().value);
        assert_eq!(facts.odd.len(), 1, "10 milliseconds, said once");
        assert_eq!(&text[facts.odd[0].place.range.clone()], "10");
    }

    #[test]
    fn defaults_count_and_users_have_passwords() {
        let found = facts("[[databases]]\nname = \"a\"\nhost = \"h\"\n");
        let pool = &found.pools[0];
        assert_eq!(pool.size, Value::default(Limit::Of(10), DEFAULT));
        assert_eq!(pool.min.as_ref().unwrap().value, 1);
        assert!(pool.keeps_prepared.as_ref().unwrap().value);
        let text = "[[users]]\nname = \"app\"\ndatabase = \"shop\"\npassword = \"s3cret\"\n[[users]]\nname = \"batch\"\ndatabase = \"shop\"\npool_size = 4\n";
        let found = facts(text);
        assert_eq!(&text[found.secrets[0].place.range.clone()], "s3cret");
        assert_eq!(found.pools[0].name, "shop.batch");
    }

    #[test]
    fn what_is_no_pgdog_file_is_no_panic() {
        for text in [
            "",
            "databases = 1",
            "[databases]",
            "[[general]]",
            "[[databases]]\nport = 99999999",
        ] {
            let _ = facts(text);
        }
        assert_eq!(facts("[[databases]\n").broken.len(), 1);
    }
}
