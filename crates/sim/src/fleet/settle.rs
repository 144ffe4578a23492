//! The fleet as a whole, four times a second: are shares where they belong, how
//! long has nobody used what somebody waits for, and how long did that take after
//! each change?

use super::{Event, Fleet, Way};
use std::collections::VecDeque;
use std::time::Duration;

/// Between two looks, µs.
const LOOK: u64 = 250_000;
/// Looks that are remembered: ten seconds.
const LOOKS: usize = 40;
/// A unit that somebody waits for may lie unused for so many looks: five seconds.
const UNUSED: usize = 20;
/// An instance may lack something for so many looks while more is free than is loose: ten
/// seconds.
const LACKED: usize = 40;
/// Shares are settled again when they have been for so long, µs.
const SETTLED: u64 = 1_000_000;
/// A store that is slower, µs, or loses more of a thousand questions, holds up shares;
/// the line is kept all the same.
const LATENCY_MAX: u64 = 50_000;
const LOST_MAX: u32 = 10;
/// So much may be on its way at any time: as many units, or a hundredth of the line.
const LOOSE: u32 = 4;

/// What is remembered of one instance, the latest first.
#[derive(Default, Clone)]
struct Past {
    claim: VecDeque<u32>,
    used: VecDeque<u32>,
    /// Looks without a break at which it lacked something.
    lacked: usize,
}

/// What the looks remember.
#[derive(Default)]
pub(super) struct Shares {
    past: Vec<Past>,
    /// Looks without a break at which more was lacked than is loose, and at which more
    /// was free.
    lacked: usize,
    roomy: usize,
    /// What nobody claimed at each look, and what was claimed anew since the one before.
    unclaimed: VecDeque<(u32, u32)>,
    claims: Vec<u32>,
    /// Changes, and for how long shares were unsettled at a stretch after each.
    changes: Vec<(u64, u64)>,
    /// Since when they have been unsettled, and when they were seen so last.
    stretch: Option<(u64, u64)>,
}

impl Shares {
    /// Something changed: from now on it is measured how long shares take to settle.
    pub(super) fn changes(&mut self, now: u64) {
        self.changes.push((now, 0));
        self.stretch = None;
    }
}

/// The most that was in use and the least that was claimed, over ever more looks:
/// adds what was unused all the time to each sum.
fn add_unused(past: &Past, sums: &mut [u32; LOOKS]) {
    let (mut claim, mut used) = (u32::MAX, 0);
    for (n, sum) in sums.iter_mut().enumerate() {
        let (Some(c), Some(u)) = (past.claim.get(n), past.used.get(n)) else {
            return;
        };
        claim = claim.min(*c);
        used = used.max(*u);
        if used >= claim {
            return;
        }
        *sum += claim - used;
    }
}

/// The level at which needs are cut so that they fit: what is fair, computed here
/// once more and not by the code that is judged.
fn level(free: u32, needs: &[u32]) -> u32 {
    let fits = |level: u32| needs.iter().map(|n| (*n).min(level)).sum::<u32>() <= free;
    let (mut low, mut high) = (0, needs.iter().max().copied().unwrap_or(0) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match fits(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

/// What one look found.
#[derive(Default)]
struct Look {
    line: u32,
    /// Claims of instances that cannot be reached: kept free.
    kept: u32,
    /// Claims of instances that ended without a word: to be taken out.
    gone: u32,
    /// Claims of all, and of those that can be reached.
    claimed: u32,
    lacked: u32,
    /// With the view: somebody cannot see it.
    blind: bool,
    /// With the ledger: nobody keeps it, or the one who does reads nothing.
    kept_by_nobody: bool,
    grown: u32,
    claims: Vec<u32>,
    needs: Vec<u32>,
}

impl Fleet {
    pub(super) fn watch_shares(&mut self) {
        self.at(LOOK, Event::Watch);
        self.note_line();
        let look = self.look();
        self.check_units(&look);
        self.check_each();
        self.check_claims();
        self.note_settled(&look);
        self.follow_blind();
    }

    /// An instance that neither the store nor, with the view, the server hears.
    fn is_cut(&self, i: usize) -> bool {
        let m = &self.members[i];
        match self.s.way {
            Way::View => m.silent || m.blind_since.is_some(),
            Way::Ledger(_) => m.cut_store || m.cut_server || self.traffic.store.away,
        }
    }

    /// The store is as good as the promises of time need it.
    fn is_prompt(&self) -> bool {
        match &self.s.way {
            Way::View => true,
            Way::Ledger(store) => store.latency.1 <= LATENCY_MAX && store.lost <= LOST_MAX,
        }
    }

    fn look(&mut self) -> Look {
        let keeper = self.traffic.store.keeper(self.now);
        let mut look = Look {
            line: self.server.line(),
            kept_by_nobody: matches!(self.s.way, Way::Ledger(_)),
            ..Look::default()
        };
        self.shares.past.resize(self.members.len(), Past::default());
        self.shares.claims.resize(self.members.len(), 0);
        let mut rows: Vec<(u32, u32)> = Vec::new();
        rows.extend(self.traffic.store.rows().map(|r| (r.instance, r.claim)));
        rows.sort_unstable();
        let mut alive_ids = Vec::with_capacity(self.members.len());
        for i in 0..self.members.len() {
            let cut = self.is_cut(i);
            let draining = self.is_draining(i);
            let m = &self.members[i];
            let (now, alive) = (m.local(self.now), m.alive);
            let claim = match alive {
                true => m.up.budget().claim,
                false => 0,
            };
            let used = if alive { m.used(now) } else { 0 };
            let waiting = if alive { m.waiting(now) } else { 0 };
            let past = &mut self.shares.past[i];
            past.claim
                .push_front(if cut || draining { 0 } else { claim });
            past.used.push_front(used);
            let keeps = alive && !cut && !m.silent && keeper == Some(m.instance());
            look.kept_by_nobody &= !keeps;
            past.claim.truncate(LOOKS);
            past.used.truncate(LOOKS);
            look.grown += claim.saturating_sub(self.shares.claims[i]);
            self.shares.claims[i] = claim;
            if !alive {
                continue;
            }
            alive_ids.push(m.instance());
            look.blind |= cut && matches!(self.s.way, Way::View);
            if cut || draining {
                let row = match cut {
                    true => rows.binary_search_by_key(&m.instance(), |(i, _)| *i),
                    false => Err(0),
                };
                look.kept += row.map_or(claim, |at| rows[at].1.max(claim));
                continue;
            }
            look.claimed += claim;
            if waiting > 0 && m.charged() >= claim {
                look.lacked += waiting;
                past.lacked += 1;
            } else {
                past.lacked = 0;
            }
            look.claims.push(claim);
            look.needs.push(m.active.max(used.min(claim)));
        }
        // What the ledger keeps for those that ended, or cannot say that they need less.
        alive_ids.sort_unstable();
        let gone = |row: &&pool::ledger::Row| alive_ids.binary_search(&row.instance).is_err();
        let gone = self.traffic.store.rows().filter(gone);
        look.gone = gone.map(|row| row.claim).sum();
        look
    }

    /// Units of the line: which have been unused for how long while somebody lacked
    /// something? What nobody claims counts as given first in, first out.
    fn check_units(&mut self, look: &Look) {
        let prompt = self.is_prompt() && !self.stands();
        let shares = &mut self.shares;
        let free = look
            .line
            .saturating_sub(look.claimed + look.kept + look.gone);
        shares.unclaimed.push_front((free, look.grown));
        shares.unclaimed.truncate(LOOKS);
        // Without a keeper nothing moves between shards, until there is another one.
        // With the view a member that cannot see keeps its claim, and rows that come
        // count as others': that is no fault of those that see.
        let most = LOOSE.max(look.line / 100);
        let count = |yes: bool, looks: usize| if yes { looks + 1 } else { 0 };
        let judged = prompt && !look.blind && !look.kept_by_nobody;
        shares.lacked = count(look.lacked > most && judged, shares.lacked);
        shares.roomy = count(free > most && judged, shares.roomy);
        let mut sums = [0; LOOKS];
        for past in &shares.past {
            add_unused(past, &mut sums);
        }
        let mut given = 0;
        for (n, (free, grown)) in shares.unclaimed.iter().enumerate() {
            sums[n] += free.saturating_sub(given);
            given += grown;
        }
        let reached = shares.lacked.min(LOOKS);
        let lasts = (0..reached).rev().find(|n| sums[*n] > most).unwrap_or(0);
        let span = Duration::from_micros(LOOK * lasts as u64);
        self.out.unused = self.out.unused.max(span);
        if lasts > UNUSED {
            self.broken(format!(
                "clients wait while {} are unused, for {} ms; line {}, claimed {}, kept {}; {}",
                sums[lasts],
                span.as_millis(),
                look.line,
                look.claimed,
                look.kept,
                self.told_by_all(),
            ));
        }
    }

    /// A single instance, however few clients wait there.
    fn check_each(&mut self) {
        let roomy = self.shares.roomy;
        let starved = |past: &Past| past.lacked.min(roomy) > LACKED;
        if let Some(i) = self.shares.past.iter().position(starved) {
            self.broken(format!(
                "instance {i} lacks a share for more than 10 s, and there is one; {}",
                self.told_by_all()
            ));
        }
    }

    /// Max-min fair, nothing left that somebody lacks, nothing open above the line.
    fn note_settled(&mut self, look: &Look) {
        let loose = LOOSE.max(look.line / 100);
        let free = look.line.saturating_sub(look.kept);
        let needed: u32 = look.needs.iter().sum();
        let level = level(free, &look.needs);
        let (mut short, mut met) = (0, 0);
        for (claim, need) in look.claims.iter().zip(&look.needs) {
            short += (*need).min(level).saturating_sub(*claim);
            met += (*claim).min(*need);
        }
        let settled = short <= loose
            && met + loose >= needed.min(free)
            && self.total + self.orphans <= look.line;
        // Until the store is back nothing can settle.
        let away = self.play.away_since.is_some() || self.stands();
        if settled || away {
            return;
        }
        let (now, shares) = (self.now, &mut self.shares);
        let held = shares.stretch.filter(|(_, last)| now - last <= SETTLED);
        let since = held.map_or(now, |(since, _)| since);
        shares.stretch = Some((since, now));
        if let Some((_, longest)) = shares.changes.last_mut() {
            *longest = (*longest).max(now + LOOK - since);
        }
    }

    /// The end of the run.
    pub(super) fn closing(&mut self) {
        let spans = self
            .shares
            .changes
            .iter()
            .map(|(at, took)| (Duration::from_micros(*at), Duration::from_micros(*took)));
        self.out.settled = spans.collect();
        self.out.store = self.traffic.store.counts;
    }
}
