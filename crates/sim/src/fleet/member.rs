//! One instance: its pools, its clients, its monitor session.

use super::server::origin;
use super::{Event, Fleet, Setup, Told, Way, id};
use crate::rng::mix;
use events::{ClientId, ConnId, FlowId, PoolId, Time, WorkerId};
use pool::ledger::LedgerSettings;
use pool::{
    Action, BudgetSettings, Checkin, Checkout, MonitorStep, PoolSettings, Upstream,
    UpstreamSettings,
};
use std::time::Duration;

/// The client that holds the monitor session's connection.
const MONITOR: u32 = u32::MAX;

pub(super) struct MemberState {
    pub(super) up: Upstream,
    pool: PoolId,
    flow: FlowId,
    monitor_pool: PoolId,
    pub(super) inc: u32,
    pub(super) alive: bool,
    /// Its monitor session is not heard, nor can it be opened.
    pub(super) silent: bool,
    pub(super) monitor: Option<ConnId>,
    /// Since when it has no answer to a question.
    pub(super) blind_since: Option<u64>,
    /// Since when its questions are answered.
    pub(super) sees_since: u64,
    /// Clients that want something now.
    pub(super) active: u32,
    /// Clients that want nothing, and wait to be woken.
    asleep: Vec<bool>,
    /// The ways to the store and to the server are cut.
    pub(super) cut_store: bool,
    pub(super) cut_server: bool,
    /// When the store answered last.
    pub(super) heard_at: u64,
    /// What was charged when it was counted last.
    counted: u32,
    /// Its clock: how far ahead, µs, and how fast, millionths.
    clock: (u64, u64),
    instance: u32,
}

/// Clocks differ by so much in what a second is, millionths,
const DRIFT: u64 = 20_000;
/// and by so much in what the time is, µs.
const AHEAD: u64 = 3_600_000_000;

/// An instance in its `inc`th life, before its start.
pub(super) fn fresh(s: &Setup, i: usize, inc: u32) -> MemberState {
    let mut up = Upstream::new(UpstreamSettings {
        line: s.slots - s.reserved - s.headroom,
        connects_max: 10,
        login_retry: Duration::from_secs(1),
        patient: false,
    });
    let pool = up.add_pool(PoolSettings {
        size: 500,
        wait_timeout: Some(Duration::from_secs(30)),
        idle_timeout: Some(Duration::from_secs(10)),
        ..PoolSettings::default()
    });
    let settings = BudgetSettings {
        headroom: s.headroom,
        instance: (i as u32) << 16 | inc,
        ..BudgetSettings::default()
    };
    let instance = settings.instance;
    let monitor_pool = up.add_monitor(Time::FAR, settings);
    let mut seed = u64::from(instance);
    let clock = match s.way {
        Way::View => (0, 1_000_000),
        Way::Ledger(_) => {
            let settings = LedgerSettings {
                instance,
                origin: origin(i, inc),
                ledger: 0,
            };
            up.share_by_ledger(Time::ZERO, &settings);
            let rate = 1_000_000 - DRIFT + mix(&mut seed) % (2 * DRIFT);
            (mix(&mut seed) % AHEAD, rate)
        }
    };
    let flow = up.flow(pool, "clients");
    MemberState {
        up,
        pool,
        flow,
        monitor_pool,
        inc,
        alive: false,
        silent: false,
        monitor: None,
        blind_since: None,
        sees_since: 0,
        active: 0,
        asleep: vec![true; s.clients as usize],
        cut_store: false,
        cut_server: false,
        heard_at: 0,
        counted: 0,
        clock,
        instance,
    }
}

impl MemberState {
    pub(super) fn lives(&self, inc: u32) -> bool {
        self.alive && self.inc == inc
    }

    pub(super) fn is_monitor(&self, inc: u32, conn: ConnId) -> bool {
        self.inc == inc
            && self
                .up
                .conn(conn)
                .is_some_and(|c| c.pool == self.monitor_pool)
    }

    /// Its number in this life.
    pub(super) fn instance(&self) -> u32 {
        self.instance
    }

    /// What its clock shows.
    pub(super) fn local(&self, now: u64) -> Time {
        let (ahead, rate) = self.clock;
        Time::from_micros(ahead + now * rate / 1_000_000)
    }

    /// Connections charged to it, apart from its monitor session.
    pub(super) fn charged(&self) -> u32 {
        let monitors = self.up.conns().filter(|c| c.pool == self.monitor_pool);
        self.up.charged() - monitors.count() as u32
    }

    /// Connections in use.
    pub(super) fn used(&self, now: Time) -> u32 {
        let f = self.up.figures(self.pool, now);
        f.lent + f.opening + f.closing
    }

    pub(super) fn waiting(&self, now: Time) -> u32 {
        self.up.figures(self.pool, now).waiting
    }

    /// Several clients wait for want of a share.
    pub(super) fn lacks(&self, now: Time) -> bool {
        self.alive && self.waiting(now) > 4 && self.charged() >= self.up.budget().claim
    }
}

impl Fleet {
    #[cfg(test)]
    pub(super) fn plant(&mut self, i: usize) {
        use super::Plant;
        match self.s.plant {
            Some(Plant::RaiseUnseen) => self.members[i].up.plant(pool::Fault::RaiseUnseen),
            Some(Plant::KeepUnused) => self.members[i].up.plant(pool::Fault::KeepUnused),
            Some(Plant::Ledger(fault)) => self.members[i].up.plant_in_ledger(fault),
            None => {}
        }
    }

    #[cfg(not(test))]
    pub(super) fn plant(&mut self, _: usize) {}

    pub(super) fn tick(&mut self, i: usize) {
        if !self.members[i].alive {
            return;
        }
        self.at(100_000, Event::Tick(i));
        let now = self.members[i].local(self.now);
        self.members[i].up.tick(now);
        if let Err(error) = self.members[i].up.check_invariants() {
            self.broken(format!("instance {i}: {error}"));
        }
        self.drain(i);
        self.monitor_turn(i);
        self.ledger_turn(i);
        self.drain(i);
        if self.is_draining(i) {
            self.leaves(i);
        }
        if !self.watches_shares() {
            self.check_unused();
        }
    }

    /// What is charged to it may have changed.
    pub(super) fn recount(&mut self, i: usize) {
        let member = &mut self.members[i];
        let charged = if member.alive { member.charged() } else { 0 };
        self.total = self.total + charged - member.counted;
        self.members[i].counted = charged;
    }

    fn monitor_turn(&mut self, i: usize) {
        let now = self.members[i].local(self.now);
        let member = &mut self.members[i];
        let (Some(conn), inc) = (member.monitor, member.inc) else {
            return;
        };
        match member.up.monitor_step(now) {
            MonitorStep::Rest => {}
            MonitorStep::Close => {
                member.monitor = None;
                member.up.closing(now, conn);
                let delay = self.latency();
                self.at(delay, Event::Ends(i, inc, (conn.slot, conn.generation)));
            }
            MonitorStep::Ask(name) | MonitorStep::AskFrom(name) => {
                let delay = self.latency();
                let conn = (conn.slot, conn.generation);
                self.at(delay, Event::Asked(i, inc, conn, name));
            }
        }
        self.drain(i);
    }

    pub(super) fn told(&mut self, i: usize, inc: u32, answer: u64) {
        let told: Option<Told> = self.answers[answer as usize].take();
        let (now, silent) = (self.members[i].local(self.now), self.members[i].silent);
        let Some((reading, origins)) = told.filter(|_| self.members[i].lives(inc) && !silent)
        else {
            return;
        };
        self.out.readings += 1;
        if self.members[i].blind_since.take().is_some() {
            self.members[i].sees_since = self.now;
        }
        self.members[i].up.ledger_origins(origins);
        self.members[i].up.monitor_heard(now, &reading);
        self.drain(i);
        self.monitor_turn(i);
    }

    pub(super) fn opened(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let now = self.members[i].local(self.now);
        if !self.members[i].lives(inc) {
            // Nobody is there any more: the server notices.
            return self.ends(i, inc, conn);
        }
        let monitor = self.members[i].is_monitor(inc, id(conn));
        let member = &mut self.members[i];
        member.up.opened(now, id(conn), WorkerId(0), conn.0);
        if monitor {
            let (pool, client) = (member.monitor_pool, client(inc, MONITOR));
            match member.up.checkout(now, pool, client, FlowId(0)) {
                Checkout::Granted { conn, .. } => member.monitor = Some(conn),
                _ => drop(member.up.cancel_wait(now, client, pool)),
            }
            self.note_line();
        }
        self.drain(i);
        self.monitor_turn(i);
    }

    pub(super) fn full(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        self.out.full += 1;
        let now = self.members[i].local(self.now);
        if self.members[i].lives(inc) {
            self.members[i].up.open_full(now, id(conn), false);
            self.drain(i);
        }
    }

    pub(super) fn failed(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let now = self.members[i].local(self.now);
        if self.members[i].lives(inc) {
            let text = "cut off".into();
            self.members[i].up.open_failed(now, id(conn), false, text);
            self.drain(i);
        }
    }

    pub(super) fn closed(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let now = self.members[i].local(self.now);
        if self.members[i].lives(inc) {
            self.members[i].up.closed(now, id(conn));
            self.note_line();
            self.drain(i);
        }
    }

    // --- clients ---

    /// So many clients are at work from now on.
    pub(super) fn load(&mut self, i: usize) {
        let delay = self.rng.range(2_000_000, 15_000_000);
        if self.members[i].alive {
            self.at(delay, Event::Load(i));
            let most = u64::from(self.s.clients);
            let quiet = self.rng.permille(250);
            self.members[i].active = match quiet {
                true => self.rng.below(3) as u32,
                false => self.rng.below(most + 1) as u32,
            };
            self.wake(i);
        }
    }

    /// Clients that are at work from now on want something soon.
    pub(super) fn wake(&mut self, i: usize) {
        let (inc, active) = (self.members[i].inc, self.members[i].active);
        for client in 0..active {
            let asleep = &mut self.members[i].asleep[client as usize];
            if std::mem::take(asleep) {
                let delay = self.rng.below(400_000);
                self.at(delay, Event::Wants(i, inc, client));
            }
        }
    }

    pub(super) fn wants(&mut self, i: usize, inc: u32, c: u32) {
        if !self.members[i].lives(inc) {
            return;
        }
        if c >= self.members[i].active {
            self.members[i].asleep[c as usize] = true;
            return;
        }
        let now = self.members[i].local(self.now);
        let member = &mut self.members[i];
        let (pool, flow) = (member.pool, member.flow);
        let answer = member.up.checkout(now, pool, client(inc, c), flow);
        match answer {
            Checkout::Granted { conn, .. } => self.holds(i, inc, c, conn),
            Checkout::Queued => {}
            Checkout::Refused(_) => self.again(i, inc, c),
        }
        self.drain(i);
    }

    fn holds(&mut self, i: usize, inc: u32, c: u32, conn: ConnId) {
        self.out.grants += 1;
        let (least, most) = self.s.holds;
        let delay = self.rng.range(least, most);
        let conn = (conn.slot, conn.generation);
        self.at(delay, Event::Back(i, inc, c, conn));
    }

    fn again(&mut self, i: usize, inc: u32, c: u32) {
        let (least, most) = self.s.rests;
        let delay = self.rng.range(least, most);
        self.at(delay, Event::Wants(i, inc, c));
    }

    pub(super) fn back(&mut self, i: usize, inc: u32, c: u32, conn: (u32, u32)) {
        if !self.members[i].lives(inc) {
            return;
        }
        let now = self.members[i].local(self.now);
        if let Checkin::Close(_) = self.members[i].up.checkin(now, id(conn), None) {
            let delay = self.latency();
            self.at(delay, Event::Ends(i, inc, conn));
        }
        self.again(i, inc, c);
        self.drain(i);
    }

    /// What the pools want done.
    pub(super) fn drain(&mut self, i: usize) {
        let inc = self.members[i].inc;
        self.recount(i);
        while let Some(action) = self.members[i].up.poll() {
            match action {
                Action::Open { conn, pool, .. } => {
                    if pool != self.members[i].monitor_pool {
                        self.check_open(i);
                    }
                    let delay = self.latency();
                    let conn = (conn.slot, conn.generation);
                    self.at(delay, Event::Arrives(i, inc, conn));
                }
                Action::Grant { client, conn, .. } => self.holds(i, inc, client.slot, conn),
                Action::Close { conn, .. } => {
                    let delay = self.latency();
                    self.at(delay, Event::Ends(i, inc, (conn.slot, conn.generation)));
                }
                Action::Refuse { client, .. } => {
                    self.out.refused += 1;
                    self.again(i, inc, client.slot);
                }
                Action::Handover { .. }
                | Action::Reclaim { .. }
                | Action::Leave { .. }
                | Action::Oust { .. } => {
                    self.broken(format!("nobody asked for {action:?}"));
                }
            }
        }
    }
}

fn client(inc: u32, slot: u32) -> ClientId {
    ClientId {
        worker: WorkerId(0),
        generation: inc,
        slot,
    }
}
