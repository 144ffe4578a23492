//! Lists of operations against a model that knows only what the interface
//! says: which client waits or holds what, which connections exist.

use super::{Fault, Upstream};
use crate::{
    Action, Checkin, Checkout, FLOW_PASS_MAX, FlowRule, FlowRules, LOCAL_PASS_MAX, PoolSettings,
    Role, UpstreamSettings,
};
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, WorkerId};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const CLIENTS: usize = 24;
const POOLS: usize = 3;
const FLOWS: usize = 3;
const WAIT: Duration = Duration::from_secs(4);
/// The longest wait of the last flow.
const SHORT_WAIT: Duration = Duration::from_millis(1500);

#[derive(Clone, Debug)]
enum Op {
    Checkout(usize),
    Checkin(usize, bool),
    Opened(usize),
    OpenFailed(usize, bool),
    Closed(usize),
    Arrived(usize),
    LostMoving(usize),
    Died(usize),
    Cancel(usize),
    Pass(u64),
    Resize(usize, u32, u32, u32),
    Line(u32),
    Cap(u32),
    Pause(usize),
    Resume(usize),
    Reconnect(usize),
    Kill(usize),
    Disable(usize, bool),
    /// The name leads to this address.
    Named(u8),
    Wrote(usize),
    ReadOnly(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let n = 0..1000usize;
    let pool = 0..POOLS;
    prop_oneof![
        30 => (0..CLIENTS).prop_map(Op::Checkout),
        24 => (n.clone(), prop::bool::weighted(0.1)).prop_map(|(n, close)| Op::Checkin(n, close)),
        16 => n.clone().prop_map(Op::Opened),
        3 => (n.clone(), any::<bool>()).prop_map(|(n, fatal)| Op::OpenFailed(n, fatal)),
        8 => n.clone().prop_map(Op::Closed),
        12 => n.clone().prop_map(Op::Arrived),
        2 => n.clone().prop_map(Op::LostMoving),
        2 => n.clone().prop_map(Op::Died),
        4 => (0..CLIENTS).prop_map(Op::Cancel),
        14 => prop_oneof![Just(300u64), Just(20_000), Just(700_000), Just(2_500_000)].prop_map(Op::Pass),
        2 => (pool.clone(), 1..6u32, 0..3u32, 0..2u32).prop_map(|(p, size, min, reserve)| Op::Resize(p, size, min, reserve)),
        1 => (2..9u32).prop_map(Op::Line),
        1 => (1..6u32).prop_map(Op::Cap),
        1 => pool.clone().prop_map(Op::Pause),
        3 => pool.clone().prop_map(Op::Resume),
        1 => pool.clone().prop_map(Op::Reconnect),
        1 => pool.clone().prop_map(Op::Kill),
        1 => (pool.clone(), any::<bool>()).prop_map(|(p, on)| Op::Disable(p, on)),
        2 => (1..4u8).prop_map(Op::Named),
        1 => pool.prop_map(Op::Wrote),
        1 => (0..1000usize).prop_map(Op::ReadOnly),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    Nothing,
    Waiting {
        since: Time,
        reserved: Option<ConnId>,
    },
    Holding(ConnId),
}

/// Where a connection is, as the workers know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Opening,
    Idle,
    Held(usize),
    Moving(ClientId),
    Closing,
}

struct World {
    up: Upstream,
    now: Time,
    line: u32,
    pools: Vec<PoolId>,
    settings: Vec<PoolSettings>,
    paused: [bool; POOLS],
    flows: Vec<Vec<FlowId>>,
    doing: Vec<Doing>,
    conns: BTreeMap<ConnId, (usize, At)>,
    /// Where the name leads.
    place: u8,
    /// Opens counted when last judged.
    opens: u64,
    /// Grants to younger clients of its flow, for each client that is queued.
    passed: Vec<u8>,
    /// Grants to other flows since a waiting flow was served, by (pool, flow).
    left_out: BTreeMap<(usize, usize), u64>,
}

fn client(c: usize, workers: usize) -> ClientId {
    ClientId {
        worker: WorkerId((c % workers) as u16),
        generation: 1,
        slot: c as u32,
    }
}

/// The first flow weighs more than the others, the last one waits less long.
fn rules() -> FlowRules {
    let mut rules = FlowRules::default();
    let heavy = FlowRule {
        weight: Some(3),
        ..FlowRule::default()
    };
    rules.user("u0", heavy);
    let hasty = FlowRule {
        wait_timeout: Some(Some(SHORT_WAIT)),
        ..FlowRule::default()
    };
    rules.user(&format!("u{}", FLOWS - 1), hasty);
    rules
}

/// Pool and flow of a client.
fn home(c: usize) -> (usize, usize) {
    (c % POOLS, c / POOLS % FLOWS)
}

impl World {
    fn new(workers: usize, line: u32, fault: Option<Fault>) -> World {
        let mut up = Upstream::new(UpstreamSettings {
            line,
            connects_max: 2,
            login_retry: Duration::from_millis(500),
            patient: false,
        });
        up.fault = fault;
        up.set_workers(workers as u16);
        let cap = up.add_cap(4);
        let settings: Vec<PoolSettings> = (0..POOLS)
            .map(|p| PoolSettings {
                size: 3,
                wait_timeout: Some(WAIT),
                queue_max: 6,
                idle_timeout: Some(Duration::from_secs(5)),
                lifetime: Some(Duration::from_secs(20)),
                reserve_after: Duration::from_secs(1),
                caps: if p == 0 { Vec::new() } else { vec![cap] },
                // In one pool all flows are alike.
                rules: if p == 1 {
                    Arc::default()
                } else {
                    Arc::new(rules())
                },
                ..PoolSettings::default()
            })
            .collect();
        let pools: Vec<PoolId> = settings.iter().map(|s| up.add_pool(s.clone())).collect();
        let flows = pools
            .iter()
            .map(|p| {
                (0..FLOWS)
                    .map(|f| up.flow(*p, &format!("u{f}\0app")))
                    .collect()
            })
            .collect();
        World {
            up,
            now: Time::from_micros(1),
            line,
            pools,
            settings,
            paused: [false; POOLS],
            flows,
            doing: vec![Doing::Nothing; CLIENTS],
            conns: BTreeMap::new(),
            place: 1,
            opens: 0,
            passed: vec![0; CLIENTS],
            left_out: BTreeMap::new(),
        }
    }

    fn nth(&self, n: usize, wanted: impl Fn(At) -> bool) -> Option<ConnId> {
        let found: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, (_, at))| wanted(*at))
            .map(|(id, _)| *id)
            .collect();
        (!found.is_empty()).then(|| found[n % found.len()])
    }

    fn step(&mut self, op: &Op, workers: usize) -> Result<(), String> {
        let now = self.now;
        match *op {
            Op::Checkout(c) if self.doing[c] == Doing::Nothing => {
                let (p, f) = home(c);
                match self
                    .up
                    .checkout(now, self.pools[p], client(c, workers), self.flows[p][f])
                {
                    Checkout::Granted { conn, .. } => self.lend(c, conn, At::Idle)?,
                    Checkout::Queued => {
                        self.doing[c] = Doing::Waiting {
                            since: now,
                            reserved: None,
                        };
                        self.passed[c] = 0;
                        self.left_out.entry((p, f)).or_insert(0);
                    }
                    Checkout::Refused(_) => {}
                }
            }
            Op::Checkin(n, close) => {
                let holders: Vec<usize> = (0..CLIENTS)
                    .filter(|c| matches!(self.doing[*c], Doing::Holding(_)))
                    .collect();
                if !holders.is_empty() {
                    self.checkin(
                        holders[n % holders.len()],
                        close.then_some(CloseReason::ClientLeftTransaction),
                    );
                }
            }
            Op::Opened(n) => {
                if let Some(id) = self.nth(n, |at| at == At::Opening) {
                    let worker = self
                        .up
                        .conn(id)
                        .ok_or("an opening connection is unknown")?
                        .worker;
                    // Some were on their way when the name changed; some find a standby.
                    let at = IpAddr::from([10, 0, 0, if n % 7 == 0 { 1 } else { self.place }]);
                    let role = [Role::Primary, Role::Standby, Role::Unknown][n % 11 % 3];
                    if self.up.located(now, id, Some(at), role).is_some() {
                        self.conns.remove(&id);
                        self.up.open_failed(now, id, false, "not there".into());
                    } else {
                        self.put(id, At::Idle);
                        self.up.opened(now, id, worker, id.slot);
                    }
                }
            }
            Op::OpenFailed(n, fatal) => {
                if let Some(id) = self.nth(n, |at| at == At::Opening) {
                    self.conns.remove(&id);
                    self.up.open_failed(now, id, fatal, "no".into());
                }
            }
            Op::Closed(n) => {
                if let Some(id) = self.nth(n, |at| at == At::Closing) {
                    self.conns.remove(&id);
                    self.up.closed(now, id);
                }
            }
            Op::Arrived(n) => self.arrive(n)?,
            Op::LostMoving(n) => {
                if let Some(id) = self.nth(n, |at| matches!(at, At::Moving(_))) {
                    if let Some((_, At::Moving(to))) = self.conns.get(&id).copied() {
                        self.requeued(id, to);
                    }
                    self.die(id, n);
                }
            }
            Op::Died(n) => {
                if let Some(id) = self.nth(n, |at| matches!(at, At::Idle | At::Held(_))) {
                    if let Some((_, At::Held(c))) = self.conns.get(&id) {
                        self.doing[*c] = Doing::Nothing;
                    }
                    self.die(id, n);
                }
            }
            Op::Cancel(c) => {
                let was = self
                    .up
                    .cancel_wait(now, client(c, workers), self.pools[home(c).0]);
                if was != matches!(self.doing[c], Doing::Waiting { .. }) {
                    return Err(format!(
                        "cancelled: {was}, but the client does {:?}",
                        self.doing[c]
                    ));
                }
                if was {
                    self.stop_waiting(c);
                }
            }
            Op::Pass(us) => {
                self.now = now.after(Duration::from_micros(us));
                self.up.tick(self.now);
            }
            Op::Resize(p, size, min, reserve) => {
                self.settings[p] = PoolSettings {
                    size,
                    min,
                    reserve,
                    ..self.settings[p].clone()
                };
                self.up
                    .configure_pool(now, self.pools[p], self.settings[p].clone());
            }
            Op::Line(line) => {
                self.line = line;
                let settings = UpstreamSettings {
                    line,
                    ..self.up.settings.clone()
                };
                self.up.configure(now, settings);
            }
            Op::Cap(limit) => self.up.configure_cap(now, crate::CapId(0), limit),
            Op::Pause(p) => {
                self.paused[p] = true;
                self.up.pause(now, self.pools[p]);
            }
            Op::Resume(p) => {
                self.paused[p] = false;
                self.up.resume(now, self.pools[p]);
            }
            Op::Reconnect(p) => self
                .up
                .reconnect(now, self.pools[p], CloseReason::AdminKill),
            Op::Kill(p) => {
                self.paused[p] = true;
                self.up.kill(now, self.pools[p]);
            }
            Op::Disable(p, true) => self.up.disable(self.pools[p]),
            Op::Disable(p, false) => self.up.enable(self.pools[p]),
            Op::Named(place) => {
                self.place = place;
                self.up.named(now, &[IpAddr::from([10, 0, 0, place])]);
            }
            Op::Wrote(p) => self.up.wrote(self.pools[p]),
            Op::ReadOnly(n) => {
                if let Some(id) = self.nth(n, |at| matches!(at, At::Held(_))) {
                    self.up.read_only(now, id);
                }
            }
            Op::Checkout(_) => {}
        }
        self.drain()?;
        self.judge(matches!(op, Op::Pass(_)))
    }

    fn put(&mut self, id: ConnId, at: At) {
        if let Some(place) = self.conns.get_mut(&id) {
            place.1 = at;
        }
    }

    fn die(&mut self, id: ConnId, n: usize) {
        if n.is_multiple_of(2) {
            self.conns.remove(&id);
            self.up.closed(self.now, id);
        } else {
            self.put(id, At::Closing);
            self.up.closing(self.now, id);
        }
    }

    fn requeued(&mut self, id: ConnId, to: ClientId) {
        if let Doing::Waiting { reserved, .. } = &mut self.doing[to.slot as usize]
            && *reserved == Some(id)
        {
            *reserved = None;
            self.left_out.entry(home(to.slot as usize)).or_insert(0);
        }
    }

    fn checkin(&mut self, c: usize, close: Option<CloseReason>) {
        let Doing::Holding(id) = self.doing[c] else {
            return;
        };
        self.doing[c] = Doing::Nothing;
        match self.up.checkin(self.now, id, close) {
            Checkin::Kept => self.put(id, At::Idle),
            Checkin::Close(_) => self.put(id, At::Closing),
        }
    }

    fn arrive(&mut self, n: usize) -> Result<(), String> {
        let Some(id) = self.nth(n, |at| matches!(at, At::Moving(_))) else {
            return Ok(());
        };
        let Some((_, At::Moving(to))) = self.conns.get(&id).copied() else {
            return Ok(());
        };
        let c = to.slot as usize;
        let waits = matches!(self.doing[c], Doing::Waiting { reserved: Some(r), .. } if r == id);
        let lent = self.up.arrived(self.now, id, to.worker, id.slot, to);
        if lent && !waits {
            return Err(format!("{id} arrived for {to}, which does not expect it"));
        }
        self.put(id, At::Idle);
        match lent {
            true => self.lend(c, id, At::Idle),
            // The server has moved meanwhile.
            false => {
                self.requeued(id, to);
                Ok(())
            }
        }
    }

    fn lend(&mut self, c: usize, id: ConnId, from: At) -> Result<(), String> {
        match self.conns.get_mut(&id) {
            Some((p, at)) if *at == from && *p == home(c).0 => *at = At::Held(c),
            other => return Err(format!("{id} was lent to client {c} while it is {other:?}")),
        }
        if self
            .up
            .conns
            .iter()
            .any(|(i, conn)| i == id.slot && conn.left)
        {
            return Err(format!("{id} was left behind, and lent to client {c}"));
        }
        if matches!(self.doing[c], Doing::Holding(_)) {
            return Err(format!("client {c} got a second connection"));
        }
        self.doing[c] = Doing::Holding(id);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), String> {
        while let Some(action) = self.up.poll() {
            match action {
                Action::Grant {
                    worker,
                    client,
                    conn,
                    slot,
                    ..
                } => {
                    if worker != client.worker || slot != conn.slot {
                        return Err(format!(
                            "{client} was granted slot {slot} of another worker"
                        ));
                    }
                    self.served(client.slot as usize, conn)?;
                    self.lend(client.slot as usize, conn, At::Idle)?;
                }
                Action::Handover {
                    conn, to, worker, ..
                } => {
                    if worker == to.worker
                        || self.conns.get(&conn).is_none_or(|(_, at)| *at != At::Idle)
                    {
                        return Err(format!(
                            "{conn} was handed over while it is {:?}",
                            self.conns.get(&conn)
                        ));
                    }
                    self.served(to.slot as usize, conn)?;
                    self.put(conn, At::Moving(to));
                }
                Action::Open { conn, pool, .. } => {
                    if self
                        .conns
                        .insert(conn, (pool.0 as usize, At::Opening))
                        .is_some()
                    {
                        return Err(format!("{conn} was opened while it exists"));
                    }
                    let settings = &self.settings[pool.0 as usize];
                    let mine = self
                        .conns
                        .values()
                        .filter(|(p, _)| *p == pool.0 as usize)
                        .count();
                    let left = self.up.at(pool.0 as usize).left.all;
                    if mine as u32 - left > settings.size + settings.reserve {
                        return Err("opened above the pool's size".into());
                    }
                }
                Action::Close { conn, .. } => match self.conns.get_mut(&conn) {
                    Some((_, at)) if *at == At::Idle => *at = At::Closing,
                    other => return Err(format!("{conn} is to be closed while it is {other:?}")),
                },
                Action::Leave { .. } => {}
                Action::Oust { conn, .. } => {
                    if let Some((_, At::Held(c))) = self.conns.get(&conn).copied() {
                        self.doing[c] = Doing::Nothing;
                        self.die(conn, conn.slot as usize);
                    }
                }
                Action::Reclaim { .. } => return Err("nothing was silent".into()),
                Action::Refuse { client, .. } => {
                    let c = client.slot as usize;
                    if !matches!(self.doing[c], Doing::Waiting { .. }) {
                        return Err(format!(
                            "{client} was refused, but does {:?}",
                            self.doing[c]
                        ));
                    }
                    self.stop_waiting(c);
                }
            }
        }
        Ok(())
    }

    fn stop_waiting(&mut self, c: usize) {
        self.doing[c] = Doing::Nothing;
        self.forget_flow(home(c));
    }

    /// A flow of which nobody is queued is not left out.
    fn forget_flow(&mut self, flow: (usize, usize)) {
        if !self.queued().any(|c| home(c) == flow) {
            self.left_out.remove(&flow);
        }
    }

    fn queued(&self) -> impl Iterator<Item = usize> + '_ {
        (0..CLIENTS).filter(|c| matches!(self.doing[*c], Doing::Waiting { reserved: None, .. }))
    }

    /// A client was chosen: who was passed for it?
    fn served(&mut self, c: usize, conn: ConnId) -> Result<(), String> {
        let Doing::Waiting {
            since,
            reserved: None,
        } = self.doing[c]
        else {
            return Err(format!(
                "client {c} was served while it does {:?}",
                self.doing[c]
            ));
        };
        let (p, f) = home(c);
        for other in self.queued().collect::<Vec<_>>() {
            if let Doing::Waiting { since: earlier, .. } = self.doing[other]
                && home(other) == (p, f)
                && earlier < since
            {
                self.passed[other] += 1;
                if self.passed[other] > LOCAL_PASS_MAX {
                    return Err(format!(
                        "client {other} was passed {} times within its flow",
                        self.passed[other]
                    ));
                }
            }
        }
        self.doing[c] = Doing::Waiting {
            since,
            reserved: Some(conn),
        };
        for ((q, g), count) in &mut self.left_out {
            if *q == p && *g != f {
                *count += 1;
                if *count > FLOW_PASS_MAX + FLOWS as u64 {
                    return Err(format!("flow {g} was left out for {count} grants"));
                }
            }
        }
        self.left_out.insert((p, f), 0);
        self.forget_flow((p, f));
        Ok(())
    }

    fn judge(&mut self, ticked: bool) -> Result<(), String> {
        self.up.check_invariants()?;
        let opens = self.up.counters().opens;
        let here = self.conns.len() as u32 - self.up.left.all;
        if opens > self.opens && here > self.line {
            return Err(format!(
                "opened with {} connections, the line is {}",
                self.conns.len(),
                self.line
            ));
        }
        self.opens = opens;
        if self.up.charged() != self.conns.len() as u32 {
            return Err(format!(
                "{} charged, {} exist",
                self.up.charged(),
                self.conns.len()
            ));
        }
        for c in 0..CLIENTS {
            let Doing::Waiting { since, reserved } = self.doing[c] else {
                continue;
            };
            let wait = match home(c) {
                (1, _) => WAIT,
                (_, f) if f == FLOWS - 1 => SHORT_WAIT,
                _ => WAIT,
            };
            if ticked && since.after(wait) <= self.now {
                return Err(format!("client {c} waits beyond its deadline"));
            }
            let p = home(c).0;
            let idle = self
                .conns
                .values()
                .any(|(q, at)| *q == p && *at == At::Idle);
            if reserved.is_none() && idle && !self.paused[p] {
                return Err(format!(
                    "client {c} waits while a connection of its pool is idle"
                ));
            }
        }
        let waiting = self
            .doing
            .iter()
            .filter(|doing| matches!(doing, Doing::Waiting { .. }))
            .count();
        let known: usize = self.pools.iter().map(|p| self.up.waiters(*p).count()).sum();
        match waiting == known {
            true => Ok(()),
            false => Err(format!("{waiting} clients wait, {known} are known")),
        }
    }

    /// The workers do all that is asked, holders return: nobody may be left.
    fn wind_down(&mut self, workers: usize) -> Result<(), String> {
        for _ in 0..60 {
            for c in 0..CLIENTS {
                self.checkin(c, None);
            }
            self.drain()?;
            while self.nth(0, |at| at == At::Opening).is_some() {
                self.step(&Op::Opened(0), workers)?;
            }
            while self.nth(0, |at| matches!(at, At::Moving(_))).is_some() {
                self.step(&Op::Arrived(0), workers)?;
            }
            while self.nth(0, |at| at == At::Closing).is_some() {
                self.step(&Op::Closed(0), workers)?;
            }
            self.step(&Op::Pass(100_000), workers)?;
        }
        let left: BTreeSet<usize> = (0..CLIENTS)
            .filter(|c| self.doing[*c] != Doing::Nothing)
            .collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("left over: {left:?}")),
        }
    }
}

fn run(fault: Option<Fault>, cases: u32, seed: u64) -> Result<(), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: if fault.is_some() { 0 } else { 2000 },
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let inputs = (1..5usize, 2..9u32, prop::collection::vec(op(), 1..250));
    TestRunner::new(config)
        .run(&inputs, |(workers, line, ops)| {
            let mut world = World::new(workers, line, fault);
            for (at, op) in ops.iter().enumerate() {
                world
                    .step(op, workers)
                    .map_err(|e| TestCaseError::fail(format!("step {at}, {op:?}: {e}")))?;
            }
            world
                .wind_down(workers)
                .map_err(|e| TestCaseError::fail(format!("winding down: {e}")))
        })
        .map_err(|error| error.to_string())
}

#[test]
fn nothing_is_lost_lent_twice_or_opened_above_the_line() {
    let cases = std::option_env!("POOL_CASES")
        .and_then(|n| n.parse().ok())
        .unwrap_or(400);
    run(None, cases, 1).unwrap();
}

#[test]
fn each_planted_bug_is_found() {
    for (fault, said) in [
        (Fault::IgnoreLine, "the line is"),
        (Fault::ForgetWaiters, "wait while"),
        (Fault::LoseRequeued, "clients wait"),
        (Fault::NoDeadlines, "beyond its deadline"),
        (Fault::ChargeEndsEarly, "charged"),
        (Fault::LendTwice, "idle list"),
    ] {
        let found = run(Some(fault), 400, 2).expect_err(&format!("{fault:?} was not found"));
        assert!(found.contains(said), "{fault:?}: {found}");
    }
}

/// Many clients, always more than connections: long runs of grants, which the
/// operation lists above do not reach. The second flow holds its connections
/// for long, so that the fair order alone would starve it.
fn saturate(fault: Option<Fault>, workers: usize) -> Result<u64, String> {
    let mut world = World::new(workers, 8, fault);
    let settings = PoolSettings {
        size: 4,
        queue_max: 100,
        wait_timeout: None,
        rules: Arc::default(),
        ..world.settings[0].clone()
    };
    world.settings[0] = settings.clone();
    world.up.configure_pool(world.now, world.pools[0], settings);
    let mine: Vec<usize> = (0..CLIENTS).filter(|c| home(*c).0 == 0).collect();
    let mut seed = 7u64;
    for round in 0..4_000u64 {
        for c in &mine {
            world.step(&Op::Checkout(*c), workers)?;
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let n = (seed >> 40) as usize;
        world.step(&Op::Opened(n), workers)?;
        world.step(&Op::Arrived(n), workers)?;
        let quick: Vec<usize> = mine
            .iter()
            .copied()
            .filter(|c| {
                matches!(world.doing[*c], Doing::Holding(_))
                    && (home(*c).1 != 1 || round % 500 == 499)
            })
            .collect();
        if !quick.is_empty() {
            world.checkin(quick[n % quick.len()], None);
            world.drain()?;
        }
        world.now = world.now.after(Duration::from_micros(20));
    }
    Ok(world.up.counters().overdue)
}

#[test]
fn under_saturation_every_flow_is_served_within_its_bound() {
    for workers in [1, 2, 4] {
        saturate(None, workers).unwrap();
    }
}

#[test]
fn unfair_choices_are_found_under_saturation() {
    let found = saturate(Some(Fault::Unfair), 2).expect_err("unfairness was not found");
    assert!(found.contains("was left out"), "{found}");
    let found = saturate(Some(Fault::LocalForever), 4).expect_err("endless passing was not found");
    assert!(found.contains("within its flow"), "{found}");
}
