//! Outages at the press of a button, each with and without the guards.
//!
//! One thread makes them, one at a time. Each ends by itself, and is undone.

mod scenes;

pub use scenes::SURGE;

use super::{PASSWORD, TOKEN, USER};
use crate::client::{Address, Client, ClientError, Target};
use crate::sandbox::Sandbox;
use crate::stage::{Others, Pooler};
use anyhow::Context;
use control::api::{DemoOutage, DemoState, Director};
use practice::show::{self, OUTAGES, Outage, Told};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An outage is undone after this, whoever watches.
pub const LASTS: Duration = Duration::from_secs(30);
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// What the thread is asked for.
enum Order {
    Start(&'static Outage, bool),
    Stop,
    End,
}

/// What everybody may see.
#[derive(Default)]
struct Shown {
    running: Option<(&'static Outage, bool, Instant)>,
    so_far: Vec<(String, String)>,
    last: Option<Told>,
    /// Told to the terminal already.
    said: bool,
}

/// The buttons. Clones share them.
#[derive(Clone)]
pub struct Buttons {
    /// Orders to the thread.
    to: Sender<Order>,
    /// Written by the thread, read by requests and the terminal.
    shown: Arc<Mutex<Shown>>,
}

impl Buttons {
    /// Buttons, and where their presses arrive.
    pub fn new() -> (Buttons, Orders) {
        let (to, orders) = channel();
        let shown = Arc::default();
        (Buttons { to, shown }, Orders(orders))
    }

    /// What has ended since the last call, for the terminal.
    pub fn news(&self) -> Option<Told> {
        let mut shown = self.shown();
        if shown.said {
            return None;
        }
        shown.said = true;
        shown.last.clone()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Director for Buttons {
    fn state(&self) -> DemoState {
        let shown = self.shown();
        let offered = |o: &Outage| DemoOutage {
            number: o.number.to_owned(),
            title: o.title.to_owned(),
            done: o.done.to_owned(),
            unguarded: o.unguarded.to_owned(),
        };
        let told = match (&shown.running, &shown.last) {
            (Some(_), _) | (None, None) => shown.so_far.clone(),
            (None, Some(told)) => in_lines(told),
        };
        DemoState {
            outages: OUTAGES.iter().map(offered).collect(),
            running: shown
                .running
                .map_or(String::new(), |(o, _, _)| o.number.to_owned()),
            guarded: shown.running.is_some_and(|(_, guarded, _)| guarded),
            left_s: shown.running.map_or(0, |(_, _, until)| {
                until.saturating_duration_since(Instant::now()).as_secs()
            }),
            told,
            token: TOKEN.to_owned(),
        }
    }

    fn start(&self, number: &str, guarded: bool) -> Result<(), String> {
        let outage = show::of_number(number).ok_or(format!("there is no outage {number}"))?;
        let mut shown = self.shown();
        if let Some((running, _, _)) = shown.running {
            return Err(format!("outage {} runs; one at a time", running.number));
        }
        shown.running = Some((outage, guarded, Instant::now() + LASTS));
        shown.so_far.clear();
        // The thread lives as long as the demonstration; without it nothing runs.
        self.to.send(Order::Start(outage, guarded)).ok();
        Ok(())
    }

    fn stop(&self) {
        self.to.send(Order::Stop).ok();
    }
}

fn in_lines(told: &Told) -> Vec<(String, String)> {
    let guards = if told.guarded {
        "acted"
    } else {
        "only watched"
    };
    [
        (
            "Outage",
            &format!("{}: {}; the guards {guards}", told.number, told.title),
        ),
        ("What was done", &told.done),
        ("What clients felt", &told.felt),
        ("What Plimsoll did", &told.plimsoll),
        ("How it ended", &told.ended),
        ("How to undo it", &told.undo),
    ]
    .map(|(what, text)| (what.to_owned(), text.clone()))
    .to_vec()
}

/// Where presses arrive.
pub struct Orders(Receiver<Order>);

/// The thread that makes outages.
pub struct Hand {
    to: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Hand {
    /// Starts it.
    pub fn start(
        buttons: &Buttons,
        orders: Orders,
        pooler: Arc<Pooler>,
        server: Server,
    ) -> anyhow::Result<Hand> {
        let mut making = Making {
            buttons: buttons.clone(),
            orders: orders.0,
            pooler,
            server,
            ended: false,
        };
        let to = buttons.to.clone();
        let thread = std::thread::Builder::new()
            .name("outages".into())
            .spawn(move || making.run())
            .context("cannot start a thread")?;
        Ok(Hand { to, thread })
    }

    /// Ends it; what runs is undone first.
    pub fn end(self) {
        self.to.send(Order::End).ok();
        self.thread.join().ok();
    }
}

/// The server, as outages reach it past the pooler.
pub struct Server {
    /// Its port.
    port: u16,
    /// Sessions of a superuser.
    others: Others,
}

impl Server {
    /// That of a sandbox.
    pub fn of(sandbox: &Sandbox) -> Server {
        Server {
            port: sandbox.port(),
            others: Others::new(sandbox),
        }
    }
}

/// The thread's own state.
struct Making {
    buttons: Buttons,
    orders: Receiver<Order>,
    pooler: Arc<Pooler>,
    server: Server,
    ended: bool,
}

/// How a rest ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rested {
    /// Its time was over.
    Whole,
    /// Somebody wants an end.
    Stopped,
}

impl Making {
    fn run(&mut self) {
        while !self.ended {
            match self.orders.recv() {
                Ok(Order::Start(outage, guarded)) => {
                    let told = self.play(outage, guarded);
                    let mut shown = self.buttons.shown();
                    shown.running = None;
                    shown.last = Some(told);
                    shown.said = false;
                }
                Ok(Order::Stop) => {}
                Ok(Order::End) | Err(_) => return,
            }
        }
    }

    /// Lets time pass, unless somebody stops it.
    fn rest(&mut self, span: Duration) -> Rested {
        match self.orders.recv_timeout(span) {
            Err(RecvTimeoutError::Timeout) => Rested::Whole,
            // It was refused already: one at a time.
            Ok(Order::Start(..)) => Rested::Whole,
            Ok(Order::Stop) => Rested::Stopped,
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Rested::Stopped
            }
        }
    }

    /// What is shown while it runs.
    fn say(&self, what: &str, text: &str) {
        let mut shown = self.buttons.shown();
        match shown.so_far.iter_mut().find(|(w, _)| w == what) {
            Some((_, old)) => text.clone_into(old),
            None => shown.so_far.push((what.to_owned(), text.to_owned())),
        }
    }

    /// A client's place at the pooler.
    fn at_the_pooler(&self, database: &'static str) -> Target {
        Target {
            address: Address::Tcp(self.pooler.address),
            user: USER,
            password: PASSWORD,
            database,
        }
    }

    /// The one switch, by the console.
    fn guards(&self, sql: &str) -> Result<(), ClientError> {
        let mut console = Client::connect(&self.at_the_pooler("pgbouncer"), "plimsoll demo")?;
        console.query(sql).map(drop)
    }
}
