//! The md5 password method, which PostgreSQL keeps for old clients and old secrets.
//!
//! A stored secret is `md5` and the hex digest of password and user name. The client's answer is
//! `md5` and the hex digest of that hex text and the server's salt: who knows the stored secret
//! can log in, without the password.

use md5_crate::{Digest, Md5};
use subtle::ConstantTimeEq;

const PREFIX: &str = "md5";
/// Bytes of a stored secret and of a response: the prefix and 32 hex digits.
const LEN: usize = 35;

/// The answer to a server that sent `salt`.
pub fn response(user: &str, password: impl AsRef<[u8]>, salt: [u8; 4]) -> String {
    respond(&digest(password.as_ref(), user.as_bytes()), salt)
}

/// The answer to a server that sent `salt`, from a stored secret. `None` when `stored` is none.
pub fn response_from_stored(stored: &str, salt: [u8; 4]) -> Option<String> {
    let digits = is_stored(stored).then(|| stored.get(PREFIX.len()..))??;
    Some(respond(&digits.to_ascii_lowercase(), salt))
}

/// The secret that PostgreSQL would store.
pub fn stored(user: &str, password: impl AsRef<[u8]>) -> String {
    format!("{PREFIX}{}", digest(password.as_ref(), user.as_bytes()))
}

/// Whether `secret` is a stored md5 secret, and not a password that merely begins like one.
pub fn is_stored(secret: &str) -> bool {
    secret.len() == LEN
        && secret
            .strip_prefix(PREFIX)
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Whether a client's `response` to `salt` proves that it knows the `stored` secret.
pub fn verify(response: &[u8], stored: &str, salt: [u8; 4]) -> bool {
    response_from_stored(stored, salt)
        .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(response)))
}

/// Whether a password sent in clear fits the `stored` secret of `user`.
pub fn verify_password(user: &str, password: impl AsRef<[u8]>, stored: &str) -> bool {
    let expected = self::stored(user, password);
    is_stored(stored)
        && bool::from(
            expected
                .as_bytes()
                .ct_eq(stored.to_ascii_lowercase().as_bytes()),
        )
}

fn respond(digits: &str, salt: [u8; 4]) -> String {
    format!("{PREFIX}{}", digest(digits.as_bytes(), &salt))
}

fn digest(first: &[u8], second: &[u8]) -> String {
    let mut hash = Md5::new();
    hash.update(first);
    hash.update(second);
    let mut digits = String::with_capacity(32);
    for byte in hash.finalize() {
        for nibble in [byte >> 4, byte & 15] {
            digits.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with Python: hashlib.md5(b"secret" + b"joe"), then of its hex text and the salt.
    const STORED: &str = "md5c59ec932d911ffdf487595b5a2adf973";
    const SALT: [u8; 4] = [0x01, 0xff, 0x00, 0x7a];
    const RESPONSE: &str = "md52f55152824603ba3bb34304914fea2aa";

    #[test]
    fn known_values() {
        assert_eq!(stored("joe", "secret"), STORED);
        assert_eq!(response("joe", b"secret", SALT), RESPONSE);
        assert_eq!(
            response_from_stored(STORED, SALT).as_deref(),
            Some(RESPONSE)
        );
    }

    #[test]
    fn verification() {
        assert!(verify(RESPONSE.as_bytes(), STORED, SALT));
        assert!(!verify(RESPONSE.as_bytes(), STORED, [0; 4]));
        assert!(!verify(STORED.as_bytes(), STORED, SALT));
        assert!(!verify(b"", STORED, SALT));
        assert!(!verify(RESPONSE.as_bytes(), "secret", SALT));
        assert!(verify_password("joe", "secret", STORED));
        assert!(!verify_password("joe", "Secret", STORED));
        assert!(!verify_password("jim", "secret", STORED));
        assert!(!verify_password("joe", "secret", "secret"));
    }

    #[test]
    fn what_is_a_stored_secret() {
        assert!(is_stored(STORED));
        for password in [
            "",
            "md5",
            "md5abc",
            &STORED[1..],
            &STORED.replace("md5", "MD5"),
        ] {
            assert!(!is_stored(password), "{password}");
        }
        assert!(!is_stored(&format!("md5{}", "g".repeat(32))));
        // 35 bytes whose fourth is inside a character.
        assert!(!is_stored(&format!("md5{}", "é".repeat(16))));
    }
}
