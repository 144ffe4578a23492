//! Each question of a ledger as etcd is asked it: one transaction, and for leases
//! the few calls that they need.

use super::keys::{self, Keys};
use super::sweep::{Looked, Sweep};
use etcd::{Answer as Said, Client, Compare, Done, Error, Header, KeyValue, Op as Step};
use etcd::{Put, Range, Ranged, Txn};
use pool::ledger::{Answer, LEASE, Op, Quota, Row, SEAT_LEASE, SEATS, Seat, Shard};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Of the way to etcd, or its refusal.
    Etcd(Error),
    /// Another process has the number that this instance chose for itself.
    Taken,
    /// etcd is not what it was: its revision went back, or it is another cluster.
    Forgot { before: Header, now: Header },
    /// What stands there is not ours.
    Foreign(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Etcd(error) => error.fmt(f),
            Fault::Taken => f.write_str("another instance has the number of this one"),
            Fault::Forgot { before, now } => write!(
                f,
                "etcd has forgotten: it was at revision {} of cluster {:x}, and is at {} of {:x}",
                before.revision, before.cluster, now.revision, now.cluster
            ),
            Fault::Foreign(what) => write!(f, "what stands in etcd is not ours: {what}"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Etcd(error)
    }
}

/// One server's ledger in etcd, as one instance asks it.
pub(super) struct Store {
    client: Client,
    pub keys: Keys,
    instance: u32,
    /// Says that the key under our number is ours.
    nonce: String,
    /// Touched by the tasks of one thread, never over a wait.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Under which `alive` stands.
    lease: Option<i64>,
    seats: [Option<i64>; SEATS],
    sweep: Sweep,
    /// The newest that etcd said of itself.
    newest: Header,
}

impl Store {
    pub fn new(client: Client, keys: Keys, instance: u32, nonce: u64) -> Store {
        Store {
            client,
            keys,
            instance,
            nonce: format!("{nonce:016x}"),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks it. The caller bounds the time: what is dropped half-way may be done.
    pub async fn ask(&self, op: Op) -> Result<Answer, Fault> {
        match op {
            Op::Read { shard, known, firm } => self.read(shard, known, firm).await,
            Op::Write { shard, known, rows } => self.write(shard, known, &rows).await,
            Op::Renew => self.renew().await,
            Op::Look => Ok(Answer::Seats(self.seats().await?.0)),
            Op::Sit { seat } => self.sit(seat).await,
            Op::Rise { seat } => self.rise(seat).await,
            Op::Sweep { since } => self.sweep(since).await,
            Op::Allot { fence, quotas } => self.allot(fence, quotas).await,
            Op::Reap { fence, shards } => self.reap(fence, shards).await,
        }
    }

    /// The process ends: seats are free and nobody waits for a lease.
    pub async fn revoke(&self) {
        let leases: Vec<i64> = {
            let mut state = self.state();
            let seats = std::mem::take(&mut state.seats);
            seats
                .into_iter()
                .chain([state.lease.take()])
                .flatten()
                .collect()
        };
        for lease in leases {
            let _ = self.client.revoke(lease).await;
        }
    }

    /// All that was known of etcd is void.
    pub fn forget(&self) {
        *self.state() = State::default();
    }

    // --- what etcd says of itself ---

    fn newest(&self) -> Header {
        self.state().newest
    }

    /// An answer that a majority stood behind, to a question that was asked when
    /// `before` was known: it cannot be older.
    fn firm(&self, before: Header, now: Header) -> Result<(), Fault> {
        let another = before.cluster != 0 && before.cluster != now.cluster;
        if another || now.revision < before.revision {
            return Err(Fault::Forgot { before, now });
        }
        let mut state = self.state();
        if now.revision > state.newest.revision {
            state.newest = now;
        }
        Ok(())
    }

    // --- rows ---

    /// Any member may answer what is not asked firmly: then an old revision says nothing.
    async fn read(
        &self,
        shard: u32,
        known: Option<(u64, u64)>,
        firm: bool,
    ) -> Result<Answer, Fault> {
        let before = self.newest();
        let (rows, quota) = (self.keys.rows(shard), self.keys.quota(shard));
        let both = || {
            let range = |key: &String| Range {
                serializable: !firm,
                ..Range::key(key.as_str())
            };
            vec![Step::Range(range(&quota)), Step::Range(range(&rows))]
        };
        let (compare, then, otherwise) = match known {
            Some(known) => (self.unchanged(shard, known), vec![], both()),
            None => (vec![], both(), vec![]),
        };
        let txn = Txn {
            compare,
            then,
            otherwise,
        };
        let done = self.client.txn(&txn).await?;
        if firm {
            self.firm(before, done.header)?;
        }
        match done.answers.is_empty() {
            true => Ok(Answer::Same),
            false => Ok(Answer::Shard(shard_in(&done.answers)?)),
        }
    }

    fn unchanged(&self, shard: u32, (quota, rows): (u64, u64)) -> Vec<Compare> {
        vec![
            Compare::changed_at(self.keys.quota(shard), quota),
            Compare::changed_at(self.keys.rows(shard), rows),
        ]
    }

    async fn write(&self, shard: u32, known: (u64, u64), rows: &[Row]) -> Result<Answer, Fault> {
        let before = self.newest();
        let (key, quota) = (self.keys.rows(shard), self.keys.quota(shard));
        let both = [quota, key.clone()].map(|key| Step::Range(Range::key(key)));
        let put = Step::Put(Put::new(key, keys::write_rows(rows)));
        let then = [put].into_iter().chain(both.clone()).collect();
        let txn = Txn {
            compare: self.unchanged(shard, known),
            then,
            otherwise: both.to_vec(),
        };
        let done = self.client.txn(&txn).await?;
        self.firm(before, done.header)?;
        Ok(Answer::Wrote(done.succeeded, shard_in(&done.answers)?))
    }

    // --- leases ---

    async fn renew(&self) -> Result<Answer, Fault> {
        let lease = self.state().lease;
        if let Some(lease) = lease
            && self.client.keep_alive(lease).await?.is_some()
        {
            // Whoever deletes keys by hand must not make us look dead; and this
            // tells whether etcd is what it was.
            let before = self.newest();
            let range = Range::key(self.keys.alive(self.instance));
            let there = self.client.range(&range).await?;
            self.firm(before, there.header)?;
            if there.kvs.iter().any(|kv| kv.lease == lease) {
                return Ok(Answer::Renewed);
            }
        }
        self.state().lease = None;
        self.be_alive().await
    }

    async fn be_alive(&self) -> Result<Answer, Fault> {
        let before = self.newest();
        let lease = self.client.grant(LEASE).await?.id;
        let key = self.keys.alive(self.instance);
        let put = Put::new(key.as_str(), self.nonce.as_str()).under(lease);
        let fresh = Txn {
            compare: vec![Compare::created_at(key.as_str(), 0)],
            then: vec![Step::Put(put.clone())],
            otherwise: vec![Step::Range(Range::key(key.as_str()))],
        };
        let mut done = self.client.txn(&fresh).await?;
        self.firm(before, done.header)?;
        if !done.succeeded {
            let known = ranged(&done, 0)?.kvs.first().cloned();
            let ours = known.filter(|kv| kv.value == self.nonce.as_bytes());
            let Some(kv) = ours else {
                let _ = self.client.revoke(lease).await;
                return Err(Fault::Taken);
            };
            // Ours, under a lease whose number was lost or that ends.
            let again = Txn {
                compare: vec![Compare::changed_at(key, kv.mod_revision)],
                then: vec![Step::Put(put)],
                otherwise: vec![],
            };
            done = self.client.txn(&again).await?;
        }
        match done.succeeded {
            true => {
                self.state().lease = Some(lease);
                Ok(Answer::Renewed)
            }
            false => Err(Fault::Foreign("the key of this instance changes")),
        }
    }

    // --- seats ---

    async fn seats(&self) -> Result<([Option<Seat>; SEATS], Vec<KeyValue>), Fault> {
        let range = Range::prefix(self.keys.all_seats());
        let kvs = self.client.range(&range).await?.kvs;
        Ok((self.seated(&kvs), kvs))
    }

    fn seated(&self, kvs: &[KeyValue]) -> [Option<Seat>; SEATS] {
        let mut seats = [None; SEATS];
        for (i, seat) in seats.iter_mut().enumerate() {
            let key = self.keys.seat(i);
            *seat = kvs.iter().find(|kv| kv.key == key.as_bytes()).map(|kv| {
                let text = std::str::from_utf8(&kv.value).unwrap_or_default();
                Seat {
                    // Who cannot be read is somebody else.
                    instance: u32::from_str_radix(text, 16).unwrap_or(!self.instance),
                    version: kv.create_revision,
                }
            });
        }
        seats
    }

    /// The lease of a seat that is ours by these keys.
    fn lease_of(&self, seat: usize, kvs: &[KeyValue]) -> Option<i64> {
        let (key, own) = (self.keys.seat(seat), format!("{:08x}", self.instance));
        let mine = |kv: &&KeyValue| kv.key == key.as_bytes() && kv.value == own.as_bytes();
        kvs.iter().find(mine).map(|kv| kv.lease)
    }

    async fn sit(&self, seat: usize) -> Result<Answer, Fault> {
        let known = self.state().seats[seat];
        if let Some(lease) = known
            && self.client.keep_alive(lease).await?.is_some()
        {
            let (seats, kvs) = self.seats().await?;
            if self.lease_of(seat, &kvs) == Some(lease) {
                return Ok(Answer::Seats(seats));
            }
            // Somebody has deleted the key, and the lease has nothing under it.
            self.state().seats[seat] = None;
            self.client.revoke(lease).await?;
        }
        let lease = self.client.grant(SEAT_LEASE).await?.id;
        let all = || Step::Range(Range::prefix(self.keys.all_seats()));
        let own = format!("{:08x}", self.instance);
        let put = Put::new(self.keys.seat(seat), own).under(lease);
        let txn = Txn {
            compare: vec![Compare::created_at(self.keys.seat(seat), 0)],
            then: vec![Step::Put(put), all()],
            otherwise: vec![all()],
        };
        let done = self.client.txn(&txn).await?;
        let kvs = &ranged(&done, done.answers.len() - 1)?.kvs;
        if done.succeeded {
            self.state().seats[seat] = Some(lease);
            return Ok(Answer::Seats(self.seated(kvs)));
        }
        self.client.revoke(lease).await?;
        // Ours, when the answer of the last try was lost: under that one's lease.
        let held = self.lease_of(seat, kvs);
        self.state().seats[seat] = held;
        if let Some(held) = held {
            self.client.keep_alive(held).await?;
            return Ok(Answer::Seats(self.seats().await?.0));
        }
        Ok(Answer::Seats(self.seated(kvs)))
    }

    async fn rise(&self, seat: usize) -> Result<Answer, Fault> {
        let known = self.state().seats[seat].take();
        let (_, kvs) = self.seats().await?;
        if let Some(lease) = self.lease_of(seat, &kvs).or(known) {
            self.client.revoke(lease).await?;
        }
        Ok(Answer::Seats(self.seats().await?.0))
    }

    // --- the keeper ---

    async fn sweep(&self, since: u64) -> Result<Answer, Fault> {
        let since = self.state().sweep.since(since);
        let mut looked = self.look(since).await?;
        if matches!(looked, Looked::Fewer) {
            self.state().sweep.anew();
            looked = self.look(0).await?;
        }
        if let Looked::All(answer) = looked {
            return Ok(answer);
        }
        // Somebody's lease has ended: whose, all of them tell.
        let before = self.newest();
        let range = Range::prefix(self.keys.all_alive()).keys_only();
        let alive = self.client.range(&range).await?;
        self.firm(before, alive.header)?;
        Ok(self.state().sweep.with_all(&alive))
    }

    async fn look(&self, since: u64) -> Result<Looked, Fault> {
        let before = self.newest();
        let done = self.client.txn(&Sweep::question(&self.keys, since)).await?;
        self.firm(before, done.header)?;
        let [rows, quotas, alive] = [0, 1, 2].map(|i| ranged(&done, i));
        let revision = done.header.revision;
        self.state().sweep.take(revision, rows?, quotas?, alive?)
    }

    async fn allot(&self, fence: u64, quotas: Vec<(u32, Quota)>) -> Result<Answer, Fault> {
        let before = self.newest();
        let each = quotas.iter().map(|(shard, quota)| {
            let key = self.keys.quota(*shard);
            Step::Txn(Txn {
                compare: vec![Compare::changed_at(key.as_str(), quota.version)],
                then: vec![Step::Put(Put::new(key, keys::write_quota(quota)))],
                otherwise: vec![],
            })
        });
        let done = self.client.txn(&self.fenced(fence, each.collect())).await?;
        self.firm(before, done.header)?;
        let shards: Vec<u32> = quotas.iter().map(|(shard, _)| *shard).collect();
        Ok(Answer::Put(succeeded(&done, &shards)))
    }

    async fn reap(&self, fence: u64, shards: Vec<(u32, u64, Vec<u32>)>) -> Result<Answer, Fault> {
        let before = self.newest();
        let (mut reaped, mut steps) = (Vec::new(), Vec::new());
        for (shard, version, gone) in shards.into_iter().take(REAP_MAX) {
            let Some(mut rows) = self.state().sweep.rows(shard, version) else {
                continue;
            };
            rows.retain(|row| !gone.contains(&row.instance));
            let key = self.keys.rows(shard);
            let dead = gone
                .iter()
                .map(|i| Compare::created_at(self.keys.alive(*i), 0));
            let same = Compare::changed_at(key.as_str(), version);
            steps.push(Step::Txn(Txn {
                compare: dead.chain([same]).collect(),
                then: vec![Step::Put(Put::new(key, keys::write_rows(&rows)))],
                otherwise: vec![],
            }));
            reaped.push(shard);
        }
        let done = self.client.txn(&self.fenced(fence, steps)).await?;
        self.firm(before, done.header)?;
        Ok(Answer::Put(succeeded(&done, &reaped)))
    }

    fn fenced(&self, fence: u64, then: Vec<Step>) -> Txn {
        Txn {
            compare: vec![Compare::created_at(self.keys.seat(0), fence)],
            then,
            otherwise: vec![],
        }
    }
}

/// Shards in one transaction; those that are left are in the next one.
const REAP_MAX: usize = 64;

/// A call of etcd's is given up after so long: a question takes up to four.
pub(super) const CALL_MAX: Duration = Duration::from_millis(900);

fn ranged(done: &Done, i: usize) -> Result<&Ranged, Fault> {
    match done.answers.get(i) {
        Some(Said::Range(ranged)) => Ok(ranged),
        _ => Err(Fault::Foreign("an answer is missing")),
    }
}

/// Quota and rows, the last two that were read.
fn shard_in(answers: &[Said]) -> Result<Shard, Fault> {
    let [.., Said::Range(quota), Said::Range(rows)] = answers else {
        return Err(Fault::Foreign("an answer is missing"));
    };
    shard_of(quota.kvs.first(), rows.kvs.first())
}

/// A shard of its two keys, as far as they are there.
pub(super) fn shard_of(quota: Option<&KeyValue>, rows: Option<&KeyValue>) -> Result<Shard, Fault> {
    let quota = quota.map_or(Some(Quota::default()), keys::read_quota);
    let version = rows.map_or(0, |kv| kv.mod_revision);
    let born = rows.map_or(0, |kv| kv.create_revision);
    let rows = rows.map_or(Some(Vec::new()), keys::read_rows);
    Ok(Shard {
        quota: quota.ok_or(Fault::Foreign("a quota"))?,
        version,
        born,
        rows: rows.ok_or(Fault::Foreign("rows"))?,
    })
}

fn succeeded(done: &Done, shards: &[u32]) -> Vec<u32> {
    let inner = |said: &Said| matches!(said, Said::Txn(inner) if inner.succeeded);
    let each = shards.iter().zip(&done.answers);
    each.filter(|(_, said)| inner(said))
        .map(|(shard, _)| *shard)
        .collect()
}
