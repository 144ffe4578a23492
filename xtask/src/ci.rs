//! `cargo xtask ci`: the checks, then the tests: what every change must pass.

use crate::{Outcome, check, deps, no_arguments, test};

pub(crate) const SUMMARY: &str = "everything a change must pass: check, deps, test";

pub(crate) const HELP: &str = "\
The same as .ci/run, as one task: `cargo xtask check`, `cargo xtask deps`, then
`cargo xtask test`. Each step prints its budget; a step over its budget fails.";

pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    check::run(&[])?;
    deps::run(&[])?;
    test::run(&[])
}
