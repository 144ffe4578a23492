//! A private PostgreSQL: for `demo`, `run --sandbox`, tests and benchmarks.
//!
//! It lives in a fresh directory, on a free port and on a unix socket that
//! only its owner can reach, and is gone with the [`Sandbox`]. Three things
//! end it: [`Drop`]; a watching shell when we are killed (see `watchdog.rs`); a
//! call of [`Sandbox::stop`] or [`Sandbox::kill`]. It needs no PostgreSQL
//! driver: SQL goes through `psql`.
//!
//! ```text
//!   we ──spawn──► postgres ── data/, .s.PGSQL.PORT, postgres.log
//!    └──pipe────► sh (waits; when we end it ends postgres and removes the directory)
//! ```
//!
//! As root, whom PostgreSQL refuses, the server runs as `postgres` or `nobody`.
//!
//! ```no_run
//! use plimsoll::sandbox::{Options, Sandbox};
//!
//! let mut options = Options::from_env();
//! options.max_connections = 40;
//! let mut server = Sandbox::start(options)?;
//! server.create_user("anna", "a password", "")?;
//! server.create_database("shop", "anna")?;
//! assert_eq!(server.psql("shop", "select 6 * 7")?, "42");
//! server.kill(); // as a crash would
//! server.restart()?; // on the same port
//! # Ok::<(), plimsoll::sandbox::SandboxError>(())
//! ```

mod account;
mod directory;
mod error;
pub mod programs;
mod server;
mod settings;
mod watchdog;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::SandboxError;
pub use programs::{Places, Programs};
pub use server::{Sandbox, wait_until};
pub(crate) use settings::percent;

/// How the server shall be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to look for PostgreSQL's programs.
    pub places: Places,
    /// The parent of the sandbox's directory. Default: the system's temporary directory.
    pub base: Option<PathBuf>,
    /// The superuser's name. It has no password: it can log in by the unix socket only.
    pub superuser: String,
    /// `max_connections`.
    pub max_connections: u32,
    /// `listen_addresses`, separated by commas. Default: 127.0.0.1. Empty: the socket only.
    pub listen: String,
    /// Serve TLS with these. Default: plain text only.
    pub tls: Option<ServerTls>,
    /// More lines for `postgresql.conf`. They come last, so they win.
    pub settings: Vec<String>,
    /// More lines for `pg_hba.conf`. They come first, so they win.
    pub hba: Vec<String>,
    /// How long the server may take to be ready.
    pub start_within: Duration,
}

impl Options {
    /// The defaults, with programs from these places.
    pub fn new(places: Places) -> Options {
        Options {
            places,
            base: None,
            superuser: "postgres".to_owned(),
            max_connections: 100,
            listen: "127.0.0.1".to_owned(),
            tls: None,
            settings: Vec::new(),
            hba: Vec::new(),
            // A loaded CI machine recovers from a crash in seconds, not in a minute.
            start_within: Duration::from_secs(60),
        }
    }

    /// The defaults, with programs found by `PGBIN` and `PATH` of the environment.
    pub fn from_env() -> Options {
        Options::new(Places::from_env())
    }
}

/// The server's certificate and key, as PEM text. Tests make them when they run.
#[derive(Clone)]
pub struct ServerTls {
    /// The certificate, with its chain.
    pub certificate: String,
    /// The private key.
    pub key: String,
    /// Who may sign client certificates. Add an `hba` line with `cert` to ask for one.
    pub client_ca: Option<String>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("client_ca", &self.client_ca.is_some())
            .finish_non_exhaustive()
    }
}

/// A path as text for a settings file or a URL. Our own names are ASCII; only
/// the temporary directory's could be otherwise.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
