//! Figures, the goals that some of them have, and how both are shown.

use super::load::Samples;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this, in the median of the rounds.
    AtMost(f64),
    /// At least this, in the median of the rounds.
    AtLeast(f64),
    /// At most this in each round.
    Never(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Goal::AtMost(most) | Goal::Never(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        }
    }

    fn words(self) -> String {
        match self {
            Goal::AtMost(most) => format!("≤ {}", digits(most)),
            Goal::AtLeast(least) => format!("≥ {}", digits(least)),
            Goal::Never(0.0) => "= 0 in each round".into(),
            Goal::Never(most) => format!("≤ {} in each round", digits(most)),
        }
    }

    fn of_each_round(self) -> bool {
        matches!(self, Goal::Never(_))
    }

    fn more_is_better(self) -> bool {
        matches!(self, Goal::AtLeast(_))
    }
}

/// One figure of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is, with its unit.
    pub what: String,
    /// The figure; `None` where it was not reached in the time given, or where the program does not tell it.
    pub value: Option<f64>,
    /// Words beside it, such as error codes.
    pub note: String,
    /// What it should be, for Plimsoll.
    pub goal: Option<Goal>,
}

/// A figure without a goal.
pub fn figure(what: &str, value: impl Into<Option<f64>>) -> Figure {
    Figure {
        what: what.into(),
        value: value.into(),
        note: String::new(),
        goal: None,
    }
}

/// The number of errors among all, and which.
pub fn errors(what: &str, samples: &Samples) -> Figure {
    let note = match samples.bad() {
        0 => format!("of {}", samples.0.len()),
        _ => format!("of {}: {}", samples.0.len(), samples.troubles()),
    };
    figure(what, samples.bad() as f64).note(note)
}

impl Figure {
    /// With a goal.
    pub fn goal(self, goal: Goal) -> Figure {
        Figure {
            goal: Some(goal),
            ..self
        }
    }

    /// With words beside it.
    pub fn note(self, note: impl Into<String>) -> Figure {
        Figure {
            note: note.into(),
            ..self
        }
    }
}

/// The figures of one program: by round, then in the scenario's order.
pub type Column = Vec<Vec<Figure>>;

/// The round that stands for all: the worst one where each must meet the goal, else the median. A round without the figure
/// is the worst.
fn standing(column: &Column, n: usize, goal: Option<Goal>) -> Option<Figure> {
    let mut all: Vec<&Figure> = column.iter().filter_map(|round| round.get(n)).collect();
    let down = goal.is_some_and(Goal::more_is_better);
    let badness = |f: &Figure| match f.value {
        None => f64::INFINITY,
        Some(value) if down => -value,
        Some(value) => value,
    };
    all.sort_by(|a, b| badness(a).total_cmp(&badness(b)));
    let at = match goal.is_some_and(Goal::of_each_round) {
        true => all.len().saturating_sub(1),
        false => all.len() / 2,
    };
    all.get(at).map(|f| (*f).clone())
}

/// A value with the words beside it.
pub fn value_words(figure: &Figure) -> String {
    let value = match figure.value {
        Some(value) if value.is_finite() => digits(value),
        _ => "none".into(),
    };
    match figure.note.as_str() {
        "" => value,
        note => format!("{value} ({note})"),
    }
}

/// A line for each goal, then a table of the other figures. `ours` is the column that the goals are for.
pub fn show(names: &[&str], columns: &[Column], ours: usize) -> String {
    use std::fmt::Write as _;
    let mut lines = String::new();
    let mut rows = String::new();
    let first = columns.get(ours).and_then(|rounds| rounds.first());
    for (n, named) in first.into_iter().flatten().enumerate() {
        let cells: Vec<Option<Figure>> = columns
            .iter()
            .map(|column| standing(column, n, named.goal))
            .collect();
        let words = |at: usize| match cells.get(at) {
            Some(Some(figure)) => value_words(figure),
            _ => "–".into(),
        };
        // A goal may hang on the round: the one of the round that is shown counts.
        let shown = cells.get(ours).cloned().flatten();
        match shown.as_ref().and_then(|f| Some((f.goal?, f.value))) {
            Some((goal, value)) => {
                let met = match value.is_some_and(|v| goal.is_met(v)) {
                    true => "met",
                    false => "not met",
                };
                let _ = write!(
                    lines,
                    "- {} {}: **{met}**, {}",
                    named.what,
                    goal.words(),
                    words(ours)
                );
                for (at, name) in names.iter().enumerate().filter(|(at, _)| *at != ours) {
                    let _ = write!(lines, "; {name}: {}", words(at));
                }
                lines.push('\n');
            }
            None => {
                let _ = write!(rows, "| {} |", named.what);
                for at in 0..names.len() {
                    let _ = write!(rows, " {} |", words(at));
                }
                rows.push('\n');
            }
        }
    }
    if !rows.is_empty() {
        let rule = "---|".repeat(names.len());
        rows = format!("\n| | {} |\n|---|{rule}\n{rows}", names.join(" | "));
    }
    format!("{lines}{rows}")
}

fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Option<f64>], goal: Goal) -> Column {
        let one = |v: &Option<f64>| vec![figure("a figure, s", *v).goal(goal)];
        values.iter().map(one).collect()
    }

    fn line(values: &[Option<f64>], goal: Goal) -> String {
        let theirs = column(&[Some(7.0)], goal);
        show(&["Theirs", "Ours"], &[theirs, column(values, goal)], 1)
    }

    #[test]
    fn a_goal_says_whether_it_is_met_by_the_median_or_by_all() {
        let two = [Some(1.5), Some(9.0), Some(1.0)];
        assert_eq!(
            line(&two, Goal::AtMost(2.0)),
            "- a figure, s ≤ 2: **met**, 1.50; Theirs: 7\n"
        );
        assert_eq!(
            line(&two, Goal::Never(2.0)),
            "- a figure, s ≤ 2 in each round: **not met**, 9; Theirs: 7\n"
        );
        assert_eq!(
            line(&two, Goal::AtLeast(1.6)),
            "- a figure, s ≥ 1.60: **not met**, 1.50; Theirs: 7\n"
        );
    }

    #[test]
    fn a_round_without_the_figure_counts_as_the_worst() {
        let at_most = |values: &[Option<f64>]| line(values, Goal::AtMost(2.0));
        assert!(at_most(&[Some(1.5), None, Some(1.5)]).contains("**met**, 1.50"));
        assert!(at_most(&[Some(1.5), None, None]).contains("**not met**, none"));
        assert!(line(&[Some(1.5), None], Goal::Never(2.0)).contains("**not met**, none"));
    }

    #[test]
    fn what_has_no_goal_stands_in_a_table() {
        let column = vec![vec![
            figure("rate", 1234.5),
            figure("p99, ms", 3.21).note("of 9"),
        ]];
        let shown = show(&["Ours"], &[column], 0);
        assert_eq!(
            shown,
            "\n| | Ours |\n|---|---|\n| rate | 1234 |\n| p99, ms | 3.21 (of 9) |\n"
        );
    }
}
