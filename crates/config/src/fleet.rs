//! The fleet channel: where instances listen for each other, where they find each
//! other, and how they know each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::draft::Draft;
use crate::error::{Errors, Problem, quoted};
use crate::etcd::Share;
use crate::plan::{Peering, Plan, Secret, SecretRef};
use crate::source::Source;

/// Most addresses that the settings may list.
const PEERS_MAX: usize = 256;

/// Where the other instances are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Discover {
    /// In the settings.
    #[default]
    Static,
    /// By a name that has all their addresses.
    Dns,
    /// By the sessions that they have at the database server.
    View,
    /// In etcd, where each puts its address for as long as it lives.
    Etcd,
}

/// `[fleet]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FleetChannel {
    /// Where this instance listens; `None`: there is no channel.
    pub listen: Option<SocketAddr>,
    /// Where the others are found.
    pub discover: Discover,
    /// The name with all addresses, and the port.
    pub dns: String,
    /// The addresses, as the settings list them.
    pub peers: Vec<String>,
    /// The file that holds the key.
    pub key_file: Option<PathBuf>,
    /// The key as it was read last.
    pub key: Option<Secret>,
    /// The certificate shown to others.
    pub tls_cert: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// The fleet's authority.
    pub tls_ca: Option<PathBuf>,
    /// By what the line is shared; it needs no channel.
    pub share: Share,
    /// The address that the database server sees; empty: our own.
    pub origin: String,
    /// Where cancel requests for other instances' clients go, past the channel.
    pub cancel: Peering,
}

impl FleetChannel {
    /// The addresses of the settings. They were checked when the settings were read.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.peers.iter().filter_map(|p| p.parse().ok()).collect()
    }

    /// The files of TLS, where the channel speaks it: certificate, key, authority.
    pub fn tls(&self) -> Option<[&PathBuf; 3]> {
        Some([
            self.tls_cert.as_ref()?,
            self.tls_key.as_ref()?,
            self.tls_ca.as_ref()?,
        ])
    }
}

/// Reads the key of a plan, and checks what the channel needs.
pub(crate) fn read(draft: &mut Draft, source: &dyn Source) {
    if let Some(from) = place(&draft.plan) {
        let at = draft.places.get("fleet_key_file").cloned();
        match crate::api::secret(KEY, &from, source, at) {
            Ok(key) => draft.plan.fleet.key = Some(key),
            Err(errors) => draft.errors.append(errors),
        }
    }
    tls(draft);
    if let Some(listen) = draft.plan.fleet.listen {
        proof(draft, listen);
        discovery(draft);
    }
    peers(draft);
}

const KEY: &str = "the key of the fleet";

/// All three files, or none.
fn tls(draft: &mut Draft) {
    let fleet = &draft.plan.fleet;
    let files = [
        ("fleet_tls_cert", fleet.tls_cert.is_some()),
        ("fleet_tls_key", fleet.tls_key.is_some()),
        ("fleet_tls_ca", fleet.tls_ca.is_some()),
    ];
    let given = files.iter().find(|(_, there)| *there);
    if let (Some((key, _)), true) = (given, files.iter().any(|(_, there)| !there)) {
        let problem = Problem::new("TLS between instances needs three files")
            .why("each shows a certificate, and checks the other's")
            .help("name `tls_cert`, `tls_key` and `tls_ca` in [fleet], or none of them");
        draft.error(key, problem);
    }
}

/// Beyond this machine instances must know each other.
fn proof(draft: &mut Draft, listen: SocketAddr) {
    let fleet = &draft.plan.fleet;
    if listen.port() == 0 {
        let problem = Problem::new("the fleet's listener needs a port of its own")
            .why("the others must know where to ask")
            .help("write for example \"10.0.0.1:6433\"");
        return draft.error("fleet_listen", problem);
    }
    if listen.ip().is_loopback() || fleet.key_file.is_some() || fleet.tls().is_some() {
        return;
    }
    let problem = Problem::new(format!("anybody could speak for the fleet on {listen}"))
        .why("what instances say decides who tells people of alerts, and which settings are turned down")
        .help("make a key with `openssl rand -hex 32`, give it to all instances, and name its file with `key_file` in [fleet]; or name `tls_cert`, `tls_key` and `tls_ca`");
    draft.error("fleet_listen", problem);
}

/// What the way of finding others needs.
fn discovery(draft: &mut Draft) {
    let plan = &draft.plan;
    let (key, what, help) = match plan.fleet.discover {
        Discover::Dns if !is_named(&plan.fleet.dns) => (
            if plan.fleet.dns.is_empty() {
                "fleet_discover"
            } else {
                "fleet_dns"
            },
            "no name and port of the fleet are known",
            "write for example `dns = \"plimsoll-peers.app.svc:6433\"` in [fleet]",
        ),
        Discover::View if plan.monitor.user.is_none() => (
            "fleet_discover",
            "the activity view is read by the monitor session, and there is none",
            "name its user with `monitor_user` in [server], or find the others with `peers` or `dns`",
        ),
        Discover::Etcd if plan.etcd.endpoints.is_empty() => (
            "fleet_discover",
            "the others are to be found in etcd, and no etcd is named",
            "write for example `endpoints = [\"http://10.0.0.5:2379\"]` in [etcd]",
        ),
        _ => return,
    };
    draft.error(key, Problem::new(what).help(help));
}

/// `host:port`.
fn is_named(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    let name = |host: &str| !host.is_empty() && !host.contains(char::is_whitespace);
    parts.is_some_and(|(host, port)| name(host) && port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn peers(draft: &mut Draft) {
    let peers = &draft.plan.fleet.peers;
    let bad = |p: &&String| p.parse::<SocketAddr>().map_or(true, |a| a.port() == 0);
    if let Some(bad) = peers.iter().find(bad) {
        let problem = Problem::new(format!("{} is no address with a port", quoted(bad))).help(
            "write for example \"10.0.0.1:6433\"; names are looked up with `discover = \"dns\"`",
        );
        return draft.error("fleet_peers", problem);
    }
    if peers.len() > PEERS_MAX {
        let problem = Problem::new(format!("more than {PEERS_MAX} peers"));
        draft.error(
            "fleet_peers",
            problem.help("each would be asked each second"),
        );
    }
}

/// Where the key is kept.
pub(crate) fn place(plan: &Plan) -> Option<SecretRef> {
    plan.fleet.key_file.clone().map(SecretRef::File)
}

/// Takes the key that `from` read in the same place.
pub(crate) fn keep(plan: &mut Plan, from: &Plan) {
    if plan.fleet.key_file == from.fleet.key_file && from.fleet.key.is_some() {
        plan.fleet.key.clone_from(&from.fleet.key);
    }
}

/// Reads the key again, where that is asked for: its place in words, and whether
/// it is another one.
pub(crate) fn again(
    plan: &mut Plan,
    source: &dyn Source,
    asked: &dyn Fn(&SecretRef) -> bool,
) -> Option<(String, Result<bool, Errors>)> {
    let from = place(plan).filter(|from| asked(from))?;
    let file = plan.fleet.key_file.as_ref()?;
    let words = format!("key file of the fleet {}", file.display());
    let read = crate::api::secret(KEY, &from, source, None).map(|new| {
        let changed = plan.fleet.key.as_ref() != Some(&new);
        plan.fleet.key = Some(new);
        changed
    });
    Some((words, read))
}
