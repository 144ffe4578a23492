//! Others took so many connections of the server that the line fell below what
//! is needed: clients wait in a pool that has room of its own.

use super::AlertName;
use super::engine::{Condition, Seen, clean};
use crate::{Figure, Subject, Unit};
use events::sample::ServerSample;

/// Shorter waits are bursts.
const WAIT_US_MIN: u64 = 1_000_000;
/// How long, milliseconds.
const FOR_MS: i64 = 10_000;

pub(super) fn look(seen: &Seen<'_>, found: &mut Vec<Condition>) {
    for server in &seen.sample.servers {
        let line = &server.line;
        let others = line.others.unwrap_or(0);
        let at_line = line.line > 0 && line.used >= line.line;
        if !at_line || (others == 0 && line.peers_held == 0 && server.full == 0) {
            continue;
        }
        let short = seen.pools().find(|(pool, facts)| {
            let room = pool.used.last < pool.size;
            let waits = pool.waiting.last > 0 && pool.oldest_wait_us >= WAIT_US_MIN;
            let patient = facts.deadline_ms.is_none_or(|ms| ms > 5 * 60_000);
            pool.upstream == server.upstream && room && waits && !patient
        });
        if let Some((pool, _)) = short {
            found.push(condition(server, others, pool));
        }
    }
}

fn condition(server: &ServerSample, others: u32, pool: &events::sample::PoolSample) -> Condition {
    let name = clean(&server.upstream);
    let line = &server.line;
    let summary = format!(
        "{name}: others hold {} connections, so the line is {} and clients of {} wait with room in their pool",
        others + line.peers_held,
        line.line,
        clean(&pool.database)
    );
    let subject = Subject {
        server: name.clone(),
        ..Subject::default()
    };
    let used = Figure::new("charged", f64::from(line.used), Unit::Count).of(&name);
    let held = Figure::new("others", f64::from(others), Unit::Count).of(&name);
    Condition::new(AlertName::BudgetSqueezed, subject, summary)
        .lasting(FOR_MS, 60_000)
        .figure(used.against("line", f64::from(line.line)))
        .figure(held.against("max_connections", f64::from(line.max_connections)))
        .figure(Figure::new(
            "waiting",
            f64::from(pool.waiting.last),
            Unit::Count,
        ))
        .step(
            "See who holds the server's connections",
            "plimsoll diagnose",
        )
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollBudgetSqueezed",
        )
}
