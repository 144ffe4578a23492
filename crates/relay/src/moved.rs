//! A server that has moved: what its connections tell of it, and the end of those
//! that lead to the old one.
//!
//! | lent connection that was left behind, once another server serves | what becomes of it |
//! |---|---|
//! | nothing is owed to its client: an open transaction, or a session | ended: the next statement could write there |
//! | an answer is owed, and comes | goes on to its end |
//! | an answer is owed, and nothing has come for [`SILENT_WRITER`] | ended |
//! | the same in a pool that only reads | [`SILENT_READER`]; an open transaction goes on |
//!
//! Its client is told as one whose server has gone.

use crate::directory::PoolKey;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::params::ParamSet;
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::snapshot::Address;
use events::{CloseReason, ConnId, Time};
use pool::Role;
use std::net::IpAddr;
use std::time::Duration;
use wire::sql::Value;

/// The old server has so long to go on answering a client of a pool that writes.
const SILENT_WRITER: Duration = Duration::from_secs(2);
/// The same in a pool that only reads: what it reads there is old, but whole.
const SILENT_READER: Duration = Duration::from_secs(30);
/// The server refuses writes, in this transaction or at all.
pub(crate) const READ_ONLY: &str = "25006";

impl Hub {
    /// Ends a lent connection to the old server, as far as the table says so;
    /// `since` is when another one was known to serve.
    pub fn oust(
        &mut self,
        now: Time,
        (slot, conn): (u32, ConnId),
        since: Time,
        writes: bool,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get(slot).filter(|s| s.conn == conn) else {
            return;
        };
        let owes = !server.expected.is_empty();
        let patience = match writes {
            true => SILENT_WRITER,
            false => SILENT_READER,
        };
        let silent = now.since(server.used_at.max(since)) >= patience;
        if (owes || !writes) && !(owes && silent) {
            return;
        }
        let mut io = Io { now, pools, out };
        match server.phase {
            ServerPhase::Lent => self.server_over(slot, CloseReason::ServerMoved, &mut io),
            _ => self.drop_server(slot, CloseReason::ServerMoved, &mut io),
        }
    }

    /// Logins under way at one of these addresses, with their pools.
    pub fn logins_at(&self, from: &[IpAddr]) -> Vec<(u32, PoolKey)> {
        let there = |address: &Address| match address {
            Address::Tcp(address) => from.contains(&address.ip().to_canonical()),
            Address::Unix => false,
        };
        let servers = self.servers.iter();
        servers
            .filter(|(_, s)| matches!(s.phase, ServerPhase::Login(_)) && there(&s.addr.0))
            .map(|(slot, s)| (slot, s.pool.key))
            .collect()
    }

    /// Tells the pools which of them have written, once each.
    pub(crate) fn tell_writers(&mut self, io: &mut Io<'_>) {
        for (key, local) in self.locals.iter_mut().enumerate() {
            if local.wrote && !std::mem::replace(&mut local.wrote_told, true) {
                io.pools.wrote(PoolKey(key as u32));
            }
        }
    }
}

/// What a server said of itself when it greeted: PostgreSQL 14 and later.
pub(crate) fn role(greeting: &ParamSet) -> Role {
    match greeting.value("in_hot_standby") {
        Some(Value::Guc(value)) if &**value == "on" => Role::Standby,
        Some(Value::Guc(value)) if &**value == "off" => Role::Primary,
        _ => Role::Unknown,
    }
}

/// A command tag of a statement that no standby takes. Functions that write do
/// not show.
///
/// Asked of each reply in a pool that has only read so far: its first letter decides most.
#[inline]
pub(crate) fn is_write(tag: &[u8]) -> bool {
    let words: &[&[u8]] = match tag.first() {
        Some(b'I') => &[b"INSERT"],
        Some(b'U') => &[b"UPDATE"],
        Some(b'D') => &[b"DELETE", b"DROP"],
        Some(b'M') => &[b"MERGE"],
        Some(b'T') => &[b"TRUNCATE"],
        Some(b'C') => &[b"CREATE"],
        Some(b'A') => &[b"ALTER"],
        _ => return false,
    };
    words.iter().any(|word| tag.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_the_role_or_nothing() {
        let table = [
            (Some("on"), Role::Standby),
            (Some("off"), Role::Primary),
            (Some("?"), Role::Unknown),
            (None, Role::Unknown),
        ];
        for (value, expected) in table {
            let mut greeting = ParamSet::default();
            greeting.set("in_hot_standby", value.map(|v| Value::Guc(v.into())));
            assert_eq!(role(&greeting), expected, "{value:?}");
        }
    }

    #[test]
    fn what_no_standby_takes_is_known_by_its_tag() {
        for tag in [
            "INSERT 0 1",
            "UPDATE 0",
            "DELETE 7",
            "MERGE 1",
            "CREATE TABLE",
        ] {
            assert!(is_write(tag.as_bytes()), "{tag}");
        }
        for tag in [
            "SELECT 1", "SET", "BEGIN", "COMMIT", "COPY 5", "", "FETCH 1",
        ] {
            assert!(!is_write(tag.as_bytes()), "{tag}");
        }
    }
}
