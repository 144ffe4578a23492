//! `cargo xtask licences`: each dependency's licence against `deny.toml`.
//!
//! `cargo deny` checks the same and more, but a stranger need not have it.
//! This needs nothing beyond cargo, so it always runs.

use crate::{Outcome, metadata, no_arguments};

pub(crate) const SUMMARY: &str = "every dependency's licence against the list in deny.toml";

pub(crate) const HELP: &str = "\
Reads the `allow = [...]` list of [licenses] in deny.toml, and the licence that
each package in Cargo.lock states. A package that states none, or none that is
allowed, fails. `cargo deny check` does the same with advisories on top.";

pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let deny = std::fs::read_to_string(crate::repository().join("deny.toml"))
        .map_err(|error| format!("deny.toml: {error}"))?;
    let allowed = allowed(&deny).ok_or("deny.toml: no `allow = [...]` under [licenses]")?;
    let packages = metadata::packages(true)?;
    let others: Vec<_> = packages.iter().filter(|package| !package.ours).collect();
    let mut refused = String::new();
    for package in &others {
        let licence = package.licence.as_deref().unwrap_or("");
        if !satisfied(licence, &allowed) {
            refused.push_str(&format!(
                "\n  {} {}: {licence:?}",
                package.name, package.version
            ));
        }
    }
    if refused.is_empty() {
        println!("licences: {} dependencies, all allowed", others.len());
        Ok(())
    } else {
        Err(format!("not allowed by deny.toml:{refused}"))
    }
}

/// The quoted words of `allow = [...]` in the section `[licenses]`.
fn allowed(deny: &str) -> Option<Vec<&str>> {
    let section = deny.split_once("\n[licenses]")?.1;
    let section = section.split_once("\n[").map_or(section, |(this, _)| this);
    let list = section.split_once("\nallow = [")?.1.split_once(']')?.0;
    Some(list.split('"').skip(1).step_by(2).collect())
}

/// An SPDX expression: AND binds closer than OR; the old `/` means OR.
/// Parentheses are read from the inside out, WITH belongs to its licence.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    let mut text = expression.replace('/', " OR ");
    while let Some(close) = text.find(')') {
        let Some(open) = text[..close].rfind('(') else {
            return false;
        };
        let inner = flat(&text[open + 1..close], allowed);
        text.replace_range(open..=close, if inner { "TRUE" } else { "FALSE" });
    }
    flat(&text, allowed)
}

fn flat(expression: &str, allowed: &[&str]) -> bool {
    expression.split(" OR ").any(|all| {
        all.split(" AND ")
            .map(str::trim)
            .all(|one| one == "TRUE" || allowed.contains(&one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = [
            "MIT",
            "Apache-2.0",
            "Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ];
        let table = [
            ("MIT", true),
            ("", false),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("Unlicense/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(GPL-2.0 OR LGPL-2.1) AND MIT", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("MIT)", false),
        ];
        for (expression, expected) in table {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn only_the_right_list_is_read() {
        let deny = "[graph]\nallow = [\"A\"]\n\n[licenses]\nallow = [\n  \"B\", # why\n  \"C\",\n]\n[bans]\nallow = [\"D\"]\n";
        assert_eq!(allowed(deny), Some(vec!["B", "C"]));
        assert_eq!(allowed("[bans]\n"), None);
    }
}
