//! Threads beside the loops: key derivation, name look-ups and secrets that are
//! read again, all of which would hold a loop up.

use crate::mail::Mail;
use crate::names::{self, Asks, Question};
use crate::port::Common;
use crate::registry::UpstreamCell;
use crate::secrets::{self, Doubted};
use events::{Time, WorkerId};
use relay::{DeriveJob, Peer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use wire::scram;

/// The monotonic clock, from the start of the process. It stands still while the pooler
/// is suspended, so that no timeout of any session or pool ends then.
pub(crate) struct Clock {
    origin: Instant,
    /// Twice what it lags behind, in microseconds; while it stands: twice its time, and one.
    state: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            origin: Instant::now(),
            state: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Time {
        let state = self.state.load(Ordering::Acquire);
        Time::from_micros(match state & 1 {
            1 => state >> 1,
            _ => self.running().saturating_sub(state >> 1),
        })
    }

    /// Stands still from now on. Called by one thread at a time, as [`Clock::go_on`] is.
    pub(crate) fn stop(&self) {
        let at = self.now().as_micros();
        self.state.store(at << 1 | 1, Ordering::Release);
    }

    /// Goes on from where it stood.
    pub(crate) fn go_on(&self) {
        let state = self.state.load(Ordering::Acquire);
        if state & 1 == 1 {
            let lag = self.running().saturating_sub(state >> 1);
            self.state.store(lag << 1, Ordering::Release);
        }
    }

    fn running(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Work that waits for a helper. Bounded by what the workers may have in
/// flight: a login each, a server connection each.
const JOBS_MAX: usize = 65_536;
/// Refused logins that wait until their secret was read again; beyond these
/// they fail without that.
const DOUBTS_MAX: usize = 4096;

struct Derivation {
    worker: WorkerId,
    peer: Peer,
    generation: u32,
    job: DeriveJob,
}

/// Handles to the helper threads. They end when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Helpers {
    derive: SyncSender<Derivation>,
    names: SyncSender<Question>,
    doubts: SyncSender<Doubted>,
}

impl Helpers {
    pub(crate) fn start(common: &Arc<Common>) -> std::io::Result<Helpers> {
        let (derive, derivations) = sync_channel(JOBS_MAX);
        let (names, questions) = sync_channel(JOBS_MAX);
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || keys(&shared, &derivations))?;
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("names".into())
            .spawn(move || names::run(&shared, &questions))?;
        let (doubts, doubted) = sync_channel(DOUBTS_MAX);
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("secrets".into())
            .spawn(move || secrets::run(&shared, &doubted))?;
        Ok(Helpers {
            derive,
            names,
            doubts,
        })
    }

    /// Derives keys; a full queue drops the job, and the login ends at its timeout.
    pub(crate) fn derive(&self, worker: WorkerId, peer: Peer, generation: u32, job: DeriveJob) {
        if let Err(TrySendError::Full(_)) = self.derive.try_send(Derivation {
            worker,
            peer,
            generation,
            job,
        }) {
            tracing::error!(reason = "queue_full", "key derivation dropped");
        }
    }

    /// Reads the secret of a refused login again. `false`: too many wait for that.
    pub(crate) fn doubt(&self, doubted: Doubted) -> bool {
        self.doubts.try_send(doubted).is_ok()
    }

    /// Looks a name up for a connection; an answer that is not older than
    /// `age_max` will do.
    pub(crate) fn resolve(
        &self,
        worker: WorkerId,
        ticket: u64,
        name: String,
        port: u16,
        age_max: Duration,
    ) {
        let asks = Asks::Connection {
            worker,
            ticket,
            age_max,
        };
        if let Err(TrySendError::Full(_)) = self.names.try_send(Question { name, port, asks }) {
            tracing::error!(reason = "queue_full", "name look-up dropped");
        }
    }

    /// Looks a server's name up and tells its pools, if it has one name. A full
    /// queue drops the question: the next one follows in seconds.
    pub(crate) fn watch_name(&self, server: &Arc<UpstreamCell>) {
        let endpoint = server.endpoint();
        if let Some((name, port)) = endpoint.name().filter(|_| endpoint.direct().is_none()) {
            let name = name.to_owned();
            let asks = Asks::Server(Arc::clone(server));
            let _ = self.names.try_send(Question { name, port, asks });
        }
    }
}

fn keys(common: &Common, jobs: &Receiver<Derivation>) {
    while let Ok(work) = jobs.recv() {
        let DeriveJob {
            password,
            salt,
            iterations,
        } = work.job;
        let keys = scram::Keys::derive(password.as_bytes(), &salt, iterations);
        common.post(
            work.worker,
            Mail::Derived {
                peer: work.peer,
                generation: work.generation,
                keys,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_goes_on_from_where_it_stood() {
        let clock = Clock::start();
        clock.stop();
        let stood = clock.now();
        while clock.running() < stood.as_micros() + 3_000 {
            assert_eq!(clock.now(), stood);
        }
        clock.stop();
        assert_eq!(clock.now(), stood, "twice is once");
        clock.go_on();
        let lag = clock.running() - clock.now().as_micros();
        assert!(lag >= 2_000 && clock.now() >= stood, "{lag}");
        clock.go_on();
        assert!(clock.now() >= stood);
    }
}
