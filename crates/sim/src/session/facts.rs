//! What a session has: parameters, listened channels, temporary tables, locks.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Parameters that sessions of the simulator have: name, default, and the
/// spelling in which the server reports it, if it does.
pub const NAMES: [(&str, &str, Option<&str>); 9] = [
    ("application_name", "", Some("application_name")),
    ("client_encoding", "UTF8", Some("client_encoding")),
    ("datestyle", "ISO, MDY", Some("DateStyle")),
    ("timezone", "Etc/UTC", Some("TimeZone")),
    ("search_path", "public", None),
    ("work_mem", "4MB", None),
    ("app.user", "", None),
    ("role", "none", None),
    ("session_authorization", "login", None),
];

/// The place of a parameter in [`NAMES`].
pub fn var(name: &str) -> Option<usize> {
    NAMES
        .iter()
        .position(|(n, _, _)| n.eq_ignore_ascii_case(name))
}

/// One parameter's values above its login default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Var {
    /// Set for the session.
    pub session: Option<Rc<str>>,
    /// Set for the transaction.
    pub local: Option<Rc<str>>,
}

/// What a transaction takes back when it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// By the order of [`NAMES`].
    pub vars: [Var; NAMES.len()],
    /// LISTEN.
    pub listens: BTreeSet<Rc<str>>,
    /// Temporary tables.
    pub temps: BTreeSet<Rc<str>>,
}

/// What lasts whatever becomes of the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    /// Session advisory locks with their counts.
    pub locks: BTreeMap<Rc<str>, u32>,
    /// SQL's PREPARE, with the text.
    pub prepared: BTreeMap<Rc<str>, Rc<str>>,
}
