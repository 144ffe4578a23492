//! The pools behind the hubs: one upstream, and the checks of who holds what.

use crate::scenario::{Plant, Scenario};
use events::{
    ClientId, CloseReason, ConnId, FlowId, GuardMode, PoolId, Time, UpstreamId, WorkerId,
};
use pool::{CapId, Checkin, Checkout, PoolSettings, Upstream, UpstreamSettings};
use relay::{NoLookUp, ParamSet, PoolInfo, PoolKey, Pools, Route, ServerAuth, Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A database: its settings, and whether it can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) spec: crate::scenario::PoolSpec,
    /// Taken out of the settings.
    pub(crate) missing: bool,
    /// Disabled by an administrator.
    pub(crate) disabled: bool,
    pub(crate) cap: Option<CapId>,
}

/// Implements the hubs' [`Pools`] over one [`Upstream`].
#[derive(Debug)]
pub struct Shop {
    /// The pools' decisions.
    pub up: Upstream,
    /// The worker whose hub is being called.
    pub worker: WorkerId,
    /// By [`PoolKey`].
    pub infos: Vec<Arc<PoolInfo>>,
    by_name: BTreeMap<(String, String), PoolKey>,
    /// The databases as they are set now.
    pub(crate) databases: Vec<Database>,
    /// Who holds a connection, by the connection's slot.
    holders: Vec<Option<(ConnId, ClientId)>>,
    /// What was seen that must not be.
    pub broken: Vec<String>,
    /// Connections whose lease was taken back, until they are lent again.
    pub(crate) reclaimed: BTreeMap<u32, ConnId>,
    /// Connections whose lease copied data or changed the schema.
    pub(crate) marked: BTreeMap<u32, ConnId>,
    leaks: pool::LeakSettings,
    /// Grants that the world planted a bug into.
    pub swap_next_grant: bool,
    wait_timeout: std::time::Duration,
}

/// The settings of the one database server.
pub(crate) fn upstream(line: u32) -> UpstreamSettings {
    UpstreamSettings {
        line,
        connects_max: 4,
        login_retry: std::time::Duration::from_millis(50),
        patient: false,
    }
}

/// The number of a database's name.
pub(crate) fn index_of(database: &str) -> Option<usize> {
    database.strip_prefix("app")?.parse().ok()
}

/// The pool's own planted bugs exist in tests only.
#[cfg(test)]
fn plant(up: &mut Upstream, plant: Option<Plant>) {
    match plant {
        Some(Plant::LendTwice) => up.plant(pool::Fault::LendTwice),
        Some(Plant::ForgetWaiters) => up.plant(pool::Fault::ForgetWaiters),
        _ => {}
    }
}

#[cfg(not(test))]
fn plant(_: &mut Upstream, _: Option<Plant>) {}

impl Shop {
    /// The pools of a scenario.
    pub fn new(s: &Scenario) -> Shop {
        let mut up = Upstream::new(upstream(s.line));
        up.set_workers(s.workers as u16);
        plant(&mut up, s.plant);
        let databases = s
            .pools
            .iter()
            .map(|spec| Database {
                spec: spec.clone(),
                missing: false,
                disabled: false,
                cap: s.cap.map(|limit| up.add_cap(limit)),
            })
            .collect();
        Shop {
            up,
            worker: WorkerId(0),
            infos: Vec::new(),
            by_name: BTreeMap::new(),
            databases,
            holders: Vec::new(),
            broken: Vec::new(),
            reclaimed: BTreeMap::new(),
            marked: BTreeMap::new(),
            leaks: s.silences.settings,
            swap_next_grant: false,
            wait_timeout: s.wait_timeout,
        }
    }

    fn pool_for(&mut self, database: &str, user: &str) -> Option<PoolKey> {
        let name = (database.to_owned(), user.to_owned());
        if let Some(key) = self.by_name.get(&name) {
            return Some(*key);
        }
        let index = index_of(database)?;
        if self.databases.get(index).is_none_or(|d| d.missing) {
            return None;
        }
        Some(self.add_pool(index, name))
    }

    fn add_pool(&mut self, index: usize, name: (String, String)) -> PoolKey {
        let id = self.up.add_pool(self.settings(index));
        let key = PoolKey(id.0);
        debug_assert_eq!(key.0 as usize, self.infos.len());
        let info = self.describe(index, key, &name.1);
        self.infos.push(Arc::new(info));
        self.by_name.insert(name, key);
        key
    }

    fn settings(&self, index: usize) -> PoolSettings {
        let database = &self.databases[index];
        let spec = &database.spec;
        PoolSettings {
            size: spec.size,
            wait_timeout: Some(self.wait_timeout),
            queue_max: spec.queue_max,
            idle_timeout: spec.idle_timeout,
            lifetime: spec.lifetime,
            caps: database.cap.into_iter().collect(),
            leaks: self.leaks,
            ..PoolSettings::default()
        }
    }

    fn describe(&self, index: usize, key: PoolKey, user: &str) -> PoolInfo {
        let spec = &self.databases[index].spec;
        let database = format!("app{index}");
        PoolInfo {
            greeting: Arc::default(),
            key,
            upstream: UpstreamId(0),
            database: database.as_str().into(),
            user: user.into(),
            server_database: database.into(),
            address: "server:5432".into(),
            auth: ServerAuth {
                password: Some("secret".into()),
                keys: None,
            },
            parameters: ParamSet::default(),
            mode: spec.mode,
            replication: relay::Replication::None,
            connect_query: spec.connect_query.then(|| "SELECT 'hello'".into()),
            session_attrs: relay::SessionAttrs::Any,
            size: spec.size,
            pins_max: spec.pins_max,
            pins: Arc::new(AtomicU32::new(0)),
        }
    }

    /// The pools that serve a database now.
    pub(crate) fn pools_of(&self, index: usize) -> Vec<PoolKey> {
        let name = format!("app{index}");
        let named = self.by_name.iter().filter(|((d, _), _)| *d == name);
        named.map(|(_, key)| *key).collect()
    }

    /// The database's settings changed: its pools follow. What workers must know.
    pub(crate) fn reconfigure(&mut self, now: Time, index: usize) -> Vec<Arc<PoolInfo>> {
        let mut changed = Vec::new();
        for key in self.pools_of(index) {
            self.up
                .configure_pool(now, PoolId(key.0), self.settings(index));
            let old = Arc::clone(&self.infos[key.0 as usize]);
            let info = PoolInfo {
                greeting: Arc::clone(&old.greeting),
                pins: Arc::clone(&old.pins),
                ..self.describe(index, key, &old.user)
            };
            self.infos[key.0 as usize] = Arc::new(info);
            changed.push(Arc::clone(&self.infos[key.0 as usize]));
        }
        changed
    }

    /// The database is no longer in the settings.
    pub(crate) fn retire(&mut self, now: Time, index: usize) {
        for key in self.pools_of(index) {
            self.up.retire_pool(now, PoolId(key.0));
        }
        let name = format!("app{index}");
        self.by_name.retain(|(database, _), _| *database != name);
        self.databases[index].missing = true;
    }

    /// The database is on another server now: new pools for the old ones,
    /// which are to be retired once every worker knows.
    pub(crate) fn move_pools(&mut self, index: usize) -> Vec<(PoolKey, Arc<PoolInfo>)> {
        let mut moved = Vec::new();
        for old in self.pools_of(index) {
            let user = self.infos[old.0 as usize].user.to_string();
            let key = self.add_pool(index, (format!("app{index}"), user));
            moved.push((old, Arc::clone(&self.infos[key.0 as usize])));
        }
        moved
    }

    /// Who holds the connection.
    pub fn holder(&self, conn: ConnId) -> Option<ClientId> {
        self.holders
            .get(conn.slot as usize)
            .copied()
            .flatten()
            .filter(|(c, _)| *c == conn)
            .map(|(_, client)| client)
    }

    /// A connection is lent.
    pub fn hold(&mut self, conn: ConnId, client: ClientId) {
        self.reclaimed.remove(&conn.slot);
        self.marked.remove(&conn.slot);
        let slot = conn.slot as usize;
        if self.holders.len() <= slot {
            self.holders.resize(slot + 1, None);
        }
        if let Some((held, by)) = self.holders[slot]
            && held == conn
        {
            self.broken
                .push(format!("{conn} is lent to {client} while {by} holds it"));
        }
        self.holders[slot] = Some((conn, client));
    }

    fn free(&mut self, conn: ConnId) {
        if let Some(place) = self.holders.get_mut(conn.slot as usize)
            && place.is_some_and(|(c, _)| c == conn)
        {
            *place = None;
        }
    }
}

impl Pools for Shop {
    fn route(&mut self, _: Time, target: Target<'_>) -> Route {
        match self.pool_for(target.database, target.user) {
            Some(key) => {
                let index = index_of(target.database).unwrap_or(0);
                match self.databases[index].disabled {
                    true => Route::Disabled,
                    false => Route::Pool(Arc::clone(&self.infos[key.0 as usize])),
                }
            }
            None => Route::NoDatabase,
        }
    }

    fn auth_pool(&mut self, _: Time, database: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        let key = self.pool_for(database, "auth");
        let key = key.ok_or(NoLookUp::Unasked)?;
        Ok(Arc::clone(&self.infos[key.0 as usize]))
    }

    fn join(&mut self, pool: PoolKey, key: &str) -> FlowId {
        self.up.flow(PoolId(pool.0), key)
    }

    fn leave(&mut self, pool: PoolKey, flow: FlowId) {
        self.up.drop_flow(PoolId(pool.0), flow);
    }

    fn checkout(&mut self, now: Time, pool: PoolKey, client: ClientId, flow: FlowId) -> Checkout {
        let answer = self.up.checkout(now, PoolId(pool.0), client, flow);
        if let Checkout::Granted { conn, .. } = answer {
            self.hold(conn, client);
        }
        answer
    }

    fn failure(&mut self, pool: PoolKey) -> Option<Arc<str>> {
        self.up.failure(PoolId(pool.0))
    }

    fn plight(&mut self, pool: PoolKey, flow: FlowId, holders: bool) -> pool::Plight {
        self.up.plight(PoolId(pool.0), flow, holders)
    }

    fn beyond_pins(&mut self, pool: PoolKey) -> GuardMode {
        self.up.beyond_pins(PoolId(pool.0))
    }

    fn checkin(
        &mut self,
        now: Time,
        _: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin {
        self.free(conn);
        self.up.checkin(now, conn, close)
    }

    fn cancel_wait(&mut self, now: Time, pool: PoolKey, client: ClientId) {
        self.up.cancel_wait(now, client, PoolId(pool.0));
    }

    fn opened(&mut self, now: Time, _: PoolKey, conn: ConnId, slot: u32) {
        self.up.opened(now, conn, self.worker, slot);
    }

    fn learn(&mut self, now: Time, pool: PoolKey, lessons: &[pool::Lesson]) {
        self.up.learn(now, PoolId(pool.0), lessons);
    }

    fn silent(&mut self, now: Time, pool: PoolKey, leases: Vec<pool::SilentLease>) {
        self.up.silent(now, self.worker, PoolId(pool.0), leases);
    }

    fn reclaimed(
        &mut self,
        _: Time,
        pool: PoolKey,
        conn: ConnId,
        client: ClientId,
        enforce: bool,
        done: bool,
    ) {
        self.up
            .reclaimed(PoolId(pool.0), conn, client, enforce, done);
    }

    fn open_failed(&mut self, now: Time, _: PoolKey, conn: ConnId, text: Arc<str>, login: bool) {
        self.up.open_failed(now, conn, login, text);
    }

    fn closing(&mut self, now: Time, _: PoolKey, conn: ConnId) {
        self.free(conn);
        self.up.closing(now, conn);
    }

    fn arrived(
        &mut self,
        now: Time,
        _: PoolKey,
        conn: ConnId,
        slot: u32,
        client: ClientId,
    ) -> bool {
        let lent = self.up.arrived(now, conn, self.worker, slot, client);
        if lent {
            self.hold(conn, client);
        }
        lent
    }
}
