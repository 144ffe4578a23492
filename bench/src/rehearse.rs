//! `plimsoll rehearse` beside pgbench, on the same server: where pgbench's method is right both must tell the same,
//! and where it is not, the difference is what a closed loop hides.
//!
//! Agreement: pgbench with `--rate` plans its transactions too and counts from the plan. Rounds take turns.
//! Omission: one statement holds a lock for a second in the middle of a run. pgbench without `--rate` waits for it and
//! asks nothing meanwhile; wrk2's method (even arrivals, counted from the plan) and ours ask on.
//! Lag: how late the generator sends, over rates.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::postgres::{self, Postgres};
use crate::sandbox::{Sandbox, Stop, output};
use crate::stats::{median, quantile};
use crate::{DATABASE, Failure, USER, fail, report};

/// Printed by `rehearse --help`.
pub const HELP: &str = "\
Compares plimsoll rehearse with pgbench on this machine: percentiles, what a closed loop hides, the generator's lag.

cargo xtask bench rehearse [OPTIONS]
  --plimsoll PATH     the program that is measured
  --rounds N          default 5; figures are medians over rounds
  --seconds N         length of each run, default 10
  --markdown FILE     where to write the tables (default docs/rehearsal.md); - for nowhere
  --pg-bin DIR        PostgreSQL's programs
";

/// Rates at which both are compared, requests per second.
const RATES: [u32; 3] = [200, 1_000, 4_000];
/// Rates at which the lag is measured.
const LAG_RATES: [u32; 5] = [100, 1_000, 5_000, 10_000, 20_000];
/// Rate of the run with a stall, and how long the stall is.
const STALL_RATE: u32 = 500;
const STALL_S: u32 = 1;
/// Connections of each side.
const CONNECTIONS: u32 = 20;
/// Percentiles that are compared.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// What both send.
const SCRIPT: &str =
    "\\set aid random(1, 1000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";

/// The command line, read.
pub struct Options {
    plimsoll: PathBuf,
    rounds: usize,
    seconds: u32,
    markdown: Option<PathBuf>,
    pg_bin: Option<PathBuf>,
}

/// Reads the words after `rehearse`.
pub fn parse(words: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        plimsoll: PathBuf::new(),
        rounds: 5,
        seconds: 10,
        markdown: Some("docs/rehearsal.md".into()),
        pg_bin: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            let value = words.next().cloned();
            value.ok_or_else(|| format!("{word} wants a value"))
        };
        match word.as_str() {
            "--plimsoll" => options.plimsoll = value()?.into(),
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--markdown" => {
                let file = value()?;
                options.markdown = (file != "-").then(|| file.into());
            }
            "--pg-bin" => options.pg_bin = Some(value()?.into()),
            _ => return fail(format!("{word}: unknown; see rehearse --help")),
        }
    }
    if options.plimsoll.as_os_str().is_empty() || options.seconds < 5 || options.rounds == 0 {
        return fail("rehearse wants --plimsoll, at least one round and 5 seconds");
    }
    Ok(options)
}

/// Measures, and writes the tables.
pub fn run(options: &Options) -> Result<(), Failure> {
    let sandbox = Sandbox::create(Stop::install()?)?;
    let bin = options.pg_bin.clone();
    let postgres = Postgres::start(&sandbox, bin, "rehearse", postgres::MAX_CONNECTIONS)?;
    let folder = sandbox.subdir("rehearse")?;
    fs::write(folder.join("read.sql"), SCRIPT)?;
    let bench = Bench {
        program: sandbox.copy_program(&options.plimsoll, "plimsoll")?,
        sandbox: &sandbox,
        postgres: &postgres,
        folder,
        options,
    };
    let mut section = String::new();
    bench.agreement(&mut section)?;
    bench.omission(&mut section)?;
    bench.lag(&mut section)?;
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::write_section(file, "rehearse", &section)?;
    }
    Ok(())
}

struct Bench<'a> {
    program: PathBuf,
    sandbox: &'a Sandbox,
    postgres: &'a Postgres,
    folder: PathBuf,
    options: &'a Options,
}

/// Percentiles in the order of [`SHARES`], microseconds.
type Times = [f64; SHARES.len()];

impl Bench<'_> {
    fn agreement(&self, out: &mut String) -> Result<(), Failure> {
        writeln!(
            out,
            "## Beside pgbench\n\nThe same script, {CONNECTIONS} connections, prepared, Poisson arrivals on both sides; latency from the plan. \
             Medians of {} rounds of {} s that took turns.\n\n\
             | rate | | {} |\n|---|---|{}",
            self.options.rounds,
            self.options.seconds,
            SHARES.map(|(name, _)| name).join(" | "),
            "---|".repeat(SHARES.len())
        )?;
        for rate in RATES {
            let mut all: [Vec<Times>; 2] = [Vec::new(), Vec::new()];
            let mut sent: [Vec<Times>; 2] = [Vec::new(), Vec::new()];
            for round in 0..self.options.rounds {
                for side in [round % 2, 1 - round % 2] {
                    self.sandbox.stop.check()?;
                    let times = match side {
                        0 => self.pgbench(Some(rate))?,
                        _ => self.rehearse(rate, round, "poisson")?,
                    };
                    all[side].push(times.0);
                    sent[side].push(times.1);
                }
                eprintln!(
                    "agreement at {rate}/s: round {} of {}",
                    round + 1,
                    self.options.rounds
                );
            }
            for (what, times) in [("from the plan", all), ("from the sending", sent)] {
                let [pgbench, ours] = times.map(|times| medians(&times));
                writeln!(
                    out,
                    "| {rate}/s | pgbench --rate, {what} | {} |",
                    row(&pgbench)
                )?;
                writeln!(out, "| | rehearse, {what} | {} |", row(&ours))?;
                let ratios: Vec<String> = (ours.iter().zip(pgbench))
                    .map(|(a, b)| format!("{:.2}", a / b))
                    .collect();
                writeln!(out, "| | ratio | {} |", ratios.join(" | "))?;
            }
        }
        Ok(())
    }

    fn omission(&self, out: &mut String) -> Result<(), Failure> {
        let mut closed = Vec::new();
        let mut planned = Vec::new();
        let (mut ours, mut service) = (Vec::new(), Vec::new());
        for round in 0..self.options.rounds {
            self.sandbox.stop.check()?;
            let stall = self.stall()?;
            closed.push(self.pgbench(None)?.0);
            end(stall)?;
            let stall = self.stall()?;
            planned.push(self.pgbench(Some(STALL_RATE))?.0);
            end(stall)?;
            let stall = self.stall()?;
            let (latency, alone) = self.rehearse(STALL_RATE, round, "even")?;
            end(stall)?;
            ours.push(latency);
            service.push(alone);
            eprintln!("a stall: round {} of {}", round + 1, self.options.rounds);
        }
        writeln!(
            out,
            "\n## What a closed loop hides\n\nThe table is locked for {STALL_S} s in the middle of {} s. Who asked then waited up to {STALL_S} s. \
             Medians of {} rounds.\n\n| | {} |\n|---|{}",
            self.options.seconds,
            self.options.rounds,
            SHARES.map(|(name, _)| name).join(" | "),
            "---|".repeat(SHARES.len())
        )?;
        for (name, times) in [
            ("pgbench, closed loop".to_owned(), &closed),
            (format!("pgbench --rate={STALL_RATE}"), &planned),
            (
                format!("rehearse, even {STALL_RATE}/s (wrk2's method)"),
                &ours,
            ),
            (
                "the same run, counted from the sending".to_owned(),
                &service,
            ),
        ] {
            writeln!(out, "| {name} | {} |", row(&medians(times)))?;
        }
        Ok(())
    }

    fn lag(&self, out: &mut String) -> Result<(), Failure> {
        writeln!(
            out,
            "\n## How late it sends\n\nFrom the moment at which a request was due and a connection free to its sending; the generator, PostgreSQL and nothing else \
             on the same machine. Medians of {} rounds.\n\n| rate | lag p50 | lag p99 | longest | CPU of the generator | runs that called themselves invalid |\n|---|---|---|---|---|---|",
            self.options.rounds
        )?;
        for rate in LAG_RATES {
            let mut figures: [Vec<f64>; 4] = Default::default();
            let mut invalid = 0;
            for round in 0..self.options.rounds {
                self.sandbox.stop.check()?;
                let value = self.report(rate, round, "poisson")?;
                let names = ["lag_p50_us", "lag_p99_us", "lag_max_us", "cpu_share"];
                for (figures, name) in figures.iter_mut().zip(names) {
                    figures.push(value["generator"][name].as_f64().unwrap_or_default());
                }
                invalid += usize::from(value["outcome"] == "invalid");
            }
            let [p50, p99, longest, cpu] =
                figures.map(|figures| median(&figures).unwrap_or_default());
            writeln!(
                out,
                "| {rate}/s | {p50:.0} µs | {p99:.0} µs | {:.1} ms | {:.0} % | {invalid} of {} |",
                longest / 1e3,
                cpu * 100.0,
                self.options.rounds
            )?;
            eprintln!("lag at {rate}/s: measured");
        }
        Ok(())
    }

    /// Latencies of a run of pgbench, with a rate from its plan, and from the sending.
    fn pgbench(&self, rate: Option<u32>) -> Result<(Times, Times), Failure> {
        let prefix = self.folder.join("log");
        let mut command = self.sandbox.command(self.postgres.bin.join("pgbench"));
        command.args([
            "-n",
            "-M",
            "prepared",
            "-j",
            "1",
            "-l",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
        ]);
        command.args([
            "-c",
            &CONNECTIONS.to_string(),
            "-T",
            &self.options.seconds.to_string(),
        ]);
        command.args(["-p", &self.postgres.address.port().to_string()]);
        command.arg("--log-prefix").arg(&prefix);
        command.arg("-f").arg(self.folder.join("read.sql"));
        if let Some(rate) = rate {
            command.arg(format!("--rate={rate}"));
        }
        output(command.arg(DATABASE))?;
        let (mut all, mut sent) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with("log.") {
                let text = fs::read_to_string(&path)?;
                for line in text.lines() {
                    // The third column is the latency, microseconds; with a rate the seventh is the lag in it.
                    let column = |at: usize| line.split(' ').nth(at)?.parse::<f64>().ok();
                    let Some(latency) = column(2) else { continue };
                    all.push(latency);
                    sent.push(latency - column(6).unwrap_or_default());
                }
                fs::remove_file(&path)?;
            }
        }
        Ok((percentiles(all)?, percentiles(sent)?))
    }

    /// Latencies and service times of a rehearsal.
    fn rehearse(&self, rate: u32, round: usize, arrivals: &str) -> Result<(Times, Times), Failure> {
        let value = self.report(rate, round, arrivals)?;
        let of = |kind: &str| -> Result<Times, Failure> {
            let mut times = Times::default();
            for (time, (name, _)) in times.iter_mut().zip(SHARES) {
                let figure = &value["result"]["all"][kind][format!("{name}_us")];
                *time = figure
                    .as_f64()
                    .ok_or_else(|| format!("no {name}: {}", value["reason"]))?;
            }
            Ok(times)
        };
        Ok((of("latency")?, of("service")?))
    }

    fn report(
        &self,
        rate: u32,
        round: usize,
        arrivals: &str,
    ) -> Result<serde_json::Value, Failure> {
        let scenario = format!(
            "seed = {}\n[load]\nconnections = {CONNECTIONS}\narrivals = \"{arrivals}\"\nprotocol = \"prepared\"\n\
             phases = [{{ rate = \"{rate}/s\", for = \"{}s\" }}]\n[[class]]\nname = \"read\"\nscript = \"read.sql\"\n",
            round + 1,
            self.options.seconds
        );
        let file = self.folder.join("a.toml");
        fs::write(&file, scenario)?;
        let url = format!("postgres://{USER}@{}/{DATABASE}", self.postgres.address);
        let told = Command::new(&self.program)
            .args(["rehearse", "-q", "--format", "json", "--on", &url])
            .arg(&file)
            .output()?;
        match told.status.code() {
            Some(0 | 3) => Ok(serde_json::from_slice(&told.stdout)?),
            _ => fail(String::from_utf8_lossy(&told.stderr).into_owned()),
        }
    }

    /// Locks the table in the middle of the run that begins now.
    fn stall(&self) -> Result<Child, Failure> {
        let half = f64::from(self.options.seconds) / 2.0;
        let sql = format!(
            "select pg_sleep({half}); begin; lock table pgbench_accounts in access exclusive mode; select pg_sleep({STALL_S}); commit"
        );
        let mut command = self.sandbox.command(self.postgres.bin.join("psql"));
        command.args(["-XAtq", "-h", "127.0.0.1", "-U", USER, "-d", DATABASE]);
        command.args(["-p", &self.postgres.address.port().to_string()]);
        // Each statement on its own: together they would be one transaction.
        for statement in sql.split("; ") {
            command.args(["-c", statement]);
        }
        Ok(command.stdout(Stdio::null()).spawn()?)
    }
}

fn end(mut stall: Child) -> Result<(), Failure> {
    match stall.wait()?.success() {
        true => Ok(()),
        false => fail("the stall did not take place"),
    }
}

fn percentiles(mut all: Vec<f64>) -> Result<Times, Failure> {
    all.sort_by(f64::total_cmp);
    let mut times = Times::default();
    for (time, (_, share)) in times.iter_mut().zip(SHARES) {
        *time = quantile(&all, share).ok_or("pgbench logged nothing")?;
    }
    Ok(times)
}

fn medians(all: &[Times]) -> Times {
    let mut out = Times::default();
    for (at, out) in out.iter_mut().enumerate() {
        let one: Vec<f64> = all.iter().map(|times| times[at]).collect();
        *out = median(&one).unwrap_or_default();
    }
    out
}

fn row(times: &Times) -> String {
    let shown = times.map(|us| match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    });
    shown.join(" | ")
}
