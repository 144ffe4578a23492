//! What is recorded of requests.

use super::*;
use crate::Purpose;
use events::shape::{End, Request, Window};

/// As the workers do: a sample every half second.
fn run_to(s: &mut Stage, at_ms: u64) {
    let mut at = s.now.as_micros() / 1000;
    while at < at_ms {
        at = (at + 500).min(at_ms);
        s.at(at);
        s.up.sample(s.now);
    }
}

fn window(s: &Stage) -> Window {
    windows(s).pop().expect("a window")
}

/// All, as a reader takes them.
fn windows(s: &Stage) -> Vec<Window> {
    let mut since = Time::ZERO;
    let next = || {
        let (window, _) = s.up.window(s.now, since)?;
        since = Time::from_micros(window.at_us + 1);
        Some(window)
    };
    std::iter::from_fn(next).collect()
}

fn times(r: &Request) -> (u32, u32, u32, u16, End) {
    (
        r.asked_us / 1000,
        r.wait_us / 1000,
        r.hold_us / 1000,
        r.in_use,
        r.end,
    )
}

#[test]
fn waits_holds_and_ends_are_written_down() {
    let mut settings = plain(1);
    settings.wait_timeout = Some(ms(3000));
    let mut s = Stage::new(5, &[settings]);
    assert_eq!(s.ask(A, 0, 1), "queued");
    s.opened(0);
    while s.up.poll().is_some() {}
    run_to(&mut s, 1000);
    let began = s.now.as_micros() / 1000;
    // Nothing of what came before the window.
    assert_eq!(s.back(0), "kept");
    assert_eq!(s.ask(A, 0, 1), "s0");
    s.at(began + 10);
    assert_eq!(s.ask(A, 0, 2), "queued");
    s.at(began + 20);
    assert_eq!(s.ask(A, 0, 3), "queued");
    s.at(began + 30);
    assert_eq!(s.back(0), "kept");
    while s.up.poll().is_some() {}
    run_to(&mut s, began + 4000);
    let got: Vec<_> = window(&s).requests.iter().map(times).collect();
    assert_eq!(
        got,
        [
            (499, 0, 30, 1, End::Returned),
            (509, 20, 3970, 1, End::Held),
            (519, 3000, 0, 0, End::TimedOut),
        ]
    );
}

#[test]
fn a_lease_that_outlives_its_window_is_completed() {
    let mut s = Stage::new(5, &[plain(2)]);
    assert_eq!(s.ask(A, 0, 1), "queued");
    s.opened(0);
    while s.up.poll().is_some() {}
    run_to(&mut s, 1000);
    assert_eq!(s.back(0), "kept");
    assert_eq!(s.ask(A, 0, 1), "s0");
    run_to(&mut s, 31_000);
    assert!(windows(&s).len() >= 2, "{:?}", windows(&s));
    assert_eq!(s.back(0), "kept");
    let holds: Vec<u32> = (windows(&s).into_iter())
        .flat_map(|w| w.requests)
        .map(|r| r.hold_us / 1_000_000)
        .collect();
    assert_eq!(holds, [30]);
}

#[test]
fn what_a_lease_was_for_is_written_down_and_how_many_came() {
    let mut s = Stage::new(5, &[plain(2)]);
    assert_eq!(s.ask(A, 0, 1), "queued");
    s.opened(0);
    while s.up.poll().is_some() {}
    let conn = s.conn(0);
    assert!(!s.up.is_taped(conn));
    run_to(&mut s, 1000);
    assert_eq!(s.back(0), "kept");
    for n in 0..100 {
        assert_eq!(s.ask(A, 0, 1), "s0");
        assert!(s.up.is_taped(conn));
        let purpose = Purpose {
            statement: n % 80,
            text: format!("select {}", n % 80).into(),
            idle: ms(3),
            rounds: 4,
        };
        s.up.told(conn, &purpose);
        assert_eq!(s.back(0), "kept");
    }
    let (window, classes) = s.up.window(s.now, Time::ZERO).expect("a window");
    assert_eq!((window.before, window.requests.len()), (1, 100));
    assert_eq!(s.up.asked(), 101);
    // Nothing is not a statement, and beyond a bound they are told together.
    assert_eq!(classes.len(), events::shape::WINDOW_CLASSES_MAX);
    let class = |n: usize| window.requests[n].class;
    assert_eq!((class(0), class(1), class(81), class(70)), (0, 1, 1, 0));
    assert_eq!(classes[1].text, "select 1");
    assert_eq!(
        (window.requests[5].idle_us, window.requests[5].rounds),
        (3_000, 4)
    );
}

#[test]
fn windows_are_bounded_and_spread_over_the_hour() {
    let mut s = Stage::new(5, &[plain(2)]);
    assert_eq!(s.ask(A, 0, 1), "queued");
    s.opened(0);
    while s.up.poll().is_some() {}
    assert_eq!(s.back(0), "kept");
    // Two thousand requests in each second: a window is full after half of one.
    for second in 1..=600 {
        run_to(&mut s, second * 1000);
        for _ in 0..2000 {
            assert_eq!(s.ask(A, 0, 1), "s0");
            assert_eq!(s.back(0), "kept");
        }
    }
    let all = windows(&s);
    assert_eq!(all.len(), crate::tape::WINDOWS);
    // A reader that knows some of them is told the others only.
    let known = Time::from_micros(all[30].at_us + 1);
    let (next, _) = s.up.window(s.now, known).expect("the last one");
    assert_eq!(next.at_us, all[31].at_us);
    let past = Time::from_micros(all[31].at_us + 1);
    assert_eq!(s.up.window(s.now, past), None);
    assert!(all.iter().all(|w| w.requests.len() == 1024));
    let at: Vec<u64> = all.iter().map(Window::at_s).collect();
    let latest = &at[at.len() - 8..];
    assert!(
        latest.windows(2).all(|pair| pair[1] - pair[0] == 1),
        "{at:?}"
    );
    let widest = at.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(at[0] <= 2 && widest <= Some(70), "{at:?}");
}
