//! tls-server-end-point channel binding (RFC 5929 §4): a hash of the server's certificate.
//!
//! Which hash is defined by the certificate's own signature algorithm. Where that names none
//! (Ed25519) or one unknown here, the binding is undefined and PLUS must not be offered or used.

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

/// A hash that a certificate can be bound with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-224.
    Sha224,
    /// SHA-256; also stands in for MD5 and SHA-1.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
/// Explicit tag 0: the hash in the parameters of RSASSA-PSS.
const CONTEXT_0: u8 = 0xa0;

/// 1.2.840.113549.1.1.10: names its hash in its parameters.
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

impl Hash {
    /// The hash for a signature algorithm, given as the content octets of its DER object
    /// identifier. `None` where RFC 5929 defines none, and for RSASSA-PSS, whose hash stands in
    /// its parameters: [`Hash::of_certificate`] reads those.
    pub fn of_signature(oid: &[u8]) -> Option<Hash> {
        Some(match oid {
            // 1.2.840.113549.1.1.N: RSA with PKCS #1 v1.5.
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
                4 | 5 | 11 => Hash::Sha256,
                12 => Hash::Sha384,
                13 => Hash::Sha512,
                14 => Hash::Sha224,
                _ => return None,
            },
            // 1.2.840.10045.4.1: ECDSA with SHA-1.
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Hash::Sha256,
            // 1.2.840.10045.4.3.N: ECDSA with SHA-2.
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last] => match last {
                1 => Hash::Sha224,
                2 => Hash::Sha256,
                3 => Hash::Sha384,
                4 => Hash::Sha512,
                _ => return None,
            },
            // 1.2.840.10040.4.3: DSA with SHA-1.
            [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => Hash::Sha256,
            _ => return None,
        })
    }

    /// The hash for a certificate in DER. `None` when it has none, or is no certificate.
    pub fn of_certificate(der: &[u8]) -> Option<Hash> {
        // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }
        let (certificate, _) = element(der, SEQUENCE)?;
        let (_, rest) = element(certificate, SEQUENCE)?;
        let (algorithm, _) = element(rest, SEQUENCE)?;
        let (oid, parameters) = element(algorithm, OID)?;
        if oid == RSASSA_PSS {
            return of_pss(parameters);
        }
        Hash::of_signature(oid)
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha224 => Sha224::digest(data).to_vec(),
            Hash::Sha256 => Sha256::digest(data).to_vec(),
            Hash::Sha384 => Sha384::digest(data).to_vec(),
            Hash::Sha512 => Sha512::digest(data).to_vec(),
        }
    }
}

/// The channel binding data of a server's certificate in DER. `None`: no PLUS.
pub fn end_point(certificate_der: &[u8]) -> Option<Vec<u8>> {
    Some(Hash::of_certificate(certificate_der)?.digest(certificate_der))
}

/// RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, … }
fn of_pss(parameters: &[u8]) -> Option<Hash> {
    let (fields, _) = element(parameters, SEQUENCE)?;
    if fields.first() != Some(&CONTEXT_0) {
        // The default is SHA-1, which SHA-256 stands in for.
        return Some(Hash::Sha256);
    }
    let (explicit, _) = element(fields, CONTEXT_0)?;
    let (algorithm, _) = element(explicit, SEQUENCE)?;
    let (oid, _) = element(algorithm, OID)?;
    match oid {
        // 1.3.14.3.2.26: SHA-1.
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Some(Hash::Sha256),
        // 2.16.840.1.101.3.4.2.N: SHA-2.
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last] => match last {
            1 => Some(Hash::Sha256),
            2 => Some(Hash::Sha384),
            3 => Some(Hash::Sha512),
            4 => Some(Hash::Sha224),
            _ => None,
        },
        _ => None,
    }
}

/// The content of the DER element with this tag at the start of `der`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    if short < 0x80 {
        return rest.split_at_checked(usize::from(short));
    }
    // The long form: the low bits count the bytes of the length. Four are plenty.
    let count = usize::from(short & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let (length, rest) = rest.split_at_checked(count)?;
    let length = length
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}
