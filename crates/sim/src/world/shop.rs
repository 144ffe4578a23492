//! The pools behind the hubs: one upstream, and the checks of who holds what.

use crate::scenario::Scenario;
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, UpstreamId, WorkerId};
use pool::{Checkin, Checkout, PoolSettings, Upstream, UpstreamSettings};
use relay::{ParamSet, PoolInfo, PoolKey, Pools, Route, ServerAuth, Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

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
    pools: Vec<crate::scenario::PoolSpec>,
    /// Who holds a connection, by the connection's slot.
    holders: Vec<Option<(ConnId, ClientId)>>,
    /// What was seen that must not be.
    pub broken: Vec<String>,
    /// Grants that the world planted a bug into.
    pub swap_next_grant: bool,
    wait_timeout: std::time::Duration,
}

impl Shop {
    /// The pools of a scenario.
    pub fn new(s: &Scenario) -> Shop {
        let mut up = Upstream::new(UpstreamSettings {
            line: s.line,
            connects_max: 4,
            login_retry: std::time::Duration::from_millis(50),
        });
        up.set_workers(s.workers as u16);
        Shop {
            up,
            worker: WorkerId(0),
            infos: Vec::new(),
            by_name: BTreeMap::new(),
            pools: s.pools.clone(),
            holders: Vec::new(),
            broken: Vec::new(),
            swap_next_grant: false,
            wait_timeout: s.wait_timeout,
        }
    }

    fn pool_for(&mut self, database: &str, user: &str) -> Option<PoolKey> {
        let name = (database.to_owned(), user.to_owned());
        if let Some(key) = self.by_name.get(&name) {
            return Some(*key);
        }
        let index: usize = database.strip_prefix("app")?.parse().ok()?;
        let spec = self.pools.get(index)?.clone();
        let id = self.up.add_pool(PoolSettings {
            size: spec.size,
            wait_timeout: Some(self.wait_timeout),
            queue_max: spec.queue_max,
            idle_timeout: spec.idle_timeout,
            lifetime: spec.lifetime,
            ..PoolSettings::default()
        });
        let key = PoolKey(id.0);
        debug_assert_eq!(key.0 as usize, self.infos.len());
        self.infos.push(Arc::new(PoolInfo {
            greeting: Arc::default(),
            key,
            upstream: UpstreamId(0),
            database: database.into(),
            user: user.into(),
            server_database: database.into(),
            address: "server:5432".into(),
            auth: ServerAuth {
                password: Some("secret".into()),
                keys: None,
            },
            parameters: ParamSet::default(),
            mode: spec.mode,
            connect_query: spec.connect_query.then(|| "SELECT 'hello'".into()),
            size: spec.size,
            pins_max: spec.pins_max,
            pins: Arc::new(AtomicU32::new(0)),
        }));
        self.by_name.insert(name, key);
        Some(key)
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
            Some(key) => Route::Pool(Arc::clone(&self.infos[key.0 as usize])),
            None if target.database == "disabled" => Route::Disabled,
            None => Route::NoDatabase,
        }
    }

    fn auth_pool(&mut self, _: Time, database: &str) -> Option<Arc<PoolInfo>> {
        let key = self.pool_for(database, "auth")?;
        Some(Arc::clone(&self.infos[key.0 as usize]))
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
