//! A program of the lab: in a group of its own, with a log, and gone when we are.

use super::keeper::Keeper;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is asked to end may take so long before it is killed.
const GRACE: Duration = Duration::from_secs(6);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of a log in an error.
const TAIL_LINES: usize = 12;

/// A running program, and how to start it again.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    command: Command,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// A program that writes to `log`.
    pub(super) fn new(name: &str, mut command: Command, log: PathBuf) -> Process {
        command.process_group(0);
        Process {
            name: name.to_owned(),
            command,
            log,
            child: None,
        }
    }

    pub(super) fn start(&mut self, keeper: &mut Keeper) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let other = log.try_clone()?;
        self.command.stdin(Stdio::null()).stdout(log).stderr(other);
        let child = (self.command.spawn()).with_context(|| {
            let program = self.command.get_program().to_string_lossy();
            format!("{}: cannot run {program}", self.name)
        })?;
        keeper.watch(child.id());
        self.child = Some(child);
        Ok(())
    }

    /// Runs it to its end. `None`: it took longer than `most`, or a person wants an end; then
    /// nothing of it is left either.
    pub(super) fn run_out(
        mut self,
        most: Duration,
        stop: &AtomicBool,
        keeper: &mut Keeper,
    ) -> anyhow::Result<Option<ExitStatus>> {
        self.start(keeper)?;
        let until = Instant::now() + most;
        let mut ended = None;
        while ended.is_none() && Instant::now() < until && !stop.load(Ordering::Relaxed) {
            ended = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten();
            std::thread::sleep(LOOK);
        }
        self.stop(keeper);
        Ok(ended)
    }

    /// SIGTERM to the group, then SIGKILL for what is left.
    pub(super) fn stop(&mut self, keeper: &mut Keeper) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let group = Pid::from_child(&child);
        // The first process passes it on to its own, in the order in which it wants them to end.
        kill_process(group, Signal::TERM).ok();
        let until = Instant::now() + GRACE;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        kill_process_group(group, Signal::KILL).ok();
        child.wait().ok();
        let until = Instant::now() + GRACE;
        while test_kill_process_group(group).is_ok() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        keeper.gone(child.id());
    }

    /// SIGHUP to its first process.
    pub(super) fn reload(&mut self) -> anyhow::Result<()> {
        self.alive()?;
        let Some(child) = &self.child else {
            bail!("{} does not run", self.name);
        };
        kill_process(Pid::from_child(child), Signal::HUP)?;
        Ok(())
    }

    /// An error with the end of its log once it has ended by itself.
    pub(super) fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => {
                bail!("{} ended ({status}):\n{}", self.name, tail(&self.log));
            }
            _ => Ok(()),
        }
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let shown = lines.get(from..).unwrap_or_default().iter();
    let shown: Vec<String> = shown
        .map(|line| format!("    {}", diagnose::clean(line)))
        .collect();
    shown.join("\n")
}
