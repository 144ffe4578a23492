//! Where a rehearsal's requests go: a URL, or a pooler of ours that serves for its time.

use crate::cli::Where;
use crate::client::connect_server;
use crate::commands::address::Address;
use anyhow::{Context, anyhow, bail};
use config::{AuthType, Host, ListenAddress, Overrides, Plan, ServerUrl};
use proxy::{Handle, Proxy};
use rehearse::drive::{Connector, Link};
use std::path::Path;
use std::sync::Arc;

/// The name that sessions of a rehearsal give.
const APPLICATION: &str = "plimsoll rehearse";

/// A place that takes requests. Dropping it ends a pooler that serves for it.
pub(super) struct Target {
    /// How reports call it, without secrets.
    pub(super) label: String,
    /// The database that its sessions are in, as they name it.
    pub(super) database: String,
    /// Opens connections to it.
    pub(super) connector: Arc<dyn Connector>,
    /// The pooler that serves for it.
    _pooler: Option<Pooler>,
}

impl Target {
    /// The place that a person named, or that the environment names.
    pub(super) fn of(place: Option<&Where>, names: &Names) -> anyhow::Result<Target> {
        match place {
            Some(Where::Url(url)) => Target::url(url),
            Some(Where::Settings(path)) => Target::settings(path, names),
            None => {
                let address = Address::of_this_process().context(
                    "say where to: --on postgres://USER@HOST:PORT/DATABASE, or set DATABASE_URL \
                     or PGHOST and its like",
                )?;
                let password = address.password.clone().unwrap_or_default();
                Target::url(&address.url(&password))
            }
        }
    }

    fn url(url: &str) -> anyhow::Result<Target> {
        let password = std::env::var("PGPASSWORD").ok();
        let server =
            config::server_from_url(url, password.as_deref()).map_err(|errors| told(&errors))?;
        Ok(Target {
            label: label(&server),
            database: database(&server),
            connector: Arc::new(Server(server)),
            _pooler: None,
        })
    }

    /// The settings serve in this process, on a free port of the loopback, to whom
    /// they know, without a password: nobody but this process knows the port.
    fn settings(path: &Path, names: &Names) -> anyhow::Result<Target> {
        if !path.is_file() {
            bail!(
                "{} is neither a postgres:// URL nor a settings file that is there",
                path.display()
            );
        }
        let disk = proxy::Disk::default();
        let mut plan = config::load_with(path, &disk, &Overrides::default())
            .map_err(|errors| told(&errors))?;
        let (user, database) = names.choose(&plan, path)?;
        plan.listen = vec![ListenAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        }];
        plan.unix_socket_dir = None;
        plan.metrics_listen = None;
        plan.pid_file = None;
        plan.auth_type = AuthType::Trust;
        plan.client_tls.mode = config::SslMode::Disable;
        let proxy = Proxy::start_with(plan, Box::new(proxy::NoFile), disk)
            .with_context(|| format!("{} does not serve", path.display()))?;
        let handle = proxy.handle();
        let pooler = Pooler {
            proxy: Some(proxy),
            handle,
        };
        let address = pooler.handle.addresses().first().copied();
        let address = address.context("the pooler listens nowhere")?;
        let percent = crate::sandbox::percent;
        let url = format!(
            "postgres://{}@{address}/{}?sslmode=disable",
            percent(&user),
            percent(&database)
        );
        let server = config::server_from_url(&url, None).map_err(|errors| told(&errors))?;
        Ok(Target {
            label: format!("{} ({user} in {database})", path.display()),
            database,
            connector: Arc::new(Server(server)),
            _pooler: Some(pooler),
        })
    }
}

/// Who logs in with a settings file, and where, as a person says it.
pub(super) struct Names {
    /// The database.
    pub(super) database: Option<String>,
    /// The user.
    pub(super) user: Option<String>,
}

impl Names {
    /// User and database: those that were said, else the only ones there are.
    fn choose(&self, plan: &Plan, path: &Path) -> anyhow::Result<(String, String)> {
        let databases = plan.databases.iter().map(|database| database.name.as_str());
        let databases: Vec<&str> = databases.filter(|name| *name != "*").collect();
        let database = one("database", "--dbname", &self.database, &databases, path)?;
        // Neither who watches nor who administers sends load.
        let monitor = plan.monitor.user.as_deref();
        let users = plan.users.keys().map(String::as_str);
        let (admins, users): (Vec<&str>, Vec<&str>) = (users.filter(|user| Some(*user) != monitor))
            .partition(|user| plan.admin_users.iter().any(|admin| admin == user));
        let users = if users.is_empty() { admins } else { users };
        let user = one("user", "--user", &self.user, &users, path)?;
        Ok((user, database))
    }
}

/// The one that was said, or the only one.
fn one(
    what: &str,
    flag: &str,
    said: &Option<String>,
    there: &[&str],
    path: &Path,
) -> anyhow::Result<String> {
    match (said, there) {
        (Some(said), _) => Ok(said.clone()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => bail!(
            "{}: it names no {what} of its own; say which with {flag}",
            path.display()
        ),
        (None, several) => bail!(
            "{}: it names several {what}s ({}); say which with {flag}",
            path.display(),
            several.join(", ")
        ),
    }
}

/// The pooler in this process.
struct Pooler {
    proxy: Option<Proxy>,
    handle: Handle,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.handle.stop_now();
        if let Some(proxy) = self.proxy.take() {
            proxy.join();
        }
    }
}

/// A server or pooler that a URL names.
struct Server(ServerUrl);

impl Connector for Server {
    fn connect(&self) -> Result<Link, String> {
        let client = connect_server(&self.0, APPLICATION).map_err(|error| error.to_string())?;
        client.into_link().map_err(|error| error.to_string())
    }
}

/// Mistakes, without the word that the command puts before them.
fn told(errors: &config::Errors) -> anyhow::Error {
    let text = errors.render();
    let text = text.trim_end();
    anyhow!("{}", text.strip_prefix("error: ").unwrap_or(text))
}

fn database(server: &ServerUrl) -> String {
    let database = &server.database;
    database
        .dbname
        .as_deref()
        .unwrap_or(&database.name)
        .to_owned()
}

/// A URL without its secrets.
fn label(server: &ServerUrl) -> String {
    let database = &server.database;
    let name = database.dbname.as_deref().unwrap_or(&database.name);
    let host = match database.host.singles().first() {
        Some(Host::Tcp(host)) if host.contains(':') => format!("[{host}]"),
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::UnixDir(directory)) => directory.display().to_string(),
        _ => String::new(),
    };
    match &database.user {
        Some(user) => format!("{user}@{host}:{}/{name}", database.port),
        None => format!("{host}:{}/{name}", database.port),
    }
}
