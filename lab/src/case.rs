//! Cases from a seed: which trouble, with what beside it and what is missing.

use crate::kinds::{self, Kind};
use crate::rng::Rng;
use crate::stage::Rights;
use diagnose::Cause;

/// Two troubles at once that can share a stage.
const PAIRS: &[[&str; 2]] = &[
    ["leak.slow", "slow_statements.function"],
    ["network.delay", "locks.hot_row"],
    ["leak.slow", "server_saturated.cpu_quota"],
    ["growth.step", "slow_statements.release"],
    ["network.delay", "leak.fast"],
    ["abusive_source.application", "slow_statements.function"],
    ["locks.table", "credentials.clients"],
    ["abusive_source.application", "settings_change.per_database"],
    ["pooler_starved.quota", "leak.slow"],
    ["database_down.standby", "leak.fast"],
];

/// Every so many cases has two causes.
const PAIR_EACH: u32 = 14;

/// One case, before it runs.
pub struct Case {
    /// Its number; with the seed it says all.
    pub number: u32,
    /// What happens.
    pub kinds: Vec<&'static Kind>,
    /// The monitor's rights.
    pub rights: Rights,
    /// Seconds before the blow at which an innocent application is released.
    pub deploy_before_s: Option<f64>,
    /// An innocent batch runs beside.
    pub batch: bool,
    /// Plimsoll is started after the blow: it has seen no calm.
    pub afresh: bool,
    /// Plimsoll's guards act and may heal it; else they only watch.
    pub guards_act: bool,
    /// Its own source of numbers.
    pub rng: Rng,
}

impl Case {
    /// The case with this number.
    pub fn of(number: u32, seed: u64) -> Case {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)));
        let kinds = if number % PAIR_EACH == PAIR_EACH - 1 {
            let pair = PAIRS[(number / PAIR_EACH) as usize % PAIRS.len()];
            pair.iter().filter_map(|name| kinds::named(name)).collect()
        } else {
            vec![draw(number)]
        };
        let rights = match rng.between(1, 100) {
            1..=12 => Rights::None,
            13..=24 => Rights::Blind,
            _ => Rights::Full,
        };
        // A minute stands for a second and a half.
        let deploy = rng.percent(35).then(|| 1.5 * (1.0 + 4.0 * rng.share()));
        let mut case = Case {
            number,
            rights,
            deploy_before_s: deploy,
            batch: rng.percent(20),
            afresh: false,
            guards_act: rng.percent(30),
            rng,
            kinds,
        };
        case.afresh = case.rng.percent(10)
            && case.truths().iter().all(|c| seen_without_calm(*c))
            && !case.nothing();
        case
    }

    /// The causes.
    pub fn truths(&self) -> Vec<Cause> {
        self.kinds.iter().filter_map(|kind| kind.truth).collect()
    }

    /// Causes that look the same from here.
    pub fn or(&self) -> Vec<Cause> {
        self.kinds.iter().filter_map(|kind| kind.or).collect()
    }

    /// Nothing is wrong.
    pub fn nothing(&self) -> bool {
        self.truths().is_empty()
    }

    /// Nothing else may run beside it.
    pub fn alone(&self) -> bool {
        self.kinds.iter().any(|kind| kind.alone)
    }

    /// The evidence truly lacks: "unknown" is an honest answer.
    pub fn unknown_is_honest(&self) -> bool {
        use Cause::{
            BudgetSqueezed, LimitTooLarge, Locks, Network, ServerSaturated, SlowStatements,
        };
        let blind = self.rights != Rights::Full;
        let proxied = self
            .kinds
            .iter()
            .any(|kind| kind.name == "network.behind_proxy");
        self.truths().iter().all(|cause| match cause {
            Locks | ServerSaturated | LimitTooLarge => blind,
            Network => proxied && self.rights == Rights::None,
            SlowStatements => self.afresh || blind,
            BudgetSqueezed => self.rights == Rights::None,
            _ => false,
        }) && !self.nothing()
    }

    /// A name for people.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name).collect();
        names.join(" + ")
    }

    /// What stands beside the trouble, in words.
    pub fn beside(&self) -> String {
        let mut words = Vec::new();
        match self.rights {
            Rights::Full => {}
            Rights::Blind => words.push("monitor without rights".to_owned()),
            Rights::None => words.push("no monitor".to_owned()),
        }
        if let Some(before) = self.deploy_before_s {
            words.push(format!("innocent deploy {:.0} min before", before / 1.5));
        }
        if self.batch {
            words.push("batch".to_owned());
        }
        if self.guards_act {
            words.push("guards act".to_owned());
        }
        if self.afresh {
            words.push("started in the middle".to_owned());
        }
        words.join(", ")
    }
}

/// Whether the cause can be told from the trouble alone, and the trouble outlives a start of Plimsoll.
fn seen_without_calm(cause: Cause) -> bool {
    use Cause::{
        AbusiveSource, BudgetSqueezed, ConnectionStorm, Credentials, DatabaseDown, Leak, Locks,
        Network, ServerSaturated, SlowStatements,
    };
    [
        AbusiveSource,
        BudgetSqueezed,
        ConnectionStorm,
        Credentials,
        DatabaseDown,
        Leak,
        Locks,
        Network,
        ServerSaturated,
        SlowStatements,
    ]
    .contains(&cause)
}

/// Kinds in proportion to their shares, spread evenly over the numbers.
fn draw(number: u32) -> &'static Kind {
    let all = kinds::all();
    let sum: u32 = all.iter().map(|kind| kind.share).sum();
    // A step that shares no factor with the sum walks over all of it.
    let step = (1..)
        .map(|n| n * 2 + sum * 3 / 8)
        .find(|n| gcd(*n, sum) == 1)
        .unwrap_or(1);
    let mut at = (u64::from(number) * u64::from(step) % u64::from(sum)) as u32;
    for kind in all {
        if at < kind.share {
            return kind;
        }
        at -= kind.share;
    }
    unreachable!("the shares add up")
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
