//! TLS towards etcd: its certificate by the authorities named or the system's, and
//! our own where one is named. The files are read for each new connection, so what
//! is replaced counts from the next one on.

use crate::{Error, Settings};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where systems keep their authorities; the first that is there is read.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];
/// Largest of the files.
const FILE_MAX: u64 = 4 << 20;

pub(crate) fn connector(settings: &Settings) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let named = settings.tls_ca.as_deref();
    let path = named.or(bundle).ok_or_else(|| {
        Error::Settings("no authorities to check etcd against: name tls_ca".into())
    })?;
    let pem = read(path)?;
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if roots.is_empty() {
        let text = format!("{} holds no authority", path.display());
        return Err(Error::Settings(text));
    }
    let wrong = |error| Error::Settings(format!("certificate for etcd: {error}"));
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    let config = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(cert)?).collect();
            let chain = chain.ok().filter(|chain| !chain.is_empty());
            let none = || Error::Settings(format!("{} holds no certificate", cert.display()));
            let chain: Vec<CertificateDer<'static>> = chain.ok_or_else(none)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| Error::Settings(format!("{} holds no key", key.display())))?;
            config.with_client_auth_cert(chain, key).map_err(wrong)?
        }
        (None, None) => config.with_no_client_auth(),
        _ => {
            let text = "tls_cert and tls_key go together";
            return Err(Error::Settings(text.into()));
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A file of the settings; never a wait, never a flood.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::Settings(format!("cannot read {}: {why}", path.display()));
    let about = std::fs::metadata(path).map_err(|error| wrong(error.kind().to_string()))?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(wrong("it is no file of a plausible size".into()));
    }
    std::fs::read(path).map_err(|error| wrong(error.kind().to_string()))
}
