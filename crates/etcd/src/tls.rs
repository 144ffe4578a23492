//! TLS towards etcd, and whom else we ask: whose certificates are trusted, and which one
//! is shown. The files are read for each connector, so what is replaced counts from the
//! next one on.

use crate::{Error, Settings};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, AlertDescription, ClientConfig, RootCertStore};

/// Where systems keep their authorities; the first that is there is read.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];
/// Goes before all of them.
const VARIABLE: &str = "SSL_CERT_FILE";
/// Largest of the files.
const FILE_MAX: u64 = 4 << 20;

/// The system's authorities: what `SSL_CERT_FILE` names, else where systems keep them.
pub fn system_authorities() -> Option<PathBuf> {
    found(std::env::var_os(VARIABLE))
}

fn found(named: Option<OsString>) -> Option<PathBuf> {
    let usual = BUNDLES.iter().map(PathBuf::from);
    let all = named.into_iter().map(PathBuf::from).chain(usual);
    all.into_iter().find(|path| path.is_file())
}

/// Trusts the authorities in these files, and shows this certificate with its key.
///
/// # Errors
/// [`Error::Settings`]: a file that cannot be read or holds nothing, or no authority at all.
pub fn connector(
    authorities: &[&Path],
    shown: Option<(&Path, &Path)>,
) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    for path in authorities {
        let pem = read(path)?;
        let (added, _) =
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        if added == 0 {
            let text = format!("{} holds no authority", path.display());
            return Err(Error::Settings(text));
        }
    }
    if roots.is_empty() {
        return Err(Error::Settings(
            "no authorities to check its certificate against".into(),
        ));
    }
    let wrong = |error| Error::Settings(format!("the certificate to show: {error}"));
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    let config = match shown {
        Some((cert, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(cert)?).collect();
            let chain = chain.ok().filter(|chain| !chain.is_empty());
            let none = || Error::Settings(format!("{} holds no certificate", cert.display()));
            let chain: Vec<CertificateDer<'static>> = chain.ok_or_else(none)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| Error::Settings(format!("{} holds no key", key.display())))?;
            config.with_client_auth_cert(chain, key).map_err(wrong)?
        }
        None => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Towards etcd: the authorities named or the system's, and our own certificate where
/// one is named.
pub(crate) fn of(settings: &Settings) -> Result<TlsConnector, Error> {
    let named = settings.tls_ca.clone().or_else(system_authorities);
    let authorities = named.ok_or_else(|| {
        Error::Settings("no authorities to check etcd against: name tls_ca".into())
    })?;
    let shown = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
        (None, None) => None,
        _ => {
            let text = "tls_cert and tls_key go together";
            return Err(Error::Settings(text.into()));
        }
    };
    connector(&[&authorities], shown)
}

/// What the other side had against our certificate, if that is what this error says.
pub(crate) fn turned_down(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(now) = error {
        let inner = now.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = inner {
            return about_certificates(*alert).then(|| format!("{alert:?}"));
        }
        error = now.source();
    }
    None
}

/// Alerts that end a handshake, before anything of ours was read.
fn about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_goes_before_the_systems_authorities() {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert_eq!(found(Some(here.clone().into())), Some(here.clone()));
        // One that is not there hides nothing.
        assert_eq!(found(Some("/nowhere/at/all".into())), found(None));
        let error = connector(&[&here], None).map(|_| ()).unwrap_err();
        assert!(error.to_string().ends_with("holds no authority"), "{error}");
        let error = connector(&[], None).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("no authorities"), "{error}");
    }
}
