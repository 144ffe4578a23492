//! A run, told step by step. Each step takes a millisecond.

use crate::leaks::facts::{Deed, Ended, How, MS, Moment, Pid};
use crate::leaks::journal::{Journal, Mark};
use crate::leaks::report::Report;
use crate::leaks::rules::{Kind, Limits};
use wire::front;

/// The first port; connections count up from it.
const PORT: u16 = 5001;

/// A run so far.
pub struct World {
    journal: Journal,
    now: Moment,
    clients: u64,
    limits: Limits,
    ended: Ended,
}

impl World {
    pub fn new() -> World {
        World {
            journal: Journal::default(),
            now: 1_000_000_000_000,
            clients: 0,
            limits: Limits::default(),
            ended: Ended::default(),
        }
    }

    pub fn with_pool(size: u32) -> World {
        World {
            limits: Limits { pool: Some(size) },
            ..World::new()
        }
    }

    fn tick(&mut self) -> Moment {
        self.now += MS;
        self.now
    }

    /// So many milliseconds pass.
    pub fn wait(&mut self, ms: u64) {
        self.now += ms * MS;
    }

    fn come(&mut self, pid: Option<Pid>) -> u64 {
        self.clients += 1;
        let (client, port) = (self.clients, PORT - 1 + self.clients as u16);
        let now = self.tick();
        self.journal.came(now, client, port);
        if let Some(pid) = pid {
            self.journal.belongs(port, pid, "program");
        }
        let mut bytes = Vec::new();
        front::ssl_request(&mut bytes);
        self.journal.said(now, client, &bytes);
        self.journal.heard(now, client, b"N");
        bytes.clear();
        let parameters = [
            ("user", "ann"),
            ("database", "shopdb"),
            ("application_name", "shop"),
        ];
        front::startup(&mut bytes, 0, parameters);
        self.journal.said(now, client, &bytes);
        client
    }

    /// A connection of a process, logged in.
    pub fn connect(&mut self, pid: Pid) -> u64 {
        let client = self.come(Some(pid));
        self.ready(client, b'I');
        client
    }

    /// A login that is refused.
    pub fn refuse(&mut self, code: &str, text: &str) {
        let client = self.come(None);
        let body = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
        let now = self.tick();
        self.journal
            .heard(now, client, &message(b'E', body.as_bytes()));
        self.journal.left(now, client, How::Refused);
    }

    fn ready(&mut self, client: u64, state: u8) {
        let now = self.tick();
        self.journal.heard(now, client, &message(b'Z', &[state]));
    }

    /// A statement, and the server's state after it.
    pub fn ask(&mut self, client: u64, text: &str, state: u8) {
        self.ask_only(client, text);
        self.ready(client, state);
    }

    /// A statement that is never answered.
    pub fn ask_only(&mut self, client: u64, text: &str) {
        let mut bytes = Vec::new();
        front::query(&mut bytes, text.as_bytes());
        let now = self.tick();
        // As a network cuts it.
        for part in bytes.chunks(1000) {
            self.journal.said(now, client, part);
        }
    }

    /// A prepared statement, executed.
    pub fn execute(&mut self, client: u64, text: &str, state: u8) {
        let mut bytes = Vec::new();
        front::parse(&mut bytes, b"s", text.as_bytes(), &[0, 0]);
        front::bind_renamed(&mut bytes, b"", b"s", &[0, 0, 0, 0, 0, 0]);
        front::execute(&mut bytes, b"", 0);
        front::sync(&mut bytes);
        let now = self.tick();
        self.journal.said(now, client, &bytes);
        self.ready(client, state);
    }

    /// It says goodbye.
    pub fn leave(&mut self, client: u64) {
        let mut bytes = Vec::new();
        front::terminate(&mut bytes);
        let now = self.tick();
        self.journal.said(now, client, &bytes);
        self.journal.left(now, client, How::Lost);
    }

    /// Its socket ends without a word.
    pub fn lose(&mut self, client: u64) {
        let now = self.tick();
        self.journal.left(now, client, How::Lost);
    }

    /// A process reports something.
    pub fn mark(&mut self, pid: Pid, mark: Mark) {
        let now = self.tick();
        self.journal.mark(now, pid, mark);
    }

    /// A pool reports what it did with a client's connection.
    pub fn deed(&mut self, pid: Pid, client: u64, deed: Deed) {
        self.mark(pid, Mark::Does(PORT - 1 + client as u16, deed));
    }

    /// A thread opened a client's connection.
    pub fn opens(&mut self, pid: Pid, client: u64, thread: &str) {
        let port = PORT - 1 + client as u16;
        self.mark(pid, Mark::Opens(port, String::new(), thread.to_owned()));
    }

    /// A test of a process.
    pub fn test<T>(&mut self, pid: Pid, name: &str, body: impl FnOnce(&mut World) -> T) -> T {
        self.mark(pid, Mark::Begins(name.to_owned()));
        let done = body(self);
        self.mark(pid, Mark::Ends(name.to_owned()));
        done
    }

    /// The command prints a line.
    pub fn print(&mut self, text: &str) {
        let now = self.tick();
        self.journal.line(now, text);
    }

    /// The command failed, or was ended.
    pub fn fails(&mut self, cut: bool) {
        (self.ended.failed, self.ended.cut) = (true, cut);
    }

    /// The verdict, after the end.
    pub fn report(mut self) -> Report {
        self.ended.at = self.now;
        Report::of(&self.journal.close(self.ended), self.limits)
    }

    /// What fails the run: kinds, and the tests that are named.
    pub fn leaks(self) -> Vec<(Kind, String)> {
        let findings = self.report().findings.into_iter();
        let fails = findings.filter(|f| f.fails);
        fails
            .map(|f| (f.kind, f.test.unwrap_or_default()))
            .collect()
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}
