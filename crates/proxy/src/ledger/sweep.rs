//! What the keeper knows of all shards: each look brings what changed since the
//! last, and who has a lease is told by counting where that suffices.

use super::keys::{self, Keys};
use super::store::{Fault, shard_of};
use etcd::{KeyValue, Op as Step, Range, Ranged, Txn};
use pool::ledger::{Answer, Row, SHARDS, Shard};
use std::collections::{BTreeMap, BTreeSet};

/// What a look has brought.
pub(super) enum Looked {
    /// All that the keeper asks for.
    All(Answer),
    /// Some lease has ended: whose, all of them tell.
    Ended,
    /// Somebody has deleted rows or quotas: all of them are to be read.
    Fewer,
}

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

    /// Rows, quotas and leases that are newer; etcd counts all of them all the same.
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

    /// All is to be read anew. What is not there then is told as empty.
    pub fn anew(&mut self) {
        for (number, shard) in &mut self.shards {
            *shard = Shard::default();
            self.changed.insert(*number);
        }
        self.alive.clear();
    }

    /// What changed, and what is to be read beside it.
    pub fn take(
        &mut self,
        revision: u64,
        rows: &Ranged,
        quotas: &Ranged,
        alive: &Ranged,
    ) -> Result<Looked, Fault> {
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
                (known.version, known.born) = (read.version, read.born);
                known.rows = read.rows;
                self.changed.insert(shard);
            }
        }
        self.revision = revision;
        let made: BTreeSet<u32> = alive.kvs.iter().filter_map(instance).collect();
        self.alive.extend(&made);
        // Those that were there before and those that came are all that are counted.
        let known = |has: fn(&Shard) -> bool| self.shards.values().filter(|s| has(s)).count();
        let (with_rows, with_quota) = (known(|s| s.version > 0), known(|s| s.quota.version > 0));
        if rows.count < with_rows as u64 || quotas.count < with_quota as u64 {
            return Ok(Looked::Fewer);
        }
        Ok(match self.alive.len() as u64 == alive.count {
            true => Looked::All(self.answer()),
            false => Looked::Ended,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shard: u32, made: u64, changed: u64) -> KeyValue {
        KeyValue {
            key: format!("p/rows/{shard}").into_bytes(),
            create_revision: made,
            mod_revision: changed,
            ..KeyValue::default()
        }
    }

    fn ranged(kvs: Vec<KeyValue>, count: u64) -> Ranged {
        Ranged {
            kvs,
            count,
            ..Ranged::default()
        }
    }

    fn swept(looked: Result<Looked, Fault>) -> Vec<(u32, Shard)> {
        let Ok(Looked::All(Answer::Swept { shards, .. })) = looked else {
            panic!("not all");
        };
        shards
    }

    #[test]
    fn rows_that_were_deleted_are_told_as_empty() {
        let none = ranged(vec![], 0);
        let mut sweep = Sweep::default();
        let both = ranged(vec![row(1, 2, 5), row(2, 3, 3)], 2);
        assert_eq!(swept(sweep.take(5, &both, &none, &none)).len(), 2);
        // Nothing changed, and there are fewer.
        let one = ranged(vec![], 1);
        let fewer = sweep.take(6, &one, &none, &none);
        assert!(matches!(fewer, Ok(Looked::Fewer)));
        sweep.anew();
        let left = ranged(vec![row(2, 3, 3)], 1);
        let told = swept(sweep.take(7, &left, &none, &none));
        assert_eq!(told[0], (1, Shard::default()));
        assert_eq!((told[1].0, told[1].1.version, told[1].1.born), (2, 3, 3));
        // Deleted and made again between two looks: only the birth tells.
        let again = ranged(vec![row(2, 8, 9)], 2);
        let told = swept(sweep.take(9, &ranged(again.kvs, 1), &none, &none));
        assert_eq!((told[0].1.version, told[0].1.born), (9, 8));
    }
}
