//! Several instances before one server, in virtual time: do they stay below the
//! line together, and does nobody wait for what another leaves unused?
//!
//! Only the pools run here, without sessions: each instance is an `Upstream` with
//! its monitor session, whose questions reach the virtual server's activity view
//! and come back after a while. Others come and go, instances are killed and come
//! back, monitor sessions fall silent or are cut.
//!
//! Large fleets share by the ledger, whose questions go to a virtual store that
//! is slow, loses answers, does things seconds late, and goes away; their clocks
//! differ. A script says what changes when, and how long it takes until shares
//! have settled is measured.

mod check;
mod faults;
mod ledger;
mod member;
pub mod scale;
mod script;
mod server;
mod settle;
mod store;

use crate::rng::Rng;
use check::Watch;
use events::{ConnId, Time};
use ledger::Traffic;
use member::{MemberState, fresh};
use pool::ledger::Origin;
use pool::{Member, Reading};
use script::Play;
pub use script::{Change, Cut};
use server::{Server, Who};
use settle::Shares;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
pub use store::{StoreCounts, StoreSetup};

/// How the instances know of each other.
#[derive(Clone, Debug)]
pub enum Way {
    /// By the server's activity view.
    View,
    /// By a ledger in a store.
    Ledger(StoreSetup),
}

/// A run's shape.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Instances at the beginning.
    pub instances: usize,
    /// `max_connections`.
    pub slots: u32,
    /// Of these, reserved for superusers.
    pub reserved: u32,
    /// Left free.
    pub headroom: u32,
    /// Clients of each instance, at most.
    pub clients: u32,
    /// How long, in virtual seconds.
    pub seconds: u64,
    /// Most connections of others.
    pub others: u32,
    /// Mean time between two faults; zero: none.
    pub faults: Duration,
    /// A planted bug.
    pub plant: Option<Plant>,
    /// How they know of each other.
    pub way: Way,
    /// How long a client holds a connection, and then wants none, µs.
    pub holds: (u64, u64),
    /// See `holds`.
    pub rests: (u64, u64),
    /// What changes when, ms; without a script loads and faults are random.
    pub script: Vec<(u64, Change)>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            instances: 3,
            slots: 100,
            reserved: 3,
            headroom: 5,
            clients: 60,
            seconds: 60,
            others: 0,
            faults: Duration::ZERO,
            plant: None,
            way: Way::View,
            holds: (20_000, 300_000),
            rests: (10_000, 100_000),
            script: Vec::new(),
        }
    }
}

impl Setup {
    /// A shape drawn from a seed.
    pub fn random(seed: u64) -> Setup {
        let mut r = Rng::new(seed ^ 0xf1ee_7000);
        Setup {
            instances: r.range(1, 4) as usize,
            slots: r.range(40, 200) as u32,
            reserved: 3,
            headroom: 5,
            clients: r.range(10, 120) as u32,
            seconds: 90,
            others: [0, 5, 25][r.below(3) as usize],
            faults: Duration::from_secs([0, 4, 15][r.below(3) as usize]),
            ..Setup::default()
        }
    }

    /// The same with a ledger, and a few more instances.
    pub fn random_ledger(seed: u64) -> Setup {
        let mut r = Rng::new(seed ^ 0x1ed6_e500);
        Setup {
            instances: r.range(1, 12) as usize,
            way: Way::Ledger(StoreSetup {
                latency: [(1_000, 5_000), (1_000, 50_000), (20_000, 400_000)][r.below(3) as usize],
                lost: [0, 5, 50][r.below(3) as usize],
                ..StoreSetup::default()
            }),
            ..Setup::random(seed)
        }
    }

    /// Instances beside those that serve, while all are replaced.
    fn surge(&self) -> usize {
        let rolls = self
            .script
            .iter()
            .any(|(_, change)| *change == Change::Roll);
        if rolls {
            self.instances.div_ceil(10)
        } else {
            0
        }
    }
}

/// A planted bug: proves that a checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// A claim is raised before the view was read.
    RaiseUnseen,
    /// What is not used is kept although a peer wants it.
    KeepUnused,
    /// One in the ledger.
    #[cfg(test)]
    Ledger(pool::ledger::LedgerFault),
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was broken.
    pub broken: Option<String>,
    /// Connections granted.
    pub grants: u64,
    /// Connections that the server had no slot for.
    pub full: u64,
    /// Clients that waited in vain.
    pub refused: u64,
    /// Readings answered.
    pub readings: u64,
    /// Instances killed, and monitor sessions cut or silenced.
    pub faults: u64,
    /// Longest time for which a client waited and a share lay unused.
    pub unused: Duration,
    /// How near the fleet came to its line: the least that was left.
    pub least_left: u32,
    /// For each change of the script, when it was and how long shares took to settle.
    pub settled: Vec<(Duration, Duration)>,
    /// What was asked of the store.
    pub store: StoreCounts,
    /// Most monitor sessions at a time.
    pub monitors: u32,
    /// What the server sent to monitor sessions, bytes.
    pub read_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Tick(usize),
    /// A connection reaches the server: member, incarnation, connection.
    Arrives(usize, u32, (u32, u32)),
    Opened(usize, u32, (u32, u32)),
    Full(usize, u32, (u32, u32)),
    Failed(usize, u32, (u32, u32)),
    /// The server sees a connection's end; then so does its member.
    Ends(usize, u32, (u32, u32)),
    Closed(usize, u32, (u32, u32)),
    Asked(usize, u32, (u32, u32), String),
    Told(usize, u32, u64),
    Wants(usize, u32, u32),
    Back(usize, u32, u32, (u32, u32)),
    Load(usize),
    Others,
    Fault,
    Returns(usize),
    Sees(usize),
    /// A question reaches the store, and its answer the member.
    Asks(usize),
    Answers(usize),
    Script(usize),
    Heals(usize),
    Roll,
    Replaces(usize, usize),
    Watch,
}

/// The server and its instances.
struct Fleet {
    s: Setup,
    rng: Rng,
    now: u64,
    seq: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    server: Server,
    members: Vec<MemberState>,
    /// Answers on their way.
    answers: Vec<Option<Told>>,
    watch: Watch,
    /// What all members have been charged, as counted last.
    total: u32,
    /// Connections of members' lives that are over.
    orphans: u32,
    traffic: Traffic,
    play: Play,
    shares: Shares,
    out: Outcome,
}

/// A reading on its way, with rows by where they come from.
type Told = (Reading, Vec<(Origin, u32)>);

/// Runs one seed.
pub fn run(seed: u64, setup: &Setup) -> Outcome {
    let mut fleet = Fleet {
        rng: Rng::new(seed),
        now: 1,
        seq: 0,
        heap: BinaryHeap::new(),
        server: Server::new(setup),
        members: (0..setup.instances + setup.surge())
            .map(|i| fresh(setup, i, 0))
            .collect(),
        answers: Vec::new(),
        watch: Watch::default(),
        total: 0,
        orphans: 0,
        traffic: Traffic::default(),
        play: Play::default(),
        shares: Shares::default(),
        out: Outcome {
            least_left: u32::MAX,
            ..Outcome::default()
        },
        s: setup.clone(),
    };
    fleet.begin();
    while fleet.out.broken.is_none() && fleet.step() {}
    fleet.closing();
    fleet.out
}

impl Fleet {
    fn begin(&mut self) {
        for i in 0..self.s.instances {
            let delay = self.rng.below(3_000_000);
            self.at(delay, Event::Returns(i));
        }
        if self.s.script.is_empty() {
            self.at(1_000_000, Event::Others);
        }
        if !self.s.faults.is_zero() {
            self.at(5_000_000, Event::Fault);
        }
        self.begin_script();
        if self.watches_shares() {
            self.at(0, Event::Watch);
        }
    }

    /// Large fleets, and those of a script, are looked at as a whole.
    fn watches_shares(&self) -> bool {
        let small = self.s.instances <= 4 && matches!(self.s.way, Way::View);
        !small || !self.s.script.is_empty()
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.seq += 1;
        self.heap.push(Reverse((self.now + delay, self.seq, event)));
    }

    /// A way between an instance and the server.
    fn latency(&mut self) -> u64 {
        self.rng.range(100, 3_000)
    }

    fn broken(&mut self, text: String) {
        let at = self.now / 1000;
        self.out
            .broken
            .get_or_insert_with(|| format!("at {at} ms: {text}"));
    }

    /// False at the end of the run.
    fn step(&mut self) -> bool {
        let Some(Reverse((at, _, event))) = self.heap.pop() else {
            return false;
        };
        self.now = at;
        if at > self.s.seconds * 1_000_000 {
            return false;
        }
        match event {
            Event::Tick(i) => self.tick(i),
            Event::Arrives(i, inc, conn) => self.arrives(i, inc, conn),
            Event::Opened(i, inc, conn) => self.opened(i, inc, conn),
            Event::Full(i, inc, conn) => self.full(i, inc, conn),
            Event::Failed(i, inc, conn) => self.failed(i, inc, conn),
            Event::Ends(i, inc, conn) => self.ends(i, inc, conn),
            Event::Closed(i, inc, conn) => self.closed(i, inc, conn),
            Event::Asked(i, inc, conn, name) => self.asked(i, inc, conn, name),
            Event::Told(i, inc, answer) => self.told(i, inc, answer),
            Event::Wants(i, inc, client) => self.wants(i, inc, client),
            Event::Back(i, inc, client, conn) => self.back(i, inc, client, conn),
            Event::Load(i) => self.load(i),
            Event::Others => self.others(),
            Event::Fault => self.fault(),
            Event::Returns(i) => self.returns(i),
            Event::Sees(i) => self.sees(i),
            Event::Asks(n) => self.asks(n),
            Event::Answers(n) => self.answers(n),
            Event::Script(n) => self.change(n),
            Event::Heals(n) => self.heals(n),
            Event::Roll => self.roll(),
            Event::Replaces(old, new) => self.replaces(old, new),
            Event::Watch => self.watch_shares(),
        }
        true
    }

    // --- the server ---

    fn arrives(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let monitor = self.members[i].is_monitor(inc, id(conn));
        let delay = self.latency();
        let m = &self.members[i];
        if monitor && m.silent || m.cut_server {
            return self.at(delay, Event::Failed(i, inc, conn));
        }
        let who = Who {
            member: i,
            inc,
            conn,
        };
        match self.server.log_in(who, monitor) {
            true => {
                self.orphans += u32::from(!monitor && !self.members[i].lives(inc));
                self.at(delay, Event::Opened(i, inc, conn));
            }
            false => self.at(delay, Event::Full(i, inc, conn)),
        }
    }

    fn ends(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let who = Who {
            member: i,
            inc,
            conn,
        };
        if self.server.log_out(who) == Some(false) && !self.members[i].lives(inc) {
            self.orphans -= 1;
        }
        let delay = self.latency();
        self.at(delay, Event::Closed(i, inc, conn));
    }

    fn asked(&mut self, i: usize, inc: u32, conn: (u32, u32), name: String) {
        let who = Who {
            member: i,
            inc,
            conn,
        };
        if self.members[i].silent || !self.server.rename(who, name) {
            return;
        }
        let reading = self.server.reading();
        let bytes = |name: &str| name.len() as u64 + 27;
        self.out.read_bytes += reading.names.iter().map(|n| bytes(n)).sum::<u64>() + 60;
        self.out.monitors = self.out.monitors.max(self.server.monitors());
        let origins = match self.s.way {
            Way::View => Vec::new(),
            Way::Ledger(_) => self.server.origins(),
        };
        self.out.read_bytes += 24 * origins.len() as u64;
        self.answers.push(Some((reading, origins)));
        let answer = self.answers.len() as u64 - 1;
        let delay = self.latency();
        self.at(delay, Event::Told(i, inc, answer));
    }

    fn others(&mut self) {
        let delay = self.rng.range(1_000_000, 12_000_000);
        self.at(delay, Event::Others);
        let wanted = self.rng.below(u64::from(self.s.others) + 1) as u32;
        self.server.others_are(wanted);
        self.note_line();
    }

    fn note_line(&mut self) {
        self.watch.line(self.now, self.server.line());
    }
}

fn id((slot, generation): (u32, u32)) -> ConnId {
    ConnId { slot, generation }
}

/// The name that a member would state; for tests of the view.
pub fn stated(name: &str) -> Option<Member> {
    Member::parse("default", name)
}

#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod tests;
