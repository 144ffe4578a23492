//! The fleet channel: instances tell each other how they are.
//!
//! Each second every instance posts its statement to each address that discovery
//! gives, and gets that one's as the answer. What is said is read, kept and shown;
//! nothing is ever executed on behalf of a peer. It runs on threads of its own: a
//! peer that hangs, lies or floods costs a bounded count of connections here, and
//! no query waits for it. The one invariant: without the channel, or with nobody
//! at its other end, this instance serves and tells as it would alone.
//!
//! ```text
//!   Speaker (each second) ──► own statement ──► ask ──► peers     discovery ─► addresses
//!                                   │                     │ answers               │
//!   peers ──► channel ──► Gate ─────┴──► Book ◄───────────┴───────────────────────┘
//!                                          ├─► API, status, metrics, log
//!                                          ├─► the gate of the settings
//!                                          └─► Deciding: who tells people
//! ```

mod ask;
mod channel;
mod deciding;
mod discover;
mod keys;
mod running;
mod speaker;
mod tls;
mod view;

pub use deciding::{Decided, Deciding};
pub use discover::Discovery;
pub use running::Running;
pub use speaker::Speaker;
pub use view::{AlertLine, FleetView, PeerLine, RefusedLine, ServerLine, SettingsLine};

use ::fleet::{
    Book, Doubt, Draft, Duties, Failure, Gate, Heard, Key, Nonce, Own, PeerState, Refusal, Refused,
    Statement,
};
use config::Plan;
use diagnose::alert::SettingsSplit;
use events::Time;
use keys::Keys;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For a question and its answer, and for the body of a question of a peer's.
const EXCHANGE_MAX: Duration = Duration::from_secs(2);
/// A reason of refusals is said in the log once in so long.
const SAID_AGAIN: Duration = Duration::from_secs(60);
/// The one path.
const PATH: &str = "/fleet/v1/statement";

/// The channel of this process. Clones share it.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet(…)")
    }
}

struct Shared {
    listen: SocketAddr,
    /// Where the time of the book begins.
    origin: Instant,
    /// Held for moments, by the threads of the channel, the one that measures, and
    /// who asks for the view; never across a wait.
    state: Mutex<State>,
    /// TLS, with the files that it was made of.
    tls: RwLock<Option<(tls::Files, tls::Material)>>,
    refused: [AtomicU64; Refused::ALL.len()],
}

struct State {
    book: Book,
    gate: Gate,
    duties: Duties,
    keys: Keys,
    /// What this instance says, apart from its clock.
    own: Statement,
    /// How addresses are found, and why they are not.
    discovery: (&'static str, Option<String>),
    /// When a reason was last said.
    said: BTreeMap<Refused, Instant>,
}

/// Figures for metrics.
pub(crate) struct Figures {
    pub peers: Vec<(&'static str, u64)>,
    pub settings_versions: u64,
    pub telling: u64,
    pub refused: Vec<(&'static str, u64)>,
}

/// What a message of a peer's came to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The answer.
    Answer(Vec<u8>),
    /// It is not believed who sent it.
    Refused,
    /// It is one of us, and says nothing that can be read.
    Nonsense,
}

impl Fleet {
    /// The channel that a plan asks for; `None`: it asks for none. Nothing is
    /// started yet.
    pub fn of(plan: &Plan, instance: &str) -> Option<Fleet> {
        let listen = plan.fleet.listen?;
        let own = Own {
            fleet: plan.monitor.fleet.clone(),
            instance: instance.to_owned(),
            started_ms: clock_ms(),
        };
        let said = Statement {
            protocol: ::fleet::PROTOCOL,
            fleet: own.fleet.clone(),
            instance: own.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: own.started_ms,
            ..Statement::default()
        };
        let seed = u64::from_be_bytes(nonce().first_chunk().copied().unwrap_or_default());
        let state = State {
            gate: Gate::new(&own.fleet, &own.instance),
            book: Book::new(own, seed),
            duties: Duties::default(),
            keys: Keys::default(),
            own: said,
            discovery: (plan.fleet.discover.word(), None),
            said: BTreeMap::new(),
        };
        let fleet = Fleet {
            shared: Arc::new(Shared {
                listen,
                origin: Instant::now(),
                state: Mutex::new(state),
                tls: RwLock::new(None),
                refused: Default::default(),
            }),
        };
        fleet.follow(plan);
        Some(fleet)
    }

    /// Who decides which instance tells people of an alert.
    pub fn deciding(&self) -> Deciding {
        Deciding::new(self.clone())
    }

    /// What the channel knows, for people.
    pub fn view(&self) -> FleetView {
        view::of(self)
    }

    /// Instances that are heard serve other settings than this one now.
    pub fn split(&self) -> Option<SettingsSplit> {
        let state = self.state();
        let others = state.book.differing().map(|p| p.instance.clone());
        let others: Vec<String> = others.collect();
        let spread = state.book.spread();
        (!others.is_empty()).then(|| SettingsSplit {
            here: state.own.instance.clone(),
            others,
            versions: u32::try_from(spread.by_hash.len()).unwrap_or(u32::MAX),
            instances: spread.by_hash.values().sum(),
        })
    }

    pub(crate) fn figures(&self) -> Figures {
        let state = self.state();
        let everybody = state.book.everybody();
        let count = |s: PeerState| everybody.iter().filter(|p| p.state == s).count() as u64;
        let peers = PeerState::ALL.into_iter().map(|s| (s.label(), count(s)));
        Figures {
            peers: peers.collect(),
            settings_versions: state.book.spread().by_hash.len() as u64,
            telling: state.duties.telling() as u64,
            refused: self.refusals(),
        }
    }

    fn refusals(&self) -> Vec<(&'static str, u64)> {
        let counts = Refused::ALL.iter().zip(&self.shared.refused);
        counts
            .map(|(reason, n)| (reason.label(), n.load(Ordering::Relaxed)))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        let elapsed = self.shared.origin.elapsed().as_micros();
        Time::from_micros(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Other settings may serve: the fleet's name, and the key.
    fn follow(&self, plan: &Plan) {
        let mut state = self.state();
        let key = plan.fleet.key.as_ref().map(|k| Key::new(k.0.as_bytes()));
        state.keys.follow(key, Instant::now());
        let name = &plan.monitor.fleet;
        if state.book.own().fleet != *name {
            state.book.rename(name);
            state.gate = Gate::new(name, &state.own.instance);
            state.own.fleet.clone_from(name);
        }
    }

    /// Our statement for this receiver, and the number of the message. `older`: by
    /// the key before, where it is still good.
    fn question(&self, receiver: Option<&str>, older: bool) -> (Vec<u8>, Nonce) {
        let state = self.state();
        let key = state.keys.for_asking(older, Instant::now());
        let nonce = nonce();
        (self.message(&state, receiver, nonce, None, key), nonce)
    }

    fn message(
        &self,
        state: &State,
        receiver: Option<&str>,
        nonce: Nonce,
        answers: Option<Nonce>,
        key: Option<&Key>,
    ) -> Vec<u8> {
        let clock_ms = clock_ms();
        let said = Statement {
            clock_ms,
            ..state.own.clone()
        };
        let draft = Draft {
            fleet: &state.own.fleet,
            sender: &state.own.instance,
            receiver,
            at_ms: clock_ms,
            nonce,
            port: self.shared.listen.port(),
            answers,
        };
        draft.seal(key, &said.to_json())
    }

    /// A peer asks; what it says is kept, and our statement is the answer.
    pub(crate) fn take(&self, remote: SocketAddr, message: &[u8]) -> Taken {
        let mut state = self.state();
        let now = Instant::now();
        let keys = state.keys.good(now);
        let trust = Keys::trust(&keys);
        let opened = match state.gate.open(trust, clock_ms(), message, None) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.refuse(&mut state, remote, &refusal);
                return Taken::Refused;
            }
        };
        let Some(said) = read(opened.body, &opened.sender) else {
            self.refuse(&mut state, remote, &Refused::Malformed.into());
            return Taken::Nonsense;
        };
        let place = (opened.port > 0).then(|| SocketAddr::new(remote.ip(), opened.port));
        let heard = state.book.heard(self.now(), clock_ms(), said, place);
        if heard.is_err() {
            self.count(Refused::Implausible);
        }
        let (receiver, key) = (opened.sender, keys.get(opened.key));
        let answers = Some(opened.nonce);
        Taken::Answer(self.message(&state, Some(&receiver), nonce(), answers, key))
    }

    /// A peer answered a question of ours.
    fn answered(&self, address: SocketAddr, message: &[u8], asked: Nonce) {
        let mut state = self.state();
        let keys = state.keys.good(Instant::now());
        let trust = Keys::trust(&keys);
        let now = self.now();
        let opened = match state.gate.open(trust, clock_ms(), message, Some(asked)) {
            Ok(opened) => opened,
            Err(refusal) => {
                self.refuse(&mut state, address, &refusal);
                return state.book.failed(now, address, Failure::Sealed);
            }
        };
        let Some(said) = read(opened.body, &opened.sender) else {
            return state.book.failed(now, address, Failure::Nonsense);
        };
        let sender = opened.sender;
        let heard = state.book.heard(now, clock_ms(), said, Some(address));
        // Two with our name: who it is has to be asked anew each time.
        let known = matches!(heard, Ok(Heard::Taken | Heard::Older)) || heard.is_err();
        match known || heard == Ok(Heard::Ourselves) {
            true => state.book.answered(address, &sender),
            false => state.book.failed(now, address, Failure::Nonsense),
        }
        if heard.is_err() {
            self.count(Refused::Implausible);
        }
    }

    fn failed(&self, address: SocketAddr, failure: Failure) {
        let now = self.now();
        self.state().book.failed(now, address, failure);
    }

    /// Counts it, and notes who it was where that is known.
    fn refuse(&self, state: &mut State, remote: SocketAddr, refusal: &Refusal) {
        self.count(refusal.reason);
        if let Some(sender) = &refusal.sender {
            let place = (refusal.port > 0).then(|| SocketAddr::new(remote.ip(), refusal.port));
            let doubt = match refusal.reason {
                Refused::Clock => Some(Doubt::Clock),
                Refused::Fleet => Some(Doubt::Fleet),
                _ => None,
            };
            if let Some(doubt) = doubt {
                state.book.doubted(self.now(), sender, place, doubt);
            }
        }
        let now = Instant::now();
        let known = state.said.get(&refusal.reason);
        if known.is_none_or(|at| now.duration_since(*at) >= SAID_AGAIN) {
            state.said.insert(refusal.reason, now);
            tracing::warn!(
                peer = %remote.ip(),
                reason = refusal.reason.label(),
                hint = hint(refusal.reason),
                sender = refusal.sender.as_deref().map(::diagnose::clean).as_deref(),
                "a message of another instance was refused; more of this kind are only counted for a minute"
            );
        }
    }

    fn count(&self, reason: Refused) {
        if let Some(count) = self.shared.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tls(&self) -> Option<tls::Material> {
        let tls = &self.shared.tls;
        let tls = tls.read().unwrap_or_else(PoisonError::into_inner);
        tls.as_ref().map(|(_, material)| material.clone())
    }

    fn read_tls(&self) -> Option<tls::Files> {
        let tls = &self.shared.tls;
        let tls = tls.read().unwrap_or_else(PoisonError::into_inner);
        tls.as_ref().map(|(files, _)| files.clone())
    }
}

/// What a person may look at.
fn hint(reason: Refused) -> &'static str {
    match reason {
        Refused::Seal => {
            "it has another key or certificate: one that was not replaced everywhere, or another fleet of the same name"
        }
        Refused::Clock => "set both clocks, by NTP",
        Refused::Fleet => "server.fleet is another name there",
        _ => "docs/fleet.md has what each reason means",
    }
}

/// The statement of this sender and of nobody else.
fn read(body: &[u8], sender: &str) -> Option<Statement> {
    let said = Statement::parse(body).ok()?;
    (said.instance == sender).then_some(said)
}

/// UTC, milliseconds since 1970.
fn clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// From the system. Where it gives none, time has to do: a number that came
/// before is refused, and no more than that.
fn nonce() -> Nonce {
    let mut nonce = Nonce::default();
    let flags = rustix::rand::GetRandomFlags::empty();
    if rustix::rand::getrandom(&mut nonce[..], flags).is_err() {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
        nonce = nanos.map_or(0, |d| d.as_nanos()).to_be_bytes();
    }
    nonce
}

#[cfg(test)]
mod tests;
