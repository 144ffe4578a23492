//! How a pooler ends: readiness, clients, connections, the process.

use super::Handle;
use crate::mail::Mail;
use crate::port::act;
use crate::registry::{Place, UpstreamCell};
use crate::words::theirs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longest wait for the monitor sessions to tell the others.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// Between two looks at whether they have.
const LOOK: Duration = Duration::from_millis(20);
/// The same where every session has to be looked at: logins end within seconds, not milliseconds.
const SLOW_LOOK: Duration = Duration::from_millis(200);

/// An end that waits: for how long, others decide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Leave {
    /// Until the last client has gone by itself. Those that are here are served on.
    ClientsGone,
    /// Until the last server connection has come back. Clients without one are closed.
    ServersReleased,
}

impl Handle {
    /// Whether this end was not asked for yet, nor one that waits for less.
    pub(crate) fn may_leave(&self, leave: Leave) -> bool {
        !self.is_stopping()
            && self
                .lock(&self.inner.leaving)
                .is_none_or(|other| other < leave)
    }

    /// Whether an end that waits was asked for.
    pub fn is_leaving(&self) -> bool {
        self.lock(&self.inner.leaving).is_some()
    }

    /// Accepts nobody any more, and ends the process as `leave` says. Returns at once.
    pub fn leave(&self, leave: Leave) {
        // What is suspended would never be done.
        if self.is_suspended() {
            drop(self.resume(None, "SHUTDOWN"));
        }
        *self.lock(&self.inner.leaving) = Some(leave);
        self.inner.keeper.ending();
        self.announce_drain();
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Deafen(leave));
        }
        if leave == Leave::ServersReleased {
            self.lend_no_more();
        }
        tracing::info!(until = ?leave, "no further client is accepted; the process ends when the others are done");
        let handle = self.clone();
        let waits = move || {
            let mut next_survey = Instant::now();
            while !handle.is_stopping() && !handle.may_end(leave, &mut next_survey) {
                std::thread::sleep(LOOK);
            }
            if !handle.is_stopping() {
                let whose = match leave {
                    Leave::ClientsGone => "client",
                    Leave::ServersReleased => "server",
                };
                theirs!(INFO, "{whose} connections dropped, exiting");
                handle.take_leave();
                handle.stop_now();
            }
        };
        let begun = std::thread::Builder::new()
            .name("leave".into())
            .spawn(waits);
        if begun.is_err() {
            tracing::error!("the system gives no thread that waits for the end: SHUTDOWN again");
        }
    }

    fn may_end(&self, leave: Leave, next_survey: &mut Instant) -> bool {
        match leave {
            Leave::ClientsGone => self.no_client_works(next_survey),
            Leave::ServersReleased => self.no_connection_is_lent(),
        }
    }

    /// Nobody is in a pool, and nobody is on the way to one. Consoles do not count, so who is left
    /// is asked for what it does, from `next_survey` on.
    fn no_client_works(&self, next_survey: &mut Instant) -> bool {
        if self.clients() == 0 {
            return true;
        }
        let in_pools = |place: &Place| place.clients.load(Ordering::Relaxed) > 0;
        if self.inner.common.read().places().iter().any(in_pools) || Instant::now() < *next_survey {
            return false;
        }
        *next_survey = Instant::now() + SLOW_LOOK;
        let clients = &self.figures(true).snapshot.clients;
        !clients.iter().any(|client| client.state == "login")
    }

    /// Every server connection is back. Who is still here holds none, and gets none any more.
    fn no_connection_is_lent(&self) -> bool {
        let now = self.inner.common.clock.now();
        let registry = self.inner.common.read();
        let mut pools = registry.places().iter().filter(|place| !place.monitor);
        pools.all(|place| {
            let f = place.upstream.lock().figures(place.pool, now);
            f.lent + f.moving == 0
        })
    }

    /// Refuses all who wait and all who come; connections close as they come back.
    fn lend_no_more(&self) {
        let common = &self.inner.common;
        for upstream in self.upstreams() {
            let now = common.clock.now();
            act(common, &upstream, |pools| pools.shutdown(now));
        }
    }

    /// Closes the listeners and idle clients; the others end with their
    /// transaction. New checkouts are still served for them.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Drain);
        }
    }

    /// Withdraws readiness before the listeners close.
    pub fn announce_drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// The last client is gone: the server connections are closed, and the fleet's others hear from the monitor session
    /// that nothing is claimed any more, so that they need not find out. Waits for that within a short time.
    pub fn take_leave(&self) {
        self.lend_no_more();
        let upstreams = self.upstreams();
        let end = Instant::now() + LEAVE_MAX;
        let stays = |upstream: &Arc<UpstreamCell>| {
            let pools = upstream.lock();
            pools.charged() > 0 && pools.budget().peers > 0
        };
        while upstreams.iter().any(stays) && Instant::now() < end && !self.is_stopping() {
            std::thread::sleep(LOOK);
        }
    }

    /// As [`Handle::stop_now`], and whoever supervises the process hears of it.
    pub fn end_now(&self) {
        self.inner.keeper.ending();
        self.stop_now();
    }

    /// Closes everything and ends the workers.
    pub fn stop_now(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Stop);
        }
    }

    /// Clients that are connected.
    pub fn clients(&self) -> u32 {
        self.inner
            .common
            .mailboxes
            .iter()
            .map(|m| m.clients.load(Ordering::Relaxed))
            .sum()
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Relaxed)
    }
}
