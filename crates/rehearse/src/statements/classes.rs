//! What a request is: the class of its statement, by the fingerprint that shapes have too.

use super::message::{Message, Of};
use super::{NAMES_MAX, Octets, SESSIONS_MAX};
use std::collections::BTreeMap;
use wire::sql::{self, Quoting};

/// Longest text of a class, bytes.
const TEXT_MAX: usize = 300;
/// Of a longer statement the beginning names its class.
const READ_MAX: usize = 64 << 10;

/// What a request turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// It ran a statement: its fingerprint.
    Statement(u64),
    /// It prepared, described or closed something, and ran nothing.
    Prepare,
    /// Settings and prepared statements from before the capture.
    Before,
    /// Beyond the bound of what is told apart.
    Other,
}

/// Follows the names of every session that is open.
#[derive(Default)]
pub(super) struct Classes {
    sessions: BTreeMap<u32, Names>,
}

#[derive(Default)]
struct Names {
    prepared: BTreeMap<Box<[u8]>, u64>,
    portals: BTreeMap<Box<[u8]>, u64>,
    /// The first statement that ran since the last Sync.
    batch: Option<u64>,
}

impl Classes {
    pub(super) fn begins(&mut self, session: u32) {
        if self.sessions.len() < SESSIONS_MAX {
            self.sessions.insert(session, Names::default());
        }
    }

    pub(super) fn ends(&mut self, session: u32) {
        self.sessions.remove(&session);
    }

    /// It is open.
    pub(super) fn knows(&self, session: u32) -> bool {
        self.sessions.contains_key(&session)
    }

    pub(super) fn prepared(&mut self, session: u32, name: &Octets, sql: &Octets) {
        if let Some(names) = self.sessions.get_mut(&session) {
            names.prepare(name, sql);
        }
    }

    /// A message; what it ends, where it ends a request.
    pub(super) fn said(&mut self, session: u32, message: &Message) -> Option<Kind> {
        let names = self.sessions.get_mut(&session)?;
        match message {
            Message::Query { sql } => return Some(Kind::Statement(fingerprint(&sql.0))),
            Message::FunctionCall { .. } => return Some(Kind::Other),
            Message::Sync => {
                let kind = names.batch.take().map_or(Kind::Prepare, Kind::Statement);
                return Some(kind);
            }
            Message::Parse { name, sql, .. } => names.prepare(name, sql),
            Message::Bind {
                portal, statement, ..
            } => {
                if let Some(known) = names.prepared.get(statement.0.as_slice()).copied()
                    && names.portals.len() < NAMES_MAX
                {
                    names.portals.insert(portal.0.as_slice().into(), known);
                }
            }
            Message::Execute { portal, .. } => {
                let known = names.portals.get(portal.0.as_slice()).copied();
                names.batch = names.batch.or(known);
            }
            Message::Close {
                of: Of::Statement,
                name,
            } => drop(names.prepared.remove(name.0.as_slice())),
            _ => {}
        }
        None
    }
}

impl Names {
    fn prepare(&mut self, name: &Octets, sql: &Octets) {
        if self.prepared.len() < NAMES_MAX {
            let fingerprint = fingerprint(&sql.0);
            self.prepared.insert(name.0.as_slice().into(), fingerprint);
        }
    }
}

pub(super) fn fingerprint(sql: &[u8]) -> u64 {
    sql::fingerprint(head(sql), Quoting::default())
}

fn head(sql: &[u8]) -> &[u8] {
    sql.get(..READ_MAX).unwrap_or(sql)
}

/// The text of a class without literals, of the first statement of it.
pub(super) fn text(sql: &[u8]) -> String {
    let mut text = String::new();
    sql::normalise(head(sql), Quoting::default(), TEXT_MAX, &mut text);
    text
}

/// As shapes name it: the first word and some digits of its fingerprint.
pub(super) fn name(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Statement(fingerprint) => {
            let word = text.chars().take_while(char::is_ascii_alphabetic);
            let word: String = word.take(12).collect::<String>().to_lowercase();
            let word = if word.is_empty() { "statement" } else { &word };
            format!("{word}-{:08x}", fingerprint >> 32)
        }
        Kind::Prepare => "prepare".to_owned(),
        Kind::Before => "session-set-up".to_owned(),
        Kind::Other => "other".to_owned(),
    }
}
