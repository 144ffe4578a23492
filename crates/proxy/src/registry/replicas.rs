//! Pools of replication clients: one client in each at a time.
//!
//! A replication connection is opened with what its client asked for at its own
//! start-up, so nobody else can use it: it is closed with its client. A pool that
//! is left is described anew for the next client of the same database and user, so
//! that there are never more of them than there were such clients at once.

use super::{POOLS_MAX, Registry, UpstreamCell, most};
use crate::compile;
use crate::registry::Place;
use config::Database;
use events::Time;
use pool::PoolSettings;
use relay::{ParamSet, PoolInfo, PoolKey, Replication, Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Database as clients name it, and user at the server.
type Names = (String, String);

/// What there is of them.
#[derive(Default)]
pub(super) struct Replicas {
    /// Those that may be taken again.
    keys: BTreeMap<(Names, Replication), Vec<PoolKey>>,
}

impl Registry {
    /// A pool for this client alone; `None`: there are too many pools.
    pub(super) fn replica(
        &mut self,
        target: &Target<'_>,
        (kind, startup): (Replication, &ParamSet),
        user: &str,
        database: &Database,
    ) -> Option<Arc<PoolInfo>> {
        let name = target.database;
        let plan = Arc::clone(&self.plan);
        let upstream = self.upstream_for(&compile::endpoint(&plan, database));
        self.watch(&upstream, name, database);
        let names = (name.to_owned(), user.to_owned());
        let known = self.replicas.keys.get(&(names.clone(), kind));
        let free = |key: &PoolKey| {
            let place = self.place(*key).filter(|p| p.upstream.id == upstream.id);
            let taken = place.and_then(|place| place.taken.as_ref());
            taken.is_some_and(|taken| !taken.swap(true, Ordering::AcqRel))
        };
        let found = known.and_then(|keys| keys.iter().copied().find(free));
        if found.is_none() && self.places.len() >= POOLS_MAX {
            return None;
        }
        let key = found.unwrap_or(PoolKey(self.places.len() as u32));
        let auth = compile::server_auth(&plan, database, user, Some(target));
        let info = compile::pool_info(&plan, key, &upstream, name, user, database, auth, 1);
        let info = Arc::new(compile::replicating(info, kind, startup));
        if found.is_some() {
            self.describe(key, Arc::clone(&info));
            return Some(info);
        }
        let settings = self.replica_settings(&upstream, &names, database);
        let pool = upstream.lock().add_pool(settings);
        self.add_place(upstream, pool, &info, false);
        if let Some(place) = self.places.last_mut() {
            place.taken = Some(Arc::new(AtomicBool::new(true)));
        }
        let keys = self.replicas.keys.entry((names, kind));
        keys.or_default().push(key);
        Some(info)
    }

    /// One connection, used once, under all limits of the database and the user.
    fn replica_settings(
        &mut self,
        upstream: &UpstreamCell,
        names: &Names,
        database: &Database,
    ) -> PoolSettings {
        let mut settings = self.pool_settings(upstream, &names.0, &names.1, database);
        let limit = most(&settings);
        let cap = self.caps.of_replicas(upstream, names, limit);
        settings.caps.push(cap);
        PoolSettings {
            size: 1,
            auto: None,
            min: 0,
            reserve: 0,
            lifetime: Some(Duration::ZERO),
            ..settings
        }
    }

    /// New settings hold from the next client on.
    pub(super) fn reconfigure_replica(&mut self, now: Time, place: &Place) {
        let names = (place.info.database.to_string(), place.info.user.to_string());
        match self.database(&names.0).cloned() {
            Some(database) => {
                let settings = self.replica_settings(&place.upstream, &names, &database);
                let mut upstream = place.upstream.lock();
                upstream.configure_pool(now, place.pool, settings);
            }
            None => {
                place.upstream.lock().retire_pool(now, place.pool);
                for keys in self.replicas.keys.values_mut() {
                    keys.retain(|key| *key != place.info.key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{registry, target};
    use super::*;
    use relay::Route;

    #[test]
    fn each_client_has_its_own_and_what_is_left_is_taken_again() {
        let mut registry = registry("");
        let startup = ParamSet::default();
        let mut ask = |user, kind, free: Option<PoolKey>| {
            if let Some(taken) = free.and_then(|key| registry.place(key)?.taken.clone()) {
                taken.store(false, Ordering::Release);
            }
            let target = Target {
                replication: Some((kind, &startup)),
                ..target("app", user)
            };
            assert!(registry.known_route(&target).is_none(), "it takes writing");
            match registry.route(&target) {
                Route::Pool(info) => {
                    assert_eq!(info.mode, relay::PoolMode::Session);
                    assert_eq!(info.replication, kind);
                    info.key
                }
                other => panic!("{other:?}"),
            }
        };
        use Replication::{Logical, Physical};
        let first = ask("anna", Logical, None);
        let second = ask("anna", Logical, None);
        assert_ne!(first, second);
        assert_ne!(ask("bert", Logical, Some(first)), first, "another user");
        assert_ne!(ask("anna", Physical, None), first, "of another kind");
        assert_eq!(ask("anna", Logical, None), first);
        assert!(registry.known_route(&target("app", "anna")).is_none());
    }
}
