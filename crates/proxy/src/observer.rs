//! Somebody who watches what clients say and hear.

use events::CloseReason;
use events::snapshot::Address;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Is told of each client's bytes, in the order in which they went over its
/// socket and before the next ones are read.
///
/// It is for tools that explain one program's behaviour, as `plimsoll leaks`
/// does. A serving pooler has none; then it costs a comparison for each read
/// and write. The calls come from the workers' threads and hold these up, so
/// they must be short and must not wait.
pub trait Observer: Send + Sync {
    /// A client connected from one address to another. `client` is never used again.
    fn came(&self, client: u64, from: &Address, to: &Address);
    /// It sent these bytes, decrypted where there is TLS.
    fn said(&self, client: u64, bytes: &[u8]);
    /// These bytes are sent to it.
    fn heard(&self, client: u64, bytes: &[u8]);
    /// Its connection ended.
    fn left(&self, client: u64, reason: CloseReason);
}

/// A client that nobody watches.
pub(crate) const UNWATCHED: u64 = 0;

/// An observer, and the number of the last client that it was told of.
pub(crate) struct Watch {
    observer: Arc<dyn Observer>,
    last: AtomicU64,
}

impl Watch {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Watch {
        Watch {
            observer,
            last: AtomicU64::new(UNWATCHED),
        }
    }

    /// A client connected; what it is called from now on.
    pub(crate) fn came(&self, from: &Address, to: &Address) -> u64 {
        let client = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.observer.came(client, from, to);
        client
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }
}
