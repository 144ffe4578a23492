//! The database server refuses connections or is away.
//!
//! Connections could not be opened for 10 s and none was. A restart of a few
//! seconds is silent; so are refused passwords, which have their own alert.

use super::AlertName;
use super::engine::{Condition, Seen, clean};
use super::past::Past;
use crate::{Figure, Subject, Unit};
use events::sample::ServerSample;

/// How long before it is told.
const FOR_MS: i64 = 10_000;
/// Retries are paced: without a new failure it is taken to last so long.
const LASTS_MS: i64 = 45_000;
/// Servers that are followed.
pub(super) const SERVERS_MAX: usize = 64;

/// Failures of one server since the last connection that could be opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failing {
    pub first_ms: i64,
    pub last_ms: i64,
    pub count: u64,
}

pub(super) fn look(seen: &Seen<'_>, past: &mut Past, found: &mut Vec<Condition>) {
    for server in &seen.sample.servers {
        let failed = server.connect_failed
            + server.full
            + if refuses_credentials(server) {
                0
            } else {
                server.login_failed
            };
        let name = server.upstream.to_string();
        if server.opened > 0 {
            past.failing.remove(&name);
            continue;
        }
        if failed > 0 && (past.failing.len() < SERVERS_MAX || past.failing.contains_key(&name)) {
            let failing = past.failing.entry(name.clone()).or_insert(Failing {
                first_ms: seen.now_ms,
                ..Failing::default()
            });
            failing.last_ms = seen.now_ms;
            failing.count = failing.count.saturating_add(failed);
        }
        let Some(failing) = past.failing.get(&name).copied() else {
            continue;
        };
        let down = seen.sample.refused("server_down");
        if seen.now_ms - failing.last_ms > LASTS_MS && down == 0 {
            past.failing.remove(&name);
            continue;
        }
        // Retries are paced: only a failure, or a client sent away, is news.
        let news_ms = if down > 0 {
            seen.now_ms
        } else {
            failing.last_ms
        };
        if news_ms - failing.first_ms >= FOR_MS && failing.count >= 2 {
            found.push(condition(server, &failing, seen));
        }
    }
}

/// It answers, and does not take our password.
pub(super) fn refuses_credentials(server: &ServerSample) -> bool {
    server.last_error.starts_with("28")
}

fn condition(server: &ServerSample, failing: &Failing, seen: &Seen<'_>) -> Condition {
    let name = clean(&server.upstream);
    let mut summary = format!(
        "{name} has refused every connection for {} s",
        (seen.now_ms - failing.first_ms) / 1_000
    );
    if !server.last_error.is_empty() {
        summary.push_str(&format!(" (SQLSTATE {})", clean(&server.last_error)));
    }
    let subject = Subject {
        server: name.clone(),
        ..Subject::default()
    };
    let lasted_s = (seen.now_ms - failing.first_ms) as f64 / 1e3;
    Condition::new(AlertName::ServerRefusing, subject, summary)
        .lasting(0, 15_000)
        .figure(Figure::new("failed", failing.count as f64, Unit::Count).of(&name))
        .figure(Figure::new("failing_for", lasted_s, Unit::Seconds).of(&name))
        .step("See whether it is down, moved or full", "plimsoll diagnose")
        .step(
            "Follow the steps for this alert",
            "plimsoll playbook PlimsollServerRefusing",
        )
}
