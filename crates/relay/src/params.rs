//! Session parameters: what a client wants, what a server connection has.

use crate::client::Client;
use crate::pins::Pins;
use crate::server::Server;
use std::collections::BTreeSet;
use std::sync::Arc;
use wire::sql::{self, Value};

/// Session parameters by name (folded to lower case), sorted by name.
///
/// Both a client's wishes and a server connection's state beyond its login
/// are such sets; a checkout replays the difference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct ParamSet {
    entries: Vec<(Box<str>, Value)>,
}

/// Most parameters that one client may have set: a bound on memory, far above
/// what PostgreSQL's own few hundred settings need in life.
pub(crate) const PARAMS_MAX: usize = 512;

impl ParamSet {
    /// The value of `name`, which must be in lower case.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|i| &self.entries[i].1)
    }

    /// The text of `name` when it was given as a plain value.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Guc(text)) => Some(text),
            _ => None,
        }
    }

    /// The same where a statement gave it as a simple constant.
    pub(crate) fn plain(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Guc(text) => Some(text.to_string()),
            Value::Fragment(sql) => {
                let quoted = sql.strip_prefix('\'').and_then(|s| s.strip_suffix('\''));
                let bare = sql.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                match quoted {
                    Some(text) => Some(text.replace("''", "'")),
                    None => bare.then(|| sql.to_string()),
                }
            }
        }
    }

    /// Sets or, with `None`, forgets a parameter. Beyond the bound a new name
    /// is not taken.
    pub fn set(&mut self, name: &str, value: Option<Value>) {
        match (self.position(name), value) {
            (Ok(i), Some(value)) => self.entries[i].1 = value,
            (Ok(i), None) => drop(self.entries.remove(i)),
            (Err(i), Some(value)) if self.entries.len() < PARAMS_MAX => {
                self.entries.insert(i, (name.into(), value));
            }
            (Err(_), _) => {}
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(n, _)| (**n).cmp(name))
    }
}

/// Writes the statements that take a server connection from `has` to `wants`.
/// `reported` tells values that the server had at login. Returns false, with
/// nothing written, when there is nothing to do.
///
/// Roles come last and are undone first: under a lesser role the other
/// statements could be refused.
pub(crate) fn difference(
    has: &ParamSet,
    wants: &ParamSet,
    login: &ParamSet,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    for role in ["role", "session_authorization"] {
        if has.value(role).is_some() && wants.value(role) != has.value(role) {
            sql::reset(role, out);
            out.push(b';');
        }
    }
    for (name, _) in has.iter().filter(|(name, _)| !is_role(name)) {
        if wants.value(name).is_none() {
            sql::reset(name, out);
            out.push(b';');
        }
    }
    for (name, value) in wants.iter().filter(|(name, _)| !is_role(name)) {
        let now = has.value(name).or_else(|| login.value(name));
        if now != Some(value) {
            sql::replay(name, value, out);
            out.push(b';');
        }
    }
    // Another session_authorization ends the role.
    let other = has.value("session_authorization") != wants.value("session_authorization");
    for role in ROLES {
        if let Some(value) = wants
            .value(role)
            .filter(|v| other || has.value(role) != Some(v))
        {
            sql::replay(role, value, out);
            out.push(b';');
        }
    }
    out.len() > start
}

/// Who the session is. RESET ALL leaves these as they are.
pub(crate) const ROLES: [&str; 2] = ["session_authorization", "role"];

fn is_role(name: &str) -> bool {
    ROLES.contains(&name)
}

/// Equal sets are one set, so that "nothing to replay" is a pointer comparison
/// and a thousand clients of one application cost one set.
#[derive(Default)]
pub(crate) struct Interner {
    sets: BTreeSet<Arc<ParamSet>>,
}

/// Sets kept for sharing; beyond it those that nobody uses are dropped.
const SETS_MAX: usize = 1024;

impl Interner {
    pub(crate) fn intern(&mut self, set: ParamSet) -> Arc<ParamSet> {
        if let Some(known) = self.sets.get(&set) {
            return Arc::clone(known);
        }
        let set = Arc::new(set);
        if self.sets.len() >= SETS_MAX {
            self.sets.retain(|s| Arc::strong_count(s) > 1);
        }
        if self.sets.len() < SETS_MAX {
            self.sets.insert(Arc::clone(&set));
        }
        set
    }
}

/// A transaction that changed parameters or pins, or opened a savepoint: what
/// to go back to.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    pub(crate) base: Point,
    pub(crate) savepoints: Vec<(Box<str>, Point)>,
    /// An error was seen since; an implicit transaction then rolls back.
    pub(crate) failed: bool,
}

/// What both sides had at a moment that a rollback may go back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    pub(crate) client: Arc<ParamSet>,
    pub(crate) server: Arc<ParamSet>,
    pub(crate) pins: Option<Box<Pins>>,
}

impl Point {
    pub(crate) fn of(client: &Client, server: &Server) -> Point {
        let pins = client
            .ext
            .as_ref()
            .map(|e| &e.pins)
            .filter(|p| !p.is_empty());
        Point {
            client: Arc::clone(&client.params),
            server: Arc::clone(&server.params),
            pins: pins.map(|p| Box::new(p.clone())),
        }
    }
}

/// Savepoints remembered per transaction. Deeper ones are not tracked: a
/// rollback to one of them keeps parameters set after it.
pub(crate) const SAVEPOINTS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> ParamSet {
        let mut s = ParamSet::default();
        for (name, value) in pairs {
            s.set(name, Some(Value::Guc((*value).into())));
        }
        s
    }

    fn sql_for(has: &[(&str, &str)], wants: &[(&str, &str)], login: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        difference(&set(has), &set(wants), &set(login), &mut out);
        String::from_utf8(out).expect("statements are text")
    }

    #[test]
    fn equal_sets_need_nothing() {
        assert_eq!(sql_for(&[("a", "1")], &[("a", "1")], &[]), "");
        assert_eq!(
            sql_for(&[], &[("timezone", "UTC")], &[("timezone", "UTC")]),
            ""
        );
    }

    #[test]
    fn what_the_client_lacks_is_reset() {
        let text = sql_for(&[("search_path", "a")], &[], &[]);
        assert!(text.to_ascii_uppercase().starts_with("RESET"), "{text}");
    }

    #[test]
    fn a_login_value_is_set_back_when_the_server_differs() {
        let text = sql_for(
            &[("timezone", "CET")],
            &[("timezone", "UTC")],
            &[("timezone", "UTC")],
        );
        assert!(text.contains("UTC"), "{text}");
    }

    #[test]
    fn a_role_is_set_again_under_another_authorization() {
        let has = [("role", "r"), ("session_authorization", "a")];
        let wants = [("role", "r"), ("session_authorization", "b")];
        let text = sql_for(&has, &wants, &[]);
        let (b, r) = (text.find("'b'"), text.find("'r'"));
        assert!(b.is_some() && b < r, "{text}");
        assert_eq!(sql_for(&has, &has, &[]), "");
    }

    #[test]
    fn interning_shares() {
        let mut interner = Interner::default();
        let a = interner.intern(set(&[("a", "1")]));
        let b = interner.intern(set(&[("a", "1")]));
        assert!(Arc::ptr_eq(&a, &b));
    }
}
