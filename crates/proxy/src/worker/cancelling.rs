//! Cancel requests to servers: few at a time, each on a connection of its own.

use super::Worker;
use crate::outgoing::Purpose;

/// Cancel requests of one worker that are under way at a time. They take no slot
/// of the line, but each is a process that the server starts; the others wait,
/// at most two for each server connection.
const CANCELS_AT_ONCE: usize = 16;

impl Worker {
    /// Sends a cancel request, at once or when others have ended.
    pub(super) fn begin_cancel(&mut self, cancel: Purpose) {
        self.cancels.push_back(cancel);
        self.next_cancels();
    }

    /// Cancel requests ended: others may begin.
    pub(super) fn next_cancels(&mut self) {
        while self.cancels_under_way() < CANCELS_AT_ONCE {
            let Some(cancel) = self.cancels.pop_front() else {
                return;
            };
            match cancel {
                Purpose::Cancel { server, conn, .. }
                    if self.hub.server_pool(server, conn).is_none() =>
                {
                    // What it was to end has ended; its process number may be another's.
                    self.cancel_ended(server, conn);
                }
                cancel => self.connect(cancel),
            }
        }
    }

    fn cancels_under_way(&self) -> usize {
        let cancels = self.outgoing.iter();
        cancels
            .filter(|(_, o)| matches!(o.purpose, Purpose::Cancel { .. }))
            .count()
    }
}
