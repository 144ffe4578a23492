//! TLS between instances: each shows a certificate of the fleet's authority, and
//! checks the other's. Which name stands in it does not matter: instances come and
//! go, and all of the authority's are ours.

use crate::watch::read_bounded;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Largest of the three files.
const FILE_MAX: u64 = 1 << 20;

/// What connections are made with.
#[derive(Clone)]
pub(super) struct Material {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// The three files as they were read. Not to be shown: one of them is a key.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Files([Vec<u8>; 3]);

impl Files {
    /// Certificate, key, authority.
    pub fn read(paths: [&PathBuf; 3]) -> Result<Files, String> {
        let mut files = Files::default();
        for (into, path) in files.0.iter_mut().zip(paths) {
            let read = read_bounded(path, FILE_MAX);
            *into = read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        }
        Ok(files)
    }

    pub fn build(&self) -> Result<Material, String> {
        let [chain, key, authority] = &self.0;
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let certificates = |pem: &[u8], what: &str| {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let read = read.unwrap_or_default();
            match read.is_empty() {
                true => Err(format!("{what} holds no certificate")),
                false => Ok(read),
            }
        };
        let chain: Vec<CertificateDer<'static>> = certificates(chain, "tls_cert")?;
        let key = || {
            let key = PrivateKeyDer::from_pem_slice(key);
            key.map_err(|_| "tls_key holds no private key".to_owned())
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(authority, "tls_ca")? {
            let added = roots.add(root);
            added.map_err(|_| "tls_ca holds what is no authority".to_owned())?;
        }
        let roots = Arc::new(roots);
        let wrong = |error: Error| match error.to_string() {
            // What `openssl x509 -req` makes when it is told no extension.
            e if e.contains("UnsupportedCertVersion") => {
                "tls_cert is an X.509 certificate of version 1; it takes one of version 3"
                    .to_owned()
            }
            e => format!("certificate and key of the fleet: {e}"),
        };
        let peers =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let peers = peers.build().map_err(|error| error.to_string())?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_client_cert_verifier(peers)
            .with_single_cert(chain.clone(), key()?)
            .map_err(wrong)?;
        let check = Arc::new(OfTheFleet {
            roots,
            provider: Arc::clone(&provider),
        });
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .dangerous()
            .with_custom_certificate_verifier(check)
            .with_client_auth_cert(chain, key()?)
            .map_err(wrong)?;
        Ok(Material {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }
}

impl Material {
    pub async fn accept(self, socket: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.acceptor.accept(socket).await
    }

    pub async fn connect(
        self,
        address: SocketAddr,
        socket: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(address.ip().into());
        self.connector.connect(name, socket).await
    }
}

/// Any certificate of the fleet's authority, whatever its name.
struct OfTheFleet {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for OfTheFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfTheFleet(…)")
    }
}

impl ServerCertVerifier for OfTheFleet {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let leaf = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
