//! A report as Markdown. All that others chose is escaped here, and only here.

use super::super::{Correction, EntryKind, PathEnd, Proof, Standing};
use super::{Report, words};
use crate::safe::{code, markdown as md};
use crate::utc;
use std::fmt::Write;

/// What only people can say.
const BY_A_PERSON: &str = "_To be written by a person._";

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    head(report, &mut out);
    summary(report, &mut out);
    timeline(report, &mut out);
    cause(report, &mut out);
    hypotheses(report, &mut out);
    paths(report, &mut out);
    measures(report, &mut out);
    people(&mut out);
    out
}

/// Writing to a string does not fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

fn head(report: &Report, out: &mut String) {
    put!(
        out,
        "# Incident {}: {}\n",
        md(&report.id),
        md(&report.title)
    );
    let mut facts = vec![
        format!("Severity: {}", report.severity.label()),
        format!("standing: {}", report.standing.label()),
    ];
    if !report.instance.is_empty() {
        facts.push(format!("instance: {}", md(&report.instance)));
    }
    if let Some(owner) = &report.owner {
        for (word, name) in [("team", &owner.team), ("channel", &owner.channel)] {
            if !name.is_empty() {
                facts.push(format!("{word}: {}", md(name)));
            }
        }
    }
    put!(out, "{}. All times are UTC.\n", facts.join("; "));
    if report.standing != Standing::Closed {
        put!(out, "**Draft**: the incident is not closed.\n");
    }
}

fn summary(report: &Report, out: &mut String) {
    let summary = &report.summary;
    let length = utc::length(summary.duration_ms);
    let from = utc::moment(summary.from_ms);
    put!(out, "## Issue Summary\n");
    match summary.until_ms {
        Some(until) => put!(
            out,
            "- **Duration**: {length}, from {from} to {}",
            utc::moment(until)
        ),
        None => put!(out, "- **Duration**: {length} so far, since {from}"),
    }
    put!(out, "- **Impact**:");
    for line in &summary.impact {
        put!(out, "  - {}", md(line));
    }
    match &report.cause {
        Some(cause) => put!(
            out,
            "- **Root Cause**: {} ({} % sure). {}",
            cause.cause.title(),
            cause.sure,
            md(&cause.text)
        ),
        None => put!(
            out,
            "- **Root Cause**: unknown. The figures support none of the causes that Plimsoll knows."
        ),
    }
    let named = match summary.to_cause_ms {
        Some(ms) => format!("cause named after {}", utc::length(ms)),
        None => "cause not named".to_owned(),
    };
    put!(
        out,
        "- **Detection**: first alert {} after the onset, {named}\n",
        utc::length(summary.to_alert_ms)
    );
}

fn timeline(report: &Report, out: &mut String) {
    put!(out, "## Timeline\n");
    let mut day = String::new();
    for entry in &report.timeline {
        let date = utc::date(entry.at_ms);
        if date != day {
            put!(
                out,
                "{}{date} (UTC)\n",
                if day.is_empty() { "" } else { "\n" }
            );
            day = date;
        }
        let what = match entry.kind {
            // Its sentence names what it concerns.
            EntryKind::Alert | EntryKind::Verdict => entry.text.clone(),
            _ => words::change(entry),
        };
        put!(
            out,
            "- **{}** {}: {}",
            utc::time(entry.at_ms),
            entry.kind.label(),
            md(&what)
        );
    }
    if report.timeline.is_empty() {
        put!(out, "Nothing was recorded.");
    }
    if report.timeline_dropped > 0 {
        put!(
            out,
            "\n{} further entries had no room.",
            report.timeline_dropped
        );
    }
    put!(out, "");
}

fn cause(report: &Report, out: &mut String) {
    put!(out, "## Root Cause and Resolution\n\n### Root Cause\n");
    match &report.cause {
        None => put!(
            out,
            "Unknown. What was not measured is listed among the hypotheses below.\n"
        ),
        Some(cause) => {
            put!(
                out,
                "{} ({}, {} % sure).\n",
                md(cause.text.trim_end_matches('.')),
                code(cause.cause.label()),
                cause.sure
            );
            for figure in &cause.figures {
                put!(out, "- {}", md(&figure.to_string()));
            }
            match &cause.change {
                Some(change) => put!(
                    out,
                    "\nThe change that brought it, by scope and onset: {} {}.\n",
                    utc::moment(change.at_ms),
                    md(&words::change(change))
                ),
                None => put!(out, "\nNo change was seen with matching scope and onset.\n"),
            }
        }
    }
    put!(out, "### Resolution\n");
    for line in &report.resolution {
        put!(out, "- {}", md(line));
    }
    put!(out, "\n### Contributing factors\n");
    for line in &report.factors {
        put!(out, "- {}", md(line));
    }
    put!(
        out,
        "{}{BY_A_PERSON} What made it possible, what made it worse?\n",
        if report.factors.is_empty() { "" } else { "- " }
    );
}

fn hypotheses(report: &Report, out: &mut String) {
    put!(out, "## Hypotheses considered and what ended each\n");
    if report.hypotheses.is_empty() {
        put!(out, "None was recorded.\n");
        return;
    }
    put!(out, "| hypothesis | by | since | what became of it |");
    put!(out, "|---|---|---|---|");
    for row in &report.hypotheses {
        let by: Vec<String> = row.by.iter().map(|name| md(name)).collect();
        put!(
            out,
            "| {} | {} | {} | {} |",
            row.cause.title(),
            or_dash(&by.join(", ")),
            row.since_ms.map_or("–".to_owned(), utc::time),
            md(&row.outcome)
        );
    }
    put!(out, "");
}

fn or_dash(text: &str) -> &str {
    match text.is_empty() {
        true => "–",
        false => text,
    }
}

fn paths(report: &Report, out: &mut String) {
    put!(out, "## Misleading paths\n");
    let astray = report.paths.iter();
    let astray: Vec<_> = astray.filter(|p| p.end != PathEnd::Confirmed).collect();
    if astray.is_empty() {
        put!(
            out,
            "None was noted. (Notes with `--path`, and actions that tell what was suspected, are counted.)\n"
        );
    } else {
        put!(
            out,
            "| path | time on it | from | to | by | what ended it |"
        );
        put!(out, "|---|---|---|---|---|---|");
    }
    for path in &astray {
        let end = match &path.end {
            PathEnd::RuledOut(at, why) => {
                let known = match *at <= path.first_ms {
                    true => "; this was known before it was begun",
                    false => "",
                };
                format!(
                    "ruled out at {}: {} ({}){known}",
                    utc::time(*at),
                    why.text.trim_end_matches('.'),
                    why.figure
                )
            }
            PathEnd::Left(next) => format!("left for “{}”; no figure rules it out", next.title()),
            PathEnd::Open | PathEnd::Confirmed => "nothing: it was open to the end".to_owned(),
        };
        let by: Vec<String> = path.actors.iter().map(|name| md(name)).collect();
        put!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            path.cause.title(),
            utc::length(path.spent_ms),
            utc::time(path.first_ms),
            utc::time(path.last_ms),
            or_dash(&by.join(", ")),
            md(&end)
        );
    }
    if !astray.is_empty() {
        put!(out, "");
    }
    for path in report.paths.iter().filter(|p| p.end == PathEnd::Confirmed) {
        put!(
            out,
            "The right path, “{}”, was first followed at {} and took {}.\n",
            path.cause.title(),
            utc::time(path.first_ms),
            utc::length(path.spent_ms)
        );
    }
}

fn measures(report: &Report, out: &mut String) {
    put!(
        out,
        "## Corrective and Preventative Measures\n\n### Improvements\n"
    );
    for line in &report.improvements {
        put!(out, "- {}", prose(line));
    }
    put!(out, "\n### Tasks\n");
    for task in &report.tasks {
        put!(out, "- [ ] {} Proof: {}", md(&task.text), proof(task));
    }
    put!(out, "");
}

/// Code spans of ours stay, the rest is escaped.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(n, part)| if n % 2 == 0 { md(part) } else { code(part) });
    parts.collect()
}

fn proof(task: &Correction) -> String {
    match &task.proof {
        Proof::Rule(rule) => format!(
            "{} finds nothing by the rule {}.",
            code("plimsoll check"),
            code(rule)
        ),
        Proof::Setting(name, value) => format!("the setting {} is {}.", code(name), md(value)),
        Proof::Alert(alert) => format!(
            "the alert {} reaches a person within its time.",
            code(alert.label())
        ),
        Proof::Command(command) => format!("{} {}.", code(command), shows(command)),
        Proof::Rehearsal(words) => format!("a rehearsal: {}.", prose(words)),
    }
}

/// What the command shows when all is well.
fn shows(command: &str) -> &'static str {
    let word = command.split(' ').nth(1).unwrap_or_default();
    match word {
        "size" => "says the size that the settings have",
        "plan" => "shows the change and its prediction before each apply",
        "bundle" => "wrote the file that they got",
        "incident" => "has nothing left to be written",
        "diagnose" => "names this cause no more",
        _ => "ends with 0",
    }
}

fn people(out: &mut String) {
    put!(out, "## What went well\n\n{BY_A_PERSON}\n");
    put!(out, "## Where we were lucky\n\n{BY_A_PERSON}");
}
