//! Messages from a server to a client.
//!
//! As in [`crate::front`], views borrow from a body and builders append whole messages. Texts of
//! errors and values of settings are bytes in whatever encoding the server uses; `Debug` never
//! shows them, since a server repeats literals and keys in its errors.

mod build;
mod error;

use std::fmt;

pub use build::*;
pub use error::{ErrorFields, ErrorReport, FieldsIter, error, notice};

use crate::bytes::{Reader, WireError};
use crate::startup::CANCEL_KEY_LEN;

/// The transaction state in ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Outside a transaction block.
    Idle,
    /// In a transaction block.
    Transaction,
    /// In a transaction block that failed.
    Failed,
}

/// The value of a setting that the server reports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting's name, as the server spells it.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The key for cancelling.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKey<'a> {
    /// The server process.
    pub pid: i32,
    /// The secret, within [`CANCEL_KEY_LEN`].
    pub key: &'a [u8],
}

/// What the server wants to know, or that it is content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// The client is who it says.
    Ok,
    /// Send the password in clear.
    Cleartext,
    /// Send the password hashed with this salt.
    Md5([u8; 4]),
    /// Begin a SASL exchange with one of these mechanisms.
    Sasl(Mechanisms<'a>),
    /// Continue the SASL exchange.
    SaslContinue(&'a [u8]),
    /// The SASL exchange ends; the server proves itself.
    SaslFinal(&'a [u8]),
    /// A method that this crate does not speak: Kerberos, GSSAPI, SSPI.
    Other(i32),
}

/// Iterates the SASL mechanisms that a server offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms<'a> {
    /// Zero-terminated names, checked, without the final empty one.
    names: &'a [u8],
}

/// The server speaks an older minor version than asked for, or does not know some options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest minor version of protocol 3 that the server speaks.
    pub minor: u16,
    /// Zero-terminated names, checked.
    options: &'a [u8],
}

impl Status {
    /// The byte that stands for it.
    pub fn byte(self) -> u8 {
        match self {
            Status::Idle => b'I',
            Status::Transaction => b'T',
            Status::Failed => b'E',
        }
    }
}

/// Reads the body of ReadyForQuery.
#[inline]
pub fn ready_status(body: &[u8]) -> Result<Status, WireError> {
    match body {
        [b'I'] => Ok(Status::Idle),
        [b'T'] => Ok(Status::Transaction),
        [b'E'] => Ok(Status::Failed),
        [] => Err(WireError::Truncated),
        [_] => Err(WireError::Value("transaction status")),
        _ => Err(WireError::Trailing),
    }
}

/// The tag in the body of CommandComplete, as in `INSERT 0 1`, without its terminator.
#[inline]
pub fn command_tag(body: &[u8]) -> &[u8] {
    Reader::new(body).text().unwrap_or(body)
}

impl<'a> ParameterStatus<'a> {
    /// Reads the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let name = reader.text()?;
        let value = reader.text()?;
        reader.end()?;
        Ok(ParameterStatus { name, value })
    }
}

impl<'a> BackendKey<'a> {
    /// Reads the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let pid = reader.i32()?;
        let key = reader.rest();
        if key.len() < *CANCEL_KEY_LEN.start() {
            return Err(WireError::Truncated);
        }
        if key.len() > *CANCEL_KEY_LEN.end() {
            return Err(WireError::Trailing);
        }
        Ok(BackendKey { pid, key })
    }
}

impl<'a> Authentication<'a> {
    /// Reads the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let request = match reader.i32()? {
            0 => Authentication::Ok,
            3 => Authentication::Cleartext,
            5 => Authentication::Md5(reader.array4()?),
            10 => return Mechanisms::parse(reader).map(Authentication::Sasl),
            11 => return Ok(Authentication::SaslContinue(reader.rest())),
            12 => return Ok(Authentication::SaslFinal(reader.rest())),
            other => return Ok(Authentication::Other(other)),
        };
        reader.end()?;
        Ok(request)
    }
}

impl<'a> Mechanisms<'a> {
    fn parse(reader: Reader<'a>) -> Result<Self, WireError> {
        let Some((0, names)) = reader.rest().split_last() else {
            return Err(WireError::Unterminated);
        };
        let mut reader = Reader::new(names);
        while !reader.rest().is_empty() {
            if reader.utf8("SASL mechanism")?.is_empty() {
                return Err(WireError::Trailing);
            }
        }
        Ok(Mechanisms { names })
    }
}

impl<'a> Iterator for Mechanisms<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut reader = Reader::new(self.names);
        let name = reader.utf8("SASL mechanism").ok()?;
        self.names = reader.rest();
        Some(name)
    }
}

/// The values of a DataRow, `None` for NULL.
pub fn data_row_values(body: &[u8]) -> Result<Vec<Option<&[u8]>>, WireError> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let len = reader.i32()?;
        values.push(match usize::try_from(len) {
            Ok(len) => Some(reader.take(len)?),
            Err(_) if len == -1 => None,
            Err(_) => return Err(WireError::Value("length of a value")),
        });
    }
    reader.end()?;
    Ok(values)
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads the body. Servers send the whole version (3 in the upper half); the bare minor
    /// number of the documentation is understood too.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let version = reader.i32()?.cast_unsigned();
        if !matches!(version >> 16, 0 | 3) {
            return Err(WireError::Value("negotiated version"));
        }
        let count = reader.i32()?;
        let options = reader.rest();
        // Each turn consumes a byte at least, so that a lying count ends with the body.
        for _ in 0..count {
            reader.utf8("protocol option")?;
        }
        reader.end()?;
        Ok(NegotiateProtocolVersion {
            minor: version as u16,
            options,
        })
    }

    /// The `_pq_.` options that the server does not know.
    pub fn options(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader::new(self.options);
        std::iter::from_fn(move || reader.utf8("protocol option").ok())
    }
}

impl fmt::Debug for ParameterStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParameterStatus({})", self.name.escape_ascii())
    }
}

impl fmt::Debug for BackendKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendKey({}, …)", self.pid)
    }
}

impl fmt::Debug for Authentication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Authentication::Ok => f.write_str("Ok"),
            Authentication::Cleartext => f.write_str("Cleartext"),
            Authentication::Md5(_) => f.write_str("Md5"),
            Authentication::Sasl(mechanisms) => write!(f, "Sasl({mechanisms:?})"),
            Authentication::SaslContinue(_) => f.write_str("SaslContinue"),
            Authentication::SaslFinal(_) => f.write_str("SaslFinal"),
            Authentication::Other(code) => write!(f, "Other({code})"),
        }
    }
}

impl fmt::Debug for Mechanisms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl fmt::Debug for NegotiateProtocolVersion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NegotiateProtocolVersion")
            .field("minor", &self.minor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
