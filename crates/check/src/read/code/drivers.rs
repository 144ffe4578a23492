//! Pools of Python's drivers themselves: psycopg_pool, psycopg2.pool, asyncpg.

use super::django::psycopg;
use super::options::{Options, Said, address, limit_above_zero, limit_always, unknown, whole};
use super::times::{Unit, Zero, default_forever, default_s, server_time};
use super::{Call, Code, Expr, POOLS_MAX, Scalar};
use crate::facts::{Facts, Feature, Limit, Pool, Tool, Value, Wait};
use crate::read::value::pool;
use std::time::Duration;

const ASYNCPG: &str = "asyncpg's default";

/// What an asyncpg pool takes of these words.
const ASYNCPG_KEYS: &[&str] = &[
    "dsn",
    "min_size",
    "max_size",
    "max_queries",
    "max_inactive_connection_lifetime",
    "connect",
    "setup",
    "init",
    "reset",
    "loop",
    "connection_class",
    "record_class",
    "host",
    "port",
    "user",
    "password",
    "passfile",
    "database",
    "timeout",
    "command_timeout",
    "statement_cache_size",
    "max_cached_statement_lifetime",
    "max_cacheable_statement_size",
    "ssl",
    "server_settings",
];

const PSYCOPG_KEYS: &[&str] = &[
    "conninfo",
    "min_size",
    "max_size",
    "timeout",
    "max_waiting",
    "max_lifetime",
    "max_idle",
    "reconnect_timeout",
    "reconnect_failed",
    "num_workers",
    "name",
    "open",
    "configure",
    "check",
    "reset",
    "kwargs",
    "connection_class",
    "close_returns",
];

/// What people write instead.
const POOLISH: &[&str] = &[
    "maxsize",
    "minsize",
    "pool_size",
    "max_overflow",
    "max_connections",
    "min_connections",
    "maxconn",
    "minconn",
    "max_conns",
    "pool_timeout",
    "acquire_timeout",
    "connection_timeout",
    "connect_timeout",
    "max_pool_size",
    "idle_timeout",
    "statement_timeout",
];

/// Reads all pools of a file.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    let psycopg3 = code.mentions(&["psycopg_pool"]);
    let psycopg2 = code.mentions(&["psycopg2"]);
    let asyncpg = code.mentions(&["asyncpg"]);
    let may_be =
        |call: &&Call| call.last().ends_with("ConnectionPool") || call.last() == "create_pool";
    for call in code.calls.iter().filter(may_be).take(POOLS_MAX) {
        // Other libraries have pools of these names: redis, urllib3, aiomysql.
        let foreign = ["redis", "mysql", "urllib", "http"];
        let function = call.function.to_ascii_lowercase();
        if foreign.iter().any(|word| function.contains(word)) {
            continue;
        }
        let found = match call.last() {
            "ConnectionPool" | "AsyncConnectionPool" if psycopg3 => three(code, call, facts),
            "NullConnectionPool" | "AsyncNullConnectionPool" if psycopg3 => null(code, call, facts),
            "SimpleConnectionPool" | "ThreadedConnectionPool" if psycopg2 => two(code, call, facts),
            "create_pool" if asyncpg => of_asyncpg(code, call, facts),
            _ => None,
        };
        facts.pools.extend(found);
    }
}

/// The target and the secret of a DSN, where it is a URL in the file.
fn dsn(code: &Code<'_>, expr: Option<&Expr>, pool: &mut Pool, facts: &mut Facts) {
    if let Some(expr) = expr {
        let found = code.scalar(expr);
        if let Some(address) = address(&found, facts) {
            pool.target = address.target;
        }
    }
}

fn three(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let own = Options::named(code, Tool::Psycopg, &call.named);
    own.unread(
        PSYCOPG_KEYS,
        POOLISH,
        "psycopg's ConnectionPool has no such argument and raises TypeError",
        facts,
    );
    let mut found = psycopg(
        call.name_or("pool"),
        call.place.clone(),
        Tool::Psycopg,
        &own,
        facts,
    )?;
    dsn(
        code,
        own.get("conninfo").or(call.arguments.first()),
        &mut found,
        facts,
    );
    threshold(&own, call, &mut found);
    Some(found)
}

/// `kwargs={"prepare_threshold": None}` switches psycopg's prepared statements off.
fn threshold(own: &Options<'_, '_>, call: &Call, pool: &mut Pool) {
    let is_off = match own.inner("kwargs").map(|k| k.said("prepare_threshold")) {
        Some(Said::Is(found)) => found.what == Scalar::Null,
        Some(Said::Absent) => false,
        Some(Said::Unknown) => true,
        None => own.said("kwargs") != Said::Absent,
    };
    if !is_off {
        pool.needs
            .push((Feature::PreparedStatements, call.place.clone()));
    }
}

/// No connection is kept; at most `max_size` at a time, and 0 is no limit.
fn null(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "psycopg_pool's default: a NullConnectionPool has no limit";
    let own = Options::named(code, Tool::Psycopg, &call.named);
    let size = own.count(
        "max_size",
        Value::default(Limit::Unlimited, DEFAULT),
        limit_above_zero,
        facts,
    )?;
    let mut found = pool(
        Tool::Psycopg,
        call.name_or("pool"),
        call.place.clone(),
        size,
    );
    let seconds = (Unit::Seconds, Zero::None);
    found.timeouts.wait = own.time(
        "timeout",
        seconds,
        default_s(30, "psycopg_pool's default"),
        facts,
    );
    dsn(
        code,
        own.get("conninfo").or(call.arguments.first()),
        &mut found,
        facts,
    );
    Some(found)
}

/// psycopg2's: `ThreadedConnectionPool(minconn, maxconn, …)`.
fn two(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let own = Options::named(code, Tool::Psycopg, &call.named);
    let number = |key: &str, at: usize| {
        let expr = own.get(key).or(call.arguments.get(at))?;
        let found = code.scalar(expr);
        let n = found.number().filter(|n| *n >= 0.0)?;
        Some(Value::stated(whole(n), found.place))
    };
    let max = number("maxconn", 1)?;
    let size = Value {
        value: Limit::Of(max.value),
        origin: max.origin,
    };
    let mut found = pool(
        Tool::Psycopg,
        call.name_or("pool"),
        call.place.clone(),
        size,
    );
    found.min = number("minconn", 0);
    // getconn raises PoolError at once when all are taken.
    found.timeouts.wait = Some(Value::default(
        Wait::For(Duration::ZERO),
        "psycopg2: an exhausted pool raises PoolError at once",
    ));
    own.secret("password", facts);
    dsn(
        code,
        own.get("dsn").or(call.arguments.get(2)),
        &mut found,
        facts,
    );
    Some(found)
}

fn of_asyncpg(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let own = Options::named(code, Tool::Asyncpg, &call.named);
    own.unread(
        ASYNCPG_KEYS,
        POOLISH,
        "asyncpg has no such argument: no connection can be made",
        facts,
    );
    let size = Value::default(Limit::Of(10), ASYNCPG);
    let size = own.count("max_size", size, limit_always, facts);
    let is_known = size.is_some();
    let mut found = pool(
        Tool::Asyncpg,
        call.name_or("pool"),
        call.place.clone(),
        size.unwrap_or(unknown()),
    );
    found.min = own.least("min_size", Value::default(10, ASYNCPG), facts);
    let seconds = (Unit::Seconds, Zero::Forever);
    let t = &mut found.timeouts;
    t.connect = own.time("timeout", seconds, default_s(60, ASYNCPG), facts);
    let off = default_forever("asyncpg's default: command_timeout is off");
    t.statement = own.time("command_timeout", seconds, off, facts);
    let idle = "max_inactive_connection_lifetime";
    t.idle = own.time(idle, seconds, default_s(300, ASYNCPG), facts);
    t.wait = acquire(code, facts);
    if let Some(settings) = own.inner("server_settings") {
        for (key, entry) in settings.keys() {
            let value = code.scalar(&entry.value);
            if let Some(text) = value.text() {
                server_time(Tool::Asyncpg, key, &text.text, &value.place, t, facts);
            }
            if key != "application_name" {
                found
                    .needs
                    .push((Feature::SessionSettings, entry.key_place.clone()));
            }
        }
    }
    let is_off = match own.said("statement_cache_size") {
        Said::Is(value) => value.number() == Some(0.0),
        Said::Absent => false,
        Said::Unknown => true,
    };
    if !is_off {
        found
            .needs
            .push((Feature::PreparedStatements, call.place.clone()));
    }
    own.secret("password", facts);
    dsn(
        code,
        own.get("dsn").or(call.arguments.first()),
        &mut found,
        facts,
    );
    is_known.then_some(found)
}

/// The wait is an argument of each `acquire`; the first that states one counts.
fn acquire(code: &Code<'_>, facts: &mut Facts) -> Option<Value<Wait>> {
    let calls = code.calls.iter().filter(|call| call.last() == "acquire");
    let mut stated = calls.filter(|call| call.named("timeout").is_some());
    let Some(call) = stated.next() else {
        return default_forever("asyncpg's default: acquire() without a timeout");
    };
    let own = Options::named(code, Tool::Asyncpg, &call.named);
    own.time("timeout", (Unit::Seconds, Zero::None), None, facts)
}
