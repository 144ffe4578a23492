//! The rules and measurements as a page of the documentation, written from the
//! same tables that judge.

use crate::measurements::MEASUREMENTS;
use crate::rule::{Rule, Want};
use crate::rules::RULES;

/// What stands before the tables.
const OPENING: &str = "\
# How a cause is found

<!-- Written by `cargo run -p plimsoll-diagnose --example page`; a test compares. -->

`plimsoll diagnose`, alerts and incidents use the same rules: one file per cause
in `crates/diagnose/src/rules`. They read samples (live, a recorded hour, a
bundle) and markers, and say which causes the figures support, which a figure
rules out, and of which nothing can be said, with what would make it known.

## How it judges

1. **Onset.** The first bad second of the present trouble is looked for: refusals,
   failed connects and long waits count by themselves; service times, arrivals,
   logins, errors and silent leases count against the seconds before.
2. **Now and usual.** Now is the last ten seconds since the onset. Usual is the
   minute before it, or calm minutes of the last hours where the seconds hold none.
   Without either, a comparison says \"not measured\", and only absolute figures count.
3. **Conditions.** Each cause has conditions over measured values. One that
   must be seen has to hold; one that must not be seen must not hold. Each
   answers yes, no, or \"too close to say\". Only a \"no\" by a clear margin rules a
   cause out; in between it is listed as not known, with the figure.
4. **Changes.** A change counts up to five minutes before the onset, if its
   subject is what suffers. A release alone supports nothing: it is named where
   that application is the one whose behaviour changed.
5. **Order.** A cause stands before those whose symptoms it brings, in the order
   of the sections below. Two causes at once are both listed.

An intermediary (a proxy on the same machine, a loopback address, a configured
`via`) means that TCP figures end there: they cannot acquit the network.

## What is measured, and what is unknown without it

| measurement | needs | unknown without it |
|---|---|---|
";

/// The page, as it stands in `docs/diagnosis.md`.
pub fn page() -> String {
    let mut page = OPENING.to_owned();
    for row in MEASUREMENTS {
        page += &format!("| {} | {} | {} |\n", row.name, row.needs, row.without);
    }
    page += "\n## The causes, in the order of the first answer\n";
    for rule in RULES {
        section(&mut page, rule);
    }
    page
}

fn section(page: &mut String, rule: &Rule) {
    let (label, title) = (rule.cause.label(), rule.cause.title());
    *page += &format!("\n### `{label}`: {title}\n\n");
    let lists = [
        ("Must be seen", &[Want::See, Want::SeeOrOut][..]),
        ("Must not be seen", &[Want::NotSee]),
        ("Makes it more likely", &[Want::More]),
    ];
    for (head, wants) in lists {
        let clauses = rule.clauses.iter().filter(|c| wants.contains(&c.want));
        let rows: Vec<String> = clauses
            .map(|c| {
                let out = match c.want {
                    Want::SeeOrOut => " A clear \"no\" rules the cause out.",
                    _ => "",
                };
                format!("- {} (from {}).{out}\n", c.text, c.needs.row().name)
            })
            .collect();
        if !rows.is_empty() {
            *page += &format!("{head}:\n\n{}\n", rows.concat());
        }
    }
    if rule.early {
        *page += "Found before anybody waits or fails here, too.\n";
    }
}
