//! Prediction beside what then happens: traffic is recorded with old settings, predicted with new ones, and measured
//! with them, on real PostgreSQL.
//!
//! Each workload runs once with its old settings: first a few of its clients, then all, as an hour has quieter times.
//! The shape that the pooler recorded is kept; a child of the pooler's own program predicts from it. Then the workload
//! runs with each of the new settings, before a fresh pooler, and the shape of that run gives the waits that were
//! measured; of two such runs the one in which the machine was less disturbed. Shapes are kept in a directory, so that the table can be made again without measuring.

mod load;
mod workloads;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use config::Plan;
use control::predict::{PoolAnswer, Request, run as ask};
use events::shape::{End, Request as Asked, Shape, Window};
use nix::sys::signal::Signal;

use crate::postgres::{self, Postgres};
use crate::sandbox::{Process, Sandbox, Stop, free_address, output};
use crate::{DATABASE, Failure, USER, fail, report, wire};
use workloads::{Settings, WORKLOADS, Workload};

/// Printed by `predict --help`.
pub const HELP: &str = "\
Predicts changes of settings from recorded traffic, and measures what then happens, on this machine.

cargo xtask bench predict [OPTIONS]
  --plimsoll PATH     the program that records, predicts and is measured
  --only TEXT         only workloads whose name contains TEXT; repeatable
  --shapes DIR        where shapes are kept (default target/predict)
  --again             predict anew from the shapes kept there, and measure nothing; without --plimsoll
                      the benchmark itself is the child
  --seconds N         length of each run, default 12
  --markdown FILE     where to write the table (default docs/prediction.md); - for nowhere
  --pg-bin DIR        PostgreSQL's programs
";

/// Seconds with few clients before a record.
const QUIET_SECONDS: u64 = 6;
/// Seconds at the beginning of a run that do not count.
const WARM_UP_S: u64 = 2;
/// Runs with each new settings; the one counts in which the machine stood still for the least time.
const RUNS: usize = 2;
/// A prediction may take so long.
const DEADLINE: Duration = Duration::from_secs(20);
/// Waits that differ by less are the same, milliseconds.
const SAME_MS: f64 = 2.0;
/// And by less than this factor.
const SAME_TIMES: f64 = 1.25;

/// The command line, read.
pub struct Options {
    plimsoll: PathBuf,
    only: Vec<String>,
    shapes: PathBuf,
    again: bool,
    seconds: u64,
    markdown: Option<PathBuf>,
    pg_bin: Option<PathBuf>,
}

/// Reads the words after `predict`.
pub fn parse(words: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        plimsoll: PathBuf::new(),
        only: Vec::new(),
        shapes: "target/predict".into(),
        again: false,
        seconds: 12,
        markdown: Some("docs/prediction.md".into()),
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
            "--only" => options.only.push(value()?),
            "--shapes" => options.shapes = value()?.into(),
            "--again" => options.again = true,
            "--seconds" => options.seconds = value()?.parse()?,
            "--markdown" => {
                let file = value()?;
                options.markdown = (file != "-").then(|| file.into());
            }
            "--pg-bin" => options.pg_bin = Some(value()?.into()),
            _ => return fail(format!("{word}: unknown; see predict --help")),
        }
    }
    if options.plimsoll.as_os_str().is_empty() {
        if !options.again {
            return fail("predict wants --plimsoll");
        }
        options.plimsoll = std::env::current_exe()?;
    }
    Ok(options)
}

/// Measures, predicts, and writes the table.
pub fn run(options: &Options) -> Result<(), Failure> {
    fs::create_dir_all(&options.shapes)?;
    let wanted = |w: &&Workload| {
        options.only.is_empty()
            || options
                .only
                .iter()
                .any(|part| w.name.contains(part.as_str()))
    };
    if !options.again {
        let sandbox = Sandbox::create(Stop::install()?)?;
        let bin = options.pg_bin.clone();
        let postgres = Postgres::start(&sandbox, bin, "predict", postgres::MAX_CONNECTIONS)?;
        let bench = Bench {
            program: sandbox.copy_program(&options.plimsoll, "plimsoll")?,
            sandbox: &sandbox,
            postgres: &postgres,
            seconds: options.seconds,
        };
        for workload in WORKLOADS.iter().filter(wanted) {
            bench.measure(workload, &options.shapes)?;
        }
    }
    let section = table(options)?;
    println!("{section}");
    if let Some(file) = &options.markdown {
        report::write_section(file, "prediction", &section)?;
    }
    Ok(())
}

struct Bench<'a> {
    program: PathBuf,
    sandbox: &'a Sandbox,
    postgres: &'a Postgres,
    seconds: u64,
}

impl Bench<'_> {
    fn measure(&self, workload: &Workload, shapes: &Path) -> Result<(), Failure> {
        eprintln!("{} …", workload.name);
        let shape = self.shape(workload, &workload.old, workload.quiet)?;
        fs::write(record_file(shapes, workload), shape)?;
        for (at, (what, change)) in workload.changes.iter().enumerate() {
            eprintln!("  {what} …");
            let mut settings = workload.old;
            change(&mut settings);
            for run in 0..RUNS {
                let shape = self.shape(workload, &settings, false)?;
                fs::write(change_file(shapes, workload, at, run), shape)?;
            }
        }
        Ok(())
    }

    /// Runs a workload with settings, and takes the shape at its end.
    fn shape(&self, w: &Workload, settings: &Settings, quiet: bool) -> Result<String, Failure> {
        let pooler = Pooler::start(self, settings)?;
        if quiet {
            let load = load::start(self.sandbox, self.postgres, w, pooler.address, 8)?;
            std::thread::sleep(Duration::from_secs(QUIET_SECONDS));
            load.end()?;
        }
        let load = load::start(self.sandbox, self.postgres, w, pooler.address, 1)?;
        std::thread::sleep(Duration::from_secs(self.seconds));
        let shape = pooler.shape(self)?;
        load.end()?;
        Ok(shape)
    }
}

struct Pooler {
    _process: Process,
    address: std::net::SocketAddr,
}

impl Pooler {
    fn start(bench: &Bench<'_>, settings: &Settings) -> Result<Pooler, Failure> {
        let sandbox = bench.sandbox;
        let address = free_address()?;
        let dir = sandbox.subdir(&format!("predict-{}", address.port()))?;
        let file = dir.join("plimsoll.toml");
        let users = dir.join("userlist.txt");
        fs::write(&users, format!("\"{USER}\" \"\"\n\"other\" \"\"\n"))?;
        let server = bench.postgres.address.port();
        let head = format!(
            "[listen]\ntcp = [\"{address}\"]\n[auth]\ntype = \"trust\"\nuser_file = \"{}\"\n\
             admin_users = [\"{USER}\"]\n[log]\nconnections = false\ndisconnections = false\n",
            users.display()
        );
        fs::write(&file, head + &settings.toml(server))?;
        let log = fs::File::create(dir.join("log"))?;
        let mut command = sandbox.command(&bench.program);
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
        })
    }

    fn shape(&self, bench: &Bench<'_>) -> Result<String, Failure> {
        let mut command = bench.sandbox.command(bench.postgres.bin.join("psql"));
        command.args(["-XAtq", "-h", "127.0.0.1", "-U", USER, "-d", "pgbouncer"]);
        command.arg("-p").arg(self.address.port().to_string());
        output(command.args(["-c", "SHOW SHAPE"]))
    }
}

fn record_file(shapes: &Path, workload: &Workload) -> PathBuf {
    shapes.join(format!("{}.shape", workload.key))
}

fn change_file(shapes: &Path, workload: &Workload, at: usize, run: usize) -> PathBuf {
    shapes.join(format!("{}-{at}-{run}.shape", workload.key))
}

// --- the table ---

/// What was measured of one pool.
struct Measured {
    wait_p99_ms: f64,
    refused: f64,
    requests: usize,
}

/// The record without the seconds in which all clients start at once: they count in no measurement either.
fn settled(mut shape: Shape, seconds: u64) -> Shape {
    for server in &mut shape.servers {
        let begun = |w: &Window| w.at_s() * 1_000_000;
        let ends = server
            .windows
            .iter()
            .map(|w| begun(w) + u64::from(w.span_us));
        let end = ends.max().unwrap_or(0);
        let from = end.saturating_sub(seconds * 1_000_000 + 500_000);
        let to = end.saturating_sub(seconds.saturating_sub(WARM_UP_S) * 1_000_000);
        let mut kept = Vec::new();
        for window in server.windows.drain(..) {
            let (start, stop) = (begun(&window), begun(&window) + u64::from(window.span_us));
            if stop <= from || start >= to {
                kept.push(window);
                continue;
            }
            if start < from {
                kept.push(cut(&window, 0, from - start));
            }
            // Beginnings are whole seconds.
            let skipped = to.saturating_sub(start).div_ceil(1_000_000) * 1_000_000;
            if start + skipped < stop {
                kept.push(cut(&window, skipped, stop - start));
            }
        }
        server.windows = kept;
    }
    shape
}

/// The longest time in which nothing at all happened in the seconds that count: a small virtual machine is not always
/// given its processors.
fn stood_still_us(shape: &Shape, seconds: u64) -> u64 {
    let mut longest = 0;
    for server in &shape.servers {
        let end = server.windows.iter().map(Window::at_s).max();
        let from = end
            .unwrap_or(0)
            .saturating_sub(seconds.saturating_sub(WARM_UP_S));
        for window in server.windows.iter().filter(|w| w.at_s() >= from) {
            let of = window.requests.iter();
            let mut times: Vec<u64> = of
                .flat_map(|r| [u64::from(r.asked_us), r.granted_us(), r.ended_us()])
                .filter(|at| *at <= u64::from(window.span_us))
                .collect();
            times.sort_unstable();
            let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
            longest = longest.max(gaps.max().unwrap_or(0));
        }
    }
    longest
}

/// A part of a window, microseconds from its beginning.
fn cut(window: &Window, from: u64, to: u64) -> Window {
    let inside = |r: &&Asked| (from..to).contains(&u64::from(r.asked_us));
    let requests = window.requests.iter().filter(inside);
    Window {
        at_us: window.at_us + from,
        span_us: (to - from) as u32,
        starts: window.starts.clone(),
        requests: requests
            .map(|r| Asked {
                asked_us: r.asked_us - from as u32,
                ..*r
            })
            .collect(),
        ..Window::default()
    }
}

/// What the last seconds of a shape say of a pool.
fn measured(shape: &Shape, database: &str, seconds: u64) -> Option<Measured> {
    let server = shape.servers.first()?;
    let pool = server.pools.iter().position(|p| p.database == database)?;
    let begun = |w: &Window| w.at_s() * 1_000_000;
    let windows = || server.windows.iter();
    let end = windows().map(|w| begun(w) + u64::from(w.span_us)).max()?;
    let counted = seconds.saturating_sub(WARM_UP_S) * 1_000_000;
    let from = end.saturating_sub(counted);
    let requests: Vec<&Asked> = windows()
        .flat_map(|w| w.requests.iter().map(move |r| (begun(w), r)))
        .filter(|(at, r)| usize::from(r.pool) == pool && at + u64::from(r.asked_us) >= from)
        .map(|(_, r)| r)
        .collect();
    let granted = requests.iter().filter(|r| r.granted());
    let mut waits: Vec<u32> = granted.map(|r| r.wait_us).collect();
    waits.sort_unstable();
    let refused = |r: &&&Asked| matches!(r.end, End::TimedOut | End::Refused);
    let refused = requests.iter().filter(refused).count();
    let at = (waits.len() as f64 * 0.99) as usize;
    Some(Measured {
        wait_p99_ms: f64::from(*waits.get(at.min(waits.len().saturating_sub(1)))?) / 1000.0,
        refused: refused as f64 / (refused + waits.len()).max(1) as f64,
        requests: requests.len(),
    })
}

fn plan(settings: &Settings) -> Result<Plan, Failure> {
    let text = format!(
        "[listen]\ntcp = [\"127.0.0.1:0\"]\n[auth]\ntype = \"trust\"\n{}",
        settings.toml(5432)
    );
    let source = move |_: &Path| Ok(text.clone().into_bytes());
    config::load("plimsoll.toml".as_ref(), &source).map_err(|e| e.render().into())
}

#[derive(Default)]
struct Sums {
    rows: usize,
    right: usize,
    within: usize,
    sure: usize,
    sure_within: usize,
    told: usize,
    slowest_ms: u128,
}

fn table(options: &Options) -> Result<String, Failure> {
    let mut rows = String::new();
    let mut sums = Sums::default();
    for workload in WORKLOADS {
        let Ok(text) = fs::read_to_string(record_file(&options.shapes, workload)) else {
            continue;
        };
        let shape = settled(Shape::from_text(&text)?, options.seconds);
        for (at, (what, change)) in workload.changes.iter().enumerate() {
            let mut runs = Vec::new();
            for run in 0..RUNS {
                let file = change_file(&options.shapes, workload, at, run);
                if let Ok(text) = fs::read_to_string(file) {
                    runs.push(Shape::from_text(&text)?);
                }
            }
            // Which run counts is decided without a look at its waits.
            let Some(after) = runs
                .into_iter()
                .min_by_key(|s| stood_still_us(s, options.seconds))
            else {
                continue;
            };
            let mut settings = workload.old;
            change(&mut settings);
            let request = Request::new(&shape, &plan(&workload.old)?, &plan(&settings)?);
            let began = Instant::now();
            let told = ask(&options.plimsoll, &request, DEADLINE);
            sums.slowest_ms = sums.slowest_ms.max(began.elapsed().as_millis());
            if told.pools.is_empty() {
                return fail(format!("{}, {what}: {told}", workload.name));
            }
            for pool in &told.pools {
                let name = match told.pools.len() {
                    1 => workload.name.to_owned(),
                    _ => format!("{}, pool {}", workload.name, pool.database),
                };
                let both = (
                    measured(&shape, &pool.database, options.seconds),
                    measured(&after, &pool.database, options.seconds),
                );
                let (Some(before), Some(after)) = both else {
                    return fail(format!("{name}, {what}: nothing measured"));
                };
                let row = row(&name, what, pool, (&before, &after), &mut sums);
                rows.push_str(&row.unwrap_or_default());
            }
        }
    }
    let Sums {
        rows: all,
        right,
        within,
        sure,
        sure_within,
        told,
        slowest_ms,
    } = sums;
    Ok(format!(
        "{all} changes: direction right in {right}, measured p99 wait within 25 % (or {SAME_MS} ms) of the predicted one in \
         {within}. Verdict given in {told}; where the interval is narrower than a factor of two, {sure_within} of {sure} \
         are within 25 %. Longest prediction: {slowest_ms} ms.\n\n\
         | workload | change | p99 wait before, ms | predicted, ms | measured, ms | measured/predicted | direction | \
         refused: predicted, measured | verdict |\n|---|---|---|---|---|---|---|---|---|\n{rows}"
    ))
}

fn row(
    name: &str,
    what: &str,
    pool: &PoolAnswer,
    (before, after): (&Measured, &Measured),
    sums: &mut Sums,
) -> Option<String> {
    let part = pool.parts.last()?;
    let (before, got, seen) = (before.wait_p99_ms, part.new.wait_p99_ms, after.wait_p99_ms);
    let differs = |a: f64, b: f64| (a - b).abs() > SAME_MS && (a / b).max(b / a) > SAME_TIMES;
    let turn = |from: f64, to: f64| match differs(from, to) {
        false => 0,
        true => (to > from) as i32 - (to < from) as i32,
    };
    let close = !differs(got.value, seen);
    let (predicted, happened) = (
        turn(part.old.wait_p99_ms.value, got.value),
        turn(before, seen),
    );
    // What is within a quarter of the measured value is no wrong direction.
    let right = predicted == happened || close;
    sums.rows += 1;
    sums.right += usize::from(right);
    sums.within += usize::from(close);
    sums.told += usize::from(pool.verdict != config::rollout::Verdict::Unknown);
    let narrow = got.high <= 2.0 * got.low.max(SAME_MS);
    sums.sure += usize::from(narrow);
    sums.sure_within += usize::from(narrow && close);
    let arrow = |turn: i32| ["↓", "=", "↑"][(turn + 1) as usize];
    let mut out = String::new();
    let _ = writeln!(
        out,
        "| {name} | {what} | {before:.1} | {:.1} ({:.1}–{:.1}) | {seen:.1} | {:.2} | {} {} {} | {:.1} %, {:.1} % | {} |",
        got.value,
        got.low,
        got.high,
        seen.max(0.05) / got.value.max(0.05),
        arrow(predicted),
        arrow(happened),
        if right { "right" } else { "**wrong**" },
        part.new.refused.value * 100.0,
        after.refused * 100.0,
        pool.text.split(':').next().unwrap_or_default(),
    );
    eprintln!(
        "{name}, {what}: recorded {before:.1} replayed {:.1} ({} requests, {} levels); predicted {:.1} ({:.1}–{:.1}) measured {seen:.1} ({} requests) rate {:.0}→{:.0}: {}",
        part.old.wait_p99_ms.value,
        part.recorded.requests,
        pool.parts.len(),
        got.value,
        got.low,
        got.high,
        after.requests,
        part.old.rate.value,
        part.new.rate.value,
        pool.text
    );
    Some(out)
}
