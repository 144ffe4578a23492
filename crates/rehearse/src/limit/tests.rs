//! Searches against servers whose truth is known.

use super::*;
use crate::measured::Second;
use crate::report::example;
use sim::rng::Rng;
use std::time::Duration;

/// A queue with so many servers (M/M/c) that each serve so many a second.
#[derive(Clone, Copy)]
struct Server {
    servers: u32,
    each_per_s: f64,
}

impl Server {
    fn capacity(self) -> f64 {
        f64::from(self.servers) * self.each_per_s
    }

    /// The probability of waiting: Erlang's C, from his B by its recurrence.
    fn waits(self, rate: f64) -> f64 {
        let work = rate / self.each_per_s;
        let mut blocked = 1.0;
        for k in 1..=self.servers {
            blocked = work * blocked / (f64::from(k) + work * blocked);
        }
        let load = work / f64::from(self.servers);
        blocked / (1.0 - load * (1.0 - blocked))
    }

    /// The time that this share of requests does not exceed, seconds.
    fn percentile_s(self, rate: f64, share: f64) -> f64 {
        let (work, waits) = (rate / self.each_per_s, self.waits(rate));
        // A hair beside the pole at one server less than all busy.
        let spare = f64::from(self.servers) - 1.0 - work + 1e-9;
        let beyond = |t: f64| {
            let served = (-self.each_per_s * t).exp();
            served * (1.0 + waits * (1.0 - (-self.each_per_s * t * spare).exp()) / spare)
        };
        let (mut low, mut high) = (0.0, 1e5 / self.each_per_s);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            match beyond(middle) > 1.0 - share {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }

    /// Where p99 is twice the unloaded one.
    fn knee(self) -> f64 {
        let wanted = 2.0 * self.percentile_s(1e-6, 0.99);
        let (mut low, mut high) = (0.0, self.capacity() * (1.0 - 1e-9));
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            match self.percentile_s(middle, 0.99) < wanted {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }

    fn step(self, rate: f64, rng: &mut Rng) -> Step {
        let mut blurred = |value: f64, by: f64| value * (by * normal(rng)).exp();
        let capacity = self.capacity();
        let over = rate >= capacity * 0.995;
        let percentile = |share| match over {
            true => 5e6,
            false => self.percentile_s(rate, share) * 1e6,
        };
        Step {
            rate,
            offered: rate,
            goodput: blurred(rate.min(capacity), 0.005),
            p50_us: blurred(percentile(0.5), 0.02),
            p99_us: blurred(percentile(0.99), 0.04),
            wait_p99_us: if over { 5e6 } else { 0.0 },
            errors: 0.0,
            broken: None,
            invalid: None,
        }
    }
}

fn normal(rng: &mut Rng) -> f64 {
    let mut uniform = || ((rng.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = (-2.0 * uniform().ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform()).cos()
}

fn search(mut search: Search, mut step: impl FnMut(f64) -> Step) -> Search {
    while let Some(rate) = search.next_rate() {
        search.record(step(rate));
    }
    search
}

fn found(bounds: Bounds, step: impl FnMut(f64) -> Step) -> Limit {
    Limit::of("shop", &search(Search::new(bounds), step), None)
}

const FOUR: Server = Server {
    servers: 4,
    each_per_s: 250.0,
};

#[test]
fn the_model_is_the_textbooks() {
    let one = Server {
        servers: 1,
        each_per_s: 1.0,
    };
    // One server: exponential with rate μ − λ, so p99 doubles at half of it.
    assert!((one.percentile_s(0.5, 0.99) - 100f64.ln() / 0.5).abs() < 1e-6);
    assert!((one.knee() - 0.5).abs() < 1e-6);
    // Two servers, load a half: C = 2ρ²/(1+ρ) = 1/3.
    let two = Server {
        servers: 2,
        each_per_s: 1.0,
    };
    assert!((two.waits(1.0) - 1.0 / 3.0).abs() < 1e-12);
}

#[test]
fn knees_are_found_within_a_tenth() {
    for servers in [1, 2, 4, 10, 30, 50, 200] {
        let server = Server {
            servers,
            each_per_s: 130.0,
        };
        let (mut right, mut refused) = (0, 0);
        const EACH: u64 = 200;
        for seed in 0..EACH {
            let mut rng = Rng::new(seed);
            // Where the search begins is chance too.
            let from = server.capacity() / 300.0 * (1.0 + rng.below(1_000) as f64 / 1e3);
            let limit = found(Bounds::new(from, 1e6).unwrap(), |rate| {
                server.step(rate, &mut rng)
            });
            match limit.fit {
                Ok(fit) => {
                    assert!((fit.capacity / server.capacity() - 1.0).abs() < 0.03);
                    let off = fit.knee / server.knee() - 1.0;
                    right += u64::from(off.abs() <= 0.1);
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused <= EACH / 20, "{servers}: {refused} refused");
        assert!(
            right >= (EACH - refused) * 95 / 100,
            "{servers}: {right} right, {refused} refused"
        );
    }
}

#[test]
fn the_limit_is_found_within_a_twentieth_and_told() {
    let mut rng = Rng::new(1);
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| {
        FOUR.step(rate, &mut rng)
    });
    let End::Found { held, failed, why } = &limit.end else {
        panic!("{:?}", limit.end)
    };
    assert_eq!((why, &limit.outcome), (&Why::Behind, &Outcome::Kept));
    // A rate a little above capacity is answered to 95 %.
    assert!(
        (950.0..1_080.0).contains(held) && failed / held <= 1.05,
        "{held} {failed}"
    );
    let knee = limit.fit.as_ref().unwrap().knee;
    assert!((limit.recommended.unwrap() - knee * 0.8).abs() < 1e-9);
    assert!(
        limit.sentence().contains("answers fell below 95 %"),
        "{}",
        limit.sentence()
    );
}

#[test]
fn the_generators_limit_is_not_the_databases() {
    let mut rng = Rng::new(2);
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| {
        let mut step = FOUR.step(rate, &mut rng);
        // Its own figures look as if the database had fallen behind.
        if rate > 500.0 {
            step.goodput = 490.0;
            step.invalid = Some("the generator lagged".to_owned());
        }
        step
    });
    assert_eq!(limit.outcome.exit_code(), 3);
    assert_eq!(limit.fit, Err(NoFit::NotSaturated));
    let sentence = limit.sentence();
    assert!(
        sentence.contains("the generator's limit, not the database's"),
        "{sentence}"
    );
    assert!(limit.recommended.unwrap() <= 400.0);
}

#[test]
fn thresholds_and_failures_end_it_too() {
    let mut rng = Rng::new(3);
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| Step {
        broken: (rate > 700.0).then(|| "p(99) < 20ms".to_owned()),
        ..FOUR.step(rate, &mut rng)
    });
    assert!(
        limit.sentence().contains("`p(99) < 20ms` did not hold"),
        "{}",
        limit.sentence()
    );
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| Step {
        errors: if rate > 700.0 { 0.02 } else { 0.0 },
        ..FOUR.step(rate, &mut rng)
    });
    assert!(
        limit.sentence().contains("too many requests failed"),
        "{}",
        limit.sentence()
    );
}

/// Sends Poisson arrivals through a queue for twenty seconds, request by request.
fn played(server: Server, rate: f64, rng: &mut Rng) -> Step {
    const SECONDS: f64 = 20.0;
    let mut uniform = || ((rng.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let mut free = vec![0.0f64; server.servers as usize];
    let (mut at, mut due, mut answers) = (0.0, 0u64, 0u64);
    let (mut latency, mut wait) = (crate::measured::times(), crate::measured::times());
    loop {
        at -= uniform().ln() / rate;
        if at >= SECONDS {
            break;
        }
        let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
        let begins = next.max(at);
        *next = begins - uniform().ln() / server.each_per_s;
        latency.saturating_record(((*next - at) * 1e6) as u64);
        wait.saturating_record(((begins - at) * 1e6) as u64);
        let settled = SECONDS * SETTLING..SECONDS;
        due += u64::from(settled.contains(&at));
        answers += u64::from(settled.contains(next));
    }
    let measured_s = SECONDS * (1.0 - SETTLING);
    Step {
        rate,
        offered: due as f64 / measured_s,
        goodput: answers as f64 / measured_s,
        p50_us: latency.value_at_quantile(0.5) as f64,
        p99_us: latency.value_at_quantile(0.99) as f64,
        wait_p99_us: wait.value_at_quantile(0.99) as f64,
        errors: 0.0,
        broken: None,
        invalid: None,
    }
}

#[test]
fn knees_are_found_where_requests_are_counted() {
    for servers in [1, 4, 16, 64] {
        let server = Server {
            servers,
            each_per_s: 800.0 / f64::from(servers),
        };
        const EACH: u64 = 40;
        let (mut right, mut refused) = (0, 0);
        for seed in 0..EACH {
            let mut rng = Rng::new(seed);
            let bounds = Bounds::new(20.0, 1e5).unwrap();
            let limit = found(bounds, |rate| played(server, rate, &mut rng));
            let capacity = limit.capacity.unwrap().per_s;
            assert!(
                (capacity / 800.0 - 1.0).abs() < 0.05,
                "{servers}: {capacity}"
            );
            match limit.fit {
                Ok(fit) => right += u64::from((fit.knee / server.knee() - 1.0).abs() <= 0.1),
                Err(_) => refused += 1,
            }
        }
        // One server's queue remembers longest: twenty seconds know least of it.
        let least = if servers == 1 { 0.65 } else { 0.95 };
        let told = (EACH - refused) as f64;
        assert!(
            right as f64 >= told * least,
            "{servers} servers: {right} of {told}"
        );
        assert!(refused <= EACH / 5, "{servers} servers: {refused} refused");
    }
}

#[test]
fn the_bounds_are_kept() {
    let mut rng = Rng::new(4);
    let limit = found(Bounds::new(10.0, 300.0).unwrap(), |rate| {
        FOUR.step(rate, &mut rng)
    });
    assert_eq!(
        (&limit.end, &limit.outcome),
        (&End::Above(300.0), &Outcome::Kept)
    );
    assert!(limit.steps.iter().all(|(step, _)| step.rate <= 300.0));
    assert!(limit.sentence().contains("the limit lies above"));
}

#[test]
fn a_first_rate_that_is_too_much_is_divided() {
    let mut rng = Rng::new(5);
    let limit = found(Bounds::new(9_000.0, 1e5).unwrap(), |rate| {
        FOUR.step(rate, &mut rng)
    });
    assert!(matches!(limit.end, End::Found { held, .. } if held > 900.0));
    let never = found(Bounds::new(1e3, 1e5).unwrap(), |rate| Step {
        goodput: 0.0,
        ..FOUR.step(rate, &mut rng)
    });
    assert_eq!((never.outcome.exit_code(), never.recommended), (2, None));
}

#[test]
fn one_bad_step_is_chance_and_tried_again() {
    let (mut rng, mut tried) = (Rng::new(6), 0);
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| {
        tried += 1;
        let step = FOUR.step(rate, &mut rng);
        match tried {
            4 => Step {
                goodput: rate * 0.5,
                ..step
            },
            _ => step,
        }
    });
    assert!(matches!(limit.end, End::Found { held, .. } if held > 900.0));
    assert!(limit.fit.is_ok(), "{:?}", limit.fit);
}

#[test]
fn what_contradicts_itself_is_not_fitted() {
    let mut rng = Rng::new(7);
    let mut steps: Vec<(Step, Option<Why>)> = (1..=12)
        .map(|n| (FOUR.step(f64::from(n) * 100.0, &mut rng), None))
        .collect();
    for (at, goodput) in [(10, 950.0), (11, 960.0)] {
        steps[at].0.goodput = goodput;
        steps[at].1 = Some(Why::Behind);
    }
    assert!(fit::fit(&steps).is_ok());
    let mut odd = steps.clone();
    for at in [3, 4] {
        odd[at].1 = Some(Why::Behind);
    }
    assert!(matches!(fit::fit(&odd), Err(NoFit::Contradicts { .. })));
    let mut scattered = steps.clone();
    for (at, times) in [(1, 5.0), (3, 0.2), (5, 6.0), (7, 0.1)] {
        scattered[at].0.p99_us *= times;
    }
    assert!(fit::fit(&scattered).is_err());
    let mut falling = steps.clone();
    for (n, (step, _)) in falling.iter_mut().enumerate() {
        step.p99_us = 10_000.0 - n as f64 * 600.0;
    }
    assert_eq!(fit::fit(&falling), Err(NoFit::Falls));
    assert_eq!(fit::fit(&steps[..10]), Err(NoFit::NotSaturated));
    assert_eq!(fit::fit(&steps[7..]), Err(NoFit::TooFew(2)));
}

#[test]
fn a_goodput_that_falls_under_load_is_told() {
    let mut rng = Rng::new(8);
    let limit = found(Bounds::new(10.0, 1e5).unwrap(), |rate| {
        let mut step = FOUR.step(rate, &mut rng);
        if rate > FOUR.capacity() {
            step.goodput = FOUR.capacity() * (FOUR.capacity() / rate).powi(2);
        }
        step
    });
    let capacity = limit.capacity.unwrap();
    let off = capacity.per_s / FOUR.capacity() - 1.0;
    assert!(off.abs() < 0.1, "{capacity:?}");
    assert!(
        capacity.collapses_to.is_some_and(|to| to < 900.0),
        "{capacity:?}"
    );
}

#[test]
fn a_search_that_was_ended_is_not_judged() {
    let mut open = Search::new(Bounds::new(10.0, 1e5).unwrap());
    open.record(FOUR.step(10.0, &mut Rng::new(9)));
    let limit = Limit::of("shop", &open, None);
    assert_eq!(
        limit.outcome,
        Outcome::CouldNot("the search was ended early".to_owned())
    );
    let limit = Limit::of("shop", &open, Some("no connection: refused\u{1b}"));
    assert_eq!(
        limit.outcome,
        Outcome::CouldNot("no connection: refused?".to_owned())
    );
}

#[test]
fn a_search_always_ends() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let done = search(Search::new(Bounds::new(1.0, 1e6).unwrap()), |rate| {
            let mut step = FOUR.step(rate.min(900.0), &mut rng);
            step.rate = rate;
            step.goodput *= if rng.permille(300) { 0.5 } else { 1.0 };
            step.invalid = rng.permille(100).then(String::new);
            step
        });
        assert!(done.steps().len() <= STEPS_MAX);
        assert_ne!(done.end(), End::Open);
        let _ = Limit::of("x", &done, None).sentence();
    }
}

#[test]
fn a_step_counts_answers_in_the_seconds_in_which_it_offered() {
    let mut run = example::run();
    run.planned = Duration::from_secs(10);
    // Twice what it can: the queue grows, and all is answered after the end.
    run.seconds = (0..20)
        .map(|at| Second {
            due: if at < 10 { 200 } else { 0 },
            answered: 200,
            goodput: 100,
            ..Second::default()
        })
        .collect();
    let step = Step::of(200.0, &run, &Verdict::of(&run, &[]));
    assert_eq!((step.offered, step.goodput), (200.0, 100.0));
    assert_eq!(
        step.failed(&Bounds::new(1.0, 2.0).unwrap()),
        Some(Why::Behind)
    );
}

#[test]
fn bounds_without_rates_are_told() {
    for (from, to) in [
        (0.0, 1.0),
        (2.0, 1.0),
        (f64::NAN, 1.0),
        (1.0, 1e9),
        (-1.0, 5.0),
    ] {
        let error = Bounds::new(from, to).unwrap_err();
        assert!(error.contains("write a lower one above 0"), "{error}");
    }
}

#[test]
fn a_threshold_on_the_rate_ends_no_search() {
    use crate::threshold::Threshold;
    let run = example::run();
    let broken = |texts: &[&str]| {
        let thresholds = texts.iter().map(|text| Threshold::parse(text).unwrap());
        let thresholds: Vec<Threshold> = thresholds.collect();
        Step::of(200.0, &run, &Verdict::of(&run, &thresholds)).broken
    };
    assert_eq!(broken(&["rate > 9000", "browse: rate > 9000"]), None);
    let other = Some("p(50) < 1us".to_owned());
    assert_eq!(broken(&["rate > 9000", "p(50) < 1us"]), other);
}
