//! Captures of statements: which client may be taken into one, and what it had before.
//!
//! A capture sees what clients send. What they did earlier it does not see, so a client
//! is taken at a moment at which nothing of that matters but what is told here.

use crate::client::Phase;
use crate::hub::Hub;
use crate::params::{ParamSet, difference};
use events::Time;
use events::tap::Taken;
use wire::front;

/// A Parse beside its texts and types: tag, length, two ends of texts.
const PARSE_BYTES: usize = 7;

/// How a client stands towards a capture.
#[derive(Debug)]
pub enum Tappable {
    /// It is at rest: nothing is owed, no transaction is open, and its next byte begins
    /// a message.
    Now(Taken),
    /// It is not, at this moment.
    Busy,
    /// It had more than may be told. That does not change soon, and looking again costs.
    TooMuch,
    /// It has not logged in yet; or it is in the console, which no server hears of.
    Never,
}

impl Hub {
    /// Whether the client at this slot can be taken now, before its next input is
    /// handled. `since`: when the capture began. What it had takes at most `bytes_max`.
    pub fn tappable(&self, slot: u32, since: Time, bytes_max: usize) -> Tappable {
        let Some(client) = self.clients.get(slot) else {
            return Tappable::Never;
        };
        match client.phase {
            Phase::Ready => {}
            Phase::Login(_) | Phase::Console { .. } | Phase::Cancelling => {
                return Tappable::Never;
            }
            Phase::Waiting { .. } | Phase::Preparing | Phase::Held { .. } => {
                return Tappable::Busy;
            }
        }
        let ext = client.ext.as_deref();
        if ext.is_some_and(|ext| ext.replication.is_on()) {
            return Tappable::Never;
        }
        let server = self.servers.get(client.link);
        let between = client.held.is_empty() && client.stream_left == 0;
        // What pins it, as a temporary table or a lock, nobody could tell a replay.
        let at_rest = between && !client.skip && !client.refused && !client.has_pins();
        if !at_rest || server.is_some_and(|server| !server.at_rest()) {
            return Tappable::Busy;
        }
        let mut taken = Taken {
            database: client.database.to_string(),
            user: client.user.to_string(),
            application: client
                .without_origin(&client.params.plain("application_name").unwrap_or_default())
                .to_owned(),
            new: client.connected_at >= since,
            ..Taken::default()
        };
        let none = ParamSet::default();
        difference(&none, &client.params, &none, &mut taken.settings);
        let named = ext.iter().flat_map(|ext| &ext.prepared);
        let named = named.map(|(name, named)| (&**name, &named.statement));
        let unnamed = ext.and_then(|ext| ext.unnamed.as_ref());
        let had = named.chain(unnamed.map(|statement| (&b""[..], statement)));
        // Counted before any of it is copied.
        let mut bytes = taken.bytes();
        for (name, statement) in had.clone() {
            bytes += PARSE_BYTES + name.len() + statement.text.len() + statement.types.len();
            if bytes > bytes_max {
                break;
            }
        }
        if bytes > bytes_max {
            return Tappable::TooMuch;
        }
        for (name, statement) in had {
            front::parse(&mut taken.prepared, name, &statement.text, &statement.types);
        }
        Tappable::Now(taken)
    }
}
