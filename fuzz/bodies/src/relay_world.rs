//! Hubs, their pool, and the other ends of all connections: a shell without
//! sockets, which checks the hubs after each dispatch.

mod client;
mod duties;
mod ports;
mod server;

pub(crate) use client::Client;
pub(crate) use server::Server;

use events::snapshot::Address;
use events::{ClientId, ConnId, Time, WorkerId};
use ports::Ports;
use relay::{
    Auth, AuthQuery, Command, DeriveJob, Directory, ErrorStyle, Hub, Outbox, Peer, PeerInfo, Seeds,
    Settings, Source, Stored, Transfer,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A worker and a slot there.
pub(crate) type Place = (u16, u32);

/// A server connection between two workers.
struct Moving {
    transfer: Transfer,
    server: Server,
    to: ClientId,
}

/// A cancel request on its way to a server.
struct Cancel {
    place: Place,
    conn: ConnId,
    /// The mark of the client whose statement is meant.
    of: Option<String>,
}

/// Everything around the hubs.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) hubs: Vec<Hub>,
    pub(crate) ports: Ports,
    pub(crate) clients: BTreeMap<Place, Client>,
    pub(crate) servers: BTreeMap<Place, Server>,
    /// Marks of all clients that ever were, by session.
    numbers: BTreeMap<ClientId, u32>,
    moving: Vec<Moving>,
    jobs: Vec<(u16, Peer, u32, DeriveJob)>,
    cancels: Vec<Cancel>,
    requesters: Vec<(ConnId, ClientId)>,
    consoles: Vec<ClientId>,
    /// Closed by the hub; the end of file was not seen yet.
    ending: Vec<ConnId>,
    out: Outbox,
    commands: Vec<Command>,
    /// Which client held a connection before the dispatch that runs.
    leases: Vec<(ConnId, ClientId)>,
    /// Who was linked to the origin of the dispatch that runs.
    before: Option<Peer>,
    /// Servers answer as PostgreSQL does; then marks and counts must be right.
    pub(crate) strict: bool,
    ask_password: u8,
}

/// The settings of choice number `choice`.
pub(crate) fn directory(choice: u8, wild: bool) -> Arc<Directory> {
    let auths = [
        Auth::Any,
        Auth::Trust,
        Auth::Scram,
        Auth::Plain,
        Auth::Md5,
        Auth::Any,
    ];
    let second = Duration::from_secs;
    let mut settings = Settings {
        auth: auths[usize::from(choice) % auths.len()],
        prepared_max: [200, 1, 2, 200][usize::from(choice >> 2 & 3)],
        reset_always: choice & 16 != 0,
        error_style: if choice & 32 == 0 {
            ErrorStyle::Plimsoll
        } else {
            ErrorStyle::Pgbouncer
        },
        login_timeout: second(20),
        server_connect_timeout: second(3),
        check_delay: Some(second(2)),
        wait_notify: Some(second(1)),
        pin: choice & 4 == 0,
        ..Settings::default()
    };
    if choice & 64 != 0 {
        settings.query_timeout = Some(second(5));
        settings.transaction_timeout = Some(second(8));
        settings.idle_transaction_timeout = Some(second(6));
        settings.client_idle_timeout = Some(second(30));
    }
    if choice & 128 != 0 {
        settings.auth_query = Some(AuthQuery {
            query: "select usename, passwd from shadow where usename = $1".into(),
            user: "own".into(),
            database: None,
        });
    }
    if wild {
        settings.prepared_max = [200, 0, 1, 2][usize::from(choice >> 2 & 3)];
        settings.client_tls = choice & 2 != 0;
        settings.strict_startup = choice & 8 != 0;
    }
    settings.admin_users.insert("adm".into());
    let scram = wire::scram::Verifier::from_password(b"pw", b"salt", 1).to_string();
    let md5 = wire::md5::stored("md5", "pw");
    let users = [
        ("ann", Some("pw")),
        ("bob", Some("pw")),
        ("adm", Some("pw")),
        ("scr", Some(&*scram)),
        ("md5", Some(&*md5)),
        ("nil", None),
    ];
    Arc::new(Directory {
        settings,
        users: users
            .into_iter()
            .map(|(user, secret)| (user.into(), Stored(secret.map(Into::into))))
            .collect(),
        mock_seed: [7; 32],
    })
}

/// The first mark in some bytes: whose statement this is.
pub(crate) fn marks(bytes: &[u8]) -> Vec<u8> {
    server::find(bytes, b"<<c")
        .and_then(|at| bytes.get(at + 2..at + 7))
        .unwrap_or_default()
        .to_vec()
}

impl World {
    pub(crate) fn new(workers: u16, shape: u8, choice: u8, wild: bool) -> World {
        let settings = directory(choice, wild);
        let hub = |w| {
            let seeds = Seeds {
                hash: 1,
                key: [2; 32],
                nonce: [w as u8; 32],
            };
            Hub::new(WorkerId(w), Arc::clone(&settings), seeds)
        };
        World {
            now: Time::from_micros(1),
            hubs: (0..workers).map(hub).collect(),
            ports: Ports::new(
                workers,
                2 + u32::from(shape & 3),
                1 + u32::from(shape >> 2 & 1),
            ),
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            moving: Vec::new(),
            jobs: Vec::new(),
            cancels: Vec::new(),
            requesters: Vec::new(),
            consoles: Vec::new(),
            ending: Vec::new(),
            out: Outbox::new(),
            commands: Vec::new(),
            leases: Vec::new(),
            before: None,
            strict: !wild,
            ask_password: shape >> 3 & 3,
        }
    }

    pub(crate) fn workers(&self) -> u16 {
        self.hubs.len() as u16
    }

    /// A client connects.
    pub(crate) fn accept(&mut self, w: u16) -> Place {
        let peer = PeerInfo {
            addr: Address::Unix,
            local_addr: Address::Unix,
        };
        let (now, hub) = (self.now, &mut self.hubs[usize::from(w)]);
        let slot = hub.accept(now, peer);
        let number = self.numbers.len() as u32;
        if let Some(id) = hub.client_id(slot) {
            assert!(
                self.clients
                    .insert((w, slot), Client::new(number))
                    .is_none(),
                "a slot in use was given out"
            );
            self.numbers.insert(id, number);
        }
        (w, slot)
    }

    /// Runs one call of a hub, then does what it asked for until nothing is left.
    pub(crate) fn dispatch(
        &mut self,
        w: u16,
        origin: Option<Peer>,
        input: &[u8],
        f: impl FnOnce(&mut Hub, Time, &mut Ports, &mut Outbox),
    ) {
        self.before = origin.and_then(|peer| self.hubs[usize::from(w)].linked(peer));
        self.leases.clear();
        let rows = self.ports.up.conns();
        self.leases
            .extend(rows.filter_map(|row| Some((row.conn, row.lease?.client))));
        self.ports.granted.clear();
        self.ports.worker = WorkerId(w);
        f(
            &mut self.hubs[usize::from(w)],
            self.now,
            &mut self.ports,
            &mut self.out,
        );
        self.write_out(w, origin, input);
        self.settle(w);
    }

    fn settle(&mut self, w: u16) {
        loop {
            if self.out.has_commands() {
                let mut commands = std::mem::take(&mut self.commands);
                self.out.take_commands(&mut commands);
                for command in commands.drain(..) {
                    self.command(w, command);
                    self.write_out(w, None, &[]);
                }
                self.commands = commands;
            } else if let Some(action) = self.ports.actions.pop_front() {
                self.ports.mail.push_back(action);
                self.own_mail(w);
            } else if self.out.is_empty() {
                return;
            }
            self.write_out(w, None, &[]);
        }
    }

    /// A worker acts at once on what concerns itself; the rest is mail.
    fn own_mail(&mut self, w: u16) {
        if let Some(action) = self.ports.mail.pop_back() {
            if action.worker().0 == w {
                self.action(w, action);
            } else {
                self.ports.mail.push_back(action);
            }
        }
    }

    /// Delivers the oldest letter.
    pub(crate) fn read_mail(&mut self) -> bool {
        let Some(action) = self.ports.mail.pop_front() else {
            return false;
        };
        let w = action.worker().0;
        self.dispatch(w, None, &[], |_, _, _, _| {});
        self.action(w, action);
        self.write_out(w, None, &[]);
        self.settle(w);
        true
    }

    /// Hands the segments to their peers. Each must lie in its buffer and be meant for a peer that exists; bytes of the input go only to the other end of its link.
    fn write_out(&mut self, w: u16, origin: Option<Peer>, input: &[u8]) {
        if self.out.segments().is_empty() {
            return;
        }
        let out = std::mem::take(&mut self.out);
        for segment in out.segments() {
            assert!(segment.start < segment.end, "an empty segment: {segment:?}");
            let bytes = out.bytes(segment, input);
            assert_eq!(
                bytes.len(),
                segment.end - segment.start,
                "{segment:?} lies outside of its buffer"
            );
            if segment.source == Source::Input {
                self.linked(w, origin, segment.to);
            }
            match segment.to {
                Peer::Client(slot) => match self.clients.get_mut(&(w, slot)) {
                    Some(client) => client.receive(bytes, self.strict),
                    None => panic!("bytes for a client that is not there: {slot}"),
                },
                Peer::Server(slot) => match self.servers.get_mut(&(w, slot)) {
                    Some(server) => {
                        server.inbox.extend_from_slice(bytes);
                        let conn = server.conn;
                        self.sent(conn, bytes);
                    }
                    None => panic!("bytes for a server that is not there: {slot}"),
                },
            }
        }
        let mut out = out;
        out.clear_segments();
        self.out = out;
    }

    fn linked(&self, w: u16, origin: Option<Peer>, to: Peer) {
        let before = self.before == Some(to);
        let after = origin.and_then(|peer| self.hubs[usize::from(w)].linked(peer)) == Some(to);
        // Lent, used and returned within this one dispatch.
        let granted = |conn: ConnId| self.ports.granted.iter().any(|(c, _)| *c == conn);
        let during = match (origin, to) {
            (Some(Peer::Client(_)), Peer::Server(slot)) => self
                .servers
                .get(&(w, slot))
                .is_some_and(|s| granted(s.conn)),
            _ => false,
        };
        assert!(
            before || after || during,
            "bytes of {origin:?} go to {to:?}, which is not linked to it"
        );
    }

    fn held_by(&self, conn: ConnId, client: ClientId) -> bool {
        let before = self.leases.contains(&(conn, client));
        let during = self.ports.granted.contains(&(conn, client));
        let after = self
            .ports
            .up
            .conn(conn)
            .and_then(|row| row.lease)
            .is_some_and(|l| l.client == client);
        before || during || after
    }

    /// What a client marked goes only to a server connection that it holds.
    fn sent(&self, conn: ConnId, bytes: &[u8]) {
        let mark = marks(bytes);
        let number = mark
            .get(1..)
            .and_then(|d| std::str::from_utf8(d).ok()?.parse::<u32>().ok());
        let Some(number) = number else { return };
        let client = self.numbers.iter().find(|(_, n)| **n == number);
        if let Some((client, _)) = client.filter(|_| self.strict) {
            assert!(
                self.held_by(conn, *client),
                "{client} speaks to {conn}, which it does not hold"
            );
        }
    }

    /// What must hold between two operations.
    pub(crate) fn check(&mut self) {
        if let Err(broken) = self.ports.up.check_invariants() {
            panic!("{broken}");
        }
        for w in 0..self.hubs.len() {
            self.check_links(w);
            let (clients, servers) = self.hubs[w].counts();
            let known = |(at, _): &Place| usize::from(*at) == w;
            assert_eq!(
                clients as usize,
                self.clients.keys().filter(|p| known(p)).count(),
                "clients forgotten"
            );
            assert_eq!(
                servers as usize,
                self.servers.keys().filter(|p| known(p)).count(),
                "servers forgotten"
            );
        }
        let strict = self.strict;
        for client in self.clients.values_mut() {
            client.read(strict);
        }
    }

    /// Links are mutual, so no server connection has two clients.
    fn check_links(&self, w: usize) {
        let hub = &self.hubs[w];
        let clients = self
            .clients
            .keys()
            .map(|(at, slot)| (at, Peer::Client(*slot)));
        let servers = self
            .servers
            .keys()
            .map(|(at, slot)| (at, Peer::Server(*slot)));
        let mut sessions = 0;
        for (_, peer) in clients
            .chain(servers)
            .filter(|(at, _)| usize::from(**at) == w)
        {
            sessions += 1;
            if let Some(other) = hub.linked(peer) {
                let back = hub.linked(other);
                assert_eq!(back, Some(peer), "{peer:?} is linked to {other:?}");
            }
        }
        let held = self.hubs[w].held_bytes();
        let bound = sessions * (HELD_MAX + CHUNK_MAX);
        assert!(held <= bound, "{held} bytes held, at most {bound} may be");
    }
}

/// Most bytes that a fuzzed session needs at once: a simple query that is read whole is the largest (a
/// statement to be prepared may be longer, but no input here is).
const HELD_MAX: usize = 1 << 20;
/// Most bytes handed over by one read.
pub(crate) const CHUNK_MAX: usize = 64 * 1024;
