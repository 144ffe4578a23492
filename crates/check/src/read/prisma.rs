//! Prisma's schema, and the parameters of its URLs.

use super::url;
use crate::facts::{Facts, Feature, Limit, Odd, Pool, Secret, Target, Timeouts, Tool, Value, Wait};
use crate::place::{FileId, Place};
use std::time::Duration;

const DEFAULT: &str = "Prisma's default before 7";

/// Reads the `datasource` blocks of a schema.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let mut inside: Option<Block<'_>> = None;
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let start = offset + (raw.len() - raw.trim_start().len());
        offset += raw.len();
        let line = raw.trim();
        if line.starts_with("//") {
            continue;
        }
        match &mut inside {
            None => inside = Block::opens(line),
            Some(block) if line.starts_with('}') => {
                block.read(facts);
                inside = None;
            }
            Some(block) => block.pair(file, line, start),
        }
    }
    // Cut off: what is there counts.
    if let Some(block) = inside {
        block.read(facts);
    }
}

/// One `datasource name { … }`.
struct Block<'a> {
    name: &'a str,
    provider: &'a str,
    url: Option<(&'a str, Place)>,
}

impl<'a> Block<'a> {
    fn opens(line: &'a str) -> Option<Block<'a>> {
        let name = line
            .strip_prefix("datasource ")?
            .trim()
            .strip_suffix('{')?
            .trim();
        Some(Block {
            name,
            provider: "",
            url: None,
        })
    }

    /// `key = "value"`; `env("NAME")` has no value here.
    fn pair(&mut self, file: FileId, line: &'a str, start: usize) {
        let Some((key, value)) = line.split_once('=') else {
            return;
        };
        let lead = value.len() - value.trim_start().len();
        let Some(inside) = value.trim_start().strip_prefix('"') else {
            return;
        };
        let text = inside.split('"').next().unwrap_or("");
        let at = start + key.len() + 1 + lead + 1;
        match key.trim() {
            "provider" => self.provider = text,
            "url" => self.url = Some((text, Place::new(file, at..at + text.len()))),
            _ => {}
        }
    }

    fn read(&self, facts: &mut Facts) {
        let is_postgres = matches!(self.provider, "postgresql" | "postgres");
        if let (Some((text, place)), true) = (&self.url, is_postgres) {
            let pool = pool_of_url(text, place, self.name.to_owned(), facts);
            facts.pools.extend(pool);
        }
    }
}

/// Whether a URL has parameters that only Prisma reads; for readers of
/// environments, which do not see who uses a variable.
#[allow(dead_code, reason = "for the readers of environments")]
pub(crate) fn is_prisma_url(text: &str) -> bool {
    ["connection_limit=", "pool_timeout=", "pgbouncer="]
        .iter()
        .any(|word| text.contains(word))
}

/// The pool behind a URL; `text` stands at `place`, byte by byte.
pub(crate) fn pool_of_url(
    text: &str,
    place: &Place,
    name: String,
    facts: &mut Facts,
) -> Option<Pool> {
    let parsed = url::parse(text, place)?;
    if let Some(place) = &parsed.password {
        facts.secrets.push(Secret {
            place: place.clone(),
            what: "a database user's password".to_owned(),
        });
    }
    let size = size(&parsed, facts);
    let timeouts = Timeouts {
        connect: time(&parsed, "connect_timeout", 5, facts),
        wait: time(&parsed, "pool_timeout", 10, facts),
        idle: time(&parsed, "max_idle_connection_lifetime", 300, facts),
        lifetime: time(&parsed, "max_connection_lifetime", 0, facts),
        ..Timeouts::default()
    };
    let is_off = parameter(&parsed, "pgbouncer").is_some_and(|(value, _)| value == "true");
    let needs = match is_off {
        true => Vec::new(),
        false => vec![(Feature::PreparedStatements, place.clone())],
    };
    let known = |part: &str| {
        let is_known = !part.is_empty() && !part.contains(['$', '{', '<']);
        is_known.then(|| part.to_owned())
    };
    Some(Pool {
        tool: Tool::Prisma,
        name,
        place: place.clone(),
        size: size?,
        extra: None,
        min: None,
        cap: None,
        clients: None,
        times: 1,
        mode: None,
        keeps_prepared: None,
        timeouts,
        needs,
        target: Target {
            host: known(parsed.host),
            port: parsed.port,
            database: known(parsed.database),
        },
    })
}

fn parameter<'a>(parsed: &'a url::Url<'_>, key: &str) -> Option<(&'a str, &'a Place)> {
    let mut all = parsed.parameters.iter();
    let found = all.find(|(k, _, _)| *k == key);
    found.map(|(_, value, place)| (*value, place))
}

/// `None`: not known here, or no number.
fn size(parsed: &url::Url<'_>, facts: &mut Facts) -> Option<Value<Limit>> {
    let Some((value, place)) = parameter(parsed, "connection_limit") else {
        return Some(Value::default(
            Limit::Of(9),
            "Prisma's default before 7: twice the processors and one, 9 on four processors",
        ));
    };
    if value.contains(['$', '{', '<']) {
        return None;
    }
    let Ok(n) = value.parse::<u64>() else {
        let what = "`connection_limit` is a whole number".to_owned();
        odd(place, what, "", facts);
        return None;
    };
    Some(Value::stated(Limit::Of(n), place.clone()))
}

fn time(
    parsed: &url::Url<'_>,
    key: &str,
    default_s: u64,
    facts: &mut Facts,
) -> Option<Value<Wait>> {
    let Some((value, place)) = parameter(parsed, key) else {
        return Some(Value::default(wait(default_s), DEFAULT));
    };
    let Ok(seconds) = value.parse::<u64>() else {
        let what = format!("`{key}` is a whole number of seconds");
        odd(place, what, "", facts);
        return None;
    };
    if seconds >= 5_000 && seconds % 1_000 == 0 && key != "max_connection_lifetime" {
        let what = format!(
            "`{key}` is in seconds: {seconds} means {} minutes",
            seconds / 60
        );
        let help = format!("write {} for {seconds} ms", seconds / 1_000);
        odd(place, what, &help, facts);
    }
    Some(Value::stated(wait(seconds), place.clone()))
}

/// 0 is off.
fn wait(seconds: u64) -> Wait {
    match seconds {
        0 => Wait::Forever,
        n => Wait::For(Duration::from_secs(n)),
    }
}

fn odd(place: &Place, what: String, help: &str, facts: &mut Facts) {
    facts.odd.push(Odd {
        tool: Tool::Prisma,
        place: place.clone(),
        what,
        help: help.to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        let mut facts = Facts::default();
        read(FileId(0), text, &mut facts);
        facts
    }

    fn schema(url: &str) -> String {
        format!(
            "generator client {{\n  provider = \"prisma-client-js\"\n}}\n\n\
             datasource db {{\n  provider = \"postgresql\"\n  url      = {url}\n}}\n\
             model User {{ id Int @id }}\n"
        )
    }

    #[test]
    fn the_urls_parameters_are_read() {
        let url = "\"postgresql://app:s3cret@db:6432/shop?connection_limit=5&pool_timeout=0&pgbouncer=true\"";
        let text = schema(url);
        let facts = facts(&text);
        let pool = &facts.pools[0];
        assert_eq!((pool.name.as_str(), pool.size.value), ("db", Limit::Of(5)));
        assert_eq!(&text[pool.size.place().unwrap().range.clone()], "5");
        assert_eq!(pool.timeouts.wait.as_ref().unwrap().value, Wait::Forever);
        assert_eq!(pool.needs, []);
        assert_eq!(pool.target.port, Some(6432));
        assert_eq!(&text[facts.secrets[0].place.range.clone()], "s3cret");
    }

    #[test]
    fn the_defaults_are_those_before_7() {
        let facts = facts(&schema("\"postgres://app@db/shop\""));
        let pool = &facts.pools[0];
        assert!(!pool.size.is_stated());
        let wait = pool.timeouts.wait.as_ref().unwrap();
        assert_eq!(wait.value, Wait::For(Duration::from_secs(10)));
        assert_eq!(pool.needs[0].0, Feature::PreparedStatements);
    }

    #[test]
    fn what_stands_elsewhere_is_not_guessed() {
        for url in [
            "env(\"DATABASE_URL\")",
            "\"mysql://app@db/shop\"",
            "\"postgres://app@db/shop?connection_limit=${LIMIT}\"",
            "",
            "\"",
        ] {
            assert_eq!(facts(&schema(url)).pools.len(), 0, "{url}");
        }
    }

    #[test]
    fn wrong_numbers_are_odd_and_a_cut_off_block_counts() {
        let text = "datasource db {\nprovider = \"postgresql\"\nurl = \"postgres://a@db/x?connection_limit=many&pool_timeout=10000\"";
        let found = facts(text);
        assert_eq!((found.pools.len(), found.odd.len()), (0, 2));
        let text = text.replace("many", "3");
        let found = facts(&text);
        assert_eq!((found.pools.len(), found.odd.len()), (1, 1));
        assert!(found.odd[0].what.contains("in seconds"));
    }
}
