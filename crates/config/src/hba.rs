//! Host-based rules: who may log in from where, and how it proves itself.
//!
//! The rules of a file are tried in its order; the first that fits decides, and
//! who fits none is refused. What may be written is what PgBouncer 1.25 takes
//! of PostgreSQL's pg_hba.conf. PgBouncer leaves a line out that it cannot read
//! and goes on with the rest, so that a misspelt `reject` lets in; here any bad
//! line refuses the whole file.
//!
//! ```
//! use config::{Caller, Memory, Method, load};
//! let files = Memory::default()
//!     .file("p.ini", "[databases]\n* = host=h\n[pgbouncer]\nlisten_addr = *\nauth_type = hba\nauth_hba_file = hba\n")
//!     .file("hba", "host all root all reject\nhost all all 10.0.0.0/8 scram-sha-256\n");
//! let rules = load("p.ini".as_ref(), &files).unwrap().hba.rules.unwrap();
//! let caller = |user| Caller { address: "10.1.2.3".parse().ok(), tls: false, physical: false, database: "app", user };
//! assert_eq!(rules.first(&caller("ann")).map(|r| r.method()), Some(Method::Scram));
//! assert_eq!(rules.first(&caller("root")).map(|r| r.method()), Some(Method::Reject));
//! ```

mod address;
mod names;
mod read;
mod tokens;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ident::IdentMap;
use address::Net;
use names::Names;

pub(crate) use names::RulesOf;
pub(crate) use read::take;
pub(crate) use tokens::{Fault, Token, tokens};

/// Rules in the order in which they are tried.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hba {
    rules: Vec<Rule>,
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    line: usize,
    via: Via,
    databases: Names,
    users: Names,
    net: Net,
    method: Method,
    map: Option<Arc<IdentMap>>,
}

/// The first word of a line: what connection is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Via {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
}

/// How a client that a rule fits proves who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// No proof; the user must exist.
    Trust,
    /// It is refused.
    Reject,
    /// md5, or SCRAM where the stored secret is a SCRAM one.
    Md5,
    /// The password in the clear.
    Password,
    /// SCRAM-SHA-256.
    Scram,
    /// The unix socket's other side is a process of that user.
    Peer,
    /// A certificate with that name.
    Cert,
}

/// A login as the rules see it.
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

impl Hba {
    /// The first rule that fits; `None`: the login is refused.
    pub fn first(&self, caller: &Caller<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(caller))
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// There is none: nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Some rule has this method.
    pub fn uses(&self, method: Method) -> bool {
        self.rules.iter().any(|rule| rule.method == method)
    }

    /// Lines whose network has bits beyond its mask: PostgreSQL would take the network, and
    /// PgBouncer, and [`first`](Hba::first), never find an address in it.
    pub(crate) fn never_fit(&self) -> impl Iterator<Item = usize> + '_ {
        let odd = self.rules.iter().filter(|rule| !rule.net.is_whole());
        odd.map(|rule| rule.line)
    }

    /// How many there are, and a number that differs when they do: for
    /// differences of plans, which have no room for the rules themselves.
    pub(crate) fn words(&self) -> String {
        let mut all = String::new();
        for rule in &self.rules {
            // Where a line stands says nothing.
            let _ = write!(
                all,
                "{:?}",
                Rule {
                    line: 0,
                    ..rule.clone()
                }
            );
        }
        // FNV-1a.
        let hash = all.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let s = if self.rules.len() == 1 { "" } else { "s" };
        format!("{} rule{s} ({:08x})", self.rules.len(), hash >> 32)
    }
}

impl Rule {
    /// Its line in the file, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// How the client proves who it is.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Who of the system, or which name of a certificate, may be this user:
    /// `None` without a map, when only the user's own name will do.
    pub fn system_names(&self, user: &str) -> Option<Vec<&str>> {
        self.map.as_ref().map(|map| map.system_names(user))
    }

    fn fits(&self, caller: &Caller<'_>) -> bool {
        let near = match (self.via, caller.address) {
            (Via::Local, None) => true,
            (Via::Local, Some(_)) | (_, None) => false,
            (Via::HostSsl, Some(_)) if !caller.tls => false,
            (Via::HostNoSsl, Some(_)) if caller.tls => false,
            (_, Some(address)) => self.net.has(address),
        };
        let database = match caller.physical {
            true => self.databases.replication(),
            false => self.databases.has(caller.database, caller.user),
        };
        near && database && self.users.has(caller.user, caller.database)
    }
}
