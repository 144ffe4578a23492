//! The databases or the users that a rule is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::tokens::{Fault, Token, tokens};
use crate::error::{Place, Problem, quoted};
use crate::source::Source;
use crate::text;

/// Most names of one field, those of its files included.
const NAMES_MAX: usize = 10_000;
/// Most files with names that name each other in a row.
const DEPTH_MAX: usize = 10;
/// Most files with names of one field.
const FILES_MAX: usize = 100;
/// Largest file with names.
const BYTES_MAX: usize = 1 << 20;

/// One field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Names {
    all: bool,
    same_user: bool,
    replication: bool,
    listed: BTreeSet<String>,
}

impl Names {
    /// `name` is meant. `other`: the user when databases are asked, and the other way round.
    pub fn has(&self, name: &str, other: &str) -> bool {
        self.all || (self.same_user && name == other) || self.listed.contains(name)
    }

    /// Physical replication is meant; `all` does not mean it.
    pub fn replication(&self) -> bool {
        self.replication
    }
}

/// Which of the two fields it is: some words mean something in one only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Databases,
    Users,
}

/// Reads fields and the files that they name.
pub(super) struct Reader<'a> {
    pub source: &'a dyn Source,
    pub field: Field,
    pub names: Names,
    pub files: usize,
}

impl Reader<'_> {
    /// A list with commas from `words[*at]` on, in a line of `file`; moves `at` behind it.
    pub fn list(&mut self, words: &[Token], at: &mut usize, file: &Path) -> Result<(), Fault> {
        self.nested(words, at, &mut vec![file.to_owned()])
    }

    fn nested(
        &mut self,
        words: &[Token],
        at: &mut usize,
        stack: &mut Vec<PathBuf>,
    ) -> Result<(), Fault> {
        loop {
            let what = match self.field {
                Field::Databases => "a database",
                Field::Users => "a user",
            };
            let Some(word) = words.get(*at).filter(|w| !w.is(",")) else {
                let end = words.last().map_or(0, |w| w.at.end);
                let span = words.get(*at).map_or(end..end, |w| w.at.clone());
                let problem = Problem::new(format!("expected {what} here"));
                return Err((span, problem.help("write a name, a list `a,b`, or all")));
            };
            *at += 1;
            match word.text.strip_prefix('@').filter(|_| !word.quoted) {
                Some(name) => self.file(name, word, stack)?,
                None => self.word(word)?,
            }
            if !words.get(*at).is_some_and(|w| w.is(",")) {
                return Ok(());
            }
            *at += 1;
        }
    }

    fn word(&mut self, word: &Token) -> Result<(), Fault> {
        let databases = self.field == Field::Databases;
        match word.text.as_str() {
            "all" if !word.quoted => self.names.all = true,
            "sameuser" if !word.quoted && databases => self.names.same_user = true,
            "replication" if !word.quoted && databases => self.names.replication = true,
            "samerole" | "samegroup" if !word.quoted && databases => {
                return Err(fault(word, "a pooler does not know the members of roles"));
            }
            text if !word.quoted && text.starts_with('+') => {
                return Err(fault(word, "a pooler does not know the members of roles"));
            }
            text if !word.quoted && text.starts_with('/') => {
                let why = "PostgreSQL 16 reads it as a regular expression, PgBouncer as a name";
                return Err(fault(word, why));
            }
            text => {
                if self.names.listed.len() >= NAMES_MAX {
                    let problem = Problem::new(format!("more than {NAMES_MAX} names"));
                    return Err((word.at.clone(), problem));
                }
                self.names.listed.insert(text.to_owned());
            }
        }
        Ok(())
    }

    /// `@file`: its path starts where the file is that names it.
    fn file(&mut self, name: &str, word: &Token, stack: &mut Vec<PathBuf>) -> Result<(), Fault> {
        let at = |problem: Problem| (word.at.clone(), problem);
        let beside = stack.last().and_then(|file| file.parent());
        let path = beside.map_or_else(|| PathBuf::from(name), |dir| dir.join(name));
        if stack.contains(&path) {
            return Err(at(Problem::new("this file includes itself")));
        }
        if stack.len() > DEPTH_MAX || self.files >= FILES_MAX {
            return Err(at(Problem::new("too many files with names").help(format!(
                "at most {FILES_MAX}, of which {DEPTH_MAX} in a row"
            ))));
        }
        self.files += 1;
        // It is told where the outer file names it, with what is wrong in it.
        let inner = |errors: crate::Errors| match errors.list().first() {
            Some(e) => Problem {
                message: e.message.clone(),
                why: e.why.clone(),
                help: e.help.clone(),
            },
            None => Problem::new("unreadable"),
        };
        let place = Place::unseen(&path, 0, 0);
        let source = RulesOf(self.source);
        let text = text::read(
            &path,
            &source,
            BYTES_MAX,
            "the file with names",
            Some(place),
        )
        .map_err(|errors| at(inner(errors)))?;
        stack.push(path.clone());
        for (index, line) in text.split('\n').enumerate() {
            let here = |(_, problem): Fault| {
                at(Problem {
                    message: format!("{}:{}: {}", path.display(), index + 1, problem.message),
                    ..problem
                })
            };
            let words = tokens(line).map_err(here)?;
            let mut next = 0;
            // PgBouncer takes one list of each line, and forgets what follows it.
            while next < words.len() {
                self.nested(&words, &mut next, stack).map_err(here)?;
            }
        }
        stack.pop();
        Ok(())
    }
}

/// Reads rules where settings would be read.
pub(crate) struct RulesOf<'a>(pub &'a dyn Source);

impl Source for RulesOf<'_> {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.0.read_rules(path)
    }
}

fn fault(word: &Token, why: &str) -> Fault {
    let problem = Problem::new(format!(
        "{} is not read, as in PgBouncer",
        quoted(&word.text)
    ));
    let help = "name the databases or users; in double quotes it is a plain name";
    (word.at.clone(), problem.why(why).help(help))
}
