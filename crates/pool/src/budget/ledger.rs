//! The line shared through a store, for fleets that are too large for the view.
//!
//! The store has linearizable compare-and-swap and leases (etcd). Nothing here
//! talks to it: [`Ask`]s come out, [`Answer`]s go in, and the claim that follows
//! is the one that the pools act on, as with the view.
//!
//! ```text
//!  key                written by     what stands there
//!  seat/0 … seat/2    who sits       instance; under a lease of 3 s. Seat 0 is the keeper
//!  quota/SHARD        the keeper     quota, level, turn, line
//!  rows/SHARD         its members    instance, origin, claim, needs, held: one row each
//!  alive/INSTANCE     the instance   nothing; under a lease of 6 s
//! ```
//!
//! An instance reads and writes one shard, that of its number: some ten rows of
//! 10,000. Only the keeper reads all shards, what changed of them twice a second,
//! and only those who sit have a monitor session.
//!
//! **Rules.** `e` is what an instance acts on, `claim` its row's, `quota` a shard's.
//!
//! 1. A row is raised by a transaction that compares the versions of quota and
//!    rows, to `Σ claim ≤ quota` at most. Then, once it was answered, `e ≤ claim`.
//! 2. To lower: `e` at once, what is above it is closed, then the row.
//! 3. A write without an answer may still be done, until the rows' version moved:
//!    so long `e` is not raised, and the next write is what moves it.
//! 4. Quotas are written by the keeper alone: each write compares the version of
//!    its seat, and that of the quota. It raises them only within
//!    `line − Σ max(quota, claimed, what a lost write of its own may have set)`,
//!    all read at one revision.
//! 5. A row leaves with its instance. When the instance's lease has ended, the keeper takes
//!    it out in a transaction that compares that there is still no lease, once a
//!    reading of the server asked for after the end of the lease shows less of
//!    its connections than `trace` of what it stated, or after [`HOLD`]. The
//!    instance knows by its own clock when its lease may have ended, earlier than the store, and
//!    from then on its `e` is no more than what it holds if that is less than
//!    this trace, or after `HOLD` in any case.
//!
//! **The sum of all `e` never exceeds a line that stands still.** At every revision
//! of the store `Σ claim ≤ line`: let `b = max(quota, claimed)` of a shard at some
//! revision. By rule 1 its claims stay at or below `b` until its quota is raised, and by 4 that
//! happens only so that the sum of all `b` stays at or below the line; a keeper
//! that was replaced cannot write, and one that does not know whether it wrote
//! counts it. And `e ≤ claim` for each instance at each time: by 1 it holds when
//! `e` is raised; nobody else changes the row but by rule 5, and no write of its own
//! lowers it later than it knows, by 3. After rule 5 what it holds counts as
//! others', like any connection that no row explains, and takes part in no sum.
//!
//! **When the line falls** the keeper lowers quotas as soon as it has read it. A
//! member that sees its shard above its quota opens nothing above its part of the
//! quota, gives what it does not use, and after `OVER_MAX` all
//! in the shard cut to one level.
//!
//! **Clocks** are never compared: leases are spans that the store measures, and
//! what an instance does about its own it does a fifth earlier, by its own clock.

mod fault;
mod holder;
mod keeper;
mod rows;
mod seats;
#[cfg(test)]
mod tests;

use super::reading::Sitter;
use super::{Reading, Usage};
use events::Time;
#[cfg(not(feature = "plant"))]
use fault::LedgerFault;
#[cfg(feature = "plant")]
pub use fault::LedgerFault;
use holder::Holder;
use keeper::Keeper;
use rows::Sent;
pub use rows::{
    Answer, Ask, Erased, Gone, News, Op, Origin, Quota, ROWS_MAX, Row, SEATS, SHARDS, Seat, Shard,
    TakenOut,
};
use seats::Seats;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the store keeps an instance's lease without news of it.
pub const LEASE: Duration = Duration::from_secs(6);
/// A seat's lease: shorter, because all wait for the keeper.
pub const SEAT_LEASE: Duration = Duration::from_secs(3);
/// A question is given up after so long.
pub const STORE_ANSWER_MAX: Duration = Duration::from_secs(1);
/// So long the claim of an instance without a lease is kept free when the server
/// cannot tell whether it lives.
pub const HOLD: Duration = Duration::from_secs(600);
/// After the store has forgotten, nobody raises anything for so long: all that reach
/// it have noticed by then.
const FORGOTTEN_WAIT: Duration = Duration::from_secs(10);
/// The keeper divides so much earlier: what it allots is there when others may raise.
const FORGOTTEN_LEAD: Duration = Duration::from_secs(4);
/// So long after it claims without a quota are no news: quotas are being set again.
const FORGOTTEN_CALM: Duration = Duration::from_secs(60);
/// Origins that are remembered; with more all are learned anew.
const ORIGINS_MAX: usize = 16_384;

/// This instance in a ledger.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Unlike that of any other member.
    pub instance: u32,
    /// Where its connections come from.
    pub origin: Origin,
    /// Tells this ledger from another one that somebody keeps for the same server.
    pub ledger: u16,
}

/// One instance's part in the ledger of one server.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    holder: Holder,
    seats: Seats,
    keeper: Option<Keeper>,
    id: u16,
    /// Rows of the server by where they come from, as of the reading that follows.
    origins: Vec<(Origin, u32)>,
    /// Those of which the server does not say.
    hidden: u32,
    /// Origins that showed something: only their silence tells anything.
    shown: BTreeSet<Origin>,
    /// Sessions of the fleet that share otherwise, as of the last reading.
    strangers: u32,
    /// The store has forgotten: nothing is raised before.
    thaws: Time,
    seq: u32,
    fault: Option<LedgerFault>,
}

impl Ledger {
    pub(crate) fn new(now: Time, settings: &LedgerSettings) -> Ledger {
        Ledger {
            holder: Holder::new(now, settings),
            seats: Seats::new(now, settings.instance),
            keeper: None,
            id: settings.ledger,
            origins: Vec::new(),
            hidden: 0,
            shown: BTreeSet::new(),
            strangers: 0,
            thaws: Time::ZERO,
            seq: 0,
            fault: None,
        }
    }

    #[cfg(feature = "plant")]
    pub(crate) fn plant(&mut self, fault: LedgerFault) {
        self.fault = Some(fault);
    }

    // --- what follows for the budget ---

    /// `e`.
    pub(crate) fn claim(&self) -> u32 {
        self.holder.claim()
    }

    /// The most that the store may have of it.
    pub(crate) fn published(&self) -> u32 {
        self.holder.published()
    }

    /// Most connections to open, and to keep.
    pub(crate) fn limits(&self) -> (u32, u32) {
        self.holder.limits()
    }

    /// The fleet's line, as the keeper stated it last.
    pub(crate) fn line(&self) -> u32 {
        self.holder.line()
    }

    /// It has a row: what the store said was heard.
    pub(crate) fn joined(&self) -> bool {
        self.holder.joined()
    }

    /// For whoever reads a failure.
    pub(crate) fn told(&self) -> String {
        format!("{:?}", self.holder)
    }

    /// It has no row, nor may a lost write have made one.
    pub(crate) fn left(&self) -> bool {
        self.holder.left()
    }

    /// Its lease may have ended.
    pub(crate) fn is_blind(&self) -> bool {
        self.holder.is_blind()
    }

    /// A monitor session is wanted.
    pub(crate) fn reads(&self) -> bool {
        self.seats.seated()
    }

    /// The keeper needs a reading soon.
    pub(crate) fn doubtful(&self) -> bool {
        self.keeper.as_ref().is_some_and(Keeper::doubtful)
    }

    // --- facts ---

    /// Time went on, or what is held changed.
    pub(crate) fn follow(&mut self, now: Time, usage: &Usage, most: u32) {
        self.holder.follow(now, usage, most, self.fault);
        self.seats.follow(now);
        if self.seats.keeper().is_none() {
            self.keeper = None;
        }
    }

    /// A connection less: see rule 5.
    pub(crate) fn lost(&mut self, usage: &Usage) {
        self.holder.lost(usage);
    }

    /// Where its connections come from.
    pub(crate) fn comes_from(&mut self, origin: Origin) {
        self.holder.comes_from(origin);
    }

    /// Rows of the server by origin: tell this just before the reading itself.
    pub(crate) fn origins(&mut self, rows: Vec<(Origin, u32)>) {
        self.origins = rows;
    }

    /// As the reading itself has them.
    pub(crate) fn take_origins(&mut self, reading: &Reading) {
        let from = reading.from.iter();
        let mut rows: BTreeMap<Origin, u32> = BTreeMap::new();
        for (address, count) in from {
            *rows.entry(Origin::of(*address)).or_default() += count;
        }
        rows.insert(Origin::LOCAL, reading.local);
        self.hidden = reading.hidden;
        self.origins = rows.into_iter().collect();
    }

    /// Sessions of this fleet that share the line otherwise: by the view, or by
    /// another ledger.
    pub(crate) fn strangers(&self) -> u32 {
        self.strangers
    }

    /// It reads the server for all, and allots.
    pub(crate) fn keeps(&self) -> bool {
        self.keeper.is_some()
    }

    /// Nothing is raised, because the store has forgotten.
    pub(crate) fn frozen(&self, now: Time) -> bool {
        now < self.thaws
    }

    /// What a monitor session of this instance states.
    pub(crate) fn name(&self, fleet: &str, held: u32) -> String {
        let sitter = Sitter {
            instance: self.holder.instance(),
            claim: self.keeper.as_ref().map_or(0, Keeper::allotted),
            held,
            ledger: self.id,
        };
        sitter.name(fleet)
    }

    /// The store is not what it was: its revision went back, it is another one, or
    /// somebody has deleted keys. What all act on still fits under the line, so each writes that down anew;
    /// nothing is raised until all must have noticed.
    pub(crate) fn forgotten(&mut self, now: Time) {
        self.thaws = now.after(FORGOTTEN_WAIT);
        self.holder.forgotten(self.thaws);
        self.seats.forgotten(now);
        self.keeper = None;
    }

    /// The server's figures, asked for at `asked`.
    pub(crate) fn read(
        &mut self,
        now: Time,
        asked: Time,
        reading: &Reading,
        fleet: &str,
        headroom: u32,
    ) {
        self.seats.saw(now);
        let others = reading.sitters(fleet);
        let others = others.iter().filter(|sitter| sitter.ledger != self.id);
        let seen = keeper::Seen {
            origins: std::mem::take(&mut self.origins),
            hidden: self.hidden,
            other_ledgers: others.clone().map(|sitter| sitter.claim).sum(),
        };
        self.strangers = (reading.members(fleet).len() + others.count()) as u32;
        let there = seen.origins.iter().filter(|(_, rows)| *rows > 0);
        self.shown.extend(there.map(|(origin, _)| *origin));
        if self.shown.len() > ORIGINS_MAX {
            self.shown.clear();
        }
        let figures = keeper::Figures::new((asked, now), reading, seen, fleet, headroom);
        self.seats.figures = Some(figures);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if let Some(keeper) = &mut self.keeper
            && let Some(figures) = self.seats.figures.take()
        {
            keeper.read(figures);
        }
    }

    /// The store's answer to a question, and what of it is to be told.
    pub(crate) fn heard(&mut self, now: Time, seq: u32, answer: Answer) -> Option<News> {
        let news = self.take(now, seq, answer);
        if let Some(News::Erased(_)) = news {
            self.forgotten(now);
        }
        news
    }

    fn take(&mut self, now: Time, seq: u32, answer: Answer) -> Option<News> {
        match answer {
            Answer::Same => self.holder.same(now, seq),
            Answer::Shard(shard) => {
                let erased = self.holder.shard(now, seq, shard);
                return erased.map(News::Erased);
            }
            Answer::Wrote(done, shard) => {
                let erased = self.holder.wrote(now, seq, done, shard);
                return erased.map(News::Erased);
            }
            Answer::Renewed => self.holder.renewed(seq),
            Answer::Seats(seats) => {
                self.seats.heard(now, seq, &seats);
                match (self.seats.keeper(), &mut self.keeper) {
                    (Some(fence), Some(keeper)) if keeper.fence() == fence => {}
                    (Some(fence), keeper) => *keeper = Some(Keeper::new(now, fence)),
                    (None, keeper) => *keeper = None,
                }
                self.hand_over();
            }
            Answer::Swept {
                revision,
                shards,
                gone,
            } => {
                let fault = self.fault;
                let calm = self.thaws == Time::ZERO || now >= self.thaws.after(FORGOTTEN_CALM);
                let keeper = self.keeper.as_mut()?;
                let erased = keeper.erased(seq, &shards, calm);
                if erased.is_some() {
                    return erased.map(News::Erased);
                }
                keeper.shown(&self.shown);
                keeper.swept(now, seq, revision, shards, &gone, fault);
            }
            Answer::Put(done) => {
                let out = self.keeper.as_mut()?.put(seq, &done);
                return (!out.is_empty()).then_some(News::TakenOut(out));
            }
        }
        None
    }

    // --- wishes ---

    /// The next question, if there is one now.
    pub(crate) fn step(&mut self, now: Time, usage: &Usage, leaving: bool) -> Option<Ask> {
        let seq = self.seq.wrapping_add(1);
        let sent = Sent { seq, at: now };
        let op = self
            .holder
            .step(sent, usage, leaving)
            .or_else(|| self.seats.step(sent, self.holder.members(), leaving))
            .or_else(|| {
                // All must have written what they have before it is divided anew.
                let early = now.after(FORGOTTEN_LEAD) < self.thaws;
                self.keeper.as_mut().filter(|_| !early)?.step(sent)
            })?;
        self.seq = seq;
        Some(Ask { seq, op })
    }
}
