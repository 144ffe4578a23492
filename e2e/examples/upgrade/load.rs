//! Applications under load, what they meet, and how it is counted.

use plimsoll_e2e::raw::message::{bind, execute, frame, parse};
use plimsoll_e2e::raw::{Client, Error, Target, rows};
use plimsoll_e2e::sandbox::{until, until_deadline};
use plimsoll_e2e::server::Server;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Slots of the server, of which 3 are for superusers and 5 are headroom.
pub const SLOTS: u64 = 48;
/// What all instances together may open.
pub const LINE: u64 = SLOTS - 3 - 5;
/// Applications; a third of them of each kind, and more than there are slots.
pub const APPLICATIONS: u64 = 60;
/// Between two tries while nobody listens.
const RETRY: Duration = Duration::from_millis(5);
/// Errors that are kept word for word.
const TEXTS_MAX: usize = 20;
const INSERT: &str = "insert into rolled values ($1::int8, $2::int8)";
const LOCK: &str = "nobody panics with it";

/// What was met in one phase.
#[derive(Clone, Default)]
pub struct Figures {
    pub transactions: u64,
    /// Begun, and not ended by its own commit.
    pub cut: u64,
    /// Any other error.
    pub errors: u64,
    pub texts: Vec<String>,
    /// Connections that were closed at rest, with 57P01.
    pub closed_at_rest: u64,
    /// From a request to its answer, with logging in again where that was needed.
    pub micros: Vec<u32>,
    pub connections_most: u64,
    /// Readings of the server's own count, and those above the line.
    pub counts: u64,
    pub over: u64,
    pub seconds: f64,
}

impl Figures {
    /// Of all requests, the duration that so many of a hundred stay below, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        plimsoll_e2e::percentile_ms(&self.micros, percent)
    }
}

/// The database, where applications find poolers, and what they met.
pub struct Load {
    pub server: Server,
    /// The ports that new connections go to, in turn.
    pub endpoints: Mutex<Vec<u16>>,
    /// Nobody listens for a moment, and that is meant.
    pub gap: AtomicBool,
    /// A planted fault: instances are killed where they should end by themselves.
    pub kills: bool,
    stop: AtomicBool,
    figures: Mutex<(Instant, Figures)>,
    committed: AtomicU64,
    /// Ended in the middle: whether they are there is not known.
    unsure: AtomicU64,
}

/// How one try ended.
enum Tried {
    Done,
    /// The connection was closed at rest, or nobody listened: nothing was done.
    Again,
    Failed,
}

impl Load {
    pub fn new(kills: bool) -> Load {
        let server = Server::start_with(&[&format!("max_connections = {SLOTS}")]);
        server.sql("postgres", "create role watcher login");
        server.sql("postgres", "grant pg_read_all_stats to watcher");
        server.sql("app", "create table rolled (who int8, what int8)");
        server.sql("app", "grant all on rolled to app");
        Load {
            server,
            endpoints: Mutex::default(),
            gap: AtomicBool::new(false),
            kills,
            stop: AtomicBool::new(false),
            figures: Mutex::new((Instant::now(), Figures::default())),
            committed: AtomicU64::new(0),
            unsure: AtomicU64::new(0),
        }
    }

    /// Runs all applications and the one that counts, while `story` goes on.
    pub fn during<T>(&self, story: impl FnOnce() -> T) -> T {
        struct StopAtEnd<'a>(&'a Load);
        impl Drop for StopAtEnd<'_> {
            fn drop(&mut self) {
                self.0.stop.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let _stop = StopAtEnd(self);
            scope.spawn(|| self.watch());
            for who in 0..APPLICATIONS {
                scope.spawn(move || self.application(who));
            }
            story()
        })
    }

    /// What was met since the last phase began; the next one begins.
    pub fn phase(&self) -> Figures {
        let mut held = self.figures.lock().expect(LOCK);
        let (begun, mut figures) =
            std::mem::replace(&mut *held, (Instant::now(), Figures::default()));
        figures.seconds = begun.elapsed().as_secs_f64();
        figures
    }

    /// Waits until so many more transactions are done.
    pub fn more(&self, transactions: u64) {
        let goal = self.committed.load(Ordering::Relaxed) + transactions;
        until("the load to go on", || {
            (self.committed.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    /// Rows that were answered as committed, and are not there; and the other way round.
    pub fn rows_astray(&self) -> i64 {
        let rows = self.server.sql("app", "select count(*) from rolled");
        let there: i64 = rows[0][0].parse().expect("a count");
        let committed = self.committed.load(Ordering::Relaxed) as i64;
        let unsure = self.unsure.load(Ordering::Relaxed) as i64;
        match there - committed {
            more if (0..=unsure).contains(&more) => 0,
            more => more,
        }
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// So long, or until the end.
    pub fn pause(&self, span: Duration) {
        until_deadline(span, &mut || (!self.running()).then_some(()));
    }

    fn note(&self, note: impl FnOnce(&mut Figures)) {
        note(&mut self.figures.lock().expect(LOCK).1);
    }

    fn failed(&self, what: String) {
        self.note(|f| {
            f.errors += 1;
            if f.texts.len() < TEXTS_MAX {
                f.texts.push(what);
            }
        });
    }

    fn cut(&self, what: &str, error: &Error) {
        self.unsure.fetch_add(1, Ordering::Relaxed);
        self.note(|f| {
            f.cut += 1;
            if f.texts.len() < TEXTS_MAX {
                f.texts.push(format!("cut: {what}: {error}"));
            }
        });
    }

    /// The server's own count of the poolers' connections, their monitor sessions too.
    fn watch(&self) {
        let target = self.server.unix_target("postgres", "postgres");
        let mut watch = Client::login(&target).expect("login");
        let sql = "select count(*) from pg_stat_activity where usename in ('app', 'watcher')";
        while self.running() {
            let text = watch.value(sql).expect("a count");
            let count: u64 = text.parse().expect("a number");
            self.note(|f| {
                f.connections_most = f.connections_most.max(count);
                f.counts += 1;
                f.over += u64::from(count > LINE);
            });
            self.pause(RETRY);
        }
    }

    /// An application: requests on a connection that it keeps for as long as it is let, as a pool does.
    fn application(&self, who: u64) {
        let (mut turn, mut connection) = (who, None);
        while self.running() {
            turn += 1;
            let begun = Instant::now();
            while self.running() {
                match self.request(who, turn, &mut connection) {
                    Tried::Done => {
                        self.committed.fetch_add(1, Ordering::Relaxed);
                        let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                        self.note(|f| {
                            f.transactions += 1;
                            f.micros.push(took);
                        });
                        break;
                    }
                    Tried::Again => {}
                    Tried::Failed => {
                        connection = None;
                        self.pause(RETRY);
                        break;
                    }
                }
            }
            self.rest(who, &mut connection);
        }
    }

    /// The time between two requests; a pool that looks sees a farewell now.
    fn rest(&self, who: u64, connection: &mut Option<Client>) {
        let Some(client) = connection else { return };
        match client.read_within(Duration::from_millis(2 + who % 17)) {
            Ok(None) => {}
            Ok(Some(said)) if said.fields().code() == "57P01" => {
                *connection = None;
                self.note(|f| f.closed_at_rest += 1);
            }
            other => {
                *connection = None;
                self.failed(format!("at rest: {other:?}"));
            }
        }
    }

    fn connect(&self, who: u64, turn: u64) -> Result<Client, Tried> {
        let port = {
            let endpoints = self.endpoints.lock().expect(LOCK);
            endpoints[turn as usize % endpoints.len()]
        };
        let target =
            Target::tcp("127.0.0.1", port, "app", "app").parameter("application_name", "shop");
        let login = Client::login(&target).and_then(|mut client| {
            if who % 3 == 1 {
                let mut out = parse("ins", INSERT, &[20, 20]);
                out.extend(frame(b'S', &[]));
                client.send(&out)?;
                rows(client.read_to_ready()?)?;
            }
            Ok(client)
        });
        login.map_err(|error| match &error {
            // It is as if it had never been connected: the next try goes elsewhere.
            _ if error.code() == "57P01" => Tried::Again,
            Error::Io(io) if self.gap.load(Ordering::Relaxed) && nobody(io.kind()) => {
                self.pause(RETRY);
                Tried::Again
            }
            _ => {
                self.failed(format!("login: {error}"));
                Tried::Failed
            }
        })
    }

    fn request(&self, who: u64, turn: u64, connection: &mut Option<Client>) -> Tried {
        if connection.is_none() {
            match self.connect(who, turn) {
                Ok(client) => *connection = Some(client),
                Err(tried) => return tried,
            }
        }
        let client = connection.as_mut().expect("there now");
        let first = match who % 3 {
            0 => client.rows(&format!("insert into rolled values ({who}, {turn})")),
            1 => prepared(client, who, turn),
            _ => client.rows("begin"),
        };
        match first {
            Ok(_) => {}
            // Nothing was done: a pool asks its next connection.
            Err(error) if error.code() == "57P01" => {
                *connection = None;
                self.note(|f| f.closed_at_rest += 1);
                return Tried::Again;
            }
            Err(error @ Error::Io(_)) => {
                self.cut("at its first statement", &error);
                return Tried::Failed;
            }
            Err(error) => {
                self.failed(format!("first statement: {error}"));
                return Tried::Failed;
            }
        }
        if who % 3 != 2 {
            return Tried::Done;
        }
        match transaction(client, who, turn) {
            Ok(()) => Tried::Done,
            Err(error) => {
                self.cut("in a transaction", &error);
                Tried::Failed
            }
        }
    }
}

fn nobody(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(
        kind,
        ConnectionRefused | ConnectionReset | UnexpectedEof | BrokenPipe
    )
}

fn prepared(client: &mut Client, who: u64, turn: u64) -> Result<Vec<Vec<String>>, Error> {
    let value = |n: u64| Some(n.to_string().into_bytes());
    let mut out = bind("", "ins", &[], &[value(who), value(turn)], &[]);
    out.extend(execute("", 0));
    out.extend(frame(b'S', &[]));
    client.send(&out)?;
    rows(client.read_to_ready()?)
}

fn transaction(client: &mut Client, who: u64, turn: u64) -> Result<(), Error> {
    client.rows(&format!("insert into rolled values ({who}, {turn})"))?;
    client.rows("select pg_sleep(0.004)")?;
    client.rows("commit")?;
    Ok(())
}
