//! `cargo xtask regress`, `pg-matrix`, `django` and `drivers`: suites of others, straight and through the pooler.

use crate::{Outcome, foreground, repository};

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
