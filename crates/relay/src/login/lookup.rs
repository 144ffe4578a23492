//! Finding a login's secret: in the directory, or by `auth_query` at a server.

use crate::admission::{Caller, NotAdmitted, Ruling};
use crate::auth::{self, Stage};
use crate::client::Phase;
use crate::directory::{Auth, ErrorStyle, PoolKey, Replication, Stored};
use crate::errors::Trouble;
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::{Command, LoginNote, Peer};
use crate::params::{self, ParamSet};
use crate::pools::NoLookUp;
use crate::requests::{Io, Step};
use crate::server::{Capture, ServerPhase};
use events::snapshot::Address;
use events::{ClientId, CloseReason};
use pool::Checkout;
use std::sync::Arc;
use std::time::Duration;
use wire::front;

impl Hub {
    /// Finds the user's secret: in the directory, or by `auth_query`.
    pub(super) fn identify(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let (user, database) = (Arc::clone(&client.user), Arc::clone(&client.database));
        let (console, owner) = self
            .login_mut(slot)
            .map_or((false, false), |l| (l.console, l.owner));
        if console && owner && *user == *super::CONSOLE {
            self.note_attempt(slot, LoginNote::Owner, io.out);
            return self.console_welcome(slot, &user, true, io);
        }
        if !self.rule(slot, &user, &database, io) {
            return;
        }
        let known = self.directory.users.get(&*user).cloned();
        if known.is_some() || self.directory.settings.auth_query.is_none() {
            return self.challenge(slot, known, io);
        }
        let ttl = self.directory.settings.auth_query_ttl;
        let asked = auth::lookup_key(&database, &user);
        if let Some(answer) = self.cache.looked_up(&asked, io.now, ttl) {
            return self.looked_up(slot, answer, io);
        }
        let pgbouncer = self.directory.settings.error_style == ErrorStyle::Pgbouncer;
        let info = match io.pools.auth_pool(io.now, &database) {
            Ok(info) => info,
            Err(NoLookUp::Unasked) => return self.challenge(slot, None, io),
            // Nothing is wrong with settings that look nobody up for the console; PgBouncer says that there is.
            Err(NoLookUp::Reserved) if console && !pgbouncer => {
                return self.challenge(slot, None, io);
            }
            Err(why) => return self.no_look_up(slot, &why, io),
        };
        let flow = io.pools.join(info.key, "auth_query");
        if let Some(client) = self.clients.get_mut(slot) {
            client.pool = Some(info);
            client.flow = flow;
        }
        if let Some(login) = self.login_mut(slot) {
            login.joined = true;
        }
        self.login_checkout(slot, Stage::Lookup, io);
    }

    /// The database that would know the user cannot be asked.
    fn no_look_up(&mut self, slot: u32, why: &NoLookUp, io: &mut Io<'_>) {
        if let Some(name) = self.client_name(slot) {
            let text = why.text().into();
            io.out.command(Command::Misconfigured { slot, name, text });
        }
        let trouble = Trouble::NoLookUp(why);
        self.fail_client(slot, &trouble, CloseReason::ClientAuthentication, io);
    }

    /// What `auth_query` said, now or lately. Nobody of that name: PgBouncer says so, and programs know its words;
    /// our own style goes on as with a wrong password, so that nobody learns which users there are.
    fn looked_up(&mut self, slot: u32, answer: Option<Stored>, io: &mut Io<'_>) {
        if answer.is_none() && self.directory.settings.error_style == ErrorStyle::Pgbouncer {
            let reason = CloseReason::ClientAuthentication;
            return self.fail_client(slot, &Trouble::NoSuchUser, reason, io);
        }
        self.challenge(slot, answer, io);
    }

    /// How this login proves who it is, by the settings or by the first rule that
    /// fits. False: it was refused. A rule that rejects spares the server the look-up.
    fn rule(&mut self, slot: u32, user: &str, database: &str, io: &mut Io<'_>) -> bool {
        let settings = &self.directory.settings;
        let (method, rules) = (settings.auth, settings.rules.clone());
        let Some(client) = self.clients.get_mut(slot) else {
            return false;
        };
        let Phase::Login(login) = &mut client.phase else {
            return false;
        };
        let ruling = match rules {
            None => Some(Ruling {
                method,
                names: None,
            }),
            Some(rules) => {
                let name = login.uid.and_then(|uid| rules.system_user(uid));
                login.peer = name.map(Into::into);
                rules.ruling(&Caller {
                    address: match &client.peer.addr {
                        Address::Tcp(address) => Some(address.ip()),
                        Address::Unix => None,
                    },
                    tls: login.tls.is_some(),
                    physical: login.replication == Replication::Physical,
                    database,
                    user,
                })
            }
        };
        let why = match ruling {
            None => NotAdmitted::NoRule,
            Some(ruling) if ruling.method == Auth::Reject => NotAdmitted::Rejected,
            Some(ruling) => {
                login.ruling = ruling;
                return true;
            }
        };
        self.note_attempt(slot, LoginNote::Nothing, io.out);
        self.not_admitted(slot, why, io);
        false
    }

    /// Asks the pool for a server connection on behalf of a login.
    pub(crate) fn login_checkout(&mut self, slot: u32, stage: Stage, io: &mut Io<'_>) {
        self.login_stage(slot, stage);
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let Some(info) = client.pool.clone() else {
            return;
        };
        client.request_at = io.now;
        let id = ClientId {
            worker: self.worker,
            generation: client.generation,
            slot,
        };
        match io.pools.checkout(io.now, info.key, id, client.flow) {
            Checkout::Granted {
                conn,
                slot: server_slot,
                ..
            } => {
                if let Some(server) = self.servers.get_mut(server_slot).filter(|s| s.conn == conn) {
                    server.phase = ServerPhase::Lent;
                    self.login_granted(slot, server_slot, io);
                }
            }
            Checkout::Queued => {}
            Checkout::Refused(reason) => {
                let text = io.pools.failure(info.key);
                let step = self.refuse_now(slot, reason, Duration::ZERO, text.as_deref(), io);
                debug_assert!(step == Step::Closed);
            }
        }
    }

    /// The connection that a login was granted ended on its way.
    pub(crate) fn login_again(&mut self, slot: u32, lookup: bool, io: &mut Io<'_>) {
        let stage = if lookup {
            Stage::Lookup
        } else {
            Stage::Greeting
        };
        self.login_checkout(slot, stage, io);
    }

    /// A login got the server connection that it waited for.
    pub(crate) fn login_granted(&mut self, slot: u32, server_slot: u32, io: &mut Io<'_>) {
        let Some(key) = self.servers.get(server_slot).map(|s| s.pool.key) else {
            return;
        };
        let lookup = self
            .login_mut(slot)
            .is_some_and(|l| matches!(l.stage, Stage::Lookup));
        if !lookup && self.begin_replication(slot, server_slot, io) {
            return;
        }
        if !lookup {
            self.give_back(io.now, server_slot, key, None, io.pools, io.out);
            return self.welcome(slot, io);
        }
        let (Some(client), Some(server)) = (
            self.clients.get_mut(slot),
            self.servers.get_mut(server_slot),
        ) else {
            return;
        };
        client.link = server_slot;
        server.link = slot;
        server.lent_at = io.now;
        server.query_at = io.now;
        server.xact_at = io.now;
        self.login_stage(slot, Stage::Looking);
        // Under the last client's search_path or role the look-up could be led
        // astray. So it is not sent before they are gone for sure: a cancel
        // request that came late may end what takes them back.
        let mut resets = Vec::new();
        let none = ParamSet::default();
        if let Some(server) = self.servers.get_mut(server_slot)
            && params::difference(&server.params, &none, &server.greeting, &mut resets)
        {
            server.coming = Some(Arc::default());
            server.expected.push(Expect::OwnQuery(Purpose::Parameters));
            io.out
                .write(Peer::Server(server_slot), |v| front::query(v, &resets));
            return;
        }
        self.look_up(slot, server_slot, io);
    }

    /// A login's server connection has no client's parameters any more, or
    /// `failed` to lose them. False: it is no login that holds it.
    pub(crate) fn lookup_prepared(
        &mut self,
        server_slot: u32,
        failed: Option<&str>,
        io: &mut Io<'_>,
    ) -> bool {
        let Some(slot) = self.servers.get(server_slot).map(|s| s.link) else {
            return false;
        };
        if self.login_mut(slot).is_none() {
            return false;
        }
        match failed {
            None => self.look_up(slot, server_slot, io),
            Some(text) => self.auth_query_done(server_slot, Some(text.into()), io),
        }
        true
    }

    /// Sends the look-up of a login that holds a connection for it.
    fn look_up(&mut self, slot: u32, server_slot: u32, io: &mut Io<'_>) {
        let client = self.clients.get(slot);
        let client = client.map(|c| (Arc::clone(&c.user), Arc::clone(&c.database)));
        let general = self.directory.settings.auth_query.as_ref();
        let general = general.map(|q| q.query.clone());
        let query = client
            .as_ref()
            .and_then(|(_, database)| io.pools.auth_query(database))
            .or(general)
            .filter(|q| !q.is_empty());
        let Some(server) = self.servers.get_mut(server_slot) else {
            return;
        };
        let (Some((user, _)), Some(query)) = (client, query) else {
            // The settings no longer ask for it.
            let key = server.pool.key;
            self.unlink(server_slot, io.out);
            self.give_back(io.now, server_slot, key, None, io.pools, io.out);
            return self.wrong_password(slot, io);
        };
        server.capture = Some(Capture::default());
        server.expected.push(Expect::OwnQuery(Purpose::AuthQuery));
        let text = auth::fill_query(&query, &user);
        io.out.write(Peer::Server(server_slot), |v| {
            front::query(v, text.as_bytes())
        });
    }

    /// `auth_query` was answered.
    pub(crate) fn auth_query_done(
        &mut self,
        server_slot: u32,
        failed: Option<Box<str>>,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self.servers.get_mut(server_slot) else {
            return;
        };
        let capture = server.capture.take().unwrap_or_default();
        let key = server.pool.key;
        let Some(slot) = self.unlink(server_slot, io.out) else {
            return;
        };
        self.give_back(io.now, server_slot, key, None, io.pools, io.out);
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let (user, database) = (Arc::clone(&client.user), Arc::clone(&client.database));
        self.lookup_over(slot, key, io);
        if let Some(text) = failed {
            if let Some(name) = self.client_name(slot) {
                io.out.command(Command::LookUpFailed { name, text });
            }
            return self.fail_client(
                slot,
                &Trouble::LookUpFailed,
                CloseReason::ClientAuthentication,
                io,
            );
        }
        let answer = capture.secret(&user);
        let asked = auth::lookup_key(&database, &user);
        self.cache.keep_looked_up(&asked, answer.clone(), io.now);
        self.identified(slot, answer, io);
    }

    /// The login no longer uses the pool of the look-up.
    pub(super) fn lookup_over(&mut self, slot: u32, key: PoolKey, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        client.pool = None;
        let flow = client.flow;
        if let Some(login) = self.login_mut(slot) {
            login.joined = false;
        }
        io.pools.leave(key, flow);
    }

    /// The answer of a look-up is there: the login goes on.
    pub(super) fn identified(&mut self, slot: u32, answer: Option<Stored>, io: &mut Io<'_>) {
        self.looked_up(slot, answer, io);
        self.login_go_on(slot, io);
        self.resume_client(slot, io.out);
    }

    /// The server connection of a login's look-up was lost.
    pub(crate) fn login_server_lost(&mut self, slot: u32, io: &mut Io<'_>) {
        self.fail_client(slot, &Trouble::ServerGone, CloseReason::ServerGone, io);
    }
}
