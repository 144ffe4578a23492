//! When an instance reads and writes its shard, and what its row says.

use super::{CALM, HUNGRY, Holder, LAZY, SHORT};
use crate::budget::Usage;
use crate::budget::ledger::LEASE;
use crate::budget::ledger::rows::{Op, Question, ROWS_MAX, Row, SHARDS, Sent};
use crate::budget::peers::trace;
use events::Time;
use std::time::Duration;

impl Holder {
    pub(in crate::budget::ledger) fn step(
        &mut self,
        sent: Sent,
        usage: &Usage,
        leaving: bool,
    ) -> Option<Op> {
        let now = sent.at;
        if self.renewing.is_none() && now >= self.renew_at {
            self.renewing = Some(sent);
            self.renew_at = now.after(LEASE / 3);
            return Some(Op::Renew);
        }
        if self.asked.is_some() || now < self.wait {
            return None;
        }
        if self.seen.is_some()
            && let Some(row) = self.worth(now, usage, leaving)
        {
            return self.write(sent, row);
        }
        let pause = match () {
            () if self.seen.is_none() || self.bare => Duration::ZERO,
            () if self.hungry() => HUNGRY,
            () if self.pressed() => SHORT,
            () => CALM,
        };
        // Not all at the same time: between three and five quarters of it.
        let pause = pause / 2 + self.jitter(self.heard_at, pause) / 2;
        if now < self.heard_at.after(pause) {
            return None;
        }
        // What is written anew is based on how it is now.
        let firm = self.bare || self.anew;
        self.asked = Some((sent, Question::Read { firm }));
        let seen = self.seen.as_ref();
        Some(Op::Read {
            shard: self.shard,
            known: seen.map(|s| (s.quota.version, s.version)),
            firm,
        })
    }

    fn write(&mut self, sent: Sent, row: Option<Row>) -> Option<Op> {
        let seen = self.seen.as_ref()?;
        let mut rows = seen.rows.clone();
        rows.retain(|row| row.instance != self.own.instance);
        rows.extend(row);
        if rows.len() > ROWS_MAX {
            // Full: the next one.
            self.shard = (self.shard + 1) % SHARDS;
            self.seen = None;
            return None;
        }
        let claim = row.map_or(0, |row| row.claim);
        let known = (seen.quota.version, seen.version);
        let question = Question::Write {
            version: known.1,
            claim,
            leased: !self.blind,
        };
        self.asked = Some((sent, question));
        Some(Op::Write {
            shard: self.shard,
            known,
            rows,
        })
    }

    /// The row to write, if it is worth a write now; `Some(None)`: take it out.
    fn worth(&self, now: Time, usage: &Usage, leaving: bool) -> Option<Option<Row>> {
        self.renewed?;
        if self.anew && !self.blind && !leaving {
            // All that act on something fit under the line, whatever the store has.
            return Some(Some(Row {
                claim: self.claim.max(usage.charged),
                ..self.stated(usage, leaving)
            }));
        }
        if now < self.thaws && !leaving {
            return None;
        }
        let Some(row) = self.row() else {
            let joins = !leaving && !self.blind && usage.charged <= self.room();
            return joins.then(|| Some(self.stated(usage, leaving)));
        };
        if leaving && usage.charged == 0 && self.doubt.is_none() {
            return Some(None);
        }
        let new = self.stated(usage, leaving);
        let tight = self.pressed();
        let lazy = now >= self.wrote_at.after(self.jitter(self.wrote_at, LAZY));
        let off = |new: u32, old: u32, part: u32| new.abs_diff(old) > old / part;
        let due = self.unsure && !self.blind
            || self.doubt.is_some()
            || new.claim != row.claim
            || self.need > row.claim && (row.needs <= row.claim || off(new.needs, row.needs, 4))
            || new.needs > row.needs && off(new.needs, row.needs, 4)
            || tight && off(new.needs, row.needs, 8)
            || lazy && off(new.needs, row.needs, 2)
            || lazy
                && (usage.usable < trace(row.held) && row.held > 0 || usage.usable > row.held * 2);
        due.then_some(Some(new))
    }

    /// A little more than is needed, so that not each connection is a write: as much
    /// as all in the shard could have.
    fn spare(&self, lacks: u32) -> u32 {
        let rows = self.seen.as_ref().map_or(1, |seen| seen.rows.len() as u32);
        let left = self.room().saturating_sub(lacks) / rows.max(1);
        left.min(self.need / 4 + 1)
    }

    /// The row as it should be.
    fn stated(&self, usage: &Usage, leaving: bool) -> Row {
        let stored = self.stored();
        // What is being closed still counts.
        let floor = self.claim.max(usage.charged.min(stored));
        let want = match leaving {
            true => 0,
            false if self.short() => self.need.min(self.cap()),
            false if self.over() => self.claim,
            false if self.need <= stored && self.pressed() => self.claim,
            false if self.need > stored => self.need + self.spare(self.need - stored),
            false => stored,
        };
        let room = self.room();
        let want = match self.row() {
            Some(_) => want,
            None => want.max(usage.charged),
        };
        let claim = match want.min(self.most) {
            want if want > stored && !self.blind => stored + (want - stored).min(room),
            want => want.max(floor).min(stored),
        };
        Row {
            instance: self.own.instance,
            origin: self.own.origin,
            claim,
            needs: if leaving { 0 } else { self.need },
            held: usage.usable,
        }
    }
}
