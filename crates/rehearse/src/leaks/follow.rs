//! One client's two streams of bytes, read as far as leaks are concerned.

use super::facts::{Does, State};
use super::statement::Statements;
use std::collections::{BTreeMap, VecDeque};
use wire::back::{self, Status};
use wire::front;
use wire::startup::{self, Startup};
use wire::tag;

/// Bytes of one message that are kept; of a longer one the beginning counts.
const MESSAGE_MAX: usize = 70 * 1024;
/// Longest start-up packet.
const STARTUP_MAX: usize = 10_000;
/// Prepared statements that are remembered for one client.
const PREPARED_MAX: usize = 10_000;
/// Requests on their way.
const PENDING_MAX: usize = 10_000;

/// What a stream told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// It starts a session.
    Starts {
        user: String,
        database: String,
        application: String,
    },
    /// It is no session: it carries a cancel request.
    Cancels,
    /// Its login is over.
    LoggedIn,
    /// Its application_name is another one.
    Renamed(String),
    /// A request began.
    Asked { text: u32, does: Does },
    /// The oldest request was answered.
    Answered(State),
    /// It said goodbye.
    Goodbye,
    /// The server or the pooler ends it, in these words.
    Fatal { code: String, text: String },
}

/// Reads one client's streams.
#[derive(Default)]
pub(crate) struct Follower {
    started: bool,
    ready: bool,
    front: Stream,
    back: Stream,
    prepared: BTreeMap<Box<[u8]>, (u32, Does)>,
    portals: BTreeMap<Box<[u8]>, (u32, Does)>,
    /// The batch since the last Sync.
    batch: Option<(u32, Does)>,
    /// Single bytes in answer to requests for encryption that are still to come.
    single: VecDeque<()>,
    pending: usize,
}

/// Messages of one direction, put together.
#[derive(Default)]
struct Stream {
    kept: Vec<u8>,
    /// Bytes of a message that are not looked at any more.
    skip: usize,
    broken: bool,
}

impl Stream {
    /// The next message, of which the body may be cut.
    fn next(&mut self, input: &mut &[u8]) -> Option<(u8, Vec<u8>)> {
        if self.broken {
            *input = &[];
            return None;
        }
        let over = self.skip.min(input.len());
        self.skip -= over;
        *input = input.get(over..).unwrap_or_default();
        self.take(input, wire::frame::HEADER);
        let frame = match wire::frame::peek(&self.kept) {
            Ok(frame) => frame?,
            Err(_) => {
                self.broken = true;
                return None;
            }
        };
        let wanted = frame.len.min(MESSAGE_MAX);
        self.take(input, wanted);
        if self.kept.len() < wanted {
            return None;
        }
        self.skip = frame.len - wanted;
        let body = self.kept.split_off(wire::frame::HEADER);
        self.kept.clear();
        Some((frame.tag, body))
    }

    fn take(&mut self, input: &mut &[u8], until: usize) {
        let n = until.saturating_sub(self.kept.len()).min(input.len());
        let (now, later) = input.split_at(n);
        self.kept.extend_from_slice(now);
        *input = later;
    }
}

impl Follower {
    /// The client sent these bytes.
    pub(crate) fn said(&mut self, input: &[u8], texts: &mut Statements, told: &mut Vec<Told>) {
        let mut input = input;
        let begun;
        if !self.started {
            begun = [&std::mem::take(&mut self.front.kept), input].concat();
            input = self.start(&begun, told);
        }
        while let Some((kind, body)) = self.front.next(&mut input) {
            self.message(kind, &body, texts, told);
        }
    }

    /// The packets before the first message; what is left of the input.
    fn start<'a>(&mut self, mut input: &'a [u8], told: &mut Vec<Told>) -> &'a [u8] {
        while !self.started {
            let Ok(found) = startup::parse(input, STARTUP_MAX) else {
                self.front.broken = true;
                return &[];
            };
            let Some((packet, len)) = found else {
                self.front.kept = input.to_vec();
                return &[];
            };
            input = input.get(len..).unwrap_or_default();
            match packet {
                Startup::Ssl | Startup::Gss => self.single.push_back(()),
                Startup::Cancel { .. } => told.push(Told::Cancels),
                Startup::Start { params, .. } => {
                    self.started = true;
                    told.push(starts(params));
                }
            }
        }
        input
    }

    fn message(&mut self, kind: u8, body: &[u8], texts: &mut Statements, told: &mut Vec<Told>) {
        match kind {
            tag::front::QUERY => {
                let text = body.strip_suffix(&[0]).unwrap_or(body);
                let (text, does) = texts.read(text);
                self.ask(text, does, told);
            }
            tag::front::PARSE => {
                let mut parts = body.splitn(3, |b| *b == 0);
                let name: Box<[u8]> = parts.next().unwrap_or_default().into();
                let read = texts.read(parts.next().unwrap_or_default());
                if self.prepared.len() < PREPARED_MAX || self.prepared.contains_key(&name) {
                    self.prepared.insert(name, read);
                }
            }
            tag::front::BIND => {
                if let Ok(bind) = front::Bind::parse(body)
                    && let Some(read) = self.prepared.get(bind.statement)
                    && self.portals.len() < PREPARED_MAX
                {
                    self.portals.insert(bind.portal.into(), *read);
                }
            }
            tag::front::EXECUTE => {
                if let Ok(execute) = front::Execute::parse(body)
                    && let Some((text, does)) = self.portals.get(execute.portal).copied()
                {
                    // What a driver puts beside the program's own is not what it asks.
                    self.batch = Some(match self.batch {
                        Some((own, before)) if before.works && !does.works => {
                            (own, before.and(does))
                        }
                        Some((_, before)) => (text, before.and(does)),
                        None => (text, does),
                    });
                }
            }
            tag::front::SYNC => {
                let batch = self.batch.take();
                let (text, does) = batch.unwrap_or_else(|| texts.read(b""));
                self.ask(text, does, told);
            }
            tag::front::FUNCTION_CALL => {
                let (text, does) = texts.read(b"SELECT function_call()");
                self.ask(text, does, told);
            }
            tag::front::TERMINATE => told.push(Told::Goodbye),
            _ => {}
        }
    }

    fn ask(&mut self, text: u32, does: Does, told: &mut Vec<Told>) {
        if self.pending < PENDING_MAX {
            self.pending += 1;
            told.push(Told::Asked { text, does });
        }
    }

    /// These bytes are sent to the client.
    pub(crate) fn heard(&mut self, mut input: &[u8], told: &mut Vec<Told>) {
        while !self.single.is_empty() && !input.is_empty() {
            self.single.pop_front();
            input = input.get(1..).unwrap_or_default();
        }
        while let Some((kind, body)) = self.back.next(&mut input) {
            match kind {
                tag::back::READY => {
                    let state = match back::ready_status(&body) {
                        Ok(Status::Transaction) => State::Transaction,
                        Ok(Status::Failed) => State::Failed,
                        _ => State::Idle,
                    };
                    if !std::mem::replace(&mut self.ready, true) {
                        told.push(Told::LoggedIn);
                    } else if self.pending > 0 {
                        self.pending -= 1;
                        told.push(Told::Answered(state));
                    }
                }
                tag::back::PARAMETER_STATUS => {
                    if let Ok(parameter) = back::ParameterStatus::parse(&body)
                        && parameter.name == b"application_name"
                    {
                        let name = String::from_utf8_lossy(parameter.value);
                        told.push(Told::Renamed(clean(&name)));
                    }
                }
                tag::back::ERROR => told.extend(fatal(&body, self.ready)),
                _ => {}
            }
        }
    }
}

fn starts(params: startup::Params<'_>) -> Told {
    let value = |name| params.value(name).unwrap_or_default().to_owned();
    let user = value("user");
    Told::Starts {
        database: match value("database") {
            name if name.is_empty() => user.clone(),
            name => name,
        },
        application: clean(&value("application_name")),
        user,
    }
}

/// The words of an error that ends the session.
fn fatal(body: &[u8], ready: bool) -> Option<Told> {
    let field = |wanted: u8| {
        let mut fields = body.split(|b| *b == 0);
        let found = fields.find(|f| f.first() == Some(&wanted))?;
        Some(String::from_utf8_lossy(found.get(1..)?).into_owned())
    };
    let severity = field(b'V').or_else(|| field(b'S'))?;
    if !matches!(severity.as_str(), "FATAL" | "PANIC") {
        return None;
    }
    Some(Told::Fatal {
        code: field(b'C').unwrap_or_default(),
        // Later words may speak of data.
        text: match ready {
            true => String::new(),
            false => clean(&field(b'M').unwrap_or_default()),
        },
    })
}

/// Somebody's text, without what could disturb a terminal, and not too much of it.
pub(crate) fn clean(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(CLEAN_CHARS).collect()
}

const CLEAN_CHARS: usize = 200;
