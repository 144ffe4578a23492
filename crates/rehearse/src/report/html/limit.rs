//! The page of a search: goodput and waits over load, with the curve and its knee.

use super::super::units::{rate, share, time};
use super::super::words::findings;
use super::chart::{Axis, Chart, Series};
use super::table::Table;
use crate::limit::{Limit, Step, Why};

/// Points of the fitted curve.
const CURVE: u32 = 80;
/// Waits below this are not drawn: powers of ten have no zero, and these are as good as none.
const WAIT_US_MIN: f64 = 100.0;

pub(super) fn body(limit: &Limit) -> String {
    let mut found = Table::new(&["", "", "<"]);
    for cells in findings(limit) {
        found.row("", &cells);
    }
    let mut out = found.panel("What was found", &[]);
    if limit.steps.is_empty() {
        return out;
    }
    out.push_str("<div class=\"charts\">\n");
    out.push_str(&goodput(limit).figure(&steps(limit).details()));
    out.push_str(&waits(limit).figure(""));
    out.push_str("</div>\n");
    out
}

fn marks(limit: &Limit) -> Vec<(f64, &'static str)> {
    let mut marks = Vec::new();
    marks.extend(limit.recommended.map(|at| (at, "recommended")));
    marks.extend(limit.fit.as_ref().ok().map(|fit| (fit.knee, "knee")));
    marks
}

/// Steps whose figures are the database's.
fn measured(limit: &Limit) -> impl Iterator<Item = (&Step, bool)> {
    let steps = limit.steps.iter();
    let own = steps.filter(|(_, why)| !matches!(why, Some(Why::Generator(_))));
    own.map(|(step, why)| (step, why.is_none()))
}

fn dots(
    limit: &Limit,
    look: &'static str,
    label: &'static str,
    held: bool,
    value: fn(&Step) -> f64,
) -> Series {
    let points = measured(limit).filter(|(_, did)| *did == held);
    Series {
        look,
        label,
        points: points
            .map(|(step, _)| (step.offered, value(step)))
            .collect(),
        dots: true,
    }
}

/// The fitted curve from nothing to the highest rate.
fn curve(limit: &Limit, value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let most = limit
        .steps
        .iter()
        .map(|(step, _)| step.offered)
        .fold(0.0, f64::max);
    let points = (1..=CURVE).map(|i| most * f64::from(i) / f64::from(CURVE));
    points.map(|at| (at, value(at))).collect()
}

fn goodput(limit: &Limit) -> Chart {
    let mut series = vec![Series::line(
        "s-thin",
        "all answered",
        curve(limit, |at| at),
    )];
    if let Ok(fit) = &limit.fit {
        series.push(Series::line(
            "s-service",
            "fitted",
            curve(limit, |at| fit.goodput(at)),
        ));
    }
    series.push(dots(limit, "", "held", true, |step| step.goodput));
    series.push(dots(limit, "s-wait", "failed", false, |step| step.goodput));
    Chart {
        id: "goodput",
        title: "Answered over offered",
        told: "Requests per second. Below the dashed line, answers fall behind.".to_owned(),
        x: Axis::Rate,
        y: Axis::Rate,
        series,
        marks: marks(limit),
    }
}

fn waits(limit: &Limit) -> Chart {
    let mut series = Vec::new();
    if let Ok(fit) = &limit.fit {
        let p99 = curve(limit, |at| fit.p99_us(at).unwrap_or(f64::NAN));
        series.push(Series::line("s-service", "fitted p99", p99));
    }
    let wait: Vec<(f64, f64)> = measured(limit)
        .map(|(step, _)| match step.wait_p99_us < WAIT_US_MIN {
            true => (step.offered, f64::NAN),
            false => (step.offered, step.wait_p99_us),
        })
        .collect();
    series.push(Series::line("s-wait", "wait p99", wait));
    series.push(dots(limit, "", "p99, held", true, |step| step.p99_us));
    series.push(dots(limit, "s-wait", "p99, failed", false, |step| {
        step.p99_us
    }));
    let off = limit.fit.as_ref().map_or(String::new(), |fit| {
        format!(" The curve is {} off.", share(fit.residual))
    });
    Chart {
        id: "waits",
        title: "Latency and wait over load",
        told: format!("Powers of ten, over requests offered per second.{off}"),
        x: Axis::Rate,
        y: Axis::Time,
        series,
        marks: marks(limit),
    }
}

fn steps(limit: &Limit) -> Table {
    let mut table = Table::new(&[
        "offered", "answered", "p50", "p99", "wait p99", "failed", "<",
    ]);
    for (step, why) in &limit.steps {
        // Its times are the generator's own.
        let own = matches!(why, Some(Why::Generator(_)));
        let us = |us: f64| if own { "?".to_owned() } else { time(us) };
        table.row(
            "",
            &[
                rate(step.offered),
                rate(step.goodput),
                us(step.p50_us),
                us(step.p99_us),
                us(step.wait_p99_us),
                share(step.errors),
                why.as_ref().map_or("held".to_owned(), Why::say),
            ],
        );
    }
    table
}
