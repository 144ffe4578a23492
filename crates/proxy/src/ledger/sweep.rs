//! What the keeper knows of all shards: each look brings what changed since the
//! last, and who has a lease is told by counting where that suffices.

use super::keys::{self, Keys};
use super::store::{Fault, shard_of};
use etcd::{KeyValue, Op as Step, Range, Ranged, Txn};
use pool::ledger::{Answer, Row, SHARDS, Shard};
use std::collections::{BTreeMap, BTreeSet};

/// All shards and leases as of one revision.
#[derive(Default)]
pub(super) struct Sweep {
    revision: u64,
    shards: BTreeMap<u32, Shard>,
    alive: BTreeSet<u32>,
    /// Changed by the last look, not told yet.
    changed: BTreeSet<u32>,
}

impl Sweep {
    /// The revision to look from. Another one than ours is of another keeper's
    /// time: all is read anew.
    pub fn since(&mut self, asked: u64) -> u64 {
        if asked != self.revision || asked == 0 {
            *self = Sweep::default();
        }
        self.revision
    }

    /// Rows, quotas and leases that are newer; etcd counts the leases all the same.
    pub fn question(keys: &Keys, since: u64) -> Txn {
        let newer = |prefix: String| Range {
            changed_since: if since == 0 { 0 } else { since + 1 },
            ..Range::prefix(prefix)
        };
        let made = Range {
            changed_since: 0,
            made_since: if since == 0 { 0 } else { since + 1 },
            keys_only: true,
            ..newer(keys.all_alive())
        };
        let then = vec![
            Step::Range(newer(keys.all_rows())),
            Step::Range(newer(keys.all_quotas())),
            Step::Range(made),
        ];
        Txn {
            compare: vec![],
            then,
            otherwise: vec![],
        }
    }

    /// The answer; `None`: some lease has ended, so all are to be read.
    pub fn take(
        &mut self,
        revision: u64,
        rows: &Ranged,
        quotas: &Ranged,
        alive: &Ranged,
    ) -> Result<Option<Answer>, Fault> {
        for kv in &quotas.kvs {
            if let Some(shard) = number(kv) {
                let quota = shard_of(Some(kv), None)?.quota;
                self.shards.entry(shard).or_default().quota = quota;
                self.changed.insert(shard);
            }
        }
        for kv in &rows.kvs {
            if let Some(shard) = number(kv) {
                let read = shard_of(None, Some(kv))?;
                let known = self.shards.entry(shard).or_default();
                (known.version, known.rows) = (read.version, read.rows);
                self.changed.insert(shard);
            }
        }
        self.revision = revision;
        let made: BTreeSet<u32> = alive.kvs.iter().filter_map(instance).collect();
        self.alive.extend(&made);
        // Those that were there before and those that came are all that are counted.
        Ok((self.alive.len() as u64 == alive.count).then(|| self.answer()))
    }

    /// All who have a lease, as of now or a little later: who has ended since the
    /// look has no lease either.
    pub fn with_all(&mut self, alive: &Ranged) -> Answer {
        self.alive = alive.kvs.iter().filter_map(instance).collect();
        self.answer()
    }

    /// The rows of a shard, if they are still of this version.
    pub fn rows(&self, shard: u32, version: u64) -> Option<Vec<Row>> {
        let known = self.shards.get(&shard)?;
        (known.version == version).then(|| known.rows.clone())
    }

    fn answer(&mut self) -> Answer {
        let rows = self.shards.values().flat_map(|shard| &shard.rows);
        let gone = rows.map(|row| row.instance);
        let gone = gone.filter(|i| !self.alive.contains(i)).collect();
        let changed = std::mem::take(&mut self.changed);
        let shard = |i: u32| Some((i, self.shards.get(&i)?.clone()));
        Answer::Swept {
            revision: self.revision,
            shards: changed.into_iter().filter_map(shard).collect(),
            gone,
        }
    }
}

fn number(kv: &KeyValue) -> Option<u32> {
    let shard = keys::last(&kv.key)?.parse().ok()?;
    (shard < SHARDS).then_some(shard)
}

fn instance(kv: &KeyValue) -> Option<u32> {
    u32::from_str_radix(keys::last(&kv.key)?, 16).ok()
}
