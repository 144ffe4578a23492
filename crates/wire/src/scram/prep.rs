//! SASLprep (RFC 4013), with PostgreSQL's leniency.

use std::borrow::Cow;

/// Prepares a password for [`super::salted_password`], which calls this itself.
///
/// As in PostgreSQL, a password that SASLprep refuses is taken byte for byte: one that is not
/// UTF-8, holds prohibited characters, or is empty once characters without meaning are dropped.
pub fn prepare(password: &[u8]) -> Cow<'_, [u8]> {
    let prepared = std::str::from_utf8(password)
        .ok()
        .and_then(|text| stringprep::saslprep(text).ok());
    match prepared {
        None => Cow::Borrowed(password),
        Some(text) if text.is_empty() => Cow::Borrowed(password),
        Some(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    }
}
