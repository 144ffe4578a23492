//! Reading and writing the protocol's few primitive types.

use std::ffi::CStr;
use std::fmt;

/// A message body that does not have the shape its tag promises.
///
/// It holds no bytes of the message, so it may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The body ends before its last field.
    Truncated,
    /// A string has no terminating zero byte.
    Unterminated,
    /// Bytes are left after the last field.
    Trailing,
    /// The named field has a value that the protocol does not know.
    Value(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Truncated => f.write_str("message ends before its last field"),
            WireError::Unterminated => f.write_str("string without terminator in message"),
            WireError::Trailing => f.write_str("extra bytes at the end of message"),
            WireError::Value(field) => write!(f, "invalid {field} in message"),
        }
    }
}

impl std::error::Error for WireError {}

/// Takes fields off the front of a body.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Reader { rest: body }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.chunk().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.chunk().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.chunk().map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn array4(&mut self) -> Result<[u8; 4], WireError> {
        self.chunk()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A string up to its zero byte, which is consumed and not returned.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.rest).ok_or(WireError::Unterminated)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    /// A string that must be UTF-8; `field` names it in the error.
    pub(crate) fn utf8(&mut self, field: &'static str) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.text()?).map_err(|_| WireError::Value(field))
    }

    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::Trailing)
        }
    }
}

/// Appends one message: the tag, a length that is filled in afterwards, and what `body` writes.
#[inline]
pub(crate) fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    counted(out, body);
}

/// Appends a length that counts itself and what `body` writes.
#[inline]
pub(crate) fn counted(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = out.len() - at;
    debug_assert!(
        length <= crate::frame::LENGTH_MAX as usize,
        "message over 1 GiB"
    );
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a zero-terminated string. What follows a zero byte inside `text` is dropped: it could
/// otherwise pose as the next field.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    match CStr::from_bytes_until_nul(text) {
        Err(_) => {
            out.extend_from_slice(text);
            out.push(0);
        }
        Ok(text) => out.extend_from_slice(text.to_bytes_with_nul()),
    }
}

/// Appends a two byte count, and returns how many items it allows.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) -> usize {
    debug_assert!(
        count <= usize::from(u16::MAX),
        "more items than a message can count"
    );
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    usize::from(count)
}
