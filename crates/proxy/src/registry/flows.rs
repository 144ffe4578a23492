//! Clients by their flows: counted for the limits per user.

use super::Registry;
use events::FlowId;
use relay::PoolKey;
use std::sync::PoisonError;

impl Registry {
    /// A client of the flow named `name` begins to use a pool.
    pub(crate) fn join(&self, key: PoolKey, flow: FlowId, name: &str) {
        // The pooler's own look-ups have no user; the shared flow has many.
        if let Some((user, _)) = name.split_once('\0')
            && flow != FlowId(0)
        {
            let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = flows.entry((key, flow));
            entry.or_insert_with(|| (user.into(), 0)).1 += 1;
        }
    }

    pub(crate) fn leave(&self, key: PoolKey, flow: FlowId) {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, n)) = flows.get_mut(&(key, flow)) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                flows.remove(&(key, flow));
            }
        }
    }

    /// Clients that logged in as `user`.
    pub(super) fn clients_of(&self, user: &str) -> u32 {
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let of = flows.values().filter(|(name, _)| **name == *user);
        of.map(|(_, n)| n).sum()
    }
}
