//! After the proof: where the login leads, and what a client is told at its welcome.

use crate::auth::Stage;
use crate::client::Phase;
use crate::directory::{PoolInfo, PoolKey, Route, Target};
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::login::reported::{date_style, reported_name};
use crate::outbox::{Command, Peer};
use crate::requests::Io;
use events::CloseReason;
use std::sync::Arc;
use wire::back::{self, Status};
use wire::sql::Value;

impl Hub {
    /// The client is who it says: where does it lead?
    pub(super) fn proven(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let (user, database) = (Arc::clone(&client.user), Arc::clone(&client.database));
        let startup = Arc::clone(&client.startup);
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        if login.console {
            return self.console_welcome(slot, &user, false, io);
        }
        let replication = login.replication;
        let secret = login.secret.as_ref().and_then(|s| s.0.clone());
        let keys = login.keys.clone();
        let target = Target {
            database: &database,
            user: &user,
            secret: secret.as_deref(),
            keys: keys.as_ref(),
            replication: replication.is_on().then_some((replication, &*startup)),
        };
        let trouble = match io.pools.route(io.now, target) {
            Route::Pool(info) => return self.enter(slot, info, io),
            Route::NoDatabase | Route::Console => Trouble::NoSuchDatabase(&database),
            Route::Disabled => Trouble::DatabaseDisabled(&database),
            Route::Full(limit) => Trouble::TooManyClients { limit },
        };
        self.fail_client(slot, &trouble, CloseReason::ClientRefused, io);
    }

    pub(super) fn enter(&mut self, slot: u32, info: Arc<PoolInfo>, io: &mut Io<'_>) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let application = client.params.text("application_name").unwrap_or_default();
        let application = client.without_origin(application);
        client.flow = io
            .pools
            .join(info.key, &format!("{}\0{application}", client.user));
        let known = info.greeting().is_some();
        client.pool = Some(info);
        if let Some(login) = self.login_mut(slot) {
            login.joined = true;
        }
        if known {
            self.welcome(slot, io);
        } else {
            self.login_checkout(slot, Stage::Greeting, io);
        }
    }

    /// What a pool's server reports is known now: logins that wait for it need
    /// no connection of their own.
    pub(crate) fn welcome_waiting(&mut self, key: PoolKey, io: &mut Io<'_>) {
        for (slot, generation) in self.logins.clone() {
            let waits = self.clients.get(slot).is_some_and(|c| {
                c.generation == generation
                    && c.pool
                        .as_ref()
                        .is_some_and(|p| p.key == key && !p.replication.is_on())
                    && matches!(&c.phase, Phase::Login(l) if matches!(l.stage, Stage::Greeting))
            });
            if waits && let Some(id) = self.client_id(slot) {
                io.pools.cancel_wait(io.now, key, id);
                self.welcome(slot, io);
            }
        }
    }

    /// AuthenticationOk, the parameters, the key, ReadyForQuery.
    pub(super) fn welcome(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(key) = self.pool_key(slot) else {
            return;
        };
        let info = self.clients.get(slot).and_then(|c| c.pool.as_ref());
        let greeting = info.and_then(|p| p.greeting()).unwrap_or_default();
        self.local(key).stats.totals.client_logins += 1;
        self.stats.logins += 1;
        self.count_login(slot);
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let Phase::Login(login) = &mut client.phase else {
            return;
        };
        let (tls, replication) = (login.tls.take(), login.replication);
        client.phase = Phase::Ready;
        if replication.is_on() {
            client.extra().replication = replication;
        }
        client.request_at = io.now;
        if let Some(tls) = tls {
            client.extra().tls = tls;
        }
        let params = Arc::clone(&client.params);
        let secret = self.cancel_secret(slot);
        let pid = self.process_number(slot);
        io.out.write(Peer::Client(slot), |v| {
            back::auth_ok(v);
            for (name, value) in greeting.iter() {
                let (Value::Guc(at_login) | Value::Fragment(at_login)) = value;
                let wish = params.value(name).unwrap_or(value);
                let (Value::Guc(text) | Value::Fragment(text)) = wish;
                if name == "datestyle" {
                    back::parameter_status(v, "DateStyle", date_style(text, at_login));
                } else {
                    back::parameter_status(v, reported_name(name), &**text);
                }
            }
            back::backend_key(v, pid, &secret);
            back::ready(v, Status::Idle);
        });
        if let Some(client) = self.clients.get(slot) {
            let name = client.name();
            io.out.command(Command::LoggedIn { name });
        }
        self.login_go_on(slot, io);
        self.resume_client(slot, io.out);
    }
}
