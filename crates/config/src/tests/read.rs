//! A setting that is said to be honoured is read by somebody.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::{Support, settings};
use std::path::Path;

/// The sources of this crate's users, without comments and tests; a file each.
fn sources() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in ["control", "diagnose", "etcd", "fleet", "plimsoll", "proxy"] {
        gather(&crates.join(name).join("src"), &mut found);
    }
    // What holds for one pool is resolved here, and only that is read elsewhere.
    found.push(code(include_str!("../effective.rs")));
    found
}

fn gather(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "tests" {
            gather(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(code(&std::fs::read_to_string(&path).expect("a source")));
        }
    }
}

fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").replace(" .", ".")
}

/// `.name` stands there, and none of these nor a further letter follows.
fn has_before(text: &str, name: &str, not: &[char]) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let dotted = format!(".{name}");
    text.match_indices(&dotted)
        .any(|(at, _)| !text[at + dotted.len()..].starts_with(|c| word(c) || not.contains(&c)))
}

fn has(text: &str, name: &str) -> bool {
    has_before(text, name, &['('])
}

/// A plan's group is taken as a whole, so that its fields are read without its name.
fn has_whole(text: &str, group: &str) -> bool {
    let marked = text.replace("plan.", ".plan.").replace("plan().", ".plan.");
    has_before(&marked, &format!("plan.{group}"), &['(', '.'])
}

/// Settings that reach their readers under another name or by way of this crate; and what
/// then stands there.
const TURNED: [(&str, &str); 24] = [
    ("alerts.wait_target", "alerts.target()"),
    ("api.anonymous", "settings.anonymous"),
    ("api.hosts", "settings.hosts"),
    ("api.viewer.file", "settings.token(role).secret"),
    ("api.viewer.env", "settings.token(role).secret"),
    ("api.operator.file", "settings.token(role).secret"),
    ("api.operator.env", "settings.token(role).secret"),
    ("api.admin.file", "settings.token(role).secret"),
    ("api.admin.env", "settings.token(role).secret"),
    ("hba.file", "plan.hba.rules"),
    ("hba.ident_file", "plan.hba.rules"),
    ("etcd.endpoints", "at.endpoints.clone()"),
    ("etcd.prefix", "plan.etcd.ledger_base("),
    ("etcd.user", "at.user.clone()"),
    ("etcd.password_file", "at.password_file.clone()"),
    ("etcd.tls_ca", "at.tls_ca.clone()"),
    ("etcd.tls_cert", "at.tls_cert.clone()"),
    ("etcd.tls_key", "at.tls_key.clone()"),
    ("fleet.key_file", "plan.fleet.key.as_ref()"),
    ("fleet.tls_cert", "plan.fleet.tls()"),
    ("fleet.tls_key", "plan.fleet.tls()"),
    ("fleet.tls_ca", "plan.fleet.tls()"),
    ("fleet.cancel.own", "peering.own"),
    ("fleet.peers", "channel.addresses()"),
];

/// The field is read: as a whole, or by its last name where the group that it
/// stands in is taken as a whole.
fn is_read(field: &str, sources: &[String]) -> bool {
    let field: String = field.chars().filter(|c| !c.is_whitespace()).collect();
    if let Some((_, turned)) = TURNED.iter().find(|(name, _)| *name == field) {
        return sources.iter().any(|text| text.contains(turned));
    }
    sources.iter().any(|text| match field.rsplit_once('.') {
        None => has(text, &field),
        Some((group, last)) => {
            let group = group.rsplit('.').next().unwrap_or(group);
            // `client_tls` and `server_tls` are handed on as `tls`.
            let short = group.rsplit('_').next().unwrap_or(group);
            has(text, &format!("{group}.{last}"))
                || has(
                    &text.replace(short, &format!(".{short}")),
                    &format!("{short}.{last}"),
                )
                || (has_whole(text, group) && has(text, last))
        }
    })
}

#[test]
fn what_is_said_to_be_honoured_is_read_by_somebody() {
    let sources = sources();
    assert!(!is_read("nobody_reads_this", &sources));
    let unread: Vec<&str> = settings()
        .iter()
        .filter(|s| s.support == Support::Honoured)
        .filter_map(|s| Some((s.key, s.access?.field)))
        .filter(|(_, field)| !is_read(field, &sources))
        .map(|(key, _)| key)
        .collect();
    assert!(unread.is_empty(), "read by nobody: {unread:?}");
}
