//! What the files say, whatever tool they are for: the language between the
//! readers and the rules.

mod found;

pub use found::{Differs, Ecosystem, Package};

use crate::place::Place;
use std::time::Duration;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Somebody wrote it.
    Stated(Place),
    /// Nobody wrote it; the tool takes this. The words say which tool and
    /// version: "SQLAlchemy's default".
    Default(&'static str),
}

/// A value with its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value<T> {
    /// The value that holds.
    pub value: T,
    /// From where.
    pub origin: Origin,
}

impl<T> Value<T> {
    /// A value that stands in a file.
    pub fn stated(value: T, place: Place) -> Value<T> {
        Value {
            value,
            origin: Origin::Stated(place),
        }
    }

    /// A value that the tool takes when nothing is written.
    pub fn default(value: T, whose: &'static str) -> Value<T> {
        Value {
            value,
            origin: Origin::Default(whose),
        }
    }

    /// The same, said otherwise.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Value<U> {
        Value {
            value: of(self.value),
            origin: self.origin,
        }
    }

    /// The place, where somebody wrote it.
    pub fn place(&self) -> Option<&Place> {
        match &self.origin {
            Origin::Stated(place) => Some(place),
            Origin::Default(_) => None,
        }
    }

    /// Whether somebody wrote it.
    pub fn is_stated(&self) -> bool {
        self.place().is_some()
    }
}

/// A count with or without an end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Limit {
    /// At most so many.
    Of(u64),
    /// As many as are asked for.
    Unlimited,
}

impl Limit {
    /// The number, where there is one.
    pub fn number(self) -> Option<u64> {
        match self {
            Limit::Of(n) => Some(n),
            Limit::Unlimited => None,
        }
    }
}

/// How long something may last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wait {
    /// Until then.
    For(Duration),
    /// Without an end: off.
    Forever,
}

impl Wait {
    /// The time, where there is one.
    pub fn time(self) -> Option<Duration> {
        match self {
            Wait::For(time) => Some(time),
            Wait::Forever => None,
        }
    }
}

/// A tool whose settings are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Tool {
    Plimsoll,
    PgBouncer,
    PgCat,
    PgDog,
    Odyssey,
    Postgres,
    Django,
    SqlAlchemy,
    Hikari,
    Rails,
    GoSql,
    Pgx,
    NodePg,
    Prisma,
    Compose,
    Kubernetes,
    Environment,
    Psycopg,
    Asyncpg,
    Gunicorn,
    Puma,
    Sequel,
    Sequelize,
    Knex,
    PostgresJs,
}

impl Tool {
    /// Its name as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Plimsoll => "Plimsoll",
            Tool::PgBouncer => "PgBouncer",
            Tool::PgCat => "PgCat",
            Tool::PgDog => "PgDog",
            Tool::Odyssey => "Odyssey",
            Tool::Postgres => "PostgreSQL",
            Tool::Django => "Django",
            Tool::SqlAlchemy => "SQLAlchemy",
            Tool::Hikari => "HikariCP",
            Tool::Rails => "Rails",
            Tool::GoSql => "Go database/sql",
            Tool::Pgx => "pgxpool",
            Tool::NodePg => "node-postgres",
            Tool::Prisma => "Prisma",
            Tool::Compose => "Docker Compose",
            Tool::Kubernetes => "Kubernetes",
            Tool::Environment => "environment file",
            Tool::Psycopg => "psycopg",
            Tool::Asyncpg => "asyncpg",
            Tool::Gunicorn => "Gunicorn",
            Tool::Puma => "Puma",
            Tool::Sequel => "Sequel",
            Tool::Sequelize => "Sequelize",
            Tool::Knex => "Knex",
            Tool::PostgresJs => "postgres.js",
        }
    }
}

/// How long a pooler lends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Until the client leaves.
    Session,
    /// Until the transaction ends.
    Transaction,
    /// Until the statement ends.
    Statement,
}

/// What of PostgreSQL an application uses that needs its own session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Feature {
    /// Statements prepared at the server, by protocol.
    PreparedStatements,
    /// `pg_advisory_lock` and its like, held beyond the transaction.
    AdvisoryLocks,
    /// LISTEN.
    Listen,
    /// SET without LOCAL, or start-up options.
    SessionSettings,
    /// Cursors that outlive a transaction.
    ServerSideCursors,
    /// Temporary tables.
    TemporaryTables,
}

/// Where a pool connects to. Unknown parts are `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// Host name or socket directory.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Database.
    pub database: Option<String>,
}

/// What bounds time around a pool; `None`: the tool has no such setting.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeouts {
    /// To reach the server.
    pub connect: Option<Value<Wait>>,
    /// For a connection from the pool.
    pub wait: Option<Value<Wait>>,
    /// Of one statement.
    pub statement: Option<Value<Wait>>,
    /// Of a transaction in which nothing happens.
    pub idle_in_transaction: Option<Value<Wait>>,
    /// Of a connection that nobody uses.
    pub idle: Option<Value<Wait>>,
    /// Of a connection, whatever it does.
    pub lifetime: Option<Value<Wait>>,
    /// Until a borrowed connection is reported as leaked.
    pub leak: Option<Value<Wait>>,
    /// Of the application's own request, above all of these.
    pub request: Option<Value<Wait>>,
}

/// A pool of connections, in an application or in a pooler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Whose.
    pub tool: Tool,
    /// Its name in the file: an alias, a bean, a database entry.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Connections that it keeps or opens as needed.
    pub size: Value<Limit>,
    /// Further ones when all are taken: SQLAlchemy's overflow, PgBouncer's reserve.
    pub extra: Option<Value<Limit>>,
    /// Kept open though unused.
    pub min: Option<Value<u64>>,
    /// A limit over several of its pools: PgBouncer's `max_db_connections`.
    pub cap: Option<Value<Limit>>,
    /// Most clients that it accepts; poolers only.
    pub clients: Option<Value<Limit>>,
    /// How many times the pool exists in one process: users of a pooler's
    /// database, where the file says; 1 for applications.
    pub times: u64,
    /// How long it lends; poolers only.
    pub mode: Option<Value<Mode>>,
    /// Statements prepared by protocol survive transaction pooling there.
    pub keeps_prepared: Option<Value<bool>>,
    /// Times.
    pub timeouts: Timeouts,
    /// What the application needs of its session, and where that is said.
    pub needs: Vec<(Feature, Place)>,
    /// Where it connects to.
    pub target: Target,
}

/// Environments as applications name them.
const STAGES: &[&str] = &[
    "development",
    "dev",
    "local",
    "test",
    "ci",
    "staging",
    "stage",
    "preview",
    "production",
    "prod",
];

impl Pool {
    /// The environment whose pool it is, where its name begins with one:
    /// Rails' `production.primary`, Spring's `prod.dataSource`.
    pub fn stage(&self) -> Option<&str> {
        let first = self.name.split('.').next()?;
        STAGES.contains(&first).then_some(first)
    }

    /// Each thread of a process has such a pool of its own: Django where no
    /// pool is configured, SQLAlchemy's NullPool before a pooler. Both take one
    /// connection for each thread that asks.
    pub fn per_thread(&self) -> bool {
        let no_pool = matches!(self.tool, Tool::Django | Tool::SqlAlchemy);
        no_pool && !self.size.is_stated() && self.min.is_none() && self.extra.is_none()
    }
}

/// A PostgreSQL server's own limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// The file.
    pub place: Place,
    /// `max_connections`.
    pub max_connections: Value<u64>,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: Value<u64>,
    /// `reserved_connections`.
    pub reserved: Value<u64>,
    /// `statement_timeout`.
    pub statement: Value<Wait>,
    /// `idle_in_transaction_session_timeout`.
    pub idle_in_transaction: Value<Wait>,
    /// It was asked, and did not only stand in a file.
    pub live: bool,
    /// CONNECTION LIMIT of the role or the database, and whose it is; only a
    /// running server says it.
    pub own_limit: Option<(Value<u64>, String)>,
    /// Connections that others held when it was asked.
    pub others: u64,
}

impl Server {
    /// Connections that ordinary users can have.
    pub fn usable(&self) -> u64 {
        let kept = self
            .superuser_reserved
            .value
            .saturating_add(self.reserved.value);
        let all = self.max_connections.value.saturating_sub(kept);
        let own = self.own_limit.as_ref().map(|(limit, _)| limit.value);
        all.saturating_sub(self.others).min(own.unwrap_or(all))
    }

    /// Where that stands.
    pub(crate) fn place_of_usable(&self) -> Option<&Place> {
        match &self.own_limit {
            Some((limit, _)) if limit.value <= self.usable() => limit.place(),
            _ => self.max_connections.place(),
        }
    }
}

/// Something that runs several times: a Deployment, a compose service, a
/// process manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// Whose.
    pub tool: Tool,
    /// Its name.
    pub name: String,
    /// The server program that its command starts, or whose own file it is.
    pub runs: Option<&'static str>,
    /// Where it is declared.
    pub place: Place,
    /// Copies.
    pub replicas: Value<u64>,
    /// Further copies while a new version rolls out.
    pub surge: Value<u64>,
    /// Processes with a pool of their own in each copy, where that is said.
    pub processes: Option<Value<u64>>,
    /// Threads that each ask for a connection in each process, where that is said.
    pub threads: Option<Value<u64>>,
    /// Its environment, secrets left out.
    pub environment: Vec<Variable>,
}

/// A variable of an environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; empty when it is kept elsewhere (a secret, another file).
    pub value: String,
    /// Where the value stands.
    pub place: Place,
}

/// A secret that stands in a file. What it is does not leave the reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// Where; it is masked in every output.
    pub place: Place,
    /// What it is for: "password of the database user".
    pub what: String,
}

/// A key that the tool does not read, at least not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// Whose file.
    pub tool: Tool,
    /// Where.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Why not: "PgBouncer has no such setting", "belongs into OPTIONS".
    pub why: String,
    /// What to write instead; may be empty.
    pub help: String,
}

/// A key of ours that has another name now. It holds, and will not for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outdated {
    /// Where.
    pub place: Place,
    /// As written.
    pub key: String,
    /// What to write instead.
    pub now: String,
    /// The version that brought the new name.
    pub since: String,
}

/// A value that cannot mean what was meant: a wrong unit, not a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Odd {
    /// Whose file.
    pub tool: Tool,
    /// Where.
    pub place: Place,
    /// What is wrong: "10 means 10 milliseconds here".
    pub what: String,
    /// What to write instead; may be empty.
    pub help: String,
}

/// An autoscaler: a workload may run that often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scale {
    /// The workload's name.
    pub of: String,
    /// Its most copies.
    pub max: Value<u64>,
}

/// All that the files say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Pools.
    pub pools: Vec<Pool>,
    /// Servers.
    pub servers: Vec<Server>,
    /// What runs how often.
    pub workloads: Vec<Workload>,
    /// Which pool stands in the environment of which workload, by their
    /// indices: such a pool exists once per process of that workload. Pools
    /// that are not listed may belong to any.
    pub within: Vec<(usize, usize)>,
    /// Autoscalers; readers have applied them to the workloads that they name.
    pub scales: Vec<Scale>,
    /// Values that are the default of an environment variable: where the value
    /// stands, and the variable that would replace it.
    pub variables: Vec<(Place, String)>,
    /// How long a request may take until its worker is killed, by whom:
    /// Gunicorn's `timeout`.
    pub requests: Vec<(Tool, Value<Wait>)>,
    /// Secrets in files.
    pub secrets: Vec<Secret>,
    /// Keys that nothing reads.
    pub unread: Vec<Unread>,
    /// Those of them that are common leftovers, and promise no limit.
    pub leftover: Vec<Place>,
    /// Keys under an old name that still holds.
    pub outdated: Vec<Outdated>,
    /// Values that cannot be meant.
    pub odd: Vec<Odd>,
    /// Drivers and pools in lock files.
    pub packages: Vec<Package>,
    /// Where servers and their files do not agree.
    pub differs: Vec<Differs>,
    /// Mistakes that keep a file from being read: the place and the words.
    pub broken: Vec<(Place, String)>,
}

impl Facts {
    /// The workloads in whose environment one of these pools stands.
    pub(crate) fn linked(&self, pool: &Pool) -> Vec<&Workload> {
        let is = |at: usize| self.pools.get(at).is_some_and(|p| std::ptr::eq(p, pool));
        let links = self.within.iter().filter(|(at, _)| is(*at));
        links.filter_map(|(_, w)| self.workloads.get(*w)).collect()
    }
}
