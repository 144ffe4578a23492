//! etcd: where it is, who asks, and what for.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::draft::Draft;
use crate::error::{Problem, quoted};
use crate::keeping::SettingsSource;
use crate::plan::Plan;

/// Most endpoints of etcd.
pub const ENDPOINTS_MAX: usize = 16;
/// Longest prefix of keys.
const PREFIX_MAX: usize = 128;

/// By what the instances of a fleet share the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Share {
    /// By the server's activity view.
    #[default]
    View,
    /// By a ledger in etcd.
    Ledger,
}

/// `[etcd]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Etcd {
    /// `http://host:port` or `https://host:port`, members of one cluster.
    pub endpoints: Vec<String>,
    /// What all our keys begin with.
    pub prefix: String,
    /// Who asks, where etcd wants to know.
    pub user: Option<String>,
    /// Its password, read again whenever it is needed.
    pub password_file: Option<PathBuf>,
    /// What etcd's certificates are checked against.
    pub tls_ca: Option<PathBuf>,
    /// The certificate shown to it, and its key.
    pub tls_cert: Option<PathBuf>,
    /// See `tls_cert`.
    pub tls_key: Option<PathBuf>,
}

impl Etcd {
    /// The key that has the text of the settings.
    pub fn settings_key(&self) -> String {
        format!("{}/settings", self.prefix)
    }

    /// What the keys begin with by which a fleet's instances find each other. A fleet's
    /// name has no `/`.
    pub fn seats_prefix(&self, fleet: &str) -> String {
        format!("{}/fleet/{fleet}/", self.prefix)
    }

    /// What the keys of one server's ledger begin with. `1` is the version of its layout:
    /// a later one begins at another place. The server's label may be a path.
    pub fn ledger_base(&self, fleet: &str, server: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let mut name = String::new();
        for c in server.chars() {
            match plain(c) {
                true => name.push(c),
                false => name.push_str(&format!("%{:02x}", u32::from(c))),
            }
        }
        format!("{}/1/{fleet}/{name}", self.prefix)
    }
}

/// Checks what is written of etcd, and that it is there where it is needed.
pub(crate) fn check(draft: &mut Draft) {
    let etcd = &draft.plan.etcd;
    let bad = etcd.endpoints.iter().find(|e| !is_endpoint(e));
    let found = if let Some(bad) = bad {
        let problem = Problem::new(format!("{} is no endpoint of etcd", quoted(bad)))
            .help("write for example \"http://10.0.0.5:2379\" or \"https://etcd.app.svc:2379\"");
        Some(("etcd_endpoints", problem))
    } else if etcd.endpoints.len() > ENDPOINTS_MAX {
        let problem = Problem::new(format!("more than {ENDPOINTS_MAX} endpoints of etcd"));
        Some((
            "etcd_endpoints",
            problem.help("name some members of the cluster"),
        ))
    } else if !is_prefix(&etcd.prefix) {
        let problem = Problem::new(format!("{} is no prefix of keys", quoted(&etcd.prefix)))
            .help("letters, digits and `/`, `.`, `_`, `-`, not `/` at its end");
        Some(("etcd_prefix", problem))
    } else if etcd.user.is_some() != etcd.password_file.is_some() {
        let key = match etcd.user {
            Some(_) => "etcd_user",
            None => "etcd_password_file",
        };
        let problem = Problem::new("a user of etcd needs a password, and a password a user");
        Some((
            key,
            problem.help("name `user` and `password_file` in [etcd], or none of them"),
        ))
    } else if etcd.tls_cert.is_some() != etcd.tls_key.is_some() {
        let key = match etcd.tls_cert {
            Some(_) => "etcd_tls_cert",
            None => "etcd_tls_key",
        };
        let problem = Problem::new("a certificate for etcd needs its key");
        Some((
            key,
            problem.help("name `tls_cert` and `tls_key` in [etcd], or none of them"),
        ))
    } else {
        sharing(&draft.plan)
    };
    if let Some((key, problem)) = found {
        draft.error(key, problem);
    }
}

/// What those need that use it: a ledger, and settings that come from there.
fn sharing(plan: &Plan) -> Option<(&'static str, Problem)> {
    let origin = &plan.fleet.origin;
    if !origin.is_empty() && origin.parse::<IpAddr>().is_err() {
        let problem = Problem::new(format!("{} is no address", quoted(origin)));
        let help = "write the address that the database server sees, for example \"10.0.0.7\"";
        return Some(("fleet_origin", problem.help(help)));
    }
    if plan.keeping.source == SettingsSource::Etcd && plan.etcd.endpoints.is_empty() {
        let problem = Problem::new("settings are to come from etcd, and no etcd is named")
            .help("write for example `endpoints = [\"http://10.0.0.5:2379\"]` in [etcd]");
        return Some(("settings_source", problem));
    }
    if plan.fleet.share == Share::View {
        return None;
    }
    if plan.etcd.endpoints.is_empty() {
        let problem = Problem::new("the line is to be shared by a ledger, and no etcd is named")
            .help("write for example `endpoints = [\"http://10.0.0.5:2379\"]` in [etcd]");
        return Some(("fleet_share", problem));
    }
    if plan.monitor.user.is_none() {
        let problem = Problem::new("the line is to be shared by a ledger, and nobody reads it")
            .why("what all may open together is what the server says to a monitor session")
            .help("name its user with `monitor_user` in [server]");
        return Some(("fleet_share", problem));
    }
    None
}

/// `http://host:port`, without a name, a password or a path.
fn is_endpoint(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let Some(authority) = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)) else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let stated = port.filter(|port| !port.ends_with(']'));
    !authority.is_empty()
        && authority.chars().all(plain)
        && stated.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    !text.is_empty() && text.len() <= PREFIX_MAX && text.chars().all(plain) && !text.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_our_keys_are() {
        let at = Etcd {
            prefix: "p".into(),
            ..Etcd::default()
        };
        assert_eq!(at.settings_key(), "p/settings");
        assert_eq!(at.seats_prefix("shop"), "p/fleet/shop/");
        assert_eq!(at.ledger_base("shop", "db:5432"), "p/1/shop/db:5432");
        let socket = at.ledger_base("f", "/run/.s.PGSQL.5432");
        assert_eq!(socket, "p/1/f/%2frun%2f.s.PGSQL.5432");
    }
}
