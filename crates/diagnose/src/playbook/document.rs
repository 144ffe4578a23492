//! The whole playbook as a page of the docs.

use super::{Chapter, Context, Page, chapters, markdown, symptoms};

const HEAD: &str = "# Playbook

What to do, step by step: one chapter for each alert and each cause. `plimsoll playbook SYMPTOM`
shows a chapter with your names and values in it; here names in CAPITALS and the letters N and M stand
for them. The alerts' `runbook_url` leads here. How to use it at night: the
[outage guide](guides/outage-guide.md).

This page is made from the same texts: `PLIMSOLL_BLESS=1 cargo test -p plimsoll-diagnose playbook`
writes it anew.

In every outage, the first command is the same: `plimsoll diagnose`.

## From a symptom to a chapter

| words that people use | look at |
|---|---|
";

/// The page.
pub fn document() -> String {
    let mut out = HEAD.to_owned();
    for symptom in symptoms() {
        let links = symptom
            .chapters
            .iter()
            .map(|l| format!("[{l}](#{})", l.to_lowercase()));
        let links: Vec<String> = links.collect();
        out.push_str(&format!("| {} | {} |\n", symptom.words, links.join(", ")));
    }
    let alerts = |c: &&Chapter| c.label.starts_with("Plimsoll");
    out.push_str("\n## Alerts\n");
    chapters().filter(alerts).for_each(|c| put(c, &mut out));
    out.push_str("\n## Causes\n");
    chapters()
        .filter(|c| !alerts(c))
        .for_each(|c| put(c, &mut out));
    let message = Context::default().message("CAUSE");
    out.push_str(&format!("\n## Status message\n\n> {message}\n"));
    out
}

fn put(chapter: &Chapter, out: &mut String) {
    out.push('\n');
    out.push_str(&markdown(&Page::of(chapter, &Context::default())));
}
