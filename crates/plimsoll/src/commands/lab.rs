//! `plimsoll lab`: outages replayed, with and without Plimsoll.
//!
//! ```text
//!   scenario ─► stage: PostgreSQL ◄── pooler or none ◄── application ◄── crowd of users
//!      │                                    │ API                            │ samples
//!      └─► course: what is due ─► actor     └─► ear                          ▼
//!                                               └──────────────────────► row (crate `practice`)
//! ```

mod keeper;
mod library;
mod process;
mod tools;

mod cores;
mod crowd;
mod heard;
mod stage;
mod templates;

mod gates;
mod play;
mod sheet;

use super::print;
use crate::cli::{Colour, LabArgs};
use anyhow::{Context, bail};
use library::Outage;
use play::Play;
use practice::outage::{Column, Figures, Row, Sample, Sheet, Word, text};
use std::cell::Cell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tools::Tools;

/// A run was no measurement, or a gate let a fault pass.
const FOUND: u8 = 1;
/// It could not run, or not all of it.
const COULD_NOT: u8 = 2;

/// Replays outages.
pub fn run(args: &LabArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.copy {
        let files = library::unpack_all(dir)?;
        print(&format!("{files} files in {}\n", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut outages = match args.outages.as_slice() {
        [] => library::all()?,
        words => library::named(words)?,
    };
    if let Some(seed) = args.seed {
        outages
            .iter_mut()
            .for_each(|outage| outage.scenario.load.seed = seed);
    }
    if args.list {
        return list(&outages);
    }
    Lab::new(args, outages)?.run()
}

fn list(outages: &[Outage]) -> anyhow::Result<ExitCode> {
    for outage in outages {
        let seconds = outage.scenario.lasts.as_secs();
        print(&format!(
            "{:12} {} ({seconds} s each)\n",
            outage.name, outage.scenario.title
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Lab<'a> {
    args: &'a LabArgs,
    outages: Vec<Outage>,
    columns: Vec<Column>,
    /// Where packages are kept.
    place: PathBuf,
    /// The applications' Python, for the sheet.
    python: Option<PathBuf>,
    stop: Arc<AtomicBool>,
    sheet: Sheet,
    /// It is not all there.
    short: Cell<bool>,
}

impl Lab<'_> {
    fn new(args: &LabArgs, outages: Vec<Outage>) -> anyhow::Result<Lab<'_>> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            // The second one ends us as it would without us: the keepers clean up.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let columns = columns(args)?;
        Ok(Lab {
            args,
            columns,
            place: place(args)?,
            python: None,
            stop,
            sheet: Sheet::default(),
            short: Cell::new(false),
            outages,
        })
    }

    fn run(mut self) -> anyhow::Result<ExitCode> {
        let outages = std::mem::take(&mut self.outages);
        for outage in &outages {
            beside(&format!("{}: {}", outage.name, outage.scenario.title));
            let tools = Tools::find(&self.place, outage, &beside);
            self.python = tools.python().or(self.python.take());
            if !self.args.gates {
                self.rows(outage, &tools);
            }
            if !self.args.no_gates {
                self.gates(outage, &tools);
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let stopped = self.stop.load(Ordering::Relaxed);
        let good = |row: &Row| row.word() != Word::Void;
        let sound =
            self.sheet.rows.iter().all(good) && self.sheet.gates.iter().all(|gate| gate.holds());
        let nothing = self.sheet.rows.is_empty() && self.sheet.gates.is_empty();
        sheet::finish(self.args, self.sheet, self.python)?;
        if stopped {
            beside("it was stopped; what had ended by then counts");
        }
        Ok(match (nothing || stopped || self.short.get(), sound) {
            (true, _) => ExitCode::from(COULD_NOT),
            (false, false) => ExitCode::from(FOUND),
            (false, true) => ExitCode::SUCCESS,
        })
    }

    fn rows(&mut self, outage: &Outage, tools: &Tools) {
        let lacks =
            (outage.scenario.services.iter()).find_map(|service| tools.lacks(&service.command));
        if let Some(why) = lacks {
            self.absent(&format!("{}: {why}", outage.name));
            return;
        }
        let columns = self.columns.clone();
        for column in &columns {
            let there = match column {
                Column::Own => outage.scenario.has(column),
                Column::Pooler(_) => templates::template(outage, column).is_some(),
            };
            if !there || self.stop.load(Ordering::Relaxed) {
                continue;
            }
            match self.row(outage, column, tools) {
                Ok(row) if self.stop.load(Ordering::Relaxed) => drop(row),
                Ok(row) => {
                    beside(&format!("  {:14} {}", column.title(), text(&row)));
                    self.sheet.rows.push(row);
                }
                Err(error) => self.absent(&format!(
                    "{} with {}: {error:#}",
                    outage.name,
                    column.label()
                )),
            }
        }
    }

    fn row(&self, outage: &Outage, column: &Column, tools: &Tools) -> anyhow::Result<Row> {
        let command = match column {
            Column::Own => None,
            _ if column.is_plimsoll() => {
                let own = std::env::current_exe().context("cannot find this program")?;
                Some(format!("{} run", own.display()))
            }
            Column::Pooler(name) => {
                let given = self.args.poolers.iter().find(|(known, _)| known == name);
                let command = given.map_or(name.clone(), |(_, command)| command.clone());
                let program = command.split_whitespace().next().unwrap_or_default();
                if tools::program(program).is_none() {
                    bail!("{program} is not installed");
                }
                Some(command)
            }
        };
        let terminal = std::io::stderr().is_terminal() && Colour::Auto.wanted(true);
        let lasts = outage.scenario.lasts.as_secs_f64();
        let told = |now: f64, samples: &[Sample]| {
            if terminal {
                let now_s = now.max(1.0);
                let figures = Figures::of(samples, outage.scenario.steady, (now_s - 2.0).max(0.0));
                let failing = figures.failed_share() * 100.0;
                eprint_line(&format!(
                    "\r\u{1b}[K  {:14} {now:3.0} of {lasts:.0} s, failing now {failing:.0} %",
                    column.title()
                ));
            }
        };
        let row = Play {
            outage,
            column,
            pooler: command.as_deref(),
            tools,
            logs: self.args.logs.as_deref(),
            stop: &self.stop,
            progress: &told,
        }
        .run();
        if terminal {
            eprint_line("\r\u{1b}[K");
        }
        row
    }

    fn gates(&mut self, outage: &Outage, tools: &Tools) {
        let commands = outage
            .scenario
            .gates
            .iter()
            .flat_map(|gate| [&gate.command, &gate.mended]);
        if let Some(why) = commands.filter_map(|words| tools.lacks(words)).next() {
            self.absent(&format!("gates of {}: {why}", outage.name));
            return;
        }
        match gates::tried(outage, tools, self.args.logs.as_deref(), &self.stop) {
            Ok(gated) => {
                for gate in &gated {
                    let holds = if gate.holds() {
                        "stops it"
                    } else {
                        "DOES NOT STOP IT"
                    };
                    let code = |code: Option<i32>| code.map_or("no end".into(), |c| c.to_string());
                    let (broken, mended) = (code(gate.broken), code(gate.mended));
                    let codes = format!("exit codes: broken {broken}, mended {mended}");
                    beside(&format!("  {:14} {}: {holds} ({codes})", "CI", gate.gate));
                }
                self.sheet.gates.extend(gated);
            }
            Err(error) => self.absent(&format!("gates of {}: {error:#}", outage.name)),
        }
    }

    /// Something did not run, and it is said why.
    fn absent(&mut self, what: &str) {
        beside(&format!("  not run: {what}"));
        self.short.set(true);
        self.sheet.absent.push(what.to_owned());
    }
}

fn columns(args: &LabArgs) -> anyhow::Result<Vec<Column>> {
    let known = [Column::Own.label(), Column::PGBOUNCER].into_iter();
    let known = known.chain(args.poolers.iter().map(|(name, _)| name.as_str()));
    let mut all: Vec<String> = known.chain([Column::PLIMSOLL]).map(str::to_owned).collect();
    all.dedup();
    if let Some(other) = args.with.iter().find(|name| !all.contains(name)) {
        bail!(
            "there is no column {other}; there are {} (more: --pooler)",
            all.join(", ")
        );
    }
    all.retain(|name| args.with.is_empty() || args.with.contains(name));
    Ok(all.into_iter().map(Column::from).collect())
}

/// Where packages are kept.
fn place(args: &LabArgs) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.tools {
        return Ok(std::path::absolute(dir)?);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.filter(|dir| dir.is_absolute()).or_else(home);
    Ok(cache
        .unwrap_or_else(std::env::temp_dir)
        .join("plimsoll-lab"))
}

/// A line beside the result.
fn beside(line: &str) {
    eprint_line(&format!("{line}\n"));
}

fn eprint_line(text: &str) {
    use std::io::Write;
    // Nobody who closed it wants to know more.
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}
