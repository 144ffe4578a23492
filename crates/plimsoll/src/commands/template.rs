//! `plimsoll template KIND`: client settings with sane limits.

use super::print;
use crate::cli::TemplateArgs;
use ::check::{Numbers, TEMPLATES, Template};
use anyhow::bail;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Prints a template, or the list of them.
pub fn run(args: &TemplateArgs) -> anyhow::Result<ExitCode> {
    let Some(kind) = &args.kind else {
        let mut list = String::new();
        for t in TEMPLATES {
            let _ = writeln!(list, "{:<12} {:<24} {}", t.kind, t.file, t.about);
        }
        print(&list)?;
        return Ok(ExitCode::SUCCESS);
    };
    let Some(template) = Template::of(kind) else {
        let kinds: Vec<&str> = TEMPLATES.iter().map(|t| t.kind).collect();
        bail!(
            "there is no template `{kind}`; there are {}",
            kinds.join(", ")
        );
    };
    let usual = Numbers::default();
    let max = args.max_connections.unwrap_or(usual.max_connections);
    // Less what PostgreSQL keeps for superusers, and room for people and migrations.
    let line = max
        .saturating_sub(3)
        .saturating_sub((max / 6).max(5))
        .max(1);
    let size = args.size.unwrap_or(usual.size.min(line));
    if size > line {
        bail!(
            "{size} connections do not fit a server with max_connections = {max}: at most {line}"
        );
    }
    print(&template.filled(&Numbers {
        size,
        line,
        max_connections: max,
    }))?;
    Ok(ExitCode::SUCCESS)
}
