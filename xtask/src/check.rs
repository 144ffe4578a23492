//! `cargo xtask check`: what needs no test run: style, lints, docs, licences.

use std::process::Stdio;

use crate::steps::{self, Step};
use crate::test::PROFILE;
use crate::{Outcome, cargo, licences, no_arguments, tidy};

pub(crate) const SUMMARY: &str = "fmt, tidy, clippy, docs, licences and advisories";

pub(crate) const HELP: &str = "\
Runs, each with a budget of time: cargo fmt --check, cargo xtask tidy, cargo
clippy and cargo doc with warnings as errors, cargo xtask licences, and cargo
deny where it is installed (cargo install --locked cargo-deny).";

pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    // In this process, since both take a second; the steps below build.
    tidy::run(&[])?;
    licences::run(&[])?;
    steps::run("checks", &check_steps())?;
    deny()
}

pub(crate) fn check_steps() -> Vec<Step> {
    vec![
        Step::cargo("fmt", 10, &["fmt", "--all", "--check"]),
        // The tests' profile, so that build scripts and macros are built once.
        Step::cargo(
            "clippy",
            190,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--profile",
                PROFILE,
                "--",
                "-D",
                "warnings",
            ],
        ),
        Step::cargo(
            "doc",
            40,
            &[
                "doc",
                "--workspace",
                "--no-deps",
                "--profile",
                PROFILE,
                "--lib",
                "--bin=xtask",
                "--bin=plimsoll-bench",
                // With them cargo picks the features that clippy's run picked,
                // and builds no dependency a second time.
                "--examples",
            ],
        )
        .env("RUSTDOCFLAGS", "-D warnings"),
    ]
}

/// Both steps of cargo-deny, in seconds.
pub(crate) const DENY_S: u64 = 30;

/// Advisories come from a database on the network. Without it the rest is
/// still checked, and the gap is printed where nobody can miss it.
fn deny() -> Outcome {
    let installed = cargo::command()
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        warn("cargo-deny is not installed: ADVISORIES WERE NOT CHECKED (licences were).");
        println!("  cargo install --locked cargo-deny");
        return Ok(());
    }
    // A network that swallows packets must not hold up the rest.
    let fetch = Step::cargo("deny fetch", DENY_S / 2, &["deny", "fetch", "db"]);
    let fetched = steps::run("advisories", &[fetch]).is_ok();
    let mut args = vec!["deny", "check", "licenses", "bans", "sources"];
    if fetched {
        args.push("advisories");
    } else {
        warn("the advisory database cannot be reached: ADVISORIES WERE NOT CHECKED.");
    }
    steps::run("cargo deny", &[Step::cargo("deny", DENY_S / 2, &args)])?;
    Ok(())
}

fn warn(text: &str) {
    println!("\n!!! {text}");
}
