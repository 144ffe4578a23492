//! One pool: its settings, its connections by state, its queue.

use crate::auto::{Auto, AutoSettings, SizeChange};
use crate::budget::Squeeze;
use crate::figures::{ConnState, PoolFigures};
use crate::leaks::Leaks;
use crate::list::List;
use crate::queue::Queue;
use crate::settings::{BEYOND, PoolSettings};
use crate::upstream::{Left, Meter};
use events::{Guard, GuardMode, Histogram, Time};
use std::sync::Arc;
use std::time::Duration;

/// Whether an administrator or a change of settings holds the pool back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Lends.
    Open,
    /// Clients queue, connections are closed.
    Paused,
    /// The settings no longer name it: clients are refused, connections closed.
    Retired,
}

/// Why the last attempt to open a connection failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub text: Arc<str>,
    /// The server refused the login for good; waiting does not help.
    pub fatal: bool,
    /// The server's SQLSTATE, where it refused the login.
    pub code: Option<[u8; 5]>,
    /// Failures in a row.
    pub count: u32,
    /// The first of them.
    pub since: Time,
    /// The last of them.
    pub at: Time,
    /// No further attempt before this.
    pub retry_at: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub settings: PoolSettings,
    pub mode: Mode,
    /// Refuses new checkouts; those that wait are served.
    pub disabled: bool,
    /// Connections by [`ConnState`].
    counts: [u32; 5],
    /// Of these, the ones that were left behind when the server moved.
    pub left: Left,
    /// Its clients have written: a standby does not serve them.
    pub wrote: bool,
    /// Idle connections of each worker, the one used last in front.
    pub idle: Vec<List>,
    pub queue: Queue,
    pub failure: Option<Failure>,
    /// Its role or its database had no slot left.
    pub squeeze: Option<Squeeze>,
    /// In the upstream's list of pools that want to open and may not.
    pub hungry: bool,
    /// Its first connection, opened after a long wait, is at work on what had
    /// queued until then; that it is not enough cannot be said earlier.
    pub caught_up_at: Time,
    /// No idle connection is due to be closed before this.
    pub next_scan: Time,
    /// No waiter reaches its deadline before this; kept where flows have
    /// deadlines of their own.
    pub next_late: Time,
    pub wait: Histogram,
    pub hold: Histogram,
    /// From the decision to open a connection until it was ready.
    pub create: Histogram,
    pub grants: u64,
    pub handovers: u64,
    pub leaks: Leaks,
    /// Waiters that were refused as hopeless, or would have been, by application.
    pub shed: Vec<(Arc<str>, u64, u64)>,
    /// The size as the settings state it.
    pub asked: u32,
    /// That size is far beyond what the server has; and what the log was told.
    pub oversized: bool,
    pub told_oversized: bool,
    /// Where the search stood when it ended.
    pub searched: u32,
    /// Sizes the pool, when its settings say so.
    pub sizer: Option<Box<Auto>>,
    /// The size is the sizer's, not the settings'.
    pub sized: bool,
    pub meter: Meter,
}

impl Pool {
    pub fn new(settings: PoolSettings) -> Pool {
        let mut queue = Queue::new();
        queue.flows.set_rules(&settings.rules);
        Pool {
            asked: settings.size,
            oversized: false,
            told_oversized: false,
            searched: 0,
            settings,
            mode: Mode::Open,
            disabled: false,
            counts: [0; 5],
            left: Left::default(),
            wrote: false,
            idle: Vec::new(),
            queue,
            failure: None,
            squeeze: None,
            hungry: false,
            caught_up_at: Time::ZERO,
            next_scan: Time::FAR,
            next_late: Time::FAR,
            wait: Histogram::new(),
            hold: Histogram::new(),
            create: Histogram::new(),
            grants: 0,
            handovers: 0,
            leaks: Leaks::default(),
            shed: Vec::new(),
            sizer: None,
            sized: false,
            meter: Meter::default(),
        }
    }

    /// After new settings, or when the server's `capacity` is another one: what
    /// an automatic size had learned stays.
    pub fn apply_sizer(&mut self, capacity: Option<u32>) {
        let Some(bounds) = self.bounds(capacity) else {
            if let Some(sizer) = self.sizer.take() {
                self.searched = sizer.size();
                self.settings.size = self.asked;
            }
            self.sized = false;
            return;
        };
        match &mut self.sizer {
            Some(sizer) if *sizer.settings() == bounds => {}
            Some(sizer) => sizer.configure(bounds),
            // Whoever is served now is not cut off.
            None => self.sizer = Some(Box::new(Auto::starting_at(bounds, self.live()))),
        }
        if let Some(sizer) = &self.sizer
            && self.settings.guards.mode(Guard::AutoSize) == GuardMode::Enforce
        {
            (self.settings.size, self.sized) = (sizer.size(), true);
        }
    }

    /// Within what the pool sizes itself, if it does. A size that was found far
    /// beyond the server counts as that until it fits: a line between the two
    /// would be crossed again and again.
    fn bounds(&mut self, capacity: Option<u32>) -> Option<AutoSettings> {
        let beyond = match self.settings.auto {
            Some(_) => None,
            None => self.settings.beyond,
        };
        self.oversized = match (beyond, capacity) {
            (None, _) => false,
            (Some(_), None) => self.oversized,
            (Some(_), Some(capacity)) if self.oversized => self.asked > capacity,
            (Some(_), Some(capacity)) => self.asked >= capacity.saturating_mul(BEYOND),
        };
        self.settings.auto.or(beyond.filter(|_| self.oversized))
    }

    /// What the log was not told yet: a size taken for a bound of the search, or
    /// that it holds again.
    pub fn oversize_to_tell(&mut self, now: Time) -> Option<SizeChange> {
        if self.told_oversized == self.oversized {
            return None;
        }
        self.told_oversized = self.oversized;
        let Some(sizer) = self.sizer.as_mut().filter(|_| self.oversized) else {
            return Some(SizeChange::of_capacity(now, self.searched, self.asked));
        };
        Some(sizer.begins_below(now, self.asked))
    }

    pub fn count(&self, state: ConnState) -> u32 {
        self.counts[state as usize]
    }

    pub fn count_mut(&mut self, state: ConnState) -> &mut u32 {
        &mut self.counts[state as usize]
    }

    /// Connections in any state, also those left behind.
    pub fn all(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Connections charged to the budget.
    pub fn charged(&self) -> u32 {
        self.all() - self.left.all
    }

    /// Connections that are here to stay.
    pub fn live(&self) -> u32 {
        self.charged() - (self.count(ConnState::Closing) - self.left.closing)
    }

    /// Connections that can serve: live, and the login is done.
    pub fn usable(&self) -> u32 {
        self.live() - self.count(ConnState::Opening)
    }

    /// Waiting for a new connection is not expected to help: the server
    /// refused the login for good, or has been away for longer than `grace`.
    pub fn has_given_up(&self, now: Time, grace: Duration) -> bool {
        let given_up = |failure: &Failure| failure.fatal || now >= failure.since.after(grace);
        self.failure.as_ref().is_some_and(given_up)
    }

    /// An attempt has failed, and it is too early for the next.
    pub fn is_pausing(&self, now: Time) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|failure| now < failure.retry_at)
    }

    /// Connections kept when idle.
    pub fn min(&self) -> u32 {
        self.settings.min.min(self.settings.size)
    }

    /// Beyond this, connections are closed at their return.
    pub fn limit(&self) -> u32 {
        self.settings.size.saturating_add(self.settings.reserve)
    }

    /// The same by the settings.
    pub fn asked_limit(&self) -> u32 {
        let size = match self.settings.auto {
            Some(_) => self.settings.size,
            None => self.asked,
        };
        size.saturating_add(self.settings.reserve)
    }

    /// New settings, for waiters that are there too.
    pub fn configure(&mut self, settings: PoolSettings) {
        self.asked = settings.size;
        self.settings = settings;
        self.queue.flows.set_rules(&self.settings.rules);
        self.next_late = Time::ZERO;
    }

    /// The longest wait of a flow's clients.
    pub fn wait_timeout_of(&self, flow: u32) -> Option<Duration> {
        let own = self.queue.flows.get(flow).wait_timeout;
        own.unwrap_or(self.settings.wait_timeout)
    }

    /// The shortest of the longest waits.
    pub fn wait_timeout_min(&self) -> Option<Duration> {
        let own = self.queue.flows.own_wait_min();
        own.into_iter().chain(self.settings.wait_timeout).min()
    }

    /// Connections that the pool has, or may have as far as is known.
    pub fn prospects(&self) -> u32 {
        match self.hungry {
            true => self.usable(),
            false => self.usable().max(self.settings.size),
        }
    }

    /// When the next waiter is refused: exactly, or not later than that where
    /// flows have deadlines of their own.
    pub fn next_deadline(&self) -> Option<Time> {
        let oldest = self.queue.oldest()?;
        if !self.queue.flows.wait_alike() {
            return (self.next_late < Time::FAR).then_some(self.next_late);
        }
        Some(
            self.queue
                .get(oldest)
                .arrived
                .after(self.settings.wait_timeout?),
        )
    }

    /// Since when the first waiter waits for whom nothing is being opened.
    pub fn lacking_since(&self) -> Option<Time> {
        let covered = self.count(ConnState::Opening) as usize;
        let first = self.queue.queued_by_age().nth(covered)?;
        Some(self.queue.get(first).arrived)
    }

    /// When the reserve may be used, if there is one and somebody waits.
    pub fn reserve_at(&self) -> Option<Time> {
        if self.settings.reserve == 0 {
            return None;
        }
        let oldest = self.queue.queued_by_age().next()?;
        Some(
            self.queue
                .get(oldest)
                .arrived
                .after(self.settings.reserve_after),
        )
    }

    pub fn figures(&self, now: Time) -> PoolFigures {
        PoolFigures {
            size: self.settings.size,
            opening: self.count(ConnState::Opening),
            idle: self.count(ConnState::Idle),
            lent: self.count(ConnState::Lent),
            moving: self.count(ConnState::Moving),
            closing: self.count(ConnState::Closing),
            waiting: self.queue.len(),
            oldest_wait: self
                .queue
                .oldest()
                .map_or(Duration::ZERO, |i| now.since(self.queue.get(i).arrived)),
            paused: self.mode == Mode::Paused,
            disabled: self.disabled || self.mode == Mode::Retired,
            failing: self.failure.is_some(),
            grants: self.grants,
            handovers: self.handovers,
        }
    }
}
