//! What statements do to a session, applied as the server confirms them.

use crate::client::Client;
use crate::expect::{ClientParse, Expect};
use crate::params::{ParamSet, Point, ROLES, SAVEPOINTS_MAX, Tracker};
use crate::pins::Pins;
use crate::server::Server;
use crate::statements::Statement;
use crate::trail::Trail;
use std::sync::Arc;
use wire::sql::{self, Change, Discard, Quoting};

/// The effects of a text being run, and how far the server has come.
#[derive(Debug)]
pub(crate) struct Script {
    source: ScriptSource,
    /// Statements finished.
    done: u32,
}

#[derive(Debug)]
enum ScriptSource {
    Own(sql::Script),
    Shared(Arc<Statement>),
}

impl Script {
    pub(crate) fn own(script: sql::Script) -> Box<Script> {
        Box::new(Script {
            source: ScriptSource::Own(script),
            done: 0,
        })
    }

    pub(crate) fn shared(statement: Arc<Statement>) -> Box<Script> {
        Box::new(Script {
            source: ScriptSource::Shared(statement),
            done: 0,
        })
    }

    /// Notes what its statements do that others may build on.
    pub(crate) fn mark(&self, trail: &mut Trail) {
        trail.mark(self.effects());
    }

    /// Its end changes which prepared statements there are.
    pub(crate) fn drops_statements(&self) -> bool {
        self.effects().iter().any(drops_statements)
    }

    /// The statement that runs may have taken a lock of the session. Such a lock
    /// stays when the statement fails.
    pub(crate) fn may_have_locked(&self) -> bool {
        let locks = |c: &Change| matches!(c, Change::AdvisoryLock { .. });
        let mut effects = self.effects().iter();
        effects.any(|e| e.statement == self.done && locks(&e.change))
    }

    /// The statement that runs sets this parameter back to its default.
    pub(crate) fn is_resetting(&self, parameter: &str) -> bool {
        let mut effects = self.effects().iter();
        effects.any(|e| {
            e.statement == self.done
                && match &e.change {
                    Change::Reset { name } => name.eq_ignore_ascii_case(parameter),
                    change => matches!(change, Change::ResetAll | Change::Discard(Discard::All)),
                }
        })
    }

    /// What depends on its end, for a client with this login.
    pub(crate) fn notes(&self, startup: &ParamSet) -> ScriptNotes {
        ScriptNotes {
            names: self.drops_statements(),
            resets: !startup.is_empty() && self.effects().iter().any(|e| resets(e, startup)),
        }
    }

    fn effects(&self) -> &[sql::Effect] {
        match &self.source {
            ScriptSource::Own(script) => &script.effects,
            ScriptSource::Shared(statement) => {
                statement.script.as_ref().map_or(&[], |s| &s.effects)
            }
        }
    }
}

/// What cannot be known before a text has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScriptNotes {
    /// Which prepared statements the client has.
    pub(crate) names: bool,
    /// The values of parameters that it gave at login, until they are set anew.
    pub(crate) resets: bool,
}

/// Prepared statements are dropped when this takes effect.
fn drops_statements(effect: &sql::Effect) -> bool {
    matches!(
        effect.change,
        Change::Deallocate { .. } | Change::DeallocateAll | Change::Discard(Discard::All)
    )
}

/// A parameter that the client gave at login goes back to the value of the
/// connection's own login when this takes effect.
fn resets(effect: &sql::Effect, startup: &ParamSet) -> bool {
    match &effect.change {
        Change::Reset { name } => startup.value(name).is_some(),
        Change::ResetAll | Change::Discard(Discard::All) => !startup.is_empty(),
        _ => false,
    }
}

/// Reads a text; `None` when it is plain.
pub(crate) fn script_of(text: &[u8], quoting: Quoting) -> Option<sql::Script> {
    if sql::is_plain(text) {
        return None;
    }
    let script = sql::read(text, quoting);
    (!script.effects.is_empty() || script.truncated).then_some(script)
}

/// BEGIN, COMMIT, ROLLBACK and their like alone: they matter only to a session
/// that tracks something, and are too frequent to be read in full.
pub(crate) fn is_transaction_word(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text);
    const WORDS: [&[u8]; 9] = [
        b"begin",
        b"commit",
        b"end",
        b"rollback",
        b"abort",
        b"begin transaction",
        b"start transaction",
        b"commit transaction",
        b"begin read only",
    ];
    text.len() <= 18 && WORDS.iter().any(|w| text.eq_ignore_ascii_case(w))
}

/// What a finished statement meant for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    /// Schema objects changed: cached plans may be invalid.
    pub(crate) ddl: bool,
    /// They changed for this client alone.
    pub(crate) temporary: bool,
    /// application_name changed.
    pub(crate) renamed: bool,
}

/// A statement of `script` finished with this command tag.
pub(crate) fn finished(
    script: &mut Script,
    tag: &[u8],
    client: &mut Client,
    server: &mut Server,
) -> Outcome {
    let index = script.done;
    script.done += 1;
    let mut outcome = Outcome::default();
    for effect in script.effects().iter().filter(|e| e.statement == index) {
        match effect.change {
            Change::Ddl => outcome.ddl = true,
            Change::CreateTemp { .. } | Change::CreateTransient => outcome.temporary = true,
            _ => {}
        }
        apply(&effect.change, tag, client, server);
    }
    if matches!(&script.source, ScriptSource::Own(s) if s.truncated) {
        server.dirty = true;
    }
    outcome
}

fn apply(change: &Change, tag: &[u8], client: &mut Client, server: &mut Server) {
    match change {
        Change::Set {
            name,
            value,
            local: false,
        } => set(client, server, name, Some(value.clone())),
        Change::Reset { name } => set(client, server, name, None),
        Change::ResetAll => reset_all(client, server, true),
        Change::Savepoint { name } => {
            let point = Point::of(client, server);
            let tracker = track(client, server);
            if tracker.savepoints.len() < SAVEPOINTS_MAX {
                tracker.savepoints.push((name.clone(), point));
            }
        }
        Change::Release { name } => {
            if let Some(t) = client.tracker_mut()
                && let Some(i) = t.savepoints.iter().rposition(|(n, _)| n == name)
            {
                t.savepoints.truncate(i);
            }
        }
        Change::RollbackTo { name } => roll_back_to(client, server, name),
        Change::Commit { .. } if tag == b"COMMIT" => commit(client),
        Change::Commit { .. } | Change::Rollback { .. } | Change::PrepareTransaction => {
            // COMMIT of a failed transaction answers ROLLBACK.
            if tag == b"PREPARE TRANSACTION" {
                commit(client)
            } else {
                roll_back(client, server)
            }
        }
        Change::Discard(Discard::All) => {
            reset_all(client, server, false);
            forget_statements(client, server);
            pin(client, server, change);
            server.dirty = false;
        }
        Change::DeallocateAll => {
            forget_statements(client, server);
            pin(client, server, change);
        }
        Change::Deallocate { name } => {
            if client.named_there(name.as_bytes(), server.lease).is_some() {
                client.extra().prepared.remove(name.as_bytes());
            }
            pin(client, server, change);
        }
        Change::Discard(Discard::Plans) => {}
        _ => pin(client, server, change),
    }
}

/// Sets or forgets a parameter on both sides: the client asked, the server did.
pub(crate) fn set(client: &mut Client, server: &mut Server, name: &str, value: Option<sql::Value>) {
    track(client, server);
    client.renamed |= name == "application_name";
    if let Some(ext) = client.ext.as_mut() {
        ext.pins.told(Some(name));
    }
    let same = Arc::ptr_eq(&client.params, &server.params);
    let back_to = client.startup.value(name).cloned();
    // RESET goes back to the connection's own login at the server, but to the
    // client's login for the client; the next batch makes them agree.
    change_set(&mut client.params, name, value.clone().or(back_to.clone()));
    if same && (value.is_some() || back_to.is_none()) {
        server.params = Arc::clone(&client.params);
    } else {
        change_set(&mut server.params, name, value.clone());
    }
    if name == "session_authorization" {
        // Whoever becomes somebody else has no role any more.
        let same = Arc::ptr_eq(&client.params, &server.params);
        change_set(&mut client.params, "role", None);
        match same {
            true => server.params = Arc::clone(&client.params),
            false => change_set(&mut server.params, "role", None),
        }
    }
    if value.is_some() && server.params.value(name) != value.as_ref() {
        // Beyond the bound: not remembered, so it must be reset.
        server.dirty = true;
    }
}

/// The value that a setting has at the server, outside of a transaction.
pub(crate) fn learn(client: &mut Client, server: &mut Server, name: &str, value: &str) {
    let value = Some(sql::Value::Guc(value.into()));
    let same = Arc::ptr_eq(&client.params, &server.params);
    change_set(&mut client.params, name, value.clone());
    if same {
        server.params = Arc::clone(&client.params);
    } else {
        change_set(&mut server.params, name, value.clone());
    }
    server.dirty |= server.params.value(name) != value.as_ref();
}

fn change_set(set: &mut Arc<ParamSet>, name: &str, value: Option<sql::Value>) {
    if set.value(name) != value.as_ref() {
        Arc::make_mut(set).set(name, value);
    }
}

/// RESET ALL leaves roles as they are, DISCARD ALL does not.
fn reset_all(client: &mut Client, server: &mut Server, roles_stay: bool) {
    track(client, server);
    client.renamed = true;
    if let Some(ext) = client.ext.as_mut() {
        ext.pins.told(None);
    }
    let mut wishes = Arc::clone(&client.startup);
    let mut state = Arc::<ParamSet>::default();
    if roles_stay {
        for name in ROLES {
            change_set(&mut wishes, name, client.params.value(name).cloned());
            change_set(&mut state, name, server.params.value(name).cloned());
        }
    }
    client.params = wishes;
    server.params = state;
}

fn forget_statements(client: &mut Client, server: &mut Server) {
    server.prepared.clear();
    let Some(ext) = client.ext.as_mut() else {
        server.unnamed = None;
        return;
    };
    ext.prepared.clear();
    let (mut unnamed, mut parsed) = (None, false);
    // What was sent behind it is not dropped.
    for entry in server.expected.iter_mut() {
        match entry {
            Expect::Parse(Some(p)) | Expect::LocalParse(p) if p.name.is_empty() => {
                unnamed = Some(Arc::clone(&p.statement));
                parsed = true;
            }
            Expect::Parse(Some(p)) | Expect::LocalParse(p) => {
                ext.remember(p);
            }
            // Should it be skipped, there is nothing left to give back.
            Expect::LocalClose(place) | Expect::Close(place) => {
                if let Some(p) = place.take() {
                    ext.prepared.remove(&p.name);
                }
            }
            _ => {}
        }
    }
    ext.unnamed = unnamed;
    if !parsed {
        server.unnamed = None;
    }
}

fn pin(client: &mut Client, server: &Server, change: &Change) {
    // What ends a pin is taken back by a rollback too.
    if Pins::begins(change) || client.has_pins() {
        track(client, server);
        client.extra().pins.apply(change);
    }
}

/// The tracker of the running transaction, begun if need be.
pub(crate) fn track<'a>(client: &'a mut Client, server: &Server) -> &'a mut Tracker {
    if client.tracker_mut().is_none() {
        let tracker = Tracker {
            base: Point::of(client, server),
            savepoints: Vec::new(),
            failed: false,
        };
        client.extra().tracker = Some(Box::new(tracker));
    }
    // It was just made.
    client.extra().tracker.get_or_insert_default()
}

fn commit(client: &mut Client) {
    if let Some(ext) = client.ext.as_mut() {
        ext.tracker = None;
    }
}

fn roll_back(client: &mut Client, server: &mut Server) {
    let Some(tracker) = client.ext.as_mut().and_then(|e| e.tracker.take()) else {
        return;
    };
    back_to(client, server, &tracker.base);
}

/// The server took parameters and pins back itself; the session follows.
fn back_to(client: &mut Client, server: &mut Server, point: &Point) {
    server.params = Arc::clone(&point.server);
    client.params = Arc::clone(&point.client);
    client.renamed = true;
    let before = point.pins.as_deref().cloned().unwrap_or_default();
    client.extra().pins.roll_back(before);
}

fn roll_back_to(client: &mut Client, server: &mut Server, name: &str) {
    let Some(tracker) = client.tracker_mut() else {
        return;
    };
    tracker.failed = false;
    let point = match tracker.savepoints.iter().rposition(|(n, _)| &**n == name) {
        Some(i) => {
            tracker.savepoints.truncate(i + 1);
            tracker.savepoints[i].1.clone()
        }
        None => return,
    };
    back_to(client, server, &point);
}

/// ReadyForQuery "idle": a transaction that is still tracked ended by itself.
#[inline]
pub(crate) fn transaction_over(client: &mut Client, server: &mut Server) {
    if client.ext.is_some() {
        extended_over(client, server);
    }
}

fn extended_over(client: &mut Client, server: &mut Server) {
    let Some(ext) = client.ext.as_mut() else {
        return;
    };
    // Portals of batches sent ahead are not over yet.
    if server.expected.len() <= 1 && !server.unsynced {
        ext.portals.clear();
    }
    match &ext.tracker {
        Some(t) if t.failed => roll_back(client, server),
        Some(_) => commit(client),
        None => {}
    }
    let Some(ext) = client.ext.as_mut() else {
        return;
    };
    if ext.own_schema != 0 && !ext.pins.has_temporary() {
        ext.own_schema = 0;
    }
}

/// A statement exists at the client from now on, unless it is taken back.
pub(crate) fn remember_parse(client: &mut Client, parse: &mut ClientParse) {
    let ext = client.extra();
    if parse.name.is_empty() {
        parse.before = ext.unnamed.replace(Arc::clone(&parse.statement));
    } else {
        ext.remember(parse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_words_are_recognised_alone() {
        for yes in [
            "BEGIN",
            "begin;",
            " COMMIT ",
            "ROLLBACK",
            "end",
            "START TRANSACTION",
        ] {
            assert!(is_transaction_word(yes.as_bytes()), "{yes}");
        }
        for no in [
            "ROLLBACK TO a",
            "BEGIN; SET a = 1",
            "COMMIT PREPARED 'x'",
            "begin isolation level serializable",
        ] {
            assert!(!is_transaction_word(no.as_bytes()), "{no}");
        }
    }
}
