//! A plan while it is read, and the checks that need the whole of it.

mod security;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Errors, Place, Problem, nearest, quoted};
use crate::keeping::Keeping;
use crate::plan::{
    AuthType, AutoSize, ClientLog, Database, ErrorDetail, ErrorStyle, Keepalive, Leaks, Monitor,
    Pin, Plan, PoolMode, PoolSize, ShownSetting, Tls,
};
use crate::renamed::{RENAMED, Renamed};
use crate::table::{Class, Setting, settings};
use crate::value::{Kind, Value, from_ini, from_words};

/// Most databases and most users that a settings file may name.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// Most warnings kept.
const WARNINGS_MAX: usize = 1000;

/// Most of what a list of names in a warning shows.
const NAMED_MAX: usize = 8;

/// Whose vocabulary and defaults hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// plimsoll.toml.
    Toml,
    /// pgbouncer.ini.
    Ini,
}

/// What the command line says beside the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// The line: pgbouncer.ini has no place for it.
    pub line: Option<u32>,
    /// The listener of /metrics, for the same reason.
    pub metrics_listen: Option<std::net::SocketAddr>,
    /// The mode of every guard that the file does not set, for the same reason.
    pub guards: Option<events::GuardMode>,
    /// Guards that the version which served before did not have, in the order of
    /// [`events::Guard::ALL`]: they only watch, unless somebody says otherwise.
    pub new_guards: [bool; events::Guard::COUNT],
}

pub(crate) struct Draft {
    pub plan: Plan,
    pub dialect: Dialect,
    pub file: PathBuf,
    pub errors: Errors,
    /// Where each setting is written.
    pub places: BTreeMap<&'static str, Place>,
    /// Texts of settings that the plan has no place for.
    pub raw: BTreeMap<&'static str, String>,
    /// Someone stated the line.
    pub line_known: bool,
    /// Old names that are understood.
    pub renamed: &'static [Renamed],
}

impl Draft {
    pub fn new(dialect: Dialect, file: &Path, overrides: &Overrides) -> Draft {
        let mut plan = blank();
        for setting in settings() {
            if let (Some(access), Ok(value)) = (setting.access, setting.default(dialect)) {
                (access.set)(&mut plan, value);
            }
        }
        plan.line = overrides.line.unwrap_or(plan.line);
        plan.metrics_listen = overrides.metrics_listen;
        plan.line_stated = overrides.line.is_some();
        plan.guards = match overrides.guards {
            Some(mode) => events::Guards::all(mode),
            None => plan.guards.watching(&overrides.new_guards),
        };
        Draft {
            plan,
            dialect,
            file: file.to_owned(),
            errors: Errors::default(),
            places: BTreeMap::new(),
            raw: BTreeMap::new(),
            line_known: overrides.line.is_some(),
            renamed: RENAMED,
        }
    }

    pub fn warn(&mut self, text: String) {
        if self.plan.warnings.len() < WARNINGS_MAX {
            self.plan.warnings.push(text);
        }
    }

    pub fn error(&mut self, key: &str, problem: Problem) {
        let place = self.places.get(key).cloned();
        let place = place.unwrap_or_else(|| Place::file(&self.file));
        self.errors.push(problem.at(place));
    }

    /// The checks over the whole, then the plan or all errors.
    pub fn finish(mut self) -> Result<Plan, Errors> {
        self.addresses();
        self.budget();
        self.bounds();
        self.reserve_and_check();
        self.alerts();
        self.tls();
        self.login();
        self.list_unbounded();
        self.peers();
        let catch_all = self.plan.databases.iter().position(|d| d.name == "*");
        if let Some(at) = catch_all {
            let database = self.plan.databases.remove(at);
            self.plan.databases.push(database);
        }
        self.plan.drop_in = self.dialect == Dialect::Ini;
        self.show();
        self.errors.or(self.plan)
    }

    /// Peers are reached, not listened on: each has an address and a port.
    fn peers(&mut self) {
        let peers = &self.plan.fleet.cancel.peers;
        let any = crate::plan::Host::Tcp("*".to_owned());
        if peers.iter().any(|p| p.port == 0 || p.host == any) {
            let problem = Problem::new("a peer without an address and a port");
            let help = "write \"host:port\", as that instance's clients reach it";
            self.error("cancel_peers", problem.help(help));
        }
        if self.plan.fleet.cancel.peers.len() > crate::plan::PEERS_MAX {
            let most = crate::plan::PEERS_MAX;
            let problem = Problem::new(format!("more than {most} peers"));
            self.error("cancel_peers", problem.help("a cancel goes to all of them"));
        }
    }

    fn addresses(&mut self) {
        let plan = &mut self.plan;
        match self.dialect {
            Dialect::Ini => {
                for address in &mut plan.listen {
                    address.port = plan.unix_socket_port;
                }
            }
            // The first address names the unix socket, unless the file does.
            Dialect::Toml if !self.places.contains_key("listen_port") => {
                if let Some(first) = plan.listen.first() {
                    plan.unix_socket_port = first.port;
                }
            }
            Dialect::Toml => {}
        }
        let socket_dir = plan.unix_socket_dir.as_deref();
        if !cfg!(target_os = "linux") && socket_dir.is_some_and(crate::is_abstract) {
            let problem = Problem::new("abstract unix sockets are Linux's");
            self.error("unix_socket_dir", problem.help("write a directory"));
        }
        if self.plan.listen.is_empty() && self.plan.unix_socket_dir.is_none() {
            let help = match self.dialect {
                Dialect::Ini => "set `listen_addr = 127.0.0.1` or `unix_socket_dir`",
                Dialect::Toml => "set `tcp = [\"127.0.0.1:6432\"]` or `unix` in [listen]",
            };
            let problem = Problem::new("no address to listen on").help(help);
            self.error("listen_addr", problem);
        }
        if self.plan.databases.is_empty() && self.errors.list().is_empty() {
            let help = match self.dialect {
                Dialect::Ini => "add for example `[databases]` and below it `* = host=127.0.0.1`",
                Dialect::Toml => {
                    "add for example `[database.\"*\"]` and below it `host = \"127.0.0.1\"`"
                }
            };
            let problem = Problem::new("no database is named")
                .why("an empty or cut file must not turn every client away in silence");
            self.error("", problem.help(help));
        }
    }

    fn reserve_and_check(&mut self) {
        let plan = &mut self.plan;
        if plan.server_check_query.is_empty()
            && self
                .raw
                .get("server_check_query")
                .is_some_and(String::is_empty)
        {
            plan.server_check_delay = None;
        }
        if plan.reserve_pool_timeout.is_zero() {
            let databases = plan.databases.iter_mut().map(|d| &mut d.reserve_pool_size);
            let users = plan.users.values_mut().map(|u| &mut u.reserve_pool_size);
            let mut any = plan.reserve_pool_size > 0;
            for size in databases.chain(users) {
                any |= size.is_some_and(|n| n > 0);
                *size = None;
            }
            plan.reserve_pool_size = 0;
            if any {
                self.warn("reserve_pool_timeout = 0 turns the reserve off".to_owned());
            }
        }
        if let PoolSize::Fixed(max) = self.plan.default_pool_size
            && self.plan.min_pool_size > max
        {
            let min = self.plan.min_pool_size;
            self.warn(format!(
                "min_pool_size {min} is above default_pool_size {max}, which holds"
            ));
        }
    }

    fn alerts(&mut self) {
        let known = crate::ALERT_NAMES;
        let silence = &self.plan.alerts.silence;
        let Some(name) = silence.iter().find(|n| !known.contains(&n.as_str())) else {
            return;
        };
        let problem = Problem::new(format!("there is no alert {}", quoted(name)));
        let near = |k: &&&str| nearest(name, [k.to_ascii_lowercase().as_str()]).is_some();
        let help = match known.iter().find(near) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the alerts are: {}", known.join(", ")),
        };
        self.error("alerts_silence", problem.help(help));
    }

    /// What has no limit of its own, named once.
    fn list_unbounded(&mut self) {
        let (mut by_line, mut by_clients, mut off) = (Vec::new(), Vec::new(), Vec::new());
        for setting in settings() {
            let Some(access) = setting.access else {
                continue;
            };
            let name = match self.dialect {
                Dialect::Ini => setting.key,
                Dialect::Toml => setting.toml,
            };
            match ((access.get)(&self.plan), setting.key) {
                (Value::Limit(None), "max_db_connections" | "max_user_connections") => {
                    by_line.push(name)
                }
                (
                    Value::Limit(None),
                    "max_db_client_connections" | "max_user_client_connections",
                ) => {
                    by_clients.push(name);
                }
                (Value::Time(None), _)
                    if matches!(setting.kind, Kind::Timeout | Kind::Lifetime) =>
                {
                    off.push(name);
                }
                _ => {}
            }
        }
        let (line, clients) = (self.plan.line, self.plan.max_client_conn);
        if self.dialect == Dialect::Ini {
            if !by_line.is_empty() {
                let bound = match self.plan.monitor.user {
                    Some(_) => "as monitor_user reads it".to_owned(),
                    None => format!("{line} connections per database server"),
                };
                self.warn(format!(
                    "{} set no limit (0); here the line is the bound: {bound}",
                    by_line.join(", ")
                ));
            }
            if !by_clients.is_empty() {
                self.warn(format!(
                    "{} set no limit (0); max_client_conn is the bound: {clients}",
                    by_clients.join(", ")
                ));
            }
            if !off.is_empty() {
                self.warn(format!("timeouts that are off: {}", off.join(", ")));
            }
        }
        if !self.line_known && self.plan.monitor.user.is_none() {
            let how = match self.dialect {
                Dialect::Ini => "state it with --line, or as `;plimsoll: line = N` in the file",
                Dialect::Toml => "state it as `line` in [server], or with --line",
            };
            self.warn(format!(
                "line unknown: {line} server connections are assumed; {how}"
            ));
        }
    }

    fn show(&mut self) {
        let mut shown = Vec::new();
        for setting in settings() {
            let default = match setting.default(self.dialect) {
                Ok(value) if setting.access.is_some() => crate::value::shown(setting.kind, &value),
                _ => setting.default_ini.to_owned(),
            };
            let value = match (setting.shown(&self.plan), self.raw.get(setting.key)) {
                (Some(value), _) => value,
                (None, Some(raw)) => raw.clone(),
                (None, None) if setting.key == "conffile" => {
                    self.file.to_string_lossy().into_owned()
                }
                (None, None) => default.clone(),
            };
            let changeable = setting.access.is_some() && setting.class != Class::RestartOnly;
            let key = setting.key.to_owned();
            shown.push(ShownSetting {
                key,
                value,
                default,
                changeable,
            });
        }
        self.plan.shown = shown;
    }
}

impl Setting {
    /// The default of a dialect.
    pub(crate) fn default(&self, dialect: Dialect) -> Result<Value, Problem> {
        match dialect {
            Dialect::Ini if self.in_pgbouncer => from_ini(self.kind, self.default_ini),
            Dialect::Ini => from_words(self.kind, self.default_ini),
            Dialect::Toml if self.toml.is_empty() => from_ini(self.kind, self.default_ini),
            Dialect::Toml => from_words(self.kind, self.default_toml),
        }
    }
}

/// The first few names, and how many more there are.
pub(crate) fn some_of(names: &[String]) -> String {
    let mut text = names
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > NAMED_MAX {
        text.push_str(&format!(" and {} more", names.len() - NAMED_MAX));
    }
    text
}

/// Puts a database in its place; a second one of the same name replaces the first.
pub(crate) fn put_database(databases: &mut Vec<Database>, database: Database) {
    match databases.iter_mut().find(|d| d.name == database.name) {
        Some(before) => *before = database,
        None => databases.push(database),
    }
}

const ZERO: Duration = Duration::ZERO;

/// A plan before the table's defaults are in it. No value here is ever served.
fn blank() -> Plan {
    Plan {
        listen: Vec::new(),
        unix_socket_dir: None,
        unix_socket_mode: 0,
        listen_backlog: 0,
        metrics_listen: None,
        api: crate::api::Api::default(),
        fleet: crate::fleet::FleetChannel::default(),
        etcd: crate::etcd::Etcd::default(),
        keeping: Keeping::default(),
        workers: None,
        unix_socket_port: 0,
        databases: Vec::new(),
        users: BTreeMap::new(),
        applications: BTreeMap::new(),
        alerts: crate::Alerting::default(),
        auth_type: AuthType::Scram,
        auth_file: None,
        hba: crate::plan::HostRules::default(),
        auth_user: None,
        auth_dbname: None,
        drop_in: false,
        auth_query: None,
        auth_query_ttl: ZERO,
        admin_users: Vec::new(),
        stats_users: Vec::new(),
        client_tls: Tls::default(),
        server_tls: Tls::default(),
        pool_mode: PoolMode::Transaction,
        default_pool_size: PoolSize::Auto,
        auto: AutoSize::default(),
        min_pool_size: 0,
        reserve_pool_size: 0,
        reserve_pool_timeout: ZERO,
        max_db_connections: None,
        max_user_connections: None,
        max_client_conn: 0,
        max_user_client_connections: None,
        max_db_client_connections: None,
        line: 0,
        line_stated: false,
        monitor: Monitor::default(),
        queue_max: 0,
        connects_max: 0,
        query_wait_timeout: None,
        scram_iterations: 4096,
        suspend_timeout: None,
        query_wait_notify: None,
        query_timeout: None,
        transaction_timeout: None,
        idle_transaction_timeout: None,
        client_idle_timeout: None,
        client_login_timeout: ZERO,
        server_connect_timeout: ZERO,
        server_login_retry: ZERO,
        server_idle_timeout: None,
        server_lifetime: None,
        server_round_robin: false,
        server_check_delay: None,
        server_check_query: String::new(),
        cancel_wait_timeout: ZERO,
        process: crate::plan::Process::default(),
        server_reset_query: String::new(),
        server_reset_always: false,
        max_prepared_statements: 0,
        pin: Pin::On,
        pin_share_percent: 0,
        start_up: crate::plan::StartUp::default(),
        leaks: Leaks::default(),
        error_style: ErrorStyle::Plimsoll,
        error_detail: ErrorDetail::Own,
        guards: events::Guards::default(),
        log: ClientLog::default(),
        log_file: None,
        pid_file: None,
        tcp_keepalive: Keepalive::default(),
        tcp_user_timeout: None,
        sockets: crate::plan::Sockets::default(),
        max_packet_size: 0,
        shown: Vec::new(),
        warnings: Vec::new(),
        outdated: Vec::new(),
    }
}
