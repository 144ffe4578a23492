//! Panics: the pool concerned ends and starts afresh, all others serve on.
//!
//! A panic unwinds out of one piece of work: an event, a letter, a command, an
//! action of the pool. What that piece wanted written is dropped, because its
//! session may be in any state. What it wanted done is still done: sockets and
//! charges of sessions that it ended before would leak otherwise.

use super::connecting::slot_of;
use super::{Kind, READ_BYTES, Worker};
use crate::mail::{Mail, Target};
use crate::outgoing::Purpose;
use events::UpstreamId;
use pool::Action;
use relay::{Command, Outbox, Peer, PoolKey};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Ticks in a row that may panic. What they would have to end cannot be told,
/// so after these the process ends: deadlines would be missed for ever.
const TICK_PANICS_MAX: u32 = 5;
/// The log's thread gets this long to write why the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Whose work a panic interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// One session's, and so its pool's.
    Peer(Peer),
    /// A pool's.
    Pool(PoolKey),
    /// No pool's: the loop's own.
    Nobody,
}

impl Worker {
    pub(super) fn contained(&mut self, whose: Whose, f: impl FnOnce(&mut Worker)) {
        if catch_unwind(AssertUnwindSafe(|| f(self))).is_ok() {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| self.recover(whose))).is_err() {
            give_up("a panic while another one was contained");
        }
    }

    /// Deadlines, retries and the rest that time alone brings.
    pub(super) fn contained_tick(&mut self) {
        let before = self.panics;
        self.contained(Whose::Nobody, Worker::tick);
        if self.panics == before {
            self.tick_panics = 0;
            return;
        }
        self.tick_panics += 1;
        if self.tick_panics >= TICK_PANICS_MAX {
            give_up("each tick ends in a panic");
        }
    }

    fn recover(&mut self, whose: Whose) {
        self.panics += 1;
        let client = match whose {
            Whose::Peer(Peer::Client(slot)) => self.hub.client_name(slot).map(|n| n.id),
            _ => None,
        };
        let mut unfinished = std::mem::replace(&mut self.out, Outbox::new());
        let known = self.commands.len();
        unfinished.take_commands(&mut self.commands);
        self.tell_log(known);
        if self.buffer.len() < READ_BYTES {
            // It was on loan to the dispatch.
            self.buffer = vec![0; READ_BYTES];
        }
        let failed = match whose {
            Whose::Peer(peer) => {
                self.hub
                    .fail_pool_of(self.now, peer, &mut self.port, &mut self.out)
            }
            Whose::Pool(key) => {
                self.hub
                    .fail_pool(self.now, key, &mut self.port, &mut self.out);
                Some(key)
            }
            Whose::Nobody => None,
        };
        let place = failed.and_then(|key| self.common.read().place(key).cloned());
        let names = place.map(|p| (p.info.database.to_string(), p.info.user.to_string()));
        let (database, user) = names.unzip();
        tracing::error!(
            worker = self.id.0,
            client,
            database,
            user,
            reason = "panic",
            "a panic was contained; its pool, if it has one, is emptied and starts afresh"
        );
        if let Some(key) = failed {
            self.port.fail_pool(self.now, key);
            for (i, mailbox) in self.common.mailboxes.iter().enumerate() {
                if i != usize::from(self.id.0) {
                    mailbox.post(Mail::Kill(Target::Failed(key)));
                }
            }
        }
        self.settle(&[]);
    }

    pub(super) fn whose_event(&self, kind: Kind, slot: usize) -> Whose {
        match kind {
            Kind::Client => Whose::Peer(Peer::Client(slot as u32)),
            Kind::Server => Whose::Peer(Peer::Server(slot as u32)),
            Kind::Outgoing => match self.purpose_of(slot) {
                Some(Purpose::Server { slot, .. }) => Whose::Peer(Peer::Server(*slot)),
                Some(Purpose::Cancel { pool, .. }) => Whose::Pool(*pool),
                Some(Purpose::Forward { .. }) | None => Whose::Nobody,
            },
            Kind::Lingering | Kind::Listener | Kind::Waker => Whose::Nobody,
        }
    }

    pub(super) fn whose_command(command: &Command) -> Whose {
        match command {
            Command::CloseServer { pool, .. }
            | Command::ServerFailed { pool, .. }
            | Command::CancelServer { pool, .. } => Whose::Pool(*pool),
            Command::StartTls { slot } => Whose::Peer(Peer::Client(*slot)),
            Command::Resume(peer) | Command::Derive { peer, .. } => Whose::Peer(*peer),
            // The client is gone, or it is only a word to others.
            _ => Whose::Nobody,
        }
    }

    pub(super) fn whose_action(&self, upstream: UpstreamId, action: &Action) -> Whose {
        let key = match action {
            Action::Grant { conn, slot, .. }
            | Action::Handover { conn, slot, .. }
            | Action::Close { conn, slot, .. }
            | Action::Oust { conn, slot, .. }
            | Action::Reclaim { conn, slot, .. } => self.hub.server_pool(*slot, *conn),
            // Of all pools of a server.
            Action::Leave { .. } => None,
            Action::Open { pool, .. } => self.port.key_of(upstream, *pool),
            Action::Refuse { client, .. } => {
                return Whose::Peer(Peer::Client(client.slot));
            }
        };
        key.map_or(Whose::Nobody, Whose::Pool)
    }

    pub(super) fn whose_letter(&self, mail: &Mail) -> Whose {
        match mail {
            Mail::Pool(upstream, action) => self.whose_action(*upstream, action),
            Mail::Arrival(arrival) => Whose::Pool(arrival.transfer.pool()),
            Mail::Derived { peer, .. } => Whose::Peer(*peer),
            Mail::Console { client, .. } => Whose::Peer(Peer::Client(client.slot)),
            Mail::Judged { slot, .. } => Whose::Peer(Peer::Server(*slot)),
            Mail::Resolved { ticket, .. } => self.whose_event(Kind::Outgoing, slot_of(*ticket)),
            _ => Whose::Nobody,
        }
    }
}

/// What is left to do when a panic cannot be contained: end, so that a
/// supervisor starts afresh, rather than keep clients that nobody serves.
fn give_up(why: &str) -> ! {
    tracing::error!(reason = "panic", "{why}; the process ends");
    std::thread::sleep(LAST_WORDS);
    std::process::abort();
}

#[cfg(test)]
mod tests;
