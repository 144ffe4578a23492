//! The load line: the monitor session, and what follows when the line moves.

use super::{Fault, Upstream};
use crate::budget::{BudgetSettings, MonitorStep, Reading, Squeeze, Usage};
use crate::conns::Conn;
use crate::figures::{BudgetFigures, BudgetState, ConnState};
use crate::one_pool::{Mode, Pool};
use crate::settings::PoolSettings;
use events::{CloseReason, ConnId, PoolId, Time};
use std::net::IpAddr;

impl Upstream {
    /// Gives the server a monitor session, in a pool of its own: its connection
    /// is opened first, by worker 0, charged like any other, and lent to the
    /// session that reads the server's figures. With `now` at [`Time::FAR`] its
    /// time begins at the first tick.
    pub fn add_monitor(&mut self, now: Time, settings: BudgetSettings) -> PoolId {
        let pool = match self.monitor {
            Some(p) => PoolId(p as u32),
            None => self.add_pool(PoolSettings {
                size: 1,
                wait_timeout: None,
                idle_timeout: None,
                lifetime: None,
                ..PoolSettings::default()
            }),
        };
        self.monitor = Some(pool.0 as usize);
        self.configure_monitor(now, Some(settings));
        pool
    }

    /// Other settings of the monitor, or none any more.
    pub fn configure_monitor(&mut self, now: Time, settings: Option<BudgetSettings>) {
        self.budget.configure(now, settings);
        self.rebudget(now);
        self.wake = Time::ZERO;
    }

    /// States to the peers which settings this instance turned down: the first
    /// 24 bits of their hash. They see it with the next reading.
    pub fn state_rejected(&mut self, hash: Option<u32>) {
        self.budget.rejected = hash;
    }

    /// What the peers state so.
    pub fn peers_rejected(&self) -> Vec<u32> {
        self.budget.peers_rejected()
    }

    /// Where the peers' monitor sessions come from, as the last reading said.
    pub fn peers_at(&self) -> &[IpAddr] {
        &self.peers_at
    }

    /// The pool of the monitor session.
    pub fn monitor_pool(&self) -> Option<PoolId> {
        self.monitor.map(|p| PoolId(p as u32))
    }

    /// What the monitor session is to do; ask at each tick and after each answer.
    pub fn monitor_step(&mut self, now: Time) -> MonitorStep {
        let doomed = self.monitor.is_some_and(|p| {
            let mut conns = self.conns.iter();
            let ends = self.shutdown && self.budget.by_ledger();
            let closes = self.at(p).mode != Mode::Open || ends;
            let doomed = |conn: &Conn| conn.doom.is_some() && !conn.left;
            closes || conns.any(|(_, conn)| conn.pool as usize == p && doomed(conn))
        });
        if doomed {
            return MonitorStep::Close;
        }
        let usage = self.usage();
        let step = self.budget.step(now, &usage);
        if self.faulty(Fault::RaiseUnseen) && matches!(step, MonitorStep::Ask(_)) {
            self.budget.believe();
        }
        self.rebudget(now);
        step
    }

    /// The monitor session's question was answered.
    pub fn monitor_heard(&mut self, now: Time, reading: &Reading) {
        let usage = self.usage();
        if let Some(settings) = self.budget.settings() {
            self.peers_at = reading.places(&settings.fleet, settings.instance);
        }
        let stingy = self.faulty(Fault::KeepUnused);
        self.budget.heard(now, &usage, reading, !stingy);
        self.monitor_saw(now, reading.in_recovery);
        self.rebudget(now);
    }

    /// The question failed; the session lives.
    pub fn monitor_failed(&mut self, now: Time) {
        self.budget.unanswered();
        self.rebudget(now);
    }

    /// The server had no slot for a connection (53300); its charge ends. Waiting
    /// helps, so nobody is refused: for a while less is opened, and what is open
    /// serves. `own_limit`: it is the limit of the role or of the database, so
    /// only this pool is concerned.
    pub fn open_full(&mut self, now: Time, conn: ConnId, own_limit: bool) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        let p = self.conns.get(i).pool as usize;
        self.counters.open_failures += 1;
        self.counters.full += 1;
        self.release(now, i);
        if own_limit {
            let charged = self.at(p).charged();
            let pool = self.at_mut(p);
            let squeeze = Squeeze::again(pool.squeeze.take(), now, charged);
            self.wake_at(squeeze.next());
            self.at_mut(p).squeeze = Some(squeeze);
        } else {
            let charged = self.here() - self.monitors();
            let squeeze = Squeeze::again(self.budget.squeeze.take(), now, charged);
            self.budget.squeeze = Some(squeeze);
        }
        self.rebudget(now);
        self.pump(now, p);
        self.feed(now);
    }

    /// The line and its parts.
    pub fn budget(&self) -> BudgetFigures {
        let figures = self.pools.iter().enumerate();
        let pools = || {
            let real = figures.clone().filter(|(p, _)| Some(*p) != self.monitor);
            real.filter_map(|(_, pool)| pool.as_ref())
        };
        let peers = self.budget.peers();
        BudgetFigures {
            state: self.budget_state(),
            monitored: self.budget.settings().is_some(),
            line: self.line.saturating_sub(self.monitors()),
            charged: self.here().saturating_sub(self.monitors()),
            opening: self.opening,
            closing: self.closing_here(),
            stated: self.settings.line,
            parts: self.budget.parts(),
            claim: self.budget.claim(),
            published: self.budget.published(),
            wants: self.usage().needed.saturating_sub(self.budget.claim()),
            peers: peers.len() as u32,
            peers_claim: peers.iter().map(|peer| peer.claim).sum(),
            peers_held: peers.iter().map(|peer| peer.held).sum(),
            peers_want: peers.iter().map(|peer| peer.wants).sum(),
            by_ledger: self.budget.by_ledger(),
            strangers: self.budget.strangers(),
            read_at: self.budget.read_at(),
            full: self.counters.full,
            evictions: self.counters.evictions,
            largest_pool: pools().map(Pool::asked_limit).max().unwrap_or(0),
            minimums: pools().map(Pool::min).sum(),
        }
    }

    /// The settings of the monitor, where there is one.
    pub fn budget_settings(&self) -> Option<&BudgetSettings> {
        self.budget.settings()
    }

    fn budget_state(&self) -> BudgetState {
        use crate::budget::Sight;
        match self.budget.sight() {
            Sight::Asking(_) => BudgetState::Asking,
            Sight::Resting => BudgetState::Resting,
            _ if self.budget.squeeze.is_some() || self.above_keep() => BudgetState::Shrunk,
            Sight::Stated | Sight::Unknown => BudgetState::Unknown,
            Sight::Known => BudgetState::Known,
            Sight::Stale => BudgetState::Stale,
        }
    }

    fn above_keep(&self) -> bool {
        self.over_line()
    }

    // --- inside ---

    /// Connections of the monitor session: one at most.
    pub(super) fn monitors(&self) -> u32 {
        let pool = self.monitor.and_then(|p| self.pools.get(p)?.as_ref());
        pool.map_or(0, Pool::charged)
    }

    pub(super) fn is_monitor(&self, p: usize) -> bool {
        self.monitor == Some(p)
    }

    /// What the budget must know of the pools.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage {
            charged: self.here() - self.monitors(),
            losses: self.counters.losses,
            ..Usage::default()
        };
        for (p, pool) in self.pools.iter().enumerate() {
            let Some(pool) = pool.as_ref().filter(|_| !self.is_monitor(p)) else {
                continue;
            };
            let busy = pool.count(ConnState::Lent) + pool.count(ConnState::Moving);
            let busy = busy.saturating_sub(pool.left.all - pool.left.closing);
            let asked = busy + pool.queue.queued();
            usage.usable += pool.usable();
            usage.needed += asked.min(pool.settings.size).max(busy);
            usage.grants += pool.grants;
        }
        usage
    }

    /// Takes the limits over from the budget.
    fn take_limits(&mut self) {
        let monitors = self.monitors();
        let (open, keep) = self.budget.limits(monitors);
        self.line = open.saturating_add(monitors);
        self.keep = keep.saturating_add(monitors);
    }

    /// A connection less, seen by nobody but by its row's end.
    pub(super) fn blind(&mut self) {
        if self.budget.is_blind() {
            let usage = self.usage();
            self.budget.blind(&usage);
            self.take_limits();
        }
    }

    /// Takes the limits over from the budget, and does what follows.
    pub(super) fn rebudget(&mut self, now: Time) {
        let (line, keep) = (self.line, self.keep);
        self.take_limits();
        let (grew, fell) = (self.line > line, self.keep < keep);
        self.wake_at(self.budget.next());
        self.heed_capacity(now);
        if fell {
            self.shed_idle(now);
        }
        if grew {
            for p in 0..self.pools.len() {
                if self.pools[p].is_some() {
                    self.pump(now, p);
                }
            }
            self.feed(now);
        }
    }

    /// Opens the monitor session where it is wanted and missing.
    pub(super) fn pump_monitor(&mut self, now: Time, p: usize) {
        let pool = self.at(p);
        let Some(at) = self.budget.session_at() else {
            return;
        };
        if self.shutdown || pool.mode != Mode::Open || pool.charged() > 0 {
            return;
        }
        let failed = pool.failure.as_ref().map_or(Time::ZERO, |f| f.retry_at);
        let at = at.max(failed);
        match at <= now {
            true => self.open(now, p),
            false => self.wake_at(at),
        }
    }

    /// A connection of the monitor's pool ended or begins to.
    pub(super) fn monitor_lost(&mut self, now: Time, p: usize) {
        if self.is_monitor(p) {
            let usage = self.usage();
            self.budget.session_lost(now, &usage);
            self.rebudget(now);
        }
    }

    /// The time-driven part.
    pub(super) fn tick_budget(&mut self, now: Time) {
        self.budget.tick(now);
        self.rebudget(now);
    }

    /// A client waits: the monitor session is needed, if there is to be one.
    pub(super) fn awake(&mut self, now: Time) {
        let Some(p) = self.monitor else { return };
        if self.budget.awake(now) {
            self.rebudget(now);
        }
        self.pump_monitor(now, p);
    }

    /// Why a connection that the line has no room for is closed.
    pub(super) fn above_line(&self) -> CloseReason {
        match self.budget.settings() {
            Some(_) => CloseReason::LineFell,
            None => CloseReason::SettingsChanged,
        }
    }

    /// When a pool whose role or database has no slot left may open the next one.
    pub(super) fn squeezed(&self, pool: &Pool) -> Option<Time> {
        let squeeze = pool.squeeze.as_ref()?;
        (pool.charged() >= squeeze.cap()).then(|| squeeze.next())
    }

    pub(super) fn tick_squeeze(&mut self, now: Time, p: usize) {
        let limit = self.at(p).limit();
        let pool = self.at_mut(p);
        let Some(squeeze) = &mut pool.squeeze else {
            return;
        };
        let next = match squeeze.grow(now, limit) {
            true => {
                pool.squeeze = None;
                return;
            }
            false => squeeze.next(),
        };
        self.wake_at(next);
    }
}
