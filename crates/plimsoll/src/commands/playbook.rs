//! `plimsoll playbook`: what to do, with this installation's names.

use super::print;
use super::settings::pooler;
use crate::cli::{LogFormat, PlaybookArgs};
use diagnose::playbook::{Chapter, Context, Page, chapters, find, markdown, text};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Shows the chapter that fits, or what there is.
pub fn run(args: &PlaybookArgs) -> anyhow::Result<ExitCode> {
    let symptom = args.symptom.join(" ");
    if symptom.trim().is_empty() {
        return contents(args.pooler.format);
    }
    let found = find(&symptom);
    let Some((first, others)) = found.split_first() else {
        tell(
            "No chapter fits these words. plimsoll diagnose asks the figures; these chapters are there:",
        );
        contents(args.pooler.format)?;
        return Ok(ExitCode::FAILURE);
    };
    let page = Page::of(first, &context(args));
    match (args.pooler.format, args.markdown) {
        (LogFormat::Json, _) => print(&format!("{}\n", serde_json::to_string(&page)?))?,
        (LogFormat::Text, true) => print(&markdown(&page))?,
        (LogFormat::Text, false) => {
            let more: Vec<&str> = others.iter().map(|c| c.label).collect();
            let more = match more.is_empty() {
                true => String::new(),
                false => format!("These words may also mean: {}\n", more.join(", ")),
            };
            print(&(text(&page) + &more))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The running pooler's names and values; placeholders where none answers.
fn context(args: &PlaybookArgs) -> Context {
    let asked =
        pooler(&args.pooler).and_then(|client| Ok(client.get::<Context>("/v1/playbook/context")?));
    match asked {
        Ok(context) => context,
        Err(error) => {
            if std::io::stderr().is_terminal() {
                tell(&format!("{error:#}"));
            }
            Context::default()
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "beside the steps, which go to standard output"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn contents(format: LogFormat) -> anyhow::Result<ExitCode> {
    let all: Vec<&Chapter> = chapters().collect();
    match format {
        LogFormat::Json => {
            let labels: Vec<&str> = all.iter().map(|c| c.label).collect();
            print(&format!("{}\n", serde_json::to_string(&labels)?))?;
        }
        LogFormat::Text => {
            let lines = all
                .iter()
                .map(|c| format!("  {:<32}{}\n", c.label, c.title));
            let lines: String = lines.collect();
            print(&format!(
                "plimsoll playbook NAME, or a symptom in your words\n\n{lines}"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
