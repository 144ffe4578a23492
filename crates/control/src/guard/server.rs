//! A database server's own settings: what its files say, what runs, what waits
//! for a reload or a restart. Pure: the caller asks the server.

use super::mask::{Dialect, masked_line};
use serde::Serialize;
use std::fmt::Write;

/// A row of `pg_settings`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// What runs, in `unit`.
    pub setting: String,
    /// `8kB`, `ms` …; may be empty.
    pub unit: String,
    /// `bool`, `integer`, `real`, `string`, `enum`.
    pub vartype: String,
    /// `postmaster`: a restart; `sighup` and others: a reload.
    pub context: String,
    /// From where it comes.
    pub source: String,
    /// The file, where this user may see it.
    pub sourcefile: String,
    /// Its line there.
    pub sourceline: String,
    /// A file says something else, and only a restart brings it.
    pub pending_restart: bool,
}

/// A row of `pg_file_settings`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The file.
    pub sourcefile: String,
    /// The line.
    pub sourceline: String,
    /// The setting; empty where the line could not be read.
    pub name: String,
    /// Its value as written.
    pub setting: String,
    /// The last line for this name, and without fault.
    pub applied: bool,
    /// Why the server cannot take it.
    pub error: Option<String>,
}

/// What a server said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// `db.internal:5432/shop`: no user, no password.
    pub label: String,
    /// Its settings.
    pub running: Vec<Running>,
    /// What its files say; `None`: this user may not read that.
    pub written: Option<Vec<Written>>,
}

/// What a value that does not run waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum For {
    /// `SELECT pg_reload_conf()`.
    Reload,
    /// A restart of the server.
    Restart,
    /// A correct line: the server refuses this one, and at a reload all others too.
    Correction,
}

/// A setting whose file says other than what runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Waiting {
    /// Its name.
    pub name: String,
    /// For what.
    pub waits_for: For,
    /// One sentence, without secrets.
    pub words: String,
}

impl Server {
    /// Its settings that are not defaults, one a line, without secrets: what a
    /// version of a server is.
    pub fn listing(&self) -> String {
        let skipped = [
            "default",
            "override",
            "client",
            "session",
            "interactive",
            "test",
        ];
        let mut lines: Vec<String> = self
            .running
            .iter()
            .filter(|s| !skipped.contains(&s.source.as_str()) && !is_own(&s.name))
            .map(|s| {
                let value = format!("{} = '{}'", s.name, with_unit(&s.setting, &s.unit));
                format!("{} # {}", shown(&value), s.source)
            })
            .collect();
        lines.sort();
        let mut out = String::new();
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// What is written and does not run.
    pub fn waiting(&self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = Vec::new();
        let written = self.written.as_deref().unwrap_or_default();
        for row in self.running.iter().filter(|row| row.pending_restart) {
            let line = written.iter().rfind(|w| w.name == row.name);
            all.push(restart(row, line));
        }
        for line in written {
            let row = self
                .running
                .iter()
                .find(|row| row.name.eq_ignore_ascii_case(&line.name));
            if all.iter().any(|w| w.name.eq_ignore_ascii_case(&line.name)) {
                continue;
            }
            match (&line.error, row) {
                (Some(why), Some(row)) if why.contains("could not be applied") => {
                    all.push(restart(row, Some(line)));
                }
                (Some(why), _) => all.push(Waiting {
                    name: line.name.clone(),
                    waits_for: For::Correction,
                    words: format!("{} is refused by the server: {}", placed(line), shown(why)),
                }),
                (None, Some(row)) if line.applied && differs(line, row) => {
                    let now = format!("{} = '{}'", row.name, with_unit(&row.setting, &row.unit));
                    all.push(Waiting {
                        name: row.name.clone(),
                        waits_for: For::Reload,
                        words: format!(
                            "{} is written, {} runs: SELECT pg_reload_conf() brings it",
                            placed(line),
                            shown(&now)
                        ),
                    });
                }
                _ => {}
            }
        }
        all.sort();
        all
    }

    /// What each of these settings needs to run, after it was written.
    pub fn needs(&self, names: &[String]) -> Vec<Waiting> {
        let mut all = Vec::new();
        for name in names {
            let row = self
                .running
                .iter()
                .find(|row| row.name.eq_ignore_ascii_case(name));
            let (waits_for, words) = match row.map(|row| row.context.as_str()) {
                Some("postmaster") => (
                    For::Restart,
                    format!("{name} runs after a restart of the server"),
                ),
                Some("internal") => continue,
                Some(_) => (
                    For::Reload,
                    format!("{name} runs after SELECT pg_reload_conf()"),
                ),
                None => (
                    For::Correction,
                    format!("{name} is no setting of this server: it refuses the file"),
                ),
            };
            all.push(Waiting {
                name: name.clone(),
                waits_for,
                words,
            });
        }
        all.sort_by(|a, b| (b.waits_for, &a.name).cmp(&(a.waits_for, &b.name)));
        all
    }

    /// Files that the server reads.
    pub fn files(&self) -> Vec<String> {
        let running = self.running.iter().map(|row| &row.sourcefile);
        let written = self.written.iter().flatten().map(|row| &row.sourcefile);
        let mut all: Vec<String> = running.chain(written).cloned().collect();
        all.sort();
        all.dedup();
        all.retain(|file| !file.is_empty());
        all
    }
}

fn restart(row: &Running, line: Option<&Written>) -> Waiting {
    let now = shown(&format!(
        "{} = '{}'",
        row.name,
        with_unit(&row.setting, &row.unit)
    ));
    let words = match line {
        Some(line) => format!(
            "{} is written, {now} runs: a restart of the server brings it",
            placed(line)
        ),
        None => {
            format!("{now} runs, its file says something else: a restart of the server brings it")
        }
    };
    Waiting {
        name: row.name.clone(),
        waits_for: For::Restart,
        words,
    }
}

fn placed(line: &Written) -> String {
    let value = format!("{} = '{}'", line.name, line.setting);
    format!(
        "{} ({}:{})",
        shown(&value),
        line.sourcefile,
        line.sourceline
    )
}

/// This very session's.
fn is_own(name: &str) -> bool {
    matches!(name, "application_name" | "client_encoding")
}

fn with_unit(setting: &str, unit: &str) -> String {
    match unit.starts_with(|c: char| c.is_ascii_digit()) {
        // 16384 of 8kB.
        true if !setting.starts_with('-') => format!("{setting} × {unit}"),
        _ => format!("{setting}{unit}"),
    }
}

/// A line without secrets, bounded.
fn shown(line: &str) -> String {
    super::difference::clean(&masked_line(line, Dialect::Postgres))
}

/// What is written is certainly not what runs. A role's or a command line's own
/// value stands above the file's: then nothing is said.
fn differs(line: &Written, row: &Running) -> bool {
    matches!(row.source.as_str(), "default" | "configuration file")
        && same_value(&line.setting, row) == Some(false)
}

/// Whether a written value is the one that runs; `None`: it cannot be told.
pub fn same_value(written: &str, row: &Running) -> Option<bool> {
    let written = written.trim();
    match row.vartype.as_str() {
        "bool" => Some(switch(written)? == switch(&row.setting)?),
        "integer" | "real" => {
            let base = factor(&row.unit)?;
            let running: f64 = row.setting.parse().ok()?;
            let value = number(written, base, is_memory(&row.unit))?;
            let close = match row.vartype == "integer" {
                // The server rounds to its unit.
                true => (value - running).abs() <= 0.5,
                false => (value - running).abs() <= running.abs() * 1e-6 + 1e-12,
            };
            Some(close)
        }
        "enum" => match (switch(written), switch(&row.setting)) {
            (Some(a), Some(b)) => Some(a == b),
            // A value may have two names; one more look is not worth a false alarm.
            _ if written.eq_ignore_ascii_case(&row.setting) => Some(true),
            _ if ["wal_level", "archive_mode"].contains(&row.name.as_str()) => None,
            _ => Some(false),
        },
        _ => {
            let bare = |text: &str| text.replace([' ', '"', '\''], "").to_lowercase();
            Some(bare(written) == bare(&row.setting))
        }
    }
}

/// `on` and its like, shortened as the server allows.
fn switch(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    match text.as_str() {
        "1" => Some(true),
        "0" => Some(false),
        _ if begins("true", 1) || begins("yes", 1) || begins("on", 2) => Some(true),
        _ if begins("false", 1) || begins("no", 1) || begins("off", 2) => Some(false),
        _ => None,
    }
}

fn is_memory(unit: &str) -> bool {
    unit.ends_with('B')
}

/// Bytes or microseconds of a unit; 1 without one.
fn factor(unit: &str) -> Option<f64> {
    let digits = unit.bytes().take_while(u8::is_ascii_digit).count();
    let (times, name) = unit.split_at(digits);
    let times = match times.is_empty() {
        true => 1.0,
        false => times.parse::<f64>().ok()?,
    };
    let one = match name {
        "" | "B" | "us" => 1.0,
        "kB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "ms" => 1e3,
        "s" => 1e6,
        "min" => 60e6,
        "h" => 3600e6,
        "d" => 86_400e6,
        _ => return None,
    };
    Some(times * one)
}

/// A written number in units of `base`.
fn number(written: &str, base: f64, memory: bool) -> Option<f64> {
    let end = written
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(written.len());
    let (digits, unit) = written.split_at(end);
    let value: f64 = digits.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() || value < 0.0 {
        return Some(value);
    }
    let of_memory = unit.ends_with('B');
    if of_memory != memory {
        return None;
    }
    Some(value * factor(unit)? / base)
}

/// Names that two postgresql.conf texts set differently.
pub fn changed_names(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (pairs(old), pairs(new));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .cloned()
        .collect()
}

fn pairs(text: &str) -> std::collections::BTreeMap<String, String> {
    let mut all = std::collections::BTreeMap::new();
    for line in text.lines().map(str::trim) {
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with("include") {
            continue;
        }
        let value = rest.trim_start().trim_start_matches('=').trim();
        let value = match value.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap_or(""),
            None => value.split('#').next().unwrap_or("").trim(),
        };
        all.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, setting: &str, unit: &str, vartype: &str, context: &str) -> Running {
        Running {
            name: name.into(),
            setting: setting.into(),
            unit: unit.into(),
            vartype: vartype.into(),
            context: context.into(),
            source: "configuration file".into(),
            ..Running::default()
        }
    }

    fn line(name: &str, setting: &str, error: Option<&str>) -> Written {
        Written {
            sourcefile: "/e/postgresql.conf".into(),
            sourceline: "7".into(),
            name: name.into(),
            setting: setting.into(),
            applied: error.is_none(),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn values_are_the_same_in_any_unit() {
        let table = [
            ("integer", "16384", "8kB", "128MB", Some(true)),
            ("integer", "16384", "8kB", "16384", Some(true)),
            ("integer", "16384", "8kB", "1GB", Some(false)),
            ("integer", "30000", "ms", "30s", Some(true)),
            ("integer", "30000", "ms", "0.5min", Some(true)),
            ("integer", "30000", "ms", "31s", Some(false)),
            ("integer", "-1", "kB", "-1", Some(true)),
            ("integer", "300", "s", "5min", Some(true)),
            ("integer", "300", "s", "5MB", None),
            ("integer", "100", "", "100", Some(true)),
            ("real", "0.9", "", "0.90", Some(true)),
            ("real", "4", "", "1.1", Some(false)),
            ("bool", "on", "", "TRUE", Some(true)),
            ("bool", "off", "", "of", Some(true)),
            ("bool", "on", "", "o", None),
            ("enum", "replica", "", "REPLICA", Some(true)),
            ("enum", "on", "", "yes", Some(true)),
            ("enum", "local", "", "remote_apply", Some(false)),
            ("string", "ISO, MDY", "", "iso, mdy", Some(true)),
            ("string", "a", "", "b", Some(false)),
        ];
        for (vartype, setting, unit, written, same) in table {
            let row = row("x", setting, unit, vartype, "sighup");
            assert_eq!(same_value(written, &row), same, "{setting}{unit} {written}");
        }
    }

    #[test]
    fn what_waits_says_for_what() {
        let mut pending = row("max_connections", "100", "", "integer", "postmaster");
        pending.pending_restart = true;
        let server = Server {
            label: "h:5432/d".into(),
            running: vec![
                pending,
                row("shared_buffers", "16384", "8kB", "integer", "postmaster"),
                row("work_mem", "4096", "kB", "integer", "user"),
                row("statement_timeout", "0", "ms", "integer", "user"),
                row(
                    "primary_conninfo",
                    "host=a password=hunter2",
                    "",
                    "string",
                    "sighup",
                ),
            ],
            written: Some(vec![
                line(
                    "max_connections",
                    "300",
                    Some("setting could not be applied"),
                ),
                line(
                    "shared_buffers",
                    "1GB",
                    Some("setting could not be applied"),
                ),
                line("work_mem", "4MB", None),
                line("statement_timeout", "30s", None),
                line("no_such", "1", Some("unrecognized configuration parameter")),
                line("primary_conninfo", "host=b password=hunter3", None),
            ]),
        };
        let waiting = server.waiting();
        let short: Vec<(&str, For)> = waiting
            .iter()
            .map(|w| (w.name.as_str(), w.waits_for))
            .collect();
        assert_eq!(
            short,
            [
                ("max_connections", For::Restart),
                ("no_such", For::Correction),
                ("primary_conninfo", For::Reload),
                ("shared_buffers", For::Restart),
                ("statement_timeout", For::Reload),
            ]
        );
        assert_eq!(
            waiting[0].words,
            "max_connections = '300' (/e/postgresql.conf:7) is written, max_connections = '100' runs: a restart of the server brings it"
        );
        let all = format!("{waiting:?}{}", server.listing());
        assert!(!all.contains("hunter"), "{all}");
        assert!(
            server
                .listing()
                .contains("shared_buffers = '16384 × 8kB' # configuration file\n")
        );
        let needs = server.needs(&["work_mem".into(), "shared_buffers".into(), "typo".into()]);
        let needs: Vec<For> = needs.iter().map(|w| w.waits_for).collect();
        assert_eq!(needs, [For::Correction, For::Restart, For::Reload]);
    }

    #[test]
    fn names_of_what_was_changed() {
        let old = "a = 1 # x\nb = 'x # y'\n# c = 1\nD 4\n";
        let new = "a = 1\nb = 'x # z'\nc = 1\nd = 4\n";
        assert_eq!(changed_names(old, new), ["b", "c"]);
    }
}
