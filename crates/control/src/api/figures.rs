//! What the API counts of itself.

use std::sync::atomic::{AtomicU64, Ordering};

events::labelled! {
    /// Why a request was not let through to its handler.
    Refused {
        /// The peer of the unix socket is another user.
        Uid "uid",
        /// All connections are at work.
        Connections "connections",
        /// The Host header names somebody else.
        Host "host",
        /// Another site's page asks.
        Origin "origin",
        /// No such path.
        Path "path",
        /// No such method.
        Method "method",
        /// No token, or an unknown one.
        Token "token",
        /// Too many unknown tokens.
        Throttled "throttled",
        /// The role may not.
        Role "role",
        /// The body is not declared as JSON.
        ContentType "content_type",
        /// The body is too large.
        TooLarge "too_large",
        /// The body did not come in time.
        SlowBody "slow_body",
        /// All handlers are at work.
        Busy "busy",
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Answers by class of status: 2xx, 4xx, 5xx.
    answers: [AtomicU64; 3],
    refused: [AtomicU64; Refused::ALL.len()],
}

impl Figures {
    pub(crate) fn answered(&self, status: u16) {
        let class = match status {
            0..400 => 0,
            400..500 => 1,
            _ => 2,
        };
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refuse(&self, reason: Refused) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers by class of status.
    pub fn answers(&self) -> [(&'static str, u64); 3] {
        let mut out = [("2xx", 0), ("4xx", 0), ("5xx", 0)];
        for (row, count) in out.iter_mut().zip(&self.answers) {
            row.1 = count.load(Ordering::Relaxed);
        }
        out
    }

    /// How many were refused for a reason.
    pub fn refused(&self, reason: Refused) -> u64 {
        let count = self.refused.get(reason as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
