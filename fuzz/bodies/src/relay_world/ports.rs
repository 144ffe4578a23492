//! The pools as the hubs see them here: one `pool::Upstream`, no lock.

use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, UpstreamId, WorkerId};
use pool::{Action, Checkin, Checkout, PoolSettings, Upstream, UpstreamSettings};
use relay::{NoLookUp, ParamSet, PoolInfo, PoolKey, PoolMode, Pools, Route, ServerAuth, Target};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// How long a client waits for a connection here.
pub(super) const WAIT: Duration = Duration::from_secs(4);

/// Databases by the name that clients use; each is one pool.
pub(super) const DATABASES: [(&str, PoolMode); 3] = [
    ("app", PoolMode::Transaction),
    ("ses", PoolMode::Session),
    ("stm", PoolMode::Statement),
];

/// One upstream with three pools.
pub(crate) struct Ports {
    pub(crate) up: Upstream,
    pub(crate) pools: Vec<PoolId>,
    pub(crate) infos: Vec<Arc<PoolInfo>>,
    /// The worker whose dispatch runs.
    pub(super) worker: WorkerId,
    pub(super) actions: VecDeque<Action>,
    /// Letters to workers, not read yet.
    pub(super) mail: VecDeque<Action>,
    /// Connections lent at once during this dispatch.
    pub(super) granted: Vec<(ConnId, ClientId)>,
}

impl Ports {
    pub(super) fn new(workers: u16, line: u32, size: u32) -> Ports {
        let mut up = Upstream::new(UpstreamSettings {
            line,
            ..UpstreamSettings::default()
        });
        up.set_workers(workers);
        let pools: Vec<PoolId> = DATABASES
            .iter()
            .map(|_| {
                up.add_pool(PoolSettings {
                    size,
                    wait_timeout: Some(WAIT),
                    queue_max: 8,
                    ..PoolSettings::default()
                })
            })
            .collect();
        let infos = (0..DATABASES.len())
            .map(|i| Arc::new(info(i, size, "select 'first'")))
            .collect();
        Ports {
            up,
            pools,
            infos,
            worker: WorkerId(0),
            actions: VecDeque::new(),
            mail: VecDeque::new(),
            granted: Vec::new(),
        }
    }

    fn id(&self, key: PoolKey) -> PoolId {
        self.pools[key.0 as usize]
    }

    pub(super) fn take_actions(&mut self) {
        while let Some(action) = self.up.poll() {
            self.actions.push_back(action);
        }
    }
}

fn info(i: usize, size: u32, connect_query: &str) -> PoolInfo {
    let (database, mode) = DATABASES[i];
    PoolInfo {
        greeting: Arc::default(),
        key: PoolKey(i as u32),
        upstream: UpstreamId(0),
        database: database.into(),
        user: "own".into(),
        server_database: database.into(),
        address: "db:5432".into(),
        auth: ServerAuth {
            password: Some("pw".into()),
            keys: None,
        },
        parameters: ParamSet::default(),
        mode,
        session_attrs: relay::SessionAttrs::Any,
        replication: relay::Replication::None,
        connect_query: (i == 2).then(|| connect_query.into()),
        size,
        pins_max: 1,
        pins: Arc::new(AtomicU32::new(0)),
    }
}

impl Pools for Ports {
    fn route(&mut self, _now: Time, target: Target<'_>) -> Route {
        match DATABASES.iter().position(|(d, _)| *d == target.database) {
            Some(i) => Route::Pool(Arc::clone(&self.infos[i])),
            None if target.database == "off" => Route::Disabled,
            None if target.database == "full" => Route::Full("max_client_conn"),
            None => Route::NoDatabase,
        }
    }

    fn auth_pool(&mut self, _now: Time, database: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        match database {
            "none" => Err(NoLookUp::Unasked),
            "full" => Err(NoLookUp::Disabled(database.into())),
            _ => Ok(Arc::clone(&self.infos[0])),
        }
    }

    fn join(&mut self, pool: PoolKey, key: &str) -> FlowId {
        let id = self.id(pool);
        self.up.flow(id, key)
    }

    fn leave(&mut self, pool: PoolKey, flow: FlowId) {
        let id = self.id(pool);
        self.up.drop_flow(id, flow);
    }

    fn checkout(&mut self, now: Time, pool: PoolKey, client: ClientId, flow: FlowId) -> Checkout {
        let id = self.id(pool);
        let answer = self.up.checkout(now, id, client, flow);
        if let Checkout::Granted { conn, .. } = answer {
            self.granted.push((conn, client));
        }
        self.take_actions();
        answer
    }

    fn failure(&mut self, pool: PoolKey) -> Option<Arc<str>> {
        self.up.failure(self.id(pool))
    }

    fn checkin(
        &mut self,
        now: Time,
        _pool: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin {
        let answer = self.up.checkin(now, conn, close);
        self.take_actions();
        answer
    }

    fn cancel_wait(&mut self, now: Time, pool: PoolKey, client: ClientId) {
        self.up.cancel_wait(now, client, self.id(pool));
        self.take_actions();
    }

    fn opened(&mut self, now: Time, _pool: PoolKey, conn: ConnId, slot: u32) {
        self.up.opened(now, conn, self.worker, slot);
        self.take_actions();
    }

    fn open_failed(
        &mut self,
        now: Time,
        _pool: PoolKey,
        conn: ConnId,
        text: Arc<str>,
        login: bool,
    ) {
        self.up.open_failed(now, conn, login, text);
        self.take_actions();
    }

    fn closing(&mut self, now: Time, _pool: PoolKey, conn: ConnId) {
        self.up.closing(now, conn);
        self.take_actions();
    }

    fn arrived(
        &mut self,
        now: Time,
        _pool: PoolKey,
        conn: ConnId,
        slot: u32,
        client: ClientId,
    ) -> bool {
        let answer = self.up.arrived(now, conn, self.worker, slot, client);
        self.take_actions();
        answer
    }
}
