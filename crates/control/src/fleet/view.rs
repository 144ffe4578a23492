//! What people are shown of the fleet.

use super::Fleet;
use ::fleet::{Peer, PeerState};
use events::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The other instances, as this one knows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetView {
    /// The fleet's name.
    pub fleet: String,
    /// This instance.
    pub instance: String,
    /// Where it listens for the others.
    pub listen: String,
    /// How the others are found: "static", "dns" or "view".
    pub discover: String,
    /// Why they are not found now; those found before are still asked.
    pub problem: Option<String>,
    /// The others.
    pub peers: Vec<PeerLine>,
    /// Which settings serve where, this instance included.
    pub settings: Vec<SettingsLine>,
    /// Alerts that this instance tells people of, for all that have them.
    pub telling: u64,
    /// Messages that were refused since the start, by reason; only those above zero.
    pub refused: Vec<RefusedLine>,
}

/// Another instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerLine {
    /// Its name; empty: it never said it.
    pub instance: String,
    /// Where it listens.
    pub address: Option<String>,
    /// "ok", "silent", "refused", "another_version", "another_fleet" or "liar".
    pub state: String,
    /// Why.
    pub why: String,
    /// Milliseconds since it is in that state.
    pub state_ms: u64,
    /// Milliseconds since it was heard last; none: never.
    pub heard_ms: Option<u64>,
    /// Where its clients connect, and cancel requests for them are passed on to.
    pub clients_at: Option<String>,
    /// The version of its binary. This and what follows is what it said last.
    pub version: String,
    /// The version of the language that it speaks.
    pub protocol: u32,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
    /// The hash of the settings that serve there.
    pub settings: String,
    /// They say what those that serve here say, apart from each instance's own; none: one of both comes from no file.
    pub same_settings: Option<bool>,
    /// Hashes of settings that it turned down.
    pub turned_down: Vec<String>,
    /// New clients may come.
    pub ready: bool,
    /// Why not.
    pub ready_reason: String,
    /// Clients that are connected.
    pub clients: u64,
    /// Clients that wait.
    pub waiting: u64,
    /// Its database servers.
    pub servers: Vec<ServerLine>,
    /// Its alerts that fire.
    pub alerts: Vec<AlertLine>,
}

/// A database server, as another instance sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetServerLine")]
pub struct ServerLine {
    /// Its address.
    pub server: String,
    /// What all instances together may hold there.
    pub line: u32,
    /// What that instance may hold.
    pub share: u32,
    /// What it holds.
    pub held: u32,
    /// What it lacks.
    pub wanted: u32,
    /// It reads the server's own figures now.
    pub sees: bool,
}

/// An alert of another instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetAlertLine")]
pub struct AlertLine {
    /// Name and subject.
    pub key: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// That instance tells people of it.
    pub told: bool,
}

/// Settings, and how many instances serve them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetSettingsLine")]
pub struct SettingsLine {
    /// The hash of what they say, apart from what is each instance's own.
    pub hash: String,
    /// How many instances serve them.
    pub instances: u32,
    /// They serve here.
    pub here: bool,
}

/// Messages that were refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FleetRefusedLine")]
pub struct RefusedLine {
    /// Why.
    pub reason: String,
    /// How many since the start.
    pub count: u64,
}

pub(super) fn of(fleet: &Fleet) -> FleetView {
    let now = fleet.now();
    let state = fleet.state();
    let own = &state.own;
    let settings = state.book.spread().by_hash.into_iter();
    let line = |peer: &Peer| peer_line(peer, now, own.serves());
    let refused = fleet.refusals().into_iter().filter(|(_, n)| *n > 0);
    FleetView {
        fleet: own.fleet.clone(),
        instance: own.instance.clone(),
        listen: fleet.shared.listen.to_string(),
        discover: state.discovery.0.to_owned(),
        problem: state.discovery.1.clone(),
        peers: state.book.everybody().iter().map(line).collect(),
        settings: settings
            .map(|(hash, instances)| SettingsLine {
                here: hash == own.serves(),
                hash,
                instances,
            })
            .collect(),
        telling: state.duties.telling() as u64,
        refused: refused
            .map(|(reason, count)| RefusedLine {
                reason: reason.to_owned(),
                count,
            })
            .collect(),
    }
}

fn peer_line(peer: &Peer, now: Time, ours: &str) -> PeerLine {
    let ms = |since: Time| u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
    let said = &peer.said;
    let known = peer.heard_at.is_some() && !ours.is_empty() && !said.serves().is_empty();
    let servers = said.servers.iter().map(|s| ServerLine {
        server: s.server.clone(),
        line: s.line,
        share: s.share,
        held: s.held,
        wanted: s.wanted,
        sees: s.sees,
    });
    let alerts = said.alerts.iter().map(|a| AlertLine {
        key: a.key.clone(),
        since_ms: a.since_ms,
        // Who is not heard tells nobody, as far as is known here.
        told: a.told && peer.state.is_believed(),
    });
    let why = match (peer.state, peer.why) {
        (PeerState::Silent, "") => "it is not heard",
        (_, why) => why,
    };
    PeerLine {
        instance: peer.instance.clone(),
        address: peer.address.map(|a| a.to_string()),
        state: peer.state.label().to_owned(),
        why: why.to_owned(),
        state_ms: ms(peer.since),
        heard_ms: peer.heard_at.map(ms),
        clients_at: peer.clients_at().map(|a| a.to_string()),
        version: said.version.clone(),
        protocol: said.protocol,
        started_ms: said.started_ms,
        settings: said.settings.clone(),
        same_settings: known.then(|| said.serves() == ours),
        turned_down: said.turned_down.iter().map(|t| t.hash.clone()).collect(),
        ready: said.ready,
        ready_reason: said.ready_reason.clone(),
        clients: said.clients,
        waiting: said.waiting,
        servers: servers.collect(),
        alerts: alerts.collect(),
    }
}
