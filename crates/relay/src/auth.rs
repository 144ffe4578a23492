//! Proof of who a client is: the stages of a login, and what is remembered of secrets.

use crate::admission::{CertificateNames, NotAdmitted, Ruling};
use crate::directory::{Auth, PoolKey, Replication, Stored};
use events::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::md5;
use wire::scram::{self, Verifier};

/// A login in progress.
pub(crate) struct Login {
    pub(crate) stage: Stage,
    pub(crate) console: bool,
    /// Requests for encryption that were answered with no.
    pub(crate) asked: u8,
    /// It is beyond max_client_conn.
    pub(crate) over: bool,
    /// The client is a process of the user that we run as.
    pub(crate) owner: bool,
    /// TLS is on; version and cipher.
    pub(crate) tls: Option<Box<str>>,
    /// Names of the client's certificate; `None`: it showed none.
    pub(crate) certificate: Option<Box<CertificateNames>>,
    /// Number of the system's user at the other side of the unix socket.
    pub(crate) uid: Option<u32>,
    /// Its name, where a rule asks for it.
    pub(crate) peer: Option<Box<str>>,
    /// How this client proves who it is, once it said who.
    pub(crate) ruling: Ruling,
    /// Channel binding of the certificate that this client was shown; it may
    /// be another one for the next client.
    pub(crate) binding: Option<Arc<[u8]>>,
    /// The stored secret, once looked up.
    pub(crate) secret: Option<Stored>,
    /// Keys that the exchange revealed.
    pub(crate) keys: Option<scram::Keys>,
    /// The pool's flow counts this client.
    pub(crate) joined: bool,
    pub(crate) replication: Replication,
}

/// Where a login stands.
pub(crate) enum Stage {
    /// The start-up packet, or a request for TLS, is awaited.
    Startup,
    /// The shell does a TLS handshake.
    Handshake,
    /// A password in the clear is awaited.
    Plain,
    /// An md5 answer to this salt is awaited.
    Md5([u8; 4]),
    /// The first SASL message is awaited.
    Sasl(Verifier),
    /// The client's proof is awaited.
    SaslFinal(Box<scram::server::ServerFirst>),
    /// Keys are being derived elsewhere, to make a verifier.
    DerivingVerifier { iterations: u32 },
    /// Keys are being derived elsewhere, to check a password against this.
    DerivingCheck(Verifier),
    /// Waits for a server connection to run `auth_query`.
    Lookup,
    /// `auth_query` runs.
    Looking,
    /// Proven; waits for a server connection to learn what the server reports.
    Greeting,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Login {
    pub(crate) fn new() -> Login {
        Login {
            stage: Stage::Startup,
            console: false,
            asked: 0,
            over: false,
            owner: false,
            tls: None,
            certificate: None,
            uid: None,
            peer: None,
            ruling: Ruling {
                method: Auth::Reject,
                names: None,
            },
            binding: None,
            secret: None,
            keys: None,
            joined: false,
            replication: Replication::None,
        }
    }

    pub(crate) fn phase(&self) -> &'static str {
        match self.stage {
            Stage::Startup => "login: start-up",
            Stage::Handshake => "login: TLS",
            Stage::Plain => "login: plain",
            Stage::Md5(_) => "login: md5",
            Stage::Sasl(_) => "login: SASL begins",
            Stage::SaslFinal(_) => "login: SASL proof",
            Stage::DerivingVerifier { .. } => "login: verifier being derived",
            Stage::DerivingCheck(_) => "login: check being derived",
            Stage::Lookup => "login: waits for the look-up",
            Stage::Looking => "login: look-up",
            Stage::Greeting => "login: waits for a greeting",
        }
    }

    /// Nothing that the client sends matters now.
    pub(crate) fn is_busy(&self) -> bool {
        self.waits_for_server()
            || matches!(
                self.stage,
                Stage::DerivingVerifier { .. }
                    | Stage::DerivingCheck(_)
                    | Stage::Looking
                    | Stage::Handshake
            )
    }

    pub(crate) fn waits_for_server(&self) -> bool {
        matches!(self.stage, Stage::Lookup | Stage::Greeting)
    }

    pub(crate) fn looks_up(&self) -> bool {
        matches!(self.stage, Stage::Lookup)
    }

    pub(crate) fn joined(&self) -> bool {
        self.joined
    }
}

/// Derived keys and looked-up secrets of this worker. Bounded; cleared with the settings.
#[derive(Default)]
pub(crate) struct Cache {
    /// Verifiers made from plain passwords, by user, with the password that they were made from.
    verifiers: BTreeMap<Box<str>, (Box<str>, Verifier)>,
    /// Keys for servers, by pool, salt and iterations.
    server_keys: BTreeMap<(PoolKey, Box<[u8]>, u32), scram::Keys>,
    /// Answers of `auth_query`, by [`lookup_key`]; no secret: no such user.
    looked_up: BTreeMap<Box<str>, (Option<Stored>, Time)>,
}

const CACHE_MAX: usize = 10_000;

impl Cache {
    pub(crate) fn clear(&mut self) {
        *self = Cache::default();
    }

    pub(crate) fn verifier(&self, user: &str, password: &str) -> Option<&Verifier> {
        self.verifiers
            .get(user)
            .filter(|(p, _)| **p == *password)
            .map(|(_, v)| v)
    }

    pub(crate) fn keep_verifier(&mut self, user: &str, password: &str, verifier: Verifier) {
        if self.verifiers.len() >= CACHE_MAX {
            self.verifiers.clear();
        }
        self.verifiers
            .insert(user.into(), (password.into(), verifier));
    }

    pub(crate) fn server_keys(
        &self,
        pool: PoolKey,
        salt: &[u8],
        iterations: u32,
    ) -> Option<scram::Keys> {
        self.server_keys
            .get(&(pool, salt.into(), iterations))
            .cloned()
    }

    pub(crate) fn keep_server_keys(
        &mut self,
        pool: PoolKey,
        salt: &[u8],
        iterations: u32,
        keys: scram::Keys,
    ) {
        if self.server_keys.len() >= CACHE_MAX {
            self.server_keys.clear();
        }
        self.server_keys
            .insert((pool, salt.into(), iterations), keys);
    }

    /// The server refused the password: keys made from it may be old.
    pub(crate) fn forget_server_keys(&mut self, pool: PoolKey) {
        self.server_keys.retain(|(p, _, _), _| *p != pool);
    }

    pub(crate) fn looked_up(&self, user: &str, now: Time, ttl: Duration) -> Option<Option<Stored>> {
        self.looked_up
            .get(user)
            .filter(|(_, at)| now.since(*at) < ttl)
            .map(|(s, _)| s.clone())
    }

    /// A proof failed: the secret may have changed since it was looked up.
    pub(crate) fn forget_looked_up(&mut self, asked: &str) {
        self.looked_up.remove(asked);
    }

    pub(crate) fn keep_looked_up(&mut self, user: &str, secret: Option<Stored>, now: Time) {
        if self.looked_up.len() >= CACHE_MAX {
            self.looked_up.clear();
        }
        self.looked_up.insert(user.into(), (secret, now));
    }
}

/// Each database may have its own users and its own query: an answer that was
/// given for one of them says nothing about another.
pub(crate) fn lookup_key(database: &str, user: &str) -> String {
    format!("{database}\0{user}")
}

/// What a client is asked for.
pub(crate) enum Demand {
    /// Nothing.
    Nothing,
    /// A password in the clear.
    Plain,
    /// An md5 answer.
    Md5,
    /// SCRAM, against a verifier that is at hand.
    Scram(Verifier),
    /// SCRAM, against a verifier still to be derived from this password.
    ScramFrom(Box<str>),
    /// The login fails without a question.
    Fail(NotAdmitted),
}

/// What a client shows of itself without being asked.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shown<'a> {
    pub(crate) certificate: Option<&'a CertificateNames>,
    /// The system's user.
    pub(crate) peer: Option<&'a str>,
}

/// Decides how a user proves itself. An unknown user is asked the same as a
/// known one, by `unknown`, and fails.
pub(crate) fn demand(
    ruling: &Ruling,
    user: &str,
    stored: Option<&Stored>,
    shown: Shown<'_>,
    unknown: &Verifier,
) -> Demand {
    let secret = stored.and_then(|s| s.0.as_deref());
    let mock = || Demand::Scram(unknown.clone());
    // Its own name, or one that a map lets be this user.
    let named = |has: &dyn Fn(&str) -> bool| match &ruling.names {
        None => has(user),
        Some(names) => names.iter().any(|name| has(name)),
    };
    let by_certificate = || named(&|name| shown.certificate.is_some_and(|c| c.has(name)));
    let by_peer = || named(&|name| shown.peer == Some(name));
    match ruling.method {
        Auth::Any => Demand::Nothing,
        Auth::Reject => Demand::Fail(NotAdmitted::Rejected),
        Auth::Trust if stored.is_some() => Demand::Nothing,
        Auth::Trust => Demand::Fail(NotAdmitted::Trust),
        Auth::Cert if stored.is_some() && by_certificate() => Demand::Nothing,
        Auth::Cert => Demand::Fail(NotAdmitted::Certificate),
        Auth::Peer if stored.is_some() && by_peer() => Demand::Nothing,
        Auth::Peer => Demand::Fail(NotAdmitted::Peer),
        Auth::Plain => Demand::Plain,
        Auth::Md5 => match secret {
            Some(s) if is_scram(s) => s.parse().map_or_else(|_| mock(), Demand::Scram),
            _ => Demand::Md5,
        },
        Auth::Scram => match secret {
            Some(s) if is_scram(s) => s.parse().map_or_else(|_| mock(), Demand::Scram),
            Some(s) if md5::is_stored(s) => mock(),
            Some(s) if !s.is_empty() => Demand::ScramFrom(s.into()),
            _ => mock(),
        },
    }
}

pub(crate) fn is_scram(secret: &str) -> bool {
    secret.starts_with("SCRAM-SHA-256$")
}

/// Checks an md5 answer.
pub(crate) fn md5_fits(user: &str, stored: Option<&Stored>, salt: [u8; 4], answer: &[u8]) -> bool {
    let Some(secret) = stored
        .and_then(|s| s.0.as_deref())
        .filter(|s| !s.is_empty())
    else {
        return false;
    };
    if md5::is_stored(secret) {
        return md5::verify(answer, secret, salt);
    }
    md5::verify(answer, &md5::stored(user, secret), salt)
}

/// Checks a password given in the clear, where that is cheap.
pub(crate) fn plain_fits(user: &str, secret: &str, given: &[u8]) -> bool {
    if md5::is_stored(secret) {
        return md5::verify_password(user, given, secret);
    }
    // Compare digests of equal length: the time tells nothing of the password.
    let digest = |bytes: &[u8]| md5::stored("", bytes);
    !secret.is_empty() && digest(secret.as_bytes()) == digest(given) && secret.as_bytes() == given
}

/// Fills `$1` of an `auth_query` with the user's name as a literal. Quoted
/// parts of the query are left alone.
pub(crate) fn fill_query(query: &str, user: &str) -> String {
    let mut literal = String::from(" E'");
    for c in user.chars() {
        match c {
            '\'' => literal.push_str("''"),
            '\\' => literal.push_str("\\\\"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    let mut out = String::with_capacity(query.len() + literal.len());
    let mut quote = None;
    let mut chars = query.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '$' && chars.peek() == Some(&'1') => {
                chars.next();
                out.push_str(&literal);
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_auth_query_is_a_literal_whatever_it_holds() {
        let q = "SELECT u, p FROM f($1) WHERE a = '$1'";
        assert_eq!(
            fill_query(q, "bob"),
            "SELECT u, p FROM f( E'bob') WHERE a = '$1'"
        );
        assert_eq!(
            fill_query("f($1)", "x'); DROP TABLE t; --\\"),
            "f( E'x''); DROP TABLE t; --\\\\')"
        );
    }

    #[test]
    fn unknown_users_are_asked_like_known_ones() {
        let plain = Stored(Some("secret".into()));
        let asked = |method, stored| {
            let ruling = Ruling {
                method,
                names: None,
            };
            demand(
                &ruling,
                "u",
                stored,
                Shown::default(),
                &Verifier::mock("u", &[1; 32]),
            )
        };
        assert!(matches!(
            asked(Auth::Scram, Some(&plain)),
            Demand::ScramFrom(_)
        ));
        assert!(matches!(asked(Auth::Scram, None), Demand::Scram(_)));
        assert!(matches!(asked(Auth::Md5, None), Demand::Md5));
        assert!(matches!(
            asked(Auth::Trust, None),
            Demand::Fail(NotAdmitted::Trust)
        ));
        assert!(matches!(
            asked(Auth::Reject, Some(&plain)),
            Demand::Fail(NotAdmitted::Rejected)
        ));
    }

    #[test]
    fn names_of_certificates_and_of_the_system_let_in_as_they_are_mapped() {
        let certificate = CertificateNames {
            common: Some("u".into()),
            ..CertificateNames::default()
        };
        let known = Stored(None);
        type Map = Option<&'static [&'static str]>;
        // Method, the certificate's common name and the system's user, the map, known: let in?
        let rows: &[(Auth, &str, Map, bool, bool)] = &[
            (Auth::Cert, "u", None, true, true),
            (Auth::Cert, "u", None, false, false),
            (Auth::Cert, "v", None, true, false),
            (Auth::Cert, "v", Some(&["w", "v"]), true, true),
            (Auth::Cert, "u", Some(&["w"]), true, false),
            (Auth::Cert, "u", Some(&[]), true, false),
            (Auth::Peer, "u", None, true, true),
            (Auth::Peer, "u", None, false, false),
            (Auth::Peer, "U", None, true, false),
            (Auth::Peer, "root", Some(&["root"]), true, true),
            (Auth::Peer, "u", Some(&["root"]), true, false),
        ];
        for (method, name, map, is_known, serves) in rows {
            let certificate = CertificateNames {
                common: Some((*name).into()),
                ..certificate.clone()
            };
            let shown = Shown {
                certificate: Some(&certificate),
                peer: Some(name),
            };
            let ruling = Ruling {
                method: *method,
                names: map.map(|map| map.iter().map(|n| (*n).into()).collect()),
            };
            let stored = is_known.then_some(&known);
            let got = demand(&ruling, "u", stored, shown, &Verifier::mock("u", &[1; 32]));
            let got = matches!(got, Demand::Nothing);
            assert_eq!(got, *serves, "{method:?} {name} {map:?}");
        }
        for method in [Auth::Cert, Auth::Peer] {
            let ruling = Ruling {
                method,
                names: None,
            };
            let got = demand(
                &ruling,
                "u",
                Some(&known),
                Shown::default(),
                &Verifier::mock("u", &[1; 32]),
            );
            assert!(matches!(got, Demand::Fail(_)), "{method:?} shows nothing");
        }
    }

    #[test]
    fn passwords_fit_their_stored_forms_only() {
        let stored = md5::stored("u", "pw");
        assert!(plain_fits("u", &stored, b"pw"));
        assert!(plain_fits("u", "pw", b"pw"));
        assert!(!plain_fits("u", "pw", b"pW"));
        assert!(!plain_fits("u", "", b""), "no password is no pass");
        let salt = [1, 2, 3, 4];
        let answer = md5::response("u", "pw", salt);
        assert!(md5_fits(
            "u",
            Some(&Stored(Some("pw".into()))),
            salt,
            answer.as_bytes()
        ));
        assert!(!md5_fits("u", None, salt, answer.as_bytes()));
    }
}
