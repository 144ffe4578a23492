//! Watches the server itself while poolers work: its connections, and whether others still get in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::settings::{MONITOR, ORDINARY};
use crate::{DATABASE, Failure, USER};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);
/// Between two logins past the pooler, of each kind.
const LOGIN_PERIOD: Duration = Duration::from_millis(500);
/// Sessions that the other application keeps.
const KEPT: usize = 3;

/// One look at the server.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When.
    pub at: Instant,
    /// Connections that serve the poolers' clients.
    pub served: u32,
    /// Monitor sessions.
    pub monitors: u32,
    /// All others, with the watcher's own.
    pub others: u32,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Each look, in order.
    pub looks: Vec<Look>,
    /// Logins past the pooler, as an ordinary user, and how many failed.
    pub ordinary: (u32, u32),
    /// The same as administrator.
    pub administrator: (u32, u32),
}

impl Seen {
    /// Most connections of poolers at one moment, their monitor sessions with them.
    pub fn most(&self) -> u32 {
        let each = self.looks.iter().map(|l| l.served + l.monitors);
        each.max().unwrap_or(0)
    }

    /// Fewest slots that were free at one moment, of so many that are for everybody.
    pub fn least_free(&self, slots: u32) -> u32 {
        let each = self.looks.iter();
        let each = each.map(|l| slots.saturating_sub(l.served + l.monitors + l.others));
        each.min().unwrap_or(0)
    }
}

/// Somebody who looks.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen, String>>,
}

impl Watch {
    /// Begins to look at the server at `address`; with `visitors` another application and an administrator log in past
    /// the pooler all the while.
    pub fn start(address: SocketAddr, visitors: bool) -> Result<Watch, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut own =
            Client::login(address, USER, DATABASE, "watch").map_err(|t| format!("{t:?}"))?;
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut kept = VecDeque::new();
            let mut next_login = Instant::now();
            while !flag.load(Ordering::Relaxed) {
                seen.looks.push(look(&mut own)?);
                if visitors && Instant::now() >= next_login {
                    next_login = Instant::now() + LOGIN_PERIOD;
                    visit(address, &mut seen, &mut kept);
                }
                std::thread::sleep(PERIOD);
            }
            Ok(seen)
        });
        Ok(Watch { stop, thread })
    }

    /// What was seen.
    pub fn stop(self) -> Result<Seen, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().map_err(|_| "the watcher panicked")?;
        Ok(seen?)
    }
}

fn look(own: &mut Client) -> Result<Look, String> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE usename NOT IN ('{MONITOR}', '{USER}', '{ORDINARY}')) || ' ' || \
         count(*) FILTER (WHERE usename = '{MONITOR}') || ' ' || \
         count(*) FILTER (WHERE usename IN ('{USER}', '{ORDINARY}')) \
         FROM pg_stat_activity WHERE backend_type = 'client backend'"
    );
    let answer = own
        .query(&sql)
        .map_err(|t| format!("the watcher's question: {t:?}"))?;
    let mut counts = answer.split(' ').map(|n| n.parse().unwrap_or(0));
    let mut count = || counts.next().unwrap_or(0);
    Ok(Look {
        at: Instant::now(),
        served: count(),
        monitors: count(),
        others: count(),
    })
}

/// One login as administrator, who leaves at once, and one of the other application, which keeps some sessions.
fn visit(address: SocketAddr, seen: &mut Seen, kept: &mut VecDeque<Client>) {
    let works = |user| {
        let mut client = Client::login(address, user, DATABASE, "visitor").ok()?;
        client.query("SELECT 1").ok().map(|_| client)
    };
    seen.administrator.0 += 1;
    seen.administrator.1 += u32::from(works(USER).is_none());
    if kept.len() == KEPT {
        kept.pop_front();
    }
    seen.ordinary.0 += 1;
    match works(ORDINARY) {
        Some(client) => kept.push_back(client),
        None => seen.ordinary.1 += 1,
    }
}
