//! PgBouncer's own test suite, with this program in PgBouncer's place; each test that fails is a row of the page, with its
//! reason.

use crate::{Outcome, fetch, table};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::sandbox::{Dir, RunAs};
use plimsoll_e2e::server::program;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose tests they are, and whose facts are copied.
const VERSION: &str = "1.25.2";

/// The system's Python, since another user runs it; versions of pytest that the suite is written for.
const FETCH: &str = r#"
rm -rf source environment; mkdir source
base=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | sort -u | head -n 1)
/usr/lib/apt/apt-helper download-file "${base%/}/pool/main/p/pgbouncer/pgbouncer_$1.orig.tar.gz" pgbouncer.tar.gz
tar xzf pgbouncer.tar.gz -C source --strip-components=1
rm pgbouncer.tar.gz
/usr/bin/python3 -m venv --copies environment
environment/bin/python -m pip --quiet --disable-pip-version-check install --only-binary :all: \
  'pytest<8.4' 'pytest-asyncio<0.26' pytest-timeout pytest-xdist 'psycopg[binary]>=3.2,<4' filelock
"#;

/// Seconds of one test. The longest waits for ten.
const TEST_S: &str = "60";

/// What the page calls the table of what fails.
const TABLE: &str = "pgbouncer-suite";

pub fn run(page: &Path, args: &[String]) -> Outcome {
    let only: Vec<&str> = match args {
        [] => vec!["test"],
        [flag, tests @ ..] if flag == "--only" => tests.iter().map(String::as_str).collect(),
        _ => return Err("--only FILE|FILE::TEST...".to_owned()),
    };
    let place = fetch::once("pgbouncer", FETCH, &[VERSION])?;
    let stage = Stage::new(&place)?;
    let first = stage.pytest(&only)?;
    println!("{}; those that failed once more, alone", first.summary);
    // On a busy machine some miss their second.
    let again: Vec<&str> = first.failed.iter().map(String::as_str).collect();
    let failed = match again.is_empty() {
        true => BTreeSet::new(),
        false => stage.pytest(&again)?.failed,
    };
    let rows = table::rows(page, TABLE)?;
    let told = |test: &str| {
        // A row is a test, or all tests of its name whatever their parameters.
        let name = test.rsplit("::").next().unwrap_or(test);
        let plain = name.split('[').next().unwrap_or(name);
        rows.iter()
            .filter_map(|row| row.first())
            .any(|cell| *cell == format!("`{name}`") || *cell == format!("`{plain}`"))
    };
    let unexplained: Vec<&String> = failed.iter().filter(|test| !told(test)).collect();
    let text = format!(
        "PgBouncer {VERSION}'s suite: {}; {} fail alone, too, {} of these unexplained",
        first.summary,
        failed.len(),
        unexplained.len()
    );
    match unexplained.is_empty() {
        true => Ok(text),
        false => Err(format!("{text}\n{unexplained:#?}")),
    }
}

/// A copy of the suite that an ordinary user owns: PostgreSQL does not start for root, and neither would PgBouncer.
struct Stage {
    dir: Dir,
    log: PathBuf,
}

/// What one run gave.
struct Run {
    summary: String,
    failed: BTreeSet<String>,
}

impl Stage {
    fn new(place: &Path) -> Result<Stage, String> {
        let dir = Dir::new("pgb", RunAs::unprivileged());
        let binary = Binary::find();
        let script = r#"
cp -r "$1/source" "$1/environment" .
cp "$2" source/pgbouncer
mkdir tmp
printf 'tls_support = yes\nldap_support = no\n' > source/config.mak
if [ "$(id -u)" = 0 ]; then chown -R postgres .; fi
"#;
        let args = [place, binary.path.as_path()].map(|path| path.to_string_lossy().into_owned());
        fetch::sh(script, &[&args[0], &args[1]], dir.path())?;
        let log = place.join("log.txt");
        Ok(Stage { dir, log })
    }

    fn pytest(&self, tests: &[&str]) -> Result<Run, String> {
        let programs = program("initdb");
        let programs = programs.parent().unwrap_or(Path::new("/usr/bin"));
        let path = format!(
            "{}:{}",
            programs.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let home = self.dir.path();
        let python = home.join("environment/bin/python");
        let mut command = Command::new(&python);
        RunAs::unprivileged().apply(&mut command);
        // The suite takes its failures apart by itself, and pytest's own way of showing them trips over that.
        command.args([
            "-m",
            "pytest",
            "-q",
            "--assert=plain",
            "--tb=native",
            "-rfE",
        ]);
        // The names of unix sockets have 107 bytes.
        command.args([
            "-p",
            "no:cacheprovider",
            "--basetemp=../t",
            "--timeout",
            TEST_S,
        ]);
        let out = command
            .args(tests)
            .current_dir(home.join("source"))
            .env("PATH", path)
            .env("HOME", home)
            .env("TMPDIR", home.join("tmp"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("python: {error}"))?;
        std::fs::write(&self.log, &out.stdout).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        read(&text).ok_or_else(|| {
            let log = self.log.display();
            format!("pytest did not come to its end: {}; see {log}", out.status)
        })
    }
}

/// The names and the last line of pytest's summary.
fn read(text: &str) -> Option<Run> {
    let summary = text.lines().rev().find(|line| line.contains(" in "))?;
    let failed = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("FAILED ").or_else(|| {
            line.strip_prefix("ERROR test/")
                .map(|_| &line["ERROR ".len()..])
        })?;
        Some(rest.split(" - ").next().unwrap_or(rest).trim().to_owned())
    });
    let failed = failed.collect();
    let ended = summary.contains(" passed") || summary.contains(" failed");
    ended.then(|| Run {
        summary: summary.trim_matches(['=', ' ']).to_owned(),
        failed,
    })
}
