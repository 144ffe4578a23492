//! Messages from a client to a server.
//!
//! The views borrow from a body (what stands behind the five byte header); the builders append
//! whole messages. Names and texts are bytes: their encoding is the session's, not ours. No view
//! shows statement text, parameters or passwords in `Debug`.

use std::fmt;

use crate::bytes::{Reader, WireError, counted, message, put_text};
use crate::startup;
use crate::tag::front as tag;

/// A simple query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// One or more statements.
    pub text: &'a [u8],
}

/// Prepares a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// One statement.
    pub text: &'a [u8],
    /// The parameter types as sent: a two byte count and that many four byte oids.
    pub types: &'a [u8],
}

/// Binds parameters to a statement, making a portal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
    /// Formats and parameters, not looked at: only the server needs them.
    pub rest: &'a [u8],
}

/// Asks for the shape of a statement or portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Describe<'a> {
    /// [`STATEMENT`] or [`PORTAL`].
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// Closes a statement or portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// [`STATEMENT`] or [`PORTAL`].
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// Runs a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// Most rows to return; zero or less means all.
    pub max_rows: i32,
}

/// A password, in clear or hashed by [`crate::md5`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a> {
    /// What the client sent.
    pub password: &'a [u8],
}

/// The first message of a SASL exchange. Those after it are their whole body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslInitial<'a> {
    /// The mechanism that the client chose.
    pub mechanism: &'a str,
    /// Its first message, if it came along.
    pub data: Option<&'a [u8]>,
}

/// The kind of [`Describe`] and [`Close`] that names a prepared statement.
pub const STATEMENT: u8 = b'S';
/// The kind of [`Describe`] and [`Close`] that names a portal.
pub const PORTAL: u8 = b'P';

impl<'a> Query<'a> {
    /// Reads the body.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let text = reader.text()?;
        reader.end()?;
        Ok(Query { text })
    }
}

impl<'a> Parse<'a> {
    /// Reads the body.
    // Named as in every other view; that the message has this name too is the protocol's doing.
    #[allow(clippy::self_named_constructors)]
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let name = reader.text()?;
        let text = reader.text()?;
        let types = reader.rest();
        let count = reader.u16()?;
        reader.take(usize::from(count) * 4)?;
        reader.end()?;
        Ok(Parse { name, text, types })
    }
}

impl<'a> Bind<'a> {
    /// Reads the two names. The rest is left to the server.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        Ok(Bind {
            portal: reader.text()?,
            statement: reader.text()?,
            rest: reader.rest(),
        })
    }
}

/// What Describe and Close have in common.
#[inline]
fn kind_and_name(body: &[u8]) -> Result<(u8, &[u8]), WireError> {
    let mut reader = Reader::new(body);
    let kind = reader.u8()?;
    if kind != STATEMENT && kind != PORTAL {
        return Err(WireError::Value("kind of Describe or Close"));
    }
    let name = reader.text()?;
    reader.end()?;
    Ok((kind, name))
}

impl<'a> Describe<'a> {
    /// Reads the body.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        kind_and_name(body).map(|(kind, name)| Describe { kind, name })
    }
}

impl<'a> Close<'a> {
    /// Reads the body.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        kind_and_name(body).map(|(kind, name)| Close { kind, name })
    }
}

impl<'a> Execute<'a> {
    /// Reads the body.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let portal = reader.text()?;
        let max_rows = reader.i32()?;
        reader.end()?;
        Ok(Execute { portal, max_rows })
    }
}

impl<'a> Password<'a> {
    /// Reads the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let password = reader.text()?;
        reader.end()?;
        Ok(Password { password })
    }
}

impl<'a> SaslInitial<'a> {
    /// Reads the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mechanism = reader.utf8("SASL mechanism")?;
        let data = match reader.i32()? {
            -1 => None,
            length => {
                let length =
                    usize::try_from(length).map_err(|_| WireError::Value("length of SASL data"))?;
                Some(reader.take(length)?)
            }
        };
        reader.end()?;
        Ok(SaslInitial { mechanism, data })
    }
}

/// Appends a simple query.
pub fn query(out: &mut Vec<u8>, text: &[u8]) {
    message(out, tag::QUERY, |out| put_text(out, text));
}

/// Appends a Parse; `types` as in [`Parse::types`].
pub fn parse(out: &mut Vec<u8>, name: &[u8], text: &[u8], types: &[u8]) {
    message(out, tag::PARSE, |out| {
        put_text(out, name);
        put_text(out, text);
        out.extend_from_slice(types);
    });
}

/// Appends a Bind with names of its own; `rest` as in [`Bind::rest`].
pub fn bind_renamed(out: &mut Vec<u8>, portal: &[u8], statement: &[u8], rest: &[u8]) {
    message(out, tag::BIND, |out| {
        put_text(out, portal);
        put_text(out, statement);
        out.extend_from_slice(rest);
    });
}

/// Appends a Describe of a [`STATEMENT`] or [`PORTAL`].
pub fn describe(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    message(out, tag::DESCRIBE, |out| {
        out.push(kind);
        put_text(out, name);
    });
}

/// Appends a Close of a [`STATEMENT`] or [`PORTAL`].
pub fn close(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    message(out, tag::CLOSE, |out| {
        out.push(kind);
        put_text(out, name);
    });
}

/// Appends an Execute; `max_rows` 0 means all rows.
pub fn execute(out: &mut Vec<u8>, portal: &[u8], max_rows: i32) {
    message(out, tag::EXECUTE, |out| {
        put_text(out, portal);
        out.extend_from_slice(&max_rows.to_be_bytes());
    });
}

/// Appends a Sync.
pub fn sync(out: &mut Vec<u8>) {
    message(out, tag::SYNC, |_| {});
}

/// Appends a Flush.
pub fn flush(out: &mut Vec<u8>) {
    message(out, tag::FLUSH, |_| {});
}

/// Appends a Terminate.
pub fn terminate(out: &mut Vec<u8>) {
    message(out, tag::TERMINATE, |_| {});
}

/// Appends a piece of COPY data.
pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, tag::COPY_DATA, |out| out.extend_from_slice(data));
}

/// Appends the end of COPY data.
pub fn copy_done(out: &mut Vec<u8>) {
    message(out, tag::COPY_DONE, |_| {});
}

/// Appends a CopyFail.
pub fn copy_fail(out: &mut Vec<u8>, reason: &str) {
    message(out, tag::COPY_FAIL, |out| put_text(out, reason.as_bytes()));
}

/// Appends a password, in clear or hashed by [`crate::md5`].
pub fn password(out: &mut Vec<u8>, password: &[u8]) {
    message(out, tag::PASSWORD, |out| put_text(out, password));
}

/// Appends the first message of a SASL exchange.
pub fn sasl_initial(out: &mut Vec<u8>, mechanism: &str, data: &[u8]) {
    message(out, tag::PASSWORD, |out| {
        put_text(out, mechanism.as_bytes());
        let length = i32::try_from(data.len()).unwrap_or(i32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// Appends a later message of a SASL exchange.
pub fn sasl_response(out: &mut Vec<u8>, data: &[u8]) {
    message(out, tag::PASSWORD, |out| out.extend_from_slice(data));
}

/// Appends a start-up packet for protocol 3.`minor`. A pair with an empty name is left out: it
/// would end the list.
pub fn startup<N, V>(out: &mut Vec<u8>, minor: u16, params: impl IntoIterator<Item = (N, V)>)
where
    N: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    counted(out, |out| {
        out.extend_from_slice(&(3 << 16 | u32::from(minor)).to_be_bytes());
        for (name, value) in params {
            if matches!(name.as_ref(), [] | [0, ..]) {
                continue;
            }
            put_text(out, name.as_ref());
            put_text(out, value.as_ref());
        }
        out.push(0);
    });
}

/// Appends a cancel request.
pub fn cancel_request(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    counted(out, |out| {
        out.extend_from_slice(&startup::CANCEL_CODE.to_be_bytes());
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

/// Appends a cancel request that came to this instance and is for a client of another one's.
/// PostgreSQL has no such packet: only Plimsoll understands it, and passes it on no further.
pub fn forwarded_cancel(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    counted(out, |out| {
        out.extend_from_slice(&startup::FORWARDED_CODE.to_be_bytes());
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

/// Appends a request for TLS.
pub fn ssl_request(out: &mut Vec<u8>) {
    counted(out, |out| {
        out.extend_from_slice(&startup::SSL_CODE.to_be_bytes());
    });
}

/// Appends a request for GSSAPI encryption.
pub fn gss_request(out: &mut Vec<u8>) {
    counted(out, |out| {
        out.extend_from_slice(&startup::GSS_CODE.to_be_bytes());
    });
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({} bytes)", self.text.len())
    }
}

impl fmt::Debug for Parse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parse({} bytes)", self.text.len())
    }
}

impl fmt::Debug for Bind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bind({} bytes)", self.rest.len())
    }
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl fmt::Debug for SaslInitial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaslInitial({}, …)", self.mechanism)
    }
}

#[cfg(test)]
mod tests;
