//! Where connections are made, by which hosts and ports, and how they are secured.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether this is no directory but a name in Linux's abstract namespace, as libpq writes it.
pub fn is_abstract(socket: &Path) -> bool {
    socket.as_os_str().as_encoded_bytes().first() == Some(&b'@')
}

/// libpq's sslmode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum SslMode {
    /// Never TLS.
    #[default]
    Disable,
    /// TLS when the other side insists (clients: same as prefer).
    Allow,
    /// TLS when offered, without verification.
    Prefer,
    /// TLS or nothing, without verification (with a root file: as verify-ca, as libpq does).
    Require,
    /// TLS, certificate signed by a known authority.
    VerifyCa,
    /// TLS, and the host name matches.
    VerifyFull,
}

/// Versions of TLS that one side speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Secure,
    /// 1.2 alone.
    Tls12,
    /// 1.3 alone.
    Tls13,
}

/// TLS of one side.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// The mode.
    pub mode: SslMode,
    /// Versions of the protocol.
    pub versions: TlsVersions,
    /// Own private key (PEM).
    pub key_file: Option<PathBuf>,
    /// Own certificate chain (PEM).
    pub cert_file: Option<PathBuf>,
    /// Authorities that the other side's certificate is checked against (PEM).
    pub ca_file: Option<PathBuf>,
    /// Server side only: start TLS at once, without SSLRequest (`sslnegotiation=direct`).
    pub direct: bool,
}

/// Where a database server listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// A host name or an address.
    Tcp(String),
    /// The directory of a unix socket, or a name in Linux's abstract namespace: `@name`.
    UnixDir(PathBuf),
    /// Several, each of the kinds above; all serve the same data.
    List(Vec<Host>),
}

impl Host {
    /// Each host by itself, in the order of the settings.
    pub fn singles(&self) -> &[Host] {
        match self {
            Host::List(hosts) => hosts,
            one => std::slice::from_ref(one),
        }
    }
}

impl std::fmt::Display for Host {
    /// As the settings write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, host) in self.singles().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                Host::UnixDir(dir) => write!(f, "{}", dir.display())?,
                // A list in a list is never made.
                Host::List(_) => {}
            }
        }
        Ok(())
    }
}

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenAddress {
    /// `*` is every address, v4 and v6.
    pub host: String,
    /// Port; 0 lets the system choose (tests).
    pub port: u16,
}

/// Most other instances that a cancel request is passed on to.
pub const PEERS_MAX: usize = 64;

/// Another instance, to which cancel requests go that nobody here knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its number in `[peers]`; `None`: it has none.
    pub id: Option<u32>,
    /// Where its clients connect to; never a list.
    pub host: Host,
    /// And the port.
    pub port: u16,
}

/// Other instances: which of them has the client of a cancel request nobody can tell, so all are asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peering {
    /// This instance's own number among them; 0: it has none.
    pub own: u32,
    /// The others; this one may be among them.
    pub peers: Vec<Peer>,
}

/// TCP keepalive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keepalive {
    /// On or off.
    pub on: bool,
    /// Silence before the first probe; `None`: the system's.
    pub idle: Option<Duration>,
    /// Between probes; `None`: the system's.
    pub interval: Option<Duration>,
    /// Probes without an answer before the end; `None`: the system's.
    pub count: Option<u32>,
}

/// How sockets are made, beside what keeps them alive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sockets {
    /// Group of the unix socket, by name or number; `None`: that of the process.
    pub unix_group: Option<String>,
    /// Bytes of each buffer of a TCP socket; `None`: the system's choice.
    pub buffer: Option<u32>,
    /// Other processes may listen at the same TCP address.
    pub reuse_port: bool,
}

/// What is done with the start-up parameters of clients, and what they may send later.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StartUp {
    /// Those that are dropped.
    pub ignore: Vec<String>,
    /// Those that are tracked beside the ones that every PgBouncer tracks.
    pub track: Vec<String>,
    /// Beyond the tracked ones: `false` follows the client, `true` refuses as PgBouncer does.
    pub strict: bool,
    /// Add host and port to application_name.
    pub add_host: bool,
    /// Clients that send simple queries are disconnected.
    pub extended_only: bool,
}
