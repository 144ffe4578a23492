//! `cargo xtask scale`: fleets of up to 10,000 instances in the simulator.

use crate::{Outcome, foreground, repository};

pub(crate) const SUMMARY: &str = "fleets of 1 to 10,000 instances, in the simulator";

pub(crate) const HELP: &str = "\
Runs the curve of docs/scale.md in virtual time: 1, 3, 10, 30, 100, 300, 1,000,
3,000 and 10,000 instances before one server, by the server's view as far as it
goes and by the ledger, while loads move, all instances are replaced, three in
ten are cut off, the store is away, and the line falls by half. Prints a line
for each run and the tables; fails when the ledger breaks a promise.

  --size N          this many instances
  --scenario WORD   loads, roll, partition, away or fall
  --way WORD        view or ledger
  --seed N          another course of events (default 1)
  --write           writes the tables into docs/scale.md

All of it takes some minutes of one core; `cargo xtask test` runs small ones.";

pub(crate) fn run(args: &[String]) -> Outcome {
    let page = repository().join("docs/scale.md");
    let mut all = vec!["run", "--profile", "test-fast", "-p", "plimsoll-sim"];
    all.extend(["--example", "scale", "--"]);
    let rest = args.iter().map(String::as_str);
    all.extend(rest.filter(|arg| *arg != "--write"));
    if args.iter().any(|arg| arg == "--write") {
        let whole = ["--size", "--scenario", "--way"];
        if args.iter().any(|arg| whole.contains(&arg.as_str())) {
            return Err("a part of the curve is not written".to_owned());
        }
        all.extend(["--write", page.to_str().ok_or("the path is not UTF-8")?]);
    }
    foreground::cargo(&all)
}
