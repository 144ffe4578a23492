//! TLS on both sides: settings to rustls configurations, and what PostgreSQL
//! asks of a TLS connection beyond rustls.
//!
//! Modes mean what they mean to libpq (table at [`client_config`]). Sessions
//! are never resumed: PostgreSQL does not either, and a client certificate
//! must be shown anew at each login. Errors name the file and the fault;
//! nothing here ever prints a key.
//!
//! ```text
//!   config::Tls ──► server_config, client_config ──► a rustls session
//!                                                        │
//!   socket ◄── bytes ──► TlsStream ◄── plaintext ──► the worker's loop
//! ```

mod binding;
mod der;
mod stream;
mod verify;

pub use binding::end_point_binding;
pub use stream::{Session, TlsStream, UNSENT_BYTES_MAX};

use config::{SslMode, Tls, TlsVersions};
use der::Certificate;
use relay::CertificateNames;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use verify::{ClientCheck, Roots, ServerCheck};

/// The application protocol that PostgreSQL 17 registered.
pub const ALPN: &[u8] = b"postgresql";

/// Largest TLS record towards clients: 8 KiB of plain text and 5 of its header. PostgreSQL sends none that are larger, and a
/// libpq that reads from an event loop counts on it: of a larger one it leaves a part inside its TLS library, then waits at
/// the socket for what it has already.
const RECORD_BYTES_MAX: usize = 8192 + 5;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const TLS12_ALONE: &[&SupportedProtocolVersion] = &[&TLS12];
const TLS13_ALONE: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(tls: &Tls) -> &'static [&'static SupportedProtocolVersion] {
    match tls.versions {
        TlsVersions::Secure => BOTH,
        TlsVersions::Tls12 => TLS12_ALONE,
        TlsVersions::Tls13 => TLS13_ALONE,
    }
}

/// Reads a file whole; the settings' shell brings it, tests bring a table.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Why TLS settings cannot be used. The operator's to mend.
#[derive(Debug)]
pub enum TlsError {
    /// The mode is "disable".
    Disabled,
    /// A setting that this mode needs is missing: its name.
    Missing(&'static str),
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file holds no certificate in PEM, or a broken one.
    Certificate(PathBuf, String),
    /// The file holds no private key in PEM that can be used.
    Key(PathBuf, String),
    /// The key is not the certificate's.
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The system's bundle is at none of the usual places.
    SystemRoots,
    /// Not a host name or address that a certificate could be for.
    HostName(String),
    /// rustls refused the whole.
    Setup(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Disabled => f.write_str("TLS is disabled here"),
            TlsError::Missing(setting) => {
                write!(f, "{setting} is missing, and this TLS mode needs it")
            }
            TlsError::Read(path, error) => write!(f, "{}: {error}", path.display()),
            TlsError::Certificate(path, fault) => write!(f, "{}: {fault}", path.display()),
            TlsError::Key(path, fault) => write!(f, "{}: {fault}", path.display()),
            TlsError::Mismatch { key, certificate } => {
                write!(
                    f,
                    "{}: this key does not belong to the certificate in {}",
                    key.display(),
                    certificate.display()
                )
            }
            TlsError::SystemRoots => f.write_str(
                "the system's certificate authorities are at none of the usual places; name the bundle's file as \
                 ca_file, or install the package ca-certificates",
            ),
            TlsError::HostName(host) => {
                write!(f, "{host:?} is no host name or address that TLS can check")
            }
            TlsError::Setup(fault) => f.write_str(fault),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Read(_, error) => Some(error),
            _ => None,
        }
    }
}

/// The side towards clients: a certificate and its key are needed.
///
/// With `ca_file`, clients are asked for a certificate, and one that is shown
/// must be good, as in PostgreSQL; verify-ca and verify-full need `ca_file`
/// and demand one. A client that offers application protocols must offer
/// `postgresql`; whether it had to offer any is for [`speaks_postgresql`] to say.
pub fn server_config(tls: &Tls, read: ReadFile<'_>) -> Result<Arc<ServerConfig>, TlsError> {
    if tls.mode == SslMode::Disable {
        return Err(TlsError::Disabled);
    }
    let provider = Arc::new(ring::default_provider());
    let own = own_certificate(tls, read, &provider)?.ok_or(TlsError::Missing("cert_file"))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(tls))
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let demanded = tls.mode >= SslMode::VerifyCa;
    let builder = match roots(tls, read)? {
        None if demanded => return Err(TlsError::Missing("ca_file")),
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let strict =
                WebPkiClientVerifier::builder_with_provider(roots.store.clone(), provider.clone());
            let strict = if demanded {
                strict
            } else {
                strict.allow_unauthenticated()
            };
            let strict = strict
                .build()
                .map_err(|error| TlsError::Setup(error.to_string()))?;
            let algorithms = provider.signature_verification_algorithms;
            builder.with_client_cert_verifier(Arc::new(ClientCheck {
                strict,
                roots,
                algorithms,
            }))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_fragment_size = Some(RECORD_BYTES_MAX);
    Ok(Arc::new(config))
}

/// The side towards servers.
///
/// | mode | certificate | name |
/// |---|---|---|
/// | allow, prefer | any | any |
/// | require | any; with `ca_file` as verify-ca | any |
/// | verify-ca | signed by an authority of `ca_file`, or itself in it | any |
/// | verify-full | the same, without `ca_file` the system's authorities | must match, by common name too where it has no alternative names |
pub fn client_config(tls: &Tls, read: ReadFile<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = match tls.mode {
        SslMode::Disable => return Err(TlsError::Disabled),
        SslMode::Allow | SslMode::Prefer => None,
        SslMode::Require => roots(tls, read)?,
        SslMode::VerifyCa => Some(roots(tls, read)?.ok_or(TlsError::Missing("ca_file"))?),
        // As PgBouncer does. Without the check of names anybody's certificate would do, so not there.
        SslMode::VerifyFull => Some(match roots(tls, read)? {
            Some(named) => named,
            None => system_roots(read)?,
        }),
    };
    let algorithms = provider.signature_verification_algorithms;
    let check = ServerCheck {
        roots,
        name: tls.mode == SslMode::VerifyFull,
        algorithms,
    };
    let own = own_certificate(tls, read, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(tls))
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(check));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name to connect with: sent to the server unless it is an address, and checked by verify-full.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))
}

/// Direct TLS (no SSLRequest) is only for peers that agreed on `postgresql` by
/// ALPN, on both sides: anything else may be another protocol's traffic, led here.
pub fn speaks_postgresql(facts: &CommonState) -> bool {
    facts.alpn_protocol() == Some(ALPN)
}

/// The binding for SCRAM-SHA-256-PLUS when serving: of our own certificate.
pub fn own_binding(tls: &Tls, read: ReadFile<'_>) -> Result<Option<Vec<u8>>, TlsError> {
    let path = tls
        .cert_file
        .as_deref()
        .ok_or(TlsError::Missing("cert_file"))?;
    Ok(certificates(path, read)?
        .first()
        .and_then(|leaf| end_point_binding(leaf)))
}

/// The binding for SCRAM-SHA-256-PLUS when connecting: of the peer's certificate.
pub fn peer_binding(facts: &CommonState) -> Option<Vec<u8>> {
    end_point_binding(facts.peer_certificates()?.first()?)
}

/// The names of the peer's certificate, for `cert` authentication. Only a
/// verified certificate gets this far when serving. `None`: it showed none.
pub fn peer_names(facts: &CommonState) -> Option<CertificateNames> {
    let certificate = Certificate::parse(facts.peer_certificates()?.first()?)?;
    let (dns, addresses) = certificate.named();
    Some(CertificateNames {
        common: certificate.common_name(),
        dns,
        addresses,
    })
}

/// Version and cipher suite for people, as "TLSv1.3/TLS_AES_256_GCM_SHA384"; empty before they are agreed.
pub fn describe(facts: &CommonState) -> String {
    let (Some(version), Some(suite)) = (facts.protocol_version(), facts.negotiated_cipher_suite())
    else {
        return String::new();
    };
    let version = version.as_str().unwrap_or("TLS?").replace('_', ".");
    let suite = suite
        .suite()
        .as_str()
        .unwrap_or("?")
        .replace("TLS13_", "TLS_");
    format!("{version}/{suite}")
}

/// When each certificate of a file ends, in seconds since 1970 UTC. What
/// cannot be parsed is left out.
pub fn expiries(path: &Path, read: ReadFile<'_>) -> Result<Vec<i64>, TlsError> {
    let list = certificates(path, read)?;
    let ends = list
        .iter()
        .filter_map(|c| Some(Certificate::parse(c)?.expires_at()));
    Ok(ends.collect())
}

fn certificates(path: &Path, read: ReadFile<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |text: &str| TlsError::Certificate(path.to_owned(), text.to_owned());
    let text = read(path).map_err(|error| TlsError::Read(path.to_owned(), error))?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let list = list.map_err(|_| fault("not a readable PEM file"))?;
    if list.is_empty() {
        Err(fault(
            "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ))
    } else {
        Ok(list)
    }
}

fn roots(tls: &Tls, read: ReadFile<'_>) -> Result<Option<Roots>, TlsError> {
    let Some(path) = tls.ca_file.as_deref() else {
        return Ok(None);
    };
    if path == Path::new(SYSTEM) {
        return system_roots(read).map(Some);
    }
    let certificates = certificates(path, read)?;
    let mut store = RootCertStore::empty();
    for (i, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            TlsError::Certificate(
                path.to_owned(),
                format!("certificate {} cannot be used: {error}", i + 1),
            )
        })?;
    }
    Ok(Some(Roots {
        store: Arc::new(store),
        certificates,
    }))
}

/// As a `ca_file`: the authorities that the system trusts. libpq's word.
const SYSTEM: &str = "system";

/// Where systems keep them: Debian and Alpine, Fedora and its kin, openSUSE, the BSDs.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The system's bundle. Of its hundred certificates some may be of a kind that is not read here; the others count.
fn system_roots(read: ReadFile<'_>) -> Result<Roots, TlsError> {
    let found = BUNDLES
        .iter()
        .find_map(|path| certificates(Path::new(path), read).ok());
    let certificates = found.ok_or(TlsError::SystemRoots)?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(TlsError::SystemRoots);
    }
    Ok(Roots {
        store: Arc::new(store),
        certificates,
    })
}

fn own_certificate(
    tls: &Tls,
    read: ReadFile<'_>,
    provider: &CryptoProvider,
) -> Result<Option<CertifiedKey>, TlsError> {
    let (cert_path, key_path) = match (&tls.cert_file, &tls.key_file) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(TlsError::Missing("cert_file")),
        (Some(_), None) => return Err(TlsError::Missing("key_file")),
        (Some(cert), Some(key)) => (cert, key),
    };
    let chain = certificates(cert_path, read)?;
    let key_fault = |text: &str| TlsError::Key(key_path.clone(), text.to_owned());
    let text = read(key_path).map_err(|error| TlsError::Read(key_path.clone(), error))?;
    // The parser's own errors may quote what they could not read: they are not shown.
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        key_fault(if encrypted {
            "the private key is encrypted; a key without a passphrase is needed"
        } else {
            "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        })
    })?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        key_fault("the private key cannot be used: RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519")
    })?;
    let leaf = chain.first().and_then(|leaf| Certificate::parse(leaf));
    let leaf = leaf.ok_or_else(|| {
        TlsError::Certificate(
            cert_path.clone(),
            "the first certificate cannot be parsed".to_owned(),
        )
    })?;
    // Not rustls' own comparison: it cannot read certificates of version 1.
    if key
        .public_key()
        .is_some_and(|public| public.as_ref() != leaf.spki)
    {
        return Err(TlsError::Mismatch {
            key: key_path.clone(),
            certificate: cert_path.clone(),
        });
    }
    Ok(Some(CertifiedKey::new(chain, key)))
}

#[cfg(test)]
mod tests;
