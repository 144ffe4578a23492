//! Replays: as many requests as were captured, as uneven, as long.

use super::*;
use events::shape::{ClassShape, PoolShape, ServerShape, Window};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn request(asked_us: u32, hold_us: u32) -> Request {
    Request {
        asked_us,
        hold_us,
        ..Request::default()
    }
}

fn window(at_us: u64, before: u64, span_us: u32, requests: Vec<Request>) -> Window {
    Window {
        at_us,
        before,
        span_us,
        requests,
        ..Window::default()
    }
}

fn shape(asked: u64, until_us: u64, windows: Vec<Window>) -> Shape {
    let class = |name: &str| ClassShape {
        name: name.to_owned(),
        ..ClassShape::default()
    };
    Shape {
        servers: vec![ServerShape {
            asked,
            until_us,
            classes: vec![class("other"), class("pay")],
            pools: vec![PoolShape::default()],
            windows,
            ..ServerShape::default()
        }],
        ..Shape::default()
    }
}

/// Poisson arrivals: so many a second, within a span.
fn poisson(rng: &mut Rng, rate: f64, span_us: u32) -> Vec<Request> {
    let mut at = 0.0;
    let mut all = Vec::new();
    loop {
        let unit = ((rng.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        at -= unit.ln() / rate * 1e6;
        if at >= f64::from(span_us) {
            return all;
        }
        all.push(request(at as u32, 1_000 + (rng.below(9_000)) as u32));
    }
}

/// Every half second 40 requests within 5 ms.
fn bursts(span_us: u32) -> Vec<Request> {
    let starts = (0..span_us / 500_000).map(|n| n * 500_000 + 100_000);
    starts
        .flat_map(|start| (0..40).map(move |n| request(start + n * 125, 2_000)))
        .collect()
}

fn all(shape: &Shape, scale: f64, lasts: Duration, seed: u64) -> Vec<Due> {
    let replay = Replay::new(shape, scale, lasts, seed).expect("a replay");
    let all: Vec<Due> = replay.collect();
    assert!(all.windows(2).all(|w| w[0].at <= w[1].at), "not ascending");
    assert!(all.iter().all(|due| due.at < lasts));
    all
}

/// Variance over mean of the requests in pieces of a tenth of a second.
fn dispersion(all: &[Due], lasts: Duration) -> f64 {
    let mut counts = vec![0.0; (lasts.as_millis() / 100) as usize];
    for due in all {
        counts[(due.at.as_millis() / 100) as usize] += 1.0;
    }
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / n;
    counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n / mean
}

fn at_ms(all: &[Due]) -> Vec<u128> {
    all.iter().map(|due| due.at.as_millis()).collect()
}

#[test]
fn what_was_recorded_is_played_as_it_was() {
    let recorded = vec![
        request(0, 7_000),
        request(250_000, 9_000),
        request(250_000, 1),
    ];
    let shape = shape(3, 1_000_000, vec![window(0, 0, 1_000_000, recorded)]);
    let all = all(&shape, 1.0, s(2), 1);
    assert_eq!(at_ms(&all), [0, 250, 250, 1_000, 1_250, 1_250]);
    let holds: Vec<_> = all.iter().filter_map(|due| due.hold).collect();
    assert_eq!(holds[0].busy, Duration::from_millis(7));
    assert_eq!(holds[1].busy, Duration::from_millis(9));
}

#[test]
fn between_windows_as_many_come_as_were_counted() {
    // Recorded: 10 in the first second. Counted: 100 in ten seconds, then none in five.
    let recorded: Vec<Request> = (0..10).map(|n| request(n * 100_000, 1)).collect();
    let windows = vec![
        window(0, 0, 1_000_000, recorded.clone()),
        window(10_000_000, 100, 1_000_000, recorded),
    ];
    let shape = shape(110, 16_000_000, windows);
    let replay = Replay::new(&shape, 1.0, s(16), 1).expect("a replay");
    assert!(
        (replay.expected() - 110.0).abs() < 1e-6,
        "{}",
        replay.expected()
    );
    let all = all(&shape, 1.0, s(16), 1);
    let within = |from: u64, to: u64| {
        all.iter()
            .filter(|d| (s(from)..s(to)).contains(&d.at))
            .count()
    };
    assert_eq!(
        (within(0, 10), within(10, 11), within(11, 16)),
        (100, 10, 0)
    );
}

#[test]
fn the_rate_is_the_counted_one_whatever_share_was_recorded() {
    // A busy pooler: half a second in each two is recorded, at changing rates.
    let mut rng = Rng::new(5);
    let (mut windows, mut before) = (Vec::new(), 0);
    for n in 0..30u64 {
        let rate = 500.0 + 1_000.0 * (n % 3) as f64;
        windows.push(window(
            n * 2_000_000,
            before,
            500_000,
            poisson(&mut rng, rate, 500_000),
        ));
        before += (rate * 2.0) as u64;
    }
    let shape = shape(before, 60_000_000, windows);
    let n = all(&shape, 1.0, s(60), 3).len() as f64;
    assert!((n / before as f64 - 1.0).abs() < 0.01, "{n} of {before}");
}

#[test]
fn a_scale_multiplies_the_rate_and_keeps_the_bursts() {
    let mut rng = Rng::new(9);
    let span = 10_000_000;
    for (name, requests) in [
        ("poisson", poisson(&mut rng, 400.0, span)),
        ("bursts", bursts(span)),
    ] {
        let n = requests.len() as u64;
        let shape = shape(n, span.into(), vec![window(0, 0, span, requests)]);
        let once = dispersion(&all(&shape, 1.0, s(200), 1), s(200));
        for scale in [0.25, 0.5, 1.5, 2.0, 5.0] {
            let all = all(&shape, scale, s(200), 1);
            let expected = n as f64 * 20.0 * scale;
            let rate = all.len() as f64 / expected;
            assert!((rate - 1.0).abs() < 0.02, "{name} × {scale}: {rate}");
            let dispersion = dispersion(&all, s(200));
            assert!(
                (dispersion / once - 1.0).abs() < 0.35,
                "{name} × {scale}: {dispersion} against {once}"
            );
        }
    }
}

#[test]
fn a_day_in_an_hour_has_the_shape_of_the_day() {
    // At night 10 a second, by day 50; each window stands for an hour.
    let mut rng = Rng::new(2);
    let (mut windows, mut before) = (Vec::new(), 0);
    for hour in 0..24u64 {
        let rate = if (8..20).contains(&hour) { 50.0 } else { 10.0 };
        windows.push(window(
            hour * 3_600_000_000,
            before,
            10_000_000,
            poisson(&mut rng, rate, 10_000_000),
        ));
        before += (rate * 3_600.0) as u64;
    }
    let shape = shape(before, 86_400_000_000, windows);
    let all = all(&shape, 1.0, s(3_600), 1);
    let rate = all.len() as f64 / 3_600.0;
    assert!((rate / 30.0 - 1.0).abs() < 0.03, "{rate}");
    let by_day = all
        .iter()
        .filter(|d| (s(1_200)..s(3_000)).contains(&d.at))
        .count();
    assert!(
        (by_day as f64 / 1_800.0 / 50.0 - 1.0).abs() < 0.05,
        "{by_day}"
    );
}

#[test]
fn whose_time_a_hold_was_and_its_class_are_kept() {
    let pay = Request {
        class: 1,
        idle_us: 3_000,
        ..request(0, 10_000)
    };
    let shape = shape(1, 1_000_000, vec![window(0, 0, 1_000_000, vec![pay])]);
    let replay = Replay::new(&shape, 1.0, s(1), 1).expect("a replay");
    let names: Vec<&str> = replay.classes().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["other", "pay"]);
    let due = replay.last().expect("a request");
    let hold = due.hold.expect("a hold");
    assert_eq!(
        (due.class, hold.busy, hold.idle),
        (1, s(7) / 1_000, s(3) / 1_000)
    );
}

#[test]
fn who_got_no_connection_asks_for_one_as_others_of_its_kind_did() {
    let refused = |flow, end| Request {
        flow,
        end,
        ..request(10, 0)
    };
    let granted = |flow, hold_us| Request {
        flow,
        ..request(0, hold_us)
    };
    let requests = vec![
        granted(0, 5_000),
        granted(1, 80_000),
        refused(1, End::TimedOut),
        refused(0, End::Refused),
        refused(2, End::Left),
    ];
    let shape = shape(5, 1_000_000, vec![window(0, 0, 1_000_000, requests)]);
    let all = all(&shape, 1.0, s(1), 1);
    let holds: Vec<u128> = all
        .iter()
        .map(|d| d.hold.unwrap().busy.as_millis())
        .collect();
    assert_eq!(holds[..4], [5, 80, 80, 5]);
    assert!([5, 80].contains(&holds[4]));
}

#[test]
fn servers_are_played_together_and_classes_by_name() {
    let mut two = shape(
        2,
        1_000_000,
        vec![window(
            0,
            0,
            1_000_000,
            vec![request(0, 1), request(500_000, 1)],
        )],
    );
    let mut other = two.servers[0].clone();
    other.classes.swap(0, 1);
    other.windows[0].requests[0].asked_us = 100_000;
    two.servers.push(other);
    let all = all(&two, 1.0, s(1), 1);
    assert_eq!(at_ms(&all), [0, 100, 500, 500]);
    assert_eq!(all.iter().map(|d| d.class).collect::<Vec<_>>()[..2], [0, 1]);
}

#[test]
fn a_seed_says_all() {
    let shape = shape(
        300,
        10_000_000,
        vec![window(0, 0, 1_000_000, bursts(1_000_000))],
    );
    assert_eq!(all(&shape, 1.7, s(20), 3), all(&shape, 1.7, s(20), 3));
    assert_ne!(all(&shape, 1.7, s(20), 3), all(&shape, 1.7, s(20), 4));
}

#[test]
fn what_cannot_be_played_is_told() {
    let error = |shape: &Shape, scale| Replay::new(shape, scale, s(1), 1).err();
    assert_eq!(error(&Shape::default(), 1.0), Some(ReplayError::Empty));
    let silent = shape(0, 9, vec![window(0, 0, 1, Vec::new())]);
    assert_eq!(error(&silent, 1.0), Some(ReplayError::Empty));
    let good = shape(1, 9, vec![window(0, 0, 1, vec![request(0, 1)])]);
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 101.0] {
        assert_eq!(error(&good, scale), Some(ReplayError::Scale));
    }
}

#[test]
fn hostile_numbers_take_bounded_memory_and_end() {
    // All that can be large is: a window of a microsecond that stands for everything.
    let dense = vec![request(u32::MAX, u32::MAX); 1_000];
    let windows = vec![
        window(0, 0, 1, dense.clone()),
        window(5, u64::MAX / 2, 0, dense.clone()),
        window(u64::MAX - 1, u64::MAX - 1, u32::MAX, dense),
    ];
    let hostile = shape(u64::MAX, u64::MAX, windows);
    for lasts in [Duration::from_millis(3), s(1)] {
        let replay = Replay::new(&hostile, 100.0, lasts, 1).expect("a replay");
        let n = replay.take(3_000_000).count();
        assert!(n < 3_000_000, "{n}");
    }
}
