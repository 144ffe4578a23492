//! TLS towards notifiers: the system's authorities, and those that the settings name.

use super::send::Fault;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where systems keep their authorities. The first that is there is read;
/// SSL_CERT_FILE goes before all.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

pub(super) fn connector(ca_file: Option<&str>) -> Result<TlsConnector, Fault> {
    let mut roots = RootCertStore::empty();
    let named = std::env::var("SSL_CERT_FILE").ok();
    let bundle = named
        .iter()
        .map(String::as_str)
        .chain(BUNDLES)
        .find(|path| Path::new(path).is_file());
    for path in bundle.into_iter().chain(ca_file) {
        let read = CertificateDer::pem_file_iter(path)
            .map_err(|_| Fault::lasting(&format!("cannot read the authorities in {path}")))?;
        roots.add_parsable_certificates(read.flatten());
    }
    if roots.is_empty() {
        return Err(Fault::lasting(
            "no authorities to check its certificate against: name them with ca_file",
        ));
    }
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| Fault::lasting("TLS cannot be set up"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
