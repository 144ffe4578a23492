//! One PostgreSQL session as a state machine over messages.
//!
//! Used twice: as the virtual server's backend, and as each client's own
//! model of what it must see. It knows the small language of the simulator's
//! statements, and the protocol's rules exactly where a pooler could get them
//! wrong: implicit transactions, what an error skips, what destroys what.

mod copy;
mod exec;
mod extended;
mod facts;
mod function;
mod refused;

pub use facts::{NAMES, var};

use facts::{Facts, Lasting};
use std::collections::BTreeMap;
use std::rc::Rc;
use wire::back::{self, ErrorReport, Status};

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tx {
    /// None.
    None,
    /// One that no BEGIN began.
    Implicit,
    /// A block.
    Block,
    /// A block that failed.
    Failed,
}

/// What the owner must do after a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is answered; the next message may come.
    Done,
    /// A statement runs for so many microseconds: call `resume` or `cancel`.
    Sleep(u64),
    /// The session ended.
    End,
}

/// An error of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// SQLSTATE.
    pub code: &'static str,
    /// Text.
    pub text: String,
}

pub(crate) fn fail<T>(code: &'static str, text: impl Into<String>) -> Result<T, Fail> {
    Err(Fail {
        code,
        text: text.into(),
    })
}

/// What a portal or query is in the middle of.
#[derive(Clone, Debug)]
enum Run {
    /// A simple query: its text, and where its next statement begins.
    Query { text: Rc<str>, at: usize },
    /// An Execute of this portal.
    Execute { portal: Rc<str> },
}

/// COPY in.
#[derive(Clone, Copy, Debug)]
struct CopyIn {
    rows: u64,
    extended: bool,
}

#[derive(Clone, Debug)]
struct Portal {
    text: Rc<str>,
    param: Option<Rc<str>>,
    /// Rows given out already.
    at: u64,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    tx: Tx,
    base: [Rc<str>; NAMES.len()],
    reported: [Rc<str>; NAMES.len()],
    facts: Rc<Facts>,
    before: Option<Rc<Facts>>,
    points: Vec<(Rc<str>, Rc<Facts>, usize)>,
    lasting: Rc<Lasting>,
    named: BTreeMap<Rc<[u8]>, Rc<str>>,
    unnamed: Option<Rc<str>>,
    portals: BTreeMap<Rc<str>, Portal>,
    skip: bool,
    batch: bool,
    /// A message of this batch needed a server connection.
    touched: bool,
    copy: Option<CopyIn>,
    run: Option<Run>,
    inserts: Vec<u64>,
    /// A planted bug: what was set stays set.
    pub(crate) keeps_parameters: bool,
    /// A planted bug: each prepared statement gets the text of the one before.
    pub(crate) mixes_texts: bool,
    last_text: Option<Rc<str>>,
    /// Inserts whose transaction committed; the owner takes them.
    pub committed: Vec<u64>,
    /// Inserts whose transaction rolled back; the owner takes them.
    pub undone: Vec<u64>,
}

impl Session {
    /// A session whose login gave these parameters.
    pub fn new<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Session {
        let mut base: [Rc<str>; NAMES.len()] = NAMES.map(|(_, default, _)| Rc::from(default));
        for (name, value) in params {
            if let Some(i) = var(name) {
                base[i] = value.into();
            }
        }
        Session {
            tx: Tx::None,
            reported: base.clone(),
            base,
            facts: Rc::default(),
            before: None,
            points: Vec::new(),
            lasting: Rc::default(),
            named: BTreeMap::new(),
            unnamed: None,
            portals: BTreeMap::new(),
            skip: false,
            batch: false,
            touched: false,
            copy: None,
            run: None,
            inserts: Vec::new(),
            keeps_parameters: false,
            mixes_texts: false,
            last_text: None,
            committed: Vec::new(),
            undone: Vec::new(),
        }
    }

    /// What ReadyForQuery would say.
    pub fn status(&self) -> Status {
        match self.tx {
            Tx::None | Tx::Implicit => Status::Idle,
            Tx::Block => Status::Transaction,
            Tx::Failed => Status::Failed,
        }
    }

    /// Outside of any transaction and batch: a pooler may have taken its
    /// connection away.
    pub fn is_free(&self) -> bool {
        self.tx == Tx::None
            && !self.batch
            && !self.skip
            && self.copy.is_none()
            && self.run.is_none()
    }

    /// The last batch is over.
    pub fn is_between(&self) -> bool {
        !self.batch && !self.skip && self.copy.is_none() && self.run.is_none()
    }

    /// The next message may be refused: nothing of its transaction or batch
    /// was sent to a server yet.
    pub fn is_refusable(&self) -> bool {
        self.tx == Tx::None
            && !self.touched
            && !self.skip
            && self.copy.is_none()
            && self.run.is_none()
    }

    /// What was reported last of a parameter.
    pub fn reported(&self, name: &[u8]) -> Option<&str> {
        let i = NAMES
            .iter()
            .position(|(_, _, r)| r.is_some_and(|r| r.as_bytes() == name))?;
        Some(&self.reported[i])
    }

    /// A statement is in the middle of its run.
    pub fn sleeps(&self) -> bool {
        self.run.is_some()
    }

    /// COPY data is awaited.
    pub fn copies_in(&self) -> bool {
        self.copy.is_some()
    }

    /// It reads and drops until Sync.
    pub fn skips(&self) -> bool {
        self.skip
    }

    /// It listens to a channel.
    pub fn listens(&self, channel: &str) -> bool {
        self.facts.listens.contains(channel)
    }

    /// Its channels.
    pub fn channels(&self) -> impl Iterator<Item = &Rc<str>> {
        self.facts.listens.iter()
    }

    /// Named statements, protocol level.
    pub fn has_statement(&self, name: &[u8]) -> bool {
        self.named.contains_key(name)
    }

    /// Session state that pins: listens, temporary tables, locks, SQL statements.
    pub fn has_state(&self) -> bool {
        !self.facts.listens.is_empty()
            || !self.facts.temps.is_empty()
            || !self.lasting.locks.is_empty()
            || !self.lasting.prepared.is_empty()
    }

    /// Session advisory locks are held.
    pub fn holds_locks(&self) -> bool {
        !self.lasting.locks.is_empty()
    }

    /// Inserts of the transaction that is open.
    pub fn open_inserts(&self) -> &[u64] {
        &self.inserts
    }

    /// The parameters reported at login.
    pub fn greeting(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES
            .iter()
            .zip(&self.base)
            .filter_map(|((_, _, reported), value)| Some(((*reported)?, &**value)))
    }

    fn value(&self, i: usize) -> &Rc<str> {
        let var = &self.facts.vars[i];
        var.local
            .as_ref()
            .or(var.session.as_ref())
            .unwrap_or(&self.base[i])
    }

    /// One client message.
    pub fn message(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Step {
        if let Some(copy) = self.copy {
            return self.copying(copy, tag, body, out);
        }
        if self.skip && !matches!(tag, b'S' | b'X') {
            return Step::Done;
        }
        match tag {
            b'Q' => self.query(body, out),
            b'F' => self.function(body, out),
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                self.batch = true;
                self.touched |= tag != b'C' || body.first() == Some(&b'P');
                match self.extended(tag, body, out) {
                    Ok(step) => step,
                    Err(error) => self.batch_failed(&error, out),
                }
            }
            b'S' => {
                self.skip = false;
                self.batch = false;
                self.touched = false;
                if self.tx == Tx::Implicit {
                    self.commit();
                }
                self.ready(out);
                Step::Done
            }
            b'H' | b'd' | b'c' | b'f' => Step::Done,
            b'X' => Step::End,
            _ => {
                self.fatal("08P01", "invalid frontend message type", out);
                Step::End
            }
        }
    }

    /// The sleep is over.
    pub fn resume(&mut self, out: &mut Vec<u8>) -> Step {
        match self.run.take() {
            Some(Run::Query { text, at }) => {
                complete(out, "SELECT 1");
                self.statements(text, at, out)
            }
            Some(Run::Execute { portal }) => {
                complete(out, "SELECT 1");
                if let Some(p) = self.portals.get_mut(&portal) {
                    p.at = 1;
                }
                Step::Done
            }
            None => Step::Done,
        }
    }

    /// A cancel request: it ends the statement that runs. False when none does.
    pub fn cancel(&mut self, out: &mut Vec<u8>) -> bool {
        let error = Fail {
            code: "57014",
            text: "canceling statement due to user request".into(),
        };
        match self.run.take() {
            Some(Run::Query { .. }) => self.query_failed(&error, out),
            Some(Run::Execute { .. }) => self.batch_failed(&error, out),
            None => return false,
        };
        true
    }

    /// FATAL: the session ends.
    pub fn fatal(&mut self, code: &'static str, text: &str, out: &mut Vec<u8>) {
        self.roll_back();
        report(out, "FATAL", code, text);
    }

    /// The connection is gone.
    pub fn abandon(&mut self) {
        self.roll_back();
    }

    fn query(&mut self, body: &[u8], out: &mut Vec<u8>) -> Step {
        self.unnamed = None;
        self.portals.remove("");
        self.batch = false;
        self.touched = false;
        let text = body.strip_suffix(&[0]).unwrap_or(body);
        let text: Rc<str> = String::from_utf8_lossy(text).into();
        if text.trim().is_empty() {
            back::empty_query(out);
            self.finish_query(out);
            return Step::Done;
        }
        // The whole text is parsed before any of it runs.
        if text.split(';').any(|s| !exec::parses(s)) {
            let error = Fail {
                code: "42601",
                text: "syntax error".into(),
            };
            return self.query_failed(&error, out);
        }
        self.statements(text, 0, out)
    }

    /// Runs the statements of a simple query from `at` on.
    fn statements(&mut self, text: Rc<str>, mut at: usize, out: &mut Vec<u8>) -> Step {
        while at < text.len() {
            let rest = &text[at..];
            let end = rest.find(';').unwrap_or(rest.len());
            let statement = rest[..end].trim();
            at += end + 1;
            if statement.is_empty() {
                continue;
            }
            if self.tx == Tx::None {
                self.begin(Tx::Implicit);
            }
            let alone = text.matches(';').count() == usize::from(text.trim_end().ends_with(';'));
            match self.exec(statement, None, alone, true, out) {
                Ok(Step::Done) => {}
                Ok(Step::Sleep(us)) => {
                    self.run = Some(Run::Query {
                        text: Rc::clone(&text),
                        at,
                    });
                    return Step::Sleep(us);
                }
                Ok(Step::End) => {
                    self.copy = Some(CopyIn {
                        rows: 0,
                        extended: false,
                    });
                    return Step::Done;
                }
                Err(error) => return self.query_failed(&error, out),
            }
        }
        self.finish_query(out);
        Step::Done
    }

    fn query_failed(&mut self, error: &Fail, out: &mut Vec<u8>) -> Step {
        self.failed(error, out);
        self.finish_query(out);
        Step::Done
    }

    fn finish_query(&mut self, out: &mut Vec<u8>) {
        if self.tx == Tx::Implicit {
            self.commit();
        }
        self.ready(out);
    }

    fn batch_failed(&mut self, error: &Fail, out: &mut Vec<u8>) -> Step {
        self.failed(error, out);
        self.skip = true;
        Step::Done
    }

    fn failed(&mut self, error: &Fail, out: &mut Vec<u8>) {
        report(out, "ERROR", error.code, &error.text);
        match self.tx {
            Tx::Block => self.tx = Tx::Failed,
            Tx::Implicit => self.roll_back(),
            Tx::None | Tx::Failed => {}
        }
    }

    fn ready(&mut self, out: &mut Vec<u8>) {
        for (i, (_, _, reported)) in NAMES.iter().enumerate() {
            let Some(name) = reported else { continue };
            if self.reported[i] != *self.value(i) {
                let value = Rc::clone(self.value(i));
                back::parameter_status(out, name, &*value);
                self.reported[i] = value;
            }
        }
        back::ready(out, self.status());
    }

    fn begin(&mut self, tx: Tx) {
        if self.tx == Tx::None {
            self.before = Some(Rc::clone(&self.facts));
        }
        self.tx = tx;
    }

    fn commit(&mut self) {
        if self.facts.vars.iter().any(|v| v.local.is_some()) {
            for var in &mut Rc::make_mut(&mut self.facts).vars {
                var.local = None;
            }
        }
        self.committed.append(&mut self.inserts);
        self.over();
    }

    fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.facts = before;
        }
        self.undone.append(&mut self.inserts);
        self.over();
    }

    fn over(&mut self) {
        self.tx = Tx::None;
        self.before = None;
        self.points.clear();
        self.portals.clear();
    }
}

pub(crate) fn complete(out: &mut Vec<u8>, tag: &str) {
    back::command_complete(out, tag);
}

fn report(out: &mut Vec<u8>, severity: &str, code: &str, message: &str) {
    back::error(
        out,
        &ErrorReport {
            severity,
            code,
            message,
            detail: None,
            hint: None,
        },
    );
}

impl Session {}

/// Whether `needle` stands in `text`.
pub(crate) fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|w| w == needle)
}
