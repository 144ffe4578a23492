//! `cargo xtask instructions`: how much code a transaction runs, held steady.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use crate::test::PROFILE;
use crate::{Outcome, cargo};

pub(crate) const SUMMARY: &str = "count the instructions of a transaction, and compare";

pub(crate) const HELP: &str = "\
Replays one client's transactions through the hub and the pool, without sockets
(crates/relay/examples/replay.rs), under valgrind's callgrind, and compares the
instructions per transaction with xtask/instructions.txt. The counts are the same
on every machine with the same compiler, however busy it is. More than 2 % above
the file fails; with another compiler the difference is only shown.

  --release    count the code that is shipped; without it, the tests' build, which
               needs no other build and has its checks on
  --write      write the counts down; the difference is reviewed

Without valgrind nothing is counted, and that is said loudly.";

const FILE: &str = "xtask/instructions.txt";

const HEAD: &str = "\
# Instructions per transaction under callgrind: profile, kind, count. One client, no sockets.
# `cargo xtask instructions [--release] --write` writes this file; its diff is reviewed.
";

const KINDS: [&str; 3] = ["simple", "extended", "prepared"];

/// Two runs; the difference leaves start and login out.
const TRANSACTIONS: [u32; 2] = [200, 1200];

/// A count may be this much above the file, per mille. Counts of one build are
/// equal to the instruction but for the addresses that hash tables see.
const ABOVE_MAX: u64 = 20;

pub(crate) fn run(args: &[String]) -> Outcome {
    let mut profile = PROFILE;
    let mut write = false;
    for arg in args {
        match arg.as_str() {
            "--release" => profile = "release",
            "--write" => write = true,
            other => return Err(format!("unexpected argument `{other}`; see --help")),
        }
    }
    if !has_valgrind() {
        println!("\n!!! valgrind is not installed: INSTRUCTIONS WERE NOT COUNTED.");
        return Ok(());
    }
    build(profile)?;
    let mut counts = Vec::new();
    for kind in KINDS {
        let few = total(profile, kind, TRANSACTIONS[0])?;
        let many = total(profile, kind, TRANSACTIONS[1])?;
        let per = many.saturating_sub(few) / u64::from(TRANSACTIONS[1] - TRANSACTIONS[0]);
        counts.push((kind, per));
    }
    let path = crate::repository().join(FILE);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let compiler = compiler()?;
    if write {
        let text = rewritten(&known, &compiler, profile, &counts);
        return std::fs::write(&path, text).map_err(|error| format!("{FILE}: {error}"));
    }
    compare(&known, &compiler, profile, &counts)
}

fn has_valgrind() -> bool {
    Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn build(profile: &str) -> Outcome {
    // The whole workspace's tests, so that features are those of the tests' build.
    let args: &[&str] = if profile == PROFILE {
        // The very build of the tests, examples and all: nothing is built again for it.
        &["test", "--workspace", "--no-run"]
    } else {
        &["build", "-p", "plimsoll-relay", "--example", "replay"]
    };
    let status = cargo::command()
        .args(args)
        .args(["--quiet", "--profile", profile])
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the example `replay` does not build".to_owned())
}

/// Instructions of one run.
fn total(profile: &str, kind: &str, transactions: u32) -> Result<u64, String> {
    let program = crate::repository()
        .join("target")
        .join(profile)
        .join("examples/replay");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([kind, &transactions.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("replay {kind} failed under valgrind:\n{text}"));
    }
    collected(&text).ok_or_else(|| format!("valgrind printed no count:\n{text}"))
}

fn collected(text: &str) -> Option<u64> {
    let (_, count) = text.split_once("Collected :")?;
    count.split_whitespace().next()?.parse().ok()
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn compare(known: &str, compiler: &str, profile: &str, counts: &[(&str, u64)]) -> Outcome {
    let same = known
        .lines()
        .any(|line| line == format!("compiler {compiler}"));
    let mut grown = Vec::new();
    for (kind, count) in counts {
        let before = known_count(known, profile, kind);
        let Some(before) = before else {
            println!("{profile} {kind}: {count} instructions; not in {FILE}: --write it");
            continue;
        };
        let change = 100.0 * (*count as f64 / before as f64 - 1.0);
        println!(
            "{profile} {kind}: {count} instructions per transaction, {before} before ({change:+.1} %)"
        );
        if count * 1000 > before * (1000 + ABOVE_MAX) {
            grown.push(*kind);
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    if !same {
        println!("another compiler than in {FILE}: {compiler}; the difference is only shown");
        return Ok(());
    }
    Err(format!(
        "a transaction runs more code than {FILE} says: {}. Find out what was added \
         (docs/benchmarks.md), or accept it with `cargo xtask instructions --write` and say why",
        grown.join(", ")
    ))
}

fn known_count(known: &str, profile: &str, kind: &str) -> Option<u64> {
    known
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{profile} {kind} ")))?
        .parse()
        .ok()
}

/// The file with this profile's counts; the other's stay, if the compiler is the same.
fn rewritten(known: &str, compiler: &str, profile: &str, counts: &[(&str, u64)]) -> String {
    let line = format!("compiler {compiler}");
    let mut text = format!("{HEAD}{line}\n");
    let kept = |l: &&str| {
        !l.starts_with('#')
            && !l.starts_with("compiler ")
            && !l.starts_with(&format!("{profile} "))
            && known.lines().any(|k| k == line)
    };
    for other in known.lines().filter(kept) {
        let _ = writeln!(text, "{other}");
    }
    for (kind, count) in counts {
        let _ = writeln!(text, "{profile} {kind} {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "compiler rustc 1\nrelease simple 1000\ntest-fast simple 5000\n";

    #[test]
    fn more_than_two_percent_above_the_file_fails() {
        assert!(compare(KNOWN, "rustc 1", "release", &[("simple", 1020)]).is_ok());
        let error = compare(KNOWN, "rustc 1", "release", &[("simple", 1021)]);
        assert!(error.is_err_and(|text| text.contains("simple")));
        assert!(compare(KNOWN, "rustc 1", "release", &[("simple", 500)]).is_ok());
        assert!(compare(KNOWN, "rustc 1", "release", &[("unknown", 500)]).is_ok());
    }

    #[test]
    fn another_compiler_is_no_regression() {
        assert!(compare(KNOWN, "rustc 2", "release", &[("simple", 9000)]).is_ok());
    }

    #[test]
    fn writing_keeps_the_other_profile_of_the_same_compiler() {
        let text = rewritten(KNOWN, "rustc 1", "release", &[("simple", 900)]);
        assert!(text.contains("test-fast simple 5000\n") && text.contains("release simple 900\n"));
        let text = rewritten(KNOWN, "rustc 2", "release", &[("simple", 900)]);
        assert!(!text.contains("test-fast") && text.contains("compiler rustc 2\n"));
    }

    #[test]
    fn the_count_is_read_from_callgrinds_words() {
        assert_eq!(collected("==1== Collected : 43347884\n"), Some(43_347_884));
        assert_eq!(collected("nothing"), None);
    }
}
