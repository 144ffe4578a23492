//! Several instances before one server, in virtual time: do they stay below the
//! line together, and does nobody wait for what another leaves unused?
//!
//! Only the pools run here, without sessions: each instance is an `Upstream` with
//! its monitor session, whose questions reach the virtual server's activity view
//! and come back after a while. Others come and go, instances are killed and come
//! back, monitor sessions fall silent or are cut.

mod check;
mod member;
mod server;

use crate::rng::Rng;
use check::Watch;
use events::{ConnId, Time};
use member::{MemberState, fresh};
use pool::{Member, Reading};
use server::{Server, Who};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A run's shape.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Instances, 1 to 4.
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
            plant: None,
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
    answers: Vec<Option<Reading>>,
    watch: Watch,
    out: Outcome,
}

/// Runs one seed.
pub fn run(seed: u64, setup: &Setup) -> Outcome {
    let mut fleet = Fleet {
        rng: Rng::new(seed),
        now: 1,
        seq: 0,
        heap: BinaryHeap::new(),
        server: Server::new(setup),
        members: (0..setup.instances).map(|i| fresh(setup, i, 0)).collect(),
        answers: Vec::new(),
        watch: Watch::default(),
        out: Outcome {
            least_left: u32::MAX,
            ..Outcome::default()
        },
        s: setup.clone(),
    };
    fleet.begin();
    while fleet.out.broken.is_none() && fleet.step() {}
    fleet.out
}

impl Fleet {
    fn begin(&mut self) {
        for i in 0..self.members.len() {
            let delay = self.rng.below(3_000_000);
            self.at(delay, Event::Returns(i));
        }
        self.at(1_000_000, Event::Others);
        if !self.s.faults.is_zero() {
            self.at(5_000_000, Event::Fault);
        }
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
            Event::Sees(i) => self.members[i].silent = false,
        }
        true
    }

    // --- the server ---

    fn arrives(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        let monitor = self.members[i].is_monitor(inc, id(conn));
        let delay = self.latency();
        if monitor && self.members[i].silent {
            return self.at(delay, Event::Failed(i, inc, conn));
        }
        let who = Who {
            member: i,
            inc,
            conn,
        };
        match self.server.log_in(who, monitor) {
            true => self.at(delay, Event::Opened(i, inc, conn)),
            false => self.at(delay, Event::Full(i, inc, conn)),
        }
    }

    fn ends(&mut self, i: usize, inc: u32, conn: (u32, u32)) {
        self.server.log_out(Who {
            member: i,
            inc,
            conn,
        });
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
        self.answers.push(Some(self.server.reading()));
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

    // --- faults ---

    fn fault(&mut self) {
        let mean = self.s.faults.as_micros() as u64;
        let delay = self.rng.range(mean / 2, mean * 2);
        self.at(delay, Event::Fault);
        let i = self.rng.below(self.members.len() as u64) as usize;
        if !self.members[i].alive {
            return;
        }
        self.out.faults += 1;
        let lasts = self.rng.range(100_000, 20_000_000);
        match self.rng.below(3) {
            0 => self.kill(i, lasts),
            1 => {
                self.members[i].silent = true;
                self.members[i].blind_since.get_or_insert(self.now);
                self.at(lasts, Event::Sees(i));
            }
            _ => {
                self.members[i].silent = true;
                self.members[i].blind_since.get_or_insert(self.now);
                self.at(lasts, Event::Sees(i));
                self.cut(i);
            }
        }
    }

    /// The process is gone; the server sees that row by row.
    fn kill(&mut self, i: usize, lasts: u64) {
        let inc = self.members[i].inc;
        self.members[i].alive = false;
        for who in self.server.rows_of(i, inc) {
            let delay = self.rng.below(300_000);
            self.at(delay, Event::Ends(i, inc, who.conn));
        }
        self.at(lasts, Event::Returns(i));
    }

    /// The monitor session's connection breaks.
    fn cut(&mut self, i: usize) {
        let Some(conn) = self.members[i].monitor.take() else {
            return;
        };
        let inc = self.members[i].inc;
        let conn = (conn.slot, conn.generation);
        self.server.log_out(Who {
            member: i,
            inc,
            conn,
        });
        let now = self.time();
        self.members[i].up.closing(now, id(conn));
        self.closed(i, inc, conn);
    }

    fn returns(&mut self, i: usize) {
        let inc = self.members[i].inc + 1;
        let mut member = fresh(&self.s, i, inc);
        member.alive = true;
        member.blind_since = Some(self.now);
        self.members[i] = member;
        self.plant(i);
        self.at(0, Event::Tick(i));
        self.at(0, Event::Load(i));
        for client in 0..self.s.clients {
            let delay = self.rng.below(500_000);
            self.at(delay, Event::Wants(i, inc, client));
        }
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
mod tests;
