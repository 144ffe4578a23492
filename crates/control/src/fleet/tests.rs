//! The channel over real sockets: instances that hear each other, and everybody
//! who should not be believed.

use super::*;
use crate::{Health, Source};
use ::fleet::{ServerSays, TurnedDown};
use events::snapshot::Snapshot;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

mod mutual;
mod telling;

const LONG: Duration = Duration::from_secs(20);
const KEY: &str = "the key of all instances";

/// What a channel follows.
struct World {
    plan: Mutex<Arc<Plan>>,
    settings: Arc<crate::settings::Figures>,
}

impl Source for World {
    fn snapshot(&self, _: bool) -> Arc<Snapshot> {
        Arc::default()
    }

    fn plan(&self) -> Option<Arc<Plan>> {
        Some(Arc::clone(&self.plan.lock().expect("whole")))
    }

    fn settings(&self) -> Option<Arc<crate::settings::Figures>> {
        Some(Arc::clone(&self.settings))
    }

    fn live(&self) -> Health {
        Health::Good
    }

    fn ready(&self) -> Health {
        Health::Good
    }
}

struct Node {
    fleet: Fleet,
    world: Arc<World>,
    address: SocketAddr,
    running: Option<Running>,
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn plan(listen: SocketAddr, peers: &[SocketAddr], key: &str, name: &str) -> Arc<Plan> {
    let peers: Vec<String> = peers.iter().map(|p| format!("\"{p}\"")).collect();
    let key_file = if key.is_empty() {
        ""
    } else {
        "key_file = \"key\"\n"
    };
    let text = format!(
        "[server]\nfleet = \"{name}\"\n[database.app]\nhost = \"h\"\n\
         [fleet]\nlisten = \"{listen}\"\npeers = [{}]\n{key_file}",
        peers.join(", ")
    );
    let files = config::Memory::default()
        .file("p.toml", text)
        .file("key", key);
    let plan = config::load("p.toml".as_ref(), &files);
    Arc::new(plan.unwrap_or_else(|e| panic!("{}", e.render())))
}

impl Node {
    fn start(name: &str, address: SocketAddr, peers: &[SocketAddr], key: &str) -> Node {
        Node::of(name, address, plan(address, peers, key, "shop"))
    }

    fn of(name: &str, address: SocketAddr, plan: Arc<Plan>) -> Node {
        let fleet = Fleet::of(&plan, name).expect("it listens");
        let world = Arc::new(World {
            plan: Mutex::new(plan),
            settings: Arc::default(),
        });
        let running = fleet.start(world.clone()).expect("it starts");
        Node {
            fleet,
            world,
            address,
            running: Some(running),
        }
    }

    fn alone(key: &str) -> Node {
        Node::start("a:1", free(), &[], key)
    }

    fn follow(&self, plan: Arc<Plan>) {
        *self.world.plan.lock().expect("whole") = plan;
    }

    fn states(&self) -> Vec<(String, String)> {
        let peers = self.fleet.view().peers.into_iter();
        peers.map(|p| (p.instance, p.state)).collect()
    }

    fn is(&self, peer: &str, state: &str) -> bool {
        let peers = self.states();
        peers.contains(&(peer.to_owned(), state.to_owned()))
    }

    fn refused(&self, reason: Refused) -> u64 {
        let count = self.fleet.shared.refused.get(reason as usize);
        count.map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Sends these bytes as a message; the status and the body of the answer.
    fn post(&self, message: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            message.len()
        );
        self.raw(&[head.as_bytes(), message].concat())
    }

    fn raw(&self, bytes: &[u8]) -> (u16, Vec<u8>) {
        let mut socket = TcpStream::connect(self.address).expect("it listens");
        socket.set_read_timeout(Some(LONG)).expect("a socket");
        // It may end before it has read all.
        let _ = socket.write_all(bytes);
        answer(&mut socket)
    }
}

fn answer(socket: &mut TcpStream) -> (u16, Vec<u8>) {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let body = at.map_or(Vec::new(), |at| bytes[at + 4..].to_vec());
    (status.unwrap_or(0), body)
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// What a peer of ours would say.
fn said(instance: &str) -> Statement {
    Statement {
        protocol: ::fleet::PROTOCOL,
        fleet: "shop".into(),
        instance: instance.into(),
        version: "9.9.9".into(),
        started_ms: clock_ms() - 1_000,
        clock_ms: clock_ms(),
        ..Statement::default()
    }
}

/// A message by this key, `late` milliseconds old.
fn sealed(said: &Statement, key: &str, late: i64) -> Vec<u8> {
    let draft = Draft {
        fleet: &said.fleet,
        sender: &said.instance,
        receiver: None,
        at_ms: clock_ms() - late,
        nonce: nonce(),
        port: 6433,
        answers: None,
    };
    draft.seal(Some(&Key::new(key.as_bytes())), &said.to_json())
}

#[test]
fn three_instances_hear_each_other_and_one_that_goes_is_silent() {
    let at = [free(), free(), free()];
    let start = |n: usize| Node::start(&format!("{}:1", ["a", "b", "c"][n]), at[n], &at, KEY);
    let (a, b, mut c) = (start(0), start(1), start(2));
    let ok = |node: &Node, names: [&str; 2]| names.iter().all(|n| node.is(n, "ok"));
    until("all to be heard", || {
        ok(&a, ["b:1", "c:1"]) && ok(&b, ["a:1", "c:1"]) && ok(&c, ["a:1", "b:1"])
    });
    // Its own address is among the others and is no peer.
    let states = format!("{:?}", a.states());
    assert!(!states.contains("a:1"), "{states}");
    c.running.take().expect("it runs").stop();
    until("it to be silent", || {
        a.is("c:1", "silent") && b.is("c:1", "silent")
    });
    assert!(a.is("b:1", "ok"));
    // It is back, as a new process.
    let _again = start(2);
    until("it to be back", || a.is("c:1", "ok"));
}

#[test]
fn what_was_turned_down_elsewhere_reaches_the_gate() {
    let at = [free(), free()];
    let a = Node::start("a:1", at[0], &at, KEY);
    let b = Node::start("b:1", at[1], &at, KEY);
    b.fleet.state().own.turned_down = vec![TurnedDown {
        hash: "bad".into(),
        reason: "hurt".into(),
    }];
    until("it to be known", || {
        a.world.settings.peer_turned_down("bad")
    });
    assert!(!a.world.settings.peer_turned_down("good"));
}

#[test]
fn a_message_is_answered_with_our_own_statement() {
    let node = Node::alone(KEY);
    let (status, body) = node.post(&sealed(&said("b:1"), KEY, 0));
    assert_eq!(status, 200);
    let mut gate = Gate::new("shop", "b:1");
    let keys = [Key::new(KEY.as_bytes())];
    let trust = ::fleet::Trust::Keys(&keys);
    let opened = gate.open(trust, clock_ms(), &body, None).expect("for us");
    assert_eq!(opened.sender, "a:1");
    assert!(node.is("b:1", "ok"), "{:?}", node.states());
}

#[test]
fn who_is_not_believed_gets_one_word_and_is_counted() {
    let node = Node::alone(KEY);
    let other = Statement {
        fleet: "another".into(),
        ..said("c:1")
    };
    let good = sealed(&said("b:1"), KEY, 0);
    assert_eq!(node.post(&good).0, 200);
    let table = [
        (
            sealed(&said("x:1"), "another key, of nobody", 0),
            Refused::Seal,
        ),
        (b"no message at all".to_vec(), Refused::Malformed),
        (Vec::new(), Refused::Malformed),
        (good.clone(), Refused::Replay),
        (sealed(&said("d:1"), KEY, 120_000), Refused::Clock),
        (sealed(&said("e:1"), KEY, -120_000), Refused::Clock),
        (sealed(&said("f:1"), KEY, 3 * 3_600_000), Refused::Clock),
        (sealed(&said("g:1"), KEY, -26 * 3_600_000), Refused::Clock),
        (sealed(&other, KEY, 0), Refused::Fleet),
    ];
    for (message, reason) in table {
        let before = node.refused(reason);
        let (status, body) = node.post(&message);
        assert_eq!((status, body.len()), (401, 0), "{reason:?}");
        assert_eq!(node.refused(reason), before + 1, "{reason:?}");
    }
    // Those whose seal was good are known by name, and by what is wrong with them.
    for off in ["d:1", "e:1", "f:1", "g:1"] {
        assert!(node.is(off, "liar"), "{off}: {:?}", node.states());
    }
    assert!(node.fleet.split().is_none() && node.fleet.clients_of_others().is_empty());
    assert!(node.is("c:1", "another_fleet"), "{:?}", node.states());
    assert!(!node.states().iter().any(|(name, _)| name == "x:1"));
    assert!(node.is("b:1", "ok"));
}

#[test]
fn liars_are_marked_and_their_figures_are_not_used() {
    let node = Node::alone(KEY);
    let share = Statement {
        servers: vec![ServerSays {
            server: "db".into(),
            share: 11,
            line: 10,
            ..ServerSays::default()
        }],
        ..said("b:1")
    };
    let ours = said("a:1");
    let another = Statement {
        protocol: 7,
        ..said("c:1")
    };
    for message in [&share, &ours, &another] {
        assert_eq!(node.post(&sealed(message, KEY, 0)).0, 200);
    }
    assert!(node.is("b:1", "liar"), "{:?}", node.states());
    assert!(node.is("a:1", "liar"), "two instances with one name");
    assert!(node.is("c:1", "another_version"));
    assert_eq!(node.refused(Refused::Implausible), 2);
    assert!(node.fleet.view().peers.iter().all(|p| p.servers.is_empty()));
    // A sender that speaks for another one says nothing that is read.
    let draft = Draft {
        fleet: "shop",
        sender: "d:1",
        receiver: None,
        at_ms: clock_ms(),
        nonce: nonce(),
        port: 0,
        answers: None,
    };
    let key = Key::new(KEY.as_bytes());
    let message = draft.seal(Some(&key), &said("e:1").to_json());
    assert_eq!(node.post(&message).0, 400);
    assert!(!node.states().iter().any(|(name, _)| name == "e:1"));
}

#[test]
fn rude_senders_cost_a_bounded_time_and_no_memory() {
    let node = Node::alone(KEY);
    let head = |length: usize| {
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
    };
    // 10 MB, stated and in pieces of which nobody says how many there are.
    let large = vec![b'x'; 10 << 20];
    assert_eq!(node.raw(head(large.len()).as_bytes()).0, 413);
    let mut chunked =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for piece in large.chunks(64 << 10) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    let mut socket = TcpStream::connect(node.address).expect("it listens");
    let _ = socket.write_all(&chunked);
    drop(socket);
    until("it to be counted", || node.refused(Refused::Malformed) >= 2);
    // A body that never ends, and a head that never does.
    let begun = Instant::now();
    assert_eq!(node.raw(head(100).as_bytes()).0, 408);
    assert_eq!(node.refused(Refused::Slow), 1);
    node.raw(b"POST /fleet/v1/statement HTTP/1.1\r\nHost:");
    assert!(begun.elapsed() < 3 * EXCHANGE_MAX + Duration::from_secs(4));
    // Other paths and methods are none.
    assert_eq!(node.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").0, 404);
    let get = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(node.raw(get.as_bytes()).0, 405);
    // More connections than there are places: the next one is served.
    let idle: Vec<TcpStream> = (0..80)
        .map(|_| TcpStream::connect(node.address).expect("it listens"))
        .collect();
    assert_eq!(node.post(&sealed(&said("b:1"), KEY, 0)).0, 200);
    until("the oldest to give way", || {
        node.refused(Refused::Connections) > 0
    });
    drop(idle);
}

#[test]
fn peers_that_answer_badly_are_not_waited_for() {
    // One takes a question and says nothing; one answers with nonsense; one with a
    // body without an end; nobody is at the last.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let serve = |answer: &'static [u8], more: bool| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let mut buffer = [0; 4096];
                let _ = socket.read(&mut buffer);
                let _ = socket.write_all(answer);
                while more && socket.write_all(&[b'x'; 4096]).is_ok() {}
            }
        });
        address
    };
    let nonsense = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false);
    let endless = serve(b"HTTP/1.1 200 OK\r\n\r\n", true);
    let refuses = serve(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", false);
    let gone = free();
    let good = free();
    let peers = [
        silent.local_addr().expect("an address"),
        nonsense,
        endless,
        refuses,
        gone,
        good,
    ];
    let a = Node::start("a:1", free(), &peers, KEY);
    let _b = Node::start("b:1", good, &[], KEY);
    until("the good one to be heard", || a.is("b:1", "ok"));
    let why = |address: SocketAddr| {
        let peers = a.fleet.view().peers;
        let found = peers
            .into_iter()
            .find(|p| p.address == Some(address.to_string()));
        found.map(|p| (p.state, p.why)).unwrap_or_default()
    };
    let expected = [
        (peers[0], "silent", Failure::Late),
        (nonsense, "refused", Failure::Sealed),
        (endless, "silent", Failure::Nonsense),
        (refuses, "refused", Failure::Refused),
        (gone, "silent", Failure::Unreachable),
    ];
    for (address, state, failure) in expected {
        until(failure.label(), || {
            why(address) == (state.to_owned(), failure.label().to_owned())
        });
    }
    assert!(a.is("b:1", "ok"), "the others do not hold it up");
}

#[test]
fn a_key_is_replaced_on_one_instance_after_the_other() {
    let at = [free(), free()];
    let a = Node::start("a:1", at[0], &at, KEY);
    let b = Node::start("b:1", at[1], &at, KEY);
    until("both to be heard", || {
        a.is("b:1", "ok") && b.is("a:1", "ok")
    });
    let new = "another key of all instances";
    a.follow(plan(at[0], &at, new, "shop"));
    until("the new key to be taken", || {
        a.fleet.state().keys.good(Instant::now()).len() == 2
    });
    // For a while one has the new key, and the other the old one alone.
    let begun = a.fleet.now();
    let heard_since = |node: &Node| {
        let state = node.fleet.state();
        let mut peers = state.book.peers();
        peers.any(|p| {
            p.heard_at
                .is_some_and(|at| at.since(begun) > Duration::from_secs(1))
        })
    };
    until("the old key to be good still", || {
        heard_since(&a) && heard_since(&b)
    });
    b.follow(plan(at[1], &at, new, "shop"));
    until("the new key to be everywhere", || {
        b.fleet.state().keys.good(Instant::now()).len() == 2
    });
    assert!(a.is("b:1", "ok") && b.is("a:1", "ok"));
}

#[test]
fn without_a_key_instances_of_one_machine_hear_each_other() {
    let at = [free(), free()];
    let a = Node::start("a:1", at[0], &at, "");
    let b = Node::of("b:1", at[1], plan(at[1], &at, "", "shop"));
    until("both to be heard", || {
        a.is("b:1", "ok") && b.is("a:1", "ok")
    });
    // What monitors see of it.
    let facts = crate::metrics::Facts {
        fleet: Some(&a.fleet),
        ..crate::metrics::Facts::default()
    };
    let format = crate::metrics::Format::OpenMetrics;
    let text = crate::metrics::render(&Snapshot::default(), &facts, format);
    for line in [
        "plimsoll_fleet_peers{state=\"ok\"} 1",
        "plimsoll_fleet_peers{state=\"liar\"} 0",
        "plimsoll_fleet_settings_versions 0",
        "plimsoll_fleet_refused_total{reason=\"seal\"} 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
    }
}

#[test]
fn two_fleets_of_one_name_with_different_keys_stay_two() {
    let at = [free(), free(), free(), free()];
    let other = "the key of the other fleet";
    let start = |n: usize, key: &str| {
        Node::start(&format!("{}:1", ["a", "b", "c", "d"][n]), at[n], &at, key)
    };
    let nodes = [
        start(0, KEY),
        start(1, KEY),
        start(2, other),
        start(3, other),
    ];
    // What one fleet turned down is nothing to the other.
    nodes[2].fleet.state().own.turned_down = vec![TurnedDown {
        hash: "bad".into(),
        reason: "hurt".into(),
    }];
    let refused = |node: &Node| {
        node.states()
            .iter()
            .filter(|(name, s)| name.is_empty() && s == "refused")
            .count()
    };
    until(
        "each to hear its own and to be refused by the others",
        || {
            let whole = |n: usize, own: &str| nodes[n].is(own, "ok") && refused(&nodes[n]) == 2;
            whole(0, "b:1") && whole(1, "a:1") && whole(2, "d:1") && whole(3, "c:1")
        },
    );
    until("what was turned down to reach its own fleet", || {
        nodes[3].world.settings.peer_turned_down("bad")
    });
    for node in &nodes[..2] {
        assert!(!node.world.settings.peer_turned_down("bad"));
        assert!(node.refused(Refused::Seal) > 0);
        // Two peers each, of whom one is a stranger's address: nobody's name is known.
        assert_eq!(
            node.states()
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .count(),
            1
        );
    }
}
