//! Who is let in without a password: host-based rules, and the names that a
//! certificate or the system gives a client.
//!
//! The rules themselves are the shell's ([`HostRules`]); here they are asked
//! once for each login, with what is known before its proof.

use crate::directory::Auth;
use crate::errors::Report;
use std::net::IpAddr;

/// A login as rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller<'a> {
    /// Where it comes from; `None`: a unix socket.
    pub address: Option<IpAddr>,
    /// TLS is on.
    pub tls: bool,
    /// It asks for physical replication, which belongs to no database.
    pub physical: bool,
    /// The database that it named.
    pub database: &'a str,
    /// The user that it named.
    pub user: &'a str,
}

/// What the rules say of a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// How it proves who it is.
    pub method: Auth,
    /// Which names of the system or of a certificate may be this user; `None`:
    /// the user's own.
    pub names: Option<Vec<Box<str>>>,
}

/// Host-based rules.
pub trait HostRules: std::fmt::Debug + Send + Sync {
    /// What the first rule that fits says; `None`: no rule fits, and the login is refused.
    fn ruling(&self, caller: &Caller<'_>) -> Option<Ruling>;

    /// The name of a user of the system, where some rule asks for it.
    fn system_user(&self, uid: u32) -> Option<&str>;
}

/// The names that a verified certificate is for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateNames {
    /// The subject's common name.
    pub common: Option<String>,
    /// DNS names among its alternative names.
    pub dns: Vec<String>,
    /// Addresses among them.
    pub addresses: Vec<IpAddr>,
}

impl CertificateNames {
    /// The certificate is for this name, as PgBouncer has it: the common name or
    /// any alternative name, compared as names of hosts are.
    pub(crate) fn has(&self, name: &str) -> bool {
        if name.is_empty() {
            return false;
        }
        let alternative = match name.parse::<IpAddr>() {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self.dns.iter().any(|dns| same_host(dns, name)),
        };
        let common = || self.common.as_deref().is_some_and(|c| same_host(c, name));
        alternative || common()
    }
}

/// `*` stands for the first label of a name that has at least two more.
fn same_host(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let (Some(domain), Some((first, rest))) = (pattern.strip_prefix("*."), name.split_once('.'))
    else {
        return false;
    };
    let labels = domain.split('.').count() > 1 && domain.split('.').all(|l| !l.is_empty());
    labels && !first.is_empty() && domain.eq_ignore_ascii_case(rest)
}

/// Why a login ends without a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotAdmitted {
    NoRule,
    Rejected,
    Trust,
    Peer,
    Certificate,
}

impl NotAdmitted {
    /// PgBouncer's words.
    pub(crate) fn pgbouncer(self) -> &'static str {
        match self {
            NotAdmitted::NoRule => "no authentication method is found",
            NotAdmitted::Rejected => "login rejected",
            NotAdmitted::Trust => "\"trust\" authentication failed",
            NotAdmitted::Peer => "unix socket login rejected",
            NotAdmitted::Certificate => "certificate authentication failed",
        }
    }

    /// PostgreSQL's code; the texts never say whether the user exists.
    pub(crate) fn report(self) -> Report {
        let (text, hint) = match self {
            NotAdmitted::NoRule => (
                "no rule lets this login in",
                "Add a line to the host-based rules for this database, user and address.",
            ),
            NotAdmitted::Rejected => (
                "a rule rejects this login",
                "The first line of the host-based rules that fits decides.",
            ),
            NotAdmitted::Trust => (
                "the user is not known to the pooler",
                "Name it in the user file, or let auth_query find it.",
            ),
            NotAdmitted::Peer => (
                "the system's user may not log in as this one",
                "It must be of the same name, or a map must say so.",
            ),
            NotAdmitted::Certificate => (
                "the certificate does not let in as this user",
                "It must name the user, or a map must say so; and the user must be known.",
            ),
        };
        Report::fatal("28000", text).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_its_names_and_no_others() {
        let names = CertificateNames {
            common: Some("Ann".into()),
            dns: vec![
                "app.acme.org".into(),
                "*.pool.acme.org".into(),
                "*.com".into(),
                "*.net.".into(),
            ],
            addresses: vec!["10.0.0.7".parse().unwrap(), "::7".parse().unwrap()],
        };
        for name in [
            "Ann",
            "ann",
            "app.acme.org",
            "APP.acme.org",
            "x.pool.acme.org",
            "10.0.0.7",
            "0::7",
        ] {
            assert!(names.has(name), "{name}");
        }
        for name in [
            "",
            "anna",
            "acme.org",
            "x.app.acme.org",
            "pool.acme.org",
            ".pool.acme.org",
            "a.b.pool.acme.org",
            "x.com",
            "x.net.",
            "10.0.0.8",
            "*",
        ] {
            assert!(!names.has(name), "{name}");
        }
        assert!(!CertificateNames::default().has("ann"));
    }
}
