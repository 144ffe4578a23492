//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides, as PostgreSQL does it.
//!
//! Each side is a chain of values: a step consumes one state and gives the next, so that a step
//! cannot be skipped or repeated. Nonces and salts are arguments. Deriving keys from a password
//! costs thousands of hashes and stands apart ([`salted_password`], [`Keys::derive`]), so that it
//! can happen on another thread and be cached.
//!
//! ```text
//!   client::ClientFirst ── client-first ──►  server::ServerFirst::start
//!   server_first(…)     ◄── server-first ──      (salt, iterations, nonce)
//!   NeedKeys::prove(keys)
//!   client::ClientFinal ── client-final ──►  finish(…) ─► Proven { keys }
//!   finish(…)           ◄── server-final ──
//! ```
//!
//! ```
//! use wire::scram::{ChannelBinding, Keys, Verifier, client, server};
//!
//! let verifier = Verifier::from_password(b"pencil", b"0123456789abcdef", 4096);
//! let none = ChannelBinding::Unavailable;
//!
//! let first = client::ClientFirst::start("clientnonce", none).unwrap();
//! let challenge =
//!     server::ServerFirst::start(first.message().as_bytes(), &verifier, "servernonce", none).unwrap();
//! let need = first.server_first(challenge.message().as_bytes()).unwrap();
//! let keys = Keys::derive(b"pencil", need.salt(), need.iterations());
//! let last = need.prove(&keys);
//! let proven = challenge.finish(last.message().as_bytes()).unwrap();
//! last.finish(proven.message.as_bytes()).unwrap();
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub mod binding;
pub mod client;
pub mod server;

mod prep;
mod verifier;

pub use prep::prepare;
pub use verifier::{Verifier, VerifierError};

/// The mechanism without channel binding.
pub const SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What PostgreSQL uses unless `scram_iterations` says otherwise.
pub const ITERATIONS_DEFAULT: u32 = 4096;
/// Most iterations that a server may ask of us: about half a second of one core. A hostile server
/// could otherwise hold a thread for an hour.
pub const ITERATIONS_MAX: u32 = 1_000_000;
/// Bytes of salt that PostgreSQL makes, and of the salts of [`Verifier::mock`].
pub const SALT_LEN: usize = 16;
/// Bytes of randomness behind a nonce that PostgreSQL makes, before base64.
pub const NONCE_LEN: usize = 18;
/// Most bytes of one message of the exchange. Real ones stay below 300.
pub const MESSAGE_MAX: usize = 4096;

pub(crate) type Digest = [u8; 32];

/// How this exchange is bound to its TLS connection, seen from either side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding<'a> {
    /// Binding is not possible here: no TLS, or a certificate without a defined hash.
    /// The server did not offer PLUS; the client says so (`n`).
    Unavailable,
    /// Binding is possible here, yet the plain mechanism is in use. On the client: the server did
    /// not offer PLUS (`y`). On the server: PLUS was offered; a client that says it saw no such
    /// offer has been tampered with and is refused.
    Unused,
    /// PLUS is in use, with this tls-server-end-point data ([`binding::end_point`]).
    EndPoint(&'a [u8]),
}

/// What both sides derive from a password, a salt and an iteration count. Who holds these can log
/// in as that user.
#[derive(Clone)]
pub struct Keys {
    pub(crate) client_key: Digest,
    pub(crate) server_key: Digest,
}

/// Why an exchange ends without success. It holds nothing of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramError {
    /// The message is longer than [`MESSAGE_MAX`].
    TooLong,
    /// The message does not follow the grammar; the text names the part.
    Malformed(&'static str),
    /// An extension that must be understood (`m=`).
    MandatoryExtension,
    /// The client wants to act as another user (`a=`).
    AuthorizationIdentity,
    /// The client binds the channel, but chose the mechanism without.
    UnexpectedBinding,
    /// The client chose PLUS, but does not bind the channel.
    MissingBinding,
    /// The client believes that PLUS was not offered, but it was: someone is between.
    Downgrade,
    /// A kind of channel binding other than tls-server-end-point.
    BindingType,
    /// The client-final's binding is not that of this TLS connection.
    BindingMismatch,
    /// The nonce is not the one sent, or not an extension of it.
    Nonce,
    /// The server asks for zero iterations or more than [`ITERATIONS_MAX`].
    Iterations,
    /// The client does not know the password.
    WrongPassword,
    /// The server reports an error.
    ServerRefused,
    /// The server does not know the password: it is not the server it claims to be.
    WrongServer,
}

/// `SaltedPassword` of RFC 5802. The password is prepared by [`prepare`]. Expensive.
pub fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut salted = Digest::default();
    pbkdf2::pbkdf2_hmac::<Sha256>(&prepare(password), salt, iterations.max(1), &mut salted);
    salted
}

impl Keys {
    /// The keys of a password. Expensive.
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        Keys::from_salted(&salted_password(password, salt, iterations))
    }

    /// The keys of a [`salted_password`]. Cheap.
    pub fn from_salted(salted: &[u8; 32]) -> Self {
        Keys {
            client_key: hmac(salted, &[b"Client Key"]),
            server_key: hmac(salted, &[b"Server Key"]),
        }
    }

    /// The keys from where they were kept, as PgBouncer's and libpq's `scram_client_key` and
    /// `scram_server_key`.
    pub fn from_bytes(client_key: [u8; 32], server_key: [u8; 32]) -> Self {
        Keys {
            client_key,
            server_key,
        }
    }

    /// The client's key: the secret that logs in.
    pub fn client_key(&self) -> &[u8; 32] {
        &self.client_key
    }

    /// The server's key: the secret that proves a server to a client.
    pub fn server_key(&self) -> &[u8; 32] {
        &self.server_key
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let client = self.client_key.ct_eq(&other.client_key);
        bool::from(client & self.server_key.ct_eq(&other.server_key))
    }
}

impl Eq for Keys {}

impl ChannelBinding<'_> {
    /// The head of the client-first message.
    pub(crate) fn gs2_header(self) -> &'static str {
        match self {
            ChannelBinding::Unavailable => "n,,",
            ChannelBinding::Unused => "y,,",
            ChannelBinding::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The `c=` attribute's value for a given header.
    pub(crate) fn attribute(self, gs2_header: &str) -> String {
        match self {
            ChannelBinding::EndPoint(data) => encode([gs2_header.as_bytes(), data].concat()),
            _ => encode(gs2_header),
        }
    }
}

pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    // HMAC takes keys of any length; the type says that it may fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

pub(crate) fn sha256(data: &[u8]) -> Digest {
    Sha256::digest(data).into()
}

pub(crate) fn xor(a: &Digest, b: &Digest) -> Digest {
    std::array::from_fn(|i| a[i] ^ b[i])
}

pub(crate) fn encode(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub(crate) fn decode_digest(text: &str) -> Option<Digest> {
    decode(text)?.try_into().ok()
}

/// A message's text, if it is short enough to look at.
pub(crate) fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_MAX {
        return Err(ScramError::TooLong);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("encoding"))
}

/// The value of the attribute `name` at the start of `text`, and what stands behind its comma.
pub(crate) fn attribute<'a>(
    text: &'a str,
    name: char,
    part: &'static str,
) -> Result<(&'a str, &'a str), ScramError> {
    let value = text
        .strip_prefix(name)
        .and_then(|text| text.strip_prefix('='))
        .ok_or(ScramError::Malformed(part))?;
    Ok(value.split_once(',').unwrap_or((value, "")))
}

/// RFC 5802 allows printable ASCII without commas, and at least one character.
pub(crate) fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',')
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl fmt::Debug for ChannelBinding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChannelBinding::Unavailable => "Unavailable",
            ChannelBinding::Unused => "Unused",
            ChannelBinding::EndPoint(_) => "EndPoint(…)",
        })
    }
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScramError::TooLong => "SCRAM message is too long",
            ScramError::Malformed(part) => return write!(f, "malformed SCRAM message: {part}"),
            ScramError::MandatoryExtension => "SCRAM message requires an unknown extension",
            ScramError::AuthorizationIdentity => "SCRAM authorization identity is not supported",
            ScramError::UnexpectedBinding => {
                "client selected SCRAM-SHA-256, but its message includes channel binding data"
            }
            ScramError::MissingBinding => {
                "client selected SCRAM-SHA-256-PLUS, but its message lacks channel binding data"
            }
            ScramError::Downgrade => {
                "client supports SCRAM channel binding but believes that it was not offered"
            }
            ScramError::BindingType => "unsupported SCRAM channel binding type",
            ScramError::BindingMismatch => "SCRAM channel binding check failed",
            ScramError::Nonce => "SCRAM nonce does not match",
            ScramError::Iterations => "SCRAM iteration count is out of bounds",
            ScramError::WrongPassword => "password authentication failed",
            ScramError::ServerRefused => "server reported an error during SCRAM authentication",
            ScramError::WrongServer => "server did not prove that it knows the password",
        })
    }
}

impl std::error::Error for ScramError {}

#[cfg(test)]
mod tests;
