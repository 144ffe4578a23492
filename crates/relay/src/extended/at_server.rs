//! What a server connection must have prepared before a message may follow.

use crate::expect::Expect;
use crate::hub::Hub;
use crate::outbox::{Outbox, Peer};
use crate::server::Server;
use crate::statements::{self, Need, Statement};
use std::sync::Arc;
use wire::front;

impl Hub {
    pub(super) fn ddl_of(&mut self, slot: u32) -> u64 {
        match self.pool_key(slot) {
            Some(key) => self.local(key).ddl,
            None => 0,
        }
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

    /// Closes the least used statement when the connection has its fill.
    pub(super) fn make_room(&mut self, slot: u32, out: &mut Outbox) {
        let max = self.directory.settings.prepared_max;
        if let Some(victim) = self
            .linked_server(slot)
            .and_then(|s| s.prepared.victim(max))
        {
            self.own_close(slot, &victim, out);
        }
    }

    /// Makes sure that the server has `statement`, under our name or unnamed.
    pub(super) fn ensure_prepared(
        &mut self,
        slot: u32,
        statement: &Arc<Statement>,
        named: bool,
        out: &mut Outbox,
    ) -> Option<()> {
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
                Need::CloseParse => self.own_close(slot, statement, out),
                Need::Parse => self.make_room(slot, out),
            }
            let server = self.linked_server(slot)?;
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
        }
        let key = self.pool_key(slot)?;
        self.local(key).stats.totals.server_parses += 1;
        self.expect(slot, Expect::OwnParse(Arc::clone(statement)), out);
        Some(())
    }
}

/// Statements prepared before the last DDL are parsed anew.
pub(super) fn refresh(server: &mut Server, ddl: u64) {
    if server.ddl_seen != ddl {
        server.prepared.all_stale();
        server.ddl_seen = ddl;
    }
}
