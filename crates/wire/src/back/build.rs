//! Builders of server messages.

use super::Status;
use crate::bytes::{message, put_count, put_text};
use crate::tag::back as tag;

/// Oid of `bool`.
pub const BOOL: i32 = 16;
/// Oid of `int8`.
pub const INT8: i32 = 20;
/// Oid of `int2`.
pub const INT2: i32 = 21;
/// Oid of `int4`.
pub const INT4: i32 = 23;
/// Oid of `text`.
pub const TEXT: i32 = 25;
/// Oid of `float8`.
pub const FLOAT8: i32 = 701;
/// Oid of `numeric`.
pub const NUMERIC: i32 = 1700;

/// Appends a ReadyForQuery.
pub fn ready(out: &mut Vec<u8>, status: Status) {
    message(out, tag::READY, |out| out.push(status.byte()));
}

/// Appends the value of a reported setting.
pub fn parameter_status(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
    message(out, tag::PARAMETER_STATUS, |out| {
        put_text(out, name.as_ref());
        put_text(out, value.as_ref());
    });
}

/// Appends the key for cancelling, which has 4 bytes unless the client speaks 3.2.
pub fn backend_key(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    message(out, tag::BACKEND_KEY, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

fn authentication(out: &mut Vec<u8>, code: i32, body: impl FnOnce(&mut Vec<u8>)) {
    message(out, tag::AUTHENTICATION, |out| {
        out.extend_from_slice(&code.to_be_bytes());
        body(out);
    });
}

/// Appends: authenticated.
pub fn auth_ok(out: &mut Vec<u8>) {
    authentication(out, 0, |_| {});
}

/// Appends a request for the password in clear.
pub fn auth_cleartext(out: &mut Vec<u8>) {
    authentication(out, 3, |_| {});
}

/// Appends a request for the password hashed with `salt`.
pub fn auth_md5(out: &mut Vec<u8>, salt: [u8; 4]) {
    authentication(out, 5, |out| out.extend_from_slice(&salt));
}

/// Appends an offer of SASL mechanisms.
pub fn auth_sasl<'a>(out: &mut Vec<u8>, mechanisms: impl IntoIterator<Item = &'a str>) {
    authentication(out, 10, |out| {
        for mechanism in mechanisms {
            put_text(out, mechanism.as_bytes());
        }
        out.push(0);
    });
}

/// Appends a challenge of a SASL exchange.
pub fn auth_sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 11, |out| out.extend_from_slice(data));
}

/// Appends the last message of a SASL exchange. [`auth_ok`] follows.
pub fn auth_sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 12, |out| out.extend_from_slice(data));
}

/// Appends the newest minor version spoken here and the `_pq_.` options not known here. The whole
/// version is sent, not only its minor part: libpq refuses anything below 3.0.
pub fn negotiate_version<'a, I>(out: &mut Vec<u8>, minor: u16, unrecognised: I)
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: Clone,
{
    let unrecognised = unrecognised.into_iter();
    message(out, tag::NEGOTIATE_VERSION, |out| {
        out.extend_from_slice(&(3 << 16 | u32::from(minor)).to_be_bytes());
        let count = i32::try_from(unrecognised.clone().count()).unwrap_or(i32::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for option in unrecognised {
            put_text(out, option.as_bytes());
        }
    });
}

/// Appends a ParseComplete.
pub fn parse_complete(out: &mut Vec<u8>) {
    message(out, tag::PARSE_COMPLETE, |_| {});
}

/// Appends a BindComplete.
pub fn bind_complete(out: &mut Vec<u8>) {
    message(out, tag::BIND_COMPLETE, |_| {});
}

/// Appends a CloseComplete.
pub fn close_complete(out: &mut Vec<u8>) {
    message(out, tag::CLOSE_COMPLETE, |_| {});
}

/// Appends a NoData.
pub fn no_data(out: &mut Vec<u8>) {
    message(out, tag::NO_DATA, |_| {});
}

/// Appends an EmptyQueryResponse.
pub fn empty_query(out: &mut Vec<u8>) {
    message(out, tag::EMPTY_QUERY, |_| {});
}

/// Appends a PortalSuspended.
pub fn portal_suspended(out: &mut Vec<u8>) {
    message(out, tag::PORTAL_SUSPENDED, |_| {});
}

/// Appends a CommandComplete.
pub fn command_complete(out: &mut Vec<u8>, tag: impl AsRef<[u8]>) {
    message(out, tag::COMMAND_COMPLETE, |out| {
        put_text(out, tag.as_ref())
    });
}

/// Appends the parameter types of a statement.
pub fn parameter_description(out: &mut Vec<u8>, types: &[i32]) {
    message(out, tag::PARAMETER_DESCRIPTION, |out| {
        let count = put_count(out, types.len());
        for oid in types.iter().take(count) {
            out.extend_from_slice(&oid.to_be_bytes());
        }
    });
}

/// Appends the names and type oids of columns, all in text format and of no table.
pub fn row_description(out: &mut Vec<u8>, columns: &[(&str, i32)]) {
    message(out, tag::ROW_DESCRIPTION, |out| {
        let count = put_count(out, columns.len());
        for (name, oid) in columns.iter().take(count) {
            put_text(out, name.as_bytes());
            // Table oid and column number.
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&oid.to_be_bytes());
            out.extend_from_slice(&type_len(*oid).to_be_bytes());
            // No type modifier.
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            // Text format.
            out.extend_from_slice(&[0; 2]);
        }
    });
}

/// `pg_type.typlen` of the types with a fixed size.
fn type_len(oid: i32) -> i16 {
    match oid {
        BOOL => 1,
        INT2 => 2,
        INT4 => 4,
        INT8 | FLOAT8 => 8,
        _ => -1,
    }
}

/// Appends a row; `None` is NULL.
pub fn data_row(out: &mut Vec<u8>, values: &[Option<&[u8]>]) {
    message(out, tag::DATA_ROW, |out| {
        let count = put_count(out, values.len());
        for value in values.iter().take(count) {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
    });
}

fn copy_response(out: &mut Vec<u8>, tag: u8, binary: bool, columns: usize) {
    message(out, tag, |out| {
        out.push(u8::from(binary));
        for _ in 0..put_count(out, columns) {
            out.extend_from_slice(&[0, u8::from(binary)]);
        }
    });
}

/// Appends the start of COPY from the client, all columns in one format.
pub fn copy_in_response(out: &mut Vec<u8>, binary: bool, columns: usize) {
    copy_response(out, tag::COPY_IN, binary, columns);
}

/// Appends the start of COPY to the client, all columns in one format.
pub fn copy_out_response(out: &mut Vec<u8>, binary: bool, columns: usize) {
    copy_response(out, tag::COPY_OUT, binary, columns);
}

/// Appends a piece of COPY data.
pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, tag::COPY_DATA, |out| out.extend_from_slice(data));
}

/// Appends the end of COPY data.
pub fn copy_done(out: &mut Vec<u8>) {
    message(out, tag::COPY_DONE, |_| {});
}

/// Appends a notification.
pub fn notification(out: &mut Vec<u8>, pid: i32, channel: &str, payload: &str) {
    message(out, tag::NOTIFICATION, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        put_text(out, channel.as_bytes());
        put_text(out, payload.as_bytes());
    });
}
