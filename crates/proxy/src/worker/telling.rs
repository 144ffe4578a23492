//! What the log is told of clients and servers, in our words or in PgBouncer's.

use super::Worker;
use crate::outgoing::{Outgoing, Purpose, Stage};
use crate::socket::Conn;
use crate::words::{self, Whose, theirs};
use events::CloseReason;
use events::pgbouncer::{NotUp, client_words, server_words};
use events::snapshot::Address;
use relay::{ClientName, Command, LoginNote, PoolInfo, PoolKey, Replication, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;

/// Lines about errors of ours that one worker writes in a second.
const TOLD_MAX: u32 = 100;

/// A connection to a server that never was, or was refused.
struct ServerFailure<'a> {
    slot: u32,
    pool: PoolKey,
    reason: CloseReason,
    text: &'a str,
    name: ServerName,
    /// The words are the server's.
    by_server: bool,
}

impl Worker {
    /// Tells the log of the commands from `known` on, which were not carried out yet.
    pub(super) fn tell_log(&mut self, known: usize) {
        let commands = std::mem::take(&mut self.commands);
        for command in commands.iter().skip(known) {
            self.tell(command);
        }
        self.commands = commands;
    }

    fn tell(&mut self, command: &Command) {
        match command {
            Command::CloseClient {
                slot,
                name,
                reason,
                said,
            } => self.log_close(*slot, name, *reason, said.as_deref()),
            Command::CloseServer {
                slot,
                pool,
                reason,
                name,
                ..
            } => self.log_server_close(*slot, *pool, *name, *reason),
            Command::ServerFailed {
                slot,
                pool,
                reason,
                text,
                name,
                by_server,
                ..
            } => self.log_server_failure(&ServerFailure {
                slot: *slot,
                pool: *pool,
                reason: *reason,
                text,
                name: *name,
                by_server: *by_server,
            }),
            Command::Told {
                slot,
                name,
                code,
                text,
            } => self.log_told(*slot, name, code, text),
            Command::LoginAttempt {
                slot,
                name,
                tls,
                replication,
                note,
            } => self.log_attempt(*slot, name, tls.as_deref(), *replication, *note),
            Command::LookUpFailed { name, text } => log_look_up(name, text),
            Command::Misconfigured { slot, name, text } => {
                self.log_misconfigured(*slot, name, text)
            }
            _ => {}
        }
    }

    fn log_misconfigured(&self, slot: u32, name: &ClientName, text: &str) {
        if words::wanted() {
            let whose = self.client(slot, name);
            return theirs!(ERROR, "{whose} {}", words::text(text));
        }
        tracing::error!(
            client = name.id,
            database = %name.database,
            user = %name.user,
            worker = self.id.0,
            "{text}"
        );
    }

    fn client<'a>(&self, slot: u32, name: &'a ClientName) -> Whose<'a> {
        let conn = self.clients.get(slot as usize).and_then(Option::as_deref);
        let pid = match name.addr {
            Address::Unix => conn.and_then(|conn| conn.stream.peer_pid()),
            Address::Tcp(_) => None,
        };
        let port = self.common.read().plan.unix_socket_port;
        Whose {
            kind: 'C',
            id: name.id,
            database: &name.database,
            user: &name.user,
            place: words::place(&name.addr, pid, port),
        }
    }

    fn server<'a>(&self, name: ServerName, info: &'a PoolInfo, conn: Option<&Conn>) -> Whose<'a> {
        let dialled = conn.and_then(|conn| conn.dialled.as_deref());
        Whose {
            kind: 'S',
            id: name.id,
            database: &info.database,
            user: &info.user,
            place: match dialled {
                Some((endpoint, remote)) => remote.shown(endpoint),
                None => info.address.to_string(),
            },
        }
    }

    fn info(&self, pool: PoolKey) -> Option<Arc<PoolInfo>> {
        let registry = self.common.read();
        registry.place(pool).map(|place| Arc::clone(&place.info))
    }

    fn log_attempt(
        &self,
        slot: u32,
        name: &ClientName,
        tls: Option<&str>,
        replication: Replication,
        note: LoginNote,
    ) {
        if !words::wanted() {
            return;
        }
        let logs = self.common.read().plan.log.connections;
        let whose = self.client(slot, name);
        let user = words::name(&name.user);
        match note {
            LoginNote::NoSuchUser => theirs!(INFO, "{whose} no such user: {user}"),
            LoginNote::Owner if logs => theirs!(INFO, "{whose} pgbouncer access from unix socket"),
            _ => {}
        }
        if logs {
            theirs!(
                INFO,
                "{whose} login attempt: db={} user={user} tls={} replication={}",
                words::name(&name.database),
                tls.unwrap_or("no"),
                match replication {
                    Replication::None => "no",
                    Replication::Physical => "yes",
                    Replication::Logical => "database",
                }
            );
        }
    }

    pub(super) fn log_login(&self, name: &ClientName) {
        if self.common.read().plan.log.connections && !words::wanted() {
            tracing::info!(
                client = name.id,
                database = %name.database,
                user = %name.user,
                worker = self.id.0,
                "client logged in"
            );
        }
    }

    fn log_close(&self, slot: u32, name: &ClientName, reason: CloseReason, said: Option<&str>) {
        if !self.common.read().plan.log.disconnections {
            return;
        }
        if words::wanted() {
            // Who connects and says nothing may be a monitor: PgBouncer is silent, too.
            if reason == CloseReason::ClientGone && name.user.is_empty() {
                return;
            }
            let whose = self.client(slot, name);
            let words = said.unwrap_or(client_words(reason));
            let closing = words::closing(words, self.now, name.since);
            return theirs!(INFO, "{whose} {closing}");
        }
        tracing::info!(
            client = name.id,
            database = %name.database,
            user = %name.user,
            addr = %super::commands::address_of(&name.addr),
            age_s = self.now.since(name.since).as_secs(),
            worker = self.id.0,
            reason = reason.label(),
            "client closed"
        );
    }

    /// The line of an error of ours. Of many in one second the first are written.
    fn log_told(&mut self, slot: u32, name: &ClientName, code: &str, text: &str) {
        let (until, written, left_out) = &mut self.told;
        if self.now >= *until {
            if *left_out > 0 {
                tracing::warn!(
                    errors = *left_out,
                    worker = self.id.0,
                    "further pooler errors were not logged"
                );
            }
            (*until, *written, *left_out) = (self.now.after(Duration::from_secs(1)), 0, 0);
        }
        if *written >= TOLD_MAX {
            *left_out += 1;
            return;
        }
        *written += 1;
        if words::wanted() {
            let whose = self.client(slot, name);
            return theirs!(WARN, "{whose} pooler error: {}", words::text(text));
        }
        tracing::warn!(
            client = name.id,
            database = %name.database,
            user = %name.user,
            worker = self.id.0,
            code,
            "pooler error: {text}"
        );
    }

    /// A pool's reserve is used, on behalf of this client.
    pub(super) fn log_reserve(&self, client: events::ClientId) {
        if words::wanted()
            && client.worker == self.id
            && let Some(name) = self.hub.client_name(client.slot)
        {
            let whose = self.client(client.slot, &name);
            theirs!(WARN, "{whose} taking connection from reserve_pool");
        }
    }

    /// A socket to a server is connected; its login is to come.
    pub(super) fn log_server_up(&self, slot: u32, pool: PoolKey, conn: &Conn, local: &Address) {
        if !words::wanted() || !self.common.read().plan.log.connections {
            return;
        }
        let (Some(info), Some(name)) = (self.info(pool), self.hub.server_name(slot)) else {
            return;
        };
        let whose = self.server(name, &info, Some(conn));
        match local {
            Address::Tcp(local) => theirs!(INFO, "{whose} new connection to server (from {local})"),
            Address::Unix => theirs!(INFO, "{whose} new connection to server"),
        }
    }

    fn log_server_close(&self, slot: u32, pool: PoolKey, name: ServerName, reason: CloseReason) {
        if !words::wanted() || !self.common.read().plan.log.disconnections {
            return;
        }
        if let Some(info) = self.info(pool) {
            let conn = self.servers.get(slot as usize).and_then(Option::as_deref);
            let whose = self.server(name, &info, conn);
            let closing = words::closing(server_words(reason), self.now, name.since);
            theirs!(INFO, "{whose} {closing}");
        }
    }

    /// A host of a server could not be reached. There may be others.
    pub(super) fn log_not_up(&self, outgoing: &Outgoing, text: &str) {
        let Purpose::Server { slot, conn } = outgoing.purpose else {
            return;
        };
        if !words::wanted() {
            return;
        }
        let pool = self.hub.server_pool(slot, conn);
        let (Some(info), Some(name)) = (
            pool.and_then(|pool| self.info(pool)),
            self.hub.server_name(slot),
        ) else {
            return;
        };
        let why = match outgoing.stage {
            Stage::Naming(_) => NotUp::Name,
            _ if self.now > outgoing.deadline => NotUp::Late,
            _ => NotUp::Refused,
        };
        if text.contains("invalid peer certificate") {
            theirs!(
                WARN,
                "TLS handshake error: certificate verify failed: {}",
                words::text(text)
            );
        }
        if self.common.read().plan.log.disconnections {
            let mut whose = self.server(name, &info, None);
            whose.place = match &outgoing.remote {
                Some(remote) => remote.shown(&outgoing.endpoint),
                None => outgoing.endpoint.label(),
            };
            let closing = words::closing(why.words(), self.now, name.since);
            theirs!(INFO, "{whose} {closing}");
        }
    }

    fn log_server_failure(&self, failure: &ServerFailure<'_>) {
        let ServerFailure { pool, text, .. } = *failure;
        let Some(info) = self.info(pool) else { return };
        let reason = failure.reason.label();
        let (server, database, user) = (&info.address, &info.database, &info.user);
        macro_rules! failed {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    %server,
                    %database,
                    %user,
                    reason,
                    error = text,
                    "cannot open a server connection"
                )
            };
        }
        if words::wanted() {
            // Its line is the error; ours beside it says the rest.
            self.log_failed_login(failure, &info);
            failed!(Level::INFO);
        } else {
            failed!(Level::WARN);
        }
    }

    /// What [`Worker::log_not_up`] could not tell: the socket was up, or still on its way.
    fn log_failed_login(&self, failure: &ServerFailure<'_>, info: &PoolInfo) {
        let slot = failure.slot;
        // A replication client's own login may be refused where others are served.
        let replica = info.replication.is_on();
        let text = words::text(failure.text);
        match failure.by_server {
            true if replica => theirs!(ERROR, "S: login failed: FATAL: {text}"),
            true => theirs!(WARN, "server login failed: FATAL {text}"),
            false => {}
        }
        let conn = self.servers.get(slot as usize).and_then(Option::as_deref);
        let on_its_way =
            |o: &Outgoing| matches!(o.purpose, Purpose::Server { slot: s, .. } if s == slot);
        let words = match conn {
            _ if failure.by_server && replica => "login failed",
            _ if failure.by_server => text,
            Some(_) => server_words(match failure.reason {
                CloseReason::ServerConnectFailed => CloseReason::ServerGone,
                reason => reason,
            }),
            None if self.outgoing.iter().any(|(_, o)| on_its_way(o)) => NotUp::Late.words(),
            None => return,
        };
        if self.common.read().plan.log.disconnections {
            let whose = self.server(failure.name, info, conn);
            let closing = words::closing(words, self.now, failure.name.since);
            theirs!(INFO, "{whose} {closing}");
        }
    }
}

/// The server's answer to `auth_query` was an error.
fn log_look_up(name: &ClientName, text: &str) {
    if words::wanted() {
        let text = words::text(text);
        return theirs!(ERROR, "S: error in auth_query: ERROR: {text}");
    }
    tracing::warn!(
        client = name.id,
        database = %name.database,
        user = %name.user,
        error = text,
        "auth_query failed"
    );
}
