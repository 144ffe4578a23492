//! Sizes and `unwrap()`: figures above the limit are listed, and may only fall.

use std::collections::BTreeMap;

use super::Finding;
use super::source::Source;

/// Lines of a file, without its tests.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, outside of tests.
const FUNCTION_LINES_MAX: usize = 70;

const LIST: &str = "xtask/ratchet.txt";

const LIST_HEADER: &str = "\
# What is larger than the rules allow: rule, place, figure, # reason. A figure may fall, not grow.
# `cargo xtask tidy --write-ratchet` writes this file; its diff is reviewed.
";

/// A figure's rule and place, such as ("function-lines", "crates/a/src/b.rs::f").
type Key = (String, String);

/// What stands behind a line's `#`.
type Reasons = BTreeMap<Key, String>;

/// Every figure above its limit.
pub(super) fn figures(sources: &[Source]) -> BTreeMap<Key, usize> {
    let mut figures: BTreeMap<Key, usize> = BTreeMap::new();
    let mut add = |rule: &str, place: String, figure: usize, limit: usize| {
        if figure > limit {
            // Functions of one name in one file share a place: the longest counts.
            let entry = figures.entry((rule.to_owned(), place)).or_default();
            *entry = figure.max(*entry);
        }
    };
    for source in sources {
        let own = source.code_lines().filter(|(_, _, is_test)| !is_test);
        let (mut lines, mut unwraps) = (0, 0);
        for (_, line, _) in own {
            lines += 1;
            unwraps += line.matches(".unwrap()").count();
        }
        add("file-lines", source.path.clone(), lines, FILE_LINES_MAX);
        add("unwraps", source.path.clone(), unwraps, 0);
        for function in &source.functions {
            if !source
                .is_test
                .get(function.line - 1)
                .copied()
                .unwrap_or(false)
            {
                let place = format!("{}::{}", source.path, function.name);
                add("function-lines", place, function.lines, FUNCTION_LINES_MAX);
            }
        }
    }
    figures
}

pub(super) fn check(figures: &BTreeMap<Key, usize>) -> Result<Vec<Finding>, String> {
    let (listed, reasons) = parse(&read()?)?;
    let mut findings = compare(figures, &listed);
    findings.extend(unexplained(&listed, &reasons));
    Ok(findings)
}

pub(super) fn write(figures: &BTreeMap<Key, usize>) -> crate::Outcome {
    // Reasons stay with their lines; a new line asks for one at the next check.
    let (_, reasons) = parse(&read()?)?;
    std::fs::write(crate::repository().join(LIST), render(figures, &reasons))
        .map_err(|error| format!("{LIST}: {error}"))?;
    println!(
        "{LIST}: {} figures above the limits. Review its diff.",
        figures.len()
    );
    Ok(())
}

fn read() -> Result<String, String> {
    std::fs::read_to_string(crate::repository().join(LIST))
        .map_err(|error| format!("{LIST}: {error}"))
}

fn render(figures: &BTreeMap<Key, usize>, reasons: &Reasons) -> String {
    let lines = figures.iter().map(|(key, figure)| {
        let reason = reasons.get(key).map(|r| format!(" # {r}"));
        let (rule, place) = key;
        format!("{rule} {place} {figure}{}\n", reason.unwrap_or_default())
    });
    LIST_HEADER.to_owned() + &lines.collect::<String>()
}

fn parse(text: &str) -> Result<(BTreeMap<Key, usize>, Reasons), String> {
    let (mut listed, mut reasons) = (BTreeMap::new(), Reasons::new());
    for (number, line) in text.lines().enumerate() {
        let (entry, reason) = line.split_once('#').unwrap_or((line, ""));
        if entry.trim().is_empty() {
            continue;
        }
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [rule, place, figure] = words[..] else {
            return Err(format!(
                "{LIST}:{}: write `rule place figure # reason`",
                number + 1
            ));
        };
        let figure = figure
            .parse()
            .map_err(|_| format!("{LIST}:{}: no number", number + 1))?;
        let key = (rule.to_owned(), place.to_owned());
        if !reason.trim().is_empty() {
            reasons.insert(key.clone(), reason.trim().to_owned());
        }
        listed.insert(key, figure);
    }
    Ok((listed, reasons))
}

fn unexplained(listed: &BTreeMap<Key, usize>, reasons: &Reasons) -> Vec<Finding> {
    let silent = listed.keys().filter(|key| !reasons.contains_key(*key));
    silent
        .map(|(rule, place)| Finding {
            file: LIST.to_owned(),
            line: 0,
            text: format!("`{rule} {place}` needs a reason behind a `#`"),
        })
        .collect()
}

fn compare(figures: &BTreeMap<Key, usize>, listed: &BTreeMap<Key, usize>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |place: &str, text: String| {
        let file = place.split("::").next().unwrap_or(place).to_owned();
        findings.push(Finding {
            file,
            line: 0,
            text,
        });
    };
    for ((rule, place), &figure) in figures {
        let what = match rule.as_str() {
            "file-lines" => format!("{figure} lines without tests; the limit is {FILE_LINES_MAX}"),
            "function-lines" => {
                let name = place.rsplit("::").next().unwrap_or(place);
                format!("`{name}` has {figure} lines; the limit is {FUNCTION_LINES_MAX}")
            }
            _ => format!(
                "{figure} × .unwrap() outside tests; return an error, or `expect` with the reason"
            ),
        };
        match listed.get(&(rule.clone(), place.clone())) {
            None => find(place, what),
            Some(&was) if figure > was => find(place, format!("{what}; {LIST} allows {was}")),
            Some(_) => {}
        }
    }
    for (rule, place) in listed.keys().filter(|key| !figures.contains_key(*key)) {
        find(LIST, format!("`{rule} {place}` is mended: remove its line"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[(&str, &str, usize)]) -> BTreeMap<Key, usize> {
        rows.iter()
            .map(|&(rule, place, n)| ((rule.to_owned(), place.to_owned()), n))
            .collect()
    }

    #[test]
    fn a_listed_figure_may_fall_but_not_grow_and_goes_when_mended() {
        let listed = map(&[("unwraps", "a.rs", 3), ("function-lines", "a.rs::f", 80)]);
        type Rows<'a> = &'a [(&'a str, &'a str, usize)];
        let table: [(Rows<'_>, &[&str]); 4] = [
            (
                &[("unwraps", "a.rs", 3), ("function-lines", "a.rs::f", 71)],
                &[],
            ),
            (
                &[("unwraps", "a.rs", 4), ("function-lines", "a.rs::f", 80)],
                &["allows 3"],
            ),
            (
                &[("unwraps", "a.rs", 3)],
                &["`function-lines a.rs::f` is mended"],
            ),
            (
                &[
                    ("unwraps", "a.rs", 3),
                    ("function-lines", "a.rs::f", 80),
                    ("file-lines", "b.rs", 501),
                ],
                &["501 lines"],
            ),
        ];
        for (rows, expected) in table {
            let found: Vec<String> = compare(&map(rows), &listed)
                .iter()
                .map(|f| f.text.clone())
                .collect();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (text, part) in found.iter().zip(expected) {
                assert!(text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn what_is_written_is_what_is_read_and_reasons_stay() {
        let figures = map(&[("unwraps", "a.rs", 3), ("function-lines", "a.rs::f", 80)]);
        let key = ("unwraps".to_owned(), "a.rs".to_owned());
        let reasons = Reasons::from([(key, "a table of constants".to_owned())]);
        let (read, why) = parse(&render(&figures, &reasons)).expect("as written");
        assert_eq!((&read, &why), (&figures, &reasons));
        let silent = unexplained(&read, &why);
        assert!(silent.len() == 1 && silent[0].text.contains("a.rs::f"));
        assert!(parse("unwraps a.rs many # why").is_err());
    }

    #[test]
    fn tests_do_not_count() {
        let long = "x();\n".repeat(80);
        let text = format!(
            "fn f() {{\n{long}a.unwrap();\n}}\n#[cfg(test)]\nmod t {{\nfn g() {{\n{long}b.unwrap()\n}}\n}}\n"
        );
        let found = figures(&[Source::read("src/a.rs", &text)]);
        assert_eq!(
            found,
            map(&[
                ("function-lines", "src/a.rs::f", 83),
                ("unwraps", "src/a.rs", 1)
            ])
        );
    }
}
