//! Several instances with one alert, second by second.

use super::*;
use crate::book::{Own, SILENT_AFTER};
use crate::statement::{AlertSays, Statement};

const KEY: &str = "PlimsollPoolExhausted/app";

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1_000)
}

/// Instances that hear each other each second, but for those that are cut off.
struct World {
    names: Vec<&'static str>,
    books: Vec<Book>,
    duties: Vec<Duties>,
    firing: Vec<bool>,
    over: Vec<bool>,
    cut: Vec<bool>,
    mute: Vec<bool>,
    /// Second, who, what.
    told: Vec<(u64, &'static str, &'static str)>,
}

impl World {
    fn new(names: &[&'static str]) -> World {
        let own = |name: &&str| Own {
            fleet: "f".into(),
            instance: (*name).to_owned(),
            started_ms: 1,
        };
        World {
            names: names.to_vec(),
            books: names.iter().map(|n| Book::new(own(n), 1)).collect(),
            duties: names.iter().map(|_| Duties::default()).collect(),
            firing: vec![false; names.len()],
            over: vec![false; names.len()],
            cut: vec![false; names.len()],
            mute: vec![false; names.len()],
            told: Vec::new(),
        }
    }

    fn statement(&self, i: usize, second: u64) -> Statement {
        let alert = AlertSays {
            key: KEY.to_owned(),
            since_ms: 0,
            told: self.duties[i].tells(KEY),
            mute: self.mute[i],
        };
        Statement {
            protocol: 1,
            fleet: "f".into(),
            instance: self.names[i].to_owned(),
            started_ms: 1,
            clock_ms: second as i64 * 1_000,
            alerts: self.firing[i].then_some(alert).into_iter().collect(),
            ..Statement::default()
        }
    }

    fn second(&mut self, second: u64) {
        let (now, clock) = (at(second * 1_000), second as i64 * 1_000);
        for to in 0..self.names.len() {
            for from in 0..self.names.len() {
                if from != to && !self.cut[from] && !self.cut[to] {
                    let said = self.statement(from, second);
                    self.books[to].heard(now, clock, said, None).expect("true");
                }
            }
            self.books[to].tick(now, "");
        }
        for i in 0..self.names.len() {
            let (name, book) = (self.names[i], &self.books[i]);
            if self.firing[i] {
                match self.duties[i].who_says(now, KEY, book) {
                    Says::Begin(None) => self.told.push((second, name, "fires")),
                    Says::Begin(Some(_)) => self.told.push((second, name, "takes over")),
                    _ => {}
                }
            } else if self.over[i] {
                match self.duties[i].over(now, KEY, book) {
                    Over::Wait => continue,
                    Over::Tell => self.told.push((second, name, "over")),
                    Over::TellForAnother => self.told.push((second, name, "over for another")),
                    Over::Quiet => {}
                }
                self.over[i] = false;
            }
        }
    }

    fn end(&mut self, i: usize) {
        (self.firing[i], self.over[i]) = (false, true);
    }

    fn run(&mut self, seconds: std::ops::Range<u64>) {
        seconds.for_each(|s| self.second(s));
    }

    fn told(&self) -> Vec<(&'static str, &'static str)> {
        self.told
            .iter()
            .map(|(_, who, what)| (*who, *what))
            .collect()
    }
}

#[test]
fn one_of_three_tells_and_it_is_the_lowest_name() {
    let mut world = World::new(&["c", "a", "b"]);
    world.run(0..3);
    world.firing = vec![true; 3];
    world.run(3..60);
    assert_eq!(world.told(), [("a", "fires")]);
    assert!(world.told[0].0 <= 3 + HOLD.as_secs(), "{:?}", world.told);
    (0..3).for_each(|i| world.end(i));
    world.run(60..120);
    assert_eq!(world.told(), [("a", "fires"), ("a", "over")]);
}

#[test]
fn who_comes_later_with_a_lower_name_leaves_it_to_who_tells() {
    let mut world = World::new(&["a", "b"]);
    world.run(0..3);
    world.firing[1] = true;
    world.run(3..20);
    world.firing[0] = true;
    world.run(20..60);
    assert_eq!(world.told(), [("b", "fires")]);
}

#[test]
fn when_the_teller_falls_silent_the_next_one_says_that_it_takes_over() {
    let mut world = World::new(&["a", "b", "c"]);
    world.run(0..3);
    world.firing = vec![true; 3];
    world.run(3..20);
    world.cut[0] = true;
    // Cut off, it goes on telling by itself, and has told already.
    world.run(20..60);
    assert_eq!(world.told(), [("a", "fires"), ("b", "takes over")]);
    let after = SILENT_AFTER + HOLD;
    assert!(
        world.told[1].0 <= 20 + after.as_secs() + 1,
        "{:?}",
        world.told
    );
    // It is back: both told, the lower name goes on, and no word more.
    world.cut[0] = false;
    world.run(60..80);
    assert!(world.duties[0].tells(KEY) && !world.duties[1].tells(KEY));
    (0..3).for_each(|i| world.end(i));
    world.run(80..120);
    assert_eq!(world.told().last(), Some(&("a", "over")));
    assert_eq!(world.told.len(), 3);
}

#[test]
fn over_is_told_when_it_is_over_everywhere() {
    let mut world = World::new(&["a", "b"]);
    world.run(0..3);
    world.firing = vec![true; 2];
    world.run(3..20);
    world.end(0);
    world.run(20..40);
    // It goes on at b, which says so; nobody heard that it is over.
    assert_eq!(world.told(), [("a", "fires"), ("b", "takes over")]);
    world.end(1);
    world.run(40..60);
    assert_eq!(world.told().last(), Some(&("b", "over")));
}

#[test]
fn the_end_is_told_for_a_teller_that_is_gone() {
    let mut world = World::new(&["a", "b"]);
    world.run(0..3);
    world.firing = vec![true; 2];
    world.run(3..20);
    world.cut[0] = true;
    world.run(20..26);
    world.end(1);
    world.run(26..40);
    assert_eq!(world.told(), [("a", "fires"), ("b", "over for another")]);
}

#[test]
fn a_teller_that_reaches_nobody_does_not_keep_others_from_telling() {
    let mut world = World::new(&["a", "b"]);
    world.run(0..3);
    world.firing = vec![true; 2];
    world.run(3..20);
    // It tries, and says that it fails.
    world.mute[0] = true;
    world.run(20..40);
    assert_eq!(world.told(), [("a", "fires"), ("b", "takes over")]);
    // It reaches people again: the lower name goes on, and no word more.
    world.mute[0] = false;
    world.run(40..60);
    assert!(world.duties[0].tells(KEY) && !world.duties[1].tells(KEY));
    assert_eq!(world.told.len(), 2);
}

#[test]
fn alone_it_tells_at_once() {
    let mut world = World::new(&["a"]);
    world.firing[0] = true;
    world.run(0..1);
    assert_eq!(world.told(), [("a", "fires")]);
}

#[test]
fn a_peer_that_never_tells_is_not_waited_for_for_ever() {
    let own = Own {
        fleet: "f".into(),
        instance: "b".into(),
        started_ms: 1,
    };
    let mut book = Book::new(own, 1);
    let mut duties = Duties::default();
    let mut began = None;
    for second in 0..40u64 {
        let said = Statement {
            protocol: 1,
            fleet: "f".into(),
            instance: "a".into(),
            clock_ms: second as i64 * 1_000,
            alerts: vec![AlertSays {
                key: KEY.into(),
                ..AlertSays::default()
            }],
            ..Statement::default()
        };
        let clock = second as i64 * 1_000;
        book.heard(at(second * 1_000), clock, said, None)
            .expect("true");
        if duties.who_says(at(second * 1_000), KEY, &book) == Says::Begin(None) {
            began = Some(second);
        }
    }
    assert_eq!(began, Some(PATIENCE.as_secs()));
}
