//! What a rule is: a table of conditions over measured values.

use crate::measurements::Measurement;
use crate::view::Case;
use crate::{Cause, Figure, Finding, Rejection, Step, Subject};
use events::sample::Marker;

/// What a condition came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fact {
    /// `None`: not measured, or too close to say.
    pub holds: Option<bool>,
    /// By a margin wide enough to rule a cause out.
    pub clear: bool,
    /// What it was decided by; `None`: not measured.
    pub figure: Option<Figure>,
}

impl Fact {
    /// Not measured.
    pub const LACKS: Fact = Fact {
        holds: None,
        clear: false,
        figure: None,
    };

    /// Yes, no, or in between.
    pub fn of(yes: bool, clearly_not: bool, figure: Figure) -> Fact {
        Fact {
            holds: match (yes, clearly_not) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            clear: true,
            figure: Some(figure),
        }
    }

    /// Yes or no, without a margin: it rules nothing out.
    pub fn plain(yes: bool, figure: Figure) -> Fact {
        Fact {
            holds: Some(yes),
            clear: false,
            figure: Some(figure),
        }
    }
}

/// Seconds of trouble before anything is ruled out: what needs time to show has
/// not had it.
const EARLY: u32 = 3;

/// How a condition counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// Without it the cause is not supported.
    See,
    /// The same; and what contradicts it clearly rules the cause out.
    SeeOrOut,
    /// With it the cause is not supported.
    NotSee,
    /// It makes the cause more likely.
    More,
}

/// One condition.
#[derive(Clone, Copy)]
pub(crate) struct Clause {
    pub want: Want,
    /// In words, for the documentation and for rejections.
    pub text: &'static str,
    pub needs: Measurement,
    pub test: fn(&Case) -> Fact,
}

/// The rule for one cause.
pub(crate) struct Rule {
    pub cause: Cause,
    /// How sure, in percent, when no condition lacks and none adds.
    pub sure: u8,
    /// It may be found although nobody waits or fails yet.
    pub early: bool,
    pub clauses: &'static [Clause],
    pub tell: fn(&Case) -> Tale,
}

/// What a finding says beside its figures.
#[derive(Default)]
pub(crate) struct Tale {
    pub subject: Subject,
    pub text: String,
    pub change: Option<Marker>,
    pub next: Vec<Step>,
}

/// What came of a rule.
#[derive(Debug)]
pub(crate) enum Outcome {
    Supported(Box<Finding>),
    RuledOut(Rejection),
    /// What lacks, or what stands in between.
    Unknown(String),
}

impl Rule {
    /// Judges one case.
    pub fn judge(&self, case: &Case) -> Outcome {
        let facts: Vec<(&Clause, Fact)> =
            self.clauses.iter().map(|c| (c, (c.test)(case))).collect();
        if case.view.now.samples >= EARLY
            && let Some(rejection) = self.rejected(&facts)
        {
            return Outcome::RuledOut(rejection);
        }
        if let Some(lacks) = facts.iter().find_map(|(c, f)| withheld(c, f)) {
            return Outcome::Unknown(lacks);
        }
        if !self.early && !case.view.trouble() {
            return Outcome::Unknown("nobody suffers".to_owned());
        }
        Outcome::Supported(Box::new(self.finding(case, facts)))
    }

    fn rejected(&self, facts: &[(&Clause, Fact)]) -> Option<Rejection> {
        let contradicts = |(clause, fact): &&(&Clause, Fact)| {
            fact.clear && clause.want == Want::SeeOrOut && fact.holds == Some(false)
        };
        let (clause, fact) = facts.iter().find(contradicts)?;
        let figure = fact.figure.clone()?;
        let text = format!("not seen: {}; {figure}", clause.text);
        Some(Rejection {
            cause: self.cause,
            text,
            figure,
        })
    }

    fn finding(&self, case: &Case, facts: Vec<(&Clause, Fact)>) -> Finding {
        let tale = (self.tell)(case);
        let mut sure = i32::from(self.sure);
        let mut figures: Vec<Figure> = Vec::new();
        for (clause, fact) in facts {
            sure += match (clause.want, fact.holds) {
                (Want::More, Some(true)) => 6,
                (Want::NotSee, None) => -5,
                _ => 0,
            };
            let cited = match clause.want {
                Want::See | Want::SeeOrOut | Want::More => Some(true),
                Want::NotSee => Some(false),
            };
            if let Some(figure) = fact.figure
                && fact.holds == cited
                && !figures.contains(&figure)
            {
                figures.push(figure);
            }
        }
        sure += if tale.change.is_some() { 6 } else { 0 };
        sure -= if case.view.usual.is_none() { 15 } else { 0 };
        Finding {
            cause: self.cause,
            sure: u8::try_from(sure.clamp(20, 98)).unwrap_or(20),
            subject: tale.subject,
            text: tale.text,
            figures,
            change: tale.change,
            next: tale.next,
        }
    }
}

/// Why a condition keeps the cause from being supported.
fn withheld(clause: &Clause, fact: &Fact) -> Option<String> {
    let fails = match clause.want {
        Want::See | Want::SeeOrOut => fact.holds != Some(true),
        Want::NotSee => fact.holds == Some(true),
        Want::More => false,
    };
    if !fails {
        return None;
    }
    Some(match (&fact.figure, fact.holds) {
        (Some(figure), Some(true)) => format!("{}: {figure}", clause.text),
        (Some(figure), Some(false)) => format!("not seen: {}: {figure}", clause.text),
        (Some(figure), None) => format!("too close to say: {}: {figure}", clause.text),
        (None, _) => {
            let row = clause.needs.row();
            format!("not measured: {}; it needs {}", row.name, row.needs)
        }
    })
}

/// A condition.
pub(crate) const fn clause(
    want: Want,
    needs: Measurement,
    text: &'static str,
    test: fn(&Case) -> Fact,
) -> Clause {
    Clause {
        want,
        text,
        needs,
        test,
    }
}

/// A step with its command; empty for none.
pub(crate) fn step(text: &str, command: impl Into<String>) -> Step {
    Step {
        text: text.to_owned(),
        command: command.into(),
    }
}
