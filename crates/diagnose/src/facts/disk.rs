//! What a transaction reads, and who waits for disks.

use super::server::{before, mean, name, recent};
use crate::rule::Fact;
use crate::view::Case;
use crate::{Figure, Unit};
use events::sample::ServerActivity;

/// A transaction reads so many times what it read: a plan changed, an index went.
const MORE: f64 = 3.0;
/// A transaction reads about what it read.
const ALIKE: f64 = 1.8;
/// Transactions within readings that make a mean.
const ENOUGH: f64 = 50.0;
/// This share of what works there waits for disks.
const MOST_WAIT: f64 = 0.6;

/// Blocks read, from the buffers or from outside, by one transaction; `None` of few.
fn blocks_each(readings: &[ServerActivity]) -> Option<f64> {
    let sum = |of: fn(&ServerActivity) -> u64| readings.iter().map(|r| of(r) as f64).sum::<f64>();
    let done = sum(|r| r.transactions);
    let blocks = sum(|r| r.blocks_read) + sum(|r| r.blocks_hit);
    (done >= ENOUGH).then(|| blocks / done)
}

/// How many times what was usual a transaction reads, and the figure of it.
fn reads(case: &Case) -> Option<(f64, Figure)> {
    let (now, was) = (blocks_each(recent(case))?, blocks_each(before(case))?);
    let figure = Figure::new("blocks_per_transaction", now, Unit::Count)
        .of(&name(case))
        .against("usual", was);
    Some((now / was.max(1.0), figure))
}

/// A transaction reads far more blocks than usual.
pub(crate) fn reads_more(case: &Case) -> Fact {
    reads(case).map_or(Fact::LACKS, |(times, figure)| {
        Fact::plain(times >= MORE, figure)
    })
}

/// Most of what works there waits for disks, and reads no more than it did: the
/// disk got slow, not the statements.
pub(crate) fn disk_waits(case: &Case) -> Fact {
    let waiting = |r: &ServerActivity| f64::from(r.waits_for("IO"));
    let Some(io) = mean(recent(case), waiting) else {
        return Fact::LACKS;
    };
    let usual = mean(before(case), waiting).unwrap_or(0.0);
    let active = mean(recent(case), |r| f64::from(r.active)).unwrap_or(0.0);
    let alike = reads(case).is_none_or(|(times, _)| times <= ALIKE);
    let figure = Figure::new("backends_waiting_for_io", io, Unit::Count)
        .of(&name(case))
        .against("usual", usual);
    let most = io >= 2.5 && io >= active * MOST_WAIT && io >= usual * 2.0 + 1.0;
    Fact::plain(most && alike, figure)
}
