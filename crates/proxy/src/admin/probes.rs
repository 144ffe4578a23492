//! What probes ask: do the loops turn, and should clients come.

use super::{Handle, STUCK};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Handle {
    /// The loops advance. A loop is woken for the question, so that an idle
    /// one is not taken for a stuck one.
    ///
    /// # Errors
    /// Which worker does not.
    pub fn live(&self) -> Result<(), String> {
        let mut watched = self
            .inner
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (i, mailbox) in self.inner.common.mailboxes.iter().enumerate() {
            let turns = mailbox.turns.load(Ordering::Relaxed);
            let seen = watched.entry(i).or_insert((turns, Instant::now()));
            if seen.0 != turns {
                *seen = (turns, Instant::now());
            } else if seen.1.elapsed() > STUCK {
                return Err(format!(
                    "worker {i} has not turned for {} s",
                    seen.1.elapsed().as_secs()
                ));
            }
        }
        Ok(())
    }

    /// Settings are accepted, sockets are open, and no shutdown has begun.
    /// A database that is down leaves this as it is.
    ///
    /// # Errors
    /// What is in the way.
    pub fn ready(&self) -> Result<(), String> {
        if self.inner.stopping.load(Ordering::Relaxed)
            || self.inner.draining.load(Ordering::Relaxed)
        {
            return Err("draining".into());
        }
        match &*self.lock(&self.inner.held_back) {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Keeps the instance from being ready, with a reason that holds no secret;
    /// `None` lets it be. Clients that come all the same are served.
    pub fn hold_back(&self, reason: Option<String>) {
        *self.lock(&self.inner.held_back) = reason;
    }
}
