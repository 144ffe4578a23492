//! What administrators and reloads do, as the proxy's handle does it.

use super::{Event, Mail, World};
use crate::client::State;
use crate::scenario::Limits;
use crate::stats::AdminKind;
use events::{CloseReason, PoolId, WorkerId};
use relay::{Directory, Peer, PoolInfo, PoolKey, PoolMode};
use std::sync::Arc;
use std::time::Duration;

/// What the office asks of a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// New settings and descriptions; the last worker that has them ends the move.
    Settings {
        directory: Arc<Directory>,
        changed: Vec<Arc<PoolInfo>>,
        moved: Vec<(PoolKey, Arc<PoolInfo>)>,
        letter: usize,
    },
    KillClient(u64),
    KillPool(PoolKey),
    Drain,
    Stop,
}

/// Settings sent to all workers.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Workers that have not read it.
    unread: usize,
    /// Pools to be retired once all have.
    retire: Vec<PoolKey>,
}

/// What administrators did to a database, µs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    /// Requests sent before this may be refused because it is closed.
    pub(crate) closed_until: u64,
    /// Not every worker knows yet that it is not in statement mode any more.
    pub(crate) statement_until: u64,
    pub(crate) killed: Option<u64>,
    pub(crate) panicked: Option<u64>,
}

/// How long news of the office may take to all who are concerned, µs.
const NEWS: u64 = 2_000_000;

impl World {
    /// An administrator's turn.
    pub(crate) fn administer(&mut self) {
        if self.quiet {
            return;
        }
        let delay = self.rng.range(1, 2 * self.s.admin);
        self.at(delay, Event::Admin);
        let total: u32 = self.s.admin_weights.iter().sum();
        let mut n = self.rng.below(u64::from(total.max(1))) as u32;
        for kind in AdminKind::ALL {
            let weight = self.s.admin_weights[*kind as usize];
            if n < weight {
                let db = self.rng.below(self.shop.databases.len() as u64) as usize;
                if self.do_admin(*kind, db) {
                    self.stats.admin[*kind as usize] += 1;
                    self.note(|| format!("ADMIN: {} (app{db})", kind.label()));
                }
                return;
            }
            n -= weight;
        }
    }

    fn do_admin(&mut self, kind: AdminKind, db: usize) -> bool {
        let now = self.time();
        let pools: Vec<PoolKey> = self.shop.pools_of(db);
        match kind {
            AdminKind::Pause => {
                for key in pools {
                    self.shop.up.pause(now, PoolId(key.0));
                }
                self.end_later(kind, db);
            }
            AdminKind::Disable => {
                self.shop.databases[db].disabled = true;
                self.record(db).closed_until = u64::MAX;
                for key in pools {
                    self.shop.up.disable(PoolId(key.0));
                }
                self.end_later(kind, db);
            }
            AdminKind::Reconnect => {
                for key in pools {
                    let reason = CloseReason::Reconnect;
                    self.shop.up.reconnect(now, PoolId(key.0), reason);
                }
            }
            AdminKind::Kill => {
                let at = self.now;
                self.record(db).killed = Some(at);
                for key in pools {
                    self.shop.up.kill(now, PoolId(key.0));
                    self.order_all(|| Order::KillPool(key));
                }
                self.end_later(kind, db);
            }
            AdminKind::KillClient => return self.kill_somebody(),
            AdminKind::Line => {
                let short = self.s.wait_timeout < Duration::from_secs(2);
                let least = if short {
                    self.s.pools.len() as u64 * 4
                } else {
                    2
                };
                let line = self.rng.range(least, 16) as u32;
                self.shop.up.configure(now, super::shop::upstream(line));
            }
            AdminKind::Cap => {
                let Some(cap) = self.shop.databases[db].cap else {
                    return false;
                };
                let limit = self.rng.range(4, 12) as u32;
                self.shop.up.configure_cap(now, cap, limit);
            }
            AdminKind::Resize | AdminKind::Mode => self.change_pool(kind, db),
            AdminKind::Settings => self.change_settings(),
            AdminKind::Retire => self.retire(db),
            AdminKind::Move => {
                let moved = self.shop.move_pools(db);
                self.send_settings(Vec::new(), moved);
                // Who waits begins to wait anew, in the other pool.
                let (name, at) = (format!("app{db}"), self.now);
                for c in self.clients.iter_mut().filter(|c| c.database == name) {
                    c.progress = at;
                }
            }
            AdminKind::Panic => return self.contained_panic(),
            AdminKind::Drain => return false,
        }
        self.pools_moved();
        true
    }

    fn record(&mut self, db: usize) -> &mut Record {
        &mut self.records[db]
    }

    fn end_later(&mut self, kind: AdminKind, db: usize) {
        let delay = self.rng.range(1, 400_000);
        self.at(delay, Event::AdminEnd(kind as u8, db as u8));
    }

    /// What an administrator began is over.
    pub(crate) fn admin_ends(&mut self, kind: u8, db: u8) {
        let (now, db) = (self.time(), db as usize);
        let at = self.now;
        for key in self.shop.pools_of(db) {
            match AdminKind::ALL[kind as usize] {
                AdminKind::Disable => self.shop.up.enable(PoolId(key.0)),
                _ => self.shop.up.resume(now, PoolId(key.0)),
            }
        }
        match AdminKind::ALL[kind as usize] {
            AdminKind::Disable => self.shop.databases[db].disabled = false,
            AdminKind::Retire => self.shop.databases[db].missing = false,
            _ => {}
        }
        let database = &self.shop.databases[db];
        if !database.disabled && !database.missing {
            self.record(db).closed_until = at + NEWS;
        }
        self.pools_moved();
    }

    /// The run winds down: all that was closed is open again.
    pub(crate) fn reopen(&mut self) {
        for db in 0..self.shop.databases.len() {
            for kind in [AdminKind::Pause, AdminKind::Disable, AdminKind::Retire] {
                self.admin_ends(kind as u8, db as u8);
            }
        }
    }

    fn order_all(&mut self, order: impl Fn() -> Order) {
        for w in 0..self.hubs.len() {
            self.post(w as u16, Mail::Office(order()));
        }
    }

    fn change_pool(&mut self, kind: AdminKind, db: usize) {
        let r = &mut self.rng;
        let spec = &mut self.shop.databases[db].spec;
        let short = |r: &mut crate::rng::Rng, ms| {
            let some = r.permille(500);
            some.then(|| Duration::from_millis(ms))
        };
        if kind == AdminKind::Resize {
            spec.size = r.range(1, 8) as u32;
            spec.pins_max = r.range(0, u64::from(spec.size)) as u32;
            spec.queue_max = [2, 1000, 1000][r.below(3) as usize];
            spec.idle_timeout = short(r, 200);
            spec.lifetime = short(r, 700);
        } else {
            let modes = [
                PoolMode::Transaction,
                PoolMode::Session,
                PoolMode::Statement,
            ];
            if spec.mode == PoolMode::Statement {
                self.records[db].statement_until = self.now + NEWS;
            }
            spec.mode = modes[r.below(3) as usize];
            let statement = spec.mode == PoolMode::Statement;
            let name = format!("app{db}");
            for c in self.clients.iter_mut().filter(|c| c.database == name) {
                c.statement_mode |= statement;
            }
        }
        let now = self.time();
        let changed = self.shop.reconfigure(now, db);
        self.send_settings(changed, Vec::new());
    }

    fn change_settings(&mut self) {
        let r = &mut self.rng;
        let some = |r: &mut crate::rng::Rng, values: [u64; 3]| {
            let ms = values[r.below(3) as usize];
            (ms > 0).then(|| Duration::from_millis(ms))
        };
        self.s.query_timeout = some(r, [20, 200, 4000]);
        self.s.limits = Limits {
            transaction: some(r, [0, 0, 200]),
            idle_transaction: some(r, [0, 0, 100]),
            idle: some(r, [0, 0, 100]),
        };
        self.s.prepared_max = [2, 5, 100][r.below(3) as usize];
        self.s.reset_always = r.permille(200);
        self.s.check_delay = some(r, [0, 1, 100]);
        self.least.lower(&self.s);
        self.send_settings(Vec::new(), Vec::new());
    }

    fn send_settings(&mut self, changed: Vec<Arc<PoolInfo>>, moved: Vec<(PoolKey, Arc<PoolInfo>)>) {
        let directory = Arc::new(super::settings::directory(&self.s, &self.verifier));
        self.letters.push(Letter {
            unread: self.hubs.len(),
            retire: moved.iter().map(|(old, _)| *old).collect(),
        });
        let letter = self.letters.len() - 1;
        self.order_all(|| Order::Settings {
            directory: Arc::clone(&directory),
            changed: changed.clone(),
            moved: moved.clone(),
            letter,
        });
    }

    fn retire(&mut self, db: usize) {
        let now = self.time();
        self.shop.retire(now, db);
        self.record(db).closed_until = u64::MAX;
        let name = format!("app{db}");
        let logged_in = |c: &&mut crate::client::Client| !matches!(c.state, State::Away);
        let all = self.clients.iter_mut().filter(|c| c.database == name);
        for c in all.filter(logged_in) {
            c.retired = true;
        }
        self.end_later(AdminKind::Retire, db);
    }

    /// Any client at all: one of those that SHOW CLIENTS would list.
    fn kill_somebody(&mut self) -> bool {
        let w = self.rng.below(self.hubs.len() as u64) as usize;
        let mut rows = Vec::new();
        self.hubs[w].client_rows(self.time(), &mut rows);
        let n = self.rng.below(rows.len() as u64) as usize;
        let (Some(row), Some(link)) = (rows.get(n), self.nth_link(w, n)) else {
            return false;
        };
        let id = row.id;
        let client = self.links[link as usize].client as usize;
        if self.clients[client].link.map(|(l, _)| l) == Some(link) {
            self.clients[client].killed = true;
        }
        self.order_all(|| Order::KillClient(id));
        true
    }

    /// The link of the nth client of a hub, which lists them by slot.
    fn nth_link(&self, w: usize, n: usize) -> Option<u32> {
        let used = self.client_slots[w].iter().filter(|l| **l != u32::MAX);
        used.copied().nth(n)
    }

    /// What the proxy does after a panic in the dispatch of one peer.
    fn contained_panic(&mut self) -> bool {
        let w = self.rng.below(self.hubs.len() as u64) as usize;
        let of_client = self.rng.permille(500);
        let slots = if of_client {
            &self.client_slots[w]
        } else {
            &self.server_slots[w]
        };
        let used: Vec<u32> = (0..slots.len() as u32)
            .filter(|slot| slots[*slot as usize] != u32::MAX)
            .collect();
        let n = self.rng.below(used.len() as u64) as usize;
        let Some(slot) = used.get(n).copied() else {
            return false;
        };
        let peer = match of_client {
            true => Peer::Client(slot),
            false => Peer::Server(slot),
        };
        if of_client {
            let client = self.links[self.client_slots[w][slot as usize] as usize].client;
            self.clients[client as usize].killed = true;
        }
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        let key = self.hubs[w].fail_pool_of(now, peer, &mut self.shop, &mut self.out);
        if let Some(key) = key {
            let name = self.shop.infos[key.0 as usize].database.to_string();
            let (db, at) = (super::shop::index_of(&name).unwrap_or(0), self.now);
            self.record(db).panicked = Some(at);
            self.shop.up.fail_pool(now, PoolId(key.0));
        }
        self.settle(w, &[]);
        true
    }

    /// A worker reads an order.
    pub(super) fn carry_out(&mut self, w: usize, order: Order) {
        let now = self.time();
        let (hub, shop, out) = (&mut self.hubs[w], &mut self.shop, &mut self.out);
        match order {
            Order::Settings {
                directory,
                changed,
                moved,
                letter,
            } => {
                hub.reconfigure(directory);
                for info in &changed {
                    hub.pool_changed(info);
                }
                for (old, info) in &moved {
                    hub.pool_moved(now, *old, info, shop, out);
                }
                self.letters[letter].unread -= 1;
                if self.letters[letter].unread == 0 {
                    for old in std::mem::take(&mut self.letters[letter].retire) {
                        self.shop.up.retire_pool(now, PoolId(old.0));
                    }
                }
            }
            Order::KillClient(id) => hub.kill_client(now, id, shop, out),
            Order::KillPool(key) => hub.kill_pool(now, key, shop, out),
            Order::Drain => hub.drain(now, shop, out),
            Order::Stop => {
                hub.close_all(now, shop, out);
                self.stopped.push(w as u16);
            }
        }
    }

    /// SIGTERM: nobody new, and an end for each transaction.
    pub(crate) fn drain(&mut self) {
        self.drained = true;
        self.stats.admin[AdminKind::Drain as usize] += 1;
        self.note(|| "ADMIN: drain".into());
        self.order_all(|| Order::Drain);
    }

    /// The end of all.
    pub(crate) fn stop(&mut self) {
        self.note(|| "ADMIN: stop".into());
        self.order_all(|| Order::Stop);
    }
}
