//! What an administrator holds back, lets go or ends: PAUSE, KILL, DISABLE and their like.

use super::Handle;
use crate::held::{ADMIN_DATABASE, NotHeld, Verb};
use crate::mail::{Mail, Target};
use crate::port::act;
use crate::registry::Place;

impl Handle {
    /// Closes the client with this id of SHOW CLIENTS; `false`: there is none.
    pub fn kill_client(&self, id: u64, actor: &str) -> bool {
        let clients = &self.figures(true).snapshot.clients;
        let known = clients.iter().find(|c| c.id == id);
        if let Some(client) = known {
            let whose = format!("{}/{}", client.database, client.user);
            self.note_action(actor, &format!("KILL_CLIENT {id}"), &whose);
        }
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Kill(Target::Client(id)));
        }
        known.is_some()
    }

    /// All databases are paused.
    pub fn all_paused(&self) -> bool {
        self.common().read().held.all_paused()
    }

    /// PAUSE and its like, of one database or of all, also for pools that are made later.
    pub(crate) fn administer(
        &self,
        verb: Verb,
        database: Option<&str>,
        actor: &str,
    ) -> Result<(), NotHeld> {
        let common = &self.inner.common;
        if verb == Verb::Resume && (self.is_leaving() || self.is_stopping()) {
            return Err(NotHeld::ShuttingDown);
        }
        // Two commands at a time would leave pools as neither of them says.
        let _one_at_a_time = self.lock(&self.inner.holding.turn);
        match verb {
            // Nobody may resume a pooler that ends: it would stay suspended.
            Verb::Suspend if self.is_leaving() => return Err(NotHeld::AlreadyPaused),
            Verb::Suspend if !self.may_suspend() => return Err(NotHeld::Shared),
            _ => {}
        }
        let places = {
            let mut registry = common.write();
            if let Some(name) = database {
                if name == ADMIN_DATABASE {
                    return Err(NotHeld::AdminDatabase(verb));
                }
                if !registry.serves(name) {
                    return Err(NotHeld::NoDatabase(name.to_owned()));
                }
            }
            registry.held.change(verb, database)?;
            registry.places().to_vec()
        };
        match verb {
            Verb::Suspend => self.begin_suspension(),
            Verb::Resume if database.is_none() => self.end_suspension(),
            _ => {}
        }
        if !actor.is_empty() && verb != Verb::WaitClose {
            self.note_action(actor, verb.word(), database.unwrap_or_default());
        }
        for place in places
            .iter()
            .filter(|p| database.is_none_or(|d| *p.info.database == *d))
        {
            self.carry_out(verb, place);
        }
        Ok(())
    }

    fn carry_out(&self, verb: Verb, place: &Place) {
        let (common, pool) = (&self.inner.common, place.pool);
        let now = common.clock.now();
        let still_paused = common.read().held.is_paused(&place.info.database);
        act(common, &place.upstream, |u| match verb {
            Verb::Pause => u.pause(now, pool),
            Verb::Resume if still_paused => {}
            Verb::Resume => u.resume(now, pool),
            Verb::Reconnect => u.reconnect(now, pool, events::CloseReason::Reconnect),
            Verb::Kill => u.kill(now, pool),
            // Logins ask what is held; who is in is served on, as in PgBouncer.
            Verb::Disable | Verb::Enable | Verb::WaitClose | Verb::Suspend => {}
        });
        if verb == Verb::Kill {
            for mailbox in &common.mailboxes {
                mailbox.post(Mail::Kill(Target::Pool(place.info.key)));
            }
        }
    }

    /// Lends no connection of this database (of all) until `resume`; nothing changes
    /// where that is so already. With an empty `actor` the caller notes it.
    ///
    /// # Errors
    /// There is no such database.
    pub fn pause(&self, database: Option<&str>, actor: &str) -> Result<(), String> {
        self.hold(Verb::Pause, database, actor)
    }

    /// Lends again, unless a pause of all, or one by its name, still holds. Of all: it
    /// ends a SUSPEND, too.
    ///
    /// # Errors
    /// There is no such database, or only a pause of all holds it.
    pub fn resume(&self, database: Option<&str>, actor: &str) -> Result<(), String> {
        self.hold(Verb::Resume, database, actor)
    }

    fn hold(&self, verb: Verb, database: Option<&str>, actor: &str) -> Result<(), String> {
        match self.administer(verb, database, actor) {
            Err(NotHeld::DatabaseNotPaused(_)) if self.common().read().held.all_paused() => {
                Err("all databases are paused: resume all".to_owned())
            }
            Err(why) if !why.is_so_already() => Err(why.to_string()),
            _ => Ok(()),
        }
    }
}
