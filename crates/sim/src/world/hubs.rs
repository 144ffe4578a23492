//! Driving the hubs as the proxy does: dispatch, write, commands, the pools' actions.

use super::{Event, Mail, Pipe, ServerLink, Stage, Todo, World};
use crate::scenario::Plant;
use crate::stats::Hit;
use events::{CloseReason, WorkerId};
use pool::Action;
use relay::{Peer, Reclaim};
use std::sync::Arc;

/// Most unsent bytes for one peer: the hub stops reading its sender at 256 KiB;
/// beyond it comes what one read or one batch held back brings.
const HELD_MAX: usize = 400 * 1024;

impl World {
    /// After a call of hub `w`: writes, commands, and what the pools decided,
    /// until nothing is left.
    pub(crate) fn settle(&mut self, w: usize, input: &[u8]) {
        self.write_out(w, input);
        loop {
            while let Some(action) = self.shop.up.poll() {
                self.check_action(&action);
                if action.worker().0 as usize == w {
                    self.todo.push_back(Todo::Action(action));
                } else {
                    self.post_action(action);
                }
            }
            match self.todo.pop_front() {
                Some(Todo::Action(action)) => self.apply(w, action),
                Some(Todo::Command(command)) => self.command(w, command),
                None if self.tell_backlogs(w) => {}
                None => break,
            }
            self.write_out(w, &[]);
        }
        self.plan_pool_tick();
    }

    fn write_out(&mut self, w: usize, input: &[u8]) {
        let out = std::mem::take(&mut self.out);
        for segment in out.segments() {
            let bytes = out.bytes(segment, input);
            match segment.to {
                Peer::Client(slot) => {
                    let link = self.client_slots[w].get(slot as usize).copied();
                    if let Some(link) = link.filter(|l| *l != u32::MAX) {
                        self.links[link as usize].down.write(bytes);
                        self.go_client_down(link);
                    } else {
                        self.fail(format!("hub {w} writes to no client: slot {slot}"));
                    }
                }
                Peer::Server(slot) => {
                    let link = self.server_slots[w].get(slot as usize).copied();
                    if let Some(link) = link.filter(|l| *l != u32::MAX) {
                        self.servers[link as usize].up.write(bytes);
                        self.go_server_up(link);
                    } else {
                        self.fail(format!("hub {w} writes to no server: slot {slot}"));
                    }
                }
            }
            if self.touched.last() != Some(&segment.to) {
                self.touched.push(segment.to);
            }
        }
        self.out = out;
        self.out.clear_segments();
        if self.out.has_commands() {
            let mut commands = std::mem::take(&mut self.commands);
            self.out.take_commands(&mut commands);
            // Before anything else: a slot that is closed may be used again by
            // the next call.
            for command in commands.drain(..).rev() {
                self.todo.push_front(Todo::Command(command));
            }
            self.commands = commands;
        }
    }

    /// Tells the hub of backlogs that changed; true when it was called.
    fn tell_backlogs(&mut self, w: usize) -> bool {
        let mut called = false;
        while let Some(peer) = self.touched.pop() {
            called |= self.tell_backlog(w, peer);
        }
        called
    }

    pub(super) fn tell_backlog(&mut self, w: usize, peer: Peer) -> bool {
        let pipe = match peer {
            Peer::Client(slot) => match self.client_slots[w].get(slot as usize) {
                Some(l) if *l != u32::MAX => &mut self.links[*l as usize].down,
                _ => return false,
            },
            Peer::Server(slot) => match self.server_slots[w].get(slot as usize) {
                Some(l) if *l != u32::MAX => &mut self.servers[*l as usize].up,
                _ => return false,
            },
        };
        let unsent = pipe.backlog();
        if unsent == pipe.told {
            return false;
        }
        pipe.told = unsent;
        if unsent > HELD_MAX {
            self.fail(format!(
                "{unsent} bytes are held for {peer:?} of worker {w}"
            ));
        }
        if self.s.plant == Some(Plant::HideBacklog) {
            return false;
        }
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        self.hubs[w].backlog(now, peer, unsent, &mut self.shop, &mut self.out);
        true
    }

    /// A peer read from its socket: the hub may have room again.
    pub(super) fn drained(&mut self, w: usize, peer: Peer) {
        if self.tell_backlog(w, peer) {
            self.settle(w, &[]);
        }
    }

    pub(super) fn apply(&mut self, w: usize, action: Action) {
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        if self.trace.is_some() {
            self.note(|| format!("worker {w}: {action:?}"));
        }
        match action {
            Action::Grant {
                client, conn, slot, ..
            } => {
                self.hit(Hit::Grants);
                let client = self.plant_grant(client);
                let Some(client) = client else { return };
                self.shop.hold(conn, client);
                self.check_rest(conn, "granted");
                self.hubs[w].granted(now, client, slot, conn, &mut self.shop, &mut self.out);
            }
            Action::Handover { conn, slot, to, .. } => {
                if self.s.plant == Some(Plant::HandOverBusy) && !self.planted && self.now > 20_000 {
                    self.plant_busy(conn);
                }
                self.hand_over(w, conn, slot, to);
            }
            Action::Open { conn, pool, .. } => self.open(w, conn, pool),
            Action::Close {
                conn, slot, reason, ..
            } => {
                self.hit(Hit::PoolCloses);
                self.hubs[w].evict(slot, conn, reason, &mut self.out);
            }
            Action::Leave { .. } | Action::Oust { .. } => {}
            Action::Reclaim {
                client,
                conn,
                slot,
                silent_since,
                enforce,
                suspicion,
                ..
            } => self.reclaim(
                w,
                &Reclaim {
                    client,
                    conn,
                    slot,
                    silent_since,
                    enforce,
                    suspicion,
                },
            ),
            Action::Refuse {
                client,
                reason,
                waited,
                text,
                ..
            } => {
                self.hit(Hit::Refusals);
                self.hubs[w].refused(
                    now,
                    client,
                    reason,
                    waited,
                    text.as_deref(),
                    &mut self.shop,
                    &mut self.out,
                );
            }
        }
    }

    pub(super) fn hand_over(
        &mut self,
        w: usize,
        conn: events::ConnId,
        slot: u32,
        to: events::ClientId,
    ) {
        match self.hubs[w].detach(slot, conn) {
            Some(transfer) => {
                self.hit(Hit::Handovers);
                self.check_rest(conn, "handed over");
                let link = self.server_slots[w][slot as usize];
                self.server_slots[w][slot as usize] = u32::MAX;
                let server = &mut self.servers[link as usize];
                server.slot = None;
                server.moving = true;
                let transfer = Box::new(transfer);
                self.post(to.worker.0, Mail::Arrive { link, transfer, to });
            }
            None => {
                self.hit(Hit::HandoversLost);
                let (now, key) = (self.time(), self.hubs[w].server_pool(slot, conn));
                if let Some(key) = key {
                    self.hubs[w].evict(slot, conn, CloseReason::ServerGone, &mut self.out);
                    relay::Pools::closing(&mut self.shop, now, key, conn);
                }
            }
        }
    }

    pub(super) fn open(&mut self, w: usize, conn: events::ConnId, pool: events::PoolId) {
        let now = self.time();
        if self.stopped.contains(&(w as u16)) {
            // The worker's thread has ended: a socket that another one's client makes
            // the pool ask for is never opened.
            let up = &mut self.shop.up;
            return up.open_failed(now, conn, false, "stopped".into());
        }
        self.hit(Hit::Opens);
        let info = Arc::clone(&self.shop.infos[pool.0 as usize]);
        let slot = self.hubs[w].open(now, conn, info);
        let generation = self.rng.bits() as u32;
        let server = ServerLink {
            generation,
            used: true,
            conn,
            worker: w as u16,
            slot: Some(slot),
            moving: false,
            failed: false,
            up: Pipe::new(self.s.buffer),
            down: Pipe::new(self.s.buffer),
            stage: Stage::Startup,
            inbox: Vec::new(),
            run: 0,
            session_pid: 0,
        };
        let link = match self.free_servers.pop() {
            Some(l) => {
                self.servers[l as usize] = server;
                l
            }
            None => {
                self.servers.push(server);
                self.servers.len() as u32 - 1
            }
        };
        self.servers[link as usize].session_pid = link as i32 + 1;
        set_slot(&mut self.server_slots[w], slot, link);
        self.note(|| format!("worker {w}: open {conn} as server link {link}"));
        self.look_at(w, Peer::Server(slot));
        let delay = self.latency() + 10;
        self.at(delay, Event::Connected(link, generation));
        let live = self.live_servers();
        let charged = self.shop.up.charged();
        if live > charged as usize {
            self.fail(format!(
                "{live} connections at the server, {charged} are charged"
            ));
        }
    }

    /// Connections that the server has, apart from those that fell silent or
    /// whose login failed.
    pub(crate) fn live_servers(&self) -> usize {
        self.servers
            .iter()
            .filter(|s| s.used && !s.failed && !s.up.silent && !matches!(s.stage, Stage::Gone))
            .count()
    }
}

pub(super) fn set_slot(slots: &mut Vec<u32>, slot: u32, link: u32) {
    if slots.len() <= slot as usize {
        slots.resize(slot as usize + 1, u32::MAX);
    }
    slots[slot as usize] = link;
}
