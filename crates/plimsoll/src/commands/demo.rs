//! `plimsoll demo`: a private PostgreSQL, the pooler before it, traffic through it.
//!
//! ```text
//!   five applications, 79 clients ──► pooler ──► private PostgreSQL
//!     figures, leases ◄── snapshots ──┘  └ line ◄──┘       │
//!         most server connections ever ◄── pg_stat_activity┘
//! ```
//!
//! One pool asks for more than the server has, and one application leaks. All
//! settings but the pools' sizes and the monitor's user are the defaults.

mod keys;
mod outages;
mod sampler;
mod screen;
mod settings;
mod traffic;
mod view;
mod watch;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use control::Control;
use control::api::Director;
use events::snapshot::Snapshot;
use proxy::Handle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::api::Extras;
use crate::cli::{DemoArgs, DemoGuard, OutageWord};
use crate::client::{Address, Client, Target};
use crate::sandbox::{Options, Sandbox};
use crate::serve;
use crate::stage::Pooler;
use outages::{Buttons, Hand, Server};
use sampler::Sampler;
use screen::Screen;
use settings::Settings;
use traffic::{PRODUCTS, Traffic};
use view::{App, Picture};
use watch::Watch;

/// The login of everything here: the server is private and soon gone.
const USER: &str = "demo";
const PASSWORD: &str = "demo";
/// The user of the second pool, at the server only.
const REPORTER: &str = "reporter";
/// Who types it on the live page may act there. No secret: the server is private and soon gone.
const TOKEN: &str = "demo-operator-token";
/// Reads the line from the server.
const MONITOR: &str = "monitor";
/// What PostgreSQL allows, superusers among them.
const MAX_CONNECTIONS: u32 = 20;
/// Far more than there is, so that the line is seen to hold.
const SHOP_SIZE: u32 = 50;
const REPORTS_SIZE: u32 = 3;
/// Longest wait for the first reading of the line.
const READING_MAX: Duration = Duration::from_secs(10);
/// Most clients: the traffic's, and room for a curious person.
const CLIENTS_MAX: u32 = 200;
/// From one look at the snapshot to the next.
const LOOK: Duration = Duration::from_millis(250);
/// From the start to the outage that the command line asks for: calm to compare with.
const FIRST_OUTAGE: Duration = Duration::from_secs(6);
/// Looks from one picture to the next: a second.
const LOOKS: u32 = 4;
/// Pictures that rates and quantiles look back over.
const LOOK_BACK: usize = 5;

/// Shows the pooler at work until Ctrl-C.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let ended = watch_for_the_end()?;
    let mut screen = Screen::of_stdout();
    screen.say("A private PostgreSQL starts ...\n")?;
    let sandbox = start_server()?;
    let (buttons, orders) = Buttons::new();
    let (pooler, control) = start_pooler(&sandbox, &buttons)?;
    screen.say(&introduction(&pooler, control.local_addr()))?;
    let target = |database| Target {
        address: Address::Tcp(pooler.address),
        user: USER,
        password: PASSWORD,
        database,
    };
    // Before the first reading: to the pooler it is one of the others.
    let sampler = Sampler::start(&sandbox, &[USER, REPORTER])?;
    await_the_line(&pooler.handle, &target("shop"))?;
    let mut traffic = Traffic::start(&target("shop"), &target("reports"))
        .context("cannot start the traffic's threads")?;
    let hand = Hand::start(&buttons, orders, Arc::clone(&pooler), Server::of(&sandbox))?;
    keys::listen(&buttons);
    let limit = args.seconds.map(|s| Duration::from_secs(u64::from(s)));
    let mut show = Show {
        handle: &pooler.handle,
        traffic: &traffic,
        sampler: &sampler,
        started: Instant::now(),
        console: console(pooler.address),
        leaks: Watch::default(),
        buttons: &buttons,
        first: args.outage.map(|o| (o, args.guard != DemoGuard::Off)),
        outages: 0,
    };
    let ran = show.until_the_end(limit, &ended, &mut screen);
    // What was begun is undone, and told, before anything goes.
    hand.end();
    show.tell_outages(&mut screen)?;
    let last = pooler.handle.snapshot(true);
    show.leaks.see(&last);
    let calm = show.outages == 0;
    let mut last = show.picture(&last, &last);
    traffic.stop();
    last.count(&traffic, &sampler);
    let first_error = traffic.first_error();
    let samples = sampler.samples();
    sampler.stop();
    // The hand is gone: nobody else has it.
    if let Some(pooler) = Arc::into_inner(pooler) {
        pooler.stop();
    }
    control.stop();
    let remains = sandbox.psql("shop", REMAINS);
    drop(sandbox);
    ran?;
    let remains = remains.context("the forgotten transactions' rows could not be counted")?;
    let good = sum_up(
        &mut screen,
        &last,
        samples,
        remains.trim(),
        first_error,
        calm,
    )?;
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The last words. Whether all held.
fn sum_up(
    screen: &mut Screen,
    last: &Picture,
    samples: u64,
    remains: &str,
    first_error: Option<String>,
    calm: bool,
) -> anyhow::Result<bool> {
    screen.say(&format!("\n{}", last.summary(samples)))?;
    screen.say(&format!("rows left by leaks  {remains}\n"))?;
    if let Some(error) = first_error {
        screen.say(&format!("first error         {error}\n"))?;
    }
    screen.say(NEXT)?;
    // In an outage errors are what is to be seen.
    let served = !calm || last.errors() == 0;
    Ok(served && samples > 0 && last.held() && remains == "0")
}

fn start_server() -> anyhow::Result<Sandbox> {
    let mut options = Options::from_env();
    options.max_connections = MAX_CONNECTIONS;
    let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
    fill(&sandbox)?;
    Ok(sandbox)
}

/// The pooler in this process, with its metrics and the buttons on its page.
fn start_pooler(sandbox: &Sandbox, buttons: &Buttons) -> anyhow::Result<(Arc<Pooler>, Control)> {
    let extras = Extras {
        director: Some(Arc::new(buttons.clone())),
        ..Extras::default()
    };
    let settings = Settings::default();
    let pooler = Pooler::start(sandbox, |dir| settings.toml(dir, sandbox.port()), extras)?;
    let metrics = SocketAddr::from(([127, 0, 0, 1], 0));
    let control = serve::start_control(Some(metrics), &pooler.handle)?
        .context("the metrics listen nowhere")?;
    Ok((Arc::new(pooler), control))
}

/// What forgotten transactions wrote and nobody may ever see.
const REMAINS: &str = "select count(*) from redeemed where code like 'LOST-%'";

/// What to try after it.
const NEXT: &str = "\nNext: run it again, and while it runs look from another terminal, with the\n\
     first lines' commands, at SHOW LEASES, SHOW BUDGET and SHOW GUARDS in the console\n\
     and at plimsoll_leak and plimsoll_budget in the metrics.\n";

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
    sandbox.create_user(MONITOR, PASSWORD, "in role pg_read_all_stats")?;
    sandbox.create_user(outages::SURGE, PASSWORD, "")?;
    sandbox.create_database("shop", USER)?;
    sandbox.psql(
        "shop",
        &format!(
            "create table products (id int primary key, price int not null, stock int not null);\n\
             insert into products select n, n % 90 + 10, 100 from generate_series(1, {PRODUCTS}) n;\n\
             create table redeemed (code text not null, customer int not null);\n\
             alter table products owner to {USER};\n\
             alter table redeemed owner to {USER};\n\
             grant select on products to {REPORTER};\n\
             grant select on products to {surge};",
            surge = outages::SURGE,
        ),
    )?;
    Ok(())
}

/// A first client makes the pooler read the line. The traffic waits for that,
/// as it would for any connection; so does the count at the server.
fn await_the_line(handle: &Handle, target: &Target) -> anyhow::Result<()> {
    let mut client = Client::connect(target, "plimsoll demo")
        .and_then(|mut client| client.query("select 1").map(|_| client))
        .map_err(|e| anyhow::anyhow!("the pooler does not serve: {e}"))?;
    let until = Instant::now() + READING_MAX;
    while Instant::now() < until {
        let snapshot = handle.snapshot(false);
        if snapshot.budgets.iter().all(|b| b.state == "known") {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        client.query("select 1").ok();
    }
    anyhow::bail!("the pooler could not read the server's limits")
}

fn console(address: SocketAddr) -> String {
    format!("psql postgres://{USER}:{PASSWORD}@{address}/pgbouncer")
}

/// What a person may want to type while it runs, and what there is to see.
fn introduction(pooler: &Pooler, metrics: SocketAddr) -> String {
    let address = pooler.address;
    let page = pooler.page().map_or(String::new(), |page| {
        format!("Live page  {page} (to act on it: token {TOKEN})\n")
    });
    format!(
        "{page}Connect    psql postgres://{USER}:{PASSWORD}@{address}/shop\n\
         Console    {} -c 'show leases'\n\
         Metrics    curl http://{metrics}/metrics\n\
         Line       pool shop asks for {SHOP_SIZE}; PostgreSQL has {MAX_CONNECTIONS}\n\
         Leaks      coupons/2.4.1 forgets COMMIT after 11 s, then every 20 s; leases silent\n\
         \x20          for 5 s (reclaim_after), or 2 s once their habits are known, are taken\n\
         \x20          back while others wait\n\
         Outages    buttons on the live page; or type 000 to 004 here, 004! for one without\n\
         \x20          guards, s to stop; each is undone by itself\n\
         End        Ctrl-C\n\n",
        console(address)
    )
}

/// What the pictures are made from.
struct Show<'a> {
    handle: &'a Handle,
    traffic: &'a Traffic,
    sampler: &'a Sampler,
    started: Instant,
    console: String,
    leaks: Watch,
    buttons: &'a Buttons,
    /// The outage that the command line asks for, and whether the guards act.
    first: Option<(OutageWord, bool)>,
    /// How many there were.
    outages: u32,
}

impl Show<'_> {
    /// A picture every second, until the time is over or a signal comes.
    fn until_the_end(
        &mut self,
        limit: Option<Duration>,
        ended: &Receiver<()>,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        let mut past = VecDeque::from([Arc::new(self.handle.snapshot(false))]);
        let mut looks = 1;
        loop {
            let next = LOOK * looks;
            let due = limit.map_or(next, |limit| limit.min(next));
            match ended.recv_timeout(due.saturating_sub(self.started.elapsed())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            // With the leases' statements.
            let now = Arc::new(self.handle.snapshot(true));
            self.tell_outages(screen)?;
            if let Some((outage, guarded)) = self.first
                && self.started.elapsed() >= FIRST_OUTAGE
            {
                self.first = None;
                // It is the first: none runs.
                self.buttons.start(outage.number(), guarded).ok();
            }
            for told in self.leaks.see(&now) {
                screen.note(self.started.elapsed().as_secs(), &told)?;
            }
            let over = limit.is_some_and(|limit| self.started.elapsed() >= limit);
            if over || looks % LOOKS == 0 {
                screen.show(&self.picture(past.front().unwrap_or(&now), &now))?;
                past.push_back(now);
                if past.len() > LOOK_BACK {
                    past.pop_front();
                }
            }
            if over {
                return Ok(());
            }
            looks += 1;
        }
    }

    /// What happened in outages that have ended.
    fn tell_outages(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        if let Some(told) = self.buttons.news() {
            self.outages += 1;
            screen.say(&format!("\n{}\n", told.lines()))?;
        }
        Ok(())
    }

    fn picture(&self, before: &Snapshot, now: &Snapshot) -> Picture {
        let mut picture = Picture {
            seconds: self.started.elapsed().as_secs(),
            console: self.console.clone(),
            leaks: self.leaks.clone(),
            ..Picture::default()
        };
        picture.count(self.traffic, self.sampler);
        picture.fold(before, now);
        picture
    }
}

impl Picture {
    /// What the traffic and PostgreSQL say; the pooler's own figures stand beside it.
    fn count(&mut self, traffic: &Traffic, sampler: &Sampler) {
        let app = |app: &traffic::Application| App {
            name: app.name,
            clients: app.clients,
            transactions: app.transactions(),
            errors: app.errors(),
            habit: app.habit,
        };
        self.at_server = sampler.now();
        self.at_server_max = sampler.most();
        self.applications = traffic.applications().map(app).into();
    }
}
