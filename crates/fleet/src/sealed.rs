//! Messages between instances: who sent one, to whom, when, and that nobody
//! changed it.
//!
//! A message is one line of JSON, its head, and the body behind it. The seal is
//! HMAC-SHA-256 by a key that all instances have, over everything that matters,
//! each part with its length before it, so that no two messages share one text.

use crate::statement::{BODY_MAX, tame};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A message older or newer than this by our clock is refused, milliseconds.
pub const WINDOW_MS: i64 = 60_000;
/// Longest head, bytes.
const HEAD_MAX: usize = 2 << 10;
/// Longest message.
pub const MESSAGE_MAX: usize = HEAD_MAX + BODY_MAX;
/// Messages that are remembered, so that none is taken twice: 256 peers, two
/// messages a second each, over the window's two minutes.
const NONCES_MAX: usize = 65_536;
/// Longest name in a head, bytes.
const NAME_MAX: usize = 128;
/// Begins every sealed text: a seal of this language is good for no other.
const DOMAIN: &str = "plimsoll-fleet/1";
/// The receiver of a message whose sender does not know who listens there.
const ANYBODY: &str = "-";

/// A number that is used once.
pub type Nonce = [u8; 16];

/// A key that instances share.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// From the bytes of a secret.
    pub fn new(secret: &[u8]) -> Key {
        Key(secret.to_vec())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// How a sender is known.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// By one of these keys; the first is the newest.
    Keys(&'a [Key]),
    /// By something else: TLS, or because only this machine can reach the listener.
    Elsewhere,
}

events::labelled! {
    /// Why a message was refused.
    Refused {
        /// It is no message, or too long.
        Malformed "malformed",
        /// No key of ours made its seal.
        Seal "seal",
        /// Its sender belongs to another fleet.
        Fleet "fleet",
        /// It is for another instance.
        Receiver "receiver",
        /// It is too old or too new by our clock.
        Clock "clock",
        /// It came before.
        Replay "replay",
        /// More messages came than can be remembered.
        Busy "busy",
        /// It answers another question.
        Answer "answer",
        /// What it says cannot be.
        Implausible "implausible",
        /// It did not come in time.
        Slow "slow",
        /// All connections are taken.
        Connections "connections",
    }
}

/// A refusal. Who sent the message is known only where its seal was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Refused,
    /// The instance that it names, where that can be believed.
    pub sender: Option<String>,
    /// The port that it listens on, where that can be believed.
    pub port: u16,
    /// Its clock less ours, milliseconds.
    pub clock_off_ms: i64,
}

impl From<Refused> for Refusal {
    fn from(reason: Refused) -> Refusal {
        Refusal {
            reason,
            sender: None,
            port: 0,
            clock_off_ms: 0,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    fleet: String,
    sender: String,
    receiver: String,
    at_ms: i64,
    nonce: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    answers: String,
    #[serde(default)]
    seal: String,
}

/// What a message says beside its body.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The sender's fleet.
    pub fleet: &'a str,
    /// Who sends it.
    pub sender: &'a str,
    /// For whom; `None`: for whoever listens there.
    pub receiver: Option<&'a str>,
    /// The sender's clock.
    pub at_ms: i64,
    /// Drawn for this message.
    pub nonce: Nonce,
    /// The port that the sender listens on; 0: none.
    pub port: u16,
    /// The number of the message that this one answers.
    pub answers: Option<Nonce>,
}

impl Draft<'_> {
    /// The message with this body, sealed by `key` where there is one.
    pub fn seal(&self, key: Option<&Key>, body: &str) -> Vec<u8> {
        let mut head = Head {
            fleet: self.fleet.to_owned(),
            sender: self.sender.to_owned(),
            receiver: self.receiver.unwrap_or(ANYBODY).to_owned(),
            at_ms: self.at_ms,
            nonce: hex(&self.nonce),
            port: self.port,
            answers: self.answers.map(|n| hex(&n)).unwrap_or_default(),
            seal: String::new(),
        };
        if let Some(mac) = key.and_then(|key| mac(key, &head, body.as_bytes())) {
            head.seal = hex(&mac.finalize().into_bytes());
        }
        let mut out = serde_json::to_vec(&head).unwrap_or_default();
        out.push(b'\n');
        out.extend_from_slice(body.as_bytes());
        out
    }
}

/// A message that may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Who sent it.
    pub sender: String,
    /// The port that it listens on; 0: none.
    pub port: u16,
    /// For its answer.
    pub nonce: Nonce,
    /// Which of the keys it was sealed by: its answer is sealed by the same.
    pub key: usize,
    /// What it says.
    pub body: &'a [u8],
}

/// Opens messages for one instance, and remembers which it has opened.
#[derive(Debug)]
pub struct Gate {
    fleet: String,
    instance: String,
    /// When a message was sent, and its number.
    seen: BTreeSet<(i64, Nonce)>,
}

impl Gate {
    /// For this instance of this fleet.
    pub fn new(fleet: &str, instance: &str) -> Gate {
        Gate {
            fleet: fleet.to_owned(),
            instance: instance.to_owned(),
            seen: BTreeSet::new(),
        }
    }

    /// Opens a message. `clock_ms` is our clock; `asked` the number of the question
    /// that it must answer. The seal is checked before anything else is believed.
    ///
    /// # Errors
    /// Why it is not to be read.
    pub fn open<'a>(
        &mut self,
        trust: Trust<'_>,
        clock_ms: i64,
        message: &'a [u8],
        asked: Option<Nonce>,
    ) -> Result<Opened<'a>, Refusal> {
        let (head, body) = split(message).ok_or(Refused::Malformed)?;
        let nonce = unhex(&head.nonce).ok_or(Refused::Malformed)?;
        let key = match trust {
            Trust::Elsewhere => 0,
            Trust::Keys(keys) => sealed_by(keys, &head, body).ok_or(Refused::Seal)?,
        };
        let clock_off_ms = head.at_ms.saturating_sub(clock_ms);
        let no = |reason| Refusal {
            reason,
            sender: Some(head.sender.clone()),
            port: head.port,
            clock_off_ms,
        };
        if head.fleet != self.fleet {
            return Err(no(Refused::Fleet));
        }
        if head.receiver != ANYBODY && head.receiver != self.instance {
            return Err(no(Refused::Receiver));
        }
        // Not `abs`: the smallest number has none.
        if !(-WINDOW_MS..=WINDOW_MS).contains(&clock_off_ms) {
            return Err(no(Refused::Clock));
        }
        if asked.is_some_and(|asked| unhex(&head.answers) != Some(asked)) {
            return Err(no(Refused::Answer));
        }
        self.remember(head.at_ms, nonce, clock_ms).map_err(no)?;
        Ok(Opened {
            sender: tame(&head.sender, NAME_MAX),
            port: head.port,
            nonce,
            key,
            body,
        })
    }

    fn remember(&mut self, at_ms: i64, nonce: Nonce, clock_ms: i64) -> Result<(), Refused> {
        // What is older would be refused by its clock.
        let oldest = clock_ms.saturating_sub(WINDOW_MS);
        self.seen = self.seen.split_off(&(oldest, Nonce::default()));
        if self.seen.contains(&(at_ms, nonce)) {
            return Err(Refused::Replay);
        }
        if self.seen.len() >= NONCES_MAX {
            return Err(Refused::Busy);
        }
        self.seen.insert((at_ms, nonce));
        Ok(())
    }
}

/// The head and the body, each within its bounds.
fn split(message: &[u8]) -> Option<(Head, &[u8])> {
    let end = message.iter().take(HEAD_MAX).position(|b| *b == b'\n')?;
    let (head, body) = (message.get(..end)?, message.get(end + 1..)?);
    let head: Head = serde_json::from_slice(head).ok()?;
    let named = |name: &str| !name.is_empty() && name.len() <= NAME_MAX;
    let names = [&head.fleet, &head.sender, &head.receiver];
    let whole = names.into_iter().all(|name| named(name)) && body.len() <= BODY_MAX;
    whole.then_some((head, body))
}

fn sealed_by(keys: &[Key], head: &Head, body: &[u8]) -> Option<usize> {
    let seal: [u8; 32] = unhex(&head.seal)?;
    // In constant time for each key; which of ours it was is no secret.
    let good = |key: &Key| mac(key, head, body).is_some_and(|m| m.verify_slice(&seal).is_ok());
    keys.iter().position(good)
}

fn mac(key: &Key, head: &Head, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
    let (at, port) = (head.at_ms.to_be_bytes(), head.port.to_be_bytes());
    let parts: [&[u8]; 9] = [
        DOMAIN.as_bytes(),
        head.fleet.as_bytes(),
        head.sender.as_bytes(),
        head.receiver.as_bytes(),
        &at,
        head.nonce.as_bytes(),
        &port,
        head.answers.as_bytes(),
        body,
    ];
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Some(mac)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
