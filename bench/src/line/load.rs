//! Clients that work for a while, and what they met: each request with its moment, time and error.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::{Client, Trouble};
use crate::stats::Rng;
use crate::{DATABASE, Failure, stats};

/// Threads are many and do little.
const STACK: usize = 128 * 1024;
/// Pause before a client whose session ended comes again.
const RECONNECT: Duration = Duration::from_millis(100);
/// Tries of a client that sends refused requests again.
const TRIES: usize = 4;
/// How often a client whose session was closed between two requests goes elsewhere before that is an error.
const MOVES: usize = 4;

/// How the clients of a group send.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each waits for its reply, thinks for so long, and goes on.
    Closed(Duration),
    /// Each sends at random moments, so many times a second on average, whether replies came or not: what is late
    /// counts from when it should have been sent.
    Open {
        /// Requests per second of each client.
        rate: f64,
        /// Refused requests are sent again, up to three times.
        retries: bool,
    },
}

/// A part of a request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sent, and its reply awaited.
    Ask(String),
    /// The client is busy with something else.
    Think(Duration),
}

/// Where clients go: what a load balancer knows. Scenarios change it, clients read it at each login.
#[derive(Debug, Clone)]
pub struct Places(Arc<RwLock<Vec<SocketAddr>>>);

impl Places {
    /// These.
    pub fn new(places: Vec<SocketAddr>) -> Places {
        Places(Arc::new(RwLock::new(places)))
    }

    /// One more.
    pub fn add(&self, place: SocketAddr) {
        if let Ok(mut places) = self.0.write() {
            places.push(place);
        }
    }

    /// One fewer.
    pub fn remove(&self, place: SocketAddr) {
        if let Ok(mut places) = self.0.write() {
            places.retain(|p| *p != place);
        }
    }

    fn any(&self, rng: &mut Rng) -> Option<SocketAddr> {
        let places = self.0.read().ok()?;
        places.get(rng.below(places.len())).copied()
    }
}

/// Clients that are alike.
#[derive(Debug, Clone)]
pub struct Group {
    /// Where they go.
    pub places: Places,
    /// Their user.
    pub user: String,
    /// Their application_name.
    pub application: String,
    /// How many.
    pub clients: usize,
    /// What each request is made of, in order.
    pub steps: Vec<Step>,
    /// When they send.
    pub pace: Pace,
    /// Requests per client; `None` until stopped.
    pub requests: Option<usize>,
    /// Clients of several instances: they log in anew after about so long, and go elsewhere, without an error, when
    /// their session was closed between two requests or before the first word of a reply with 57P01.
    pub lifetime: Option<Duration>,
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
    /// How often the client had to go elsewhere before.
    pub moved: usize,
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
        let rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
        let worker = Worker {
            group: group.clone(),
            stop: Arc::clone(&stop),
            rng,
            client: None,
            until: None,
        };
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || worker.work())?;
        threads.push(thread);
    }
    Ok(Running { stop, threads })
}

impl Running {
    /// Tells them to send nothing more; what is under way ends by itself.
    pub fn fall_silent(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops them after their current request and takes what they met.
    pub fn stop(self) -> Result<Samples, Failure> {
        self.fall_silent();
        let mut all = Vec::new();
        for thread in self.threads {
            all.extend(thread.join().map_err(|_| "a client panicked")?);
        }
        all.sort_by_key(|s| s.at);
        Ok(Samples(all))
    }
}

struct Worker {
    group: Group,
    stop: Arc<AtomicBool>,
    rng: Rng,
    client: Option<Client>,
    /// When it logs in anew.
    until: Option<Instant>,
}

impl Worker {
    fn work(mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut due = Instant::now();
        let max = self.group.requests;
        while !self.stopped() && max.is_none_or(|max| samples.len() < max) {
            match self.group.pace {
                Pace::Closed(think) => {
                    if !samples.is_empty() {
                        self.pause(think);
                    }
                    due = Instant::now();
                }
                Pace::Open { rate, .. } => {
                    let u = (self.rng.below(1 << 30) + 1) as f64 / f64::from(1 << 30);
                    due += Duration::from_secs_f64(-u.ln() / rate);
                    self.pause(due.saturating_duration_since(Instant::now()));
                }
            }
            if self.stopped() {
                break;
            }
            samples.push(self.tries(due));
        }
        // A leak holds what it has.
        while self.client.is_some() && !self.stopped() {
            self.pause(Duration::from_secs(1));
        }
        samples
    }

    fn tries(&mut self, due: Instant) -> Sample {
        let tries = match self.group.pace {
            Pace::Open { retries: true, .. } => TRIES,
            _ => 1,
        };
        let (mut trouble, mut begun, mut moved) = (None, due, 0);
        for _ in 0..tries {
            begun = Instant::now();
            trouble = self.request(&mut moved).err();
            match &trouble {
                None => break,
                Some(Trouble::Ended(_)) => {
                    self.client = None;
                    self.pause(RECONNECT);
                }
                Some(Trouble::Refused(_)) => {}
            }
            if self.stopped() {
                break;
            }
        }
        Sample {
            at: due,
            took: due.elapsed(),
            tried: begun.elapsed(),
            moved,
            trouble,
        }
    }

    fn request(&mut self, moved: &mut usize) -> Result<(), Trouble> {
        let moves = self.group.lifetime.is_some();
        loop {
            match self.once(moved) {
                Err((Trouble::Ended(code), 0))
                    if moves && *moved < MOVES && ["57P01", "unreachable"].contains(&&*code) =>
                {
                    *moved += 1;
                    self.client = None;
                }
                other => return other.map_err(|(trouble, _)| trouble),
            }
        }
    }

    /// One try; an error comes with the number of steps before it that were done.
    fn once(&mut self, moved: &mut usize) -> Result<(), (Trouble, usize)> {
        if let Some(lifetime) = self.group.lifetime {
            let now = Instant::now();
            if self.until.is_some_and(|until| now >= until) {
                self.client = None;
            } else if self.client.as_mut().is_some_and(Client::is_over) {
                self.client = None;
                *moved += 1;
            }
            if self.client.is_none() {
                // Spread, so that they do not all come at once.
                let percent = 50 + self.rng.below(100) as u32;
                self.until = Some(now + lifetime * percent / 100);
            }
        }
        let group = &self.group;
        if self.client.is_none() {
            let unreachable = || (Trouble::Ended("unreachable".into()), 0);
            let place = group.places.any(&mut self.rng).ok_or_else(unreachable)?;
            let new = Client::login(place, &group.user, DATABASE, &group.application);
            self.client = Some(new.map_err(|t| (t, 0))?);
        }
        for (n, step) in group.steps.iter().enumerate() {
            match (step, &mut self.client) {
                (Step::Ask(sql), Some(client)) => drop(client.query(sql).map_err(|t| (t, n))?),
                (Step::Think(time), _) => pause(*time, &self.stop),
                _ => {}
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn pause(&self, length: Duration) {
        pause(length, &self.stop);
    }
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

    /// Requests that ended well within so many seconds from a moment on, whenever they were due.
    pub fn ended_between(&self, from: Instant, seconds: f64) -> usize {
        let ended = |s: &&Sample| {
            let after = (s.at + s.took).checked_duration_since(from);
            s.trouble.is_none() && after.is_some_and(|after| after.as_secs_f64() < seconds)
        };
        self.0.iter().filter(ended).count()
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

    /// Seconds from `began` to the moment after which every second's p99 stays at `bound` ms or below, without an
    /// error. A second in which nobody was due is none of these: all clients were waiting.
    pub fn normal_since(&self, began: Instant, end: Instant, bound: f64) -> Option<f64> {
        const WINDOW: Duration = Duration::from_secs(1);
        let mut normal = None;
        let mut at = began;
        while at + WINDOW <= end {
            let window = self.between(at, at + WINDOW);
            let good =
                window.bad() == 0 && window.quantile_ms(0.99).is_some_and(|p99| p99 <= bound);
            normal = good.then(|| normal.unwrap_or(at));
            at += WINDOW;
        }
        normal.map(|at| (at - began).as_secs_f64())
    }

    /// The longest stretch of half seconds, in seconds, in each of which fewer than so many requests a second ended well.
    pub fn longest_below(&self, from: Instant, to: Instant, rate: f64) -> f64 {
        const WINDOW: Duration = Duration::from_millis(500);
        let spans = (to - from).as_millis() / WINDOW.as_millis();
        let mut counts = vec![0usize; usize::try_from(spans).unwrap_or(0)];
        for sample in self.0.iter().filter(|s| s.trouble.is_none()) {
            let Some(after) = (sample.at + sample.took).checked_duration_since(from) else {
                continue;
            };
            let n = after.as_millis() / WINDOW.as_millis();
            if let Some(count) = usize::try_from(n).ok().and_then(|n| counts.get_mut(n)) {
                *count += 1;
            }
        }
        let least = rate * WINDOW.as_secs_f64();
        longest(counts.iter().map(|n| (*n as f64) < least)) as f64 * WINDOW.as_secs_f64()
    }
}

/// The longest run of `true`.
pub fn longest(flags: impl Iterator<Item = bool>) -> usize {
    let (mut run, mut most) = (0, 0);
    for flag in flags {
        run = if flag { run + 1 } else { 0 };
        most = most.max(run);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, took_ms: u64, trouble: Option<Trouble>) -> Sample {
        let took = Duration::from_millis(took_ms);
        Sample {
            at,
            took,
            tried: took,
            moved: 0,
            trouble,
        }
    }

    #[test]
    fn normal_begins_after_the_last_second_that_was_not() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let mut all: Vec<Sample> = (0..50)
            .map(|n| sample(began + ms(n * 100), 5, None))
            .collect();
        let end = began + ms(5000);
        let normal = |all: &[Sample]| Samples(all.to_vec()).normal_since(began, end, 10.0);
        assert_eq!(normal(&all), Some(0.0));
        all[17].took = ms(50);
        assert_eq!(normal(&all), Some(2.0));
        // Nobody due in the third second: all were stuck.
        all.drain(20..30);
        assert_eq!(normal(&all), Some(3.0));
        let last = all.len() - 1;
        all[last].trouble = Some(Trouble::Refused("53300".into()));
        assert_eq!(normal(&all), None);
    }

    #[test]
    fn a_gap_in_what_was_done_has_a_length() {
        let from = Instant::now();
        let ms = Duration::from_millis;
        let all = (0..100)
            .filter(|n| !(30..55).contains(n))
            .map(|n| sample(from + ms(n * 100), 0, None))
            .collect();
        let gap = Samples(all).longest_below(from, from + ms(10_000), 8.0);
        assert!((2.5..3.1).contains(&gap), "{gap}");
    }

    #[test]
    fn the_longest_run_is_counted() {
        assert_eq!(longest([true, false, true, true, false].into_iter()), 2);
        assert_eq!(longest([false].into_iter()), 0);
    }
}
