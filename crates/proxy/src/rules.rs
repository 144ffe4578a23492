//! The plan's host-based rules, as logins ask them.

use config::{Hba, Method};
use relay::{Auth, Caller, HostRules, Ruling};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rules of one plan.
#[derive(Debug)]
pub(crate) struct Rules {
    hba: Arc<Hba>,
    /// The system's users, where a rule asks for them.
    users: BTreeMap<u32, Box<str>>,
}

impl Rules {
    /// Reads the system's users too, where they are needed.
    pub(crate) fn new(hba: &Arc<Hba>) -> Rules {
        let users = match hba.uses(Method::Peer) {
            true => crate::passwd::users(),
            false => BTreeMap::new(),
        };
        Rules {
            hba: Arc::clone(hba),
            users,
        }
    }
}

impl HostRules for Rules {
    fn ruling(&self, caller: &Caller<'_>) -> Option<Ruling> {
        let rule = self.hba.first(&config::Caller {
            address: caller.address,
            tls: caller.tls,
            physical: caller.physical,
            database: caller.database,
            user: caller.user,
        })?;
        let names = rule.system_names(caller.user);
        Some(Ruling {
            method: match rule.method() {
                Method::Trust => Auth::Trust,
                Method::Reject => Auth::Reject,
                Method::Md5 => Auth::Md5,
                Method::Password => Auth::Plain,
                Method::Scram => Auth::Scram,
                Method::Peer => Auth::Peer,
                Method::Cert => Auth::Cert,
            },
            names: names.map(|names| names.into_iter().map(Into::into).collect()),
        })
    }

    fn system_user(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(|name| &**name)
    }
}
