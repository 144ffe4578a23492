//! The page of two settings beside each other.

use super::super::units::shown;
use super::super::words::{difference, readings, said};
use super::chart::{Bar, intervals};
use super::table::Table;
use crate::compare::{Comparison, Metric, Row, Says};
use std::fmt::Write as _;

/// Most rows of the table.
const ROWS_MAX: usize = 300;

pub(super) fn body(comparison: &Comparison) -> String {
    let [a, b] = &comparison.names;
    let mut sides = Table::new(&["side", "<"]);
    sides.row("", &["A".to_owned(), a.clone()]);
    sides.row("", &["B".to_owned(), b.clone()]);
    let (rounds, thrown) = (comparison.rounds, comparison.thrown_away.len());
    sides.row(
        "",
        &[
            "rounds".to_owned(),
            format!("{rounds}, of these {thrown} thrown away"),
        ],
    );
    for (round, why) in &comparison.thrown_away {
        sides.row("sub", &[format!("round {round}"), why.clone()]);
    }
    let mut out = sides.panel("What was compared", &[]);
    if comparison.rows.is_empty() {
        return out;
    }
    out.push_str(&chart(comparison));
    out.push_str(&table(comparison));
    out
}

fn chart(comparison: &Comparison) -> String {
    // A share of failures has no relative difference: it stands in the table.
    let rows = comparison.rows.iter();
    let rows = rows.filter(|row| row.class.is_none() && row.metric != Metric::Errors);
    let bars: Vec<Bar> = rows
        .map(|row| {
            let at = [
                row.judged.low,
                row.interval.low,
                row.difference,
                row.interval.high,
                row.judged.high,
            ];
            (row.metric.label().to_owned(), at)
        })
        .collect();
    let told = "B against A, all requests. Thick: 95 %. Thin: what a word rests on. Left of the \
                middle B has less. Dotted: what is tolerated of times.";
    let mut out = String::new();
    let _ = write!(
        out,
        "<figure class=\"panel bars\">\n<h2>Differences</h2>\n{}<figcaption>{told}</figcaption>\n</figure>\n",
        intervals(&bars, comparison.tolerate, told)
    );
    out
}

fn table(comparison: &Comparison) -> String {
    let mut table = Table::new(&[
        "",
        "A",
        "B",
        "B against A",
        "from",
        "to",
        "rounds",
        "<difference",
    ]);
    let mut heading: Option<&Option<String>> = None;
    for row in comparison.rows.iter().take(ROWS_MAX) {
        if heading != Some(&row.class) {
            heading = Some(&row.class);
            let name = row
                .class
                .as_deref()
                .map_or("all requests".to_owned(), shown);
            table.group(&name);
        }
        table.row(class(row), &cells(row));
    }
    let mut notes = readings(comparison);
    notes.insert(
        0,
        "From and to: the interval of 95 %. A star marks figures that decide.".to_owned(),
    );
    table.panel("All figures", &notes)
}

fn class(row: &Row) -> &'static str {
    match row.says {
        Says::Worse => "bad",
        Says::Better => "good",
        Says::Untold { .. } => "",
    }
}

fn cells(row: &Row) -> [String; 8] {
    let star = if row.gated { " *" } else { "" };
    [
        format!("{}{star}", row.metric.label()),
        row.metric.say(row.medians[0]),
        row.metric.say(row.medians[1]),
        difference(row, row.difference),
        difference(row, row.interval.low),
        difference(row, row.interval.high),
        row.rounds.to_string(),
        said(row),
    ]
}
