//! One outcome per cause, and which comes first.
//!
//! The order is that of [`RULES`]: a cause stands before those whose symptoms
//! it brings. A leak fills the pool, so it stands before "limit too small";
//! locks make statements slow, so they stand before these. What is hardly sure
//! gives way to what is.

use crate::rule::{Outcome, Rule};
use crate::rules::RULES;
use crate::view::Case;
use crate::{Finding, Rejection, Unknown};

/// Below this a finding stands behind all others, percent.
const HARDLY: u8 = 50;

/// What came of all rules.
#[derive(Default)]
pub(crate) struct Ranked {
    pub findings: Vec<Finding>,
    pub ruled_out: Vec<Rejection>,
    pub unknown: Vec<Unknown>,
}

/// Judges every cause over every case.
pub(crate) fn rank(cases: &[Case]) -> Ranked {
    let mut ranked = Ranked::default();
    for rule in RULES {
        match judge(rule, cases) {
            Outcome::Supported(finding) => ranked.findings.push(*finding),
            Outcome::RuledOut(rejection) => ranked.ruled_out.push(rejection),
            Outcome::Unknown(lacks) => ranked.unknown.push(Unknown {
                cause: rule.cause,
                lacks,
            }),
        }
    }
    // Stable: within each half the order of the rules stays.
    ranked.findings.sort_by_key(|f| f.sure < HARDLY);
    ranked
}

/// Supported where any case supports it; ruled out where each that matters does.
fn judge(rule: &Rule, cases: &[Case]) -> Outcome {
    let mut supported: Option<Box<Finding>> = None;
    let mut unknown: Option<String> = None;
    let mut rejected: Option<Rejection> = None;
    for (at, case) in cases.iter().enumerate() {
        match rule.judge(case) {
            Outcome::Supported(finding) => {
                if supported.as_ref().is_none_or(|s| s.sure < finding.sure) {
                    supported = Some(finding);
                }
            }
            Outcome::RuledOut(rejection) => {
                rejected.get_or_insert(rejection);
            }
            Outcome::Unknown(lacks) if at == 0 || busy(case) => {
                unknown.get_or_insert(lacks);
            }
            Outcome::Unknown(_) => {}
        }
    }
    match (supported, unknown, rejected) {
        (Some(finding), _, _) => Outcome::Supported(finding),
        (None, Some(lacks), _) => Outcome::Unknown(lacks),
        (None, None, Some(rejection)) => Outcome::RuledOut(rejection),
        (None, None, None) => Outcome::Unknown("nothing was measured".to_owned()),
    }
}

/// Something happens in its pool.
fn busy(case: &Case) -> bool {
    let busy = |p: &&crate::window::PoolWindow| {
        p.arrivals > 0.0 || p.used.most > 0.0 || p.waiting.most > 0.0
    };
    case.pool.is_some_and(|p| busy(&p)) || case.pool_usual.is_some_and(|p| busy(&p))
}
