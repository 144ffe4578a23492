//! `plimsoll rehearse`: load before a change, and a verdict.
//!
//! ```text
//!   scenario, scripts or shape ─► trial ─► run(s) ─► Rehearsal ─► text, JSON, JUnit, HTML
//!   captured statements ─► recorded ───────┘
//!                                  │ it cannot run as written: 2
//! ```

mod recorded;
mod several;
mod target;
mod telling;

use crate::cli::{LogFormat, ProtocolWord, RehearseArgs, Report, ReportKind};
use anyhow::{Context, anyhow};
use rehearse::drive::{self, Glance, Go, Plan};
use rehearse::measured::{Ended, Failure, Run};
use rehearse::report::{Format, Rehearsal, Style, render, render_could_not};
use rehearse::scenario::{Connect, Given, Protocol, Scenario};
use rehearse::threshold::Measured;
use rehearse::verdict::{Verdict, lost};
use rehearse::workload::{Due, Requests};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use target::{Names, Target};
use telling::Telling;

/// Exit code where nothing could be measured.
const COULD_NOT: u8 = 2;
/// Most bytes that are read of a scenario, a shape or a script.
const TEXT_MAX: u64 = 4 << 20;
/// Where a search begins, and how long each step lasts, unless it is said.
const LIMIT_RATE: &str = "50/s";
const LIMIT_STEP: &str = "10s";

/// Rehearses, and says what came of it.
pub fn run(args: &RehearseArgs) -> anyhow::Result<ExitCode> {
    match rehearse(args) {
        Ok(code) => Ok(code),
        Err(error) => {
            tell_error(&error);
            let reason = format!("{error:#}");
            // Who reads the reports learns it too.
            reports(args, &|format| render_could_not(&reason, format));
            if args.format == LogFormat::Json {
                super::print(&render_could_not(&reason, Format::Json))?;
            }
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

fn rehearse(args: &RehearseArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = args.file.as_deref().filter(|path| recorded::is_one(path)) {
        return recorded::rehearse(args, path);
    }
    let scenario = scenario(args)?;
    if args.dry_run {
        super::print(&telling::dry(&scenario))?;
        return Ok(ExitCode::SUCCESS);
    }
    try_reports(args)?;
    let stop = stop_at_a_signal()?;
    let names = Names {
        database: args.dbname.clone(),
        user: args.user.clone(),
    };
    let target = Target::of(args.on.as_ref(), &names)?;
    if !args.no_trial {
        trial(&scenario, &target, &stop)?;
    }
    let stage = Stage {
        args,
        scenario: &scenario,
        stop: &stop,
    };
    let rehearsal = match &args.versus {
        Some(place) => {
            let other = Target::of(Some(place), &names)?;
            if !args.no_trial {
                trial(&scenario, &other, &stop)?;
            }
            stage.compare(&target, &other)?
        }
        None if args.find_limit => stage.find_limit(&target)?,
        None => {
            let run = stage.run(&target, &scenario)?;
            let verdict = Verdict::of(&run, &scenario.thresholds);
            Rehearsal::Single { run, verdict }
        }
    };
    Ok(ExitCode::from(match report(args, &rehearsal)? {
        true => rehearsal.outcome().exit_code(),
        // Without its report a job cannot tell what it measured.
        false => COULD_NOT,
    }))
}

/// What every run of a rehearsal shares.
struct Stage<'a> {
    args: &'a RehearseArgs,
    scenario: &'a Scenario,
    stop: &'a Arc<AtomicBool>,
}

impl Stage<'_> {
    /// One run, told of while it goes on.
    fn run(&self, target: &Target, scenario: &Scenario) -> anyhow::Result<Run> {
        let mut telling = Telling::of(self.args);
        let mut watch = |glance: &Glance<'_>| {
            telling.tell(glance);
            if !self.args.abort_on_fail {
                return Go::On;
            }
            let (due, failed) = (glance.all.due, glance.all.errors());
            let lost = lost(&scenario.thresholds, due, failed, scenario.expected());
            lost.map_or(Go::On, Go::Abort)
        };
        let plan = Plan {
            stop: Arc::clone(self.stop),
            ..Plan::of(scenario, &target.label, now_unix_s())
        };
        let mut work = Requests::new(scenario);
        let run = drive::run(plan, &mut work, &target.connector, &mut watch);
        telling.end();
        run.map_err(|error| anyhow!("{}: {error}", target.label))
    }
}

/// Sends one request of each class: what cannot run as written is known before the load.
fn trial(scenario: &Scenario, target: &Target, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let one = Scenario {
        connections: 1,
        retries: 0,
        ..scenario.clone()
    };
    let plan = Plan {
        planned: Duration::ZERO,
        stop: Arc::clone(stop),
        trial: true,
        ..Plan::of(&one, &target.label, now_unix_s())
    };
    let classes = u16::try_from(scenario.classes.len()).unwrap_or(u16::MAX);
    let mut work = (0..classes).map(|class| Due {
        at: Duration::ZERO,
        class,
        hold: None,
    });
    let mut watch = |_: &Glance<'_>| Go::On;
    let run = drive::run(plan, &mut work, &target.connector, &mut watch)
        .map_err(|error| anyhow!("{}: {error}", target.label))?;
    if run.ended == Ended::Interrupted {
        return Err(anyhow!("a person ended it before the load"));
    }
    let mut wrong = Vec::new();
    for class in &run.classes {
        let hopeless = class.tally.failed.keys().find(|why| why.is_hopeless());
        if let Some(why) = hopeless {
            let why = match why {
                // It begins with its file and line.
                Failure::Script(why) => why.clone(),
                why => why.to_string(),
            };
            wrong.push(format!("class {}: {why}", class.name));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(anyhow!(
            "{}: the scenario cannot run as written\n  {}\nOne request of each class was sent; --no-trial sends none.",
            target.label,
            wrong.join("\n  ")
        )),
    }
}

fn scenario(args: &RehearseArgs) -> anyhow::Result<Scenario> {
    let text = match &args.file {
        Some(path) => Some(read_text(path)?),
        None => None,
    };
    // A search says itself how much is sent.
    let first = |usual: &str| args.find_limit.then(|| usual.to_owned());
    let mut given = Given {
        scripts: args.scripts.clone(),
        rate: args.rate.clone(),
        lasts: args.lasts.clone(),
        scale: args.scale,
        connections: args.connections,
        connect: args.connect.then_some(Connect::Each),
        timeout: args.timeout.clone(),
        protocol: args.protocol.map(|word| match word {
            ProtocolWord::Simple => Protocol::Simple,
            ProtocolWord::Extended => Protocol::Extended,
            ProtocolWord::Prepared => Protocol::Prepared,
        }),
        seed: args.seed,
        thresholds: args.threshold.clone(),
        variables: args.variables.clone(),
    };
    // A scenario's scripts lie beside it; those of the command line where it is typed.
    let beside = match args.scripts.is_empty() {
        true => args.file.as_deref().and_then(Path::parent),
        false => None,
    };
    let read = |name: &str| {
        let path = beside.map_or_else(|| Path::new(name).to_owned(), |folder| folder.join(name));
        read_text(&path).map_err(|error| error.root_cause().to_string())
    };
    let captured = || {
        given
            .scenario(text.as_deref(), &read)
            .is_ok_and(|s| s.captured.is_some())
    };
    if !captured() {
        given.rate = given.rate.or(first(LIMIT_RATE));
        given.lasts = given.lasts.or(first(LIMIT_STEP));
    }
    given.scenario(text.as_deref(), &read).map_err(|error| {
        let name = args.file.as_ref().map(|path| path.display().to_string());
        anyhow!(
            "{}\n{error}",
            name.unwrap_or_else(|| "the command line".to_owned())
        )
    })
}

/// Prints the verdict and writes the reports; whether all could be written.
fn report(args: &RehearseArgs, rehearsal: &Rehearsal) -> anyhow::Result<bool> {
    let format = match args.format {
        LogFormat::Text => Format::Text(style(
            args,
            std::io::IsTerminal::is_terminal(&std::io::stdout()),
        )),
        LogFormat::Json => Format::Json,
    };
    super::print(&render(rehearsal, format))?;
    Ok(reports(args, &|format| render(rehearsal, format)))
}

/// Writes every report that was asked for; what cannot be written is told. Whether all were.
fn reports(args: &RehearseArgs, render: &dyn Fn(Format) -> String) -> bool {
    let mut all = true;
    for Report { path, kind } in &args.report {
        let format = match kind {
            ReportKind::Json => Format::Json,
            ReportKind::Junit => Format::Junit,
            ReportKind::Html => Format::Html,
            ReportKind::Text => Format::Text(Style::Plain),
        };
        if let Err(error) = std::fs::write(path, render(format)) {
            tell_error(&anyhow!("cannot write {}: {error}", path.display()));
            all = false;
        }
    }
    all
}

/// A report that cannot be written is known before the load, not after it.
fn try_reports(args: &RehearseArgs) -> anyhow::Result<()> {
    for Report { path, .. } in &args.report {
        let mut open = std::fs::OpenOptions::new();
        let tried = open.append(true).create(true).open(path);
        tried.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The text of a file; what reads it has bounds of its own, which are lower.
fn read_text(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let file = std::fs::File::open(path);
    let mut text = String::new();
    let read = file.and_then(|file| file.take(TEXT_MAX + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > TEXT_MAX {
        anyhow::bail!("{}: it has more than {TEXT_MAX} bytes", path.display());
    }
    Ok(text)
}

fn style(args: &RehearseArgs, terminal: bool) -> Style {
    match args.colour.wanted(terminal) {
        true => Style::Colour,
        false => Style::Plain,
    }
}

/// The first signal ends the run with what was measured, the second the process.
fn stop_at_a_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let code = i32::from(COULD_NOT);
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot watch for signals")?;
    }
    Ok(stop)
}

fn now_unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[expect(
    clippy::print_stderr,
    reason = "a person reads why nothing was measured"
)]
fn tell_error(error: &anyhow::Error) {
    // What a server said may hold anything; it moves no cursor.
    let text: String = format!("{error:#}")
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect();
    eprintln!("error: {text}");
}
