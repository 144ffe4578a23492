//! Host names of servers: looked up by a thread of their own, for connections that
//! are about to be opened and, again and again, for servers that are in use.
//!
//! A look-up that fails keeps the last answer: a resolver that is away for a moment
//! must not make a server unreachable. What an answer means is for the pools to say
//! ([`pool::Upstream::named`]).

use crate::address::{Remote, addresses};
use crate::mail::Mail;
use crate::port::{Common, act};
use crate::registry::UpstreamCell;
use events::WorkerId;
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names remembered: each is of a server in the settings, or was.
const NAMES_MAX: usize = 4096;
/// A look-up that took so long holds others up; the log says so.
const SLOW: Duration = Duration::from_secs(1);

/// A name to be looked up.
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) asks: Asks,
}

/// Who wants to know.
pub(crate) enum Asks {
    /// A connection that is to be opened.
    Connection {
        worker: WorkerId,
        ticket: u64,
        /// An answer no older than this will do.
        age_max: Duration,
    },
    /// The pools of a server, whether it has moved.
    Server(Arc<UpstreamCell>),
}

/// An answer, and whether the last try gave none.
struct Known {
    at: Instant,
    remotes: Vec<Remote>,
    failing: bool,
}

/// The answers as the console shows them. The thread that looks names up writes them
/// here, so that nobody waits for a slow resolver.
#[derive(Default)]
pub(crate) struct Resolved(Mutex<BTreeMap<String, (Instant, Vec<String>)>>);

impl Resolved {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Vec<String>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str, known: Option<&Known>) {
        let Some(known) = known else { return };
        let mut found: Vec<String> = addresses(&known.remotes)
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        found.dedup();
        let mut all = self.lock();
        if all.len() >= NAMES_MAX && !all.contains_key(name) {
            all.clear();
        }
        all.insert(name.to_owned(), (known.at, found));
    }

    /// Names, the age of their answers, and these.
    pub(crate) fn rows(&self) -> Vec<(String, Duration, Vec<String>)> {
        let all = self.lock();
        let row = |(name, (at, found)): (&String, &(Instant, Vec<String>))| {
            (name.clone(), at.elapsed(), found.clone())
        };
        all.iter().map(row).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

/// Answers questions until nobody can ask any more.
pub(crate) fn run(common: &Common, questions: &Receiver<Question>) {
    let mut known = BTreeMap::new();
    while let Ok(Question { name, port, asks }) = questions.recv() {
        let key = (name, port);
        match asks {
            Asks::Connection {
                worker,
                ticket,
                age_max,
            } => {
                let longest = common.read().plan.monitor.dns_max_ttl.unwrap_or(age_max);
                let result = answer(&mut known, &key, age_max.min(longest), &look_up);
                common.resolved.note(&key.0, known.get(&key));
                common.post(worker, Mail::Resolved { ticket, result });
            }
            Asks::Server(cell) => {
                // Several may have asked while the resolver was slow.
                let fresh = Duration::from_millis(500);
                if let Ok(remotes) = answer(&mut known, &key, fresh, &look_up) {
                    let now = common.clock.now();
                    act(common, &cell, |u| u.named(now, &addresses(&remotes)));
                }
                common.resolved.note(&key.0, known.get(&key));
            }
        }
    }
}

fn look_up(name: &str, port: u16) -> Result<Vec<Remote>, String> {
    let begun = Instant::now();
    let found = (name, port).to_socket_addrs();
    if begun.elapsed() >= SLOW {
        let took_ms = begun.elapsed().as_millis() as u64;
        tracing::warn!(name, took_ms, "looking a host name up took long");
    }
    match found {
        Ok(addresses) => Ok(addresses.map(Remote::Tcp).collect()),
        Err(error) => Err(error.to_string()),
    }
}

type Names = BTreeMap<(String, u16), Known>;
type LookUp<'a> = dyn Fn(&str, u16) -> Result<Vec<Remote>, String> + 'a;

/// What is known, if that is young enough; else what the resolver says; and what
/// it said before when it says nothing.
fn answer(
    known: &mut Names,
    key: &(String, u16),
    age_max: Duration,
    look_up: &LookUp<'_>,
) -> Result<Vec<Remote>, String> {
    if let Some(before) = known.get(key)
        && before.at.elapsed() < age_max
    {
        return Ok(before.remotes.clone());
    }
    match look_up(&key.0, key.1) {
        Ok(remotes) => {
            if known.len() >= NAMES_MAX && !known.contains_key(key) {
                known.clear();
            }
            let fresh = Known {
                at: Instant::now(),
                remotes: remotes.clone(),
                failing: false,
            };
            let before = known.insert(key.clone(), fresh);
            if before.is_some_and(|before| before.failing) {
                tracing::info!(name = key.0, "the host name can be looked up again");
            }
            Ok(remotes)
        }
        Err(error) => match known.get_mut(key) {
            Some(before) => {
                if !std::mem::replace(&mut before.failing, true) {
                    tracing::warn!(
                        name = key.0,
                        error,
                        "a host name cannot be looked up: the last answer holds"
                    );
                }
                Ok(before.remotes.clone())
            }
            None => Err(format!("cannot look up host \"{}\": {error}", key.0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_failed_look_up_keeps_the_last_answer() {
        let turn = Cell::new(0u8);
        let look_up = |_: &str, port: u16| {
            turn.set(turn.get() + 1);
            match turn.get() {
                1 => Err("no such host".to_owned()),
                3 => Err("the resolver is away".to_owned()),
                n => Ok(vec![Remote::Tcp(([10, 0, 0, n], port).into())]),
            }
        };
        let mut known = Names::new();
        let key = ("db".to_owned(), 5432);
        let mut ask = |age_max: Duration| answer(&mut known, &key, age_max, &look_up);
        let (young, any) = (Duration::ZERO, Duration::from_secs(60));
        assert_eq!(
            ask(young),
            Err("cannot look up host \"db\": no such host".to_owned())
        );
        let two = Ok(vec![Remote::Tcp(([10, 0, 0, 2], 5432).into())]);
        assert_eq!(ask(young), two);
        assert_eq!(ask(young), two, "the resolver was away");
        assert_eq!(ask(any), two, "not asked again");
        assert_eq!(turn.get(), 3);
        assert_ne!(ask(young), two);
    }
}
