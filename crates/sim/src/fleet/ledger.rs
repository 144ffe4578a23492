//! Questions of the instances on their way to the store, and back.

use super::store::Store;
use super::{Event, Fleet, Way};
use pool::ledger::{Answer, Ask};

/// A question that is late reaches the store after so long, µs: its sender has
/// given it up.
const LATE: (u64, u64) = (1_000_000, 8_000_000);

/// One question, and then its answer.
struct Under {
    member: usize,
    inc: u32,
    instance: u32,
    seq: u32,
    way: Leg,
}

enum Leg {
    There(Ask, u64),
    Back(Answer),
    Done,
}

/// The store and what is on the way.
pub(super) struct Traffic {
    pub(super) store: Store,
    under: Vec<Under>,
    free: Vec<usize>,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            store: Store::new(),
            under: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl Traffic {
    fn push(&mut self, under: Under) -> usize {
        match self.free.pop() {
            Some(n) => {
                self.under[n] = under;
                n
            }
            None => {
                self.under.push(under);
                self.under.len() - 1
            }
        }
    }
}

impl Fleet {
    /// What instance `i` asks of the store now.
    pub(super) fn ledger_turn(&mut self, i: usize) {
        let Way::Ledger(setup) = &self.s.way else {
            return;
        };
        let (latency, lost) = (setup.latency, setup.lost);
        loop {
            let now = self.members[i].local(self.now);
            let Some(ask) = self.members[i].up.ledger_step(now) else {
                return;
            };
            if self.members[i].cut_store || self.traffic.store.away {
                continue;
            }
            let there = self.rng.range(latency.0, latency.1) / 2;
            let back = self.rng.range(latency.0, latency.1) / 2;
            let mut delay = there;
            if self.rng.permille(lost) {
                match self.rng.below(2) {
                    0 => continue,
                    _ => delay = self.rng.range(LATE.0, LATE.1),
                }
            }
            let member = &self.members[i];
            let under = Under {
                member: i,
                inc: member.inc,
                instance: member.instance(),
                seq: ask.seq,
                way: Leg::There(ask, back),
            };
            let n = self.traffic.push(under);
            self.at(delay, Event::Asks(n));
        }
    }

    pub(super) fn asks(&mut self, n: usize) {
        let Way::Ledger(setup) = &self.s.way else {
            return;
        };
        let (rate, lost) = (setup.rate, setup.lost);
        let under = &mut self.traffic.under[n];
        let (i, instance) = (under.member, under.instance);
        let Leg::There(ask, back) = std::mem::replace(&mut under.way, Leg::Done) else {
            return;
        };
        // A question that is late was sent before the way was cut.
        if self.traffic.store.away || self.members[i].cut_store {
            return self.traffic.free.push(n);
        }
        let done_at = self.traffic.store.turn(self.now, rate);
        let answer = self.traffic.store.apply(self.now, instance, ask.op);
        if self.rng.permille(lost) {
            return self.traffic.free.push(n);
        }
        self.traffic.under[n].way = Leg::Back(answer);
        self.at(done_at - self.now + back, Event::Answers(n));
    }

    pub(super) fn answers(&mut self, n: usize) {
        let under = &mut self.traffic.under[n];
        let (i, inc, seq) = (under.member, under.inc, under.seq);
        let way = std::mem::replace(&mut under.way, Leg::Done);
        self.traffic.free.push(n);
        let member = &mut self.members[i];
        let Leg::Back(answer) = way else { return };
        if !member.lives(inc) || member.cut_store || self.traffic.store.away {
            return;
        }
        member.heard_at = self.now;
        member.blind_since = None;
        let now = member.local(self.now);
        member.up.ledger_heard(now, seq, answer);
        self.drain(i);
        self.ledger_turn(i);
        self.drain(i);
    }

    /// Nobody acts on more than the ledger has of it. Who was taken out acts on
    /// what it holds, and the server shows that.
    pub(super) fn check_claims(&mut self) {
        if matches!(self.s.way, Way::View) || self.is_erased() {
            return;
        }
        let mut rows: Vec<(u32, u32)> = Vec::new();
        rows.extend(
            self.traffic
                .store
                .rows()
                .map(|row| (row.instance, row.claim)),
        );
        rows.sort_unstable();
        for i in 0..self.members.len() {
            let member = &self.members[i];
            let claim = member.up.budget().claim;
            if !member.alive || claim == 0 {
                continue;
            }
            let found = rows.binary_search_by_key(&member.instance(), |(instance, _)| *instance);
            let most = match found {
                Ok(at) => rows[at].1,
                Err(_) => member.charged(),
            };
            if claim > most {
                let told = self.traffic.store.told(member.instance());
                return self.broken(format!(
                    "instance {i} acts on {claim}, and the ledger has {most} of it{told}; {:?}",
                    member.up.ledger_state()
                ));
            }
        }
    }
}
