//! The page of one run.

use super::super::folded::fold;
use super::super::units::{count, rate, share, shown, time};
use super::super::words::{PERCENTILES, cautions, times_us};
use super::chart::{Axis, Chart, Series, percentile};
use super::table::Table;
use crate::measured::{Run, Second, Tally};
use crate::threshold::Measured;
use crate::verdict::{Outcome, Verdict};
use hdrhistogram::Histogram;

/// Most points of a curve, and most rows of the table beside it: the page stays
/// below 200 kB however long the run.
const POINTS_MAX: usize = 240;
const ROWS_MAX: usize = 40;
/// Most classes that have a row.
const CLASSES_MAX: usize = 100;
/// Times below this are not drawn by percentile: powers of ten have no zero.
const US_MIN: f64 = 10.0;
/// Percentiles of the curve by percentile.
const CURVE: [f64; 16] = [
    0.0, 25.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99,
    99.999,
];

pub(super) fn body(run: &Run, verdict: &Verdict) -> String {
    let invalid = matches!(verdict.outcome, Outcome::Invalid(_));
    let mut out = thresholds(verdict, invalid);
    if run.all.due > 0 {
        out.push_str(&figures(run, invalid));
        out.push_str("<div class=\"charts\">\n");
        for chart in charts(run) {
            out.push_str(&chart);
        }
        out.push_str("</div>\n");
    }
    out.push_str(&failures(run));
    out.push_str(&around(run));
    out
}

fn thresholds(verdict: &Verdict, invalid: bool) -> String {
    let mut table = Table::new(&["threshold", "<", "<measured"]);
    for one in &verdict.thresholds {
        let (class, word) = match (invalid, one.kept) {
            (true, _) => ("warn", "? not judged"),
            (false, true) => ("good", "✓ kept"),
            (false, false) => ("bad", "✗ broken"),
        };
        let measured = if invalid { "" } else { &one.measured };
        table.row(
            class,
            &[one.text.clone(), word.to_owned(), measured.to_owned()],
        );
    }
    table.panel("Thresholds", &[])
}

fn figures(run: &Run, invalid: bool) -> String {
    let mut table = Table::new(&[
        "", "requests", "answered", "failed", "p50", "p90", "p95", "p99", "p99.9", "max",
    ]);
    let mut row = |class: &str, name: &str, tally: Option<&Tally>, times: &Histogram<u64>| {
        let mut cells = vec![shown(name)];
        cells.extend(match tally {
            None => [const { String::new() }; 3],
            Some(tally) => [
                count(tally.due),
                rate(tally.rate()),
                share(tally.errors() as f64 / tally.due.max(1) as f64),
            ],
        });
        match times_us(times) {
            None => cells.extend((0..=PERCENTILES.len()).map(|_| "–".to_owned())),
            Some(times) => cells.extend(times.map(|us| time(us as f64))),
        }
        table.row(class, &cells);
    };
    row("", "all, latency", Some(&run.all), &run.all.latency);
    row(
        "sub",
        "of that, waiting for a connection",
        None,
        &run.all.wait,
    );
    row("sub", "of that, service", None, &run.all.service);
    if run.classes.len() > 1 {
        for class in run.classes.iter().take(CLASSES_MAX) {
            row("", &class.name, Some(&class.tally), &class.tally.latency);
        }
    }
    match invalid {
        true => table.panel(
            "Not results: times of the generator's own slowness, for finding its fault",
            &[],
        ),
        false => {
            let mut notes = cautions(run);
            notes.push(format!(
                "Latency counts from the moment at which a request was due. While the schedule ran, \
                 {} were answered.",
                rate(run.goodput())
            ));
            table.panel("Times", &notes)
        }
    }
}

/// The curves over time, and the one by percentile.
fn charts(run: &Run) -> Vec<String> {
    let points = fold(&run.seconds, POINTS_MAX);
    let table = table_over_time(run).details();
    let over_time = over_time(&points).into_iter().enumerate();
    let mut out: Vec<String> = over_time
        // The table holds what all of them show.
        .map(|(i, chart)| chart.figure(if i == 0 { &table } else { "" }))
        .collect();
    out.push(by_percentile(run));
    out
}

fn over_time(points: &[(u64, u64, Second)]) -> [Chart; 4] {
    let curve = |look, label, value: &dyn Fn(&Second, f64) -> f64| {
        let of = |(from, lasts, second): &(u64, u64, Second)| {
            (*from as f64, value(second, (*lasts).max(1) as f64))
        };
        Series::line(look, label, points.iter().map(of).collect())
    };
    let times = |look, label, of: fn(&Second) -> u64| {
        curve(look, label, &|second, _| match second.answered {
            0 => f64::NAN,
            _ => of(second).max(1) as f64,
        })
    };
    let folded = match points.first().map_or(1, |point| point.1) {
        1 => String::new(),
        s => format!(" Each point is {s} s: the median second's p50, the worst second's p99."),
    };
    let chart = |id, title, told: &str, y, series| Chart {
        id,
        title,
        told: format!("{told}{folded}"),
        x: Axis::Clock,
        y,
        series,
        marks: Vec::new(),
    };
    let rates = vec![
        curve("s-thin", "offered", &|s, over| s.due as f64 / over),
        curve("", "answered", &|s, over| s.goodput as f64 / over),
        curve("s-bad", "failed", &|s, over| s.failed as f64 / over),
    ];
    let latencies = vec![
        times("s-most", "longest", |s| s.latency_max_us),
        times("s-wait", "p99", |s| s.latency_p99_us),
        times("", "p50", |s| s.latency_p50_us),
    ];
    let waits = vec![times("s-wait", "wait p99", |s| s.wait_p99_us)];
    let counts = vec![
        curve("s-wait", "waiting", &|s, _| f64::from(s.queued_max)),
        curve("", "busy", &|s, _| f64::from(s.busy_max)),
    ];
    let rate = "Requests per second. Where answers fall below what is offered, requests wait.";
    let latency = "From the moment at which a request was due; powers of ten.";
    let wait = "99th percentile of the time until a connection was free; powers of ten.";
    let due = "Latency of the requests that were due then";
    let busy = "Busy connections and requests that wait";
    [
        chart("rate", "Offered and answered", rate, Axis::Rate, rates),
        chart("latency", due, latency, Axis::Time, latencies),
        chart("wait", "Wait for a connection", wait, Axis::Time, waits),
        chart("busy", busy, "Most at one moment.", Axis::Count, counts),
    ]
}

fn table_over_time(run: &Run) -> Table {
    let mut table = Table::new(&[
        "from", "offered", "answered", "failed", "p50", "p99", "longest", "wait p99", "busy",
        "waiting",
    ]);
    for (from, lasts, s) in fold(&run.seconds, ROWS_MAX) {
        let per_s = |n: u64| rate(n as f64 / lasts.max(1) as f64);
        let us = |us: u64| match s.answered {
            0 => "–".to_owned(),
            _ => time(us as f64),
        };
        table.row(
            "",
            &[
                format!("{from} s"),
                per_s(s.due),
                per_s(s.goodput),
                count(s.failed),
                us(s.latency_p50_us),
                us(s.latency_p99_us),
                us(s.latency_max_us),
                us(s.wait_p99_us),
                s.busy_max.to_string(),
                s.queued_max.to_string(),
            ],
        );
    }
    table
}

fn by_percentile(run: &Run) -> String {
    let all = &run.all;
    // A percentile that fewer than one request lies beyond is the longest again.
    let known = |percent: &&f64| all.answered as f64 * (1.0 - **percent / 100.0) >= 1.0;
    let percents: Vec<f64> = CURVE.iter().filter(known).copied().collect();
    let at = |times: &Histogram<u64>, percent: f64| {
        times
            .value_at_quantile(percent / 100.0)
            .min(times.max())
            .max(1) as f64
    };
    let line = |look, label, times: &Histogram<u64>| {
        let drawn = |us: f64| if us < US_MIN { f64::NAN } else { us };
        let points = percents
            .iter()
            .map(|p| (percentile(*p), drawn(at(times, *p))));
        Series::line(look, label, points.collect())
    };
    let mut table = Table::new(&["percentile", "latency", "wait", "service"]);
    for percent in &percents {
        let of = |times| time(at(times, *percent));
        table.row(
            "",
            &[
                format!("p{percent}"),
                of(&all.latency),
                of(&all.wait),
                of(&all.service),
            ],
        );
    }
    let told = "Time that this share of the requests does not exceed. Service is what a closed loop \
                would have reported.";
    Chart {
        id: "by-percentile",
        title: "Latency by percentile",
        told: told.to_owned(),
        x: Axis::Percentile,
        y: Axis::Time,
        series: vec![
            line("", "latency", &all.latency),
            line("s-wait", "of that, waiting", &all.wait),
            line("s-service", "of that, service", &all.service),
        ],
        marks: Vec::new(),
    }
    .figure(&table.details())
}

fn failures(run: &Run) -> String {
    let mut table = Table::new(&["failure", "requests", "share"]);
    let mut kinds: Vec<_> = run.all.failed.iter().collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (why, n) in kinds {
        let of_all = *n as f64 / run.all.due.max(1) as f64;
        table.row("", &[why.to_string(), count(*n), share(of_all)]);
    }
    table.panel("Failures", &[])
}

/// Connections, and how the generator did.
fn around(run: &Run) -> String {
    let (conns, generator) = (&run.connections, &run.generator);
    let percent = |part: Option<f64>| part.map_or("unknown".to_owned(), share);
    let mut table = Table::new(&["", "<"]);
    let mut row = |name: &str, value: String| table.row("", &[name.to_owned(), value]);
    row("connections at most", conns.most.to_string());
    let login = time(conns.open_mean_us as f64);
    row("logins", format!("{}, {login} each", count(conns.opened)));
    row(
        "lost, refused",
        format!("{}, {}", count(conns.lost), count(conns.refused)),
    );
    if let Some(why) = &conns.refusal {
        let between = conns.refused_between.map_or(String::new(), |(from, to)| {
            format!("from {} s to {} s: ", from.as_secs(), to.as_secs())
        });
        row("the last refusal", format!("{between}{why}"));
    }
    let (p99, longest) = (generator.lag_p99_us(), generator.lag.max());
    let lag = format!("p99 {}, longest {}", time(p99 as f64), time(longest as f64));
    row("the generator's lag", lag);
    row(
        "CPU that it used",
        format!("{} of one", percent(generator.cpu)),
    );
    row("wanted a CPU and had none", percent(generator.starved));
    table.panel("Connections and the generator", &[])
}
