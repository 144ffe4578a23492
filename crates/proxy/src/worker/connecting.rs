//! Driving connections to servers until they are up.

use super::{Kind, Worker, token};
use crate::address::Remote;
use crate::outgoing::{self, OtherWay, Outgoing, Purpose, Stage, Way};
use crate::socket::{Conn, Got};
use crate::tls;
use config::SslMode;
use events::Time;
use events::snapshot::Address;
use mio::Interest;
use std::io;
use std::time::Duration;

/// A cancel request that takes longer is given up.
const CANCEL_MAX: Duration = Duration::from_secs(10);

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
        let endpoint = match &purpose {
            Purpose::Server { slot, conn } => self
                .hub
                .server_pool(*slot, *conn)
                .and_then(|key| self.endpoint(key)),
            Purpose::Cancel { pool, .. } => self.endpoint(*pool),
        };
        let Some(endpoint) = endpoint else { return };
        let deadline = match purpose {
            Purpose::Server { .. } => Time::FAR,
            Purpose::Cancel { .. } => self.now.after(CANCEL_MAX),
        };
        let direct = endpoint.direct();
        let name = endpoint.name().map(|(n, p)| (n.to_owned(), p));
        let mut outgoing = Outgoing {
            purpose,
            stage: Stage::Connecting,
            way: Way::first(endpoint.tls.mode, &endpoint.host),
            endpoint,
            remotes: direct.into_iter().collect(),
            conn: None,
            address: Address::Unix,
            remote: None,
            tls: self.common.read().server_tls(),
            tls_failure: None,
            deadline,
        };
        let entry = self.outgoing.vacant_entry();
        let slot = entry.key();
        if outgoing.remotes.is_empty() {
            self.questions = self.questions.wrapping_add(1);
            let ticket = u64::from(self.questions) << 32 | slot as u64;
            outgoing.stage = Stage::Naming(ticket);
            entry.insert(outgoing);
            if let Some((name, port)) = name {
                self.helpers.resolve(self.id, ticket, &name, port);
            }
        } else {
            entry.insert(outgoing);
            self.dial(slot, "no address".into());
        }
    }

    /// A server that could be connected another way was read. False when it will be.
    pub(super) fn login_read(&mut self, slot: u32) -> bool {
        if let Some(said) = self.hub.wants_other_way(slot) {
            self.connect_other_way(slot, &said);
            return false;
        }
        if !self.hub.is_logging_in(slot)
            && let Some(conn) = self.conn(relay::Peer::Server(slot))
        {
            conn.other_way = None;
        }
        true
    }

    /// The server refused a login, and `sslmode` has another way: the same
    /// address once more, with TLS instead of plain or the other way round.
    fn connect_other_way(&mut self, slot: u32, said: &str) {
        let conn = self.servers.get_mut(slot as usize).and_then(Option::take);
        let Some(mut conn) = conn else { return };
        let _ = self.poll.registry().deregister(&mut conn.stream);
        let Some(other) = conn.other_way.take() else {
            return;
        };
        drop(conn);
        let OtherWay { conn, remote, way } = *other;
        let endpoint = self
            .hub
            .server_pool(slot, conn)
            .and_then(|key| self.endpoint(key));
        let Some(endpoint) = endpoint else { return };
        tracing::info!(
            server = %endpoint.label(),
            tls = way.tls,
            refused = said,
            "the server refused the login; trying it the other way (sslmode)"
        );
        let outgoing = Outgoing {
            purpose: Purpose::Server { slot, conn },
            stage: Stage::Connecting,
            endpoint,
            remotes: vec![remote],
            conn: None,
            address: Address::Unix,
            remote: None,
            tls: self.common.read().server_tls(),
            way,
            tls_failure: None,
            // The hub's own limit, from the first attempt on, ends this one too.
            deadline: Time::FAR,
        };
        let place = self.outgoing.insert(outgoing);
        self.dial(place, "no address".into());
    }

    fn endpoint(&self, key: relay::PoolKey) -> Option<crate::address::Endpoint> {
        self.common.read().place(key).map(|p| p.upstream.endpoint())
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
                outgoing.remotes = remotes;
                outgoing.stage = Stage::Connecting;
                self.dial(slot, "the host name has no address".into());
            }
            Err(text) => self.outgoing_failed(slot, &text),
        }
    }

    /// Tries the next address; `last` is why the one before failed.
    fn dial(&mut self, slot: usize, mut last: String) {
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
                            outgoing.conn = Some(Conn::new(stream));
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
        if matches!(self.purpose_of(slot), Some(Purpose::Cancel { .. })) {
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
                remote,
                way,
            }));
            self.hub.has_other_way(slot);
        }
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
        let Purpose::Cancel { packet, .. } = &mut outgoing.purpose else {
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

    fn outgoing_failed(&mut self, slot: usize, text: &str) {
        let Some(mut outgoing) = self.outgoing.try_remove(slot) else {
            return;
        };
        if let Some(conn) = outgoing.conn.as_mut() {
            let _ = self.poll.registry().deregister(&mut conn.stream);
        }
        let both = outgoing
            .tls_failure
            .map(|first| format!("{first}; and without TLS: {text}"));
        let text = both.as_deref().unwrap_or(text);
        match outgoing.purpose {
            Purpose::Server { slot, .. } => {
                self.hub
                    .server_gone(self.now, slot, Some(text), &mut self.port, &mut self.out);
                self.settle(&[]);
            }
            Purpose::Cancel { server, conn, .. } => self.cancel_ended(server, conn),
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
