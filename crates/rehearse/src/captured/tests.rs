//! Readings put together, and what is said of them.

use super::*;
use events::sample::{ClientsSample, PoolSample, Sample, Times};
use events::shape::{BYTES_MAX, ClassShape, End, PoolShape, Request, ServerShape, Shape, Window};
use sim::rng::Rng;
use std::time::Duration;

fn request(asked_us: u32, hold_us: u32) -> Request {
    Request {
        asked_us,
        hold_us,
        ..Request::default()
    }
}

fn window(at_us: u64, before: u64, requests: Vec<Request>) -> Window {
    Window {
        at_us,
        before,
        span_us: 1_000_000,
        requests,
        ..Window::default()
    }
}

fn pool(database: &str, flows: &[&str]) -> PoolShape {
    PoolShape {
        database: database.to_owned(),
        user: "anna".to_owned(),
        flows: flows.iter().map(|f| (*f).to_owned()).collect(),
        ..PoolShape::default()
    }
}

fn class(fingerprint: u64, name: &str) -> ClassShape {
    ClassShape {
        name: name.to_owned(),
        fingerprint,
        text: String::new(),
    }
}

fn reading(asked: u64, until_us: u64, windows: Vec<Window>) -> Shape {
    Shape {
        servers: vec![ServerShape {
            asked,
            until_us,
            classes: vec![class(0, "other"), class(7, "select-7")],
            pools: vec![pool("app", &["", "anna\0web"])],
            windows,
            ..ServerShape::default()
        }],
        ..Shape::default()
    }
}

fn collected(readings: Vec<Shape>) -> Shape {
    let mut collector = Collector::new();
    for reading in readings {
        collector.take(reading).expect("a reading");
    }
    collector.shape(1_000, 60, true, BYTES_MAX)
}

#[test]
fn a_window_that_is_read_again_counts_once_and_is_the_later_one() {
    let held = Request {
        end: End::Held,
        ..request(5, 100)
    };
    let returned = request(5, 900_000);
    let shape = collected(vec![
        reading(100, 50_000_000, Vec::new()),
        reading(140, 53_000_000, vec![window(51_000_000, 110, vec![held])]),
        reading(
            160,
            56_000_000,
            vec![
                window(51_000_000, 110, vec![returned]),
                window(55_000_000, 150, vec![request(9, 9)]),
            ],
        ),
    ]);
    let server = &shape.servers[0];
    let at: Vec<u64> = server.windows.iter().map(|w| w.at_us).collect();
    assert_eq!(at, [0, 4_000_000]);
    assert_eq!(server.windows[0].requests, [returned]);
    // Counts begin with the first window; what came before it nobody recorded.
    assert_eq!((server.asked, server.until_us), (50, 5_000_000));
    let stands: Vec<u64> = server.stands().iter().map(|s| s.requests).collect();
    assert_eq!(stands, [40, 10]);
}

#[test]
fn windows_of_before_the_capture_are_left_out_and_silence_is_kept() {
    let shape = collected(vec![
        reading(
            100,
            50_000_000,
            vec![window(40_000_000, 90, vec![request(1, 1)])],
        ),
        reading(
            110,
            80_000_000,
            vec![
                window(49_000_000, 100, vec![request(1, 1)]),
                window(70_000_000, 100, vec![request(2, 2); 10]),
            ],
        ),
    ]);
    // Nothing came in the first twenty seconds of thirty.
    let figures = Figures::of(&shape).expect("figures");
    assert_eq!(
        (figures.requests, figures.over),
        (10, Duration::from_secs(30))
    );
    assert_eq!(shape.servers[0].windows.len(), 2);
}

#[test]
fn of_a_window_that_was_under_way_the_rest_is_taken() {
    let mut open = window(
        45_000_000,
        100,
        vec![request(1_000_000, 1), request(7_000_000, 2)],
    );
    open.span_us = 9_000_000;
    let shape = collected(vec![
        reading(101, 50_000_000, Vec::new()),
        reading(102, 54_000_000, vec![open]),
    ]);
    let one = &shape.servers[0].windows[0];
    assert_eq!((one.at_us, one.span_us, one.before), (0, 4_000_000, 0));
    assert_eq!(one.requests, [request(2_000_000, 2)]);
    assert_eq!(shape.servers[0].stands()[0].requests, 1);
}

#[test]
fn readings_may_number_all_things_anew() {
    let first = Request {
        class: 1,
        flow: 1,
        client: 9_000_000,
        ..request(1, 1)
    };
    let mut second = reading(30, 70_000_000, vec![window(60_000_000, 20, vec![first])]);
    let server = &mut second.servers[0];
    server.classes = vec![
        class(0, "other"),
        class(9, "update-9"),
        class(7, "select-7"),
    ];
    server.pools = vec![
        pool("new", &[""]),
        pool("app", &["", "anna\0job", "anna\0web"]),
    ];
    server.windows[0].requests = vec![
        Request {
            class: 2,
            pool: 1,
            flow: 2,
            client: 9_000_000,
            ..request(1, 1)
        },
        Request {
            class: 1,
            pool: 0,
            client: 5,
            ..request(2, 1)
        },
    ];
    let shape = collected(vec![
        reading(10, 50_000_000, Vec::new()),
        reading(20, 55_000_000, vec![window(51_000_000, 10, vec![first])]),
        second,
    ]);
    let server = &shape.servers[0];
    let of = |w: usize, r: usize| server.windows[w].requests[r];
    assert_eq!(of(1, 0), Request { client: 0, ..first });
    assert_eq!(of(2, 0), Request { client: 0, ..first });
    let other = of(2, 1);
    assert_eq!(server.classes[usize::from(other.class)].name, "update-9");
    assert_eq!(server.pools[usize::from(other.pool)].database, "new");
    assert_eq!(other.client, 1);
    assert_eq!(Shape::from_text(&shape.to_text()), Ok(shape));
}

#[test]
fn a_pooler_that_was_started_anew_ends_the_capture() {
    let mut collector = Collector::new();
    collector
        .take(reading(100, 50_000_000, Vec::new()))
        .expect("a reading");
    collector
        .take(reading(
            120,
            52_000_000,
            vec![window(51_000_000, 100, vec![request(1, 1)])],
        ))
        .expect("a reading");
    let error = collector
        .take(reading(3, 1_000_000, Vec::new()))
        .expect_err("another life");
    assert_eq!(error.to_string(), "the pooler was started anew");
    assert_eq!(collector.requests(), 1);
    let partial = collector.shape(1_000, 2, false, BYTES_MAX);
    assert!(head(&partial, "then", "there").contains("PARTIAL"));
}

#[test]
fn unfinished_leases_are_asked_for_again() {
    let held = Request {
        end: End::Held,
        ..request(5, 100)
    };
    let mut collector = Collector::new();
    collector
        .take(reading(1, 100_000_000, Vec::new()))
        .expect("a reading");
    let windows = vec![
        window(110_000_000, 1, vec![held]),
        window(160_000_000, 2, vec![request(1, 1)]),
    ];
    collector
        .take(reading(3, 200_000_000, windows))
        .expect("a reading");
    assert_eq!(collector.since_us(), 110_000_000);
    let windows = vec![window(110_000_000, 1, vec![request(5, 9)])];
    collector
        .take(reading(3, 201_000_000, windows))
        .expect("a reading");
    // All are over now: what comes next may be a window that had no request so far.
    assert_eq!(collector.since_us(), 190_000_000);
}

#[test]
fn windows_that_are_over_and_known_are_not_asked_for_again() {
    let mut collector = Collector::new();
    collector
        .take(reading(1, 100_000_000, Vec::new()))
        .expect("a reading");
    let over = window(108_000_000, 1, vec![request(1, 1)]);
    let next = Window {
        span_us: 2_000_000,
        ..window(110_000_000, 2, vec![request(1, 1)])
    };
    // It still is under way when it is read, though all of its leases have ended.
    collector
        .take(reading(3, 112_000_000, vec![over, next.clone()]))
        .expect("a reading");
    assert_eq!(collector.since_us(), 110_000_000);
    collector
        .take(reading(3, 112_500_000, vec![next]))
        .expect("a reading");
    assert_eq!(collector.since_us(), 110_000_001);
}

#[test]
fn a_window_that_reached_into_the_capture_is_asked_for_from_its_own_begin() {
    let mut collector = Collector::new();
    let silent = reading(1, 100_000_000, Vec::new());
    collector.take(silent).expect("a reading");
    let long = Window {
        span_us: 9_000_000,
        ..window(95_000_000, 1, vec![request(7_000_000, 1)])
    };
    let second = reading(3, 104_000_000, vec![long]);
    collector.take(second).expect("a reading");
    assert!(
        collector.since_us() < 95_000_000,
        "{}",
        collector.since_us()
    );
}

#[test]
fn a_text_is_as_short_as_is_asked_and_covers_all_the_time() {
    let mut rng = Rng::new(4);
    let mut collector = Collector::new();
    collector
        .take(reading(0, 1, Vec::new()))
        .expect("a reading");
    // A day, a window each second at a thousand a second.
    for second in 0..3_000u64 {
        let mut at = 0;
        let requests = (0..1_000).map(|_| {
            at += rng.below(2_000) as u32;
            request(at, 500 + rng.below(5_000) as u32)
        });
        let one = window(second * 28_000_000 + 2, second * 28_000, requests.collect());
        let until = (second + 1) * 28_000_000;
        collector
            .take(reading((second + 1) * 28_000, until, vec![one]))
            .expect("a reading");
    }
    for bytes in [32 << 10, 128 << 10, 900 << 10] {
        let shape = collector.shape(1_000, 84_000, true, bytes);
        let text = shape.to_text();
        assert!(
            text.len() <= bytes && text.len() > bytes / 2,
            "{} of {bytes}",
            text.len()
        );
        let figures = Figures::of(&shape).expect("figures");
        assert!((figures.rate - 1_000.0).abs() < 1.0, "{figures:?}");
        assert!(figures.over > Duration::from_secs(83_900), "{figures:?}");
        let widest = shape.servers[0].stands().iter().map(|s| s.lasts_us).max();
        assert!(widest < Some(4_000_000_000), "{widest:?}");
        assert_eq!(Shape::from_text(&text), Ok(shape));
    }
}

#[test]
fn figures_count_what_was_not_recorded() {
    // A second with 10 short holds stands for 100; one with 10 long ones for itself.
    let shape = reading(
        110,
        20_000_000,
        vec![
            window(0, 0, (0..10).map(|n| request(n, 1_000)).collect()),
            window(
                10_000_000,
                100,
                (0..10).map(|n| request(n, 100_000)).collect(),
            ),
        ],
    );
    let f = Figures::of(&shape).expect("figures");
    assert_eq!((f.rate, f.requests, f.recorded), (5.5, 110, 20));
    assert!((f.concurrency - (100.0 * 0.001 + 10.0 * 0.1) / 20.0).abs() < 1e-9);
    assert_eq!(
        (f.hold_p50, f.hold_p99),
        (Duration::from_millis(1), Duration::from_millis(100))
    );
    assert_eq!(Figures::of(&Shape::default()), None);
}

#[test]
fn refusals_retries_and_silence_are_told() {
    let of = |client, end, idle_us| Request {
        client,
        end,
        idle_us,
        ..request(1, 1_000)
    };
    let requests = vec![
        of(1, End::Refused, 0),
        of(2, End::TimedOut, 0),
        of(1, End::Returned, 500),
        of(3, End::Returned, 0),
    ];
    let shape = reading(4, 1_000_000, vec![window(0, 0, requests)]);
    let f = Figures::of(&shape).expect("figures");
    assert_eq!(
        (f.refused, f.retried, f.idle, f.clients),
        (0.5, 0.5, 0.25, 3)
    );
}

#[test]
fn bursts_are_told_from_single_requests() {
    let burst: Vec<Request> = (0..100).map(|n| request(n, 1)).collect();
    let even: Vec<Request> = (0..100).map(|n| request(n * 10_000, 1)).collect();
    let of = |requests| {
        let shape = reading(100, 1_000_000, vec![window(0, 0, requests)]);
        Figures::of(&shape).expect("figures").dispersion
    };
    assert_eq!((of(burst), of(even)), (90.0, 0.0));
}

#[test]
fn a_difference_is_a_part_of_what_was_captured() {
    let of = |n: u32, hold_us: u32| {
        let requests = (0..n).map(|i| request(i * 100, hold_us)).collect();
        reading(n.into(), 1_000_000, vec![window(0, 0, requests)])
    };
    let d = compare(&of(100, 1_000), &of(110, 1_000)).expect("a difference");
    assert!(
        (d.rate - 0.1).abs() < 1e-9 && (d.concurrency - 0.1).abs() < 1e-9,
        "{d:?}"
    );
    assert_eq!((d.hold_p50, d.hold_p99), (0.0, 0.0));
    let d = compare(&of(100, 1_000), &of(100, 900)).expect("a difference");
    assert!(
        (d.hold_p99 + 0.1).abs() < 1e-9 && (d.worst() - 0.1).abs() < 1e-9,
        "{d:?}"
    );
    assert_eq!(compare(&of(1, 1), &Shape::default()), None);
}

#[test]
fn seconds_add_up_to_five_minutes_of_the_day() {
    let second = |at_ms: i64| Sample {
        at_ms,
        span_ms: 1_000,
        pools: vec![PoolSample {
            arrivals: 10,
            refused: 1,
            hold: Times {
                sum_us: 5_000,
                ..Times::default()
            },
            ..PoolSample::default()
        }],
        clients: ClientsSample {
            logins: 2,
            ..ClientsSample::default()
        },
        ..Sample::default()
    };
    let mut collector = Collector::new();
    // The last second before midnight, the first after it, and the first of the next day.
    let day = 86_400_000;
    for at in [day, day + 1_000, 2 * day + 1_000] {
        collector.count(&second(at));
    }
    collector.count(&second(-5));
    let slots = collector
        .shape(0, 3, true, BYTES_MAX)
        .capture
        .expect("a capture")
        .slots;
    let told: Vec<_> = slots
        .iter()
        .map(|s| (s.of_day, s.seconds, s.granted, s.logins))
        .collect();
    assert_eq!(told, [(0, 3, 30, 6), (287, 1, 10, 2)]);
    assert_eq!((slots[0].refused, slots[0].held_ms), (3, 15));
}

#[test]
fn the_head_says_what_a_person_wants_to_know() {
    let requests = (0..90).map(|n| Request {
        class: u16::from(n % 3 > 0),
        idle_us: 100,
        client: n % 7,
        ..request(n * 10_000, 1_000 + n * 10)
    });
    let mut shape = reading(180, 2_000_000, vec![window(0, 0, requests.collect())]);
    shape.servers[0].classes[1].text = "SELECT price FROM products WHERE id = $1".to_owned();
    let text = head(&shape, "2026-11-22 09:00:00Z", "shop-1:7, plimsoll 0.1.0");
    let expected = "\
A traffic shape, captured by Plimsoll.
when      2026-11-22 09:00:00Z, for 0 s (PARTIAL: it ended before its time)
from      shop-1:7, plimsoll 0.1.0
requests  180 in 2.0 s, 90 of them recorded here
rate      90.0/s, index of dispersion 1.0
held      0.13 connections on average; each p50 1.44 ms, p99 1.89 ms; 7 % of it the client was silent
refused   0.00 % of the requests; after 0 % of these the client asked again
sessions  7 clients seen
classes
   66.7 %   1.44 ms  select-7                 SELECT price FROM products WHERE id = $1
   33.3 %   1.42 ms  other
No literal and no secret stands here: names, and statements without literals.
";
    assert_eq!(text, expected);
    let empty = head(&Shape::default(), "", "");
    assert_eq!(empty, "A traffic shape without a request.");
}
