//! Connections are not given back.
//!
//! The data plane suspects leases that are silent beyond what their kind ever
//! was. A pattern of them is told after half a minute, a single one after ten.
//! Leases of batches and of exempt users are no suspects there.

use super::AlertName;
use super::engine::{Condition, Seen, clean, subject_of};
use super::past::{Past, applications_of};
use crate::{Figure, Unit};
use events::sample::{ApplicationSample, PoolSample};

/// Suspects that are a pattern, at least; or a tenth of the pool.
const PATTERN: u32 = 3;
/// How long a pattern must last.
const PATTERN_MS: i64 = 20_000;
/// How long a single suspect must last, minutes.
const SINGLE_MINUTES: i64 = 10;

pub(super) fn look(seen: &Seen<'_>, _: &mut Past, found: &mut Vec<Condition>) {
    for (pool, _) in seen.pools() {
        if pool.suspects == 0 {
            continue;
        }
        let pattern = pool.suspects >= PATTERN.max(pool.size / 10);
        // The one that has most of the silent leases.
        let worst = applications_of(seen.sample, pool)
            .filter(|a| a.silent.last > 0)
            .max_by_key(|a| (a.silent.last, a.oldest_hold_us));
        let condition = condition(pool, worst);
        found.push(match pattern {
            true => condition.lasting(PATTERN_MS, seen.minutes(2)),
            false => condition.lasting(seen.minutes(SINGLE_MINUTES), seen.minutes(2)),
        });
    }
}

fn condition(pool: &PoolSample, worst: Option<&ApplicationSample>) -> Condition {
    // The application may change from second to second; the alert stays the pool's.
    let subject = subject_of(pool);
    let name = format!("{}/{}", subject.database, subject.user);
    let mut summary = format!(
        "{} of {} connections of {name} are held by silent clients beyond anything usual",
        pool.suspects, pool.size
    );
    let suspects = Figure::new("suspects", f64::from(pool.suspects), Unit::Count).of(&name);
    let mut figures = vec![
        suspects.against("size", f64::from(pool.size)),
        Figure::new("oldest_hold", pool.oldest_hold_us as f64, Unit::Micros).of(&name),
    ];
    if let Some(row) = worst {
        let application = clean(&row.name);
        summary.push_str(&format!(", most by {application}"));
        if !row.release.is_empty() {
            summary.push_str(&format!(" {}", clean(&row.release)));
        }
        let silent = Figure::new("silent", f64::from(row.silent.last), Unit::Count);
        figures.push(silent.of(&application));
    }
    let mut condition = Condition::new(AlertName::Leak, subject, summary)
        .step(
            "See in the console who holds them, since when, and which statement came last",
            "SHOW LEASES",
        )
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollLeak",
        );
    condition.figures = figures;
    condition
}
