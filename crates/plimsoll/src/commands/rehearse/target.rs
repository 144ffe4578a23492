//! Where a rehearsal's requests go: a URL, or a pooler of ours that serves for its time.

use crate::cli::Where;
use crate::client::connect_server;
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
    /// Opens connections to it.
    pub(super) connector: Arc<dyn Connector>,
    /// The pooler that serves for it.
    _pooler: Option<Pooler>,
}

impl Target {
    /// The place that a person named, or that the environment names.
    pub(super) fn of(place: Option<&Where>) -> anyhow::Result<Target> {
        match place {
            Some(Where::Url(url)) => Target::url(url),
            Some(Where::Settings(path)) => Target::settings(path),
            None => Target::url(&url_of_environment()?),
        }
    }

    fn url(url: &str) -> anyhow::Result<Target> {
        let password = std::env::var("PGPASSWORD").ok();
        let server = config::server_from_url(url, password.as_deref())
            .map_err(|errors| anyhow!("{}", errors.render().trim_end()))?;
        Ok(Target {
            label: label(&server),
            connector: Arc::new(Server(server)),
            _pooler: None,
        })
    }

    /// The settings serve in this process, on a free port of the loopback, to whom
    /// they know, without a password: nobody but this process knows the port.
    fn settings(path: &Path) -> anyhow::Result<Target> {
        let disk = proxy::Disk::default();
        let mut plan = config::load_with(path, &disk, &Overrides::default())
            .map_err(|errors| anyhow!("{}", errors.render().trim_end()))?;
        let (user, database) = who(&plan, path)?;
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
        let server = config::server_from_url(&url, None)
            .map_err(|errors| anyhow!("{}", errors.render().trim_end()))?;
        Ok(Target {
            label: path.display().to_string(),
            connector: Arc::new(Server(server)),
            _pooler: Some(pooler),
        })
    }
}

/// Who logs in, and where: the first of each that a person could name.
fn who(plan: &Plan, path: &Path) -> anyhow::Result<(String, String)> {
    let named = plan.databases.iter().find(|database| database.name != "*");
    let Some(database) = named else {
        bail!(
            "{}: it names no database of its own (only `*`); give the URL of a pooler that runs with it",
            path.display()
        );
    };
    let monitor = plan.monitor.user.as_deref();
    let mut users = plan.users.keys();
    let user =
        users.find(|user| Some(user.as_str()) != monitor && !plan.admin_users.contains(user));
    let user = user.or_else(|| {
        plan.users
            .keys()
            .find(|user| Some(user.as_str()) != monitor)
    });
    let Some(user) = user else {
        bail!(
            "{}: it knows no user; give the URL of a pooler that runs with it",
            path.display()
        );
    };
    Ok((user.clone(), database.name.clone()))
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

/// A URL without its secrets.
fn label(server: &ServerUrl) -> String {
    let database = &server.database;
    let name = database.dbname.as_deref().unwrap_or(&database.name);
    let host = match database.host.singles().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::UnixDir(directory)) => directory.display().to_string(),
        _ => String::new(),
    };
    match &database.user {
        Some(user) => format!("{user}@{host}:{}/{name}", database.port),
        None => format!("{host}:{}/{name}", database.port),
    }
}

/// The URL of the environment: DATABASE_URL, or libpq's variables.
fn url_of_environment() -> anyhow::Result<String> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(url) = var("DATABASE_URL") {
        return Ok(url);
    }
    let percent = crate::sandbox::percent;
    let (host, user) = (var("PGHOST"), var("PGUSER"));
    let (Some(host), Some(user)) = (host, user) else {
        bail!(
            "say where to: --on postgres://USER@HOST:PORT/DATABASE, or set DATABASE_URL (or PGHOST and PGUSER)"
        );
    };
    let port = var("PGPORT").unwrap_or_else(|| "5432".to_owned());
    let name = var("PGDATABASE").unwrap_or_else(|| user.clone());
    let (user, name) = (percent(&user), percent(&name));
    Ok(match host.starts_with('/') {
        true => format!(
            "postgres://{user}@/{name}?host={}&port={port}",
            percent(&host)
        ),
        false => format!("postgres://{user}@{host}:{port}/{name}"),
    })
}
