//! Limits that several pools share: of a database, of a user, and of the replication
//! connections of both together. They follow the settings.

use super::{Registry, UpstreamCell, most};
use crate::compile;
use config::Database;
use events::{Time, UpstreamId};
use pool::CapId;
use std::collections::BTreeMap;

/// Every limit that pools were told of. It stays known when the settings state it no
/// more: pools then do not name it, and they do again when it comes back.
#[derive(Default)]
pub(super) struct Caps {
    databases: BTreeMap<(UpstreamId, String), CapId>,
    /// By the user at the server.
    users: BTreeMap<(UpstreamId, String), CapId>,
    /// All of one database and user together are as many as an ordinary pool of
    /// theirs may have connections.
    replicas: BTreeMap<(UpstreamId, (String, String)), CapId>,
}

impl Caps {
    /// The limits of a pool by the settings.
    pub(super) fn of_pool(
        &mut self,
        plan: &config::Plan,
        upstream: &UpstreamCell,
        name: &str,
        user: &str,
        database: &Database,
    ) -> Vec<CapId> {
        let effective = plan.effective(database, user);
        let of_database = effective.database_max.map(|limit| {
            let key = (upstream.id, name.to_owned());
            *self
                .databases
                .entry(key)
                .or_insert_with(|| upstream.lock().add_cap(limit))
        });
        let of_user = effective.user_max.map(|limit| {
            let key = (upstream.id, user.to_owned());
            *self
                .users
                .entry(key)
                .or_insert_with(|| upstream.lock().add_cap(limit))
        });
        of_database.into_iter().chain(of_user).collect()
    }

    /// The limit of the replication connections of a database and user.
    pub(super) fn of_replicas(
        &mut self,
        upstream: &UpstreamCell,
        names: &(String, String),
        limit: u32,
    ) -> CapId {
        let cap = self.replicas.entry((upstream.id, names.clone()));
        *cap.or_insert_with(|| upstream.lock().add_cap(limit))
    }
}

impl Registry {
    /// Takes the limits from new settings, before the pools take theirs. One that is
    /// stated no more keeps its number: nobody is counted against it.
    pub(super) fn follow_caps(&self, now: Time) {
        let plan = &self.plan;
        let follow = |id: UpstreamId, cap: CapId, limit: Option<u32>| {
            if let Some(limit) = limit
                && let Some(upstream) = self.upstreams.get(usize::from(id.0))
            {
                upstream.lock().configure_cap(now, cap, limit);
            }
        };
        for ((id, name), cap) in &self.caps.databases {
            let database = self.database(name);
            let limit = database.and_then(|d| plan.effective(d, "").database_max);
            follow(*id, *cap, limit);
        }
        for ((id, user), cap) in &self.caps.users {
            let own = plan.users.get(user).and_then(|u| u.max_user_connections);
            follow(*id, *cap, own.or(plan.max_user_connections));
        }
        for ((id, (name, user)), cap) in &self.caps.replicas {
            let size = |d| most(&compile::pool_settings(plan, d, user));
            follow(*id, *cap, self.database(name).map(size));
        }
    }
}
