//! What a file holds, found by reading all of it once: nothing of it is wrong, who is
//! open when, and which classes there are.

use super::classes::{Classes, Kind, name, text};
use super::{End, Lines, Message, Octets, ReadError, Session, What};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::time::Duration;

/// Classes that are told apart; others are one.
const CLASSES_MAX: usize = 256;
/// Databases that are told apart.
const DATABASES_MAX: usize = 64;

/// What a file of captured statements holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Survey {
    /// Its last line.
    pub end: End,
    /// When the last thing happened.
    pub lasts: Duration,
    /// The databases in it, with their sessions.
    pub databases: BTreeMap<String, u32>,
    /// Sessions, by their numbers: when each came and ended, and in which database.
    pub sessions: BTreeMap<u32, Span>,
    /// Its classes.
    pub classes: Vec<Class>,
    pub(super) numbers: BTreeMap<Kind, u16>,
}

/// When a session was there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// Its first moment.
    pub from: Duration,
    /// Its last one.
    pub until: Duration,
    /// In which database it was.
    pub database: String,
}

/// One class of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// As a shape names it.
    pub name: String,
    /// The statement without literals.
    pub text: String,
    /// Requests of it.
    pub requests: u64,
}

impl Survey {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// It is not a whole file of captured statements.
    pub fn of<R: BufRead>(from: R) -> Result<Survey, ReadError> {
        let mut lines = Lines::new(from)?;
        let mut classes = Classes::default();
        let mut found = Found::default();
        while let Some(line) = lines.next()? {
            let at = Duration::from_micros(line.at);
            found.lasts = found.lasts.max(at);
            match line.what {
                What::Session(Session::Login {
                    database, settings, ..
                }) => {
                    if found.sessions.contains_key(&line.s) {
                        return Err(lines.wrong("this session was there before"));
                    }
                    if found.sessions.len() >= super::SESSIONS_MAX {
                        return Err(lines.wrong("there are more sessions than are captured"));
                    }
                    classes.begins(line.s);
                    found.begins(line.s, at, database, !settings.0.is_empty());
                }
                _ if !classes.knows(line.s) => {
                    return Err(lines.wrong("this session has no begin, or has ended"));
                }
                What::Session(Session::Prepared { name, sql, .. }) => {
                    classes.prepared(line.s, &name, &sql);
                    // What it had prepared is one request, however many lines it has.
                    if found.before.replace(line.s) != Some(line.s) {
                        found.request(line.s, at, Kind::Before, None);
                    }
                }
                What::Session(Session::End) => {
                    classes.ends(line.s);
                    found.seen(line.s, at);
                    found.ended.insert(line.s);
                }
                What::Message(message) => {
                    found.seen(line.s, at);
                    if let Some(kind) = classes.said(line.s, &message) {
                        found.request(line.s, at, kind, sql(&message));
                    }
                    found.text(&message);
                }
            }
        }
        let end = lines.end().cloned().ok_or(ReadError::CutOff)?;
        found.finish(end)
    }

    /// Most sessions of `database` (of all) that are open at one time, where each is
    /// there from so long before its first moment. `scale`: how many times as fast.
    pub fn open_max(&self, database: Option<&str>, scale: f64, lead: Duration) -> usize {
        let mut changes: Vec<(Duration, i32)> = Vec::new();
        for span in self.of_database(database).map(|(_, span)| span) {
            let from = span.from.div_f64(scale).saturating_sub(lead);
            changes.push((from, 1));
            changes.push((span.until.div_f64(scale), -1));
        }
        // Who comes at the moment at which another goes is there beside it.
        changes.sort_by_key(|(at, change)| (*at, -change));
        let (mut open, mut most) = (0, 0);
        for (_, change) in changes {
            open += change;
            most = most.max(open);
        }
        usize::try_from(most).unwrap_or(0)
    }

    /// Sessions of this database, or all.
    pub fn of_database<'a>(
        &'a self,
        database: Option<&'a str>,
    ) -> impl Iterator<Item = (u32, &'a Span)> {
        let wanted = move |span: &Span| database.is_none_or(|name| name == span.database);
        let all = self.sessions.iter().map(|(number, span)| (*number, span));
        all.filter(move |(_, span)| wanted(span))
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.classes.iter().map(|class| class.requests).sum()
    }

    /// The number of a class.
    pub(super) fn class(&self, kind: Kind) -> u16 {
        let known = self.numbers.get(&kind);
        let other = || self.numbers.get(&Kind::Other);
        known.or_else(other).copied().unwrap_or(0)
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    lasts: Duration,
    databases: BTreeMap<String, u32>,
    sessions: BTreeMap<u32, Span>,
    /// Sessions whose end was seen.
    ended: BTreeSet<u32>,
    /// The last session of which a prepared statement was seen.
    before: Option<u32>,
    counts: BTreeMap<Kind, u64>,
    texts: BTreeMap<u64, String>,
}

impl Found {
    fn begins(&mut self, session: u32, at: Duration, database: String, set: bool) {
        if self.databases.len() < DATABASES_MAX || self.databases.contains_key(&database) {
            *self.databases.entry(database.clone()).or_default() += 1;
        }
        let span = Span {
            from: at,
            until: at,
            database,
        };
        self.sessions.insert(session, span);
        if set {
            self.request(session, at, Kind::Before, None);
        }
    }

    fn seen(&mut self, session: u32, at: Duration) {
        if let Some(span) = self.sessions.get_mut(&session) {
            span.until = span.until.max(at);
        }
    }

    fn request(&mut self, session: u32, at: Duration, kind: Kind, sql: Option<&Octets>) {
        self.seen(session, at);
        let room = self.counts.len() < CLASSES_MAX - 1 || self.counts.contains_key(&kind);
        let kind = if room { kind } else { Kind::Other };
        *self.counts.entry(kind).or_default() += 1;
        if let (Kind::Statement(fingerprint), Some(sql)) = (kind, sql) {
            let known = self.texts.entry(fingerprint);
            known.or_insert_with(|| text(&sql.0));
        }
    }

    /// Remembers what a statement looks like that later only has a name.
    fn text(&mut self, message: &Message) {
        if let Message::Parse { sql, .. } = message
            && self.texts.len() < CLASSES_MAX * 4
        {
            let fingerprint = super::classes::fingerprint(&sql.0);
            let known = self.texts.entry(fingerprint);
            known.or_insert_with(|| text(&sql.0));
        }
    }

    fn finish(mut self, end: End) -> Result<Survey, ReadError> {
        // Who did not leave was there to the end, however long it said nothing.
        for (session, span) in &mut self.sessions {
            if !self.ended.contains(session) {
                span.until = self.lasts;
            }
        }
        if self.counts.is_empty() {
            return Err(ReadError::Empty);
        }
        let (mut numbers, mut classes) = (BTreeMap::new(), Vec::new());
        for (kind, requests) in self.counts {
            let text = match kind {
                Kind::Statement(fingerprint) => self.texts.get(&fingerprint).cloned(),
                _ => None,
            };
            let text = text.unwrap_or_default();
            numbers.insert(kind, u16::try_from(classes.len()).unwrap_or(u16::MAX));
            classes.push(Class {
                name: name(kind, &text),
                text,
                requests,
            });
        }
        Ok(Survey {
            end,
            lasts: self.lasts,
            databases: self.databases,
            sessions: self.sessions,
            classes,
            numbers,
        })
    }
}

fn sql(message: &Message) -> Option<&Octets> {
    match message {
        Message::Query { sql } => Some(sql),
        _ => None,
    }
}
