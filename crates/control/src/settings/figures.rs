//! What monitors see of the settings: which version serves, what is under way,
//! and how changes ended.

use config::rollout::{State, Why};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// News that nobody has taken.
const NEWS_MAX: usize = 256;
/// Settings named in one piece of news.
const NAMED_MAX: usize = 8;

/// Written by the keeper, read at each scrape.
#[derive(Debug, Default)]
pub struct Figures {
    /// The version that serves.
    pub(crate) version: AtomicU64,
    /// A change is on its way.
    pub(crate) open: AtomicBool,
    /// The settings file says something that does not serve.
    pub(crate) drift: AtomicBool,
    /// The settings keep the instance from being ready.
    pub(crate) held_back: AtomicBool,
    applied: AtomicU64,
    rolled_back: [AtomicU64; Why::ALL.len()],
    refused: [AtomicU64; Why::ALL.len()],
    /// Pushed by the keeper, taken by the thread that measures.
    news: Mutex<VecDeque<News>>,
    /// Written by the keeper, read by the fleet's channel.
    own: Mutex<OwnSettings>,
    /// Written by the fleet's channel, read by the keeper: hash and reason.
    peers_turned_down: Mutex<Vec<(String, String)>>,
}

/// What the other instances are told of the settings here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnSettings {
    /// The hash of those that serve.
    pub serves: String,
    /// The hash of what they say, apart from what is each instance's own.
    pub alike: String,
    /// The hash of those that the file says and that were turned down, and why.
    pub turned_down: Option<(String, String)>,
}

/// Other values serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Which, from what to what. No secret.
    pub text: String,
    /// Who asked for it, where that is known.
    pub actor: String,
    /// It is a way back.
    pub rolled_back: bool,
}

/// Changes that ended so, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// "applied", "rolled_back" or "refused".
    pub end: &'static str,
    /// Why; empty: it stayed.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

impl Figures {
    /// A change came to its end.
    pub(crate) fn ended(&self, state: State) {
        let count = match state {
            State::Applied => Some(&self.applied),
            State::RolledBack(why) => self.rolled_back.get(why as usize),
            State::Refused(why) => self.refused.get(why as usize),
            _ => None,
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Other values serve now.
    pub(crate) fn serves(
        &self,
        version: u64,
        changes: &[config::Change],
        actor: &str,
        rolled_back: bool,
    ) {
        if changes.is_empty() {
            return;
        }
        let shown = changes.iter().take(NAMED_MAX);
        let mut parts: Vec<String> = shown
            .map(|c| format!("{}: {} → {}", c.key, word(&c.old), word(&c.new)))
            .collect();
        if let Some(more) = changes
            .len()
            .checked_sub(NAMED_MAX)
            .filter(|more| *more > 0)
        {
            parts.push(format!("{more} more"));
        }
        let mut text = parts.join(", ");
        if version > 0 {
            text = format!("version {version}: {text}");
        }
        self.tell(text, actor, rolled_back);
    }

    /// What the other instances are told.
    pub fn own(&self) -> OwnSettings {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.clone()
    }

    pub(crate) fn set_own(&self, own: OwnSettings) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    /// The settings that other instances turned down, by hash, and why.
    pub(crate) fn set_peers_turned_down(&self, stated: Vec<(String, String)>) {
        let known = &self.peers_turned_down;
        *known.lock().unwrap_or_else(PoisonError::into_inner) = stated;
    }

    /// Another instance says over the fleet's channel that it turned these down.
    pub(crate) fn peer_turned_down(&self, hash: &str) -> bool {
        let known = &self.peers_turned_down;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(stated, _)| stated == hash)
    }

    /// A person SET one value for a while.
    pub(crate) fn was_set(&self, line: &str, actor: &str) {
        self.tell(format!("SET {line}"), actor, false);
    }

    fn tell(&self, text: String, actor: &str, rolled_back: bool) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.push_back(News {
            text,
            actor: actor.to_owned(),
            rolled_back,
        });
        let over = news.len().saturating_sub(NEWS_MAX);
        news.drain(..over);
    }

    /// What came since the last call.
    pub fn take_news(&self) -> Vec<News> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.drain(..).collect()
    }

    /// The version that serves.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// A change is on its way; the file differs; the instance is held back.
    pub fn flags(&self) -> [(&'static str, bool); 3] {
        [
            ("open", self.open.load(Ordering::Relaxed)),
            ("drift", self.drift.load(Ordering::Relaxed)),
            ("held_back", self.held_back.load(Ordering::Relaxed)),
        ]
    }

    /// How changes ended, every way that there is.
    pub fn ends(&self) -> Vec<Ends> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut all = vec![Ends {
            end: State::Applied.label(),
            reason: "",
            count: read(&self.applied),
        }];
        for (at, why) in Why::ALL.into_iter().enumerate() {
            let ways = [
                (State::RolledBack(why), &self.rolled_back),
                (State::Refused(why), &self.refused),
            ];
            for (state, counts) in ways {
                all.push(Ends {
                    end: state.label(),
                    reason: why.label(),
                    count: counts.get(at).map_or(0, read),
                });
            }
        }
        all
    }
}

fn word(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}
