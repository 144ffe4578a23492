//! How a pool's server treats us: connections that came up or did not, and errors by SQLSTATE.

use events::traffic::{ERRORS_MAX, OTHER};
use events::{CloseReason, Time};

/// A SQLSTATE: five letters and digits.
pub type Code = [u8; 5];

/// What was seen of the server of one pool by one worker. Counts are monotonic.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Connections opened and logged in.
    pub opened: u64,
    /// Connections that did not come up.
    pub connect_failed: u64,
    /// Logins that the server refused.
    pub login_failed: u64,
    /// Connections for which it had no slot.
    pub full: u64,
    /// Logged-in connections that it ended.
    pub ended_by_server: u64,
    /// The last refused login or FATAL.
    pub last_error: Option<LastError>,
    /// Errors of clients' statements.
    pub errors: Codes,
    /// The last connection leads over loopback, a unix socket, or to this machine.
    pub near: bool,
}

/// The last refused login or FATAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// Its SQLSTATE.
    pub code: Code,
    /// When it came.
    pub at: Time,
    /// How many with this code have come since another one did.
    pub count: u64,
}

impl Health {
    /// A connection did not come up; the server may have said why.
    pub(crate) fn not_up(&mut self, now: Time, reason: CloseReason, code: Option<Code>) {
        match reason {
            CloseReason::ServerLoginFailed => self.login_failed += 1,
            CloseReason::ServerFull => self.full += 1,
            _ => self.connect_failed += 1,
        }
        if let Some(code) = code {
            self.failed_with(now, code);
        }
    }

    /// A login was refused, or a session ended, with this code.
    pub(crate) fn failed_with(&mut self, now: Time, code: Code) {
        let before = self.last_error.filter(|last| last.code == code);
        self.last_error = Some(LastError {
            code,
            at: now,
            count: before.map_or(0, |last| last.count) + 1,
        });
    }
}

/// Counts by SQLSTATE: the first that come have a place, the others share one.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    known: Vec<(Code, u64)>,
    others: u64,
}

impl Codes {
    pub(crate) fn count(&mut self, code: &str) {
        let place = code_of(code).and_then(|code| {
            if let Some(at) = self.known.iter().position(|(known, _)| *known == code) {
                return self.known.get_mut(at);
            }
            if self.known.len() >= ERRORS_MAX {
                return None;
            }
            self.known.push((code, 0));
            self.known.last_mut()
        });
        match place {
            Some((_, n)) => *n += 1,
            None => self.others += 1,
        }
    }

    /// Each code with its count, the others last; those that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let known = self.known.iter().map(|(code, n)| (text_of(code), *n));
        let others = (self.others > 0).then_some((OTHER, self.others));
        known.chain(others)
    }
}

/// Five letters and digits, or nothing: a server could send anything.
pub(crate) fn code_of(text: &str) -> Option<Code> {
    let code: Code = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_alphanumeric).then_some(code)
}

/// A SQLSTATE as text.
pub fn text_of(code: &Code) -> &str {
    std::str::from_utf8(code).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code_and_the_rest_together() {
        let mut codes = Codes::default();
        for _ in 0..3 {
            codes.count("23505");
        }
        for odd in ["", "2350", "23505x", "<b>!!", "2350\u{7f}"] {
            codes.count(odd);
        }
        for n in 0..100 {
            codes.count(&format!("X{n:04}"));
        }
        let all: Vec<(String, u64)> = codes.iter().map(|(c, n)| (c.to_owned(), n)).collect();
        assert_eq!(all.len(), ERRORS_MAX + 1);
        assert_eq!(all[0], ("23505".to_owned(), 3));
        assert_eq!(all[1], ("X0000".to_owned(), 1));
        let others = 5 + 100 - (ERRORS_MAX as u64 - 1);
        assert_eq!(all[ERRORS_MAX], (OTHER.to_owned(), others));
    }

    #[test]
    fn the_last_error_counts_how_often_it_came_in_a_row() {
        let mut health = Health::default();
        for (ms, code, count) in [
            (1, *b"28P01", 1),
            (2, *b"28P01", 2),
            (3, *b"57P01", 1),
            (4, *b"28P01", 1),
        ] {
            let at = Time::from_micros(ms);
            health.failed_with(at, code);
            assert_eq!(health.last_error, Some(LastError { code, at, count }));
        }
    }
}
