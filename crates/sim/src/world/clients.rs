//! The clients' side of the links, and what is checked there.

use super::{Event, World};
use crate::client::{Login, State, Wish};
use crate::script::Pen;
use crate::stats::Hit;
use relay::PoolMode;
use wire::front;

impl World {
    fn pen(&mut self) -> (Pen<'_>, &mut Vec<crate::client::Client>) {
        (
            Pen {
                now: self.now,
                rng: &mut self.rng,
                s: &self.s,
                stats: &mut self.stats,
                db: &mut self.db,
            },
            &mut self.clients,
        )
    }

    /// A client's turn.
    pub(crate) fn act(&mut self, client: u32) {
        let i = client as usize;
        self.clients[i].acting = false;
        match self.clients[i].state {
            State::Away if !self.quiet => self.log_in(client),
            State::Ready => self.talk(client),
            _ => {}
        }
    }

    pub(crate) fn plan_act(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        if !c.acting {
            c.acting = true;
            let delay = self.rng.below(self.s.think + 1);
            self.at(delay, Event::Act(client));
        }
    }

    fn log_in(&mut self, client: u32) {
        self.stats.ops += 1;
        let link = self.connect(client, false);
        let generation = self.links[link as usize].generation;
        let databases = self.s.pools.len() as u64;
        let database = (u64::from(client) + self.rng.below(2)) % databases;
        let tool = self.tool(client);
        let name = self.rng.permille(400) && tool.is_none();
        let zone = self.rng.permille(300);
        let c = &mut self.clients[client as usize];
        c.link = Some((link, generation));
        c.database = format!("app{database}");
        c.statement_mode = self.shop.databases[database as usize].spec.mode == PoolMode::Statement
            || self.records[database as usize].statement_until > self.now;
        c.startup.clear();
        if name {
            c.startup
                .push(("application_name".into(), format!("app-{client}")));
        }
        if let Some(tool) = tool {
            c.startup.push(("application_name".into(), tool.into()));
        }
        if zone {
            c.startup.push(("timezone".into(), "Europe/Oslo".into()));
        }
        c.restart();
        c.begin(self.now);
        c.state = State::Login(Login::Sent);
        let mut pairs = vec![
            ("user".to_owned(), c.user.clone()),
            ("database".to_owned(), c.database.clone()),
        ];
        pairs.extend(c.startup.iter().cloned());
        let minor = if client.is_multiple_of(2) { 0 } else { 2 };
        let mut out = Vec::new();
        if client.is_multiple_of(5) {
            front::ssl_request(&mut out);
            c.asks_tls = true;
        }
        if !client.is_multiple_of(5) {
            front::startup(&mut out, minor, pairs.iter().map(|(n, v)| (n, v)));
        }
        self.links[link as usize].up.write(&out);
        self.go_client_up(link);
    }

    fn talk(&mut self, client: u32) {
        let c = &self.clients[client as usize];
        let Some((link, generation)) = c.link else {
            return;
        };
        if self.quiet || self.stats.ops >= self.s.ops {
            return self.wind_down(client);
        }
        if c.model.copies_in() {
            return;
        }
        if !c.settled() && (c.wait_all || c.pending.len() > 300) {
            return;
        }
        if self.fall_silent(client) {
            return self.send(client);
        }
        if self.rng.permille(self.s.leave) {
            return self.leave(client);
        }
        let (mut pen, clients) = self.pen();
        pen.act(&mut clients[client as usize]);
        self.send(client);
        let c = &self.clients[client as usize];
        let asleep = c
            .pending
            .iter()
            .any(|p| crate::session::contains(&p.body, b"pg_sleep"));
        if asleep && self.rng.permille(self.s.cancels) {
            self.cancel_own(client);
        }
        if self.rng.permille(self.s.pipeline) && !self.clients[client as usize].wait_all {
            self.plan_act(client);
        }
        if self.rng.permille(self.s.slow) {
            self.links[link as usize].down.stopped = true;
            self.clients[client as usize].stalled = true;
            let delay = self.rng.below(200_000);
            self.at(delay, Event::Unstall(link, generation, false));
        }
    }

    /// Puts what a client wants to say on its link.
    fn send(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        let out = std::mem::take(&mut c.outgoing);
        let Some((link, _)) = c.link else { return };
        if self.trace.is_some() {
            let text = crate::client::tags(&out);
            self.note(|| format!("client {client} sends {text} on link {link}"));
        }
        self.links[link as usize].up.write(&out);
        let c = &mut self.clients[client as usize];
        c.outgoing = out;
        c.outgoing.clear();
        self.go_client_up(link);
    }

    /// Ends its transaction, then its session.
    fn wind_down(&mut self, client: u32) {
        let c = &mut self.clients[client as usize];
        if !c.settled() || c.model.copies_in() {
            return;
        }
        let now = self.now;
        if c.model.skips() || !c.model.is_free() && c.model.status() == wire::back::Status::Idle {
            c.send(now, front::sync);
        } else if c.model.status() != wire::back::Status::Idle {
            c.send(now, |v| front::query(v, b"COMMIT"));
        } else {
            return;
        }
        self.send(client);
    }

    /// Leaves without more ado: politely, by closing, or in mid-message.
    pub(crate) fn leave(&mut self, client: u32) {
        let Some((link, _)) = self.clients[client as usize].link.take() else {
            return;
        };
        self.note(|| format!("client {client} leaves"));
        let how = self.rng.below(4);
        let l = &mut self.links[link as usize];
        match how {
            0 => {
                let mut out = Vec::new();
                front::terminate(&mut out);
                l.up.write(&out);
            }
            1 => l.up.write(&[b'Q', 0, 0, 0, 60, b'S', b'E']),
            _ => {}
        }
        if how == 0 {
            self.hit(Hit::Terminate);
        }
        self.hang_up(client, link);
    }

    pub(super) fn hang_up(&mut self, client: u32, link: u32) {
        let l = &mut self.links[link as usize];
        l.up.eof = true;
        l.down.clear();
        l.down.done = true;
        if l.slot.is_none() {
            l.up.done = true;
        }
        if l.up.stopped && self.s.hangups {
            let generation = l.generation;
            let delay = self.latency();
            self.at(delay, Event::ClientUp(link, generation));
        }
        self.go_client_up(link);
        self.after_read(link, false);
        self.maybe_free_link(link);
        let c = &mut self.clients[client as usize];
        c.state = State::Away;
        c.link = None;
        c.pending.clear();
        let delay = self.rng.below(20_000);
        if !self.clients[client as usize].acting {
            self.clients[client as usize].acting = true;
            self.at(delay, Event::Act(client));
        }
    }

    fn cancel_own(&mut self, client: u32) {
        let Some((pid, key)) = self.clients[client as usize].key.clone() else {
            return;
        };
        self.hit(Hit::Cancels);
        self.stats.ops += 1;
        let link = self.connect(client, true);
        let mut out = Vec::new();
        front::cancel_request(&mut out, pid, &key);
        self.links[link as usize].up.write(&out);
        self.clients[client as usize].cancels += 1;
        self.go_client_up(link);
    }

    /// Bytes of a hub reach a client.
    pub(crate) fn client_down(&mut self, link: u32, generation: u32) {
        let l = &mut self.links[link as usize];
        if l.generation != generation || !l.used {
            return;
        }
        l.down.scheduled = false;
        if l.down.done || l.down.stopped {
            return;
        }
        let client = l.client;
        if l.down.len() == 0 {
            return self.client_end(link, client);
        }
        let n = match self.rng.permille(self.s.drip) {
            true => self.rng.range(1, 9) as usize,
            false => 32 * 1024,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.links[link as usize].down.read(n, &mut buffer);
        if !self.links[link as usize].cancel {
            self.receive(client, link, &buffer);
        }
        self.buffer = buffer;
        self.after_read(link, false);
        self.go_client_down(link);
    }

    fn receive(&mut self, client: u32, link: u32, bytes: &[u8]) {
        if self.trace.is_some() {
            let text = crate::client::tags(bytes);
            self.note(|| format!("client {client} reads {} bytes: {text}", bytes.len()));
        }
        let c = &mut self.clients[client as usize];
        if c.link.map(|(l, _)| l) != Some(link) {
            return;
        }
        // The answer to SSLRequest is one byte.
        let mut bytes = bytes;
        if std::mem::take(&mut c.asks_tls)
            && let Some(rest) = bytes.strip_prefix(b"N")
        {
            self.start_plain(client, link);
            bytes = rest;
        }
        let c = &mut self.clients[client as usize];
        c.stalled = false;
        let before = c.counts();
        self.give_grounds(client);
        match self.clients[client as usize].receive(self.now, bytes) {
            Err(text) => {
                let id = self.links[link as usize].slot;
                self.fail(format!(
                    "client {client} (link {link}, slot {id:?}): {text}"
                ));
            }
            Ok(wish) => self.fulfil(client, wish),
        }
        let hits = [
            Hit::ErrorsOurs,
            Hit::Notifications,
            Hit::TimedOut,
            Hit::KilledSessions,
            Hit::Disabled,
        ];
        let after = self.clients[client as usize].counts();
        for (hit, (before, after)) in hits.into_iter().zip(before.into_iter().zip(after)) {
            if after > before {
                self.hit(hit);
            }
        }
        self.check_commits(client);
    }

    fn start_plain(&mut self, client: u32, link: u32) {
        let c = &mut self.clients[client as usize];
        let mut pairs = vec![
            ("user".to_owned(), c.user.clone()),
            ("database".to_owned(), c.database.clone()),
        ];
        pairs.extend(c.startup.iter().cloned());
        let mut out = Vec::new();
        front::startup(&mut out, 0, pairs.iter().map(|(n, v)| (n, v)));
        self.links[link as usize].up.write(&out);
        self.go_client_up(link);
    }

    fn fulfil(&mut self, client: u32, wish: Wish) {
        match wish {
            Wish::Nothing => {}
            Wish::Send => {
                self.clients[client as usize].last_send = self.now;
                self.send(client);
            }
            Wish::Act => self.plan_act(client),
            Wish::Sync => {
                let now = self.now;
                self.clients[client as usize].send(now, front::sync);
                self.send(client);
            }
            Wish::CopyData => {
                let (mut pen, clients) = self.pen();
                pen.copy_data(&mut clients[client as usize]);
                self.send(client);
            }
        }
    }

    fn client_end(&mut self, link: u32, client: u32) {
        let l = &mut self.links[link as usize];
        l.down.done = true;
        l.up.done = true;
        l.up.clear();
        let (cancel, session) = (l.cancel, l.session);
        self.maybe_free_link(link);
        let c = &mut self.clients[client as usize];
        if cancel {
            // One of an earlier session says nothing of this one's.
            if session == c.session {
                c.cancels = c.cancels.saturating_sub(1);
                c.cancel_end = self.now;
            }
            return;
        }
        if c.link.map(|(l, _)| l) != Some(link) {
            return;
        }
        c.link = None;
        self.hit(Hit::LostSessions);
        if let Err(text) = self.clients[client as usize].ended() {
            self.fail(format!("client {client} (link {link}): {text}"));
        }
        self.clients[client as usize].pending.clear();
        let c = &mut self.clients[client as usize];
        if !c.acting {
            c.acting = true;
            let delay = self.rng.range(1_000, 20_000);
            self.at(delay, Event::Act(client));
        }
    }
}
