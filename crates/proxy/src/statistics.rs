//! The line of statistics in the log, in PgBouncer's words: log watchers look for them.

use events::snapshot::Totals;
use std::collections::BTreeMap;
use std::time::Duration;

/// What happened between two readings of every database's totals, per second; times
/// are microseconds, per transaction, per query, and of waiting per second.
pub(crate) fn line(
    before: &BTreeMap<String, Totals>,
    now: &BTreeMap<String, Totals>,
    span: Duration,
) -> String {
    let sum = |of: fn(&Totals) -> u64| {
        let grown = now.iter().map(|(database, totals)| {
            let before = before.get(database).map_or(0, of);
            of(totals).saturating_sub(before)
        });
        grown.sum::<u64>()
    };
    let rate = |of| u128::from(sum(of)) * 1_000_000 / span.as_micros().max(1);
    let each = |time, count| sum(time) / sum(count).max(1);
    format!(
        "stats: {} xacts/s, {} queries/s, {} client parses/s, {} server parses/s, {} binds/s, \
         in {} B/s, out {} B/s, xact {} us, query {} us, wait {} us",
        rate(|t| t.xacts),
        rate(|t| t.queries),
        rate(|t| t.client_parses),
        rate(|t| t.server_parses),
        rate(|t| t.binds),
        rate(|t| t.bytes_received),
        rate(|t| t.bytes_sent),
        each(|t| t.xact_us, |t| t.xacts),
        each(|t| t.query_us, |t| t.queries),
        rate(|t| t.wait_us),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_period_over_all_databases() {
        let of = |xacts, xact_us, wait_us| Totals {
            xacts,
            queries: 2 * xacts,
            bytes_received: 100 * xacts,
            xact_us,
            wait_us,
            ..Totals::default()
        };
        let before = BTreeMap::from([("a".to_owned(), of(100, 5_000, 0))]);
        let now = BTreeMap::from([
            ("a".to_owned(), of(120, 9_000, 10)),
            ("b".to_owned(), of(20, 4_000, 10)),
        ]);
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)),
            "stats: 20 xacts/s, 40 queries/s, 0 client parses/s, 0 server parses/s, 0 binds/s, \
             in 2000 B/s, out 0 B/s, xact 200 us, query 0 us, wait 10 us"
        );
        let nothing = line(&now, &now, Duration::ZERO);
        assert!(
            nothing.starts_with("stats: 0 xacts/s, 0 queries/s, "),
            "{nothing}"
        );
    }
}
