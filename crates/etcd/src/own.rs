//! Where we are, as seen from the way to somewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address that packets to this place leave from. Nothing is sent: the system only
/// chooses a way. `None`: there is none.
pub fn own_address(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_this_machine_we_are_on_it() {
        let to = ([127, 0, 0, 1], 2379).into();
        assert_eq!(own_address(to), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
