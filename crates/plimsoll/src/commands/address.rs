//! The database that an environment names, and how that is changed for a program.

use crate::sandbox::percent;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

/// A database's address in the environment of a program.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// `None`: none is known, as where the server trusts.
    pub(super) password: Option<String>,
    pub(super) database: String,
    /// libpq's parameters that say how to reach the server.
    pub(super) transport: Vec<(String, String)>,
}

const PORT: u16 = 5432;

/// Parameters that are the pooler's business from now on.
const TRANSPORT: [&str; 8] = [
    "sslmode",
    "ssl",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "connect_timeout",
    "channel_binding",
];
/// Parameters that would lead past the pooler.
const WAY: [&str; 5] = ["host", "hostaddr", "port", "user", "password"];

/// libpq's variables that would lead past the pooler, or ask it for what it has not.
const REMOVED: [&str; 12] = [
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
    "PGTARGETSESSIONATTRS",
];

/// Beginnings of variables that hold a host or a port by themselves.
const PREFIXES: [&str; 6] = ["DB", "DATABASE", "POSTGRES", "POSTGRESQL", "SQL", "TEST_DB"];

/// A URL as programs write it: any driver's scheme, JDBC's too.
struct Url<'a> {
    scheme: &'a str,
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: u16,
    database: String,
    parameters: Vec<(String, String)>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Url<'a>> {
        let (scheme, rest) = text.split_once("://")?;
        let plain = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
        let plain = plain.split('+').next().unwrap_or_default();
        if !matches!(
            plain,
            "postgres" | "postgresql" | "postgis" | "psql" | "pgsql"
        ) {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match place.rsplit_once('@') {
            Some((login, place)) => (login, place),
            None => ("", place),
        };
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password))),
            None => (login, None),
        };
        let parameters: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (decoded(key), decoded(value)))
            .collect();
        let given = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (place, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let user = Some(decoded(user)).filter(|user| !user.is_empty());
        Some(Url {
            scheme,
            user: user.or_else(|| given("user")),
            password: password.or_else(|| given("password")),
            host: given("host").unwrap_or_else(|| decoded(host)),
            port: given("port").and_then(|p| p.parse().ok()).unwrap_or(port),
            database: decoded(path),
            parameters,
        })
    }

    /// The same, through the pooler.
    fn through(&self, pooler: SocketAddr, user: &str, password: &str) -> String {
        let mut parameters: Vec<(String, String)> = self
            .parameters
            .iter()
            .filter(|(key, _)| !TRANSPORT.contains(&&**key) && !WAY.contains(&&**key))
            .cloned()
            .collect();
        let login = match self.scheme.starts_with("jdbc:") {
            true => {
                parameters.push(("user".to_owned(), user.to_owned()));
                parameters.push(("password".to_owned(), password.to_owned()));
                String::new()
            }
            false => format!("{}:{}@", percent(user), percent(password)),
        };
        let query: Vec<String> = parameters
            .iter()
            .map(|(key, value)| format!("{}={}", percent(key), percent(value)))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{}://{login}{pooler}/{}{mark}{}",
            self.scheme,
            percent(&self.database),
            query.join("&")
        )
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        match (first, code.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Address {
    /// What a URL names.
    pub(super) fn of_url(text: &str) -> Option<Address> {
        let url = Url::parse(text)?;
        let user = url.user.unwrap_or_else(current_user);
        Some(Address {
            host: some(url.host).unwrap_or_else(|| "localhost".to_owned()),
            port: url.port,
            database: some(url.database).unwrap_or_else(|| user.clone()),
            user,
            password: url.password,
            transport: url
                .parameters
                .into_iter()
                .filter(|(key, _)| TRANSPORT.contains(&&**key))
                .collect(),
        })
    }

    /// What this process's environment names: DATABASE_URL, else libpq's variables; the
    /// password of PGPASSWORD where the URL has none.
    pub(super) fn of_this_process() -> Option<Address> {
        let value = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let url = value("DATABASE_URL").and_then(|url| Address::of_url(&url));
        let mut address = url.or_else(|| Address::of_environment(&value))?;
        address.password = address.password.or_else(|| value("PGPASSWORD"));
        Some(address)
    }

    /// What libpq's variables name; `None`: there is none of them.
    fn of_environment(value: &dyn Fn(&str) -> Option<String>) -> Option<Address> {
        let names = ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE"];
        names.iter().find_map(|name| value(name))?;
        let user = value("PGUSER").unwrap_or_else(current_user);
        let transport = [("PGSSLMODE", "sslmode"), ("PGSSLROOTCERT", "sslrootcert")];
        Some(Address {
            host: value("PGHOST").unwrap_or_else(|| "localhost".to_owned()),
            port: value("PGPORT").and_then(|p| p.parse().ok()).unwrap_or(PORT),
            database: value("PGDATABASE").unwrap_or_else(|| user.clone()),
            user,
            password: None,
            transport: transport
                .iter()
                .filter_map(|(name, key)| Some(((*key).to_owned(), value(name)?)))
                .collect(),
        })
    }

    /// As the settings' own reader takes it.
    pub(super) fn url(&self, password: &str) -> String {
        let mut parameters = vec![format!("host={}", percent(&self.host))];
        let kept = self
            .transport
            .iter()
            .filter(|(key, _)| key != "channel_binding");
        parameters.extend(kept.map(|(key, value)| format!("{key}={}", percent(value))));
        format!(
            "postgres://{}:{}@:{}/{}?{}",
            percent(&self.user),
            percent(password),
            self.port,
            percent(&self.database),
            parameters.join("&")
        )
    }

    /// The variables of the program that lead through the pooler; `None`: removed.
    pub(super) fn changed(
        &self,
        environment: impl Iterator<Item = (OsString, OsString)>,
        pooler: SocketAddr,
        password: &str,
    ) -> BTreeMap<OsString, Option<OsString>> {
        let mut changed: BTreeMap<OsString, Option<OsString>> = BTreeMap::new();
        for name in REMOVED {
            changed.insert(name.into(), None);
        }
        let mut set = |name: &str, value: String| {
            changed.insert(name.into(), Some(value.into()));
        };
        for (name, value) in environment {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            if let Some(url) = Url::parse(value) {
                let same_user = url.user.as_ref().is_none_or(|user| *user == self.user);
                if self.is_at(&url.host, url.port) && same_user {
                    set(name, url.through(pooler, &self.user, password));
                }
            } else if is_named(name, "_HOST") && same_host(value, &self.host) {
                set(name, pooler.ip().to_string());
            } else if is_named(name, "_PORT") && value == self.port.to_string() {
                set(name, pooler.port().to_string());
            }
        }
        let url = |scheme: &str| {
            let plain = format!("{scheme}://x/{}", percent(&self.database));
            let url = Url::parse(&plain);
            url.map(|url| url.through(pooler, &self.user, password))
        };
        for (name, scheme) in [
            ("DATABASE_URL", "postgresql"),
            ("JDBC_DATABASE_URL", "jdbc:postgresql"),
        ] {
            if !changed.contains_key(OsStr::new(name)) {
                changed.insert(name.into(), url(scheme).map(OsString::from));
            }
        }
        for (name, value) in [
            ("PGHOST", pooler.ip().to_string()),
            ("PGPORT", pooler.port().to_string()),
            ("PGUSER", self.user.clone()),
            ("PGPASSWORD", password.to_owned()),
            ("PGDATABASE", self.database.clone()),
            ("PGGSSENCMODE", "disable".to_owned()),
        ] {
            changed.insert(name.into(), Some(value.into()));
        }
        changed
    }

    fn is_at(&self, host: &str, port: u16) -> bool {
        port == self.port && same_host(host, &self.host)
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn is_named(name: &str, end: &str) -> bool {
    let start = name.strip_suffix(end);
    start.is_some_and(|start| PREFIXES.contains(&start))
}

fn same_host(one: &str, other: &str) -> bool {
    let is_here = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1" | "");
    one == other || (is_here(one) && is_here(other))
}

/// libpq takes the system's user where none is named.
fn current_user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "postgres".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let address = Address::of_url("postgres://ci:s%40crt@localhost:5433/shop?sslmode=require");
        let pooler = "127.0.0.1:7000".parse().unwrap();
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let changed = address.unwrap().changed(pairs, pooler, "s@crt");
        let text = |name: OsString| name.into_string().unwrap();
        changed
            .into_iter()
            .filter_map(|(k, v)| Some((text(k), text(v?))))
            .collect()
    }

    #[test]
    fn every_url_of_the_same_server_leads_through_the_pooler() {
        let given = [
            (
                "DATABASE_URL",
                "postgresql+psycopg://ci:s%40crt@127.0.0.1:5433/shop?sslmode=require",
            ),
            (
                "TEST_DATABASE_URL",
                "postgres://localhost:5433/shop_test?application_name=t",
            ),
            (
                "SPRING_DATASOURCE_URL",
                "jdbc:postgresql://localhost:5433/shop?user=ci&ssl=true",
            ),
            ("REPLICA_URL", "postgres://ci@elsewhere:5433/shop"),
            ("OTHER_URL", "postgres://root:x@localhost:5433/shop"),
            ("REDIS_URL", "redis://localhost:5433/0"),
            ("DB_HOST", "localhost"),
            ("POSTGRES_PORT", "5433"),
            ("SMTP_PORT", "5433"),
        ];
        let changed = environment(&given);
        for (name, value) in [
            (
                "DATABASE_URL",
                "postgresql+psycopg://ci:s%40crt@127.0.0.1:7000/shop",
            ),
            (
                "TEST_DATABASE_URL",
                "postgres://ci:s%40crt@127.0.0.1:7000/shop_test?application_name=t",
            ),
            (
                "SPRING_DATASOURCE_URL",
                "jdbc:postgresql://127.0.0.1:7000/shop?user=ci&password=s%40crt",
            ),
            ("DB_HOST", "127.0.0.1"),
            ("POSTGRES_PORT", "7000"),
            ("PGHOST", "127.0.0.1"),
            ("PGPASSWORD", "s@crt"),
        ] {
            assert_eq!(changed.get(name).map(String::as_str), Some(value), "{name}");
        }
        for name in ["REPLICA_URL", "OTHER_URL", "REDIS_URL", "SMTP_PORT"] {
            assert_eq!(changed.get(name), None, "{name}");
        }
    }

    #[test]
    fn a_program_without_urls_gets_one() {
        let changed = environment(&[]);
        assert_eq!(
            changed["DATABASE_URL"],
            "postgresql://ci:s%40crt@127.0.0.1:7000/shop"
        );
        assert_eq!(
            changed["JDBC_DATABASE_URL"],
            "jdbc:postgresql://127.0.0.1:7000/shop?user=ci&password=s%40crt"
        );
    }

    #[test]
    fn the_settings_reader_takes_the_url() {
        for url in [
            "postgres://ci:s%40crt@[::1]:5433/shop?sslmode=prefer&application_name=x",
            "postgresql:///shop?host=/var/run/postgresql&user=ci",
        ] {
            let address = Address::of_url(url).unwrap();
            let plan = config::from_url(&address.url("s@crt")).unwrap();
            assert_eq!(plan.databases[0].name, "shop");
            assert!(plan.users.contains_key("ci"));
        }
    }
}
