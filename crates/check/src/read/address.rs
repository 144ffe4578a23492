//! Database URLs wherever they stand: where they lead, what their parameters
//! say about a pool, and the password in them.

use super::url;
use super::value::{self, Unit, Word};
use crate::facts::{Facts, Feature, Pool, Secret, Target, Timeouts, Tool, Value, Wait};
use crate::place::Place;

/// A database URL of PostgreSQL, its parts with their places.
pub(crate) struct Address {
    pub jdbc: bool,
    pub target: Target,
    /// The parameters, as written.
    pub parameters: Vec<(String, Word)>,
    /// The URL without its secrets.
    pub shown: String,
}

impl Address {
    pub fn parameter(&self, key: &str) -> Option<&Word> {
        let found = self.parameters.iter().rev().find(|(k, _)| k == key);
        found.map(|(_, word)| word)
    }
}

/// Reads a URL; its passwords go to the secrets.
pub(crate) fn read(word: &Word, facts: &mut Facts) -> Option<Address> {
    // References would end the login early: `${PASSWORD:-x}` has a colon.
    let text = without_references(&word.text);
    let base = Place::new(word.place.file, 0..text.len());
    let url = url::parse(&text, &base)?;
    let mut hidden = Vec::new();
    hidden.extend(url.password.map(|place| place.range));
    let mut parameters = Vec::new();
    for (key, text, place) in &url.parameters {
        if *key == "password" && url::is_secret(text) {
            hidden.push(place.range.clone());
        }
        // The original text: a default may stand in a reference.
        if let Some(sub) = word.sub(place.range.clone()) {
            parameters.push(((*key).to_owned(), sub));
        }
    }
    let mut shown = word.text.clone();
    hidden.sort_by_key(|range| std::cmp::Reverse(range.start));
    for range in hidden {
        facts.secrets.push(Secret {
            place: word.part(range.clone()),
            what: "the password in a database URL".to_owned(),
        });
        shown.replace_range(range, "");
    }
    let known =
        |part: &str| (!part.is_empty() && !part.contains(['$', '<', '{'])).then(|| part.to_owned());
    Some(Address {
        jdbc: url.scheme.starts_with("jdbc:"),
        target: Target {
            host: known(url.host),
            port: url.port,
            database: known(url.database),
        },
        parameters,
        shown,
    })
}

/// `${…}` as a neutral word of the same length.
fn without_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        out.push_str(&rest[..start]);
        out.push('$');
        out.extend(std::iter::repeat_n('_', length));
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

/// Parameters that size a pool, and whose they are.
const SIZES: &[(&str, Tool)] = &[
    ("connection_limit", Tool::Prisma),
    ("pool_max_conns", Tool::Pgx),
    ("pool", Tool::Rails),
    ("pool_size", Tool::Environment),
    ("max_pool_size", Tool::Environment),
];

/// The pool that the parameters describe, where they do.
pub(crate) fn pool(
    address: &Address,
    name: &str,
    place: &Place,
    facts: &mut Facts,
) -> Option<Pool> {
    let (word, tool) = SIZES
        .iter()
        .find_map(|(key, tool)| address.parameter(key).map(|word| (word, *tool)))?;
    let count = word.count(tool, facts)?;
    let mut pool = value::pool(tool, name, place.clone(), value::at_most(count));
    pool.target = address.target.clone();
    let timeouts = &mut pool.timeouts;
    match tool {
        Tool::Prisma => {
            let wait = address.parameter("pool_timeout");
            let wait = wait.and_then(|w| w.time(tool, Unit::Seconds, facts));
            let ten = std::time::Duration::from_secs(10);
            timeouts.wait =
                Some(wait.unwrap_or(Value::default(Wait::For(ten), "Prisma's default")));
            let mode = address.parameter("pgbouncer").and_then(Word::switch);
            if mode.is_none_or(|m| !m.value) {
                pool.needs
                    .push((Feature::PreparedStatements, place.clone()));
            }
        }
        Tool::Pgx => {
            let min = address.parameter("pool_min_conns");
            pool.min = min.and_then(|w| w.count(tool, facts));
            let hour = std::time::Duration::from_secs(3600);
            timeouts.lifetime = Some(Value::default(Wait::For(hour), "pgxpool's default"));
            let simple = address.parameter("default_query_exec_mode");
            let simple = simple.is_some_and(|w| w.text.contains("simple") || w.text == "exec");
            if !simple {
                pool.needs
                    .push((Feature::PreparedStatements, place.clone()));
            }
        }
        _ => {
            let extra = address.parameter("max_overflow");
            let extra = extra.and_then(|w| w.count(tool, facts));
            pool.extra = extra.map(value::at_most);
        }
    }
    session(address, tool, &mut pool.timeouts, &mut pool.needs, facts);
    Some(pool)
}

/// What the parameters say about a session: `options`, `statement_timeout`,
/// `connect_timeout`, and the JDBC driver's own.
pub(crate) fn session(
    address: &Address,
    tool: Tool,
    timeouts: &mut Timeouts,
    needs: &mut Vec<(Feature, Place)>,
    facts: &mut Facts,
) {
    let connect = if address.jdbc {
        "connectTimeout"
    } else {
        "connect_timeout"
    };
    if let Some(word) = address.parameter(connect) {
        timeouts.connect = word.time(tool, Unit::Seconds, facts);
    }
    for key in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        if let Some(word) = address.parameter(key) {
            set(key, value::postgres_timeout(word, tool, facts), timeouts);
        }
    }
    let Some(options) = address.parameter("options") else {
        return;
    };
    needs.push((Feature::SessionSettings, options.place.clone()));
    for (key, text) in value::options(&options.text) {
        let word = Word::new(text, options.place.clone());
        if key.ends_with("_timeout") {
            set(&key, value::postgres_timeout(&word, tool, facts), timeouts);
        }
    }
}

fn set(key: &str, value: Option<Value<Wait>>, timeouts: &mut Timeouts) {
    match (key, value) {
        ("statement_timeout", Some(value)) => timeouts.statement = Some(value),
        ("idle_in_transaction_session_timeout", Some(value)) => {
            timeouts.idle_in_transaction = Some(value);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Limit;
    use crate::place::FileId;

    fn word(text: &str) -> Word {
        Word::new(text, Place::new(FileId(0), 5..5 + text.len()))
    }

    #[test]
    fn a_url_leads_somewhere_and_hides_its_password() {
        let mut facts = Facts::default();
        let text = "postgres://app:s3cret@db:6432/shop?pool=15&options=-c%20statement_timeout%3D30";
        let address = read(&word(text), &mut facts).unwrap();
        assert_eq!(address.target.host.as_deref(), Some("db"));
        assert!(!address.shown.contains("s3cret"));
        assert_eq!(facts.secrets[0].place.range, 20..26);
        let place = Place::whole(FileId(0));
        let pool = pool(&address, "main", &place, &mut facts).unwrap();
        assert_eq!((pool.tool, pool.size.value), (Tool::Rails, Limit::Of(15)));
        assert!(pool.timeouts.statement.is_some());
        assert_eq!(pool.needs[0].0, Feature::SessionSettings);
        assert_eq!(facts.odd.len(), 1, "30 milliseconds");
    }

    #[test]
    fn references_are_no_secret_and_no_host() {
        let mut facts = Facts::default();
        let text = "jdbc:postgresql://${HOST:db}:5432/shop?user=a&password=${PW:?x}";
        let address = read(&word(text), &mut facts).unwrap();
        assert!(address.jdbc);
        assert_eq!(
            (address.target.host, address.target.port),
            (None, Some(5432))
        );
        assert!(facts.secrets.is_empty());
        assert!(read(&word("redis://x/0"), &mut facts).is_none());
        assert!(read(&word("postgres://${"), &mut facts).is_some());
    }

    #[test]
    fn prisma_and_pgx_have_their_own_words() {
        let mut facts = Facts::default();
        let place = Place::whole(FileId(0));
        for (query, tool, size, prepared) in [
            ("connection_limit=5&pgbouncer=true", Tool::Prisma, 5, false),
            ("connection_limit=1", Tool::Prisma, 1, true),
            ("pool_max_conns=30&pool_min_conns=2", Tool::Pgx, 30, true),
        ] {
            let text = format!("postgresql://u@h/d?{query}");
            let address = read(&word(&text), &mut facts).unwrap();
            let pool = pool(&address, "x", &place, &mut facts).unwrap();
            assert_eq!((pool.tool, pool.size.value), (tool, Limit::Of(size)));
            assert_eq!(!pool.needs.is_empty(), prepared, "{query}");
        }
    }
}
