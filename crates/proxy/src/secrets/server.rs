//! A server that refuses a login: the secret is read again, once, elsewhere
//! than on the worker, and the login goes on with what is new.

use super::{Asked, refresh};
use crate::compile;
use crate::mail::Mail;
use crate::port::Common;
use config::SecretRef;
use events::{ConnId, WorkerId};
use relay::{PoolInfo, PoolKey, ServerAuth};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A secret is read for refused logins at most this often.
const REREAD_PAUSE: Duration = Duration::from_secs(1);
/// A replaced password is tried again for so long: the file may be rotated
/// before the role is.
pub(super) const PREVIOUS_MAX: Duration = Duration::from_secs(3600);

/// Pause between two lines of the log that say so.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// A login that a server refused.
pub(crate) struct Doubted {
    pub(crate) worker: WorkerId,
    pub(crate) slot: u32,
    pub(crate) conn: ConnId,
    /// What it logged in with.
    pub(crate) info: Arc<PoolInfo>,
    /// Secrets that the server has refused in this login.
    pub(crate) count: u8,
}

/// What follows for it.
pub(crate) enum Verdict {
    /// There is another secret: log in with this.
    Again(Arc<PoolInfo>),
    /// There is none. `for_good`: waiting is not expected to mend it.
    Refused { for_good: bool },
}

/// The helper thread; it ends with the data plane.
pub(crate) fn run(common: &Common, doubts: &Receiver<Doubted>) {
    while let Ok(doubted) = doubts.recv() {
        let verdict = judge(common, &doubted);
        common.post(
            doubted.worker,
            Mail::Judged {
                slot: doubted.slot,
                conn: doubted.conn,
                verdict,
            },
        );
    }
}

fn judge(common: &Common, doubted: &Doubted) -> Verdict {
    let used = &doubted.info.auth.password;
    // Once it has logged in with a secret that is kept elsewhere, a refusal is
    // most likely a rotation that is not complete.
    let for_good = doubted.info.greeting.lock().is_ok_and(|g| g.is_none());
    let refused = Verdict::Refused { for_good };
    if doubted.count > 1 {
        return refused;
    }
    let key = doubted.info.key;
    let Some(from) = common.read().secret_ref(key) else {
        return refused;
    };
    read_again(common, &from);
    let Some(now) = common.read().place(key).map(|p| Arc::clone(&p.info)) else {
        return refused;
    };
    if now.auth.password != *used || now.auth.keys != doubted.info.auth.keys {
        tracing::info!(
            database = &*now.database,
            user = &*now.user,
            "the server refused the password, and there is a new one: it is tried"
        );
        return Verdict::Again(now);
    }
    match previous(common, key, used.as_deref()) {
        Some((password, say)) => {
            if say {
                tracing::info!(
                    database = &*now.database,
                    user = &*now.user,
                    "the server refused the new password: the one before it is tried"
                );
            }
            let auth = ServerAuth {
                password: Some(password),
                keys: None,
            };
            Verdict::Again(Arc::new(compile::with_auth(&now, auth)))
        }
        None => refused,
    }
}

/// The password before the one that was refused, and whether to say so: every
/// new connection comes by here until the role has the new one.
fn previous(common: &Common, key: PoolKey, used: Option<&str>) -> Option<(Box<str>, bool)> {
    let mut state = common.secrets.state();
    let (password, at) = state.previous.get(&key)?;
    if at.elapsed() >= PREVIOUS_MAX || Some(&**password) == used {
        return None;
    }
    let password = password.clone();
    let said = state
        .said
        .get(&key)
        .is_some_and(|at| at.elapsed() < SAY_AGAIN);
    if !said {
        state.said.insert(key, Instant::now());
    }
    Some((password, !said))
}

/// Reads one secret, unless that was just done for another login.
fn read_again(common: &Common, from: &SecretRef) {
    {
        let mut state = common.secrets.state();
        state.reread.retain(|_, at| at.elapsed() < REREAD_PAUSE);
        if state.reread.contains_key(from) {
            return;
        }
        state.reread.insert(from.clone(), Instant::now());
    }
    if let SecretRef::Command(command) = from {
        common.secrets.disk.doubt(command);
    }
    refresh(
        common,
        &Asked {
            secrets: &|other| other == from,
            tls: false,
            again: true,
        },
    );
}
