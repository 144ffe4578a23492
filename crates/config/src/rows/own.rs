//! Settings that reach the plan in a way of their own.

use crate::plan::{Host, ListenAddress, Peer};
use crate::table::Access;
use crate::value::Value;

/// The key that the two dialects share in spirit only: see `finish`.
pub(super) const PORT: Access = Access {
    field: "unix_socket_port",
    get: |p| Value::Count(u32::from(p.unix_socket_port)),
    set: |p, v| {
        if let Value::Count(n) = v {
            p.unix_socket_port = u16::try_from(n).unwrap_or(u16::MAX);
        }
    },
};

pub(super) const PEERS: Access = Access {
    field: "fleet.cancel.peers",
    get: |p| {
        let addresses = p.fleet.cancel.peers.iter().map(|peer| ListenAddress {
            host: crate::entries::host_words(&peer.host),
            port: peer.port,
        });
        Value::Listen(addresses.collect())
    },
    set: |p, v| {
        if let Value::Listen(addresses) = v {
            let peer = |a: ListenAddress| Peer {
                id: None,
                host: Host::Tcp(a.host),
                port: a.port,
            };
            p.fleet.cancel.peers = addresses.into_iter().map(peer).collect();
        }
    },
};

pub(super) const CHECK_QUERY: Access = Access {
    field: "server_check_query",
    get: |p| {
        Value::Text(
            match (&p.server_check_delay, p.server_check_query.as_str()) {
                (None, _) => String::new(),
                (Some(_), "") => String::from("<empty>"),
                (Some(_), query) => query.to_owned(),
            },
        )
    },
    set: |p, v| {
        if let Value::Text(text) = v {
            p.server_check_query = if text == "<empty>" {
                String::new()
            } else {
                text
            };
        }
    },
};

pub(super) const METRICS: Access = Access {
    field: "metrics_listen",
    get: |p| Value::Text(p.metrics_listen.map(|a| a.to_string()).unwrap_or_default()),
    set: |p, v| {
        if let Value::Text(text) = v {
            p.metrics_listen = text.parse().ok();
        }
    },
};

pub(super) const API_LISTEN: Access = Access {
    field: "api.listen",
    get: |p| Value::Text(p.api.listen.map(|a| a.to_string()).unwrap_or_default()),
    set: |p, v| {
        if let Value::Text(text) = v {
            p.api.listen = text.parse().ok();
        }
    },
};

pub(super) const FLEET_LISTEN: Access = Access {
    field: "fleet.listen",
    get: |p| Value::Text(p.fleet.listen.map(|a| a.to_string()).unwrap_or_default()),
    set: |p, v| {
        if let Value::Text(text) = v {
            p.fleet.listen = text.parse().ok();
        }
    },
};

pub(super) const WORKERS: Access = Access {
    field: "workers",
    get: |p| Value::Limit(p.workers.map(u32::from)),
    set: |p, v| {
        if let Value::Limit(n) = v {
            p.workers = n.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        }
    },
};
