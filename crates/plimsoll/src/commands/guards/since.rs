//! `plimsoll guards --since 7d`: what a time of watching comes to.
//!
//! It reads the state directory, so it needs no running pooler.

use super::super::run::{load, usual_state};
use crate::cli::{GuardsArgs, LogFormat};
use anyhow::{Context, bail};
use config::Overrides;
use control::measure::{GuardTrial, Trial, Worst, shown, trial};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Rows of whom a guard met that people are shown; JSON has all.
const WHO_MAX: usize = 8;

/// Prints the summary.
pub(super) fn run(args: &GuardsArgs, since: Duration) -> anyhow::Result<ExitCode> {
    let directory = directory(args)?;
    let until = control::measure::now_ms();
    let span = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let found = trial(&directory, until.saturating_sub(span), until).with_context(|| {
        format!(
            "no history of measures in {}: was the pooler run with --state, or STATE_DIRECTORY?",
            directory.display()
        )
    })?;
    match args.reach.format {
        LogFormat::Text => super::super::print(&text(&found))?,
        LogFormat::Json => {
            let json = serde_json::to_string(&found).context("the summary is no JSON")?;
            super::super::print(&format!("{json}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the pooler keeps what it measured.
fn directory(args: &GuardsArgs) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &args.watched.state {
        return Ok(directory.clone());
    }
    if let Some(file) = &args.reach.file {
        let plan = load(file, &Overrides::default(), &proxy::Disk::default())
            .map_err(|errors| anyhow::anyhow!("{}", errors.render()))?;
        if let Some(directory) = plan.keeping.directory {
            return Ok(directory);
        }
    }
    match usual_state() {
        Some(directory) => Ok(directory),
        None => bail!("where is the state directory of the pooler? Name it with --state DIR"),
    }
}

fn text(trial: &Trial) -> String {
    let mut out = String::new();
    let asked = trial.until_ms.saturating_sub(trial.from_ms);
    let asked = u64::try_from(asked).unwrap_or(0);
    let _ = writeln!(
        out,
        "The {} to {}: measured for {}, {} transactions, {} of the pooler",
        long(asked),
        utc(trial.until_ms),
        long(trial.seen_ms),
        trial.transactions,
        counted(trial.starts, "start")
    );
    out.push('\n');
    let header = ["guard", "now", "done", "would have", "needless", "verdict"];
    let mut rows = vec![header.map(str::to_owned)];
    for g in &trial.guards {
        let mode = if g.mode.is_empty() { "?" } else { &g.mode };
        rows.push([
            g.guard.clone(),
            mode.to_owned(),
            g.done.to_string(),
            g.would.to_string(),
            g.needless.to_string(),
            g.verdict.to_owned(),
        ]);
    }
    for row in &rows {
        let cells = row.iter().enumerate().map(|(n, cell)| {
            let width = rows.iter().map(|r| r[n].len()).max().unwrap_or(0);
            format!("{cell:<width$}")
        });
        let line: Vec<String> = cells.collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
    for guard in &trial.guards {
        told(guard, &mut out);
    }
    servers(trial, &mut out);
    out
}

fn told(guard: &GuardTrial, out: &mut String) {
    let _ = writeln!(out, "\n{}: {}", guard.guard, guard.advice);
    if let Some(worst) = &guard.worst {
        let _ = writeln!(out, "  most: {}", moment(worst));
    }
    for row in guard.who.iter().take(WHO_MAX) {
        let mut parts = Vec::new();
        for (n, word) in [
            (row.done, "done"),
            (row.would, "would have"),
            (row.kept, "kept within the share"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {word}"));
            }
        }
        let why = match &*row.why {
            "" => String::new(),
            why => format!(" for {}", why.replace('_', " ")),
        };
        let _ = writeln!(out, "  {}{why}: {}", shown(row), parts.join(", "));
    }
    if guard.who.len() > WHO_MAX {
        let _ = writeln!(
            out,
            "  and {} more: --format json",
            guard.who.len() - WHO_MAX
        );
    }
}

fn servers(trial: &Trial, out: &mut String) {
    if trial.servers.is_empty() {
        return;
    }
    out.push_str("\nThe budget always holds; it is no guard:\n");
    for server in &trial.servers {
        let _ = write!(
            out,
            "  {}: line {} ({}), most used {}",
            server.upstream, server.line, server.state, server.used_most
        );
        let _ = match &server.worst {
            Some(worst) => writeln!(
                out,
                "; clients waited at the line for {}, most in the {} to {}",
                long(server.held_ms),
                long(worst.span_ms),
                utc(worst.at_ms)
            ),
            None => writeln!(out, "; nobody waited because of it"),
        };
    }
}

fn moment(worst: &Worst) -> String {
    let span = long(worst.span_ms);
    format!("{} in the {span} to {}", worst.times, utc(worst.at_ms))
}

fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// A time in its largest units: `6 d 4 h`, `10 min`.
fn long(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    let (d, h, m, s) = (
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    match (d, h, m, s) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (1, 0, _, _) => "day".to_owned(),
        (d, 0, _, _) => format!("{d} days"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

fn utc(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::measure::ServerTrial;
    use events::sample::GuardedSample;

    fn guard(name: &str, would: u64, verdict: &'static str) -> GuardTrial {
        GuardTrial {
            guard: name.to_owned(),
            mode: "observe".to_owned(),
            would,
            verdict,
            advice: "Do this.".to_owned(),
            ..GuardTrial::default()
        }
    }

    #[test]
    fn a_week_is_told_in_words() {
        let week = Trial {
            from_ms: 1_700_000_000_000 - 604_800_000,
            until_ms: 1_700_000_000_000,
            seen_ms: 600_000_000,
            starts: 2,
            transactions: 12_345,
            guards: vec![
                guard("shed", 0, "safe"),
                GuardTrial {
                    worst: Some(Worst {
                        at_ms: 1_699_999_200_000,
                        span_ms: 600_000,
                        times: 9,
                    }),
                    who: vec![GuardedSample {
                        guard: "pin".into(),
                        database: "shop".into(),
                        user: "app".into(),
                        application: "web".into(),
                        why: "advisory_lock".into(),
                        would: 12,
                        kept: 3,
                        done: 0,
                    }],
                    ..guard("pin", 12, "mend first")
                },
            ],
            servers: vec![ServerTrial {
                upstream: "db:5432".to_owned(),
                line: 90,
                state: "known".to_owned(),
                used_most: 41,
                ..ServerTrial::default()
            }],
        };
        assert_eq!(
            text(&week),
            "The 7 days to 2023-11-14 22:13 UTC: measured for 6 d 22 h, 12345 transactions, 2 starts of the pooler\n\n\
             guard  now      done  would have  needless  verdict\n\
             shed   observe  0     0           0         safe\n\
             pin    observe  0     12          0         mend first\n\n\
             shed: Do this.\n\n\
             pin: Do this.\n  \
               most: 9 in the 10 min to 2023-11-14 22:00 UTC\n  \
               web (shop as app) for advisory lock: 12 would have, 3 kept within the share\n\n\
             The budget always holds; it is no guard:\n  \
               db:5432: line 90 (known), most used 41; nobody waited because of it\n"
        );
    }

    #[test]
    fn times_are_short() {
        for (ms, said) in [
            (1, "1 s"),
            (60_000, "1 min"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (5_400_000, "1 h 30 min"),
            (86_400_000, "day"),
            (90_000_000, "1 d 1 h"),
            (604_800_000, "7 days"),
        ] {
            assert_eq!(long(ms), said);
        }
    }
}
