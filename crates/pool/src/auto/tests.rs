//! The controller against a server that is a formula: what it does is exact,
//! so each rule can be seen alone. `sim::sizing` has the servers with noise.

use super::*;

/// A closed load of `clients` on a server whose throughput is `rate(n)` with
/// `n` connections at work.
struct Bench {
    auto: Auto,
    now: Time,
    clients: f64,
    rate: fn(f64) -> f64,
    /// Share of a lease in which the server has something to do.
    busy: f64,
    changes: Vec<SizeChange>,
}

const HALF: u64 = 500_000;

impl Bench {
    fn new(rate: fn(f64) -> f64, clients: f64) -> Bench {
        let settings = AutoSettings {
            floor: 4,
            ceiling: 90,
            server_cores: None,
            per_query: false,
        };
        Bench {
            auto: Auto::new(settings),
            now: Time::from_micros(HALF),
            clients,
            rate,
            busy: 1.0,
            changes: Vec::new(),
        }
    }

    fn sample(&self) -> Sample {
        let size = f64::from(self.auto.size());
        let held = self.clients.min(size);
        Sample {
            span: AUTO_PERIOD,
            done: (self.rate)(held) * 0.5,
            queued: (self.clients - size).max(0.0),
            held,
            busy: held * self.busy,
            usable: self.auto.size(),
            room: 90,
            peak: held as u32,
        }
    }

    fn seconds(&mut self, seconds: u64) -> &mut Bench {
        for _ in 0..seconds * 2 {
            self.now = self.now.after(AUTO_PERIOD);
            let sample = self.sample();
            self.changes.extend(self.auto.observe(self.now, &sample));
        }
        self
    }
}

fn linear(n: f64) -> f64 {
    n * 50.0
}

/// Peak of the Universal Scalability Law at 25.
fn knee_at_25(n: f64) -> f64 {
    n * 500.0 / (1.0 + 0.03 * (n - 1.0) + 0.00155 * n * (n - 1.0))
}

fn flat_at_20(n: f64) -> f64 {
    n.min(20.0) * 100.0
}

#[test]
fn it_starts_at_the_floor_or_at_twice_the_cores() {
    let settings = |cores| AutoSettings {
        floor: 4,
        ceiling: 90,
        server_cores: cores,
        per_query: false,
    };
    for (cores, start) in [(None, 4), (Some(1), 4), (Some(8), 16), (Some(64), 90)] {
        assert_eq!(Auto::new(settings(cores)).size(), start, "{cores:?}");
    }
}

#[test]
fn waiting_clients_get_the_line_within_seconds_where_more_serve_more() {
    let mut b = Bench::new(linear, 200.0);
    b.seconds(12);
    assert_eq!(b.auto.size(), 90, "{:?}", b.changes);
}

#[test]
fn growth_stops_where_throughput_does() {
    let mut b = Bench::new(knee_at_25, 200.0);
    b.seconds(60);
    let best = knee_at_25(25.0);
    let now = knee_at_25(f64::from(b.auto.size()));
    assert!(now >= 0.97 * best, "{} {:?}", b.auto.size(), b.changes);
}

#[test]
fn once_found_the_size_rests() {
    for rate in [knee_at_25, flat_at_20, linear] {
        let mut b = Bench::new(rate, 200.0);
        b.seconds(60);
        let before = b.changes.len();
        b.seconds(600);
        let changes = b.changes.len() - before;
        assert!(changes <= 40, "{changes} in ten minutes: {:?}", b.changes);
    }
}

#[test]
fn nobody_waits_nothing_moves() {
    let mut b = Bench::new(linear, 3.0);
    b.seconds(600);
    assert!(b.changes.is_empty(), "{:?}", b.changes);
}

#[test]
fn a_queue_of_a_moment_is_no_reason() {
    let mut b = Bench::new(linear, 4.0);
    b.seconds(5);
    let sample = Sample {
        queued: 0.1,
        ..b.sample()
    };
    for _ in 0..100 {
        b.now = b.now.after(AUTO_PERIOD);
        assert_eq!(b.auto.observe(b.now, &sample), None);
    }
}

#[test]
fn silent_holders_need_more_connections_not_fewer() {
    // The server has nothing to do nine tenths of the time.
    let mut b = Bench::new(linear, 200.0);
    b.busy = 0.1;
    b.seconds(15);
    assert_eq!(b.auto.size(), 90);
}

#[test]
fn unused_connections_go_slowly_and_come_back_at_once() {
    let mut b = Bench::new(linear, 200.0);
    b.seconds(15);
    b.clients = 5.0;
    b.seconds(660);
    assert!(b.auto.size() >= 67, "the demand of ten minutes counts");
    b.seconds(1800);
    let small = b.auto.size();
    assert!(small <= 12, "{small}");
    b.clients = 200.0;
    b.seconds(2);
    assert_eq!(b.auto.size(), 90, "a size that had proved itself");
}

#[test]
fn another_load_is_searched_anew_and_less_is_kept_where_it_is_better() {
    let mut b = Bench::new(linear, 200.0);
    b.seconds(60);
    assert_eq!(b.auto.size(), 90);
    b.rate = knee_at_25;
    b.seconds(120);
    let now = knee_at_25(f64::from(b.auto.size()));
    assert!(
        now >= 0.97 * knee_at_25(25.0),
        "{} {:?}",
        b.auto.size(),
        b.changes
    );
}

#[test]
fn less_is_never_kept_where_it_costs() {
    // A lower size halves the throughput of this one at once.
    let mut b = Bench::new(linear, 200.0);
    b.seconds(30);
    for _ in 0..20 {
        b.seconds(60);
        assert_eq!(b.auto.size(), 90, "{:?}", b.changes);
    }
}

#[test]
fn the_room_under_the_line_bounds_what_is_tried() {
    let mut b = Bench::new(linear, 200.0);
    for _ in 0..60 {
        b.now = b.now.after(AUTO_PERIOD);
        let sample = Sample {
            room: 11,
            ..b.sample()
        };
        b.auto.observe(b.now, &sample);
    }
    assert_eq!(b.auto.size(), 11);
}

#[test]
fn an_observer_says_what_it_would_try_and_keeps_the_size() {
    let mut b = Bench::new(linear, 200.0);
    let sample = b.sample();
    let change = b.auto.would(b.now, 4, &sample).expect("clients wait");
    assert_eq!((change.from, change.to), (4, 8));
    assert_eq!(b.auto.size(), 4);
    b.now = b.now.after(AUTO_PERIOD);
    assert_eq!(b.auto.would(b.now, 4, &sample), None, "once a minute");
}

#[test]
fn changes_within_a_minute_are_bounded_whatever_the_server_does() {
    // Throughput that jumps about: each try looks like a gain or a loss.
    let mut b = Bench::new(linear, 200.0);
    let mut state = 9u64;
    let mut at: Vec<u64> = Vec::new();
    for _ in 0..7200 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        b.now = b.now.after(AUTO_PERIOD);
        let sample = Sample {
            done: 10.0 + (state >> 40) as f64 / 20_000.0,
            ..b.sample()
        };
        let change = b.auto.observe(b.now, &sample);
        at.extend(change.map(|c| c.at.as_micros()));
    }
    let most = at
        .iter()
        .map(|from| {
            at.iter()
                .filter(|t| (*from..from + 60_000_000).contains(*t))
                .count()
        })
        .max()
        .unwrap_or(0);
    assert!(most <= AUTO_CHANGES_PER_MINUTE + 1, "{most}");
}
