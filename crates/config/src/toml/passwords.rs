//! The password of a database or a user, from wherever it is kept.

use std::ops::Range;
use std::time::Duration;

use super::{Reader, entries};
use crate::error::{Problem, quoted};
use crate::plan::{Secret, SecretCommand, SecretRef};
use crate::secrets;
use toml_edit::{Item, TableLike, Value};

/// The ways to give a password. One at most.
pub(super) const SECRET_KEYS: [&str; 4] = [
    "password",
    "password_file",
    "password_env",
    "password_command",
];
/// How long the answer of `password_command` is good.
pub(super) const TTL_KEY: &str = "password_ttl";
/// A shorter one would run the command all the time.
const TTL_MIN: Duration = Duration::from_secs(10);
/// Most words of a command.
const WORDS_MAX: usize = 100;

type Found = (Option<Secret>, Option<SecretRef>);

impl Reader<'_> {
    pub(super) fn secret(&mut self, table: &dyn TableLike) -> Found {
        let given: Vec<_> = entries(table)
            .filter(|(name, ..)| SECRET_KEYS.contains(name))
            .collect();
        if let Some((_, second, _)) = given.get(1) {
            let problem = Problem::new("the password is given in two ways");
            let help = "keep one of password, password_file, password_env, password_command";
            self.error(second.span(), problem.help(help));
            return (None, None);
        }
        let ttl = self.ttl(table, given.first().map(|(name, ..)| *name));
        let Some((name, key, item)) = given.first() else {
            return (None, None);
        };
        let span = key.span();
        let from = match self.reference(name, item, ttl) {
            Ok(from) => from,
            Err(problem) => {
                self.error(span, problem);
                return (None, None);
            }
        };
        let secret = match &from {
            None => Some(item.as_str().unwrap_or_default().to_owned()),
            Some(from) => self.referenced(from, span.clone()),
        };
        match secret {
            Some(text) if text.is_empty() => {
                let problem = Problem::new(format!("{name} gives an empty password"));
                let help = "leave the key out if there is no password";
                self.error(span, problem.help(help));
                (None, None)
            }
            Some(text) => (Some(Secret(text)), from),
            None => (None, None),
        }
    }

    /// Where the password is kept; `None`: here.
    fn reference(
        &self,
        name: &str,
        item: &Item,
        ttl: Option<Duration>,
    ) -> Result<Option<SecretRef>, Problem> {
        if name == "password_command" {
            let argv = argv(item)?;
            return Ok(Some(SecretRef::Command(SecretCommand { argv, ttl })));
        }
        let Some(text) = item.as_str() else {
            return Err(Problem::new(format!("{name} is no text")).help("put it in double quotes"));
        };
        Ok(match name {
            "password_file" => Some(SecretRef::File(self.beside(text))),
            "password_env" => Some(SecretRef::Env(text.to_owned())),
            _ => None,
        })
    }

    fn referenced(&mut self, from: &SecretRef, span: Option<Range<usize>>) -> Option<String> {
        let place = self.lines.place(span.unwrap_or(0..0));
        match secrets::read_reference(from, self.source, Some(place)) {
            Ok(secret) => Some(secret.0),
            Err(errors) => {
                self.draft.errors.append(errors);
                None
            }
        }
    }

    fn ttl(&mut self, table: &dyn TableLike, way: Option<&str>) -> Option<Duration> {
        let (_, key, item) = entries(table).find(|(name, ..)| *name == TTL_KEY)?;
        if way != Some("password_command") {
            let problem = Problem::new("password_ttl stands without password_command");
            let help = "files are watched and need none; a variable never changes";
            self.error(key.span(), problem.help(help));
            return None;
        }
        let time = item.as_str().and_then(|t| crate::value::duration(t).ok());
        if time.is_none_or(|t| t < TTL_MIN) {
            let problem = Problem::new("expected a duration of 10s or more");
            let help = "write for example \"15min\": how long what the command prints is good";
            self.error(item.span().or_else(|| key.span()), problem.help(help));
            return None;
        }
        time
    }
}

/// A list of words, or a text that needs no shell to be split.
fn argv(item: &Item) -> Result<Vec<String>, Problem> {
    let list = "write a list: [\"/usr/bin/program\", \"first argument\"]";
    let words: Option<Vec<String>> = match item.as_value() {
        Some(Value::String(text)) => {
            let plain = |c: char| !"'\"\\$`|&;<>(){}*?~#!\n".contains(c);
            if !text.value().chars().all(plain) {
                return Err(Problem::new(
                    "password_command has characters that only a shell would read",
                )
                .why("no shell reads it")
                .help(list));
            }
            Some(text.value().split_whitespace().map(str::to_owned).collect())
        }
        Some(Value::Array(array)) => array
            .iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    let words = words.ok_or_else(|| {
        Problem::new("password_command is no list of texts, and no text").help(list)
    })?;
    let fits = |w: &String| w.len() <= 4096 && !w.contains('\0');
    match words.first() {
        Some(program) if !program.is_empty() => {}
        _ => return Err(Problem::new("password_command names no program").help(list)),
    }
    if words.len() > WORDS_MAX || !words.iter().all(fits) {
        let problem = Problem::new(format!(
            "password_command has more than {WORDS_MAX} words, or one that is too long"
        ));
        return Err(problem.help(list));
    }
    Ok(words)
}

/// For errors of [`secrets::read_reference`].
pub(crate) fn variable_unset(name: &str) -> Problem {
    Problem::new(format!(
        "the environment variable {} is not set",
        quoted(name)
    ))
    .help("set it where the pooler is started")
}
