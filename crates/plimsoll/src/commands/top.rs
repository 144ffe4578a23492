//! `plimsoll top`: the live page in a terminal.
//!
//! ```text
//!   keys, signals ─┐                       ┌─ draw ─► terminal
//!                  ├─► model (decides) ────┤
//!   pooler's API ──┘   state + input       └─ effects ─► link (asks, acts)
//! ```
//!
//! `model` and `draw` know no terminal, no socket and no clock. The one invariant:
//! nothing is done to a client or a pool before a question that names it was
//! answered with y.

mod deed;
mod draw;
mod history;
mod keys;
mod kinds;
mod link;
mod model;
mod once;
mod paper;
mod rows;
mod screen;
mod text;

#[cfg(test)]
mod golden;

use super::settings::{actor, pooler};
use crate::cli::{LogFormat, TopArgs, TopView};
use anyhow::bail;
use model::{Start, View};
use paper::Look;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Rows of the help that `--help` shows.
pub fn keys_help() -> String {
    let rows = keys::help().map(|(keys, text)| format!("  {keys:<10} {text}\n"));
    rows.collect()
}

/// Shows it, or prints one frame of it.
pub fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let start = start(args)?;
    let client = pooler(&args.pooler)?;
    if args.pooler.format == LogFormat::Json {
        return once::json(&client, &start);
    }
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if args.once {
        return once::text(&client, &start, look());
    }
    if !terminal || dumb {
        let why = match terminal {
            true => "this terminal (TERM=dumb) cannot be drawn on",
            false => "this is no terminal",
        };
        once::hint(&format!("{why}: here is one frame, as with --once"));
        return once::text(&client, &start, look());
    }
    screen::run(&client, actor(), &start, look())?;
    Ok(ExitCode::SUCCESS)
}

fn view_of(view: TopView) -> View {
    match view {
        TopView::Overview => View::Overview,
        TopView::Pools => View::Pools,
        TopView::Leases => View::Leases,
        TopView::Budget => View::Budget,
        TopView::Alerts => View::Alerts,
    }
}

fn start(args: &TopArgs) -> anyhow::Result<Start> {
    let view = args.view.map_or(View::Overview, view_of);
    if let Some(sort) = &args.sort {
        let known = |view: View| model::sorts(view).contains(&sort.as_str());
        if !View::ALL.into_iter().any(known) {
            bail!(
                "--sort: pools go by {}; leases by {}",
                rows::POOL_SORTS.join(", "),
                rows::LEASE_SORTS.join(", ")
            );
        }
    }
    Ok(Start {
        at_ms: args.at,
        view,
        sort: args.sort.clone(),
        filter: args.filter.clone().unwrap_or_default(),
        pace: args.interval,
    })
}

/// What the terminal can do, by its environment.
fn look() -> Look {
    let named = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
    let terminal = std::io::stdout().is_terminal();
    let dumb = named("TERM").is_some_and(|term| term == "dumb");
    Look {
        colour: terminal && !dumb && named("NO_COLOR").is_none(),
        unicode: is_unicode(named("LC_ALL").or(named("LC_CTYPE")).or(named("LANG"))),
    }
}

/// The first of the three variables that is set counts, as in every program.
fn is_unicode(locale: Option<String>) -> bool {
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_beyond_ascii_need_a_locale_that_has_them() {
        let table = [
            (Some("en_GB.UTF-8"), true),
            (Some("C.utf8"), true),
            (Some("C"), false),
            (Some("POSIX"), false),
            (Some("de_DE.ISO-8859-1"), false),
            (None, false),
        ];
        for (locale, unicode) in table {
            assert_eq!(is_unicode(locale.map(str::to_owned)), unicode, "{locale:?}");
        }
    }
}
