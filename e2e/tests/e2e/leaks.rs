//! `plimsoll leaks` before suites of four languages: each seeded bug is found and named, and the
//! same suite without it is silent.
//!
//! The short test takes one bug of each language; `cargo xtask leaks-corpus` takes all, and says
//! how many were found.

mod corpus;

use crate::common::{full, server, skip};
use corpus::{CORPUS, Case, SUITES, Suite};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::server::PASSWORD;
use plimsoll_e2e::toolchain::{java_suite, node, place, python};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What is planted in literals and in data must be in no output.
const MARKER: &str = "marker-in";

/// What a run said.
struct Said {
    code: i32,
    report: Value,
    /// All that it wrote: report and text.
    text: String,
}

impl Said {
    fn leaks(&self) -> Vec<&Value> {
        let findings = self.report["findings"].as_array();
        let findings = findings.into_iter().flatten();
        findings.filter(|f| f["fails"] == true).collect()
    }

    /// A finding of this kind that names what it is to name.
    fn names(&self, case: &Case) -> bool {
        self.leaks().iter().any(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            text("kind") == case.kind
                && (text("test").ends_with(case.names) || text("tags").contains(case.names))
        })
    }
}

fn sources(suite: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("leaks")
        .join(suite)
}

/// The command of a suite, or why it cannot run here.
fn command(suite: Suite) -> Result<Vec<String>, String> {
    let text = |path: PathBuf| path.display().to_string();
    let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    match suite {
        Suite::Pytest => {
            let python = text(python()?);
            Ok(words(&[
                &python,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                ".",
            ]))
        }
        Suite::Django => Ok(words(&[&text(python()?), "manage.py", "test"])),
        Suite::Node => node().map(|_| words(&["node", "--test", "."])),
        Suite::Routes => node().map(|_| words(&["node", "smoke.js"])),
        Suite::Java => {
            let path = java_suite(&sources("java"))?;
            let console = "org.junit.platform.console.ConsoleLauncher";
            let fast = ["-Xshare:auto", "-XX:TieredStopAtLevel=1"];
            let mut all = words(&["java", fast[0], fast[1], "-cp", &path, console]);
            all.extend(words(&["--disable-banner", "-c", "ShopTest"]));
            Ok(all)
        }
    }
}

/// Is it wanted to know what the traffic alone tells?
fn without_hooks() -> bool {
    std::env::var_os("LEAKS_NO_HOOKS").is_some()
}

/// Runs a suite with a bug, or without one.
fn run(suite: Suite, seed: &str, command: &[String]) -> Said {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let database = format!("leaks_{number}");
    server().sql(
        "postgres",
        &format!("create database {database} owner postgres"),
    );
    let url = server().target(&database, "postgres").url();
    let output = place("leaks").join(format!("{}-{number}.json", std::process::id()));
    let modules = place("node").join("node_modules");
    let ran = Command::new(Binary::find().path)
        .args(["leaks", "--format", "json", "--for", "30s", "--pool"])
        .arg(suite.pool().to_string())
        .args(["--database", &url, "--output"])
        .arg(&output)
        .args(without_hooks().then_some("--no-hooks"))
        .arg("--")
        .args(command)
        .current_dir(sources(suite.name()))
        .env("SEED", seed)
        .env("PGPASSWORD", PASSWORD)
        .env("NODE_PATH", modules)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let report = std::fs::read_to_string(&output).unwrap_or_default();
    let _ = std::fs::remove_file(&output);
    let said = String::from_utf8_lossy(&ran.stderr);
    // The command's own words come before: some of them show what the planted bugs broke.
    let verdict = said
        .rfind("\nLEAK")
        .map_or("", |at| said.get(at..).unwrap_or_default());
    Said {
        code: ran.status.code().unwrap_or(-1),
        text: format!("{report}\n{verdict}"),
        report: serde_json::from_str(&report)
            .unwrap_or_else(|error| panic!("{suite:?} {seed}: {error}\n{said}")),
    }
}

/// The suite without its bugs.
fn mended(suite: Suite, command: &[String]) {
    let said = run(suite, "", command);
    assert!(said.leaks().is_empty(), "{suite:?}, mended: {}", said.text);
    assert_eq!(said.code, 0, "{suite:?}, mended: {}", said.text);
}

fn is_found(case: &Case, command: &[String]) -> Said {
    let said = run(case.suite, case.seed, command);
    assert!(said.names(case), "{case:?}: {}", said.text);
    assert_eq!(said.code, 1, "{case:?}: {}", said.text);
    assert!(!said.text.contains(MARKER), "{case:?}: {}", said.text);
    said
}

/// One bug of a suite, and the suite without it.
fn short(suite: Suite, seed: &str) {
    let command = match command(suite) {
        Ok(command) => command,
        Err(why) => return skip(&format!("leaks in {}", suite.name()), &why),
    };
    let case = CORPUS.iter().find(|c| c.suite == suite && c.seed == seed);
    is_found(case.expect("a case"), &command);
    mended(suite, &command);
}

#[test]
fn in_pytest_with_sqlalchemy() {
    short(Suite::Pytest, "session_not_closed");
}

#[test]
fn in_django() {
    // Two suites in every run are enough; the corpus has all.
    if !full() {
        return skip("in_django", "only with E2E_FULL");
    }
    short(Suite::Django, "begin_early_return");
}

#[test]
fn in_node() {
    short(Suite::Node, "early_return");
}

#[test]
fn in_java() {
    // Two suites in every run are enough; the corpus has all.
    if !full() {
        return skip("in_java", "only with E2E_FULL");
    }
    short(Suite::Java, "error_path");
}

/// The command's own code, and no verdict where nothing came through.
#[test]
fn what_cannot_be_judged_is_said() {
    let url = server().target("postgres", "postgres").url();
    let run = |words: &[&str]| {
        let mut command = Command::new(Binary::find().path);
        command
            .args(["leaks", "--database", &url, "--"])
            .args(words);
        command.env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        let ran = command.output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    let psql = plimsoll_e2e::server::program("psql").display().to_string();
    let (code, out, _) = run(&["sh", "-c", &format!("{psql} -qAtc 'select 7'; exit 5")]);
    assert_eq!((code, out.as_str()), (Some(5), "7\n"));
    let (code, out, said) = run(&["echo", "nothing"]);
    assert_eq!((code, out.as_str()), (Some(2), "nothing\n"));
    assert!(said.contains("no connection came through"), "{said}");
    assert!(!said.contains("no leaks"), "{said}");
    let (code, _, said) = run(&["/no/such/program"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, _, said) = run(&[
        "sh",
        "-c",
        &format!("{psql} -qAtc 'select 1'; kill -TERM $$"),
    ]);
    assert_eq!(code, Some(143), "{said}");
}

/// All of them, and how many were found.
#[test]
#[ignore = "minutes: cargo xtask leaks-corpus"]
fn corpus() {
    let mut rows = vec![
        "| suite | bug | found | named | without it |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    let (mut found, mut named, mut silent, mut all) = (0, 0, 0, 0);
    for suite in SUITES {
        let command = match command(suite) {
            Ok(command) => command,
            Err(why) => {
                skip(suite.name(), &why);
                continue;
            }
        };
        let twin = run(suite, "", &command);
        let quiet = twin.leaks().is_empty() && twin.code == 0;
        if !quiet {
            eprintln!("{}, mended: {}", suite.name(), twin.text);
        }
        for case in CORPUS.iter().filter(|case| case.suite == suite) {
            let said = run(suite, case.seed, &command);
            let is_found = said.leaks().iter().any(|f| f["kind"] == case.kind);
            let is_named = said.names(case) && !said.text.contains(MARKER);
            if !is_named {
                eprintln!("{case:?}: {}", said.text);
            }
            (found, named) = (found + u32::from(is_found), named + u32::from(is_named));
            (silent, all) = (silent + u32::from(quiet), all + 1);
            let word = |good: bool, yes: &'static str| if good { yes } else { "**no**" };
            rows.push(format!(
                "| {} | {} | {} | {} | {} |",
                suite.name(),
                case.seed.replace('_', " "),
                word(is_found, "yes"),
                if is_named { case.names } else { "**no**" },
                word(quiet, "silent")
            ));
        }
    }
    rows.push(String::new());
    rows.push(format!(
        "Found {found} of {all}, named {named}, silent without the bug {silent}."
    ));
    let table = rows.join("\n");
    eprintln!("{table}");
    if let Some(path) = std::env::var_os("LEAKS_TABLE") {
        std::fs::write(path, format!("{table}\n")).expect("the table is written");
    }
    if without_hooks() {
        return;
    }
    assert_eq!((found, named, silent), (all, all, all));
}
