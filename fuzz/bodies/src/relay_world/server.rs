//! A PostgreSQL server in miniature: enough to keep its word, and to tell when
//! it was made to serve one client with what belongs to another.

use super::marks;
use events::ConnId;

use std::collections::BTreeMap;
use wire::back::{self, ErrorReport, Status};
use wire::sql::{self, Change, Discard, Value};
use wire::{frame, front, startup};

/// The parameter that each client sets to its own mark only.
pub(crate) const OWNED: &str = "app.tag";

type Vars = BTreeMap<String, String>;

/// One server connection's other end.
pub(crate) struct Server {
    pub(crate) conn: ConnId,
    pub(crate) connected: bool,
    /// From the hub, not handled yet.
    pub(crate) inbox: Vec<u8>,
    /// For the hub, not delivered yet.
    pub(crate) outbox: Vec<u8>,
    pub(crate) backlog: bool,
    /// It did what no server does: nothing can be told from its answers.
    pub(crate) wild: bool,
    /// The next statement fails: a cancel request arrived, or the fuzzer wishes it.
    pub(crate) fail_next: bool,
    /// A COPY was broken off by a message that has no place in one: what was
    /// meant for the server's memory may have been swallowed with it.
    swallowed: bool,
    ask_password: u8,
    started: bool,
    status: u8,
    skipping: bool,
    /// COPY in: `Some(simple)`.
    copying: Option<bool>,
    prepared: BTreeMap<Vec<u8>, Vec<u8>>,
    portals: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    vars: Vars,
    /// What ROLLBACK goes back to.
    saved: Option<Vars>,
}

enum Ran {
    Done,
    Failed,
    Copying,
}

impl Server {
    pub(crate) fn new(conn: ConnId, ask_password: u8) -> Server {
        Server {
            conn,
            connected: false,
            inbox: Vec::new(),
            outbox: Vec::new(),
            backlog: false,
            wild: false,
            fail_next: false,
            swallowed: false,
            ask_password,
            started: false,
            status: b'I',
            skipping: false,
            copying: None,
            prepared: BTreeMap::new(),
            portals: BTreeMap::new(),
            vars: Vars::new(),
            saved: None,
        }
    }

    /// Answers up to `count` messages.
    pub(crate) fn respond(&mut self, count: usize) {
        if let Some(simple) = self.copying.filter(|_| self.fail_next) {
            self.fail_next = false;
            self.copy_fails(simple);
        }
        for _ in 0..count {
            if !self.started {
                if !self.start() {
                    return;
                }
                continue;
            }
            let Ok(Some(head)) = frame::peek(&self.inbox) else {
                assert!(
                    self.wild || frame::peek(&self.inbox).is_ok(),
                    "no frame for the server"
                );
                return;
            };
            if self.inbox.len() < head.len {
                return;
            }
            let message: Vec<u8> = self.inbox.drain(..head.len).collect();
            self.message(head.tag, &message[frame::HEADER..]);
        }
    }

    fn start(&mut self) -> bool {
        let Ok(Some((_, len))) = startup::parse(&self.inbox, 10_000) else {
            return false;
        };
        self.inbox.drain(..len);
        self.started = true;
        match self.ask_password {
            1 => back::auth_cleartext(&mut self.outbox),
            2 => back::auth_md5(&mut self.outbox, [1, 2, 3, 4]),
            _ => self.welcome(),
        }
        true
    }

    fn welcome(&mut self) {
        let out = &mut self.outbox;
        back::auth_ok(out);
        back::parameter_status(out, "server_version", "18.1");
        back::parameter_status(out, "client_encoding", "UTF8");
        back::parameter_status(out, "standard_conforming_strings", "on");
        back::backend_key(out, self.conn.slot as i32 + 1, b"key!");
        self.ready();
    }

    fn ready(&mut self) {
        let status = match self.status {
            b'T' => Status::Transaction,
            b'E' => Status::Failed,
            _ => Status::Idle,
        };
        if self.status == b'I' {
            self.saved = None;
            self.portals.clear();
        }
        back::ready(&mut self.outbox, status);
    }

    /// An error's effect on the transaction; the report goes out.
    fn fail(&mut self, code: &str) {
        back::error(
            &mut self.outbox,
            &ErrorReport {
                severity: "ERROR",
                code,
                message: "no",
                detail: None,
                hint: None,
            },
        );
        if self.status == b'T' {
            self.status = b'E';
        } else if self.status == b'I'
            && let Some(saved) = self.saved.take()
        {
            self.vars = saved;
        }
    }

    /// Begins the transaction that each statement outside of one has.
    fn implicit(&mut self) {
        if self.saved.is_none() {
            self.saved = Some(self.vars.clone());
        }
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        if let Some(simple) = self.copying {
            return self.copy_message(simple, tag);
        }
        if self.skipping && tag != b'S' && tag != b'X' {
            return;
        }
        match tag {
            b'p' => self.welcome(),
            b'Q' => self.query(body),
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                self.implicit();
                if self.extended(tag, body).is_err() {
                    self.fail("08P01");
                    self.skipping = true;
                }
            }
            b'S' => {
                self.skipping = false;
                self.ready();
            }
            b'F' => {
                self.outbox
                    .extend_from_slice(&[b'V', 0, 0, 0, 8, 255, 255, 255, 255]);
                self.ready();
            }
            _ => {}
        }
    }

    fn copy_message(&mut self, simple: bool, tag: u8) {
        match tag {
            b'd' | b'H' | b'S' => {}
            b'c' => {
                self.copying = None;
                back::command_complete(&mut self.outbox, "COPY 1");
                if simple {
                    self.ready();
                }
            }
            _ => {
                self.swallowed |= tag != b'f';
                self.copy_fails(simple);
            }
        }
    }

    fn copy_fails(&mut self, simple: bool) {
        self.copying = None;
        self.fail("57014");
        if simple {
            self.ready();
        } else {
            self.skipping = true;
        }
    }

    fn query(&mut self, body: &[u8]) {
        let text = body.split_last().map_or(body, |(_, text)| text);
        self.implicit();
        let quoting = sql::Quoting::default();
        let statements: Vec<Vec<u8>> = sql::statements(text, quoting).map(<[u8]>::to_vec).collect();
        if statements.is_empty() {
            back::empty_query(&mut self.outbox);
        }
        for statement in statements {
            match self.run(&statement, &marks(&statement), true) {
                Ran::Done => {}
                Ran::Failed => break,
                Ran::Copying => {
                    self.copying = Some(true);
                    return;
                }
            }
        }
        self.ready();
    }

    fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), wire::WireError> {
        let out = &mut self.outbox;
        match tag {
            b'P' => self.parse(front::Parse::parse(body)?),
            b'B' => {
                let bind = front::Bind::parse(body)?;
                let Some(text) = self.prepared.get(bind.statement) else {
                    self.fail("26000");
                    self.skipping = true;
                    return Ok(());
                };
                // Clients of arbitrary bytes write such marks by chance.
                if !self.wild
                    && let Some(at) = find(bind.rest, b"[[")
                    && let Some(wanted) = bind.rest.get(at + 2..at + 4)
                {
                    assert!(
                        bind.statement.is_empty() || find(text, wanted).is_some(),
                        "bound {:?} to another statement: {:?}",
                        String::from_utf8_lossy(wanted),
                        String::from_utf8_lossy(text)
                    );
                }
                let marks = marks(bind.rest);
                self.portals
                    .insert(bind.portal.into(), (text.clone(), marks));
                back::bind_complete(out);
            }
            b'D' => {
                let describe = front::Describe::parse(body)?;
                let known = match describe.kind {
                    b'S' => self.prepared.contains_key(describe.name),
                    _ => self.portals.contains_key(describe.name),
                };
                if !known {
                    self.fail("26000");
                    self.skipping = true;
                    return Ok(());
                }
                if describe.kind == b'S' {
                    back::parameter_description(out, &[]);
                }
                back::no_data(out);
            }
            b'E' => {
                let execute = front::Execute::parse(body)?;
                let Some((text, marks)) = self.portals.get(execute.portal).cloned() else {
                    self.fail("34000");
                    self.skipping = true;
                    return Ok(());
                };
                match self.run(&text, &marks, false) {
                    Ran::Done => {}
                    Ran::Failed => self.skipping = true,
                    Ran::Copying => self.copying = Some(false),
                }
            }
            _ => {
                let close = front::Close::parse(body)?;
                if close.kind == b'S' {
                    self.prepared.remove(close.name);
                } else {
                    self.portals.remove(close.name);
                }
                back::close_complete(&mut self.outbox);
            }
        }
        Ok(())
    }

    fn parse(&mut self, parse: front::Parse<'_>) {
        if find(parse.text, b"\"plimsoll refused this\"").is_some() {
            let failed = self.status == b'E';
            self.fail(if failed { "25P02" } else { "42703" });
            self.skipping = true;
            return;
        }
        let known = self.prepared.get(parse.name);
        let taken = !parse.name.is_empty() && known.is_some();
        // The name of the empty statement is taken on purpose. In session mode a
        // client's own names come as they are, and it may give one twice; but not
        // one that another client left behind.
        let own =
            |text: &[u8]| !parse.name.starts_with(b"plimsoll_") && marks(text) == marks(parse.text);
        let meant = known.is_some_and(|text| text.is_empty() || own(text));
        if taken || self.fail_next {
            assert!(
                !taken || meant || self.swallowed || self.wild,
                "our own name is taken, or another client's"
            );
            self.fail_next = false;
            if parse.name.is_empty() {
                self.prepared.remove(parse.name);
            }
            self.fail(if taken { "42P05" } else { "42601" });
            self.skipping = true;
            return;
        }
        self.prepared.insert(parse.name.into(), parse.text.into());
        back::parse_complete(&mut self.outbox);
    }

    /// One statement for the client of these marks (none: the pooler's own).
    fn run(&mut self, text: &[u8], marks: &[u8], simple: bool) -> Ran {
        let script = sql::read(text, sql::Quoting::default());
        let ends = script
            .effects
            .iter()
            .any(|e| matches!(e.change, Change::Commit { .. } | Change::Rollback { .. }));
        if std::mem::take(&mut self.fail_next) || find(text, b"fail").is_some() {
            self.fail("57014");
            return Ran::Failed;
        }
        if self.status == b'E' && !ends {
            self.fail("25P02");
            return Ran::Failed;
        }
        if find(text, b"\"plimsoll refused this\"").is_some() {
            self.fail("42703");
            return Ran::Failed;
        }
        self.others_state(marks);
        assert!(
            self.wild || find(text, b"shadow").is_none() || !self.vars.contains_key(OWNED),
            "the look-up of a login runs with a client's parameters"
        );
        if let Some(has) = self.vars.get(OWNED)
            && !marks.is_empty()
        {
            assert!(
                self.wild || has.as_bytes() == marks,
                "{} runs with the parameter of {has}",
                String::from_utf8_lossy(marks)
            );
        }
        let mut tag: String = String::from_utf8_lossy(text)
            .split_ascii_whitespace()
            .next()
            .unwrap_or("select")
            .to_ascii_uppercase();
        for effect in &script.effects {
            match &effect.change {
                Change::Copy => return self.copy(text),
                Change::Commit { .. } if self.status == b'E' => tag = "ROLLBACK".into(),
                _ => {}
            }
            self.effect(&effect.change);
        }
        if tag == "SELECT" {
            tag = "SELECT 1".into();
            if simple {
                back::row_description(&mut self.outbox, &[("a", 25)]);
            }
            let shown = [b"<<".as_slice(), marks, b">>"].concat();
            back::data_row(&mut self.outbox, &[Some(&shown)]);
        }
        back::command_complete(&mut self.outbox, tag);
        Ran::Done
    }

    /// A pooler's own statement has no marks and may meet anything.
    fn others_state(&self, marks: &[u8]) {
        for (text, of) in self.portals.values() {
            assert!(
                self.wild || marks.is_empty() || of.is_empty() || of == marks,
                "a portal of another client is open: {:?}",
                String::from_utf8_lossy(text)
            );
        }
    }

    fn copy(&mut self, text: &[u8]) -> Ran {
        if find(text, b"stdin").is_some() {
            back::copy_in_response(&mut self.outbox, false, 1);
            return Ran::Copying;
        }
        back::copy_out_response(&mut self.outbox, false, 1);
        back::copy_data(&mut self.outbox, b"a\n");
        back::copy_done(&mut self.outbox);
        back::command_complete(&mut self.outbox, "COPY 1");
        Ran::Done
    }

    fn effect(&mut self, change: &Change) {
        match change {
            Change::Begin => self.status = b'T',
            Change::Commit { .. } if self.status != b'E' => {
                self.status = b'I';
                self.saved = Some(self.vars.clone());
            }
            Change::Commit { .. } | Change::Rollback { .. } => {
                self.status = b'I';
                if let Some(saved) = self.saved.take() {
                    self.vars = saved;
                }
                self.implicit();
            }
            Change::Set { name, value, .. } => {
                let (Value::Fragment(text) | Value::Guc(text)) = value;
                self.vars
                    .insert(name.to_string(), text.trim_matches('\'').to_owned());
            }
            Change::Reset { name } => drop(self.vars.remove(&**name)),
            Change::ResetAll => self.vars.clear(),
            Change::Discard(Discard::All) => {
                self.vars.clear();
                self.prepared.clear();
            }
            Change::DeallocateAll => self.prepared.clear(),
            _ => {}
        }
    }
}

/// Where `wanted` begins in `text`.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|w| w == wanted)
}
