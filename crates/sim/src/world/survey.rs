//! Counts what sessions were seen doing.

use super::World;
use relay::Peer;

/// How often each phase was seen and each kind of reply was awaited.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    clients: Vec<(&'static str, u64)>,
    servers: Vec<(&'static str, u64)>,
    replies: [u64; relay::REPLY_KINDS.len()],
}

/// Phases of clients, as the relay names them.
const CLIENT_PHASES: [&str; 18] = [
    "login: start-up",
    "login: TLS",
    "login: plain",
    "login: md5",
    "login: SASL begins",
    "login: SASL proof",
    "login: verifier being derived",
    "login: check being derived",
    "login: waits for the look-up",
    "login: look-up",
    "login: waits for a greeting",
    "linked",
    "free",
    "waiting",
    "held",
    "preparing",
    "console",
    "cancelling",
];
/// Phases of server connections.
const SERVER_PHASES: [&str; 12] = [
    "login: connecting",
    "login: asked",
    "login: SCRAM begins",
    "login: keys being derived",
    "login: SCRAM proof",
    "login: accepted",
    "login: connect_query",
    "idle",
    "lent, not linked",
    "lent",
    "cleaning, cancelled",
    "cleaning",
];

fn count(rows: &mut Vec<(&'static str, u64)>, phase: &'static str) {
    match rows.iter_mut().find(|(name, _)| std::ptr::eq(*name, phase)) {
        Some((_, n)) => *n += 1,
        None => rows.push((phase, 1)),
    }
}

impl World {
    /// Looks at a peer after a dispatch, and at who is linked to it.
    pub(super) fn look(&mut self, w: usize, peer: Peer) {
        self.look_at(w, peer);
        if let Some(other) = self.hubs[w].linked(peer) {
            self.look_at(w, other);
        }
    }

    pub(super) fn look_at(&mut self, w: usize, peer: Peer) {
        let Some(phase) = self.hubs[w].phase(peer) else {
            return;
        };
        match peer {
            Peer::Client(_) => count(&mut self.survey.clients, phase),
            Peer::Server(slot) => {
                count(&mut self.survey.servers, phase);
                let mut done = self.hubs[w].replies_done(slot);
                while done != 0 {
                    self.survey.replies[done.trailing_zeros() as usize] += 1;
                    done &= done - 1;
                }
            }
        }
    }

    /// Writes the counts into the statistics.
    pub(super) fn gather_survey(&mut self) {
        let more = &mut self.stats.more;
        for (kind, n) in relay::REPLY_KINDS.iter().zip(self.survey.replies) {
            more.insert(format!("reply: {kind}"), n);
        }
        let sides = [
            ("client", &CLIENT_PHASES[..], &self.survey.clients),
            ("server", &SERVER_PHASES[..], &self.survey.servers),
        ];
        for (side, known, seen) in sides {
            for phase in known {
                more.insert(format!("{side} {phase}"), 0);
            }
            for (phase, n) in seen {
                *more.entry(format!("{side} {phase}")).or_default() += n;
            }
        }
    }
}
