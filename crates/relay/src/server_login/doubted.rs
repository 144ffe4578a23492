//! A server that refuses our proof: the secret may have been rotated.

use super::{ServerLogin, Stage};
use crate::directory::PoolInfo;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::params::ParamSet;
use crate::pools::Pools;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{ConnId, Time};
use std::sync::Arc;

/// The codes of a proof that is not taken: invalid_password, and the class's
/// own, which poolers and proxies in between use for the same.
const PROOF_REFUSED: [&str; 2] = ["28P01", "28000"];

/// A login that the server refused, while its secret is read again.
pub struct Doubt {
    /// The connection being opened.
    pub conn: ConnId,
    /// What it logged in with.
    pub info: Arc<PoolInfo>,
    /// How many secrets the server has refused in this login.
    pub count: u8,
}

impl ServerLogin {
    /// This refusal may end with another secret.
    pub(super) fn may_be_doubted(&self, code: &str) -> bool {
        let proven = matches!(self.stage, Stage::Accepted | Stage::Query);
        self.rereadable && !proven && PROOF_REFUSED.contains(&code)
    }

    /// The server has said its last word on this attempt.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.stage,
            Stage::Refused | Stage::Doubted | Stage::Unfit(_)
        )
    }
}

impl Hub {
    /// The secret of this login is kept where it can be read again. Call it
    /// after `open`, and ask `wants_secret` after each input of the login.
    pub fn can_read_secret_again(&mut self, slot: u32) {
        if let Some(ServerPhase::Login(login)) = self.servers.get_mut(slot).map(|s| &mut s.phase) {
            login.rereadable = true;
        }
    }

    /// The server refused the proof: the shell drops the socket, reads the
    /// secret again elsewhere, and calls `log_in_again` or `keep_refusal`. Told
    /// once for each refusal.
    pub fn wants_secret(&mut self, slot: u32) -> Option<Doubt> {
        let server = self.servers.get_mut(slot)?;
        let ServerPhase::Login(login) = &mut server.phase else {
            return None;
        };
        if !matches!(login.stage, Stage::Doubted) {
            return None;
        }
        server.held.clear();
        login.stage = Stage::Connecting;
        login.params = ParamSet::default();
        login.taken = 0;
        login.doubts = login.doubts.saturating_add(1);
        Some(Doubt {
            conn: server.conn,
            info: Arc::clone(&server.pool),
            count: login.doubts,
        })
    }

    /// There is another secret to try: the shell connects anew, and calls
    /// `server_connected` or `server_gone`. False: the login has ended meanwhile.
    pub fn log_in_again(&mut self, slot: u32, conn: ConnId, info: Arc<PoolInfo>) -> bool {
        let Some(server) = self.servers.get_mut(slot).filter(|s| s.conn == conn) else {
            return false;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return false;
        };
        login.refusal = None;
        self.cache.forget_server_keys(info.key);
        server.pool = info;
        true
    }

    /// There is none: the refusal stands. `for_good`: waiting does not mend it;
    /// else a rotation may be under way, and clients wait within their deadlines.
    pub fn keep_refusal(
        &mut self,
        now: Time,
        slot: u32,
        conn: ConnId,
        for_good: bool,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot).filter(|s| s.conn == conn) else {
            return;
        };
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        let said = login.doubt.take();
        let said = said.as_deref().unwrap_or("the server refused the login");
        let mut io = Io { now, pools, out };
        self.server_login_ended(slot, said, true, for_good, &mut io);
    }
}
