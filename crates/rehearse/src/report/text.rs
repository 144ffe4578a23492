//! For people at a terminal.

mod compare;
mod limit;

use super::units::{count, moment, rate, share, shown, time, within};
use super::words::{PERCENTILES, cautions, headline, times_us};
use super::{Rehearsal, Style};
use crate::measured::{Connections, Generator, Run, StandIns, Tally};
use crate::threshold::{Judged, Measured};
use crate::verdict::{Outcome, Verdict};
use hdrhistogram::Histogram;
use std::fmt::Write as _;

/// Longest line, columns.
pub(super) const COLUMNS: usize = 100;
/// Columns of a name, of a count, and of a time.
const NAME: usize = 24;
const COUNT: usize = 11;
const SHARE: usize = 10;
const TIME: usize = 9;
/// From this share on it is said that holds came out too long.
const TOO_SHORT_SAID: f64 = 0.01;
/// Most classes that are told each on a line.
const CLASSES_MAX: usize = 30;

/// The report.
pub(super) fn text(rehearsal: &Rehearsal, style: Style) -> String {
    match rehearsal {
        Rehearsal::Single { run, verdict } => single(run, verdict, style),
        Rehearsal::Compare {
            began_unix_s,
            comparison,
        } => compare::text(*began_unix_s, comparison, style),
        Rehearsal::Limit {
            began_unix_s,
            limit,
        } => limit::text(*began_unix_s, limit, style),
    }
}

fn single(run: &Run, verdict: &Verdict, style: Style) -> String {
    let mut out = head(run, style);
    let (word, why) = headline(verdict);
    let painted = painted(&verdict.outcome, word, style);
    wrapped(
        &mut out,
        word.chars().count() + 1,
        &format!("{painted} "),
        &why,
    );
    for help in &verdict.help {
        wrapped(&mut out, 1, " ", &format!("- {help}"));
    }
    out.push('\n');
    thresholds(&mut out, verdict, style);
    let invalid = matches!(verdict.outcome, Outcome::Invalid(_));
    if run.all.due > 0 {
        figures(&mut out, run, invalid, style);
    }
    failures(&mut out, run, style);
    connections(&mut out, &run.connections, style);
    generator(&mut out, &run.generator, style);
    out
}

fn head(run: &Run, style: Style) -> String {
    format!(
        "{}\nbegun {}, {} planned, {} taken\n\n",
        style.strong(&within(
            &format!("Rehearsal against {}", run.target),
            COLUMNS
        )),
        moment(run.began_unix_s),
        time(run.planned.as_micros() as f64),
        time(run.lasted.as_micros() as f64)
    )
}

/// The word for an outcome in its colour.
fn painted(outcome: &Outcome, word: &str, style: Style) -> String {
    match outcome {
        Outcome::Kept => style.good(word),
        Outcome::Broken => style.bad(word),
        Outcome::CouldNot(_) | Outcome::Invalid(_) => style.warn(word),
    }
}

/// Words after a begin of that width, within the columns.
pub(super) fn wrapped(out: &mut String, width: usize, begin: &str, words: &str) {
    out.push_str(begin);
    let mut at = width;
    for word in words.split(' ') {
        let chars = word.chars().count();
        if at > 2 && at + 1 + chars > COLUMNS {
            out.push_str("\n ");
            at = 1;
        }
        out.push(' ');
        out.push_str(word);
        at += 1 + chars;
    }
    out.push('\n');
}

fn thresholds(out: &mut String, verdict: &Verdict, style: Style) {
    if verdict.thresholds.is_empty() {
        return;
    }
    let judged = match verdict.outcome {
        Outcome::Kept | Outcome::Broken => "thresholds",
        Outcome::CouldNot(_) => "thresholds, on what was measured of it",
        Outcome::Invalid(_) => "thresholds, not judged",
    };
    let _ = writeln!(out, "{}", style.strong(judged));
    let invalid = matches!(verdict.outcome, Outcome::Invalid(_));
    for Judged {
        text,
        kept,
        measured,
    } in &verdict.thresholds
    {
        let word = match (invalid, kept) {
            (true, _) => style.warn("?     "),
            (false, true) => style.good("kept  "),
            (false, false) => style.bad("broken"),
        };
        let text = within(text, 60);
        let measured = match invalid {
            true => String::new(),
            false => measured.replace(' ', "\u{a0}"),
        };
        let line = format!("  {word}  {text:<60}  {measured}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
}

/// Times of all and of each class. Of an invalid run each row is marked.
fn figures(out: &mut String, run: &Run, invalid: bool, style: Style) {
    let title = match invalid {
        false => style.strong("times, from the moment at which a request was due"),
        true => {
            style.warn("NOT RESULTS: times of the generator's own slowness, for finding its fault")
        }
    };
    let _ = writeln!(out, "{title}");
    let mut heads = format!("{:NAME$}{:>COUNT$}{:>SHARE$}", "", "requests", "failed");
    for head in PERCENTILES.iter().map(|(_, name)| *name).chain(["max"]) {
        let _ = write!(heads, "{head:>TIME$}");
    }
    let _ = writeln!(out, "{heads}");
    let mark = if invalid { "? " } else { "  " };
    let all = &run.all;
    row(out, mark, "latency", Some(all), &all.latency);
    row(out, mark, "  of that, waiting", None, &all.wait);
    row(out, mark, "  of that, service", None, &all.service);
    if run.classes.len() > 1 {
        let _ = writeln!(out, "{}", style.strong("latency by class"));
        for class in run.classes.iter().take(CLASSES_MAX) {
            row(
                out,
                mark,
                &class.name,
                Some(&class.tally),
                &class.tally.latency,
            );
        }
        let more = run.classes.len().saturating_sub(CLASSES_MAX);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more: the JSON report has all");
        }
    }
    let _ = writeln!(
        out,
        "{mark}answered {} while the schedule ran, offered {}",
        rate(run.goodput()),
        rate(run.offered())
    );
    if !invalid {
        for caution in cautions(run) {
            wrapped(out, 1, " ", &caution);
        }
    }
    out.push('\n');
}

fn row(out: &mut String, mark: &str, name: &str, tally: Option<&Tally>, times: &Histogram<u64>) {
    let name = within(name, NAME - 3);
    let (due, failed) = match tally {
        None => (String::new(), String::new()),
        Some(tally) => (
            count(tally.due),
            share(tally.errors() as f64 / tally.due.max(1) as f64),
        ),
    };
    let _ = write!(
        out,
        "{mark}{name:<0$}{due:>COUNT$}{failed:>SHARE$}",
        NAME - 2
    );
    match times_us(times) {
        None => {
            let _ = write!(out, "{:>TIME$}", "–");
        }
        Some(times) => {
            for us in times {
                let _ = write!(out, "{:>TIME$}", time(us as f64));
            }
        }
    }
    out.push('\n');
}

fn failures(out: &mut String, run: &Run, style: Style) {
    if run.all.failed.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", style.strong("failures"));
    let mut kinds: Vec<_> = run.all.failed.iter().collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (why, n) in kinds {
        let why = within(&why.to_string(), COLUMNS - COUNT - 4);
        let _ = writeln!(out, "  {:>COUNT$}  {why}", count(*n));
    }
    out.push('\n');
}

fn connections(out: &mut String, connections: &Connections, style: Style) {
    let _ = writeln!(
        out,
        "{}  {} at most, {} opened{}, {} lost, {} refused",
        style.strong("connections"),
        connections.most,
        count(connections.opened),
        match connections.open_mean_us {
            0 => String::new(),
            us => format!(" in {} each", time(us as f64)),
        },
        count(connections.lost),
        count(connections.refused),
    );
    if let Some(why) = &connections.refusal {
        let between = connections.refused_between;
        let between = between.map_or(String::new(), |(from, to)| {
            format!(" (from {} s to {} s)", from.as_secs(), to.as_secs())
        });
        wrapped(
            out,
            1,
            " ",
            &format!("the last refusal{between}: {}", shown(why)),
        );
    }
}

fn generator(out: &mut String, generator: &Generator, style: Style) {
    let percent = |part: Option<f64>| part.map_or("unknown".to_owned(), share);
    let lag = &generator.lag;
    let _ = writeln!(
        out,
        "{}    lag p99 {}, longest {}; used {} of one CPU, wanted one in vain {}",
        style.strong("generator"),
        time(generator.lag_p99_us() as f64),
        time(lag.max() as f64),
        percent(generator.cpu),
        percent(generator.starved)
    );
    let few = |s: &StandIns| s.too_short_share() < TOO_SHORT_SAID;
    if let Some(s) = generator.stand_ins.filter(|s| !few(s)) {
        let said = format!(
            "{} of the {} holds to be played were shorter than the shortest here, {}, and \
             came out as that",
            share(s.too_short_share()),
            count(s.played),
            time(s.shortest_us as f64)
        );
        wrapped(
            out,
            13,
            &format!("{}    ", style.strong("stand-ins")),
            &said,
        );
    }
}
