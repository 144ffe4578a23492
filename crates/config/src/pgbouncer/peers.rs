//! `[peers]`: the other instances, to which cancel requests are passed on.

use super::{Reader, at, mark};
use crate::entries::{EntryKey, host, host_words};
use crate::error::{Place, Problem, quoted};
use crate::ini::Line;
use crate::plan::{Host, PEERS_MAX, Peer};
use crate::table::{Class, Support};
use crate::value::{Kind, Value};

/// Where PgBouncer listens by itself.
const PORT: u16 = 6432;
/// Numbers of peers, as PgBouncer has them.
const IDS: std::ops::RangeInclusive<u32> = 1..=16_383;

/// What a line of `[peers]` may say.
pub(crate) static PEER_KEYS: &[EntryKey<Peer>] = &[
    EntryKey {
        ini: &["host"],
        toml: "",
        kind: Kind::Text,
        class: Class::PerCheckout,
        support: Support::Honoured,
        meaning: "Where the clients of the other instance connect to: a host, or the directory of a unix socket.",
        set: |p: &mut Peer, v| {
            let Value::Text(text) = v else { return Ok(()) };
            match host(&text)? {
                Host::List(_) => Err(Problem::new("a peer has one host")
                    .help("give each instance a line of its own")),
                one => {
                    p.host = one;
                    Ok(())
                }
            }
        },
        get: |p| Some(Value::Text(host_words(&p.host))),
    },
    EntryKey {
        ini: &["port"],
        toml: "",
        kind: Kind::Count {
            min: 1,
            max: 65_535,
        },
        class: Class::PerCheckout,
        support: Support::Honoured,
        meaning: "And its port.",
        set: |p: &mut Peer, v| {
            if let Value::Count(n) = v {
                p.port = u16::try_from(n).unwrap_or(u16::MAX);
            }
            Ok(())
        },
        get: |p| Some(Value::Count(u32::from(p.port))),
    },
    EntryKey {
        ini: &["pool_size"],
        toml: "",
        kind: Kind::Text,
        class: Class::PerCheckout,
        support: Support::NoEffect("a cancel request is passed on with a connection of its own"),
        meaning: "PgBouncer's number of connections to a peer.",
        set: |_, _| Ok(()),
        get: |_| None,
    },
];

impl Reader {
    /// One line, such as `2 = host=10.0.0.2 port=6432`.
    pub(super) fn peer(&mut self, name: &str, text: &str, value_at: usize, line: &Line) {
        let Some(id) = name.parse().ok().filter(|id| IDS.contains(id)) else {
            let problem = Problem::new(format!("{} is no number of a peer", quoted(name))).help(
                "write for example `2 = host=10.0.0.2 port=6432`; numbers go from 1 to 16383",
            );
            let place = mark(line, line.key.clone(), PEER_KEYS, value_at);
            return self.draft.errors.push(problem.at(place));
        };
        let known = self
            .draft
            .plan
            .fleet
            .cancel
            .peers
            .iter()
            .any(|p| p.id == Some(id));
        if !known && self.draft.plan.fleet.cancel.peers.len() >= PEERS_MAX {
            let problem = Problem::new(format!("more than {PEERS_MAX} peers"));
            let place = Place::unseen(&line.file, line.number, 1);
            return self.draft.errors.push(problem.at(place));
        }
        let mut peer = Peer {
            id: Some(id),
            host: Host::Tcp(String::new()),
            port: PORT,
        };
        if !self.entry(&mut peer, PEER_KEYS, text, value_at, line) {
            return;
        }
        if peer.host == Host::Tcp(String::new()) {
            let problem = Problem::new(format!("peer {id} has no host"))
                .help("write host=… with the address where its clients connect to");
            let place = mark(line, line.key.clone(), PEER_KEYS, value_at);
            return self.draft.errors.push(problem.at(place));
        }
        if known {
            self.draft.warn(format!(
                "{}: peer {id} is set twice; the last one holds",
                at(line)
            ));
            self.draft
                .plan
                .fleet
                .cancel
                .peers
                .retain(|p| p.id != Some(id));
        }
        self.draft.plan.fleet.cancel.peers.push(peer);
    }
}
