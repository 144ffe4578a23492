//! Rows for SHOW CLIENTS and SHOW SERVERS, and counts for SHOW POOLS.

use crate::client::{NONE, Phase};
use crate::directory::PoolKey;
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::server::ServerPhase;
use events::Time;
use events::snapshot::{ClientRow, ServerRow};

/// Counts of one pool in one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolCounts {
    /// Clients that are logged in and do not wait.
    pub active: u32,
    /// Clients that wait.
    pub waiting: u32,
    /// Server connections kept back while a cancel request for them ends.
    pub being_cancelled: u32,
    /// Server connections under the pooler's own statement.
    pub tested: u32,
}

impl Hub {
    /// Counts clients and special servers by pool.
    pub fn pool_counts(&self, each: &mut dyn FnMut(PoolKey, PoolCounts)) {
        for (_, client) in self.clients.iter() {
            let Some(info) = &client.pool else { continue };
            let mut counts = PoolCounts::default();
            match client.phase {
                Phase::Waiting { .. } => counts.waiting = 1,
                Phase::Ready | Phase::Preparing | Phase::Held { .. } => counts.active = 1,
                _ => continue,
            }
            each(info.key, counts);
        }
        for (_, server) in self.servers.iter() {
            if let ServerPhase::Cleaning(_) = server.phase {
                let cancelled = server.cancels > 0;
                let counts = PoolCounts {
                    being_cancelled: u32::from(cancelled),
                    tested: u32::from(!cancelled),
                    ..PoolCounts::default()
                };
                each(server.pool.key, counts);
            }
        }
    }

    /// Bytes held back for sessions: frames that are not whole yet, and requests of clients that wait.
    pub fn held_bytes(&self) -> usize {
        let clients: usize = self.clients.iter().map(|(_, c)| c.held.len()).sum();
        let servers: usize = self.servers.iter().map(|(_, s)| s.held.len()).sum();
        clients + servers
    }

    /// Who is linked to a peer: a client to the server connection that it holds, and the other way round.
    pub fn linked(&self, peer: Peer) -> Option<Peer> {
        match peer {
            Peer::Client(slot) => {
                let link = self.clients.get(slot)?.link;
                (link != NONE).then_some(Peer::Server(link))
            }
            Peer::Server(slot) => {
                let link = self.servers.get(slot)?.link;
                (link != NONE).then_some(Peer::Client(link))
            }
        }
    }

    /// The processes at the other ends of our server connections.
    pub fn backends(&self) -> impl Iterator<Item = (PoolKey, u32)> {
        let up = self.servers.iter().filter(|(_, s)| s.pid != 0);
        up.map(|(_, s)| (s.pool.key, s.pid as u32))
    }

    /// One row per client.
    pub fn client_rows(&self, now: Time, rows: &mut Vec<ClientRow>) {
        for (_, client) in self.clients.iter() {
            let waiting = matches!(client.phase, Phase::Waiting { .. });
            let state = match &client.phase {
                Phase::Login(_) => "login",
                Phase::Waiting { .. } => "waiting",
                Phase::Cancelling => "active_cancel_req",
                _ if client.is_linked() || matches!(client.phase, Phase::Console { .. }) => {
                    "active"
                }
                _ => "idle",
            };
            rows.push(ClientRow {
                id: client.id,
                user: client.user.to_string(),
                database: client.database.to_string(),
                state,
                addr: client.peer.addr.clone(),
                local_addr: client.peer.local_addr.clone(),
                connected_at: client.connected_at,
                request_at: client.request_at,
                wait_us: if waiting {
                    now.since(client.request_at).as_micros() as u64
                } else {
                    0
                },
                link: self.servers.get(client.link).map_or(0, |s| s.id),
                tls: client
                    .ext
                    .as_ref()
                    .map(|e| e.tls.to_string())
                    .unwrap_or_default(),
                application_name: client
                    .params
                    .text("application_name")
                    .unwrap_or_default()
                    .to_owned(),
                prepared_statements: client.ext.as_ref().map_or(0, |e| e.prepared.len() as u32),
                replication: client
                    .ext
                    .as_ref()
                    .map_or("none", |e| e.replication.label()),
            });
        }
    }

    /// One row per server connection.
    pub fn server_rows(&self, rows: &mut Vec<ServerRow>) {
        for (_, server) in self.servers.iter() {
            let state = match &server.phase {
                ServerPhase::Login(_) => "login",
                ServerPhase::Idle => "idle",
                ServerPhase::Lent | ServerPhase::Monitor => "active",
                ServerPhase::Cleaning(_) if server.cancels > 0 => "being_canceled",
                ServerPhase::Cleaning(_) => "tested",
            };
            rows.push(ServerRow {
                id: server.id,
                user: server.pool.user.to_string(),
                database: server.pool.database.to_string(),
                state,
                addr: server.addr.0.clone(),
                local_addr: server.addr.1.clone(),
                connected_at: server.opened_at,
                request_at: server.lent_at,
                close_needed: server.doomed.is_some(),
                link: self.clients.get(server.link).map_or(0, |c| c.id),
                remote_pid: server.pid as u32,
                tls: server.tls.to_string(),
                application_name: server
                    .params
                    .text("application_name")
                    .unwrap_or_default()
                    .to_owned(),
                prepared_statements: server.prepared.len() as u32,
                replication: server.pool.replication.label(),
            });
        }
    }
}
