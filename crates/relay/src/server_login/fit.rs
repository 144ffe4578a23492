//! Whether the server that was logged in to may serve; and the next host, where it may not.

use super::Stage;
use crate::hub::Hub;
use crate::outbox::Command;
use crate::params::ParamSet;
use crate::requests::Io;
use crate::server::ServerPhase;
use events::CloseReason;
use pool::Unwanted;

impl Hub {
    /// There are hosts left for this login. Call it before `server_connected`, and ask
    /// `wants_next_host` after each input.
    pub fn has_more_hosts(&mut self, slot: u32) {
        if let Some(ServerPhase::Login(login)) = self.servers.get_mut(slot).map(|s| &mut s.phase) {
            login.more_hosts = true;
        }
    }

    /// The server must not serve here: the shell drops the socket, connects to the next host, and calls
    /// `server_connected` or `server_gone` once more. Why it must not; told once.
    pub fn wants_next_host(&mut self, slot: u32) -> Option<Box<str>> {
        let server = self.servers.get_mut(slot)?;
        let ServerPhase::Login(login) = &mut server.phase else {
            return None;
        };
        if !matches!(login.stage, Stage::Unfit(_)) {
            return None;
        }
        server.held.clear();
        login.params = ParamSet::default();
        login.taken = 0;
        login.more_hosts = false;
        match std::mem::replace(&mut login.stage, Stage::Connecting) {
            Stage::Unfit(why) => Some(why),
            _ => None,
        }
    }

    /// A login is done but for its place in the pool. False: it led to where nobody wants to be served.
    /// Then the next host is tried, or the login has ended.
    pub(super) fn server_fits(&mut self, slot: u32, io: &mut Io<'_>) -> bool {
        let Some((reason, text)) = self.unfit(slot, io) else {
            return true;
        };
        let Some(server) = self.servers.get_mut(slot) else {
            return false;
        };
        if let ServerPhase::Login(login) = &mut server.phase
            && login.more_hosts
        {
            login.stage = Stage::Unfit(text);
            return false;
        }
        let (key, conn, name) = (server.pool.key, server.conn, server.name());
        self.servers.remove(slot);
        self.stats.closes[reason as usize] += 1;
        let code = (reason == CloseReason::ServerMoved).then_some(*b"25006");
        self.local(key).stats.health.not_up(io.now, reason, code);
        io.out.command(Command::ServerFailed {
            slot,
            conn,
            pool: key,
            reason,
            text: text.clone(),
            name,
            by_server: false,
        });
        io.pools.open_failed(io.now, key, conn, text.into(), false);
        false
    }

    /// Why this server must not serve. The pools learn where it is and what it is, either way.
    fn unfit(&mut self, slot: u32, io: &mut Io<'_>) -> Option<(CloseReason, Box<str>)> {
        let server = self.servers.get(slot)?;
        let ServerPhase::Login(login) = &server.phase else {
            return None;
        };
        let (role, at) = (crate::moved::role(&login.params), server.place());
        let unwanted = io
            .pools
            .located(io.now, server.pool.key, server.conn, at, role);
        let attrs = server.pool.session_attrs;
        match (attrs.refuses(&login.params), unwanted) {
            (_, Some(Unwanted::Left)) => Some(Unwanted::Left),
            (Some(text), _) => return Some((CloseReason::ServerUnfit, text.into())),
            (None, unwanted) => unwanted,
        }
        .map(|unwanted| (CloseReason::ServerMoved, unwanted.text().into()))
    }
}
