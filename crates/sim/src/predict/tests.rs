//! Records with known answers: a generator of its own, formulas of the textbooks.

use super::*;
use crate::rng::Rng;
use events::shape::{End, PoolShape, Request, Start, Window};
use pool::FlowRule;

/// A traffic source before `servers` places, first come, first served: written
/// without the pool's code, so that the two can disagree.
struct Source {
    rng: Rng,
    /// Mean hold, microseconds; drawn exponentially.
    hold_us: f64,
    servers: usize,
    requests: Vec<Request>,
}

impl Source {
    fn new(servers: usize, hold_us: f64) -> Source {
        Source {
            rng: Rng::new(11),
            hold_us,
            servers,
            requests: Vec::new(),
        }
    }

    fn drawn(&mut self, mean: f64) -> u64 {
        let unit = (self.rng.bits() >> 11) as f64 / (1u64 << 53) as f64;
        (-(1.0 - unit).ln() * mean) as u64 + 1
    }

    /// Each client asks at `asks`, in order of time; the next time is `next(end)`.
    fn run(
        &mut self,
        mut asks: Vec<(u64, u32)>,
        end_us: u64,
        mut next: impl FnMut(&mut Source, u64) -> Option<u64>,
    ) {
        let mut free = vec![0u64; self.servers];
        loop {
            asks.sort_unstable_by(|a, b| b.cmp(a));
            let Some((asked, client)) = asks.pop().filter(|(at, _)| *at < end_us) else {
                return;
            };
            let place = (0..free.len()).min_by_key(|i| free[*i]).unwrap_or(0);
            let granted = asked.max(free[place]);
            let hold = self.drawn(self.hold_us);
            let in_use = 1 + free.iter().filter(|at| **at > granted).count();
            free[place] = granted + hold;
            self.requests.push(Request {
                asked_us: asked as u32,
                client,
                wait_us: (granted - asked) as u32,
                hold_us: hold as u32,
                in_use: in_use as u16,
                end: End::Returned,
                ..Request::default()
            });
            if let Some(at) = next(self, granted + hold) {
                asks.push((at, client));
            }
        }
    }

    /// Ten-second windows.
    fn server(&self, size: u32, clients: u32) -> ServerShape {
        let mut windows: Vec<Window> = Vec::new();
        for r in &self.requests {
            let at_s = r.asked_us / 10_000_000 * 10;
            if windows.last().is_none_or(|w| w.at_s() != u64::from(at_s)) {
                windows.push(Window {
                    at_us: u64::from(at_s) * 1_000_000,
                    span_us: 10_000_000,
                    starts: vec![Start {
                        pool: 0,
                        size,
                        clients,
                        lent: 0,
                        waiting: 0,
                    }],
                    ..Window::default()
                });
            }
            if let Some(window) = windows.last_mut() {
                window.requests.push(Request {
                    asked_us: r.asked_us - at_s * 1_000_000,
                    ..*r
                });
            }
        }
        ServerShape {
            line: 80,
            open_us: 1000,
            pools: vec![PoolShape {
                database: "app".into(),
                user: "app".into(),
                size,
                clients,
                flows: vec![String::new()],
                rows: Vec::new(),
            }],
            windows,
            ..ServerShape::default()
        }
    }
}

fn choice(size: u32) -> Choice {
    Choice {
        line: 80,
        connects_max: 10,
        pools: vec![Some(PoolChoice {
            size,
            auto: false,
            min: 0,
            reserve: 0,
            reserve_after: Duration::from_secs(5),
            wait_timeout: Some(Duration::from_secs(30)),
            queue_max: 1000,
            idle_timeout: None,
            lifetime: None,
            database_max: None,
            user_max: None,
            shed: false,
            session: false,
            flows: vec![FlowRule::default()],
        })],
    }
}

/// One request each of ever new clients, so many per second, for some seconds.
fn open(servers: usize, rate: f64, hold_us: f64, seconds: u64) -> Source {
    let mut source = Source::new(servers, hold_us);
    let end = seconds * 1_000_000;
    let (mut at, mut asks) = (0, Vec::new());
    while at < end {
        at += source.drawn(1e6 / rate);
        asks.push((at, asks.len() as u32));
    }
    source.run(asks, end, |_, _| None);
    source
}

/// So many clients, each of which pauses after its reply.
fn closed(servers: usize, clients: u32, pause_us: f64, hold_us: f64, seconds: u64) -> Source {
    let mut source = Source::new(servers, hold_us);
    let asks = (0..clients).map(|c| (source.drawn(pause_us), c)).collect();
    source.run(asks, seconds * 1_000_000, |s, at| {
        Some(at + s.drawn(pause_us))
    });
    source
}

fn last(of: &[PoolPrediction]) -> Part {
    *of[0].parts.last().expect("a part")
}

const EFFORT: Effort = Effort {
    requests: 400_000,
    runs: 4,
};

/// Erlang's C: the share that waits with `c` places and load `a`.
fn erlang_c(c: u32, a: f64) -> f64 {
    let mut blocked = 1.0;
    for n in 1..=c {
        blocked = a * blocked / (f64::from(n) + a * blocked);
    }
    let rho = a / f64::from(c);
    blocked / (1.0 - rho * (1.0 - blocked))
}

#[test]
fn fewer_connections_for_independent_arrivals_as_erlang_has_it() {
    // 200 a second for 20 ms: four in use on average; recorded with 20.
    let server = open(20, 200.0, 20_000.0, 120).server(20, 50);
    for size in [5, 6, 8] {
        let all = predict(&server, &choice(20), &choice(size), &EFFORT);
        let part = last(&all);
        let c = f64::from(size);
        // P(W > t) = C e^(−(cμ − λ)t).
        let expected = (erlang_c(size, 4.0) * 100.0).ln() / (c * 50.0 - 200.0) * 1000.0;
        let got = part.new.wait_p99_ms.value;
        assert!(
            (got / expected - 1.0).abs() < 0.2,
            "size {size}: {got:.1} ms, by Erlang {expected:.1} ms; {part:?}"
        );
        assert_eq!(part.old.wait_p99_ms.value, 0.0);
    }
}

#[test]
fn fewer_connections_for_clients_that_come_back_as_the_birth_death_chain_has_it() {
    // 30 clients, 50 ms pause, 20 ms hold; recorded with 30.
    let server = closed(30, 30, 50_000.0, 20_000.0, 60).server(30, 30);
    for size in [4, 6, 9] {
        let part = last(&predict(&server, &choice(30), &choice(size), &EFFORT));
        // Clients at the pool, n: up at (N − n)/Z, down at min(n, c)/S.
        let mut weights = vec![1.0f64];
        for n in 1..=30u32 {
            let up = f64::from(30 - n + 1) / 0.05;
            let down = f64::from(n.min(size)) / 0.02;
            weights.push(weights[n as usize - 1] * up / down);
        }
        let sum: f64 = weights.iter().sum();
        let busy: f64 = (0..)
            .zip(&weights)
            .map(|(n, w)| f64::from(size.min(n)) * w)
            .sum();
        let expected = busy / sum / 0.02;
        let got = part.new.rate.value;
        assert!(
            (got / expected - 1.0).abs() < 0.07,
            "size {size}: {got:.0} a second, exactly {expected:.0}"
        );
    }
}

#[test]
fn the_settings_that_held_give_the_waits_that_were_recorded() {
    let table = [
        ("open, busy", open(5, 200.0, 20_000.0, 120), 5, 50),
        (
            "closed, saturated",
            closed(4, 30, 50_000.0, 20_000.0, 60),
            4,
            30,
        ),
        (
            "closed, at ease",
            closed(12, 30, 50_000.0, 20_000.0, 60),
            12,
            30,
        ),
    ];
    for (name, source, size, clients) in table {
        let server = source.server(size, clients);
        let part = last(&predict(&server, &choice(size), &choice(size), &EFFORT));
        let (got, seen) = (part.old.wait_p99_ms.value, part.recorded.wait_p99_ms);
        assert!(
            (got - seen).abs() < 0.25 * seen + 1.0,
            "{name}: {got:.1} ms, recorded {seen:.1} ms; {part:?}"
        );
        let (got, seen) = (
            part.old.rate.value,
            part.recorded.requests as f64 / part.recorded.seconds,
        );
        assert!(
            (got / seen - 1.0).abs() < 0.1,
            "{name}: {got:.1} a second, recorded {seen:.1}"
        );
    }
}

/// Clients before a server with so few processors that holds grow with the load:
/// processor sharing, played in steps of 50 µs. `when` says how many clients ask.
fn shared(
    processors: f64,
    work_us: f64,
    pause_us: f64,
    clients: u32,
    seconds: u64,
    when: impl Fn(u64) -> u32,
) -> Source {
    const STEP_US: u64 = 50;
    let mut source = Source::new(0, 0.0);
    let mut due: Vec<u64> = (0..clients).map(|_| source.drawn(pause_us)).collect();
    // Client, since when, work left, in use at its grant.
    let mut busy: Vec<(usize, u64, f64, usize)> = Vec::new();
    for now in (0..seconds * 1_000_000).step_by(STEP_US as usize) {
        let asking = due.iter_mut().take(when(now) as usize);
        for (client, due) in asking.enumerate() {
            if *due <= now {
                *due = u64::MAX;
                let work = source.drawn(work_us) as f64;
                busy.push((client, now, work, busy.len() + 1));
            }
        }
        let each = STEP_US as f64 * (processors / busy.len() as f64).min(1.0);
        let mut left = Vec::new();
        for (client, since, work, in_use) in busy.drain(..) {
            if work > each {
                left.push((client, since, work - each, in_use));
                continue;
            }
            source.requests.push(Request {
                asked_us: since as u32,
                client: client as u32,
                hold_us: (now + STEP_US - since) as u32,
                in_use: in_use as u16,
                ..Request::default()
            });
            due[client] = now + STEP_US + source.drawn(pause_us);
        }
        busy = left;
    }
    source.requests.sort_by_key(|r| r.asked_us);
    source
}

#[test]
fn holds_shrink_with_the_load_where_the_record_shows_that_processors_are_the_limit() {
    // Two processors, 10 ms of work: 200 a second at most, however many are lent.
    let quiet_then_busy = |now| if now < 20_000_000 { 3 } else { 24 };
    let source = shared(2.0, 10_000.0, 60_000.0, 24, 60, quiet_then_busy);
    let server = source.server(24, 24);
    let part = last(&predict(&server, &choice(24), &choice(4), &EFFORT));
    let rate = part.new.rate;
    assert!(
        (185.0..=205.0).contains(&rate.value) && !part.unknown,
        "as many as before: {part:?}"
    );
    // Without the quiet time nobody can know; the interval says so.
    let source = shared(2.0, 10_000.0, 2_000.0, 24, 40, |_| 24);
    let part = last(&predict(
        &source.server(24, 24),
        &choice(24),
        &choice(4),
        &EFFORT,
    ));
    assert!(part.unknown, "{part:?}");
    let (low, high) = (part.new.rate.low, part.new.rate.high);
    assert!(low < 60.0 && high > 180.0, "{part:?}");
}

#[test]
fn stalls_strike_all_leases_together() {
    // Twice a second the server stands still for 80 ms.
    let still = |at: u64| at + 80_000 * (at / 500_000);
    let mut source = open(30, 600.0, 10_000.0, 60);
    for r in &mut source.requests {
        let ended = still(r.ended_us());
        r.asked_us = still(u64::from(r.asked_us)) as u32;
        r.hold_us = (ended - u64::from(r.asked_us)) as u32;
    }
    let server = source.server(20, 50);
    let model = Model::new(&server);
    let stalls = &model.levels[0].stalls;
    let mean = stalls.lengths.iter().map(|us| f64::from(*us)).sum::<f64>();
    let mean = mean / stalls.lengths.len() as f64 / 1000.0;
    assert!((1.1..=2.1).contains(&stalls.rate), "{}", stalls.rate);
    assert!((60.0..=100.0).contains(&mean), "{mean} ms");
}

#[test]
fn verdicts() {
    let easy = || open(20, 200.0, 20_000.0, 60).server(20, 50);
    let table = [
        ("a little less", easy(), 20, 12, "fine"),
        ("a tenth", easy(), 20, 2, "worse: "),
        ("the same", easy(), 20, 20, "fine"),
        ("more than needed", easy(), 20, 40, "fine"),
        (
            "a tenth, closed",
            closed(20, 20, 50_000.0, 20_000.0, 60).server(20, 20),
            20,
            2,
            "worse: ",
        ),
        (
            "growth beyond the record",
            closed(4, 30, 5_000.0, 20_000.0, 60).server(4, 30),
            4,
            16,
            "inconclusive: 16 connections would be used, and at most 4",
        ),
        (
            "few",
            open(20, 2.0, 20_000.0, 60).server(20, 50),
            20,
            10,
            "inconclusive: 1",
        ),
    ];
    for (name, server, old, new, expected) in table {
        let all = predict(&server, &choice(old), &choice(new), &EFFORT);
        let got = all[0].verdict.to_string();
        assert!(
            got.starts_with(expected),
            "{name}: {got}\n{:#?}",
            all[0].parts
        );
    }
}

#[test]
fn an_hour_with_a_limit_that_is_no_more_is_no_reason_for_doubt() {
    // Half of it with 4 connections and waits, half with 20 and none.
    let mut server = closed(4, 30, 50_000.0, 20_000.0, 60).server(4, 30);
    let mut later = closed(20, 30, 50_000.0, 20_000.0, 60)
        .server(20, 30)
        .windows;
    later.iter_mut().for_each(|w| w.at_us += 100_000_000);
    server.windows.extend(later);
    server.pools[0].size = 20;
    let all = predict(&server, &choice(20), &choice(18), &EFFORT);
    assert_eq!(all[0].verdict, Verdict::Fine, "{:#?}", all[0].parts);
}

#[test]
fn a_pool_that_the_settings_forget_is_worse() {
    let server = open(20, 200.0, 20_000.0, 20).server(20, 50);
    let none = Choice {
        pools: vec![None],
        ..choice(20)
    };
    let all = predict(&server, &choice(20), &none, &EFFORT);
    assert_eq!(all[0].verdict, Verdict::Worse(Harm::Gone));
}

#[test]
fn nonsense_is_played_without_harm() {
    let mut server = open(20, 200.0, 20_000.0, 5).server(20, 50);
    for r in server.windows.iter_mut().flat_map(|w| &mut w.requests) {
        (r.pool, r.flow, r.in_use, r.hold_us) = (r.client as u16 % 3, 9, 0, u32::MAX);
    }
    let all = predict(
        &server,
        &choice(1),
        &choice(1),
        &Effort {
            requests: 1000,
            runs: 2,
        },
    );
    assert_eq!(all.len(), 1);
    let empty = ServerShape::default();
    let nothing = Choice {
        pools: Vec::new(),
        ..choice(1)
    };
    assert!(predict(&empty, &nothing, &nothing, &EFFORT).is_empty());
}
