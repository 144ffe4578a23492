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
    /// Holds the client if what it says of its prepared statement `name`
    /// depends on replies to come.
    #[inline]
    pub(crate) fn held_for_name(&mut self, slot: u32, name: &[u8], out: &mut Outbox) -> bool {
        let Some(server) = self.linked_server(slot) else {
            return false;
        };
        server.expected.names() && server.expected.undecided(name) && self.hold_client(slot, out)
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
        if server.copy_in || server.expected.is_empty() && server.stream_left == 0 {
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
            && (server.expected.answered(until) && server.stream_left == 0 || server.copy_in)
        {
            client.phase = Phase::Ready;
            self.go_on(server.link, io);
        }
    }
}
