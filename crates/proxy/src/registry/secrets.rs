//! What pools log in with: rotated, learned from clients, read again.

use super::Registry;
use crate::compile;
use config::{Database, Plan, SecretRef};
use relay::{PoolInfo, PoolKey, ServerAuth, Target};
use std::sync::Arc;

impl Registry {
    /// Takes a plan that differs in its secrets only, and TLS towards servers.
    /// Connections that exist live on.
    pub(crate) fn rotate(
        &mut self,
        plan: Arc<Plan>,
        server_tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Rotated {
        self.plan = Arc::clone(&plan);
        self.server_tls = server_tls;
        let mut rotated = Rotated::default();
        for place in &mut self.places {
            let database = plan.database(&place.info.database);
            let auth = match (database, place.monitor) {
                (Some(database), false) => {
                    compile::server_auth(&plan, database, &place.info.user, None)
                }
                _ => compile::user_auth(&plan, &place.info.user),
            };
            // A pool whose users bring their own secrets keeps what it learned.
            if auth.password.is_none() || auth.password == place.info.auth.password {
                continue;
            }
            if let Some(before) = place.info.auth.password.clone() {
                rotated.before.push((place.info.key, before));
            }
            place.info = Arc::new(compile::with_auth(&place.info, auth));
            rotated.changed.push(Arc::clone(&place.info));
        }
        rotated
    }

    /// Where the secret of a pool is kept, if it can be read again.
    pub(crate) fn secret_ref(&self, key: PoolKey) -> Option<SecretRef> {
        let place = self.place(key)?;
        let of_user = || {
            let user = self.plan.users.get(&*place.info.user)?;
            user.secret_from.clone()
        };
        let from = match (self.database(&place.info.database), place.monitor) {
            (Some(database), false) if database.password.is_some() => {
                database.password_from.clone()
            }
            _ => of_user(),
        };
        // A variable cannot change while the process runs.
        from.filter(|from| !matches!(from, SecretRef::Env(_)))
    }

    pub(crate) fn can_reread(&self, key: Option<PoolKey>) -> bool {
        key.is_some_and(|key| self.secret_ref(key).is_some())
    }

    /// A pool whose users bring their own secrets learns a new one.
    pub(super) fn refreshed(
        &mut self,
        key: PoolKey,
        database: &Database,
        target: Option<&Target<'_>>,
    ) -> Option<Arc<PoolInfo>> {
        let learns = self.learns(database, &self.place(key)?.info, target);
        let place = self.places.get_mut(key.0 as usize)?;
        if learns && let Some(target) = target {
            let auth = ServerAuth {
                password: target.secret.map(Into::into),
                keys: target.keys.cloned(),
            };
            place.info = Arc::new(compile::with_auth(&place.info, auth));
            place.upstream.lock().forget_failure(place.pool);
        }
        Some(Arc::clone(&place.info))
    }

    /// The settings know no password of this pool's user, and this login brings
    /// another proof than the pool has: the first one, or that of a rotated secret.
    pub(super) fn learns(
        &self,
        database: &Database,
        info: &PoolInfo,
        target: Option<&Target<'_>>,
    ) -> bool {
        let Some(target) = target else { return false };
        let listed = self.plan.users.get(&*info.user);
        let stated = database.password.as_ref();
        let stated = stated.or(listed.and_then(|u| u.secret.as_ref()));
        let verifier = |s: &config::Secret| s.0.starts_with("SCRAM-SHA-256$");
        if *target.user != *info.user || stated.is_some_and(|s| !verifier(s)) {
            return false;
        }
        let keys = target.keys.is_some() && target.keys != info.auth.keys.as_ref();
        let secret = target.secret.is_some() && target.secret != info.auth.password.as_deref();
        keys || (secret && stated.is_none())
    }
}

/// What a rotation changed.
#[derive(Default)]
pub(crate) struct Rotated {
    /// Pools with a new secret.
    pub(crate) changed: Vec<Arc<PoolInfo>>,
    /// The secrets that they had before.
    pub(crate) before: Vec<(PoolKey, Box<str>)>,
}
