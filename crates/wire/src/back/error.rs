//! Errors and notices.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::{Reader, WireError, message, put_text};
use crate::tag::back as tag;

/// The fields of an error or notice from a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorFields<'a> {
    /// Code bytes with their zero-terminated strings, checked, without the final zero.
    fields: &'a [u8],
}

/// Iterates the fields of [`ErrorFields`]: the code byte and its text.
#[derive(Clone)]
pub struct FieldsIter<'a> {
    reader: Reader<'a>,
}

/// An error or notice of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReport<'a> {
    /// `ERROR`, `FATAL`, `PANIC`, or for notices `WARNING`, `NOTICE`, `DEBUG`, `INFO`, `LOG`.
    pub severity: &'a str,
    /// The SQLSTATE: five digits or upper-case letters.
    pub code: &'a str,
    /// What went wrong.
    pub message: &'a str,
    /// The figures.
    pub detail: Option<&'a str>,
    /// What to do.
    pub hint: Option<&'a str>,
}

impl<'a> ErrorFields<'a> {
    /// Reads the body of ErrorResponse or NoticeResponse.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let Some((0, fields)) = body.split_last() else {
            return Err(WireError::Unterminated);
        };
        let mut reader = Reader::new(fields);
        while !reader.rest().is_empty() {
            if reader.u8()? == 0 {
                return Err(WireError::Trailing);
            }
            reader.text()?;
        }
        Ok(ErrorFields { fields })
    }

    /// All fields, in the order sent.
    pub fn iter(&self) -> FieldsIter<'a> {
        FieldsIter {
            reader: Reader::new(self.fields),
        }
    }

    /// The first field with this code byte.
    pub fn field(&self, code: u8) -> Option<&'a [u8]> {
        self.iter()
            .find(|field| field.0 == code)
            .map(|field| field.1)
    }

    /// The severity as an English word: `V`, or the localised `S` from servers before 9.6.
    /// Empty when neither is there.
    pub fn severity(&self) -> &'a str {
        self.word(b'V').or_else(|| self.word(b'S')).unwrap_or("")
    }

    /// The SQLSTATE; empty when it is not there.
    pub fn code(&self) -> &'a str {
        self.word(b'C').unwrap_or("")
    }

    /// The primary message; empty when it is not there.
    pub fn message(&self) -> Cow<'a, str> {
        self.text(b'M').unwrap_or_default()
    }

    /// The detail.
    pub fn detail(&self) -> Option<Cow<'a, str>> {
        self.text(b'D')
    }

    /// The hint.
    pub fn hint(&self) -> Option<Cow<'a, str>> {
        self.text(b'H')
    }

    /// The name of the constraint that was broken.
    pub fn constraint(&self) -> Option<Cow<'a, str>> {
        self.text(b'n')
    }

    fn word(&self, code: u8) -> Option<&'a str> {
        self.field(code)
            .and_then(|text| std::str::from_utf8(text).ok())
    }

    /// Lossy: before the start-up is done, a server may use any encoding.
    fn text(&self, code: u8) -> Option<Cow<'a, str>> {
        self.field(code).map(String::from_utf8_lossy)
    }
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.reader.u8().ok()?;
        let text = self.reader.text().ok()?;
        Some((code, text))
    }
}

impl<'a> IntoIterator for ErrorFields<'a> {
    type Item = (u8, &'a [u8]);
    type IntoIter = FieldsIter<'a>;

    fn into_iter(self) -> FieldsIter<'a> {
        self.iter()
    }
}

/// Appends an error.
pub fn error(out: &mut Vec<u8>, report: &ErrorReport<'_>) {
    fields(out, tag::ERROR, report);
}

/// Appends a notice.
pub fn notice(out: &mut Vec<u8>, report: &ErrorReport<'_>) {
    fields(out, tag::NOTICE, report);
}

fn fields(out: &mut Vec<u8>, tag: u8, report: &ErrorReport<'_>) {
    let fields = [
        (b'S', Some(report.severity)),
        (b'V', Some(report.severity)),
        (b'C', Some(report.code)),
        (b'M', Some(report.message)),
        (b'D', report.detail),
        (b'H', report.hint),
    ];
    message(out, tag, |out| {
        for (code, text) in fields {
            if let Some(text) = text {
                out.push(code);
                put_text(out, text.as_bytes());
            }
        }
        out.push(0);
    });
}

/// Shows severity, SQLSTATE and constraint only: the other fields may repeat a client's values.
impl fmt::Debug for ErrorFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorFields")
            .field("severity", &self.severity())
            .field("code", &self.code())
            .field("constraint", &self.constraint())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FieldsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldsIter").finish_non_exhaustive()
    }
}
