//! SUSPEND: what was taken is written out, then nothing is read from anybody but consoles.
//!
//! The clock stands still meanwhile, so no session, wait or connection comes to its limit
//! because of it. The first console sees to it: once all bytes are out the command is
//! answered, and when the last console leaves, the suspension ends.

use super::Handle;
use crate::mail::Mail;
use crate::words::{self, theirs};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A worker that answers later than this is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Who changes what is held back.
#[derive(Default)]
pub(super) struct Holding {
    /// Held by whoever changes what is paused or disabled.
    pub(super) turn: Mutex<()>,
    /// SUSPEND, while it holds. Set under `turn`.
    suspension: Mutex<Option<Suspension>>,
}

/// The suspension that holds.
struct Suspension {
    since: Instant,
    /// Every byte is out.
    flushed: bool,
}

/// How far one worker is.
pub(crate) struct Stillness {
    /// Connections with bytes that their sockets did not take yet.
    pub(crate) unsent: u32,
    /// Sessions of the console.
    pub(crate) consoles: u32,
}

impl Handle {
    /// Whether SUSPEND holds.
    pub fn is_suspended(&self) -> bool {
        self.lock(&self.inner.holding.suspension).is_some()
    }

    /// Whether all bytes were out, or given up, since SUSPEND.
    pub(crate) fn is_flushed(&self) -> bool {
        let suspension = self.lock(&self.inner.holding.suspension);
        suspension.as_ref().is_some_and(|s| s.flushed)
    }

    /// SUSPEND may be carried out: an instance that shares the line by a ledger
    /// has to go on telling the others that it is there.
    pub(crate) fn may_suspend(&self) -> bool {
        self.inner.ledgers.is_none()
    }

    /// Nothing is read from now on.
    pub(super) fn begin_suspension(&self) {
        self.inner.common.clock.stop();
        *self.lock(&self.inner.holding.suspension) = Some(Suspension {
            since: Instant::now(),
            flushed: false,
        });
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Suspend);
        }
    }

    /// All is read again, from where it stood.
    pub(super) fn end_suspension(&self) {
        if self.lock(&self.inner.holding.suspension).take().is_none() {
            return;
        }
        self.inner.common.clock.go_on();
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::GoOn);
        }
    }

    /// Sees how far a suspension is; ends it when no console is left that could.
    pub(crate) fn watch_suspension(&self) {
        let Some((since, flushed)) = self
            .lock(&self.inner.holding.suspension)
            .as_ref()
            .map(|s| (s.since, s.flushed))
        else {
            return;
        };
        let limit = self.plan().suspend_timeout;
        let force = !flushed && limit.is_some_and(|limit| since.elapsed() >= limit);
        let Some(stillness) = self.ask_stillness(force) else {
            return;
        };
        if stillness.consoles == 0 {
            match words::wanted() {
                true => theirs!(INFO, "admin disappeared when suspended, doing RESUME"),
                false => tracing::info!("the last console left while suspended: RESUME"),
            }
            drop(self.resume(None, "SUSPEND"));
        } else if stillness.unsent == 0
            && let Some(suspension) = self.lock(&self.inner.holding.suspension).as_mut()
        {
            suspension.flushed = true;
        }
    }

    /// The sum over all workers; `None`: not all have answered.
    fn ask_stillness(&self, force: bool) -> Option<Stillness> {
        let mailboxes = &self.inner.common.mailboxes;
        let (to, answers) = channel();
        for mailbox in mailboxes {
            mailbox.post(Mail::Stillness {
                force,
                to: to.clone(),
            });
        }
        drop(to);
        let end = Instant::now() + ANSWER_MAX;
        let mut sum = Stillness {
            unsent: 0,
            consoles: 0,
        };
        for _ in mailboxes {
            let left = end.saturating_duration_since(Instant::now());
            let one = answers.recv_timeout(left).ok()?;
            sum.unsent += one.unsent;
            sum.consoles += one.consoles;
        }
        Some(sum)
    }
}
