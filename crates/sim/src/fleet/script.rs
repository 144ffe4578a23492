//! What a script changes: loads, instances, ways, the line.

use super::{Event, Fleet, Way};
use std::time::Duration;

/// Between two batches of a rolling update, µs.
const BATCH: u64 = 4_000_000;
/// A batch that is not gone yet is looked at again after so long, µs.
const AGAIN: u64 = 250_000;
/// An instance serves so long after its start, µs: then the one that it replaces
/// gets no more clients.
const READY: u64 = 1_500_000;
/// After keys were deleted shares stand for ten seconds, and move within some more; what
/// instances act on is in the store again sooner, µs.
const ERASED: u64 = 15_000_000;
const WRITTEN_ANEW: u64 = 8_000_000;
/// A replaced instance is gone after so long, whatever it still holds, µs.
const DRAIN_MAX: u64 = 10_000_000;

/// What is cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The way to the store; with the view, that of the monitor session.
    Store,
    /// The way to the server too.
    Both,
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Clients move: another half of the instances has most of them, and all
    /// together want so many thousandths of the line.
    Loads(u64),
    /// All instances are replaced, a tenth more being there meanwhile.
    Roll,
    /// So many of a thousand instances are cut off for so long.
    Partition(u64, Cut, Duration),
    /// So many of a thousand instances are killed, and come back after so long.
    Crash(u64, Duration),
    /// Nobody reaches the store for so long.
    StoreAway(Duration),
    /// Somebody deletes all keys of the store, or only rows, as `true` says.
    Erase(bool),
    /// The server gives so many slots from now on.
    Slots(u32),
}

/// Where the script stands.
#[derive(Default)]
pub(super) struct Play {
    /// Instances that are yet to be replaced, and slots for new ones.
    old: Vec<usize>,
    spare: Vec<usize>,
    /// Since when each slot drains.
    draining: Vec<Option<u64>>,
    /// What is cut off now.
    cut: Vec<usize>,
    /// All are being replaced.
    pub(super) rolling: bool,
    /// Since when nobody reaches the store.
    pub(super) away_since: Option<u64>,
    /// When keys were deleted last.
    erased: Option<u64>,
}

impl Fleet {
    pub(super) fn begin_script(&mut self) {
        self.play.draining = vec![None; self.members.len()];
        self.play.spare = (self.s.instances..self.members.len()).collect();
        for n in 0..self.s.script.len() {
            let at = self.s.script[n].0 * 1000;
            self.at(at, Event::Script(n));
        }
    }

    pub(super) fn change(&mut self, n: usize) {
        let (_, change) = self.s.script[n];
        self.shares.changes(self.now);
        match change {
            Change::Loads(permille) => self.deal(permille),
            Change::Roll => {
                self.play.rolling = true;
                self.play.old = (0..self.s.instances).rev().collect();
                self.roll();
            }
            Change::Partition(permille, cut, lasts) => {
                for i in 0..self.members.len() {
                    if self.members[i].alive && self.rng.permille(permille as u32) {
                        self.cut_off(i, cut);
                    }
                }
                self.at(lasts.as_micros() as u64, Event::Heals(n));
            }
            Change::Crash(permille, lasts) => {
                for i in 0..self.members.len() {
                    if self.members[i].alive && self.rng.permille(permille as u32) {
                        self.kill(i, lasts.as_micros() as u64);
                    }
                }
            }
            Change::StoreAway(lasts) => {
                self.traffic.store.away = true;
                self.play.away_since = Some(self.now);
                self.at(lasts.as_micros() as u64, Event::Heals(n));
            }
            Change::Erase(rows_only) => {
                self.traffic.store.erase(rows_only);
                self.play.erased = Some(self.now);
            }
            Change::Slots(slots) => {
                self.server.slots_are(slots);
                self.note_line();
            }
        }
    }

    fn cut_off(&mut self, i: usize, cut: Cut) {
        self.play.cut.push(i);
        match self.s.way {
            Way::View => self.blinds(i),
            Way::Ledger(_) => self.members[i].cut_store = true,
        }
        if cut == Cut::Both {
            self.blinds(i);
            self.members[i].cut_server = true;
        }
    }

    /// A partition or an outage of the store is over.
    pub(super) fn heals(&mut self, n: usize) {
        self.traffic.store.away = false;
        self.play.away_since = None;
        for i in std::mem::take(&mut self.play.cut) {
            self.sees(i);
        }
        if n != usize::MAX {
            self.shares.changes(self.now);
        }
    }

    /// Clients for all that serve: `permille` thousandths of the line, three
    /// quarters of them at one half of the instances, drawn anew.
    fn deal(&mut self, permille: u64) {
        let serving: Vec<usize> = (0..self.members.len())
            .filter(|i| self.members[*i].alive && self.play.draining[*i].is_none())
            .collect();
        let total = u64::from(self.server.line()) * permille / 1000;
        let weights: Vec<u64> = serving
            .iter()
            .map(|_| match self.rng.permille(500) {
                true => 3 * self.rng.range(50, 150),
                false => self.rng.range(50, 150),
            })
            .collect();
        let sum: u64 = weights.iter().sum::<u64>().max(1);
        // Rounded so that the total is met: what is left over goes to the next.
        let mut part = self.rng.below(sum);
        for (i, weight) in serving.into_iter().zip(weights) {
            part += total * weight;
            self.members[i].active = ((part / sum) as u32).min(self.s.clients);
            part %= sum;
            self.wake(i);
        }
    }

    /// The next batch of new instances starts, once the one before is gone.
    pub(super) fn roll(&mut self) {
        if self.play.spare.len() < self.s.surge() {
            return self.at(AGAIN, Event::Roll);
        }
        if self.play.old.is_empty() {
            // Measured from its end: what follows is to settle.
            self.play.rolling = false;
            return self.shares.changes(self.now);
        }
        for new in std::mem::take(&mut self.play.spare) {
            let Some(old) = self.play.old.pop() else {
                self.play.spare.push(new);
                continue;
            };
            let late = self.rng.below(BATCH / 8);
            self.at(late, Event::Returns(new));
            self.at(late + READY, Event::Replaces(old, new));
        }
        self.at(BATCH, Event::Roll);
    }

    /// Clients of an old instance go to the new one.
    pub(super) fn replaces(&mut self, old: usize, new: usize) {
        self.members[new].active = self.members[old].active;
        self.members[old].active = 0;
        self.play.draining[old] = Some(self.now);
        self.wake(new);
        let now = self.members[old].local(self.now);
        self.members[old].up.shutdown(now);
        self.drain(old);
    }

    /// Keys were deleted a short while ago: shares stand still.
    pub(super) fn stands(&self) -> bool {
        self.play.erased.is_some_and(|at| self.now < at + ERASED)
    }

    /// So short that what is acted on may not be in the store yet.
    pub(super) fn is_erased(&self) -> bool {
        let lasts = |at| self.now < at + WRITTEN_ANEW;
        self.play.erased.is_some_and(lasts)
    }

    pub(super) fn is_draining(&self, i: usize) -> bool {
        self.play.draining.get(i).is_some_and(Option::is_some)
    }

    /// A replaced instance that holds nothing any more, and is no longer in the
    /// ledger, ends.
    pub(super) fn leaves(&mut self, i: usize) {
        let Some(since) = self.play.draining[i] else {
            return;
        };
        let member = &self.members[i];
        let done = member.up.charged() == 0 && member.up.ledger_left();
        if done || self.now > since + DRAIN_MAX {
            self.play.draining[i] = None;
            self.members[i].alive = false;
            let inc = self.members[i].inc;
            for who in self.server.rows_of(i, inc) {
                self.orphans += u32::from(!self.server.is_monitor(who));
                self.at(0, Event::Ends(i, inc, who.conn));
            }
            self.recount(i);
            self.play.spare.push(i);
        }
    }
}
