//! Instructions per transaction, counted by valgrind's callgrind.
//!
//! The pooler runs under valgrind and serves one client a fixed number of transactions, twice: the difference of the
//! counts over the difference of the transactions leaves start-up, login and shutdown out. Only user-space
//! instructions of the pooler's process are counted; what the kernel does for its system calls is not, so this is no
//! measure of speed but a steady one of how much code a transaction runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::cells::{Auth, Cell};
use crate::pgbench;
use crate::poolers::{self, Target};
use crate::postgres::Postgres;
use crate::sandbox::{Sandbox, find_program};
use crate::{Failure, fail};

/// Transactions of the shorter and the longer run.
const TRANSACTIONS: [u32; 2] = [2000, 4000];
/// The same for logins, which are slower.
const LOGINS: [u32; 2] = [300, 600];

/// One count.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Count {
    /// Cell's name.
    pub cell: String,
    /// Target's name.
    pub target: String,
    /// Instructions per transaction, one per repetition.
    pub instructions: Vec<f64>,
}

/// The cells worth counting: one client each, so that batches do not depend on timing.
pub fn cells() -> Vec<Cell> {
    let names = [
        "select-only/simple/1",
        "select-only/extended/1",
        "select-only/prepared/1",
    ];
    let mut cells: Vec<Cell> = names.iter().filter_map(|name| Cell::parse(name)).collect();
    cells.extend(
        ["login/trust/8", "login/scram/8"]
            .iter()
            .filter_map(|name| Cell::parse(name))
            .map(|cell| Cell { clients: 1, ..cell }),
    );
    cells
}

/// Counts one cell on one target, `repeat` times.
pub fn count(
    sandbox: &Sandbox,
    postgres: &Postgres,
    target: &Target,
    cell: &Cell,
    repeat: u32,
) -> Result<Count, Failure> {
    let valgrind = find_program("valgrind").ok_or("valgrind is not installed")?;
    let [short, long] = if matches!(cell.workload, crate::cells::Workload::Login) {
        LOGINS
    } else {
        TRANSACTIONS
    };
    let mut instructions = Vec::new();
    for _ in 0..repeat {
        let few = total(sandbox, postgres, target, cell, &valgrind, short)?;
        let many = total(sandbox, postgres, target, cell, &valgrind, long)?;
        instructions.push((many as f64 - few as f64) / f64::from(long - short));
    }
    Ok(Count {
        cell: cell.to_string(),
        target: target.name.clone(),
        instructions,
    })
}

fn total(
    sandbox: &Sandbox,
    postgres: &Postgres,
    target: &Target,
    cell: &Cell,
    valgrind: &Path,
    transactions: u32,
) -> Result<u64, Failure> {
    let file = sandbox.subdir("callgrind")?.join("out");
    let _ = fs::remove_file(&file);
    let prefix = [
        valgrind.display().to_string(),
        "--tool=callgrind".into(),
        // A target may be a script that starts the program in its own place.
        "--trace-children=yes".into(),
        format!("--callgrind-out-file={}", file.display()),
    ];
    let auth = if cell.auth == Auth::Scram {
        Auth::Scram
    } else {
        Auth::Trust
    };
    let mut running = poolers::start(sandbox, postgres, target, auth, &prefix)?;
    pgbench::run_count(
        sandbox,
        &postgres.bin.join("pgbench"),
        cell,
        running.address,
        transactions,
    )?;
    running.end(Duration::from_secs(20));
    let text =
        fs::read_to_string(&file).map_err(|e| format!("{} left no count: {e}", target.name))?;
    match totals(&text) {
        Some(count) => Ok(count),
        None => fail(format!("{} left no total", target.name)),
    }
}

fn totals(text: &str) -> Option<u64> {
    let line = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))?
            .trim()
            .parse()
            .ok()
    };
    line("totals:").or_else(|| line("summary:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(
            totals("events: Ir\nsummary: 5\n\nfn=a\n1 5\ntotals: 7\n"),
            Some(7)
        );
        assert_eq!(totals("summary: 5\n"), Some(5));
        assert_eq!(totals("events: Ir\n"), None);
    }

    #[test]
    fn every_counted_cell_has_one_client() {
        assert_eq!(cells().len(), 5);
        assert!(cells().iter().all(|cell| cell.clients == 1));
    }
}
