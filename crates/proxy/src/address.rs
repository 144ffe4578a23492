//! Where a database server listens, and how people write it.

use config::{Host, Tls};
use relay::SessionAttrs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// One database server as the settings name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Which of several hosts may serve.
    pub(crate) attrs: SessionAttrs,
    pub(crate) tls: Tls,
}

/// An address to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Remote {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Remote {
    /// As lines of the log show it.
    pub(crate) fn shown(&self, endpoint: &Endpoint) -> String {
        match self {
            Remote::Tcp(address) => address.to_string(),
            Remote::Unix(_) => format!("unix:{}", endpoint.port),
        }
    }
}

/// Those of them that are on a network.
pub(crate) fn addresses(remotes: &[Remote]) -> Vec<IpAddr> {
    let address = |remote: &Remote| match remote {
        Remote::Tcp(address) => Some(address.ip().to_canonical()),
        Remote::Unix(_) => None,
    };
    remotes.iter().filter_map(address).collect()
}

impl Endpoint {
    /// For people: `host:port` or the socket's path.
    pub(crate) fn label(&self) -> String {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp(name) => format!("{name}:{}", self.port),
            Host::UnixDir(dir) => self.socket_path(dir).display().to_string(),
            Host::List(_) => {
                let labels: Vec<String> = self.singles().iter().map(Endpoint::label).collect();
                match self.attrs {
                    // Two servers for the same hosts, told apart.
                    SessionAttrs::Any => labels.join(","),
                    attrs => format!("{} ({})", labels.join(","), attrs.label()),
                }
            }
        }
    }

    /// What makes it another server than one that differs in this.
    pub(crate) fn place(&self) -> (&Host, u16, SessionAttrs) {
        (&self.host, self.port, self.attrs)
    }

    /// Each of its hosts by itself.
    pub(crate) fn singles(&self) -> Vec<Endpoint> {
        let single = |host: &Host| Endpoint {
            host: host.clone(),
            ..self.clone()
        };
        self.host.singles().iter().map(single).collect()
    }

    fn socket_path(&self, dir: &std::path::Path) -> PathBuf {
        dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// The address, where it can be told without asking anyone.
    pub(crate) fn direct(&self) -> Option<Remote> {
        match &self.host {
            Host::UnixDir(dir) => Some(Remote::Unix(self.socket_path(dir))),
            Host::Tcp(name) => name
                .parse()
                .ok()
                .map(|ip| Remote::Tcp(SocketAddr::new(ip, self.port))),
            Host::List(_) => None,
        }
    }

    /// The name to ask a resolver for.
    pub(crate) fn name(&self) -> Option<(&str, u16)> {
        match &self.host {
            Host::Tcp(name) => Some((name, self.port)),
            Host::UnixDir(_) | Host::List(_) => None,
        }
    }
}
