//! Timeouts: absent, or in the wrong order.

use super::limits::{is_pooler, origin, place_of};
use super::{
    IDLE_BEYOND_FIREWALL, IDLE_TRANSACTION_UNBOUNDED, LEAK_DETECTION_OFF, LIFETIME_UNBOUNDED,
    STATEMENT_UNBOUNDED, TIMEOUT_ORDER, WAIT_UNBOUNDED,
};
use crate::facts::{Facts, Pool, Tool, Value, Wait};
use crate::finding::{Finding, Severity};
use std::time::Duration;

/// Firewalls and load balancers forget a silent connection after this: AWS NLB
/// 350 s, Azure 4 min, GCP 10 min, common conntrack settings an hour or more.
/// The longest that is still common decides, so that a finding is worth it.
const FIREWALL: Duration = Duration::from_secs(3600);

pub(super) fn run(facts: &Facts, out: &mut Vec<Finding>) {
    let server_idle = facts
        .servers
        .iter()
        .any(|s| s.idle_in_transaction.value != Wait::Forever);
    let server_statement = facts
        .servers
        .iter()
        .any(|s| s.statement.value != Wait::Forever);
    for pool in &facts.pools {
        wait(pool, out);
        idle_transaction(pool, server_idle, out);
        statement(pool, server_statement, out);
        order(pool, facts, out);
        idle(pool, out);
        leak(pool, out);
    }
    requests(facts, out);
    servers(facts, out);
}

/// `Some` when the tool has such a setting and it is off.
fn off(value: &Option<Value<Wait>>) -> Option<&Value<Wait>> {
    value.as_ref().filter(|v| v.value == Wait::Forever)
}

fn wait(pool: &Pool, out: &mut Vec<Finding>) {
    let Some(value) = off(&pool.timeouts.wait) else {
        return;
    };
    // postgres.js has no setting for it: whoever uses it can only know.
    let severity = match pool.tool == Tool::PostgresJs && !value.is_stated() {
        true => Severity::Note,
        false => WAIT_UNBOUNDED.severity,
    };
    out.push(
        Finding::new(
            &WAIT_UNBOUNDED,
            place_of(value, pool),
            format!(
                "whoever waits for a connection of `{}` waits without an end{}",
                pool.name,
                origin(value)
            ),
        )
        .severity(severity)
        .why("when the pool is exhausted requests pile up behind each other, nothing fails, and no alert rings")
        .help("a time below the request's own timeout: 5 to 30 seconds"),
    );
}

fn idle_transaction(pool: &Pool, by_server: bool, out: &mut Vec<Finding>) {
    let Some(value) = off(&pool.timeouts.idle_in_transaction) else {
        return;
    };
    // Plimsoll finds such leases by learning, unless that is off.
    let learns = pool.tool == Tool::Plimsoll && off(&pool.timeouts.leak).is_none();
    if by_server || learns {
        return;
    }
    let severity = match value.is_stated() {
        true => Severity::Warning,
        false => Severity::Note,
    };
    out.push(
        Finding::new(
            &IDLE_TRANSACTION_UNBOUNDED,
            place_of(value, pool),
            format!(
                "`{}`: a transaction in which nothing happens may last for ever{}",
                pool.name,
                origin(value)
            ),
        )
        .severity(severity)
        .why("a forgotten COMMIT keeps its connection and its locks; a few of them drain the pool")
        .help("idle_in_transaction_session_timeout at the server, or the pooler's own, of some minutes"),
    );
}

fn statement(pool: &Pool, by_server: bool, out: &mut Vec<Finding>) {
    if by_server {
        return;
    }
    if let Some(value) = off(&pool.timeouts.statement) {
        out.push(
            Finding::new(
                &STATEMENT_UNBOUNDED,
                place_of(value, pool),
                format!("`{}`: no statement has a time limit{}", pool.name, origin(value)),
            )
            .why("one slow plan keeps connections for as long as it runs")
            .help("statement_timeout for the application's role; not for migrations, which take hours"),
        );
    }
}

/// Only what somebody wrote.
fn stated(value: &Option<Value<Wait>>) -> Option<&Value<Wait>> {
    value.as_ref().filter(|v| v.is_stated())
}

/// A request waits for a connection, then for its statement: each outer time
/// must be longer than the inner one, or its error is never seen.
fn order(pool: &Pool, facts: &Facts, out: &mut Vec<Finding>) {
    let t = &pool.timeouts;
    let request = t.request.as_ref();
    let pairs = [
        (
            t.wait.as_ref(),
            request,
            "the wait for a connection",
            "the request",
        ),
        (t.statement.as_ref(), request, "a statement", "the request"),
        (
            t.idle.as_ref(),
            t.lifetime.as_ref(),
            "the idle time of a connection",
            "its lifetime",
        ),
        (
            t.leak.as_ref(),
            t.lifetime.as_ref(),
            "the leak threshold",
            "the life of a connection",
        ),
        (
            stated(&t.connect),
            t.wait.as_ref(),
            "an attempt to connect",
            "the wait for a connection",
        ),
    ];
    for (inner, outer, inner_name, outer_name) in pairs {
        pair(pool, inner, outer, (inner_name, outer_name), out);
    }
    // The server ends a statement in order; what gives up before it loses the connection.
    let cuts = matches!(pool.tool, Tool::Plimsoll | Tool::PgBouncer | Tool::PgCat);
    for server in facts.servers.iter().filter(|_| cuts) {
        let names = ("a statement at the server", "a statement at the pooler");
        pair(
            pool,
            Some(&server.statement),
            stated(&t.statement),
            names,
            out,
        );
    }
    // The pooler's wait must end before the application gives up on it.
    if is_pooler(pool.tool) {
        for app in facts.pools.iter().filter(|p| !is_pooler(p.tool)) {
            let names = ("the pooler's wait", "the application's request");
            pair(
                pool,
                t.wait.as_ref(),
                app.timeouts.request.as_ref(),
                names,
                out,
            );
        }
    }
}

/// The application server's own end of a request, against what a request waits
/// for. Only what somebody wrote on both sides, and where one such end is known.
fn requests(facts: &Facts, out: &mut Vec<Finding>) {
    let mut ends = facts
        .requests
        .iter()
        .filter(|(_, end)| end.value != Wait::Forever);
    let (Some((tool, end)), None) = (ends.next(), ends.next()) else {
        return;
    };
    for pool in &facts.pools {
        let own = match tool {
            Tool::Rails => matches!(pool.tool, Tool::Rails | Tool::Sequel),
            _ => matches!(
                pool.tool,
                Tool::Django | Tool::SqlAlchemy | Tool::Psycopg | Tool::Environment
            ),
        };
        let t = &pool.timeouts;
        if own || is_pooler(pool.tool) {
            let names = (
                "the wait for a connection",
                "the application server's request",
            );
            pair(pool, stated(&t.wait), Some(end), names, out);
        }
        if own {
            let names = ("a statement", "the application server's request");
            pair(pool, stated(&t.statement), Some(end), names, out);
        }
    }
}

fn pair(
    pool: &Pool,
    inner: Option<&Value<Wait>>,
    outer: Option<&Value<Wait>>,
    (inner_name, outer_name): (&str, &str),
    out: &mut Vec<Finding>,
) {
    let (Some(inner), Some(outer)) = (inner, outer) else {
        return;
    };
    let (Some(short), Some(long)) = (inner.value.time(), outer.value.time()) else {
        return;
    };
    // Two defaults in an odd order are the tool's business.
    if short <= long || !inner.is_stated() && !outer.is_stated() {
        return;
    }
    let at = if inner.is_stated() { inner } else { outer };
    out.push(
        Finding::new(
            &TIMEOUT_ORDER,
            place_of(at, pool),
            format!(
                "`{}`: {inner_name} may take {}{}, {outer_name} only {}{}",
                pool.name,
                shown(short),
                origin(inner),
                shown(long),
                origin(outer)
            ),
        )
        .why("the outer one gives up first: the client sees a bare timeout, and the work goes on for nobody")
        .help("inner times shorter than outer ones: connect < wait < statement < request")
        .beside(outer.place().filter(|p| Some(*p) != at.place()), "the outer one"),
    );
}

/// How long a connection that nobody uses is kept: whatever ends it first.
fn resting(pool: &Pool) -> Wait {
    let time = |value: &Option<Value<Wait>>| value.as_ref().map_or(Wait::Forever, |v| v.value);
    time(&pool.timeouts.idle).min(time(&pool.timeouts.lifetime))
}

fn idle(pool: &Pool, out: &mut Vec<Finding>) {
    let t = &pool.timeouts;
    if let Some(idle) = t.idle.as_ref().filter(|idle| idle.is_stated())
        && resting(pool) > Wait::For(FIREWALL)
    {
        let how_long = match resting(pool) {
            Wait::For(time) => format!("for {}", shown(time)),
            Wait::Forever => "for ever".to_owned(),
        };
        out.push(
            Finding::new(
                &IDLE_BEYOND_FIREWALL,
                place_of(idle, pool),
                format!("`{}` keeps idle connections {how_long}", pool.name),
            )
            .why("firewalls and load balancers forget silent connections after minutes up to an hour; the first request on such a one hangs")
            .help("10 minutes, or less than the firewall's own time"),
        );
    }
    let never = off(&t.idle).is_some() || t.idle.is_none();
    if let Some(lifetime) = off(&t.lifetime)
        && (never || lifetime.is_stated())
    {
        out.push(
            Finding::new(
                &LIFETIME_UNBOUNDED,
                place_of(lifetime, pool),
                format!(
                    "`{}` never replaces its connections{}",
                    pool.name,
                    origin(lifetime)
                ),
            )
            .why("after a failover they stay at the old server, and a backend's memory only grows")
            .help("half an hour to an hour"),
        );
    }
}

fn leak(pool: &Pool, out: &mut Vec<Finding>) {
    let Some(value) = off(&pool.timeouts.leak) else {
        return;
    };
    let severity = match value.is_stated() {
        true => Severity::Warning,
        false => Severity::Note,
    };
    out.push(
        Finding::new(
            &LEAK_DETECTION_OFF,
            place_of(value, pool),
            format!(
                "`{}` reports no connection that is borrowed and never returned{}",
                pool.name,
                origin(value)
            ),
        )
        .severity(severity)
        .why("a leak is first seen when the pool is empty, without a word of who took the connections")
        .help("a time well above the longest transaction: one or two minutes"),
    );
}

/// The server's own: what somebody switched off; of a running one, also what
/// nobody switched on.
fn servers(facts: &Facts, out: &mut Vec<Finding>) {
    for server in facts.servers.iter().filter(|s| s.live) {
        let value = &server.idle_in_transaction;
        if value.value == Wait::Forever && !value.is_stated() {
            out.push(
                Finding::new(
                    &IDLE_TRANSACTION_UNBOUNDED,
                    server.place.clone(),
                    format!(
                        "the server lets a transaction in which nothing happens last for ever{}",
                        origin(value)
                    ),
                )
                .severity(Severity::Note)
                .why("a forgotten COMMIT keeps its connection and its locks; a few of them drain every pool before this server")
                .help("idle_in_transaction_session_timeout of some minutes, for the server or the application's role"),
            );
        }
    }
    let stated_off = |value: &Value<Wait>| match value.value {
        Wait::Forever => value.place().cloned(),
        Wait::For(_) => None,
    };
    for server in &facts.servers {
        if let Some(place) = stated_off(&server.idle_in_transaction) {
            out.push(
                Finding::new(
                    &IDLE_TRANSACTION_UNBOUNDED,
                    place,
                    "the server lets a transaction in which nothing happens last for ever",
                )
                .why("a forgotten COMMIT keeps its connection and its locks; a few of them drain every pool before this server")
                .help("some minutes, such as 5min"),
            );
        }
        if let Some(place) = stated_off(&server.statement) {
            out.push(
                Finding::new(
                    &STATEMENT_UNBOUNDED,
                    place,
                    "the server stops no statement, however long it runs",
                )
                .why("one slow plan keeps connections for as long as it runs")
                .help("ALTER ROLE … SET statement_timeout for the application; not for migrations, which take hours"),
            );
        }
    }
}

/// "30 s", "1.5 h".
pub(super) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (n, unit) = match seconds {
        s if s < 1.0 => (s * 1000.0, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s => (s / 3600.0, "h"),
    };
    let text = format!("{n:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}
