//! A capture of statements on its way from the pooler to the command that writes it.
//!
//! What clients send goes as it was read, in pieces, beside who they are; where one
//! message ends and the next begins, the command finds out. So the data plane copies
//! bytes and nothing else. These bytes hold values: they are for nobody but the
//! administrator who asked for them.
//!
//! ```text
//!   worker ─► Record (Taken, Sent, Ended) ─► API ─► Records ─► rehearse::statements
//! ```
//!
//! A record is its kind, its session, its moment and the length of what follows:
//!
//! ```
//! use events::tap::{Record, Records, What};
//! let mut bytes = Vec::new();
//! Record { session: 1, at_us: 7, what: What::Sent(b"Q...".to_vec()) }.put(&mut bytes);
//! let mut records = Records::default();
//! records.push(&bytes[..9]);
//! assert_eq!(records.next(), Ok(None));
//! records.push(&bytes[9..]);
//! assert_eq!(records.next().unwrap().unwrap().session, 1);
//! ```

use std::fmt;
use std::time::Duration;

/// Longest capture of statements.
pub const SPAN_MAX: Duration = Duration::from_secs(3_600);
/// Most bytes of one.
pub const BYTES_MAX: u64 = 4 << 30;
/// Sessions of one. Those that come later are not taken.
pub const SESSIONS_MAX: u32 = 100_000;
/// Most bytes of one record: a read, or what a session had before.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Bytes before what a record carries: kind, session, moment, length.
const HEAD: usize = 17;

/// What was seen of one session at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// A number of this capture's own; 0: it is of no session.
    pub session: u32,
    /// Since the capture's begin, microseconds.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// Kinds of records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The session is captured from here on: it is at rest.
    Taken(Taken),
    /// It sent these bytes; a message may begin or end anywhere in them.
    Sent(Vec<u8>),
    /// Its connection ended.
    Ended,
    /// Not all that it sent could be passed on: nothing of it counts.
    Lost,
    /// Nothing; the pooler is still there.
    Alive,
    /// The capture is over.
    Over(Over),
}

/// Whose session it is, and what it had before it was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// The database as the client knows it.
    pub database: String,
    /// Its user.
    pub user: String,
    /// What it calls itself; it may be empty.
    pub application: String,
    /// It logged in after the capture began.
    pub new: bool,
    /// Statements that set what it has set, one after the other; it may be empty.
    pub settings: Vec<u8>,
    /// Its prepared statements: Parse messages.
    pub prepared: Vec<u8>,
}

/// Why a capture ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its time was over.
    Time,
    /// It had as many bytes as it may have.
    Size,
    /// A person stopped it.
    Stopped,
    /// The setting was taken back.
    Off,
    /// Who asked for it is gone.
    Gone,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 5] = [
        Reason::Time,
        Reason::Size,
        Reason::Stopped,
        Reason::Off,
        Reason::Gone,
    ];

    /// The word in logs and files.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Time => "time",
            Reason::Size => "size",
            Reason::Stopped => "stopped",
            Reason::Off => "off",
            Reason::Gone => "gone",
        }
    }

    /// As the file writes it.
    pub fn from_label(label: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|r| r.label() == label)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Time => "its time was over",
            Reason::Size => "it reached its size",
            Reason::Stopped => "a person stopped it",
            Reason::Off => "capture.statements is off again",
            Reason::Gone => "who asked for it went away",
        })
    }
}

/// What came of a capture, as the pooler counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over {
    /// Why it ended.
    pub reason: Reason,
    /// Sessions that were taken.
    pub sessions: u32,
    /// Of these, lost on the way.
    pub lost: u32,
    /// Clients that sent something, and were never seen at rest; or there were too many.
    pub untaken: u32,
    /// Bytes that clients sent.
    pub bytes: u64,
}

/// How long a capture may last, and how large it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// At most [`SPAN_MAX`].
    pub span: Duration,
    /// At most [`BYTES_MAX`].
    pub bytes: u64,
}

/// Why there is no capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The settings do not allow it.
    NotAllowed,
    /// Another one runs.
    Busy,
    /// There is nothing here that could be captured.
    Absent,
}

impl Record {
    /// Adds the record.
    pub fn put(&self, out: &mut Vec<u8>) {
        let kind = match &self.what {
            What::Taken(_) => b'T',
            What::Sent(_) => b'S',
            What::Ended => b'E',
            What::Lost => b'L',
            What::Alive => b'A',
            What::Over(_) => b'O',
        };
        let start = out.len();
        out.push(kind);
        out.extend_from_slice(&self.session.to_be_bytes());
        out.extend_from_slice(&self.at_us.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        match &self.what {
            What::Taken(taken) => taken.put(out),
            What::Sent(bytes) => out.extend_from_slice(bytes),
            What::Over(over) => over.put(out),
            What::Ended | What::Lost | What::Alive => {}
        }
        let length = out.len() - start - HEAD;
        debug_assert!(length <= RECORD_BYTES_MAX);
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = out.get_mut(start + HEAD - 4..start + HEAD) {
            place.copy_from_slice(&length);
        }
    }
}

impl Taken {
    /// Bytes that a record of it carries.
    pub fn bytes(&self) -> usize {
        let texts = self.database.len() + self.user.len() + self.application.len();
        texts + self.settings.len() + self.prepared.len() + 5
    }

    /// Texts of the protocol, which have no byte 0; then the messages.
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.new));
        for text in [
            self.database.as_bytes(),
            self.user.as_bytes(),
            self.application.as_bytes(),
            &self.settings,
        ] {
            out.extend(text.iter().filter(|b| **b != 0));
            out.push(0);
        }
        out.extend_from_slice(&self.prepared);
    }

    fn read(body: &[u8]) -> Option<Taken> {
        let (new, body) = body.split_first()?;
        let mut parts = body.splitn(5, |b| *b == 0);
        let mut text = || Some(String::from_utf8_lossy(parts.next()?).into_owned());
        let (database, user, application) = (text()?, text()?, text()?);
        Some(Taken {
            database,
            user,
            application,
            new: *new != 0,
            settings: parts.next()?.to_vec(),
            prepared: parts.next()?.to_vec(),
        })
    }
}

impl Over {
    fn put(&self, out: &mut Vec<u8>) {
        let text = format!(
            "{} {} {} {} {}",
            self.reason.label(),
            self.sessions,
            self.lost,
            self.untaken,
            self.bytes
        );
        out.extend_from_slice(text.as_bytes());
    }

    fn read(body: &[u8]) -> Option<Over> {
        let mut words = std::str::from_utf8(body).ok()?.split(' ');
        let mut word = || words.next();
        Some(Over {
            reason: Reason::from_label(word()?)?,
            sessions: word()?.parse().ok()?,
            lost: word()?.parse().ok()?,
            untaken: word()?.parse().ok()?,
            bytes: word()?.parse().ok()?,
        })
    }
}

/// What is not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRecord;

impl fmt::Display for NoRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pooler sends another kind of capture than this command knows")
    }
}

impl std::error::Error for NoRecord {}

/// Finds records in what was read.
#[derive(Debug, Default)]
pub struct Records {
    kept: Vec<u8>,
    /// Bytes of it that were given out already.
    used: usize,
}

impl Records {
    /// More was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.kept.drain(..self.used);
        self.used = 0;
        self.kept.extend_from_slice(bytes);
    }

    /// The next record; `None`: it is not whole yet.
    ///
    /// # Errors
    /// There is something else.
    // An iterator would end at the first record that is not whole yet.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Record>, NoRecord> {
        let rest = self.kept.get(self.used..).unwrap_or_default();
        let Some((head, body)) = rest.split_at_checked(HEAD) else {
            return Ok(None);
        };
        let [kind, a, b, c, d, at @ .., e, f, g, h] = head else {
            return Err(NoRecord);
        };
        let length = u32::from_be_bytes([*e, *f, *g, *h]) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(NoRecord);
        }
        let Some(body) = body.get(..length) else {
            return Ok(None);
        };
        let what = match (kind, length) {
            (b'T', _) => What::Taken(Taken::read(body).ok_or(NoRecord)?),
            (b'S', _) => What::Sent(body.to_vec()),
            (b'O', _) => What::Over(Over::read(body).ok_or(NoRecord)?),
            (b'E', 0) => What::Ended,
            (b'L', 0) => What::Lost,
            (b'A', 0) => What::Alive,
            _ => return Err(NoRecord),
        };
        let at: [u8; 8] = at.try_into().map_err(|_| NoRecord)?;
        self.used += HEAD + length;
        Ok(Some(Record {
            session: u32::from_be_bytes([*a, *b, *c, *d]),
            at_us: u64::from_be_bytes(at),
            what,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let taken = Taken {
            database: "shop".to_owned(),
            user: "anna".to_owned(),
            application: String::new(),
            new: true,
            settings: b"SET a = 'b';".to_vec(),
            prepared: b"P\0\0\0\x0bs\0x\0\0\0".to_vec(),
        };
        let over = Over {
            reason: Reason::Gone,
            sessions: 4,
            lost: 1,
            untaken: 2,
            bytes: 1 << 40,
        };
        let whats = [
            What::Taken(taken),
            What::Sent(vec![0, 1, 2]),
            What::Sent(Vec::new()),
            What::Ended,
            What::Lost,
            What::Alive,
            What::Over(over),
        ];
        let records = whats.into_iter().enumerate().map(|(at, what)| Record {
            session: at as u32,
            at_us: u64::MAX - at as u64,
            what,
        });
        records.collect()
    }

    #[test]
    fn pieces_of_any_size_tell_the_same() {
        let mut bytes = Vec::new();
        all().iter().for_each(|record| record.put(&mut bytes));
        for piece in [1, 2, 17, 18, bytes.len()] {
            let mut records = Records::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(piece) {
                records.push(piece);
                while let Some(record) = records.next().expect("a record") {
                    found.push(record);
                }
            }
            assert_eq!(found, all(), "{piece}");
        }
    }

    #[test]
    fn what_is_no_record_is_told() {
        let head = |kind: u8, length: u32| {
            let mut bytes = vec![kind];
            bytes.extend([0; 12]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([b' '; 8]);
            bytes
        };
        for wrong in [
            head(b'x', 0),
            head(b'E', 1),
            head(b'S', u32::MAX),
            head(b'T', 3),
            head(b'O', 8),
        ] {
            let mut records = Records::default();
            records.push(&wrong);
            assert_eq!(records.next(), Err(NoRecord), "{wrong:?}");
        }
    }
}
