//! The journal, as the pooler's worker and the other threads write it.

use super::peers::Finder;
use events::CloseReason;
use events::snapshot::Address;
use rehearse::leaks::facts::{Ended, How, Moment, Pid, Record};
use rehearse::leaks::journal::{Journal, Mark};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970: the clock that the hooks have, too.
pub(super) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// Writes down what the clients say and hear.
#[derive(Default)]
pub(super) struct Tap {
    journal: Mutex<Journal>,
    /// Only the pooler's one worker asks it.
    finder: Mutex<Finder>,
}

impl Tap {
    fn write<T>(&self, what: impl FnOnce(&mut Journal) -> T) -> T {
        what(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn mark(&self, at: Moment, pid: Pid, mark: Mark) {
        self.write(|journal| journal.mark(at, pid, mark));
    }

    pub(super) fn line(&self, at: Moment, text: &str) {
        self.write(|journal| journal.line(at, text));
    }

    /// Clients that are connected.
    pub(super) fn open(&self) -> usize {
        self.write(|journal| journal.open())
    }

    /// What is known, at the end.
    pub(super) fn close(&self, ended: Ended) -> Record {
        self.write(std::mem::take).close(ended)
    }
}

impl proxy::Observer for Tap {
    fn came(&self, client: u64, from: &Address, to: &Address) {
        let (Address::Tcp(from), Address::Tcp(to)) = (from, to) else {
            return;
        };
        self.write(|journal| journal.came(now(), client, from.port()));
        let mut finder = self.finder.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that is not found is unknown, which the rules allow for.
        if let Some((pid, command)) = finder.find(from.port(), to.port()) {
            self.write(|journal| journal.belongs(from.port(), pid, &command));
        }
    }

    fn said(&self, client: u64, bytes: &[u8]) {
        self.write(|journal| journal.said(now(), client, bytes));
    }

    fn heard(&self, client: u64, bytes: &[u8]) {
        self.write(|journal| journal.heard(now(), client, bytes));
    }

    fn left(&self, client: u64, reason: CloseReason) {
        let how = match reason {
            CloseReason::ClientTerminate => How::Goodbye,
            CloseReason::ClientGone => How::Lost,
            _ => How::Refused,
        };
        self.write(|journal| journal.left(now(), client, how));
    }
}
