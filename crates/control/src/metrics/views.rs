//! Which pools have series of their own in a family, so that no family has more
//! than [`SERIES_MAX`] series.
//!
//! A monitoring server must survive whatever names clients choose. A family with
//! several series for each pool has room for fewer pools: what does not fit is
//! summed as `other`, and how much that was is exported.

use super::{OTHER, Pools, by_name};
use events::snapshot::PoolRow;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

/// Series of one family, `other` apart.
pub const SERIES_MAX: usize = 2_000;
/// Series of one pool's histogram: 21 bounds, the rest, sum and count.
pub(super) const OF_HISTOGRAM: usize = 24;
/// Steps of series for each pool, so that few sums are made: 1, up to 6, a histogram.
const STEPS: [usize; 3] = [1, 6, OF_HISTOGRAM];

/// The pools of one snapshot, summed as far as each family needs.
pub(super) struct Views<'a> {
    rows: &'a [PoolRow],
    made: [OnceCell<(Pools<'a>, usize)>; STEPS.len()],
    folded: RefCell<BTreeMap<&'static str, u64>>,
}

impl<'a> Views<'a> {
    pub(super) fn new(rows: &'a [PoolRow]) -> Views<'a> {
        Views {
            rows,
            made: [const { OnceCell::new() }; STEPS.len()],
            folded: RefCell::default(),
        }
    }

    /// The pools of a family that writes up to so many series for each.
    pub(super) fn fit(&self, family: &'static str, series: usize) -> &Pools<'a> {
        let step = STEPS.iter().position(|step| series <= *step);
        let step = step.unwrap_or(STEPS.len() - 1);
        let make = || by_name(self.rows, SERIES_MAX / STEPS[step]);
        let (pools, folded) = self.made[step].get_or_init(make);
        if *folded > 0 {
            let lost = (*folded * series) as u64;
            self.folded.borrow_mut().insert(family, lost);
        }
        pools
    }

    /// Series that went into `other`, by family; only those above zero.
    pub(super) fn folded(&self) -> Vec<(&'static str, u64)> {
        self.folded
            .borrow()
            .iter()
            .map(|(name, n)| (*name, *n))
            .collect()
    }

    /// Pools without a series of their own in a family with one for each pool.
    pub(super) fn pools_folded(&self) -> usize {
        let (_, folded) = self.made[0].get_or_init(|| by_name(self.rows, SERIES_MAX));
        *folded
    }

    /// The name under which a pool stands among these.
    pub(super) fn name_in<'n>(pools: &Pools<'_>, name: (&'n str, &'n str)) -> (&'n str, &'n str) {
        match pools.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(_) => name,
            Err(_) => (OTHER, OTHER),
        }
    }
}
