//! Upstreams and pools of the process: who is where, created as logins ask.

use crate::address::Endpoint;
use crate::compile;
use config::{Database, Plan};
use events::{FlowId, PoolId, Time, UpstreamId};
use pool::{CapId, PoolSettings, Upstream};
use relay::{PoolInfo, PoolKey, Route, ServerAuth, Target};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// One database server: its pools behind one short lock.
pub(crate) struct UpstreamCell {
    pub(crate) id: UpstreamId,
    endpoint: Mutex<Endpoint>,
    /// Connections begun: whose turn it is among several hosts.
    turns: AtomicUsize,
    pub(crate) pools: Mutex<Upstream>,
}

impl UpstreamCell {
    /// Where it listens; a reload may change how TLS is done with it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_endpoint(&self, endpoint: Endpoint) {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = endpoint;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Upstream> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a pool is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) upstream: Arc<UpstreamCell>,
    pub(crate) pool: PoolId,
    pub(crate) info: Arc<PoolInfo>,
}

/// All pools. Behind an `RwLock` that is taken at logins, opens and reloads,
/// never per query.
pub(crate) struct Registry {
    pub(crate) plan: Arc<Plan>,
    upstreams: Vec<Arc<UpstreamCell>>,
    places: Vec<Place>,
    by_name: BTreeMap<(String, String), PoolKey>,
    by_pool: BTreeMap<(UpstreamId, u32), PoolKey>,
    database_caps: BTreeMap<(UpstreamId, String), CapId>,
    user_caps: BTreeMap<(UpstreamId, String), CapId>,
    /// Clients per pool, for the limits per database and user.
    clients: BTreeMap<PoolKey, u32>,
    /// Clients per flow with the user whom they logged in as, who may be another one at the server.
    flows: BTreeMap<(PoolKey, FlowId), (Box<str>, u32)>,
    pub(crate) disabled: std::collections::BTreeSet<String>,
    workers: u16,
}

/// Pools that may exist: databases × users of an any-database are chosen by clients.
const POOLS_MAX: usize = 100_000;

/// Guards the registry.
pub(crate) type Shared = RwLock<Registry>;

impl Registry {
    pub(crate) fn new(plan: Arc<Plan>, workers: u16) -> Registry {
        Registry {
            plan,
            upstreams: Vec::new(),
            places: Vec::new(),
            by_name: BTreeMap::new(),
            by_pool: BTreeMap::new(),
            database_caps: BTreeMap::new(),
            user_caps: BTreeMap::new(),
            clients: BTreeMap::new(),
            flows: BTreeMap::new(),
            disabled: std::collections::BTreeSet::new(),
            workers,
        }
    }

    pub(crate) fn place(&self, key: PoolKey) -> Option<&Place> {
        self.places.get(key.0 as usize)
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn upstreams(&self) -> &[Arc<UpstreamCell>] {
        &self.upstreams
    }

    /// The hosts that a new connection of this pool tries, in their order.
    pub(crate) fn hosts(&self, key: PoolKey) -> Vec<Endpoint> {
        let Some(place) = self.place(key) else {
            return Vec::new();
        };
        let mut hosts = place.upstream.endpoint().singles();
        let in_order = |d: &Database| d.hosts_in_order;
        if hosts.len() > 1 && !self.database(&place.info.database).is_some_and(in_order) {
            let turn = place.upstream.turns.fetch_add(1, Ordering::Relaxed);
            let first = turn % hosts.len();
            hosts.rotate_left(first);
        }
        hosts
    }

    /// The pool of an upstream's own id.
    pub(crate) fn key_of(&self, upstream: UpstreamId, pool: PoolId) -> Option<PoolKey> {
        self.by_pool.get(&(upstream, pool.0)).copied()
    }

    /// The settings of a database by the name that clients use.
    pub(crate) fn database(&self, name: &str) -> Option<&Database> {
        let named = |n: &str| self.plan.databases.iter().find(|d| d.name == n);
        named(name).or_else(|| named("*"))
    }

    /// Where a login leads.
    pub(crate) fn route(&mut self, target: &Target<'_>) -> Route {
        let Some(database) = self.database(target.database).cloned() else {
            return Route::NoDatabase;
        };
        if self.disabled.contains(target.database) {
            return Route::Disabled;
        }
        if let Some(limit) = self.client_limit_reached(&database, target) {
            return Route::Full(limit);
        }
        let user = database.user.as_deref().unwrap_or(target.user).to_owned();
        match self.pool(target.database, &user, &database, Some(target)) {
            Some(info) => Route::Pool(info),
            None => Route::Full("pools"),
        }
    }

    /// The limit on clients that keeps this login out. Counted only where a
    /// limit is set.
    fn client_limit_reached(
        &self,
        database: &Database,
        target: &Target<'_>,
    ) -> Option<&'static str> {
        let plan = &self.plan;
        let of_database = database
            .max_db_client_connections
            .or(plan.max_db_client_connections);
        if of_database.is_some_and(|l| self.clients_where(|i| *i.database == *target.database) >= l)
        {
            return Some("max_db_client_connections");
        }
        let of_user = plan
            .users
            .get(target.user)
            .and_then(|u| u.max_user_client_connections)
            .or(plan.max_user_client_connections);
        if of_user.is_some_and(|l| self.clients_of(target.user) >= l) {
            return Some("max_user_client_connections");
        }
        None
    }

    fn clients_where(&self, fits: impl Fn(&PoolInfo) -> bool) -> u32 {
        self.clients
            .iter()
            .filter(|(k, _)| self.place(**k).is_some_and(|p| fits(&p.info)))
            .map(|(_, n)| n)
            .sum()
    }

    fn clients_of(&self, user: &str) -> u32 {
        let of = self.flows.values().filter(|(name, _)| **name == *user);
        of.map(|(_, n)| n).sum()
    }

    /// The pool that runs `auth_query` for logins to `database`.
    pub(crate) fn auth_pool(&mut self, database: &str) -> Option<Arc<PoolInfo>> {
        let plan = Arc::clone(&self.plan);
        let asked = self.database(database)?;
        let user = asked.auth_user.clone().or_else(|| plan.auth_user.clone())?;
        let name = asked
            .auth_dbname
            .clone()
            .unwrap_or_else(|| database.to_owned());
        let settings = self.database(&name)?.clone();
        self.pool(&name, &user, &settings, None)
    }

    /// A client of the flow named `name` begins to use a pool.
    pub(crate) fn join(&mut self, key: PoolKey, flow: FlowId, name: &str) {
        *self.clients.entry(key).or_default() += 1;
        // The pooler's own look-ups have no user; the shared flow has many.
        if let Some((user, _)) = name.split_once('\0')
            && flow != FlowId(0)
        {
            let entry = self.flows.entry((key, flow));
            entry.or_insert_with(|| (user.into(), 0)).1 += 1;
        }
    }

    pub(crate) fn leave(&mut self, key: PoolKey, flow: FlowId) {
        if let Some(n) = self.clients.get_mut(&key) {
            *n = n.saturating_sub(1);
        }
        if let Some((_, n)) = self.flows.get_mut(&(key, flow)) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.flows.remove(&(key, flow));
            }
        }
    }

    /// Finds a pool, or makes it.
    fn pool(
        &mut self,
        name: &str,
        user: &str,
        database: &Database,
        target: Option<&Target<'_>>,
    ) -> Option<Arc<PoolInfo>> {
        let names = (name.to_owned(), user.to_owned());
        if let Some(key) = self.by_name.get(&names) {
            return self.refreshed(*key, target);
        }
        if self.places.len() >= POOLS_MAX {
            return None;
        }
        let plan = Arc::clone(&self.plan);
        let upstream = self.upstream_for(&compile::endpoint(&plan, database));
        let settings = self.pool_settings(&upstream, name, user, database);
        let pool = upstream.lock().add_pool(settings.clone());
        let key = PoolKey(self.places.len() as u32);
        let auth = compile::server_auth(&plan, database, user, target);
        let info = Arc::new(compile::pool_info(
            &plan,
            key,
            &upstream,
            name,
            user,
            database,
            auth,
            settings.size,
        ));
        self.by_pool.insert((upstream.id, pool.0), key);
        self.by_name.insert(names, key);
        self.places.push(Place {
            upstream,
            pool,
            info: Arc::clone(&info),
        });
        Some(info)
    }

    /// A pool whose users bring their own secrets learns a new one.
    fn refreshed(&mut self, key: PoolKey, target: Option<&Target<'_>>) -> Option<Arc<PoolInfo>> {
        let place = self.places.get_mut(key.0 as usize)?;
        if place.info.auth.password.is_none()
            && place.info.auth.keys.is_none()
            && let Some(target) = target
            && (target.secret.is_some() || target.keys.is_some())
        {
            let auth = ServerAuth {
                password: target.secret.map(Into::into),
                keys: target.keys.cloned(),
            };
            place.info = Arc::new(compile::with_auth(&place.info, auth));
        }
        Some(Arc::clone(&place.info))
    }

    fn upstream_for(&mut self, endpoint: &Endpoint) -> Arc<UpstreamCell> {
        let same = |u: &&Arc<UpstreamCell>| {
            let known = u.endpoint();
            known.host == endpoint.host && known.port == endpoint.port
        };
        if let Some(known) = self.upstreams.iter().find(same) {
            return Arc::clone(known);
        }
        let id = UpstreamId(u16::try_from(self.upstreams.len()).unwrap_or(u16::MAX));
        let mut pools = Upstream::new(compile::upstream_settings(&self.plan));
        pools.set_workers(self.workers);
        let cell = Arc::new(UpstreamCell {
            id,
            endpoint: Mutex::new(endpoint.clone()),
            turns: AtomicUsize::new(0),
            pools: Mutex::new(pools),
        });
        self.upstreams.push(Arc::clone(&cell));
        cell
    }

    fn pool_settings(
        &mut self,
        upstream: &UpstreamCell,
        name: &str,
        user: &str,
        database: &Database,
    ) -> PoolSettings {
        let plan = Arc::clone(&self.plan);
        let mut settings = compile::pool_settings(&plan, database, user);
        if let Some(limit) = database.max_db_connections.or(plan.max_db_connections) {
            let cap = *self
                .database_caps
                .entry((upstream.id, name.to_owned()))
                .or_insert_with(|| upstream.lock().add_cap(limit));
            settings.caps.push(cap);
        }
        let of_user = plan.users.get(user).and_then(|u| u.max_user_connections);
        if let Some(limit) = of_user.or(plan.max_user_connections) {
            let cap = *self
                .user_caps
                .entry((upstream.id, user.to_owned()))
                .or_insert_with(|| upstream.lock().add_cap(limit));
            settings.caps.push(cap);
        }
        settings
    }

    /// Takes new settings. Returns what the workers must know.
    pub(crate) fn reconfigure(&mut self, now: Time, plan: Arc<Plan>) -> Reconfigured {
        self.plan = Arc::clone(&plan);
        for cell in &self.upstreams {
            cell.lock()
                .configure(now, compile::upstream_settings(&plan));
        }
        let mut result = Reconfigured::default();
        for index in 0..self.places.len() {
            let place = self.places[index].clone();
            let names = (place.info.database.to_string(), place.info.user.to_string());
            if self.by_name.get(&names) != Some(&place.info.key) {
                continue; // Retired by an earlier reload.
            }
            let Some(database) = self.database(&names.0).cloned() else {
                self.retire(now, &place);
                continue;
            };
            let endpoint = compile::endpoint(&plan, &database);
            let old = place.upstream.endpoint();
            if (&endpoint.host, endpoint.port) != (&old.host, old.port) {
                // Another server: clients go to a new pool. The old one is
                // retired once no worker asks it for connections any more.
                self.by_name.remove(&names);
                if let Some(info) = self.pool(&names.0, &names.1, &database, None) {
                    result.moved.push((place.info.key, info));
                }
                continue;
            }
            place.upstream.set_endpoint(endpoint.clone());
            let info = self.reconfigure_pool(now, &place, &database, endpoint != old);
            self.places[index].info = Arc::clone(&info);
            result.changed.push(info);
        }
        result
    }

    fn retire(&mut self, now: Time, place: &Place) {
        place.upstream.lock().retire_pool(now, place.pool);
        let names = (place.info.database.to_string(), place.info.user.to_string());
        self.by_name.remove(&names);
    }

    fn reconfigure_pool(
        &mut self,
        now: Time,
        place: &Place,
        database: &Database,
        renew: bool,
    ) -> Arc<PoolInfo> {
        let plan = Arc::clone(&self.plan);
        let (name, user) = (&*place.info.database, &*place.info.user);
        let settings = self.pool_settings(&place.upstream, name, user, database);
        let auth = compile::server_auth(&plan, database, user, None);
        let auth = if auth.password.is_none() {
            place.info.auth.clone()
        } else {
            auth
        };
        let mut info = compile::pool_info(
            &plan,
            place.info.key,
            &place.upstream,
            name,
            user,
            database,
            auth,
            settings.size,
        );
        info.pins = Arc::clone(&place.info.pins);
        info.greeting = Arc::clone(&place.info.greeting);
        let mut upstream = place.upstream.lock();
        upstream.configure_pool(now, place.pool, settings);
        if renew || compile::identity_differs(&place.info, &info) {
            upstream.reconnect(now, place.pool, events::CloseReason::SettingsChanged);
        }
        Arc::new(info)
    }
}

/// What a reload changed for the workers.
#[derive(Clone, Default)]
pub(crate) struct Reconfigured {
    /// Pools with a new description.
    pub(crate) changed: Vec<Arc<PoolInfo>>,
    /// Pools whose clients go to another pool; the old one is still to be retired.
    pub(crate) moved: Vec<(PoolKey, Arc<PoolInfo>)>,
}
