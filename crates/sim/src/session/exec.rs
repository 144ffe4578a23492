//! The simulator's statements.

use super::facts::{Facts, NAMES, Var, var};
use super::{Fail, Session, Step, Tx, complete, fail};
use std::fmt::Write as _;
use std::rc::Rc;
use wire::back::{self, TEXT};

/// Whether the text is a statement of the language.
pub(super) fn parses(text: &str) -> bool {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    const VERBS: [&str; 21] = [
        "select",
        "insert",
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "release",
        "set",
        "reset",
        "discard",
        "listen",
        "unlisten",
        "create",
        "drop",
        "prepare",
        "execute",
        "deallocate",
        "copy",
        "show",
        "end",
        "abort",
    ];
    let verb = &text[..end];
    text.is_empty() || VERBS.iter().any(|v| v.eq_ignore_ascii_case(verb))
}

/// The statement gives rows.
pub(super) fn gives_rows(text: &str) -> bool {
    starts(text, "select") || starts(text, "execute") || starts(text, "show")
}

/// It may run in a failed transaction.
fn ends_transaction(text: &str) -> bool {
    ["commit", "rollback", "end", "abort"]
        .iter()
        .any(|w| starts(text, w))
}

pub(super) fn allowed_when_failed(text: &str) -> bool {
    ends_transaction(text.trim())
}

fn starts(text: &str, word: &str) -> bool {
    text.len() >= word.len() && text.as_bytes()[..word.len()].eq_ignore_ascii_case(word.as_bytes())
}

/// What follows `word` and a space, case ignored.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    starts(text, word).then(|| text[word.len()..].trim_start())
}

/// The first quoted string of a text, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let from = text.find('\'')? + 1;
    let to = from + text[from..].find('\'')?;
    Some((&text[from..to], &text[to + 1..]))
}

/// A number up to what is not a digit.
fn number(text: &str) -> u64 {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

impl Session {
    /// Runs one statement. `Step::End` stands for "COPY in began".
    pub(super) fn exec(
        &mut self,
        text: &str,
        param: Option<&str>,
        alone: bool,
        describe: bool,
        out: &mut Vec<u8>,
    ) -> Result<Step, Fail> {
        if self.tx == Tx::Failed && !ends_transaction(text) {
            return fail("25P02", "current transaction is aborted");
        }
        if let Some(rest) = after(text, "select") {
            return self.select(rest, param, describe, out);
        }
        if let Some(rest) = after(text, "execute") {
            let Some(body) = self.lasting.prepared.get(rest.trim()).cloned() else {
                return fail("26000", "prepared statement does not exist");
            };
            return self.select(after(&body, "select").unwrap_or(""), param, describe, out);
        }
        if let Some(rest) = after(text, "copy") {
            return copy(rest, out);
        }
        let tag = match after(text, "insert into t values (") {
            Some(rest) => {
                self.inserts.push(number(rest));
                "INSERT 0 1"
            }
            None => self.command(text, alone)?,
        };
        complete(out, tag);
        Ok(Step::Done)
    }

    fn select(
        &mut self,
        rest: &str,
        param: Option<&str>,
        describe: bool,
        out: &mut Vec<u8>,
    ) -> Result<Step, Fail> {
        if starts(rest, "1/0") {
            return fail("22012", "division by zero");
        }
        if starts(rest, "\"plimsoll refused this\"") {
            return fail("42703", "column does not exist");
        }
        let head = |out: &mut Vec<u8>| {
            if describe {
                back::row_description(out, &[("c", TEXT)]);
            }
        };
        if let Some(args) = after(rest, "rows(") {
            head(out);
            let (count, len) = args.split_once(',').unwrap_or((args, "1"));
            let (count, len) = (number(count), number(len.trim()) as usize);
            for i in 0..count {
                row(out, &big(i, len));
            }
            complete(out, &format!("SELECT {count}"));
            return Ok(Step::Done);
        }
        if let Some(args) = after(rest, "pg_sleep(") {
            head(out);
            row(out, "");
            return Ok(Step::Sleep(number(args).max(1)));
        }
        let value: Rc<str> = if let Some(args) = after(rest, "current_setting(") {
            let name = quoted(args).map_or("", |(n, _)| n);
            match var(name) {
                Some(i) => Rc::clone(self.value(i)),
                None => return fail("42704", "unrecognized configuration parameter"),
            }
        } else if starts(rest, "sim_state()") {
            self.state().into()
        } else if let Some(args) =
            after(rest, "set_config(").or_else(|| after(rest, "pg_catalog.set_config("))
        {
            self.set_config(args)?
        } else if let Some(args) = after(rest, "pg_advisory_lock(") {
            let key = args.split(')').next().unwrap_or("");
            *Rc::make_mut(&mut self.lasting)
                .locks
                .entry(key.into())
                .or_default() += 1;
            "".into()
        } else if let Some(args) = after(rest, "pg_advisory_unlock(") {
            self.unlock(args.split(')').next().unwrap_or("")).into()
        } else {
            match param {
                Some(p) => format!("{rest}|{p}").into(),
                None => quoted(rest).map_or(rest, |(q, _)| q).into(),
            }
        };
        head(out);
        row(out, &value);
        complete(out, "SELECT 1");
        Ok(Step::Done)
    }

    fn unlock(&mut self, key: &str) -> &'static str {
        let locks = &mut Rc::make_mut(&mut self.lasting).locks;
        match locks.get_mut(key) {
            Some(1) => {
                locks.remove(key);
                "t"
            }
            Some(n) => {
                *n -= 1;
                "t"
            }
            None => "f",
        }
    }

    fn set_config(&mut self, args: &str) -> Result<Rc<str>, Fail> {
        let (Some((name, rest)), local) = (quoted(args), args.contains("true")) else {
            return fail("42601", "syntax error");
        };
        let Some((value, _)) = quoted(rest) else {
            return fail("42601", "syntax error");
        };
        self.set(name, Some(value), local)?;
        Ok(value.into())
    }

    fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<(), Fail> {
        let Some(i) = var(name.trim_matches('"')) else {
            return fail("42704", "unrecognized configuration parameter");
        };
        if value == Some("invalid") {
            return fail("22023", "invalid value for parameter");
        }
        let vars = &mut Rc::make_mut(&mut self.facts).vars;
        if NAMES[i].0 == "session_authorization" && !self.keeps_parameters {
            // Whoever becomes somebody else has no role any more.
            let role = &mut vars[i - 1];
            match local {
                true => role.local = Some("none".into()),
                false => *role = Var::default(),
            }
        }
        let var = &mut vars[i];
        match (value, local) {
            (Some(v), true) => var.local = Some(v.into()),
            (v, _) => {
                *var = Var {
                    session: v.map(Into::into),
                    local: None,
                }
            }
        }
        Ok(())
    }

    /// The statements without rows; gives the command tag.
    pub(super) fn command(&mut self, text: &str, alone: bool) -> Result<&'static str, Fail> {
        if let Some(tag) = self.transaction(text)? {
            return Ok(tag);
        }
        if let Some(rest) = after(text, "set ") {
            return self.set_statement(rest);
        }
        if let Some(rest) = after(text, "reset ") {
            match rest.trim() {
                "ALL" => self.reset_all(false),
                "TIME ZONE" => self.set("timezone", None, false)?,
                "SESSION AUTHORIZATION" => self.set("session_authorization", None, false)?,
                _ if self.keeps_parameters => {}
                name => self.set(name, None, false)?,
            }
            return Ok("RESET");
        }
        if let Some(rest) = after(text, "discard") {
            if rest.trim() != "ALL" {
                return fail("42601", "syntax error");
            }
            if !alone || self.tx != Tx::Implicit {
                return fail("25001", "DISCARD ALL cannot run inside a transaction block");
            }
            self.discard_all();
            return Ok("DISCARD ALL");
        }
        self.session_state(text)
    }

    fn set_statement(&mut self, rest: &str) -> Result<&'static str, Fail> {
        if let Some(value) = after(rest, "session authorization ") {
            let value = value.trim().trim_matches('\'');
            self.set("session_authorization", Some(value), false)?;
            return Ok("SET");
        }
        let (local, rest) = match after(rest, "local ") {
            Some(rest) => (true, rest),
            None => (false, after(rest, "session ").unwrap_or(rest)),
        };
        let (name, value) = if let Some(value) = after(rest, "time zone ") {
            ("timezone", value)
        } else if let Some(value) = after(rest, "role ") {
            ("role", value)
        } else if let Some((name, value)) = rest.split_once('=') {
            (name.trim(), value.trim())
        } else if let Some((name, value)) = rest.split_once(" TO ") {
            (name.trim(), value.trim())
        } else {
            return fail("42601", "syntax error");
        };
        let value = value.trim().trim_matches('\'');
        self.set(name, (value != "DEFAULT").then_some(value), local)?;
        Ok("SET")
    }

    fn reset_all(&mut self, roles: bool) {
        if self.keeps_parameters {
            return;
        }
        let facts = Rc::make_mut(&mut self.facts);
        for (i, var) in facts.vars.iter_mut().enumerate() {
            if roles || i < var_count_without_roles() {
                *var = Var::default();
            }
        }
    }

    fn discard_all(&mut self) {
        let kept = self.keeps_parameters.then(|| self.facts.vars.clone());
        *Rc::make_mut(&mut self.facts) = Facts::default();
        if let Some(vars) = kept {
            Rc::make_mut(&mut self.facts).vars = vars;
        }
        self.lasting = Rc::default();
        self.named.clear();
        self.unnamed = None;
        self.portals.clear();
        self.reset_all(true);
    }

    /// BEGIN and its like; `None` for all else.
    fn transaction(&mut self, text: &str) -> Result<Option<&'static str>, Fail> {
        if starts(text, "begin") {
            self.begin(Tx::Block);
            return Ok(Some("BEGIN"));
        }
        if starts(text, "commit") || starts(text, "end") {
            if self.tx == Tx::Failed {
                self.roll_back();
                return Ok(Some("ROLLBACK"));
            }
            self.commit();
            return Ok(Some("COMMIT"));
        }
        if let Some(name) = after(text, "rollback to ") {
            let name = name.trim();
            let found = self.points.iter().rposition(|(n, ..)| **n == *name);
            let Some(i) = found.filter(|_| matches!(self.tx, Tx::Block | Tx::Failed)) else {
                return fail("3B001", "savepoint does not exist");
            };
            self.points.truncate(i + 1);
            let (_, facts, inserts) = &self.points[i];
            self.facts = Rc::clone(facts);
            self.undone.extend(self.inserts.drain(*inserts..));
            self.tx = Tx::Block;
            return Ok(Some("ROLLBACK"));
        }
        if starts(text, "rollback") || starts(text, "abort") {
            self.roll_back();
            return Ok(Some("ROLLBACK"));
        }
        if let Some(name) = after(text, "savepoint ") {
            if self.tx != Tx::Block {
                return fail("25P01", "SAVEPOINT can only be used in transaction blocks");
            }
            let point = (
                name.trim().into(),
                Rc::clone(&self.facts),
                self.inserts.len(),
            );
            self.points.push(point);
            return Ok(Some("SAVEPOINT"));
        }
        if let Some(name) = after(text, "release ") {
            let found = self.points.iter().rposition(|(n, ..)| **n == *name.trim());
            let Some(i) = found.filter(|_| self.tx == Tx::Block) else {
                return fail("3B001", "savepoint does not exist");
            };
            self.points.truncate(i);
            return Ok(Some("RELEASE"));
        }
        Ok(None)
    }

    fn session_state(&mut self, text: &str) -> Result<&'static str, Fail> {
        if let Some(name) = after(text, "listen ") {
            Rc::make_mut(&mut self.facts)
                .listens
                .insert(name.trim().into());
            Ok("LISTEN")
        } else if let Some(name) = after(text, "unlisten ") {
            let facts = Rc::make_mut(&mut self.facts);
            match name.trim() {
                "*" => facts.listens.clear(),
                name => drop(facts.listens.remove(name)),
            }
            Ok("UNLISTEN")
        } else if let Some(name) = after(text, "create temp table ") {
            let name = name.split(' ').next().unwrap_or("");
            match Rc::make_mut(&mut self.facts).temps.insert(name.into()) {
                true => Ok("CREATE TABLE"),
                false => fail("42P07", "relation already exists"),
            }
        } else if starts(text, "create") {
            Ok("CREATE TABLE")
        } else if let Some(name) = after(text, "drop table ") {
            match Rc::make_mut(&mut self.facts).temps.remove(name.trim()) {
                true => Ok("DROP TABLE"),
                false => fail("42P01", "table does not exist"),
            }
        } else if let Some(rest) = after(text, "prepare ") {
            let (name, body) = rest.split_once(" AS ").unwrap_or((rest, ""));
            if self.lasting.prepared.contains_key(name) {
                return fail("42P05", "prepared statement already exists");
            }
            let all = &mut Rc::make_mut(&mut self.lasting).prepared;
            all.insert(name.into(), body.into());
            Ok("PREPARE")
        } else if let Some(name) = after(text, "deallocate ") {
            self.deallocate(name.trim())
        } else {
            fail("42601", "syntax error")
        }
    }

    fn deallocate(&mut self, name: &str) -> Result<&'static str, Fail> {
        if name == "ALL" {
            Rc::make_mut(&mut self.lasting).prepared.clear();
            self.named.clear();
            return Ok("DEALLOCATE ALL");
        }
        if self.named.remove(name.as_bytes()).is_some()
            || (self.lasting.prepared.contains_key(name)
                && Rc::make_mut(&mut self.lasting)
                    .prepared
                    .remove(name)
                    .is_some())
        {
            return Ok("DEALLOCATE");
        }
        fail("26000", "prepared statement does not exist")
    }

    /// All session state in one line: what a client of a pooler must find as it left it.
    fn state(&self) -> String {
        let mut text = String::new();
        for (i, (name, ..)) in NAMES.iter().enumerate() {
            let _ = write!(text, "{name}={};", self.value(i));
        }
        let facts = &self.facts;
        let _ = write!(
            text,
            "L{:?}T{:?}A{:?}P{:?}",
            facts.listens, facts.temps, self.lasting.locks, self.lasting.prepared
        );
        text
    }
}

fn copy(rest: &str, out: &mut Vec<u8>) -> Result<Step, Fail> {
    if rest.contains("FROM STDIN") {
        back::copy_in_response(out, false, 1);
        return Ok(Step::End);
    }
    back::copy_out_response(out, false, 1);
    let count = number(rest.trim_start_matches(|c: char| !c.is_ascii_digit()));
    for i in 0..count {
        back::copy_data(out, big(i, 20).as_bytes());
    }
    back::copy_done(out);
    complete(out, &format!("COPY {count}"));
    Ok(Step::Done)
}

pub(super) fn row(out: &mut Vec<u8>, value: &str) {
    back::data_row(out, &[Some(value.as_bytes())]);
}

/// A value of a certain length, different for each row.
pub(super) fn big(i: u64, len: usize) -> String {
    let mut text = format!("{i}:");
    while text.len() < len {
        text.push_str("abcdefghijklmnop");
    }
    text
}

/// Roles stand last in [`NAMES`]: RESET ALL leaves them as they are.
const fn var_count_without_roles() -> usize {
    NAMES.len() - 2
}
