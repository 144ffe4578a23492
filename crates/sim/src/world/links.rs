//! Links between clients, hubs and servers: what is read when, and who closes what.

use super::hubs::set_slot;
use super::{ClientLink, Event, Pipe, Stage, World};
use crate::scenario::Plant;
use crate::stats::Hit;
use events::WorkerId;
use events::snapshot::Address;
use relay::{Peer, PeerInfo};

/// Largest read of the shell, bytes.
const READ: usize = 16 * 1024;

impl World {
    /// A client connects to the worker with the fewest, or any.
    pub(crate) fn connect(&mut self, client: u32, cancel: bool) -> u32 {
        let w = self.rng.below(self.hubs.len() as u64) as usize;
        let now = self.time();
        let slot = self.hubs[w].accept(
            now,
            PeerInfo {
                addr: Address::Unix,
                local_addr: Address::Unix,
            },
        );
        let generation = self.rng.bits() as u32;
        let made = ClientLink {
            generation,
            used: true,
            client,
            cancel,
            session: self.clients[client as usize].session,
            worker: w as u16,
            slot: Some(slot),
            up: Pipe::new(self.s.buffer),
            down: Pipe::new(self.s.buffer),
        };
        let link = match self.free_links.pop() {
            Some(l) => {
                self.links[l as usize] = made;
                l
            }
            None => {
                self.links.push(made);
                self.links.len() as u32 - 1
            }
        };
        set_slot(&mut self.client_slots[w], slot, link);
        if let Some(id) = self.hubs[w].client_id(slot) {
            self.owners.insert(id, client);
            self.note(|| format!("client {client} connects as {id}, link {link}"));
        }
        link
    }

    fn cut(&mut self, len: usize) -> usize {
        if self.s.drip > 0 && self.rng.permille(self.s.drip) {
            return self.rng.range(1, 7) as usize;
        }
        if len > 8 && self.rng.permille(100) {
            return self.rng.range(1, len.min(READ) as u64) as usize;
        }
        READ
    }

    pub(crate) fn client_up(&mut self, link: u32, generation: u32) {
        let l = &mut self.links[link as usize];
        if l.generation != generation || !l.used {
            return;
        }
        l.up.scheduled = false;
        let w = l.worker as usize;
        let Some(slot) = l.slot else {
            l.up.clear();
            if l.up.eof {
                l.up.done = true;
                self.maybe_free_link(link);
            }
            return;
        };
        if l.up.stopped {
            return self.hung_up(w, link, slot);
        }
        if l.up.silent {
            return;
        }
        if !self.hubs[w].may_read(Peer::Client(slot)) {
            self.links[link as usize].up.stopped = true;
            self.hit(Hit::Pauses);
            return self.hung_up(w, link, slot);
        }
        let before = self.hubs[w].linked(Peer::Client(slot));
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        let len = self.links[link as usize].up.len();
        if len == 0 {
            self.links[link as usize].up.done = true;
            self.note(|| format!("client link {link}: end of file"));
            self.hubs[w].client_gone(now, slot, &mut self.shop, &mut self.out);
            if let Some(server) = before {
                self.look_at(w, server);
            }
            return self.settle(w, &[]);
        }
        let n = self.cut(len);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.links[link as usize].up.read(n, &mut buffer);
        if self.trace.is_some() {
            self.note(|| format!("client link {link} → hub {w}: {} bytes", buffer.len()));
        }
        self.hubs[w].client_input(now, slot, &buffer, &mut self.shop, &mut self.out);
        self.look(w, Peer::Client(slot));
        if let Some(server) = before {
            self.look_at(w, server);
        }
        self.settle(w, &buffer);
        self.buffer = buffer;
        self.go_client_up(link);
    }

    /// The socket of a client that is not read has ended: one that waits for a
    /// server connection need wait no longer.
    fn hung_up(&mut self, w: usize, link: u32, slot: u32) {
        let l = &mut self.links[link as usize];
        if !self.s.hangups || !l.up.eof || !self.hubs[w].is_waiting(slot) {
            return;
        }
        l.up.clear();
        l.up.done = true;
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        self.hit(Hit::GoneWaiting);
        self.hubs[w].client_gone(now, slot, &mut self.shop, &mut self.out);
        self.settle(w, &[]);
    }

    pub(crate) fn server_down(&mut self, link: u32, generation: u32) {
        let s = &mut self.servers[link as usize];
        if s.generation != generation || !s.used {
            return;
        }
        s.down.scheduled = false;
        let w = s.worker as usize;
        let Some(slot) = s.slot else { return };
        if s.down.stopped || s.down.silent || s.down.done {
            return;
        }
        if !self.hubs[w].may_read(Peer::Server(slot)) {
            self.servers[link as usize].down.stopped = true;
            return self.hit(Hit::ServerPauses);
        }
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        let len = self.servers[link as usize].down.len();
        if len == 0 {
            self.servers[link as usize].down.done = true;
            self.note(|| format!("server link {link}: end of file"));
            self.hubs[w].server_gone(now, slot, None, &mut self.shop, &mut self.out);
            return self.settle(w, &[]);
        }
        let n = self.cut(len);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.servers[link as usize].down.read(n, &mut buffer);
        if self.trace.is_some() {
            self.note(|| format!("server link {link} → hub {w}: {} bytes", buffer.len()));
        }
        self.hubs[w].server_input(now, slot, &buffer, &mut self.shop, &mut self.out);
        self.look(w, Peer::Server(slot));
        self.settle(w, &buffer);
        self.buffer = buffer;
        self.go_server_down(link);
    }

    /// What a hub wrote was read at the other end.
    pub(crate) fn after_read(&mut self, link: u32, server: bool) {
        let (w, peer) = if server {
            let s = &self.servers[link as usize];
            let Some(slot) = s.slot else { return };
            (s.worker, Peer::Server(slot))
        } else {
            let l = &self.links[link as usize];
            let Some(slot) = l.slot else { return };
            (l.worker, Peer::Client(slot))
        };
        self.drained(w as usize, peer);
    }

    pub(super) fn client_closed_by_hub(&mut self, w: usize, slot: u32) {
        let link = std::mem::replace(&mut self.client_slots[w][slot as usize], u32::MAX);
        if link == u32::MAX {
            return self.fail(format!("worker {w} closes client slot {slot} twice"));
        }
        let l = &mut self.links[link as usize];
        l.slot = None;
        l.down.eof = true;
        l.up.clear();
        if l.up.eof {
            l.up.done = true;
        }
        self.go_client_down(link);
        self.maybe_free_link(link);
    }

    pub(super) fn server_closed_by_hub(&mut self, w: usize, slot: u32, failed: bool) {
        let link = std::mem::replace(&mut self.server_slots[w][slot as usize], u32::MAX);
        if link == u32::MAX {
            return self.fail(format!("worker {w} closes server slot {slot} twice"));
        }
        let s = &mut self.servers[link as usize];
        s.slot = None;
        s.failed = failed;
        s.up.eof = true;
        s.up.stopped = false;
        s.down.clear();
        s.down.done = true;
        if self.s.plant == Some(Plant::EarlyClosed) && !failed {
            // The pool is told at once; the server's side lives on.
            let conn = s.conn;
            s.up.stopped = true;
            let now = self.time();
            self.shop.up.closed(now, conn);
            return;
        }
        if s.up.silent || s.up.done {
            let generation = s.generation;
            self.at(1_000, Event::Closed(link, generation));
        } else {
            self.go_server_up(link);
        }
    }

    /// The socket of a server connection is gone: the pool learns it.
    pub(crate) fn closed(&mut self, link: u32, generation: u32) {
        let s = &mut self.servers[link as usize];
        if s.generation != generation || !s.used {
            return;
        }
        s.used = false;
        s.stage = Stage::Gone;
        let (conn, failed) = (s.conn, s.failed);
        self.free_servers.push(link);
        if !failed {
            let now = self.time();
            self.shop.up.closed(now, conn);
            self.pools_moved();
        }
    }

    pub(crate) fn maybe_free_link(&mut self, link: u32) {
        let l = &mut self.links[link as usize];
        if l.used && l.slot.is_none() && l.up.done && l.down.done {
            l.used = false;
            self.free_links.push(link);
        }
    }

    pub(crate) fn go_client_up(&mut self, link: u32) {
        let l = &mut self.links[link as usize];
        if l.up.is_due() {
            l.up.scheduled = true;
            let generation = l.generation;
            let delay = self.latency();
            self.at(delay, Event::ClientUp(link, generation));
        }
    }

    pub(crate) fn go_client_down(&mut self, link: u32) {
        let l = &mut self.links[link as usize];
        if l.down.is_due() {
            l.down.scheduled = true;
            let generation = l.generation;
            let delay = self.latency();
            self.at(delay, Event::ClientDown(link, generation));
        }
    }

    pub(crate) fn go_server_up(&mut self, link: u32) {
        let s = &mut self.servers[link as usize];
        if s.up.is_due() {
            s.up.scheduled = true;
            let generation = s.generation;
            let delay = self.latency();
            self.at(delay, Event::ServerUp(link, generation));
        }
    }

    pub(crate) fn go_server_down(&mut self, link: u32) {
        let s = &mut self.servers[link as usize];
        if s.slot.is_some() && s.down.is_due() {
            s.down.scheduled = true;
            let generation = s.generation;
            let delay = self.latency();
            self.at(delay, Event::ServerDown(link, generation));
        }
    }

    /// Tells the hub that a connect succeeded or failed.
    pub(crate) fn connected(&mut self, link: u32, generation: u32) {
        let s = &self.servers[link as usize];
        if s.generation != generation || !s.used {
            return;
        }
        let (w, Some(slot)) = (s.worker as usize, s.slot) else {
            return;
        };
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        if self.now < self.unreachable_until {
            self.servers[link as usize].stage = Stage::Gone;
            self.servers[link as usize].up.done = true;
            let text = Some("connection refused");
            self.hubs[w].server_gone(now, slot, text, &mut self.shop, &mut self.out);
        } else {
            let here = (Address::Unix, Address::Unix);
            self.hubs[w].server_connected(slot, here, "", None, &mut self.out);
        }
        self.settle(w, &[]);
    }
}
