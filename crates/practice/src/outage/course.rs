//! When which step is due, from what has happened so far.

use super::scenario::{Action, Column, Fault, Scenario, Step};
use std::time::Duration;

/// What is known of the run; seconds since its begin.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Facts {
    /// The time.
    pub now_s: f64,
    /// Since when users suffer: somebody's alarm goes off then, as in every report.
    pub hurts_since_s: Option<f64>,
    /// When Plimsoll named a right cause.
    pub named_s: Option<f64>,
}

/// A step that is due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Due<'a> {
    /// In words.
    pub does: &'a str,
    /// What is done.
    pub action: &'a Action,
    /// A person does it to repair; else it belongs to the outage.
    pub by_person: bool,
}

/// What is still to be done in one column.
#[derive(Clone, Debug)]
pub struct Course<'a> {
    method: Vec<&'a Step>,
    repair: Vec<&'a Step>,
    /// Seconds from the alarm until people know the cause, when nothing tells them.
    search_s: Option<f64>,
    done: usize,
    repaired: usize,
}

impl<'a> Course<'a> {
    /// All that is to be done in this column.
    pub fn new(scenario: &'a Scenario, column: &Column) -> Course<'a> {
        let of = |steps: &'a [Step]| -> Vec<&'a Step> {
            steps.iter().filter(|step| step.is_for(column)).collect()
        };
        let person = &scenario.person;
        // What is shown there is that nobody is needed.
        let alone = column.is_plimsoll() && scenario.fault == Fault::Pooler;
        Course {
            method: of(&scenario.method),
            repair: if alone {
                Vec::new()
            } else {
                of(&person.repair)
            },
            search_s: person.cause_min.map(|min| min / person.minutes_per_second),
            done: 0,
            repaired: 0,
        }
    }

    /// The next step that is due, once.
    pub fn due(&mut self, facts: &Facts) -> Option<Due<'a>> {
        let is_due = |step: &Step, from_s: f64| facts.now_s >= from_s + step.at.as_secs_f64();
        if let Some(step) = self.method.get(self.done).filter(|step| is_due(step, 0.0)) {
            self.done += 1;
            return Some(due(step, false));
        }
        let known = self.known_s(facts)?;
        let step = self
            .repair
            .get(self.repaired)
            .filter(|step| is_due(step, known))?;
        self.repaired += 1;
        Some(due(step, true))
    }

    /// When people know the cause: at the earliest with the alarm that calls them.
    pub fn known_s(&self, facts: &Facts) -> Option<f64> {
        let alarm = facts.hurts_since_s?;
        let searched = self.search_s.map(|search| alarm + search);
        let told = facts.named_s.map(|named| named.max(alarm));
        [searched, told].into_iter().flatten().reduce(f64::min)
    }

    /// How long the method goes on.
    pub fn method_ends(&self) -> Duration {
        self.method.last().map_or(Duration::ZERO, |step| step.at)
    }
}

fn due(step: &Step, by_person: bool) -> Due<'_> {
    Due {
        does: &step.does,
        action: &step.action,
        by_person,
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::tests::scenario;
    use super::*;

    fn told(course: &mut Course<'_>, facts: Facts) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(due) = course.due(&facts) {
            all.push(due.does.to_owned());
        }
        all
    }

    fn at(now_s: f64, hurts: Option<f64>, named: Option<f64>) -> Facts {
        Facts {
            now_s,
            hurts_since_s: hurts,
            named_s: named,
        }
    }

    #[test]
    fn people_search_as_long_as_the_report_says_and_then_repair() {
        let scenario = scenario("fault = \"application\"");
        let mut course = Course::new(&scenario, &Column::Own);
        assert!(told(&mut course, at(19.9, None, None)).is_empty());
        assert_eq!(
            told(&mut course, at(20.0, None, None)),
            ["update", "restart web"]
        );
        // Sixty minutes at two in a second, then fifteen.
        assert!(told(&mut course, at(59.0, Some(22.0), None)).is_empty());
        assert!(told(&mut course, at(59.4, Some(22.0), None)).is_empty());
        assert_eq!(told(&mut course, at(59.5, Some(22.0), None)), ["roll back"]);
        assert!(told(&mut course, at(99.0, Some(22.0), None)).is_empty());
    }

    #[test]
    fn a_named_cause_spares_the_search_and_not_the_repair() {
        let scenario = scenario("fault = \"application\"");
        let mut course = Course::new(&scenario, &Column::from("plimsoll".to_owned()));
        told(&mut course, at(20.0, None, None));
        assert!(told(&mut course, at(31.0, Some(22.0), Some(24.0))).is_empty());
        assert_eq!(
            told(&mut course, at(31.5, Some(22.0), Some(24.0))),
            ["roll back"]
        );
    }

    #[test]
    fn who_does_not_suffer_calls_nobody() {
        let scenario = scenario("fault = \"application\"");
        let mut course = Course::new(&scenario, &Column::Own);
        told(&mut course, at(20.0, None, None));
        assert!(told(&mut course, at(500.0, None, Some(21.0))).is_empty());
    }

    #[test]
    fn where_plimsoll_can_act_nobody_does() {
        let scenario = scenario("fault = \"pooler\"");
        let mut course = Course::new(&scenario, &Column::from("plimsoll".to_owned()));
        told(&mut course, at(20.0, None, None));
        assert!(told(&mut course, at(500.0, Some(22.0), Some(23.0))).is_empty());
        let mut course = Course::new(&scenario, &Column::from("pgbouncer".to_owned()));
        told(&mut course, at(20.0, None, None));
        assert_eq!(
            told(&mut course, at(500.0, Some(22.0), None)),
            ["roll back"]
        );
    }
}
