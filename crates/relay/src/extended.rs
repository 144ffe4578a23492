//! The extended protocol: prepared statements follow the client, batches keep their replies.

use crate::client::{PORTALS_MAX, PREPARED_NAMES_MAX};
use crate::effects::{self, Script};
use crate::errors::{Report, Trouble};
use crate::expect::{ClientParse, Expect};
use crate::hub::Hub;
use crate::outbox::{Feed, Outbox, Peer};
use crate::pins::Pins;
use crate::replies;
use crate::requests::{Io, Step};
use crate::server::Server;
use crate::statements::{self, Need, Statement};
use events::CloseReason;
use std::sync::Arc;
use wire::back::{self, Status};
use wire::frame::{self, Frame};
use wire::front;

/// A statement name that no client can have prepared at the server: binding
/// it fails there, which puts the server into the state that an error of ours
/// must have.
const NOBODYS: &[u8] = b"plimsoll refused this";

/// Statements longer than this are not remembered once the connection is returned.
const UNNAMED_KEPT_MAX: usize = 64 * 1024;

impl Hub {
    pub(crate) fn extended(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        if !client.is_linked() && matches!(frame.tag, b'S' | b'H') {
            if frame.tag == b'S' {
                client.skip = false;
                io.out
                    .write(Peer::Client(slot), |v| back::ready(v, Status::Idle));
            }
            return Step::Done;
        }
        let end = (at + frame.len).min(feed.bytes.len());
        let body = &feed.bytes[at + frame::HEADER..end];
        if !client.is_linked()
            && frame.tag == b'C'
            && let Ok(close) = front::Close::parse(body)
            && close.kind == b'S'
        {
            // A statement of ours: nothing is to be closed at a server.
            if let Some(ext) = client.ext.as_mut() {
                ext.prepared.remove(close.name);
            }
            io.out.write(Peer::Client(slot), back::close_complete);
            return Step::Done;
        }
        match self.ensure_server(slot, io) {
            Step::Done => {}
            other => return other,
        }
        self.begin(slot, io.now);
        let done = match frame.tag {
            b'P' => self.parse(slot, frame, feed, at, body, io),
            b'B' => self.bind(slot, frame, feed, at, body, io),
            b'D' => self.describe(slot, frame, feed, at, body, io),
            b'E' => self.execute(slot, frame, feed, at, body, io),
            b'C' => self.close(slot, frame, feed, at, body, io),
            b'S' => {
                self.sync(slot, frame, feed, at, io);
                Some(())
            }
            _ => {
                self.pass_frame(slot, frame, feed, at, io.out);
                Some(())
            }
        };
        if done.is_none() {
            self.fail_client(
                slot,
                &Trouble::BadPacket("malformed message"),
                CloseReason::ClientProtocol,
                io,
            );
            return Step::Closed;
        }
        Step::Done
    }

    fn sync(&mut self, slot: u32, frame: Frame, feed: Feed<'_>, at: usize, io: &mut Io<'_>) {
        if let Some(client) = self.clients.get_mut(slot) {
            client.skip = false;
        }
        if let Some(server) = self.linked_server(slot) {
            if server.copy_in {
                // The server ignores it, so there is no reply to expect; unless the
                // COPY has just failed there, and then a reply would come too many.
                server.doomed.get_or_insert(CloseReason::ClientProtocol);
            } else {
                server.expected.push(Expect::Sync);
                server.unsynced = false;
                server.batch += 1;
            }
        }
        self.pass_frame(slot, frame, feed, at, io.out);
    }

    /// Adds an expected reply; what the server will skip is taken back at once.
    fn expect(&mut self, slot: u32, entry: Expect, out: &mut Outbox) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let Some(server) = self.servers.get_mut(client.link) else {
            return;
        };
        // Also after a reply of ours: the batch is open until its Sync.
        server.unsynced = true;
        if let Some(skipped) = server.expected.push(entry) {
            replies::take_back(&skipped, Some(client), server);
        } else {
            replies::emit_locals(slot, client, server, out);
        }
    }

    fn parse(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<()> {
        let parse = front::Parse::parse(body).ok()?;
        let max = self.directory.settings.prepared_max;
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.client_parses += 1;
        let quoting = self.clients.get(slot)?.quoting();
        if !parse.name.is_empty() && max == 0 {
            self.local(key).stats.totals.server_parses += 1;
            self.expect(slot, Expect::Parse(None), io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(());
        }
        let statement = self.texts.intern(parse.text, parse.types, quoting);
        let client = self.clients.get_mut(slot)?;
        let taken = |e: &crate::client::Extra| {
            e.prepared.contains_key(parse.name) || e.prepared.len() >= PREPARED_NAMES_MAX
        };
        if !parse.name.is_empty() && client.ext.as_ref().is_some_and(|e| taken(e)) {
            let name = String::from_utf8_lossy(parse.name).into_owned();
            if self.in_failed_transaction(slot) {
                self.fail_at_server(slot, &aborted(), io.out);
                return Some(());
            }
            let report = Report::error(
                "42P05",
                format!("prepared statement \"{name}\" already exists"),
            );
            self.fail_at_server(slot, &report, io.out);
            return Some(());
        }
        let entry = Box::new(ClientParse {
            name: parse.name.into(),
            statement: Arc::clone(&statement),
        });
        effects::remember_parse(client, &entry);
        if parse.name.is_empty() {
            self.local(key).stats.totals.server_parses += 1;
            if let Some(server) = self.linked_server(slot) {
                server.unnamed = Some(statement);
            }
            self.expect(slot, Expect::Parse(Some(entry)), io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(());
        }
        self.parse_named(slot, entry, io.out)
    }

    /// A named statement: sent under our own name, or, where the server has it
    /// already and is known to be able to answer, not at all.
    fn parse_named(&mut self, slot: u32, entry: Box<ClientParse>, out: &mut Outbox) -> Option<()> {
        let ddl = self.ddl_of(slot);
        let statement = Arc::clone(&entry.statement);
        let server = self.linked_server(slot)?;
        refresh(server, ddl);
        let need = server.prepared.need(&statement, server.batch);
        let certain = server.status != Status::Failed
            && server.expected.batches() == 0
            && !server.expected.is_skipping();
        if need == Need::Nothing && certain {
            self.expect(slot, Expect::LocalParse(entry), out);
            return Some(());
        }
        if need != Need::Parse {
            self.own_close(slot, &statement, out);
        } else {
            self.make_room(slot, out);
        }
        self.send_parse(slot, &statement, out)?;
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.server_parses += 1;
        self.expect(slot, Expect::Parse(Some(entry)), out);
        Some(())
    }

    /// Sends a Parse under the statement's name at the server.
    fn send_parse(
        &mut self,
        slot: u32,
        statement: &Arc<Statement>,
        out: &mut Outbox,
    ) -> Option<()> {
        let link = self.clients.get(slot)?.link;
        let server = self.servers.get_mut(link)?;
        let batch = server.batch;
        server.prepared.parsing(statement, batch);
        out.write(Peer::Server(link), |v| {
            front::parse(
                v,
                statement.server_name(),
                &statement.text,
                &statement.types,
            );
        });
        Some(())
    }

    fn ddl_of(&mut self, slot: u32) -> u64 {
        match self.pool_key(slot) {
            Some(key) => self.local(key).ddl,
            None => 0,
        }
    }

    fn own_close(&mut self, slot: u32, statement: &Arc<Statement>, out: &mut Outbox) {
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return;
        };
        out.write(Peer::Server(link), |v| {
            front::close(v, b'S', statement.server_name())
        });
        self.expect(slot, Expect::OwnClose(Arc::clone(statement)), out);
    }

    /// Closes the least used statement when the connection has its fill.
    fn make_room(&mut self, slot: u32, out: &mut Outbox) {
        let max = self.directory.settings.prepared_max;
        if let Some(victim) = self
            .linked_server(slot)
            .and_then(|s| s.prepared.victim(max))
        {
            self.own_close(slot, &victim, out);
        }
    }

    /// Makes sure that the server has `statement`, under our name or unnamed.
    fn ensure_prepared(
        &mut self,
        slot: u32,
        statement: &Arc<Statement>,
        name: &[u8],
        out: &mut Outbox,
    ) -> Option<()> {
        let named = !name.is_empty();
        let ddl = self.ddl_of(slot);
        let link = self.clients.get(slot)?.link;
        let server = self.linked_server(slot)?;
        if !named {
            if server
                .unnamed
                .as_ref()
                .is_some_and(|u| statements::equal(u, statement))
            {
                return Some(());
            }
            server.unnamed = Some(Arc::clone(statement));
            out.write(Peer::Server(link), |v| {
                front::parse(v, b"", &statement.text, &statement.types)
            });
        } else {
            refresh(server, ddl);
            match server.prepared.need(statement, server.batch) {
                Need::Nothing => return Some(()),
                // The client's own Parse in an earlier batch is not answered yet:
                // it decides whether the statement is there.
                Need::CloseParse if server.expected.parses(name) => return Some(()),
                Need::CloseParse => self.own_close(slot, statement, out),
                Need::Parse => self.make_room(slot, out),
            }
            self.send_parse(slot, statement, out)?;
        }
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.server_parses += 1;
        self.expect(slot, Expect::OwnParse(Arc::clone(statement)), out);
        Some(())
    }

    /// The statement behind a client's name, or `Err` with what to answer.
    fn statement(&mut self, slot: u32, name: &[u8]) -> Result<Option<Arc<Statement>>, Report> {
        let passes = self.directory.settings.prepared_max == 0 && !name.is_empty();
        let Some(client) = self.clients.get(slot) else {
            return Ok(None);
        };
        let ext = client.ext.as_ref();
        if name.is_empty() {
            return match ext.and_then(|e| e.unnamed.clone()) {
                Some(statement) => Ok(Some(statement)),
                None => Err(Report::error(
                    "26000",
                    "unnamed prepared statement does not exist",
                )),
            };
        }
        match ext.and_then(|e| e.prepared.get(name)) {
            Some(statement) => Ok(Some(Arc::clone(statement))),
            // SQL's PREPARE made it at the server, or nobody did: the server knows.
            None if passes || !name.starts_with(b"plimsoll_") => Ok(None),
            None => Err(Report::error("26000", "prepared statement does not exist")),
        }
    }

    fn bind(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<()> {
        let bind = front::Bind::parse(body).ok()?;
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.binds += 1;
        let statement = match self.statement(slot, bind.statement) {
            Ok(statement) => statement,
            Err(report) => {
                self.fail_at_server(slot, &report, io.out);
                self.drop_rest(slot, frame, feed, at);
                return Some(());
            }
        };
        let named = !bind.statement.is_empty();
        match &statement {
            Some(statement) => {
                self.ensure_prepared(slot, statement, bind.statement, io.out)?;
                self.note_portal(slot, bind.portal, statement);
            }
            None => self.forget_portal(slot, bind.portal),
        }
        self.expect(slot, Expect::Bind, io.out);
        match statement {
            Some(statement) if named => {
                self.pass_bind(
                    slot,
                    frame,
                    feed,
                    at,
                    &bind,
                    statement.server_name(),
                    io.out,
                )?;
            }
            _ => self.pass_frame(slot, frame, feed, at, io.out),
        }
        Some(())
    }

    /// Passes a Bind on under the statement's name at the server: its head is
    /// written anew, the rest goes as it is.
    #[allow(clippy::too_many_arguments)]
    fn pass_bind(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        bind: &front::Bind<'_>,
        name: &[u8],
        out: &mut Outbox,
    ) -> Option<()> {
        let link = self.clients.get(slot)?.link;
        let head = frame::HEADER + bind.portal.len() + 1 + bind.statement.len() + 1;
        let length = u32::try_from(frame.len - 1 - bind.statement.len() + name.len()).ok()?;
        out.write(Peer::Server(link), |v| {
            v.push(b'B');
            v.extend_from_slice(&length.to_be_bytes());
            v.extend_from_slice(bind.portal);
            v.push(0);
            v.extend_from_slice(name);
            v.push(0);
        });
        let here = frame.len.min(feed.bytes.len() - at);
        out.pass(Peer::Server(link), feed, at + head.min(here), at + here);
        let client = self.clients.get_mut(slot)?;
        client.stream_left = frame.len - here;
        client.stream_drop = false;
        let half = client.stream_left > 0;
        if let Some(server) = self.servers.get_mut(link) {
            server.half_sent = half;
        }
        Some(())
    }

    fn drop_rest(&mut self, slot: u32, frame: Frame, feed: Feed<'_>, at: usize) {
        if let Some(client) = self.clients.get_mut(slot) {
            client.stream_left = frame.len - frame.len.min(feed.bytes.len() - at);
            client.stream_drop = true;
        }
    }

    fn forget_portal(&mut self, slot: u32, portal: &[u8]) {
        if let Some(ext) = self.clients.get_mut(slot).and_then(|c| c.ext.as_mut()) {
            ext.portals.retain(|(name, _)| **name != *portal);
        }
    }

    /// Remembers which portals will change the session when executed.
    fn note_portal(&mut self, slot: u32, portal: &[u8], statement: &Arc<Statement>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let known = client.ext.as_ref().is_some_and(|e| !e.portals.is_empty());
        if statement.script.is_none() && !known {
            return;
        }
        let portals = &mut client.extra().portals;
        portals.retain(|(name, _)| **name != *portal);
        if statement.script.is_some() && portals.len() < PORTALS_MAX {
            portals.push((portal.into(), Arc::clone(statement)));
        }
    }

    fn describe(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<()> {
        let describe = front::Describe::parse(body).ok()?;
        if describe.kind != b'S' {
            self.expect(slot, Expect::Describe, io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(());
        }
        let named = !describe.name.is_empty();
        match self.statement(slot, describe.name) {
            Err(report) => self.fail_at_server(slot, &report, io.out),
            Ok(None) => {
                self.expect(slot, Expect::Describe, io.out);
                self.pass_frame(slot, frame, feed, at, io.out);
            }
            Ok(Some(statement)) => {
                self.ensure_prepared(slot, &statement, describe.name, io.out)?;
                self.expect(slot, Expect::Describe, io.out);
                let link = self.clients.get(slot)?.link;
                let name = if named { statement.server_name() } else { b"" };
                io.out
                    .write(Peer::Server(link), |v| front::describe(v, b'S', name));
            }
        }
        Some(())
    }

    fn execute(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<()> {
        let execute = front::Execute::parse(body).ok()?;
        // A portal runs once: what a second Execute fetches has no effect.
        let portals = self
            .clients
            .get_mut(slot)?
            .ext
            .as_mut()
            .map(|e| &mut e.portals);
        let portal = portals.and_then(|all| {
            let at = all.iter().position(|(name, _)| **name == *execute.portal)?;
            Some(all.swap_remove(at).1)
        });
        let mut script = None;
        if let Some(statement) = portal {
            let wants = statement
                .script
                .iter()
                .flat_map(|s| &s.effects)
                .find_map(|e| Pins::wants(&e.change));
            if let Some(what) = wants
                && !self.take_pin(slot)
            {
                let report = match self.in_failed_transaction(slot) {
                    true => aborted(),
                    false => self.pin_report(slot, what),
                };
                self.fail_at_server(slot, &report, io.out);
                return Some(());
            }
            script = Some(Script::shared(statement));
        }
        self.expect(slot, Expect::Execute(script), io.out);
        self.pass_frame(slot, frame, feed, at, io.out);
        Some(())
    }

    fn close(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<()> {
        let close = front::Close::parse(body).ok()?;
        let ours = match self.clients.get_mut(slot)?.ext.as_mut() {
            Some(ext) if close.kind == b'S' => ext.prepared.remove_entry(close.name),
            _ => None,
        };
        if let Some((name, statement)) = ours {
            // Others may use it: it stays at the server until there is need of room.
            let closed = Box::new(ClientParse { name, statement });
            self.expect(slot, Expect::LocalClose(Some(closed)), io.out);
            return Some(());
        }
        if close.kind == b'S' && close.name.is_empty() {
            if let Some(ext) = self.clients.get_mut(slot)?.ext.as_mut() {
                ext.unnamed = None;
            }
            self.linked_server(slot)?.unnamed = None;
        }
        self.expect(slot, Expect::Close, io.out);
        self.pass_frame(slot, frame, feed, at, io.out);
        Some(())
    }

    /// The server has said that the transaction failed, and nothing under way
    /// can have ended it.
    pub(crate) fn in_failed_transaction(&mut self, slot: u32) -> bool {
        self.linked_server(slot)
            .is_some_and(|s| s.status == Status::Failed && s.expected.batches() == 0)
    }

    /// Answers a message with an error of ours in a way that the server shares:
    /// it gets a message that fails, so that its transaction and the rest of
    /// the batch are treated as after any error.
    pub(crate) fn fail_at_server(&mut self, slot: u32, report: &Report, out: &mut Outbox) {
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return;
        };
        out.write(Peer::Server(link), |v| {
            front::bind_renamed(v, b"", NOBODYS, &[0; 6])
        });
        self.expect(slot, Expect::Fails(report.bytes()), out);
    }

    /// What a client keeps once it has no server connection.
    pub(crate) fn forget_large(client: &mut crate::client::Client) {
        if let Some(ext) = client.ext.as_mut()
            && ext
                .unnamed
                .as_ref()
                .is_some_and(|s| s.text.len() > UNNAMED_KEPT_MAX)
        {
            ext.unnamed = None;
        }
    }
}

/// What the server says to anything but the end of a failed transaction.
pub(crate) fn aborted() -> Report {
    Report::error(
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Statements prepared before the last DDL are parsed anew.
fn refresh(server: &mut Server, ddl: u64) {
    if server.ddl_seen != ddl {
        server.prepared.all_stale();
        server.ddl_seen = ddl;
    }
}
