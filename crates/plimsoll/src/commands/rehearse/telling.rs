//! What a person sees while a rehearsal runs, and before one.

use super::style;
use crate::cli::RehearseArgs;
use rehearse::drive::Glance;
use rehearse::measured::Tally;
use rehearse::progress::{Progress, line};
use rehearse::report::Style;
use rehearse::scenario::Scenario;
use rehearse::threshold::Measured;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Columns where the terminal does not say.
const COLUMNS: usize = 100;
/// Without a terminal one line is written this often, as for the log of a build.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Progress on standard error.
pub(super) struct Telling {
    terminal: bool,
    quiet: bool,
    style: Style,
    /// When the next line of a log is due.
    next: Duration,
}

impl Telling {
    pub(super) fn of(args: &RehearseArgs) -> Telling {
        let terminal = std::io::stderr().is_terminal();
        Telling {
            terminal,
            quiet: args.quiet,
            style: style(args, terminal),
            next: LOG_EVERY,
        }
    }

    /// One look.
    pub(super) fn tell(&mut self, glance: &Glance<'_>) {
        if self.quiet || (!self.terminal && glance.elapsed < self.next) {
            return;
        }
        self.next = glance.elapsed + LOG_EVERY;
        let at = Progress {
            elapsed: glance.elapsed,
            planned: glance.planned,
            second: glance.second,
            failed: Tally::errors(glance.all),
            lag_p99_us: glance.lag_p99_us,
        };
        let mut err = std::io::stderr().lock();
        // Who closed standard error wants no progress.
        let _ = match self.terminal {
            true => write!(err, "\r\u{1b}[2K{}", line(&at, columns(), self.style)),
            false => writeln!(err, "{}", line(&at, COLUMNS, self.style)),
        };
        let _ = err.flush();
    }

    /// The line makes room for what comes.
    pub(super) fn end(&self) {
        if self.terminal && !self.quiet {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[2K");
        }
    }
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    // The last column stays free: some terminals break the line there.
    size.map_or(COLUMNS, |size| {
        usize::from(size.ws_col).saturating_sub(1).max(20)
    })
}

/// What would be sent.
pub(super) fn dry(scenario: &Scenario) -> String {
    let lasts = scenario.lasts().as_secs_f64();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:.0} requests in {lasts:.0} s, through {} connections, seed {}",
        scenario.expected(),
        scenario.connections,
        scenario.seed
    );
    for phase in &scenario.phases {
        let spans = phase.lasts.as_secs_f64();
        let _ = match phase.from == phase.to {
            true => writeln!(out, "  {:.1}/s for {spans:.1} s", phase.from),
            false => writeln!(
                out,
                "  from {:.1}/s to {:.1}/s in {spans:.1} s",
                phase.from, phase.to
            ),
        };
    }
    if let Some(captured) = &scenario.captured {
        let times = captured.scale;
        let _ = writeln!(out, "  as they were captured, at {times} times the rate");
    }
    let all: u32 = scenario.classes.iter().map(|class| class.weight).sum();
    for class in &scenario.classes {
        let share = f64::from(class.weight) * 100.0 / f64::from(all.max(1));
        let _ = writeln!(
            out,
            "  {share:.1} % {} ({})",
            class.script.name,
            match class.stand_in {
                true => "holds a connection as long as captured".to_owned(),
                false => format!("{} steps", class.script.steps.len()),
            }
        );
    }
    for threshold in &scenario.thresholds {
        let _ = writeln!(out, "  must hold: {}", threshold.text);
    }
    out
}
