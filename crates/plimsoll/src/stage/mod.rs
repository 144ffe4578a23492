//! A stage: a private PostgreSQL, a pooler with a settings file before it, and
//! applications that use it; and what can go wrong there, for real.
//!
//! For drills and the demonstration. The one invariant: whatever was started on
//! it is gone when the [`Stage`] is.
//!
//! ```text
//!   crowd ──► pooler ──► way ──► sandbox ◄── others (sessions past the pooler)
//!     ▲         ▲         ▲         ▲
//!     └─────────┴─ faults, deeds ───┘
//! ```

mod crowd;
mod deeds;
mod faults;
mod others;
mod pooler;
mod scene;
mod way;

use crate::api::Extras;
use crate::client::{Address, Client};
use crate::sandbox::{Options, Sandbox};
use anyhow::Context;
use control::api::Veil;
use practice::drill::{Fault, Felt};
use std::time::{Duration, Instant};

pub use crowd::{App, Crowd, Login, Release, Work};
pub use others::Others;
pub use pooler::{How, Pooler};
pub use scene::Scene;
pub use way::Way;

/// The user of all applications, here and at the server.
pub const USER: &str = "app";
/// Reads the line from the server.
pub const MONITOR: &str = "monitor";
/// May do all in the console.
pub const ADMIN: &str = "admin";
/// No secret: the server is private and soon gone.
pub const PASSWORD: &str = "practice";
/// The database, as clients and the server know it.
pub const DATABASE: &str = "shop";
/// Rows of the table that all applications use.
pub const ROWS: u64 = 5_000;
/// Longest wait for the pooler to serve its first client.
const SERVING_MAX: Duration = Duration::from_secs(15);

/// Everything that an outage needs.
pub struct Stage {
    /// What was planned.
    pub scene: Scene,
    /// The applications.
    pub crowd: Crowd,
    /// Sessions past the pooler.
    pub others: Others,
    /// The pooler; `None` once it was stopped.
    pooler: Option<Pooler>,
    /// The way to the server, where it can be made longer.
    pub way: Option<Way>,
    /// The server. Last: it goes when all that uses it is gone.
    pub sandbox: Sandbox,
}

impl Stage {
    /// Sets it up for a fault, with its traffic.
    pub fn set(fault: Fault, veil: Veil) -> anyhow::Result<Stage> {
        let scene = Scene::of(fault);
        let mut options = Options::from_env();
        options.max_connections = scene.max_connections;
        options.settings = vec!["max_parallel_workers_per_gather = 0".to_owned()];
        let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
        fill(&sandbox)?;
        let way = scene
            .by_a_way
            .then(|| Way::to(sandbox.port()))
            .transpose()?;
        let port = way.as_ref().map_or(sandbox.port(), Way::port);
        let extras = Extras {
            veil,
            ..Extras::default()
        };
        let pooler = Pooler::start(&sandbox, |dir| scene.settings.toml(dir, port), extras)?;
        let mut stage = Stage {
            crowd: Crowd::default(),
            others: Others::new(&sandbox),
            pooler: Some(pooler),
            way,
            sandbox,
            scene,
        };
        let login = Login {
            address: Address::Tcp(stage.pooler().address),
            user: USER,
            password: PASSWORD,
            database: DATABASE,
        };
        await_the_pooler(&login)?;
        let apps = (stage.scene.cast)();
        stage.crowd = Crowd::start(apps, &login)?;
        Ok(stage)
    }

    /// The pooler: it is there until the stage goes.
    pub fn pooler(&self) -> &Pooler {
        match &self.pooler {
            Some(pooler) => pooler,
            None => unreachable!("it is taken in drop alone"),
        }
    }

    /// What clients felt in the last seconds, and how full the pool is.
    pub fn felt(&self, span: Duration) -> Felt {
        let mut felt = self.crowd.felt(span);
        let snapshot = self.pooler().handle.snapshot(false);
        for pool in snapshot.pools.iter().filter(|p| p.database == DATABASE) {
            felt.waiting += pool.cl_waiting;
            felt.used += pool.sv_active;
            felt.limit += pool.size;
        }
        felt
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Clients that wait for an answer are woken by the end of the pooler.
        self.crowd.let_go();
        if let Some(pooler) = self.pooler.take() {
            pooler.stop();
        }
        self.others.end();
        self.crowd.join();
    }
}

/// Waits until clients are served.
pub fn await_the_pooler(login: &Login) -> anyhow::Result<()> {
    let until = Instant::now() + SERVING_MAX;
    loop {
        let asked = Client::connect(login, "plimsoll").and_then(|mut c| c.query("select 1"));
        match asked {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > until => {
                anyhow::bail!("the pooler does not serve: {error}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Users, a database, and the tables of the applications.
pub fn fill(sandbox: &Sandbox) -> anyhow::Result<()> {
    sandbox.create_user(USER, PASSWORD, "")?;
    sandbox.create_user(MONITOR, PASSWORD, "in role pg_read_all_stats")?;
    sandbox.create_database(DATABASE, USER)?;
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    sandbox.psql(DATABASE, &tables(USER, cores))?;
    Ok(())
}

/// The tables, owned by this user. A search costs so much that a surge drowns a
/// server of any size.
pub fn tables(owner: &str, cores: usize) -> String {
    let rounds = cores.div_ceil(2);
    format!(
        "create table items (id int primary key, n int not null, name text not null);\n\
         insert into items select i, 0, md5(i::text) from generate_series(1, {ROWS}) i;\n\
         create table orders (id int primary key, customer int not null, note text not null);\n\
         insert into orders select i, i % 997, md5(i::text) from generate_series(1, {ROWS}) i;\n\
         create index on orders (customer);\n\
         create table counters (id int primary key, n int not null);\n\
         insert into counters select i, 0 from generate_series(1, 10) i;\n\
         create function search() returns bigint language sql stable as\n\
           'select sum(length(md5(name))) from items, generate_series(1, {rounds}) where id < 4000';\n\
         alter table items owner to {owner};\n\
         alter table orders owner to {owner};\n\
         alter table counters owner to {owner};\n\
         analyze items; analyze orders;"
    )
}
