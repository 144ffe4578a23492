//! One client and one server without sockets: the same transaction again and again.
//!
//! `replay KIND COUNT` runs COUNT transactions of one KIND (simple, extended,
//! prepared) through a `Hub` and the real pool. With `taped` behind it they are
//! recorded, as those of a window are. It measures nothing itself:
//! `cargo xtask instructions` runs it under callgrind with two counts, so that
//! what a transaction costs in instructions stays known, and login does not count.

// For a person at a terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use events::snapshot::Address;
use events::{ClientId, CloseReason, ConnId, FlowId, PoolId, Time, UpstreamId, WorkerId};
use pool::{Action, Checkin, Checkout, PoolSettings, Purpose, Upstream, UpstreamSettings};
use relay::{
    Auth, Directory, Hub, NoLookUp, Outbox, ParamSet, Peer, PeerInfo, PoolInfo, PoolKey, PoolMode,
    Pools, Route, Seeds, ServerAuth, Settings, Stored, Target,
};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use wire::back::{self, Status};
use wire::front;

const TEXT: &[u8] = b"SELECT abalance FROM pgbench_accounts WHERE aid = 271828;";
const TEXT_WITH_PARAMETER: &[u8] = b"SELECT abalance FROM pgbench_accounts WHERE aid = $1;";

/// The one pool of one server.
struct OnePool {
    upstream: Upstream,
    pool: PoolId,
    info: Arc<PoolInfo>,
}

impl Pools for OnePool {
    fn route(&mut self, _: Time, _: Target<'_>) -> Route {
        Route::Pool(Arc::clone(&self.info))
    }
    fn auth_pool(&mut self, _: Time, _: &str) -> Result<Arc<PoolInfo>, NoLookUp> {
        Err(NoLookUp::Unasked)
    }
    fn join(&mut self, _: PoolKey, key: &str) -> FlowId {
        self.upstream.flow(self.pool, key)
    }
    fn leave(&mut self, _: PoolKey, flow: FlowId) {
        self.upstream.drop_flow(self.pool, flow);
    }
    fn checkout(&mut self, now: Time, _: PoolKey, client: ClientId, flow: FlowId) -> Checkout {
        self.upstream.checkout(now, self.pool, client, flow)
    }
    fn failure(&mut self, _: PoolKey) -> Option<Arc<str>> {
        None
    }
    fn checkin(
        &mut self,
        now: Time,
        _: PoolKey,
        conn: ConnId,
        close: Option<CloseReason>,
    ) -> Checkin {
        self.upstream.checkin(now, conn, close)
    }
    fn cancel_wait(&mut self, now: Time, _: PoolKey, client: ClientId) {
        self.upstream.cancel_wait(now, client, self.pool);
    }
    fn opened(&mut self, now: Time, _: PoolKey, conn: ConnId, slot: u32) {
        self.upstream.opened(now, conn, WorkerId(0), slot);
    }
    fn open_failed(&mut self, now: Time, _: PoolKey, conn: ConnId, text: Arc<str>, login: bool) {
        self.upstream.open_failed(now, conn, login, text);
    }
    fn is_taped(&mut self, _: PoolKey, conn: ConnId) -> bool {
        self.upstream.is_taped(conn)
    }
    fn told(&mut self, _: Time, _: PoolKey, conn: ConnId, purpose: &Purpose) {
        self.upstream.told(conn, purpose);
    }
    fn closing(&mut self, now: Time, _: PoolKey, conn: ConnId) {
        self.upstream.closing(now, conn);
    }
    fn arrived(&mut self, _: Time, _: PoolKey, _: ConnId, _: u32, _: ClientId) -> bool {
        false
    }
}

/// The hub, the pool, and what stands in for the two sockets.
struct Bench {
    hub: Hub,
    pools: OnePool,
    out: Outbox,
    client: u32,
    server: u32,
    now: u64,
    /// Bytes that went to the client and to the server.
    to_client: u64,
    to_server: u64,
}

impl Bench {
    fn start() -> Bench {
        let directory = Directory {
            settings: Settings {
                auth: Auth::Trust,
                ..Settings::default()
            },
            users: [("app".into(), Stored(None))].into(),
            mock_seed: [0; 32],
        };
        let seeds = Seeds {
            hash: 1,
            key: [2; 32],
            nonce: [3; 32],
        };
        let mut upstream = Upstream::new(UpstreamSettings::default());
        let pool = upstream.add_pool(PoolSettings::default());
        let info = Arc::new(PoolInfo {
            greeting: Arc::default(),
            key: PoolKey(pool.0),
            upstream: UpstreamId(0),
            database: "app".into(),
            user: "app".into(),
            server_database: "app".into(),
            address: "server:5432".into(),
            auth: ServerAuth {
                password: None,
                keys: None,
            },
            parameters: ParamSet::default(),
            mode: PoolMode::Transaction,
            replication: relay::Replication::None,
            connect_query: None,
            session_attrs: relay::SessionAttrs::Any,
            size: 20,
            pins_max: 5,
            pins: Arc::new(AtomicU32::new(0)),
        });
        let mut bench = Bench {
            hub: Hub::new(WorkerId(0), Arc::new(directory), seeds),
            pools: OnePool {
                upstream,
                pool,
                info,
            },
            out: Outbox::new(),
            client: 0,
            server: 0,
            now: 1,
            to_client: 0,
            to_server: 0,
        };
        bench.log_in();
        bench
    }

    fn log_in(&mut self) {
        let address = Address::Unix;
        self.client = self.hub.accept(
            self.time(),
            PeerInfo {
                addr: address.clone(),
                local_addr: address.clone(),
            },
        );
        let mut startup = Vec::new();
        front::startup(&mut startup, 0, [("user", "app"), ("database", "app")]);
        self.client_sends(&startup);
        while let Some(action) = self.pools.upstream.poll() {
            match action {
                Action::Open { conn, .. } => self.open(conn, address.clone()),
                Action::Grant {
                    client, slot, conn, ..
                } => {
                    let now = self.time();
                    self.hub
                        .granted(now, client, slot, conn, &mut self.pools, &mut self.out);
                    self.settle(&[]);
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert!(self.to_client > 0, "the client is not logged in");
    }

    fn open(&mut self, conn: ConnId, address: Address) {
        let info = Arc::clone(&self.pools.info);
        let now = self.time();
        self.server = self.hub.open(now, conn, info);
        self.hub.server_connected(
            self.server,
            (address.clone(), address),
            "",
            None,
            &mut self.out,
        );
        self.settle(&[]);
        let mut greeting = Vec::new();
        back::auth_ok(&mut greeting);
        for (name, value) in [
            ("server_version", "15.18"),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("TimeZone", "Etc/UTC"),
            ("DateStyle", "ISO, MDY"),
        ] {
            back::parameter_status(&mut greeting, name, value);
        }
        back::backend_key(&mut greeting, 4711, &[1, 2, 3, 4]);
        back::ready(&mut greeting, Status::Idle);
        self.server_sends(&greeting);
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn client_sends(&mut self, input: &[u8]) {
        self.now += 100;
        let now = self.time();
        self.hub
            .client_input(now, self.client, input, &mut self.pools, &mut self.out);
        self.settle(input);
    }

    fn server_sends(&mut self, input: &[u8]) {
        self.now += 100;
        let now = self.time();
        self.hub
            .server_input(now, self.server, input, &mut self.pools, &mut self.out);
        self.settle(input);
    }

    /// A window begins, for as many transactions as fit into it.
    fn tape(&mut self) {
        self.now += 2_000_000;
        self.pools.upstream.sample(self.time());
        self.now += 1;
    }

    /// Takes what would be written.
    fn settle(&mut self, input: &[u8]) {
        for segment in self.out.segments() {
            let bytes = self.out.bytes(segment, input).len() as u64;
            match segment.to {
                Peer::Client(_) => self.to_client += bytes,
                Peer::Server(_) => self.to_server += bytes,
            }
        }
        self.out.clear_segments();
        if self.out.has_commands() {
            self.out.take_commands(&mut Vec::new());
        }
    }

    /// One transaction: every byte of the request must arrive, and every byte of the reply.
    fn transaction(&mut self, request: &[u8], reply: &[u8]) {
        let (to_client, to_server) = (self.to_client, self.to_server);
        self.client_sends(request);
        assert!(self.to_server > to_server, "the request did not arrive");
        self.server_sends(reply);
        assert!(self.to_client > to_client, "the reply did not arrive");
    }
}

fn rows(out: &mut Vec<u8>, described: bool) {
    if described {
        back::row_description(out, &[("abalance", 23)]);
    }
    back::data_row(out, &[Some(b"-4242")]);
    back::command_complete(out, "SELECT 1");
    back::ready(out, Status::Idle);
}

/// What is sent once, and then each time, with the replies.
struct Traffic {
    first: Option<(Vec<u8>, Vec<u8>)>,
    request: Vec<u8>,
    reply: Vec<u8>,
}

fn traffic(kind: &str) -> Option<Traffic> {
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    // No parameter formats, one text parameter, no result formats.
    let rest = [
        0, 0, 0, 1, 0, 0, 0, 6, b'2', b'7', b'1', b'8', b'2', b'8', 0, 0,
    ];
    let mut first = None;
    match kind {
        "simple" => {
            front::query(&mut request, TEXT);
            rows(&mut reply, true);
        }
        "extended" => {
            front::parse(&mut request, b"", TEXT_WITH_PARAMETER, &[0, 0]);
            front::bind_renamed(&mut request, b"", b"", &rest);
            front::describe(&mut request, b'P', b"");
            front::execute(&mut request, b"", 0);
            front::sync(&mut request);
            back::parse_complete(&mut reply);
            back::bind_complete(&mut reply);
            rows(&mut reply, true);
        }
        "prepared" => {
            let (mut asked, mut told) = (Vec::new(), Vec::new());
            front::parse(&mut asked, b"P0_1", TEXT_WITH_PARAMETER, &[0, 0]);
            front::sync(&mut asked);
            back::parse_complete(&mut told);
            back::ready(&mut told, Status::Idle);
            first = Some((asked, told));
            front::bind_renamed(&mut request, b"", b"P0_1", &rest);
            front::describe(&mut request, b'P', b"");
            front::execute(&mut request, b"", 0);
            front::sync(&mut request);
            back::bind_complete(&mut reply);
            rows(&mut reply, true);
        }
        _ => return None,
    }
    Some(Traffic {
        first,
        request,
        reply,
    })
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let traffic = args.next().as_deref().and_then(traffic);
    let count = args.next().and_then(|n| n.parse::<u32>().ok());
    let (Some(traffic), Some(count)) = (traffic, count) else {
        eprintln!("usage: replay simple|extended|prepared COUNT [taped]");
        return ExitCode::from(2);
    };
    let mut bench = Bench::start();
    if let Some((request, reply)) = &traffic.first {
        bench.transaction(request, reply);
    }
    if args.next().as_deref() == Some("taped") {
        bench.tape();
    }
    for _ in 0..count {
        bench.transaction(&traffic.request, &traffic.reply);
    }
    println!(
        "{count} transactions, {} bytes to the client, {} to the server",
        bench.to_client, bench.to_server
    );
    ExitCode::SUCCESS
}
