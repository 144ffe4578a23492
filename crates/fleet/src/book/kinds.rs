//! Peers, how it stands with them, and what is told of them.

use super::judge::Doubt;
use crate::statement::Statement;
use events::Time;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The fleet's name.
    pub fleet: String,
    /// This instance: its host and process.
    pub instance: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
}

/// How it stands with a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PeerState {
    /// It is heard, and can be believed.
    Ok,
    /// It is not heard; its last statement is kept.
    Silent,
    /// It refuses us, or its answers cannot be opened.
    Refused,
    /// It is heard, and speaks another version of the language.
    AnotherVersion,
    /// It belongs to another fleet.
    AnotherFleet,
    /// What it says cannot be; its figures are not used.
    Liar,
}

impl PeerState {
    /// Every state.
    pub const ALL: [PeerState; 6] = [
        PeerState::Ok,
        PeerState::Silent,
        PeerState::Refused,
        PeerState::AnotherVersion,
        PeerState::AnotherFleet,
        PeerState::Liar,
    ];

    /// The word in JSON, metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            PeerState::Ok => "ok",
            PeerState::Silent => "silent",
            PeerState::Refused => "refused",
            PeerState::AnotherVersion => "another_version",
            PeerState::AnotherFleet => "another_fleet",
            PeerState::Liar => "liar",
        }
    }

    /// What it says is used.
    pub const fn is_believed(self) -> bool {
        matches!(self, PeerState::Ok | PeerState::AnotherVersion)
    }
}

/// Another instance.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name; empty: it never said it.
    pub instance: String,
    /// Where it listens, as far as known.
    pub address: Option<SocketAddr>,
    /// How it stands with it.
    pub state: PeerState,
    /// Since when.
    pub since: Time,
    /// Why it is not believed, or not heard; empty: there is nothing to say.
    pub why: &'static str,
    /// What it said last that could be believed.
    pub said: Statement,
    /// When that was; `None`: never.
    pub heard_at: Option<Time>,
    pub(super) doubt: Option<(Doubt, Time)>,
    /// Since when it serves other settings, and whether that was told.
    pub(super) differs: Option<(Time, bool)>,
}

impl Peer {
    /// Where its clients connect: what it states, at the address that it is heard
    /// at where it states none. A loopback address of another machine is ours here,
    /// and means nothing.
    pub fn clients_at(&self) -> Option<SocketAddr> {
        let stated: SocketAddr = self.said.clients_at.parse().ok()?;
        let heard = self.address.map(|a| a.ip());
        let ip = match stated.ip() {
            ip if ip.is_unspecified() => heard?,
            ip => ip,
        };
        let reached = !ip.is_loopback() || heard.is_some_and(|h| h.is_loopback());
        let place = SocketAddr::new(ip, stated.port());
        (reached && stated.port() > 0 && !ip.is_multicast()).then_some(place)
    }
}

/// What a question is to be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub address: SocketAddr,
    /// Who listens there; `None`: that is not known for sure.
    pub receiver: Option<String>,
    /// The last question was refused: a key that is being replaced may be the reason.
    pub refused: bool,
}

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Nobody listens there.
    Unreachable,
    /// No answer came in time.
    Late,
    /// It refuses us.
    Refused,
    /// Its answer cannot be opened.
    Sealed,
    /// It answered nonsense.
    Nonsense,
}

impl Failure {
    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Failure::Unreachable => "nobody listens there",
            Failure::Late => "it does not answer in time",
            Failure::Refused => "it refuses us: look at the key, the certificates and both clocks",
            Failure::Sealed => "its answer is not sealed by our key",
            Failure::Nonsense => "its answer is none of this language",
        }
    }

    pub(super) const fn refuses(self) -> bool {
        matches!(self, Failure::Refused | Failure::Sealed)
    }
}

/// What a statement came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It is kept.
    Taken,
    /// It is our own.
    Ourselves,
    /// A newer one was heard already.
    Older,
    /// There are too many peers.
    TooMany,
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A peer was heard for the first time.
    Came(String, Option<SocketAddr>),
    /// A peer stands otherwise: from what to what, and why.
    Turned(
        String,
        Option<SocketAddr>,
        PeerState,
        PeerState,
        &'static str,
    ),
    /// A peer that was silent for long is forgotten.
    Gone(String, Option<SocketAddr>),
    /// A peer serves other settings for a while: their hash.
    Differs(String, String),
    /// It serves ours again.
    Agrees(String),
}

/// Which settings serve where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many instances serve each hash, this one included.
    pub by_hash: BTreeMap<String, u32>,
}
