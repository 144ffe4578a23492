//! The client's side: we log in to a server.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::{
    ChannelBinding, Digest, ITERATIONS_MAX, Keys, ScramError, attribute, decode, decode_digest,
    encode, hmac, is_nonce, sha256, text, xor,
};

/// Most bytes of salt that a server may send.
const SALT_MAX: usize = 1024;

/// The exchange has begun; the client-first message is to be sent.
pub struct ClientFirst {
    message: String,
    header_len: usize,
    nonce: String,
    /// The value of `c=`, which depends on nothing that the server says.
    binding: String,
}

/// The server sent its challenge; keys are needed to answer.
pub struct NeedKeys {
    salt: Vec<u8>,
    iterations: u32,
    /// client-first-bare "," server-first ","
    auth_message: String,
    without_proof: String,
}

/// The client-final message is to be sent.
pub struct ClientFinal {
    message: String,
    server_signature: Digest,
}

impl ClientFirst {
    /// Begins an exchange with a fresh random `nonce` of printable ASCII without commas. The
    /// mechanism to name is PLUS exactly when `binding` is [`ChannelBinding::EndPoint`]. The user
    /// name stays empty: PostgreSQL takes the one of the start-up packet.
    pub fn start(nonce: &str, binding: ChannelBinding<'_>) -> Result<Self, ScramError> {
        if !is_nonce(nonce) {
            return Err(ScramError::Nonce);
        }
        let header = binding.gs2_header();
        Ok(ClientFirst {
            message: format!("{header}n=,r={nonce}"),
            header_len: header.len(),
            nonce: nonce.to_owned(),
            binding: binding.attribute(header),
        })
    }

    /// The message to send.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes the server's challenge.
    pub fn server_first(self, message: &[u8]) -> Result<NeedKeys, ScramError> {
        let server_first = text(message)?;
        if server_first.starts_with("m=") {
            return Err(ScramError::MandatoryExtension);
        }
        let (nonce, rest) = attribute(server_first, 'r', "server nonce")?;
        // The server must add something of its own, else it could replay an old exchange.
        if !is_nonce(nonce) || !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let (salt, rest) = attribute(rest, 's', "salt")?;
        let salt = decode(salt).ok_or(ScramError::Malformed("salt"))?;
        if salt.is_empty() || salt.len() > SALT_MAX {
            return Err(ScramError::Malformed("salt"));
        }
        let (iterations, _extensions) = attribute(rest, 'i', "iteration count")?;
        let iterations = count(iterations)?;
        let bare = self.message.get(self.header_len..).unwrap_or_default();
        Ok(NeedKeys {
            salt,
            iterations,
            auth_message: format!("{bare},{server_first},"),
            without_proof: format!("c={},r={nonce}", self.binding),
        })
    }
}

fn count(digits: &str) -> Result<u32, ScramError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ScramError::Malformed("iteration count"));
    }
    match digits.parse() {
        Ok(iterations @ 1..=ITERATIONS_MAX) => Ok(iterations),
        _ => Err(ScramError::Iterations),
    }
}

impl NeedKeys {
    /// The salt to derive [`Keys`] with.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iterations to derive [`Keys`] with: 1 to [`ITERATIONS_MAX`].
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Answers the challenge with keys that belong to its salt and iteration count.
    pub fn prove(self, keys: &Keys) -> ClientFinal {
        let auth_message = self.auth_message + &self.without_proof;
        let signature = hmac(&sha256(&keys.client_key), &[auth_message.as_bytes()]);
        let proof = xor(&keys.client_key, &signature);
        ClientFinal {
            message: format!("{},p={}", self.without_proof, encode(proof)),
            server_signature: hmac(&keys.server_key, &[auth_message.as_bytes()]),
        }
    }
}

impl ClientFinal {
    /// The message to send.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes the server's last message: its own proof, without which it must not be trusted.
    pub fn finish(self, message: &[u8]) -> Result<(), ScramError> {
        let server_final = text(message)?;
        if server_final.starts_with("e=") {
            return Err(ScramError::ServerRefused);
        }
        let (signature, _extensions) = attribute(server_final, 'v', "server signature")?;
        let signature =
            decode_digest(signature).ok_or(ScramError::Malformed("server signature"))?;
        if bool::from(signature.ct_eq(&self.server_signature)) {
            Ok(())
        } else {
            Err(ScramError::WrongServer)
        }
    }
}

impl fmt::Debug for ClientFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientFirst(…)")
    }
}

impl fmt::Debug for NeedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NeedKeys({} iterations, …)", self.iterations)
    }
}

impl fmt::Debug for ClientFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientFinal(…)")
    }
}
