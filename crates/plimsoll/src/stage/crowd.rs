//! Applications: threads of clients that think, work, log in again, or forget to commit.

mod client;
mod meter;

use super::ROWS;
use meter::Meter;
use practice::drill::Felt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread here needs little more than its read buffer.
const STACK_BYTES: usize = 256 << 10;

/// One unit of work. In statements `{r}` is a row of thousands, `{c}` one of ten.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// One statement.
    Query(&'static str),
    /// A transaction of two, with the application's own pause before the second, milliseconds.
    Pair(&'static str, u64, &'static str),
    /// A transaction that is never ended.
    Forget(&'static str),
}

/// What a release of an application does, with weights.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// Its work, with weights.
    pub work: &'static [(u32, Work)],
    /// It logs in for every unit of work.
    pub logs_in: bool,
    /// So many clients come with it; 0: as many as there are.
    pub clients: usize,
}

/// Where a crowd logs in, and as whom.
pub type Login = crate::client::Target;

/// An application.
pub struct App {
    /// Its name; the release is added.
    pub name: &'static str,
    /// Its releases, the oldest first; the first is the one that runs.
    pub releases: &'static [Release],
    /// Most clients that it ever has.
    pub threads: usize,
    /// It makes the trouble: what it feels does not count.
    pub culprit: bool,
    dial: Dial,
}

/// How it behaves now. Written by faults and deeds, read by its clients before each unit of work.
struct Dial {
    clients: AtomicUsize,
    think_us: AtomicU64,
    release: AtomicUsize,
    /// A change makes all its clients log in again.
    epoch: AtomicU64,
    blocked: AtomicBool,
}

impl App {
    /// So many clients, with a mean pause between two units of work.
    pub fn new(
        name: &'static str,
        releases: &'static [Release],
        clients: usize,
        think_ms: u64,
    ) -> App {
        App {
            name,
            releases,
            threads: clients,
            culprit: false,
            dial: Dial {
                clients: AtomicUsize::new(clients),
                think_us: AtomicU64::new(think_ms * 1_000),
                release: AtomicUsize::new(0),
                epoch: AtomicU64::new(0),
                blocked: AtomicBool::new(false),
            },
        }
    }

    /// It may become so many clients.
    #[must_use]
    pub fn up_to(mut self, clients: usize) -> App {
        self.threads = clients;
        self
    }

    /// It will make the trouble.
    #[must_use]
    pub fn culprit(mut self) -> App {
        self.culprit = true;
        self
    }

    /// So many clients work from now on.
    pub fn clients(&self, count: usize) {
        self.dial.clients.store(count.min(self.threads), Relaxed);
    }

    /// The mean pause from now on.
    pub fn think_ms(&self, ms: u64) {
        self.dial.think_us.store(ms * 1_000, Relaxed);
    }

    /// All its processes end and start again.
    pub fn restart(&self) {
        self.dial.epoch.fetch_add(1, Relaxed);
    }

    /// The release that runs.
    pub fn release(&self) -> &'static Release {
        let at = self.dial.release.load(Relaxed).min(self.releases.len() - 1);
        &self.releases[at]
    }

    /// Deploys the release after the one that runs; where there is none, that one again.
    pub fn deploy_next(&self) -> &'static Release {
        let last = self.releases.len() - 1;
        let next = (self.dial.release.load(Relaxed) + 1).min(last);
        self.now_runs(next)
    }

    /// Deploys the release before; `None`: there is none.
    pub fn roll_back(&self) -> Option<&'static Release> {
        let before = self.dial.release.load(Relaxed).checked_sub(1)?;
        Some(self.now_runs(before))
    }

    fn now_runs(&self, at: usize) -> &'static Release {
        self.dial.release.store(at, Relaxed);
        let release = self.release();
        if release.clients > 0 {
            self.clients(release.clients);
        }
        self.restart();
        release
    }

    /// It is kept out, or let in again.
    pub fn block(&self, blocked: bool) {
        self.dial.blocked.store(blocked, Relaxed);
        self.restart();
    }

    fn name_now(&self) -> String {
        format!("{}/{}", self.name, self.release().version)
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    apps: Vec<App>,
    meter: Meter,
    stop: AtomicBool,
    /// Guards nothing but the sleep of those who wait for `stop`.
    sleeping: Mutex<()>,
    wake: Condvar,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Sleeps, or less when all end.
    fn rest(&self, span: Duration) {
        let guard = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self
            .wake
            .wait_timeout_while(guard, span, |()| !self.stopped());
    }
}

/// All applications at work.
#[derive(Default)]
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Starts them all.
    pub fn start(apps: Vec<App>, login: &Login) -> std::io::Result<Crowd> {
        let slots: usize = apps.iter().map(|app| app.threads).sum();
        let shared = Arc::new(Shared {
            apps,
            meter: Meter::new(slots),
            ..Shared::default()
        });
        let mut crowd = Crowd {
            shared: Arc::clone(&shared),
            threads: Vec::with_capacity(slots),
        };
        let mut slot = 0;
        for at in 0..shared.apps.len() {
            for number in 0..shared.apps[at].threads {
                let shared = Arc::clone(&shared);
                let place = client::Place { at, number, slot };
                let builder = std::thread::Builder::new().name("traffic".into());
                let login = login.clone();
                let body = move || client::run(&shared, &place, &login);
                crowd
                    .threads
                    .push(builder.stack_size(STACK_BYTES).spawn(body)?);
                slot += 1;
            }
        }
        Ok(crowd)
    }

    /// The applications.
    pub fn apps(&self) -> &[App] {
        &self.shared.apps
    }

    /// The application of this name.
    pub fn app(&self, name: &str) -> Option<&App> {
        let bare = name.split('/').next().unwrap_or(name);
        self.apps().iter().find(|app| app.name == bare)
    }

    /// What clients felt in the last seconds; those of culprits do not count.
    pub fn felt(&self, span: Duration) -> Felt {
        self.shared
            .meter
            .felt(span, |at| !self.shared.apps[at].culprit)
    }

    /// What each application would complain of, in a sentence.
    pub fn complaints(&self, span: Duration) -> Vec<String> {
        let apps = self.apps().iter().enumerate();
        let told = apps.map(|(at, app)| {
            let felt = self.shared.meter.felt(span, |of| of == at);
            let error = self.shared.meter.last_error(at, span);
            let error = error.map_or(String::new(), |e| format!("; last error: {e}"));
            format!(
                "{:<18} {:>4.0}/s, {:.0} % fail, 95 of 100 within {:.0} ms, the longest {:.0} ms{error}",
                app.name_now(),
                felt.per_s,
                felt.failed_percent,
                felt.p95_ms,
                felt.longest_ms
            )
        });
        told.collect()
    }

    /// Tells all to end.
    pub fn let_go(&self) {
        {
            let _sleeping = self.shared.sleeping.lock();
            self.shared.stop.store(true, Relaxed);
        }
        self.shared.wake.notify_all();
    }

    /// Waits for all.
    pub fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A panic in a thread is shown by the standard library.
            thread.join().ok();
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
        (self.0 >> 16) % limit.max(1)
    }

    /// One of these, by their weights.
    fn pick(&mut self, work: &[(u32, Work)]) -> Work {
        let all: u64 = work.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut left = self.below(all);
        for (weight, work) in work {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *work,
            }
        }
        Work::Query("select 1")
    }

    fn fill(&mut self, sql: &str) -> String {
        let row = (self.below(ROWS) + 1).to_string();
        let counter = (self.below(10) + 1).to_string();
        sql.replace("{r}", &row).replace("{c}", &counter)
    }
}
