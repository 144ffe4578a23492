//! One client of an application.

use super::Login;
use super::{App, Chance, Release, Shared, Work};
use crate::client::{Client, ClientError};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Pause after a failure, so that a broken pooler is not flooded.
const AFTER_ERROR: Duration = Duration::from_millis(250);
/// How often a client that is away, or silent, looks whether that changed.
const LOOK: Duration = Duration::from_millis(200);
/// How long a first connection may lie in the past: clients do not come all at once.
const SPREAD_MS: u64 = 300;

/// Which client it is.
pub(super) struct Place {
    /// The application's index.
    pub at: usize,
    /// Which of its clients.
    pub number: usize,
    /// Where the meter has a place for it.
    pub slot: usize,
}

/// A connection, and for which epoch and release it was made.
struct Session {
    client: Client,
    epoch: u64,
}

/// Works until the crowd is let go.
pub(super) fn run(shared: &Shared, place: &Place, login: &Login) {
    let app = &shared.apps[place.at];
    let mut chance = Chance(place.slot as u64 + 1);
    let mut session: Option<Session> = None;
    shared.rest(Duration::from_millis(chance.below(SPREAD_MS)));
    while !shared.stopped() {
        if place.number >= app.dial.clients.load(Relaxed) || app.dial.blocked.load(Relaxed) {
            session = None;
            shared.rest(LOOK);
            continue;
        }
        if session
            .as_ref()
            .is_some_and(|s| s.epoch != app.dial.epoch.load(Relaxed))
        {
            session = None;
        }
        let release = app.release();
        let began = Instant::now();
        shared.meter.begin(place.slot, place.at);
        let result = unit(shared, place, &mut session, (release, login), &mut chance);
        shared.meter.end(place.slot);
        // What was cut off because all end says nothing.
        if shared.stopped() {
            return;
        }
        match result {
            Ok(true) => shared.meter.note(place.at, began.elapsed(), None),
            Ok(false) => session = None,
            Err(error) => {
                let took = began.elapsed();
                shared.meter.note(place.at, took, Some(error.to_string()));
                // An error reply leaves the session as it is; the end of one does not.
                if error.code().is_none_or(|code| code.starts_with("57P")) {
                    session = None;
                }
                shared.rest(AFTER_ERROR);
            }
        }
        shared.rest(pause(app, &mut chance));
        if release.logs_in {
            session = None;
        }
    }
}

/// One unit of work, with a login where there is no session. `false`: a
/// transaction was forgotten, and somebody ended the session.
fn unit(
    shared: &Shared,
    place: &Place,
    session: &mut Option<Session>,
    (release, login): (&'static Release, &Login),
    chance: &mut Chance,
) -> Result<bool, ClientError> {
    let app = &shared.apps[place.at];
    let open = match session {
        Some(open) => open,
        None => session.insert(log_in(app, login)?),
    };
    let client = &mut open.client;
    match chance.pick(release.work) {
        Work::Query(sql) => client.query(&chance.fill(sql)).map(|_| true),
        Work::Pair(first, pause_ms, second) => {
            client.query("begin")?;
            let first = client.query(&chance.fill(first));
            shared.rest(Duration::from_millis(pause_ms));
            let both = first.and_then(|_| client.query(&chance.fill(second)));
            match both {
                Ok(_) => client.query("commit").map(|_| true),
                Err(error) => {
                    // Where the session ended, this fails too, and the error says why.
                    client.query("rollback").ok();
                    Err(error)
                }
            }
        }
        Work::Forget(sql) => {
            client.query("begin")?;
            client.query(&chance.fill(sql))?;
            shared.meter.end(place.slot);
            let epoch = open.epoch;
            while !shared.stopped() && app.dial.epoch.load(Relaxed) == epoch {
                if open.client.listen(LOOK).is_err() {
                    break;
                }
            }
            Ok(false)
        }
    }
}

fn log_in(app: &App, login: &Login) -> Result<Session, ClientError> {
    // Before the name is read: who is late for a deploy logs in once more.
    let epoch = app.dial.epoch.load(Relaxed);
    let client = Client::connect(login, &app.name_now())?;
    Ok(Session { client, epoch })
}

/// From half the mean to one and a half.
fn pause(app: &App, chance: &mut Chance) -> Duration {
    let mean = app.dial.think_us.load(Relaxed);
    Duration::from_micros(mean / 2 + chance.below(mean.max(1)))
}
