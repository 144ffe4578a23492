//! `cargo xtask leaks-corpus`: how many seeded leaks `plimsoll leaks` finds.

use crate::{Outcome, foreground};

pub(crate) const SUMMARY: &str =
    "seeded leaks of suites in four languages: found, named, silent without";

pub(crate) const HELP: &str = "\
Builds `plimsoll` and runs the suites of e2e/leaks with it, once for each bug
and once without: Django, pytest with SQLAlchemy, node, JUnit. It prints a
table of what was found; with LEAKS_TABLE=FILE it writes it there, too. With
LEAKS_NO_HOOKS=1 it shows what the traffic alone tells. About three minutes.

It needs PostgreSQL. Python, node and Java with their drivers are installed
below target/ the first time; a suite whose language is absent is skipped.";

pub(crate) fn run(_: &[String]) -> Outcome {
    let profile = ["--profile", "test-fast"];
    foreground::cargo(&[&["build"], &profile[..], &["-p", "plimsoll"]].concat())?;
    let test = [
        "-p",
        "plimsoll-e2e",
        "--test",
        "e2e",
        "--",
        "--ignored",
        "--exact",
    ];
    let name = ["leaks::corpus", "--nocapture"];
    foreground::cargo(&[&["test"], &profile[..], &test, &name].concat())
}
