//! How a pooler ends: readiness, clients, connections, the process.

use super::Handle;
use crate::mail::Mail;
use crate::port::act;
use crate::registry::UpstreamCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longest wait for the monitor sessions to tell the others.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// Between two looks at whether they have.
const LOOK: Duration = Duration::from_millis(20);

impl Handle {
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
        let common = &self.inner.common;
        let upstreams = self.upstreams();
        for upstream in &upstreams {
            let now = common.clock.now();
            act(common, upstream, |pools| pools.shutdown(now));
        }
        let end = Instant::now() + LEAVE_MAX;
        let stays = |upstream: &Arc<UpstreamCell>| {
            let pools = upstream.lock();
            pools.charged() > 0 && pools.budget().peers > 0
        };
        while upstreams.iter().any(stays) && Instant::now() < end && !self.is_stopping() {
            std::thread::sleep(LOOK);
        }
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
