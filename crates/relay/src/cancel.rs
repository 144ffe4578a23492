//! Cancel requests: exact, and never another client's query.
//!
//! The number and secret handed to clients are ours, so they name a session
//! here, not a server process. While a request is under way to a server its
//! connection is not lent again.

use crate::client::Phase;
use crate::errors::Trouble;
use crate::expect::Expect;
use crate::hub::Hub;
use crate::outbox::{Command, Outbox};
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{ConnId, Time, WorkerId};
use sha2::{Digest, Sha256};
use wire::front;

/// What became of a cancel request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CancelOutcome {
    /// Nobody here has this number and secret: it may be for another instance's client.
    Unknown,
    /// Nothing runs for that client.
    Ignored,
    /// The client waited for a connection; its request was taken out.
    Waiter,
    /// It goes to the server of this connection; `cancel_ended` follows.
    Sent(ConnId),
}

const SLOT_BITS: u32 = 24;

/// Cancel requests under way to one server connection; more add nothing, and
/// each costs a connection to the server.
const CANCELS_MAX: u32 = 2;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

impl Hub {
    /// The worker that a process number handed out by us belongs to.
    pub fn worker_of(pid: i32) -> WorkerId {
        WorkerId((pid as u32 >> SLOT_BITS) as u16 & 0x7f)
    }

    pub(crate) fn process_number(&self, slot: u32) -> i32 {
        // Never zero: clients take that for "no key".
        ((u32::from(self.worker.0 & 0x7f) << SLOT_BITS) | ((slot + 1) & SLOT_MASK)) as i32
    }

    /// The secret of a client's session: derived, so that idle clients need
    /// not keep it. 4 bytes for protocol 3.0, 32 for 3.2.
    pub(crate) fn cancel_secret(&self, slot: u32) -> Vec<u8> {
        let Some(client) = self.clients.get(slot) else {
            return Vec::new();
        };
        let (generation, len) = (client.generation, if client.long_key { 32 } else { 4 });
        let mut hash = Sha256::new();
        hash.update(self.seeds.key);
        hash.update(b"cancel");
        hash.update(self.worker.0.to_be_bytes());
        hash.update(slot.to_be_bytes());
        hash.update(generation.to_be_bytes());
        hash.finalize().iter().copied().take(len).collect()
    }

    /// A cancel request for a client of this worker.
    pub fn cancel(
        &mut self,
        now: Time,
        pid: i32,
        key: &[u8],
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) -> CancelOutcome {
        let mut io = Io { now, pools, out };
        let slot = Hub::slot_of(pid);
        if key.is_empty() || !same(&self.cancel_secret(slot), key) {
            return CancelOutcome::Unknown;
        }
        self.cancel_for(slot, &mut io)
    }

    /// The slot of the client that a process number names.
    pub fn slot_of(pid: i32) -> u32 {
        (pid as u32 & SLOT_MASK).wrapping_sub(1)
    }

    /// Whoever asks has the right to.
    pub(crate) fn cancel_for(&mut self, slot: u32, io: &mut Io<'_>) -> CancelOutcome {
        let now = io.now;
        let Some(client) = self.clients.get_mut(slot) else {
            return CancelOutcome::Ignored;
        };
        match client.phase {
            Phase::Waiting { .. } => {
                if let (Some(info), Some(id)) = (client.pool.clone(), self.client_id(slot)) {
                    io.pools.cancel_wait(now, info.key, id);
                }
                let report = self.report(&Trouble::Cancelled);
                self.tell(slot, &report, io.out);
                if let Some(client) = self.clients.get_mut(slot) {
                    client.phase = Phase::Ready;
                    client.refused = true;
                }
                self.go_on(slot, io);
                CancelOutcome::Waiter
            }
            Phase::Ready | Phase::Held { .. } => {
                let link = client.link;
                match self.servers.get(link) {
                    Some(s)
                        if s.cancels < CANCELS_MAX && !s.expected.iter().all(Expect::is_own) =>
                    {
                        let conn = s.conn;
                        self.send_cancel(link, io.out);
                        CancelOutcome::Sent(conn)
                    }
                    _ => CancelOutcome::Ignored,
                }
            }
            _ => CancelOutcome::Ignored,
        }
    }

    /// Asks the shell to send a cancel request to a connection's server.
    pub(crate) fn send_cancel(&mut self, slot: u32, out: &mut Outbox) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.cancels += 1;
        let mut packet = Vec::new();
        front::cancel_request(&mut packet, server.pid, &server.cancel_key);
        let (conn, pool) = (server.conn, server.pool.key);
        out.command(Command::CancelServer {
            slot,
            conn,
            pool,
            packet,
        });
    }

    /// A cancel request's connection to the server has ended, well or badly.
    pub fn cancel_ended(
        &mut self,
        now: Time,
        slot: u32,
        conn: ConnId,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot).filter(|s| s.conn == conn) else {
            return;
        };
        server.cancels = server.cancels.saturating_sub(1);
        if server.cancels == 0 && matches!(server.phase, ServerPhase::Cleaning(_)) {
            self.maybe_release(now, slot, pools, out);
        }
    }

    /// The requester of a cancel may be let go: its request was carried out.
    pub fn cancel_requester_done(
        &mut self,
        now: Time,
        slot: u32,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, pools, out };
        if matches!(
            self.clients.get(slot).map(|c| &c.phase),
            Some(Phase::Cancelling)
        ) {
            self.client_left(slot, events::CloseReason::CancelDone, &mut io);
        }
    }
}

/// Compares secrets without telling by its time where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
