//! Rules, one by one, as short stories: what happens, and what the pool says.

mod budget;
mod changes;
mod failing;
mod following;
mod leaking;
mod lending;
mod many;
mod minimums;
mod monitor;
mod shedding;
mod sizing;
mod taping;
mod waiting;
mod weights;

use super::Upstream;
use crate::{Action, CapId, Checkin, Checkout, PoolSettings, UpstreamSettings};
use events::{ClientId, CloseReason, ConnId, PoolId, Time, WorkerId};
use std::time::Duration;

const A: PoolId = PoolId(0);
const B: PoolId = PoolId(1);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// No reserve, no minimum, no timeouts unless a test sets them.
fn plain(size: u32) -> PoolSettings {
    PoolSettings {
        size,
        wait_timeout: None,
        idle_timeout: None,
        lifetime: None,
        ..PoolSettings::default()
    }
}

/// An upstream and a clock. Connections are named by their slot in the slab
/// (`s0`, `s1`, in order of opening), clients by worker and slot (`c1.7`).
struct Stage {
    up: Upstream,
    now: Time,
}

impl Stage {
    /// Pools A, B, … with these settings under a line.
    fn new(line: u32, pools: &[PoolSettings]) -> Stage {
        let mut up = Upstream::new(UpstreamSettings {
            line,
            connects_max: 100,
            login_retry: ms(1000),
            patient: false,
        });
        for settings in pools {
            up.add_pool(settings.clone());
        }
        let mut stage = Stage {
            up,
            now: Time::ZERO,
        };
        stage.at(1);
        stage
    }

    /// Time goes on to so many milliseconds, and the pool is ticked as it asked.
    fn at(&mut self, at_ms: u64) {
        let end = Time::from_micros(at_ms * 1000);
        while let Some(due) = self.up.next_tick().filter(|due| *due < end) {
            self.up.tick(due.max(self.now));
        }
        self.up.tick(end);
        self.now = end;
        assert_eq!(self.up.check_invariants(), Ok(()));
    }

    fn ask(&mut self, pool: PoolId, worker: u16, slot: u32) -> String {
        self.ask_as(pool, "flow", worker, slot)
    }

    fn ask_as(&mut self, pool: PoolId, flow: &str, worker: u16, slot: u32) -> String {
        let flow = self.up.flow(pool, flow);
        match self.up.checkout(self.now, pool, client(worker, slot), flow) {
            Checkout::Granted { conn, slot, .. } => {
                assert_eq!(self.conn(conn.slot), conn);
                assert_eq!(slot, conn.slot);
                format!("s{}", conn.slot)
            }
            Checkout::Queued => "queued".into(),
            Checkout::Refused(reason) => reason.label().into(),
        }
    }

    /// Connection `s{n}`.
    fn conn(&self, n: u32) -> ConnId {
        self.up
            .conns()
            .find(|row| row.conn.slot == n)
            .expect("no such connection")
            .conn
    }

    fn back(&mut self, n: u32) -> String {
        self.back_with(n, None)
    }

    fn back_with(&mut self, n: u32, close: Option<CloseReason>) -> String {
        match self.up.checkin(self.now, self.conn(n), close) {
            Checkin::Kept => "kept".into(),
            Checkin::Close(reason) => format!("close {reason}"),
        }
    }

    fn opened(&mut self, n: u32) {
        let row = self.up.conn(self.conn(n)).unwrap();
        self.up.opened(self.now, row.conn, row.worker, n);
    }

    fn failed(&mut self, n: u32, fatal: bool) {
        self.up
            .open_failed(self.now, self.conn(n), fatal, "the server said no".into());
    }

    fn closed(&mut self, n: u32) {
        self.up.closed(self.now, self.conn(n));
    }

    fn arrived(&mut self, n: u32, worker: u16, slot: u32) -> bool {
        self.up.arrived(
            self.now,
            self.conn(n),
            WorkerId(worker),
            n,
            client(worker, slot),
        )
    }

    /// What the pool asks for, and whether all still agrees.
    fn says(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(action) = self.up.poll() {
            said.push(match action {
                Action::Grant { client, conn, .. } => {
                    format!("grant s{} to {}", conn.slot, name(client))
                }
                Action::Handover {
                    worker, conn, to, ..
                } => {
                    format!("move s{} from w{} to {}", conn.slot, worker.0, name(to))
                }
                Action::Open { worker, conn, .. } => {
                    format!("open s{} on w{}", conn.slot, worker.0)
                }
                Action::Close { conn, reason, .. } => format!("close s{} {reason}", conn.slot),
                Action::Leave { worker, from } => format!("leave w{} {from:?}", worker.0),
                Action::Oust { conn, writes, .. } => format!("oust s{} {writes}", conn.slot),
                Action::Reclaim {
                    conn,
                    enforce,
                    suspicion,
                    ..
                } => {
                    let verb = if enforce { "reclaim" } else { "suspect" };
                    format!("{verb} s{} {}", conn.slot, suspicion.reason)
                }
                Action::Refuse {
                    client,
                    reason,
                    text,
                    ..
                } => {
                    format!(
                        "refuse {} {reason}{}",
                        name(client),
                        text.map_or(String::new(), |text| format!(": {text}"))
                    )
                }
            });
        }
        assert_eq!(self.up.check_invariants(), Ok(()));
        said.join(", ")
    }

    /// So many idle connections of `pool` on `worker`, freshly opened.
    fn ready(&mut self, pool: PoolId, worker: u16, count: usize) -> Vec<u32> {
        self.ready_on(pool, &vec![worker; count])
    }

    /// Idle connections of `pool`, one on each of these workers. The pool must
    /// have no idle connection yet.
    fn ready_on(&mut self, pool: PoolId, workers: &[u16]) -> Vec<u32> {
        let before: Vec<ConnId> = self.up.conns().map(|row| row.conn).collect();
        for (slot, worker) in workers.iter().enumerate() {
            assert_eq!(self.ask(pool, *worker, 1000 + slot as u32), "queued");
        }
        let rows: Vec<ConnId> = self.up.conns().map(|row| row.conn).collect();
        let new: Vec<u32> = rows
            .iter()
            .filter(|conn| !before.contains(conn))
            .map(|conn| conn.slot)
            .collect();
        assert_eq!(new.len(), workers.len());
        new.iter().for_each(|n| self.opened(*n));
        for n in &new {
            assert_eq!(self.back(*n), "kept");
        }
        self.says();
        new
    }

    /// So many connections of `pool`, all lent to clients of `worker`.
    fn busy(&mut self, pool: PoolId, worker: u16, count: usize) -> Vec<u32> {
        let new = self.ready(pool, worker, count);
        for slot in 0..count as u32 {
            assert!(self.ask(pool, worker, 2000 + slot).starts_with('s'));
        }
        new
    }
}

fn client(worker: u16, slot: u32) -> ClientId {
    ClientId {
        worker: WorkerId(worker),
        generation: 0,
        slot,
    }
}

fn name(client: ClientId) -> String {
    format!("c{}.{}", client.worker.0, client.slot)
}

fn with_cap(size: u32, cap: CapId) -> PoolSettings {
    PoolSettings {
        caps: vec![cap],
        ..plain(size)
    }
}
