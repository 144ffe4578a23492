//! Between SUSPEND and RESUME: what was taken is still written, and nothing is read but
//! what consoles say. Nothing is lost: sockets keep what comes, and sessions stand where
//! they stood.

use super::{Kind, Ready, Worker};
use crate::admin::Stillness;
use crate::socket::Conn;
use relay::Peer;

impl Worker {
    /// Whether this peer is not to be read.
    pub(super) fn is_still(&self, peer: Peer) -> bool {
        self.suspended && !matches!(peer, Peer::Client(slot) if self.hub.is_console(slot))
    }

    /// How far this worker is. With `force`, who holds the suspension up is closed.
    pub(super) fn stillness(&mut self, force: bool) -> Stillness {
        if force {
            for peer in self.unsent() {
                let (port, out) = (&mut self.port, &mut self.out);
                self.hub.stuck(self.now, peer, port, out);
                self.settle(&[]);
            }
        }
        let consoles = (0..self.clients.len() as u32).filter(|slot| self.hub.is_console(*slot));
        Stillness {
            unsent: self.unsent().len() as u32,
            consoles: consoles.count() as u32,
        }
    }

    /// Those with bytes that the socket did not take yet; consoles go on in any case.
    fn unsent(&self) -> Vec<Peer> {
        let waits = |conn: &Conn| {
            !conn.unsent.is_empty() || conn.tls.as_ref().is_some_and(|t| t.wants_write())
        };
        let of = |conns: &[Option<Box<Conn>>]| {
            let found = conns.iter().enumerate();
            let found = found.filter(|(_, c)| c.as_deref().is_some_and(waits));
            found.map(|(slot, _)| slot as u32).collect::<Vec<_>>()
        };
        let clients = of(&self.clients).into_iter().map(Peer::Client);
        let servers = of(&self.servers).into_iter().map(Peer::Server);
        clients
            .chain(servers)
            .filter(|peer| self.is_still(*peer))
            .collect()
    }

    /// RESUME: looks at every socket, because the system tells a change only once.
    pub(super) fn go_on(&mut self) {
        self.suspended = false;
        self.now = self.common.clock.now();
        self.accept_again = true;
        let clients = (0..self.clients.len() as u32).map(Peer::Client);
        let servers = (0..self.servers.len() as u32).map(Peer::Server);
        for peer in clients.chain(servers).collect::<Vec<_>>() {
            let Some(conn) = self.conn(peer) else {
                continue;
            };
            let (read, ended) = (conn.readable, conn.ended);
            if ended {
                // Who waits for a connection and left meanwhile waits no more.
                let ready = Ready {
                    read,
                    ended,
                    write: false,
                };
                self.peer_ready(peer, ready);
            } else if read {
                self.look_again(peer);
            }
        }
        let connecting: Vec<usize> = self.outgoing.iter().map(|(slot, _)| slot).collect();
        for slot in connecting {
            self.event(Kind::Outgoing, slot, Ready::default());
        }
    }
}
