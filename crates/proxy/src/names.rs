//! Host names of servers: looked up by a thread of their own, for connections that
//! are about to be opened and, again and again, for servers that are in use.
//!
//! A look-up that fails keeps the last answer: a resolver that is away for a moment
//! must not make a server unreachable. A name that never had one is not asked for again
//! within `dns_nxdomain_ttl`, so that clients of it do not beset the resolver. What an answer means is for the pools to say
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
    let mut known = Names::default();
    while let Ok(Question { name, port, asks }) = questions.recv() {
        let key = (name, port);
        match asks {
            Asks::Connection {
                worker,
                ticket,
                age_max,
            } => {
                let plan = Arc::clone(&common.read().plan);
                let longest = plan.monitor.dns_max_ttl.unwrap_or(age_max);
                let ages = Ages {
                    found: age_max.min(longest),
                    failed: plan.monitor.dns_nxdomain_ttl.unwrap_or_default(),
                };
                let result = known.answer(&key, ages, &look_up);
                common.resolved.note(&key.0, known.found.get(&key));
                common.post(worker, Mail::Resolved { ticket, result });
            }
            Asks::Server(cell) => {
                // Several may have asked while the resolver was slow.
                let ages = Ages {
                    found: Duration::from_millis(500),
                    failed: Duration::ZERO,
                };
                if let Ok(remotes) = known.answer(&key, ages, &look_up) {
                    let now = common.clock.now();
                    act(common, &cell, |u| u.named(now, &addresses(&remotes)));
                }
                common.resolved.note(&key.0, known.found.get(&key));
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

type Key = (String, u16);
type LookUp<'a> = dyn Fn(&str, u16) -> Result<Vec<Remote>, String> + 'a;

/// How old what is remembered may be.
#[derive(Clone, Copy)]
struct Ages {
    /// An answer.
    found: Duration,
    /// That there was none.
    failed: Duration,
}

/// What the resolver said.
#[derive(Default)]
struct Names {
    found: BTreeMap<Key, Known>,
    /// Names that never had an answer: when they were last asked for, and what was said.
    failed: BTreeMap<Key, (Instant, String)>,
}

impl Names {
    /// What is known, if that is young enough; else what the resolver says; and what
    /// it said before when it says nothing.
    fn answer(
        &mut self,
        key: &Key,
        ages: Ages,
        look_up: &LookUp<'_>,
    ) -> Result<Vec<Remote>, String> {
        if let Some(before) = self.found.get(key)
            && before.at.elapsed() < ages.found
        {
            return Ok(before.remotes.clone());
        }
        if let Some((at, error)) = self.failed.get(key)
            && at.elapsed() < ages.failed
        {
            return Err(error.clone());
        }
        match look_up(&key.0, key.1) {
            Ok(remotes) => {
                self.failed.remove(key);
                let fresh = Known {
                    at: Instant::now(),
                    remotes: remotes.clone(),
                    failing: false,
                };
                let before = remember(&mut self.found, key, fresh);
                if before.is_some_and(|before| before.failing) {
                    tracing::info!(name = key.0, "the host name can be looked up again");
                }
                Ok(remotes)
            }
            Err(error) => self.failed(key, error),
        }
    }

    fn failed(&mut self, key: &Key, error: String) -> Result<Vec<Remote>, String> {
        let Some(before) = self.found.get_mut(key) else {
            let error = format!("cannot look up host \"{}\": {error}", key.0);
            remember(&mut self.failed, key, (Instant::now(), error.clone()));
            return Err(error);
        };
        if !std::mem::replace(&mut before.failing, true) {
            tracing::warn!(
                name = key.0,
                error,
                "a host name cannot be looked up: the last answer holds"
            );
        }
        Ok(before.remotes.clone())
    }
}

/// Beyond the bound all is forgotten, and asked for anew.
fn remember<T>(all: &mut BTreeMap<Key, T>, key: &Key, what: T) -> Option<T> {
    if all.len() >= NAMES_MAX && !all.contains_key(key) {
        all.clear();
    }
    all.insert(key.clone(), what)
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
        let mut known = Names::default();
        let key = ("db".to_owned(), 5432);
        let mut ask = |found: Duration| {
            let failed = Duration::ZERO;
            known.answer(&key, Ages { found, failed }, &look_up)
        };
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

    #[test]
    fn a_name_that_is_not_there_is_not_asked_for_again_at_once() {
        let asked = Cell::new(0u8);
        let look_up = |_: &str, port: u16| {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 | 2 => Err("no such host".to_owned()),
                3 => Ok(vec![Remote::Tcp(([10, 0, 0, 3], port).into())]),
                _ => Err("the resolver is away".to_owned()),
            }
        };
        let mut known = Names::default();
        let mut ask = |name: &str, failed: Duration| {
            let found = Duration::ZERO;
            let key = (name.to_owned(), 5432);
            known.answer(&key, Ages { found, failed }, &look_up)
        };
        let (long, off) = (Duration::from_secs(60), Duration::ZERO);
        let none = ask("db", long);
        assert!(none.is_err());
        assert_eq!(ask("db", long), none, "remembered, with its words");
        assert_eq!(asked.get(), 1);
        assert_eq!(ask("db", off), none, "off: asked again");
        assert_eq!(asked.get(), 2);
        let found = ask("db", off);
        assert!(found.is_ok());
        // One that was known is asked for as before, and keeps its last answer.
        assert_eq!(ask("db", long), found);
        assert_eq!(ask("db", long), found);
        assert_eq!(asked.get(), 5);
        assert!(
            ask("other", long).is_err() && asked.get() == 6,
            "another name"
        );
    }
}
