//! Ways of a change, and what holds for all of them.

use super::*;
use std::collections::BTreeSet;

fn nature() -> Nature {
    Nature {
        tightens: true,
        ..Nature::default()
    }
}

/// The labels of the states that a change goes through.
fn way(nature: Nature, inputs: &[Input]) -> Vec<String> {
    let (mut state, _) = begin();
    let mut all = vec![state.label().to_owned()];
    for input in inputs {
        let (after, _) = next(nature, state, *input).unwrap_or_else(|e| panic!("{e}"));
        state = after;
        all.push(match state {
            State::Staging { step, of, serves } => {
                format!("{step}/{of}{}", if serves { "!" } else { "" })
            }
            State::Reverting(why) | State::RolledBack(why) | State::Refused(why) => {
                format!("{} {}", state.label(), why.label())
            }
            other => other.label().to_owned(),
        });
    }
    all
}

use Input::{Checked, Judged, Predicted, Probed, RollbackAsked, ServeFailed, Serves, WatchEnded};
use Verdict::{Fine, Unknown, Worse};

#[test]
fn a_tightening_goes_step_by_step() {
    let steps = [
        Checked(true),
        Predicted(Fine),
        Serves,
        Judged(Fine),
        Serves,
        Judged(Unknown),
        Serves,
        Judged(Fine),
        Serves,
        Judged(Fine),
        WatchEnded,
    ];
    assert_eq!(
        way(nature(), &steps),
        [
            "checking",
            "predicting",
            "1/4",
            "1/4!",
            "2/4",
            "2/4!",
            "3/4",
            "3/4!",
            "4/4",
            "4/4!",
            "watching",
            "applied"
        ]
    );
}

#[test]
fn a_loosening_a_person_s_order_and_an_identity_have_shorter_ways() {
    let loosens = Nature {
        tightens: false,
        ..nature()
    };
    assert_eq!(
        way(loosens, &[Checked(true), Serves]),
        ["checking", "1/1", "1/1!"]
    );
    let now = Nature {
        now: true,
        ..nature()
    };
    assert_eq!(
        way(
            now,
            &[
                Checked(true),
                Serves,
                Judged(Worse),
                Judged(Worse),
                WatchEnded
            ]
        ),
        ["checking", "1/1", "1/1!", "watching", "watching", "applied"],
        "what a person ordered is not taken back"
    );
    let identity = Nature {
        identity: true,
        ..Nature::default()
    };
    assert_eq!(
        way(identity, &[Checked(true), Probed(true)]),
        ["checking", "probing", "1/1"]
    );
    assert_eq!(
        way(identity, &[Checked(true), Probed(false)])[2],
        "refused probe"
    );
    let both = Nature {
        identity: true,
        ..nature()
    };
    assert_eq!(
        way(both, &[Checked(true), Predicted(Fine), Probed(true)]),
        ["checking", "predicting", "probing", "1/4"],
        "an address does not carry a cut past its steps"
    );
    let restart = Nature {
        restart_only: true,
        now: true,
        ..nature()
    };
    assert_eq!(way(restart, &[Checked(true)])[1], "refused restart_only");
}

#[test]
fn what_hurts_goes_back() {
    assert_eq!(way(nature(), &[Checked(false)])[1], "refused check");
    assert_eq!(
        way(nature(), &[Checked(true), Predicted(Worse)])[2],
        "refused prediction"
    );
    let forced = Nature {
        forced: true,
        ..nature()
    };
    let hurt = [
        Checked(true),
        Predicted(Worse),
        Serves,
        Judged(Worse),
        ServeFailed,
        Serves,
    ];
    assert_eq!(
        way(forced, &hurt),
        [
            "checking",
            "predicting",
            "1/4",
            "1/4!",
            "reverting hurts",
            "reverting hurts",
            "rolled_back hurts"
        ]
    );
    let asked = [Checked(true), Predicted(Fine), RollbackAsked, Serves];
    assert_eq!(way(nature(), &asked)[4], "rolled_back person");
}

#[test]
fn what_gives_way_on_its_way_back_keeps_its_reason() {
    let hurt = [Checked(true), Predicted(Fine), Serves, Judged(Worse)];
    let with = [&hurt[..], &[Input::Superseded]].concat();
    assert_eq!(way(nature(), &with)[5], "rolled_back hurts");
    assert_eq!(
        way(
            nature(),
            &[Checked(true), Predicted(Fine), Input::Superseded]
        )[3],
        "rolled_back superseded"
    );
}

fn natures() -> Vec<Nature> {
    let mut all = Vec::new();
    for bits in 0..32 {
        all.push(Nature {
            restart_only: bits & 1 > 0,
            identity: bits & 2 > 0,
            tightens: bits & 4 > 0,
            now: bits & 8 > 0,
            forced: bits & 16 > 0,
        });
    }
    all
}

fn inputs() -> Vec<Input> {
    let mut all = vec![
        Serves,
        ServeFailed,
        WatchEnded,
        RollbackAsked,
        Input::Superseded,
        Input::Withdrawn,
        Input::Restarted,
    ];
    all.extend([true, false].map(Checked));
    all.extend([true, false].map(Probed));
    for verdict in [Fine, Worse, Unknown] {
        all.extend([Predicted(verdict), Judged(verdict)]);
    }
    all
}

/// Every state that can be reached, by trying every input.
fn reachable(nature: Nature) -> Vec<State> {
    let mut all = vec![begin().0];
    let mut at = 0;
    while let Some(state) = all.get(at).copied() {
        at += 1;
        for input in inputs() {
            if let Ok((after, _)) = next(nature, state, input)
                && !all.contains(&after)
            {
                all.push(after);
            }
        }
    }
    all
}

/// A kill at any state, and then everything goes well: there is an end, and what
/// serves there is one version.
#[test]
fn a_kill_anywhere_leads_to_an_end() {
    for nature in natures() {
        for state in reachable(nature) {
            let (mut state, mut task) =
                next(nature, state, Input::Restarted).expect("always legal");
            let mut steps = 0;
            while !state.is_end() {
                let answer = match task {
                    Task::Check => Checked(true),
                    Task::Predict => Predicted(Fine),
                    Task::Probe => Probed(true),
                    Task::Serve { .. } | Task::ServeOld => Serves,
                    Task::Judge => Judged(Fine),
                    Task::Watch => WatchEnded,
                    Task::Rest => panic!("{state:?} rests without an end"),
                };
                (state, task) = next(nature, state, answer).unwrap_or_else(|e| panic!("{e}"));
                steps += 1;
                assert!(steps < 20, "{state:?}");
            }
        }
    }
}

/// The new version only ends as the current one after its last step served, and
/// the old one only after it served again.
#[test]
fn an_end_is_never_half_a_change() {
    for nature in natures() {
        for state in reachable(nature) {
            for input in inputs() {
                let Ok((after, _)) = next(nature, state, input) else {
                    continue;
                };
                match after {
                    State::Applied if state != after => {
                        assert!(state.is_whole());
                        assert!(state == State::Watching || input == Input::Superseded);
                    }
                    State::RolledBack(_) if state != after => {
                        let back = matches!((state, input), (State::Reverting(_), Serves));
                        assert!(back || input == Input::Superseded);
                    }
                    State::Refused(_) if state != after => assert!(matches!(
                        state,
                        State::Checking | State::Predicting | State::Probing
                    )),
                    State::Watching if state != after => {
                        let State::Staging { step, of, serves } = state else {
                            panic!("{state:?}");
                        };
                        assert!(step == of && serves);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_person_s_order_is_never_judged_and_every_reason_is_reached() {
    let mut seen = BTreeSet::new();
    for nature in natures() {
        for state in reachable(nature) {
            if let State::Reverting(why) | State::RolledBack(why) | State::Refused(why) = state {
                assert!(!nature.now || !matches!(why, Why::Hurts | Why::Prediction | Why::Killed));
                seen.insert(why);
            }
        }
    }
    assert_eq!(seen.len(), Why::ALL.len());
}

#[test]
fn what_does_not_belong_is_refused_by_name() {
    let error = next(nature(), State::Applied, Serves).unwrap_err();
    assert_eq!(error.to_string(), "Serves while applied");
    assert!(next(nature(), State::Checking, Judged(Fine)).is_err());
    let not_yet = State::Staging {
        step: 1,
        of: 4,
        serves: false,
    };
    assert!(
        next(nature(), not_yet, Judged(Fine)).is_err(),
        "not judged before it serves"
    );
}
