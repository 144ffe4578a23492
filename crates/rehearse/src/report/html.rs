//! One page for a browser. It loads nothing and runs nothing: its policy forbids
//! both, so it may be sent, stored and opened anywhere. Light or dark as the reader
//! has it; each chart has its figures as a table.

mod chart;
mod compare;
mod limit;
mod single;
mod table;

use super::Rehearsal;
use super::markup::escaped;
use super::units::{moment, time};
use super::words::{compared, headline, limited};
use crate::verdict::Outcome;

const STYLE: &str = include_str!("html/style.css");

/// The page.
pub(super) fn html(rehearsal: &Rehearsal) -> String {
    let outcome = rehearsal.outcome();
    let (title, began, (word, why), help, body) = match rehearsal {
        Rehearsal::Single { run, verdict } => (
            format!("Rehearsal against {}", run.target),
            format!(
                "{}, {} planned, {} taken",
                moment(run.began_unix_s),
                time(run.planned.as_micros() as f64),
                time(run.lasted.as_micros() as f64)
            ),
            headline(verdict),
            verdict.help.as_slice(),
            single::body(run, verdict),
        ),
        Rehearsal::Compare {
            began_unix_s,
            comparison,
        } => (
            format!("{} beside {}", comparison.names[0], comparison.names[1]),
            moment(*began_unix_s),
            compared(comparison),
            &[][..],
            compare::body(comparison),
        ),
        Rehearsal::Limit {
            began_unix_s,
            limit,
        } => (
            format!("Limit of {}", limit.target),
            moment(*began_unix_s),
            limited(limit),
            &[][..],
            limit::body(limit),
        ),
    };
    let help: String = help
        .iter()
        .map(|line| format!("<li>{}</li>", escaped(line)))
        .collect();
    let help = if help.is_empty() {
        help
    } else {
        format!("<ul>{help}</ul>")
    };
    let unsure = if matches!(outcome, Outcome::Invalid(_)) {
        " class=\"unsure\""
    } else {
        ""
    };
    let verdict = format!("<strong>{word}</strong> <p>{}</p>{help}", escaped(&why));
    page(
        &title,
        &began,
        outcome,
        &verdict,
        &format!("<div{unsure}>\n{body}</div>"),
    )
}

/// The page of a rehearsal that did not come to a run.
pub(super) fn could_not(outcome: &Outcome) -> String {
    let why = escaped(outcome.reason().unwrap_or_default());
    let verdict = format!("<strong>COULD NOT RUN</strong> <p>{why}</p>");
    page("Rehearsal", "", outcome, &verdict, "")
}

fn page(title: &str, began: &str, outcome: &Outcome, verdict: &str, body: &str) -> String {
    let began = match began {
        "" => String::new(),
        began => format!("<p class=\"dim\">begun {began}</p>\n"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{began}\
         <section class=\"verdict {}\" role=\"status\">{verdict}</section>\n\
         {body}\n</main>\n</body>\n</html>\n",
        outcome.label(),
        title = escaped(title),
    )
}
