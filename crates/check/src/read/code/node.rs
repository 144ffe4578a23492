//! Node's drivers: node-postgres, also under Prisma's adapter, and postgres.js.

use super::options::{Options, Said, address, unknown, whole};
use super::times::{Unit, Zero, default_forever, default_s, startup};
use super::{Call, Code, Found, POOLS_MAX, Scalar, What};
use crate::facts::{Facts, Feature, Limit, Pool, Timeouts, Tool, Value, Wait};
use crate::read::prisma;
use crate::read::value::pool;

const DEFAULT: &str = "node-postgres's default";

/// What node-postgres takes.
const KNOWN: &[&str] = &[
    "user",
    "database",
    "password",
    "port",
    "host",
    "connectionString",
    "keepAlive",
    "keepAliveInitialDelayMillis",
    "statement_timeout",
    "lock_timeout",
    "query_timeout",
    "idle_in_transaction_session_timeout",
    "connectionTimeoutMillis",
    "idleTimeoutMillis",
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "encoding",
    "options",
    "min",
    "max",
    "poolSize",
    "maxUses",
    "maxLifetimeSeconds",
    "allowExitOnIdle",
    "ssl",
    "types",
    "Client",
    "Promise",
    "stream",
    "binary",
    "verify",
    "log",
    "onConnect",
    "hooks",
];

/// What people write instead, in small letters.
const POOLISH: &[&str] = &[
    "pool",
    "pool_size",
    "maxsize",
    "poolmax",
    "poolmin",
    "pool_max",
    "maxconnections",
    "max_connections",
    "maxpoolsize",
    "connectionlimit",
    "connection_limit",
    "acquiretimeoutmillis",
    "acquiretimeout",
    "acquire",
    "idle",
    "evict",
    "idletimeout",
    "idle_timeout",
    "connectiontimeout",
    "connection_timeout",
    "connect_timeout",
    "connecttimeout",
    "timeout",
    "statementtimeout",
    "querytimeout",
    "maxlifetime",
    "max_lifetime",
];

/// Reads all pools of a file.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    let packages = [
        "pg",
        "pg-pool",
        "@neondatabase/serverless",
        "@prisma/adapter-pg",
    ];
    let has_pg = packages.iter().any(|name| imports(code, name));
    let has_postgres = imports(code, "postgres");
    let may_be = |call: &&Call| {
        let last = call.last();
        is_class(last) || matches!(last, "PrismaClient" | "postgres")
    };
    for call in code.calls.iter().filter(may_be).take(POOLS_MAX) {
        let found = match call.last() {
            "PrismaClient" => prisma_client(code, call, facts),
            "postgres" if has_postgres => postgres_js(code, call, facts),
            last if has_pg && is_class(last) => node_pg(code, call, facts),
            _ => None,
        };
        facts.pools.extend(found);
    }
}

/// `Pool`, `PgPool`; not `createPool`, which is somebody's own.
fn is_class(name: &str) -> bool {
    let is_pool = name.ends_with("Pool") && name.starts_with(char::is_uppercase);
    is_pool || name == "PrismaPg"
}

/// The file names the package between quotes, as imports do.
pub(super) fn imports(code: &Code<'_>, package: &str) -> bool {
    ["'", "\"", "`"].iter().any(|quote| {
        let quoted = format!("{quote}{package}{quote}");
        ["require(", "from ", "import ", "import("]
            .iter()
            .any(|word| code.text.contains(&format!("{word}{quoted}")))
    })
}

/// `new Pool({...})`. An argument that cannot be seen through makes no pool.
fn node_pg(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let options = match call.arguments.first() {
        Some(map) => Options::of(code, Tool::NodePg, map)?,
        None => Options::none(code, Tool::NodePg),
    };
    options.unread(KNOWN, POOLISH, "node-postgres does not read it", facts);
    let (mut found, is_known) = sized(&options, call, facts);
    found.timeouts = times(&options, facts);
    let seconds = (Unit::Seconds, Zero::Forever);
    let never = default_forever("node-postgres's default: maxLifetimeSeconds is off");
    found.timeouts.lifetime = options.time("maxLifetimeSeconds", seconds, never, facts);
    around(&options, &mut found, facts);
    is_known.then_some(found)
}

/// The size of node-postgres, and whether it is known; its 0 is no size, so the
/// default holds.
fn sized(options: &Options<'_, '_>, call: &Call, facts: &mut Facts) -> (Pool, bool) {
    let key = match options.get("max") {
        None if options.get("poolSize").is_some() => "poolSize",
        _ => "max",
    };
    let above = |n: f64| {
        if n > 0.0 {
            Limit::Of(whole(n))
        } else {
            Limit::Of(10)
        }
    };
    let size = options.count(key, Value::default(Limit::Of(10), DEFAULT), above, facts);
    let is_known = size.is_some();
    let mut found = pool(
        Tool::NodePg,
        call.name_or("pool"),
        call.place.clone(),
        size.unwrap_or(unknown()),
    );
    found.min = options.least("min", Value::default(0, DEFAULT), facts);
    (found, is_known)
}

/// The times that node-postgres reads, in milliseconds.
pub(super) fn times(options: &Options<'_, '_>, facts: &mut Facts) -> Timeouts {
    let ms = (Unit::Milliseconds, Zero::Forever);
    let wait = options.time(
        "connectionTimeoutMillis",
        ms,
        default_forever("node-postgres's default: connectionTimeoutMillis is off"),
        facts,
    );
    let statement_key = match options.get("statement_timeout") {
        None if options.get("query_timeout").is_some() => "query_timeout",
        _ => "statement_timeout",
    };
    let off = default_forever("node-postgres's default: statement_timeout is off");
    let statement = options.time(statement_key, ms, off, facts);
    // The client's own end of waiting, where the server would work on.
    let client = match options.get("query_timeout") {
        Some(_) if statement_key == "statement_timeout" => {
            options.time("query_timeout", ms, None, facts)
        }
        _ => None,
    };
    let stated = statement.as_ref().filter(|s| s.is_stated());
    let shorter = |client: &Value<Wait>| stated.is_some_and(|s| client.value < s.value);
    Timeouts {
        connect: wait.clone(),
        wait,
        request: client.filter(shorter),
        statement: statement.clone(),
        idle_in_transaction: options.time(
            "idle_in_transaction_session_timeout",
            ms,
            default_forever("node-postgres's default: idle_in_transaction_session_timeout is off"),
            facts,
        ),
        idle: options.time("idleTimeoutMillis", ms, default_s(10, DEFAULT), facts),
        ..Timeouts::default()
    }
}

/// Where it connects to, its secrets, and what it sets for its session.
pub(super) fn around(options: &Options<'_, '_>, pool: &mut Pool, facts: &mut Facts) {
    options.secret("password", facts);
    let text = |key: &str| {
        options
            .text(key)
            .filter(|(t, _)| !t.filled)
            .map(|(t, _)| t.text)
    };
    let port = options
        .get("port")
        .and_then(|expr| options.code.scalar(expr).number());
    pool.target.host = text("host");
    pool.target.database = text("database");
    pool.target.port = port
        .filter(|n| (1.0..65_536.0).contains(n))
        .map(|n| n as u16);
    let url = options.get("connectionString").or(options.get("url"));
    if let Some(expr) = url
        && let Some(address) = address(&options.code.scalar(expr), facts)
    {
        pool.target = address.target;
    }
    if let Some((text, place)) = options.text("options") {
        startup(pool.tool, &text, &place, &mut pool.timeouts, facts);
        pool.needs.push((Feature::SessionSettings, place));
    }
}

/// `new PrismaClient({ datasources: { db: { url } } })`, or `datasourceUrl`.
fn prisma_client(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    let options = Options::of(code, Tool::Prisma, call.arguments.first()?)?;
    let sources = options.inner("datasources");
    let inner = sources.and_then(|all| all.keys().next().and_then(|(key, _)| all.inner(key)));
    let url = options
        .get("datasourceUrl")
        .or(inner.as_ref().and_then(|i| i.get("url")))?;
    let found: Found = code.scalar(url);
    // Something is filled in: parameters may follow that are not seen here.
    let text = found.text().filter(|text| !text.filled && text.exact)?;
    prisma::pool_of_url(&text.text, &found.place, call.name_or("prisma"), facts)
}

/// `postgres(url, {...})`: its times are seconds.
fn postgres_js(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "postgres.js's default";
    let map = call
        .arguments
        .iter()
        .find(|a| matches!(code.behind(a).what, What::Map(_)));
    let options = match (map, call.arguments.len()) {
        (Some(map), _) => Options::of(code, Tool::PostgresJs, map)?,
        (None, 0 | 1) => Options::none(code, Tool::PostgresJs),
        (None, _) => return None,
    };
    let above = |n: f64| Limit::Of(whole(n.max(1.0)));
    let size = options.count("max", Value::default(Limit::Of(10), DEFAULT), above, facts)?;
    let mut found = pool(
        Tool::PostgresJs,
        call.name_or("sql"),
        call.place.clone(),
        size,
    );
    let seconds = (Unit::Seconds, Zero::Forever);
    let t = &mut found.timeouts;
    t.connect = options.time("connect_timeout", seconds, default_s(30, DEFAULT), facts);
    t.wait = default_forever("postgres.js: queries queue without an end");
    t.idle = options.time("idle_timeout", seconds, default_forever(DEFAULT), facts);
    let lifetime = default_s(1_800, "postgres.js's default: 30 to 60 minutes");
    t.lifetime = options.time("max_lifetime", seconds, lifetime, facts);
    around(&options, &mut found, facts);
    if let Some(expr) = call.arguments.first()
        && let Some(address) = address(&code.scalar(expr), facts)
    {
        found.target = address.target;
    }
    let is_off = match options.said("prepare") {
        Said::Is(value) => value.what == Scalar::Bool(false),
        Said::Absent => false,
        Said::Unknown => true,
    };
    if !is_off {
        found
            .needs
            .push((Feature::PreparedStatements, call.place.clone()));
    }
    Some(found)
}
