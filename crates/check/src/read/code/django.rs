//! Django's DATABASES.
//!
//! Without a pool Django keeps one connection for each thread that asks, so
//! the size is 1 for a thread (`Pool::per_thread`); with `OPTIONS["pool"]`,
//! from 5.1, it is psycopg's pool.

use super::django_keys::{CONNECTION, ENTRY, LIBPQ, POOL, POOLISH};
use super::django_later::{DATABASES_MAX, Written, extras};
use super::options::{Options, Said, address, limit_above_zero, limit_always, unknown};
use super::times::{Unit, Zero, default_forever, default_s, startup};
use super::{Code, Entry, Found, Scalar, What};
use crate::facts::{Facts, Feature, Limit, Odd, Pool, Target, Tool, Unread, Value, Wait};
use crate::place::Place;
use crate::read::value::pool;
use std::time::Duration;

const NO_POOL: &str = "Django without a pool: one connection for each thread";
const NO_AGE: &str = "Django's default: a connection is closed after each request";
const PSYCOPG: &str = "psycopg_pool's default";

/// One database, from wherever its keys are set.
struct Database<'e, 'a> {
    alias: String,
    place: Place,
    options: Options<'e, 'a>,
    /// From a URL: `dj_database_url.config(...)`, `env.db()`.
    url: Option<Found>,
    /// `ENGINE` is not stated, and need not be.
    from_url: bool,
}

/// Reads DATABASES, wherever it is assigned.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    let first = facts.pools.len();
    let mut is_settings = false;
    let written = extras(code);
    for assignment in &code.assignments {
        let path: Vec<&str> = assignment.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["DATABASES"] => {
                is_settings = true;
                let Some((entries, _)) = code.map(&assignment.value) else {
                    continue;
                };
                for entry in entries.into_iter().take(DATABASES_MAX) {
                    database(code, entry, &written, facts);
                }
            }
            ["DATABASES", alias] => {
                is_settings = true;
                let entry = Entry {
                    key: Some((*alias).to_owned()),
                    key_place: assignment.place.clone(),
                    value: assignment.value.clone(),
                };
                if facts.pools.len() - first < DATABASES_MAX {
                    database(code, &entry, &written, facts);
                }
            }
            _ => {}
        }
    }
    alone(code, &written, facts);
    if is_settings || code.names.contains_key("INSTALLED_APPS") {
        misplaced(code, facts);
    }
}

/// Reads one entry, with what is written to it elsewhere.
fn database(code: &Code<'_>, entry: &Entry, written: &[Written], facts: &mut Facts) {
    let Some(alias) = &entry.key else { return };
    let later = written
        .iter()
        .filter(|w| w.alias == *alias || w.alias.is_empty());
    let mut entries = Vec::new();
    let mut url = None;
    let mut from_url = false;
    match &code.behind(&entry.value).what {
        What::Map(own) => entries.extend(own.iter().cloned()),
        What::Call(call) if is_url_reader(&call.function) => {
            from_url = true;
            let first = call.arguments.first();
            let stated = match call.last() {
                // The variable's name comes first, or the URL itself.
                "db" | "db_url" => call.named("default").or(call.arguments.get(1)),
                "parse" => first,
                _ => call.named("default"),
            };
            url = stated.map(|expr| code.scalar(expr));
            entries.extend(call.named.iter().filter_map(upper));
        }
        _ => return,
    }
    later.for_each(|w| w.add_to(&mut entries));
    let options = Options::named(code, Tool::Django, &entries);
    let database = Database {
        alias: alias.clone(),
        place: entry.key_place.clone(),
        options,
        url,
        from_url,
    };
    one(&database, facts);
}

/// dj_database_url's arguments are the keys in small letters.
fn upper(entry: &Entry) -> Option<Entry> {
    let key = entry.key.as_deref()?.to_ascii_uppercase();
    ENTRY.contains(&key.as_str()).then(|| Entry {
        key: Some(key),
        ..entry.clone()
    })
}

fn is_url_reader(function: &str) -> bool {
    let first = function.split('.').next().unwrap_or("");
    let last = super::last(function);
    match last {
        "db" | "db_url" => first.contains("env"),
        "config" | "parse" => first.starts_with("dj_") || first == "database_url",
        _ => false,
    }
}

/// Settings that only change what another file states: no engine to be seen.
fn alone(code: &Code<'_>, written: &[Written], facts: &mut Facts) {
    let stated = |alias: &str| {
        code.assignments.iter().any(|a| match a.path.as_slice() {
            [root] => root == "DATABASES",
            [root, name] => root == "DATABASES" && name == alias,
            _ => false,
        })
    };
    let mut done: Vec<&str> = Vec::new();
    for w in written {
        if w.alias.is_empty() || stated(&w.alias) || done.contains(&w.alias.as_str()) {
            continue;
        }
        done.push(&w.alias);
        let later = written.iter().filter(|other| other.alias == w.alias);
        let mut entries = Vec::new();
        later.for_each(|w| w.add_to(&mut entries));
        let database = Database {
            alias: w.alias.clone(),
            place: w.entry.key_place.clone(),
            options: Options::named(code, Tool::Django, &entries),
            url: None,
            from_url: true,
        };
        one(&database, facts);
    }
}

/// Which pool an engine brings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// Django's own.
    Plain,
    /// django-db-connection-pool: SQLAlchemy's pool under `POOL_OPTIONS`.
    QueuePool,
    /// django-db-geventpool: `OPTIONS["MAX_CONNS"]`.
    Gevent,
}

fn engine(database: &Database<'_, '_>) -> Option<Engine> {
    let Some((text, _)) = database.options.text("ENGINE") else {
        return database.from_url.then_some(Engine::Plain);
    };
    let name = text.text.as_str();
    if !["postg", "psql", "timescale"]
        .iter()
        .any(|word| name.contains(word))
    {
        return None;
    }
    Some(match name {
        name if name.starts_with("dj_db_conn_pool") => Engine::QueuePool,
        name if name.contains("gevent") => Engine::Gevent,
        _ => Engine::Plain,
    })
}

fn one(database: &Database<'_, '_>, facts: &mut Facts) {
    let options = &database.options;
    let Some(engine) = engine(database) else {
        return;
    };
    let stated = match &database.url {
        Some(found) if found.text().is_some() => match address(found, facts) {
            Some(address) => Some(address.target),
            // SQLite as a developer's default says nothing of the pool.
            None if found.is_default => None,
            None => return,
        },
        _ => None,
    };
    options.secret("PASSWORD", facts);
    let inner = options.inner("OPTIONS");
    let inner_is_known = inner.is_some() || options.said("OPTIONS") == Said::Absent;
    let inner = inner.unwrap_or(Options::none(options.code, Tool::Django));
    unread(options, &inner, engine, facts);
    let found = match engine {
        Engine::Plain if !inner_is_known => None,
        Engine::Plain => plain(database, &inner, facts),
        Engine::QueuePool => queue_pool(database, facts),
        Engine::Gevent => gevent(database, &inner, facts),
    };
    let Some(mut pool) = found else { return };
    pool.target = stated.unwrap_or(Target {
        host: options
            .text("HOST")
            .and_then(|(t, _)| known(t.filled, t.text)),
        port: port(options),
        database: options
            .text("NAME")
            .and_then(|(t, _)| known(t.filled, t.text)),
    });
    around(database, &inner, &mut pool, facts);
    facts.pools.push(pool);
}

fn known(filled: bool, text: String) -> Option<String> {
    (!filled && !text.is_empty()).then_some(text)
}

fn port(options: &Options<'_, '_>) -> Option<u16> {
    let found = options.code.scalar(options.get("PORT")?);
    found
        .number()
        .filter(|n| (1.0..65_536.0).contains(n))
        .map(|n| n as u16)
}

/// Django's own engine, with psycopg's pool or with none.
fn plain(database: &Database<'_, '_>, inner: &Options<'_, '_>, facts: &mut Facts) -> Option<Pool> {
    let options = &database.options;
    let age = options.time(
        "CONN_MAX_AGE",
        (Unit::Seconds, Zero::None),
        Some(Value::default(Wait::For(Duration::ZERO), NO_AGE)),
        facts,
    );
    // `"pool": True`: its sizes are defaults, and that is where they come from.
    let mut bare = None;
    let own = match inner.said("pool") {
        Said::Absent => None,
        // A map is no scalar; an empty one is no pool for Django.
        Said::Unknown => Some(inner.inner("pool")?).filter(|own| !own.is_empty()),
        Said::Is(found) => match found.bool() {
            Some(true) => {
                bare = Some(found.place);
                Some(Options::none(options.code, Tool::Django))
            }
            Some(false) => None,
            None if found.what == Scalar::Null => None,
            None => return None,
        },
    };
    let found = match &own {
        None => {
            let size = Value::default(Limit::Of(1), NO_POOL);
            let mut found = pool(
                Tool::Django,
                database.alias.clone(),
                database.place.clone(),
                size,
            );
            found.timeouts.lifetime = age;
            return Some(found);
        }
        Some(own) => {
            own.unread(
                POOL,
                POOLISH,
                "psycopg's ConnectionPool has no such argument, and Django does not start",
                facts,
            );
            psycopg(
                database.alias.clone(),
                bare.unwrap_or(database.place.clone()),
                Tool::Django,
                own,
                facts,
            )?
        }
    };
    if let Some(age) = age
        && let (Some(place), false) = (age.place(), age.value == Wait::For(Duration::ZERO))
    {
        facts.odd.push(Odd {
            tool: Tool::Django,
            place: place.clone(),
            what: "Django refuses CONN_MAX_AGE together with a pool".to_owned(),
            help: "remove CONN_MAX_AGE; `max_lifetime` of the pool does its work".to_owned(),
        });
    }
    Some(found)
}

/// psycopg_pool's arguments, whoever hands them on.
pub(super) fn psycopg(
    name: String,
    place: Place,
    tool: Tool,
    own: &Options<'_, '_>,
    facts: &mut Facts,
) -> Option<Pool> {
    let min = own.least("min_size", Value::default(4, PSYCOPG), facts);
    let as_min = match &min {
        Some(min) if min.is_stated() => Value {
            value: Limit::Of(min.value),
            origin: min.origin.clone(),
        },
        _ => Value::default(
            Limit::Of(4),
            "psycopg_pool's default: as many as min_size, 4",
        ),
    };
    // As many as a minimum that is not known, is not known either.
    let needs_min = min.is_none() && own.get("max_size").is_none();
    let size = own.count("max_size", as_min, limit_always, facts);
    let size = size.filter(|_| !needs_min);
    let is_known = size.is_some();
    let mut found = pool(tool, name, place, size.unwrap_or(unknown()));
    found.min = min;
    let seconds = (Unit::Seconds, Zero::None);
    found.timeouts.wait = own.time("timeout", seconds, default_s(30, PSYCOPG), facts);
    found.timeouts.lifetime = own.time("max_lifetime", seconds, default_s(3_600, PSYCOPG), facts);
    found.timeouts.idle = own.time("max_idle", seconds, default_s(600, PSYCOPG), facts);
    is_known.then_some(found)
}

fn queue_pool(database: &Database<'_, '_>, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "django-db-connection-pool's default";
    let none = Options::none(database.options.code, Tool::Django);
    let own = match database.options.said("POOL_OPTIONS") {
        Said::Absent => none,
        _ => database.options.inner("POOL_OPTIONS")?,
    };
    let size = Value::default(Limit::Of(10), DEFAULT);
    let size = own.count("POOL_SIZE", size, limit_above_zero, facts)?;
    let mut found = pool(
        Tool::Django,
        database.alias.clone(),
        database.place.clone(),
        size,
    );
    let extra = Value::default(Limit::Of(10), DEFAULT);
    let below_zero = |n: f64| {
        if n < 0.0 {
            Limit::Unlimited
        } else {
            limit_always(n)
        }
    };
    found.extra = own.count("MAX_OVERFLOW", extra, below_zero, facts);
    found.min = Some(Value::default(0, DEFAULT));
    let seconds = (Unit::Seconds, Zero::None);
    found.timeouts.wait = own.time("TIMEOUT", seconds, default_s(30, DEFAULT), facts);
    found.timeouts.lifetime = own.time("RECYCLE", seconds, default_s(900, DEFAULT), facts);
    Some(found)
}

fn gevent(database: &Database<'_, '_>, inner: &Options<'_, '_>, facts: &mut Facts) -> Option<Pool> {
    const DEFAULT: &str = "django-db-geventpool's default";
    let size = Value::default(Limit::Of(4), DEFAULT);
    let size = inner.count("MAX_CONNS", size, limit_above_zero, facts)?;
    let mut found = pool(
        Tool::Django,
        database.alias.clone(),
        database.place.clone(),
        size,
    );
    found.min = Some(Value::default(0, DEFAULT));
    found.timeouts.wait = default_forever("django-db-geventpool: waits without an end");
    Some(found)
}

/// What holds with every engine: libpq's options, and what needs the session.
fn around(
    database: &Database<'_, '_>,
    inner: &Options<'_, '_>,
    pool: &mut Pool,
    facts: &mut Facts,
) {
    let options = &database.options;
    let seconds = (Unit::Seconds, Zero::Forever);
    pool.timeouts.connect = inner.time("connect_timeout", seconds, None, facts);
    if let Some((text, place)) = inner.text("options") {
        startup(Tool::Django, &text, &place, &mut pool.timeouts, facts);
        pool.needs.push((Feature::SessionSettings, place));
    }
    if !options.is_true("DISABLE_SERVER_SIDE_CURSORS") {
        let engine = options.text("ENGINE").map(|(_, place)| place);
        let place = engine.unwrap_or(database.place.clone());
        pool.needs.push((Feature::ServerSideCursors, place));
    }
    // Django switches psycopg's prepared statements off; a number turns them on.
    if let Said::Is(found) = inner.said("prepare_threshold")
        && found.number().is_some()
    {
        pool.needs.push((Feature::PreparedStatements, found.place));
    }
}

/// Keys where nothing reads them.
fn unread(options: &Options<'_, '_>, inner: &Options<'_, '_>, engine: Engine, facts: &mut Facts) {
    let outside = "Django does not read it there";
    match engine {
        Engine::QueuePool => {
            let known: Vec<&str> = ENTRY.iter().copied().chain(["POOL_OPTIONS"]).collect();
            options.unread(&known, POOLISH, outside, facts);
        }
        Engine::Plain | Engine::Gevent => {
            let before = facts.unread.len();
            options.unread(ENTRY, POOLISH, outside, facts);
            for unread in facts.unread.iter_mut().skip(before) {
                if unread.help.is_empty() {
                    unread.help = help(&unread.key).to_owned();
                }
            }
        }
    }
    for (key, entry) in inner.keys() {
        let lower = key.to_ascii_lowercase();
        let is_own = key == "pool" || LIBPQ.contains(&key);
        let is_gevent = engine == Engine::Gevent && matches!(key, "MAX_CONNS" | "REUSE_CONNS");
        let of_entry = ENTRY.contains(&key);
        if is_own || is_gevent || !(of_entry || POOLISH.contains(&lower.as_str())) {
            continue;
        }
        facts.unread.push(Unread {
            tool: Tool::Django,
            place: entry.key_place.clone(),
            key: key.to_owned(),
            why: "OPTIONS goes to the driver, which knows no such option and refuses to connect"
                .to_owned(),
            help: match of_entry {
                true => "write it beside OPTIONS, not inside".to_owned(),
                false => help(key).to_owned(),
            },
        });
    }
}

fn help(key: &str) -> &'static str {
    match key.to_ascii_lowercase().as_str() {
        "connect_timeout" | "connection_timeout" | "conn_timeout" => {
            "write `\"OPTIONS\": {\"connect_timeout\": seconds}`"
        }
        "statement_timeout" => {
            "write `\"OPTIONS\": {\"options\": \"-c statement_timeout=…\"}`, in milliseconds"
        }
        "conn_max_age" | "conn_health_checks" => "write it in capitals",
        _ => "since Django 5.1 a pool is `\"OPTIONS\": {\"pool\": {\"max_size\": …}}`",
    }
}

/// Keys of an entry as settings of their own.
fn misplaced(code: &Code<'_>, facts: &mut Facts) {
    for assignment in &code.assignments {
        let [name] = assignment.path.as_slice() else {
            continue;
        };
        // Named once more, it is a constant of the file's own.
        let uses = code.names.get(name.as_str()).copied().unwrap_or(0);
        let outside = assignment.scope == 0 && uses == 1;
        if outside && CONNECTION.contains(&name.as_str()) {
            facts.unread.push(Unread {
                tool: Tool::Django,
                place: assignment.place.clone(),
                key: name.clone(),
                why: "Django reads it only inside an entry of DATABASES".to_owned(),
                help: format!("write `\"{name}\"` into DATABASES[\"default\"]"),
            });
        }
    }
}
