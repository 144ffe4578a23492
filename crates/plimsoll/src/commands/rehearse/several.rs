//! Rehearsals of several runs: two settings in rounds, and the search for a limit.

use super::target::Target;
use super::{Stage, now_unix_s};
use anyhow::bail;
use rehearse::compare::{Comparison, Figures, ROUNDS_MIN, Side, order, round_seed};
use rehearse::limit::{Bounds, Limit, Search, Step};
use rehearse::measured::Ended;
use rehearse::replay::SCALE_MAX;
use rehearse::report::Rehearsal;
use rehearse::scenario::Scenario;
use rehearse::schedule::Phase;
use rehearse::verdict::Verdict;
use std::time::Duration;

/// Highest rate that a search tries: one generator sends no more.
const RATE_MAX: f64 = 100_000.0;
/// Shortest step of a search: in fewer whole seconds chance decides.
const STEP_MIN: Duration = Duration::from_secs(3);

impl Stage<'_> {
    /// Both sides in every round, in an order that the seed draws.
    pub(super) fn compare(&self, a: &Target, b: &Target) -> anyhow::Result<Rehearsal> {
        let began_unix_s = now_unix_s();
        let rounds = self.args.rounds as usize;
        if rounds < ROUNDS_MIN {
            bail!("a comparison takes at least {ROUNDS_MIN} rounds");
        }
        if !self.scenario.thresholds.is_empty() {
            self.say("note: a comparison judges the difference (--tolerate); thresholds are for a run alone");
        }
        let mut all: Vec<[Figures; 2]> = Vec::new();
        // A round that is worth nothing is played again, as often as there are rounds.
        for (round, sides) in order(rounds * 2, self.scenario.seed)
            .into_iter()
            .enumerate()
        {
            let good = all.iter().filter(|round| usable(round)).count();
            if good == rounds {
                break;
            }
            self.say(&format!("round {} of {rounds}", good + 1));
            // The same requests for both, and others in each round.
            let scenario = Scenario {
                seed: round_seed(self.scenario.seed, round),
                ..self.scenario.clone()
            };
            let mut figures: [Option<Figures>; 2] = [None, None];
            for side in sides {
                let (place, target) = match side {
                    Side::A => (0, a),
                    Side::B => (1, b),
                };
                let run = self.run(target, &scenario)?;
                if run.ended == Ended::Interrupted {
                    bail!(
                        "a person ended it in round {}; a comparison takes {ROUNDS_MIN}",
                        good + 1
                    );
                }
                figures[place] = Some(Figures::of(&run));
            }
            if let [Some(a), Some(b)] = figures {
                all.push([a, b]);
            }
        }
        let names = [a.label.as_str(), b.label.as_str()];
        Ok(Rehearsal::Compare {
            began_unix_s,
            comparison: Comparison::of(names, &all, self.args.tolerate),
        })
    }

    /// One rate after another, as the search says.
    pub(super) fn find_limit(&self, target: &Target) -> anyhow::Result<Rehearsal> {
        let began_unix_s = now_unix_s();
        let phases = &self.scenario.phases;
        let rates = phases.iter().map(|phase| phase.from.max(phase.to));
        let captured = self.scenario.replay().map(|replay| replay.rate());
        let from = captured.unwrap_or(rates.fold(0.0, f64::max));
        let lasts = self.scenario.lasts();
        if lasts < STEP_MIN {
            bail!(
                "a step of a search lasts at least {} s, for its first fifth settles and is not counted; say so with --for",
                STEP_MIN.as_secs()
            );
        }
        let bounds =
            Bounds::new(from, RATE_MAX.max(from)).map_err(|why| anyhow::anyhow!("{why}"))?;
        let mut search = Search::new(bounds);
        let mut hindered = None;
        while let Some(rate) = search.next_rate() {
            self.say(&format!("{rate:.0}/s for {} s", lasts.as_secs()));
            let mut captured = self.scenario.captured.clone();
            if let Some(captured) = &mut captured {
                captured.scale = (captured.scale * rate / from).min(SCALE_MAX);
            }
            let scenario = Scenario {
                phases: vec![Phase::hold(rate, lasts)],
                captured,
                seed: self.scenario.seed.wrapping_add(search.steps().len() as u64),
                ..self.scenario.clone()
            };
            let run = self.run(target, &scenario)?;
            hindered = match &run.ended {
                Ended::Interrupted => Some("a person ended it".to_owned()),
                Ended::NoConnection(why) => Some(format!("no connection: {why}")),
                Ended::Whole | Ended::Aborted(_) => None,
            };
            if hindered.is_some() {
                break;
            }
            let verdict = Verdict::of(&run, &scenario.thresholds);
            search.record(Step::of(rate, &run, &verdict));
        }
        Ok(Rehearsal::Limit {
            began_unix_s,
            limit: Limit::of(&target.label, &search, hindered.as_deref()),
        })
    }

    #[expect(clippy::print_stderr, reason = "a person sees how far it is")]
    fn say(&self, text: &str) {
        if !self.args.quiet {
            eprintln!("{text}");
        }
    }
}

/// Both sides measured something.
fn usable(round: &[Figures; 2]) -> bool {
    round.iter().all(|figures| figures.unusable.is_none())
}
