//! What stands in the store, what is asked of it, and what it answers.

use events::Time;
use std::net::IpAddr;

/// The fleet's rows of one server stand in so many keys. A number that all
/// instances know, so that nobody has to agree on it: with 10,000 instances a key
/// has some ten rows, with three most have none. Who writes at the same time as
/// another in its shard tries again, so few rows are better than few keys.
pub const SHARDS: u32 = 1024;
/// A key takes no more rows; who finds it full takes the next one.
pub const ROWS_MAX: usize = 64;
/// Members that read the server's figures: one that acts, and who follows it.
pub const SEATS: usize = 3;
/// Quotas in one transaction; etcd takes 128 operations.
pub const PUTS_MAX: usize = 100;

/// Where an instance's connections come from, as the server shows it: a hash of
/// the address. Zero: unknown, so that nobody can tell whether they live.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Origin(pub u64);

impl Origin {
    /// By a unix socket of the server's machine.
    pub const LOCAL: Origin = Origin(u64::MAX);

    /// Of an address, as every version of ours computes it.
    pub fn of(address: IpAddr) -> Origin {
        let bytes = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Origin(hash.clamp(1, u64::MAX - 1))
    }
}

/// What one instance states in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// Which one.
    pub instance: u32,
    /// Where its connections come from.
    pub origin: Origin,
    /// What it may act on, and what is counted against the shard's quota.
    pub claim: u32,
    /// What it would use if the line did not matter, as of late.
    pub needs: u32,
    /// Connections that the server shows of it, within a factor of two.
    pub held: u32,
}

/// What the keeper allots to the members of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quota {
    /// The store's number of its last change; zero: it was never written.
    pub version: u64,
    /// The sum of claims in the shard may not be raised above this.
    pub quota: u32,
    /// The line of the whole fleet, for display.
    pub line: u32,
    /// When the fleet needs more than the line: what each may have at most.
    /// [`u32::MAX`]: there is enough.
    pub level: u32,
    /// One more for those whose `rank` in this turn is not above it.
    pub extra: u32,
    /// Whose turn it is for what the division leaves over.
    pub turn: u32,
    /// Members of the fleet, at least half of them and at most all.
    pub members: u32,
}

/// One shard as the store has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shard {
    /// Written by the keeper alone.
    pub quota: Quota,
    /// The store's number of the rows' last change; zero: never written.
    pub version: u64,
    /// That of when they were made. Nobody of ours deletes them, so it stands still.
    pub born: u64,
    /// Written by the members, each its own, and by the keeper for those that are gone.
    pub rows: Vec<Row>,
}

impl Shard {
    /// The sum of what its members may act on.
    pub fn claimed(&self) -> u32 {
        self.rows.iter().map(|row| row.claim).sum()
    }

    pub(super) fn row(&self, instance: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.instance == instance)
    }

    /// What of this was deleted, if it is so `now`; `number` is the shard's.
    pub(super) fn erased(&self, now: &Shard, number: u32) -> Option<Erased> {
        if self.version > 0 && (now.version == 0 || now.born != self.born) {
            return Some(Erased::Rows(number));
        }
        let quota = self.quota.version > 0 && now.quota.version == 0;
        quota.then_some(Erased::Quota(number))
    }
}

/// What somebody has deleted of a shard. No instance deletes these keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Erased {
    /// Its rows, though they may be there anew.
    Rows(u32),
    /// Its quota.
    Quota(u32),
}

impl std::fmt::Display for Erased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Erased::Rows(shard) => write!(f, "the rows of shard {shard} were deleted"),
            Erased::Quota(shard) => write!(f, "the quota of shard {shard} was deleted"),
        }
    }
}

/// Who reads the server's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which instance.
    pub instance: u32,
    /// The store's number of the moment when it sat down: the fence.
    pub version: u64,
}

/// A question for the store. Each is answered by its number, or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// To come back with the answer.
    pub seq: u32,
    /// What is asked.
    pub op: Op,
}

/// Operations on the store; in etcd's words, one transaction each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// One shard, unless nothing changed since these versions.
    Read {
        /// Which one.
        shard: u32,
        /// Versions of quota and rows that are known.
        known: Option<(u64, u64)>,
        /// Not from a replica that lags; else any may answer.
        firm: bool,
    },
    /// Sets the rows if quota and rows are still of these versions. Answered with
    /// the shard as it is then.
    Write {
        /// Which one.
        shard: u32,
        /// Versions of quota and rows that the change is based on.
        known: (u64, u64),
        /// All rows of the shard.
        rows: Vec<Row>,
    },
    /// Renews this instance's lease, and the key under it that says it is alive;
    /// with a new lease when the old one has ended.
    Renew,
    /// Who has the seats.
    Look,
    /// Takes a seat under a short lease if it is empty, or renews it.
    Sit {
        /// Which one.
        seat: usize,
    },
    /// Leaves a seat.
    Rise {
        /// Which one.
        seat: usize,
    },
    /// Shards changed since a revision, and which instances with rows have no
    /// lease. Not from a replica that lags.
    Sweep {
        /// The revision of the last one.
        since: u64,
    },
    /// Sets quotas: each if the first seat is still of this version, and the quota
    /// of the version that it carries.
    Allot {
        /// The seat's version.
        fence: u64,
        /// Shards and their quotas.
        quotas: Vec<(u32, Quota)>,
    },
    /// Takes out rows of instances: each shard by itself, if the seat and the rows
    /// are of these versions and none of the instances has a lease.
    Reap {
        /// The seat's version.
        fence: u64,
        /// Shards, the rows' version, and whose rows go.
        shards: Vec<(u32, u64, Vec<u32>)>,
    },
}

/// What the store says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To `Read`: nothing is newer.
    Same,
    /// To `Read`.
    Shard(Shard),
    /// To `Write`: whether it was done, and how the shard is.
    Wrote(bool, Shard),
    /// To `Renew`.
    Renewed,
    /// To `Look`, `Sit` and `Rise`.
    Seats([Option<Seat>; SEATS]),
    /// To `Sweep`.
    Swept {
        /// What is known by this.
        revision: u64,
        /// Shards changed since the one before.
        shards: Vec<(u32, Shard)>,
        /// Instances with a row and without a lease: all of them.
        gone: Vec<u32>,
    },
    /// To `Allot` and `Reap`: which shards were changed.
    Put(Vec<u32>),
}

/// What an answer has shown, for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Somebody has deleted this: shares stand, and are written anew.
    Erased(Erased),
    /// Told by the keeper: these rows were taken out, and their claims are free.
    TakenOut(Vec<TakenOut>),
}

/// An instance that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakenOut {
    /// Which one.
    pub instance: u32,
    /// What others may have now.
    pub claim: u32,
    /// How that it is gone was known.
    pub why: Gone,
}

/// How it is known of an instance without a lease that it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// The server shows fewer than half of its connections.
    Unseen,
    /// The time is up in which its claim is kept.
    Held,
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Gone::Unseen => "its lease has ended and the server shows its connections no more",
            Gone::Held => "its lease ended ten minutes ago",
        })
    }
}

/// The order in which members come to what a division leaves over: another one
/// in each turn, the same for all who compute it.
pub(super) fn rank(instance: u32, turn: u32) -> u32 {
    let mut z = (u64::from(turn) << 32 | u64::from(instance)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 32) as u32
}

/// A question under way: its number and when it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) seq: u32,
    pub(super) at: Time,
}

/// What a member has asked of its shard.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Read {
        firm: bool,
    },
    Write {
        /// Of the rows that it is based on.
        version: u64,
        claim: u32,
        /// The lease was surely there when it was asked, and will be for longer
        /// than an answer is waited for.
        leased: bool,
    },
}
