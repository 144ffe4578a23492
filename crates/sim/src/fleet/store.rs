//! The virtual store: keys with versions, leases, transactions, and all that can
//! be wrong with a way to it.

use pool::ledger::{Answer, LEASE, Op, Row, SEAT_LEASE, SEATS, SHARDS, Seat, Shard};
use std::collections::BTreeMap;

/// What a key and its versions take beside its value, bytes.
const KEY_BYTES: u64 = 40;
/// One row: five figures.
const ROW_BYTES: u64 = 24;
/// One quota: seven figures.
const QUOTA_BYTES: u64 = 28;

/// The way to the store.
#[derive(Clone, Debug)]
pub struct StoreSetup {
    /// One way and back, µs.
    pub latency: (u64, u64),
    /// Of a thousand questions: not heard by the store, or not answered, or heard
    /// only seconds later.
    pub lost: u32,
    /// Operations that it does in a second; more wait for their turn.
    pub rate: u64,
}

impl Default for StoreSetup {
    fn default() -> Self {
        StoreSetup {
            latency: (1_000, 50_000),
            lost: 5,
            rate: 30_000,
        }
    }
}

/// What was asked of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Shards read, unchanged ones too.
    pub reads: u64,
    /// Rows written.
    pub writes: u64,
    /// Writes that met another's.
    pub conflicts: u64,
    /// Leases renewed, of instances and of seats.
    pub renewals: u64,
    /// The keeper's questions: looks at all shards, and quotas in sets.
    pub keeper: u64,
    /// Bytes read and written, keys included.
    pub bytes: u64,
    /// Operations within the busiest second.
    pub busiest: u64,
}

impl StoreCounts {
    /// All operations.
    pub fn all(&self) -> u64 {
        self.reads + self.writes + self.renewals + self.keeper
    }
}

/// See the module.
pub(super) struct Store {
    revision: u64,
    shards: Vec<Shard>,
    seats: [Option<(Seat, u64)>; SEATS],
    /// When the lease of each instance ends, µs.
    leases: BTreeMap<u32, u64>,
    /// The revision at which keys were deleted.
    erased: u64,
    /// Nobody reaches it.
    pub(super) away: bool,
    busy: u64,
    second: (u64, u64),
    pub(super) counts: StoreCounts,
}

impl Store {
    pub(super) fn new() -> Store {
        Store {
            revision: 0,
            shards: vec![Shard::default(); SHARDS as usize],
            seats: [None; SEATS],
            leases: BTreeMap::new(),
            erased: 0,
            away: false,
            busy: 0,
            second: (0, 0),
            counts: StoreCounts::default(),
        }
    }

    /// When its turn comes, at `rate` operations a second.
    pub(super) fn turn(&mut self, now: u64, rate: u64) -> u64 {
        self.busy = self.busy.max(now) + 1_000_000 / rate.max(1);
        self.busy
    }

    /// Somebody deletes what is there, or rows alone.
    pub(super) fn erase(&mut self, rows_only: bool) {
        self.revision += 1;
        self.erased = self.revision;
        for shard in &mut self.shards {
            let quota = shard.quota;
            *shard = Shard::default();
            if rows_only {
                shard.quota = quota;
            }
        }
        if !rows_only {
            self.seats = [None; SEATS];
            self.leases.clear();
        }
    }

    /// All that the ledger says of instances.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.shards.iter().flat_map(|shard| &shard.rows)
    }

    /// An instance's shard, for whoever reads a failure.
    pub(super) fn told(&self, instance: u32) -> String {
        let has = |shard: &&Shard| shard.rows.iter().any(|row| row.instance == instance);
        let Some(shard) = self.shards.iter().find(has) else {
            return String::new();
        };
        let row = shard.rows.iter().find(|row| row.instance == instance);
        let needs: u32 = shard.rows.iter().map(|row| row.needs).sum();
        format!(
            ", its shard of {}: quota {} level {}, claimed {} needs {needs}, {row:?}",
            shard.rows.len(),
            shard.quota.quota,
            shard.quota.level,
            shard.claimed(),
        )
    }

    /// Who acts as the keeper.
    pub(super) fn keeper(&self, now: u64) -> Option<u32> {
        let held = self.seats[0].filter(|(_, ends)| *ends > now);
        held.map(|(seat, _)| seat.instance)
    }

    fn bytes(&mut self, values: u64) {
        self.counts.bytes += KEY_BYTES + values;
    }

    fn shard_bytes(shard: &Shard) -> u64 {
        QUOTA_BYTES + KEY_BYTES + ROW_BYTES * shard.rows.len() as u64
    }

    /// Does what `instance` asks.
    pub(super) fn apply(&mut self, now: u64, instance: u32, op: Op) -> Answer {
        let second = now / 1_000_000;
        match self.second.0 == second {
            true => self.second.1 += 1,
            false => self.second = (second, 1),
        }
        self.counts.busiest = self.counts.busiest.max(self.second.1);
        match op {
            Op::Read { shard, known, .. } => {
                self.counts.reads += 1;
                let shard = self.shards[shard as usize].clone();
                let same = Some((shard.quota.version, shard.version)) == known;
                self.bytes(if same { 0 } else { Store::shard_bytes(&shard) });
                if same {
                    Answer::Same
                } else {
                    Answer::Shard(shard)
                }
            }
            Op::Write { shard, known, rows } => self.write(shard, known, rows),
            Op::Renew => {
                self.counts.renewals += 1;
                self.bytes(0);
                self.leases.insert(instance, now + LEASE.as_micros() as u64);
                Answer::Renewed
            }
            Op::Look | Op::Sit { .. } | Op::Rise { .. } => {
                self.counts.renewals += 1;
                self.bytes(0);
                self.seat(now, instance, &op);
                Answer::Seats(self.seats.map(|seat| seat.map(|(seat, _)| seat)))
            }
            Op::Sweep { since } => self.sweep(now, since),
            Op::Allot { fence, quotas } => {
                self.counts.keeper += 1;
                let fenced = self.keeps(now, fence);
                let mut done = Vec::new();
                for (i, mut quota) in quotas {
                    self.bytes(QUOTA_BYTES);
                    let shard = &mut self.shards[i as usize];
                    if shard.quota.version == quota.version && fenced {
                        self.revision += 1;
                        quota.version = self.revision;
                        shard.quota = quota;
                        done.push(i);
                    }
                }
                Answer::Put(done)
            }
            Op::Reap { fence, shards } => self.reap(now, fence, shards),
        }
    }

    fn write(&mut self, shard: u32, known: (u64, u64), rows: Vec<Row>) -> Answer {
        self.counts.writes += 1;
        let shard = &mut self.shards[shard as usize];
        let fits = (shard.quota.version, shard.version) == known;
        match fits {
            true => {
                self.revision += 1;
                if shard.version == 0 {
                    shard.born = self.revision;
                }
                shard.version = self.revision;
                shard.rows = rows;
            }
            false => self.counts.conflicts += 1,
        }
        let shard = shard.clone();
        self.bytes(2 * Store::shard_bytes(&shard));
        Answer::Wrote(fits, shard)
    }

    fn seat(&mut self, now: u64, instance: u32, op: &Op) {
        for seat in &mut self.seats {
            *seat = seat.filter(|(_, ends)| *ends > now);
        }
        match op {
            Op::Sit { seat } => {
                let ends = now + SEAT_LEASE.as_micros() as u64;
                let taken = &mut self.seats[*seat];
                match taken {
                    Some((held, until)) if held.instance == instance => *until = ends,
                    Some(_) => {}
                    None => {
                        self.revision += 1;
                        let version = self.revision;
                        *taken = Some((Seat { instance, version }, ends));
                    }
                }
            }
            Op::Rise { seat } => {
                let mine = self.seats[*seat].filter(|(seat, _)| seat.instance == instance);
                if mine.is_some() {
                    self.seats[*seat] = None;
                }
            }
            _ => {}
        }
    }

    /// The first seat is still the one that was taken then.
    fn keeps(&self, now: u64, fence: u64) -> bool {
        self.seats[0].is_some_and(|(seat, ends)| seat.version == fence && ends > now)
    }

    fn lives(&self, now: u64, instance: u32) -> bool {
        self.leases.get(&instance).is_some_and(|ends| *ends > now)
    }

    fn sweep(&mut self, now: u64, since: u64) -> Answer {
        self.counts.keeper += 1;
        let changed =
            |shard: &Shard| shard.version.max(shard.quota.version).max(self.erased) > since;
        let shards: Vec<(u32, Shard)> = (0u32..)
            .zip(&self.shards)
            .filter(|(_, shard)| changed(shard))
            .map(|(i, shard)| (i, shard.clone()))
            .collect();
        let gone = self.rows().map(|row| row.instance);
        let gone: Vec<u32> = gone.filter(|i| !self.lives(now, *i)).collect();
        let bytes = shards.iter().map(|(_, shard)| Store::shard_bytes(shard));
        let bytes: u64 = bytes.sum::<u64>() + 4 * gone.len() as u64;
        self.bytes(bytes);
        Answer::Swept {
            revision: self.revision,
            shards,
            gone,
        }
    }

    fn reap(&mut self, now: u64, fence: u64, shards: Vec<(u32, u64, Vec<u32>)>) -> Answer {
        let mut done = Vec::new();
        for (i, version, gone) in shards {
            self.counts.keeper += 1;
            self.bytes(ROW_BYTES);
            let fenced = self.keeps(now, fence);
            let dead = gone.iter().all(|instance| !self.lives(now, *instance));
            let shard = &mut self.shards[i as usize];
            if fenced && dead && shard.version == version {
                self.revision += 1;
                shard.version = self.revision;
                shard.rows.retain(|row| !gone.contains(&row.instance));
                done.push(i);
            }
        }
        Answer::Put(done)
    }
}
