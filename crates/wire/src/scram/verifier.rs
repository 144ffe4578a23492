//! What a server stores instead of a password.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq as _;

use super::{
    Digest, ITERATIONS_DEFAULT, ITERATIONS_MAX, Keys, SALT_LEN, decode, decode_digest, encode,
    hmac, sha256,
};

/// Most bytes of salt in a verifier.
const SALT_MAX: usize = 1024;

/// What a server stores for a user. It proves a client's password, yet does not log in anywhere.
///
/// `Display` and `FromStr` use PostgreSQL's form, `SCRAM-SHA-256$iterations:salt$stored:server`.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: Digest,
    pub(crate) server_key: Digest,
    /// Made by [`Verifier::mock`]: no proof is ever accepted.
    pub(crate) mock: bool,
}

/// The text is not a SCRAM-SHA-256 verifier. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierError;

impl Verifier {
    /// Derives the verifier of a password. Expensive.
    pub fn from_password(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let keys = Keys::derive(password, salt, iterations);
        Verifier::from_keys(&keys, salt, iterations)
    }

    /// The verifier that belongs to keys derived elsewhere with this salt and iteration count.
    pub fn from_keys(keys: &Keys, salt: &[u8], iterations: u32) -> Self {
        Verifier {
            iterations: iterations.max(1),
            salt: salt.to_vec(),
            stored_key: sha256(&keys.client_key),
            server_key: keys.server_key,
            mock: false,
        }
    }

    /// A verifier for a user who does not exist. Its salt stays the same for the same user and
    /// seed, as a real one would, and no password fits: the exchange runs and fails as it does
    /// for a wrong password. The seed is a secret that lives at least as long as the process.
    pub fn mock(user: &str, secret_seed: &[u8]) -> Self {
        let derive = |purpose: &[u8]| hmac(secret_seed, &[purpose, b"\0", user.as_bytes()]);
        Verifier {
            iterations: ITERATIONS_DEFAULT,
            salt: derive(b"salt").into_iter().take(SALT_LEN).collect(),
            stored_key: derive(b"stored key"),
            server_key: derive(b"server key"),
            mock: true,
        }
    }

    /// The same with another iteration count: a mock must show the count that real users have.
    pub fn with_iterations(self, iterations: u32) -> Self {
        Verifier {
            iterations: iterations.max(1),
            ..self
        }
    }

    /// How often the hash was applied; at least 1.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether a password sent in clear fits. Expensive. A verifier with more than
    /// [`ITERATIONS_MAX`] fits none.
    pub fn verify_password(&self, password: &[u8]) -> bool {
        self.iterations <= ITERATIONS_MAX
            && self.accepts(&Keys::derive(password, &self.salt, self.iterations))
    }

    /// Whether these keys belong to this verifier. Cheap: the way to check cached keys.
    pub fn accepts(&self, keys: &Keys) -> bool {
        let client = sha256(&keys.client_key).ct_eq(&self.stored_key);
        let server = keys.server_key.ct_eq(&self.server_key);
        bool::from(client & server) && !self.mock
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        parse(text).ok_or(VerifierError)
    }
}

fn parse(text: &str) -> Option<Verifier> {
    let text = text.strip_prefix("SCRAM-SHA-256$")?;
    let (cost, keys) = text.split_once('$')?;
    let (iterations, salt) = cost.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    // `u32::from_str` takes a sign, PostgreSQL's count is a positive C int.
    let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
    let iterations = digits.then(|| iterations.parse().ok())??;
    let salt = decode(salt)?;
    let plausible = (1..=i32::MAX as u32).contains(&iterations) && salt.len() <= SALT_MAX;
    plausible.then_some(Verifier {
        iterations,
        salt,
        stored_key: decode_digest(stored_key)?,
        server_key: decode_digest(server_key)?,
        mock: false,
    })
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            encode(&self.salt),
            encode(self.stored_key),
            encode(self.server_key)
        )
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        let keys =
            self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key);
        bool::from(keys)
            && (self.iterations, &self.salt, self.mock)
                == (other.iterations, &other.salt, other.mock)
    }
}

impl Eq for Verifier {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SCRAM-SHA-256 verifier")
    }
}

impl std::error::Error for VerifierError {}
