//! What is told at the end: a table, notes, faults.

use crate::load::{APPLICATIONS, Figures, LINE};
use crate::stage::{Home, Version};
use std::fmt::Write as _;
use std::time::Duration;

const BEGIN: &str = "<!-- upgrade:begin -->\n";
const END: &str = "<!-- upgrade:end -->\n";

/// All that was measured.
pub struct Report {
    names: (String, String),
    /// Both versions know the fleet's channel.
    pub channel: bool,
    rows: Vec<(String, Figures)>,
    pub notes: Vec<String>,
    pub gaps: Vec<(String, Duration)>,
    /// Which version ended, and how long it took.
    drained: Vec<(String, Duration)>,
    faults: Vec<String>,
}

impl Report {
    pub fn new(old: &Version, new: &Version) -> Report {
        Report {
            names: (old.name.clone(), new.name.clone()),
            channel: false,
            rows: Vec::new(),
            notes: Vec::new(),
            gaps: Vec::new(),
            drained: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub fn phase(&mut self, what: &str, figures: Figures) {
        eprintln!(
            "{what}: {} transactions in {:.1} s, {} cut, {} errors, p99 {:.1} ms, {} connections",
            figures.transactions,
            figures.seconds,
            figures.cut,
            figures.errors,
            figures.percentile(99),
            figures.connections_most
        );
        for text in &figures.texts {
            self.faults.push(format!("{what}: {text}"));
        }
        if figures.over > 0 {
            self.faults.push(format!(
                "{what}: {} of {} counts are above the line of {LINE}, the most is {}",
                figures.over, figures.counts, figures.connections_most
            ));
        }
        self.rows.push((what.to_owned(), figures));
    }

    /// An instance ended; what did its log say?
    pub fn heard(&mut self, version: &Version, home: &Home, took: Duration) {
        self.drained.push((version.name.clone(), took));
        if let Some(line) = home.log().lines().find(|line| line.contains("panic")) {
            self.faults.push(line.to_owned());
        }
    }

    pub fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    pub fn astray(&mut self, rows: i64) {
        if rows != 0 {
            self.faults
                .push(format!("{rows} rows lost (below 0) or not answered for"));
        }
    }

    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    pub fn text(&self) -> String {
        let (old, new) = &self.names;
        let mut out = format!(
            "{old} and {new}, {APPLICATIONS} applications (a third each: simple statements, prepared ones, transactions), \
             a line of {LINE}, pools of 60:\n\n\
             | what | seconds | done | cut | errors | closed at rest | p50 ms | p99 ms | longest ms | most connections | counts above the line |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for (what, f) in &self.rows {
            let _ = writeln!(
                out,
                "| {what} | {:.1} | {} | {} | {} | {} | {:.1} | {:.1} | {:.0} | {} | {} of {} |",
                f.seconds,
                f.transactions,
                f.cut,
                f.errors,
                f.closed_at_rest,
                f.percentile(50),
                f.percentile(99),
                f.percentile(100),
                f.connections_most,
                f.over,
                f.counts,
            );
        }
        out.push('\n');
        let took = |name: &String| {
            let own = self.drained.iter().filter(|(whose, _)| whose == name);
            let texts = own.map(|(_, took)| format!("{:.1} s", took.as_secs_f64()));
            texts.collect::<Vec<_>>().join(" and ")
        };
        let _ = writeln!(
            out,
            "- From SIGTERM to its end, 1.0 s of it `timeouts.drain_delay`: {old} {}, {new} {}.",
            took(old),
            took(new)
        );
        for (what, gap) in &self.gaps {
            let _ = writeln!(
                out,
                "- {what}: {} ms from the end of the one to the other being ready; clients wait from the end of `drain_delay` on.",
                gap.as_millis()
            );
        }
        for note in &self.notes {
            let _ = writeln!(out, "- {note}.");
        }
        if !self.channel {
            out.push_str("- The fleet's channel was off: one of the two does not know it.\n");
        }
        for fault in &self.faults {
            let _ = writeln!(out, "- **Fault:** {fault}");
        }
        out
    }

    /// Puts the table where the page has a place for it.
    pub fn write(&self, file: &str) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let (before, rest) = text
            .split_once(BEGIN)
            .ok_or("the page has no place for it")?;
        let (_, after) = rest.split_once(END).ok_or("the place has no end")?;
        let text = format!("{before}{BEGIN}{}{END}{after}", self.text());
        std::fs::write(file, text).map_err(|e| e.to_string())
    }
}
