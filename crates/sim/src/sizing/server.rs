//! A database server as a model: processors shared by the Universal
//! Scalability Law, sleeps, and one row lock per number.

use std::collections::{BTreeMap, VecDeque};

/// One part of a transaction. Times are means, microseconds; each is drawn
/// from an exponential distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Computes for so long, were it alone on the server.
    Cpu(u64),
    /// Waits for a disk, a replica, another service.
    Sleep(u64),
    /// The client is silent inside its transaction.
    Think(u64),
    /// Takes a row lock, kept to the end of the transaction.
    Lock(u32),
}

/// Gunther's law: `k` queries together do `k / (1 + σ(k−1) + κk(k−1))` times
/// the work of one.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// Contention: the part that only one can do at a time.
    pub sigma: f64,
    /// Coherency: what each costs each other one.
    pub kappa: f64,
    /// What a query that waits for a lock weighs, beside one that computes.
    pub waiter: f64,
}

impl Scaling {
    /// Work done per microsecond for each of `k` computing queries.
    fn speed(&self, k: usize, waiters: usize) -> f64 {
        let k = k as f64 + self.waiter * waiters as f64;
        1.0 / (1.0 + self.sigma * (k - 1.0).max(0.0) + self.kappa * k * (k - 1.0).max(0.0))
    }
}

/// The processors and the locks. Jobs are the numbers that the caller gives.
#[derive(Debug)]
pub(super) struct Server {
    scaling: Scaling,
    /// Work that each computing job has got since the start.
    got: f64,
    at: u64,
    /// Computing jobs by the value of `got` at which they end.
    computing: BTreeMap<(u64, u32), ()>,
    locks: BTreeMap<u32, VecDeque<u32>>,
    waiters: usize,
}

/// Fixed-point work: thousandths of a microsecond.
const UNIT: f64 = 1000.0;

impl Server {
    pub fn new(scaling: Scaling) -> Server {
        Server {
            scaling,
            got: 0.0,
            at: 0,
            computing: BTreeMap::new(),
            locks: BTreeMap::new(),
            waiters: 0,
        }
    }

    pub fn rescale(&mut self, now: u64, scaling: Scaling) {
        self.advance(now);
        self.scaling = scaling;
    }

    fn speed(&self) -> f64 {
        self.scaling.speed(self.computing.len(), self.waiters)
    }

    fn advance(&mut self, now: u64) {
        self.got += (now - self.at) as f64 * self.speed();
        self.at = now;
    }

    pub fn compute(&mut self, now: u64, job: u32, work: u64) {
        self.advance(now);
        let end = ((self.got + work as f64) * UNIT).ceil() as u64;
        self.computing.insert((end, job), ());
    }

    /// When the next job ends, if nothing changes.
    pub fn next_end(&self) -> Option<u64> {
        let ((end, _), ()) = self.computing.first_key_value()?;
        let left = (*end as f64 / UNIT - self.got).max(0.0);
        Some(self.at + (left / self.speed()).ceil() as u64)
    }

    /// The jobs that have ended by `now`.
    pub fn ended(&mut self, now: u64) -> Option<u32> {
        self.advance(now);
        let ((end, job), ()) = self.computing.first_key_value()?;
        let (end, job) = (*end, *job);
        if end as f64 / UNIT > self.got + 0.01 {
            return None;
        }
        self.computing.remove(&(end, job));
        Some(job)
    }

    /// True: the job has the lock now. Else it is named by [`Server::unlock`] later.
    pub fn lock(&mut self, now: u64, job: u32, lock: u32) -> bool {
        self.advance(now);
        let queue = self.locks.entry(lock).or_default();
        queue.push_back(job);
        let first = queue.len() == 1;
        self.waiters += usize::from(!first);
        first
    }

    /// The job that has the lock next.
    pub fn unlock(&mut self, now: u64, lock: u32) -> Option<u32> {
        self.advance(now);
        let queue = self.locks.get_mut(&lock)?;
        queue.pop_front();
        let next = queue.front().copied();
        self.waiters -= usize::from(next.is_some());
        next
    }
}
