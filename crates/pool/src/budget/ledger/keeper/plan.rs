//! How the keeper divides the line: what is needed, cut at one level where it is too
//! much, and the rest by heads.

use super::Ghost;
use crate::budget::ledger::rows::{Quota, Row, Shard, rank};
use std::collections::BTreeMap;

/// Others have their turn for what a division leaves over where it is a large part of
/// what one has.
const TURN_LEVEL_MAX: u32 = 4;

/// How the line is divided.
pub(super) struct Plan {
    pub(super) line: u32,
    pub(super) level: u32,
    pub(super) extra: u32,
    pub(super) turn: u32,
    pub(super) members: u32,
    /// By shard.
    pub(super) quotas: Vec<u32>,
    /// By shard: what its members need of it.
    pub(super) needs: Vec<u32>,
}

impl Plan {
    pub(super) fn new(
        line: u32,
        turn: u32,
        shards: &[Shard],
        ghosts: &BTreeMap<u32, Ghost>,
    ) -> Plan {
        let gone = |row: &Row| ghosts.contains_key(&row.instance);
        let all = || shards.iter().flat_map(|shard| &shard.rows);
        let kept: u32 = all().filter(|r| gone(r)).map(|r| r.claim).sum();
        let live: Vec<Row> = all().filter(|row| !gone(row)).copied().collect();
        let free = line.saturating_sub(kept);
        let needed: u64 = live.iter().map(|row| u64::from(row.needs)).sum();
        let (level, extra, turn) = match needed > u64::from(free) {
            true => divide(free, turn, &live),
            false => (u32::MAX, 0, 0),
        };
        let slack = u64::from(free).saturating_sub(needed) as u32;
        let of = |row: &Row| match level {
            u32::MAX => row.needs,
            level => row
                .needs
                .min(level + u32::from(rank(row.instance, turn) <= extra)),
        };
        let needs = |shard: &Shard| -> u32 {
            let rows = shard.rows.iter();
            rows.map(|row| if gone(row) { row.claim } else { of(row) })
                .sum()
        };
        let needs: Vec<u32> = shards.iter().map(needs).collect();
        let members = live.len() as u32;
        let mut before = 0u32;
        let quotas = shards.iter().zip(&needs).map(|(shard, needs)| {
            // Slack by heads, without losing one to rounding.
            let from = share_of(slack, before, members);
            before += shard.rows.iter().filter(|row| !gone(row)).count() as u32;
            needs + (share_of(slack, before, members) - from)
        });
        let mut quotas: Vec<u32> = quotas.collect();
        if level == u32::MAX {
            keep(&mut quotas, &needs, shards, line);
        }
        Plan {
            line,
            level,
            extra,
            turn,
            // Rounded, so that not every arrival rewrites all quotas.
            members: members.next_power_of_two() / 2,
            quotas,
            needs,
        }
    }

    /// There is enough, as before, and each shard has what it is to have.
    pub(super) fn is_met(&self, shards: &[Shard]) -> bool {
        let alike = |q: &Quota| (q.line, q.level) == (self.line, u32::MAX);
        self.level == u32::MAX
            && shards.iter().zip(&self.quotas).all(|(shard, quota)| {
                let stated = shard.quota.version == 0 || alike(&shard.quota);
                stated && shard.quota.quota == *quota
            })
    }
}

/// Slack that lies where it lay before is not moved without need: a quota stays if it
/// has at least half and at most twice its part of the slack, and all fit together.
fn keep(quotas: &mut [u32], needs: &[u32], shards: &[Shard], line: u32) {
    let even = quotas.to_vec();
    for (i, quota) in quotas.iter_mut().enumerate() {
        let slack = *quota - needs[i];
        let (least, most) = (needs[i] + slack / 2, needs[i] + 2 * slack);
        *quota = shards[i].quota.quota.clamp(least, most);
    }
    // Back to the even part, one after the other, as far as it must be.
    let sum = |quotas: &[u32]| quotas.iter().sum::<u32>();
    let mut over = sum(quotas).saturating_sub(line);
    let mut left = line.saturating_sub(sum(quotas));
    for (quota, even) in quotas.iter_mut().zip(even) {
        let less = quota.saturating_sub(even).min(over);
        let more = even.saturating_sub(*quota).min(left);
        *quota = *quota - less + more;
        over -= less;
        left -= more;
    }
}

/// The first `part` of `whole` heads get so much of `slack`.
fn share_of(slack: u32, part: u32, whole: u32) -> u32 {
    (u64::from(slack) * u64::from(part) / u64::from(whole.max(1))) as u32
}

/// Cuts needs above `free` at one level. What is left over goes one by one to those
/// who come first in this turn: level, the last rank of these, and the turn.
fn divide(free: u32, turn: u32, live: &[Row]) -> (u32, u32, u32) {
    let needs: Vec<u32> = live.iter().map(|row| row.needs).collect();
    let level = crate::budget::share::level(free, &needs);
    let given: u32 = needs.iter().map(|needs| (*needs).min(level)).sum();
    let turn = if level > TURN_LEVEL_MAX { 0 } else { turn };
    let above = live.iter().filter(|row| row.needs > level);
    let mut ranks: Vec<u32> = above.map(|row| rank(row.instance, turn)).collect();
    ranks.sort_unstable();
    let left = free.saturating_sub(given) as usize;
    // A rank of zero would be one too many for nobody.
    let extra = left.checked_sub(1).and_then(|last| ranks.get(last));
    (level, extra.copied().unwrap_or(0), turn)
}
