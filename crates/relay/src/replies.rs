//! Server messages: each is forwarded to its owner or swallowed.

mod turn;

use crate::directory::PoolKey;
use crate::errors::Trouble;
use crate::expect::Purpose;
use crate::hub::{Hub, Pools};
use crate::outbox::{Command, Feed, Outbox};
use crate::requests::Io;
use crate::server::ServerPhase;
use events::{CloseReason, Time};
use turn::{Turn, needed};
pub(crate) use turn::{emit_locals, take_back};
use wire::frame;

/// What a frame asks of the hub beyond the two sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Nothing,
    /// ReadyForQuery of the pooler's own statement.
    OwnDone(Purpose),
    /// The server broke the protocol.
    Nonsense,
    /// Schema objects changed.
    Ddl,
}

impl Hub {
    /// Bytes from a server.
    pub fn server_input(
        &mut self,
        now: Time,
        slot: u32,
        input: &[u8],
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let mut io = Io { now, pools, out };
        server.used_at = now;
        if matches!(server.phase, ServerPhase::Login(_)) {
            return self.server_login_input(slot, input, &mut io);
        }
        let mut at = 0;
        loop {
            let Some(server) = self.servers.get_mut(slot) else {
                return;
            };
            if server.held.is_empty() || at == input.len() {
                break;
            }
            let want = missing(&server.held).min(input.len() - at);
            server.held.extend_from_slice(&input[at..at + want]);
            at += want;
            let held = std::mem::take(&mut server.held);
            let consumed = self.replies(
                slot,
                Feed {
                    bytes: &held,
                    base: None,
                },
                0,
                &mut io,
            );
            if consumed < held.len()
                && let Some(server) = self.servers.get_mut(slot)
            {
                server.held.extend_from_slice(&held[consumed..]);
            }
        }
        let consumed = self.replies(
            slot,
            Feed {
                bytes: input,
                base: Some(0),
            },
            at,
            &mut io,
        );
        if consumed < input.len()
            && let Some(server) = self.servers.get_mut(slot)
        {
            server.held.extend_from_slice(&input[consumed..]);
        }
        self.maybe_release(now, slot, io.pools, io.out);
    }

    /// Handles frames from `start` on; returns how far it came.
    fn replies(&mut self, slot: u32, feed: Feed<'_>, start: usize, io: &mut Io<'_>) -> usize {
        let mut at = start;
        while at < feed.bytes.len() {
            let Some(server) = self.servers.get_mut(slot) else {
                return feed.bytes.len();
            };
            let key = server.pool.key;
            let (consumed, after) = {
                if self.locals.len() <= key.0 as usize {
                    self.local(key);
                }
                let Some(server) = self.servers.get_mut(slot) else {
                    return feed.bytes.len();
                };
                let client = self.clients.get_mut(server.link);
                let Some(local) = self.locals.get_mut(key.0 as usize) else {
                    return feed.bytes.len();
                };
                let mut turn = Turn {
                    now: io.now,
                    server,
                    client,
                    local,
                    out: io.out,
                };
                turn.run(feed, at)
            };
            at += consumed;
            match after {
                After::Nothing => return at,
                After::Ddl => self.ddl(key, io),
                After::OwnDone(purpose) => self.own_done(slot, purpose, io),
                After::Nonsense => {
                    self.server_nonsense(slot, io);
                    return feed.bytes.len();
                }
            }
        }
        at
    }

    fn ddl(&mut self, key: PoolKey, io: &mut Io<'_>) {
        self.local(key).ddl += 1;
        io.out.command(Command::Ddl { pool: key });
    }

    fn server_nonsense(&mut self, slot: u32, io: &mut Io<'_>) {
        let link = self.servers.get(slot).map(|s| s.link);
        self.drop_server(slot, CloseReason::ServerProtocol, io);
        if let Some(client) = link {
            self.fail_client(
                client,
                &Trouble::ServerNonsense,
                CloseReason::ServerProtocol,
                io,
            );
        }
    }
}

/// How many bytes to add to a cut-off frame before it is looked at again.
fn missing(held: &[u8]) -> usize {
    match frame::peek(held) {
        Ok(Some(f)) => needed(&f).saturating_sub(held.len()).max(1),
        _ => frame::HEADER.saturating_sub(held.len()).max(1),
    }
}
