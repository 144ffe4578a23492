//! A verdict as text for people. Colours are the binary's matter.

use crate::text::clean;
use crate::{State, Step, Verdict};

/// The narrowest width that is kept to.
const WIDTH_MIN: usize = 40;
/// Rows of a section.
const ROWS_MAX: usize = 24;

/// The verdict in lines of at most so many characters (at least 40): what is
/// wrong, by which figures, what it is not, what is not known, what to do.
pub fn render(verdict: &Verdict, width: usize) -> String {
    let mut page = Page {
        text: String::new(),
        width: width.max(WIDTH_MIN),
    };
    let state = match verdict.state {
        State::Calm => "calm",
        State::Strained => "strained",
        State::Hurt => "clients suffer",
        State::Unknown => "unknown",
    };
    page.item("", &format!("{state}: {}", verdict.summary));
    if let Some(onset) = verdict.onset_ms {
        let s = verdict.at_ms.saturating_sub(onset).max(0) / 1_000;
        page.item("", &format!("It began {s} s before this moment."));
    }
    page.list("Seen", verdict.symptoms.iter().map(ToString::to_string));
    for (at, finding) in verdict.findings.iter().take(ROWS_MAX).enumerate() {
        let title = finding.cause.title();
        page.head(&format!("{}. {title} ({} % sure)", at + 1, finding.sure));
        page.item("  ", &finding.text);
        for figure in finding.figures.iter().take(ROWS_MAX) {
            page.item("  - ", &figure.to_string());
        }
        if let Some(change) = &finding.change {
            let by = match change.actor.is_empty() {
                true => String::new(),
                false => format!(", by {}", change.actor),
            };
            let subject = &change.subject;
            let change_text = &change.text;
            page.item(
                "  - ",
                &format!(
                    "changed: {} {subject}: {change_text}{by}",
                    change.kind.label()
                ),
            );
        }
        page.steps(&finding.next);
    }
    let rejected = verdict.ruled_out.iter();
    page.list(
        "Ruled out",
        rejected.map(|r| format!("{}: {}", r.cause.title(), r.text)),
    );
    let unknown = verdict.unknown.iter();
    page.list(
        "Not known",
        unknown.map(|u| format!("{}: {}", u.cause.title(), u.lacks)),
    );
    page.text
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn head(&mut self, title: &str) {
        self.text.push('\n');
        self.item("", title);
    }

    fn list(&mut self, title: &str, rows: impl Iterator<Item = String>) {
        let mut rows = rows.take(ROWS_MAX).peekable();
        if rows.peek().is_some() {
            self.head(title);
            rows.for_each(|row| self.item("  - ", &row));
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps.iter().take(ROWS_MAX) {
            self.item("  > ", &step.text);
            if !step.command.is_empty() {
                // A command is not wrapped: it is there to be copied.
                self.text.push_str("      ");
                self.text.push_str(&clean(&step.command));
                self.text.push('\n');
            }
        }
    }

    /// One paragraph, wrapped; what follows the first line stands under its text.
    fn item(&mut self, lead: &str, text: &str) {
        let room = self.width.saturating_sub(lead.chars().count()).max(20);
        let mut lead = lead.to_owned();
        for line in wrap(&clean(text), room) {
            self.text.push_str(&lead);
            self.text.push_str(&line);
            self.text.push('\n');
            lead = " ".repeat(lead.chars().count());
        }
    }
}

/// Lines of at most so many characters; a word that is longer is cut.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let gap = usize::from(length > 0);
            if length > 0 && length + gap + rest.len() > room {
                lines.push(std::mem::take(&mut line));
                length = 0;
                continue;
            }
            let taken = rest.len().min(room);
            let left = rest.split_off(taken);
            if length > 0 {
                line.push(' ');
            }
            length += gap + rest.len();
            line.extend(rest);
            rest = left;
        }
    }
    lines.push(line);
    lines
}
