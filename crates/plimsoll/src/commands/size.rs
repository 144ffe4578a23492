//! `plimsoll size`: how many connections, with the reasoning.

use super::print;
use crate::cli::{LogFormat, SizeArgs};
use ::check::size::{Need, Sizing, size};
use anyhow::Context as _;
use events::shape::{Demand, ServerShape, Shape};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// It does not fit the server.
const DOES_NOT_FIT: u8 = 1;

/// Computes, and says why.
pub fn run(args: &SizeArgs) -> anyhow::Result<ExitCode> {
    let seen = args.shape.as_deref().map(busiest).transpose()?;
    let sizing = size(&Need {
        rate: args.rate.or(seen.map(|s| s.rate)).unwrap_or(0.0),
        hold: args.hold.or(seen.map(|s| s.hold)).unwrap_or_default(),
        spread: args.spread.or(seen.map(|s| s.spread)).unwrap_or(1.0),
        wait: args.wait,
        processes: args.processes,
        surge: args.surge,
        growth: args.growth,
        max_connections: args.max_connections,
        others: args.others,
        cores: args.cores,
    });
    print(&match args.format {
        LogFormat::Text => text(&sizing),
        LogFormat::Json => json(&sizing),
    })?;
    let fits = sizing.usable.is_none_or(|usable| sizing.shared <= usable);
    Ok(ExitCode::from(if fits { 0 } else { DOES_NOT_FIT }))
}

/// The busiest recorded time.
fn busiest(file: &Path) -> anyhow::Result<Demand> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let shape = Shape::from_text(&text).with_context(|| file.display().to_string())?;
    let demand = shape.servers.iter().filter_map(ServerShape::busiest);
    demand
        .max_by(|a, b| a.load().total_cmp(&b.load()))
        .with_context(|| format!("{}: no requests in it", file.display()))
}

fn text(s: &Sizing) -> String {
    let mut out = format!("{} connections, in one pool for all\n", s.shared);
    if s.separate != s.shared {
        let _ = writeln!(
            out,
            "{} in each process ({} in all), without a pooler",
            s.each, s.separate
        );
    }
    for reason in &s.reasons {
        let _ = writeln!(out, "  - {reason}");
    }
    for warning in &s.warnings {
        let _ = writeln!(out, "  ! {warning}");
    }
    out
}

fn json(s: &Sizing) -> String {
    let list = |all: &[String]| {
        let quoted: Vec<String> = all.iter().map(|t| ::check::render::quoted(t)).collect();
        quoted.join(",")
    };
    format!(
        "{{\"demand\":{:.3},\"shared\":{},\"each\":{},\"separate\":{},\"usable\":{},\"reasons\":[{}],\"warnings\":[{}]}}\n",
        s.demand,
        s.shared,
        s.each,
        s.separate,
        s.usable.map_or("null".to_owned(), |n| n.to_string()),
        list(&s.reasons),
        list(&s.warnings)
    )
}
