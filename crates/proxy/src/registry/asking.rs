//! Where `auth_query` is run.

use super::Registry;
use crate::held::ADMIN_DATABASE;
use relay::{NoLookUp, PoolInfo};
use std::sync::Arc;

impl Registry {
    /// The pool that runs `auth_query` for logins to `database`, if it is there already.
    pub(crate) fn known_auth_pool(
        &self,
        database: &str,
    ) -> Result<Option<Arc<PoolInfo>>, NoLookUp> {
        let (user, name) = self.auth_names(database)?;
        Ok(self.known_pool(&name, &user).map(Arc::clone))
    }

    /// The pool that runs `auth_query` for logins to `database`.
    pub(crate) fn auth_pool(&mut self, database: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        let (user, name) = self.auth_names(database)?;
        let found = self.database(&name).cloned();
        let settings = found.ok_or_else(|| NoLookUp::NotConfigured(name.as_str().into()))?;
        let pool = self.pool(&name, &user, &settings, None);
        pool.ok_or(NoLookUp::Unasked)
    }

    /// User and database of the look-up for logins to `database`, which may be the console.
    fn auth_names(&self, database: &str) -> Result<(String, String), NoLookUp> {
        let plan = &self.plan;
        let console = database == ADMIN_DATABASE;
        let asked = self.database(database).filter(|_| !console);
        if asked.is_none() && !console {
            return Err(NoLookUp::Unasked);
        }
        let user = asked.and_then(|d| d.auth_user.as_ref());
        let user = user.or(plan.auth_user.as_ref());
        let user = user.ok_or(NoLookUp::Unasked)?;
        let name = asked.and_then(|d| d.auth_dbname.as_deref());
        let name = name.or(plan.auth_dbname.as_deref()).unwrap_or(database);
        if name == ADMIN_DATABASE {
            return Err(NoLookUp::Reserved);
        }
        if self.held.is_disabled(name) {
            return Err(NoLookUp::Disabled(name.into()));
        }
        Ok((user.clone(), name.to_owned()))
    }
}
