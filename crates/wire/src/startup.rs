//! The packets a client may send before anything else: they have no tag.

use std::fmt;

use crate::bytes::Reader;

mod options;

pub use options::{OptionError, options};

/// The newest minor version of protocol 3 that this crate speaks.
pub const MINOR_MAX: u16 = 2;

/// The first byte of a TLS handshake. A client that opens with it wants TLS without asking
/// (libpq's `sslnegotiation=direct`); no valid start-up packet is long enough to begin with it.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// A start-up parameter whose name begins with this is a protocol option. One that is not known
/// must be named in NegotiateProtocolVersion instead of being refused.
pub const PROTOCOL_OPTION_PREFIX: &str = "_pq_.";

/// Bytes of a cancel key: 4 in protocol 3.0, up to 256 in 3.2.
pub const CANCEL_KEY_LEN: std::ops::RangeInclusive<usize> = 4..=256;

pub(crate) const CANCEL_CODE: u32 = 80_877_102;
pub(crate) const SSL_CODE: u32 = 80_877_103;
/// "PLIM": no version of the protocol and none of PostgreSQL's requests, whose upper half is 1234.
pub(crate) const FORWARDED_CODE: u32 = 0x504c_494d;
pub(crate) const GSS_CODE: u32 = 80_877_104;

/// Length field and code.
const HEAD: usize = 8;

/// One packet of the start-up phase.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Startup<'a> {
    /// Asks for TLS. The answer is one byte, `S` or `N`.
    Ssl,
    /// Asks for GSSAPI encryption. The answer is one byte, `G` or `N`.
    Gss,
    /// Asks to cancel what another connection runs. There is no answer.
    Cancel {
        /// The process id of that connection's BackendKeyData.
        pid: i32,
        /// Its secret, within [`CANCEL_KEY_LEN`].
        key: &'a [u8],
        /// Another instance passed it on: it goes no further.
        forwarded: bool,
    },
    /// Starts a session.
    Start {
        /// The minor version of protocol 3 as asked for: any value may come.
        minor: u16,
        /// The parameters.
        params: Params<'a>,
    },
}

/// The parameters of a start-up packet. Their layout and encoding are already checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Params<'a> {
    /// Name and value strings in turn, each with its terminator, without the final one.
    pairs: &'a [u8],
}

/// Iterates the names and values of [`Params`], in the order sent.
#[derive(Clone)]
pub struct ParamsIter<'a> {
    reader: Reader<'a>,
}

/// Why a start-up packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartupError {
    /// The length field is too small for the packet's kind.
    TooShort(i32),
    /// The length field is above the limit given by the caller.
    TooLong(u32),
    /// A protocol that is not version 3.
    UnsupportedVersion {
        /// As sent.
        major: u16,
        /// As sent.
        minor: u16,
    },
    /// An SSL or GSS request with something behind it.
    Trailing,
    /// A cancel key outside [`CANCEL_KEY_LEN`].
    CancelKey(usize),
    /// The parameters do not end with the empty name as their last byte, or a value is missing.
    Terminator,
    /// A name or value is not UTF-8.
    Encoding,
}

/// Reads the packet at the start of `buf` and says how many bytes it takes. `None` when it has
/// not arrived in full. `max_len` bounds the length that a client may claim, in bytes; what the
/// first eight bytes already show to be wrong is refused before the rest arrives.
pub fn parse(buf: &[u8], max_len: usize) -> Result<Option<(Startup<'_>, usize)>, StartupError> {
    let Some((length, _)) = buf.split_first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    if length.cast_signed() < HEAD as i32 {
        return Err(StartupError::TooShort(length.cast_signed()));
    }
    let len = length as usize;
    if len > max_len {
        return Err(StartupError::TooLong(length));
    }
    let Some(code) = buf.get(4..HEAD).and_then(|code| code.first_chunk()) else {
        return Ok(None);
    };
    let code = u32::from_be_bytes(*code);
    match code {
        SSL_CODE | GSS_CODE if len != HEAD => return Err(StartupError::Trailing),
        SSL_CODE => return Ok(Some((Startup::Ssl, len))),
        GSS_CODE => return Ok(Some((Startup::Gss, len))),
        CANCEL_CODE | FORWARDED_CODE => {
            let key = len.saturating_sub(HEAD + 4);
            if !CANCEL_KEY_LEN.contains(&key) {
                return Err(StartupError::CancelKey(key));
            }
        }
        _ if code >> 16 != 3 => {
            return Err(StartupError::UnsupportedVersion {
                major: (code >> 16) as u16,
                minor: code as u16,
            });
        }
        _ => {}
    }
    let Some(body) = buf.get(HEAD..len) else {
        return Ok(None);
    };
    let startup = if matches!(code, CANCEL_CODE | FORWARDED_CODE) {
        cancel(body, code == FORWARDED_CODE)?
    } else {
        Startup::Start {
            minor: code as u16,
            params: Params::parse(body)?,
        }
    };
    Ok(Some((startup, len)))
}

fn cancel(body: &[u8], forwarded: bool) -> Result<Startup<'_>, StartupError> {
    let (pid, key) = body.split_first_chunk().ok_or(StartupError::CancelKey(0))?;
    Ok(Startup::Cancel {
        pid: i32::from_be_bytes(*pid),
        key,
        forwarded,
    })
}

impl<'a> Params<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, StartupError> {
        let Some((0, pairs)) = body.split_last() else {
            return Err(StartupError::Terminator);
        };
        let mut reader = Reader::new(pairs);
        while !reader.rest().is_empty() {
            for name in [true, false] {
                let text = reader.text().map_err(|_| StartupError::Terminator)?;
                // An empty name is the terminator, and that one must be the last byte.
                if name && text.is_empty() {
                    return Err(StartupError::Terminator);
                }
                std::str::from_utf8(text).map_err(|_| StartupError::Encoding)?;
            }
        }
        Ok(Params { pairs })
    }

    /// The pairs, in the order sent. A name may come twice: as in PostgreSQL, the last one counts.
    pub fn iter(&self) -> ParamsIter<'a> {
        ParamsIter {
            reader: Reader::new(self.pairs),
        }
    }

    /// The value of `name`, the last one if it was sent twice.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.iter()
            .filter(|pair| pair.0 == name)
            .last()
            .map(|pair| pair.1)
    }
}

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.reader.utf8("name").ok()?;
        let value = self.reader.utf8("value").ok()?;
        Some((name, value))
    }
}

impl<'a> IntoIterator for Params<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = ParamsIter<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        self.iter()
    }
}

/// Shows no cancel key.
impl fmt::Debug for Startup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Startup::Ssl => f.write_str("Ssl"),
            Startup::Gss => f.write_str("Gss"),
            Startup::Cancel { pid, .. } => f
                .debug_struct("Cancel")
                .field("pid", pid)
                .finish_non_exhaustive(),
            Startup::Start { minor, params } => f
                .debug_struct("Start")
                .field("minor", minor)
                .field("params", params)
                .finish(),
        }
    }
}

/// Shows names only: a value may hold anything, `options` most of all.
impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|pair| pair.0))
            .finish()
    }
}

impl fmt::Debug for ParamsIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParamsIter").finish_non_exhaustive()
    }
}

impl fmt::Display for StartupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartupError::TooShort(length) => {
                write!(f, "start-up packet claims a length of {length}")
            }
            StartupError::TooLong(length) => {
                write!(
                    f,
                    "start-up packet claims {length} bytes, more than allowed"
                )
            }
            StartupError::UnsupportedVersion { major, minor } => {
                write!(f, "unsupported protocol version {major}.{minor}")
            }
            StartupError::Trailing => f.write_str("extra bytes after an encryption request"),
            StartupError::CancelKey(length) => {
                write!(f, "cancel request with a key of {length} bytes")
            }
            StartupError::Terminator => {
                f.write_str("start-up packet does not end with a terminator")
            }
            StartupError::Encoding => f.write_str("start-up parameter is not UTF-8"),
        }
    }
}

impl std::error::Error for StartupError {}

#[cfg(test)]
mod tests;
