//! Two settings beside each other, at a terminal.

use super::{COLUMNS, Style, painted, wrapped};
use crate::compare::{Comparison, Row, Says};
use crate::report::units::{moment, within};
use crate::report::words::{compared, difference, readings, said};
use std::fmt::Write as _;

/// Most classes whose figures are told.
const CLASSES_MAX: usize = 10;

pub(super) fn text(began_unix_s: u64, comparison: &Comparison, style: Style) -> String {
    let mut out = format!("{}\n", style.strong("Comparison of two settings"));
    for (side, name) in ["A", "B"].iter().zip(&comparison.names) {
        let _ = writeln!(out, "{side}  {}", within(name, COLUMNS - 3));
    }
    let thrown = comparison.thrown_away.len();
    let _ = writeln!(
        out,
        "begun {}, {} rounds, {thrown} thrown away\n",
        moment(began_unix_s),
        comparison.rounds
    );
    let (word, why) = compared(comparison);
    let begin = painted(&comparison.outcome, word, style) + " ";
    wrapped(&mut out, word.chars().count() + 1, &begin, &why);
    for (round, why) in &comparison.thrown_away {
        wrapped(&mut out, 1, " ", &format!("- round {round}: {why}"));
    }
    out.push('\n');
    rows(&mut out, comparison, style);
    for reading in readings(comparison) {
        wrapped(&mut out, 1, " ", &reading);
    }
    out
}

fn rows(out: &mut String, comparison: &Comparison, style: Style) {
    let mut heading: Option<&Option<String>> = None;
    let mut classes = 0;
    for row in &comparison.rows {
        if heading != Some(&row.class) {
            heading = Some(&row.class);
            classes += usize::from(row.class.is_some());
            if classes > CLASSES_MAX {
                let _ = writeln!(out, "  and more classes: the JSON report has all");
                break;
            }
            let name = row
                .class
                .as_deref()
                .map_or("all requests".to_owned(), |name| within(name, 20));
            let name = format!("{name:<22}");
            let _ = writeln!(
                out,
                "{}{:>9}{:>9}{:>10}  {:<18}  difference",
                style.strong(&name),
                "A",
                "B",
                "B to A",
                "95 % interval"
            );
        }
        let _ = writeln!(out, "{}", line(row, style));
    }
    if !comparison.rows.is_empty() {
        let _ = writeln!(out, "  * decides, where a tolerance is asked for\n");
    }
}

fn line(row: &Row, style: Style) -> String {
    let said = said(row);
    let said = match row.says {
        Says::Worse => style.bad(&said),
        Says::Better => style.good(&said),
        Says::Untold { .. } => said,
    };
    let interval = format!(
        "{} … {}",
        difference(row, row.interval.low),
        difference(row, row.interval.high)
    );
    format!(
        "{} {:<20}{:>9}{:>9}{:>10}  {interval:<18}  {said}",
        if row.gated { "*" } else { " " },
        row.metric.label(),
        row.metric.say(row.medians[0]),
        row.metric.say(row.medians[1]),
        difference(row, row.difference)
    )
}
