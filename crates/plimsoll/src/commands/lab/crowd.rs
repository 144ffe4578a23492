//! The users: each asks when it is due, whatever became of those before.

use practice::outage::{Attempt, Crowd, Sample, Scenario};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most requests under way; beyond that they are counted as not sent.
const UNDER_WAY_MAX: usize = 2_000;
/// Stack of a thread that holds one request.
const STACK_BYTES: usize = 128 << 10;
/// A user looks at the error so long before they try again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Most of an answer that is read.
const ANSWER_MAX: usize = 1 << 20;
/// A request this late was not sent when it was due: the generator was held up.
const LATE: Duration = Duration::from_millis(250);

/// What users met so far. Every thread of the crowd writes, the run reads.
#[derive(Debug, Default)]
pub(super) struct Met {
    samples: Mutex<Vec<Sample>>,
    /// Requests that could not be sent when they were due.
    unsent: AtomicU64,
    stop: AtomicBool,
}

impl Met {
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// No more comes.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, sample: Sample) {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sample);
    }
}

/// A request for a thread, and from when its latency counts.
struct Job {
    attempt: Attempt,
    due: Instant,
}

/// Sends all that is due, from `began` on, and returns when all of it has ended.
pub(super) fn come(scenario: &Scenario, to: SocketAddr, began: Instant, met: &Arc<Met>) {
    let (jobs, taken) = channel::<Job>();
    let taken = Arc::new(Mutex::new(taken));
    let idle = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for attempt in Crowd::new(scenario) {
        let due = began + attempt.due;
        if !wait_until(due, met) {
            break;
        }
        if due.elapsed() > LATE {
            met.unsent.fetch_add(1, Ordering::Relaxed);
        }
        let busy = idle.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if busy.is_err() {
            if threads.len() >= UNDER_WAY_MAX {
                met.unsent.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let user = User {
                to,
                began,
                timeout: scenario.load.timeout,
                retries: scenario.load.retries,
                met: Arc::clone(met),
            };
            let (taken, idle) = (Arc::clone(&taken), Arc::clone(&idle));
            let started = std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || user.serve(&taken, &idle));
            match started {
                Ok(thread) => threads.push(thread),
                Err(_) => {
                    met.unsent.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
        }
        send(&jobs, Job { attempt, due });
    }
    drop(jobs);
    for thread in threads {
        thread.join().ok();
    }
}

fn send(jobs: &Sender<Job>, job: Job) {
    // The receiver lives as long as we do.
    jobs.send(job).ok();
}

/// False: the run has ended.
fn wait_until(due: Instant, met: &Met) -> bool {
    const STEP: Duration = Duration::from_millis(50);
    loop {
        if met.is_stopped() {
            return false;
        }
        match due.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(STEP)),
            _ => return true,
        }
    }
}

/// Who holds one request at a time.
struct User {
    to: SocketAddr,
    began: Instant,
    timeout: Duration,
    retries: u32,
    met: Arc<Met>,
}

impl User {
    fn serve(&self, jobs: &Mutex<Receiver<Job>>, idle: &AtomicU64) {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            self.ask(&job);
            idle.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Each attempt counts: a page that had to be loaded twice failed once.
    fn ask(&self, job: &Job) {
        let mut due = job.due;
        for _ in 0..=self.retries {
            let served = self.request(&job.attempt, due).unwrap_or(false);
            self.met.note(Sample {
                due_s: due.saturating_duration_since(self.began).as_secs_f64(),
                took_ms: due.elapsed().as_secs_f64() * 1e3,
                served,
                user: job.attempt.user,
            });
            if served || self.met.is_stopped() {
                return;
            }
            due = Instant::now() + AGAIN_AFTER;
            if !wait_until(due, &self.met) {
                return;
            }
        }
    }

    /// Whether a whole answer with 2xx came in time.
    fn request(&self, attempt: &Attempt, due: Instant) -> io::Result<bool> {
        let until = due + self.timeout;
        let mut stream = TcpStream::connect_timeout(&self.to, left(until)?)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(left(until)?))?;
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nX-User: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            attempt.method, attempt.path, self.to, attempt.user
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            stream.set_read_timeout(Some(left(until)?))?;
            match stream.read(&mut chunk)? {
                0 => break,
                n => answer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            }
            if answer.len() > ANSWER_MAX {
                return Ok(false);
            }
        }
        Ok(is_good(&answer))
    }
}

/// The time that is left; an error when there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// A status of 2xx, and all of the head.
fn is_good(answer: &[u8]) -> bool {
    let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let http = words
        .next()
        .is_some_and(|word| word.starts_with(b"HTTP/1."));
    let good = words
        .next()
        .is_some_and(|status| status.len() == 3 && status.starts_with(b"2"));
    http && good && answer.windows(4).any(|four| four == b"\r\n\r\n")
}

/// Whether a service answers there with 2xx.
pub(super) fn answers(to: SocketAddr, path: &str, patience: Duration) -> bool {
    let user = User {
        to,
        began: Instant::now(),
        timeout: patience,
        retries: 0,
        met: Arc::default(),
    };
    let attempt = Attempt {
        due: Duration::ZERO,
        user: 0,
        method: "GET".to_owned(),
        path: path.to_owned(),
    };
    user.request(&attempt, Instant::now()).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_answer_is_whole_and_says_2xx() {
        for (answer, good) in [
            (&b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"[..], true),
            (b"HTTP/1.0 204 No Content\r\n\r\n", true),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            (b"HTTP/1.1 200 OK\r\nA: b", false),
            (b"SSH-2.0 200\r\n\r\n", false),
            (b"", false),
        ] {
            assert_eq!(is_good(answer), good, "{}", String::from_utf8_lossy(answer));
        }
    }
}
