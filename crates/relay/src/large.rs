//! Large unnamed statements that clients keep without a server connection.
//!
//! Drivers that prepare the unnamed statement in one batch and bind it in the
//! next (lib/pq, pgx without a cache) need its text again on another
//! connection. Small texts stay with their client. Large ones share one bound;
//! who prepared longest ago loses theirs first.

use crate::slots::Slots;
use crate::{client::Client, statements::Statement};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Texts up to this length, in bytes, are kept without being counted.
const COUNTED_FROM: usize = 64 * 1024;

/// Bytes of large texts that a worker's clients keep between their leases.
pub(crate) const LARGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Who keeps a large unnamed statement, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Large {
    /// The client's slot, the statement, its length. Entries may be outdated:
    /// the client may have gone or prepared something else.
    kept: VecDeque<(u32, Weak<Statement>, usize)>,
    bytes: usize,
}

impl Large {
    /// `slot` returns its connection. Takes the oldest large statements from
    /// their clients while all of them together are above the bound.
    pub(crate) fn keep(&mut self, slot: u32, clients: &mut Slots<Client>) {
        let Some(statement) = clients
            .get(slot)
            .and_then(|c| c.ext.as_ref()?.unnamed.as_ref())
            .filter(|s| s.text.len() > COUNTED_FROM)
        else {
            return;
        };
        let known = |(of, kept, _): &(u32, Weak<Statement>, usize)| {
            *of == slot && std::ptr::eq(kept.as_ptr(), Arc::as_ptr(statement))
        };
        if self.kept.iter().any(known) {
            return;
        }
        let len = statement.text.len();
        self.kept.push_back((slot, Arc::downgrade(statement), len));
        self.bytes += len;
        while self.bytes > LARGE_BYTES_MAX
            && let Some((slot, kept, len)) = self.kept.pop_front()
        {
            self.bytes -= len;
            if let Some(ext) = clients.get_mut(slot).and_then(|c| c.ext.as_mut())
                && let Some(unnamed) = &ext.unnamed
                && std::ptr::eq(kept.as_ptr(), Arc::as_ptr(unnamed))
            {
                ext.unnamed = None;
            }
        }
    }
}
