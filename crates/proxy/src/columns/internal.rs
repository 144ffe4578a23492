//! Tables of what PgBouncer has inside. What there is no such thing of here is empty or 0.

use super::{INT4, INT8, TEXT, Table, text};
use crate::admin::Figures;
use crate::names::Resolved;
use config::Plan;

/// SHOW MEM. PgBouncer keeps its objects in slabs and says how large those are; here
/// only the numbers of objects are known, and in `resident` what the process has.
pub(crate) fn memory(figures: &Figures, plan: &Plan) -> Vec<u8> {
    let s = &figures.snapshot;
    let servers = |p: &events::snapshot::PoolRow| {
        p.sv_active + p.sv_idle + p.sv_login + p.sv_tested + p.sv_being_canceled
    };
    let used: [(&str, usize); 5] = [
        ("user_cache", plan.users.len()),
        ("db_cache", plan.databases.len()),
        ("pool_cache", s.pools.len()),
        (
            "server_cache",
            s.pools.iter().map(servers).sum::<u32>() as usize,
        ),
        (
            "client_cache",
            s.workers.iter().map(|w| w.clients).sum::<u32>() as usize,
        ),
    ];
    let mut table = Table::new(&[
        ("name", TEXT),
        ("size", INT4),
        ("used", INT4),
        ("free", INT4),
        ("memtotal", INT8),
    ]);
    for (name, used) in used {
        table.row(&[text(name), text(0), text(used), text(0), text(0)]);
    }
    let resident = resident_bytes().unwrap_or(0);
    table.row(&[text("resident"), text(1), text(1), text(0), text(resident)]);
    table.finish("SHOW")
}

/// Memory of this process, as the system counts it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// SHOW PEER_POOLS: a cancel request goes to a peer on a connection of its own, which
/// no pool keeps.
pub(crate) fn peer_pools() -> Vec<u8> {
    let counts = [
        "peer_id",
        "cl_active_cancel_req",
        "cl_waiting_cancel_req",
        "sv_active_cancel",
        "sv_login",
    ];
    Table::new(&counts.map(|name| (name, INT4))).finish("SHOW")
}

/// SHOW DNS_HOSTS: the names of servers, and what they were last found to lead to.
pub(crate) fn dns_hosts(resolved: &Resolved, plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[("hostname", TEXT), ("ttl", INT8), ("addrs", TEXT)]);
    let longest = plan.monitor.dns_max_ttl.unwrap_or_default();
    for (name, age, addresses) in resolved.rows() {
        let ttl = longest.saturating_sub(age).as_secs();
        table.row(&[text(name), text(ttl), text(addresses.join(","))]);
    }
    table.finish("SHOW")
}

/// SHOW DNS_ZONES: zones are not looked at, names are.
pub(crate) fn dns_zones() -> Vec<u8> {
    Table::new(&[("zonename", TEXT), ("serial", INT8), ("count", INT4)]).finish("SHOW")
}
