//! `pool_size = "auto"` beside fixed sizes, on real PostgreSQL.
//!
//! For each workload every fixed size runs for some seconds, then the automatic
//! size from its floor, then every fixed size again in the other order. The
//! automatic run counts from the moment that it had time to search; what the
//! machine does to one, it does to the other, as far as minutes allow.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::postgres::Postgres;
use crate::sandbox::{Process, Sandbox, free_address, output};
use crate::{DATABASE, Failure, USER, fail, wire};

/// The sizes of the search.
const SIZES: [u32; 6] = [2, 4, 8, 16, 32, 64];
/// Server connections for all.
const LINE: u32 = 80;
/// Seconds of a run with a fixed size; the first does not count.
const FIXED_SECONDS: u32 = 6;
/// Seconds of the automatic run, and how many at its end count.
const AUTO_SECONDS: u32 = 25;
const COUNTED: usize = 10;

struct Load {
    name: &'static str,
    clients: u32,
    script: &'static str,
}

const LOADS: [Load; 4] = [
    Load {
        name: "cpu: `pgbench -S`",
        clients: 64,
        script: "\\set aid random(1, 1000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n",
    },
    Load {
        name: "sleep: 20 ms in the server",
        clients: 64,
        script: "SELECT pg_sleep(0.02);\n",
    },
    Load {
        name: "lock: one row, updated by all",
        clients: 64,
        script: "UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;\n",
    },
    Load {
        name: "bursts: ten short sleeps, then two seconds nothing",
        clients: 64,
        script: "SELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\n\\sleep 2000 ms\n",
    },
];

/// Runs it, and returns the section for the document.
pub fn run(sandbox: &Sandbox, postgres: &Postgres, program: &Path) -> Result<String, Failure> {
    let program = sandbox.copy_program(program, "plimsoll")?;
    let mut rows = String::new();
    for load in &LOADS {
        eprintln!("{} …", load.name);
        let row = compare(sandbox, postgres, &program, load)?;
        eprintln!("{row}");
        rows.push_str(&row);
    }
    Ok(format!(
        "{HEADING}\nPostgreSQL {}, {} clients, line {LINE}, fixed sizes {SIZES:?}; each fixed size twice for {FIXED_SECONDS} s, before and \
         after the automatic run of {AUTO_SECONDS} s, of which the last {COUNTED} s count.\n\n\
         | workload | best fixed size | its tx/s, before and after | auto tx/s | auto/best | auto's sizes, by second |\n\
         |---|---|---|---|---|---|\n{rows}",
        postgres.version,
        LOADS.iter().map(|load| load.clients).max().unwrap_or(0),
    ))
}

const HEADING: &str = "### On real PostgreSQL\n\n    cargo xtask bench --sizing\n";

fn compare(
    sandbox: &Sandbox,
    postgres: &Postgres,
    program: &Path,
    load: &Load,
) -> Result<String, Failure> {
    let mut rates = [(0.0, 0.0); SIZES.len()];
    for (size, rate) in SIZES.iter().zip(&mut rates) {
        rate.0 = fixed(sandbox, postgres, program, load, *size)?;
    }
    let (auto, sizes) = automatic(sandbox, postgres, program, load)?;
    for (size, rate) in SIZES.iter().zip(&mut rates).rev() {
        rate.1 = fixed(sandbox, postgres, program, load, *size)?;
    }
    let mut best = (0, (0.0, 0.0));
    for (size, rate) in SIZES.iter().zip(rates) {
        eprintln!("  {size}: {:.0} and {:.0} tx/s", rate.0, rate.1);
        if rate.0 + rate.1 > best.1.0 + best.1.1 {
            best = (*size, rate);
        }
    }
    let (before, after) = best.1;
    Ok(format!(
        "| {} | {} | {before:.0}, {after:.0} | {auto:.0} | {:.1} % | {} |\n",
        load.name,
        best.0,
        100.0 * auto / ((before + after) / 2.0).max(1e-9),
        sizes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    ))
}

fn fixed(
    sandbox: &Sandbox,
    postgres: &Postgres,
    program: &Path,
    load: &Load,
    size: u32,
) -> Result<f64, Failure> {
    let pooler = Pooler::start(sandbox, postgres, program, &size.to_string())?;
    let rates = pgbench(sandbox, postgres, load, pooler.address, FIXED_SECONDS)?;
    Ok(mean(rates.get(1..).unwrap_or_default()))
}

fn automatic(
    sandbox: &Sandbox,
    postgres: &Postgres,
    program: &Path,
    load: &Load,
) -> Result<(f64, Vec<u32>), Failure> {
    let pooler = Pooler::start(sandbox, postgres, program, "\"auto\"")?;
    let (address, metrics) = (pooler.address, pooler.metrics);
    std::thread::scope(|scope| {
        let sizes = scope.spawn(move || {
            let mut sizes = Vec::new();
            let end = Instant::now() + Duration::from_secs(u64::from(AUTO_SECONDS));
            while Instant::now() < end {
                std::thread::sleep(Duration::from_secs(1));
                sizes.extend(size_now(metrics));
            }
            sizes
        });
        let rates = pgbench(sandbox, postgres, load, address, AUTO_SECONDS)?;
        let last = rates.len().saturating_sub(COUNTED);
        let sizes = sizes.join().unwrap_or_default();
        Ok((mean(rates.get(last..).unwrap_or_default()), sizes))
    })
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / (rates.len() as f64).max(1.0)
}

/// The pool's size, from the metrics page.
fn size_now(metrics: SocketAddr) -> Option<u32> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(metrics).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.take(4 << 20).read_to_string(&mut text).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("plimsoll_pool_size{"))?;
    line.rsplit(' ')
        .next()?
        .parse::<f64>()
        .ok()
        .map(|n| n as u32)
}

/// Transactions per second, second by second.
fn pgbench(
    sandbox: &Sandbox,
    postgres: &Postgres,
    load: &Load,
    address: SocketAddr,
    seconds: u32,
) -> Result<Vec<f64>, Failure> {
    sandbox.stop.check()?;
    let script = sandbox.subdir("pgbench")?.join("sizing.sql");
    fs::write(&script, load.script)?;
    let mut command = sandbox.command(postgres.bin.join("pgbench"));
    command
        .args(["-n", "-M", "simple", "-P", "1", "-j", "2"])
        .args(["-c", &load.clients.to_string()])
        .args(["-T", &seconds.to_string()])
        .args(["-f", &script.display().to_string()])
        .args(["-h", "127.0.0.1", "-U", USER])
        .args(["-p", &address.port().to_string(), DATABASE])
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable");
    let out = command.output()?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        return fail(format!("pgbench: {}", text.trim()));
    }
    let rate = |line: &str| -> Option<f64> {
        let part = line.strip_prefix("progress: ")?.split(", ").nth(1)?;
        part.strip_suffix(" tps")?.parse().ok()
    };
    Ok(text.lines().filter_map(rate).collect())
}

struct Pooler {
    /// Ends with it.
    _process: Process,
    address: SocketAddr,
    metrics: SocketAddr,
}

impl Pooler {
    fn start(
        sandbox: &Sandbox,
        postgres: &Postgres,
        program: &Path,
        size: &str,
    ) -> Result<Pooler, Failure> {
        let (address, metrics) = (free_address()?, free_address()?);
        let dir: PathBuf = sandbox.subdir(&format!("sizing-{}", address.port()))?;
        let users = dir.join("userlist.txt");
        fs::write(&users, format!("\"{USER}\" \"\"\n"))?;
        let file = dir.join("plimsoll.toml");
        fs::write(
            &file,
            format!(
                "[listen]\ntcp = [\"{address}\"]\n[auth]\ntype = \"trust\"\nuser_file = \"{}\"\n\
                 [metrics]\nlisten = \"{metrics}\"\n[log]\nconnections = false\ndisconnections = false\n\
                 [pool]\nmode = \"transaction\"\nsize = {size}\n[server]\nline = {LINE}\n\
                 [database.{DATABASE}]\nhost = \"127.0.0.1\"\nport = {}\n",
                users.display(),
                postgres.address.port(),
            ),
        )?;
        let log = fs::File::create(dir.join("log"))?;
        let mut command = sandbox.command(program);
        command.arg("run").arg(&file);
        command.stdout(Stdio::null()).stderr(log);
        let mut process = Process::spawn(&mut command, Signal::SIGTERM)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(e) = wire::login(address, USER, DATABASE) {
            sandbox.stop.check()?;
            if process.ended().is_some() || Instant::now() > deadline {
                let log = output(sandbox.command("tail").arg(dir.join("log")))?;
                return fail(format!("Plimsoll does not start: {e}\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Pooler {
            _process: process,
            address,
            metrics,
        })
    }
}
