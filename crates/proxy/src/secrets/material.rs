//! TLS as it is in service: built from one reading of its files, with what
//! tells one reading from another.

use super::disk::read_file;
use crate::tls::{self, TlsError};
use config::{Plan, SecretFault, SslMode, Tls};
use events::snapshot::CertificateRow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// TLS towards clients.
#[derive(Clone)]
pub(crate) struct ClientTls {
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// Channel binding of the certificate in it.
    pub(crate) binding: Option<Arc<[u8]>>,
}

/// One side's TLS, from one reading.
#[derive(Clone)]
pub(crate) struct Side<T> {
    pub(crate) config: T,
    /// SHA-256 over the files; never logged.
    print: [u8; 32],
    pub(crate) certificates: Vec<CertificateRow>,
}

impl<T> Side<T> {
    pub(crate) fn same(&self, other: &Side<T>) -> bool {
        self.print == other.print
    }

    fn own_expiry(&self) -> Option<i64> {
        let own = self.certificates.iter().find(|c| c.role == OWN)?;
        Some(own.expires_at)
    }

    /// It has expired, and what it would replace has not.
    pub(crate) fn is_worse_than(&self, before: &Side<T>, now: i64) -> bool {
        let expired = |side: &Side<T>| side.own_expiry().is_some_and(|end| end < now);
        expired(self) && before.own_expiry().is_some() && !expired(before)
    }

    /// What is wrong with certificates that are in service all the same.
    pub(crate) fn warnings(&self, now: i64) -> Vec<String> {
        let expired = self.certificates.iter().filter(|c| c.expires_at < now);
        expired
            .map(|c| format!("{}: the certificate has expired", c.file))
            .collect()
    }
}

const OWN: &str = "own";

/// Both sides; `None`: TLS is disabled there.
#[derive(Clone, Default)]
pub(crate) struct Material {
    pub(crate) client: Option<Side<ClientTls>>,
    pub(crate) server: Option<Side<Arc<rustls::ClientConfig>>>,
}

/// What is wrong with one side's files.
pub(crate) struct Fault {
    pub(crate) fault: SecretFault,
    pub(crate) why: String,
}

/// Sides whose files could not be used, and why.
pub(crate) type Kept = Vec<(&'static str, Fault)>;

impl Material {
    /// Both sides, or what is wrong with one.
    pub(crate) fn read(plan: &Plan) -> Result<Material, String> {
        Ok(Material {
            client: client(plan).map_err(|f| f.why)?,
            server: server(plan).map_err(|f| f.why)?,
        })
    }

    /// For other settings. Where they do not touch TLS and its files cannot be
    /// used just now, what is in service stays.
    pub(crate) fn follow(self, running: &Plan, plan: &Plan) -> Result<(Material, Kept), String> {
        let mut kept = Vec::new();
        let client = match client(plan) {
            Err(fault) if self.client.is_some() && running.client_tls == plan.client_tls => {
                kept.push((super::TLS_CLIENTS, fault));
                self.client
            }
            read => read.map_err(|f| f.why)?,
        };
        let server = match server(plan) {
            Err(fault) if self.server.is_some() && running.server_tls == plan.server_tls => {
                kept.push((super::TLS_SERVERS, fault));
                self.server
            }
            read => read.map_err(|f| f.why)?,
        };
        Ok((Material { client, server }, kept))
    }

    pub(crate) fn server_config(&self) -> Option<Arc<rustls::ClientConfig>> {
        self.server.as_ref().map(|s| Arc::clone(&s.config))
    }

    pub(crate) fn client_tls(&self) -> Option<ClientTls> {
        self.client.as_ref().map(|s| s.config.clone())
    }

    pub(crate) fn certificates(&self) -> Vec<CertificateRow> {
        let client = self.client.iter().flat_map(|s| &s.certificates);
        let server = self.server.iter().flat_map(|s| &s.certificates);
        client.chain(server).cloned().collect()
    }

    pub(crate) fn warn(&self) {
        let now = unix_now();
        let client = self.client.iter().flat_map(|s| s.warnings(now));
        let server = self.server.iter().flat_map(|s| s.warnings(now));
        for warning in client.chain(server) {
            tracing::warn!("{warning}");
        }
    }
}

/// TLS towards clients, from its files.
pub(crate) fn client(plan: &Plan) -> Result<Option<Side<ClientTls>>, Fault> {
    side("client", "", &plan.client_tls, |tls, read| {
        Ok(ClientTls {
            config: tls::server_config(tls, read)?,
            binding: tls::own_binding(tls, read)?.map(Into::into),
        })
    })
}

/// TLS towards servers; the files are read here, at the start, at reloads and
/// at rotations, and never for a connection.
pub(crate) fn server(plan: &Plan) -> Result<Option<Side<Arc<rustls::ClientConfig>>>, Fault> {
    let what = "TLS towards servers: ";
    side("server", what, &plan.server_tls, tls::client_config)
}

fn side<T>(
    name: &'static str,
    what: &str,
    tls: &Tls,
    build: impl FnOnce(&Tls, tls::ReadFile<'_>) -> Result<T, TlsError>,
) -> Result<Option<Side<T>>, Fault> {
    if tls.mode == SslMode::Disable {
        return Ok(None);
    }
    // Each file is read once, so that all that is built is of the same bytes.
    let files = Files::default();
    let fault = |error: TlsError| Fault {
        fault: kind(&error),
        why: format!("{what}{error}"),
    };
    let config = match build(tls, &|path| files.read(path)) {
        Ok(config) => config,
        Err(error) => return Err(files.empty(what).unwrap_or_else(|| fault(error))),
    };
    let mut certificates = Vec::new();
    for (role, path) in [(OWN, &tls.cert_file), ("authority", &tls.ca_file)] {
        let Some(path) = path.as_ref().filter(|p| files.has(p)) else {
            continue;
        };
        let ends = tls::expiries(path, &|path| files.read(path)).map_err(fault)?;
        let ends = ends.into_iter();
        let end = if role == OWN { ends.min() } else { ends.max() };
        certificates.extend(end.map(|expires_at| CertificateRow {
            side: name,
            role,
            file: path.display().to_string(),
            expires_at,
        }));
    }
    Ok(Some(Side {
        config,
        print: files.print(),
        certificates,
    }))
}

fn kind(error: &TlsError) -> SecretFault {
    match error {
        TlsError::Read(..) | TlsError::Missing(_) => SecretFault::Unreadable,
        TlsError::Mismatch { .. } => SecretFault::KeyMismatch,
        _ => SecretFault::Malformed,
    }
}

#[derive(Default)]
struct Files(RefCell<BTreeMap<PathBuf, Vec<u8>>>);

impl Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.0.borrow().get(path) {
            return Ok(bytes.clone());
        }
        let bytes = read_file(path)?;
        self.0.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }

    fn has(&self, path: &Path) -> bool {
        self.0.borrow().contains_key(path)
    }

    /// A file that was cut to nothing says more than what could not be parsed.
    fn empty(&self, what: &str) -> Option<Fault> {
        let files = self.0.borrow();
        let (path, _) = files.iter().find(|(_, bytes)| bytes.is_empty())?;
        Some(Fault {
            fault: SecretFault::Empty,
            why: format!("{what}{}: the file is empty", path.display()),
        })
    }

    fn print(&self) -> [u8; 32] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for (path, bytes) in self.0.borrow().iter() {
            context.update(path.as_os_str().as_encoded_bytes());
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        }
        let mut print = [0; 32];
        print.copy_from_slice(context.finish().as_ref());
        print
    }
}

/// Seconds since 1970 UTC.
pub(crate) fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |t| i64::try_from(t.as_secs()).unwrap_or(i64::MAX))
}
