//! Django's own tests of its PostgreSQL backend, straight and through the pooler in transaction mode.

use crate::{Outcome, fetch, table};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::server::Server;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The source package has the tests; the installed one has not.
const VERSION: &str = "5.2.19";

const FETCH: &str = r#"
rm -rf source environment; mkdir source
python3 -m venv environment
pip() { environment/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
pip install --only-binary :all: 'psycopg[binary]>=3.2,<4' 'asgiref>=3.8,<4' 'sqlparse>=0.5'
pip download --no-deps --no-build-isolation --no-binary :all: --dest . "django==$1" 2>/dev/null || \
  pip download --no-deps --no-binary :all: --dest . "django==$1"
tar xzf django-*.tar.gz -C source --strip-components=1
rm django-*.tar.gz
"#;

/// Those that touch transactions, cursors, locks, prepared statements, and what only PostgreSQL has.
const LABELS: [&str; 11] = [
    "backends",
    "transactions",
    "transaction_hooks",
    "select_for_update",
    "bulk_create",
    "get_or_create",
    "queries",
    "aggregation",
    "db_functions",
    "postgres_tests",
    "migrations",
];

const SETTINGS: &str = r#"
import os
DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": os.environ["SUITE_PORT"], "USER": "app",
        "NAME": "postgres", "TEST": {"NAME": "test_" + alias},
    }
    for alias in ("default", "other")
}
SECRET_KEY = "of a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"#;

/// What the page calls the table of what differs.
const TABLE: &str = "django";

pub fn run(page: &Path, args: &[String]) -> Outcome {
    let labels: Vec<&str> = match args {
        [] => LABELS.to_vec(),
        [flag, labels @ ..] if flag == "--only" => labels.iter().map(String::as_str).collect(),
        _ => return Err("--only LABEL...".to_owned()),
    };
    let place = fetch::once("django", FETCH, &[VERSION])?;
    let settings = place.join("source/tests/test_plimsoll.py");
    std::fs::write(&settings, SETTINGS).map_err(|error| error.to_string())?;
    let straight = {
        let server = server();
        suite("straight", server.port(), &place, &labels)?
    };
    let pooled = {
        let server = server();
        let pooler = Pooler::start(
            Settings::for_server(&server)
                .native(&server)
                .set("pool_mode", "transaction")
                .set("default_pool_size", "8"),
        );
        suite("transaction mode", pooler.port(), &place, &labels)?
    };
    let rows = table::rows(page, TABLE)?;
    let told = |test: &&String| {
        rows.iter()
            .any(|row| row.first() == Some(&format!("`{test}`")))
    };
    let new: Vec<&String> = pooled.failures.difference(&straight.failures).collect();
    let unexplained: Vec<&&String> = new.iter().filter(|test| !told(test)).collect();
    let text = format!(
        "{} tests straight, {} fail; {} pooled, {} fail; {} fail only pooled, {} of these unexplained",
        straight.tests,
        straight.failures.len(),
        pooled.tests,
        pooled.failures.len(),
        new.len(),
        unexplained.len()
    );
    match unexplained.is_empty() && straight.tests == pooled.tests {
        true => Ok(text),
        false => Err(format!("{text}\n{unexplained:#?}")),
    }
}

/// A fresh one for each way: some tests leave tables behind that fail the next run. A pooler keeps connections to a
/// database that Django would drop, so both are made here.
fn server() -> Server {
    let server = Server::start();
    for alias in ["default", "other"] {
        server.sql(
            "postgres",
            &format!("create database test_{alias} owner app"),
        );
    }
    server
}

/// What one run gave.
struct Run {
    tests: usize,
    failures: BTreeSet<String>,
}

fn suite(way: &str, port: u16, place: &Path, labels: &[&str]) -> Result<Run, String> {
    println!("{way}: {}", labels.join(" "));
    let out = Command::new(place.join("environment/bin/python"))
        .args([
            "runtests.py",
            "--settings=test_plimsoll",
            "--parallel=1",
            "--keepdb",
            "--noinput",
        ])
        .args(labels)
        .current_dir(place.join("source/tests"))
        .env("PYTHONPATH", place.join("source"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SUITE_PORT", port.to_string())
        .output()
        .map_err(|error| format!("python: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let log = place.join(format!("{}.txt", way.replace(' ', "-")));
    std::fs::write(&log, said.as_bytes()).map_err(|error| error.to_string())?;
    let ran = said.lines().find_map(|line| {
        let words = line.strip_prefix("Ran ")?;
        words.split(' ').next()?.parse().ok()
    });
    let Some(tests) = ran else {
        return Err(format!("{way}: no test ran; see {}\n{said}", log.display()));
    };
    // `ERROR: test_name (module.Class.test_name)`, and perhaps `[part]`.
    let failures: BTreeSet<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("ERROR: ").or(line.strip_prefix("FAIL: ")))
        .filter_map(|rest| {
            let (_, inside) = rest.split_once('(')?;
            Some(inside.split_once(')')?.0.to_owned())
        })
        .collect();
    println!("{way}: {tests} tests, {} fail", failures.len());
    Ok(Run { tests, failures })
}
