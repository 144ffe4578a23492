//! The page that is written: lines, comments, and values as TOML has them.

use crate::plan::PoolSize;
use crate::value::{Kind, Value, words};

/// Most columns of a comment of its own.
const COLUMNS: usize = 100;

/// Text that grows from the top.
#[derive(Default)]
pub(super) struct Paper {
    out: String,
}

impl Paper {
    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// A line with a remark behind it.
    pub(super) fn remarked(&mut self, line: &str, remark: &str) {
        self.line(&format!("{line}  # {}", one_line(remark)));
    }

    /// A rule with a title, before what belongs together.
    pub(super) fn section(&mut self, title: &str) {
        self.blank();
        let rule = "-".repeat(COLUMNS.saturating_sub(title.chars().count() + 6));
        self.line(&format!("# -- {title} {rule}"));
    }

    /// A comment, broken at blanks.
    pub(super) fn say(&mut self, text: &str) {
        self.wrapped(text, "# ", "# ");
    }

    /// One of several.
    pub(super) fn point(&mut self, text: &str) {
        self.wrapped(text, "# - ", "#   ");
    }

    fn wrapped(&mut self, text: &str, first: &str, next: &str) {
        let text = one_line(text);
        let mut line = first.to_owned();
        let mut begun = false;
        for word in text.split(' ') {
            if begun && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.line(&std::mem::replace(&mut line, next.to_owned()));
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        self.line(line.trim_end());
    }
}

/// What stands in a comment cannot begin a line of its own.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// A text as TOML writes it on one line.
pub(super) fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name as a key of TOML.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => text(name),
    }
}

/// A name as one of a file: `*` becomes `any`.
pub(super) fn file_name(name: &str) -> String {
    if name == "*" {
        return "any".to_owned();
    }
    let kept = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') => c,
        _ => '_',
    };
    let name: String = name.chars().map(kept).take(64).collect();
    match name.is_empty() {
        true => "database".to_owned(),
        false => name,
    }
}

/// A value as TOML writes it; `None`: leaving the key out says it.
pub(super) fn value(kind: Kind, value: &Value) -> Option<String> {
    Some(match value {
        Value::Flag(_) | Value::Limit(Some(_)) | Value::PoolSize(PoolSize::Fixed(_)) => {
            words(kind, value)
        }
        Value::Count(_) if kind != Kind::Mode => words(kind, value),
        Value::Limit(None) => return None,
        Value::List(items) => list(items.iter().map(String::as_str)),
        Value::Listen(all) => {
            let all: Vec<String> = all
                .iter()
                .map(|address| words(kind, &Value::Listen(vec![address.clone()])))
                .collect();
            list(all.iter().map(String::as_str))
        }
        _ => text(&words(kind, value)),
    })
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(text).collect();
    format!("[{}]", items.join(", "))
}
