//! `/v1/live`, its stream, charts, and the tables of pools and leases.

use super::Parts;
use super::call::{Answer, Call, EVENTS, Failure};
use super::measures::{measured, moment};
use super::streaming::event;
use super::table::{Kind, Parameter, Route, Shape};
use crate::live::{
    self, Around, Asked, Chart, Feed, LeaseAsk, LeaseTable, Live, PoolTable, Second, Span,
};
use crate::measure::now_ms;
use crate::server::Health;
use bytes::Bytes;
use diagnose::alert::Alert;
use events::LeaseStatement;
use events::sample::{Marker, Record};
use std::sync::Arc;

/// Largest moment that is taken: the year 2100.
const MOMENT_MAX: u64 = 4_102_444_800_000;
/// The span of a chart where nothing is said: a quarter of an hour.
const SPAN_MS: i64 = 15 * 60_000;
const POINTS: u64 = 300;
const POINTS_MAX: u64 = 1_200;
/// Rows of a table where nothing is said.
const ROWS: u64 = 100;
const POOLS_MAX: u64 = 1_000;
const LEASES_MAX: u64 = 500;
/// Markers handed to the fold, which shows the newest of them.
const MARKERS_MAX: usize = 60;
/// Longest filter, bytes.
const FILTER_BYTES: usize = 100;
/// Longest name of a pool.
const POOL_BYTES: usize = 500;

const fn millis(name: &'static str, meaning: &'static str) -> Parameter {
    let kind = Kind::Number {
        min: 0,
        max: MOMENT_MAX,
    };
    Parameter {
        name,
        kind,
        meaning,
    }
}

const fn number(name: &'static str, min: u64, max: u64, meaning: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Number { min, max },
        meaning,
    }
}

const fn filter(meaning: &'static str) -> Parameter {
    Parameter {
        name: "filter",
        kind: Kind::Text { max: FILTER_BYTES },
        meaning,
    }
}

const FROM_ROW: Parameter = number("from", 0, 1_000_000, "Rows to leave out first; else none.");

pub(super) const ROUTES: &[Route] = &[
    Route::read(
        "/v1/live",
        "The newest second, or a moment of the last day, folded for people.",
        &[millis(
            "at_ms",
            "A moment of the last day, UTC, milliseconds since 1970; else now.",
        )],
        Shape::of::<Live>(),
        live,
    ),
    Route::read(
        "/v1/live/stream",
        "Each second as an event `live` with the same; it ends after ten minutes with an event `end`.",
        &[],
        Shape::Media(EVENTS),
        stream,
    ),
    Route::read(
        "/v1/chart",
        "Curves of one pool, or of all together, with what changed.",
        &[
            Parameter {
                name: "pool",
                kind: Kind::Text { max: POOL_BYTES },
                meaning: "The pool, as `DATABASE/USER`; else all together.",
            },
            millis(
                "from_ms",
                "The begin, UTC, milliseconds since 1970; else a quarter of an hour before the end.",
            ),
            millis(
                "until_ms",
                "The end, UTC, milliseconds since 1970; else now.",
            ),
            number("points", 1, POINTS_MAX, "Most values of a curve; else 300."),
        ],
        Shape::of::<Chart>(),
        chart,
    ),
    Route::read(
        "/v1/pools",
        "The pools, those in trouble first.",
        &[
            Parameter {
                name: "sort",
                kind: Kind::Word(&[
                    "trouble", "name", "used", "waiting", "wait", "service", "rate",
                ]),
                meaning: "The order; else by trouble.",
            },
            filter("Only those whose database, user, server or standing holds this."),
            number("most", 1, POOLS_MAX, "How many rows; else 100."),
            FROM_ROW,
        ],
        Shape::of::<PoolTable>(),
        pools,
    ),
    Route::read(
        "/v1/leases",
        "Who holds connections, the oldest lease first, with the last statement.",
        &[
            Parameter {
                name: "sort",
                kind: Kind::Word(&["held", "silent", "application", "database", "state"]),
                meaning: "The order; else by the time held.",
            },
            filter(
                "Only those whose application, database, user, release, tags, state, address or client holds this.",
            ),
            number("most", 1, LEASES_MAX, "How many rows; else 100."),
            FROM_ROW,
        ],
        Shape::of::<LeaseTable>(),
        leases,
    ),
];

fn feed(parts: &Parts) -> Result<&Feed, Failure> {
    let absent = || Failure::absent("measurement", "it ends with the pooler");
    parts.feed.as_ref().ok_or_else(absent)
}

fn newest(parts: &Parts) -> Result<Arc<Second>, Failure> {
    let early = || {
        let line = "nothing is measured yet: it has just started";
        Failure::new(503, "early", line, "ask again in a second")
    };
    feed(parts)?.newest().ok_or_else(early)
}

fn live(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    match moment(call, "at_ms") {
        Some(at_ms) => Ok(Answer::json(&past(parts, at_ms)?)),
        None => Ok(Answer::json(&fold(parts, &*newest(parts)?))),
    }
}

fn stream(parts: &Parts, _: &Call) -> Result<Answer, Failure> {
    Ok(Answer::events(feed(parts)?.listen()))
}

/// One second as an event, for all who listen.
pub(super) fn frame(parts: &Parts, second: &Second) -> Bytes {
    let live = fold(parts, second);
    event(
        live.snapshot,
        &serde_json::to_vec(&live).unwrap_or_default(),
    )
}

/// The newest second, with what others made of it.
fn fold(parts: &Parts, second: &Second) -> Live {
    let mut around = Around {
        base: base(parts),
        alerts: alerts(parts),
        ..Around::default()
    };
    if parts.veil.hides() {
        around.verdict = parts.veil.verdict();
    } else {
        around.base.incident = parts.incidents.as_ref().and_then(|i| i.now());
        if let Some(lookout) = &parts.lookout {
            around.verdict = lookout.newest().unwrap_or_default();
        }
    }
    if let Some(measures) = &parts.measures {
        measures.look(|record| {
            around.markers = newest_markers(record, i64::MAX);
            if let Some(newest) = record.seconds.back() {
                around.releases = Around::releases(newest);
            }
        });
    }
    let plan = parts.source.plan();
    around.clients_limit = plan.map_or(0, |plan| plan.max_client_conn);
    live::now(second, around, &|clients| statements(parts, clients))
}

fn past(parts: &Parts, at_ms: i64) -> Result<Live, Failure> {
    let nothing = || {
        let help = "the last hour is kept by seconds, the last day by minutes";
        Failure::not_found("nothing was measured at that moment", help)
    };
    let measures = measured(parts)?;
    let found = measures.look(|record| {
        let sample = live::at(record, at_ms)?.clone();
        let around = Around {
            base: base(parts),
            verdict: match parts.veil.hides() {
                true => parts.veil.verdict(),
                false => diagnose::diagnose(record, Some(at_ms)),
            },
            markers: newest_markers(record, at_ms),
            ..Around::default()
        };
        Some((sample, around))
    });
    let (sample, mut around) = found.ok_or_else(nothing)?;
    // What it is now says nothing of then.
    around.base.not_ready.clear();
    if let Some(incidents) = &parts.incidents
        && !parts.veil.hides()
    {
        around.base.incident = incidents.at(at_ms);
    }
    Ok(live::past(&sample, around))
}

/// The newest before a moment, the newest last.
fn newest_markers(record: &Record, until_ms: i64) -> Vec<Marker> {
    let newest = record.markers.iter().rev();
    let newest = newest.filter(|m| m.at_ms <= until_ms);
    let mut found: Vec<Marker> = newest.take(MARKERS_MAX).cloned().collect();
    found.reverse();
    found
}

fn base(parts: &Parts) -> Live {
    Live {
        instance: parts.about.instance.clone(),
        fleet: parts.about.fleet.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: parts.about.started.elapsed().as_secs(),
        demo: parts.director.is_some(),
        channel: parts.source.fleet().is_some(),
        not_ready: match parts.source.ready() {
            Health::Good => String::new(),
            Health::Bad(reason) => reason,
        },
        ..Live::default()
    }
}

fn alerts(parts: &Parts) -> Vec<Alert> {
    let lookout = parts.lookout.as_ref().filter(|_| !parts.veil.hides());
    lookout.map(|l| l.alerts()).unwrap_or_default()
}

fn statements(parts: &Parts, clients: &[u64]) -> Vec<LeaseStatement> {
    let hands = parts.hands.as_ref();
    hands.map(|h| h.statements(clients)).unwrap_or_default()
}

fn chart(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let until_ms = moment(call, "until_ms").unwrap_or_else(now_ms);
    let from_ms = moment(call, "from_ms").unwrap_or(until_ms - SPAN_MS);
    if from_ms > until_ms {
        return Err(Failure::bad_request("from_ms lies after until_ms", ""));
    }
    let points = call.number("points").unwrap_or(POINTS).min(POINTS_MAX);
    let asked = Asked {
        pool: call.text("pool").unwrap_or_default(),
        from_ms,
        until_ms,
        points: u32::try_from(points).unwrap_or(1),
    };
    let chart = measured(parts)?.look(|record| live::chart(record, &asked));
    Ok(Answer::json(&chart))
}

fn span(call: &Call, most: u64) -> Span {
    let number = |name, otherwise| {
        let n = call.number(name).unwrap_or(otherwise);
        usize::try_from(n).unwrap_or(usize::MAX)
    };
    Span {
        from: number("from", 0),
        most: number("most", ROWS.min(most)),
    }
}

fn pools(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let second = newest(parts)?;
    let sort = call.text("sort").unwrap_or("trouble");
    let filter = call.text("filter").unwrap_or_default();
    let span = span(call, POOLS_MAX);
    Ok(Answer::json(&live::pool_table(
        &second,
        &alerts(parts),
        sort,
        filter,
        span,
    )))
}

fn leases(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let second = newest(parts)?;
    let ask = LeaseAsk {
        sort: call.text("sort").unwrap_or("held"),
        filter: call.text("filter").unwrap_or_default(),
        span: span(call, LEASES_MAX),
    };
    let table = live::lease_table(&second, &ask, &|clients| statements(parts, clients));
    Ok(Answer::json(&table))
}
