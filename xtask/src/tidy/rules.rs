//! The rules that look at one file.

use super::source::Source;
use super::{Finding, TextFile};

/// The only file where `unsafe` may stand: system calls that no crate wraps.
const UNSAFE_ALLOWED: &str = "crates/proxy/src/sys.rs";

/// The one loop in which tests look again for what they wait for.
const WAITING: &str = "e2e/src/sandbox.rs";

/// Left-overs of work, in any code. Built in two halves so that this file passes itself.
const LEFT_OVERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Directories of one person or one machine.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
];

pub(super) fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, text: &str| {
        findings.push(Finding {
            file: source.path.clone(),
            line,
            text: text.to_owned(),
        });
    };
    if !has_header(&source.text) {
        find(
            1,
            "begin the file with `//!` and a sentence that says what it is",
        );
    }
    for (number, line, is_test) in source.code_lines() {
        for name in LEFT_OVERS {
            if calls(line, name) {
                find(number, &format!("`{name}` is a left-over"));
            }
        }
        if is_test && line.contains("thread::sleep") && source.path != WAITING {
            find(number, "a test waits for a condition, not for time");
        }
        if calls(line, "unsafe") && source.path != UNSAFE_ALLOWED {
            find(
                number,
                &format!("`unsafe` may stand only in {UNSAFE_ALLOWED}"),
            );
        }
        if line.contains("#[ignore]") {
            find(number, "an ignored test says why: #[ignore = \"…\"]");
        }
    }
    findings
}

pub(super) fn check_text(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for path in MACHINE_PATHS {
            if starts_a_path(line, path) {
                let text = format!("`{path}…` is a path of one machine");
                findings.push(Finding {
                    file: file.path.clone(),
                    line: number + 1,
                    text,
                });
            }
        }
    }
    findings
}

/// The first line is `//!` and at least three words that are not a placeholder.
fn has_header(text: &str) -> bool {
    text.strip_prefix("//!")
        .and_then(|rest| rest.lines().next())
        .is_some_and(|line| {
            line.split_whitespace().count() >= 2 && !line.contains("(written below)")
        })
}

/// `word` stands in the line as a word of its own.
fn calls(line: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_a_word)
            && !line[at + word.len()..].starts_with(part_of_a_word)
    })
}

/// At the start of a word: `lib/home/x` and a URL's path are others' affair.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|c: char| {
            c.is_alphanumeric() || ['/', '.', '_', '-', '~', '}', '$'].contains(&c)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &str, text: &str) -> Vec<String> {
        check_source(&Source::read(path, text))
            .into_iter()
            .map(|f| f.text)
            .collect()
    }

    #[test]
    fn both_sides_of_each_rule() {
        let head = "//! A file of a test.\n";
        let table: [(&str, &str, bool); 13] = [
            ("src/a.rs", "fn f() {}", true),
            ("src/a.rs", "fn f() { todo!() }", false),
            ("src/a.rs", "fn f() { \"todo!()\"; } // dbg!", true),
            ("src/a.rs", "fn f() { my_todo!() }", true),
            ("src/a.rs", "fn f() { unsafe { g() } }", false),
            ("src/a.rs", "#![forbid(unsafe_code)]", true),
            (UNSAFE_ALLOWED, "fn f() { unsafe { g() } }", true),
            ("src/a.rs", "fn f() { std::thread::sleep(d) }", true),
            (
                "src/a.rs",
                "#[cfg(test)]\nmod t { fn f() { thread::sleep(d) } }",
                false,
            ),
            ("a/tests/t.rs", "fn f() { thread::sleep(d) }", false),
            (WAITING, "fn f() { thread::sleep(d) }", true),
            ("src/a.rs", "#[test]\n#[ignore]\nfn f() {}", false),
            (
                "src/a.rs",
                "#[test]\n#[ignore = \"an hour\"]\nfn f() {}",
                true,
            ),
        ];
        for (path, text, passes) in table {
            let found = texts(path, &format!("{head}{text}"));
            assert_eq!(found.is_empty(), passes, "{path} {text}: {found:?}");
        }
    }

    #[test]
    fn a_header_says_something() {
        for (text, passes) in [
            ("//! What this file is.\n", true),
            ("//!\n", false),
            ("//! (written below)\n", false),
            ("use std::fmt;\n//! Late.\n", false),
        ] {
            assert_eq!(has_header(text), passes, "{text}");
        }
    }

    #[test]
    fn a_machines_path_is_found_and_a_urls_is_not() {
        let of = |text: &str| {
            check_text(&TextFile {
                path: "x.md".to_owned(),
                text: text.to_owned(),
            })
            .len()
        };
        assert_eq!(of(&format!("see `{}anna/x`", MACHINE_PATHS[0])), 1);
        assert_eq!(
            of(&format!("https://example.org{}page", MACHINE_PATHS[0])),
            0
        );
    }
}
