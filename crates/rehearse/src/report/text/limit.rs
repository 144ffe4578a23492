//! What a search found, at a terminal.

use super::{COLUMNS, Style, painted, wrapped};
use crate::limit::{Limit, Why};
use crate::report::units::{moment, rate, share, time, within};
use crate::report::words::{findings, limited};
use std::fmt::Write as _;

pub(super) fn text(began_unix_s: u64, limit: &Limit, style: Style) -> String {
    let title = within(&format!("Limit of {}", limit.target), COLUMNS);
    let mut out = format!(
        "{}\nbegun {}, {} steps\n\n",
        style.strong(&title),
        moment(began_unix_s),
        limit.steps.len()
    );
    let (word, why) = limited(limit);
    let begin = painted(&limit.outcome, word, style) + " ";
    wrapped(&mut out, word.chars().count() + 1, &begin, &why);
    out.push('\n');
    for [name, value, meaning] in findings(limit) {
        let begin = format!("  {:<14}{value:>9} ", style.strong(&format!("{name:<14}")));
        wrapped(&mut out, 26, &begin, &meaning);
    }
    if limit.steps.is_empty() {
        return out;
    }
    let _ = writeln!(
        out,
        "\n{:>10}{:>10}{:>9}{:>9}{:>10}{:>10}",
        "offered", "answered", "p50", "p99", "wait p99", "failed"
    );
    for (step, why) in &limit.steps {
        // Its times are the generator's own.
        let own = matches!(why, Some(Why::Generator(_)));
        let us = |us: f64| if own { "?".to_owned() } else { time(us) };
        let said = match why {
            None => String::new(),
            Some(why) => style.warn(&within(&why.say(), 38)),
        };
        let line = format!(
            "{:>10}{:>10}{:>9}{:>9}{:>10}{:>10}  {said}",
            rate(step.offered),
            rate(step.goodput),
            us(step.p50_us),
            us(step.p99_us),
            us(step.wait_p99_us),
            share(step.errors)
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
