//! Clients of four kinds that never look away: each error is a failed query.

use plimsoll_e2e::raw::message::{bind, empty, execute, parse};
use plimsoll_e2e::raw::{Client, Error, Target, rows};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A quarter of each kind.
pub const CLIENTS: u64 = 64;
/// Errors that are kept word for word.
const TEXTS_MAX: usize = 20;
const INSERT: &str = "insert into seen values ($1::int8, $2::int8)";
const LOCK: &str = "nobody panics with it";

/// What was met since the last look.
#[derive(Default)]
pub struct Figures {
    pub failed: u64,
    pub texts: Vec<String>,
    /// From the wish to the answer, with connecting where a new connection was due.
    pub micros: Vec<u32>,
}

impl Figures {
    /// The duration that so many of a hundred requests stay below, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        plimsoll_e2e::percentile_ms(&self.micros, percent)
    }

    /// Adds those of another round.
    pub fn add(&mut self, other: Figures) {
        self.failed += other.failed;
        self.texts.extend(other.texts);
        self.texts.truncate(TEXTS_MAX);
        self.micros.extend(other.micros);
    }
}

/// The clients, and what they met.
pub struct Load {
    server: &'static Server,
    target: Target,
    stop: AtomicBool,
    figures: Mutex<Figures>,
    done: AtomicU64,
    /// Rows that were answered as committed.
    written: AtomicU64,
}

impl Load {
    pub fn new(server: &'static Server, target: Target) -> Load {
        let load = Load {
            server,
            target,
            stop: AtomicBool::new(false),
            figures: Mutex::default(),
            done: AtomicU64::new(0),
            written: AtomicU64::new(0),
        };
        load.sql("create table seen (who int8, what int8); grant all on seen to app");
        load
    }

    fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        let database = self.target.value("database");
        self.server.sql(database, sql)
    }

    /// Runs all clients while `story` goes on.
    pub fn during(&self, story: impl FnOnce()) {
        struct StopAtEnd<'a>(&'a Load);
        impl Drop for StopAtEnd<'_> {
            fn drop(&mut self) {
                self.0.stop.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let _stop = StopAtEnd(self);
            for who in 0..CLIENTS {
                scope.spawn(move || self.client(who));
            }
            story();
        });
    }

    /// What was met since this was called last.
    pub fn phase(&self) -> Figures {
        std::mem::take(&mut *self.figures.lock().expect(LOCK))
    }

    /// Waits until so many more requests are answered.
    pub fn more(&self, requests: u64) {
        let goal = self.done.load(Ordering::Relaxed) + requests;
        until("the load to go on", || {
            (self.done.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    /// Rows that were answered as committed and are not there. The load goes on: what
    /// was written and not yet answered is no fault.
    pub fn rows_astray(&self) -> u64 {
        let answered = self.written.load(Ordering::SeqCst);
        let there = &self.sql("select count(*) from seen")[0][0];
        answered.saturating_sub(there.parse().expect("a count"))
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self, who: u64, error: &Error) {
        let mut figures = self.figures.lock().expect(LOCK);
        figures.failed += 1;
        if figures.texts.len() < TEXTS_MAX {
            figures.texts.push(format!("client {who}: {error}"));
        }
    }

    /// Connections end by themselves between two requests, as a pool's do at their
    /// longest life: after 20 to 51 requests.
    fn client(&self, who: u64) {
        let mut turn = 0;
        while self.running() {
            let begun = Instant::now();
            let mut client = match self.login(who) {
                Ok(client) => client,
                Err(error) => {
                    self.failed(who, &error);
                    continue;
                }
            };
            let mut since = begun;
            for _ in 0..20 + who % 32 {
                turn += 1;
                let met = self.request(&mut client, who, turn);
                if let Err(error) = met {
                    self.failed(who, &error);
                    break;
                }
                let took = u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.figures.lock().expect(LOCK).micros.push(took);
                self.done.fetch_add(1, Ordering::Relaxed);
                if !self.running() {
                    break;
                }
                // Whoever says something unasked, or closes, spoils the next request.
                match client.read_within(Duration::from_millis(2 + who % 17)) {
                    Ok(None) => {}
                    Ok(Some(said)) => {
                        let told = format!("unasked: {:?}", said.fields().message());
                        self.failed(who, &Error::Unexpected(told));
                        break;
                    }
                    Err(error) => {
                        self.failed(who, &error);
                        break;
                    }
                }
                since = Instant::now();
            }
            client.terminate();
        }
    }

    fn login(&self, who: u64) -> Result<Client, Error> {
        let mut client = Client::login(&self.target)?;
        if who % 4 == 2 {
            let mut out = parse("ins", INSERT, &[20, 20]);
            out.extend(empty(b'S'));
            client.send(&out)?;
            rows(client.read_to_ready()?)?;
        }
        Ok(client)
    }

    fn request(&self, client: &mut Client, who: u64, turn: u64) -> Result<(), Error> {
        let values = [who, turn].map(|n| Some(n.to_string().into_bytes()));
        let insert = format!("insert into seen values ({who}, {turn})");
        match who % 4 {
            0 => drop(client.rows(&insert)?),
            1 => {
                let mut out = parse("", "select $1::int8 + $2::int8", &[20, 20]);
                out.extend(bind("", "", &[], &values, &[]));
                out.extend(execute("", 0));
                out.extend(empty(b'S'));
                client.send(&out)?;
                let got = rows(client.read_to_ready()?)?;
                if got != [[(who + turn).to_string()]] {
                    return Err(Error::Unexpected(format!("{got:?}")));
                }
                return Ok(());
            }
            2 => {
                let mut out = bind("", "ins", &[], &values, &[]);
                out.extend(execute("", 0));
                out.extend(empty(b'S'));
                client.send(&out)?;
                rows(client.read_to_ready()?)?;
            }
            _ => {
                client.rows("begin")?;
                client.rows(&insert)?;
                client.rows("select pg_sleep(0.004)")?;
                client.rows("commit")?;
            }
        }
        self.written.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
