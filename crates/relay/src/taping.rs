//! What recorded leases were for: their last statement, and whose time they took.
//!
//! Only leases that the pool has [on its tape](pool::Upstream::told) are looked at,
//! at most some thousand in a second: reading a statement takes a microsecond or two.

use crate::hub::Hub;
use crate::leases::answered;
use crate::requests::Io;
use crate::server::{Server, ServerPhase};
use crate::trail::StatementText;
use events::Time;
use pool::Purpose;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::back::Status;

/// Texts that are remembered, so that those of a statement are one in memory.
const TEXTS_MAX: usize = 256;

/// Texts without literals, by their fingerprints.
#[derive(Default)]
pub(crate) struct Shown(BTreeMap<u64, Arc<str>>);

impl Shown {
    fn of(&mut self, statement: u64, text: impl FnOnce() -> String) -> Arc<str> {
        if let Some(known) = self.0.get(&statement) {
            return Arc::clone(known);
        }
        if self.0.len() >= TEXTS_MAX {
            self.0.clear();
        }
        let text: Arc<str> = text().into();
        self.0.insert(statement, Arc::clone(&text));
        text
    }
}

impl Hub {
    /// A lease is about to end: if it is recorded, what it was for. `spoke`: when its
    /// client last did, where it leaves in the middle of a transaction.
    #[inline]
    pub(crate) fn tell_tape(&mut self, slot: u32, spoke: Option<Time>, io: &mut Io<'_>) {
        if self.servers.get(slot).is_some_and(|s| s.trail.taped) {
            self.tell_taped(slot, spoke, io);
        }
    }

    #[cold]
    fn tell_taped(&mut self, slot: u32, spoke: Option<Time>, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.trail.taped = false;
        // The pooler's own sessions have no client's statement.
        if !matches!(server.phase, ServerPhase::Lent) {
            return;
        }
        let (key, conn) = (server.pool.key, server.conn);
        let shown = self.directory.settings.statement_text;
        let status = answered(server);
        let statement = match shown {
            StatementText::Off => 0,
            _ => server.trail.fingerprint(status),
        };
        let text = match shown {
            StatementText::Normalised if statement != 0 => {
                let trail = &server.trail;
                self.shown.of(statement, || trail.shown(status))
            }
            _ => Arc::from(""),
        };
        let purpose = Purpose {
            statement,
            text,
            idle: server.trail.idle + last_silence(server, spoke, io.now).unwrap_or_default(),
            rounds: server.trail.rounds,
        };
        io.pools.told(io.now, key, conn, &purpose);
    }
}

/// The silence in which a client left, inside its transaction.
fn last_silence(server: &Server, spoke: Option<Time>, now: Time) -> Option<std::time::Duration> {
    let inside = server.status != Status::Idle && server.expected.is_empty();
    spoke
        .filter(|_| inside)
        .map(|at| now.since(at.max(server.used_at)))
}
