//! `plimsoll demo`: a private PostgreSQL, the pooler before it, traffic through it.
//!
//! ```text
//!   four applications, 74 clients ──► pooler (line 10) ──► private PostgreSQL
//!              figures ◄── snapshots ──┘                         │
//!     most server connections ever ◄── sampler, pg_stat_activity ┘
//! ```

pub(super) mod client;
mod sampler;
mod screen;
mod traffic;
mod view;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use config::{ListenAddress, Overrides, Plan, UrlOptions};
use control::Control;
use events::snapshot::Snapshot;
use proxy::{Handle, Proxy};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::DemoArgs;
use crate::sandbox::{Options, Sandbox};
use crate::serve;
use client::{Address, Target};
use sampler::Sampler;
use screen::Screen;
use traffic::{PRODUCTS, Traffic};
use view::{App, Picture};

/// The login of everything here: the server is private and soon gone.
const USER: &str = "demo";
const PASSWORD: &str = "demo";
/// The user of the second pool, at the server only.
const REPORTER: &str = "reporter";
/// What PostgreSQL allows, superusers among them.
const MAX_CONNECTIONS: u32 = 20;
/// The line: below what both pools together may ask for, so that it is seen to hold.
const LINE: u32 = 10;
const SHOP_SIZE: u32 = 8;
const REPORTS_SIZE: u32 = 4;
/// Most clients: the traffic's, and room for a curious person.
const CLIENTS_MAX: u32 = 200;
/// From one picture to the next.
const TICK: Duration = Duration::from_secs(1);
/// Pictures that rates and quantiles look back over.
const LOOK_BACK: usize = 5;

/// Shows the pooler at work until Ctrl-C.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let ended = watch_for_the_end()?;
    let mut screen = Screen::of_stdout();
    screen.say("A private PostgreSQL starts ...\n")?;
    let mut options = Options::from_env();
    options.max_connections = MAX_CONNECTIONS;
    let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
    fill(&sandbox)?;
    let pooler = Pooler::start(plan(&sandbox)?)?;
    screen.say(&introduction(pooler.address, pooler.control.local_addr()))?;

    let target = |database| Target {
        address: Address::Tcp(pooler.address),
        user: USER,
        password: PASSWORD,
        database,
    };
    let sampler = Sampler::start(&sandbox, &[USER, REPORTER])?;
    let mut traffic = Traffic::start(&target("shop"), &target("reports"))
        .context("cannot start the traffic's threads")?;
    let limit = args.seconds.map(|s| Duration::from_secs(u64::from(s)));
    let show = Show {
        handle: &pooler.handle,
        traffic: &traffic,
        sampler: &sampler,
        started: Instant::now(),
    };
    let ran = show.until_the_end(limit, &ended, &mut screen);
    let seconds = show.started.elapsed().as_secs();
    traffic.stop();
    let mut last = figures(&traffic, &sampler);
    last.seconds = seconds;
    let first_error = traffic.first_error();
    let samples = sampler.samples();
    sampler.stop();
    pooler.stop();
    drop(sandbox);
    ran?;
    screen.say(&format!("\n{}", last.summary(samples)))?;
    if let Some(error) = first_error {
        screen.say(&format!("first error         {error}\n"))?;
    }
    let good = last.errors() == 0 && samples > 0 && last.at_server_max <= LINE;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A message comes with the first signal that asks for an end. Called before
/// the first thread, so that none of them gets a signal that is not watched.
fn watch_for_the_end() -> anyhow::Result<Receiver<()>> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
    let (to, ended) = channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if to.send(()).is_err() {
                    return;
                }
            }
        })
        .context("cannot start a thread")?;
    Ok(ended)
}

/// Users, databases and a thousand products.
fn fill(sandbox: &Sandbox) -> anyhow::Result<()> {
    sandbox.create_user(USER, PASSWORD, "")?;
    sandbox.create_user(REPORTER, PASSWORD, "")?;
    sandbox.create_database("shop", USER)?;
    sandbox.psql(
        "shop",
        &format!(
            "create table products (id int primary key, price int not null, stock int not null);\n\
             insert into products select n, n % 90 + 10, 100 from generate_series(1, {PRODUCTS}) n;\n\
             alter table products owner to {USER};\n\
             grant select on products to {REPORTER};"
        ),
    )?;
    Ok(())
}

/// Two pools before one server: `shop`, and `reports` with a user of its own.
fn plan(sandbox: &Sandbox) -> anyhow::Result<Plan> {
    let options = UrlOptions {
        listen: vec![ListenAddress {
            host: "127.0.0.1".to_owned(),
            port: 0,
        }],
        overrides: Overrides {
            line: Some(LINE),
            ..Overrides::default()
        },
        ..UrlOptions::default()
    };
    let url = sandbox.url(USER, PASSWORD, "shop");
    let mut plan =
        config::from_url_with(&url, &options).map_err(|e| anyhow::anyhow!("{}", e.render()))?;
    plan.max_client_conn = CLIENTS_MAX;
    plan.admin_users = vec![USER.to_owned()];
    let mut reports = plan
        .databases
        .first()
        .cloned()
        .context("a URL makes a database")?;
    if let Some(shop) = plan.databases.first_mut() {
        shop.pool_size = Some(SHOP_SIZE);
    }
    reports.name = "reports".to_owned();
    reports.user = Some(REPORTER.to_owned());
    reports.pool_size = Some(REPORTS_SIZE);
    plan.databases.push(reports);
    Ok(plan)
}

/// What a person may want to type while it runs.
fn introduction(address: SocketAddr, metrics: SocketAddr) -> String {
    format!(
        "Connect    psql postgres://{USER}:{PASSWORD}@{address}/shop\n\
         Console    psql postgres://{USER}:{PASSWORD}@{address}/pgbouncer -c 'show pools'\n\
         Metrics    curl http://{metrics}/metrics\n\
         End        Ctrl-C\n\n"
    )
}

/// The pooler in this process, with its metrics.
struct Pooler {
    proxy: Proxy,
    handle: Handle,
    control: Control,
    address: SocketAddr,
}

impl Pooler {
    fn start(plan: Plan) -> anyhow::Result<Pooler> {
        let reload = Box::new(|| Err("the demonstration has no settings file".into()));
        let proxy = Proxy::start(plan, reload)?;
        let handle = proxy.handle();
        let address = handle.addresses().first().copied();
        let address = address.context("the pooler listens nowhere")?;
        let control = serve::start_control(Some(SocketAddr::from(([127, 0, 0, 1], 0))), &handle)?
            .context("the metrics listen nowhere")?;
        Ok(Pooler {
            proxy,
            handle,
            control,
            address,
        })
    }

    fn stop(self) {
        self.handle.stop_now();
        self.proxy.join();
        self.control.stop();
    }
}

/// What the pictures are made from.
struct Show<'a> {
    handle: &'a Handle,
    traffic: &'a Traffic,
    sampler: &'a Sampler,
    started: Instant,
}

impl Show<'_> {
    /// A picture every second, until the time is over or a signal comes.
    fn until_the_end(
        &self,
        limit: Option<Duration>,
        ended: &Receiver<()>,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        let mut past = VecDeque::from([Arc::new(self.handle.snapshot(false))]);
        let mut ticks = 1;
        loop {
            let next = TICK * ticks;
            let due = limit.map_or(next, |limit| limit.min(next));
            match ended.recv_timeout(due.saturating_sub(self.started.elapsed())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let now = Arc::new(self.handle.snapshot(false));
            screen.show(&self.picture(past.front().unwrap_or(&now), &now))?;
            past.push_back(now);
            if past.len() > LOOK_BACK {
                past.pop_front();
            }
            if limit.is_some_and(|limit| self.started.elapsed() >= limit) {
                return Ok(());
            }
            ticks += 1;
        }
    }

    fn picture(&self, before: &Snapshot, now: &Snapshot) -> Picture {
        let mut picture = figures(self.traffic, self.sampler);
        picture.seconds = self.started.elapsed().as_secs();
        picture.fold(before, now);
        picture
    }
}

/// What the traffic and PostgreSQL say; the pooler's own figures come beside it.
fn figures(traffic: &Traffic, sampler: &Sampler) -> Picture {
    let app = |app: &traffic::Application| App {
        name: app.name,
        clients: app.clients,
        transactions: app.transactions(),
        errors: app.errors(),
        habit: app.habit,
    };
    Picture {
        line: LINE,
        at_server: sampler.now(),
        at_server_max: sampler.most(),
        applications: traffic.applications().map(app).into(),
        ..Picture::default()
    }
}
