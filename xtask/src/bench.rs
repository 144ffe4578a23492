//! `cargo xtask bench`: a release build, then the benchmark in front of it.

use crate::{Outcome, foreground, metadata};

pub(crate) const SUMMARY: &str = "Plimsoll beside other poolers, in release builds";

pub(crate) const HELP: &str = "\
Builds the release `plimsoll` and runs the package `plimsoll-bench` with it.
Arguments go to the benchmark; `cargo xtask bench help` lists them. With
--plimsoll PATH that program is measured and none is built. Paths are relative
to the repository.

It needs PostgreSQL. Other poolers are measured where they are installed, and
named where they are not. Minutes to hours, so no part of `test` and `ci`.";

pub(crate) fn run(args: &[String]) -> Outcome {
    let mut all: Vec<&str> = vec!["run", "--release", "-p", "plimsoll-bench", "--"];
    if args == ["help"] {
        all.push("--help");
        return foreground::cargo(&all);
    }
    let given = args.iter().any(|arg| arg == "--plimsoll" || arg == "floor");
    let built = metadata::target_directory()?.join("release/plimsoll");
    if !given {
        foreground::cargo(&["build", "--release", "-p", "plimsoll"])?;
        all.push("--plimsoll");
        // Relative where it can be: the command line stands in the report.
        let short = built.strip_prefix(crate::repository()).unwrap_or(&built);
        all.push(short.to_str().ok_or("the target directory is not UTF-8")?);
    }
    all.extend(args.iter().map(String::as_str));
    foreground::cargo(&all)
}
