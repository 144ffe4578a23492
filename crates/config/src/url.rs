//! `run --database postgres://…`: a plan without a file.
//!
//! It listens on loopback or a unix socket only, and clients log in with the
//! URL's own user and password: never trust. No part of the URL is ever shown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::draft::{Dialect, Draft, Overrides};
use crate::entries::{database, host};
use crate::error::{Error, Errors, Place, Problem, nearest, quoted};
use crate::plan::{Database, Host, ListenAddress, Plan, Secret, SessionAttrs, SslMode, User};
use crate::table::SSL_MODES;

/// What the command line says beside the URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UrlOptions {
    /// Where to listen: loopback addresses only.
    pub listen: Vec<ListenAddress>,
    /// Directory of a unix socket.
    pub unix_socket_dir: Option<PathBuf>,
    /// The rest.
    pub overrides: Overrides,
}

impl Default for UrlOptions {
    fn default() -> UrlOptions {
        UrlOptions {
            listen: vec![ListenAddress {
                host: "127.0.0.1".to_owned(),
                port: 6432,
            }],
            unix_socket_dir: None,
            overrides: Overrides::default(),
        }
    }
}

/// libpq's parameters that change nothing here, with the reason.
const NO_EFFECT: [(&str, &str); 14] = [
    (
        "channel_binding",
        "SCRAM-SHA-256-PLUS is used whenever the server offers it over TLS",
    ),
    (
        "fallback_application_name",
        "each client sends its own application_name",
    ),
    ("gssencmode", "GSS encryption is not spoken"),
    ("gssdelegation", "GSS is not spoken"),
    ("gsslib", "GSS is not spoken"),
    ("krbsrvname", "GSS is not spoken"),
    ("keepalives_count", "set it in plimsoll.toml"),
    ("load_balance_hosts", "there is one host"),
    ("max_protocol_version", "each client states its own"),
    ("min_protocol_version", "each client states its own"),
    ("sslcompression", "TLS compression does not exist any more"),
    ("sslsni", "the host name is always sent"),
    (
        "ssl_min_protocol_version",
        "TLS 1.2 is the least that is spoken",
    ),
    ("passfile", "the password stands in the URL"),
];

/// libpq's parameters that would make a difference and are missing.
const REFUSED: [&str; 14] = [
    "hostaddr",
    "options",
    "service",
    "servicefile",
    "sslpassword",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "ssl_max_protocol_version",
    "require_auth",
    "requirepeer",
    "replication",
    "tcp_user_timeout",
    "scram_client_key",
];

const HONOURED: [&str; 17] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "application_name",
    "client_encoding",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "target_session_attrs",
];

/// A plan for one database, with the default address 127.0.0.1:6432.
///
/// ```
/// let plan = config::from_url("postgres://ann:secret@db.example/shop?sslmode=require").unwrap();
/// assert_eq!(plan.databases[0].name, "shop");
/// assert_eq!(plan.auth_type, config::AuthType::Scram);
/// assert!(config::from_url("postgres://ann@db.example/shop").is_err());
/// ```
///
/// # Errors
/// What is wrong with the URL; its text is never shown.
pub fn from_url(url: &str) -> Result<Plan, Errors> {
    from_url_with(url, &UrlOptions::default())
}

/// As [`from_url`], with other addresses to listen on.
///
/// # Errors
/// Also when an address is not loopback.
pub fn from_url_with(url: &str, options: &UrlOptions) -> Result<Plan, Errors> {
    let option = Path::new("--database");
    let mut target = Target::default();
    let mut draft = Draft::new(Dialect::Toml, option, &options.overrides);
    parse(url, &mut target, &mut draft).map_err(|p| Errors::from(error(p)))?;
    let (user, secret, database) = target.finish().map_err(|p| Errors::from(error(p)))?;
    for address in &options.listen {
        if !is_loopback(&address.host) {
            draft.errors.push(
                Problem::new(format!(
                    "{} is not a loopback address",
                    quoted(&address.host)
                ))
                .why("with a URL alone anyone who reaches this address could try passwords")
                .help("listen on 127.0.0.1 or ::1, or write a settings file")
                .at(Place::file(Path::new("--listen"))),
            );
        }
    }
    draft.plan.listen.clone_from(&options.listen);
    draft
        .plan
        .unix_socket_dir
        .clone_from(&options.unix_socket_dir);
    draft.plan.databases.push(database);
    let entry = User {
        secret: Some(secret),
        ..User::default()
    };
    draft.plan.users.insert(user, entry);
    draft.finish()
}

/// A server to ask, with what `from_url` would make of the URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUrl {
    /// Host, port, database, user and password.
    pub database: Database,
    /// How the connection is protected.
    pub tls: crate::plan::Tls,
    /// Longest attempt to connect.
    pub connect_timeout: Duration,
}

/// The server that a URL names, to ask it something: no clients log in with
/// its password, so none need be there. `password` is taken where the URL has none.
///
/// # Errors
/// What is wrong with the URL; its text is never shown.
pub fn server_from_url(url: &str, password: Option<&str>) -> Result<ServerUrl, Errors> {
    let option = Path::new("--database");
    let mut target = Target::default();
    let mut draft = Draft::new(Dialect::Toml, option, &Overrides::default());
    parse(url, &mut target, &mut draft).map_err(|p| Errors::from(error(p)))?;
    let given = target.password.take().filter(|p| !p.is_empty());
    // Whatever stands here is never sent where the server trusts.
    let known = given.or_else(|| password.map(str::to_owned));
    target.password = Some(known.unwrap_or_default());
    let (_, _, database) = target
        .finish_with(false)
        .map_err(|p| Errors::from(error(p)))?;
    Ok(ServerUrl {
        database,
        tls: draft.plan.server_tls.clone(),
        connect_timeout: draft.plan.server_connect_timeout,
    })
}

fn error(problem: Problem) -> Error {
    problem.at(Place::file(Path::new("--database")))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[derive(Default)]
struct Target {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
    parameters: Vec<(String, String)>,
    session_attrs: SessionAttrs,
}

impl Target {
    fn finish(self) -> Result<(String, Secret, Database), Problem> {
        self.finish_with(true)
    }

    fn finish_with(self, guarded: bool) -> Result<(String, Secret, Database), Problem> {
        let user = self.user.filter(|u| !u.is_empty()).ok_or_else(|| {
            Problem::new("the URL names no user")
                .help("write postgres://USER:PASSWORD@HOST/DATABASE")
        })?;
        let password = self.password.filter(|p| !p.is_empty() || !guarded).ok_or_else(|| {
            Problem::new("the URL has no password")
                .why("clients log in with the URL's own password: without one, anyone on this machine could")
                .help("put the password in the URL, or write a settings file with [[user]] and [database.NAME]")
        })?;
        let host_text = self.host.filter(|h| !h.is_empty()).ok_or_else(|| {
            Problem::new("the URL names no host")
                .help("write the server's name, or ?host=/var/run/postgresql for a unix socket")
        })?;
        let name = self
            .dbname
            .filter(|d| !d.is_empty())
            .unwrap_or_else(|| user.clone());
        if name == "pgbouncer" || name == "*" {
            return Err(
                Problem::new("this database name is taken by the console or the fallback").help(
                    "write a settings file: there the clients' name may differ from the server's",
                ),
            );
        }
        let mut database = database(&name, host_without_value(&host_text)?);
        if let Some(port) = self.port {
            database.port = port.parse().ok().filter(|p| *p > 0).ok_or_else(|| {
                Problem::new("the URL's port is no port").help("write a number from 1 to 65535")
            })?;
        }
        database.dbname = Some(name);
        database.user = Some(user.clone());
        database.password = Some(Secret(password.clone()));
        database.parameters.extend(self.parameters);
        database.session_attrs = self.session_attrs;
        Ok((user, Secret(password), database))
    }
}

/// A wrong host may be the end of a password with an unencoded `@` or `/`.
fn host_without_value(text: &str) -> Result<Host, Problem> {
    // Each of a URL's hosts may have its own port, which a database here has not.
    if text.contains(',') {
        return Err(Problem::new("a URL names one host here")
            .help("write a settings file: there `host` may list several of one port"));
    }
    host(text).map_err(|problem| {
        if text.starts_with('@') {
            return problem;
        }
        Problem::new("the URL's host is no host name, address or directory").help(
            "in a user or password write %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?",
        )
    })
}

fn parse(url: &str, target: &mut Target, draft: &mut Draft) -> Result<(), Problem> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| {
            Problem::new("this is no postgres:// URL")
                .help("write postgres://USER:PASSWORD@HOST/DATABASE")
        })?;
    if url.len() > 16_384 || url.chars().any(char::is_control) {
        return Err(Problem::new(
            "the URL is longer than 16 KiB or has control characters",
        ));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, authority),
    };
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        target.user = Some(decode(user)?);
        target.password = password.map(decode).transpose()?;
    }
    let (host, port) = host_and_port(place)?;
    target.host = Some(decode(host)?).filter(|h| !h.is_empty());
    target.port = port.filter(|p| !p.is_empty()).map(str::to_owned);
    target.dbname = Some(decode(path)?).filter(|d| !d.is_empty());
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Problem::new("a parameter of the URL has no `=`")
                .help("write ?name=value&name=value"));
        };
        parameter(&decode(key)?, decode(value)?, target, draft)?;
    }
    Ok(())
}

fn host_and_port(place: &str) -> Result<(&str, Option<&str>), Problem> {
    let Some(inner) = place.strip_prefix('[') else {
        return Ok(match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        });
    };
    let wrong =
        || Problem::new("the URL's IPv6 address is not closed").help("write [::1] or [::1]:5432");
    let (host, after) = inner.split_once(']').ok_or_else(wrong)?;
    match after.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if after.is_empty() => Ok((host, None)),
        None => Err(wrong()),
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let wrong = || {
        Problem::new("a % in the URL is not followed by two hexadecimal digits")
            .help("write %25 for a % of its own")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).ok_or_else(wrong);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).map_err(|_| wrong())?);
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Problem::new("the URL's % codes are not UTF-8"))?;
    match text.contains('\0') {
        true => Err(Problem::new("the URL holds a NUL byte")),
        false => Ok(text),
    }
}

fn parameter(
    key: &str,
    value: String,
    target: &mut Target,
    draft: &mut Draft,
) -> Result<(), Problem> {
    let plan = &mut draft.plan;
    let bad = |what: &str| Err(Problem::new(format!("{key} in the URL must be {what}")));
    match key {
        "host" => target.host = Some(value),
        "port" => target.port = Some(value),
        "user" => target.user = Some(value),
        "password" => target.password = Some(value),
        "dbname" => target.dbname = Some(value),
        "application_name" | "client_encoding" => target.parameters.push((key.to_owned(), value)),
        "sslmode" | "ssl" => {
            let word = match (key, value.as_str()) {
                ("ssl", "true") => "require",
                (_, word) => word,
            };
            match SslMode::from_word(word) {
                Some(mode) => plan.server_tls.mode = mode,
                None => return bad(&format!("one of {}", SSL_MODES.join(", "))),
            }
        }
        "sslrootcert" => plan.server_tls.ca_file = Some(PathBuf::from(value)),
        "sslcert" => plan.server_tls.cert_file = Some(PathBuf::from(value)),
        "sslkey" => plan.server_tls.key_file = Some(PathBuf::from(value)),
        "sslnegotiation" => match value.as_str() {
            "postgres" => plan.server_tls.direct = false,
            "direct" => plan.server_tls.direct = true,
            _ => return bad("postgres or direct"),
        },
        "connect_timeout" => match seconds(&value) {
            Some(t) if t.is_zero() => {
                draft.warn("connect_timeout=0 is no limit in libpq; here 15 s hold".to_owned())
            }
            Some(t) => plan.server_connect_timeout = t,
            None => return bad("a number of seconds"),
        },
        "keepalives" => match value.as_str() {
            "0" | "1" => plan.tcp_keepalive.on = value == "1",
            _ => return bad("0 or 1"),
        },
        "keepalives_idle" | "keepalives_interval" => match seconds(&value) {
            Some(t) => {
                let time = (!t.is_zero()).then_some(t);
                match key {
                    "keepalives_idle" => plan.tcp_keepalive.idle = time,
                    _ => plan.tcp_keepalive.interval = time,
                }
            }
            None => return bad("a number of seconds"),
        },
        "target_session_attrs" => match SessionAttrs::from_word(&value) {
            Some(attrs) => target.session_attrs = attrs,
            None if value == "prefer-standby" => return Err(unsupported(key)),
            None => return bad("any, read-write, read-only, primary or standby"),
        },
        _ => return other(key, draft),
    }
    Ok(())
}

/// Whole seconds, up to a day.
fn seconds(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|s| *s <= 86_400);
    seconds.map(Duration::from_secs)
}

fn unsupported(key: &str) -> Problem {
    Problem::new(format!("{key} in the URL is not supported yet"))
        .why("without it another server, or another way to it, could be used than the one you mean")
        .help("remove it if you can do without")
}

fn other(key: &str, draft: &mut Draft) -> Result<(), Problem> {
    if let Some((_, why)) = NO_EFFECT.iter().find(|(name, _)| *name == key) {
        draft.warn(format!("--database: {key} has no effect here: {why}"));
        return Ok(());
    }
    if REFUSED.contains(&key) {
        return Err(unsupported(key));
    }
    // An unknown name is not shown: it may be a part of a password with an unencoded `?` or `&`.
    let known = HONOURED
        .into_iter()
        .chain(REFUSED)
        .chain(NO_EFFECT.map(|(name, _)| name));
    let problem = Problem::new("the URL has a parameter that libpq does not know");
    Err(match nearest(key, known) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("in a password write %3F for ? and %26 for &"),
    })
}
