//! Keys of another tool, and slips of the pen: what a tool passes over in
//! silence, or refuses, though somebody meant something by it.

use super::pgbouncer::distance;
use crate::facts::{Facts, Tool, Unread};
use crate::place::Place;

/// Keys that are compared.
const KEYS_MAX: usize = 300;
/// Shorter words are near to each other by chance.
const LENGTH_MIN: usize = 6;

/// Notes keys that are one or two letters from a known one, or `others`' words:
/// the word, and what to write instead.
pub(crate) fn note<'a>(
    tool: Tool,
    keys: impl Iterator<Item = (&'a str, Place)>,
    known: &[&str],
    others: &[(&str, &str)],
    facts: &mut Facts,
) {
    for (key, place) in keys.take(KEYS_MAX) {
        if known.contains(&key) {
            continue;
        }
        let help = match others.iter().find(|(word, _)| *word == key) {
            Some((_, help)) => (*help).to_owned(),
            None => {
                let near = known.iter().find(|known| {
                    key.len() >= LENGTH_MIN
                        && known.len() >= LENGTH_MIN
                        && distance(key, known) <= 2
                });
                match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => continue,
                }
            }
        };
        facts.unread.push(Unread {
            tool,
            place,
            key: key.to_owned(),
            why: format!("{} has no such setting", tool.name()),
            help,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::FileId;

    #[test]
    fn slips_and_other_tools_words_are_noted_and_the_unknown_is_not() {
        let known = ["pool_size", "idle_timeout", "port"];
        let others = [("max_client_conn", "no such limit")];
        for (key, help) in [
            ("pool_size", None),
            ("poolsize", Some("did you mean `pool_size`?")),
            ("max_client_conn", Some("no such limit")),
            ("ports", None),
            ("something_new", None),
        ] {
            let mut facts = Facts::default();
            let keys = [(key, Place::whole(FileId(0)))].into_iter();
            note(Tool::PgDog, keys, &known, &others, &mut facts);
            let found = facts.unread.first().map(|u| u.help.as_str());
            assert_eq!(found, help, "{key}");
        }
    }
}
