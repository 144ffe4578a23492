//! Logins that a server refused: tried another way, or with another secret.

use super::Worker;
use crate::hosts::Hosts;
use crate::outgoing::{OtherWay, Outgoing, Purpose, Stage};
use crate::secrets::{Doubted, Verdict};
use config::Host;
use events::snapshot::Address;
use events::{ConnId, Time};
use relay::PoolKey;
use std::time::Duration;

impl Worker {
    /// A server that could be connected another way was read. False when it will be.
    pub(super) fn login_read(&mut self, slot: u32) -> bool {
        if let Some(said) = self.hub.wants_other_way(slot) {
            self.connect_other_way(slot, &said);
            return false;
        }
        if let Some(said) = self.hub.wants_next_host(slot) {
            self.connect_next_host(slot, &said);
            return false;
        }
        if let Some(doubt) = self.hub.wants_secret(slot) {
            self.doubt(slot, doubt);
            return false;
        }
        if !self.hub.is_logging_in(slot)
            && let Some(conn) = self.conn(relay::Peer::Server(slot))
        {
            conn.other_way = None;
            conn.more_hosts = None;
            conn.logging_in = false;
            self.host_serves(slot);
        }
        true
    }

    /// Where there are several hosts, this one is the one to stay with.
    fn host_serves(&mut self, slot: u32) {
        let Some(key) = self.hub.pool_of(slot) else {
            return;
        };
        let conn = self.servers.get(slot as usize).and_then(Option::as_ref);
        if let Some((endpoint, _)) = conn.and_then(|conn| conn.dialled.as_deref()) {
            self.with_several_hosts(key, |hosts| hosts.served(&endpoint.host));
        }
    }

    /// A connection of this pool could not be had from that host.
    pub(super) fn host_failed(&self, key: PoolKey, host: &Host) {
        self.with_several_hosts(key, |hosts| hosts.failed(host, self.now));
    }

    fn with_several_hosts(&self, key: PoolKey, act: impl Fn(&Hosts)) {
        let registry = self.common.read();
        if let Some(place) = registry.place(key)
            && matches!(place.upstream.endpoint().host, Host::List(_))
        {
            act(&place.upstream.hosts);
        }
    }

    /// The server refused the proof: another thread reads the secret again.
    fn doubt(&mut self, slot: u32, doubt: relay::Doubt) {
        let conn = self.servers.get_mut(slot as usize).and_then(Option::take);
        if let Some(mut conn) = conn {
            let _ = self.poll.registry().deregister(&mut conn.stream);
        }
        let relay::Doubt { conn, info, count } = doubt;
        let asked = self.helpers.doubt(Doubted {
            worker: self.id,
            slot,
            conn,
            info,
            count,
        });
        if !asked {
            self.judged(slot, conn, Verdict::Refused { for_good: false });
        }
    }

    /// What came of that.
    pub(super) fn judged(&mut self, slot: u32, conn: ConnId, verdict: Verdict) {
        match verdict {
            Verdict::Again(info) => {
                if self.hub.log_in_again(slot, conn, info) {
                    self.connect(Purpose::Server { slot, conn });
                }
            }
            Verdict::Refused { for_good } => {
                self.hub.keep_refusal(
                    self.now,
                    slot,
                    conn,
                    for_good,
                    &mut self.port,
                    &mut self.out,
                );
                self.settle(&[]);
            }
        }
    }

    /// The server must not serve, and there is another host.
    fn connect_next_host(&mut self, slot: u32, said: &str) {
        let conn = self.servers.get_mut(slot as usize).and_then(Option::take);
        let Some(mut conn) = conn else { return };
        let mut bye = Vec::new();
        wire::front::terminate(&mut bye);
        // It is a courtesy: without it the server notes a lost connection.
        let _ = conn.write(&bye);
        let _ = self.poll.registry().deregister(&mut conn.stream);
        let (Some(more), Some(dialled)) = (conn.more_hosts.take(), conn.dialled.take()) else {
            return;
        };
        drop(conn);
        tracing::info!(host = %dialled.0.label(), reason = said, "the next host is tried");
        let purpose = Purpose::Server {
            slot,
            conn: more.conn,
        };
        if let Some(key) = self.hub.pool_of(slot) {
            self.host_failed(key, &dialled.0.host);
        }
        self.connect_on(purpose, more.others, more.patience, Vec::new());
    }

    /// The server refused a login, and `sslmode` has another way: the same
    /// address once more, with TLS instead of plain or the other way round.
    fn connect_other_way(&mut self, slot: u32, said: &str) {
        let conn = self.servers.get_mut(slot as usize).and_then(Option::take);
        let Some(mut conn) = conn else { return };
        let _ = self.poll.registry().deregister(&mut conn.stream);
        let Some(other) = conn.other_way.take() else {
            return;
        };
        let (others, patience) = match conn.more_hosts.take() {
            Some(more) => (more.others, more.patience),
            None => (Vec::new(), Duration::ZERO),
        };
        drop(conn);
        let OtherWay {
            conn,
            endpoint,
            remote,
            way,
        } = *other;
        tracing::info!(
            server = %endpoint.label(),
            tls = way.tls,
            refused = said,
            "the server refused the login; trying it the other way (sslmode)"
        );
        let outgoing = Outgoing {
            purpose: Purpose::Server { slot, conn },
            stage: Stage::Connecting,
            endpoint,
            others,
            patience,
            remotes: vec![remote],
            conn: None,
            address: Address::Unix,
            remote: None,
            tls: self.common.read().server_tls(),
            way,
            tls_failure: None,
            // The hub's own limit, from the first attempt on, ends this one too.
            deadline: Time::FAR,
        };
        let place = self.outgoing.insert(outgoing);
        self.dial(place, "no address".into());
    }
}
