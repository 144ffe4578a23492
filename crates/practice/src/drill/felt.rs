//! What clients feel, and what an action did to it.

use serde::Serialize;

/// How clients fared over a few seconds, as they measured it themselves; beside
/// it how full the pool was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Felt {
    /// Requests that ended, or are stuck, in a second.
    pub per_s: f64,
    /// Share that failed, percent.
    pub failed_percent: f64,
    /// 95th percentile of the time that a request takes, milliseconds; stuck ones count with theirs so far.
    pub p95_ms: f64,
    /// The longest, milliseconds.
    pub longest_ms: f64,
    /// Clients that wait for a connection.
    pub waiting: u32,
    /// Connections lent.
    pub used: u32,
    /// The pool's limit.
    pub limit: u32,
}

/// What failed requests are allowed where all is well, percent.
const FAILED_WELL: f64 = 1.0;
/// More than usual by so much is noise of a small machine, milliseconds.
const NOISE_MS: f64 = 80.0;
/// A request that takes so many times as long as usual hurts.
const HURTS_TIMES: f64 = 3.0;
/// A change of so much in the worst figure is an effect.
const EFFECT: f64 = 0.3;

impl Felt {
    /// Clients are as well as they usually are.
    pub fn well(&self, usual: &Felt) -> bool {
        let most_ms = (usual.p95_ms * HURTS_TIMES).max(usual.p95_ms + NOISE_MS);
        self.per_s > 0.0 && self.failed_percent <= FAILED_WELL && self.p95_ms <= most_ms
    }

    /// How bad it is: 0 is well; each failed percent counts as much as a
    /// request that takes a tenth of a second longer.
    fn pain(&self, usual: &Felt) -> f64 {
        let late_ms = (self.p95_ms - usual.p95_ms - NOISE_MS).max(0.0);
        self.failed_percent + late_ms / 100.0
    }
}

impl std::fmt::Display for Felt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} requests/s, {:.0} % fail, 95 of 100 within {}, the longest {}; pool {} of {} lent, {} wait",
            self.per_s,
            self.failed_percent,
            millis(self.p95_ms),
            millis(self.longest_ms),
            self.used,
            self.limit,
            self.waiting
        )
    }
}

fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// What an action did, by the figures before and after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Clients are well.
    Mended,
    /// It hurts less.
    Helped,
    /// It hurts as before.
    Nothing,
    /// It hurts more.
    Harmed,
}

impl Effect {
    /// From the figures before and after.
    pub fn of(usual: &Felt, before: &Felt, after: &Felt) -> Effect {
        if after.well(usual) {
            return match before.well(usual) {
                true => Effect::Nothing,
                false => Effect::Mended,
            };
        }
        let (was, is) = (before.pain(usual), after.pain(usual));
        match was {
            _ if is < was * (1.0 - EFFECT) => Effect::Helped,
            _ if is > (was * (1.0 + EFFECT)).max(was + 2.0) => Effect::Harmed,
            _ => Effect::Nothing,
        }
    }

    /// A few words.
    pub const fn words(self) -> &'static str {
        match self {
            Effect::Mended => "clients are well",
            Effect::Helped => "it hurts less",
            Effect::Nothing => "it changed nothing that clients feel",
            Effect::Harmed => "it hurts more",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn felt(failed_percent: f64, p95_ms: f64) -> Felt {
        Felt {
            per_s: 100.0,
            failed_percent,
            p95_ms,
            ..Felt::default()
        }
    }

    #[test]
    fn effects_are_told_from_figures() {
        let usual = felt(0.0, 20.0);
        let table = [
            (felt(40.0, 3000.0), felt(0.0, 25.0), Effect::Mended),
            (felt(40.0, 3000.0), felt(10.0, 900.0), Effect::Helped),
            (felt(40.0, 3000.0), felt(42.0, 2900.0), Effect::Nothing),
            (felt(10.0, 500.0), felt(90.0, 3000.0), Effect::Harmed),
            (felt(0.0, 21.0), felt(0.0, 22.0), Effect::Nothing),
        ];
        for (before, after, effect) in table {
            assert_eq!(Effect::of(&usual, &before, &after), effect, "{before}");
        }
        // Nobody comes: that is not well.
        assert!(!Felt::default().well(&usual));
    }
}
