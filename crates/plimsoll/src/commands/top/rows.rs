//! Which rows a view has, in which order.
//!
//! The pooler sorts and filters too, over all that there is. Here the same is
//! done to what is at hand: a key acts at once, and a moment of the past has no
//! tables of its own.

use super::model::{Model, Over, View};
use control::live::{LeaseLine, PoolLine};
use std::cmp::Ordering;

/// Orders of pools, as the API names them.
pub const POOL_SORTS: &[&str] = &[
    "trouble", "name", "used", "waiting", "wait", "service", "rate",
];
/// Orders of leases, as the API names them.
pub const LEASE_SORTS: &[&str] = &["held", "silent", "application", "database", "state"];

/// The pools of the view, filtered and in order.
pub fn pools(model: &Model) -> Vec<&PoolLine> {
    let known = model.known();
    let of_live = known.live.iter().flat_map(|live| &live.pools);
    let mut rows: Vec<&PoolLine> = match (&known.pools, model.view) {
        (Some(table), View::Pools) => table.rows.iter().collect(),
        _ => of_live.collect(),
    };
    let wanted = model.filter.to_lowercase();
    rows.retain(|pool| {
        let texts = [&pool.database, &pool.user, &pool.server, &pool.standing];
        has(&texts, &wanted)
    });
    // The pooler's own order of trouble stays.
    if model.view == View::Pools {
        let sort = model.sort();
        rows.sort_by(|a, b| pools_by(sort, a, b));
    }
    rows
}

fn pools_by(sort: &str, a: &PoolLine, b: &PoolLine) -> Ordering {
    let down = |a: Option<f64>, b: Option<f64>| {
        let known = |x: Option<f64>| x.unwrap_or(-1.0);
        known(b).total_cmp(&known(a))
    };
    match sort {
        "name" => (&a.database, &a.user).cmp(&(&b.database, &b.user)),
        "used" => b.used.cmp(&a.used),
        "waiting" => (b.waiting, b.oldest_wait_us).cmp(&(a.waiting, a.oldest_wait_us)),
        "wait" => down(a.wait_us, b.wait_us),
        "service" => down(a.service_us, b.service_us),
        "rate" => b.transactions_per_s.total_cmp(&a.transactions_per_s),
        _ => Ordering::Equal,
    }
}

/// The leases of the view, filtered and in order.
pub fn leases(model: &Model) -> Vec<&LeaseLine> {
    let known = model.known();
    let of_live = known.live.iter().flat_map(|live| &live.leases);
    let mut rows: Vec<&LeaseLine> = match (&known.leases, model.view) {
        (Some(table), View::Leases) => table.rows.iter().collect(),
        _ => of_live.collect(),
    };
    let wanted = model.filter.to_lowercase();
    rows.retain(|lease| {
        let texts = [
            &lease.application,
            &lease.release,
            &lease.route,
            &lease.database,
            &lease.user,
            &lease.address,
            &lease.state,
            &lease.tags,
            &lease.statement,
            &lease.client,
        ];
        has(&texts, &wanted)
    });
    let sort = if model.view == View::Leases {
        model.sort()
    } else {
        "held"
    };
    rows.sort_by(|a, b| leases_by(sort, a, b).then(b.held_us.cmp(&a.held_us)));
    rows
}

fn leases_by(sort: &str, a: &LeaseLine, b: &LeaseLine) -> Ordering {
    match sort {
        "silent" => b.silent_us.cmp(&a.silent_us),
        "application" => (&a.application, &a.release).cmp(&(&b.application, &b.release)),
        "database" => (&a.database, &a.user).cmp(&(&b.database, &b.user)),
        "state" => a.state.cmp(&b.state),
        _ => Ordering::Equal,
    }
}

fn has(texts: &[&String], wanted: &str) -> bool {
    wanted.is_empty()
        || texts
            .iter()
            .any(|text| text.to_lowercase().contains(wanted))
}

/// Whether an alert or an incident is wanted.
pub fn wanted(model: &Model, texts: &[&str]) -> bool {
    let wanted = model.filter.to_lowercase();
    wanted.is_empty()
        || texts
            .iter()
            .any(|text| text.to_lowercase().contains(&wanted))
}

/// What names a pool.
pub fn pool_key(pool: &PoolLine) -> String {
    format!("{}\n{}\n{}", pool.database, pool.user, pool.server)
}

/// What names each row of the view, in order.
pub fn keys(model: &Model) -> Vec<String> {
    let known = model.known();
    match model.view {
        View::Overview | View::Leases => leases(model).iter().map(|l| l.client.clone()).collect(),
        View::Pools => pools(model).iter().map(|p| pool_key(p)).collect(),
        View::Budget => {
            let servers = known.live.iter().flat_map(|live| &live.servers);
            servers.map(|server| server.server.clone()).collect()
        }
        View::Alerts => {
            let alerts = known.alerts.iter();
            let alerts = alerts.filter(|a| wanted(model, &[a.name.label(), &a.summary]));
            let incidents = known.incidents.iter();
            let incidents = incidents.filter(|i| wanted(model, &[&i.id, &i.title]));
            let incidents = incidents.map(|i| format!("incident {}", i.id));
            alerts.map(|a| a.key.clone()).chain(incidents).collect()
        }
    }
}

/// The chosen row's key. What is open in full counts before what is chosen below it.
pub fn chosen_key(model: &Model) -> Option<String> {
    if let Over::Row(key) = &model.over {
        return Some(key.clone());
    }
    let keys = keys(model);
    model.chosen(&keys).and_then(|at| keys.get(at).cloned())
}

/// The lease that an action would be done to.
pub fn chosen_lease(model: &Model) -> Option<&LeaseLine> {
    if !matches!(model.view, View::Overview | View::Leases) {
        return None;
    }
    let key = chosen_key(model)?;
    leases(model).into_iter().find(|lease| lease.client == key)
}

/// The pool that an action would be done to.
pub fn chosen_pool(model: &Model) -> Option<&PoolLine> {
    if model.view != View::Pools {
        return None;
    }
    let key = chosen_key(model)?;
    pools(model).into_iter().find(|pool| pool_key(pool) == key)
}
