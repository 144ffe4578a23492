//! A page as text for the terminal and as Markdown.

use super::{Page, PageStep};
use crate::safe::markdown as md;

/// The page for a terminal.
pub fn text(page: &Page) -> String {
    let mut out = format!("{} ({})\n\n", page.title, page.label);
    wrapped(&page.about, "", &mut out);
    if !page.live {
        out.push_str(
            "\nNo running pooler was asked: names in CAPITALS and the letters N and M stand for its own.\n",
        );
    }
    for line in &page.now {
        wrapped(line, "  ", &mut out);
    }
    section("While it hurts", &page.during, &mut out);
    if !page.never.is_empty() {
        out.push_str("\nWhat not to do\n");
        for never in &page.never {
            wrapped(&format!("✗ {} {}", never.text, never.why), "  ", &mut out);
        }
    }
    section("How to see that it worked", &page.verify, &mut out);
    section("When it is over", &page.after, &mut out);
    section("While it is calm", &page.before, &mut out);
    if !page.contacts.is_empty() {
        out.push_str("\nWhom to call\n");
        page.contacts
            .iter()
            .for_each(|line| wrapped(line, "  ", &mut out));
    }
    out.push_str("\nStatus message\n");
    wrapped(&page.message, "  ", &mut out);
    if !page.see.is_empty() {
        wrapped(
            &format!("\nSee also: plimsoll playbook {}", page.see.join(" | ")),
            "",
            &mut out,
        );
    }
    out
}

fn section(title: &str, steps: &[PageStep], out: &mut String) {
    if steps.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for (n, step) in steps.iter().enumerate() {
        wrapped(&format!("{}. {}", n + 1, step.text), "  ", out);
        if !step.command.is_empty() {
            out.push_str(&format!("       {}\n", step.command));
        }
    }
}

/// At most 96 columns, where words allow it.
fn wrapped(text: &str, indent: &str, out: &mut String) {
    let mut column = 0;
    let mut first = true;
    for word in text.split(' ') {
        let long = word.chars().count();
        if !first && column + 1 + long > 96 {
            out.push('\n');
            // Steps hang below their number.
            let hang = if indent.is_empty() { "" } else { "    " };
            out.push_str(hang);
            column = hang.len();
        } else if first {
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
        first = false;
    }
    out.push('\n');
}

/// The page as Markdown.
pub fn markdown(page: &Page) -> String {
    let mut out = format!(
        "### {}\n\n**{}.** {}\n",
        page.label,
        md(&page.title),
        md(&page.about)
    );
    for line in &page.now {
        out.push_str(&format!("\n- {}", md(line)));
    }
    if !page.now.is_empty() {
        out.push('\n');
    }
    steps("Before", &page.before, &mut out);
    steps("During", &page.during, &mut out);
    if !page.never.is_empty() {
        out.push_str("\n**What not to do**\n\n");
        for never in &page.never {
            out.push_str(&format!(
                "- **{}** {}\n",
                md(&never.text),
                spans(&never.why)
            ));
        }
    }
    steps("Verify", &page.verify, &mut out);
    steps("After", &page.after, &mut out);
    if !page.contacts.is_empty() {
        out.push_str("\n**Whom to call**\n\n");
        for line in &page.contacts {
            out.push_str(&format!("- {}\n", md(line)));
        }
    }
    if !page.see.is_empty() {
        let links = page
            .see
            .iter()
            .map(|label| format!("[{label}](#{})", label.to_lowercase()));
        let links: Vec<String> = links.collect();
        out.push_str(&format!("\nSee also: {}\n", links.join(", ")));
    }
    out
}

fn steps(title: &str, steps: &[PageStep], out: &mut String) {
    if steps.is_empty() {
        return;
    }
    out.push_str(&format!("\n**{title}**\n\n"));
    for (n, step) in steps.iter().enumerate() {
        let command = match step.command.is_empty() {
            true => String::new(),
            false => format!(": `{}`", step.command.replace('`', "'")),
        };
        out.push_str(&format!("{}. {}{command}\n", n + 1, md(&step.text)));
    }
}

/// Code spans of ours stay, the rest is escaped.
fn spans(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(n, part)| match n % 2 {
        0 => md(part),
        _ => format!("`{part}`"),
    });
    parts.collect()
}
