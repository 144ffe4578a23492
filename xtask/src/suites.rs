//! `cargo xtask regress`, `django`, `pgbouncer-suite` and `drivers`: suites of others, straight and through the pooler.

use std::process::{Command, Stdio};

use crate::{Outcome, cargo, foreground, no_arguments, repository};

pub(crate) const REGRESS_SUMMARY: &str =
    "PostgreSQL's own regression suite through the pooler; every difference has its reason";

pub(crate) const REGRESS_HELP: &str = "\
Fetches the source of the installed PostgreSQL (Debian's source package, once, to
target/e2e-drivers/regress), runs its regression suite with pg_regress straight
and through the pooler, and compares what each test wrote. A line that differs
and is neither what PostgreSQL expects nor a row of docs/compatibility.md fails.
What differs is kept beside the source.

  --mode session|transaction   the pool's mode (default: session)

It needs apt-get and cc, and takes two minutes; three in transaction mode.";

pub(crate) fn regress(args: &[String]) -> Outcome {
    suite("regress", args)
}

pub(crate) const DJANGO_SUMMARY: &str =
    "Django's own tests for PostgreSQL through the pooler in transaction mode";

pub(crate) const DJANGO_HELP: &str = "\
Fetches Django's source package, which has its tests (once, to
target/e2e-drivers/django), and runs those that touch transactions, cursors, locks
and what only PostgreSQL has: straight, and through the pooler in transaction mode
with eight connections. A test that fails only pooled and is not a row of
docs/compatibility.md fails the task.

  --only LABEL...   some of Django's directories of tests

It needs python3 with venv and pip, and takes four minutes.";

pub(crate) fn django(args: &[String]) -> Outcome {
    suite("django", args)
}

pub(crate) const PGBOUNCER_SUMMARY: &str =
    "PgBouncer's own test suite, with this program in its place; every failure has its reason";

pub(crate) const PGBOUNCER_HELP: &str = "\
Fetches the source of PgBouncer 1.25.2 (Debian's source package, once, to
target/e2e-drivers/pgbouncer), puts this program in PgBouncer's place, and runs the
suite, TLS included, as an ordinary user. What fails is run once more, alone. A test
that fails then and is not a row of docs/compatibility.md fails the task. What pytest
said last is log.txt beside the source.

  --only TEST...   some files or tests, as pytest names them: test/test_misc.py

It needs apt, python3 with venv and pip, openssl and socat, and takes a quarter of an hour.";

pub(crate) fn pgbouncer(args: &[String]) -> Outcome {
    suite("pgbouncer", args)
}

pub(crate) const DRIVERS_SUMMARY: &str =
    "every driver there is, also those that `make test` skips: installed, built and run";

pub(crate) const DRIVERS_HELP: &str = "\
Installs with apt-get what the drivers need that are tested where they are found
(Java, PHP, Ruby with ActiveRecord, Go with lib/pq and pgx, libpq's headers), builds
the program with sqlx, diesel and tokio-postgres (a crate of its own below
target/e2e-drivers), and runs all end-to-end tests of drivers and exporters. None
may be skipped. What is installed already keeps its version.

It needs apt-get as root, npm, pip and cargo, and takes some minutes at first.";

/// What Debian calls them.
const PACKAGES: [&str; 9] = [
    "default-jre-headless",
    "golang-go",
    "golang-github-jackc-pgx-v4-dev",
    "golang-github-lib-pq-dev",
    "libpq-dev",
    "php-cli",
    "php-pgsql",
    "ruby-activerecord",
    "ruby-pg",
];

pub(crate) fn drivers(args: &[String]) -> Outcome {
    no_arguments(args)?;
    let mut apt = Command::new("apt-get");
    // What is there stays as it is: a newer libpq-dev would bring a newer server with it.
    apt.args([
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "--no-upgrade",
    ]);
    let installed = apt.args(PACKAGES).stdout(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err("apt-get could not install the packages; see above".to_owned());
    }
    foreground::cargo(&["build", "--profile", "test-fast", "-p", "plimsoll"])?;
    let tests = [
        "test",
        "--profile",
        "test-fast",
        "-p",
        "plimsoll-e2e",
        "--test",
        "e2e",
        "--",
        "drivers::",
        "exporters::",
    ];
    println!("PLIMSOLL_E2E_DRIVERS=all cargo {}", tests.join(" "));
    let out = cargo::command()
        .args(tests)
        .env("PLIMSOLL_E2E_DRIVERS", "all")
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| format!("could not run cargo: {error}"))?;
    let errors = String::from_utf8_lossy(&out.stderr);
    eprint!("{errors}");
    let skipped: Vec<&str> = errors
        .lines()
        .filter(|line| line.starts_with("SKIPPED"))
        .collect();
    match out.status.success() && skipped.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}; {} skipped\n{}",
            out.status,
            skipped.len(),
            skipped.join("\n")
        )),
    }
}

/// Builds the pooler and the program that runs the suites, and runs one.
fn suite(name: &str, args: &[String]) -> Outcome {
    let page = repository().join("docs/compatibility.md");
    let page = page.to_str().ok_or("the repository's path is not UTF-8")?;
    foreground::cargo(&["build", "--profile", "test-fast", "-p", "plimsoll"])?;
    let mut all = vec!["run", "--profile", "test-fast", "-p", "plimsoll-e2e"];
    all.extend(["--example", "suites", "--", name, page]);
    all.extend(args.iter().map(String::as_str));
    foreground::cargo(&all)
}
