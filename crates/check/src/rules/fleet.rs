//! All copies of all pools together, against the server.

use super::limits::{is_pooler, most};
use super::{FLEET_OVER_SERVER, limits::place_of};
use crate::engine::Options;
use crate::facts::{Facts, Pool, Server, Value, Workload};
use crate::finding::Finding;
use crate::place::Place;

/// Connections that ordinary users can have, and where that stands.
pub(super) fn usable<'a>(facts: &'a Facts, options: &Options) -> Option<(u64, Option<&'a Place>)> {
    let (all, place) = match (options.max_connections, one_server(facts)) {
        // PostgreSQL keeps three for superusers unless told otherwise.
        (Some(max), _) => (max.saturating_sub(3), None),
        (None, Some(server)) => (server.usable(), server.place_of_usable()),
        _ => return None,
    };
    Some((all.saturating_sub(options.others), place))
}

/// The server that is meant: the only one, or the only one that runs.
fn one_server(facts: &Facts) -> Option<&Server> {
    let live = facts.servers.iter().any(|s| s.live);
    let mut all = facts.servers.iter().filter(|s| s.live == live);
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

/// How often one pool exists.
struct Copies<'a> {
    pool: &'a Pool,
    workload: Option<&'a Workload>,
    /// Connections of all copies together, with those of a rolling deploy.
    sum: u64,
}

pub(super) fn run(facts: &Facts, options: &Options, out: &mut Vec<Finding>) {
    let Some((usable, server)) = usable(facts, options) else {
        return;
    };
    // Behind a pooler the applications' pools hold clients, not server connections.
    let poolers = facts.pools.iter().any(|p| is_pooler(p.tool));
    let pools = facts.pools.iter().filter(|p| is_pooler(p.tool) == poolers);
    // One file for all environments: they do not share a server.
    let staged = facts.pools.iter().any(is_production);
    let pools = pools.filter(|p| !staged || p.stage().is_none() || is_production(p));
    let copies: Vec<Copies<'_>> = pools.flat_map(|pool| copies(pool, facts)).collect();
    let sum = copies
        .iter()
        .fold(0_u64, |all, c| all.saturating_add(c.sum));
    // A single pool that is too large alone has its own finding.
    let alone = copies.iter().any(|c| most(c.pool).number() > Some(usable));
    let Some(largest) = copies.iter().max_by_key(|c| c.sum) else {
        return;
    };
    if sum <= usable || alone {
        return;
    }
    let terms: Vec<String> = copies.iter().map(term).collect();
    let mut finding = Finding::new(
        &FLEET_OVER_SERVER,
        place_of(&largest.pool.size, largest.pool),
        format!("all copies together may open {sum} connections; the server has {usable} for ordinary users"),
    )
    .why(format!(
        "{}: the last copies to start, or to be replaced, find the server full",
        terms.join(" + ")
    ))
    .help(format!(
        "fewer per copy, or a pooler between them and the server; {usable} must cover the sum, rolling deploys included"
    ))
    .beside(server, "what the server has");
    if let Some(workload) = largest.workload {
        finding = finding.beside(workload.replicas.place(), "the copies");
    }
    out.push(finding);
}

fn is_production(pool: &Pool) -> bool {
    matches!(pool.stage(), Some("production" | "prod"))
}

/// A pool that several workloads run counts once for each.
/// How often one copy of a workload has the pool: in each process, and where
/// there is no pool at all, in each thread.
fn per_copy(pool: &Pool, workload: &Workload) -> u64 {
    let count = |of: &Option<Value<u64>>| of.as_ref().map_or(1, |n| n.value.max(1));
    let threads = match pool.per_thread() {
        true => count(&workload.threads),
        false => 1,
    };
    count(&workload.processes).saturating_mul(threads)
}

fn copies<'a>(pool: &'a Pool, facts: &'a Facts) -> Vec<Copies<'a>> {
    let Some(one) = most(pool).number() else {
        return Vec::new();
    };
    // Processes of an application each have the pool; a pooler is one process.
    let pooler = is_pooler(pool.tool);
    let all = workloads_of(pool, facts).into_iter().map(|workload| {
        let (instances, processes) = workload.map_or((1, 1), |w| {
            let instances = w.replicas.value.saturating_add(w.surge.value);
            (instances, per_copy(pool, w))
        });
        let processes = if pooler { 1 } else { processes };
        let sum = one
            .saturating_mul(instances)
            .saturating_mul(processes.max(1));
        Copies {
            pool,
            workload,
            sum,
        }
    });
    all.collect()
}

/// The workloads that run a pool: those in whose environment it stands, the
/// only one, or the one in whose file it stands.
fn workloads_of<'a>(pool: &Pool, facts: &'a Facts) -> Vec<Option<&'a Workload>> {
    let linked = facts.linked(pool);
    match linked.is_empty() {
        true => vec![workload_of(pool, facts)],
        false => linked.into_iter().map(Some).collect(),
    }
}

/// The only workload, or the only one in whose file a pool stands.
fn workload_of<'a>(pool: &Pool, facts: &'a Facts) -> Option<&'a Workload> {
    let mut own = facts
        .workloads
        .iter()
        .filter(|w| w.place.file == pool.place.file);
    if let (Some(one), None) = (own.next(), own.next()) {
        return Some(one);
    }
    // Only workloads that can be meant: not the database's own, and for a
    // pooler's file not the applications before it.
    let pooler = is_pooler(pool.tool);
    let meant = |w: &&Workload| w.replicas.value > 0 && (!pooler || is_named_pooler(&w.name));
    let mut all = facts.workloads.iter().filter(meant);
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

/// A workload that runs a pooler, by its name.
fn is_named_pooler(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["bouncer", "pooler", "pgcat", "pgdog", "odyssey", "plimsoll"];
    words.iter().any(|word| name.contains(word))
}

fn term(copies: &Copies<'_>) -> String {
    let one = most(copies.pool).number().unwrap_or(0);
    let Some(w) = copies.workload else {
        return format!("{} ({one})", copies.pool.name);
    };
    let processes = per_copy(copies.pool, w);
    let each = if copies.pool.per_thread() {
        "threads"
    } else {
        "processes"
    };
    let surge = match w.surge.value {
        0 => String::new(),
        n => format!(" + {n} while rolling out"),
    };
    match processes > 1 && !is_pooler(copies.pool.tool) {
        true => format!(
            "{} ({} copies{surge} × {processes} {each} × {one})",
            copies.pool.name, w.replicas.value
        ),
        false => format!(
            "{} ({} copies{surge} × {one})",
            copies.pool.name, w.replicas.value
        ),
    }
}
