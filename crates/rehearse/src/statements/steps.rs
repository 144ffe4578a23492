//! A file as steps: what is to be sent on which session's connection, and when.

use super::classes::{Classes, Kind};
use super::message::put_parse;
use super::{Line, Lines, Message, ReadError, Session, Survey, What};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::BufRead;
use std::time::Duration;

/// Lines that are put into order: workers pass on what they read side by side, so a
/// line may stand some thousand lines late.
const REORDER: usize = 8_192;
/// Bytes of them. One more may be there.
const REORDER_BYTES: usize = 32 << 20;

/// What one session does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When, from the start of the run.
    pub at: Duration,
    /// Which session.
    pub session: u32,
    /// What.
    pub does: Does,
}

/// What a session does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Does {
    /// It sends this message.
    Send {
        /// As it goes over a socket.
        frame: Vec<u8>,
        /// The request that it ends.
        ends: Option<Ends>,
    },
    /// It ends.
    Leave,
}

/// A request is whole with this message, and the server will say that it is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Its class, by its place in [`Survey::classes`].
    pub class: u16,
    /// It is the last message of a batch; else one of its own.
    pub batch: bool,
}

/// Reads steps in the order of their moments.
pub struct Steps<R> {
    lines: Lines<R>,
    survey: std::sync::Arc<Survey>,
    database: Option<String>,
    scale: f64,
    classes: Classes,
    waiting: BinaryHeap<Reverse<(Duration, u64, Sorted)>>,
    waiting_bytes: usize,
    read: u64,
    /// Sessions whose set-up is not sent yet.
    before: BTreeMap<u32, Before>,
    last: Duration,
}

/// What a session had before it was taken.
struct Before {
    at: Duration,
    parses: Vec<u8>,
}

/// A step that waits for its turn; it has no order of its own.
struct Sorted(u32, Does);

impl PartialEq for Sorted {
    fn eq(&self, _: &Sorted) -> bool {
        true
    }
}

impl Eq for Sorted {}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Sorted) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sorted {
    fn cmp(&self, _: &Sorted) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<R: BufRead> Steps<R> {
    /// The steps of a file that was surveyed: those of one database, or all; `scale`
    /// times as fast as they were.
    ///
    /// # Errors
    /// It is another file by now.
    pub fn new(
        from: R,
        survey: std::sync::Arc<Survey>,
        database: Option<String>,
        scale: f64,
    ) -> Result<Steps<R>, ReadError> {
        Ok(Steps {
            lines: Lines::new(from)?,
            survey,
            database,
            scale,
            classes: Classes::default(),
            waiting: BinaryHeap::new(),
            waiting_bytes: 0,
            read: 0,
            before: BTreeMap::new(),
            last: Duration::ZERO,
        })
    }

    /// The next step; `None`: that was all.
    ///
    /// # Errors
    /// The file is another one than the survey was of.
    // An iterator of results would go on after an error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Step>, ReadError> {
        while self.waiting.len() < REORDER && self.waiting_bytes < REORDER_BYTES {
            match self.lines.next()? {
                Some(line) => self.line(line),
                None => {
                    let left: Vec<u32> = self.before.keys().copied().collect();
                    left.into_iter().for_each(|session| self.set_up(session));
                    break;
                }
            }
        }
        let Some(Reverse((at, _, Sorted(session, does)))) = self.waiting.pop() else {
            return Ok(None);
        };
        self.waiting_bytes -= size(&does);
        // What is out of order all the same is due at once, and not late.
        self.last = self.last.max(at);
        Ok(Some(Step {
            at: self.last,
            session,
            does,
        }))
    }

    fn line(&mut self, line: Line) {
        let at = Duration::from_micros(line.at).div_f64(self.scale);
        let session = line.s;
        match line.what {
            What::Session(Session::Login {
                database, settings, ..
            }) => {
                if self.database.as_ref().is_some_and(|d| *d != database) {
                    return;
                }
                self.classes.begins(session);
                if !settings.0.is_empty() {
                    let mut frame = Vec::new();
                    wire::front::query(&mut frame, &settings.0);
                    let ends = self.ends(Kind::Before, false);
                    self.put(at, session, Does::Send { frame, ends });
                }
                let parses = Vec::new();
                self.before.insert(session, Before { at, parses });
            }
            _ if !self.classes.knows(session) => {}
            What::Session(Session::Prepared { name, sql, types }) => {
                self.classes.prepared(session, &name, &sql);
                if let Some(before) = self.before.get_mut(&session) {
                    put_parse(&mut before.parses, &name, &sql, &types);
                }
            }
            What::Session(Session::End) => {
                self.set_up(session);
                self.classes.ends(session);
                self.put(at, session, Does::Leave);
            }
            What::Message(Message::Terminate) => {
                // Its end follows on a line of its own, or with the file.
                self.set_up(session);
            }
            What::Message(message) => {
                self.set_up(session);
                let kind = self.classes.said(session, &message);
                let batch = matches!(message, Message::Sync);
                let ends = kind.and_then(|kind| self.ends(kind, batch));
                let mut frame = Vec::new();
                message.put(&mut frame);
                self.put(at, session, Does::Send { frame, ends });
            }
        }
    }

    /// What the session had prepared goes before its first message, as one batch.
    fn set_up(&mut self, session: u32) {
        let Some(before) = self.before.remove(&session) else {
            return;
        };
        if before.parses.is_empty() {
            return;
        }
        let mut frame = before.parses;
        wire::front::sync(&mut frame);
        let ends = self.ends(Kind::Before, true);
        self.put(before.at, session, Does::Send { frame, ends });
    }

    fn ends(&self, kind: Kind, batch: bool) -> Option<Ends> {
        let class = self.survey.class(kind);
        Some(Ends { class, batch })
    }

    fn put(&mut self, at: Duration, session: u32, does: Does) {
        self.read += 1;
        self.waiting_bytes += size(&does);
        let sorted = Sorted(session, does);
        self.waiting.push(Reverse((at, self.read, sorted)));
    }
}

fn size(does: &Does) -> usize {
    match does {
        Does::Send { frame, .. } => frame.len(),
        Does::Leave => 0,
    }
}
