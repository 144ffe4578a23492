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

  --alerts    healthy days and troubles for the built-in alerts instead: how
              many are false, how early the right ones come; two numbers may
              follow: days (30) and seeds of each trouble (200)

It prints how often everything was hit: faults, acts of administrators, phases
of sessions, kinds of replies, reasons of closes and refusals.

`cargo xtask test` runs a fixed few of them. A seed that fails becomes a test.";

pub(crate) fn run(args: &[String]) -> Outcome {
    if args.iter().any(|arg| arg == "--alerts") {
        let mut all = vec!["run", "--release", "-p", "plimsoll-diagnose"];
        all.extend(["--example", "alerts", "--"]);
        let rest = args.iter().map(String::as_str);
        all.extend(rest.filter(|arg| *arg != "--alerts"));
        return foreground::cargo(&all);
    }
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
