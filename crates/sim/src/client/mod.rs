//! A virtual client: what it sent, its own model of the session, and whether
//! each reply is the one that the model expects.

mod login;
pub(crate) mod verdict;

use crate::scenario::Scenario;
use crate::session::{Session, Step};
use crate::world::grounds::Grounds;
use std::collections::VecDeque;
use wire::back::{self, ErrorFields};
use wire::frame;
use wire::scram::client as scram;

/// Where a client stands.
pub(crate) enum State {
    /// Not connected; it will be at this time.
    Away,
    /// Its login is under way.
    Login(Login),
    /// It talks.
    Ready,
    /// It was told FATAL, or closes: nothing more is expected.
    Ending,
}

pub(crate) enum Login {
    Sent,
    First(scram::ClientFirst),
    Final(Box<scram::ClientFinal>),
    Accepted,
    /// A login that must be refused.
    Hopeless,
}

/// A message that is not answered yet.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
    pub(crate) at: u64,
}

/// What the client wants after it has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    Nothing,
    /// COPY in began: it sends its data now.
    CopyData,
    /// It may act again.
    Act,
    /// It ends a failed batch.
    Sync,
    /// An answer of the login stands in `outgoing`.
    Send,
}

pub(crate) struct Client {
    pub(crate) index: u32,
    pub(crate) state: State,
    pub(crate) link: Option<(u32, u32)>,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) startup: Vec<(String, String)>,
    pub(crate) model: Session,
    expect: Vec<u8>,
    head: usize,
    inbox: Vec<u8>,
    pub(crate) pending: VecDeque<Sent>,
    pub(crate) outgoing: Vec<u8>,
    pub(crate) key: Option<(i32, Vec<u8>)>,
    /// When it last got on: a reply came, or a first request was sent.
    pub(crate) progress: u64,
    /// Cancel requests of its own under way, and when the last one ended.
    pub(crate) cancels: u32,
    pub(crate) cancel_end: u64,
    /// Counts its sessions: a cancel request belongs to one.
    pub(crate) session: u64,
    pub(crate) tokens: u64,
    pub(crate) stalled: bool,
    pub(crate) wrong_password: bool,
    /// It was said why the session ends.
    pub(crate) told_why: bool,
    pub(crate) acting: bool,
    /// The next act waits for all replies.
    pub(crate) wait_all: bool,
    pub(crate) statement_mode: bool,
    pub(crate) faults: bool,
    /// Own refusals, notifications, and so on, for the statistics.
    pub(crate) refusals: u64,
    pub(crate) notifications: u64,
    pub(crate) copies: u64,
    /// When the message that the model handles now was sent.
    started: u64,
    /// When the first message of its transaction was sent.
    began: u64,
    /// When the first message of its batch was sent.
    batch_at: u64,
    /// When it last sent anything.
    pub(crate) last_send: u64,
    /// When it last sent something before what is unanswered now.
    settled_send: u64,
    /// Its password is found by `auth_query`.
    looked_up: bool,
    pub(crate) connected_at: u64,
    /// The answer to its SSLRequest is still to come.
    pub(crate) asks_tls: bool,
    /// What it may be told, as of now.
    pub(crate) grounds: Grounds,
    /// Its session was killed, or its dispatch panicked.
    pub(crate) killed: bool,
    /// Its pool was taken out of the settings.
    pub(crate) retired: bool,
    /// Its lease was taken back.
    pub(crate) reclaimed: bool,
    /// It says nothing before this.
    pub(crate) mute_until: u64,
    /// Sessions may end in the middle of a message.
    disturbed: bool,
    pub(crate) timed_out: u64,
    pub(crate) ended_by_office: u64,
    pub(crate) refused_closed: u64,
}

impl Client {
    pub(crate) fn new(index: u32, s: &Scenario) -> Client {
        Client {
            index,
            state: State::Away,
            link: None,
            user: format!("u{}", index % 3),
            database: String::new(),
            startup: Vec::new(),
            model: Session::new(std::iter::empty()),
            expect: Vec::new(),
            head: 0,
            inbox: Vec::new(),
            pending: VecDeque::new(),
            outgoing: Vec::new(),
            key: None,
            progress: 0,
            cancels: 0,
            cancel_end: 0,
            session: 0,
            tokens: 0,
            stalled: false,
            wrong_password: false,
            told_why: false,
            acting: false,
            wait_all: false,
            statement_mode: false,
            faults: s.faults.every > 0,
            refusals: 0,
            notifications: 0,
            copies: 0,
            started: 0,
            began: 0,
            batch_at: 0,
            last_send: 0,
            settled_send: 0,
            looked_up: s.auth_query,
            connected_at: 0,
            asks_tls: false,
            grounds: Grounds::default(),
            killed: false,
            retired: false,
            reclaimed: false,
            mute_until: 0,
            disturbed: s.faults.every > 0 || s.admin > 0 || s.hangups,
            timed_out: 0,
            ended_by_office: 0,
            refused_closed: 0,
        }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Away => "away",
            State::Login(_) => "login",
            State::Ready => "ready",
            State::Ending => "ending",
        }
    }

    /// Begins anew with a new connection.
    pub(crate) fn restart(&mut self) {
        let startup = self.startup.iter();
        self.model = Session::new(startup.map(|(n, v)| (n.as_str(), v.as_str())));
        self.expect.clear();
        self.head = 0;
        self.inbox.clear();
        self.pending.clear();
        self.outgoing.clear();
        self.key = None;
        self.session += 1;
        self.cancels = 0;
        self.cancel_end = 0;
        self.stalled = false;
        self.told_why = false;
        self.wait_all = false;
        self.wrong_password = false;
        self.killed = false;
        self.retired = false;
        self.reclaimed = false;
        self.mute_until = 0;
        self.asks_tls = false;
    }

    /// Nothing is owed to it.
    pub(crate) fn is_quiet(&self) -> bool {
        match self.state {
            State::Away => true,
            State::Ready => self.settled(),
            _ => false,
        }
    }

    pub(crate) fn settled(&self) -> bool {
        self.pending.is_empty() && self.head == self.expect.len() && !self.model.sleeps()
    }

    /// COPY data was sent before the server asked for it.
    fn sent_ahead(&self) -> bool {
        let next = self.pending.front();
        next.is_some_and(|p| matches!(p.tag, b'd' | b'c' | b'f'))
    }

    /// Its times begin with its connection.
    pub(crate) fn begin(&mut self, now: u64) {
        self.progress = now;
        self.connected_at = now;
        self.last_send = now;
        self.settled_send = now;
        self.started = now;
        self.began = now;
        self.batch_at = now;
    }

    /// It waits for something.
    pub(crate) fn waits(&self) -> bool {
        match self.state {
            State::Away => false,
            State::Ready => !(self.settled() || self.model.copies_in() && self.pending.is_empty()),
            _ => true,
        }
    }

    /// Queues a message of its own.
    pub(crate) fn send(&mut self, now: u64, build: impl FnOnce(&mut Vec<u8>)) {
        if self.settled() {
            self.progress = now;
            self.settled_send = self.last_send;
        }
        let at = self.outgoing.len();
        build(&mut self.outgoing);
        let message = &self.outgoing[at..];
        // As in PgBouncer, a request's time is that of its beginning.
        if !matches!(message[0], b'd' | b'c' | b'f') {
            self.last_send = now;
        }
        self.pending.push_back(Sent {
            tag: message[0],
            body: message[frame::HEADER..].to_vec(),
            at: now,
        });
    }

    /// Bytes arrived. What is wrong with them, or what it wants to do.
    pub(crate) fn receive(&mut self, now: u64, bytes: &[u8]) -> Result<Wish, String> {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let mut at = 0;
        let mut wish = Wish::Nothing;
        let result = loop {
            let rest = &inbox[at..];
            match frame::peek(rest) {
                Ok(Some(f)) if f.len <= rest.len() => {
                    self.progress = now;
                    match self.reply(&rest[..f.len]) {
                        Ok(Wish::Nothing) => {}
                        Ok(w) => wish = w,
                        Err(text) => break Err(text),
                    }
                    at += f.len;
                }
                Ok(_) => break Ok(wish),
                Err(e) => break Err(format!("a broken frame: {e}")),
            }
        };
        inbox.drain(..at);
        self.inbox = inbox;
        result
    }

    fn reply(&mut self, message: &[u8]) -> Result<Wish, String> {
        let body = &message[frame::HEADER..];
        match &mut self.state {
            State::Away => Err("a reply to nobody".into()),
            State::Ending => Ok(Wish::Nothing),
            State::Login(_) => self.login_reply(message[0], body),
            State::Ready => self.session_reply(message),
        }
    }

    /// A reply of the session: it must be the one that the model expects, or
    /// a deviation that the pooler is allowed.
    fn session_reply(&mut self, message: &[u8]) -> Result<Wish, String> {
        let tag = message[0];
        let body = &message[frame::HEADER..];
        match tag {
            b'N' => return Ok(Wish::Nothing),
            b'A' => return self.notified(body),
            // Said twice does no harm.
            b'S' if self.next_expected().is_none_or(|e| e != message) && self.repeats(body) => {
                return Ok(Wish::Nothing);
            }
            _ => {}
        }
        let is_error = tag == b'E';
        let code = error_code(tag, body);
        loop {
            if let Some(expected) = self.next_expected() {
                let same = if is_error && expected[0] == b'E' {
                    code_of(&expected[frame::HEADER..]) == code
                } else {
                    expected == message
                };
                if same {
                    self.head += expected.len();
                    if self.head == self.expect.len() {
                        self.expect.clear();
                        self.head = 0;
                    }
                    return Ok(self.after_match(tag));
                }
                let text = format!("expected {}, got {}", shown(expected), shown(message));
                if is_error && self.fatal(body, &code)? {
                    return Ok(Wish::Nothing);
                }
                return Err(text);
            }
            if self.model.sleeps() {
                if !is_error {
                    self.model.resume(&mut self.expect);
                } else if self.sleep_ends(body, &code)? {
                    return Ok(Wish::Nothing);
                }
                continue;
            }
            let Some(sent) = self.pending.pop_front() else {
                if is_error && self.fatal(body, &code)? {
                    return Ok(Wish::Nothing);
                }
                return Err(format!("{} without a request", shown(message)));
            };
            if is_error && self.refusal(&sent, &code, body) {
                self.refusals += 1;
                return Ok(self.after_match(tag));
            }
            if is_error && is_fatal(body) {
                self.pending.push_front(sent);
                self.fatal(body, &code)?;
                return Ok(Wish::Nothing);
            }
            if self.model.is_free() {
                self.began = sent.at;
            }
            if self.model.is_between() {
                self.batch_at = sent.at;
            }
            self.started = sent.at;
            let step = self.model.message(sent.tag, &sent.body, &mut self.expect);
            debug_assert!(step != Step::End || sent.tag == b'X');
        }
    }

    /// An error while a statement sleeps; true when it ended the session.
    fn sleep_ends(&mut self, body: &[u8], code: &str) -> Result<bool, String> {
        if code == "57014" && !is_fatal(body) {
            if self.cancels == 0 && self.cancel_end < self.started {
                return Err("its statement was cancelled, but not by itself".into());
            }
            self.model.cancel(&mut self.expect);
            return Ok(false);
        }
        let ended = self.fatal(body, code)?;
        if !ended {
            self.model.resume(&mut self.expect);
        }
        Ok(ended)
    }

    fn repeats(&self, body: &[u8]) -> bool {
        back::ParameterStatus::parse(body).is_ok_and(|s| {
            self.model
                .reported(s.name)
                .is_some_and(|v| v.as_bytes() == s.value)
        })
    }

    fn next_expected(&self) -> Option<&[u8]> {
        let rest = &self.expect[self.head..];
        let f = frame::peek(rest).ok().flatten()?;
        Some(&rest[..f.len])
    }

    /// Messages that nothing answers, such as COPY data after the COPY failed.
    fn drop_silent(&mut self) {
        while self.head == self.expect.len()
            && !self.model.sleeps()
            && !self.model.copies_in()
            && let Some(sent) = self.pending.front()
            && matches!(sent.tag, b'H' | b'd' | b'c' | b'f')
        {
            self.pending.pop_front();
        }
    }

    fn after_match(&mut self, tag: u8) -> Wish {
        if tag == b'Z' {
            self.drop_silent();
        }
        match tag {
            b'G' if self.sent_ahead() => Wish::Nothing,
            b'G' => {
                self.copies += 1;
                Wish::CopyData
            }
            // A batch without its Sync failed.
            b'E' if self.model.skips() && self.pending.iter().all(|p| p.tag != b'S') => Wish::Sync,
            b'Z' if self.settled() => {
                self.wait_all = false;
                Wish::Act
            }
            _ => Wish::Nothing,
        }
    }
}

/// Of an error; nothing of anything else.
fn error_code(tag: u8, body: &[u8]) -> String {
    match tag {
        b'E' => code_of(body),
        _ => String::new(),
    }
}

fn code_of(body: &[u8]) -> String {
    ErrorFields::parse(body)
        .map_or("?", |f| f.code())
        .to_owned()
}

fn is_fatal(body: &[u8]) -> bool {
    ErrorFields::parse(body).is_ok_and(|f| f.severity() == "FATAL")
}

/// A message for people.
pub(crate) fn shown(message: &[u8]) -> String {
    let text: String = message
        .iter()
        .skip(frame::HEADER)
        .take(160)
        .map(|b| {
            if b.is_ascii_graphic() || *b == b' ' {
                *b as char
            } else {
                '.'
            }
        })
        .collect();
    format!("{}[{text}]", message.first().map_or('?', |b| *b as char))
}

/// The type bytes of a run of messages.
pub(crate) fn tags(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Ok(Some(f)) = frame::peek(bytes) {
        if text.len() < 100 {
            text.push(f.tag as char);
        }
        bytes = bytes.get(f.len..).unwrap_or_default();
    }
    text
}

impl Client {
    /// The COPY under way was begun by Execute.
    pub(crate) fn copy_extended(&self) -> bool {
        self.model.copy_extended()
    }
}
