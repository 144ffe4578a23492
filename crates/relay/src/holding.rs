//! A client is held while replies to come decide what its next message means.
//!
//! A pipelined batch that fails takes its Parse and Close messages with it, so
//! whether a name exists in the batch after is known at the reply. A RESET
//! leaves the server with another login's value until the client's own is set,
//! which cannot happen before it took effect.

use crate::client::Phase;
use crate::hub::Hub;
use crate::outbox::{Outbox, Peer};
use crate::requests::Io;
use wire::front;

impl Hub {
    /// Holds the client if its message of the extended protocol depends on
    /// replies to come.
    pub(crate) fn depends_on_replies(
        &mut self,
        slot: u32,
        tag: u8,
        body: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let Some(server) = self.linked_server(slot) else {
            return false;
        };
        let expected = &server.expected;
        if expected.resets() && !server.unsynced && matches!(tag, b'P' | b'B' | b'E' | b'D') {
            return self.hold_client(slot, out);
        }
        if !expected.names() {
            return false;
        }
        match named(tag, body) {
            Some(name) if expected.undecided(name) => self.hold_client(slot, out),
            _ => false,
        }
    }

    /// What this client sends now could act with another login's parameters.
    #[inline]
    pub(crate) fn reset_under_way(&mut self, slot: u32) -> bool {
        self.linked_server(slot)
            .is_some_and(|s| s.expected.resets() && !s.unsynced)
    }

    /// Holds the client until all that is under way was answered. False where
    /// the server waits for the client: then it must go on.
    pub(crate) fn hold_client(&mut self, slot: u32, out: &mut Outbox) -> bool {
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let Some(server) = self.servers.get(client.link) else {
            return false;
        };
        if server.copy_in || server.expected.is_empty() {
            return false;
        }
        client.phase = Phase::Held {
            until: server.expected.end(),
        };
        if server.unsynced {
            // Without a Sync on its way the server would keep its answers.
            out.write(Peer::Server(client.link), front::flush);
        }
        true
    }

    /// Replies came: who was held for them goes on.
    pub(crate) fn answered(&mut self, server_slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get(server_slot) else {
            return;
        };
        let Some(client) = self.clients.get_mut(server.link) else {
            return;
        };
        if let Phase::Held { until } = client.phase
            && (server.expected.answered(until) || server.copy_in)
        {
            client.phase = Phase::Ready;
            self.go_on(server.link, io);
        }
    }
}

/// The prepared statement whose existence a message asks for.
fn named(tag: u8, body: &[u8]) -> Option<&[u8]> {
    match tag {
        // The unnamed statement may be replaced whether it is there or not.
        b'P' => front::Parse::parse(body)
            .ok()
            .map(|m| m.name)
            .filter(|name| !name.is_empty()),
        b'B' => front::Bind::parse(body).ok().map(|m| m.statement),
        b'D' => front::Describe::parse(body)
            .ok()
            .filter(|m| m.kind == front::STATEMENT)
            .map(|m| m.name),
        b'C' => front::Close::parse(body)
            .ok()
            .filter(|m| m.kind == front::STATEMENT)
            .map(|m| m.name),
        _ => None,
    }
}
