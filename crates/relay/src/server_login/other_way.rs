//! `sslmode` allow and prefer: two ways to log in, with TLS and without.

use super::{ServerLogin, Stage};
use crate::hub::Hub;
use crate::params::ParamSet;
use crate::server::ServerPhase;

impl ServerLogin {
    /// This refusal is one that the other way may not meet: pg_hba.conf may
    /// let in with TLS whom it refuses without. Not after the proof was
    /// accepted, and not for what TLS has nothing to do with.
    pub(super) fn may_be_refused(&self, code: &str) -> bool {
        let proven = matches!(self.stage, Stage::Accepted | Stage::Query);
        self.other_way && !proven && code.starts_with("28")
    }
}

impl Hub {
    /// This connection is made one of two ways that `sslmode` allows, with TLS
    /// or without: a refused login is tried the other way. Call it before
    /// `server_connected`, and ask `wants_other_way` after each input.
    pub fn has_other_way(&mut self, slot: u32) {
        if let Some(ServerPhase::Login(login)) = self.servers.get_mut(slot).map(|s| &mut s.phase) {
            login.other_way = true;
        }
    }

    /// Its login is not over yet.
    pub fn is_logging_in(&self, slot: u32) -> bool {
        self.servers
            .get(slot)
            .is_some_and(|s| matches!(s.phase, ServerPhase::Login(_)))
    }

    /// The server refused the login, and the other way is still open: the
    /// shell drops the socket, connects anew, and calls `server_connected` or
    /// `server_gone` once more. What the server said; told once.
    pub fn wants_other_way(&mut self, slot: u32) -> Option<Box<str>> {
        let server = self.servers.get_mut(slot)?;
        let ServerPhase::Login(login) = &mut server.phase else {
            return None;
        };
        if !matches!(login.stage, Stage::Refused) {
            return None;
        }
        server.held.clear();
        login.stage = Stage::Connecting;
        login.params = ParamSet::default();
        login.taken = 0;
        login.other_way = false;
        login.refusal.clone()
    }
}
