//! `cargo xtask diagnose-eval`: a release build, then the laboratory in front of it.

use crate::{Outcome, foreground, metadata};

pub(crate) const SUMMARY: &str = "how often the diagnosis is right, on real PostgreSQL";

pub(crate) const HELP: &str = "\
Builds the release `plimsoll` and runs the package `plimsoll-lab` with it: more
than 200 troubles, one after the other, done to a real PostgreSQL with clients
on it, and what `plimsoll diagnose` says of each. Arguments go to the
laboratory; `cargo xtask diagnose-eval help` lists them. With --plimsoll PATH
that program is judged and none is built. Paths are relative to the repository.

It needs PostgreSQL, and root for network namespaces and cgroups. About
three quarters of an hour, so no part of `test` and `ci`.";

pub(crate) fn run(args: &[String]) -> Outcome {
    let mut all: Vec<&str> = vec!["run", "--release", "-p", "plimsoll-lab", "--"];
    if args == ["help"] {
        all.push("--help");
        return foreground::cargo(&all);
    }
    let built = metadata::target_directory()?.join("release/plimsoll");
    let needs_one = !args
        .iter()
        .any(|arg| arg == "--plimsoll" || arg == "--list");
    if needs_one {
        foreground::cargo(&["build", "--release", "-p", "plimsoll"])?;
        all.push("--plimsoll");
        all.push(built.to_str().ok_or("the target directory is not UTF-8")?);
    }
    all.extend(args.iter().map(String::as_str));
    foreground::cargo(&all)
}
