//! The extended protocol: batches keep their replies, prepared statements follow the client.

mod prepare;

use crate::client::{Named, PORTALS_MAX};
use crate::effects::Script;
use crate::errors::{Report, Trouble};
use crate::expect::{ClientParse, Expect, Refusal};
use crate::hub::Hub;
use crate::outbox::{Feed, Outbox, Peer};
use crate::pins::Pins;
use crate::replies;
use crate::requests::{Io, Step};
use crate::statements::Statement;
use events::CloseReason;
use std::sync::Arc;
use wire::back::{self, Status};
use wire::frame::{self, Frame};
use wire::front;

/// A statement name that no client can have prepared at the server: binding
/// it fails there, which puts the server into the state that an error of ours
/// must have.
const NOBODYS: &[u8] = b"plimsoll refused this";
/// A statement that no server accepts: there is no such column.
pub(crate) const NOTHING: &[u8] = b"SELECT \"plimsoll refused this\"";

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
            // It is not idle, though no server hears of it.
            client.request_at = io.now;
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
            client.request_at = io.now;
            if let Some(ext) = client.ext.as_mut() {
                ext.prepared.remove(close.name);
            }
            io.out.write(Peer::Client(slot), back::close_complete);
            return Step::Done;
        }
        let step = self.ensure_server(slot, io);
        if step != Step::Done {
            return step;
        }
        self.begin(slot, io.now);
        let step = match frame.tag {
            b'P' => self.parse(slot, frame, feed, at, body, io),
            b'B' => self.bind(slot, frame, feed, at, body, io),
            b'D' => self.describe(slot, frame, feed, at, body, io),
            b'E' => self.execute(slot, frame, feed, at, body, io),
            b'C' => self.close(slot, frame, feed, at, body, io),
            b'S' => {
                self.sync(slot, frame, feed, at, io);
                Some(Step::Done)
            }
            _ => {
                self.pass_frame(slot, frame, feed, at, io.out);
                Some(Step::Done)
            }
        };
        step.unwrap_or_else(|| {
            let trouble = Trouble::BadPacket("malformed message");
            self.fail_client(slot, &trouble, CloseReason::ClientProtocol, io);
            Step::Closed
        })
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
        let local = entry.is_local();
        if let Some(skipped) = server.expected.push(entry) {
            replies::take_back(&skipped, Some(client), server);
        } else if local && server.stream_left == 0 {
            replies::emit_locals(slot, server, out);
        }
    }

    /// The same for what decides whether a prepared statement's name exists.
    fn expect_named(&mut self, slot: u32, entry: Expect, out: &mut Outbox) {
        self.expect(slot, entry, out);
        if let Some(server) = self.linked_server(slot) {
            server.expected.note_names();
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
    ) -> Option<Step> {
        let bind = front::Bind::parse(body).ok()?;
        if self.held_for_name(slot, bind.statement, io.out) {
            return Some(Step::Wait);
        }
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.binds += 1;
        let statement = match self.statement(slot, bind.statement) {
            Ok(statement) => statement,
            Err(report) => {
                self.refuse_missing(slot, &report, io.out);
                self.drop_frame(slot, frame, feed, at);
                return Some(Step::Done);
            }
        };
        let there = self.is_named_there(slot, bind.statement);
        let named = !bind.statement.is_empty() && !there;
        let mut old = None;
        match &statement {
            Some(statement) if there => {
                if let Some(server) = self.linked_server(slot) {
                    server.trail.prepared(statement);
                }
                self.note_portal(slot, bind.portal, statement);
            }
            Some(statement) if named && self.knows_better(slot, statement) => {
                self.refuse_at_server(slot, &replies::changed_shape(None), io.out);
                self.drop_frame(slot, frame, feed, at);
                return Some(Step::Done);
            }
            Some(statement) => {
                if let Some(server) = self.linked_server(slot) {
                    server.trail.prepared(statement);
                }
                if named && statement.epoch != self.ddl_of(slot) && self.own_schema(slot).is_none()
                {
                    old = Some(Arc::clone(statement));
                }
                self.ensure_prepared(slot, statement, bind.statement, io.out)?;
                self.note_portal(slot, bind.portal, statement);
            }
            None => self.forget_portal(slot, bind.portal),
        }
        self.expect(slot, old.map_or(Expect::Bind, Expect::BindOld), io.out);
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
        Some(Step::Done)
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
    ) -> Option<Step> {
        let describe = front::Describe::parse(body).ok()?;
        if describe.kind != b'S' {
            self.expect(slot, Expect::Describe, io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(Step::Done);
        }
        if self.held_for_name(slot, describe.name, io.out) {
            return Some(Step::Wait);
        }
        let named = !describe.name.is_empty();
        let there = self.is_named_there(slot, describe.name);
        match self.statement(slot, describe.name) {
            Err(report) => self.refuse_missing(slot, &report, io.out),
            Ok(found) if found.is_none() || there => {
                self.expect(slot, Expect::Describe, io.out);
                self.pass_frame(slot, frame, feed, at, io.out);
            }
            Ok(found) => {
                let statement = found?;
                self.ensure_prepared(slot, &statement, describe.name, io.out)?;
                self.expect(slot, Expect::Describe, io.out);
                let link = self.clients.get(slot)?.link;
                let name = if named { statement.server_name() } else { b"" };
                io.out
                    .write(Peer::Server(link), |v| front::describe(v, b'S', name));
            }
        }
        Some(Step::Done)
    }

    fn execute(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<Step> {
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
                && !self.take_pin(slot, what, io)
            {
                let report = self.pin_report(slot, what);
                self.refuse_at_server(slot, &report, io.out);
                return Some(Step::Done);
            }
            script = Some(Script::shared(statement));
        }
        self.expect_execute(slot, script, io.out);
        self.pass_frame(slot, frame, feed, at, io.out);
        Some(Step::Done)
    }

    fn expect_execute(&mut self, slot: u32, script: Option<Box<Script>>, out: &mut Outbox) {
        let notes = match (&script, self.clients.get(slot)) {
            (Some(script), Some(client)) => Some(script.notes(&client.startup)),
            _ => None,
        };
        self.expect(slot, Expect::Execute(script), out);
        if let Some(notes) = notes
            && let Some(server) = self.linked_server(slot)
        {
            server.expected.note_script(notes);
        }
    }

    fn close(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<Step> {
        let close = front::Close::parse(body).ok()?;
        if close.kind == b'S' && self.held_for_name(slot, close.name, io.out) {
            return Some(Step::Wait);
        }
        let there = close.kind == b'S' && self.is_named_there(slot, close.name);
        let known = match self.clients.get_mut(slot)?.ext.as_mut() {
            Some(ext) if close.kind == b'S' => ext.prepared.remove_entry(close.name),
            _ => None,
        };
        if let Some((name, Named { statement, lease })) = known {
            let closed = Some(Box::new(ClientParse {
                name,
                statement,
                before: None,
                lease,
            }));
            if there {
                self.expect_named(slot, Expect::Close(closed), io.out);
                self.pass_frame(slot, frame, feed, at, io.out);
            } else {
                // Others may use it: it stays at the server until there is need of room.
                self.expect_named(slot, Expect::LocalClose(closed), io.out);
            }
            return Some(Step::Done);
        }
        if close.kind == b'S' && close.name.is_empty() {
            if let Some(ext) = self.clients.get_mut(slot)?.ext.as_mut() {
                ext.unnamed = None;
            }
            self.linked_server(slot)?.unnamed = None;
        }
        self.expect(slot, Expect::Close(None), io.out);
        self.pass_frame(slot, frame, feed, at, io.out);
        Some(Step::Done)
    }

    /// Answers a message with an error of ours in a way that the server shares:
    /// it gets a message that fails, so that its transaction and the rest of
    /// the batch are treated as after any error. A missing statement is missing
    /// in a failed transaction too.
    fn refuse_missing(&mut self, slot: u32, report: &Report, out: &mut Outbox) {
        self.fail_at_server(slot, "26000", report, out, |v| {
            front::bind_renamed(v, b"", NOBODYS, &[0; 6])
        });
    }

    /// The same for what a failed transaction would have refused by itself.
    pub(crate) fn refuse_at_server(&mut self, slot: u32, report: &Report, out: &mut Outbox) {
        self.fail_at_server(slot, "42703", report, out, |v| {
            front::parse(v, NOBODYS, NOTHING, &[0; 2])
        });
    }

    /// Sends what fails with `code`, for which the client gets `report`.
    pub(super) fn fail_at_server(
        &mut self,
        slot: u32,
        code: &'static str,
        report: &Report,
        out: &mut Outbox,
        message: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return;
        };
        out.write(Peer::Server(link), message);
        self.note_told(slot, report, out);
        let instead = report.bytes();
        let refusal = Refusal {
            code,
            instead,
            query: false,
        };
        self.expect(slot, Expect::Fails(Box::new(refusal)), out);
    }
}
