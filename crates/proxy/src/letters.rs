//! A list of letters with one wake-up, and the pools' lock.
//!
//! The two ways in which workers meet stand here alone, on the locks that
//! `crate::sync` names: the tests run this very file over many schedules, with
//! locks that a scheduler controls (tests/schedules.rs).

use crate::sync::{AtomicBool, Mutex, Ordering, PoisonError};
use events::WorkerId;
use pool::{Action, Upstream};

/// Letters to one thread. Any thread may post; the owner collects.
pub(crate) struct Letters<T> {
    /// Locked for a push or a swap. `None`: the owner has ended.
    list: Mutex<Option<Vec<T>>>,
    /// A wake-up is on its way: further letters need no other.
    awake: AtomicBool,
}

impl<T> Letters<T> {
    pub(crate) fn new() -> Letters<T> {
        Letters {
            list: Mutex::new(Some(Vec::new())),
            awake: AtomicBool::new(false),
        }
    }

    /// Adds a letter; `wake` must end the owner's sleep, or keep it from the next.
    /// Once the owner has ended the letter is dropped: who waits for its answer
    /// learns at once that none will come.
    pub(crate) fn post(&self, letter: T, wake: impl FnOnce()) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(letters) = list.as_mut() else {
            // What a letter holds may close sockets: not under the lock.
            drop(list);
            return drop(letter);
        };
        letters.push(letter);
        drop(list);
        if !self.awake.swap(true, Ordering::AcqRel) {
            wake();
        }
    }

    /// Takes all letters. A letter posted after this wakes the owner again.
    pub(crate) fn collect(&self, into: &mut Vec<T>) {
        // First the flag, then the list: who posts in between wakes once too
        // often, not once too little. A swap, not a store, because it also
        // orders: whoever found the flag still set has pushed before this.
        self.awake.swap(false, Ordering::AcqRel);
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(letters) = list.as_mut() {
            std::mem::swap(letters, into);
        }
    }

    /// The owner ends: what was not collected is dropped, and so is what follows.
    pub(crate) fn close(&self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let left = list.take();
        drop(list);
        drop(left);
    }
}

/// Runs `f` on a server's pools under their lock, and hands on what they want
/// done, still under it: so each worker learns of decisions in their order.
pub(crate) fn with_pools<R>(
    pools: &Mutex<Upstream>,
    f: impl FnOnce(&mut Upstream) -> R,
    mut hand_on: impl FnMut(WorkerId, Action),
) -> R {
    let mut upstream = pools.lock().unwrap_or_else(PoisonError::into_inner);
    let result = f(&mut upstream);
    while let Some(action) = upstream.poll() {
        hand_on(action.worker(), action);
    }
    result
}
