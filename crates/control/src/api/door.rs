//! Who may come in: the Host header, other sites' pages, tokens.
//!
//! A browser on this machine can be made to send requests to any address of it.
//! What it cannot do is leave out what it says of the page that asks, send JSON
//! without asking first, or name us by an address while it was led here by a name.

use config::{Api, ApiRole};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::{HeaderMap, Method, Request};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Callers by any of these names mean us, whatever the settings say.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Unknown tokens of one address before it is slowed down.
const TRIES_MAX: u32 = 10;
/// After this one more.
const TRY_AGAIN: Duration = Duration::from_secs(6);
/// Addresses that are told apart; the rest share one count.
const ADDRESSES_MAX: usize = 64;

/// How a Host header stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// It names us.
    Us,
    /// It names somebody else.
    Another,
    /// There is none, or several.
    Unclear,
}

/// The one value of a header.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    match all.next() {
        None => first.to_str().ok(),
        Some(_) => None,
    }
}

pub(super) fn named(headers: &HeaderMap, settings: &Api) -> Named {
    let Some(host) = only(headers, &HOST) else {
        return Named::Unclear;
    };
    let Some(name) = without_port(host) else {
        return Named::Another;
    };
    let listen = settings.listen.map(|listen| match listen.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let names = NAMES.into_iter().chain(listen.as_deref());
    let mut names = names.chain(settings.hosts.iter().map(String::as_str));
    match names.any(|known| known.eq_ignore_ascii_case(name)) {
        true => Named::Us,
        false => Named::Another,
    }
}

/// The name of `name:port` or `[v6]:port`; `None`: it is neither.
fn without_port(host: &str) -> Option<&str> {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if host.starts_with('[') {
        let end = host.find(']')? + 1;
        let (name, rest) = host.split_at_checked(end)?;
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(digits)).then_some(name);
    }
    match host.split_once(':') {
        None => Some(host),
        Some((name, port)) => digits(port).then_some(name),
    }
}

/// A page of another site asks.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    if headers.contains_key(ORIGIN) {
        let host = only(headers, &HOST).unwrap_or_default();
        let origin = only(headers, &ORIGIN).unwrap_or_default();
        let place = origin.strip_prefix("http://");
        // Behind a proxy with TLS the page has another scheme than we.
        let place = place.or_else(|| origin.strip_prefix("https://"));
        if host.is_empty() || !place.is_some_and(|place| place.eq_ignore_ascii_case(host)) {
            return true;
        }
    }
    let site = only(headers, &SITE).unwrap_or_default();
    headers.contains_key(SITE) && site != "same-origin" && site != "none"
}

/// A person follows a link: the browser says that the answer becomes the whole
/// page. No script of another site can read it then.
pub(super) fn is_visit<T>(request: &Request<T>) -> bool {
    const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    let headers = request.headers();
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !headers.contains_key(ORIGIN)
        && only(headers, &MODE) == Some("navigate")
        && only(headers, &DEST) == Some("document")
}

/// What an Authorization header is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// None is there.
    Missing,
    /// It is nobody's.
    Unknown,
    /// It is this role's.
    Of(ApiRole),
}

/// All tokens are compared, by digests and to the last byte: the time that it
/// takes tells nothing of them.
pub(super) fn token(headers: &HeaderMap, settings: &Api) -> Token {
    if !headers.contains_key(AUTHORIZATION) {
        return Token::Missing;
    }
    let given = only(headers, &AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(given) = given.map(|token| Sha256::digest(token.as_bytes())) else {
        return Token::Unknown;
    };
    let mut found = Token::Unknown;
    for role in ApiRole::ALL.into_iter().rev() {
        if let Some(secret) = &settings.token(role).secret {
            let ours = Sha256::digest(secret.0.as_bytes());
            let differ = given
                .iter()
                .zip(ours.iter())
                .fold(0, |d, (a, b)| d | (a ^ b));
            // Two roles with one token: the one that may less.
            if std::hint::black_box(differ) == 0 {
                found = Token::Of(role);
            }
        }
    }
    found
}

/// How often an address has come with an unknown token.
///
/// A good token is never turned away for the bad ones of others: behind a proxy
/// all have one address, and locking it would lock out the operator.
#[derive(Default)]
pub(super) struct Tries {
    of: BTreeMap<IpAddr, Bucket>,
    others: Bucket,
}

#[derive(Default)]
struct Bucket {
    used: u32,
    since: Option<Instant>,
}

impl Tries {
    /// One more. `false`: it is too many.
    pub(super) fn one_more(&mut self, address: IpAddr, now: Instant) -> bool {
        self.of.retain(|_, bucket| bucket.left(now) > 0);
        let room = self.of.len() < ADDRESSES_MAX || self.of.contains_key(&address);
        let bucket = match room {
            true => self.of.entry(address).or_default(),
            false => &mut self.others,
        };
        bucket.left(now);
        if bucket.used >= TRIES_MAX {
            return false;
        }
        bucket.used += 1;
        bucket.since.get_or_insert(now);
        true
    }
}

impl Bucket {
    /// What is still counted, now.
    fn left(&mut self, now: Instant) -> u32 {
        let Some(since) = self.since else { return 0 };
        let forgiven = now.saturating_duration_since(since).as_secs() / TRY_AGAIN.as_secs();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        if forgiven > 0 {
            self.used = self.used.saturating_sub(forgiven);
            self.since = (self.used > 0).then_some(now);
        }
        self.used
    }
}

/// Seconds after which an unknown token may be tried again.
pub(super) fn retry_after() -> String {
    TRY_AGAIN.as_secs().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Secret;
    use hyper::header::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn settings() -> Api {
        let mut api = Api {
            listen: "127.0.0.2:9931".parse().ok(),
            hosts: vec!["pool.example".to_owned()],
            ..Api::default()
        };
        api.viewer.secret = Some(Secret("viewer-viewer-viewer".to_owned()));
        api.admin.secret = Some(Secret("admin-admin-admin".to_owned()));
        api
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let named = |lines: &[(&'static str, &str)]| named(&headers(lines), &settings());
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:9931",
            "[::1]:9931",
            "[::1]",
            "127.0.0.2",
            "Pool.Example:443",
        ] {
            assert_eq!(named(&[("host", host)]), Named::Us, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:1:2",
            "localhost:x",
            "user@localhost",
            "[::1",
            "[::1]x",
            "[::2]",
            "0.0.0.0",
        ] {
            assert_eq!(named(&[("host", host)]), Named::Another, "{host}");
        }
        assert_eq!(named(&[]), Named::Unclear);
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(named(&two), Named::Unclear);
    }

    #[test]
    fn pages_of_other_sites_are_foreign() {
        let foreign = |lines: &[(&'static str, &str)]| {
            let mut all = vec![("host", "localhost:9931")];
            all.extend(lines);
            is_foreign(&headers(&all))
        };
        for good in [
            vec![],
            vec![("origin", "http://localhost:9931")],
            vec![
                ("origin", "https://localhost:9931"),
                ("sec-fetch-site", "same-origin"),
            ],
            vec![("sec-fetch-site", "none")],
        ] {
            assert!(!foreign(&good), "{good:?}");
        }
        for bad in [
            vec![("origin", "null")],
            vec![("origin", "http://localhost")],
            vec![("origin", "http://localhost:9932")],
            vec![("origin", "http://evil.example")],
            vec![
                ("origin", "http://localhost:9931"),
                ("origin", "http://localhost:9931"),
            ],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site")],
            vec![
                ("origin", "http://localhost:9931"),
                ("sec-fetch-site", "cross-site"),
            ],
        ] {
            assert!(foreign(&bad), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_worth_its_role() {
        let worth = |value: &str| token(&headers(&[("authorization", value)]), &settings());
        assert_eq!(worth("Bearer admin-admin-admin"), Token::Of(ApiRole::Admin));
        assert_eq!(
            worth("bearer viewer-viewer-viewer"),
            Token::Of(ApiRole::Viewer)
        );
        for unknown in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer admin-admin-admi",
            "Basic admin-admin-admin",
            "admin-admin-admin",
            "Bearer admin-admin-admin, Bearer x",
        ] {
            assert_eq!(worth(unknown), Token::Unknown, "{unknown}");
        }
        assert_eq!(token(&headers(&[]), &settings()), Token::Missing);
        let mut same = settings();
        same.viewer.secret.clone_from(&same.admin.secret);
        let map = headers(&[("authorization", "Bearer admin-admin-admin")]);
        assert_eq!(token(&map, &same), Token::Of(ApiRole::Viewer));
        assert_eq!(token(&map, &Api::default()), Token::Unknown);
    }

    #[test]
    fn tries_are_counted_for_a_bounded_number_of_addresses() {
        let mut tries = Tries::default();
        let now = Instant::now();
        let one: IpAddr = [127, 0, 0, 1].into();
        for _ in 0..TRIES_MAX {
            assert!(tries.one_more(one, now));
        }
        assert!(!tries.one_more(one, now));
        let other: IpAddr = [127, 0, 0, 2].into();
        assert!(tries.one_more(other, now), "another one may still try");
        assert!(tries.one_more(one, now + TRY_AGAIN));
        assert!(!tries.one_more(one, now + TRY_AGAIN));
        for n in 0..=255 {
            for m in 0..=3 {
                tries.one_more([127, 1, m, n].into(), now + TRY_AGAIN);
            }
        }
        assert!(tries.of.len() <= ADDRESSES_MAX);
        assert!(!tries.one_more([127, 2, 0, 1].into(), now + TRY_AGAIN));
    }
}
