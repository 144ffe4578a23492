//! A hub between clients and servers that a test plays, message by message.
//!
//! Messages are written as text, one after the other with ` / ` between them:
//!
//! - clients: `Q text`, `P name=text`, `B name`, `D name`, `E`, `C name`, `S`, `H`, `d`, `c`, `f`, `F`, `X`
//! - servers: `1 2 3 n t T D C tag`, `Z I`, `E code`, `S name=value`, `G H W d c s I N A V`
//!
//! What arrives is written in the same way. The pooler's name of a statement at
//! the server is written `#text`, and the Bind that must fail as `B !`.

mod acting;
mod batches;
mod doubts;
mod leases;
mod parameters;
mod pins;
mod refusals;
mod replicating;
mod schemas;
mod sessions;
mod settings;
mod tapping;
mod traffic;

use crate::{Auth, Directory, Hub, Outbox, ParamSet, Peer, PeerInfo, PoolInfo, PoolKey, PoolMode};
use crate::{Command, NoLookUp, Pools, Route, Seeds, ServerAuth, Settings, Stored, Target};
use events::snapshot::Address;
use events::{ClientId, CloseReason, ConnId, FlowId, GuardMode, Time, UpstreamId, WorkerId};
use pool::{Checkin, Checkout, Lesson, SilentLease};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use wire::back::{self, ErrorFields, ErrorReport, Status};
use wire::{frame, front};

/// One pool without limits: connections that are idle, clients that wait.
struct Ports {
    info: Arc<PoolInfo>,
    idle: VecDeque<(ConnId, u32)>,
    waiting: VecDeque<ClientId>,
    lessons: Vec<Lesson>,
    silent: Vec<SilentLease>,
    reclaims: Vec<bool>,
    /// Every request for a connection is refused with this.
    refuse: Option<events::RefuseReason>,
    /// How far the guard over pins goes.
    pins: GuardMode,
    /// Where failed logins are expected: what was said, and whether for good.
    failed: Option<Vec<(String, bool)>>,
}

impl Pools for Ports {
    fn learn(&mut self, _: Time, _: PoolKey, lessons: &[Lesson]) {
        self.lessons.extend_from_slice(lessons);
    }
    fn silent(&mut self, _: Time, _: PoolKey, leases: Vec<SilentLease>) {
        self.silent = leases;
    }
    fn reclaimed(&mut self, _: Time, _: PoolKey, _: ConnId, _: ClientId, _: bool, done: bool) {
        self.reclaims.push(done);
    }
    fn beyond_pins(&mut self, _: PoolKey) -> GuardMode {
        self.pins
    }
    fn route(&mut self, _: Time, _: Target<'_>) -> Route {
        Route::Pool(Arc::clone(&self.info))
    }
    fn auth_pool(&mut self, _: Time, _: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        Err(NoLookUp::Unasked)
    }
    fn join(&mut self, _: PoolKey, _: &str) -> FlowId {
        FlowId(0)
    }
    fn leave(&mut self, _: PoolKey, _: FlowId) {}
    fn checkout(&mut self, _: Time, _: PoolKey, client: ClientId, _: FlowId) -> Checkout {
        if let Some(reason) = self.refuse {
            return Checkout::Refused(reason);
        }
        match self.idle.pop_front() {
            Some((conn, slot)) => Checkout::Granted {
                conn,
                slot,
                taped: false,
            },
            None => {
                self.waiting.push_back(client);
                Checkout::Queued
            }
        }
    }
    fn failure(&mut self, _: PoolKey) -> Option<Arc<str>> {
        None
    }
    fn plight(&mut self, _: PoolKey, _: FlowId, holders: bool) -> pool::Plight {
        let holder = ("boss\0batch".into(), 7);
        pool::Plight {
            size: 9,
            in_use: 9,
            waiting: 3,
            holders: if holders { vec![holder] } else { Vec::new() },
            ..pool::Plight::default()
        }
    }
    fn checkin(
        &mut self,
        _: Time,
        _: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin {
        match close {
            Some(reason) => Checkin::Close(reason),
            None => {
                self.idle.push_back((conn, conn.slot));
                Checkin::Kept
            }
        }
    }
    fn cancel_wait(&mut self, _: Time, _: PoolKey, client: ClientId) {
        self.waiting.retain(|c| *c != client);
    }
    fn opened(&mut self, _: Time, _: PoolKey, conn: ConnId, slot: u32) {
        self.idle.push_back((conn, slot));
    }
    fn open_failed(&mut self, _: Time, _: PoolKey, _: ConnId, text: Arc<str>, for_good: bool) {
        match &mut self.failed {
            Some(failed) => failed.push((text.to_string(), for_good)),
            None => panic!("a server's login failed: {text}"),
        }
    }
    fn closing(&mut self, _: Time, _: PoolKey, conn: ConnId) {
        self.idle.retain(|(c, _)| *c != conn);
    }
    fn arrived(&mut self, _: Time, _: PoolKey, _: ConnId, _: u32, _: ClientId) -> bool {
        false
    }
}

/// What a server of the tests reports at its login.
const GREETING: [(&str, &str); 3] = [
    ("TimeZone", "UTC"),
    ("application_name", ""),
    ("standard_conforming_strings", "on"),
];

struct Stage {
    hub: Hub,
    ports: Ports,
    now: Time,
    at_client: BTreeMap<u32, Vec<u8>>,
    at_server: BTreeMap<u32, Vec<u8>>,
    /// Texts by the pooler's names for them.
    names: BTreeMap<Vec<u8>, String>,
    closed: Vec<String>,
    /// Errors that the log is told of.
    told: Vec<String>,
}

impl Stage {
    /// A hub with so many server connections, logged in, in slots from 0.
    fn new(servers: u32) -> Stage {
        Stage::with(servers, PoolMode::Transaction, Settings::default())
    }

    fn with(servers: u32, mode: PoolMode, settings: Settings) -> Stage {
        let directory = Directory {
            settings: Settings {
                auth: Auth::Trust,
                ..settings
            },
            users: [("u".into(), Stored(None))].into(),
            mock_seed: [0; 32],
        };
        let seeds = Seeds {
            hash: 1,
            key: [2; 32],
            nonce: [3; 32],
        };
        let mut stage = Stage {
            hub: Hub::new(WorkerId(0), Arc::new(directory), seeds),
            ports: Ports {
                info: Arc::new(pool_info(mode)),
                idle: VecDeque::new(),
                waiting: VecDeque::new(),
                lessons: Vec::new(),
                silent: Vec::new(),
                reclaims: Vec::new(),
                refuse: None,
                pins: GuardMode::Enforce,
                failed: None,
            },
            now: Time::from_micros(1_000_000),
            at_client: BTreeMap::new(),
            at_server: BTreeMap::new(),
            names: BTreeMap::new(),
            closed: Vec::new(),
            told: Vec::new(),
        };
        (0..servers).for_each(|n| stage.open(n));
        stage
    }

    fn open(&mut self, n: u32) {
        let conn = ConnId {
            slot: n,
            generation: 0,
        };
        let slot = self.hub.open(self.now, conn, Arc::clone(&self.ports.info));
        assert_eq!(slot, n);
        let unix = (Address::Unix, Address::Unix);
        self.dispatch(&[], |hub, _, _, out| {
            hub.server_connected(slot, unix, "", None, out)
        });
        let mut hello = Vec::new();
        back::auth_ok(&mut hello);
        for (name, value) in GREETING {
            back::parameter_status(&mut hello, name, value);
        }
        back::backend_key(&mut hello, 7, &[1, 2, 3, 4]);
        back::ready(&mut hello, Status::Idle);
        self.server_bytes(n, &hello);
        self.at_server.remove(&n);
    }

    /// A client that logs in with these start-up parameters.
    fn client(&mut self, params: &[(&str, &str)]) -> u32 {
        self.client_of(0, params).0
    }

    /// A client that speaks 3.`minor`, and the body of its BackendKeyData.
    fn client_of(&mut self, minor: u16, params: &[(&str, &str)]) -> (u32, Vec<u8>) {
        let peer = PeerInfo {
            addr: Address::Unix,
            local_addr: Address::Unix,
        };
        let slot = self.hub.accept(self.now, peer);
        let mut hello = Vec::new();
        let own = [("user", "u"), ("database", "d")];
        front::startup(&mut hello, minor, own.iter().chain(params).copied());
        self.client_bytes(slot, &hello);
        let welcome = self.at_client.remove(&slot).unwrap_or_default();
        assert!(
            self.read(&welcome, false).ends_with("Z I"),
            "the login ends"
        );
        let key = welcome
            .windows(5)
            .rposition(|w| w[0] == b'K' && w[1..4] == [0; 3]);
        let at = key.expect("a key");
        let len = usize::from(welcome[at + 4]);
        (slot, welcome[at + 5..at + 1 + len].to_vec())
    }

    fn dispatch(
        &mut self,
        input: &[u8],
        act: impl FnOnce(&mut Hub, Time, &mut Ports, &mut Outbox),
    ) {
        let mut out = Outbox::new();
        act(&mut self.hub, self.now, &mut self.ports, &mut out);
        self.take(&mut out, input);
        while !self.ports.idle.is_empty()
            && let Some(client) = self.ports.waiting.pop_front()
        {
            let (conn, slot) = self.ports.idle.pop_front().expect("one is idle");
            self.hub
                .granted(self.now, client, slot, conn, &mut self.ports, &mut out);
            self.take(&mut out, &[]);
        }
    }

    fn take(&mut self, out: &mut Outbox, input: &[u8]) {
        for segment in out.segments() {
            let bytes = out.bytes(segment, input);
            let (map, slot) = match segment.to {
                Peer::Client(slot) => (&mut self.at_client, slot),
                Peer::Server(slot) => (&mut self.at_server, slot),
            };
            map.entry(slot).or_default().extend_from_slice(bytes);
        }
        out.clear_segments();
        let mut commands = Vec::new();
        out.take_commands(&mut commands);
        for command in commands {
            match command {
                Command::CloseClient { slot, reason, .. } => {
                    self.closed.push(format!("c{slot} {}", reason.label()));
                }
                Command::CloseServer { slot, reason, .. } => {
                    self.closed.push(format!("s{slot} {}", reason.label()));
                }
                Command::Told { code, text, .. } => self.told.push(format!("{code} {text}")),
                _ => {}
            }
        }
    }

    fn client_bytes(&mut self, slot: u32, input: &[u8]) {
        self.dispatch(input, |hub, now, ports, out| {
            hub.client_input(now, slot, input, ports, out);
        });
    }

    fn server_bytes(&mut self, slot: u32, input: &[u8]) {
        self.dispatch(input, |hub, now, ports, out| {
            hub.server_input(now, slot, input, ports, out);
        });
    }

    /// A client sends messages.
    fn send(&mut self, client: u32, messages: &str) {
        let mut bytes = Vec::new();
        messages
            .split(" / ")
            .for_each(|m| client_message(&mut bytes, m));
        self.client_bytes(client, &bytes);
    }

    /// A server answers.
    fn answer(&mut self, server: u32, messages: &str) {
        let mut bytes = Vec::new();
        messages
            .split(" / ")
            .for_each(|m| server_message(&mut bytes, m));
        self.server_bytes(server, &bytes);
    }

    /// So many seconds pass.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now = self.now.after(std::time::Duration::from_millis(100));
            self.dispatch(&[], |hub, now, ports, out| hub.tick(now, ports, out));
        }
    }

    /// What came to a client since the last look.
    fn client_got(&mut self, client: u32) -> String {
        let bytes = self.at_client.remove(&client).unwrap_or_default();
        self.read(&bytes, false)
    }

    /// What came to a server since the last look.
    fn server_got(&mut self, server: u32) -> String {
        let bytes = self.at_server.remove(&server).unwrap_or_default();
        self.read(&bytes, true)
    }

    fn read(&mut self, mut bytes: &[u8], at_server: bool) -> String {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let frame = frame::peek(bytes)
                .expect("a frame")
                .expect("a whole header");
            let (message, rest) = bytes.split_at(frame.len);
            let body = &message[frame::HEADER..];
            all.push(match at_server {
                true => self.client_text(frame.tag, body),
                false => server_text(frame.tag, body),
            });
            bytes = rest;
        }
        all.join(" / ")
    }

    /// A client's message as text.
    fn client_text(&mut self, tag: u8, body: &[u8]) -> String {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let letter = char::from(tag);
        match tag {
            b'Q' => format!("Q {}", text(front::Query::parse(body).expect("Query").text)),
            b'P' => {
                let parse = front::Parse::parse(body).expect("Parse");
                if !parse.name.is_empty() {
                    self.names.insert(parse.name.to_vec(), text(parse.text));
                }
                format!("P {}={}", self.named(parse.name), text(parse.text))
            }
            b'B' => {
                let bind = front::Bind::parse(body).expect("Bind");
                format!("B {}", self.named(bind.statement))
            }
            b'D' => format!(
                "D {}",
                self.named(front::Describe::parse(body).expect("Describe").name)
            ),
            b'C' => format!(
                "C {}",
                self.named(front::Close::parse(body).expect("Close").name)
            ),
            _ => letter.to_string(),
        }
        .trim_end()
        .to_owned()
    }

    fn named(&self, name: &[u8]) -> String {
        match self.names.get(name) {
            _ if name == b"plimsoll refused this" => "!".to_owned(),
            Some(text) => format!("#{text}"),
            None => String::from_utf8_lossy(name).into_owned(),
        }
    }
}

pub(crate) fn pool_info(mode: PoolMode) -> PoolInfo {
    PoolInfo {
        key: PoolKey(0),
        upstream: UpstreamId(0),
        database: "d".into(),
        user: "u".into(),
        server_database: "d".into(),
        address: "db:5432".into(),
        auth: ServerAuth::default(),
        parameters: ParamSet::default(),
        mode,
        replication: crate::Replication::None,
        connect_query: None,
        session_attrs: crate::SessionAttrs::Any,
        size: 9,
        pins_max: 9,
        greeting: Arc::default(),
        pins: Arc::new(AtomicU32::new(0)),
    }
}

fn client_message(out: &mut Vec<u8>, message: &str) {
    let (tag, rest) = message.split_once(' ').unwrap_or((message, ""));
    match tag {
        "Q" => front::query(out, rest.as_bytes()),
        "P" => {
            let (name, text) = rest.split_once('=').expect("P name=text");
            front::parse(out, name.as_bytes(), text.as_bytes(), &[0, 0]);
        }
        "B" => front::bind_renamed(out, b"", rest.as_bytes(), &[0; 6]),
        "D" => front::describe(out, b'S', rest.as_bytes()),
        "E" => front::execute(out, b"", 0),
        "C" => front::close(out, b'S', rest.as_bytes()),
        "S" => front::sync(out),
        "H" => front::flush(out),
        "d" => front::copy_data(out, b"x"),
        "c" => front::copy_done(out),
        "f" => front::copy_fail(out, "no"),
        "F" => out.extend_from_slice(b"F\0\0\0\x0e\0\0\0\x01\0\0\0\0\0\0"),
        "X" => front::terminate(out),
        _ => panic!("no such message: {message}"),
    }
}

fn server_message(out: &mut Vec<u8>, message: &str) {
    let (tag, rest) = message.split_once(' ').unwrap_or((message, ""));
    let report = |severity| ErrorReport {
        severity,
        code: rest,
        message: "m",
        detail: None,
        hint: None,
    };
    match tag {
        "1" => back::parse_complete(out),
        "2" => back::bind_complete(out),
        "3" => back::close_complete(out),
        "n" => back::no_data(out),
        "t" => back::parameter_description(out, &[]),
        "T" => back::row_description(out, &[("c", 25)]),
        "D" => back::data_row(out, &[Some(rest.as_bytes())]),
        "C" => back::command_complete(out, rest),
        "Z" => back::ready(
            out,
            match rest {
                "T" => Status::Transaction,
                "E" => Status::Failed,
                _ => Status::Idle,
            },
        ),
        "E" => back::error(out, &report("ERROR")),
        "N" => back::notice(out, &report("NOTICE")),
        "S" => {
            let (name, value) = rest.split_once('=').expect("S name=value");
            back::parameter_status(out, name, value);
        }
        "G" => back::copy_in_response(out, false, 1),
        "H" => back::copy_out_response(out, false, 1),
        "W" => out.extend_from_slice(b"W\0\0\0\x07\0\0\0"),
        "d" => back::copy_data(out, b"x"),
        "c" => back::copy_done(out),
        "s" => back::portal_suspended(out),
        "I" => back::empty_query(out),
        "A" => back::notification(out, 7, rest, ""),
        "V" => out.extend_from_slice(b"V\0\0\0\x08\xff\xff\xff\xff"),
        _ => panic!("no such message: {message}"),
    }
}

/// A server's message as text.
fn server_text(tag: u8, body: &[u8]) -> String {
    let letter = char::from(tag);
    match tag {
        b'C' => format!("C {}", String::from_utf8_lossy(back::command_tag(body))),
        b'Z' => format!("Z {}", char::from(body[0])),
        b'E' | b'N' => format!(
            "{letter} {}",
            ErrorFields::parse(body).expect("fields").code()
        ),
        b'S' => {
            let status = back::ParameterStatus::parse(body).expect("ParameterStatus");
            let text = String::from_utf8_lossy;
            format!("S {}={}", text(status.name), text(status.value))
        }
        b'D' => {
            let values = back::data_row_values(body).expect("DataRow");
            let first = values.first().copied().flatten().unwrap_or_default();
            format!("D {}", String::from_utf8_lossy(first))
                .trim_end()
                .to_owned()
        }
        _ => letter.to_string(),
    }
}
