//! `plimsoll size`: how many connections, with the reasoning.

mod metrics;

use super::print;
use crate::cli::{LogFormat, SizeArgs};
use ::check::size::{Need, Sizing, size};
use anyhow::Context;
use events::shape::{Demand, ServerShape, Shape};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// It does not fit the server.
const DOES_NOT_FIT: u8 = 1;

/// Computes, and says why.
pub fn run(args: &SizeArgs) -> anyhow::Result<ExitCode> {
    if !args.metrics.is_empty() {
        return metrics::run(args);
    }
    let seen = args.shape.as_deref().map(busiest).transpose()?;
    let (rate, hold) = args
        .rate
        .zip(args.hold)
        .or(seen.map(|seen| (seen.rate, seen.hold)))
        .context("--rate and --hold, --metrics, or --shape")?;
    let mut need = need(args, rate, hold);
    if let (None, Some(seen)) = (args.spread, seen) {
        need.spread = seen.spread;
    }
    let sizing = size(&need);
    print(&match args.format {
        LogFormat::Text => text(&sizing),
        LogFormat::Json => format!("{}\n", json(&sizing)),
    })?;
    Ok(verdict(&[sizing]))
}

/// What the arguments say beside the traffic.
fn need(args: &SizeArgs, rate: f64, hold: Duration) -> Need {
    Need {
        rate,
        hold,
        spread: args.spread.unwrap_or(1.0),
        wait: args.wait,
        processes: args.processes,
        surge: args.surge,
        growth: args.growth,
        max_connections: args.max_connections,
        others: args.others,
        cores: args.cores,
    }
}

fn verdict(all: &[Sizing]) -> ExitCode {
    let fits = |s: &Sizing| s.usable.is_none_or(|usable| s.shared <= usable);
    ExitCode::from(if all.iter().all(fits) {
        0
    } else {
        DOES_NOT_FIT
    })
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
    lines(s, &mut out);
    out
}

fn lines(s: &Sizing, out: &mut String) {
    for reason in &s.reasons {
        let _ = writeln!(out, "  - {reason}");
    }
    for warning in &s.warnings {
        let _ = writeln!(out, "  ! {warning}");
    }
}

fn json(s: &Sizing) -> String {
    let list = |all: &[String]| {
        let quoted: Vec<String> = all.iter().map(|t| ::check::render::quoted(t)).collect();
        quoted.join(",")
    };
    format!(
        "{{\"demand\":{:.3},\"shared\":{},\"each\":{},\"separate\":{},\"usable\":{},\"reasons\":[{}],\"warnings\":[{}]}}",
        s.demand,
        s.shared,
        s.each,
        s.separate,
        s.usable.map_or("null".to_owned(), |n| n.to_string()),
        list(&s.reasons),
        list(&s.warnings)
    )
}
