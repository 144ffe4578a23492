//! Which crate may import which: one table here, the same in ARCHITECTURE.md.

use super::{Finding, TextFile};
use crate::metadata::Package;

/// The page for people that must say the same.
const PAGE: &str = "ARCHITECTURE.md";

/// A crate of ours, and those of ours that it may import. Dev-dependencies are free:
/// they cannot reach a user.
const EDGES: &[(&str, &[&str])] = &[
    ("events", &[]),
    ("wire", &[]),
    ("pool", &["events"]),
    ("fleet", &["events"]),
    ("config", &["events"]),
    ("etcd", &["config"]),
    ("diagnose", &["events"]),
    ("check", &["events", "config"]),
    ("relay", &["events", "wire", "pool"]),
    ("sim", &["events", "wire", "pool", "relay", "config"]),
    (
        "proxy",
        &["events", "wire", "pool", "relay", "config", "etcd"],
    ),
    (
        "control",
        &[
            "events", "config", "check", "diagnose", "etcd", "fleet", "sim",
        ],
    ),
    ("rehearse", &["events", "wire", "config", "sim"]),
    ("practice", &["diagnose", "sim", "rehearse"]),
    (
        "plimsoll",
        &[
            "events", "wire", "pool", "config", "diagnose", "check", "relay", "sim", "proxy",
            "control", "rehearse", "practice",
        ],
    ),
];

/// Packages outside the product: tests and tools, which nothing of it may import.
const OUTSIDE: &[&str] = &["xtask", "e2e", "bench", "fuzz-bodies", "lab"];

pub(super) fn check(packages: &[Package], files: &[TextFile]) -> Vec<Finding> {
    let ours: Vec<&Package> = packages.iter().filter(|package| package.ours).collect();
    let mut findings = Vec::new();
    for package in &ours {
        let name = short(&package.name);
        if OUTSIDE.contains(&name) {
            continue;
        }
        let manifest = format!("crates/{name}/Cargo.toml");
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == name) else {
            findings.push(finding(
                &manifest,
                format!("crate `{name}` is not in the table of edges"),
            ));
            continue;
        };
        let used = package
            .uses
            .iter()
            .filter(|used| ours.iter().any(|other| other.name == **used));
        for used in used
            .map(|used| short(used))
            .filter(|used| !allowed.contains(used))
        {
            let text = format!(
                "`{name}` may not import `{used}`: a new edge is a reviewed change of the table"
            );
            findings.push(finding(&manifest, text));
        }
    }
    match files.iter().find(|file| file.path == PAGE) {
        Some(page) => findings.extend(page_differs(&page.text)),
        None => findings.push(finding(PAGE, "missing".to_owned())),
    }
    findings
}

/// `plimsoll-pool` is `pool` in the table; the binary keeps its name.
fn short(package: &str) -> &str {
    package.strip_prefix("plimsoll-").unwrap_or(package)
}

/// The page has one row for each crate: "| `pool` | `events` |".
fn page_differs(page: &str) -> Vec<Finding> {
    let row = |(name, allowed): &(&str, &[&str])| {
        let allowed: Vec<String> = allowed.iter().map(|other| format!("`{other}`")).collect();
        let allowed = if allowed.is_empty() {
            "nothing of ours".to_owned()
        } else {
            allowed.join(", ")
        };
        format!("| `{name}` | {allowed} |")
    };
    EDGES
        .iter()
        .map(row)
        .filter(|row| !page.lines().any(|line| line == row))
        .map(|row| {
            finding(
                PAGE,
                format!("the table of crate edges lacks this row: {row}"),
            )
        })
        .collect()
}

fn finding(file: &str, text: String) -> Finding {
    Finding {
        file: file.to_owned(),
        line: 0,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let uses = uses.iter().map(|&used| used.to_owned()).collect();
        Package {
            name: name.to_owned(),
            uses,
            ours: true,
            ..Package::default()
        }
    }

    fn texts(packages: &[Package]) -> Vec<String> {
        let found = check(packages, &[]);
        found
            .into_iter()
            .filter(|f| f.file != PAGE)
            .map(|f| f.text)
            .collect()
    }

    #[test]
    fn only_listed_edges_pass() {
        let events = package("plimsoll-events", &["serde"]);
        let pool = package("plimsoll-pool", &["plimsoll-events", "slab"]);
        assert_eq!(texts(&[events.clone(), pool]), [""; 0]);

        let wire = package("plimsoll-wire", &["plimsoll-events"]);
        let found = texts(&[events.clone(), wire]);
        assert!(
            found.len() == 1 && found[0].contains("`wire` may not import `events`"),
            "{found:?}"
        );

        let found = texts(&[package("plimsoll-extra", &[])]);
        assert!(
            found[0].contains("`extra` is not in the table"),
            "{found:?}"
        );
    }

    #[test]
    fn proxy_and_control_never_meet_and_the_table_has_no_cycle() {
        for (i, (name, allowed)) in EDGES.iter().enumerate() {
            // Listed after all that it imports: then no cycle can be.
            assert!(
                allowed
                    .iter()
                    .all(|other| EDGES[..i].iter().any(|(n, _)| n == other)),
                "{name}"
            );
        }
        let pairs = [("proxy", "control"), ("control", "proxy")];
        for (from, to) in pairs {
            let (_, allowed) = EDGES
                .iter()
                .find(|(name, _)| *name == from)
                .expect("listed");
            assert!(!allowed.contains(&to));
        }
    }

    #[test]
    fn a_page_that_says_otherwise_is_found() {
        let found = page_differs("| `events` | nothing of ours |\n| `wire` | `events` |\n");
        assert!(found.iter().all(|f| !f.text.contains("`events` | nothing")));
        assert!(
            found
                .iter()
                .any(|f| f.text.contains("| `wire` | nothing of ours |"))
        );
    }
}
