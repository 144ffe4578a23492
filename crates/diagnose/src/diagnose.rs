//! From a record to a verdict.

use crate::rank::{Ranked, rank};
use crate::view::{Case, View};
use crate::{Cause, Figure, State, Unit, Verdict, facts};
use events::sample::Record;

/// Rows of the verdict's symptoms.
const SYMPTOMS_MAX: usize = 8;

/// What is wrong at this moment (`None`: at the newest sample), and why.
///
/// It reads any record: live, an hour from disk, a bundle that somebody edited.
/// It never panics, and its time is bounded by the rows that it reads.
///
/// ```
/// use events::sample::Record;
/// let verdict = diagnose::diagnose(&Record::default(), None);
/// assert_eq!(verdict.state, diagnose::State::Unknown);
/// ```
pub fn diagnose(record: &Record, at_ms: Option<i64>) -> Verdict {
    View::of(record, at_ms).map_or_else(|| nothing(at_ms.unwrap_or_default()), |view| judge(&view))
}

/// The same of a record that grows each second, looked at now (UTC, milliseconds
/// since 1970): seconds that lack at its end are evidence too.
pub fn diagnose_now(record: &Record, now_ms: i64) -> Verdict {
    let Some(mut view) = View::of(record, None) else {
        return nothing(now_ms);
    };
    view.looked_at(now_ms);
    judge(&view)
}

fn nothing(at_ms: i64) -> Verdict {
    Verdict {
        at_ms,
        state: State::Unknown,
        summary: "Nothing was measured at that moment.".to_owned(),
        ..Verdict::default()
    }
}

fn judge(view: &View) -> Verdict {
    let cases = view.cases();
    let ranked = rank(&cases);
    let symptoms = symptoms(view, &cases);
    verdict(view, ranked, symptoms)
}

fn verdict(view: &View, ranked: Ranked, symptoms: Vec<Figure>) -> Verdict {
    let hurts = view.trouble() && !symptoms.is_empty();
    let early = |cause: Cause| {
        matches!(
            cause,
            Cause::UpstreamLeak | Cause::UpstreamPoolTooSmall | Cause::Leak
        )
    };
    let state = match (hurts, ranked.findings.is_empty()) {
        (true, _) => State::Hurt,
        (false, true) => State::Calm,
        (false, false) if ranked.findings.iter().all(|f| early(f.cause)) => State::Strained,
        (false, false) if view.trouble() => State::Hurt,
        (false, false) => State::Strained,
    };
    let mut verdict = Verdict {
        at_ms: view.at_ms,
        snapshot: view.snapshot,
        state,
        onset_ms: view.onset_ms.filter(|_| state != State::Calm),
        symptoms,
        findings: ranked.findings,
        ruled_out: ranked.ruled_out,
        unknown: ranked.unknown,
        summary: String::new(),
    };
    if state == State::Calm {
        verdict.symptoms.clear();
        verdict.ruled_out.clear();
        verdict.unknown.clear();
    }
    verdict.summary = summary(view, &verdict);
    verdict
}

fn summary(view: &View, verdict: &Verdict) -> String {
    if let Some(first) = verdict.findings.first() {
        return match verdict.findings.len() {
            1 => first.text.clone(),
            n => format!("{} ({} more below)", first.text, n - 1),
        };
    }
    match verdict.state {
        State::Calm => {
            let done: f64 = view
                .now
                .pools
                .values()
                .map(|p| p.per_s(p.transactions))
                .sum();
            let pools = match view.now.pools.len() {
                1 => "one pool".to_owned(),
                n => format!("{n} pools"),
            };
            format!(
                "Nobody waits or fails beyond what is usual: {} in {pools}.",
                Figure::new("transactions", done, Unit::PerSecond)
            )
        }
        _ => {
            let seen = verdict.symptoms.first();
            let seen = seen.map_or(String::new(), |f| format!(" ({f})"));
            let measured = |u: &&crate::Unknown| u.lacks.starts_with("not measured");
            let lacks = verdict.unknown.iter().find(measured);
            let lacks = lacks.map_or(String::new(), |u| {
                format!(" For \"{}\": {}.", u.cause.title(), u.lacks)
            });
            format!("Clients suffer{seen}, and the figures support no cause: unknown.{lacks}")
        }
    }
}

/// What clients feel.
fn symptoms(view: &View, cases: &[Case]) -> Vec<Figure> {
    let mut symptoms = Vec::new();
    for case in cases {
        for fact in [facts::waits(case), facts::slower(case)] {
            if fact.holds == Some(true) {
                symptoms.extend(fact.figure);
            }
        }
        for fact in [
            facts::down(case),
            facts::logins_refused(case),
            facts::squeezed(case),
        ] {
            if fact.holds == Some(true) {
                symptoms.extend(fact.figure);
            }
        }
        if facts::lock_errors(case).holds == Some(true) {
            symptoms.extend(facts::lock_errors(case).figure);
        }
    }
    for (label, count) in view.now.refusals.iter().filter(|(_, n)| **n > 0.0) {
        let rate = view.now.per_s(*count);
        symptoms.push(Figure::new(
            &format!("refused_{label}"),
            rate,
            Unit::PerSecond,
        ));
    }
    let mut distinct: Vec<Figure> = Vec::new();
    for figure in symptoms {
        if !distinct.contains(&figure) && distinct.len() < SYMPTOMS_MAX {
            distinct.push(figure);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::sample::Sample;

    #[test]
    fn seconds_that_lack_at_the_end_are_evidence() {
        let second = |n: i64| Sample {
            at_ms: n * 1_000,
            span_ms: 1_000,
            ..Sample::default()
        };
        let record = Record {
            seconds: (0..20).map(second).collect(),
            ..Record::default()
        };
        let at = |now_ms| diagnose_now(&record, now_ms).cause();
        assert_eq!(at(19_500), None);
        assert_eq!(at(24_000), Some(Cause::PoolerStarved));
        // A clock that was set, and one that was set back.
        assert_eq!(at(9_000_000), None);
        assert_eq!(at(0), None);
    }
}
