//! Prepared statements: Parse, and having a statement at the server before its use.

use crate::client::PREPARED_NAMES_MAX;
use crate::directory::PoolMode;
use crate::effects;
use crate::errors::Report;
use crate::expect::{ClientParse, Expect};
use crate::hub::Hub;
use crate::outbox::{Feed, Outbox, Peer};
use crate::requests::{Io, Step};
use crate::statements::{self, Need, Statement};
use std::sync::Arc;
use wire::back::Status;
use wire::frame::Frame;
use wire::front;
use wire::sql::Quoting;

impl Hub {
    pub(super) fn parse(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        body: &[u8],
        io: &mut Io<'_>,
    ) -> Option<Step> {
        let parse = front::Parse::parse(body).ok()?;
        // The unnamed statement may be replaced whether it is there or not.
        if !parse.name.is_empty() && self.held_for_name(slot, parse.name, io.out) {
            return Some(Step::Wait);
        }
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.client_parses += 1;
        let quoting = self.clients.get(slot)?.quoting();
        let passes = !parse.name.is_empty() && self.passes_name(slot, parse.name);
        if passes && !self.follows_name(slot, parse.name) {
            self.local(key).stats.totals.server_parses += 1;
            if let Some(server) = self.linked_server(slot) {
                server.trail.text(parse.text, true);
            }
            self.expect(slot, Expect::Parse(None), io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(Step::Done);
        }
        if !parse.name.is_empty()
            && !passes
            && let Some(ext) = &self.clients.get(slot)?.ext
        {
            if ext.prepared.contains_key(parse.name) || ext.pins.has_prepared(parse.name) {
                return self.parse_again(slot, &parse, io.out);
            }
            if ext.prepared.len() >= PREPARED_NAMES_MAX {
                self.refuse_at_server(slot, &too_many(), io.out);
                return Some(Step::Done);
            }
        }
        let epoch = match parse.name.is_empty() {
            true => 0,
            false => self.ddl_of(slot),
        };
        let statement = self.texts.intern(parse.text, parse.types, epoch, quoting);
        let lease = match passes {
            true => self.linked_server(slot)?.lease,
            false => 0,
        };
        let client = self.clients.get_mut(slot)?;
        let mut entry = Box::new(ClientParse {
            name: parse.name.into(),
            statement: Arc::clone(&statement),
            before: None,
            lease,
        });
        effects::remember_parse(client, &mut entry);
        if parse.name.is_empty() || passes {
            self.local(key).stats.totals.server_parses += 1;
            if let Some(server) = self.linked_server(slot)
                && !passes
            {
                server.unnamed = Some(statement);
            }
            self.expect_named(slot, Expect::Parse(Some(entry)), io.out);
            self.pass_frame(slot, frame, feed, at, io.out);
            return Some(Step::Done);
        }
        self.parse_named(slot, entry, io.out)
    }

    /// Names go to the server as they are: nobody is to be followed, or the
    /// session keeps its connection, where SQL's EXECUTE and DEALLOCATE may name
    /// them too. A name that we translate already stays ours.
    fn passes_name(&mut self, slot: u32, name: &[u8]) -> bool {
        let off = self.directory.settings.prepared_max == 0;
        let ext = self.clients.get(slot).and_then(|c| c.ext.as_ref());
        let known = ext.is_some_and(|e| e.prepared.contains_key(name));
        let ours = known && !self.is_named_there(slot, name);
        let Some(server) = self.linked_server(slot) else {
            return off;
        };
        if ours || !off && server.pool.mode != PoolMode::Session {
            return false;
        }
        // A reset that does not drop them all is not enough.
        server.unsure |= !off;
        true
    }

    /// A name that goes to the server as it is will still be followed: what its
    /// statement does to the session counts, and the pool's mode may change.
    /// One that is there already is the server's to refuse.
    fn follows_name(&self, slot: u32, name: &[u8]) -> bool {
        let ext = self.clients.get(slot).and_then(|c| c.ext.as_ref());
        self.directory.settings.prepared_max > 0
            && ext.is_none_or(|e| {
                !e.prepared.contains_key(name)
                    && !e.pins.has_prepared(name)
                    && e.prepared.len() < PREPARED_NAMES_MAX
            })
    }

    /// The server that the client holds knows a statement by this name of its.
    pub(super) fn is_named_there(&self, slot: u32, name: &[u8]) -> bool {
        self.clients.get(slot).is_some_and(|client| {
            self.servers
                .get(client.link)
                .is_some_and(|server| client.named_there(name, server.lease).is_some())
        })
    }

    /// Parse of a name that the client has already. The server refuses it too,
    /// and says first what else is wrong, since it gets the text under a name
    /// that is taken there: that of the empty statement.
    fn parse_again(
        &mut self,
        slot: u32,
        parse: &front::Parse<'_>,
        out: &mut Outbox,
    ) -> Option<Step> {
        let name = String::from_utf8_lossy(parse.name);
        let text = format!("prepared statement \"{name}\" already exists");
        let empty = self.texts.intern(b"", &[0, 0], 0, Quoting::default());
        self.ensure_prepared(slot, &empty, empty.server_name(), out)?;
        self.fail_at_server(slot, "42P05", &Report::error("42P05", text), out, |v| {
            front::parse(v, empty.server_name(), parse.text, parse.types)
        });
        Some(Step::Done)
    }

    /// A named statement: sent under our own name, or, where the server has it
    /// already and is known to be able to answer, not at all.
    pub(super) fn parse_named(
        &mut self,
        slot: u32,
        entry: Box<ClientParse>,
        out: &mut Outbox,
    ) -> Option<Step> {
        let statement = Arc::clone(&entry.statement);
        let server = self.linked_server(slot)?;
        let need = server.prepared.need(&statement, server.batch);
        let certain = server.status != Status::Failed
            && server.expected.batches() == 0
            && !server.expected.is_skipping();
        if need == Need::Nothing && certain {
            self.expect_named(slot, Expect::LocalParse(entry), out);
            return Some(Step::Done);
        }
        if need != Need::Parse {
            self.own_close(slot, &statement, out);
        } else {
            self.make_room(slot, out);
        }
        self.send_parse(slot, &statement, out)?;
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.server_parses += 1;
        self.expect_named(slot, Expect::Parse(Some(entry)), out);
        Some(Step::Done)
    }

    /// Sends a Parse under the statement's name at the server.
    pub(super) fn send_parse(
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

    /// Which state of the schema a client prepares for: its own while it has
    /// temporary tables or an open transaction with DDL, else its database's.
    pub(super) fn ddl_of(&mut self, slot: u32) -> u64 {
        if let Some(own) = self.own_schema(slot) {
            return own;
        }
        match self.pool_key(slot) {
            Some(key) => self.local(key).ddl,
            None => 0,
        }
    }

    pub(super) fn own_schema(&self, slot: u32) -> Option<u64> {
        let ext = self.clients.get(slot)?.ext.as_ref()?;
        (ext.own_schema != 0).then_some(ext.own_schema)
    }

    pub(super) fn own_close(&mut self, slot: u32, statement: &Arc<Statement>, out: &mut Outbox) {
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return;
        };
        out.write(Peer::Server(link), |v| {
            front::close(v, b'S', statement.server_name())
        });
        self.expect(slot, Expect::OwnClose(Arc::clone(statement)), out);
    }

    /// Closes the least used statement when the connection has its fill; more
    /// than one after the setting was lowered.
    pub(super) fn make_room(&mut self, slot: u32, out: &mut Outbox) {
        let max = self.directory.settings.prepared_max;
        while let Some(server) = self.linked_server(slot)
            // One that skips would drop the Close as well, and all stay as they are.
            && !server.expected.is_skipping()
            && let Some(victim) = server.prepared.victim(max)
        {
            self.own_close(slot, &victim, out);
        }
    }

    /// Makes sure that the server has `statement`, under our name or unnamed.
    pub(super) fn ensure_prepared(
        &mut self,
        slot: u32,
        statement: &Arc<Statement>,
        name: &[u8],
        out: &mut Outbox,
    ) -> Option<()> {
        let link = self.clients.get(slot)?.link;
        let server = self.linked_server(slot)?;
        let entry = if name.is_empty() {
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
            Expect::OwnUnnamed
        } else {
            match server.prepared.need(statement, server.batch) {
                Need::Nothing => return Some(()),
                // The client's own Parse in an earlier batch is not answered yet:
                // it decides whether the statement is there.
                Need::CloseParse if server.expected.parses(name) => return Some(()),
                Need::CloseParse => self.own_close(slot, statement, out),
                Need::Parse => self.make_room(slot, out),
            }
            self.send_parse(slot, statement, out)?;
            Expect::OwnParse(Arc::clone(statement))
        };
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.server_parses += 1;
        self.expect(slot, entry, out);
        Some(())
    }

    /// The server cannot know that this statement's results were described
    /// to the client in another shape, because it does not have it; we do.
    pub(super) fn knows_better(&mut self, slot: u32, statement: &Arc<Statement>) -> bool {
        statement.is_outdated()
            && self
                .linked_server(slot)
                .is_some_and(|server| !server.prepared.has(statement))
    }

    /// Names that are not known go to the server as they are.
    fn passes(&self, slot: u32) -> bool {
        let session = || {
            let link = self.clients.get(slot)?.link;
            Some(self.servers.get(link)?.pool.mode == PoolMode::Session)
        };
        self.directory.settings.prepared_max == 0 || session().unwrap_or(false)
    }

    /// The statement behind a client's name, or `Err` with what to answer.
    pub(super) fn statement(
        &mut self,
        slot: u32,
        name: &[u8],
    ) -> Result<Option<Arc<Statement>>, Report> {
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
            Some(named) => Ok(Some(Arc::clone(&named.statement))),
            // SQL's PREPARE made it at the server, or nobody did: the server knows.
            None if !name.starts_with(b"plimsoll_") || self.passes(slot) => Ok(None),
            None => Err(Report::error("26000", "prepared statement does not exist")),
        }
    }
}

fn too_many() -> Report {
    let text = format!("a client can have {PREPARED_NAMES_MAX} prepared statements");
    Report::error("53000", text)
}
