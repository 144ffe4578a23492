//! What a vanished client left is taken back, step by step.

use crate::client::NONE;
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::{Command, Peer};
use crate::requests::Io;
use crate::server::{Cleaning, ServerPhase};
use events::CloseReason;
use std::sync::Arc;
use std::time::Duration;
use wire::back::Status;
use wire::{front, sql};

/// How long the server may take to confirm that a client's leavings are gone;
/// then the connection is closed instead.
const CLEAN_MAX: Duration = Duration::from_secs(10);

impl Hub {
    /// Begins to take back what the last client left.
    pub(crate) fn start_cleaning(&mut self, slot: u32, reset: bool, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.link = NONE;
        if std::mem::take(&mut server.paused) {
            io.out.command(Command::Resume(Peer::Server(slot)));
        }
        if server.pool.replication.is_on() {
            // Nobody else can use it, and a stream cannot be called back.
            return self.drop_server(slot, CloseReason::ServerLifetime, io);
        }
        if server.half_sent || server.doomed.is_some() {
            // Half a message stands at the server: nothing can follow it.
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        let cleaning = Cleaning {
            deadline: io.now.after(CLEAN_MAX),
            reset,
            cancelled: false,
        };
        server.phase = ServerPhase::Cleaning(cleaning);
        server.own_error = None;
        self.clean(slot, cleaning, io);
    }

    /// One step of cleaning, whenever the server has answered the last one.
    /// Idle in transaction: ROLLBACK. Unsynced batch: Sync. COPY in: CopyFail.
    /// Running or COPY out: cancel. Session state: reset.
    pub(crate) fn clean(&mut self, slot: u32, cleaning: Cleaning, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        if server.doomed.is_some() {
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        let to = Peer::Server(slot);
        if server.copy_in {
            server.copy_in = false;
            io.out
                .write(to, |v| front::copy_fail(v, "the client is gone"));
            if server
                .expected
                .front()
                .is_some_and(|e| matches!(e, Expect::Query(_)))
            {
                return;
            }
        }
        if server.unsynced || server.expected.is_skipping() {
            server.unsynced = false;
            server.expected.push(Expect::OwnSync);
            io.out.write(to, front::sync);
        }
        if !server.expected.is_empty()
            || server.backlog > 0
            || server.stream_left > 0
            || !server.held.is_empty()
        {
            let theirs = server.expected.iter().any(|e| !e.is_own());
            if theirs && !cleaning.cancelled {
                server.phase = ServerPhase::Cleaning(Cleaning {
                    cancelled: true,
                    ..cleaning
                });
                self.send_cancel(slot, io.out);
            }
            return;
        }
        if server.cancels > 0 {
            return;
        }
        let purpose = if server.status != Status::Idle {
            Purpose::Rollback
        } else if cleaning.reset {
            server.phase = ServerPhase::Cleaning(Cleaning {
                reset: false,
                ..cleaning
            });
            Purpose::Reset
        } else {
            let key = server.pool.key;
            return self.give_back(io.now, slot, key, None, io.pools, io.out);
        };
        server.expected.push(Expect::OwnQuery(purpose));
        let reset = &self.directory.settings.reset_query;
        io.out.write(to, |v| match purpose {
            Purpose::Rollback => front::query(v, b"ROLLBACK"),
            _ => front::query(v, reset.as_bytes()),
        });
    }

    /// A statement of the pooler's own was answered.
    pub(crate) fn own_done(&mut self, slot: u32, purpose: Purpose, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let failed = server.own_error.take();
        if purpose == Purpose::Parameters
            && let Some(params) = server.coming.take()
            && failed.is_none()
        {
            server.params = params;
        }
        match purpose {
            Purpose::Parameters if self.lookup_prepared(slot, failed.as_deref(), io) => {}
            Purpose::Check | Purpose::Parameters => self.prepared(slot, purpose, failed, io),
            Purpose::Rollback if failed.is_some() => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io);
            }
            Purpose::Rollback => {}
            Purpose::Reset if failed.is_some() => {
                self.drop_server(slot, CloseReason::ServerUnresponsive, io)
            }
            Purpose::Reset => self.session_reset(slot, io),
            Purpose::Settings => self.settings_told(slot, failed.is_some(), io),
            Purpose::Budget => self.monitor_done(slot, failed.is_some(), io),
            Purpose::Probe | Purpose::Activity | Purpose::Blockers | Purpose::Identity => {
                self.monitor_measured(slot, purpose, failed.is_some(), io);
            }
            Purpose::AuthQuery => self.auth_query_done(slot, failed, io),
        }
    }

    fn session_reset(&mut self, slot: u32, io: &mut Io<'_>) {
        let text = &self.directory.settings.reset_query;
        let script = sql::read(text.as_bytes(), sql::Quoting::default());
        let does = |wanted: &sql::Change| script.effects.iter().any(|e| e.change == *wanted);
        let all = does(&sql::Change::Discard(sql::Discard::All));
        let parameters = does(&sql::Change::ResetAll);
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.dirty = false;
        server.unnamed = None;
        if all {
            server.unsure = false;
            server.params = Arc::default();
            server.prepared.clear();
            return;
        }
        server.prepared.all_stale();
        if server.unsure {
            // The reset query leaves open what is set there now.
            return self.drop_server(slot, CloseReason::ClientLeftTransaction, io);
        }
        if parameters {
            // RESET ALL leaves roles as they are.
            let kept = server
                .params
                .iter()
                .filter(|(name, _)| matches!(*name, "role" | "session_authorization"));
            let mut set = crate::params::ParamSet::default();
            for (name, value) in kept {
                set.set(name, Some(value.clone()));
            }
            server.params = Arc::new(set);
        }
    }
}
