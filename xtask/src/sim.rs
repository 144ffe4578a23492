//! `cargo xtask sim`: many seeds of the simulator, more than `test` has time for.

use crate::{Outcome, foreground};

pub(crate) const SUMMARY: &str = "many seeds of the simulator, in a release build";

pub(crate) const HELP: &str = "\
Runs the campaign of the package `plimsoll-sim`. Arguments go to it:

  --seeds N   how many seeds, each with faults of its own (default 1)
  --seed N    the first one; alone it replays that seed and prints the trace
  --ops N     client operations per seed
  --seconds N begin no further seed after so long
  --calm      without faults and administrators
  --trace N   lines of a failing seed's trace; --everybody: not only of those
              whom the failure names
  --settings N  N reloads of settings instead: fuzzed texts, refusals, full
              disks and kills, on all cores (with --seed, and --ops for the
              reloads of each seed)

It prints how often everything was hit: faults, acts of administrators, phases
of sessions, kinds of replies, reasons of closes and refusals.

`cargo xtask test` runs a fixed few of them. A seed that fails becomes a test.";

pub(crate) fn run(args: &[String]) -> Outcome {
    let settings = args.iter().any(|arg| arg == "--settings");
    let campaign = if settings {
        "settings_campaign"
    } else {
        "campaign"
    };
    let mut all = vec!["run", "--release", "-p", "plimsoll-sim"];
    all.extend(["--example", campaign, "--"]);
    all.extend(args.iter().map(String::as_str));
    foreground::cargo(&all)
}
