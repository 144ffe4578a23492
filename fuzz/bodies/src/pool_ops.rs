//! Lists of operations on one `pool::Upstream`, checked after each.

use arbitrary::{Result, Unstructured};
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, WorkerId};
use pool::{Action, CapId, Checkin, Checkout, ConnState, PoolSettings, Upstream, UpstreamSettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// Operations of one input.
const OPS_MAX: usize = 400;
const POOLS: usize = 4;
const CLIENTS: u32 = 32;

/// Runs the list of operations that `data` spells.
pub fn pool_ops(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(mut world) = World::new(&mut u) else {
        return;
    };
    for _ in 0..OPS_MAX {
        if u.is_empty() || world.step(&mut u).is_err() {
            break;
        }
        world.drain();
        world.check();
    }
    world.come_to_rest();
}

/// What a client does, as far as the interface tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    Waits(PoolId),
    Holds(ConnId),
}

struct World {
    up: Upstream,
    now: Time,
    workers: u16,
    pools: Vec<PoolId>,
    flows: Vec<FlowId>,
    clients: BTreeMap<ClientId, Doing>,
    generation: u32,
    opens: u64,
}

fn settings(u: &mut Unstructured<'_>) -> Result<PoolSettings> {
    let wait = u.int_in_range(0..=3u8)?;
    let caps = match u.int_in_range(0..=3u8)? {
        0 => vec![],
        1 => vec![CapId(0)],
        2 => vec![CapId(1), CapId(0)],
        // Named twice, and one that does not exist.
        _ => vec![CapId(1), CapId(1), CapId(9)],
    };
    Ok(PoolSettings {
        size: u.int_in_range(1..=5)?,
        min: u.int_in_range(0..=3)?,
        reserve: u.int_in_range(0..=2)?,
        reserve_after: Duration::from_millis(500),
        wait_timeout: (wait > 0).then(|| Duration::from_secs(u64::from(wait))),
        queue_max: u.int_in_range(1..=12)?,
        idle_timeout: u.arbitrary::<bool>()?.then(|| Duration::from_secs(3)),
        lifetime: u.arbitrary::<bool>()?.then(|| Duration::from_secs(9)),
        caps,
        ..PoolSettings::default()
    })
}

impl World {
    fn new(u: &mut Unstructured<'_>) -> Result<World> {
        let workers = u.int_in_range(1..=3)?;
        let mut up = Upstream::new(UpstreamSettings {
            line: u.int_in_range(1..=10)?,
            connects_max: u.int_in_range(1..=3)?,
            login_retry: Duration::from_millis(400),
            patient: u.arbitrary()?,
        });
        up.set_workers(workers);
        up.add_cap(3);
        up.add_cap(5);
        let mut world = World {
            up,
            now: Time::from_micros(1),
            workers,
            pools: Vec::new(),
            flows: Vec::new(),
            clients: BTreeMap::new(),
            generation: 0,
            opens: 0,
        };
        for _ in 0..u.int_in_range(1..=POOLS)? {
            world.add_pool(settings(u)?);
        }
        Ok(world)
    }

    fn add_pool(&mut self, settings: PoolSettings) {
        let pool = self.up.add_pool(settings);
        let flows = (0..3).map(|f| self.up.flow(pool, &format!("u{f}")));
        self.flows.extend(flows);
        self.pools.push(pool);
    }

    fn pool(&self, u: &mut Unstructured<'_>) -> Result<PoolId> {
        // A pool that was removed may be named too: late news of it arrive.
        Ok(*u.choose(&self.pools)?)
    }

    fn client(&self, u: &mut Unstructured<'_>) -> Result<ClientId> {
        let slot = u.int_in_range(0..=CLIENTS - 1)?;
        Ok(ClientId {
            worker: WorkerId((slot % u32::from(self.workers)) as u16),
            generation: 1,
            slot,
        })
    }

    fn conn(
        &self,
        u: &mut Unstructured<'_>,
        wanted: &[ConnState],
    ) -> Result<Option<pool::ConnRow>> {
        let found: Vec<_> = self
            .up
            .conns()
            .filter(|row| wanted.contains(&row.state))
            .collect();
        if found.is_empty() {
            return Ok(None);
        }
        Ok(Some(*u.choose(&found)?))
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let now = self.now;
        match u.int_in_range(0..=39u8)? {
            0..=8 => self.checkout(u)?,
            9..=14 => self.checkin(u)?,
            15..=19 => {
                if let Some(row) = self.conn(u, &[ConnState::Opening])? {
                    self.generation += 1;
                    self.up.opened(now, row.conn, row.worker, self.generation);
                }
            }
            20 => {
                let fatal = u.arbitrary()?;
                if let Some(row) = self.conn(u, &[ConnState::Opening])? {
                    self.up.open_failed(now, row.conn, fatal, "no".into());
                }
            }
            21..=23 => {
                if let Some(row) = self.conn(u, &[ConnState::Closing])? {
                    self.up.closed(now, row.conn);
                }
            }
            24 => self.dies(u)?,
            25 => {
                let client = self.client(u)?;
                if let Some(Doing::Waits(pool)) = self.clients.get(&client).copied()
                    && self.up.cancel_wait(now, client, pool)
                {
                    self.clients.remove(&client);
                }
            }
            26..=30 => {
                let us = *u.choose(&[300u64, 20_000, 700_000, 2_500_000, 70_000_000])?;
                self.now = now.after(Duration::from_micros(us));
                self.up.tick(self.now);
            }
            31 => {
                let (pool, settings) = (self.pool(u)?, settings(u)?);
                self.up.configure_pool(now, pool, settings);
            }
            32 => {
                let settings = UpstreamSettings {
                    line: u.int_in_range(0..=10)?,
                    connects_max: u.int_in_range(1..=3)?,
                    login_retry: Duration::from_millis(u.int_in_range(0..=4_000)?),
                    patient: u.arbitrary()?,
                };
                self.up.configure(now, settings);
            }
            33 => {
                let (cap, limit) = (CapId(u.int_in_range(0..=2)?), u.int_in_range(0..=6)?);
                self.up.configure_cap(now, cap, limit);
            }
            34 => self.administer(u)?,
            _ => self.arrive(u)?,
        }
        Ok(())
    }

    fn checkout(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (client, pool) = (self.client(u)?, self.pool(u)?);
        let flow = *u.choose(&self.flows)?;
        if self.clients.contains_key(&client) {
            return Ok(());
        }
        match self.up.checkout(self.now, pool, client, flow) {
            Checkout::Granted { conn, .. } => {
                self.lend(client, conn);
                let row = self.up.conn(conn);
                assert!(row.is_some_and(|r| r.worker == client.worker && r.pool == pool));
            }
            Checkout::Queued => drop(self.clients.insert(client, Doing::Waits(pool))),
            Checkout::Refused(_) => {}
        }
        Ok(())
    }

    fn lend(&mut self, client: ClientId, conn: ConnId) {
        assert!(
            self.clients.values().all(|d| *d != Doing::Holds(conn)),
            "{conn} is lent twice"
        );
        self.clients.insert(client, Doing::Holds(conn));
    }

    fn checkin(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let close = u.ratio(1, 8)?.then_some(CloseReason::ClientLeftTransaction);
        let holders: Vec<_> = self
            .clients
            .iter()
            .filter_map(|(c, d)| match d {
                Doing::Holds(conn) => Some((*c, *conn)),
                Doing::Waits(_) => None,
            })
            .collect();
        if holders.is_empty() {
            return Ok(());
        }
        let (client, conn) = *u.choose(&holders)?;
        self.clients.remove(&client);
        let _: Checkin = self.up.checkin(self.now, conn, close);
        Ok(())
    }

    fn dies(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let told = u.arbitrary()?;
        let any = [ConnState::Idle, ConnState::Lent, ConnState::Moving];
        if let Some(row) = self.conn(u, &any)? {
            self.clients.retain(|_, d| *d != Doing::Holds(row.conn));
            if told {
                self.up.closing(self.now, row.conn);
            } else {
                self.up.closed(self.now, row.conn);
            }
        }
        Ok(())
    }

    fn arrive(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(row) = self.conn(u, &[ConnState::Moving])? else {
            return Ok(());
        };
        let reserved = self.pools.iter().find_map(|p| {
            let mut waiters = self.up.waiters(*p);
            waiters.find(|w| w.reserved == Some(row.conn))
        });
        let to = match reserved {
            Some(waiter) => waiter.client,
            None => self.client(u)?,
        };
        self.generation += 1;
        let slot = self.generation;
        if self.up.arrived(self.now, row.conn, to.worker, slot, to) {
            assert!(
                matches!(self.clients.get(&to), Some(Doing::Waits(_))),
                "lent to a client that does not wait"
            );
            self.lend(to, row.conn);
        }
        Ok(())
    }

    fn administer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let pool = self.pool(u)?;
        let now = self.now;
        match u.int_in_range(0..=14u8)? {
            0 | 1 => self.up.pause(now, pool),
            2..=4 => self.up.resume(now, pool),
            5 => self.up.disable(pool),
            6 | 7 => self.up.enable(pool),
            8 => self.up.reconnect(now, pool, CloseReason::AdminKill),
            9 => self.up.kill(now, pool),
            10 => self.up.fail_pool(now, pool),
            11 => self.up.retire_pool(now, pool),
            // Guarded: a pool that is still in use stays, and nothing else is done.
            12 if self.up.remove_pool(pool) => {
                assert!(self.up.conns().all(|row| row.pool != pool));
            }
            12 => {}
            13 if self.pools.len() < 8 => {
                let settings = settings(u)?;
                self.add_pool(settings);
            }
            _ if u.ratio(1, 8)? => self.up.shutdown(now),
            _ => {}
        }
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(action) = self.up.poll() {
            match action {
                Action::Grant {
                    worker,
                    client,
                    conn,
                    ..
                } => {
                    assert!(worker == client.worker);
                    assert!(
                        matches!(self.clients.get(&client), Some(Doing::Waits(_))),
                        "granted to {client}, which does not wait"
                    );
                    self.lend(client, conn);
                }
                Action::Reclaim { .. } => panic!("nothing was silent"),
                Action::Leave { .. } | Action::Oust { .. } => panic!("nothing moved"),
                Action::Refuse { client, .. } => {
                    let gone = self.clients.remove(&client);
                    assert!(matches!(gone, Some(Doing::Waits(_))), "refused {client}");
                }
                Action::Handover { conn, to, .. } => {
                    assert_eq!(self.up.conn_state(conn), Some(ConnState::Moving));
                    assert!(matches!(self.clients.get(&to), Some(Doing::Waits(_))));
                }
                Action::Open { worker, .. } => assert!(worker.0 < self.workers),
                Action::Close { conn, .. } => {
                    assert_eq!(self.up.conn_state(conn), Some(ConnState::Closing));
                }
            }
        }
    }

    fn check(&mut self) {
        if let Err(broken) = self.up.check_invariants() {
            panic!("{broken}");
        }
        let opens = self.up.counters().opens;
        if opens > self.opens {
            assert!(
                self.up.charged() <= self.up.line(),
                "opened above the line: {} of {}",
                self.up.charged(),
                self.up.line()
            );
        }
        self.opens = opens;
        for (client, doing) in &self.clients {
            let known = match doing {
                Doing::Holds(conn) => self
                    .up
                    .conn(*conn)
                    .and_then(|row| row.lease)
                    .is_some_and(|lease| lease.client == *client),
                Doing::Waits(pool) => self.up.waiters(*pool).any(|w| w.client == *client),
            };
            assert!(known, "{client} is forgotten while it {doing:?}");
        }
    }

    /// Everybody gives back and every socket ends: nothing stays charged.
    fn come_to_rest(&mut self) {
        self.up.shutdown(self.now);
        self.drain();
        for (client, doing) in std::mem::take(&mut self.clients) {
            match doing {
                Doing::Holds(conn) => drop(self.up.checkin(self.now, conn, None)),
                Doing::Waits(pool) => panic!("{client} waits in {pool:?} after the shutdown"),
            }
        }
        let conns: Vec<_> = self.up.conns().map(|row| row.conn).collect();
        for conn in conns {
            self.up.closed(self.now, conn);
        }
        self.drain();
        self.check();
        assert_eq!(self.up.charged(), 0, "something stays charged");
    }
}
