//! The server's side: a client logs in to us.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::{
    ChannelBinding, Keys, ScramError, Verifier, attribute, decode_digest, encode, hmac, is_nonce,
    sha256, text, xor,
};

/// The client-first message was accepted; the challenge is to be sent.
pub struct ServerFirst {
    message: String,
    nonce: String,
    /// client-first-bare "," server-first ","
    auth_message: String,
    /// The only value of `c=` that is right.
    binding: String,
    verifier: Verifier,
}

/// The client knows the password.
pub struct Proven {
    /// The server-final message to send.
    pub message: String,
    /// The keys, as the client's proof reveals them. They log in to every server whose verifier
    /// has the same salt and iteration count.
    pub keys: Keys,
}

impl ServerFirst {
    /// Takes the client-first message. `server_nonce` is fresh random printable ASCII without
    /// commas. `binding` tells what was offered and which mechanism the client chose. The user
    /// name in the message is ignored, as PostgreSQL does: that of the start-up packet counts.
    pub fn start(
        client_first: &[u8],
        verifier: &Verifier,
        server_nonce: &str,
        binding: ChannelBinding<'_>,
    ) -> Result<Self, ScramError> {
        if !is_nonce(server_nonce) {
            return Err(ScramError::Nonce);
        }
        let client_first = text(client_first)?;
        let (header, bare) = gs2_header(client_first, binding)?;
        if bare.starts_with("m=") {
            return Err(ScramError::MandatoryExtension);
        }
        let (_user, rest) = attribute(bare, 'n', "user name")?;
        let (client_nonce, _extensions) = attribute(rest, 'r', "client nonce")?;
        if !is_nonce(client_nonce) {
            return Err(ScramError::Malformed("client nonce"));
        }
        let nonce = format!("{client_nonce}{server_nonce}");
        let salt = encode(&verifier.salt);
        let message = format!("r={nonce},s={salt},i={}", verifier.iterations);
        Ok(ServerFirst {
            auth_message: format!("{bare},{message},"),
            message,
            nonce,
            binding: binding.attribute(header),
            verifier: verifier.clone(),
        })
    }

    /// The message to send.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes the client-final message.
    pub fn finish(self, client_final: &[u8]) -> Result<Proven, ScramError> {
        let client_final = text(client_final)?;
        let (binding, rest) = attribute(client_final, 'c', "channel binding")?;
        let (nonce, _) = attribute(rest, 'r', "nonce")?;
        // The proof is the last attribute, behind any extensions.
        let (without_proof, proof) = client_final
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("proof"))?;
        let proof = decode_digest(proof).ok_or(ScramError::Malformed("proof"))?;
        if binding != self.binding {
            return Err(ScramError::BindingMismatch);
        }
        if nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let auth_message = self.auth_message + without_proof;
        let verifier = &self.verifier;
        let signature = hmac(&verifier.stored_key, &[auth_message.as_bytes()]);
        let client_key = xor(&proof, &signature);
        let known = bool::from(sha256(&client_key).ct_eq(&verifier.stored_key));
        if !known || verifier.mock {
            return Err(ScramError::WrongPassword);
        }
        let signature = hmac(&verifier.server_key, &[auth_message.as_bytes()]);
        Ok(Proven {
            message: format!("v={}", encode(signature)),
            keys: Keys::from_bytes(client_key, verifier.server_key),
        })
    }
}

/// Splits off the gs2 header and holds it against what was offered.
fn gs2_header<'a>(
    client_first: &'a str,
    binding: ChannelBinding<'_>,
) -> Result<(&'a str, &'a str), ScramError> {
    let malformed = ScramError::Malformed("gs2 header");
    let (flag, rest) = client_first.split_once(',').ok_or(malformed)?;
    match (flag, binding) {
        ("n" | "y", ChannelBinding::EndPoint(_)) => return Err(ScramError::MissingBinding),
        ("y", ChannelBinding::Unused) => return Err(ScramError::Downgrade),
        ("n", _) | ("y", ChannelBinding::Unavailable) => {}
        ("p=tls-server-end-point", ChannelBinding::EndPoint(_)) => {}
        (flag, _) if !flag.starts_with("p=") => return Err(malformed),
        (_, ChannelBinding::EndPoint(_)) => return Err(ScramError::BindingType),
        _ => return Err(ScramError::UnexpectedBinding),
    }
    let (identity, bare) = rest.split_once(',').ok_or(malformed)?;
    if identity.starts_with("a=") {
        return Err(ScramError::AuthorizationIdentity);
    }
    if !identity.is_empty() {
        return Err(malformed);
    }
    let header_len = client_first.len() - bare.len();
    let header = client_first.get(..header_len).ok_or(malformed)?;
    Ok((header, bare))
}

impl fmt::Debug for ServerFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerFirst(…)")
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proven(…)")
    }
}
