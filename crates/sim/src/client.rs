//! A virtual client: what it sent, its own model of the session, and whether
//! each reply is the one that the model expects.

use crate::scenario::Scenario;
use crate::session::{Session, Step};
use std::collections::VecDeque;
use wire::back::{self, ErrorFields, Status};
use wire::frame;
use wire::scram::{ChannelBinding, Keys, client as scram};

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
        self.cancels = 0;
        self.cancel_end = 0;
        self.stalled = false;
        self.told_why = false;
        self.wait_all = false;
        self.wrong_password = false;
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
        }
        let at = self.outgoing.len();
        build(&mut self.outgoing);
        let message = &self.outgoing[at..];
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
                    match self.reply(now, &rest[..f.len]) {
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

    fn reply(&mut self, now: u64, message: &[u8]) -> Result<Wish, String> {
        let body = &message[frame::HEADER..];
        match &mut self.state {
            State::Away => Err("a reply to nobody".into()),
            State::Ending => Ok(Wish::Nothing),
            State::Login(_) => self.login_reply(message[0], body),
            State::Ready => self.session_reply(now, message),
        }
    }

    fn login_reply(&mut self, tag: u8, body: &[u8]) -> Result<Wish, String> {
        let State::Login(stage) = &mut self.state else {
            return Ok(Wish::Nothing);
        };
        match tag {
            b'R' => return self.authentication(body),
            b'S' => {
                let status = back::ParameterStatus::parse(body).map_err(|e| e.to_string())?;
                let wanted = self
                    .model
                    .greeting()
                    .find(|(n, _)| n.as_bytes() == status.name)
                    .map(|(_, v)| v.as_bytes().to_vec());
                if wanted.is_some_and(|w| w != status.value) {
                    return Err("the welcome reports a parameter that is not its own".into());
                }
            }
            b'K' => {
                let key = back::BackendKey::parse(body).map_err(|e| e.to_string())?;
                self.key = Some((key.pid, key.key.to_vec()));
            }
            b'Z' => {
                if !matches!(stage, Login::Accepted) {
                    return Err("ready without a login".into());
                }
                self.state = State::Ready;
                return Ok(Wish::Act);
            }
            b'E' => {
                self.told_why = true;
                let code = code_of(body);
                let fine = matches!(stage, Login::Hopeless)
                    || self.wrong_password
                    || self.faults && matches!(&*code, "08006" | "08P01" | "57P01" | "57014")
                    || matches!(&*code, "53300" | "08006" | "53300 ");
                self.state = State::Ending;
                if !fine {
                    return Err(format!("the login is refused with {code}"));
                }
            }
            b'N' | b'v' => {}
            _ => return Err(format!("{:?} during the login", tag as char)),
        }
        Ok(Wish::Nothing)
    }

    fn authentication(&mut self, body: &[u8]) -> Result<Wish, String> {
        use wire::back::Authentication as A;
        let password = if self.wrong_password {
            "wrong"
        } else {
            "secret"
        };
        let State::Login(stage) = &mut self.state else {
            return Ok(Wish::Nothing);
        };
        let auth = A::parse(body).map_err(|e| e.to_string())?;
        let out = &mut self.outgoing;
        match (auth, std::mem::replace(stage, Login::Sent)) {
            (A::Ok, Login::Hopeless) => return Err("a hopeless login is accepted".into()),
            (A::Ok, _) if self.wrong_password => {
                return Err("a wrong password is accepted".into());
            }
            (A::Ok, _) => {
                *stage = Login::Accepted;
                return Ok(Wish::Nothing);
            }
            (A::Cleartext, _) => wire::front::password(out, password.as_bytes()),
            (A::Md5(salt), _) => {
                let answer = wire::md5::response(&self.user, password, salt);
                wire::front::password(out, answer.as_bytes());
            }
            (A::Sasl(_), _) => {
                let first = scram::ClientFirst::start("nonce", ChannelBinding::Unavailable)
                    .map_err(|e| e.to_string())?;
                wire::front::sasl_initial(out, "SCRAM-SHA-256", first.message().as_bytes());
                *stage = Login::First(first);
            }
            (A::SaslContinue(data), Login::First(first)) => {
                let need = first.server_first(data).map_err(|e| e.to_string())?;
                let keys = Keys::derive(password.as_bytes(), need.salt(), need.iterations());
                let last = need.prove(&keys);
                wire::front::sasl_response(out, last.message().as_bytes());
                *stage = Login::Final(Box::new(last));
            }
            (A::SaslFinal(data), Login::Final(last)) => {
                last.finish(data).map_err(|e| e.to_string())?;
                return Ok(Wish::Nothing);
            }
            _ => return Err("an authentication step that does not fit".into()),
        }
        Ok(Wish::Send)
    }

    /// A reply of the session: it must be the one that the model expects, or
    /// a deviation that the pooler is allowed.
    fn session_reply(&mut self, now: u64, message: &[u8]) -> Result<Wish, String> {
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
        let code = if is_error {
            code_of(body)
        } else {
            String::new()
        };
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
                let cancelled = code == "57014" && !is_fatal(body);
                if is_error && cancelled {
                    if self.cancels == 0 && self.cancel_end < self.started {
                        return Err("its statement was cancelled, but not by itself".into());
                    }
                    self.model.cancel(&mut self.expect);
                } else if is_error && self.fatal(body, &code)? {
                    return Ok(Wish::Nothing);
                } else {
                    self.model.resume(&mut self.expect);
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
            if is_error && is_fatal(body) && self.fatal(body, &code)? {
                return Ok(Wish::Nothing);
            }
            self.started = sent.at;
            let step = self.model.message(sent.tag, &sent.body, &mut self.expect);
            debug_assert!(step != Step::End || sent.tag == b'X');
            let _ = now;
        }
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

    /// An error that the pooler may give in place of the server's reply.
    fn refusal(&mut self, sent: &Sent, code: &str, body: &[u8]) -> bool {
        if is_fatal(body) {
            return false;
        }
        let asks = matches!(sent.tag, b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'F');
        let cancelled = code == "57014"
            && (self.cancels > 0 || self.cancel_end >= sent.at)
            && !self.is_copy(sent);
        let scarce = matches!(code, "53300" | "08006");
        let detail = ErrorFields::parse(body)
            .ok()
            .map(|f| f.message().into_owned());
        let pin = code == "53300" && detail.is_some_and(|d| d.contains("beyond its transaction"));
        let aborted = code == "25P02" && self.model.status() == Status::Failed;
        if (pin || aborted && sent.tag == b'Q') && wants_pin(sent) && !self.model.skips() {
            self.model.refused_within(sent.tag, &mut self.expect);
            return true;
        }
        if asks && self.model.is_refusable() && (cancelled || scarce && !pin) {
            self.model.refused(sent.tag);
            if sent.tag == b'Q' {
                back::ready(&mut self.expect, Status::Idle);
            }
            return true;
        }
        false
    }

    fn is_copy(&self, sent: &Sent) -> bool {
        matches!(sent.tag, b'd' | b'c' | b'f')
    }

    /// Whether the session may end now with this FATAL error.
    fn fatal(&mut self, body: &[u8], code: &str) -> Result<bool, String> {
        if !is_fatal(body) {
            return Ok(false);
        }
        let by_fault =
            self.faults && matches!(code, "08006" | "57P01" | "08P01" | "57014" | "53300");
        let by_mode = self.statement_mode && code == "0A000";
        if !by_fault && !by_mode {
            let text = ErrorFields::parse(body)
                .ok()
                .map(|f| f.message().into_owned());
            return Err(format!("FATAL {code} for no reason: {text:?}"));
        }
        self.told_why = true;
        self.state = State::Ending;
        self.pending.clear();
        Ok(true)
    }

    fn notified(&mut self, body: &[u8]) -> Result<Wish, String> {
        self.notifications += 1;
        let own = format!("ch_{}\0", self.index);
        match crate::session::contains(body, own.as_bytes()) {
            true => Ok(Wish::Nothing),
            false => Err("a notification of another client's channel".into()),
        }
    }

    /// The socket ended.
    pub(crate) fn ended(&mut self) -> Result<(), String> {
        // An error in the middle of a message would be taken for a part of it.
        let cut = !self.inbox.is_empty() && self.faults;
        let word = cut || self.told_why || matches!(self.state, State::Ending | State::Away);
        self.state = State::Away;
        match word {
            true => Ok(()),
            false => Err("its connection ended without a word".into()),
        }
    }
}

/// The statement would keep its server connection.
fn wants_pin(sent: &Sent) -> bool {
    let has = |needle: &[u8]| crate::session::contains(&sent.body, needle);
    sent.tag == b'E'
        || has(b"LISTEN")
        || has(b"TEMP")
        || has(b"PREPARE")
        || has(b"pg_advisory_lock")
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
        if text.len() < 40 {
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
