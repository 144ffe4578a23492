//! Applications: clients that think, work, log in again, forget to commit, or share a pool of their own.

use crate::rng::Rng;
use plimsoll_e2e::raw::{Client, Error, Target};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time that a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause after a failed login.
const LOGIN_AGAIN: Duration = Duration::from_millis(250);

/// What a client says that forgot its transaction: no failure that anybody sees.
const FORGOTTEN: &str = "forgotten";

/// One unit of work. In statements `{r}` is a row of thousands, `{c}` one of ten.
#[derive(Clone, Debug)]
pub enum Work {
    /// One statement.
    Query(String),
    /// A transaction, with a pause of the application before its last statement.
    Transaction(Vec<String>, u64),
    /// A transaction that is never ended.
    Forget(String),
}

impl Work {
    /// One statement.
    pub fn query(text: &str) -> Work {
        Work::Query(text.to_owned())
    }

    /// A transaction with this pause, milliseconds.
    pub fn transaction(statements: &[&str], pause_ms: u64) -> Work {
        Work::Transaction(
            statements.iter().map(|s| (*s).to_owned()).collect(),
            pause_ms,
        )
    }
}

/// How an application behaves; read before each unit of work.
#[derive(Debug)]
pub struct Dial {
    /// Clients that work; the others are away, without a connection.
    pub clients: AtomicUsize,
    /// Mean pause between two units of work, microseconds.
    pub think_us: AtomicU64,
    /// A client logs in again after so many units; 0: never.
    pub login_each: AtomicU64,
    /// They then leave before they think, not after.
    pub leave_at_once: AtomicBool,
    /// What they do, with weights.
    pub work: RwLock<Vec<(u32, Work)>>,
    /// The release in their name; a change makes them log in again.
    pub release: RwLock<String>,
    /// The password that they use from now on.
    pub password: RwLock<String>,
    /// Connections of the application's own pool that are lost to a leak there.
    pub lost: AtomicUsize,
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name; the release is added.
    pub name: String,
    /// Its user.
    pub user: String,
    /// Where its clients are.
    pub from: Option<Ipv4Addr>,
    /// Most clients that it will ever have.
    pub threads: usize,
    /// The size of its own pool: the clients share so many connections.
    pub own_pool: Option<usize>,
    /// How it behaves.
    pub dial: Arc<Dial>,
    /// Its troubles are the cause: they say nothing of others' hurt.
    pub culprit: bool,
}

impl App {
    /// So many clients that do this, with a mean pause.
    pub fn new(name: &str, clients: usize, think_ms: f64, work: Vec<(u32, Work)>) -> App {
        App {
            name: name.to_owned(),
            user: "app".to_owned(),
            from: None,
            threads: clients,
            own_pool: None,
            culprit: false,
            dial: Arc::new(Dial {
                clients: AtomicUsize::new(clients),
                think_us: AtomicU64::new((think_ms * 1e3) as u64),
                login_each: AtomicU64::new(0),
                leave_at_once: AtomicBool::new(false),
                work: RwLock::new(work),
                release: RwLock::new("1.0.0".to_owned()),
                password: RwLock::new(crate::cluster::PASSWORD.to_owned()),
                lost: AtomicUsize::new(0),
            }),
        }
    }

    /// So many work now; threads for the rest are kept ready.
    pub fn up_to(mut self, threads: usize) -> App {
        self.threads = self.threads.max(threads);
        self
    }

    /// Sets how many clients work.
    pub fn clients(&self, n: usize) {
        self.dial.clients.store(n.min(self.threads), Relaxed);
    }

    /// Sets the mean pause.
    pub fn think(&self, ms: f64) {
        self.dial.think_us.store((ms * 1e3) as u64, Relaxed);
    }

    /// The mean pause, milliseconds.
    pub fn thinks(&self) -> f64 {
        self.dial.think_us.load(Relaxed) as f64 / 1e3
    }

    /// Sets what they do.
    pub fn work(&self, work: Vec<(u32, Work)>) {
        *self
            .dial
            .work
            .write()
            .unwrap_or_else(PoisonError::into_inner) = work;
    }

    /// Adds to what they do.
    pub fn also(&self, weight: u32, work: Work) {
        self.dial
            .work
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push((weight, work));
    }

    /// A new release: every client logs in again.
    pub fn deploy(&self, release: &str) {
        release.clone_into(
            &mut self
                .dial
                .release
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// One unit of work, as its client saw it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// When it ended, milliseconds since the crowd began.
    pub at_ms: u32,
    /// How long it took, waits and logins included; pauses of the application not.
    pub us: u32,
    /// It failed.
    pub failed: bool,
    /// Its application is the one that harms.
    pub culprit: bool,
}

/// What all clients saw.
#[derive(Debug)]
pub struct Meter {
    began: Instant,
    points: Mutex<Vec<Point>>,
    /// Failures by their SQLSTATE or kind.
    pub failures: Mutex<std::collections::BTreeMap<String, u64>>,
    /// Starts of units that have not ended, by client.
    pending: Mutex<Vec<Option<(Instant, bool)>>>,
}

impl Meter {
    fn new(clients: usize) -> Meter {
        Meter {
            began: Instant::now(),
            points: Mutex::default(),
            failures: Mutex::default(),
            pending: Mutex::new(vec![None; clients]),
        }
    }

    /// Milliseconds since it began.
    pub fn now_ms(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    fn begin(&self, client: usize, culprit: bool) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)[client] =
            Some((Instant::now(), culprit));
    }

    fn end(&self, client: usize, spent: Duration, failure: Option<String>, culprit: bool) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)[client] = None;
        let point = Point {
            at_ms: self.now_ms(),
            us: spent.as_micros().min(u128::from(u32::MAX)) as u32,
            failed: failure.is_some(),
            culprit,
        };
        self.points
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(point);
        if let Some(kind) = failure {
            *self
                .failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(kind)
                .or_default() += 1;
        }
    }

    /// Those that ended within the last so many milliseconds, and those that have taken longer than 200 ms by now.
    pub fn recent(&self, ms: u32) -> Vec<Point> {
        let now = self.now_ms();
        let from = now.saturating_sub(ms);
        let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Point> = points
            .iter()
            .rev()
            .take_while(|p| p.at_ms >= from)
            .copied()
            .collect();
        drop(points);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = pending
            .iter()
            .flatten()
            .filter(|(began, _)| began.elapsed() > Duration::from_millis(200));
        found.extend(stuck.map(|(began, culprit)| Point {
            at_ms: now,
            us: began.elapsed().as_micros() as u32,
            failed: false,
            culprit: *culprit,
        }));
        found
    }
}

/// Applications at work. Dropping ends them.
#[derive(Debug)]
pub struct Crowd {
    /// What they see.
    pub meter: Arc<Meter>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Sends them to work at this address.
    pub fn start(apps: &[App], target: &Target, rng: &mut Rng) -> Crowd {
        let clients = apps.iter().map(|app| app.threads).sum();
        let meter = Arc::new(Meter::new(clients));
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for app in apps {
            let shared = Arc::new(OwnPool::default());
            for number in 0..app.threads {
                let client = OneClient {
                    id: threads.len(),
                    number,
                    app: app.clone(),
                    target: target.clone(),
                    meter: meter.clone(),
                    over: over.clone(),
                    rng: rng.fork(),
                    own: app.own_pool.map(|_| shared.clone()),
                };
                let thread = std::thread::Builder::new().stack_size(256 << 10);
                threads.push(thread.spawn(move || client.run()).expect("a thread"));
            }
        }
        Crowd {
            meter,
            over,
            threads,
        }
    }

    /// Ends them.
    pub fn end(&mut self) {
        self.over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end();
    }
}

/// The connections of an application's own pool.
#[derive(Default)]
struct OwnPool {
    /// Idle ones, and how many there are in all.
    state: Mutex<(Vec<Session>, usize)>,
    back: Condvar,
}

struct Session {
    client: Client,
    release: String,
    done: u64,
}

struct OneClient {
    id: usize,
    number: usize,
    app: App,
    target: Target,
    meter: Arc<Meter>,
    over: Arc<AtomicBool>,
    rng: Rng,
    own: Option<Arc<OwnPool>>,
}

impl OneClient {
    fn run(mut self) {
        let mut session: Option<Session> = None;
        let stagger = self.rng.share() * 100.0;
        self.pause(stagger);
        while !self.over.load(Relaxed) {
            if self.number >= self.app.dial.clients.load(Relaxed) {
                session = None;
                self.pause(20.0);
                continue;
            }
            if let Some(pool) = self.own.clone() {
                self.through_own_pool(&pool);
            } else {
                self.turn(&mut session);
            }
            let think = self.app.dial.think_us.load(Relaxed) as f64 / 1e3;
            let pause = self.rng.exponential(think).min(think * 6.0);
            self.pause(pause);
        }
        self.meter
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)[self.id] = None;
    }

    /// Sleeps, in pieces, so that the end is noticed.
    fn pause(&self, ms: f64) {
        let until = Instant::now() + Duration::from_secs_f64(ms.max(0.0) / 1e3);
        while !self.over.load(Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// One unit of work on a connection of its own.
    fn turn(&mut self, session: &mut Option<Session>) {
        let began = Instant::now();
        self.meter.begin(self.id, self.app.culprit);
        let mut paused = Duration::ZERO;
        let outcome = self.log_in(session).and_then(|()| match session {
            Some(session) => self.unit(session, &mut paused),
            None => Ok(()),
        });
        self.told(began.elapsed().saturating_sub(paused), &outcome);
        let dial = &self.app.dial;
        if dial.leave_at_once.load(Relaxed) && dial.login_each.load(Relaxed) > 0 {
            if let Some(old) = session.take() {
                old.client.terminate();
            }
        }
        if let Err(error) = outcome {
            if !matches!(error, Error::Server(_)) || ["25P02", "57P01"].contains(&error.code()) {
                *session = None;
            }
            self.pause(if session.is_none() {
                LOGIN_AGAIN.as_secs_f64() * 1e3
            } else {
                0.0
            });
        }
    }

    fn told(&self, spent: Duration, outcome: &Result<(), Error>) {
        if matches!(outcome, Err(Error::Unexpected(what)) if what == FORGOTTEN) {
            return;
        }
        let failure = outcome.as_ref().err().map(|error| match error {
            Error::Server(_) => error.code().to_owned(),
            Error::Io(e) => format!("{:?}", e.kind()),
            Error::Unexpected(_) => "unexpected".to_owned(),
        });
        if !self.over.load(Relaxed) {
            self.meter.end(self.id, spent, failure, self.app.culprit);
        }
    }

    fn log_in(&mut self, session: &mut Option<Session>) -> Result<(), Error> {
        let dial = &self.app.dial;
        let release = dial
            .release
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let each = dial.login_each.load(Relaxed);
        if session
            .as_ref()
            .is_some_and(|s| s.release != release || (each > 0 && s.done >= each))
        {
            if let Some(old) = session.take() {
                old.client.terminate();
            }
        }
        if session.is_some() {
            return Ok(());
        }
        let password = dial
            .password
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut target = self.target.clone().password(&password).patience(PATIENCE);
        target.parameters = vec![
            ("user".to_owned(), self.app.user.clone()),
            ("database".to_owned(), "shop".to_owned()),
            (
                "application_name".to_owned(),
                format!("{}/{release}", self.app.name),
            ),
        ];
        target.from = self.app.from;
        let client = Client::login(&target)?;
        *session = Some(Session {
            client,
            release,
            done: 0,
        });
        Ok(())
    }

    fn unit(&mut self, session: &mut Session, paused: &mut Duration) -> Result<(), Error> {
        session.done += 1;
        let work = self.choose();
        match work {
            Work::Query(text) => self.say(session, &text),
            Work::Transaction(statements, pause_ms) => {
                self.say(session, "begin")?;
                let last = statements.len().saturating_sub(1);
                for (i, text) in statements.iter().enumerate() {
                    if i == last && pause_ms > 0 {
                        let length = self
                            .rng
                            .exponential(pause_ms as f64)
                            .min(pause_ms as f64 * 4.0);
                        let began = Instant::now();
                        self.pause(length);
                        *paused += began.elapsed();
                    }
                    if let Err(error) = self.say(session, text) {
                        let _ = session.client.query("rollback");
                        return Err(error);
                    }
                }
                self.say(session, "commit")
            }
            Work::Forget(text) => {
                self.say(session, "begin")?;
                self.say(session, &text)?;
                self.meter
                    .pending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)[self.id] = None;
                let began = Instant::now();
                while !self.over.load(Relaxed) && self.number < self.app.dial.clients.load(Relaxed)
                {
                    self.pause(100.0);
                }
                *paused += began.elapsed();
                Err(Error::Unexpected(FORGOTTEN.into()))
            }
        }
    }

    fn choose(&mut self) -> Work {
        let work = self
            .app
            .dial
            .work
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let sum: u32 = work.iter().map(|(weight, _)| weight).sum();
        let mut at = (self.rng.next() % u64::from(sum.max(1))) as u32;
        for (weight, work) in work.iter() {
            if at < *weight {
                return work.clone();
            }
            at -= weight;
        }
        Work::query("select 1")
    }

    fn say(&mut self, session: &mut Session, text: &str) -> Result<(), Error> {
        let text = text
            .replace("{r}", &(self.rng.next() % 20_000 + 1).to_string())
            .replace("{c}", &(self.rng.next() % 10 + 1).to_string());
        session.client.rows(&text).map(|_| ())
    }

    /// One unit of work on a connection of the application's own pool, with the wait for it.
    fn through_own_pool(&mut self, pool: &OwnPool) {
        let began = Instant::now();
        self.meter.begin(self.id, self.app.culprit);
        let Some(mut session) = self.borrow(pool) else {
            return;
        };
        let mut paused = Duration::ZERO;
        let outcome = self.log_in(&mut session).and_then(|()| match &mut session {
            Some(session) => self.unit(session, &mut paused),
            None => Ok(()),
        });
        let broken = outcome
            .as_ref()
            .is_err_and(|e| !matches!(e, Error::Server(_)));
        self.told(began.elapsed().saturating_sub(paused), &outcome);
        if outcome.is_ok() && self.loses_it() {
            // A code path that forgets to give it back: the connection stays open, and silent.
            while !self.over.load(Relaxed) {
                self.pause(100.0);
            }
            return;
        }
        if outcome.is_err() {
            self.pause(50.0);
        }
        let mut state = pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        match session {
            Some(session) if !broken => state.0.push(session),
            _ => state.1 -= 1,
        }
        pool.back.notify_one();
    }

    /// Whether this is one of the times that the leak strikes.
    fn loses_it(&self) -> bool {
        let one_less = |n: usize| n.checked_sub(1);
        self.app
            .dial
            .lost
            .fetch_update(Relaxed, Relaxed, one_less)
            .is_ok()
    }

    /// An idle connection, or the right to make one (`Some(None)`); `None`: it is over.
    fn borrow(&self, pool: &OwnPool) -> Option<Option<Session>> {
        let size = self.app.own_pool.unwrap_or(1);
        let mut state = pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.over.load(Relaxed) {
            if let Some(session) = state.0.pop() {
                return Some(Some(session));
            }
            if state.1 < size {
                state.1 += 1;
                return Some(None);
            }
            let step = Duration::from_millis(100);
            state = pool
                .back
                .wait_timeout(state, step)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        None
    }
}
