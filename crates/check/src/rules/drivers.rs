//! Drivers and pools with known faults in how they handle connections, by the
//! versions in lock files. An entry has a source that says what it says.

use super::DRIVER_FAULT;
use crate::facts::{Ecosystem, Facts, Package};
use crate::finding::{Finding, Severity};
use crate::read::version_numbers as numbers;

/// A fault in a range of versions.
struct Fault {
    ecosystem: Ecosystem,
    package: &'static str,
    /// The first version that has it; empty: the first of all.
    from: &'static str,
    /// The first without it; empty: none yet.
    fixed: &'static str,
    /// Another package that must be there too, below that version (empty: any).
    with: Option<(&'static str, &'static str)>,
    severity: Severity,
    what: &'static str,
    source: &'static str,
}

macro_rules! faults {
    ($($eco:ident $package:literal $from:literal .. $fixed:literal $severity:ident $(with $other:literal $below:literal)? : $what:literal, $source:literal;)*) => {
        &[$(Fault {
            ecosystem: Ecosystem::$eco,
            package: $package,
            from: $from,
            fixed: $fixed,
            with: faults!(@with $($other $below)?),
            severity: Severity::$severity,
            what: $what,
            source: $source,
        }),*]
    };
    (@with) => { None };
    (@with $other:literal $below:literal) => { Some(($other, $below)) };
}

#[rustfmt::skip]
static FAULTS: &[Fault] = faults! {
    PyPi "psycopg-pool" "" .. "3.0.1" Warning: "`check()` leaves connections idle in a transaction", "https://www.psycopg.org/psycopg3/docs/news_pool.html#psycopg-pool-3-0-1";
    PyPi "psycopg-pool" "" .. "3.1.2" Warning: "after the server ended a connection the pool may never connect again", "https://github.com/psycopg/psycopg/issues/370";
    PyPi "psycopg-pool" "3.1" .. "3.1.4" Warning: "an async pool that is made before its event loop runs asks for connections until the server has none", "https://github.com/psycopg/psycopg/issues/219";
    PyPi "psycopg-pool" "" .. "3.2.7" Warning: "when closing fails and is tried again, more connections are asked for than the pool may have", "https://github.com/psycopg/psycopg/issues/1176";
    PyPi "psycopg-pool" "" .. "3.2.8" Warning: "a task that is cancelled during check or rollback loses its connection: the pool shrinks for good", "https://github.com/psycopg/psycopg/issues/1208";
    PyPi "asyncpg" "" .. "0.22" Warning: "a timeout of `pool.acquire` can lose the connection that came at the same moment", "https://github.com/MagicStack/asyncpg/issues/467";
    PyPi "sqlalchemy" "1.4" .. "2.0.38" Warning with "asyncpg" "": "a task that is cancelled under anyio (FastAPI, Starlette) can leave its connection open at the server, unknown to the pool", "https://github.com/sqlalchemy/sqlalchemy/issues/12077";
    Go "github.com/jackc/pgx/v5" "5.0" .. "5.1" Warning: "pgxpool can deadlock when acquiring is cancelled: nobody gets a connection any more", "https://github.com/jackc/pgx/issues/1354";
    Go "github.com/jackc/pgx/v5" "5.0" .. "5.4.3" Warning: "pgxpool's health check can open more connections than MaxConns", "https://github.com/jackc/pgx/blob/master/CHANGELOG.md#543-august-5-2023";
    Go "github.com/jackc/pgx/v5" "5.0" .. "5.4" Warning: "a panic in `QueryRow().Scan` keeps its connection out of pgxpool for good", "https://github.com/jackc/pgx/blob/master/CHANGELOG.md#540-june-14-2023";
    Go "github.com/jackc/pgx/v5" "5.0" .. "5.9" Warning: "through database/sql a connection with an open transaction is lent to the next caller", "https://github.com/jackc/pgx/blob/master/CHANGELOG.md#590-march-21-2026";
    Go "github.com/lib/pq" "1.12" .. "1.12.2" Warning: "a connection that was cut in the middle of a message stays in the pool, and fails for everybody after", "https://github.com/lib/pq/pull/1299";
    Maven "com.zaxxer:HikariCP" "" .. "5.0" Warning: "the pool can drain to no connection at all, and is not filled again", "https://github.com/brettwooldridge/HikariCP/issues/1474";
    NuGet "Npgsql" "7.0" .. "7.0.4" Warning: "connections leak out of the pool", "https://github.com/npgsql/npgsql/issues/4963";
    Gem "activerecord" "4.2" .. "4.2.1" Warning: "a thread that checks in a second connection loses the first: the pool runs empty", "https://github.com/rails/rails/pull/18167";
    Gem "activerecord" "6.1" .. "7.0.9" Warning: "a connection whose set-up fails stays open, unknown to the pool, until the garbage collector comes", "https://github.com/rails/rails/issues/52046";
    Gem "activerecord" "7.1" .. "7.1.4" Warning: "a connection whose set-up fails stays open, unknown to the pool, until the garbage collector comes", "https://github.com/rails/rails/issues/52046";
    Npm "pg-pool" "2.0" .. "2.0.2" Warning: "`connectionTimeoutMillis` does not hold when all clients are out: callers wait for ever", "https://github.com/brianc/node-postgres/issues/1390";
    Npm "pg-pool" "" .. "2.0.3" Warning: "removing a client clears the idle timers of others, which then are never closed", "https://github.com/brianc/node-pg-pool/pull/71";
    Npm "pg-pool" "2.0.10" .. "3.0" Warning with "pg" "7.5": "each client is closed instead of returned: a new connection for every query", "https://github.com/brianc/node-postgres/issues/3463";
    Npm "pg-pool" "3.0" .. "" Note: "a connection that comes after `connectionTimeoutMillis` is kept and never lent (open upstream)", "https://github.com/brianc/node-postgres/issues/3543";
};

/// The packages of the table, and those that it names beside them.
pub(crate) fn watched(ecosystem: Ecosystem) -> impl Iterator<Item = &'static str> {
    let mut seen = std::collections::BTreeSet::new();
    let of = FAULTS.iter().filter(move |f| f.ecosystem == ecosystem);
    let names = of.flat_map(|f| [Some(f.package), f.with.map(|(other, _)| other)]);
    names.flatten().filter(move |name| seen.insert(*name))
}

pub(super) fn run(facts: &Facts, out: &mut Vec<Finding>) {
    for package in &facts.packages {
        let better =
            |p: &&Package| p.surely && (p.ecosystem, p.name) == (package.ecosystem, package.name);
        if !package.surely && facts.packages.iter().any(|p| better(&p)) {
            continue;
        }
        out.extend(
            FAULTS
                .iter()
                .filter(|f| has(f, package, facts))
                .map(|f| one(f, package)),
        );
    }
}

fn has(fault: &Fault, package: &Package, facts: &Facts) -> bool {
    let version = numbers(&package.version);
    let before_fix = fault.fixed.is_empty() || version < numbers(fault.fixed);
    let beside = fault.with.is_none_or(|(other, below)| {
        let is = |p: &Package| {
            p.ecosystem == fault.ecosystem
                && p.name == other
                && p.place.file == package.place.file
                && (below.is_empty() || numbers(&p.version) < numbers(below))
        };
        facts.packages.iter().any(is)
    });
    (package.ecosystem, package.name) == (fault.ecosystem, fault.package)
        && version >= numbers(fault.from)
        && before_fix
        && beside
}

fn one(fault: &Fault, package: &Package) -> Finding {
    let help = match fault.fixed {
        "" => format!("no version is known to be free of it: {}", fault.source),
        fixed => format!("{fixed} or later: {}", fault.source),
    };
    Finding::new(
        &DRIVER_FAULT,
        package.place.clone(),
        format!("{} {}: {}", package.name, package.version, fault.what),
    )
    .severity(fault.severity)
    .why("no setting of the pool mends it: it runs empty, or over its limit, by itself")
    .help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_a_range_with_a_source() {
        assert!(FAULTS.len() >= 8);
        for fault in FAULTS {
            assert!(fault.source.starts_with("https://"), "{}", fault.what);
            let range = fault.fixed.is_empty() || numbers(fault.from) < numbers(fault.fixed);
            assert!(range, "{} {}", fault.package, fault.fixed);
        }
    }

    #[test]
    fn a_version_inside_a_range_is_found_and_one_at_its_end_is_not() {
        let found = |path: &str, text: &str| {
            let mut files = crate::Files::default();
            files.add(path, text);
            let report = crate::check(&files, &crate::Options::default());
            let warned = |f: &&Finding| f.severity > Severity::Note;
            report.findings().iter().filter(warned).count()
        };
        assert_eq!(found("requirements.txt", "psycopg-pool==3.2.7\n"), 1);
        assert_eq!(found("requirements.txt", "psycopg-pool==3.2.8\n"), 0);
        assert_eq!(found("go.mod", "require github.com/lib/pq v1.11.2\n"), 0);
        assert_eq!(found("go.mod", "require github.com/lib/pq v1.12.0\n"), 1);
        // Only together with the other driver.
        assert_eq!(found("requirements.txt", "SQLAlchemy==2.0.30\n"), 0);
        assert_eq!(
            found("requirements.txt", "SQLAlchemy==2.0.30\nasyncpg==0.29.0\n"),
            1
        );
        let lock =
            |pg: &str| format!("pg@1:\n  version \"{pg}\"\npg-pool@1:\n  version \"2.0.10\"\n");
        assert_eq!(found("yarn.lock", &lock("7.4.0")), 1);
        assert_eq!(found("yarn.lock", &lock("7.18.2")), 0);
    }

    #[test]
    fn what_go_mod_says_counts_before_go_sum() {
        let mut files = crate::Files::default();
        files.add("go.mod", "require github.com/lib/pq v1.12.3\n");
        files.add("go.sum", "github.com/lib/pq v1.12.1 h1:x\n");
        let report = crate::check(&files, &crate::Options::default());
        assert_eq!(report.findings().len(), 0);
    }
}
