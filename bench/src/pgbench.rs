//! One run: pgbench against one target, and what the target's process spent meanwhile.
//!
//! pgbench reports its progress every second. The process is read at each report, so that logins, first connections to
//! the server and the first second's warm-up stay outside the window: CPU per transaction is the CPU time per second
//! of the window over the transactions per second that pgbench counted in it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cells::{Auth, Cell};
use crate::measure::{Usage, usage};
use crate::sandbox::{Process, Sandbox};
use crate::stats::quantile;
use crate::{DATABASE, Failure, PASSWORD, USER, fail};

/// Share of the transactions whose latency pgbench writes down: enough for a p99, little disturbance.
const SAMPLING: &str = "0.2";
/// How much longer than asked a run may take before it counts as hung.
const GRACE: Duration = Duration::from_secs(20);

/// What a run measured.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Measured {
    /// Transactions per second over the whole run, pgbench's figure.
    pub tps: f64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency, microseconds.
    pub p99_us: f64,
    /// CPU time of the target's process per transaction, microseconds. Zero without a process.
    pub cpu_us: f64,
    /// The same from `/proc/PID/stat`, as a check.
    pub cpu_stat_us: f64,
    /// Voluntary context switches of the target per transaction.
    pub sleeps: f64,
    /// Length of the window, seconds.
    pub window_s: f64,
    /// Transactions in the window.
    pub window_transactions: f64,
}

/// Runs pgbench for some seconds. An error is a run that does not count; the caller reports it.
pub fn run(
    sandbox: &Sandbox,
    pgbench: &Path,
    cell: &Cell,
    address: SocketAddr,
    pid: Option<i32>,
    seconds: u32,
) -> Result<Measured, Failure> {
    let dir = sandbox.subdir("pgbench")?;
    let script = dir.join("select1.sql");
    fs::write(&script, "SELECT 1;\n")?;
    let prefix = dir.join("latency");
    let mut command = sandbox.command(pgbench);
    command
        .args(cell.pgbench_arguments(&script.display().to_string()))
        .args([
            "-T",
            &seconds.to_string(),
            "-P",
            "1",
            "-l",
            "--sampling-rate",
            SAMPLING,
        ])
        .args(["--log-prefix", &prefix.display().to_string()]);
    connect(&mut command, cell, address);
    let mut process = Process::spawn(
        command.stdout(Stdio::piped()).stderr(Stdio::piped()),
        Signal::SIGTERM,
    )?;
    let log = dir.join(format!("latency.{}", process.pid()));
    let watched = watch(sandbox, &mut process, pid, seconds);
    process.end(Duration::from_secs(2));
    let latencies = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    let mut measured = watched?;
    let sorted = sorted_latencies(&latencies);
    measured.p50_us = quantile(&sorted, 0.5).ok_or("no latencies")?;
    measured.p99_us = quantile(&sorted, 0.99).ok_or("no latencies")?;
    Ok(measured)
}

/// Runs a fixed number of transactions per client, for counting instructions.
pub fn run_count(
    sandbox: &Sandbox,
    pgbench: &Path,
    cell: &Cell,
    address: SocketAddr,
    transactions: u32,
) -> Result<(), Failure> {
    let script = sandbox.subdir("pgbench")?.join("select1.sql");
    fs::write(&script, "SELECT 1;\n")?;
    let mut command = sandbox.command(pgbench);
    command
        .args(cell.pgbench_arguments(&script.display().to_string()))
        .args(["-t", &transactions.to_string()]);
    connect(&mut command, cell, address);
    let text = crate::sandbox::output(&mut command)?;
    match summary(&text) {
        Some(summary) if summary.failed == 0 && summary.transactions == u64::from(transactions) => {
            Ok(())
        }
        _ => fail(format!("pgbench did not finish: {}", text.trim())),
    }
}

fn connect(command: &mut std::process::Command, cell: &Cell, address: SocketAddr) {
    command.args([
        "-h",
        &address.ip().to_string(),
        "-p",
        &address.port().to_string(),
        "-U",
        USER,
        DATABASE,
    ]);
    command
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .env("PGCONNECT_TIMEOUT", "20");
    if cell.auth == Auth::Scram {
        command.env("PGPASSWORD", PASSWORD);
    }
}

/// Follows pgbench to its end, reading the target's usage at each progress report.
fn watch(
    sandbox: &Sandbox,
    process: &mut Process,
    pid: Option<i32>,
    seconds: u32,
) -> Result<Measured, Failure> {
    let (to, lines) = channel();
    let (stderr, mut stdout) = (
        process.take_stderr().ok_or("no stderr")?,
        process.take_stdout().ok_or("no stdout")?,
    );
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + Duration::from_secs(u64::from(seconds)) + GRACE;
    let mut reports: Vec<(Usage, f64)> = Vec::new();
    let mut complaint: Option<String> = None;
    while let Some(line) = next_line(sandbox, &lines, deadline)? {
        match progress(&line) {
            Some(tps) => reports.push((read_usage(pid)?, tps)),
            None if is_complaint(&line) => _ = complaint.get_or_insert(line),
            None => {}
        }
    }
    let mut text = String::new();
    stdout.read_to_string(&mut text)?;
    if let Some(complaint) = complaint {
        return fail(complaint);
    }
    let summary =
        summary(&text).ok_or_else(|| format!("pgbench printed no result: {}", text.trim()))?;
    if summary.failed > 0 {
        return fail(format!("{} transactions failed", summary.failed));
    }
    let mut measured = window(&reports).ok_or("too few progress reports")?;
    measured.tps = summary.tps;
    Ok(measured)
}

fn read_usage(pid: Option<i32>) -> Result<Usage, Failure> {
    match pid {
        Some(pid) => usage(pid),
        None => Ok(Usage {
            at: Instant::now(),
            cpu_ns: 0,
            cpu_stat_ns: 0,
            sleeps: 0,
        }),
    }
}

/// The next line of standard error; `None` at its end.
fn next_line(
    sandbox: &Sandbox,
    lines: &Receiver<String>,
    deadline: Instant,
) -> Result<Option<String>, Failure> {
    loop {
        sandbox.stop.check()?;
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => return Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                return fail("hung: pgbench did not end");
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// From the first report to the last.
fn window(reports: &[(Usage, f64)]) -> Option<Measured> {
    let ((first, _), rest) = reports.split_first()?;
    let (last, _) = rest.last()?;
    let tps = rest.iter().map(|(_, tps)| tps).sum::<f64>() / rest.len() as f64;
    let window_s = last.at.duration_since(first.at).as_secs_f64();
    let transactions = tps * window_s;
    if transactions < 1.0 {
        return None;
    }
    let micros = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1000.0 / transactions;
    Some(Measured {
        cpu_us: micros(first.cpu_ns, last.cpu_ns),
        cpu_stat_us: micros(first.cpu_stat_ns, last.cpu_stat_ns),
        sleeps: last.sleeps.saturating_sub(first.sleeps) as f64 / transactions,
        window_s,
        window_transactions: transactions,
        ..Measured::default()
    })
}

/// Transactions per second in `progress: 1.0 s, 8012.3 tps, lat …`.
fn progress(line: &str) -> Option<f64> {
    line.strip_prefix("progress: ")?
        .split(", ")
        .nth(1)?
        .strip_suffix(" tps")?
        .parse()
        .ok()
}

fn is_complaint(line: &str) -> bool {
    ["error:", "fatal:", "FATAL:", "ERROR:", "aborted", "PANIC:"]
        .iter()
        .any(|word| line.contains(word))
}

struct Summary {
    transactions: u64,
    failed: u64,
    tps: f64,
}

fn summary(text: &str) -> Option<Summary> {
    let after = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            rest.trim()
                .split([' ', '/'])
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    Some(Summary {
        transactions: after("number of transactions actually processed:")?
            .parse()
            .ok()?,
        // Older versions do not print this line.
        failed: after("number of failed transactions:").map_or(Some(0), |n| n.parse().ok())?,
        tps: after("tps =")?.parse().ok()?,
    })
}

/// Latencies in ascending order, the first second left out. Columns: client, number, latency, script, seconds, micros.
fn sorted_latencies(log: &str) -> Vec<f64> {
    let rows: Vec<(f64, f64)> = log
        .lines()
        .filter_map(|line| {
            let columns: Vec<f64> = line.split(' ').filter_map(|c| c.parse().ok()).collect();
            Some((*columns.get(4)? + *columns.get(5)? / 1e6, *columns.get(2)?))
        })
        .collect();
    let start = rows.iter().map(|row| row.0).fold(f64::INFINITY, f64::min);
    let mut latencies: Vec<f64> = rows
        .iter()
        .filter(|row| row.0 >= start + 1.0)
        .map(|row| row.1)
        .collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_told_from_complaints() {
        assert_eq!(
            progress("progress: 2.0 s, 8012.5 tps, lat 0.1 ms stddev 0.0, 0 failed"),
            Some(8012.5)
        );
        assert_eq!(progress("pgbench: error: connection lost"), None);
        assert!(is_complaint("pgbench: error: client 3 script 0 aborted"));
        assert!(!is_complaint("pgbench (15.18)"));
    }

    #[test]
    fn the_summary_is_read() {
        let text = "number of transactions actually processed: 2000/2000\n\
                    number of failed transactions: 1 (0.050%)\n\
                    tps = 123.5 (without initial connection time)\n";
        let got = summary(text).unwrap();
        assert_eq!((got.transactions, got.failed, got.tps), (2000, 1, 123.5));
        assert!(summary("pgbench: aborted").is_none());
    }

    #[test]
    fn the_window_begins_at_the_first_report() {
        let start = Instant::now();
        let at = |s: u64, ms: u64| Usage {
            at: start + Duration::from_secs(s),
            cpu_ns: ms * 1_000_000,
            cpu_stat_ns: ms * 1_000_000,
            sleeps: ms,
        };
        let got = window(&[
            (at(1, 500), 9.0),
            (at(2, 600), 1000.0),
            (at(3, 700), 3000.0),
        ])
        .unwrap();
        assert!(
            (got.cpu_us - 50.0).abs() < 1e-9,
            "200 ms over 4000 transactions"
        );
        assert!((got.window_transactions - 4000.0).abs() < 1e-9);
        assert!(window(&[(at(1, 0), 1.0)]).is_none());
    }

    #[test]
    fn the_first_second_of_latencies_is_left_out() {
        let log = "0 1 900 0 100 500000\n0 2 300 0 101 500000\n0 3 200 0 102 0\n";
        assert_eq!(sorted_latencies(log), vec![200.0, 300.0]);
    }
}
