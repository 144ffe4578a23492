//! Who tells people of an alert that several instances have.
//!
//! Of all that have it the one with the lowest name tells. It waits a moment
//! first, so that all have heard of each other; who tells goes on telling while it
//! is heard. Where nobody does for longer than that takes, each tells: a message
//! too many is better than none.
//!
//! ```text
//!   fires ─► Wait ──HOLD, lowest name──► Us ──another with a lower name tells──► Peer
//!              │                          ▲
//!              └─► Peer ──it falls silent─┘ after HOLD, and says so
//! ```

use crate::book::{Book, Peer};
use events::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Before anybody tells: a statement is made each second, asked for each second,
/// and may take two to arrive.
pub const HOLD: Duration = Duration::from_secs(4);
/// Whose turn it is does not tell: another one does.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// An alert that is over here, and fires elsewhere, waits so long for who takes it over.
const LINGER: Duration = Duration::from_secs(30);
/// Most alerts that are followed; the engine of alerts has fewer.
const DUTIES_MAX: usize = 4_096;

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// That is not decided yet.
    Wait,
    /// This instance, from now on; in the place of another one that told before.
    Begin(Option<String>),
    /// This instance, as before.
    Us,
    /// That one.
    Peer(String),
}

/// What becomes of an alert that is over here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It still fires elsewhere: ask again.
    Wait,
    /// Tell that it is over.
    Tell,
    /// Tell that it is over, although another one told that it fires.
    TellForAnother,
    /// Another one tells.
    Quiet,
}

#[derive(Debug, Default)]
struct Duty {
    telling: bool,
    /// Since when nobody is known to tell.
    free_since: Option<Time>,
    /// Who told before.
    told_by: Option<String>,
    /// Since when it is over here.
    over_since: Option<Time>,
}

/// What this instance decided, by alert.
#[derive(Debug, Default)]
pub struct Duties {
    duties: BTreeMap<String, Duty>,
}

impl Duties {
    /// This instance tells of it: what its own statement says.
    pub fn tells(&self, key: &str) -> bool {
        self.duties.get(key).is_some_and(|duty| duty.telling)
    }

    /// How many alerts this instance tells of.
    pub fn telling(&self) -> usize {
        self.duties.values().filter(|duty| duty.telling).count()
    }

    /// It fires here: who tells? To be asked each second while it does.
    pub fn who_says(&mut self, now: Time, key: &str, book: &Book) -> Says {
        if self.duties.len() >= DUTIES_MAX && !self.duties.contains_key(key) {
            return Says::Begin(None);
        }
        let own = book.own().instance.as_str();
        let duty = self.duties.entry(key.to_owned()).or_default();
        duty.over_since = None;
        if let Some(teller) = first(book, key, true) {
            // After a time apart two may tell: the lower name goes on.
            if !duty.telling || teller.as_str() < own {
                duty.telling = false;
                duty.free_since = None;
                duty.told_by = Some(teller.clone());
                return Says::Peer(teller);
            }
        }
        if duty.telling {
            return Says::Us;
        }
        let free = now.since(*duty.free_since.get_or_insert(now));
        // Who never heard of a peer has nobody to wait for.
        let alone = book.peers().next().is_none();
        if free < HOLD && !alone {
            return Says::Wait;
        }
        let ours = first(book, key, false).is_none_or(|peer| own < peer.as_str());
        if !ours && free < PATIENCE {
            return Says::Wait;
        }
        duty.telling = true;
        duty.free_since = None;
        Says::Begin(duty.told_by.take())
    }

    /// It is over here: who tells that? To be asked each second until the answer is
    /// not to wait.
    pub fn over(&mut self, now: Time, key: &str, book: &Book) -> Over {
        let Some(duty) = self.duties.get_mut(key) else {
            return Over::Quiet;
        };
        let since = *duty.over_since.get_or_insert(now);
        let elsewhere = first(book, key, false).is_some();
        let taken = first(book, key, true).is_some();
        let over = match (duty.telling, elsewhere) {
            // Whoever takes it over has said so.
            (true, true) if taken => Over::Quiet,
            (true, true) if now.since(since) < LINGER => Over::Wait,
            (true, _) => Over::Tell,
            (false, true) => Over::Quiet,
            (false, false) if duty.told_by.is_some() => Over::TellForAnother,
            (false, false) => Over::Quiet,
        };
        // Who told may have said that it is over before it was forgotten here: a
        // second end of one alert does no harm, a missing one does.
        let heard = |peer: &Peer| Some(&peer.instance) == duty.told_by.as_ref();
        let over = match over {
            Over::TellForAnother if book.believed().any(heard) => Over::Quiet,
            other => other,
        };
        if over != Over::Wait {
            self.duties.remove(key);
        }
        over
    }

    /// Forgets what neither fires nor ends.
    pub fn keep(&mut self, known: impl Fn(&str) -> bool) {
        self.duties.retain(|key, _| known(key));
    }
}

/// The lowest name of those who have the alert and could tell, or who do tell of it.
fn first(book: &Book, key: &str, telling: bool) -> Option<String> {
    let has = |peer: &&Peer| {
        let alert = peer.said.alert(key);
        alert.is_some_and(|a| !a.mute && (a.told || !telling))
    };
    // By name: the first is the lowest.
    book.believed().find(has).map(|peer| peer.instance.clone())
}

#[cfg(test)]
mod tests;
