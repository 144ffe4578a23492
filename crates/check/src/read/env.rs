//! Environment variables: of .env files, compose services and Kubernetes'
//! containers. One function knows the names.

use super::address::{self, Address};
use super::command;
use super::hikari::{self, Entry, Keys};
use super::pooler;
use super::url::is_secret;
use super::value::{self, Word};
use crate::facts::{Facts, Secret, Server, Target, Tool, Value, Variable, Wait, Workload};
use crate::place::{FileId, Place};
use std::path::Path;

/// Variables of one environment.
pub(crate) const VARIABLES_MAX: usize = 500;

/// A variable as it is written.
#[derive(Clone)]
pub(crate) struct Setting {
    pub name: String,
    pub key: Place,
    /// `None`: kept elsewhere, for instance in a Kubernetes Secret.
    pub word: Option<Word>,
}

/// Whose environment it is.
pub(crate) struct Scene<'a> {
    pub tool: Tool,
    pub name: &'a str,
    pub place: &'a Place,
    /// Of its container, where it has one.
    pub image: &'a str,
}

/// What the variables say about a workload.
#[derive(Default)]
pub(crate) struct Found {
    pub processes: Option<Value<u64>>,
    pub threads: Option<Value<u64>>,
    /// Indices into the facts' pools.
    pub pools: Vec<usize>,
    pub environment: Vec<Variable>,
}

/// Reads a .env file.
pub(crate) fn read(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    let settings = lines(file, text);
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or(".env");
    let place = Place::whole(file);
    let scene = Scene {
        tool: Tool::Environment,
        name,
        place: settings.first().map_or(&place, |s| &s.key),
        image: "",
    };
    let seen = facts.secrets.len();
    let found = variables(&scene, &settings, facts);
    if is_example(name) {
        let new = facts.secrets.split_off(seen);
        facts
            .secrets
            .extend(new.into_iter().filter(|s| !is_filler(text, &s.place)));
    }
    if found.processes.is_none() && found.threads.is_none() {
        return;
    }
    let workload = facts.workloads.len();
    facts
        .within
        .extend(found.pools.iter().map(|pool| (*pool, workload)));
    facts.workloads.push(Workload {
        runs: None,
        tool: Tool::Environment,
        name: name.to_owned(),
        place: scene.place.clone(),
        replicas: Value::default(1, "not said in an environment file"),
        surge: Value::default(0, "not said in an environment file"),
        processes: found.processes,
        threads: found.threads,
        environment: found.environment,
    });
}

/// A file to copy and fill in.
fn is_example(name: &str) -> bool {
    let words = ["example", "sample", "template", "dist", "defaults"];
    words.iter().any(|word| name.contains(word))
}

/// What people write in such a file where a secret will stand.
fn is_filler(text: &str, place: &Place) -> bool {
    let fillers = [
        "password", "passwd", "pass", "secret", "postgres", "user", "root", "admin", "test",
        "example", "token", "todo", "none", "null",
    ];
    let written = text.get(place.range.clone()).unwrap_or("");
    fillers.contains(&written.to_ascii_lowercase().as_str())
}

/// `export NAME="value" # comment`.
pub(crate) fn lines(file: FileId, text: &str) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let start = offset + (raw.len() - raw.trim_start().len());
        offset += raw.len();
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') || all.len() >= VARIABLES_MAX {
            continue;
        }
        let body = line.strip_prefix("export ").unwrap_or(line);
        let start = start + (line.len() - body.len());
        let Some((key, value)) = body.split_once('=') else {
            continue;
        };
        let name = key.trim();
        let lead = value.len() - value.trim_start().len();
        let at = start + key.len() + 1 + lead;
        let (content, skip) = unquoted(value.trim_start());
        let place = Place::new(file, at + skip..at + skip + content.len());
        let key_start = start + (key.len() - key.trim_start().len());
        all.push(Setting {
            name: name.to_owned(),
            key: Place::new(file, key_start..key_start + name.len()),
            word: Some(Word::new(content, place)),
        });
    }
    all
}

/// Without quotes and comment, and how many bytes were left out in front.
fn unquoted(value: &str) -> (&str, usize) {
    for quote in ['"', '\''] {
        if let Some(body) = value.strip_prefix(quote) {
            let end = body.find(quote).unwrap_or(body.trim_end().len());
            return (body.get(..end).unwrap_or(body), 1);
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    (value.get(..end).unwrap_or(value).trim_end(), 0)
}

/// Names that size an application's pool, whatever reads them.
const SIZES: &[&str] = &[
    "DB_POOL",
    "DB_POOL_SIZE",
    "DB_POOL_MAX",
    "DB_POOL_MAX_SIZE",
    "DB_MAX_POOL_SIZE",
    "DB_MAX_CONNECTIONS",
    "DB_MAX_CONNS",
    "DB_MAX_OPEN_CONNS",
    "DB_MAX_OPEN_CONNECTIONS",
    "DB_CONNECTION_LIMIT",
    "DATABASE_POOL",
    "DATABASE_POOL_SIZE",
    "DATABASE_POOL_MAX",
    "DATABASE_MAX_POOL_SIZE",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_CONNECTION_LIMIT",
    "PG_POOL_MAX",
    "PG_POOL_SIZE",
    "PG_MAX_CONNECTIONS",
    "PGPOOL_MAX",
    "POOL_SIZE",
    "MAX_POOL_SIZE",
    "POSTGRES_POOL_SIZE",
    "POSTGRES_MAX_POOL_SIZE",
    "SQLALCHEMY_POOL_SIZE",
    "SQLALCHEMY_ENGINE_POOL_SIZE",
];
const MINIMUMS: &[&str] = &[
    "DB_POOL_MIN",
    "DB_POOL_MIN_SIZE",
    "DB_MIN_POOL_SIZE",
    "DATABASE_POOL_MIN",
    "DATABASE_MIN_POOL_SIZE",
    "PG_POOL_MIN",
    "POSTGRES_MIN_POOL_SIZE",
    "MIN_POOL_SIZE",
];
const OVERFLOWS: &[&str] = &[
    "DB_MAX_OVERFLOW",
    "DB_POOL_MAX_OVERFLOW",
    "DATABASE_MAX_OVERFLOW",
    "SQLALCHEMY_MAX_OVERFLOW",
    "MAX_OVERFLOW",
];
const PROCESSES: &[&str] = &[
    "WEB_CONCURRENCY",
    "GUNICORN_WORKERS",
    "UVICORN_WORKERS",
    "PUMA_WORKERS",
];
const THREADS: &[&str] = &[
    "RAILS_MAX_THREADS",
    "PUMA_MAX_THREADS",
    "GUNICORN_THREADS",
    "SIDEKIQ_CONCURRENCY",
];

/// What a set of variables says.
pub(crate) fn variables(scene: &Scene<'_>, settings: &[Setting], facts: &mut Facts) -> Found {
    let settings = settings.get(..VARIABLES_MAX).unwrap_or(settings);
    let mut found = Found::default();
    let mut addresses: Vec<(&Setting, Address)> = Vec::new();
    for setting in settings {
        let word = setting.word.as_ref();
        let literal = word.and_then(Word::literal);
        let address = literal.as_ref().and_then(|w| address::read(w, facts));
        let mut value = literal.map_or(String::new(), |w| w.text);
        if let Some(what) = secret_name(&setting.name) {
            if let Some(word) = word.filter(|w| address.is_none() && is_secret(&w.text)) {
                facts.secrets.push(Secret {
                    place: word.place.clone(),
                    what: what.to_owned(),
                });
            }
            value.clear();
        }
        if let Some(address) = &address {
            value = address.shown.clone();
        }
        let place = word.map_or(&setting.key, |w| &w.place);
        found.environment.push(Variable {
            name: setting.name.clone(),
            value,
            place: place.clone(),
        });
        addresses.extend(address.map(|a| (setting, a)));
    }
    if let Some(server) = server(settings, facts) {
        facts.servers.push(server);
    }
    let first = facts.pools.len();
    if let Some(mut pool) = pooler::from_variables(scene, settings, facts) {
        if let (None, Some((_, address))) = (&pool.target.host, addresses.first()) {
            pool.target = address.target.clone();
        }
        facts.pools.push(pool);
    } else {
        pools(scene, settings, &addresses, facts);
    }
    found.pools = (first..facts.pools.len()).collect();
    counts(scene, settings, &mut found, facts);
    found
}

/// The word of the first of these names that is set.
fn word<'a>(settings: &'a [Setting], names: &[&str]) -> Option<(&'a Setting, &'a Word)> {
    names.iter().find_map(|name| {
        let setting = settings.iter().rev().find(|s| s.name == *name)?;
        Some((setting, setting.word.as_ref()?))
    })
}

fn counts(scene: &Scene<'_>, settings: &[Setting], found: &mut Found, facts: &mut Facts) {
    let count = |names: &[&str], facts: &mut Facts| {
        let (_, word) = word(settings, names)?;
        word.count(scene.tool, facts)
    };
    found.processes = count(PROCESSES, facts);
    found.threads = count(THREADS, facts);
    if let Some((_, word)) = word(settings, &["SERVER_TOMCAT_THREADS_MAX"]) {
        found.threads = word.count(Tool::Hikari, facts);
    }
    // rack-timeout's own name for the end of a request.
    if let Some((_, word)) = word(settings, &["RACK_TIMEOUT_SERVICE_TIMEOUT"]) {
        let time = word.time(Tool::Rails, value::Unit::Seconds, facts);
        facts.requests.extend(time.map(|time| (Tool::Rails, time)));
    }
    if let Some((_, word)) = word(settings, &["GUNICORN_CMD_ARGS"]) {
        let said = command::switches(word, "gunicorn", scene.tool, facts);
        found.processes = said.processes.or(found.processes.take());
        found.threads = said.threads.or(found.threads.take());
    }
}

/// The application's own pools.
fn pools(
    scene: &Scene<'_>,
    settings: &[Setting],
    addresses: &[(&Setting, Address)],
    facts: &mut Facts,
) {
    let before = facts.pools.len();
    let main = addresses
        .iter()
        .find(|(s, _)| s.name.contains("DATABASE_URL"));
    let main = main.or_else(|| addresses.first()).map(|(_, a)| a);
    spring(scene, settings, facts);
    for (setting, address) in addresses {
        let pool = address::pool(address, scene.name, &setting.key, facts);
        facts.pools.extend(pool);
    }
    if facts.pools.len() > before {
        return;
    }
    // Rails' generated database.yml sizes its pool by the threads.
    let rails = main
        .is_some()
        .then(|| word(settings, &["RAILS_MAX_THREADS"]))
        .flatten();
    let own = word(settings, SIZES).map(|found| (found, Tool::Environment));
    let found = own.or(rails.map(|found| (found, Tool::Rails)));
    let Some(((setting, word_), tool)) = found else {
        return;
    };
    let Some(size) = word_.count(tool, facts) else {
        return;
    };
    let size = value::at_most(size);
    let mut pool = value::pool(tool, scene.name, setting.key.clone(), size);
    let min = word(settings, MINIMUMS);
    pool.min = min.and_then(|(_, w)| w.count(tool, facts));
    let extra = word(settings, OVERFLOWS);
    pool.extra = extra
        .and_then(|(_, w)| w.count(tool, facts))
        .map(value::at_most);
    pool.target = main.map_or_else(|| target(settings), |a| a.target.clone());
    if let Some(address) = main {
        address::session(address, tool, &mut pool.timeouts, &mut pool.needs, facts);
    }
    if let Some((_, word)) = word(settings, &["PGOPTIONS"]) {
        for (key, text) in value::options(&word.text) {
            let word = Word::new(text, word.place.clone());
            if key == "statement_timeout" {
                let found = value::postgres_timeout(&word, tool, facts);
                pool.timeouts.statement = found.or(pool.timeouts.statement.take());
            }
        }
    }
    facts.pools.push(pool);
}

/// Host, port and database by their own variables.
pub(crate) fn target(settings: &[Setting]) -> Target {
    let text = |names: &[&str]| Some(word(settings, names)?.1.literal()?.text);
    Target {
        host: text(&[
            "DB_HOST",
            "DATABASE_HOST",
            "PGHOST",
            "POSTGRES_HOST",
            "POSTGRESQL_HOST",
        ]),
        port: text(&[
            "DB_PORT",
            "DATABASE_PORT",
            "PGPORT",
            "POSTGRES_PORT",
            "POSTGRESQL_PORT",
        ])
        .and_then(|port| port.parse().ok()),
        database: text(&["DB_NAME", "DATABASE_NAME", "PGDATABASE", "POSTGRES_DB"]),
    }
}

/// `SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE` and its like.
fn spring(scene: &Scene<'_>, settings: &[Setting], facts: &mut Facts) {
    let mut keys = Keys::new();
    for setting in settings {
        let name = setting.name.strip_prefix("SPRING_DATASOURCE_HIKARI_");
        if let (Some(name), Some(word)) = (name, &setting.word) {
            let name = name.replace("DATA_SOURCE_PROPERTIES_", "data-source-properties.");
            let name = name.replace("DATASOURCEPROPERTIES_", "data-source-properties.");
            let entry = Entry {
                written: setting.name.clone(),
                key: setting.key.clone(),
                word: word.clone(),
            };
            keys.insert(hikari::canonical(&name), entry);
        }
    }
    // Its password was seen among the variables.
    keys.remove("password");
    let url = word(settings, &["SPRING_DATASOURCE_URL"]);
    let seen = facts.secrets.len();
    let address = url.and_then(|(_, w)| address::read(&w.literal()?, facts));
    facts.secrets.truncate(seen);
    let place = keys.values().next().map(|entry| entry.key.clone());
    let place = url.map(|(setting, _)| setting.key.clone()).or(place);
    if keys.is_empty() && address.is_none() {
        return;
    }
    let place = place.unwrap_or_else(|| scene.place.clone());
    let pool = hikari::pool(scene.name, &place, &keys, address.as_ref(), facts);
    facts.pools.push(pool);
}

/// Bitnami's PostgreSQL image takes its limit from a variable.
fn server(settings: &[Setting], facts: &mut Facts) -> Option<Server> {
    let (setting, word) = word(settings, &["POSTGRESQL_MAX_CONNECTIONS"])?;
    let count = word.count(Tool::Postgres, facts)?;
    Some(database_server(setting.key.clone(), Some(count)))
}

/// A server of which at most its limit is stated.
pub(crate) fn database_server(place: Place, max_connections: Option<Value<u64>>) -> Server {
    let default = "PostgreSQL's default";
    Server {
        place,
        max_connections: max_connections.unwrap_or(Value::default(100, default)),
        superuser_reserved: Value::default(3, default),
        reserved: Value::default(0, default),
        statement: Value::default(Wait::Forever, default),
        idle_in_transaction: Value::default(Wait::Forever, default),
        live: false,
        own_limit: None,
        others: 0,
    }
}

/// What a variable of this name keeps secret.
pub(crate) fn secret_name(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
    if ends(&["PASSWORD", "PASSWD", "_PASS", "_PWD", "PASSPHRASE"]) || name == "PASS" {
        return Some("a password");
    }
    let key = [
        "SECRET",
        "SECRET_KEY",
        "SECRET_KEY_BASE",
        "SECRET_ACCESS_KEY",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "MASTER_KEY",
        "ENCRYPTION_KEY",
    ];
    ends(&key).then_some("a secret key")
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
