//! `plimsoll rehearse` of captured statements: session by session, as they were sent.

use super::target::{Names, Target};
use super::telling::Telling;
use super::{COULD_NOT, now_unix_s, report, stop_at_a_signal, try_reports};
use crate::cli::RehearseArgs;
use anyhow::{Context, anyhow, bail};
use rehearse::drive::recorded::{LEAD, Recording, play};
use rehearse::drive::{Glance, Go};
use rehearse::measured::Run;
use rehearse::replay::SCALE_MAX;
use rehearse::report::Rehearsal;
use rehearse::statements::{Step, Steps, Survey, is_statements};
use rehearse::threshold::{Measured, Threshold};
use rehearse::verdict::{Verdict, lost};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Most sessions at a time where nothing is said, and at all.
const OPEN_MAX: u32 = 1_000;
const OPEN_LIMIT: u32 = 10_000;
/// What a statement may take where nothing is said: some took long when they were captured.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Steps that are read ahead.
const AHEAD: usize = 512;
/// Classes that are listed of what would be sent.
const CLASSES_TOLD: usize = 40;

/// Whether a file is one of captured statements.
pub(super) fn is_one(path: &Path) -> bool {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut begin));
    read.is_ok() && is_statements(&begin)
}

/// Plays it.
pub(super) fn rehearse(args: &RehearseArgs, path: &Path) -> anyhow::Result<ExitCode> {
    let play = Play::of(args)?;
    let survey = Survey::of(open(path)?).map_err(|error| wrong(path, &error))?;
    if args.dry_run {
        super::super::print(&dry(&survey, &play))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.on.is_none() {
        bail!(
            "statements write what they wrote when they were captured: name the copy of the \
             database that they may write to, with --on"
        );
    }
    try_reports(args)?;
    let stop = stop_at_a_signal()?;
    let names = Names {
        database: args.dbname.clone(),
        user: args.user.clone(),
    };
    let target = Target::of(args.on.as_ref(), &names)?;
    let run = play.run(args, path, Arc::new(survey), &target, &stop)?;
    let verdict = Verdict::of(&run, &play.thresholds);
    let rehearsal = Rehearsal::Single { run, verdict };
    Ok(ExitCode::from(match report(args, &rehearsal)? {
        true => rehearsal.outcome().exit_code(),
        false => COULD_NOT,
    }))
}

/// How a file is played.
struct Play {
    scale: f64,
    open_max: u32,
    timeout: Duration,
    thresholds: Vec<Threshold>,
}

impl Play {
    /// What is said of it; what it cannot be told is refused.
    fn of(args: &RehearseArgs) -> anyhow::Result<Play> {
        for (said, flag) in [
            (!args.scripts.is_empty(), "-f"),
            (args.rate.is_some(), "--rate"),
            (args.lasts.is_some(), "--for"),
            (args.protocol.is_some(), "--protocol"),
            (!args.variables.is_empty(), "--define"),
            (args.versus.is_some(), "--versus"),
            (args.find_limit, "--find-limit"),
        ] {
            if said {
                bail!("{flag} does not go with captured statements: they are sent as they were");
            }
        }
        let scale = args.scale.unwrap_or(1.0);
        if !(0.01..=SCALE_MAX).contains(&scale) {
            bail!("--scale: from 0.01 to {SCALE_MAX:.0} times as fast");
        }
        let open_max = args.connections.unwrap_or(OPEN_MAX);
        if !(1..=OPEN_LIMIT).contains(&open_max) {
            bail!("--connections: between 1 and {OPEN_LIMIT}");
        }
        let timeout = match &args.timeout {
            None => TIMEOUT,
            Some(text) => config::parse_duration(text)
                .filter(|span| !span.is_zero())
                .context("--timeout: write a number and a unit, as 30s")?,
        };
        let thresholds = args.threshold.iter().map(|text| Threshold::parse(text));
        let thresholds: Result<Vec<_>, _> = thresholds.collect();
        Ok(Play {
            scale,
            open_max,
            timeout,
            thresholds: thresholds.map_err(|error| anyhow!("--threshold: {error}"))?,
        })
    }

    fn run(
        &self,
        args: &RehearseArgs,
        path: &Path,
        survey: Arc<Survey>,
        target: &Target,
        stop: &AtomicBool,
    ) -> anyhow::Result<Run> {
        let database = database(&survey, &target.database)?;
        let open = survey.open_max(database.as_deref(), self.scale, LEAD);
        if open > self.open_max as usize {
            bail!(
                "{open} sessions were there at a time, each on a connection of its own, and \
                 {} may be: say more with --connections",
                self.open_max
            );
        }
        let sessions = survey.of_database(database.as_deref());
        let sessions = sessions.map(|(session, span)| (session, span.from.div_f64(self.scale)));
        let recording = Recording {
            target: target.label.clone(),
            began_unix_s: now_unix_s(),
            classes: survey.classes.iter().map(|c| c.name.clone()).collect(),
            sessions: sessions.collect(),
            open_max: u32::try_from(open).unwrap_or(self.open_max),
            timeout: self.timeout,
            planned: survey.lasts.div_f64(self.scale),
        };
        let expected = survey.requests() as f64;
        let mut steps = ahead(path, survey, database, self.scale)?;
        let mut telling = Telling::of(args);
        let mut watch = |glance: &Glance<'_>| {
            telling.tell(glance);
            if stop.load(Ordering::Relaxed) {
                return Go::Stop;
            }
            if !args.abort_on_fail {
                return Go::On;
            }
            let (due, failed) = (glance.all.due, glance.all.errors());
            lost(&self.thresholds, due, failed, expected).map_or(Go::On, Go::Abort)
        };
        let run = play(recording, &mut steps, &target.connector, &mut watch);
        telling.end();
        run.map_err(|error| anyhow!("{}: {error}", target.label))
    }
}

/// Of a file with several databases those sessions are played that are for the target's.
fn database(survey: &Survey, wanted: &str) -> anyhow::Result<Option<String>> {
    match (
        survey.databases.len(),
        survey.databases.contains_key(wanted),
    ) {
        (0 | 1, _) => Ok(None),
        (_, true) => Ok(Some(wanted.to_owned())),
        (_, false) => {
            let names: Vec<&str> = survey.databases.keys().map(String::as_str).collect();
            bail!(
                "sessions of several databases were captured ({}), and the target's is \
                 {wanted}: play them one by one, each on a copy of its name",
                names.join(", ")
            )
        }
    }
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow!("{}: {error}", path.display())
}

/// Reads steps on a thread, so that no disk holds the generator up.
fn ahead(
    path: &Path,
    survey: Arc<Survey>,
    database: Option<String>,
    scale: f64,
) -> anyhow::Result<Ahead> {
    let steps = Steps::new(open(path)?, survey, database, scale);
    let mut steps = steps.map_err(|error| wrong(path, &error))?;
    let (put, taken) = sync_channel(AHEAD);
    std::thread::Builder::new()
        .name("rehearse-read".to_owned())
        .spawn(move || {
            loop {
                let (step, last) = match steps.next() {
                    Ok(Some(step)) => (Ok(step), false),
                    Ok(None) => return,
                    Err(error) => (Err(error.to_string()), true),
                };
                if put.send(step).is_err() || last {
                    return;
                }
            }
        })?;
    Ok(Ahead(taken))
}

struct Ahead(Receiver<Result<Step, String>>);

impl Iterator for Ahead {
    type Item = Result<Step, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.recv().ok()
    }
}

/// What would be sent.
fn dry(survey: &Survey, play: &Play) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} requests of {} sessions in {:.1} s, as they were captured; at most {} at a time",
        survey.requests(),
        survey.sessions.len(),
        survey.lasts.div_f64(play.scale).as_secs_f64(),
        survey.open_max(None, play.scale, LEAD)
    );
    for (database, sessions) in &survey.databases {
        let _ = writeln!(out, "  database {database}: {sessions} sessions");
    }
    let left_out: u32 = survey.end.left_out.values().sum();
    if left_out + survey.end.untaken > 0 {
        let _ = writeln!(
            out,
            "  {left_out} sessions were left out of the capture, {} clients not taken",
            survey.end.untaken
        );
    }
    let mut classes: Vec<_> = survey.classes.iter().collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.requests));
    let all = survey.requests().max(1) as f64;
    for class in classes.iter().take(CLASSES_TOLD) {
        let share = class.requests as f64 * 100.0 / all;
        let _ = writeln!(out, "  {share:.1} % {}  {}", class.name, class.text);
    }
    for threshold in &play.thresholds {
        let _ = writeln!(out, "  must hold: {}", threshold.text);
    }
    out
}
