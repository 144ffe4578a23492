//! Fine, worse, or not to be told.

use super::choice::PoolChoice;
use super::{Figures, Part, Ranged};

/// Fewer requests than these say nothing.
const REQUESTS_MIN: u64 = 300;
/// Waits that grow by less than this, milliseconds, harm nobody…
const WAIT_MORE_MS: f64 = 50.0;
/// …nor by less than this factor.
const WAIT_TIMES: f64 = 2.0;
/// A wait beyond this share of the deadline is near a refusal.
const DEADLINE_SHARE: f64 = 0.5;
/// So many more of all requests refused are harm.
const REFUSED_MORE: f64 = 0.001;
/// Throughput below this share of what it was is harm.
const RATE_SHARE: f64 = 0.9;
/// From this share of requests that found the pool at its limit on, nobody
/// knows what would have come.
const EXHAUSTED_SHARE: f64 = 0.2;
/// The pool may use so many times the connections that it was seen to use.
const GROWTH: f64 = 1.1;
/// Runs whose p99 waits are so many times apart say little.
const WIDE_TIMES: f64 = 3.0;
/// The replay of what held may be off by this factor…
const REPLAY_TIMES: f64 = 2.5;
/// …where waits are longer than this, milliseconds.
const REPLAY_MS: f64 = 5.0;

/// What a change does to a pool.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// No worse than before.
    Fine,
    /// Worse.
    Worse(Harm),
    /// Not to be told.
    Inconclusive(Doubt),
}

/// What becomes worse.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Harm {
    /// The settings know no such database: its clients are refused.
    Gone,
    /// Share of the requests refused, before and after.
    Refused(f64, f64),
    /// Waits that 99 of 100 do not exceed, before and after, milliseconds.
    Waits(f64, f64),
    /// The same, and the deadline; milliseconds.
    Deadline(f64, f64, f64),
    /// Leases per second, before and after.
    Rate(f64, f64),
}

/// Why nothing can be said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Doubt {
    /// So many requests were recorded.
    TooShort(u64),
    /// This share of the requests found the pool at its limit: who else would
    /// have come is not known.
    Exhausted(f64),
    /// The pool would use so many connections; at most so many were seen.
    Beyond(u32, u32),
    /// The size moves by itself.
    Automatic,
    /// The mode changes: other leases than those recorded.
    Mode,
    /// The replay of the settings that held gives this wait, and that one was
    /// recorded; milliseconds.
    Replay(f64, f64),
    /// It may become worse in this way, and may not.
    Perhaps(Harm),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Fine => f.write_str("fine"),
            Verdict::Worse(harm) => write!(f, "worse: {harm}"),
            Verdict::Inconclusive(doubt) => write!(f, "inconclusive: {doubt}"),
        }
    }
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Harm::Gone => f.write_str("the settings know no such database"),
            Harm::Refused(a, b) => {
                let (a, b) = (a * 100.0, b * 100.0);
                write!(f, "{b:.1} % of the requests refused, {a:.1} % before")
            }
            Harm::Waits(a, b) => write!(f, "p99 wait {b:.1} ms, {a:.1} ms before"),
            Harm::Deadline(a, b, deadline) => write!(
                f,
                "p99 wait {b:.1} ms, {a:.1} ms before, of {deadline:.0} ms until a client is refused"
            ),
            Harm::Rate(a, b) => {
                write!(f, "{b:.1} transactions per second, {a:.1} before")
            }
        }
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::TooShort(n) => {
                write!(f, "{n} requests were recorded, {REQUESTS_MIN} are needed")
            }
            Doubt::Exhausted(share) => write!(
                f,
                "{:.0} % of the requests found the pool at its limit",
                share * 100.0
            ),
            Doubt::Beyond(would, seen) => write!(
                f,
                "{would} connections would be used, and at most {seen} were seen in use"
            ),
            Doubt::Automatic => f.write_str("the size moves by itself"),
            Doubt::Mode => f.write_str("the pool's mode changes"),
            Doubt::Replay(played, seen) => write!(
                f,
                "the replay gives a p95 wait of {played:.1} ms, {seen:.1} ms were recorded"
            ),
            Doubt::Perhaps(harm) => write!(f, "perhaps worse: {harm}"),
        }
    }
}

/// Judges a pool by all its parts, after a change of it or of its server. `leases` were recorded.
pub(super) fn judge(
    parts: &[Part],
    old: Option<&PoolChoice>,
    new: Option<&PoolChoice>,
    leases: usize,
) -> Verdict {
    let (Some(old), Some(new)) = (old, new) else {
        return match (old, parts.is_empty()) {
            (None, _) | (_, true) => Verdict::Fine,
            _ => Verdict::Worse(Harm::Gone),
        };
    };
    let requests: u64 = parts.iter().map(|part| part.recorded.requests).sum();
    if requests < REQUESTS_MIN || leases == 0 {
        return Verdict::Inconclusive(Doubt::TooShort(requests));
    }
    if old.session != new.session {
        return Verdict::Inconclusive(Doubt::Mode);
    }
    if old.auto != new.auto {
        return Verdict::Inconclusive(Doubt::Automatic);
    }
    let mut doubt = None;
    for part in parts {
        let deadline_ms = new.wait_timeout.map(|d| d.as_secs_f64() * 1000.0);
        // The kindest view is worse: then it is worse in every one.
        if let Some(harm) = harm(&part.old, &part.new, deadline_ms, View::Kind) {
            return Verdict::Worse(harm);
        }
        if doubt.is_none() {
            doubt = doubts(part, deadline_ms);
        }
    }
    doubt.map_or(Verdict::Fine, Verdict::Inconclusive)
}

fn doubts(part: &Part, deadline_ms: Option<f64>) -> Option<Doubt> {
    let seen = part.recorded;
    let (before, after) = part.in_use_max;
    let known = seen.in_use_max.max(before);
    if f64::from(after) > f64::from(known) * GROWTH + 1.0 {
        return Some(Doubt::Beyond(after, seen.in_use_max));
    }
    if seen.exhausted > EXHAUSTED_SHARE {
        return Some(Doubt::Exhausted(seen.exhausted));
    }
    // Chance makes runs differ: that is no doubt by itself, unless it is great.
    let wait = part.new.wait_p99_ms;
    let wide = part.unknown || wait.high > WIDE_TIMES * wait.low.max(1.0);
    let harsh = harm(&part.old, &part.new, deadline_ms, View::Harsh).filter(|_| wide);
    let likely = harm(&part.old, &part.new, deadline_ms, View::Likely);
    if let Some(harm) = likely.or(harsh) {
        return Some(Doubt::Perhaps(harm));
    }
    let (measured, played) = seen.wait_p95_ms;
    let off = (played.max(REPLAY_MS) / measured.max(REPLAY_MS))
        .max(measured.max(REPLAY_MS) / played.max(REPLAY_MS));
    (off > REPLAY_TIMES).then_some(Doubt::Replay(played, measured))
}

/// Which ends of the intervals are compared.
#[derive(Clone, Copy, PartialEq)]
enum View {
    Kind,
    Likely,
    Harsh,
}

/// What is worse, in one view.
fn harm(old: &Figures, new: &Figures, deadline_ms: Option<f64>, view: View) -> Option<Harm> {
    let end = |r: Ranged| match view {
        View::Kind => r.low,
        View::Likely => r.value,
        View::Harsh => r.high,
    };
    let other = |r: Ranged| match view {
        View::Kind => r.high,
        View::Likely => r.value,
        View::Harsh => r.low,
    };
    let (before, after) = (other(old.refused), end(new.refused));
    if after > before + REFUSED_MORE {
        return Some(Harm::Refused(old.refused.value, new.refused.value));
    }
    let (before, after) = (other(old.wait_p99_ms), end(new.wait_p99_ms));
    let (old_ms, new_ms) = (old.wait_p99_ms.value, new.wait_p99_ms.value);
    if after > before + WAIT_MORE_MS && after > before * WAIT_TIMES {
        return Some(Harm::Waits(old_ms, new_ms));
    }
    if let Some(deadline) = deadline_ms
        && after > deadline * DEADLINE_SHARE
        && before < deadline * DEADLINE_SHARE
    {
        return Some(Harm::Deadline(old_ms, new_ms, deadline));
    }
    // More is better here.
    let (before, after) = (end(old.rate), other(new.rate));
    (after < before * RATE_SHARE).then_some(Harm::Rate(old.rate.value, new.rate.value))
}
