//! SHOW USERS.

use crate::admin::Figures;
use crate::columns::Table;
use config::{Plan, PoolSize};
use std::collections::BTreeSet;

/// Those of the settings, and those that are connected.
pub(crate) fn table(figures: &Figures, plan: &Plan) -> Vec<u8> {
    let mut table = Table::new(&[
        ("name", 25),
        ("pool_size", 25),
        ("reserve_pool_size", 25),
        ("pool_mode", 25),
        ("max_user_connections", 23),
        ("current_connections", 23),
        ("max_user_client_connections", 23),
        ("current_client_connections", 23),
    ]);
    let snapshot = &figures.snapshot;
    let names: BTreeSet<&str> = plan
        .users
        .keys()
        .map(String::as_str)
        .chain(snapshot.pools.iter().map(|p| p.user.as_str()))
        .chain(snapshot.clients.iter().map(|c| c.user.as_str()))
        .collect();
    for name in names {
        let of = plan.users.get(name);
        let servers: u32 = snapshot
            .pools
            .iter()
            .filter(|p| p.user == name)
            .map(|p| p.sv_active + p.sv_being_canceled + p.sv_idle + p.sv_tested + p.sv_login)
            .sum();
        let clients = snapshot.clients.iter().filter(|c| c.user == name).count();
        let number = |n: u32| Some(n.to_string());
        table.row(&[
            Some(name.to_owned()),
            of.and_then(|u| u.pool_size).map(|size| match size {
                PoolSize::Fixed(n) => n.to_string(),
                PoolSize::Auto => "auto".to_owned(),
            }),
            of.and_then(|u| u.reserve_pool_size).and_then(number),
            of.and_then(|u| u.pool_mode).map(|m| m.word().to_owned()),
            number(
                of.and_then(|u| u.max_user_connections)
                    .or(plan.max_user_connections)
                    .unwrap_or(plan.line),
            ),
            number(servers),
            number(
                of.and_then(|u| u.max_user_client_connections)
                    .or(plan.max_user_client_connections)
                    .unwrap_or(plan.max_client_conn),
            ),
            Some(clients.to_string()),
        ]);
    }
    table.finish("SHOW")
}
