//! `cargo xtask fuzz`: libFuzzer over the targets of `fuzz/targets`.

use std::path::Path;

use crate::{Outcome, cargo};

pub(crate) const SUMMARY: &str = "fuzz wire, SQL, settings, pool and relay for some minutes";

pub(crate) const HELP: &str = "\
Builds the targets of fuzz/targets with libFuzzer and runs them one after the
other. New inputs are kept in fuzz/targets/corpus, beside the committed ones of
fuzz/corpus; an input that fails lands in fuzz/targets/artifacts, and the task
fails. docs/fuzzing.md says what to do then.

  --target NAME     only this one: wire, sql, config, hba, pool_ops, relay_bytes, relay_ops,
                    shape, statements, fleet, console
  --minutes M       for each target; default 1
  --minimise        afterwards, put the smallest inputs with the same coverage
                    into fuzz/corpus

libFuzzer's flags are unstable, so the build sets RUSTC_BOOTSTRAP=1: no nightly
toolchain is needed. All code here is safe Rust, so no sanitizer is used. What is
needed: `cargo install cargo-fuzz --locked`, and a C++ compiler.";

/// The longest input of each target, bytes. Small inputs run often.
const TARGETS: [(&str, u32); 11] = [
    ("wire", 1_000),
    ("sql", 1_500),
    ("config", 2_000),
    ("hba", 2_000),
    ("pool_ops", 2_000),
    ("relay_bytes", 2_000),
    ("relay_ops", 1_500),
    ("shape", 4_000),
    ("statements", 4_000),
    ("fleet", 2_000),
    ("console", 1_000),
];

/// A day; more is a slip of the keyboard.
const MINUTES_MAX: u64 = 24 * 60;

struct Wish {
    target: Option<String>,
    minutes: u64,
    minimise: bool,
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let wish = read(args)?;
    for (target, len) in TARGETS {
        if wish.target.as_deref().is_none_or(|name| name == target) {
            fuzz(target, len, &wish)?;
        }
    }
    Ok(())
}

fn read(args: &[String]) -> Result<Wish, String> {
    let mut wish = Wish {
        target: None,
        minutes: 1,
        minimise: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--target" => {
                let name = args.next().ok_or("--target needs a name")?;
                if !TARGETS.iter().any(|(known, _)| known == name) {
                    return Err(format!("no target `{name}`; see --help"));
                }
                wish.target = Some(name.clone());
            }
            "--minutes" => {
                let number = args.next().and_then(|n| n.parse().ok());
                wish.minutes = number
                    .filter(|n| (1..=MINUTES_MAX).contains(n))
                    .ok_or("--minutes needs a number from 1 to 1440")?;
            }
            "--minimise" => wish.minimise = true,
            other => return Err(format!("unexpected argument `{other}`; see --help")),
        }
    }
    Ok(wish)
}

fn fuzz(target: &str, len: u32, wish: &Wish) -> Outcome {
    let committed = format!("fuzz/corpus/{target}");
    let kept = format!("fuzz/targets/corpus/{target}");
    make(&kept)?;
    let seconds = wish.minutes * 60;
    println!("{target}: {} min", wish.minutes);
    cargo_fuzz(
        "run",
        target,
        &[&kept, &committed],
        &[
            format!("-max_total_time={seconds}"),
            format!("-max_len={len}"),
            "-len_control=0".to_owned(),
            // An input takes well under a millisecond; seconds mean quadratic time.
            "-timeout=10".to_owned(),
            "-print_final_stats=1".to_owned(),
        ],
    )?;
    if wish.minimise {
        // libFuzzer merges into the first directory only what the rest adds in coverage.
        cargo_fuzz(
            "run",
            target,
            &[&committed, &kept],
            &["-merge=1".to_owned()],
        )?;
    }
    Ok(())
}

fn make(directory: &str) -> Outcome {
    let path = crate::repository().join(directory);
    std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn cargo_fuzz(action: &str, target: &str, corpora: &[&str], flags: &[String]) -> Outcome {
    let status = cargo::command()
        .args(["fuzz", action, "--fuzz-dir", "fuzz/targets"])
        .args(["--sanitizer", "none", target])
        .args(corpora)
        .arg("--")
        .args(flags)
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let artifacts = Path::new("fuzz/targets/artifacts").join(target);
    Err(format!(
        "{target}: {status}. An input that fails is in {}; `cargo fuzz` itself comes with \
         `cargo install cargo-fuzz --locked`",
        artifacts.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn each_target_is_a_binary_of_the_fuzzers_crate() {
        let manifest = include_str!("../../fuzz/targets/Cargo.toml");
        for (target, _) in TARGETS {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }

    #[test]
    fn arguments_are_checked_before_anything_runs() {
        assert!(read(&words("--target sql --minutes 60 --minimise")).is_ok());
        for line in [
            "--target nothing",
            "--target",
            "--minutes 0",
            "--minutes x",
            "--minutes 100000",
            "sql",
        ] {
            assert!(read(&words(line)).is_err(), "{line}");
        }
    }
}
