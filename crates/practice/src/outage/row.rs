//! One outage in one column: what it came to, in one word.

use super::figures::Figures;
use super::scenario::{Column, Fault};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most that may fail where nothing is to be noticed.
const PREVENTED_FAILED: f64 = 0.01;

/// What Plimsoll said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// Seconds since the begin of the run.
    pub at_s: f64,
    /// In its words.
    pub text: String,
}

/// What was done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Seconds since the begin of the run.
    pub at_s: f64,
    /// In words.
    pub does: String,
    /// A person did it to repair; else it belongs to the outage.
    pub by_person: bool,
    /// It did not work out as meant, and why.
    #[serde(default)]
    pub failed: Option<String>,
}

/// The honest word for a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It never hurt.
    Prevented,
    /// No second hurt, and yet more than one request in a hundred failed.
    Degraded,
    /// It hurt, and was well again with nobody doing anything.
    Recovered,
    /// It hurt until a person acted, who had been told the cause.
    Named,
    /// It hurt until a person had found the cause and acted.
    Repaired,
    /// It hurt to the end.
    Down,
    /// The run says nothing.
    Void,
}

/// One outage in one column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The scenario's name.
    pub outage: String,
    /// What happens in it.
    pub title: String,
    /// The number of the report.
    pub report: Option<String>,
    /// What the report says.
    pub reported: Option<String>,
    /// Where the fault is.
    pub fault: Fault,
    /// How the application reached the database.
    pub column: Column,
    /// Why the run says nothing.
    pub void: Option<String>,
    /// When the method began, seconds since the begin of the run.
    pub blow_s: f64,
    /// What was measured.
    pub figures: Figures,
    /// The first alert of Plimsoll after that, seconds since the begin of the run.
    pub alert_s: Option<f64>,
    /// When Plimsoll named a right cause.
    pub named_s: Option<f64>,
    /// Which.
    pub named: Option<String>,
    /// All that Plimsoll said, each the first time.
    pub said: Vec<Said>,
    /// All that was done.
    pub done: Vec<Done>,
    /// Minutes of a person's time in a second of the run.
    pub minutes_per_second: f64,
    /// The seed of the users.
    pub seed: u64,
    /// Requests that the generator could not send in time: it is not measured right then.
    pub unsent: u64,
}

impl Row {
    /// What it comes to.
    pub fn word(&self) -> Word {
        let figures = &self.figures;
        if self.void.is_some() {
            return Word::Void;
        }
        if figures.hurt_s == 0 {
            let few = figures.failed_share() <= PREVENTED_FAILED;
            return if few { Word::Prevented } else { Word::Degraded };
        }
        let well = figures.well_from_s;
        let repairs = || self.done.iter().filter(|done| done.by_person);
        // A second is as fine as suffering is known.
        let before = |well: f64| repairs().any(|done| done.at_s < well + 1.0);
        match well {
            Some(well) if !before(well) => Word::Recovered,
            Some(_) if self.named_s.is_some() => Word::Named,
            Some(_) => Word::Repaired,
            None => Word::Down,
        }
    }

    /// What a person had to do, until it was well again.
    pub fn repairs(&self) -> usize {
        let until = self.figures.well_from_s.unwrap_or(f64::INFINITY) + 1.0;
        let needed = self
            .done
            .iter()
            .filter(|done| done.by_person && done.at_s < until);
        needed.count()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Word::Prevented => "prevented",
            Word::Degraded => "degraded",
            Word::Recovered => "recovered",
            Word::Named => "only named",
            Word::Repaired => "repaired by people",
            Word::Down => "down to the end",
            Word::Void => "no measurement",
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figures::Second;
    use super::*;

    pub(in super::super) fn row(column: &str) -> Row {
        Row {
            outage: "000-app".to_owned(),
            title: "An update cuts the pool".to_owned(),
            report: Some("000".to_owned()),
            reported: Some("all users, 155 min".to_owned()),
            fault: Fault::Application,
            column: Column::from(column.to_owned()),
            void: None,
            blow_s: 2.0,
            figures: Figures {
                seconds: vec![
                    Second {
                        sent: 50,
                        failed: 0,
                        slow: 0,
                    },
                    Second {
                        sent: 50,
                        failed: 0,
                        slow: 0,
                    },
                    Second {
                        sent: 50,
                        failed: 40,
                        slow: 5,
                    },
                    Second {
                        sent: 50,
                        failed: 50,
                        slow: 0,
                    },
                    Second {
                        sent: 50,
                        failed: 0,
                        slow: 0,
                    },
                ],
                calm_served: 1.0,
                calm_p99_ms: 80.0,
                requests: 150,
                failed: 90,
                failed_while_hurt: 0.9,
                users: 100,
                users_out: 64,
                p99_ms: 5_000.0,
                hurt_s: 2,
                hurts_from_s: Some(2.0),
                well_from_s: Some(4.0),
            },
            alert_s: None,
            named_s: None,
            named: None,
            said: Vec::new(),
            done: vec![Done {
                at_s: 2.0,
                does: "update".to_owned(),
                by_person: false,
                failed: None,
            }],
            minutes_per_second: 2.0,
            seed: 7,
            unsent: 0,
        }
    }

    #[test]
    fn one_word_for_each_end() {
        let repaired = |mut row: Row| {
            row.done.push(Done {
                at_s: 3.5,
                does: "roll back".to_owned(),
                by_person: true,
                failed: None,
            });
            row
        };
        let named = |mut row: Row| {
            row.named_s = Some(3.0);
            row
        };
        let calm = || {
            let mut row = row("plimsoll");
            row.figures.hurt_s = 0;
            row.figures.failed = 1;
            row
        };
        let lossy = || {
            let mut row = calm();
            row.figures.failed = 5;
            row
        };
        let down = || {
            let mut row = row("own");
            row.figures.well_from_s = None;
            row
        };
        let void = || Row {
            void: Some("it was ill before".to_owned()),
            ..calm()
        };
        for (row, word, repairs) in [
            (calm(), Word::Prevented, 0),
            (row("plimsoll"), Word::Recovered, 0),
            (repaired(row("own")), Word::Repaired, 1),
            (named(repaired(row("plimsoll"))), Word::Named, 1),
            (named(row("plimsoll")), Word::Recovered, 0),
            (repaired(down()), Word::Down, 1),
            (named(down()), Word::Down, 0),
            (lossy(), Word::Degraded, 0),
            (void(), Word::Void, 0),
        ] {
            assert_eq!((row.word(), row.repairs()), (word, repairs), "{row:?}");
        }
    }
}
