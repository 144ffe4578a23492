//! How much room a plan gives, and where two plans differ.

use config::{Plan, PoolSize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A size of a pool whose user has one of its own.
pub(super) fn own(key: &str, plans: &[Arc<Plan>]) -> bool {
    let user = key.strip_suffix("'s size").and_then(|k| k.split_once('/'));
    let sized =
        |plan: &Plan, name: &str| plan.users.get(name).is_some_and(|u| u.pool_size.is_some());
    user.is_some_and(|(_, name)| plans.iter().any(|plan| sized(plan, name)))
}

/// Room that clients have, by the name of the setting; off is endless.
pub(super) fn rooms(plan: &Plan) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let time = |t: Option<std::time::Duration>| t.map_or(f64::INFINITY, |t| t.as_secs_f64());
    all.insert("line".to_owned(), f64::from(plan.line));
    all.insert("clients".to_owned(), f64::from(plan.max_client_conn));
    all.insert("queue".to_owned(), f64::from(plan.queue_max));
    all.insert("query_wait".to_owned(), time(plan.query_wait_timeout));
    all.insert("query".to_owned(), time(plan.query_timeout));
    if let PoolSize::Fixed(n) = plan.default_pool_size {
        all.insert("size".to_owned(), f64::from(n));
    }
    for database in &plan.databases {
        for user in ["u", "anna", "carl", "web"] {
            let held = plan.effective(database, user);
            if let PoolSize::Fixed(n) = held.size {
                let own = plan.users.get(user).is_some_and(|u| u.pool_size.is_some());
                let own = if own { ", its own" } else { "" };
                all.insert(
                    format!("{}/{user}'s size{own}", database.name),
                    f64::from(n),
                );
            }
        }
        let wait = plan.effective(database, "u").wait_timeout;
        all.insert(format!("{}'s wait", database.name), time(wait));
    }
    all
}

/// The first settings in which two plans differ.
pub(super) fn differs(expected: &Plan, found: &Plan) -> String {
    let changes = config::diff(expected, found);
    let said: Vec<String> = changes
        .iter()
        .take(3)
        .map(|c| format!("{} {} ≠ {}", c.key, c.old, c.new))
        .collect();
    match said.is_empty() {
        true => "it cannot be said in which setting".to_owned(),
        false => said.join(", "),
    }
}
