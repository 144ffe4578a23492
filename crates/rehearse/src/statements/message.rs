//! One message of a client: as it goes over a socket, and as its line says it.

use super::Octets;
use serde::{Deserialize, Serialize};
use wire::front;
use wire::tag::front as tag;

/// A message that a client sends after its login. What it becomes on a line and back is
/// the same message, to the byte.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// A simple query.
    Query {
        /// One or more statements.
        sql: Octets,
    },
    /// Prepares a statement.
    Parse {
        /// Its name; empty for the unnamed one.
        name: Octets,
        /// One statement.
        sql: Octets,
        /// Types of its parameters; 0: the server finds out.
        types: Vec<u32>,
    },
    /// Binds values to it.
    Bind {
        /// The portal.
        portal: Octets,
        /// The prepared statement.
        statement: Octets,
        /// Formats of the values: 0 text, 1 binary; one for all, or none, which is text.
        formats: Vec<u16>,
        /// The values; null is NULL.
        values: Vec<Option<Octets>>,
        /// Formats of the results.
        results: Vec<u16>,
    },
    /// Runs a portal.
    Execute {
        /// The portal.
        portal: Octets,
        /// Most rows; 0: all.
        rows: i32,
    },
    /// Asks for the shape of something.
    Describe {
        /// `statement` or `portal`.
        of: Of,
        /// Its name.
        name: Octets,
    },
    /// Closes something.
    Close {
        /// `statement` or `portal`.
        of: Of,
        /// Its name.
        name: Octets,
    },
    /// Ends a batch.
    Sync,
    /// Asks for replies now.
    Flush,
    /// A piece of what a COPY reads.
    CopyData {
        /// The piece.
        data: Octets,
    },
    /// That was all of it.
    CopyDone,
    /// The client gives the COPY up.
    CopyFail {
        /// Why.
        reason: Octets,
    },
    /// The fast-path function call.
    FunctionCall {
        /// The message's body.
        body: Octets,
    },
    /// Good-bye.
    Terminate,
}

/// What Describe and Close name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl Of {
    fn named(kind: u8) -> Of {
        match kind == front::STATEMENT {
            true => Of::Statement,
            false => Of::Portal,
        }
    }

    fn kind(self) -> u8 {
        match self {
            Of::Statement => front::STATEMENT,
            Of::Portal => front::PORTAL,
        }
    }
}

impl Message {
    /// The message of this type with this body. `None`: no client sends such after its
    /// login, or it is not well formed.
    pub fn read(kind: u8, body: &[u8]) -> Option<Message> {
        let empty = |message| body.is_empty().then_some(message);
        match kind {
            tag::QUERY => {
                let sql = front::Query::parse(body).ok()?.text.into();
                Some(Message::Query { sql })
            }
            tag::PARSE => {
                let parse = front::Parse::parse(body).ok()?;
                Some(Message::Parse {
                    name: parse.name.into(),
                    sql: parse.text.into(),
                    types: types(parse.types),
                })
            }
            tag::BIND => bind(body),
            tag::EXECUTE => {
                let execute = front::Execute::parse(body).ok()?;
                Some(Message::Execute {
                    portal: execute.portal.into(),
                    rows: execute.max_rows,
                })
            }
            tag::DESCRIBE => {
                let describe = front::Describe::parse(body).ok()?;
                Some(Message::Describe {
                    of: Of::named(describe.kind),
                    name: describe.name.into(),
                })
            }
            tag::CLOSE => {
                let close = front::Close::parse(body).ok()?;
                Some(Message::Close {
                    of: Of::named(close.kind),
                    name: close.name.into(),
                })
            }
            tag::SYNC => empty(Message::Sync),
            tag::FLUSH => empty(Message::Flush),
            tag::COPY_DATA => Some(Message::CopyData { data: body.into() }),
            tag::COPY_DONE => empty(Message::CopyDone),
            tag::COPY_FAIL => {
                let reason = body.strip_suffix(&[0]).filter(|r| !r.contains(&0))?;
                let reason = reason.into();
                Some(Message::CopyFail { reason })
            }
            tag::FUNCTION_CALL => Some(Message::FunctionCall { body: body.into() }),
            tag::TERMINATE => empty(Message::Terminate),
            _ => None,
        }
    }

    /// Adds the message as it goes over a socket. What a line cannot say in the protocol,
    /// as a byte 0 in a name, is left out.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Message::Query { sql } => front::query(out, &sql.0),
            Message::Parse { name, sql, types } => put_parse(out, name, sql, types),
            Message::Bind {
                portal,
                statement,
                formats,
                values,
                results,
            } => {
                let mut rest = Vec::new();
                shorts(&mut rest, formats);
                rest.extend(count(values.len()).to_be_bytes());
                for value in values.iter().take(usize::from(u16::MAX)) {
                    match value {
                        None => rest.extend((-1i32).to_be_bytes()),
                        Some(value) => {
                            let length = i32::try_from(value.0.len()).unwrap_or(i32::MAX);
                            rest.extend(length.to_be_bytes());
                            rest.extend_from_slice(&value.0);
                        }
                    }
                }
                shorts(&mut rest, results);
                front::bind_renamed(out, &portal.0, &statement.0, &rest);
            }
            Message::Execute { portal, rows } => front::execute(out, &portal.0, *rows),
            Message::Describe { of, name } => front::describe(out, of.kind(), &name.0),
            Message::Close { of, name } => front::close(out, of.kind(), &name.0),
            Message::Sync => front::sync(out),
            Message::Flush => front::flush(out),
            Message::CopyData { data } => front::copy_data(out, &data.0),
            Message::CopyDone => front::copy_done(out),
            Message::CopyFail { reason } => {
                front::copy_fail(out, &String::from_utf8_lossy(&reason.0));
            }
            Message::FunctionCall { body } => {
                let length = u32::try_from(body.0.len() + 4).unwrap_or(u32::MAX);
                out.push(tag::FUNCTION_CALL);
                out.extend(length.to_be_bytes());
                out.extend_from_slice(&body.0);
            }
            Message::Terminate => front::terminate(out),
        }
    }
}

/// Adds a Parse.
pub(super) fn put_parse(out: &mut Vec<u8>, name: &Octets, sql: &Octets, types: &[u32]) {
    let mut oids = count(types.len()).to_be_bytes().to_vec();
    let taken = types.iter().take(usize::from(u16::MAX));
    oids.extend(taken.flat_map(|oid| oid.to_be_bytes()));
    front::parse(out, &name.0, &sql.0, &oids);
}

/// The oids of a Parse, after their count.
fn types(bytes: &[u8]) -> Vec<u32> {
    let oids = bytes.get(2..).unwrap_or_default().chunks_exact(4);
    oids.map(|oid| oid.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
        .collect()
}

fn count(many: usize) -> u16 {
    u16::try_from(many).unwrap_or(u16::MAX)
}

fn shorts(out: &mut Vec<u8>, numbers: &[u16]) {
    out.extend(count(numbers.len()).to_be_bytes());
    let taken = numbers.iter().take(usize::from(u16::MAX));
    out.extend(taken.flat_map(|n| n.to_be_bytes()));
}

fn bind(body: &[u8]) -> Option<Message> {
    let bind = front::Bind::parse(body).ok()?;
    let mut rest = bind.rest;
    let formats = take_shorts(&mut rest)?;
    let many = take_short(&mut rest)?;
    let mut values = Vec::new();
    for _ in 0..many {
        let length = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        values.push(match length {
            -1 => None,
            length => Some(take(&mut rest, usize::try_from(length).ok()?)?.into()),
        });
    }
    let results = take_shorts(&mut rest)?;
    rest.is_empty().then(|| Message::Bind {
        portal: bind.portal.into(),
        statement: bind.statement.into(),
        formats,
        values,
        results,
    })
}

fn take<'a>(rest: &mut &'a [u8], many: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(many)?;
    *rest = left;
    Some(taken)
}

fn take_short(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

fn take_shorts(rest: &mut &[u8]) -> Option<Vec<u16>> {
    let many = take_short(rest)?;
    (0..many).map(|_| take_short(rest)).collect()
}
