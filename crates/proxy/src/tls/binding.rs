//! Channel binding `tls-server-end-point` (RFC 5929): the server certificate's
//! hash, which SCRAM-SHA-256-PLUS signs on both sides.

use super::der::{Certificate, OID, Reader, SEQUENCE};
use ring::digest::{self, Algorithm, SHA256, SHA384, SHA512};

/// The binding for a server certificate: its own when serving, the peer's when
/// connecting. `None` where RFC 5929 defines none (Ed25519, or an algorithm
/// unknown here): then -PLUS must not be offered.
pub fn end_point_binding(cert_der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::parse(cert_der)?;
    let algorithm = hash_of(certificate.signature_algorithm)?;
    Some(digest::digest(algorithm, cert_der).as_ref().to_vec())
}

/// 1.2.840.113549.1.1: RSA with PKCS #1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// 1.2.840.10045.4: ECDSA.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4];
/// 2.16.840.1.101.3.4.2: NIST's hashes.
const NIST_HASH: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
/// 1.3.14.3.2.26.
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];

/// The hash that binds a certificate signed with this algorithm: its own,
/// except that SHA-256 stands in for MD5 and SHA-1. SHA-224 is not offered.
fn hash_of(signature_algorithm: &[u8]) -> Option<&'static Algorithm> {
    let mut fields = Reader(signature_algorithm);
    let oid = fields.tagged(OID)?.value;
    if let Some(rest) = oid.strip_prefix(RSA) {
        return match rest {
            [4 | 5 | 11] => Some(&SHA256),
            [12] => Some(&SHA384),
            [13] => Some(&SHA512),
            [10] => pss_hash(fields.tagged(SEQUENCE)?.value),
            _ => None,
        };
    }
    match oid.strip_prefix(ECDSA)? {
        [1] | [3, 2] => Some(&SHA256),
        [3, 3] => Some(&SHA384),
        [3, 4] => Some(&SHA512),
        _ => None,
    }
}

/// RSA-PSS names its hash in the parameters; without a word it is SHA-1.
fn pss_hash(parameters: &[u8]) -> Option<&'static Algorithm> {
    let Some(tagged) = Reader(parameters).optional(0xa0) else {
        return Some(&SHA256);
    };
    let oid = Reader(Reader(tagged.value).tagged(SEQUENCE)?.value)
        .tagged(OID)?
        .value;
    match oid.strip_prefix(NIST_HASH) {
        Some([1]) => Some(&SHA256),
        Some([2]) => Some(&SHA384),
        Some([3]) => Some(&SHA512),
        _ if oid == SHA1 => Some(&SHA256),
        _ => None,
    }
}
