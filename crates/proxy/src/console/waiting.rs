//! Statements that are answered when something has come to pass: PAUSE when the last
//! server connection is closed, SUSPEND when every byte is out, WAIT_CLOSE when those
//! connections that were to be closed are.

use super::refusal;
use crate::admin::Handle;
use crate::held::Verb;
use crate::registry::{Place, Registry};
use events::{ClientId, Time, WorkerId};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Statements that wait at a time.
const WAITS_MAX: usize = 64;
/// Between two looks at whether they are done.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// A statement that has no answer yet.
struct Wait {
    client: ClientId,
    verb: Verb,
    database: Option<String>,
    /// The user, for the log.
    user: String,
    /// The client does not want to wait any more.
    cancelled: bool,
}

/// All of them. The console's thread begins and ends them; workers say who left and
/// who cancelled.
#[derive(Default)]
pub(crate) struct Waits(Mutex<Vec<Wait>>);

impl Waits {
    fn lock(&self) -> MutexGuard<'_, Vec<Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// The client in this slot is gone: nobody waits for the answer. What the
    /// statement did stays as it is.
    pub(crate) fn left(&self, worker: WorkerId, slot: u32) {
        self.lock()
            .retain(|wait| (wait.client.worker, wait.client.slot) != (worker, slot));
    }

    /// The client in this slot cancelled what it waits for.
    pub(crate) fn cancel(&self, worker: WorkerId, slot: u32) {
        for wait in self.lock().iter_mut() {
            if (wait.client.worker, wait.client.slot) == (worker, slot) {
                wait.cancelled = true;
            }
        }
    }
}

/// Answers now, or later, a PAUSE, a SUSPEND or a WAIT_CLOSE that was carried out.
pub(super) fn begin(
    handle: &Handle,
    client: ClientId,
    verb: Verb,
    database: Option<&str>,
    user: &str,
) -> Option<Vec<u8>> {
    let wait = Wait {
        client,
        verb,
        database: database.map(str::to_owned),
        user: user.to_owned(),
        cancelled: false,
    };
    if let Some(reply) = outcome(handle, &wait) {
        return Some(reply);
    }
    let mut waits = handle.common().waits.lock();
    if waits.len() >= WAITS_MAX {
        let text = format!("{WAITS_MAX} statements wait already; this one was carried out");
        return Some(refusal(handle, "53300", &text));
    }
    waits.push(wait);
    None
}

/// Answers what is done.
pub(super) fn look(handle: &Handle) {
    handle.watch_suspension();
    let (mut replies, mut ended) = (Vec::new(), Vec::new());
    handle.common().waits.lock().retain_mut(|wait| {
        if wait.cancelled {
            ended.push((
                wait.client,
                wait.verb,
                wait.database.take(),
                wait.user.clone(),
            ));
            return false;
        }
        match outcome(handle, wait) {
            Some(reply) => {
                replies.push((wait.client, reply));
                false
            }
            None => true,
        }
    });
    for (client, verb, database, user) in ended {
        let mut text = "canceling statement due to user request".to_owned();
        if matches!(verb, Verb::Pause | Verb::Suspend) {
            // As in PgBouncer: who gives PAUSE up has not paused.
            match handle.administer(Verb::Resume, database.as_deref(), &user) {
                Ok(()) => text.push_str(": resumed"),
                Err(why) => text = format!("{text}: {why}"),
            }
        }
        replies.push((client, refusal(handle, "57014", &text)));
    }
    for (client, reply) in replies {
        handle.console_reply(client, reply);
    }
}

/// The answer, once there is one.
fn outcome(handle: &Handle, wait: &Wait) -> Option<Vec<u8>> {
    let registry = handle.common().read();
    let database = wait.database.as_deref();
    let done = match wait.verb {
        Verb::Pause if !registry.held.holds(database) => {
            drop(registry);
            let text = "PAUSE was ended by RESUME before all server connections were closed";
            return Some(refusal(handle, "57014", text));
        }
        Verb::Suspend if !registry.held.suspended() => {
            drop(registry);
            let text = "SUSPEND was ended by RESUME before all buffers were empty";
            return Some(refusal(handle, "57014", text));
        }
        Verb::Pause => !is_connected(&registry, database),
        Verb::Suspend => handle.is_flushed(),
        _ => !is_closing(&registry, database),
    };
    done.then(|| {
        let mut reply = Vec::new();
        wire::back::command_complete(&mut reply, wait.verb.word());
        reply
    })
}

fn concerns(place: &Place, database: Option<&str>) -> bool {
    database.is_none_or(|name| *place.info.database == *name)
}

/// Whether a pool has any connection, in whatever state.
fn is_connected(registry: &Registry, database: Option<&str>) -> bool {
    let places = registry.places().iter();
    places.filter(|p| concerns(p, database)).any(|place| {
        let f = place.upstream.lock().figures(place.pool, Time::ZERO);
        f.opening + f.idle + f.lent + f.moving + f.closing > 0
    })
}

/// Whether a connection that was marked for closing is still there.
fn is_closing(registry: &Registry, database: Option<&str>) -> bool {
    registry.upstreams().iter().any(|upstream| {
        let pools = upstream.lock();
        pools.conns().any(|conn| {
            let key = registry.key_of(upstream.id, conn.pool);
            let place = key.and_then(|key| registry.place(key));
            conn.close_needed.is_some() && place.is_some_and(|p| concerns(p, database))
        })
    })
}
