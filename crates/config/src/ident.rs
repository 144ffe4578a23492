//! Maps of names: which user of the system, or which name of a certificate, may
//! log in as which user.
//!
//! Lines are `map system-user database-user`, as PgBouncer takes them: `all` as
//! the last word is any user; there are no regular expressions.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Errors, Place, Problem, quoted};
use crate::hba::{Fault, Token, tokens};
use crate::source::Source;
use crate::text;

/// Largest file: far above any real one.
const BYTES_MAX: usize = 1 << 20;
/// Most lines that say something.
const LINES_MAX: usize = 10_000;

/// The maps of a file, by their names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ident {
    maps: Vec<(String, Arc<IdentMap>)>,
}

/// The lines of one map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct IdentMap {
    /// System user, and who it may be; `None`: anybody.
    lines: Vec<(String, Option<String>)>,
}

impl IdentMap {
    /// Who of the system may be this user.
    pub fn system_names(&self, user: &str) -> Vec<&str> {
        let may = |other: &Option<String>| other.as_deref().is_none_or(|name| name == user);
        let fit = self.lines.iter().filter(|(_, other)| may(other));
        fit.map(|(system, _)| system.as_str()).collect()
    }
}

impl Ident {
    /// The map of this name.
    pub fn map(&self, name: &str) -> Option<Arc<IdentMap>> {
        let found = self.maps.iter().find(|(known, _)| known == name);
        found.map(|(_, map)| Arc::clone(map))
    }

    fn put(&mut self, line: (String, String, Option<String>)) {
        let (map, system, user) = line;
        let known = self.maps.iter_mut().find(|(name, _)| *name == map);
        match known {
            Some((_, lines)) => Arc::make_mut(lines).lines.push((system, user)),
            None => {
                let lines = vec![(system, user)];
                self.maps.push((map, Arc::new(IdentMap { lines })));
            }
        }
    }
}

/// Reads a file of maps. `place`: where the settings name it. No line is shown:
/// another file that was named by mistake may hold secrets.
pub(crate) fn read(
    file: &Path,
    source: &dyn Source,
    place: Option<Place>,
) -> Result<Ident, Errors> {
    let rules = crate::hba::RulesOf(source);
    let text = text::read(file, &rules, BYTES_MAX, "the file of ident maps", place)?;
    let (mut ident, mut errors, mut said) = (Ident::default(), Errors::default(), 0);
    for (index, line) in text.split('\n').enumerate() {
        if errors.full() {
            break;
        }
        let mut wrong = |at: usize, problem: Problem| {
            let column = line.get(..at).unwrap_or_default().chars().count() + 1;
            errors.push(problem.at(Place::unseen(file, index + 1, column)));
        };
        match tokens(line).and_then(|words| entry(&words)) {
            Ok(None) => {}
            Ok(Some(_)) if said >= LINES_MAX => {
                wrong(
                    0,
                    Problem::new(format!("more than {LINES_MAX} lines of maps")),
                );
                break;
            }
            Ok(Some(entry)) => {
                said += 1;
                ident.put(entry);
            }
            Err((span, problem)) => wrong(span.start, problem),
        }
    }
    errors.or(ident)
}

/// One line; `None`: empty or a comment.
fn entry(words: &[Token]) -> Result<Option<(String, String, Option<String>)>, Fault> {
    let form = "write map, system user and database user, with blanks between";
    let (map, system, user) = match words {
        [] => return Ok(None),
        [map, system, user] => (map, system, user),
        [.., last] => {
            let problem = Problem::new(format!("expected three words, found {}", words.len()));
            return Err((last.at.clone(), problem.help(form)));
        }
    };
    for word in [map, system, user] {
        let text = word.text.as_str();
        let special = text.starts_with('/') || (!word.quoted && text.starts_with(['+', '@']));
        let problem = match text {
            "," if !word.quoted => Problem::new("lists are not read here").help(form),
            "" => Problem::new("an empty name").help(form),
            "include" | "include_if_exists" | "include_dir" if word == map && !word.quoted => {
                Problem::new("other files of maps are not included, as in PgBouncer")
                    .help("write the lines into this file")
            }
            _ if special => Problem::new(format!("{} is not read, as in PgBouncer", quoted(text)))
                .why("regular expressions, members of roles and files are PostgreSQL's alone")
                .help("write a line for each name"),
            _ => continue,
        };
        return Err((word.at.clone(), problem));
    }
    let anybody = user.is("all");
    let user = (!anybody).then(|| user.text.clone());
    Ok(Some((map.text.clone(), system.text.clone(), user)))
}
