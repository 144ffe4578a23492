//! Driving connections to servers until they are up.

use super::{Kind, Worker, token};
use crate::address::{Endpoint, Remote};
use crate::outgoing::{self, MoreHosts, OtherWay, Outgoing, Purpose, Stage, Way};
use crate::socket::{Conn, Got};
use crate::tls;
use config::SslMode;
use events::Time;
use events::snapshot::Address;
use mio::Interest;
use std::io;
use std::time::Duration;

/// What one step came to.
enum Step {
    /// Wait for the next event.
    Wait,
    /// Take the next step at once.
    Again,
    /// It is up.
    Up,
    /// It failed.
    Failed(String),
}

impl Worker {
    /// Begins a connection to a server.
    pub(super) fn connect(&mut self, purpose: Purpose) {
        let hosts = match &purpose {
            Purpose::Server { slot, conn } => match self.hub.server_pool(*slot, *conn) {
                Some(key) => self.common.read().hosts(key, self.now),
                None => return,
            },
            Purpose::Cancel { server, pool, .. } => {
                let known = self.servers.get(*server as usize).and_then(Option::as_ref);
                if let Some(dialled) = known.and_then(|c| c.dialled.clone()) {
                    return self.connect_to(purpose, vec![dialled.0], vec![dialled.1]);
                }
                self.common.read().hosts(*pool, self.now)
            }
            Purpose::Forward { peer, .. } => vec![peer.clone()],
        };
        self.connect_to(purpose, hosts, Vec::new());
    }

    /// Begins with the first of `hosts`, at `remotes` where they are known.
    fn connect_to(&mut self, purpose: Purpose, mut hosts: Vec<Endpoint>, remotes: Vec<Remote>) {
        hosts.reverse();
        let tries = u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let patience = match purpose {
            // The hub's own timeout ends the last try.
            Purpose::Server { .. } => self.common.read().plan.server_connect_timeout / tries,
            Purpose::Cancel { .. } | Purpose::Forward { .. } => {
                self.common.read().plan.cancel_wait_timeout
            }
        };
        self.connect_on(purpose, hosts, patience, remotes);
    }

    /// Goes on with the last of `hosts`.
    pub(super) fn connect_on(
        &mut self,
        purpose: Purpose,
        mut hosts: Vec<Endpoint>,
        patience: Duration,
        remotes: Vec<Remote>,
    ) {
        let Some(endpoint) = hosts.pop() else { return };
        let slot = self.outgoing.insert(Outgoing {
            purpose,
            stage: Stage::Connecting,
            way: Way::first(endpoint.tls.mode, &endpoint.host),
            endpoint,
            others: hosts,
            patience,
            remotes,
            conn: None,
            address: Address::Unix,
            remote: None,
            tls: self.common.read().server_tls(),
            tls_failure: None,
            deadline: Time::FAR,
        });
        self.try_host(slot);
    }

    /// Starts on the host that is the endpoint now.
    fn try_host(&mut self, slot: usize) {
        let Some(outgoing) = self.outgoing.get_mut(slot) else {
            return;
        };
        let last_of_server =
            outgoing.others.is_empty() && matches!(outgoing.purpose, Purpose::Server { .. });
        outgoing.deadline = match last_of_server {
            true => Time::FAR,
            false => self.now.after(outgoing.patience),
        };
        outgoing.way = Way::first(outgoing.endpoint.tls.mode, &outgoing.endpoint.host);
        outgoing.tls_failure = None;
        if outgoing.remotes.is_empty() {
            outgoing.remotes = outgoing.endpoint.direct().into_iter().collect();
        }
        outgoing.stage = Stage::Connecting;
        if outgoing.remotes.is_empty() {
            self.questions = self.questions.wrapping_add(1);
            let ticket = u64::from(self.questions) << 32 | slot as u64;
            outgoing.stage = Stage::Naming(ticket);
            if let Some((name, port)) = outgoing.endpoint.name() {
                let (name, port) = (name.to_owned(), port);
                let age_max = self.name_age_max(slot);
                self.helpers.resolve(self.id, ticket, name, port, age_max);
            }
        } else {
            self.dial(slot, "no address".into());
        }
    }

    pub(super) fn resolved(&mut self, ticket: u64, result: Result<Vec<Remote>, String>) {
        let slot = slot_of(ticket);
        let Some(outgoing) = self.outgoing.get_mut(slot) else {
            return;
        };
        if !matches!(outgoing.stage, Stage::Naming(t) if t == ticket) {
            return;
        }
        match result {
            Ok(remotes) => {
                let addresses = crate::address::addresses(&remotes);
                outgoing.remotes = remotes;
                outgoing.stage = Stage::Connecting;
                self.name_told(slot, &addresses);
                self.dial(slot, "the host name has no address".into());
            }
            Err(text) => self.outgoing_failed(slot, &text),
        }
    }

    /// Tries the next address; `last` is why the one before failed.
    pub(super) fn dial(&mut self, slot: usize, mut last: String) {
        loop {
            let Some(outgoing) = self.outgoing.get_mut(slot) else {
                return;
            };
            if outgoing.remotes.is_empty() {
                return self.outgoing_failed(slot, &last);
            }
            let remote = outgoing.remotes.remove(0);
            match outgoing::dial(&self.common, &remote) {
                Ok((mut stream, address)) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    match self.poll.registry().register(
                        &mut stream,
                        token(Kind::Outgoing, slot),
                        interest,
                    ) {
                        Ok(()) => {
                            let mut conn = Conn::new(stream);
                            if matches!(outgoing.purpose, Purpose::Server { .. }) {
                                conn.dialled =
                                    Some(Box::new((outgoing.endpoint.clone(), remote.clone())));
                            }
                            outgoing.conn = Some(conn);
                            outgoing.remote = Some(remote);
                            outgoing.address = address;
                            outgoing.stage = Stage::Connecting;
                            return self.outgoing_ready(slot);
                        }
                        Err(error) => last = error.to_string(),
                    }
                }
                Err(error) => last = describe(&remote, &error),
            }
        }
    }

    pub(super) fn outgoing_ready(&mut self, slot: usize) {
        if self.suspended {
            return;
        }
        loop {
            let Some(outgoing) = self.outgoing.get_mut(slot) else {
                return;
            };
            match step(outgoing) {
                Step::Wait => return,
                Step::Again => {}
                Step::Up => return self.outgoing_up(slot),
                Step::Failed(text) => {
                    if let Some(mut conn) = outgoing.conn.take() {
                        let _ = self.poll.registry().deregister(&mut conn.stream);
                    }
                    if matches!(outgoing.stage, Stage::Connecting) && !outgoing.remotes.is_empty() {
                        return self.dial(slot, text);
                    }
                    if outgoing.tls_may_be_left_out() {
                        tracing::info!(
                            server = %outgoing.endpoint.label(),
                            error = text,
                            "trying the server without TLS (sslmode=prefer)"
                        );
                        outgoing.tls_failure = Some(text.clone());
                        return self.dial(slot, text);
                    }
                    return self.outgoing_failed(slot, &text);
                }
            }
        }
    }

    /// The socket is ready for the protocol.
    fn outgoing_up(&mut self, slot: usize) {
        if matches!(
            self.purpose_of(slot),
            Some(Purpose::Cancel { .. } | Purpose::Forward { .. })
        ) {
            return self.send_cancel(slot);
        }
        let Some(outgoing) = self.outgoing.try_remove(slot) else {
            return;
        };
        let (Purpose::Server { slot, conn: id }, Some(mut conn)) =
            (outgoing.purpose, outgoing.conn)
        else {
            return;
        };
        if let (Some(way), Some(remote)) = (outgoing.way.next(), outgoing.remote) {
            conn.other_way = Some(Box::new(OtherWay {
                conn: id,
                endpoint: outgoing.endpoint,
                remote,
                way,
            }));
            self.hub.has_other_way(slot);
        }
        if !outgoing.others.is_empty() {
            conn.more_hosts = Some(Box::new(MoreHosts {
                conn: id,
                others: outgoing.others,
                patience: outgoing.patience,
            }));
            self.hub.has_more_hosts(slot);
        }
        if self
            .common
            .read()
            .can_reread(self.hub.server_pool(slot, id))
        {
            self.hub.can_read_secret_again(slot);
        }
        conn.logging_in = true;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.poll.registry().reregister(
            &mut conn.stream,
            token(Kind::Server, slot as usize),
            interest,
        );
        let session = conn.tls.as_ref().map(|t| t.connection());
        let description = session.map(tls::describe).unwrap_or_default();
        let binding = session.and_then(tls::peer_binding);
        conn.readable = true;
        let local = conn.stream.local_address();
        if let Some(pool) = self.hub.server_pool(slot, id) {
            self.log_server_up(slot, pool, &conn, &local);
        }
        self.server_up(slot, conn);
        if watched.is_err() {
            return self.gone(relay::Peer::Server(slot), None);
        }
        self.hub.server_connected(
            slot,
            (outgoing.address, local),
            &description,
            binding.as_deref(),
            &mut self.out,
        );
        self.settle(&[]);
    }

    fn send_cancel(&mut self, slot: usize) {
        let Some(outgoing) = self.outgoing.get_mut(slot) else {
            return;
        };
        let (Purpose::Cancel { packet, .. } | Purpose::Forward { packet, .. }) =
            &mut outgoing.purpose
        else {
            return;
        };
        let packet = std::mem::take(packet);
        outgoing.stage = Stage::Sent;
        let sent = outgoing.conn.as_mut().and_then(|c| c.write(&packet));
        if sent.is_none() {
            return self.outgoing_failed(slot, "the cancel request could not be sent");
        }
        self.outgoing_ready(slot);
    }

    pub(super) fn outgoing_failed(&mut self, slot: usize, text: &str) {
        let Some(outgoing) = self.outgoing.get_mut(slot) else {
            return;
        };
        if let Some(mut conn) = outgoing.conn.take() {
            let _ = self.poll.registry().deregister(&mut conn.stream);
        }
        let both = outgoing
            .tls_failure
            .take()
            .map(|first| format!("{first}; and without TLS: {text}"));
        let text = both.as_deref().unwrap_or(text);
        if let Some(outgoing) = self.outgoing.get(slot) {
            self.log_not_up(outgoing, text);
        }
        let Some(outgoing) = self.outgoing.get(slot) else {
            return;
        };
        if let Purpose::Server { slot, conn } = outgoing.purpose
            && let Some(key) = self.hub.server_pool(slot, conn)
        {
            let host = outgoing.endpoint.host.clone();
            self.host_failed(key, &host);
        }
        let Some(outgoing) = self.outgoing.get_mut(slot) else {
            return;
        };
        if let Some(next) = outgoing.others.pop() {
            tracing::warn!(host = %outgoing.endpoint.label(), error = text, "the next host is tried");
            outgoing.endpoint = next;
            outgoing.remotes.clear();
            return self.try_host(slot);
        }
        let outgoing = self.outgoing.remove(slot);
        match outgoing.purpose {
            Purpose::Server { slot, .. } => {
                self.hub
                    .server_gone(self.now, slot, Some(text), &mut self.port, &mut self.out);
                self.settle(&[]);
            }
            Purpose::Cancel { server, conn, .. } => self.cancel_ended(server, conn),
            Purpose::Forward { requester, .. } => self.forward_ended(requester),
        }
    }

    /// The hub gave a connection up that was still on its way.
    pub(super) fn drop_outgoing(&mut self, server: u32) {
        let found = self
            .outgoing
            .iter()
            .find(|(_, o)| matches!(o.purpose, Purpose::Server { slot, .. } if slot == server))
            .map(|(i, _)| i);
        if let Some(mut outgoing) = found.and_then(|i| self.outgoing.try_remove(i))
            && let Some(conn) = outgoing.conn.as_mut()
        {
            let _ = self.poll.registry().deregister(&mut conn.stream);
        }
    }

    pub(super) fn tick_outgoing(&mut self) {
        let late: Vec<usize> = self
            .outgoing
            .iter()
            .filter(|(_, o)| self.now > o.deadline)
            .map(|(i, _)| i)
            .collect();
        for slot in late {
            self.outgoing_failed(slot, "timeout");
        }
    }
}

/// The connection that asked; it may be another one by now.
pub(super) fn slot_of(ticket: u64) -> usize {
    (ticket & u64::from(u32::MAX)) as usize
}

fn step(outgoing: &mut Outgoing) -> Step {
    let Some(conn) = outgoing.conn.as_mut() else {
        return Step::Wait;
    };
    match outgoing.stage {
        Stage::Naming(_) => Step::Wait,
        Stage::Connecting => {
            if let Some(error) = conn.stream.take_error() {
                return Step::Failed(format!("{}: {error}", outgoing.endpoint.label()));
            }
            if !conn.stream.is_connected() {
                return Step::Wait;
            }
            match (outgoing.way.tls, outgoing.endpoint.tls.direct) {
                (true, true) => begin_tls(outgoing),
                (true, false) => {
                    let mut request = Vec::new();
                    wire::front::ssl_request(&mut request);
                    if conn.write(&request).is_none() {
                        return Step::Failed("the server closed the connection".into());
                    }
                    outgoing.stage = Stage::Asked;
                    Step::Again
                }
                (false, _) => Step::Up,
            }
        }
        Stage::Asked => {
            let mut answer = [0];
            match conn.read(&mut answer) {
                Got::Bytes(1, _) => tls_answered(outgoing, answer[0]),
                Got::Bytes(..) => Step::Again,
                Got::Nothing => Step::Wait,
                Got::End => Step::Failed("the server closed the connection".into()),
                Got::Broken(e) => Step::Failed(e.to_string()),
            }
        }
        Stage::Handshake => {
            let Some(tls) = conn.tls.as_mut() else {
                return Step::Failed("TLS is not set up".into());
            };
            match tls.handshake(&mut conn.stream) {
                Ok(())
                    if outgoing.endpoint.tls.direct
                        && !crate::tls::speaks_postgresql(tls.connection()) =>
                {
                    Step::Failed("the server's TLS does not speak PostgreSQL (ALPN)".into())
                }
                Ok(()) => Step::Up,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Step::Wait,
                Err(e) => Step::Failed(format!("TLS with the server failed: {e}")),
            }
        }
        Stage::Sent => {
            let mut scrap = [0; 64];
            if conn.flush().is_none() {
                return Step::Failed("closed".into());
            }
            match conn.read(&mut scrap) {
                Got::Nothing => Step::Wait,
                Got::Bytes(..) => Step::Again,
                Got::End => Step::Failed("done".into()),
                Got::Broken(e) => Step::Failed(e.to_string()),
            }
        }
    }
}

/// The server's one byte after SSLRequest.
fn tls_answered(outgoing: &mut Outgoing, answer: u8) -> Step {
    match answer {
        b'S' => begin_tls(outgoing),
        b'N' if outgoing.way.plain_is_fine => {
            // This is the plain way already.
            outgoing.way.other = false;
            Step::Up
        }
        b'N' if outgoing.endpoint.tls.mode >= SslMode::Require => {
            Step::Failed("the server does not offer TLS, but sslmode requires it".into())
        }
        b'N' => Step::Failed("the server does not offer TLS".into()),
        _ => Step::Failed("the server broke the protocol at SSLRequest".into()),
    }
}

fn begin_tls(outgoing: &mut Outgoing) -> Step {
    let Some(config) = outgoing.tls.clone() else {
        return Step::Failed("TLS is not set up".into());
    };
    match outgoing::session(config, &outgoing.endpoint) {
        Ok(stream) => {
            if let Some(conn) = outgoing.conn.as_mut() {
                conn.tls = Some(Box::new(stream));
            }
            outgoing.stage = Stage::Handshake;
            Step::Again
        }
        Err(text) => Step::Failed(text),
    }
}

fn describe(remote: &Remote, error: &io::Error) -> String {
    match remote {
        Remote::Tcp(address) => format!("{address}: {error}"),
        Remote::Unix(path) => format!("{}: {error}", path.display()),
    }
}
