//! One run's private world: PostgreSQL, a pooler or none, the application; and what is done to it.

use super::cores::Cores;
use super::crowd;
use super::keeper::Keeper;
use super::library::{self, Outage};
use super::process::{Process, tail};
use super::templates::{fill, place, settle, template};
use super::tools::{self, Tools};
use crate::sandbox::{Options, Sandbox};
use anyhow::{Context, bail};
use control::api::{Client, ReleaseAsk};
use practice::outage::{Action, Column, Place};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The application's login; the server is private and soon gone.
pub(super) const USER: &str = "app";
pub(super) const PASSWORD: &str = "app";
pub(super) const DATABASE: &str = "app";
/// Reads the line.
pub(super) const MONITOR: &str = "monitor";
/// How long a program may take until it serves.
const READY_WITHIN: Duration = Duration::from_secs(40);
/// Longest command of a step: a deployment that hangs must not hold the run.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The programs of one run. Dropping it ends them and removes what they wrote.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    outage: &'a Outage,
    column: &'a Column,
    tools: &'a Tools,
    services: Vec<Running>,
    pooler: Option<Pooler>,
    keeper: Keeper,
    dir: PathBuf,
    sandbox: Sandbox,
}

#[derive(Debug)]
struct Running {
    name: String,
    dir: PathBuf,
    port: u16,
    process: Process,
}

#[derive(Debug)]
struct Pooler {
    process: Process,
    /// The directory of its settings.
    dir: PathBuf,
    port: u16,
}

impl<'a> Stage<'a> {
    /// Starts everything and waits until the application serves.
    pub(super) fn set(
        outage: &'a Outage,
        column: &'a Column,
        command: Option<&str>,
        tools: &'a Tools,
        cores: Option<&Cores>,
    ) -> anyhow::Result<Stage<'a>> {
        let sandbox = server(outage, cores)?;
        let dir = sandbox.socket_dir().join("lab");
        std::fs::create_dir(&dir)?;
        let mut stage = Stage {
            outage,
            column,
            tools,
            services: Vec::new(),
            pooler: None,
            keeper: Keeper::start().context("cannot start /bin/sh")?,
            dir,
            sandbox,
        };
        if let Some(schema) = &outage.scenario.database.schema {
            stage.create(schema)?;
        }
        if let Some(command) = command {
            stage.start_pooler(command)?;
        }
        for at in 0..outage.scenario.services.len() {
            stage.start_service(at)?;
        }
        for at in 0..stage.services.len() {
            stage.await_service(at)?;
        }
        Ok(stage)
    }

    /// Where users go.
    pub(super) fn address(&self) -> SocketAddr {
        let port = self.services.first().map_or(0, |service| service.port);
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Plimsoll's API: beside the clients' socket, or in the state directory. None where
    /// another pooler serves, or none.
    pub(super) fn socket(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(pooler) = self.pooler.as_ref().filter(|_| self.column.is_plimsoll()) else {
            return Ok(None);
        };
        let beside = pooler.dir.join(format!(".s.PLIMSOLL.{}", pooler.port));
        let places = [beside, pooler.dir.join("state/api.sock")];
        let found = places.into_iter().find(|place| place.exists());
        let lacking = "Plimsoll has no API in its directory: write `unix = \"{dir}\"` or \
                       `[state] directory = \"{dir}/state\"` in its settings";
        found.context(lacking).map(Some)
    }

    /// Does something to it.
    pub(super) fn act(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            Action::Copy { from, to, only } => self.copy(from, to, only),
            Action::Restart(place) => self.restart(place),
            Action::Reload => {
                let pooler = self.pooler.as_mut().context("there is no pooler")?;
                pooler.process.reload()
            }
            Action::Run { within, command } => self.run(within, command),
            Action::MarkRelease { app, version } => self.mark(app, version),
        }
    }

    /// Copies the logs of all programs.
    pub(super) fn keep_logs(&self, to: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(&self.dir)?.flatten() {
            if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "log")
            {
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        std::fs::copy(self.sandbox.log_path(), to.join("postgres.log"))?;
        Ok(())
    }

    /// Whether the programs that should run do.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(pooler) = &mut self.pooler {
            pooler.process.alive()?;
        }
        self.services
            .iter_mut()
            .try_for_each(|service| service.process.alive())
    }

    fn create(&self, schema: &str) -> anyhow::Result<()> {
        let place = self.dir.join("schema");
        library::unpack(self.outage, schema, &place)?;
        let name = Path::new(schema)
            .file_name()
            .context("the schema has no name")?;
        let sql = std::fs::read_to_string(place.join(name)).with_context(|| schema.to_owned())?;
        // Tables belong to the application, as if it had made them.
        let sql = format!("set session authorization {USER};\n{sql}");
        self.sandbox
            .psql(DATABASE, &sql)
            .with_context(|| schema.to_owned())?;
        self.sandbox.psql(DATABASE, "vacuum analyze")?;
        Ok(())
    }

    fn start_pooler(&mut self, program: &str) -> anyhow::Result<()> {
        let name = self.column.label();
        let template = template(self.outage, self.column).context("it has no settings")?;
        let port = free_port()?;
        let dir = self.dir.join("pooler");
        settle(&dir)?;
        let file = dir.join(file_name(&template)?);
        let mut words = program.split_whitespace().map(str::to_owned);
        let word = words.next().context("the command is empty")?;
        // As root, poolers refuse to run as PostgreSQL does.
        let mut command = match self.column.is_plimsoll() {
            true => Command::new(word),
            false => {
                let path =
                    tools::program(&word).with_context(|| format!("{word} is not installed"))?;
                self.sandbox.command(&path)
            }
        };
        tools::clean(&mut command);
        command.args(words).arg(&file).current_dir(&dir);
        let log = self.dir.join("pooler.log");
        let process = Process::new(name, command, log);
        self.pooler = Some(Pooler { process, dir, port });
        // With what stands beside the settings, such as those of other environments.
        let around = Path::new(&template).parent();
        self.write_settings(&around.unwrap_or(Path::new("")).to_string_lossy(), &[])?;
        self.with_pooler(|pooler, keeper| pooler.process.start(keeper))?;
        self.await_pooler()
    }

    fn with_pooler<T>(
        &mut self,
        what: impl FnOnce(&mut Pooler, &mut Keeper) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        what(
            self.pooler.as_mut().context("there is no pooler")?,
            &mut self.keeper,
        )
    }

    fn await_pooler(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        let port = self.pooler.as_ref().map_or(0, |pooler| pooler.port);
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        while TcpStream::connect_timeout(&to, LOOK).is_err() {
            self.with_pooler(|pooler, _| pooler.process.alive())?;
            if Instant::now() > until {
                bail!(
                    "the pooler does not listen after {} s",
                    READY_WITHIN.as_secs()
                );
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Writes the pooler's settings from templates, each file at once, as deployments should.
    fn write_settings(&self, templates: &str, only: &[String]) -> anyhow::Result<()> {
        let pooler = self.pooler.as_ref().context("there is no pooler")?;
        let draft = self.dir.join("draft");
        if draft.exists() {
            std::fs::remove_dir_all(&draft)?;
        }
        library::unpack(self.outage, templates, &draft)?;
        fill(&draft, self.sandbox.port(), pooler.port, &pooler.dir)?;
        place(&draft, &pooler.dir, only)
    }

    fn start_service(&mut self, at: usize) -> anyhow::Result<()> {
        let service = self
            .outage
            .scenario
            .services
            .get(at)
            .context("no such service")?;
        let dir = self.dir.join(&service.name);
        library::unpack(self.outage, &service.files, &dir)?;
        let port = free_port()?;
        let more = [
            ("port", port.to_string()),
            ("dir", dir.display().to_string()),
        ];
        let mut command = self.tools.command(&service.command, &more)?;
        let database = match &self.pooler {
            Some(pooler) => pooler.port,
            None => self.sandbox.port(),
        };
        surround(&mut command, database);
        command
            .env("PORT", port.to_string())
            .envs(&service.env)
            .current_dir(&dir);
        let log = self.dir.join(format!("{}.log", service.name));
        let mut process = Process::new(&service.name, command, log);
        process.start(&mut self.keeper)?;
        self.services.push(Running {
            name: service.name.clone(),
            dir,
            port,
            process,
        });
        Ok(())
    }

    fn await_service(&mut self, at: usize) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        let ready = self
            .outage
            .scenario
            .services
            .get(at)
            .map_or("/", |service| &service.ready);
        let service = self.services.get_mut(at).context("no such service")?;
        let to = SocketAddr::from(([127, 0, 0, 1], service.port));
        while !crowd::answers(to, ready, Duration::from_secs(2)) {
            service.process.alive()?;
            if Instant::now() > until {
                let seconds = READY_WITHIN.as_secs();
                bail!(
                    "{}: {ready} does not answer 2xx after {seconds} s",
                    service.name
                );
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn service(&mut self, name: &str) -> anyhow::Result<&mut Running> {
        let found = self
            .services
            .iter_mut()
            .find(|service| service.name == name);
        found.with_context(|| format!("there is no service {name}"))
    }

    fn copy(&mut self, from: &str, to: &Place, only: &[String]) -> anyhow::Result<()> {
        match to {
            Place::Pooler => self.write_settings(from, only),
            Place::Service(name) => {
                let outage = self.outage;
                let dir = self.service(name)?.dir.clone();
                if only.is_empty() {
                    library::unpack(outage, from, &dir)?;
                }
                for file in only {
                    let below = dir.join(file);
                    let place = below.parent().unwrap_or(&dir);
                    library::unpack(outage, &format!("{from}/{file}"), place)?;
                }
                Ok(())
            }
        }
    }

    fn restart(&mut self, place: &Place) -> anyhow::Result<()> {
        match place {
            Place::Pooler => {
                self.with_pooler(|pooler, keeper| {
                    pooler.process.stop(keeper);
                    pooler.process.start(keeper)
                })?;
                self.await_pooler()
            }
            Place::Service(name) => {
                let at = self
                    .services
                    .iter()
                    .position(|service| service.name == *name);
                let at = at.with_context(|| format!("there is no service {name}"))?;
                if let Some(service) = self.services.get_mut(at) {
                    service.process.stop(&mut self.keeper);
                    // Users are there already: when it answers them is what is measured.
                    service.process.start(&mut self.keeper)?;
                }
                Ok(())
            }
        }
    }

    fn run(&mut self, within: &Place, command: &[String]) -> anyhow::Result<()> {
        let (port, dir) = match within {
            Place::Service(name) => {
                let service = self.service(name)?;
                (service.port, service.dir.clone())
            }
            Place::Pooler => {
                let pooler = self.pooler.as_ref().context("there is no pooler")?;
                (pooler.port, pooler.dir.clone())
            }
        };
        let more = [
            ("port", port.to_string()),
            ("dir", dir.display().to_string()),
        ];
        let mut command = self.tools.command(command, &more)?;
        surround(&mut command, self.sandbox.port());
        command.current_dir(&dir);
        let log = self.dir.join("command.log");
        let process = Process::new("the command", command, log.clone());
        let never = AtomicBool::new(false);
        match process.run_out(COMMAND_MAX, &never, &mut self.keeper)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{status}:\n{}", tail(&log)),
            None => bail!("it took longer than {} s", COMMAND_MAX.as_secs()),
        }
    }

    fn mark(&self, app: &str, version: &str) -> anyhow::Result<()> {
        let socket = self.socket()?.context("Plimsoll does not serve here")?;
        let ask = ReleaseAsk {
            application: app.to_owned(),
            version: version.to_owned(),
            at_ms: None,
            actor: "deployment".to_owned(),
        };
        let _: events::sample::Marker = Client::new(socket).post("/v1/releases", &ask)?;
        Ok(())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        for service in &mut self.services {
            service.process.stop(&mut self.keeper);
        }
        if let Some(pooler) = &mut self.pooler {
            pooler.process.stop(&mut self.keeper);
        }
    }
}

fn server(outage: &Outage, cores: Option<&Cores>) -> anyhow::Result<Sandbox> {
    let database = &outage.scenario.database;
    let mut options = Options::from_env();
    options.max_connections = database.max_connections;
    options.settings.clone_from(&database.settings);
    let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
    if let (Some(cores), Some(pid)) = (cores, sandbox.pid()) {
        let pinned = cores.part(pid);
        pinned.context("the server cannot be pinned to its cores")?;
    }
    sandbox.create_user(USER, PASSWORD, "")?;
    sandbox.create_user(MONITOR, PASSWORD, "in role pg_read_all_stats")?;
    sandbox.create_database(DATABASE, USER)?;
    Ok(sandbox)
}

/// Leads a program to the database, through the pooler or not.
pub(super) fn surround(command: &mut Command, port: u16) {
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", port.to_string())
        .env("PGUSER", USER)
        .env("PGPASSWORD", PASSWORD)
        .env("PGDATABASE", DATABASE)
        .env(
            "DATABASE_URL",
            format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"),
        );
}

fn file_name(path: &str) -> anyhow::Result<String> {
    let name = Path::new(path)
        .file_name()
        .with_context(|| format!("{path}: no file"))?;
    Ok(name.to_string_lossy().into_owned())
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
