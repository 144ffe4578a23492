//! Clients that work for a while, and what they met: each request with its moment, time and error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Client, Trouble};
use crate::stats::Rng;
use crate::{DATABASE, Failure, stats};

/// Threads are many and do little.
const STACK: usize = 128 * 1024;
/// Pause before a client whose session ended comes again.
const RECONNECT: Duration = Duration::from_millis(100);

/// How the clients of a group send.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each waits for its reply, thinks for so long, and goes on.
    Closed(Duration),
    /// Each sends at random moments, so many times a second on average, whether replies came or not: what is late
    /// counts from when it should have been sent. Refused requests are sent again, up to three times.
    Open(f64),
}

/// Clients that are alike.
#[derive(Debug, Clone)]
pub struct Group {
    /// Where they go.
    pub address: SocketAddr,
    /// Their user.
    pub user: String,
    /// Their application_name.
    pub application: String,
    /// How many.
    pub clients: usize,
    /// What each request is made of, in order.
    pub statements: Vec<String>,
    /// When they send.
    pub pace: Pace,
    /// Requests per client; `None` until stopped.
    pub requests: Option<usize>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When it was due.
    pub at: Instant,
    /// From then to its end.
    pub took: Duration,
    /// From the last try's beginning to its end.
    pub tried: Duration,
    /// What went wrong.
    pub trouble: Option<Trouble>,
}

/// A group at work.
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sample>>>,
}

/// Sends the clients to work.
pub fn start(group: &Group, seed: u64) -> Result<Running, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for n in 0..group.clients {
        let (group, stop) = (group.clone(), Arc::clone(&stop));
        let rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || work(&group, rng, &stop))?;
        threads.push(thread);
    }
    Ok(Running { stop, threads })
}

impl Running {
    /// Stops them after their current request and takes what they met.
    pub fn stop(self) -> Result<Samples, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            all.extend(thread.join().map_err(|_| "a client panicked")?);
        }
        all.sort_by_key(|s| s.at);
        Ok(Samples(all))
    }
}

fn work(group: &Group, mut rng: Rng, stop: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut client = None;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) && group.requests.is_none_or(|max| samples.len() < max) {
        match group.pace {
            Pace::Closed(think) => {
                if !samples.is_empty() {
                    pause(think, stop);
                }
                due = Instant::now();
            }
            Pace::Open(rate) => {
                let u = (rng.below(1 << 30) + 1) as f64 / f64::from(1 << 30);
                due += Duration::from_secs_f64(-u.ln() / rate);
                pause(due.saturating_duration_since(Instant::now()), stop);
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let tries = match group.pace {
            Pace::Closed(_) => 1,
            Pace::Open(_) => 4,
        };
        let (mut trouble, mut begun) = (None, due);
        for _ in 0..tries {
            begun = Instant::now();
            trouble = request(group, &mut client).err();
            match &trouble {
                None => break,
                Some(Trouble::Ended(_)) => {
                    client = None;
                    pause(RECONNECT, stop);
                }
                Some(Trouble::Refused(_)) => {}
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        samples.push(Sample {
            at: due,
            took: due.elapsed(),
            tried: begun.elapsed(),
            trouble,
        });
    }
    // A leak holds what it has.
    while client.is_some() && !stop.load(Ordering::Relaxed) {
        pause(Duration::from_secs(1), stop);
    }
    samples
}

fn request(group: &Group, client: &mut Option<Client>) -> Result<(), Trouble> {
    if client.is_none() {
        let new = Client::login(group.address, &group.user, DATABASE, &group.application)?;
        *client = Some(new);
    }
    if let Some(client) = client {
        for sql in &group.statements {
            client.query(sql)?;
        }
    }
    Ok(())
}

/// Sleeps, but not beyond a stop for long.
fn pause(length: Duration, stop: &AtomicBool) {
    const STEP: Duration = Duration::from_millis(50);
    let until = Instant::now() + length;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(STEP));
    }
}

/// What a group met, by time.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Those due in a span of time.
    pub fn between(&self, from: Instant, to: Instant) -> Samples {
        let inside = |s: &&Sample| s.at >= from && s.at < to;
        Samples(self.0.iter().filter(inside).cloned().collect())
    }

    /// Requests that went well.
    pub fn good(&self) -> usize {
        self.0.iter().filter(|s| s.trouble.is_none()).count()
    }

    /// Requests that did not.
    pub fn bad(&self) -> usize {
        self.0.len() - self.good()
    }

    /// The errors by code, most frequent first.
    pub fn troubles(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for trouble in self.0.iter().filter_map(|s| s.trouble.as_ref()) {
            *counts.entry(trouble.code().to_owned()).or_insert(0usize) += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let words: Vec<String> = counts.iter().map(|(c, n)| format!("{n} × {c}")).collect();
        words.join(", ")
    }

    /// A quantile of the times of all requests, failed ones included, in milliseconds.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let mut times: Vec<f64> = self.0.iter().map(|s| s.took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        stats::quantile(&times, q)
    }
}
