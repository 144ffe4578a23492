//! What a pooler passes on, written as lines.

use super::message::{Message, Of};
use super::{End, Header, Line, MESSAGE_MAX, NAMES_MAX, Octets, Session, VERSION, What};
use events::tap::{Over, Reason, Record, Taken, What as Heard};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// Why a session is not in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LeftOut {
    /// What it sent came faster than it was read.
    Overrun,
    /// It used a prepared statement that nobody saw it prepare.
    Unseen,
    /// It sent a message that is too long.
    TooLong,
    /// It sent something that is no message.
    Broken,
}

impl LeftOut {
    /// The word in the file.
    pub fn label(self) -> &'static str {
        match self {
            LeftOut::Overrun => "overrun",
            LeftOut::Unseen => "unseen",
            LeftOut::TooLong => "too_long",
            LeftOut::Broken => "broken",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftOut::Overrun => "what they sent came faster than it was read",
            LeftOut::Unseen => "they used a statement that nobody saw them prepare",
            LeftOut::TooLong => "they sent a message of more than 4 MiB",
            LeftOut::Broken => "they sent something that is no message",
        })
    }
}

/// Puts messages together, and writes a line for each.
#[derive(Default)]
pub struct Writer {
    open: BTreeMap<u32, Open>,
    left_out: BTreeMap<u32, LeftOut>,
    /// Messages of each session that is not left out.
    messages: BTreeMap<u32, u64>,
    over: Option<Over>,
    last_us: u64,
}

/// A session under way.
#[derive(Default)]
struct Open {
    /// The begin of a message.
    partial: Vec<u8>,
    /// Statements that were prepared in sight.
    names: BTreeSet<Box<[u8]>>,
}

impl Writer {
    /// The line before all others. `began` and `of` are for people.
    pub fn header(began: &str, of: &str) -> String {
        json(&Header {
            plimsoll_statements: VERSION,
            began: began.to_owned(),
            of: of.to_owned(),
        })
    }

    /// Takes a record; adds the lines that come of it.
    pub fn take(&mut self, record: Record, out: &mut String) {
        let Record {
            session,
            at_us,
            what,
        } = record;
        self.last_us = self.last_us.max(at_us);
        match what {
            Heard::Alive => {}
            Heard::Over(over) => self.over = Some(over),
            Heard::Lost => self.leave_out(session, LeftOut::Overrun),
            Heard::Taken(taken) => self.taken(session, at_us, taken, out),
            Heard::Sent(bytes) => {
                if let Err(why) = self.sent(session, at_us, &bytes, out) {
                    self.leave_out(session, why);
                }
            }
            Heard::Ended => {
                if self.open.remove(&session).is_some() {
                    line(out, session, at_us, What::Session(Session::End));
                }
            }
        }
    }

    fn taken(&mut self, session: u32, at: u64, taken: Taken, out: &mut String) {
        // That it lost something may be told before what was still on its way.
        if self.left_out.contains_key(&session) {
            return;
        }
        self.messages.insert(session, 0);
        let login = Session::Login {
            database: taken.database,
            user: taken.user,
            application: taken.application,
            new: taken.new,
            settings: Octets(taken.settings),
        };
        line(out, session, at, What::Session(login));
        let mut open = Open::default();
        let mut rest = taken.prepared.as_slice();
        while let Some((kind, body)) = next(&mut rest) {
            let Some(Message::Parse { name, sql, types }) = Message::read(kind, body) else {
                return self.leave_out(session, LeftOut::Broken);
            };
            open.names.insert(name.0.as_slice().into());
            let prepared = Session::Prepared { name, sql, types };
            line(out, session, at, What::Session(prepared));
        }
        self.open.insert(session, open);
    }

    fn sent(
        &mut self,
        session: u32,
        at: u64,
        bytes: &[u8],
        out: &mut String,
    ) -> Result<(), LeftOut> {
        let Some(open) = self.open.get_mut(&session) else {
            // It was left out already.
            return Ok(());
        };
        // A long message in small pieces is put together in place.
        let mut held = std::mem::take(&mut open.partial);
        let mut rest = match held.is_empty() {
            true => bytes,
            false => {
                held.extend_from_slice(bytes);
                &held
            }
        };
        let messages = self.messages.entry(session).or_default();
        loop {
            match wire::frame::peek(rest) {
                Err(_) => return Err(LeftOut::Broken),
                Ok(Some(frame)) if frame.len > MESSAGE_MAX => return Err(LeftOut::TooLong),
                Ok(_) => {}
            }
            let Some((kind, body)) = next(&mut rest) else {
                break;
            };
            let message = Message::read(kind, body).ok_or(LeftOut::Broken)?;
            open.follow(&message)?;
            *messages += 1;
            let start = out.len();
            line(out, session, at, What::Message(message));
            // Many short values have more signs than bytes. What cannot be read again is not written.
            if out.len() - start > super::LINE_MAX {
                out.truncate(start);
                return Err(LeftOut::TooLong);
            }
        }
        let left = rest.len();
        open.partial = match held.is_empty() {
            true => rest.to_vec(),
            false => {
                held.drain(..held.len() - left);
                held
            }
        };
        Ok(())
    }

    fn leave_out(&mut self, session: u32, why: LeftOut) {
        self.open.remove(&session);
        self.messages.remove(&session);
        self.left_out.entry(session).or_insert(why);
    }

    /// Sessions whose lines do not belong into the file.
    pub fn left_out(&self) -> &BTreeMap<u32, LeftOut> {
        &self.left_out
    }

    /// What the pooler said at the end; `None`: it did not say that it is the end.
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// Sessions and messages so far.
    pub fn counts(&self) -> (u32, u64) {
        let sessions = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        (sessions, self.messages.values().sum())
    }

    /// What the last line says.
    pub fn end(&self) -> End {
        let mut left_out = BTreeMap::new();
        for why in self.left_out.values() {
            *left_out.entry(why.label().to_owned()).or_default() += 1;
        }
        let (sessions, messages) = self.counts();
        let reason = self.over.map(|over| over.reason);
        End {
            end: reason.map_or("lost", Reason::label).to_owned(),
            whole: matches!(reason, Some(Reason::Time | Reason::Size)),
            lasted: self.last_us,
            sessions,
            messages,
            left_out,
            untaken: self.over.map_or(0, |over| over.untaken),
        }
    }
}

impl End {
    /// As the file has it.
    pub fn line(&self) -> String {
        json(self)
    }
}

impl Open {
    /// Whether all that a message names was prepared in sight.
    fn follow(&mut self, message: &Message) -> Result<(), LeftOut> {
        match message {
            Message::Parse { name, .. } => {
                if self.names.len() >= NAMES_MAX {
                    return Err(LeftOut::Unseen);
                }
                self.names.insert(name.0.as_slice().into());
            }
            Message::Bind {
                statement: name, ..
            }
            | Message::Describe {
                of: Of::Statement,
                name,
            } if !self.names.contains(name.0.as_slice()) => return Err(LeftOut::Unseen),
            _ => {}
        }
        Ok(())
    }
}

/// The next whole message: its type and its body.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let frame = wire::frame::peek(rest).ok()??;
    let (message, left) = rest.split_at_checked(frame.len)?;
    *rest = left;
    Some((frame.tag, message.get(wire::frame::HEADER..)?))
}

fn line(out: &mut String, s: u32, at: u64, what: What) {
    out.push_str(&json(&Line { s, at, what }));
}

/// The session of a line that a [`Writer`] wrote.
pub fn session_of(line: &[u8]) -> Option<u32> {
    let rest = line.strip_prefix(b"{\"s\":")?;
    let digits = rest.split(|b| !b.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // Texts and numbers only: nothing of it cannot be written.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    let _ = writeln!(line);
    line
}
