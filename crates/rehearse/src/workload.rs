//! What is asked of the generator: requests, each at its moment.
//!
//! A scenario's phases and a captured shape both come down to this, so that
//! the generator knows nothing of where its work comes from.

use crate::replay::Replay;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use sim::rng::Rng;
use std::time::Duration;

/// One request that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// When, from the start of the run.
    pub at: Duration,
    /// Its class: the place in the list of classes.
    pub class: u16,
    /// How long it is to hold its connection; `None`: as long as its script takes.
    pub hold: Option<Hold>,
}

/// How long a connection is held, and what for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hold {
    /// The server works.
    pub busy: Duration,
    /// The client does something else inside its transaction.
    pub idle: Duration,
}

/// The requests of a scenario, ascending: of its phases, or of captured traffic.
#[derive(Clone, Debug)]
pub enum Requests {
    /// Made from rates and weights.
    Phased(Phased),
    /// As they were captured; those of a class with a script of its own say nothing
    /// of their hold.
    Captured {
        /// All of them.
        replay: Box<Replay>,
        /// By class, whether a stand-in plays it.
        stand_in: Vec<bool>,
    },
}

impl Requests {
    /// The requests of this scenario.
    pub fn new(scenario: &Scenario) -> Requests {
        match scenario.replay() {
            Some(replay) => Requests::Captured {
                replay: Box::new(replay),
                stand_in: scenario.classes.iter().map(|c| c.stand_in).collect(),
            },
            None => Requests::Phased(Phased::new(scenario)),
        }
    }
}

impl Iterator for Requests {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        match self {
            Requests::Phased(phased) => phased.next(),
            Requests::Captured { replay, stand_in } => {
                let due = replay.next()?;
                let stands_in = stand_in.get(usize::from(due.class)).copied();
                Some(Due {
                    hold: due.hold.filter(|_| stands_in.unwrap_or(true)),
                    ..due
                })
            }
        }
    }
}

/// The requests of a scenario's phases: moments of its schedule, classes by their weight.
#[derive(Clone, Debug)]
pub struct Phased {
    schedule: Schedule,
    /// Sums of the weights up to each class.
    sums: Vec<u64>,
    rng: Rng,
}

impl Phased {
    /// The requests of this scenario.
    pub fn new(scenario: &Scenario) -> Phased {
        let weights = scenario.classes.iter().map(|class| u64::from(class.weight));
        Phased {
            schedule: scenario.schedule(),
            sums: weights
                .scan(0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                })
                .collect(),
            // Another stream than the schedule's, which has the seed itself.
            rng: Rng::new(scenario.seed ^ 0x9e37_79b9_7f4a_7c15),
        }
    }
}

impl Iterator for Phased {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let at = self.schedule.next()?;
        let all = self.sums.last().copied().unwrap_or(1).max(1);
        let drawn = self.rng.bits() % all;
        let class = self.sums.partition_point(|sum| *sum <= drawn);
        Some(Due {
            at,
            class: u16::try_from(class).unwrap_or(0),
            hold: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_by_their_weight_and_the_same_each_time() {
        let text = r#"
            [load]
            phases = [{ rate = "1000/s", for = "10s" }]
            [[class]]
            name = "often"
            weight = 9
            sql = "select 1"
            [[class]]
            name = "seldom"
            sql = "select 2"
        "#;
        let scenario = Scenario::parse(text, &|_| Err(String::new())).unwrap();
        let all: Vec<Due> = Phased::new(&scenario).collect();
        let seldom = all.iter().filter(|due| due.class == 1).count() as f64;
        let share = seldom / all.len() as f64;
        // Four standard deviations of a share of a tenth of ten thousand.
        assert!((share - 0.1).abs() < 0.012, "{share}");
        assert!(all.iter().all(|due| due.class < 2 && due.hold.is_none()));
        assert_eq!(all, Phased::new(&scenario).collect::<Vec<_>>());
    }
}
