//! `plimsoll check`: would these settings take the site down?

mod live;
mod walk;

pub(super) use live::{explained, label};

use super::print;
use crate::cli::{CheckArgs, CheckFormat, Colour, FailOn};
use ::check::render::{self, Style};
use ::check::{Options, RULES, Report, Severity};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Found what would hurt.
const FINDINGS: u8 = 1;
/// Could not run: 2, as for wrong use of the command line.
const COULD_NOT: u8 = 2;

/// Reads the files, and says what is wrong in them.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.rules {
        print(&rules(args.format))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut files = match walk::files(&args.files) {
        Ok(files) => files,
        Err(error) => return Ok(could_not(&format!("{error:#}"))),
    };
    if let Some(url) = &args.database {
        match live::ask(url.reveal()) {
            Ok(mut live) => {
                // Who says how many others there are knows better than a moment's look.
                if args.others > 0 {
                    live.others = 0;
                }
                files.add_live(live);
            }
            Err(error) => return Ok(could_not(&format!("{error:#}"))),
        }
    }
    if files.is_empty() && args.none_ok {
        return Ok(ExitCode::SUCCESS);
    }
    if files.is_empty() {
        return Ok(could_not(
            "no settings file was found there: name one, or a directory that holds some",
        ));
    }
    let mut options = Options {
        max_connections: args.max_connections,
        others: args.others,
        demand: args.demand,
        before: None,
    };
    if !args.before.is_empty() {
        match walk::files(&args.before) {
            Ok(before) => {
                options.before = Some(::check::check(&before, &Options::default()).facts().clone());
            }
            Err(error) => return Ok(could_not(&format!("{error:#}"))),
        }
    }
    let report = ::check::check(&files, &options);
    print(&shown(&report, args))?;
    Ok(ExitCode::from(verdict(&report, args.fail_on)))
}

fn verdict(report: &Report, fail_on: FailOn) -> u8 {
    let bound = match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Note => Severity::Note,
    };
    match report.worst() {
        Some(worst) if worst >= bound => FINDINGS,
        _ => 0,
    }
}

fn shown(report: &Report, args: &CheckArgs) -> String {
    match args.format {
        CheckFormat::Text => render::text(report, style(args.colour)),
        CheckFormat::Json => render::json(report),
        CheckFormat::Sarif => render::sarif(report),
        CheckFormat::Github => render::github(report),
    }
}

fn style(colour: Colour) -> Style {
    match colour.wanted(std::io::stdout().is_terminal()) {
        true => Style::Colour,
        false => Style::Plain,
    }
}

fn rules(format: CheckFormat) -> String {
    let mut out = String::new();
    if format == CheckFormat::Json {
        let all: Vec<String> = RULES
            .iter()
            .map(|r| {
                format!(
                    "{{\"id\":\"{}\",\"severity\":\"{}\",\"title\":\"{}\"}}",
                    r.id,
                    r.severity.label(),
                    r.title
                )
            })
            .collect();
        return format!("[{}]\n", all.join(","));
    }
    for rule in RULES {
        out.push_str(&format!(
            "{:<26} {:<8} {}\n",
            rule.id,
            rule.severity.label(),
            rule.title
        ));
    }
    out
}

#[expect(clippy::print_stderr, reason = "a person or a CI log reads it")]
fn could_not(why: &str) -> ExitCode {
    eprintln!("plimsoll check: {why}");
    ExitCode::from(COULD_NOT)
}
