//! Addresses of unix sockets: paths, and names in Linux's abstract namespace.

use std::io;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// Where a path leads that is written as PostgreSQL writes it: with `@` in front it is no
/// file, but a name of the abstract namespace, all of it behind the `@`.
///
/// # Errors
/// It is too long for the system, or abstract where there is no such thing.
pub fn unix_address(path: &Path) -> io::Result<SocketAddr> {
    match path.as_os_str().as_encoded_bytes() {
        [b'@', name @ ..] => abstract_address(name),
        _ => SocketAddr::from_pathname(path),
    }
}

/// Connects to such an address.
///
/// # Errors
/// The system's.
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&unix_address(path)?)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;

    #[test]
    fn a_name_with_an_at_is_no_file() {
        let there = |path: &str| unix_address(Path::new(path)).expect("an address");
        let address = there("@pool/.s.PGSQL.6432");
        let name = address.as_abstract_name();
        assert_eq!(name, Some(b"pool/.s.PGSQL.6432".as_slice()));
        let file = there("/run/@pool/.s.PGSQL.6432");
        assert_eq!(
            file.as_pathname(),
            Some(Path::new("/run/@pool/.s.PGSQL.6432"))
        );
        let long = format!("@{}", "x".repeat(108));
        assert!(unix_address(Path::new(&long)).is_err());
    }
}
