//! Writes down what is reported of a run, within bounds.

use super::facts::{
    Connection, Deed, Does, End, Ended, How, Line, Moment, Pid, Process, Record, Request, State,
    Test,
};
use super::follow::{Follower, Told, clean};
use super::statement::Statements;
use std::collections::{BTreeMap, VecDeque};

/// Requests that are written down, over all connections: about 70 MB.
const REQUESTS_MAX: usize = 1_500_000;
/// Connections that are written down.
const CONNECTIONS_MAX: usize = 200_000;
/// Runs of tests.
const TESTS_MAX: usize = 500_000;
/// Lines: the last ones.
const LINES_MAX: usize = 5_000;
/// Processes.
const PROCESSES_MAX: usize = 50_000;
/// Borrowings and returns, over all connections.
const DEEDS_MAX: usize = 1_500_000;

/// What a process of the command reports of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A test begins.
    Begins(String),
    /// It is over.
    Ends(String),
    /// The process begins to end by itself.
    Exits,
    /// Something was done with the connection on this local port.
    Does(u16, Deed),
    /// The connection on this local port was opened: at which place, by which thread.
    Opens(u16, String, String),
}

/// The journal of a run.
#[derive(Default)]
pub struct Journal {
    record: Record,
    statements: Statements,
    open: BTreeMap<u64, Open>,
    /// Which connection has a port: the last one that had it.
    ports: BTreeMap<u16, usize>,
    lines: VecDeque<Line>,
    requests: usize,
    deeds: usize,
    told: Vec<Told>,
}

/// A connection that is open.
struct Open {
    at: usize,
    follower: Follower,
    state: State,
    /// The oldest request that was not answered yet.
    next: usize,
    goodbye: bool,
    cancels: bool,
}

impl Journal {
    /// A client connected.
    pub fn came(&mut self, now: Moment, client: u64, port: u16) {
        if self.record.connections.len() >= CONNECTIONS_MAX {
            self.record.dropped += 1;
            return;
        }
        let at = self.record.connections.len();
        self.record.connections.push(Connection {
            port,
            opened: now,
            ..Connection::default()
        });
        self.ports.insert(port, at);
        let open = Open {
            at,
            follower: Follower::default(),
            state: State::Idle,
            next: 0,
            goodbye: false,
            cancels: false,
        };
        self.open.insert(client, open);
    }

    /// A client sent bytes.
    pub fn said(&mut self, now: Moment, client: u64, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(&client) else {
            return;
        };
        let mut told = std::mem::take(&mut self.told);
        open.follower.said(bytes, &mut self.statements, &mut told);
        self.note(now, client, &mut told);
    }

    /// Bytes are sent to a client.
    pub fn heard(&mut self, now: Moment, client: u64, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(&client) else {
            return;
        };
        let mut told = std::mem::take(&mut self.told);
        open.follower.heard(bytes, &mut told);
        self.note(now, client, &mut told);
    }

    /// A client's connection ended.
    pub fn left(&mut self, now: Moment, client: u64, how: How) {
        let Some(open) = self.open.remove(&client) else {
            return;
        };
        let how = if open.goodbye { How::Goodbye } else { how };
        if let Some(connection) = self.record.connections.get_mut(open.at) {
            connection.end = Some(End { at: now, how });
            if open.cancels {
                connection.ready = false;
            }
        }
    }

    fn note(&mut self, now: Moment, client: u64, told: &mut Vec<Told>) {
        for told in told.drain(..) {
            self.note_one(now, client, told);
        }
        // The list is used again.
        self.told = std::mem::take(told);
    }

    fn note_one(&mut self, now: Moment, client: u64, told: Told) {
        let Some(open) = self.open.get_mut(&client) else {
            return;
        };
        let Some(connection) = self.record.connections.get_mut(open.at) else {
            return;
        };
        match told {
            Told::Starts {
                user,
                database,
                application,
            } => {
                connection.user = clean(&user);
                connection.database = clean(&database);
                connection.application = application;
            }
            Told::Cancels => open.cancels = true,
            Told::LoggedIn => connection.ready = true,
            Told::Renamed(name) => connection.application = name,
            Told::Goodbye => open.goodbye = true,
            Told::Fatal { code, text } => {
                if !connection.ready {
                    self.record.refused += 1;
                    self.record.refusal = format!("{text} ({})", clean(&code));
                }
            }
            Told::Asked { text, does } => {
                if self.requests >= REQUESTS_MAX {
                    return self.full(client, text, does, now);
                }
                self.requests += 1;
                connection.requests.push(asked(now, text, does, open.state));
            }
            Told::Answered(state) => {
                let before = open.state;
                if let Some(request) = connection.requests.get_mut(open.next) {
                    request.before = before;
                    request.after = state;
                    request.done = Some(now);
                    open.next += 1;
                }
                open.state = state;
            }
        }
    }

    /// There is no room: the last request stands for this one, too.
    fn full(&mut self, client: u64, text: u32, does: Does, now: Moment) {
        self.record.dropped += 1;
        let Some(open) = self.open.get_mut(&client) else {
            return;
        };
        let connection = self.record.connections.get_mut(open.at);
        if let Some(connection) = connection {
            let last = connection.requests.pop();
            let does = last.map_or(does, |last| last.does.and(does));
            let request = asked(now, text, does, open.state);
            connection.requests.push(request);
            open.next = connection.requests.len() - 1;
        }
    }

    /// Which process a connection belongs to.
    pub fn belongs(&mut self, port: u16, pid: Pid, command: &str) {
        let at = self.ports.get(&port).copied();
        if let Some(connection) = at.and_then(|at| self.record.connections.get_mut(at)) {
            connection.pid = Some(pid);
            self.process(pid).command = clean(command);
        }
    }

    fn process(&mut self, pid: Pid) -> &mut Process {
        let full = self.record.processes.len() >= PROCESSES_MAX;
        let pid = match full && !self.record.processes.contains_key(&pid) {
            true => 0,
            false => pid,
        };
        self.record.processes.entry(pid).or_default()
    }

    /// A process reports something of itself.
    pub fn mark(&mut self, at: Moment, pid: Pid, mark: Mark) {
        match mark {
            Mark::Begins(name) if self.record.tests.len() < TESTS_MAX => {
                self.record.tests.push(Test {
                    pid,
                    name: clean(&name),
                    begun: at,
                    ended: None,
                });
            }
            Mark::Begins(_) => self.record.dropped += 1,
            Mark::Ends(name) => {
                let name = clean(&name);
                let of_it = |t: &&mut Test| t.pid == pid && t.name == name && t.ended.is_none();
                if let Some(test) = self.record.tests.iter_mut().rev().find(of_it) {
                    test.ended = Some(at);
                }
            }
            Mark::Exits => self.process(pid).exits = Some(at),
            Mark::Does(port, deed) => self.deed(at, pid, port, deed),
            Mark::Opens(port, place, thread) => {
                self.deed(at, pid, port, Deed::Opened(place));
                let known = self.ports.get(&port).copied();
                if let Some(c) = known.and_then(|at| self.record.connections.get_mut(at)) {
                    c.thread = clean(&thread);
                }
            }
        }
    }

    fn deed(&mut self, at: Moment, pid: Pid, port: u16, deed: Deed) {
        if self.deeds >= DEEDS_MAX {
            self.record.dropped += 1;
            return;
        }
        let known = self.ports.get(&port).copied();
        let Some(connection) = known.and_then(|at| self.record.connections.get_mut(at)) else {
            return;
        };
        self.deeds += 1;
        connection.pid.get_or_insert(pid);
        let deed = match deed {
            Deed::Borrowed(place) => Deed::Borrowed(clean(&place)),
            Deed::Opened(place) => Deed::Opened(clean(&place)),
            other => other,
        };
        connection.deeds.push((at, deed));
    }

    /// The command printed a line.
    pub fn line(&mut self, at: Moment, text: &str) {
        let text = clean(text);
        if text.trim().is_empty() {
            return;
        }
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { at, text });
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The command has ended: what is known.
    pub fn close(mut self, ended: Ended) -> Record {
        self.record.ended = ended;
        self.record.texts = self.statements.into_texts();
        self.record.lines = self.lines.into();
        self.record.tests.sort_by_key(|test| test.begun);
        self.record.testers = self.record.tests.iter().map(|test| test.pid).collect();
        self.record
    }
}

fn asked(now: Moment, text: u32, does: Does, state: State) -> Request {
    Request {
        at: now,
        done: None,
        text,
        does,
        before: state,
        after: state,
    }
}
