//! How much gets done, against how much did: what got slow because more is asked
//! of the server is no fault of its own.

use super::{demands, grown, others_active, run_queue, service_flat, shift_of};
use crate::rule::Fact;
use crate::view::Case;
use crate::{Figure, Unit};

/// A server that got slow by itself does not do more than usual; from here it does.
const MORE_DONE: f64 = 1.25;

/// Transactions ended in a second: now, usual, and the figure of both.
pub(crate) fn throughput(case: &Case) -> Option<(f64, f64, Figure)> {
    let (pool, usual) = (case.pool?, case.pool_usual?);
    let now = pool.per_s(pool.transactions);
    let was = usual.per_s(usual.transactions);
    let figure = Figure::new("transactions", now, Unit::PerSecond).of(&case.name());
    Some((now, was, figure.against("usual", was)))
}

/// Transactions ended, against usual: fewer.
pub(crate) fn fewer_done(case: &Case) -> Fact {
    let Some((now, was, figure)) = throughput(case) else {
        return Fact::LACKS;
    };
    Fact::of(was > 0.0 && now < was * 0.6, now >= was * 0.9, figure)
}

/// Much more is done than usual: what got slow did so under load.
pub(crate) fn more_done(case: &Case) -> Fact {
    let Some((now, was, figure)) = throughput(case) else {
        return Fact::LACKS;
    };
    Fact::of(
        now >= was * 1.8 && now >= was + 20.0,
        now <= was * 1.2,
        figure,
    )
}

/// Throughput stayed or fell.
pub(crate) fn no_more_done(case: &Case) -> Fact {
    let (Some(pool), Some(usual)) = (case.pool, case.pool_usual) else {
        return Fact::LACKS;
    };
    let (now, was) = (
        pool.per_s(pool.transactions),
        usual.per_s(usual.transactions),
    );
    let busier = pool.busy() / usual.busy().max(0.5);
    let figure = Figure::new("transactions", now, Unit::PerSecond)
        .of(&case.name())
        .against("usual", was);
    Fact::plain(
        now <= was.max(1.0) * (1.0 + (busier - 1.0).max(0.0) * 0.5).max(1.1),
        figure,
    )
}

/// The server is slow because it does more than usual, for those who ask for more:
/// nothing took its strength from it.
pub(crate) fn loaded(case: &Case) -> Fact {
    let Some((now, was, figure)) = throughput(case) else {
        return Fact::LACKS;
    };
    let asked = grown(case).holds == Some(true)
        && demands(case).is_some_and(|(now, was)| now >= was * MORE_DONE);
    let alone = others_active(case).holds != Some(true);
    let slower = shift_of(case).is_some_and(|s| s.up && !s.by_lent());
    let done = now >= was * MORE_DONE && now >= was + 3.0;
    Fact::plain(asked && alone && slower && done, figure)
}

/// Statements take as long as usual, or longer only for all that is asked at once.
pub(crate) fn service_flat_or_loaded(case: &Case) -> Fact {
    let loaded = loaded(case);
    match loaded.holds == Some(true) && run_queue(case).holds != Some(false) {
        true => loaded,
        false => service_flat(case),
    }
}
