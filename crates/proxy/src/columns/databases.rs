//! SHOW DATABASES and SHOW LISTS.

use super::{INT4, TEXT, Table, outside_pools, text};
use crate::admin::Figures;
use crate::held::ADMIN_DATABASE;
use config::{Database, Host, Plan, PoolSize};
use std::collections::BTreeSet;

/// The settings' databases by name; those that only the any-database serves, once they
/// have a pool or are held back; and the console's own, as PgBouncer lists it.
fn names<'a>(figures: &'a Figures, plan: &'a Plan) -> Vec<&'a str> {
    let stated = plan.databases.iter().map(|d| d.name.as_str());
    let mut names: Vec<&str> = stated.filter(|name| *name != "*").collect();
    let pools = figures.snapshot.pools.iter().map(|p| p.database.as_str());
    let others: BTreeSet<&str> = pools.chain(figures.held.names()).collect();
    let others = others.into_iter().filter(|name| !names.contains(name));
    let others: Vec<&str> = others.collect();
    names.extend(others);
    names
}

pub(crate) fn table(figures: &Figures, plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[
        ("name", TEXT),
        ("host", TEXT),
        ("port", INT4),
        ("database", TEXT),
        ("force_user", TEXT),
        ("pool_size", INT4),
        ("min_pool_size", INT4),
        ("reserve_pool_size", INT4),
        ("server_lifetime", INT4),
        ("pool_mode", TEXT),
        ("load_balance_hosts", TEXT),
        ("max_connections", INT4),
        ("current_connections", INT4),
        ("max_client_connections", INT4),
        ("current_client_connections", INT4),
        ("paused", INT4),
        ("disabled", INT4),
    ]);
    for name in names(figures, plan) {
        if let Some(settings) = plan.database(name) {
            table.row(&row(figures, plan, name, settings));
        }
    }
    table.row(&own(figures, plan));
    table.finish("SHOW")
}

/// The console's own database.
fn own(figures: &Figures, plan: &Plan) -> Vec<Option<String>> {
    let port = plan
        .listen
        .first()
        .map_or(plan.unix_socket_port, |l| l.port);
    let mut row = vec![text(ADMIN_DATABASE), None, text(port)];
    row.extend([text(ADMIN_DATABASE), text(ADMIN_DATABASE)]);
    row.extend([2, 0, 0, 0].map(text));
    row.extend([text("statement"), None]);
    let clients_max = plan.max_db_client_connections;
    let clients_max = clients_max.unwrap_or(plan.max_client_conn);
    row.extend([0, 0, clients_max, outside_pools(figures), 0, 0].map(text));
    row
}

/// How several hosts share new connections; nothing where there is one.
pub(super) fn turns(database: &Database) -> Option<String> {
    let word = match database.hosts_in_order {
        true => "disable",
        false => "round-robin",
    };
    matches!(database.host, Host::List(_)).then(|| word.to_owned())
}

fn row(figures: &Figures, plan: &Plan, name: &str, d: &Database) -> Vec<Option<String>> {
    let of = || figures.snapshot.pools.iter().filter(|p| p.database == name);
    let servers: u32 = of()
        .map(|p| p.sv_active + p.sv_idle + p.sv_login + p.sv_tested)
        .sum();
    let clients: u32 = of().map(|p| p.cl_active + p.cl_waiting).sum();
    vec![
        text(name),
        text(&d.host),
        text(d.port),
        text(d.dbname.as_deref().unwrap_or(name)),
        d.user.clone(),
        text(match d.pool_size.unwrap_or(plan.default_pool_size) {
            PoolSize::Fixed(n) => n,
            // A number has to stand here: the size that holds now.
            PoolSize::Auto => of().map(|p| p.size).max().unwrap_or(plan.auto.floor),
        }),
        text(d.min_pool_size.unwrap_or(plan.min_pool_size)),
        text(d.reserve_pool_size.unwrap_or(plan.reserve_pool_size)),
        text(
            d.server_lifetime
                .unwrap_or(plan.server_lifetime)
                .map_or(0, |l| l.as_secs()),
        ),
        d.pool_mode.map(|m| format!("{m:?}").to_ascii_lowercase()),
        turns(d),
        text(
            d.max_db_connections
                .or(plan.max_db_connections)
                .unwrap_or(plan.line),
        ),
        text(servers),
        text(
            d.max_db_client_connections
                .or(plan.max_db_client_connections)
                .unwrap_or(plan.max_client_conn),
        ),
        text(clients),
        text(u8::from(figures.held.is_paused(name))),
        text(u8::from(figures.held.is_disabled(name))),
    ]
}

/// How many there are of what.
pub(crate) fn lists(figures: &Figures, plan: &Plan, dns_names: usize) -> Vec<u8> {
    let s = &figures.snapshot;
    let idle: u32 = s.pools.iter().map(|p| p.sv_idle).sum();
    let used: u32 = s
        .pools
        .iter()
        .map(|p| p.sv_active + p.sv_tested + p.sv_being_canceled)
        .sum();
    let clients: u32 = s.workers.iter().map(|w| w.clients).sum();
    let login = s.clients.iter().filter(|c| c.state == "login").count();
    let rows: [(&str, usize); 14] = [
        ("databases", names(figures, plan).len() + 1),
        ("users", plan.users.len()),
        ("peers", plan.fleet.cancel.peers.len()),
        ("pools", s.pools.len() + 1),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", clients as usize),
        ("login_clients", login),
        ("free_servers", idle as usize),
        ("used_servers", used as usize),
        ("dns_names", dns_names),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    let mut table = Table::new(&[("list", TEXT), ("items", INT4)]);
    for (name, items) in rows {
        table.row(&[text(name), text(items)]);
    }
    table.finish("SHOW")
}
