//! A pool by itself: no limit, a limit beyond the server, a limit below need.

use super::{LIMIT_MISSING, LIMIT_UNLIMITED, MIN_ABOVE_MAX, POOL_TOO_SMALL, SIZE_OVER_SERVER};
use crate::engine::Options;
use crate::facts::{Facts, Limit, Mode, Origin, Pool, Tool, Value};
use crate::finding::{Finding, Severity};
use crate::place::Place;

pub(super) fn run(facts: &Facts, options: &Options, out: &mut Vec<Finding>) {
    for pool in &facts.pools {
        unlimited(pool, out);
        missing(pool, out);
        minimum(pool, out);
        over_server(pool, facts, options, out);
        too_small(pool, facts, options, out);
    }
}

/// Poolers bound their clients' connections; applications' pools only their own.
pub(super) fn is_pooler(tool: Tool) -> bool {
    matches!(
        tool,
        Tool::Plimsoll | Tool::PgBouncer | Tool::PgCat | Tool::PgDog | Tool::Odyssey
    )
}

/// Where a value stands; else where its pool is declared.
pub(super) fn place_of<T>(value: &Value<T>, pool: &Pool) -> Place {
    value.place().unwrap_or(&pool.place).clone()
}

/// "(SQLAlchemy's default)" behind a value that nobody wrote.
pub(super) fn origin<T>(value: &Value<T>) -> String {
    match &value.origin {
        Origin::Stated(_) => String::new(),
        Origin::Default(whose) => format!(" ({whose})"),
    }
}

/// No server has so many: whoever writes it means that there is no limit.
const ENDLESS: u64 = 100_000;

fn is_endless(limit: Limit) -> bool {
    limit >= Limit::Of(ENDLESS)
}

fn unlimited(pool: &Pool, out: &mut Vec<Finding>) {
    let extra = pool.extra.as_ref();
    let value = match (pool.size.value, extra) {
        (size, _) if is_endless(size) => &pool.size,
        (_, Some(extra)) if is_endless(extra.value) => extra,
        _ => return,
    };
    // A limit over all of its pools bounds this one too.
    let capped = pool
        .cap
        .as_ref()
        .is_some_and(|cap| cap.value != Limit::Unlimited);
    if capped {
        return;
    }
    out.push(
        Finding::new(
            &LIMIT_UNLIMITED,
            place_of(value, pool),
            format!(
                "the pool `{}` of {} has no limit{}",
                pool.name,
                pool.tool.name(),
                origin(value)
            ),
        )
        .why(
            "a surge opens a connection for each request until the server refuses everybody, \
             the other applications and the administrator with it",
        )
        .help("write a number: `plimsoll size` finds it from rates and times"),
    );
}

/// PgBouncer's sizes are per user and database: without a cap their sum has no end.
fn missing(pool: &Pool, out: &mut Vec<Finding>) {
    let Some(cap) = &pool.cap else { return };
    if cap.value != Limit::Unlimited || pool.size.value == Limit::Unlimited {
        return;
    }
    let size = pool.size.value.number().unwrap_or(0);
    let message = format!(
        "{} bounds each user's pool for `{}` ({size}{}), not all of them together",
        pool.tool.name(),
        pool.name,
        origin(&pool.size)
    );
    let severity = match cap.is_stated() || pool.times > 1 {
        true => Severity::Warning,
        false => Severity::Note,
    };
    out.push(
        Finding::new(&LIMIT_MISSING, place_of(cap, pool), message)
            .severity(severity)
            .why(format!(
                "every further user of the database brings {size} more connections, up to the server's end"
            ))
            .help("set max_db_connections to what the server can spare for this database"),
    );
}

fn minimum(pool: &Pool, out: &mut Vec<Finding>) {
    let (Some(min), Some(max)) = (&pool.min, pool.size.value.number()) else {
        return;
    };
    // What a tool derives from the other value is not somebody's mistake.
    if min.value <= max || !min.is_stated() && !pool.size.is_stated() {
        return;
    }
    let at_most = Value {
        value: max,
        origin: pool.size.origin.clone(),
    };
    out.push(
        Finding::new(
            &MIN_ABOVE_MAX,
            place_of(if min.is_stated() { min } else { &at_most }, pool),
            format!(
                "the minimum of `{}` is {}{}, its maximum {max}{}",
                pool.name,
                min.value,
                origin(min),
                origin(&pool.size)
            ),
        )
        .why(format!(
            "{} refuses to start, or silently takes one of the two",
            pool.tool.name()
        ))
        .help("write a minimum of at most the maximum")
        .beside(pool.size.place(), "the maximum"),
    );
}

fn over_server(pool: &Pool, facts: &Facts, options: &Options, out: &mut Vec<Finding>) {
    let Some((usable, server)) = super::fleet::usable(facts, options) else {
        return;
    };
    let mut most = most(pool);
    // A line that nobody stated hides what the file asks for.
    if pool.tool == Tool::Plimsoll && pool.size.is_stated() {
        most = most.max(pool.size.value);
    }
    let Some(most) = most.number().filter(|most| *most > usable) else {
        return;
    };
    // The line holds it: it is clipped, and says so.
    let severity = match pool.tool {
        Tool::Plimsoll => Severity::Warning,
        _ => Severity::Error,
    };
    out.push(
        Finding::new(
            &SIZE_OVER_SERVER,
            place_of(&pool.size, pool),
            format!(
                "`{}` may open {most} connections; the server has {usable} for ordinary users",
                pool.name
            ),
        )
        .severity(severity)
        .why("when all are asked for, the server refuses everybody with 53300, and needs a superuser's slot to be mended")
        .help(format!(
            "stay below {usable}, with room for migrations and an administrator; or raise max_connections"
        ))
        .beside(server, "what the server has"),
    );
}

/// Connections that one copy of a pool may open.
pub(super) fn most(pool: &Pool) -> Limit {
    let one = match (pool.size.value, pool.extra.as_ref().map(|e| e.value)) {
        (Limit::Of(size), Some(Limit::Of(extra))) => Limit::Of(size.saturating_add(extra)),
        (Limit::Of(size), None) => Limit::Of(size),
        _ => Limit::Unlimited,
    };
    let all = match one {
        Limit::Of(n) => Limit::Of(n.saturating_mul(pool.times.max(1))),
        Limit::Unlimited => Limit::Unlimited,
    };
    match pool.cap.as_ref().map(|cap| cap.value) {
        Some(cap) => all.min(cap),
        None => all,
    }
}

/// Threads of one process that each want a connection, or a stated demand.
fn too_small(pool: &Pool, facts: &Facts, options: &Options, out: &mut Vec<Finding>) {
    let Some(most) = most(pool).number().filter(|_| !pool.per_thread()) else {
        return;
    };
    let finding =
        |message: String| Finding::new(&POOL_TOO_SMALL, place_of(&pool.size, pool), message);
    if most == 0 {
        out.push(
            finding(format!("`{}` may open no connection at all", pool.name))
                .why("every request waits until its timeout and fails")
                .help("write how many the process needs"),
        );
        return;
    }
    if let Some(demand) = options.demand.filter(|demand| most < *demand) {
        out.push(
            finding(format!(
                "`{}` may open {most} connections; {demand} are in use at the peak",
                pool.name
            ))
            .why("requests queue until their timeouts from the first busy minute on")
            .help(format!("at least {demand}, and room for bursts")),
        );
        return;
    }
    if is_pooler(pool.tool) {
        return lends_few(pool, most, out);
    }
    let linked = facts.linked(pool);
    let may_run = |w: &crate::facts::Workload| {
        linked.is_empty() || linked.iter().any(|known| std::ptr::eq(*known, w))
    };
    let threads = facts.workloads.iter().filter_map(|w| {
        // A servlet container has more threads than connections by design.
        if w.tool == Tool::Hikari || !may_run(w) {
            return None;
        }
        let threads = w.threads.as_ref()?;
        (threads.value > most).then_some((threads, w))
    });
    // The nearest: threads that are stated in the pool's own file.
    let own = |w: &crate::facts::Workload| w.place.file == pool.place.file;
    let Some((threads, workload)) = threads.max_by_key(|(t, w)| (own(w), t.value)) else {
        return;
    };
    out.push(
        finding(format!(
            "`{}` has {most} connections{} for {} threads",
            pool.name,
            origin(&pool.size),
            threads.value
        ))
        .severity(Severity::Warning)
        .why(format!(
            "when all threads of `{}` are busy, {} of them wait for a connection and fail at its timeout",
            workload.name,
            threads.value - most
        ))
        .help(format!(
            "{} connections, or fewer threads; fewer is right where requests spend most time outside the database",
            threads.value
        ))
        .beside(threads.place(), "the threads"),
    );
}

/// A pooler in transaction mode with a single connection, before many clients.
fn lends_few(pool: &Pool, most: u64, out: &mut Vec<Finding>) {
    let session = pool.mode.as_ref().is_some_and(|m| m.value == Mode::Session);
    let clients = pool.clients.as_ref().and_then(|c| c.value.number());
    let (Some(clients), true) = (clients, session) else {
        return;
    };
    // Each session keeps its connection: those beyond wait until somebody leaves.
    let stated = pool.clients.as_ref().is_some_and(Value::is_stated)
        && pool.mode.as_ref().is_some_and(Value::is_stated);
    if !stated || clients <= most.saturating_mul(20) {
        return;
    }
    out.push(
        Finding::new(
            &POOL_TOO_SMALL,
            place_of(&pool.size, pool),
            format!("session pooling: {clients} clients may log in, {most} of them are served at a time"),
        )
        .severity(Severity::Warning)
        .why("a client keeps its connection until it leaves; the others wait at their first query, and time out")
        .help("pool_mode = transaction where the application allows it, or a pool as large as the sessions")
        .beside(pool.mode.as_ref().and_then(Value::place), "the mode"),
    );
}
