//! SQLAlchemy's engines, also as Flask and others configure them.

use super::options::{Address, Options, Said, address, limit_above_zero, limit_always, unknown};
use super::times::{Unit, Zero, default_forever, default_s, server_time, startup};
use super::{Call, Code, Entry, Expr, Found, POOLS_MAX, What};
use crate::facts::{Facts, Feature, Limit, Pool, Tool, Unread, Value, Wait};
use crate::place::Place;
use crate::read::value::pool;
use std::time::Duration;

const DEFAULT: &str = "SQLAlchemy's default";

/// What create_engine reads about its pool and its connections.
const KNOWN: &[&str] = &[
    "connect_args",
    "creator",
    "async_creator",
    "echo",
    "echo_pool",
    "execution_options",
    "executemany_mode",
    "executemany_batch_page_size",
    "executemany_values_page_size",
    "future",
    "isolation_level",
    "json_deserializer",
    "json_serializer",
    "max_overflow",
    "pool",
    "poolclass",
    "pool_class",
    "pool_logging_name",
    "pool_pre_ping",
    "pool_recycle",
    "pool_reset_on_return",
    "pool_size",
    "pool_timeout",
    "pool_use_lifo",
    "query_cache_size",
    "url",
];

/// What people write instead.
const POOLISH: &[&str] = &[
    "pool_max_overflow",
    "pool_max_size",
    "pool_min_size",
    "max_pool_size",
    "max_size",
    "min_size",
    "maxsize",
    "minsize",
    "max_connections",
    "pool_max",
    "pool_min",
    "overflow",
    "timeout",
    "connect_timeout",
    "command_timeout",
    "statement_timeout",
    "pool_max_lifetime",
    "pool_idle_timeout",
];

/// Flask-SQLAlchemy's own keys, gone since 3.0.
const FLASK_OLD: &[(&str, &str)] = &[
    ("SQLALCHEMY_POOL_SIZE", "pool_size"),
    ("SQLALCHEMY_MAX_OVERFLOW", "max_overflow"),
    ("SQLALCHEMY_POOL_TIMEOUT", "pool_timeout"),
    ("SQLALCHEMY_POOL_RECYCLE", "pool_recycle"),
];

const FLASK_OPTIONS: &str = "SQLALCHEMY_ENGINE_OPTIONS";
const FLASK_URI: &str = "SQLALCHEMY_DATABASE_URI";

/// Reads all engines of a file.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    let is_engine = |c: &&Call| matches!(c.last(), "create_engine" | "create_async_engine");
    for call in code.calls.iter().filter(is_engine).take(POOLS_MAX) {
        let named = call.named.as_slice();
        let options = Options::named(code, Tool::SqlAlchemy, named);
        let url = options.get("url").or(call.arguments.first());
        let engine = Engine {
            name: call.name_or("engine"),
            place: call.place.clone(),
            url,
            options: &options,
        };
        read_engine(&engine, facts);
    }
    flask(code, facts);
}

struct Engine<'o, 'e, 'a> {
    name: String,
    place: Place,
    url: Option<&'e Expr>,
    options: &'o Options<'e, 'a>,
}

impl Engine<'_, '_, '_> {
    fn pool(&self, size: Value<Limit>) -> Pool {
        pool(
            Tool::SqlAlchemy,
            self.name.clone(),
            self.place.clone(),
            size,
        )
    }

    /// Its URL says that a pooler bounds what reaches the server.
    fn is_before_pooler(&self) -> bool {
        let code = self.options.code;
        let Some(url) = self.url else { return false };
        [url, code.behind(url)].iter().any(|expr| {
            let source = code.text.get(expr.place.range.clone()).unwrap_or("");
            let source = source.to_ascii_lowercase();
            POOLERS.iter().any(|word| source.contains(word))
        })
    }

    /// The name of the pool's class, where one is stated.
    fn class(&self) -> Option<&str> {
        let options = self.options;
        let class = options.get("poolclass").or(options.get("pool_class"))?;
        match &class.what {
            What::Name(name) => Some(super::last(name)),
            _ => None,
        }
    }
}

/// Words by which a URL, or the variable that holds it, names a pooler; its
/// usual ports are among them.
const POOLERS: &[&str] = &[
    "bouncer", "pooler", "pgcat", "pgdog", "odyssey", "plimsoll", ":6432", ":6543",
];

const NO_POOL: &str = "SQLAlchemy's NullPool: one connection for each thread";

const BEFORE_POOLER: &str = "SQLAlchemy's NullPool before a pooler: one connection for each thread";

/// Where the engine connects to.
enum Where {
    Postgres(Address),
    /// Not to be seen here.
    Unknown,
    /// Another database.
    Elsewhere,
}

fn read_engine(engine: &Engine<'_, '_, '_>, facts: &mut Facts) {
    let place = match engine.url {
        Some(url) => locate(engine.options.code, url, facts),
        None => Where::Unknown,
    };
    let address = match place {
        Where::Postgres(address) => Some(address),
        Where::Elsewhere => return,
        Where::Unknown => None,
    };
    let connect = engine.options.inner("connect_args");
    // Only SQLite has this argument.
    if connect
        .as_ref()
        .is_some_and(|c| c.get("check_same_thread").is_some())
    {
        return;
    }
    engine.options.unread(
        KNOWN,
        POOLISH,
        "create_engine has no such argument and raises TypeError",
        facts,
    );
    let sized = sized(engine, facts);
    let is_known = sized.is_some();
    let mut pool = sized.unwrap_or(engine.pool(unknown()));
    let options = engine.options;
    // Without a pool nobody waits for it, and no connection lives on.
    if engine.class() == Some("NullPool") {
        let closed = "SQLAlchemy's NullPool: closed after each use";
        pool.timeouts.lifetime = Some(Value::default(Wait::For(Duration::ZERO), closed));
    } else {
        let seconds = (Unit::Seconds, Zero::None);
        pool.timeouts.wait = options.time("pool_timeout", seconds, default_s(30, DEFAULT), facts);
        let never = default_forever("SQLAlchemy's default: pool_recycle is off");
        pool.timeouts.lifetime = options.time("pool_recycle", seconds, never, facts);
        // What is never replaced, and not tried before use, may rest for ever.
        let off = pool.timeouts.lifetime.as_ref();
        let off = off.filter(|age| age.is_stated() && age.value == Wait::Forever);
        if !options.is_true("pool_pre_ping") {
            pool.timeouts.idle = off.cloned();
        }
    }
    if let Some(connect) = &connect {
        connection(connect, &mut pool, facts);
    }
    prepared(engine, address.as_ref(), connect.as_ref(), &mut pool);
    if let Some(address) = address {
        pool.target = address.target;
    }
    if is_known {
        facts.pools.push(pool);
    }
}

/// The limits, by the class of the pool.
fn sized(engine: &Engine<'_, '_, '_>, facts: &mut Facts) -> Option<Pool> {
    let options = engine.options;
    let new = |size| engine.pool(size);
    let class = options.get("poolclass").or(options.get("pool_class"));
    if let Some(class) = class {
        let What::Name(name) = &class.what else {
            return None;
        };
        match super::last(name) {
            "QueuePool" | "AsyncAdaptedQueuePool" | "FallbackAsyncAdaptedQueuePool" => {}
            "NullPool" => {
                refused(options, facts);
                // Straight to a server each request opens its own connection; what
                // stands in a variable may as well be a pooler.
                let known = engine
                    .url
                    .is_some_and(|url| options.code.scalar(url).text().is_some());
                return Some(new(match (engine.is_before_pooler(), known) {
                    (true, _) => Value::default(Limit::Of(1), BEFORE_POOLER),
                    (false, false) => Value::default(Limit::Of(1), NO_POOL),
                    (false, true) => Value::stated(Limit::Unlimited, class.place.clone()),
                }));
            }
            "StaticPool" => return Some(new(Value::stated(Limit::Of(1), class.place.clone()))),
            _ => return None,
        }
    }
    // A pool or a function of one's own.
    if options.get("pool").is_some() {
        return None;
    }
    let size = Value::default(Limit::Of(5), DEFAULT);
    let mut found = new(options.count("pool_size", size, limit_above_zero, facts)?);
    let extra = Value::default(Limit::Of(10), DEFAULT);
    let below_zero = |n: f64| {
        if n < 0.0 {
            Limit::Unlimited
        } else {
            limit_always(n)
        }
    };
    found.extra = Some(options.count("max_overflow", extra, below_zero, facts)?);
    Some(found)
}

/// NullPool takes no limits.
fn refused(options: &Options<'_, '_>, facts: &mut Facts) {
    for key in ["pool_size", "max_overflow", "pool_timeout"] {
        if let Some(entry) = options.entry(key) {
            facts.unread.push(Unread {
                tool: Tool::SqlAlchemy,
                place: entry.key_place.clone(),
                key: key.to_owned(),
                why: "NullPool has no such argument: create_engine raises TypeError".to_owned(),
                help: "remove it, or remove poolclass=NullPool".to_owned(),
            });
        }
    }
}

/// The URL as a text, as `URL.create(...)`, or not to be seen.
fn locate(code: &Code<'_>, url: &Expr, facts: &mut Facts) -> Where {
    let behind = code.behind(url);
    if let What::Call(call) = &behind.what
        && (call.function.ends_with("URL.create") || call.function == "make_url")
    {
        return match call.last() {
            "make_url" => match call.arguments.first() {
                Some(inner) => located(&code.scalar(inner), facts),
                None => Where::Unknown,
            },
            _ => built(code, call, facts),
        };
    }
    located(&code.scalar(behind), facts)
}

fn located(found: &Found, facts: &mut Facts) -> Where {
    let Some(text) = found.text() else {
        return Where::Unknown;
    };
    match address(found, facts) {
        Some(address) => Where::Postgres(address),
        // SQLite as a developer's default of DATABASE_URL.
        None if found.is_default || text.filled => Where::Unknown,
        None => Where::Elsewhere,
    }
}

/// `URL.create("postgresql+psycopg", password=…)`.
fn built(code: &Code<'_>, call: &Call, facts: &mut Facts) -> Where {
    let options = Options::named(code, Tool::SqlAlchemy, &call.named);
    let driver = options.get("drivername").or(call.arguments.first());
    let Some(driver) = driver.map(|expr| code.scalar(expr)) else {
        return Where::Unknown;
    };
    let Some(scheme) = driver.text() else {
        return Where::Unknown;
    };
    if !scheme.text.starts_with("postgres") {
        return Where::Elsewhere;
    }
    options.secret("password", facts);
    let text = |key: &str| options.text(key).map(|(text, _)| text.text);
    let port = options
        .get("port")
        .and_then(|expr| code.scalar(expr).number());
    Where::Postgres(Address {
        scheme: scheme.text.clone(),
        target: crate::facts::Target {
            host: text("host"),
            port: port
                .filter(|n| (1.0..65_536.0).contains(n))
                .map(|n| n as u16),
            database: text("database"),
        },
        parameters: Vec::new(),
        place: driver.place.clone(),
    })
}

/// `connect_args`: what the driver gets.
fn connection(connect: &Options<'_, '_>, pool: &mut Pool, facts: &mut Facts) {
    let seconds = (Unit::Seconds, Zero::Forever);
    let key = match connect.get("connect_timeout") {
        Some(_) => "connect_timeout",
        None => "timeout",
    };
    pool.timeouts.connect = connect.time(key, seconds, None, facts);
    pool.timeouts.statement = connect.time("command_timeout", seconds, None, facts);
    if let Some((text, place)) = connect.text("options") {
        startup(Tool::SqlAlchemy, &text, &place, &mut pool.timeouts, facts);
        pool.needs.push((Feature::SessionSettings, place));
    }
    // asyncpg's parameters of the session.
    let Some(settings) = connect.inner("server_settings") else {
        return;
    };
    for (key, entry) in settings.keys() {
        let found = settings.code.scalar(&entry.value);
        if let Some(text) = found.text() {
            server_time(
                Tool::SqlAlchemy,
                key,
                &text.text,
                &found.place,
                &mut pool.timeouts,
                facts,
            );
        }
        if key != "application_name" {
            pool.needs
                .push((Feature::SessionSettings, entry.key_place.clone()));
        }
    }
}

/// asyncpg and psycopg 3 prepare statements by themselves.
fn prepared(
    engine: &Engine<'_, '_, '_>,
    address: Option<&Address>,
    connect: Option<&Options<'_, '_>>,
    pool: &mut Pool,
) {
    let Some(address) = address else { return };
    let driver = address
        .scheme
        .split_once('+')
        .map_or("", |(_, driver)| driver);
    let is_off = match driver {
        "asyncpg" => connect.is_some_and(|c| match c.said("statement_cache_size") {
            Said::Is(found) => found.number() == Some(0.0),
            Said::Absent => {
                address
                    .parameters
                    .iter()
                    .any(|(k, v, _)| k == "prepared_statement_cache_size" && v == "0")
                    && c.get("prepared_statement_name_func").is_some()
            }
            Said::Unknown => true,
        }),
        "psycopg" | "psycopg_async" => connect.is_some_and(|c| match c.said("prepare_threshold") {
            Said::Is(found) => found.number().is_none(),
            Said::Absent => false,
            Said::Unknown => true,
        }),
        // psycopg2 and pg8000: no cache of their own.
        _ => return,
    };
    // What connect_args is, cannot be seen.
    let hidden = connect.is_none() && engine.options.get("connect_args").is_some();
    if !is_off && !hidden {
        pool.needs
            .push((Feature::PreparedStatements, address.place.clone()));
    }
}

/// Flask-SQLAlchemy: keys of the application's configuration.
fn flask(code: &Code<'_>, facts: &mut Facts) {
    let mut urls = Vec::new();
    let mut maps: Vec<(&Expr, Place)> = Vec::new();
    for assignment in &code.assignments {
        let Some(key) = assignment.path.last() else {
            continue;
        };
        match key.as_str() {
            FLASK_URI => urls.push(&assignment.value),
            FLASK_OPTIONS => maps.push((&assignment.value, assignment.place.clone())),
            key => old(key, &assignment.place, facts),
        }
    }
    let configured = |c: &&Call| matches!(c.last(), "update" | "from_mapping");
    for entry in code.calls.iter().filter(configured).flat_map(given) {
        match entry.key.as_deref() {
            Some(FLASK_URI) => urls.push(&entry.value),
            Some(FLASK_OPTIONS) => maps.push((&entry.value, entry.key_place.clone())),
            Some(key) => old(key, &entry.key_place, facts),
            None => {}
        }
    }
    let built = |c: &&Call| c.last() == "SQLAlchemy";
    for call in code.calls.iter().filter(built) {
        if let Some(map) = call.named("engine_options") {
            maps.push((map, call.place.clone()));
        }
    }
    let url = urls.iter().copied().find(|url| {
        let found = code.scalar(url);
        found
            .text()
            .is_some_and(|text| text.text.starts_with("postgres"))
    });
    // Without options the defaults hold, where it is PostgreSQL at all.
    let none = Options::none(code, Tool::SqlAlchemy);
    if let (Some(url), true) = (url, maps.is_empty()) {
        flask_engine(url.place.clone(), Some(url), &none, facts);
    }
    let url = url.or(urls.first().copied());
    for (map, place) in maps.into_iter().take(POOLS_MAX) {
        if let Some(options) = Options::of(code, Tool::SqlAlchemy, map) {
            flask_engine(place, url, &options, facts);
        }
    }
}

fn flask_engine<'e>(
    place: Place,
    url: Option<&'e Expr>,
    options: &Options<'e, '_>,
    facts: &mut Facts,
) {
    let engine = Engine {
        name: "SQLAlchemy".to_owned(),
        place,
        url,
        options,
    };
    read_engine(&engine, facts);
}

/// What `app.config.update(...)` is given.
fn given(call: &Call) -> impl Iterator<Item = &Entry> {
    let maps = call.arguments.iter().filter_map(|a| match &a.what {
        What::Map(entries) => Some(entries),
        _ => None,
    });
    call.named.iter().chain(maps.flatten())
}

fn old(key: &str, place: &Place, facts: &mut Facts) {
    if let Some((_, now)) = FLASK_OLD.iter().find(|(old, _)| *old == key) {
        facts.unread.push(Unread {
            tool: Tool::SqlAlchemy,
            place: place.clone(),
            key: key.to_owned(),
            why: "Flask-SQLAlchemy reads it no more since 3.0".to_owned(),
            help: format!("write `{FLASK_OPTIONS} = {{\"{now}\": …}}`"),
        });
    }
}
