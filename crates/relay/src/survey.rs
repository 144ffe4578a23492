//! What sessions are doing, for simulators and fuzzers that count what they reached.

use crate::client::Phase;
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::server::ServerPhase;
use crate::server_login::{ServerLogin, Stage};

impl Hub {
    /// The kinds of expected replies that a server connection was done with
    /// since the last call: bits in the order of [`crate::REPLY_KINDS`].
    pub fn replies_done(&mut self, slot: u32) -> u32 {
        self.servers
            .get_mut(slot)
            .map_or(0, |s| s.expected.take_popped())
    }

    /// What a peer is doing.
    pub fn phase(&self, peer: Peer) -> Option<&'static str> {
        match peer {
            Peer::Client(slot) => {
                let client = self.clients.get(slot)?;
                Some(match &client.phase {
                    Phase::Login(login) => login.phase(),
                    Phase::Ready if client.is_linked() => "linked",
                    Phase::Ready => "free",
                    Phase::Waiting { .. } => "waiting",
                    Phase::Held { .. } => "held",
                    Phase::Preparing => "preparing",
                    Phase::Console { .. } => "console",
                    Phase::Cancelling => "cancelling",
                })
            }
            Peer::Server(slot) => {
                let server = self.servers.get(slot)?;
                Some(match &server.phase {
                    ServerPhase::Login(login) => login.phase(),
                    ServerPhase::Idle => "idle",
                    ServerPhase::Lent if server.link == crate::client::NONE => "lent, not linked",
                    ServerPhase::Lent => "lent",
                    ServerPhase::Monitor => "monitor",
                    ServerPhase::Cleaning(_) if server.cancels > 0 => "cleaning, cancelled",
                    ServerPhase::Cleaning(_) => "cleaning",
                })
            }
        }
    }
}

impl ServerLogin {
    fn phase(&self) -> &'static str {
        match self.stage {
            Stage::Connecting => "login: connecting",
            Stage::Asked => "login: asked",
            Stage::First(_) => "login: SCRAM begins",
            Stage::Deriving(_) => "login: keys being derived",
            Stage::Final(_) => "login: SCRAM proof",
            Stage::Accepted => "login: accepted",
            Stage::Query => "login: connect_query",
            Stage::Refused => "login: refused, the other way next",
            Stage::Doubted => "login: refused, the secret is read again",
            Stage::Unfit(_) => "login: the server must not serve, the next host next",
        }
    }
}
