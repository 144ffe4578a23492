//! What is known of a run: connections, what was asked on them, tests, processes.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Microseconds since 1970. All who report a moment are on one machine.
pub type Moment = u64;

/// Microseconds in a millisecond.
pub const MS: u64 = 1_000;

/// The number of an operating system's process.
pub type Pid = u32;

/// Where a session stands after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Outside a transaction.
    #[default]
    Idle,
    /// Inside one.
    Transaction,
    /// Inside one that failed.
    Failed,
}

impl State {
    /// A transaction is open.
    pub fn is_open(self) -> bool {
        self != State::Idle
    }
}

/// What a statement does, as far as leaks are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Does {
    /// It begins a transaction, without ending one first.
    pub begins: bool,
    /// It ends one.
    pub ends: bool,
    /// It changes something, or locks it.
    pub writes: bool,
    /// It is the program's own work: no transaction control, no driver's preparation.
    pub works: bool,
    /// It waits for notifications.
    pub listens: bool,
}

impl Does {
    /// What both do together.
    pub fn and(self, other: Does) -> Does {
        Does {
            begins: self.begins || (other.begins && !self.ends),
            ends: self.ends || other.ends,
            writes: self.writes || other.writes,
            works: self.works || other.works,
            listens: self.listens || other.listens,
        }
    }
}

/// A statement without its literals, and its tags.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub struct Text {
    /// The statement.
    pub statement: String,
    /// Tags of its comment, as `route=/orders`.
    pub tags: String,
}

/// Something that a client asked for, up to the server's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// When it began.
    pub at: Moment,
    /// When it was answered; `None`: it never was.
    pub done: Option<Moment>,
    /// Its statement, a place in [`Record::texts`].
    pub text: u32,
    /// What it does.
    pub does: Does,
    /// Where the session stood before and after.
    pub before: State,
    /// See there.
    pub after: State,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// The client said goodbye.
    Goodbye,
    /// The client's socket ended without a word.
    Lost,
    /// The pooler or the server ended it.
    Refused,
}

/// The end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// When.
    pub at: Moment,
    /// How.
    pub how: How,
}

/// What a program's own pool, or driver, did with a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// It was borrowed from the program's pool, at this place in the code.
    Borrowed(String),
    /// It was given back.
    Returned,
    /// It was opened outside a pool, at this place in the code.
    Opened(String),
    /// It came back because the garbage collector found it, not because the program gave it back.
    Collected,
    /// The thread that opened it ended.
    Orphaned,
}

/// One client connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Connection {
    /// Which process it belongs to, if that could be told.
    pub pid: Option<Pid>,
    /// The client's port.
    pub port: u16,
    /// When it was opened.
    pub opened: Moment,
    /// Its login.
    pub user: String,
    /// See there.
    pub database: String,
    /// Its application_name, the last one.
    pub application: String,
    /// It was logged in.
    pub ready: bool,
    /// Its end; `None`: it was open when the command had ended.
    pub end: Option<End>,
    /// What was asked on it, in order.
    pub requests: Vec<Request>,
    /// The thread that opened it, where that is reported.
    pub thread: String,
    /// What is known of its pool, in order.
    pub deeds: Vec<(Moment, Deed)>,
}

/// One run of one test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Test {
    /// Where it ran.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// When it began.
    pub begun: Moment,
    /// When it ended; `None`: its process ended first.
    pub ended: Option<Moment>,
}

/// A process of the command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// Its command line.
    pub command: String,
    /// When it began to end by itself: what is closed later was closed by its end.
    pub exits: Option<Moment>,
}

/// How the command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ended {
    /// When.
    pub at: Moment,
    /// It failed: what was open may have been cut off.
    pub failed: bool,
    /// It was ended from outside, by a signal or the time limit.
    pub cut: bool,
}

/// A line that the command printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When.
    pub at: Moment,
    /// Without control characters, and not all of a long one.
    pub text: String,
}

/// All that is known of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Connections by number, in the order in which they were opened.
    pub connections: Vec<Connection>,
    /// Statements.
    pub texts: Vec<Text>,
    /// Tests in the order in which they began.
    pub tests: Vec<Test>,
    /// The processes that ran some.
    pub testers: BTreeSet<Pid>,
    /// Processes.
    pub processes: BTreeMap<Pid, Process>,
    /// The command's last lines.
    pub lines: Vec<Line>,
    /// Its end.
    pub ended: Ended,
    /// Logins that were refused.
    pub refused: u64,
    /// The last refusal's words: the pooler's or the server's own.
    pub refusal: String,
    /// Facts that found no room.
    pub dropped: u64,
}

impl Record {
    /// The text of a request.
    pub fn text(&self, request: &Request) -> &Text {
        static NONE: Text = Text {
            statement: String::new(),
            tags: String::new(),
        };
        self.texts.get(request.text as usize).unwrap_or(&NONE)
    }
}
