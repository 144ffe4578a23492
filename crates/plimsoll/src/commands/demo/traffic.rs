//! The demonstration's traffic: five applications with habits of their own,
//! more clients together than the pooler has server connections. One of them
//! forgets to end its transactions at times.

mod coupons;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientError, Target};

/// Rows of the table `products`.
pub const PRODUCTS: u64 = 1000;
/// Clients of the web shop: short transactions, prepared statements.
const WEB_CLIENTS: u32 = 24;
/// Clients of the reporting job: slow queries, in a pool of their own.
const REPORT_CLIENTS: u32 = 3;
/// Clients of the worker: all at once, then silence.
const WORKER_CLIENTS: u32 = 16;
/// Connections that hardly ever say anything.
const IDLE_CLIENTS: u32 = 30;
/// From one burst of the worker to the next.
const BURST_EVERY: Duration = Duration::from_secs(5);
/// Jobs of each worker client in a burst.
const BURST_JOBS: u32 = 4;
/// Transactions of a web session before it connects anew.
const WEB_TURNS: u32 = 200;
/// Pause after an error, so that a broken pooler is not flooded.
const AFTER_ERROR: Duration = Duration::from_millis(250);
/// SQLSTATE of the end of a session whose lease was taken back.
const TAKEN_BACK: &str = "25P03";
/// A thread here needs little more than its read buffer.
const STACK_BYTES: usize = 256 << 10;

/// One application's habits, with its figures.
pub struct Application {
    /// Its application_name.
    pub name: &'static str,
    /// What it does, for the reader.
    pub habit: &'static str,
    /// How many connections it keeps.
    pub clients: u32,
    /// Turns of a session before it ends and the next one begins.
    turns: u32,
    /// Transactions finished. Written by its threads.
    transactions: AtomicU64,
    /// Requests and logins that failed. Written by its threads.
    errors: AtomicU64,
    /// It leaks: a session that is taken back is no error of the pooler's.
    leaks: bool,
}

impl Application {
    fn new(name: &'static str, habit: &'static str, clients: u32, turns: u32) -> Application {
        Application {
            name,
            habit,
            clients,
            turns,
            transactions: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            leaks: false,
        }
    }

    fn that_leaks(self) -> Application {
        Application {
            leaks: true,
            ..self
        }
    }

    /// Transactions finished since the start.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Requests and logins that failed since the start.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}

/// What the threads share.
struct Shared {
    web: Application,
    reports: Application,
    worker: Application,
    idle: Application,
    coupons: Application,
    started: Instant,
    stop: AtomicBool,
    /// Guards nothing but the sleep of those who wait for `stop`.
    sleeping: Mutex<()>,
    wake: Condvar,
    /// The first error, for the summary.
    first_error: Mutex<Option<String>>,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps, or less when the traffic ends.
    fn rest(&self, span: Duration) {
        let guard = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self
            .wake
            .wait_timeout_while(guard, span, |()| !self.stopped());
    }

    fn failed(&self, app: &Application, error: &ClientError) {
        if app.leaks && error.code() == Some(TAKEN_BACK) {
            return;
        }
        app.errors.fetch_add(1, Ordering::Relaxed);
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| format!("{}: {error}", app.name));
    }
}

/// Running traffic. Dropping it stops it and waits for its threads.
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts all applications. `reports` is the reporting job's own target.
    pub fn start(shop: &Target, reports: &Target) -> io::Result<Traffic> {
        let shared = Arc::new(Shared {
            web: Application::new("shop web", "short transactions", WEB_CLIENTS, WEB_TURNS),
            reports: Application::new("reporting job", "slow queries", REPORT_CLIENTS, u32::MAX),
            worker: Application::new("order worker", "bursts every 5 s", WORKER_CLIENTS, 1),
            idle: Application::new("chat", "connected and idle", IDLE_CLIENTS, u32::MAX),
            coupons: coupons::application(),
            started: Instant::now(),
            stop: AtomicBool::new(false),
            sleeping: Mutex::new(()),
            wake: Condvar::new(),
            first_error: Mutex::new(None),
        });
        let mut traffic = Traffic {
            shared,
            threads: Vec::new(),
        };
        for number in 0..WEB_CLIENTS {
            traffic.spawn(shop, |s| &s.web, number, web)?;
        }
        for number in 0..REPORT_CLIENTS {
            traffic.spawn(reports, |s| &s.reports, number, report)?;
        }
        for number in 0..WORKER_CLIENTS {
            traffic.spawn(shop, |s| &s.worker, number, work)?;
        }
        for number in 0..coupons::CLIENTS {
            traffic.spawn(shop, |s| &s.coupons, number, coupons::redeem)?;
        }
        let (shared, target) = (Arc::clone(&traffic.shared), shop.clone());
        traffic.thread(move || sit_idle(&shared, &target))?;
        Ok(traffic)
    }

    /// The applications, in the order in which they are shown.
    pub fn applications(&self) -> [&Application; 5] {
        let s = &*self.shared;
        [&s.web, &s.worker, &s.idle, &s.reports, &s.coupons]
    }

    /// The first error of any application.
    pub fn first_error(&self) -> Option<String> {
        let first = self.shared.first_error.lock();
        first.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all sessions at their next transaction's end.
    pub fn stop(&mut self) {
        {
            let _sleeping = self.shared.sleeping.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in a thread is shown by the standard library.
            thread.join().ok();
        }
    }

    /// A thread for one client: `turn` is one transaction with its pause.
    fn spawn(
        &mut self,
        target: &Target,
        app: fn(&Shared) -> &Application,
        number: u32,
        turn: fn(&Shared, &mut Session) -> Result<(), ClientError>,
    ) -> io::Result<()> {
        let (shared, target) = (Arc::clone(&self.shared), target.clone());
        self.thread(move || {
            let app = app(&shared);
            let mut chance = Chance(u64::from(number) + 1);
            while !shared.stopped() {
                let result = Session::open(&target, app, &mut chance).and_then(|mut session| {
                    let mut left = app.turns;
                    while left > 0 && !shared.stopped() {
                        turn(&shared, &mut session)?;
                        left -= 1;
                    }
                    Ok(())
                });
                if let Err(error) = result {
                    shared.failed(app, &error);
                    shared.rest(AFTER_ERROR);
                }
            }
        })
    }

    fn thread(&mut self, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let builder = std::thread::Builder::new().name("traffic".into());
        self.threads
            .push(builder.stack_size(STACK_BYTES).spawn(body)?);
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One client's connection, with what its habit needs.
struct Session<'a> {
    client: Client,
    app: &'a Application,
    chance: &'a mut Chance,
    prepared: bool,
}

impl<'a> Session<'a> {
    fn open(
        target: &Target,
        app: &'a Application,
        chance: &'a mut Chance,
    ) -> Result<Session<'a>, ClientError> {
        Ok(Session {
            client: Client::connect(target, app.name)?,
            app,
            chance,
            prepared: false,
        })
    }

    fn count(&self) {
        self.app.transactions.fetch_add(1, Ordering::Relaxed);
    }
}

/// Mostly a look at a product, by a prepared statement; sometimes an order.
fn web(shared: &Shared, session: &mut Session) -> Result<(), ClientError> {
    if !session.prepared {
        let sql = "select price from products where id = $1::int";
        session.client.prepare("look", sql)?;
        session.prepared = true;
    }
    let product = session.chance.below(PRODUCTS) + 1;
    if session.chance.below(10) < 7 {
        session.client.execute("look", &product.to_string())?;
    } else {
        session.client.query("begin")?;
        let look = format!("select stock from products where id = {product}");
        session.client.query(&look)?;
        let order = format!("update products set stock = stock + 1 where id = {product}");
        session.client.query(&order)?;
        session.client.query("commit")?;
    }
    session.count();
    shared.rest(Duration::from_millis(10 + session.chance.below(40)));
    Ok(())
}

/// A slow query. It sleeps at the server, so that a small machine can show it.
fn report(shared: &Shared, session: &mut Session) -> Result<(), ClientError> {
    let centiseconds = 20 + session.chance.below(60);
    let sql = format!(
        "select sum(stock * price), pg_sleep({}.{:02}) from products",
        centiseconds / 100,
        centiseconds % 100
    );
    session.client.query(&sql)?;
    session.count();
    shared.rest(Duration::from_millis(100 + session.chance.below(300)));
    Ok(())
}

/// A burst of jobs, at the same moment as all other workers.
fn work(shared: &Shared, session: &mut Session) -> Result<(), ClientError> {
    let into = shared.started.elapsed().as_millis() % BURST_EVERY.as_millis();
    let into = Duration::from_millis(u64::try_from(into).unwrap_or(0));
    shared.rest(BURST_EVERY.saturating_sub(into));
    for _ in 0..BURST_JOBS {
        if shared.stopped() {
            break;
        }
        let product = session.chance.below(PRODUCTS) + 1;
        let sql = format!("select stock, pg_sleep(0.1) from products where id = {product}");
        session.client.query(&sql)?;
        session.count();
    }
    Ok(())
}

/// Many connections, hardly a query. One thread is enough for them.
fn sit_idle(shared: &Shared, target: &Target) {
    let app = &shared.idle;
    let mut sessions = Vec::new();
    let mut turn = 0;
    while !shared.stopped() {
        let result = if sessions.len() < IDLE_CLIENTS as usize {
            Client::connect(target, app.name).map(|client| sessions.push(client))
        } else {
            shared.rest(Duration::from_secs(1));
            turn = (turn + 1) % sessions.len();
            let asked = sessions[turn].query("select 1").map(drop);
            if asked.is_err() {
                drop(sessions.swap_remove(turn));
            } else {
                app.transactions.fetch_add(1, Ordering::Relaxed);
            }
            asked
        };
        if let Err(error) = result {
            shared.failed(app, &error);
            shared.rest(AFTER_ERROR);
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The low bits of small seeds are poor.
        (self.0 >> 16) % limit
    }
}
