//! What a person says at a first look at the usual three charts. It stands
//! beside the rules in the evaluation, so that these have something to beat.

use crate::view::View;
use crate::{Cause, facts};
use events::sample::Record;

/// The plain baseline: a full pool is too small; else slower statements are slow
/// statements; else a slow round trip is the network; else failing connects are
/// a database that is down. `None`: nothing is wrong.
pub fn plain(record: &Record) -> Option<Cause> {
    let view = View::of(record, None)?;
    let cases = view.cases();
    let any = |test: fn(&crate::view::Case) -> crate::rule::Fact| {
        cases.iter().any(|c| test(c).holds == Some(true))
    };
    if any(facts::full) && any(facts::waits) {
        return Some(Cause::LimitTooSmall);
    }
    if any(facts::slower) {
        return Some(Cause::SlowStatements);
    }
    if any(facts::server_tcp) || any(facts::probe_slow) {
        return Some(Cause::Network);
    }
    any(facts::down).then_some(Cause::DatabaseDown)
}
