//! Ruby: `establish_connection`, Sequel, and Puma's own file.

use super::options::{Options, Said, address, limit_always, unknown};
use super::times::{Unit, Zero, default_forever, default_s, server_time};
use super::{Assignment, Call, Code, Expr, Found, POOLS_MAX, What, last};
use crate::facts::{Facts, Feature, Limit, Pool, Target, Tool, Value, Workload};
use crate::place::Place;
use crate::read::value::pool;
use std::path::Path;

const RAILS: &str = "Rails' default";
const SEQUEL: &str = "Sequel's default";
const PUMA: &str = "Puma's default";

/// What `establish_connection` takes of these words.
const RAILS_KEYS: &[&str] = &[
    "pool",
    "max_connections",
    "min_connections",
    "checkout_timeout",
    "idle_timeout",
    "reaping_frequency",
    "prepared_statements",
    "advisory_locks",
    "connect_timeout",
    "variables",
];
/// Words of other tools for the same.
const RAILS_WRONG: &[&str] = &[
    "pool_size",
    "max_pool_size",
    "pool_timeout",
    "timeout",
    "wait_timeout",
];

const SEQUEL_KEYS: &[&str] = &[
    "max_connections",
    "pool_timeout",
    "pool_class",
    "connect_timeout",
    "preconnect",
    "single_threaded",
    "connect_sqls",
];
const SEQUEL_WRONG: &[&str] = &[
    "pool",
    "pool_size",
    "max_pool_size",
    "checkout_timeout",
    "min_connections",
];

/// Words without which a file is not looked at.
pub(crate) fn tells(path: &Path, text: &str) -> bool {
    let words = ["establish_connection", "Sequel.connect", "Sequel.postgres"];
    words.iter().any(|word| text.contains(word))
        || is_puma(path)
            && ["threads", "workers"]
                .iter()
                .any(|word| text.contains(word))
}

fn is_puma(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let within = path.parent().and_then(Path::file_name);
    name.to_ascii_lowercase().contains("puma") || within.is_some_and(|d| d == "puma")
}

/// Reads all pools of a file, and what Puma runs.
pub(super) fn read(code: &Code<'_>, path: &Path, facts: &mut Facts) {
    for call in code.calls.iter().take(20 * POOLS_MAX) {
        match call.last() {
            "establish_connection" => {
                let found = rails(code, call, facts);
                facts.pools.extend(found);
            }
            "connect" | "postgres" if call.function.starts_with("Sequel.") => {
                let found = sequel(code, call, facts);
                facts.pools.extend(found);
            }
            _ => {}
        }
        if facts.pools.len() > POOLS_MAX {
            return;
        }
    }
    if is_puma(path) {
        puma(code, facts);
    }
}

/// The options of a call, wherever they stand: named, or a map.
fn options<'e, 'a>(code: &'e Code<'a>, tool: Tool, call: &'e Call, at: usize) -> Options<'e, 'a> {
    let map = call.arguments.get(at);
    let map = map.and_then(|map| Options::of(code, tool, map));
    map.filter(|_| call.named.is_empty())
        .unwrap_or_else(|| Options::named(code, tool, &call.named))
}

/// PostgreSQL's, or not said to be anything else.
fn is_ours(adapter: Option<&str>) -> bool {
    adapter.is_none_or(|a| {
        matches!(
            a,
            "postgresql" | "postgis" | "postgres" | "pg" | "jdbcpostgresql"
        )
    })
}

fn rails(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let first = call.arguments.first();
    let own = options(code, Tool::Rails, call, 0);
    let url = own.get("url").or(first).map(|expr| code.scalar(expr));
    let url = url.and_then(|found| address(&found, facts));
    own.secret("password", facts);
    // A name, a symbol or a variable: its settings stand elsewhere.
    let changed = changed(code, first);
    if url.is_none() && own.is_empty() && changed.is_none() {
        return None;
    }
    let adapter = own.text("adapter").map(|(text, _)| text.text);
    if !is_ours(adapter.as_deref()) || adapter.is_none() && url.is_none() && changed.is_none() {
        return None;
    }
    own.unread(
        RAILS_KEYS,
        RAILS_WRONG,
        "Rails reads no such setting",
        facts,
    );
    let default = Value::default(Limit::Of(5), RAILS);
    let key = match own.said("max_connections") {
        Said::Absent => "pool",
        _ => "max_connections",
    };
    let below = |n: f64| match n < 0.0 {
        true => Limit::Unlimited,
        false => limit_always(n),
    };
    let size = match (changed, &url) {
        (Some(found), _) => stated(&found, below),
        (None, Some(url)) if own.is_empty() => {
            in_url(url, &["max_connections", "pool"]).or(Some(default))
        }
        _ => own.count(key, default, below, facts),
    };
    let is_known = size.is_some();
    let mut found = pool(
        Tool::Rails,
        call.name_or("establish_connection"),
        call.place.clone(),
        size.unwrap_or(unknown()),
    );
    found.min = own.least("min_connections", Value::default(0, RAILS), facts);
    let seconds = (Unit::Seconds, Zero::Forever);
    let t = &mut found.timeouts;
    t.wait = own.time("checkout_timeout", seconds, default_s(5, RAILS), facts);
    t.idle = own.time("idle_timeout", seconds, default_s(300, RAILS), facts);
    t.connect = own.time("connect_timeout", seconds, None, facts);
    session(code, call, &own, url.is_some(), &mut found, facts);
    found.target = target(&own, url.map(|url| url.target));
    is_known.then_some(found)
}

/// What Rails does with its session: variables, prepared statements, locks.
fn session(
    code: &Code<'_>,
    call: &Call,
    own: &Options<'_, '_>,
    in_url: bool,
    found: &mut Pool,
    facts: &mut Facts,
) {
    let t = &mut found.timeouts;
    let off = "PostgreSQL's default: no limit";
    t.statement = default_forever(off);
    t.idle_in_transaction = default_forever(off);
    if let Some(variables) = own.inner("variables") {
        for (key, entry) in variables.keys() {
            let value = code.scalar(&entry.value);
            let text = value.text().map(|t| t.text.clone());
            let text = text.or(value.number().map(|n| n.to_string()));
            if let Some(text) = text {
                server_time(Tool::Rails, key, &text, &value.place, t, facts);
            }
            found
                .needs
                .push((Feature::SessionSettings, entry.key_place.clone()));
        }
    }
    for (key, feature) in [
        ("prepared_statements", Feature::PreparedStatements),
        ("advisory_locks", Feature::AdvisoryLocks),
    ] {
        match own.said(key) {
            Said::Absent if !in_url => found.needs.push((feature, call.place.clone())),
            Said::Is(value) if value.bool() == Some(true) => {
                found.needs.push((feature, value.place));
            }
            _ => {}
        }
    }
}

/// `config["pool"] = 20` before `establish_connection(config)`.
fn changed(code: &Code<'_>, first: Option<&Expr>) -> Option<Found> {
    let What::Name(name) = &first?.what else {
        return None;
    };
    let is = |a: &&Assignment| match a.path.as_slice() {
        [of, key] => of == last(name) && matches!(key.as_str(), "pool" | "max_connections"),
        _ => false,
    };
    let found = code.assignments.iter().rev().find(is)?;
    Some(code.scalar(&found.value))
}

fn stated(found: &Found, of: impl Fn(f64) -> Limit) -> Option<Value<Limit>> {
    let number = found.number()?;
    Some(Value::stated(of(number), found.place.clone()))
}

fn in_url(url: &super::options::Address, keys: &[&str]) -> Option<Value<Limit>> {
    let own = |(key, _, _): &&(String, String, Place)| keys.contains(&key.as_str());
    let (_, value, place) = url.parameters.iter().find(own)?;
    Some(Value::stated(Limit::Of(value.parse().ok()?), place.clone()))
}

fn target(own: &Options<'_, '_>, url: Option<Target>) -> Target {
    let text = |key: &str| own.text(key).map(|(text, _)| text.text);
    let url = url.unwrap_or_default();
    Target {
        host: url.host.or_else(|| text("host")),
        port: url.port.or_else(|| text("port")?.parse().ok()),
        database: url.database.or_else(|| text("database")),
    }
}

fn sequel(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let map = call
        .arguments
        .iter()
        .position(|a| matches!(a.what, What::Map(_)));
    let own = options(code, Tool::Sequel, call, map.unwrap_or(usize::MAX));
    let url = call.arguments.first().map(|expr| code.scalar(expr));
    let text = url
        .as_ref()
        .and_then(|found| found.text())
        .map(|t| t.text.clone());
    let url = url.and_then(|found| address(&found, facts));
    own.secret("password", facts);
    let adapter = own.text("adapter").map(|(text, _)| text.text);
    let others =
        text.is_some_and(|t| t.contains("://") && url.is_none() || t.starts_with("sqlite"));
    if !is_ours(adapter.as_deref()) || others || call.arguments.is_empty() && call.named.is_empty()
    {
        return None;
    }
    own.unread(
        SEQUEL_KEYS,
        SEQUEL_WRONG,
        "Sequel reads no such option",
        facts,
    );
    let default = Value::default(Limit::Of(4), SEQUEL);
    let size = match (&url, own.is_empty()) {
        (Some(url), true) => in_url(url, &["max_connections"]).or(Some(default)),
        _ => own.count("max_connections", default, limit_always, facts),
    };
    let is_known = size.is_some();
    let mut found = pool(
        Tool::Sequel,
        call.name_or("DB"),
        call.place.clone(),
        size.unwrap_or(unknown()),
    );
    let wait = (Unit::Seconds, Zero::None);
    found.timeouts.wait = own.time("pool_timeout", wait, default_s(5, SEQUEL), facts);
    found.timeouts.connect = own.time(
        "connect_timeout",
        (Unit::Seconds, Zero::Forever),
        None,
        facts,
    );
    found.target = target(&own, url.map(|url| url.target));
    is_known.then_some(found)
}

/// `workers` and `threads` of Puma's own file.
fn puma(code: &Code<'_>, facts: &mut Facts) {
    let of = |name: &str| code.calls.iter().rev().find(|c| c.function == name);
    let (workers, threads) = (of("workers"), of("threads"));
    let Some(first) = threads.or(workers) else {
        return;
    };
    let count = |call: Option<&Call>, default: u64| match call {
        None => Some(Value::default(default, PUMA)),
        Some(call) => {
            // `threads min, max`.
            let found = code.scalar(call.arguments.last()?);
            let number = found.number().filter(|n| *n >= 0.0)?;
            Some(Value::stated((number as u64).max(1), found.place))
        }
    };
    facts.workloads.push(Workload {
        tool: Tool::Puma,
        runs: Some("puma"),
        name: "puma".to_owned(),
        place: first.place.clone(),
        replicas: Value::default(1, "one copy"),
        surge: Value::default(0, "one copy"),
        processes: count(workers, 1),
        threads: count(threads, 5),
        environment: Vec::new(),
    });
}
