//! Clients by their flows, and those of the console: counted for the limits on clients.

use super::Registry;
use events::FlowId;
use relay::PoolKey;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

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
        let pooled: u32 = of.map(|(_, n)| n).sum();
        drop(flows);
        pooled + self.consoles().get(user).copied().unwrap_or(0)
    }

    /// A client enters the console. Errors: the limit that keeps it out; administrators come in always, and count.
    pub(crate) fn console_in(&self, user: &str, admin: bool) -> Result<(), &'static str> {
        if !admin {
            let all: u32 = self.consoles().values().sum();
            if self
                .plan
                .max_db_client_connections
                .is_some_and(|max| all >= max)
            {
                return Err("max_db_client_connections");
            }
            let of_user = self.user_client_limit(user);
            if of_user.is_some_and(|max| self.clients_of(user) >= max) {
                return Err("max_user_client_connections");
            }
        }
        *self.consoles().entry(user.into()).or_default() += 1;
        Ok(())
    }

    /// It left.
    pub(crate) fn console_out(&self, user: &str) {
        let mut consoles = self.consoles();
        if let Some(n) = consoles.get_mut(user) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                consoles.remove(user);
            }
        }
    }

    fn consoles(&self) -> MutexGuard<'_, BTreeMap<Box<str>, u32>> {
        self.consoles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most clients that may be logged in as `user`.
    pub(super) fn user_client_limit(&self, user: &str) -> Option<u32> {
        let of_user = self.plan.users.get(user);
        of_user
            .and_then(|u| u.max_user_client_connections)
            .or(self.plan.max_user_client_connections)
    }
}
