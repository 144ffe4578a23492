//! What is left of a run: a page, its charts, its figures.

use super::tools::program;
use super::{beside, print};
use crate::cli::{LabArgs, LogFormat};
use anyhow::Context;
use practice::outage::{Row, Sheet, chart, markdown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The page, beside its figures; and the directory of its charts.
const PAGE: &str = "lab.md";
const FIGURES: &str = "lab.json";
const CHARTS: &str = "lab";
/// Between these lines stands what is measured; what people wrote around it stays.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";
const HEAD: &str = "# The lab\n\nThe five outages of the incident reports, replayed.\n\n";

/// Prints the sheet, and writes it where it is wanted.
pub(super) fn finish(
    args: &LabArgs,
    mut sheet: Sheet,
    python: Option<PathBuf>,
) -> anyhow::Result<()> {
    sheet.command = command(args);
    sheet.machine = machine(python);
    if let Some(dir) = &args.output {
        sheet = write(dir, sheet)?;
        beside(&format!("written: {}", dir.join(PAGE).display()));
    }
    match args.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&sheet)?)),
        LogFormat::Text if args.output.is_none() => print(&markdown(&sheet, &|_| None)),
        LogFormat::Text => Ok(()),
    }
}

fn write(dir: &Path, newer: Sheet) -> anyhow::Result<Sheet> {
    let charts = dir.join(CHARTS);
    std::fs::create_dir_all(&charts).with_context(|| charts.display().to_string())?;
    let figures = dir.join(FIGURES);
    let mut sheet: Sheet = match std::fs::read_to_string(&figures) {
        Ok(text) => serde_json::from_str(&text).with_context(|| {
            format!(
                "{}: it is from another version; move it away",
                figures.display()
            )
        })?,
        Err(_) => Sheet::default(),
    };
    sheet.merge(newer);
    std::fs::write(&figures, serde_json::to_string(&sheet)? + "\n")?;
    let outages: BTreeSet<&str> = sheet.rows.iter().map(|row| row.outage.as_str()).collect();
    for outage in &outages {
        let rows = sheet.rows.iter().filter(|row| row.outage == *outage);
        let rows: Vec<Row> = rows.cloned().collect();
        std::fs::write(charts.join(format!("{outage}.svg")), chart(&rows))?;
    }
    let picture = |outage: &str| Some(format!("{CHARTS}/{outage}.svg"));
    let measured = format!(
        "{BEGIN}\n\n{}\n{END}\n",
        markdown(&sheet, &picture).trim_end()
    );
    let page = dir.join(PAGE);
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, placed(&before, &measured))?;
    Ok(sheet)
}

/// The page with what was measured in its place.
fn placed(page: &str, measured: &str) -> String {
    let found = page.find(BEGIN).zip(page.find(END));
    match found.filter(|(begin, end)| begin < end) {
        Some((begin, end)) => {
            let (before, after) = (page.get(..begin), page.get(end + END.len()..));
            let after = after.unwrap_or_default().trim_start_matches('\n');
            let gap = if after.is_empty() { "" } else { "\n" };
            format!("{}{measured}{gap}{after}", before.unwrap_or_default())
        }
        None => format!("{HEAD}{measured}"),
    }
}

/// The command that makes it, without where it is kept.
fn command(args: &LabArgs) -> String {
    let mut words = vec!["plimsoll lab".to_owned()];
    words.extend(args.outages.iter().cloned());
    if !args.with.is_empty() {
        words.push(format!("--with {}", args.with.join(",")));
    }
    if let Some(seed) = args.seed {
        words.push(format!("--seed {seed}"));
    }
    if args.gates {
        words.push("--gates".to_owned());
    }
    words.join(" ")
}

/// On what it ran.
fn machine(python: Option<PathBuf>) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let says = |program: Option<PathBuf>, flag: &str| {
        let out = Command::new(program?).arg(flag).output().ok()?;
        let said = [out.stdout, out.stderr].concat();
        let line = String::from_utf8_lossy(&said)
            .lines()
            .next()?
            .trim()
            .to_owned();
        (!line.is_empty()).then_some(line)
    };
    let versions = [
        says(program("postgres").or_else(|| program("psql")), "--version"),
        says(program("pgbouncer"), "--version"),
        says(python, "--version"),
        says(program("node"), "--version").map(|version| format!("Node.js {version}")),
        Some(format!("Plimsoll {}", env!("CARGO_PKG_VERSION"))),
    ];
    let versions: Vec<String> = versions.into_iter().flatten().collect();
    let os = std::env::consts::OS;
    vec![format!("{cores} cores, {os}; {}", versions.join(", "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_around_it_stays() {
        let measured = format!("{BEGIN}\nnew\n{END}\n");
        let page = format!("# Mine\n\nwords\n\n{BEGIN}\nold\n{END}\n\nmore words\n");
        let now = placed(&page, &measured);
        assert_eq!(now, format!("# Mine\n\nwords\n\n{measured}\nmore words\n"));
        assert_eq!(placed(&now, &measured), now);
        let fresh = placed("", &measured);
        assert_eq!(fresh, format!("{HEAD}{measured}"));
        assert_eq!(placed(&fresh, &measured), fresh);
    }
}
