//! Threads beside the loops: key derivation, name look-ups and secrets that are
//! read again, all of which would hold a loop up.

use crate::address::Remote;
use crate::mail::Mail;
use crate::port::Common;
use crate::secrets::{self, Doubted};
use events::{Time, WorkerId};
use relay::{DeriveJob, Peer};
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use wire::scram;

/// The monotonic clock, from the start of the process.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Work that waits for a helper. Bounded by what the workers may have in
/// flight: a login each, a server connection each.
const JOBS_MAX: usize = 65_536;
/// Refused logins that wait until their secret was read again; beyond these
/// they fail without that.
const DOUBTS_MAX: usize = 4096;
/// How long an answer of the resolver is used again.
const NAME_TTL: Duration = Duration::from_secs(5);

struct Derivation {
    worker: WorkerId,
    peer: Peer,
    generation: u32,
    job: DeriveJob,
}

struct Question {
    worker: WorkerId,
    ticket: u64,
    name: String,
    port: u16,
}

/// Handles to the helper threads. They end when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Helpers {
    derive: SyncSender<Derivation>,
    resolve: SyncSender<Question>,
    doubts: SyncSender<Doubted>,
}

impl Helpers {
    pub(crate) fn start(common: &Arc<Common>) -> std::io::Result<Helpers> {
        let (derive, derivations) = sync_channel(JOBS_MAX);
        let (resolve, questions) = sync_channel(JOBS_MAX);
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || keys(&shared, &derivations))?;
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("names".into())
            .spawn(move || names(&shared, &questions))?;
        let (doubts, doubted) = sync_channel(DOUBTS_MAX);
        let shared = Arc::clone(common);
        std::thread::Builder::new()
            .name("secrets".into())
            .spawn(move || secrets::run(&shared, &doubted))?;
        Ok(Helpers {
            derive,
            resolve,
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

    pub(crate) fn resolve(&self, worker: WorkerId, ticket: u64, name: &str, port: u16) {
        if let Err(TrySendError::Full(_)) = self.resolve.try_send(Question {
            worker,
            ticket,
            name: name.to_owned(),
            port,
        }) {
            tracing::error!(reason = "queue_full", "name look-up dropped");
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

fn names(common: &Common, questions: &Receiver<Question>) {
    let mut known: BTreeMap<(String, u16), (Instant, Vec<Remote>)> = BTreeMap::new();
    while let Ok(question) = questions.recv() {
        let key = (question.name, question.port);
        known.retain(|_, (at, _)| at.elapsed() < NAME_TTL);
        let result = match known.get(&key) {
            Some((_, remotes)) => Ok(remotes.clone()),
            None => match (key.0.as_str(), key.1).to_socket_addrs() {
                Ok(addresses) => {
                    let remotes: Vec<_> = addresses.map(Remote::Tcp).collect();
                    known.insert(key.clone(), (Instant::now(), remotes.clone()));
                    Ok(remotes)
                }
                Err(error) => Err(format!("cannot look up host \"{}\": {error}", key.0)),
            },
        };
        common.post(
            question.worker,
            Mail::Resolved {
                ticket: question.ticket,
                result,
            },
        );
    }
}
