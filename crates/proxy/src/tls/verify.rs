//! Who is accepted at the other end: libpq's rules on top of webpki's.
//!
//! webpki knows neither certificates of version 1, which `openssl x509 -req`
//! writes and PostgreSQL's manual shows, nor an authority that serves as its
//! own server, nor names outside subjectAltName. OpenSSL, and so libpq, takes
//! all three. What webpki refuses for the first two reasons is checked here,
//! for certificates that a trusted one signed directly. Revocation lists are
//! not read.

use super::der::{Certificate, Purpose};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// Trusted certificates, as webpki wants them and as they are.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) store: Arc<RootCertStore>,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Checks the certificate of a database server.
#[derive(Debug)]
pub(super) struct ServerCheck {
    /// `None`: any certificate will do (prefer, require).
    pub(super) roots: Option<Roots>,
    /// The name must match too (verify-full).
    pub(super) name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let chain = ParsedCertificate::try_from(leaf).and_then(|parsed| {
                let algorithms = self.algorithms.all;
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &roots.store,
                    intermediates,
                    now,
                    algorithms,
                )
            });
            chain.or_else(|error| {
                leniently(error, leaf, roots, now, Purpose::Server, &self.algorithms)
            })?;
        }
        if self.name {
            check_name(leaf, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_12(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_13(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the certificate of a client.
#[derive(Debug)]
pub(super) struct ClientCheck {
    /// webpki's own check.
    pub(super) strict: Arc<dyn ClientCertVerifier>,
    pub(super) roots: Roots,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientCheck {
    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.strict
            .verify_client_cert(leaf, intermediates, now)
            .or_else(|error| {
                leniently(
                    error,
                    leaf,
                    &self.roots,
                    now,
                    Purpose::Client,
                    &self.algorithms,
                )?;
                Ok(ClientCertVerified::assertion())
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_12(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signature_13(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What OpenSSL takes and webpki does not; else webpki's own `error`.
fn leniently(
    error: Error,
    leaf_der: &CertificateDer<'_>,
    roots: &Roots,
    now: UnixTime,
    purpose: Purpose,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let Some(leaf) = Certificate::parse(leaf_der) else {
        return Err(error);
    };
    // webpki is right about all other certificates.
    if leaf.version == 3 && !leaf.is_authority() {
        return Err(error);
    }
    if !leaf.valid_at(now.as_secs()) {
        return Err(CertificateError::Expired.into());
    }
    let trusted = leaf.fit_for(purpose)
        && roots.certificates.iter().any(|root_der| {
            root_der == leaf_der
                || Certificate::parse(root_der)
                    .is_some_and(|root| signed_by(&leaf, &root, now, algorithms))
        });
    if trusted { Ok(()) } else { Err(error) }
}

fn signed_by(
    leaf: &Certificate<'_>,
    root: &Certificate<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let may = root.subject == leaf.issuer
        && root.is_authority()
        && root.valid_at(now.as_secs())
        && !root.constrains_names();
    let Some((key_algorithm, key)) = root.public_key().filter(|_| may) else {
        return false;
    };
    algorithms.all.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key_algorithm
            && algorithm.signature_alg_id().as_ref() == leaf.signature_algorithm
            && algorithm
                .verify_signature(key, leaf.tbs, leaf.signature)
                .is_ok()
    })
}

/// By subjectAltName; by common name only where no alternative name of that
/// kind is given, as libpq does.
fn check_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let by_alternative_name =
        ParsedCertificate::try_from(leaf).and_then(|parsed| verify_server_name(&parsed, name));
    let Err(error) = by_alternative_name else {
        return Ok(());
    };
    let matches = || {
        let certificate = Certificate::parse(leaf)?;
        let (dns_names, addresses) = certificate.alternative_names();
        let common_name = certificate.common_name()?;
        Some(match name {
            ServerName::DnsName(host) => {
                !dns_names && matches_common_name(&common_name, host.as_ref())
            }
            ServerName::IpAddress(_) => !dns_names && !addresses && common_name == name.to_str(),
            _ => false,
        })
    };
    match matches() {
        Some(true) => Ok(()),
        // A certificate that webpki cannot read has, for it, no name either.
        _ if matches!(error, Error::InvalidCertificate(CertificateError::Other(_))) => {
            Err(CertificateError::NotValidForName.into())
        }
        _ => Err(error),
    }
}

/// `*.` stands for exactly one label.
fn matches_common_name(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(host),
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
        }),
    }
}

fn signature_12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if ParsedCertificate::try_from(cert).is_ok() {
        return verify_tls12_signature(message, cert, signed, algorithms);
    }
    let bad = || Error::from(CertificateError::BadSignature);
    let certificate = Certificate::parse(cert).ok_or(CertificateError::BadEncoding)?;
    let (key_algorithm, key) = certificate
        .public_key()
        .ok_or(CertificateError::BadEncoding)?;
    let (_, candidates) = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signed.scheme)
        .ok_or_else(bad)?;
    let valid = candidates.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key_algorithm
            && algorithm
                .verify_signature(key, message, signed.signature())
                .is_ok()
    });
    if valid {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(bad())
    }
}

fn signature_13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if ParsedCertificate::try_from(cert).is_ok() {
        return verify_tls13_signature(message, cert, signed, algorithms);
    }
    let certificate = Certificate::parse(cert).ok_or(CertificateError::BadEncoding)?;
    let key = SubjectPublicKeyInfoDer::from(certificate.spki);
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
}
