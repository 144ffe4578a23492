//! The keeper: who reads the server, allots quotas and takes out who is gone.

mod plan;

use super::rows::{Erased, Gone, Op, Origin, PUTS_MAX, Quota, Row, SHARDS, Sent, Shard, TakenOut};
use super::{HOLD, LedgerFault, STORE_ANSWER_MAX};
use crate::budget::Reading;
use crate::budget::peers::trace;
use events::Time;
use plan::Plan;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Between two looks at all shards.
const SWEEP: Duration = Duration::from_millis(500);
/// What a division leaves over goes to others after so long, where it matters: see
/// `plan.rs`.
const TURN: Duration = Duration::from_secs(10);

/// What a reading shows beside the figures.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) origins: Vec<(Origin, u32)>,
    /// Rows of which the server does not say where they come from.
    pub(super) hidden: u32,
    /// What other ledgers of this fleet may open on the same server.
    pub(super) other_ledgers: u32,
}

/// The server's figures, as the keeper needs them.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    asked: Time,
    heard: Time,
    /// What the fleet may hold if nobody else had anything.
    best: u32,
    backends: u32,
    by_origin: BTreeMap<Origin, u32>,
    hidden: u32,
}

impl Figures {
    pub(super) fn new(
        (asked, heard): (Time, Time),
        reading: &Reading,
        seen: Seen,
        fleet: &str,
        headroom: u32,
    ) -> Figures {
        let by_view = reading.members(fleet);
        let monitors = (by_view.len() + reading.sitters(fleet).len()) as u32;
        // Who shares otherwise may open up to its claim; what it holds is others' already.
        let claimed = by_view.iter().map(|m| m.claim.saturating_sub(m.held));
        let kept = claimed.sum::<u32>() + seen.other_ledgers;
        Figures {
            asked,
            heard,
            best: reading.parts(kept, monitors, headroom).line,
            backends: reading.backends.saturating_sub(monitors),
            by_origin: seen.origins.into_iter().collect(),
            hidden: seen.hidden,
        }
    }

    fn rows_of(&self, origin: Origin) -> u32 {
        self.by_origin.get(&origin).copied().unwrap_or(0)
    }
}

/// A member without a lease.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    since: Time,
    /// It is gone, and how that is known.
    over: Option<Gone>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    fence: u64,
    revision: u64,
    shards: Vec<Shard>,
    /// By shard: what a write that was not answered may have set.
    risk: Vec<u32>,
    ghosts: BTreeMap<u32, Ghost>,
    /// Waits for a look at the shards that begins after it was heard.
    figures: Option<Figures>,
    line: Option<u32>,
    /// Origins that showed something at any time.
    shown: BTreeSet<Origin>,
    turn: u32,
    turn_at: Time,
    sweep_at: Time,
    asked: Option<(Sent, Op)>,
    next: VecDeque<Op>,
}

impl Keeper {
    pub(super) fn new(now: Time, fence: u64) -> Keeper {
        Keeper {
            fence,
            revision: 0,
            shards: vec![Shard::default(); SHARDS as usize],
            risk: vec![0; SHARDS as usize],
            ghosts: BTreeMap::new(),
            figures: None,
            line: None,
            shown: BTreeSet::new(),
            turn: fence as u32,
            turn_at: now.after(TURN),
            sweep_at: now,
            asked: None,
            next: VecDeque::new(),
        }
    }

    pub(super) fn fence(&self) -> u64 {
        self.fence
    }

    /// A reading would tell whether somebody lives.
    pub(super) fn doubtful(&self) -> bool {
        self.figures.is_none() && self.ghosts.values().any(|ghost| ghost.over.is_none())
    }

    pub(super) fn shown(&mut self, origins: &BTreeSet<Origin>) {
        if self.shown.len() != origins.len() {
            self.shown.clone_from(origins);
        }
    }

    /// The most that all members may open together.
    pub(super) fn allotted(&self) -> u32 {
        let bound = |shard: &Shard| shard.quota.quota.max(shard.claimed());
        self.shards.iter().map(bound).sum()
    }

    pub(super) fn read(&mut self, figures: Figures) {
        self.figures = Some(figures);
    }

    // --- questions ---

    pub(super) fn step(&mut self, sent: Sent) -> Option<Op> {
        let late = |sent: &Sent, now: Time| now.since(sent.at) >= STORE_ANSWER_MAX;
        if let Some((_, op)) = self.asked.take_if(|(s, _)| late(s, sent.at)) {
            // It may be done, or be done later.
            if let Op::Allot { quotas, .. } = op {
                for (shard, quota) in quotas {
                    let risk = &mut self.risk[shard as usize];
                    *risk = quota.quota.max(*risk);
                }
            }
            self.next.clear();
        }
        if self.asked.is_some() {
            return None;
        }
        let op = match self.next.pop_front() {
            Some(op) => op,
            None if sent.at < self.sweep_at => return None,
            None => {
                self.sweep_at = sent.at.after(SWEEP);
                Op::Sweep {
                    since: self.revision,
                }
            }
        };
        self.asked = Some((sent, op.clone()));
        Some(op)
    }

    /// Quotas or rows were set: which, the next look tells. Who was taken out is the
    /// answer.
    pub(super) fn put(&mut self, seq: u32, done: &[u32]) -> Vec<TakenOut> {
        let Some((_, op)) = self.asked.take_if(|(sent, _)| sent.seq == seq) else {
            return Vec::new();
        };
        match op {
            Op::Allot { .. } => {
                // Nothing older can be done any more.
                for shard in done {
                    self.risk[*shard as usize] = 0;
                }
                Vec::new()
            }
            Op::Reap { shards, .. } => {
                let out = shards.iter().filter(|(shard, ..)| done.contains(shard));
                let rows = out.flat_map(|(shard, _, gone)| {
                    let rows = &self.shards[*shard as usize].rows;
                    rows.iter().filter(|row| gone.contains(&row.instance))
                });
                let told = rows.filter_map(|row| {
                    let why = self.ghosts.get(&row.instance)?.over?;
                    let (instance, claim) = (row.instance, row.claim);
                    Some(TakenOut {
                        instance,
                        claim,
                        why,
                    })
                });
                told.collect()
            }
            _ => Vec::new(),
        }
    }

    /// What somebody has deleted, by a look that is taken next. A claim stands on a
    /// quota, so one without a quota has lost it; where that is known, `calm` is not.
    pub(super) fn erased(&self, seq: u32, shards: &[(u32, Shard)], calm: bool) -> Option<Erased> {
        self.asked.as_ref().filter(|(sent, _)| sent.seq == seq)?;
        shards.iter().find_map(|(i, shard)| {
            let known = self.shards.get(*i as usize)?;
            let orphan = calm && shard.quota.version == 0 && shard.claimed() > 0;
            known
                .erased(shard, *i)
                .or(orphan.then_some(Erased::Quota(*i)))
        })
    }

    pub(super) fn swept(
        &mut self,
        now: Time,
        seq: u32,
        revision: u64,
        shards: Vec<(u32, Shard)>,
        gone: &[u32],
        fault: Option<LedgerFault>,
    ) {
        let Some((sent, _)) = self.asked.take_if(|(sent, _)| sent.seq == seq) else {
            return;
        };
        self.revision = revision;
        for (i, shard) in shards {
            if let Some(known) = self.shards.get_mut(i as usize) {
                *known = shard;
            }
        }
        let ghosts = gone.iter().map(|instance| {
            let known = self.ghosts.get(instance).copied();
            let fresh = Ghost {
                since: now,
                over: (fault == Some(LedgerFault::ReapAlive)).then_some(Gone::Unseen),
            };
            (*instance, known.unwrap_or(fresh))
        });
        self.ghosts = ghosts.collect();
        for ghost in self.ghosts.values_mut() {
            if now.since(ghost.since) >= HOLD {
                ghost.over.get_or_insert(Gone::Held);
            }
        }
        if let Some(figures) = self.figures.take_if(|figures| figures.heard <= sent.at) {
            self.follow_server(&figures);
        }
        self.plan(now, fault);
    }

    // --- the line ---

    /// Rows of members' addresses are theirs; all others are of others. Whoever
    /// opened something had a row before, so this look shows it.
    fn follow_server(&mut self, figures: &Figures) {
        let rows = || self.shards.iter().flat_map(|shard| &shard.rows);
        let mut at: BTreeMap<Origin, u32> = BTreeMap::new();
        for row in rows() {
            *at.entry(row.origin).or_default() += 1;
        }
        let unknown = rows().filter(|row| row.origin == Origin::default());
        let ours: u32 = at
            .keys()
            .filter(|origin| **origin != Origin::default())
            .map(|origin| figures.rows_of(*origin))
            .sum::<u32>()
            + unknown.map(|row| row.held).sum::<u32>();
        // Some of ours may be among those that the server hides: as many as are surely there.
        let sure: u32 = rows().map(|row| row.held / 2).sum();
        let ours = ours + figures.hidden.min(sure.saturating_sub(ours));
        let others = figures.backends.saturating_sub(ours);
        self.line = Some(figures.best.saturating_sub(others));
        let faint = |row: &&Row| {
            // An address that never showed anything, or that the server hides, tells nothing.
            let tells = figures.hidden == 0 && self.shown.contains(&row.origin);
            let alone = tells
                && ![Origin::default(), Origin::LOCAL].contains(&row.origin)
                && at.get(&row.origin) == Some(&1);
            alone && figures.rows_of(row.origin) < trace(row.held)
        };
        let faint: Vec<u32> = rows().filter(faint).map(|row| row.instance).collect();
        for instance in faint {
            // What was asked before its lease had ended says nothing.
            if let Some(ghost) = self.ghosts.get_mut(&instance)
                && figures.asked > ghost.since
            {
                ghost.over = Some(Gone::Unseen);
            }
        }
    }

    // --- what is allotted ---

    fn plan(&mut self, now: Time, fault: Option<LedgerFault>) {
        let reaped = self.reaped();
        if !reaped.is_empty() {
            self.next.push_back(Op::Reap {
                fence: self.fence,
                shards: reaped,
            });
        }
        let Some(line) = self.line else {
            return;
        };
        if now >= self.turn_at {
            self.turn = self.turn.wrapping_add(1);
            self.turn_at = now.after(TURN);
        }
        let plan = Plan::new(line, self.turn, &self.shards, &self.ghosts);
        if plan.is_met(&self.shards) {
            return;
        }
        for quotas in self.puts(&plan, fault).chunks(PUTS_MAX) {
            self.next.push_back(Op::Allot {
                fence: self.fence,
                quotas: quotas.to_vec(),
            });
        }
    }

    /// Rows of those that are surely gone.
    fn reaped(&self) -> Vec<(u32, u64, Vec<u32>)> {
        let is_over = |ghost: &Ghost| ghost.over.is_some();
        let over = |row: &&Row| self.ghosts.get(&row.instance).is_some_and(is_over);
        if !self.ghosts.values().any(is_over) {
            return Vec::new();
        }
        let shards = self.shards.iter().enumerate().filter_map(|(i, shard)| {
            let gone: Vec<u32> = shard.rows.iter().filter(over).map(|r| r.instance).collect();
            (!gone.is_empty()).then_some((i as u32, shard.version, gone))
        });
        shards.collect()
    }

    /// Rule 4: what goes down goes down now, what goes up does within what is spare.
    fn puts(&self, plan: &Plan, fault: Option<LedgerFault>) -> Vec<(u32, Quota)> {
        let bound = |i: usize| {
            let shard = &self.shards[i];
            let bound = shard.quota.quota.max(shard.claimed()).max(self.risk[i]);
            match fault {
                Some(LedgerFault::AllotEarly) => plan.quotas[i].min(bound),
                _ => bound,
            }
        };
        let bounds: Vec<u32> = (0..self.shards.len()).map(bound).collect();
        let mut spare = plan.line.saturating_sub(bounds.iter().sum());
        // What is needed before what is only at hand for the next that is.
        let mut given = vec![0; bounds.len()];
        for wanted in [&plan.needs, &plan.quotas] {
            for (i, given) in given.iter_mut().enumerate() {
                let more = wanted[i].saturating_sub(bounds[i] + *given).min(spare);
                *given += more;
                spare -= more;
            }
        }
        let mut puts = Vec::new();
        for (i, shard) in self.shards.iter().enumerate() {
            let old = shard.quota;
            let mut new = plan.quotas[i].min(bounds[i] + given[i]);
            match fault {
                Some(LedgerFault::HoardQuotas) => new = new.max(old.quota),
                Some(LedgerFault::FirstCome) => new = new.max(shard.claimed()),
                _ => {}
            }
            let quota = Quota {
                version: old.version,
                quota: new,
                line: plan.line,
                level: match fault {
                    Some(LedgerFault::FirstCome) => u32::MAX,
                    _ => plan.level,
                },
                extra: plan.extra,
                turn: plan.turn,
                members: plan.members,
            };
            let untouched = old.version == 0 && new == 0 && shard.rows.is_empty();
            if (quota != old || self.risk[i] > 0) && !untouched {
                puts.push((i as u32, quota));
            }
        }
        // What goes down first, so that it is spare the sooner.
        puts.sort_by_key(|(i, quota)| quota.quota >= self.shards[*i as usize].quota.quota);
        puts
    }
}
