//! A client is told no: by whom, with which words, and whether its session goes on.
//!
//! One reason leads to one error and one counter. A logged-in client gets an
//! ERROR and keeps its session, except where a file that was written for
//! PgBouncer expects its FATAL. A login is refused with FATAL, and without
//! figures: nobody knows yet who asks.

use crate::client::Phase;
use crate::directory::{ErrorStyle, PoolInfo};
use crate::errors::{Outage, Report, Trouble};
use crate::health::Code;
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::requests::{Io, Step};
use crate::traffic::WAIT_US;
use events::{CloseReason, RefuseReason};
use pool::Plight;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, ErrorReport};

/// A pool that has no connection for a client, as the client is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scarcity<'a> {
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
    pub(crate) waited: Duration,
    /// `None`: the client has not logged in, and learns no figures.
    pub(crate) plight: Option<&'a Plight>,
}

impl Scarcity<'_> {
    /// The client's own pool in figures, then `more`, then who holds most, where
    /// the settings allow that others are named.
    fn detail(&self, more: impl FnOnce(&Plight) -> String) -> String {
        let Some(p) = self.plight else {
            return format!(
                "The login needs a connection of database \"{}\".",
                self.database
            );
        };
        let mut text = format!(
            "Pool \"{}\", user \"{}\": {} of {} connections in use, {} clients wait. {}",
            self.database,
            self.user,
            p.in_use,
            p.size,
            p.waiting,
            more(p)
        );
        for (i, (key, held)) in p.holders.iter().enumerate() {
            let (user, application) = key.split_once('\0').unwrap_or((key, ""));
            text.push_str(if i == 0 { " Most are held by" } else { "," });
            text.push_str(&format!(
                " user \"{user}\", application \"{application}\" ({held})"
            ));
        }
        if !p.holders.is_empty() {
            text.push('.');
        }
        text
    }
}

/// The pool has no connection in time: 53300, with figures and what to do.
pub(crate) fn scarce(reason: RefuseReason, s: &Scarcity<'_>) -> Report {
    let (message, detail, hint) = match reason {
        RefuseReason::QueueFull => (
            "too many clients wait for a server connection",
            s.detail(|_| "No more may wait.".to_owned()),
            "Retry with a growing pause. The bound is pool.queue_max.",
        ),
        RefuseReason::Shed => (
            "the wait for a server connection is predicted to be too long",
            s.detail(|p| {
                format!(
                    "The wait would be about {}; {}.",
                    time(p.predicted),
                    limit(p)
                )
            }),
            "Retry with a growing pause. The limit is timeouts.query_wait (query_wait_timeout), \
             or wait_timeout of the application; guards.shed decides that nobody waits in vain.",
        ),
        _ => (
            "no server connection became free in time",
            s.detail(|p| format!("Waited {}; {}.", time(s.waited), limit(p))),
            "Retry with a growing pause; SHOW POOLS in the console tells how long others wait. The \
             limit is timeouts.query_wait (query_wait_timeout), or wait_timeout of the application.",
        ),
    };
    Report::error("53300", message).detail(detail).hint(hint)
}

fn limit(plight: &Plight) -> String {
    match plight.deadline {
        Some(deadline) => format!("the limit is {}", time(deadline)),
        None => "there is no limit".to_owned(),
    }
}

/// A time as a person reads it.
fn time(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 10_000 => format!("{ms} ms"),
        ms => format!("{} s", ms / 1000),
    }
}

/// What a refusal rests on.
pub(crate) struct Grounds<'a> {
    pub(crate) reason: RefuseReason,
    pub(crate) info: &'a PoolInfo,
    /// The name that the client uses.
    pub(crate) database: &'a str,
    pub(crate) waited: Duration,
    pub(crate) plight: Option<&'a Plight>,
    /// Why no connection could be opened, where that is why it waited.
    pub(crate) failure: Option<&'a str>,
    pub(crate) outage: Option<Outage>,
    /// The SQLSTATE with which the server refused the login.
    pub(crate) refused: Option<Code>,
}

impl<'a> Grounds<'a> {
    /// What is said of each reason.
    pub(crate) fn trouble(&self) -> Trouble<'a> {
        let scarcity = Scarcity {
            database: self.database,
            user: &self.info.user,
            waited: self.waited,
            plight: self.plight,
        };
        match (self.reason, self.failure) {
            (RefuseReason::WaitTimeout, None) => Trouble::WaitTimeout(scarcity),
            (RefuseReason::Shed, _) => Trouble::Shed(scarcity),
            (RefuseReason::QueueFull, _) => Trouble::QueueFull(scarcity),
            (RefuseReason::WaitTimeout | RefuseReason::ServerDown, failure) => {
                Trouble::ServerDown {
                    text: failure.unwrap_or("no connection could be opened"),
                    outage: self.outage,
                    refused: self.refused.filter(|_| !self.waited.is_zero()),
                    replication: self.info.replication.is_on(),
                }
            }
            (RefuseReason::Disabled, _) => Trouble::DatabaseDisabled(self.database),
            (RefuseReason::Shutdown, _) => Trouble::Shutdown,
            (RefuseReason::Panic, _) => Trouble::Panic,
            (RefuseReason::PinShare, _) => Trouble::PinShare {
                what: "This statement",
                database: self.database,
                user: &self.info.user,
                max: self.info.pins_max,
            },
            (RefuseReason::TooManyClients, _) => Trouble::TooManyClients {
                limit: "max_client_conn",
            },
        }
    }
}

/// Whether a logged-in client keeps its session. PgBouncer ends it with its own
/// reasons, and a file that was written for it keeps that; what PgBouncer does
/// not know ends no session anywhere.
pub(crate) fn keeps_session(style: ErrorStyle, reason: RefuseReason) -> bool {
    match reason {
        RefuseReason::Shutdown | RefuseReason::Panic | RefuseReason::TooManyClients => false,
        RefuseReason::QueueFull | RefuseReason::Shed | RefuseReason::PinShare => true,
        RefuseReason::WaitTimeout | RefuseReason::ServerDown | RefuseReason::Disabled => {
            style == ErrorStyle::Plimsoll
        }
    }
}

/// The reason with which a refused login, or a session that ends so, is closed.
fn close_reason(reason: RefuseReason) -> CloseReason {
    match reason {
        RefuseReason::WaitTimeout => CloseReason::QueryWaitTimeout,
        RefuseReason::ServerDown => CloseReason::ServerConnectFailed,
        RefuseReason::Shutdown => CloseReason::Shutdown,
        RefuseReason::Panic => CloseReason::Panic,
        _ => CloseReason::ClientRefused,
    }
}

impl Hub {
    /// A client is told no. `Again`: it keeps its session, and its request is
    /// dropped when it is looked at again.
    pub(crate) fn refuse_now(
        &mut self,
        slot: u32,
        reason: RefuseReason,
        waited: Duration,
        failure: Option<&str>,
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
        self.local(info.key).stats.refused += 1;
        let waited_us = waited.as_micros() as u64;
        if waited_us > WAIT_US && !login {
            self.note_wait(slot, None, io.now, waited_us);
        }
        let Some(client) = self.clients.get(slot) else {
            return Step::Closed;
        };
        let (database, flow) = (Arc::clone(&client.database), client.flow);
        let settings = &self.directory.settings;
        let (style, others) = (settings.error_style, settings.error_detail_full);
        let plight = (!login).then(|| io.pools.plight(info.key, flow, others));
        let outage = io.pools.outage(info.key);
        let grounds = Grounds {
            reason,
            info: &info,
            database: &database,
            waited,
            plight: plight.as_ref(),
            failure,
            outage: outage.map(|o| Outage {
                lasts: io.now.since(o.since),
                ago: io.now.since(o.last),
                login: o.login,
            }),
            refused: outage.and_then(|o| o.code),
        };
        let trouble = match reason {
            RefuseReason::Shutdown => self.parting(),
            _ => grounds.trouble(),
        };
        if login || !keeps_session(style, reason) {
            self.fail_client(slot, &trouble, close_reason(reason), io);
            return Step::Closed;
        }
        let report = Report {
            fatal: false,
            ..self.report(&trouble)
        };
        self.tell(slot, &report, io.out);
        if self.draining {
            // Each further request that it sent ahead would wait as long again.
            self.fail_client(slot, &self.parting(), CloseReason::Shutdown, io);
            return Step::Closed;
        }
        if let Some(client) = self.clients.get_mut(slot) {
            client.phase = Phase::Ready;
            client.refused = true;
        }
        Step::Again
    }
}

impl Hub {
    /// A NOTICE to a client that waits for long, in PgBouncer's words; our own
    /// style adds the figures.
    pub(crate) fn notify_waiter(&mut self, slot: u32, waited: Duration, io: &mut Io<'_>) {
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let Some(info) = client.pool.clone() else {
            return;
        };
        let settings = &self.directory.settings;
        let own = settings.error_style == ErrorStyle::Plimsoll;
        let plight = own.then(|| {
            let others = settings.error_detail_full;
            io.pools.plight(info.key, client.flow, others)
        });
        let scarcity = Scarcity {
            database: &client.database,
            user: &info.user,
            waited,
            plight: plight.as_ref(),
        };
        let detail = own
            .then(|| scarcity.detail(|p| format!("Waiting since {}; {}.", time(waited), limit(p))));
        let report = ErrorReport {
            severity: "NOTICE",
            code: "00000",
            message: "No server connection available in postgres backend, client being queued",
            detail: detail.as_deref(),
            hint: None,
        };
        io.out
            .write(Peer::Client(slot), |v| back::notice(v, &report));
    }
}

#[cfg(test)]
#[path = "refusing_tests.rs"]
mod tests;
