//! `cargo xtask test`: every test of the workspace, in steps with budgets.

use crate::metadata::{self, Package};
use crate::steps::{self, Step};
use crate::{Outcome, no_arguments};

pub(crate) const SUMMARY: &str = "build once, then unit, simulator and end-to-end tests";

pub(crate) const HELP: &str = "\
Builds all tests in one profile (test-fast) and runs them in steps, each with a
budget of time. Every step is a plain `cargo test` command, printed so that you
can run it alone. Up to three tests that fail are tried again, alone: they must
pass twice, and are named at the end. Which step a test target belongs to:

  instructions     `cargo xtask instructions`: what a transaction costs, in instructions
  end-to-end       targets of the packages `plimsoll` and `plimsoll-e2e`
  simulator        targets of `plimsoll-sim`, and targets named sim_*
  unit and golden  everything else, library tests and doc examples

End-to-end tests need PostgreSQL: `cargo xtask deps` installs it.";

pub(crate) const PROFILE: &str = "test-fast";

/// In seconds: a third to a half above what two cores took. All steps are not so late in one run: the
/// 20 minutes that `.ci/run` allows for all of them together are less than their sum.
const BUILD_S: u64 = 400;
const UNIT_S: u64 = 180;
const DOC_EXAMPLES_S: u64 = 21;
const INSTRUCTIONS_S: u64 = 20;
/// The simulator's own tests are library tests today: this is for targets named sim_*.
const SIMULATOR_S: u64 = 10;
const END_TO_END_S: u64 = 535;

pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let closing = steps::run("tests", &test_steps(&metadata::packages(false)?)?)?;
    // Last, so that the end of a long log shows that tests ran, and how many.
    for line in closing {
        println!("{line}");
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unit,
    Simulator,
    EndToEnd,
}

fn kind(package: &str, target: &str) -> Kind {
    match package {
        "plimsoll" | "plimsoll-e2e" => Kind::EndToEnd,
        "plimsoll-sim" => Kind::Simulator,
        _ if target.starts_with("sim_") => Kind::Simulator,
        _ => Kind::Unit,
    }
}

/// The steps for these packages. All commands name the whole workspace: so
/// every dependency keeps the same features, and nothing is built twice.
pub(crate) fn test_steps(packages: &[Package]) -> Result<Vec<Step>, String> {
    let mut targets: Vec<(Kind, &str)> = Vec::new();
    for package in packages {
        for test in &package.tests {
            let kind = kind(&package.name, test);
            if let Some((other, _)) = targets.iter().find(|(k, name)| name == test && *k != kind) {
                return Err(format!(
                    "two test targets named `{test}` belong to different steps ({other:?}, {kind:?}): \
                     cargo selects by name, so rename one"
                ));
            }
            targets.push((kind, test));
        }
    }
    let of = |wanted: Kind| -> Vec<&str> {
        let mut names: Vec<&str> = targets
            .iter()
            .filter(|(kind, _)| *kind == wanted)
            .map(|(_, name)| *name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .flat_map(|name| ["--test", name])
            .collect()
    };
    let cargo = |name: &str, budget_s: u64, args: &[&str]| {
        let all = [
            &[
                "test",
                "--workspace",
                "--profile",
                PROFILE,
                "--no-fail-fast",
            ],
            args,
        ]
        .concat();
        Step::cargo(name, budget_s, &all)
    };
    let unit = [vec!["--lib", "--bins"], of(Kind::Unit)].concat();
    let mut steps = vec![
        cargo("build", BUILD_S, &["--no-run"]),
        // Many of them wait for a bound to pass: more at a time than there are cores.
        cargo("unit and golden", UNIT_S, &unit)
            .env("RUST_TEST_THREADS", "12")
            .tries_again(),
        cargo("doc examples", DOC_EXAMPLES_S, &["--doc"]),
        Step::cargo("instructions", INSTRUCTIONS_S, &["xtask", "instructions"]),
    ];
    for (kind, name, budget_s) in [
        (Kind::Simulator, "simulator", SIMULATOR_S),
        (Kind::EndToEnd, "end-to-end", END_TO_END_S),
    ] {
        let selected = of(kind);
        if !selected.is_empty() {
            // More at a time than cores, since they wait for each other's processes; not many
            // more, since some judge what a busy machine does to figures.
            steps.push(
                cargo(name, budget_s, &selected)
                    .env("RUST_TEST_THREADS", "3")
                    .tries_again(),
            );
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budgets_of_ci_add_up_to_little_more_than_its_twenty_minutes() {
        let packages = [
            package("plimsoll-sim", &["seeds"]),
            package("plimsoll", &["sandbox"]),
        ];
        let tests = test_steps(&packages).expect("no clash");
        let total: u64 = crate::check::check_steps()
            .iter()
            .chain(&tests)
            .map(|step| step.budget.as_secs())
            .sum();
        assert!(total + crate::check::DENY_S <= 24 * 60, "{total} s");
    }

    fn package(name: &str, tests: &[&str]) -> Package {
        let tests = tests.iter().map(|&test| test.to_owned()).collect();
        Package {
            name: name.to_owned(),
            tests,
            ..Package::default()
        }
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        steps
            .iter()
            .filter(|step| step.args[0] == "test")
            .map(|step| format!("{}: {}", step.name, step.args[5..].join(" ")))
            .collect()
    }

    #[test]
    fn every_target_runs_in_one_step() {
        let packages = [
            package("plimsoll-wire", &["golden"]),
            package("plimsoll-pool", &["golden", "sim_pool"]),
            package("plimsoll-sim", &["seeds"]),
            package("plimsoll", &["sandbox"]),
            package("plimsoll-e2e", &["psql", "oracle"]),
        ];
        let steps = test_steps(&packages).expect("no clash");
        assert_eq!(
            lines(&steps),
            [
                "build: --no-run",
                "unit and golden: --lib --bins --test golden",
                "doc examples: --doc",
                "simulator: --test seeds --test sim_pool",
                "end-to-end: --test oracle --test psql --test sandbox",
            ]
        );
    }

    #[test]
    fn a_step_without_targets_is_left_out_since_cargo_would_run_all_tests_then() {
        let steps = test_steps(&[package("plimsoll-wire", &[])]).expect("no clash");
        assert_eq!(lines(&steps).len(), 3);
    }

    #[test]
    fn one_name_in_two_steps_is_refused() {
        let packages = [
            package("plimsoll-wire", &["faults"]),
            package("plimsoll-e2e", &["faults"]),
        ];
        let error = test_steps(&packages).err().expect("a clash");
        assert!(error.contains("`faults`"), "{error}");
    }
}
