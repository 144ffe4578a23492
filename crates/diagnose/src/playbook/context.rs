//! This installation's names and values, and how they get into the texts.

use crate::alert::Owner;
use crate::{Figure, Unit, safe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most rows of a kind that a page tells of.
const ROWS_MAX: usize = 8;

/// What the texts are filled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Context {
    /// The values are those of a running pooler; else they are placeholders.
    pub live: bool,
    /// The instance.
    pub instance: String,
    /// Pools, the one that clients wait for most first.
    pub pools: Vec<PoolNow>,
    /// Servers, the one of that pool first.
    pub servers: Vec<ServerNow>,
    /// Applications, those that wait or are silent first.
    pub applications: Vec<String>,
    /// Who looks after what: a name, or `*`.
    pub owners: Vec<(String, Owner)>,
    /// The settings file.
    pub settings: String,
    /// The version that serves; 0: not known.
    pub version: u64,
    /// The version before.
    pub previous: Option<u64>,
    /// Where clients and the console connect: host or directory, and port.
    pub listen: (String, u16),
    /// Who may use the console.
    pub admin: String,
    /// The incident that is open.
    pub incident: Option<String>,
    /// What is told to people who wait, from the settings; empty: the built-in text.
    pub message: String,
}

/// A pool as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolNow {
    /// The database as clients know it.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// The label of its server.
    pub server: String,
    /// Its size.
    pub size: u32,
    /// Connections lent.
    pub used: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// The longest current wait, microseconds.
    pub oldest_wait_us: u64,
}

/// A server as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerNow {
    /// `host:port` or a socket's path.
    pub label: String,
    /// Most connections that may be opened.
    pub line: u32,
    /// Connections charged to it.
    pub used: u32,
    /// Connections of others; `None`: not known.
    pub others: Option<u32>,
    /// The server's own limit; 0: not known.
    pub max_connections: u32,
}

impl Default for Context {
    /// Placeholders, as in the docs.
    fn default() -> Context {
        Context {
            live: false,
            instance: String::new(),
            pools: Vec::new(),
            servers: Vec::new(),
            applications: Vec::new(),
            owners: Vec::new(),
            settings: "plimsoll.toml".to_owned(),
            version: 0,
            previous: None,
            listen: ("127.0.0.1".to_owned(), 6432),
            admin: "ADMIN".to_owned(),
            incident: None,
            message: String::new(),
        }
    }
}

impl Context {
    /// Words with names and values, for people.
    pub(super) fn prose(&self, text: &str) -> String {
        self.filled(text, &|name| self.value(name))
    }

    /// A command with names and values; each is one word of the shell.
    pub(super) fn command(&self, text: &str) -> String {
        self.filled(text, &|name| match name {
            "console" => Some(self.console()),
            "psql" => Some(self.psql()),
            name => self.value(name).map(|value| match self.is_known(name) {
                true => safe::shell(&value),
                // A placeholder reads better without quotes.
                false => value,
            }),
        })
    }

    fn filled(&self, text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
        let mut out = String::with_capacity(text.len() + 32);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            match value(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    fn is_known(&self, name: &str) -> bool {
        match name {
            "database" | "user" | "pool" => !self.pools.is_empty(),
            "application" => !self.applications.is_empty(),
            "server" => !self.servers.is_empty(),
            "settings" => self.live,
            _ => true,
        }
    }

    /// The value of a name; cleaned, since others chose it.
    fn value(&self, name: &str) -> Option<String> {
        let pool = self.pools.first();
        let server = self.servers.first();
        let number = |n: Option<u32>| n.map_or("N".to_owned(), |n| n.to_string());
        Some(match name {
            "pool" => pool.map_or("DATABASE/USER".to_owned(), |p| {
                safe::name(&format!("{}/{}", p.database, p.user))
            }),
            "database" => pool.map_or("DATABASE".to_owned(), |p| safe::name(&p.database)),
            "user" => pool.map_or("USER".to_owned(), |p| safe::name(&p.user)),
            "size" => number(pool.map(|p| p.size)),
            "used" => number(pool.map(|p| p.used)),
            "waiting" => number(pool.map(|p| p.waiting)),
            "server" => server.map_or("SERVER".to_owned(), |s| safe::name(&s.label)),
            "line" => number(server.map(|s| s.line)),
            "others" => number(server.and_then(|s| s.others)),
            "max_connections" => number(server.map(|s| s.max_connections).filter(|n| *n > 0)),
            "application" => self
                .applications
                .first()
                .map_or("APPLICATION".to_owned(), |name| safe::name(name)),
            "settings" => safe::line(&self.settings, safe::LINE_CHARS_MAX),
            "version" => match self.version {
                0 => "N".to_owned(),
                n => n.to_string(),
            },
            "previous" => match self.previous {
                None => "M".to_owned(),
                Some(n) => n.to_string(),
            },
            _ => return None,
        })
    }

    fn console(&self) -> String {
        let (host, port) = &self.listen;
        format!(
            "psql -h {} -p {port} -U {} pgbouncer",
            safe::shell(host),
            safe::shell(&self.admin)
        )
    }

    /// psql at the server of the first pool, past Plimsoll.
    fn psql(&self) -> String {
        let Some(server) = self.servers.first() else {
            return "psql -h SERVER -d DATABASE".to_owned();
        };
        let database = self.pools.first().map_or("postgres", |p| &p.database);
        let database = safe::shell(database);
        let (host, port) = match server.label.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (server.label.as_str(), ""),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port.is_empty() {
            true => format!("psql -h {} -d {database}", safe::shell(host)),
            false => format!("psql -h {} -p {port} -d {database}", safe::shell(host)),
        }
    }

    /// Where it stands now.
    pub(super) fn now(&self) -> Vec<String> {
        if !self.live {
            return Vec::new();
        }
        let mut said = Vec::new();
        if let Some(incident) = &self.incident {
            said.push(format!("Incident {} is open.", safe::name(incident)));
        }
        for pool in self.pools.iter().take(ROWS_MAX) {
            let wait = Figure::new("the longest for", pool.oldest_wait_us as f64, Unit::Micros);
            let wait = match pool.waiting {
                0 => "nobody waits".to_owned(),
                n => format!("{n} clients wait, {wait}"),
            };
            said.push(format!(
                "Pool {}/{} at {}: {} of {} connections lent; {wait}.",
                safe::name(&pool.database),
                safe::name(&pool.user),
                safe::name(&pool.server),
                pool.used,
                pool.size,
            ));
        }
        for server in self.servers.iter().take(ROWS_MAX) {
            let others = match server.others {
                Some(n) => format!("others hold {n}"),
                None => "what others hold is not known".to_owned(),
            };
            let limit = match server.max_connections {
                0 => "max_connections is not known".to_owned(),
                n => format!("max_connections is {n}"),
            };
            said.push(format!(
                "Server {}: {} of at most {} connections open; {others}; {limit}.",
                safe::name(&server.label),
                server.used,
                server.line
            ));
        }
        said
    }

    /// Whom to call.
    pub(super) fn contacts(&self) -> Vec<String> {
        let contact = |(name, owner): &(String, Owner)| {
            let what = match name.as_str() {
                "*" => "all others".to_owned(),
                name => safe::name(name),
            };
            let parts = [
                ("team", &owner.team),
                ("channel", &owner.channel),
                ("escalation", &owner.escalation),
            ];
            let said = parts.iter().filter(|(_, value)| !value.is_empty());
            let said: Vec<String> = said
                .map(|(word, value)| format!("{word} {}", safe::name(value)))
                .collect();
            format!("{what}: {}", said.join(", "))
        };
        self.owners.iter().take(64).map(contact).collect()
    }

    /// What to tell people who wait.
    pub(super) fn message(&self, title: &str) -> String {
        let pool = self.pools.first();
        let waiting = pool.map_or("N".to_owned(), |p| p.waiting.to_string());
        let incident = self.incident.as_deref().unwrap_or("ID");
        let template = match self.message.is_empty() {
            false => self.message.as_str(),
            true => {
                "Incident {incident}: since HH:MM UTC requests to {database} wait or fail ({waiting} clients wait now). \
                 We believe: {title}. We are doing: WHAT. Next news at HH:MM UTC. Contact: WHO."
            }
        };
        let template = safe::line(template, 2_000);
        self.filled(&template, &|name| match name {
            "incident" => Some(safe::name(incident)),
            "title" => Some(title.to_owned()),
            "waiting" => Some(waiting.clone()),
            name => self.value(name),
        })
    }
}
