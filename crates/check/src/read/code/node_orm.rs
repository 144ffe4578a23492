//! Node's query builders and mappers: Sequelize, Knex, TypeORM. Their options
//! are maps that say `dialect`, `client` or `type`, wherever they stand.

use super::node::{around, imports, times};
use super::options::{Options, address, limit_always, secret, unknown, whole};
use super::times::{Unit, Zero, default_s};
use super::{Call, Code, POOLS_MAX, What};
use crate::facts::{Facts, Limit, Pool, Timeouts, Tool, Value};
use crate::place::Place;
use crate::read::value::pool;

const POSTGRES: &[&str] = &["pg", "postgres", "postgresql", "pg-native", "pgnative"];

/// Pool keys that stand beside `pool` instead of in it.
const BESIDE: &[&str] = &[
    "max",
    "min",
    "acquire",
    "idle",
    "evict",
    "poolsize",
    "pool_size",
    "maxconnections",
    "max_connections",
    "connectionlimit",
    "acquiretimeoutmillis",
    "idletimeoutmillis",
    "maxpoolsize",
];

const SEQUELIZE_POOL: &[&str] = &[
    "max", "min", "idle", "acquire", "evict", "maxUses", "validate",
];

const KNEX_POOL: &[&str] = &[
    "min",
    "max",
    "acquireTimeoutMillis",
    "createTimeoutMillis",
    "destroyTimeoutMillis",
    "idleTimeoutMillis",
    "reapIntervalMillis",
    "createRetryIntervalMillis",
    "propagateCreateError",
    "afterCreate",
    "validate",
    "log",
];

/// What people write in a pool where it is called otherwise.
const IN_POOL: &[&str] = &[
    "size",
    "maxsize",
    "minsize",
    "maxconnections",
    "connectionlimit",
    "acquiretimeout",
    "acquire",
    "acquiretimeoutmillis",
    "idle",
    "idletimeout",
    "idletimeoutmillis",
    "timeout",
    "maxidletime",
    "connectiontimeoutmillis",
];

/// Reads all maps that look like one of them.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    for found in code.maps.iter().take(POOLS_MAX) {
        let Some(options) = Options::of(code, Tool::Sequelize, &found.map) else {
            continue;
        };
        let says = |key: &str| {
            let value = options.text(key);
            value
                .filter(|(text, _)| POSTGRES.contains(&text.text.as_str()))
                .map(|(_, p)| p)
        };
        let label = match found.label.as_str() {
            "" => "default",
            label => label,
        };
        let pool = if let Some(place) = says("dialect") {
            sequelize(&options, label, place, facts)
        } else if let Some(place) = says("client") {
            knex(options, label, place, facts)
        } else if let Some(place) = says("type") {
            typeorm(options, label, place, facts)
        } else {
            None
        };
        facts.pools.extend(pool);
    }
    let by_url = |call: &&Call| call.last() == "Sequelize";
    for call in code.calls.iter().filter(by_url).take(POOLS_MAX) {
        let pool = sequelize_url(code, call, facts);
        facts.pools.extend(pool);
    }
}

/// `new Sequelize("postgres://…", {...})` without a dialect.
fn sequelize_url(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let first = call.arguments.first()?;
    let map = call
        .arguments
        .iter()
        .find(|a| matches!(code.behind(a).what, What::Map(_)));
    let options = match map {
        Some(map) => Options::of(code, Tool::Sequelize, map)?,
        None => Options::none(code, Tool::Sequelize),
    };
    let found = code.scalar(first);
    // `new Sequelize(database, user, password, options)`.
    if let (Some(_), Some(third)) = (found.text(), call.arguments.get(2)) {
        let password = code.scalar(third);
        if let Some(text) = password.text() {
            secret(text, &password, facts);
        }
    }
    let stated = options.get("dialect").is_some();
    let address = address(&found, facts);
    let hidden = found.text().is_none() && code.mentions(&["postgres", "'pg'", "\"pg\""]);
    if stated || !(address.is_some() || hidden && imports(code, "sequelize")) {
        return None;
    }
    let mut pool = sequelize(
        &options,
        &call.name_or("sequelize"),
        call.place.clone(),
        facts,
    )?;
    if let Some(address) = address {
        pool.target = address.target;
    }
    Some(pool)
}

fn sequelize(
    options: &Options<'_, '_>,
    label: &str,
    place: Place,
    facts: &mut Facts,
) -> Option<Pool> {
    const DEFAULT: &str = "Sequelize's default";
    let own = inner(options)?;
    options.unread(&[], BESIDE, "Sequelize reads it only inside `pool`", facts);
    own.unread(
        SEQUELIZE_POOL,
        IN_POOL,
        "Sequelize's pool does not read it",
        facts,
    );
    let size = own.count(
        "max",
        Value::default(Limit::Of(5), DEFAULT),
        limit_always,
        facts,
    );
    let is_known = size.is_some();
    let mut found = pool(
        Tool::Sequelize,
        label.to_owned(),
        place,
        size.unwrap_or(unknown()),
    );
    found.min = own.least("min", Value::default(0, DEFAULT), facts);
    let ms = (Unit::Milliseconds, Zero::None);
    found.timeouts.wait = own.time("acquire", ms, default_s(60, DEFAULT), facts);
    found.timeouts.idle = own.time("idle", ms, default_s(10, DEFAULT), facts);
    if let Some(driver) = options.inner("dialectOptions") {
        session(&driver, &mut found.timeouts, facts);
    }
    around(options, &mut found, facts);
    is_known.then_some(found)
}

fn knex(options: Options<'_, '_>, label: &str, place: Place, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "Knex's default";
    // `client: 'pg'` alone is somebody else's.
    if options.get("connection").is_none() && options.get("pool").is_none() {
        return None;
    }
    let options = options.of_tool(Tool::Knex);
    let own = inner(&options)?;
    options.unread(&[], BESIDE, "Knex reads it only inside `pool`", facts);
    own.unread(KNEX_POOL, IN_POOL, "Knex's pool does not read it", facts);
    let size = own.count(
        "max",
        Value::default(Limit::Of(10), DEFAULT),
        limit_always,
        facts,
    );
    let is_known = size.is_some();
    let mut found = pool(
        Tool::Knex,
        label.to_owned(),
        place,
        size.unwrap_or(unknown()),
    );
    found.min = own.least("min", Value::default(2, DEFAULT), facts);
    let ms = (Unit::Milliseconds, Zero::None);
    let t = &mut found.timeouts;
    t.wait = match options.get("acquireConnectionTimeout") {
        Some(_) if own.get("acquireTimeoutMillis").is_none() => {
            options.time("acquireConnectionTimeout", ms, None, facts)
        }
        _ => own.time("acquireTimeoutMillis", ms, default_s(60, DEFAULT), facts),
    };
    t.connect = own.time("createTimeoutMillis", ms, default_s(30, DEFAULT), facts);
    t.idle = own.time("idleTimeoutMillis", ms, default_s(30, DEFAULT), facts);
    if let Some(connection) = options.inner("connection") {
        session(&connection, t, facts);
        around(&connection, &mut found, facts);
    } else if let Some(expr) = options.get("connection")
        && let Some(address) = address(&options.code.scalar(expr), facts)
    {
        found.target = address.target;
    }
    is_known.then_some(found)
}

fn typeorm(options: Options<'_, '_>, label: &str, place: Place, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "node-postgres's default, under TypeORM";
    let telling = [
        "entities",
        "extra",
        "synchronize",
        "migrations",
        "host",
        "url",
        "poolSize",
    ];
    if !telling.iter().any(|key| options.get(key).is_some()) {
        return None;
    }
    let options = options.of_tool(Tool::NodePg);
    let none = Options::none(options.code, Tool::NodePg);
    let extra = match options.get("extra") {
        Some(_) => options.inner("extra")?,
        None => none,
    };
    let (from, key) = match options.get("poolSize") {
        Some(_) if extra.get("max").is_none() => (&options, "poolSize"),
        _ => (&extra, "max"),
    };
    let above = |n: f64| {
        if n > 0.0 {
            Limit::Of(whole(n))
        } else {
            Limit::Of(10)
        }
    };
    let size = from.count(key, Value::default(Limit::Of(10), DEFAULT), above, facts)?;
    let mut found = pool(Tool::NodePg, label.to_owned(), place, size);
    found.timeouts = times(&extra, facts);
    if options.get("connectTimeoutMS").is_some() {
        let ms = (Unit::Milliseconds, Zero::Forever);
        let wait = options.time("connectTimeoutMS", ms, None, facts);
        found.timeouts.connect.clone_from(&wait);
        found.timeouts.wait = wait;
    }
    around(&options, &mut found, facts);
    Some(found)
}

/// The `pool` of the options. `None`: there, but not to be seen through.
fn inner<'e, 'a>(options: &Options<'e, 'a>) -> Option<Options<'e, 'a>> {
    match options.get("pool") {
        Some(_) => options.inner("pool"),
        None => Some(Options::none(options.code, options.tool)),
    }
}

/// Times that the driver sets for its session, where they are stated.
fn session(driver: &Options<'_, '_>, t: &mut Timeouts, facts: &mut Facts) {
    let ms = (Unit::Milliseconds, Zero::Forever);
    t.statement = driver.time("statement_timeout", ms, None, facts);
    let idle = "idle_in_transaction_session_timeout";
    t.idle_in_transaction = driver.time(idle, ms, None, facts);
}
