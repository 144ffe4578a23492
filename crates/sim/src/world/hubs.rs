//! Driving the hubs as the proxy does: dispatch, write, commands, the pools' actions.

use super::{CancelTrip, ClientLink, Event, Mail, Pipe, ServerLink, Stage, Todo, World};
use crate::scenario::Plant;
use crate::stats::Hit;
use events::snapshot::Address;
use events::{CloseReason, WorkerId};
use pool::Action;
use relay::{CancelOutcome, Command, Hub, Peer, PeerInfo};
use std::sync::Arc;
use wire::scram::Keys;

/// Most unsent bytes for one peer: the hub stops reading its sender at 256 KiB;
/// beyond it comes what one read or one batch held back brings.
const HELD_MAX: usize = 400 * 1024;
/// Largest read of the shell, bytes.
const READ: usize = 16 * 1024;

impl World {
    /// After a call of hub `w`: writes, commands, and what the pools decided,
    /// until nothing is left.
    pub(crate) fn settle(&mut self, w: usize, input: &[u8]) {
        self.write_out(w, input);
        loop {
            while let Some(action) = self.shop.up.poll() {
                let here = matches!(&action,
                    Action::Grant { worker, .. } | Action::Handover { worker, .. }
                    | Action::Open { worker, .. } | Action::Close { worker, .. }
                    | Action::Refuse { worker, .. } if worker.0 as usize == w);
                if here {
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

    fn tell_backlog(&mut self, w: usize, peer: Peer) -> bool {
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
    fn drained(&mut self, w: usize, peer: Peer) {
        if self.tell_backlog(w, peer) {
            self.settle(w, &[]);
        }
    }

    fn apply(&mut self, w: usize, action: Action) {
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

    fn hand_over(&mut self, w: usize, conn: events::ConnId, slot: u32, to: events::ClientId) {
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
                self.hubs[w].evict(slot, conn, CloseReason::ServerGone, &mut self.out);
            }
        }
    }

    fn open(&mut self, w: usize, conn: events::ConnId, pool: events::PoolId) {
        self.hit(Hit::Opens);
        let (charged, line) = (self.shop.up.charged(), self.shop.up.line());
        if charged > line {
            self.fail(format!("opened above the line: {charged} > {line}"));
        }
        let info = Arc::clone(&self.shop.infos[pool.0 as usize]);
        let now = self.time();
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
        let delay = self.latency() + 10;
        self.at(delay, Event::Connected(link, generation));
        let live = self.live_servers();
        if live > self.s.line as usize {
            self.fail(format!(
                "{live} connections at the server, line {}",
                self.s.line
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

    fn command(&mut self, w: usize, command: Command) {
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        if self.trace.is_some() {
            let shown = match &command {
                Command::CancelServer { slot, conn, .. } => format!("CancelServer {slot} {conn}"),
                other => format!("{other:?}"),
            };
            self.note(|| format!("worker {w}: {shown}"));
        }
        match command {
            Command::CloseClient { slot, .. } => self.client_closed_by_hub(w, slot),
            Command::CloseServer { slot, .. } => self.server_closed_by_hub(w, slot, false),
            Command::ServerFailed { slot, .. } => {
                self.hit(Hit::OpenFailures);
                self.server_closed_by_hub(w, slot, true);
            }
            Command::Resume(peer) => {
                self.hit(Hit::Resumes);
                self.resume(w, peer);
            }
            Command::Derive {
                peer,
                generation,
                job,
            } => {
                self.hit(Hit::Derives);
                let keys = Keys::derive(job.password.as_bytes(), &job.salt, job.iterations);
                self.post(
                    w as u16,
                    Mail::Derived {
                        peer,
                        generation,
                        keys,
                    },
                );
            }
            Command::Cancel { slot, pid, key } => {
                let link = self.client_slots[w][slot as usize];
                let generation = self.links[link as usize].generation;
                let worker = Hub::worker_of(pid).0;
                if (worker as usize) < self.hubs.len() {
                    self.post(
                        worker,
                        Mail::Cancel {
                            link,
                            generation,
                            pid,
                            key,
                        },
                    );
                } else {
                    self.post(w as u16, Mail::CancelDone { link, generation });
                }
            }
            Command::CancelServer { slot, conn, .. } => {
                self.hit(Hit::OwnCancel);
                self.cancel_server(w, slot, conn, None);
            }
            Command::Ddl { pool } => {
                for other in 0..self.hubs.len() {
                    if other != w {
                        self.post(other as u16, Mail::Ddl(pool));
                    }
                }
            }
            Command::LoggedIn { .. } => self.hit(Hit::Logins),
            Command::StartTls { .. } | Command::Console { .. } => {
                let _ = now;
            }
        }
    }

    fn cancel_server(
        &mut self,
        w: usize,
        slot: u32,
        conn: events::ConnId,
        asked: Option<(u32, u32)>,
    ) {
        let link = self.server_slots[w][slot as usize];
        let generation = self.servers[link as usize].generation;
        let trip = CancelTrip {
            link,
            generation,
            conn,
            asked,
        };
        self.cancels.push(trip);
        let delay = self.latency() + self.latency();
        self.at(delay, Event::CancelArrives(self.cancels.len() as u32 - 1));
    }

    fn resume(&mut self, _: usize, peer: Peer) {
        match peer {
            Peer::Client(slot) => {
                let link = self.client_slots[self.shop.worker.0 as usize][slot as usize];
                if link != u32::MAX {
                    self.links[link as usize].up.stopped = false;
                    self.go_client_up(link);
                }
            }
            Peer::Server(slot) => {
                let link = self.server_slots[self.shop.worker.0 as usize][slot as usize];
                if link != u32::MAX {
                    self.servers[link as usize].down.stopped = false;
                    self.go_server_down(link);
                }
            }
        }
    }

    pub(crate) fn mail_arrives(&mut self, worker: u16) {
        let w = worker as usize;
        let Some((_, mail)) = self.mail[w].pop_front() else {
            return;
        };
        let now = self.time();
        self.shop.worker = WorkerId(worker);
        match mail {
            Mail::Action(action) => self.apply(w, action),
            Mail::Arrive { link, transfer, to } => {
                let conn = transfer.conn();
                let slot = self.hubs[w].attach(*transfer);
                set_slot(&mut self.server_slots[w], slot, link);
                let server = &mut self.servers[link as usize];
                server.worker = worker;
                server.slot = Some(slot);
                server.moving = false;
                self.note(|| format!("worker {w}: {conn} arrives for {to} at {slot}"));
                self.hubs[w].arrived(now, slot, to, &mut self.shop, &mut self.out);
                self.go_server_down(link);
            }
            Mail::Cancel {
                link,
                generation,
                pid,
                key,
            } => {
                let outcome = self.hubs[w].cancel(now, pid, &key, &mut self.shop, &mut self.out);
                self.note(|| format!("worker {w}: cancel for {pid}: {outcome:?}"));
                match outcome {
                    CancelOutcome::Sent(_) => {
                        self.claim_cancel(w, link, generation);
                        return;
                    }
                    CancelOutcome::Waiter => self.hit(Hit::CancelsWaiter),
                    CancelOutcome::Ignored => self.hit(Hit::CancelsIgnored),
                }
                let back = self.links[link as usize].worker;
                self.post(back, Mail::CancelDone { link, generation });
            }
            Mail::CancelEnded {
                link,
                generation,
                conn,
            } => {
                let server = &self.servers[link as usize];
                if server.generation == generation
                    && let Some(slot) = server.slot
                {
                    let at = server.worker as usize;
                    self.shop.worker = WorkerId(at as u16);
                    self.hubs[at].cancel_ended(now, slot, conn, &mut self.shop, &mut self.out);
                    return self.settle(at, &[]);
                }
            }
            Mail::CancelDone { link, generation } => {
                let l = &self.links[link as usize];
                if l.generation == generation
                    && let Some(slot) = l.slot
                {
                    self.hubs[w].cancel_requester_done(now, slot, &mut self.shop, &mut self.out);
                }
            }
            Mail::Ddl(pool) => self.hubs[w].ddl_seen(pool),
            Mail::Derived {
                peer,
                generation,
                keys,
            } => {
                self.hubs[w].derived(now, peer, generation, keys, &mut self.shop, &mut self.out);
            }
        }
        self.settle(w, &[]);
    }

    /// The cancel that the hub just asked for is this client's: its link is
    /// let go when the request has ended.
    fn claim_cancel(&mut self, w: usize, link: u32, generation: u32) {
        let mut commands = std::mem::take(&mut self.commands);
        self.out.take_commands(&mut commands);
        for command in commands.drain(..) {
            match command {
                Command::CancelServer { slot, conn, .. } => {
                    self.cancel_server(w, slot, conn, Some((link, generation)));
                }
                other => self.todo.push_back(Todo::Command(other)),
            }
        }
        self.commands = commands;
        self.settle(w, &[]);
    }

    // --- links ---

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
        if l.up.stopped || l.up.silent {
            return;
        }
        if !self.hubs[w].may_read(Peer::Client(slot)) {
            self.links[link as usize].up.stopped = true;
            return self.hit(Hit::Pauses);
        }
        let now = self.time();
        self.shop.worker = WorkerId(w as u16);
        let len = self.links[link as usize].up.len();
        if len == 0 {
            self.links[link as usize].up.done = true;
            self.note(|| format!("client link {link}: end of file"));
            self.hubs[w].client_gone(now, slot, &mut self.shop, &mut self.out);
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
        self.settle(w, &buffer);
        self.buffer = buffer;
        self.go_client_up(link);
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

    fn client_closed_by_hub(&mut self, w: usize, slot: u32) {
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

    fn server_closed_by_hub(&mut self, w: usize, slot: u32, failed: bool) {
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

fn set_slot(slots: &mut Vec<u32>, slot: u32, link: u32) {
    if slots.len() <= slot as usize {
        slots.resize(slot as usize + 1, u32::MAX);
    }
    slots[slot as usize] = link;
}
