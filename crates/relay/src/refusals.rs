//! Telling a client no: it keeps its session where it can.

use crate::client::Phase;
use crate::directory::{ErrorStyle, PoolMode};
use crate::errors::{Report, Trouble};
use crate::expect::Expect;
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::requests::{Io, Step};
use events::{CloseReason, RefuseReason};
use std::sync::Arc;
use std::time::Duration;
use wire::front;

impl Hub {
    /// A client is told no. `Again`: it keeps its session, and its request is
    /// dropped when it is looked at again.
    pub(crate) fn refuse_now(
        &mut self,
        slot: u32,
        reason: RefuseReason,
        waited: Duration,
        text: Option<&str>,
        io: &mut Io<'_>,
    ) -> Step {
        self.stats.refusals[reason as usize] += 1;
        let Some(client) = self.clients.get_mut(slot) else {
            return Step::Closed;
        };
        let Some(info) = client.pool.clone() else {
            return Step::Closed;
        };
        let login = matches!(client.phase, Phase::Login(_));
        let database = Arc::clone(&client.database);
        let trouble = match reason {
            RefuseReason::WaitTimeout | RefuseReason::Shed if text.is_none() => {
                Trouble::WaitTimeout {
                    waited,
                    database: &database,
                    user: &info.user,
                    size: info.size,
                }
            }
            RefuseReason::QueueFull => Trouble::QueueFull {
                database: &database,
                user: &info.user,
            },
            RefuseReason::Disabled => Trouble::DatabaseDisabled(&database),
            RefuseReason::Shutdown => Trouble::Shutdown,
            RefuseReason::Panic => Trouble::Panic,
            _ => Trouble::ServerDown {
                text: text.unwrap_or("no connection could be opened"),
            },
        };
        let style = self.directory.settings.error_style;
        if login || style == ErrorStyle::Pgbouncer || matches!(reason, RefuseReason::Shutdown) {
            let close = match reason {
                RefuseReason::Shutdown => CloseReason::Shutdown,
                RefuseReason::ServerDown => CloseReason::ServerConnectFailed,
                _ => CloseReason::QueryWaitTimeout,
            };
            self.fail_client(slot, &trouble, close, io);
            return Step::Closed;
        }
        let report = Report {
            fatal: false,
            ..self.report(&trouble)
        };
        io.out.write(Peer::Client(slot), |v| report.write(v));
        if let Some(client) = self.clients.get_mut(slot) {
            client.phase = Phase::Ready;
            client.refused = true;
        }
        Step::Again
    }

    /// Tells a client what is wrong, FATAL, and closes it.
    pub(crate) fn fail_client(
        &mut self,
        slot: u32,
        trouble: &Trouble<'_>,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        let mut report = self.report(trouble);
        report.fatal = true;
        self.fail_client_with(slot, &report, reason, io);
    }

    pub(crate) fn fail_client_with(
        &mut self,
        slot: u32,
        report: &Report,
        reason: CloseReason,
        io: &mut Io<'_>,
    ) {
        if self.clients.get(slot).is_none() {
            return;
        }
        io.out.write(Peer::Client(slot), |v| report.write(v));
        self.client_left(slot, reason, io);
    }

    /// Takes a pin for a client that wants one; false when the share is used up.
    pub(crate) fn take_pin(&mut self, slot: u32) -> bool {
        let pin = self.directory.settings.pin;
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let Some(info) = client.pool.clone() else {
            return false;
        };
        if !pin {
            self.local(info.key).stats.unpinned += 1;
            return true;
        }
        if info.mode == PoolMode::Session || client.ext.as_ref().is_some_and(|e| e.pinned) {
            return true;
        }
        if !info.take_pin() {
            self.stats.refusals[RefuseReason::PinShare as usize] += 1;
            return false;
        }
        client.extra().pinned = true;
        true
    }

    pub(crate) fn pin_report(&self, slot: u32, what: &str) -> Report {
        let max = self
            .clients
            .get(slot)
            .and_then(|c| c.pool.as_ref())
            .map_or(0, |p| p.pins_max);
        self.report(&Trouble::PinShare { what, max })
    }

    /// A simple query that would pin beyond the share: refused before it is sent.
    pub(crate) fn refuse_pin_query(&mut self, slot: u32, what: &str, io: &mut Io<'_>) -> Step {
        let report = self.pin_report(slot, what);
        self.fail_at_server(slot, &report, io.out);
        let Some(link) = self.clients.get(slot).map(|c| c.link) else {
            return Step::Closed;
        };
        if let Some(server) = self.servers.get_mut(link) {
            server.expected.push(Expect::Sync);
            server.unsynced = false;
            server.batch += 1;
            io.out.write(Peer::Server(link), front::sync);
        }
        Step::Done
    }
}
