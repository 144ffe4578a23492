//! Upstreams and pools of the process: who is where, created as logins ask.

mod asking;
mod caps;
mod flows;
mod replicas;
mod secrets;

use crate::address::Endpoint;
use crate::compile;
use crate::held::Held;
use crate::hosts::Hosts;
use crate::words::{self, theirs};
use config::{Database, Plan};
use events::{FlowId, PoolId, Time, UpstreamId};
use pool::{FlowRules, PoolSettings, Upstream};
use relay::{PoolInfo, PoolKey, Route, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// One database server: its pools behind one short lock.
pub(crate) struct UpstreamCell {
    pub(crate) id: UpstreamId,
    endpoint: Mutex<Endpoint>,
    /// Which of several hosts is tried first.
    pub(crate) hosts: Hosts,
    pub(crate) pools: Mutex<Upstream>,
    /// What is told of the way to the ledger.
    pub(crate) told: Mutex<crate::ledger::Told>,
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
    /// Clients in the pool, for the limits per database and user.
    pub(crate) clients: Arc<AtomicU32>,
    /// The pool of a monitor session, which has no clients.
    pub(crate) monitor: bool,
    /// A pool of one replication client at a time: whether it has one. Set under the
    /// registry's lock, taken back by the client's worker. `None`: an ordinary pool.
    pub(crate) taken: Option<Arc<AtomicBool>>,
}

/// The user of a flow, and its clients.
type FlowClients = (Box<str>, u32);

/// All pools. Behind an `RwLock` that is taken at logins, opens and reloads,
/// never per query; for writing only when a pool is made or settings change.
pub(crate) struct Registry {
    pub(crate) plan: Arc<Plan>,
    /// TLS towards servers, built once for these settings; `None` when disabled.
    server_tls: Option<Arc<rustls::ClientConfig>>,
    upstreams: Vec<Arc<UpstreamCell>>,
    pub(crate) places: Vec<Place>,
    by_name: BTreeMap<(String, String), PoolKey>,
    /// Pools of replication clients.
    replicas: replicas::Replicas,
    pub(crate) by_pool: BTreeMap<(UpstreamId, u32), PoolKey>,
    caps: caps::Caps,
    /// Clients per flow with the user whom they logged in as, who may be another
    /// one at the server. A lock of its own, so that a login only reads the registry.
    flows: Mutex<BTreeMap<(PoolKey, FlowId), FlowClients>>,
    /// Clients in the console, by user. A lock of its own, as above.
    consoles: Mutex<BTreeMap<Box<str>, u32>>,
    /// What is paused and disabled, also of pools that are not made yet.
    pub(crate) held: Held,
    /// Weights and deadlines of flows, the same for every pool.
    rules: Arc<FlowRules>,
    /// The switch is thrown: guards only watch.
    pub(crate) guards_off: bool,
    /// Where the clients of other instances connect, as those said over the fleet's
    /// channel. Written by its thread.
    pub(crate) heard_peers: Vec<SocketAddr>,
    workers: u16,
    /// Sets this process apart from the others of its fleet.
    pub(crate) instance: u32,
}

/// Longest name of a database at a server.
const NAME_MAX: usize = 63;
/// Pools that may exist: databases × users of an any-database are chosen by clients.
const POOLS_MAX: usize = 100_000;

/// Guards the registry.
pub(crate) type Shared = RwLock<Registry>;

impl Registry {
    pub(crate) fn new(
        plan: Arc<Plan>,
        server_tls: Option<Arc<rustls::ClientConfig>>,
        workers: u16,
        instance: u32,
    ) -> Registry {
        Registry {
            rules: Arc::new(compile::flow_rules(&plan)),
            guards_off: false,
            heard_peers: Vec::new(),
            plan,
            server_tls,
            upstreams: Vec::new(),
            places: Vec::new(),
            by_name: BTreeMap::new(),
            replicas: replicas::Replicas::default(),
            by_pool: BTreeMap::new(),
            caps: caps::Caps::default(),
            flows: Mutex::default(),
            consoles: Mutex::default(),
            held: Held::default(),
            workers,
            instance,
        }
    }

    /// TLS for the next connection to a server.
    pub(crate) fn server_tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        self.server_tls.clone()
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
    pub(crate) fn hosts(&self, key: PoolKey, now: Time) -> Vec<Endpoint> {
        let Some(place) = self.place(key) else {
            return Vec::new();
        };
        let stay = |d: &Database| d.hosts_in_order;
        place.upstream.hosts.order(
            place.upstream.endpoint().singles(),
            self.database(&place.info.database).is_some_and(stay),
            now,
            self.plan.server_login_retry,
        )
    }

    /// The pool of an upstream's own id.
    pub(crate) fn key_of(&self, upstream: UpstreamId, pool: PoolId) -> Option<PoolKey> {
        self.by_pool.get(&(upstream, pool.0)).copied()
    }

    /// The settings of a database by the name that clients use.
    pub(crate) fn database(&self, name: &str) -> Option<&Database> {
        self.plan.database(name)
    }

    /// Whether a command may name this database: it is in the settings, or it could be
    /// one that the any-database leads to.
    pub(crate) fn serves(&self, name: &str) -> bool {
        let plain = (1..=NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        let found = self.plan.database(name);
        found.is_some_and(|database| database.name == *name || plain)
    }

    /// Where a login leads, when nothing has to be made or learned for it.
    /// The common case: it needs the registry for reading only.
    pub(crate) fn known_route(&self, target: &Target<'_>) -> Option<Route> {
        match self.look_up(target) {
            Ok(_) if target.replication.is_some() => None,
            Ok((database, user)) => {
                let info = self.known_pool(target.database, user_of(database, user))?;
                let learns = self.learns(database, info, Some(target));
                (!learns).then(|| Route::Pool(Arc::clone(info)))
            }
            Err(route) => Some(route),
        }
    }

    /// Where a login leads; makes its pool.
    pub(crate) fn route(&mut self, target: &Target<'_>) -> Route {
        let (database, user) = match self.look_up(target) {
            Ok((database, user)) => (database.clone(), user_of(database, user).to_owned()),
            Err(route) => return route,
        };
        let found = match target.replication {
            Some(wish) => self.replica(target, wish, &user, &database),
            None => self.pool(target.database, &user, &database, Some(target)),
        };
        match found {
            Some(info) => Route::Pool(info),
            None => Route::Full("pools"),
        }
    }

    /// The database that a login names, and its user; or why it may not in.
    fn look_up<'a, 't>(&'a self, target: &Target<'t>) -> Result<(&'a Database, &'t str), Route> {
        let Some(database) = self.database(target.database) else {
            return Err(Route::NoDatabase);
        };
        if self.held.is_disabled(target.database) {
            return Err(Route::Disabled);
        }
        match self.client_limit_reached(database, target) {
            Some(limit) => Err(Route::Full(limit)),
            None => Ok((database, target.user)),
        }
    }

    fn known_pool(&self, name: &str, user: &str) -> Option<&Arc<PoolInfo>> {
        // The key of the map owns its names: two short strings per login.
        let key = self.by_name.get(&(name.to_owned(), user.to_owned()))?;
        Some(&self.place(*key)?.info)
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
        let of_user = self.user_client_limit(target.user);
        if of_user.is_some_and(|l| self.clients_of(target.user) >= l) {
            return Some("max_user_client_connections");
        }
        None
    }

    fn clients_where(&self, fits: impl Fn(&PoolInfo) -> bool) -> u32 {
        self.places
            .iter()
            .filter(|place| fits(&place.info))
            .map(|place| place.clients.load(Ordering::Relaxed))
            .sum()
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
            return self.refreshed(*key, database, target);
        }
        if self.places.len() >= POOLS_MAX {
            return None;
        }
        let plan = Arc::clone(&self.plan);
        let upstream = self.upstream_for(&compile::endpoint(&plan, database));
        self.watch(&upstream, name, database);
        let settings = self.pool_settings(&upstream, name, user, database);
        let pool = upstream.lock().add_pool(settings.clone());
        if upstream.endpoint().attrs.writes() {
            // Known before the first write: a primary that becomes a standby is left at once.
            upstream.lock().wrote(pool);
        }
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
            most(&settings),
        ));
        if database.name == "*" && !self.by_name.keys().any(|(known, _)| known == name) {
            let name = words::name(name);
            theirs!(INFO, "registered new auto-database: {name}");
        }
        self.by_name.insert(names, key);
        self.add_place(upstream, pool, &info, false);
        Some(info)
    }

    /// Pools that keep a minimum are there before their first client, where the settings say whose they are. As in
    /// PgBouncer.
    pub(crate) fn warm(&mut self) {
        let plan = Arc::clone(&self.plan);
        let named = plan.databases.iter().filter(|d| d.name != "*");
        for database in named {
            if let Some(user) = &database.user
                && plan.effective(database, user).min > 0
            {
                self.pool(&database.name, user, database, None);
            }
        }
    }

    fn upstream_for(&mut self, endpoint: &Endpoint) -> Arc<UpstreamCell> {
        let same = |u: &&Arc<UpstreamCell>| {
            let known = u.endpoint();
            known.place() == endpoint.place()
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
            hosts: Hosts::default(),
            pools: Mutex::new(pools),
            told: Mutex::default(),
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
        settings.rules = Arc::clone(&self.rules);
        settings.guards = self.guards();
        let caps = self.caps.of_pool(&plan, upstream, name, user, database);
        settings.caps.extend(caps);
        settings
    }

    /// Takes new settings. Returns what the workers must know.
    pub(crate) fn reconfigure(
        &mut self,
        now: Time,
        plan: Arc<Plan>,
        server_tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Reconfigured {
        self.plan = Arc::clone(&plan);
        self.server_tls = server_tls;
        self.rules = Arc::new(compile::flow_rules(&plan));
        for cell in &self.upstreams {
            cell.lock()
                .configure(now, compile::upstream_settings(&plan));
        }
        self.follow_caps(now);
        let mut result = Reconfigured::default();
        for index in 0..self.places.len() {
            let place = self.places[index].clone();
            if place.taken.is_some() {
                self.reconfigure_replica(now, &place);
                continue;
            }
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
            if endpoint.place() != old.place() {
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
            // What the server refused may be mended: the next client finds out.
            place.upstream.lock().forget_failure(place.pool);
            result.changed.push(info);
        }
        result.changed.extend(self.watch_anew(now));
        self.warm();
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
        // What clients brought is kept: keys that no setting tells.
        let known = auth.password.is_none() || auth.password == place.info.auth.password;
        let auth = match known {
            true => place.info.auth.clone(),
            false => auth,
        };
        let mut info = compile::pool_info(
            &plan,
            place.info.key,
            &place.upstream,
            name,
            user,
            database,
            auth,
            most(&settings),
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

/// The largest size that the pool may have: its share for pins follows that.
fn most(settings: &PoolSettings) -> u32 {
    settings.auto.map_or(settings.size, |auto| auto.ceiling)
}

/// The user at the server: the database's own, or the client's.
fn user_of<'a>(database: &'a Database, client: &'a str) -> &'a str {
    database.user.as_deref().unwrap_or(client)
}

/// What a reload changed for the workers.
#[derive(Clone, Default)]
pub(crate) struct Reconfigured {
    /// Pools with a new description.
    pub(crate) changed: Vec<Arc<PoolInfo>>,
    /// Pools whose clients go to another pool; the old one is still to be retired.
    pub(crate) moved: Vec<(PoolKey, Arc<PoolInfo>)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::Verb;
    use std::path::Path;

    pub(super) fn registry(extra: &str) -> Registry {
        let text = format!(
            "[databases]\n* = host=127.0.0.1\nown = host=127.0.0.1 user=boss\n\
             [pgbouncer]\nauth_type = trust\n{extra}\n"
        );
        let source = move |_: &Path| Ok(text.clone().into_bytes());
        let plan = config::load("test.ini".as_ref(), &source);
        let plan = plan.unwrap_or_else(|e| panic!("{}", e.render()));
        Registry::new(Arc::new(plan), None, 1, 0)
    }

    pub(super) fn target<'a>(database: &'a str, user: &'a str) -> Target<'a> {
        Target {
            database,
            user,
            secret: None,
            keys: None,
            replication: None,
        }
    }

    fn key(route: Option<Route>) -> Option<PoolKey> {
        match route? {
            Route::Pool(info) => Some(info.key),
            _ => None,
        }
    }

    #[test]
    fn only_the_first_login_writes() {
        let mut registry = registry("");
        for (database, user) in [("app", "anna"), ("own", "anna")] {
            let target = target(database, user);
            assert!(registry.known_route(&target).is_none(), "{database}");
            let made = key(Some(registry.route(&target)));
            assert!(made.is_some());
            assert_eq!(key(registry.known_route(&target)), made);
        }
        // Another client user, the same user at the server: the same pool.
        assert!(registry.known_route(&target("own", "bert")).is_some());
        assert!(registry.known_route(&target("app", "bert")).is_none());
    }

    #[test]
    fn a_pool_that_is_made_later_is_held_as_well() {
        let mut registry = registry("");
        let mut paused = |verb, database, login: &str| {
            registry.held.change(verb, database).expect("held");
            let made = key(Some(registry.route(&target(login, "anna")))).expect("a pool");
            let place = registry.place(made).expect("a place");
            let upstream = place.upstream.lock();
            upstream.figures(place.pool, Time::ZERO).paused
        };
        assert!(paused(Verb::Pause, Some("app"), "app"));
        assert!(!paused(Verb::Pause, Some("app"), "another"));
        assert!(paused(Verb::Kill, Some("third"), "third"));
        assert!(paused(Verb::Pause, None, "fourth"));
        assert!(!paused(Verb::Resume, None, "fifth"));
    }

    #[test]
    fn a_secret_that_the_pool_lacks_is_learned_by_writing() {
        let mut registry = registry("");
        registry.route(&target("app", "anna"));
        let with = Target {
            secret: Some("s3cret"),
            ..target("app", "anna")
        };
        assert!(registry.known_route(&with).is_none());
        registry.route(&with);
        assert!(registry.known_route(&with).is_some());
    }

    #[test]
    fn limits_and_refusals_need_no_writing() {
        let mut registry = registry("max_db_client_connections = 2");
        let made = key(Some(registry.route(&target("app", "anna")))).expect("a pool");
        let clients = Arc::clone(&registry.place(made).expect("a place").clients);
        clients.store(2, Ordering::Relaxed);
        let full = registry.known_route(&target("app", "anna"));
        assert!(matches!(
            full,
            Some(Route::Full("max_db_client_connections"))
        ));
        let full = registry.known_route(&target("app", "bert"));
        assert!(
            matches!(full, Some(Route::Full(_))),
            "of all users together"
        );
        let disabled = registry.held.change(Verb::Disable, Some("off"));
        assert!(disabled.is_ok());
        let off = registry.known_route(&target("off", "anna"));
        assert!(matches!(off, Some(Route::Disabled)));
    }
}
