//! The log of sizes that pools changed by themselves, and rows about them.

use crate::port::Common;
use config::PoolSize;
use events::sizing::{AdviceRow, SizingRow};
use events::{PoolId, SizeReason, Time, UpstreamId};
use pool::{Auto, Record, Resized, SizeChange};
use std::collections::BTreeMap;
use std::time::Duration;

/// A pool's changes are told no more often; the next line covers what was
/// kept back.
const PAUSE: Duration = Duration::from_secs(5);

/// What the log has said.
#[derive(Default)]
pub(crate) struct SizeLog {
    /// By pool: when it may be told again, and what is kept back.
    pools: BTreeMap<(UpstreamId, PoolId), Kept>,
}

struct Kept {
    next: Time,
    /// The size that was told last, and the changes since.
    from: u32,
    changes: u32,
    last: Option<(SizeChange, bool)>,
}

impl SizeLog {
    /// Takes the changes of one server's pools, and says what is due.
    pub(crate) fn tell(&mut self, now: Time, of: UpstreamId, all: &[Resized], common: &Common) {
        for resized in all {
            let kept = self.pools.entry((of, resized.pool)).or_insert(Kept {
                next: Time::ZERO,
                from: resized.change.from,
                changes: 0,
                last: None,
            });
            kept.changes += 1;
            kept.last = Some((resized.change, resized.acted));
        }
        for ((upstream, pool), kept) in &mut self.pools {
            if *upstream != of || now < kept.next {
                continue;
            }
            let Some((change, acted)) = kept.last.take() else {
                continue;
            };
            line(common, *upstream, *pool, kept, &change, acted);
            kept.next = now.after(PAUSE);
            kept.from = change.to;
            kept.changes = 0;
        }
    }
}

fn line(c: &Common, of: UpstreamId, pool: PoolId, kept: &Kept, change: &SizeChange, acted: bool) {
    let registry = c.read();
    let Some(place) = registry
        .key_of(of, pool)
        .and_then(|key| registry.place(key))
    else {
        return;
    };
    let undo = match change.reason {
        SizeReason::ServerCapacity if change.to < change.from => {
            "set guards.auto_size = \"observe\"".to_owned()
        }
        _ => format!("set pool_size = {} for this database", kept.from),
    };
    tracing::info!(
        database = %place.info.database,
        user = %place.info.user,
        from = kept.from,
        to = change.to,
        reason = change.reason.label(),
        steps = kept.changes,
        waiting = change.queued.round() as u64,
        lent = change.held.round() as u64,
        transactions_per_second = change.rate.round() as u64,
        guard = if acted { "enforce" } else { "observe" },
        undo,
        "{}",
        if acted {
            "the pool changed its size"
        } else {
            "the pool would have changed its size"
        }
    );
}

/// How a pool sizes itself, for the snapshot.
pub(crate) fn sizing_row(auto: &Auto) -> SizingRow {
    SizingRow {
        floor: auto.settings().floor,
        ceiling: auto.settings().ceiling,
        trying: auto.is_trying(),
        reason: auto.last_change().map(|change| change.reason),
        changes: *auto.changes(),
    }
}

/// Advice from a copy of a pool's record: the formula takes about a
/// millisecond, which nobody should wait for under the pools' lock.
pub(crate) fn advice_row(record: &Record, size: u32, line: u32) -> AdviceRow {
    let advice = pool::advise(record, size, line);
    AdviceRow {
        size: advice.size,
        confidence: advice.confidence.label(),
        seconds: advice.span.as_secs(),
        leases: advice.leases,
        late_permille: (advice.late * 1000.0).round() as u32,
    }
}

/// The bounds of an automatic size, and the size that holds while its guard
/// only observes.
pub(crate) fn compiled(plan: &config::Plan, size: PoolSize, per_query: bool) -> Compiled {
    match size {
        PoolSize::Fixed(n) => Compiled {
            size: n.max(1),
            auto: None,
            // A session keeps its connection: fewer of them are not more work done.
            beyond: (!per_query).then(|| bounds(plan, n, per_query)),
        },
        PoolSize::Auto => {
            // A line that the server tells is not known here; what a pool can have
            // under it bounds the size all the same.
            let line = match (&plan.monitor.user, plan.line_stated) {
                (Some(_), false) => config::LINE_MAX,
                _ => plan.line.max(1),
            };
            let fixed = match plan.default_pool_size {
                PoolSize::Fixed(n) => n,
                PoolSize::Auto => OBSERVED_SIZE,
            };
            let auto = bounds(plan, line, per_query);
            Compiled {
                size: fixed.clamp(auto.floor, auto.ceiling),
                auto: Some(auto),
                beyond: None,
            }
        }
    }
}

/// Within what a pool searches for its size, at most `most`.
fn bounds(plan: &config::Plan, most: u32, per_query: bool) -> pool::AutoSettings {
    let ceiling = plan.auto.ceiling.unwrap_or(most).min(most).max(1);
    pool::AutoSettings {
        floor: plan.auto.floor.clamp(1, ceiling),
        ceiling,
        server_cores: plan.auto.server_cores,
        per_query,
    }
}

/// The size of an automatic pool whose guard does not act, where no number is
/// stated: the default of fixed sizes.
const OBSERVED_SIZE: u32 = 20;

/// See [`compiled`].
pub(crate) struct Compiled {
    pub(crate) size: u32,
    pub(crate) auto: Option<pool::AutoSettings>,
    pub(crate) beyond: Option<pool::AutoSettings>,
}
