//! Database URLs, with the places of their parts.

use crate::place::Place;

/// `scheme://user:password@host:port/database?key=value&…`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    pub scheme: &'a str,
    pub user: &'a str,
    /// Where the password stands; not what it is.
    pub password: Option<Place>,
    pub host: &'a str,
    pub port: Option<u16>,
    pub database: &'a str,
    /// The parameters, as written.
    pub parameters: Vec<(&'a str, &'a str, Place)>,
}

/// Parses `text`, which stands at the beginning of `place`. `None`: no database URL.
pub(crate) fn parse<'a>(text: &'a str, place: &Place) -> Option<Url<'a>> {
    let (scheme, rest) = text.split_once("://")?;
    let schemes = [
        "postgres",
        "postgresql",
        "jdbc:postgresql",
        "pgsql",
        "postgis",
    ];
    let family = scheme.split('+').next().unwrap_or(scheme);
    if !schemes.contains(&family) {
        return None;
    }
    let at = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize + place.range.start;
    let stretch = |part: &str| Place::new(place.file, at(part)..at(part) + part.len());
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (address, None),
    };
    let parameters = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key, value, stretch(value)))
    });
    Some(Url {
        scheme,
        user,
        password: is_secret(password).then(|| stretch(password)),
        host,
        port,
        database,
        parameters: parameters.collect(),
    })
}

/// A text that stands for itself: not empty, no `${VARIABLE}`, no `<placeholder>`,
/// no `changeme`.
pub(crate) fn is_secret(text: &str) -> bool {
    let filled_in = ["$", "{{", "<", "%("];
    let lower = text.trim().to_ascii_lowercase();
    let asks = [
        "changeme",
        "change-me",
        "change_me",
        "your",
        "replace",
        "xxx",
        "***",
        "…",
    ];
    !lower.is_empty()
        && !filled_in.iter().any(|mark| text.starts_with(mark))
        && !asks.iter().any(|word| lower.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::FileId;

    fn url(text: &str) -> Option<Url<'_>> {
        parse(text, &Place::new(FileId(0), 0..text.len()))
    }

    #[test]
    fn a_url_has_parts_and_places() {
        let text = "postgresql+asyncpg://app:s3cret@db:6432/shop?pool_timeout=5&ssl=on";
        let u = url(text).unwrap();
        assert_eq!(
            (u.scheme, u.user, u.host),
            ("postgresql+asyncpg", "app", "db")
        );
        assert_eq!((u.port, u.database), (Some(6432), "shop"));
        assert_eq!(&text[u.password.unwrap().range], "s3cret");
        assert_eq!(
            (u.parameters[0].0, u.parameters[0].1),
            ("pool_timeout", "5")
        );
    }

    #[test]
    fn other_urls_are_none_and_placeholders_no_secret() {
        assert_eq!(url("https://db/x"), None);
        assert_eq!(url("postgres://app:${PW}@db/x").unwrap().password, None);
        assert_eq!(url("postgres://[::1]/x").unwrap().host, "[::1]");
    }
}
