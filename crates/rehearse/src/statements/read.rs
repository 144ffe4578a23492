//! The lines of a file, checked one by one.

use super::{End, Header, LINE_MAX, Line, VERSION, is_statements};
use std::fmt;
use std::io::{BufRead, Read};

/// Why a file cannot be read. It repeats nothing of the file.
#[derive(Debug)]
pub enum ReadError {
    /// It is of another kind or version.
    Version,
    /// The line with this number is not one of such a file.
    Line(u64, String),
    /// A line is longer than any that is written.
    TooLong(u64),
    /// Its last line is missing.
    CutOff,
    /// There is nothing in it to play.
    Empty,
    /// It could not be read.
    Io(std::io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Version => write!(
                f,
                "it is no file of captured statements of version {VERSION}"
            ),
            ReadError::Line(number, why) => write!(f, "line {number}: {why}"),
            ReadError::TooLong(number) => {
                write!(f, "line {number} has more than {LINE_MAX} bytes")
            }
            ReadError::CutOff => f.write_str("its last line is missing: it was cut off"),
            ReadError::Empty => f.write_str("no client sent anything that is in it"),
            ReadError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads lines; each is checked, and none is kept.
pub struct Lines<R> {
    from: R,
    number: u64,
    buffer: Vec<u8>,
    end: Option<End>,
}

impl<R: BufRead> Lines<R> {
    /// Reads up to the header.
    ///
    /// # Errors
    /// There is none.
    pub fn new(from: R) -> Result<Lines<R>, ReadError> {
        let mut lines = Lines {
            from,
            number: 0,
            buffer: Vec::new(),
            end: None,
        };
        if !lines.read()? || !is_statements(&lines.buffer) {
            return Err(ReadError::Version);
        }
        while lines.read()? {
            if lines.buffer.starts_with(b"#") {
                continue;
            }
            let header: Header = lines.parse().map_err(|_| ReadError::Version)?;
            return match header.plimsoll_statements {
                VERSION => Ok(lines),
                _ => Err(ReadError::Version),
            };
        }
        Err(ReadError::CutOff)
    }

    /// What the last line said.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// One line, without its end. `false`: there is none.
    fn read(&mut self) -> Result<bool, ReadError> {
        self.buffer.clear();
        self.number += 1;
        let mut bounded = (&mut self.from).take(LINE_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.buffer);
        read.map_err(ReadError::Io)?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() > LINE_MAX {
            return Err(ReadError::TooLong(self.number));
        } else {
            // A line without its end is not whole.
            return Ok(false);
        }
        Ok(true)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ReadError> {
        serde_json::from_slice(&self.buffer).map_err(|error| {
            let what = format!("not what such a line says, column {}", error.column());
            ReadError::Line(self.number, what)
        })
    }

    /// The next line of a session; `None`: that was all.
    ///
    /// # Errors
    /// It is not one, or the last line is missing.
    // An iterator of results would go on after an error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Line>, ReadError> {
        if self.end.is_some() {
            return Ok(None);
        }
        if !self.read()? {
            return Err(ReadError::CutOff);
        }
        if self.buffer.starts_with(b"{\"end\":") {
            self.end = Some(self.parse()?);
            return Ok(None);
        }
        self.parse().map(Some)
    }

    /// A line that is well formed, and still cannot be.
    pub(super) fn wrong(&self, why: &str) -> ReadError {
        ReadError::Line(self.number, why.to_owned())
    }
}
