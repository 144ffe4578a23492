//! An application's own pool is the bottleneck, although nobody waits here.
//!
//! All connections that an application has, as many as it ever had, are busy or
//! silent for a minute, while the pool here has room. That counts only where it
//! is unusual: a job that always works at full width, or that idles all day and
//! then works, has no such past.

use super::AlertName;
use super::engine::{Condition, Seen, clean, subject_of};
use super::past::{ApplicationPast, Past};
use crate::{Figure, Subject, Unit};
use events::sample::{ApplicationSample, PoolSample};

/// Fewer connections are no pool.
const CLIENTS_MIN: u32 = 3;
/// Minutes of past that are needed.
const LEARN_MINUTES: u32 = 30;
/// The usual share of busy connections of an application with requests all day.
const USUAL: std::ops::Range<f64> = 0.03..0.7;
/// Requests in a minute of such an application.
const ARRIVALS_MIN: f64 = 10.0;
/// How long, milliseconds.
const FOR_MS: i64 = 60_000;

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    for row in &seen.sample.applications {
        let key = (
            row.database.to_string(),
            row.user.to_string(),
            row.name.to_string(),
        );
        let Some(past) = past.applications.get_mut(&key) else {
            continue;
        };
        let pool = seen.sample.pool(&row.database, &row.user);
        let full = pool.and_then(|pool| {
            let facts = seen.facts.pool(&pool.database, &pool.user);
            let skip = facts.session || pool.paused || seen.facts.patient(&facts, &row.name);
            kind(row, pool, past).filter(|_| !skip).map(|k| (pool, k))
        });
        let Some((pool, silent)) = full else {
            past.full_since_ms = None;
            continue;
        };
        past.full_since_ms.get_or_insert(seen.now_ms);
        found.push(condition(pool, row, past, silent));
    }
}

/// Whether all its connections are busy (`Some(false)`) or silent (`Some(true)`).
fn kind(row: &ApplicationSample, pool: &PoolSample, past: &ApplicationPast) -> Option<bool> {
    let clients = row.clients.last;
    let nobody_waits = pool.waiting.most == 0 && pool.used.most < pool.size;
    let usual = past.minutes >= LEARN_MINUTES
        && USUAL.contains(&past.usually_busy)
        && past.usual_arrivals >= ARRIVALS_MIN;
    let at_ceiling =
        clients >= CLIENTS_MIN && clients >= past.ceiling && row.clients.least == row.clients.most;
    if !(nobody_waits && usual && at_ceiling) {
        return None;
    }
    if row.silent.least >= clients && row.arrivals == 0 {
        return Some(true);
    }
    // Between two requests of one connection a look may find it free.
    let busy = row.used.mean() >= f64::from(clients) * 0.95;
    (busy && row.arrivals > 0).then_some(false)
}

fn condition(
    pool: &PoolSample,
    row: &ApplicationSample,
    past: &ApplicationPast,
    silent: bool,
) -> Condition {
    let application = clean(&row.name);
    let subject = Subject {
        application: application.clone(),
        release: clean(&row.release),
        ..subject_of(pool)
    };
    let how = match silent {
        true => "silent inside a transaction: its own pool is drained by a leak",
        false => "busy: its own pool is the limit",
    };
    let summary = format!(
        "Nobody waits here, but all {} connections of {application} are {how}",
        row.clients.last
    );
    let busy = Figure::new(
        "busy",
        row.used.mean() / f64::from(row.clients.last.max(1)) * 100.0,
        Unit::Percent,
    );
    Condition::new(AlertName::LimitUpstream, subject, summary)
        .lasting(FOR_MS, 60_000)
        .figure(
            busy.of(&application)
                .against("usual", past.usually_busy * 100.0),
        )
        .figure(Figure::new("clients", f64::from(row.clients.last), Unit::Count).of(&application))
        .figure(Figure::new("silent", f64::from(row.silent.last), Unit::Count).of(&application))
        .figure(Figure::new("waiting", 0.0, Unit::Count).of(&subject_of(pool).database))
        .step(
            "Look at the pool inside the application: its size, and who keeps its connections",
            "plimsoll diagnose",
        )
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollLimitUpstream",
        )
}
