//! The other instances, where a cancel request goes that nobody here knows: those that
//! the settings list, and those that are heard over the fleet's channel.

use crate::address::Endpoint;
use crate::admin::Handle;
use crate::registry::Registry;
use config::{Host, PEERS_MAX};
use std::net::SocketAddr;

impl Registry {
    /// The other instances, by where their clients connect to; the listed ones first,
    /// and no more than the settings may list.
    pub(crate) fn cancel_peers(&self) -> Vec<Endpoint> {
        let peering = &self.plan.fleet.cancel;
        let others = peering.peers.iter();
        let others = others.filter(|p| p.id.is_none_or(|id| id != peering.own));
        let listed = others.map(|p| (p.host.clone(), p.port));
        let heard = self.heard_peers.iter();
        let heard = heard.map(|a| (Host::Tcp(a.ip().to_string()), a.port()));
        let mut places: Vec<(Host, u16)> = Vec::new();
        for place in listed.chain(heard) {
            if places.len() < PEERS_MAX && !places.contains(&place) {
                places.push(place);
            }
        }
        let endpoint = |(host, port)| Endpoint {
            host,
            port,
            attrs: relay::SessionAttrs::Any,
            tls: config::Tls::default(),
        };
        places.into_iter().map(endpoint).collect()
    }
}

impl Handle {
    /// The clients of other instances connect there: a cancel request that nobody
    /// here knows is passed on to them too. Call it as often as they are heard.
    pub fn pass_cancels_to(&self, peers: &[SocketAddr]) {
        let common = self.common();
        // The lock for writing would hold up logins each second.
        if common.read().heard_peers != peers {
            common.write().heard_peers = peers.to_vec();
        }
    }

    /// Where another machine reaches the listener for clients best: any address, else
    /// one beyond this machine, else a loopback one.
    pub fn clients_at(&self) -> Option<SocketAddr> {
        reached_best(self.addresses())
    }
}

fn reached_best(listens: &[SocketAddr]) -> Option<SocketAddr> {
    let rank = |a: &&SocketAddr| match a.ip() {
        ip if ip.is_unspecified() => 0,
        ip if ip.is_loopback() => 2,
        _ => 1,
    };
    listens.iter().min_by_key(rank).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn others_reach_the_widest_listener() {
        let best = |list: &[&str]| reached_best(&list.iter().map(|a| at(a)).collect::<Vec<_>>());
        assert_eq!(best(&[]), None);
        let table = [
            (["127.0.0.1:1", "0.0.0.0:2"], "0.0.0.0:2"),
            (["[::1]:1", "10.0.0.7:2"], "10.0.0.7:2"),
            (["10.0.0.7:1", "[::]:2"], "[::]:2"),
            (["127.0.0.1:1", "127.0.0.1:2"], "127.0.0.1:1"),
        ];
        for (list, expected) in table {
            assert_eq!(best(&list), Some(at(expected)), "{list:?}");
        }
    }

    #[test]
    fn listed_and_heard_peers_are_each_asked_once_and_bounded() {
        let text =
            "[fleet]\ncancel_peers = [\"10.0.0.1:1\", \"other:1\"]\n[database.a]\nhost = \"h\"\n";
        let files = config::Memory::default().file("p.toml", text);
        let plan = config::load("p.toml".as_ref(), &files).expect("settings");
        let mut registry = Registry::new(Arc::new(plan), None, 1, 7);
        let hosts = |registry: &Registry| -> Vec<String> {
            let peers = registry.cancel_peers().into_iter();
            peers.map(|p| format!("{:?}:{}", p.host, p.port)).collect()
        };
        assert_eq!(hosts(&registry).len(), 2);
        registry.heard_peers = vec![at("10.0.0.1:1"), at("10.0.0.1:2"), at("[fd00::1]:1")];
        let found = hosts(&registry);
        assert_eq!(found.len(), 4, "{found:?}");
        registry.heard_peers = (1..=200).map(|n| at(&format!("10.0.1.{n}:1"))).collect();
        assert_eq!(hosts(&registry).len(), PEERS_MAX);
        // Who is not heard any more is asked no more.
        registry.heard_peers.clear();
        assert_eq!(hosts(&registry).len(), 2);
    }
}
