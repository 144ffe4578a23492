//! A look at the database servers when the pooler starts.
//!
//! A pooler may start before its database, so an unreachable server stops
//! nothing. But who mistyped a host should read so at once, and not when the
//! first client has waited.

use config::{Host, Plan};
use std::collections::BTreeSet;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Servers looked at; a file may name thousands.
const SERVERS_MAX: usize = 16;
/// Longest wait for one address.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Connects to each server once, from a thread of its own, and closes again.
pub fn warn_if_unreachable(plan: &Plan) {
    let servers: BTreeSet<(Host, u16)> = plan
        .databases
        .iter()
        .flat_map(|d| d.host.singles().iter().map(|host| (host.clone(), d.port)))
        .take(SERVERS_MAX)
        .collect();
    let look = move || {
        for (host, port) in servers {
            if let Err(error) = reach(&host, port) {
                let server = name(&host, port);
                tracing::warn!(
                    %server,
                    %error,
                    "the database server cannot be reached; clients wait until it can, or until query_wait_timeout"
                );
            }
        }
    };
    // Without it nothing is lost but an early word.
    let _ = std::thread::Builder::new().name("reach".into()).spawn(look);
}

fn reach(host: &Host, port: u16) -> io::Result<()> {
    match host {
        Host::List(_) => Ok(()),
        Host::UnixDir(dir) => proxy::connect_unix(&dir.join(format!(".s.PGSQL.{port}"))).map(drop),
        Host::Tcp(host) => {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in (host.as_str(), port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                    Ok(_) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}

fn name(host: &Host, port: u16) -> String {
    match host {
        Host::UnixDir(dir) => format!("{}/.s.PGSQL.{port}", dir.display()),
        Host::Tcp(host) if host.contains(':') => format!("[{host}]:{port}"),
        Host::Tcp(host) => format!("{host}:{port}"),
        list @ Host::List(_) => format!("{list}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_server_is_there_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let host = Host::Tcp("127.0.0.1".to_owned());
        assert!(reach(&host, port).is_ok());
        drop(listener);
        assert!(reach(&host, port).is_err());
        assert!(reach(&Host::UnixDir("/nonexistent".into()), 5432).is_err());
    }

    #[test]
    fn names_as_a_person_writes_them() {
        assert_eq!(name(&Host::Tcp("::1".into()), 5432), "[::1]:5432");
        assert_eq!(
            name(&Host::UnixDir("/run/pg".into()), 5433),
            "/run/pg/.s.PGSQL.5433"
        );
    }
}
