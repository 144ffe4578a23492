//! The lab's page: one table, and under it what happened in each outage.

use super::row::Row;
use super::scenario::{Column, Fault};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// All that a run of the lab found out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sheet {
    /// The command that makes it.
    pub command: String,
    /// It made only some of the rows: the others are of earlier runs.
    #[serde(default)]
    pub in_parts: bool,
    /// On what: cores, system, versions of the programs.
    pub machine: Vec<String>,
    /// Each outage in each column, in order.
    pub rows: Vec<Row>,
    /// The same faults where they could have been stopped.
    pub gates: Vec<Gated>,
    /// What could not run, and why.
    pub absent: Vec<String>,
}

/// A gate, tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gated {
    /// The scenario's name.
    pub outage: String,
    /// The gate's name.
    pub gate: String,
    /// The command over the broken version.
    pub command: String,
    /// Its exit code; `None`: it did not run or end.
    pub broken: Option<i32>,
    /// That over the mended version.
    pub mended: Option<i32>,
}

impl Gated {
    /// It stops the broken version and lets the mended one pass.
    pub fn holds(&self) -> bool {
        self.broken == Some(1) && self.mended == Some(0)
    }
}

/// The sheet as Markdown. `picture` gives the name of an outage's picture.
pub fn markdown(sheet: &Sheet, picture: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = match sheet.in_parts {
        false => writeln!(out, "Made by `{}`.\n", sheet.command),
        true => writeln!(
            out,
            "Made by `plimsoll lab --output DIR` in parts, the last one by `{}`.\n",
            sheet.command
        ),
    };
    for line in &sheet.machine {
        let _ = writeln!(out, "- {line}");
    }
    for line in &sheet.absent {
        let _ = writeln!(out, "- Not run: {line}");
    }
    out.push('\n');
    out.push_str(&table(sheet));
    if !sheet.gates.is_empty() {
        out.push_str(&gates(sheet));
    }
    for outage in outages(sheet) {
        story(&mut out, &outage, picture);
    }
    out
}

const HEAD: [&str; 11] = [
    "outage",
    "fault in",
    "connected by",
    "requests failed",
    "users out",
    "hurt",
    "p99",
    "alert",
    "cause named",
    "well again after",
    "and so",
];

fn table(sheet: &Sheet) -> String {
    let mut out = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in &sheet.rows {
        let _ = writeln!(out, "| {} |", cells(row).join(" | "));
    }
    out.push('\n');
    out
}

fn cells(row: &Row) -> [String; 11] {
    let figures = &row.figures;
    let fault = match row.fault {
        Fault::Application => "the application",
        Fault::Pooler => "the pooler or server",
    };
    let head = |n: String| {
        if row.void.is_some() {
            "—".to_owned()
        } else {
            n
        }
    };
    let after = |at: Option<f64>| at.map(|at| format!("{:.1} s", at - row.blow_s));
    let alert = match row.column.is_plimsoll() {
        true => after(row.alert_s).unwrap_or_else(|| "—".to_owned()),
        false => "none of its own".to_owned(),
    };
    let named = match (row.column.is_plimsoll(), &row.named) {
        (true, Some(named)) => format!("{}, {named}", after(row.named_s).unwrap_or_default()),
        _ => "—".to_owned(),
    };
    let well = match (figures.hurt_s, figures.recovery_s()) {
        (0, _) => "never hurt".to_owned(),
        (_, Some(recovery)) => format!("{recovery:.0} s{}", by(row)),
        (_, None) => "not within the run".to_owned(),
    };
    let p99 = match figures.p99_ms {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    };
    [
        row.outage.clone(),
        fault.to_owned(),
        row.column.title().to_owned(),
        head(failed(row)),
        head(percent(figures.out_share())),
        head(format!("{} s", figures.hurt_s)),
        head(p99),
        head(alert),
        head(named),
        head(well),
        row.word().to_string(),
    ]
}

fn failed(row: &Row) -> String {
    let all = percent(row.figures.failed_share());
    match row.figures.hurt_s {
        0 => all,
        _ => format!(
            "{all}, {} while it hurt",
            percent(row.figures.failed_while_hurt)
        ),
    }
}

fn by(row: &Row) -> String {
    match row.repairs() {
        0 => String::new(),
        1 => " (1 repair)".to_owned(),
        n => format!(" ({n} repairs)"),
    }
}

/// Some is never written as none, and not all never as all.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        p if p < 0.01 => "<0.01 %".to_owned(),
        p if p < 1.0 => format!("{p:.2} %"),
        p if p > 99.9 && p < 100.0 => ">99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

fn gates(sheet: &Sheet) -> String {
    let mut out = "## The same faults in CI\n\n| outage | gate | broken version | mended version |\n|---|---|---|---|\n".to_owned();
    let code = |code: Option<i32>| {
        code.map_or("did not run".to_owned(), |code| match code {
            0 => "passes".to_owned(),
            1 => "fails".to_owned(),
            code => format!("exit code {code}"),
        })
    };
    for gate in &sheet.gates {
        let _ = writeln!(
            out,
            "| {} | {} (`{}`) | {} | {} |",
            gate.outage,
            gate.gate,
            gate.command.replace('|', "\\|"),
            code(gate.broken),
            code(gate.mended)
        );
    }
    out.push('\n');
    out
}

/// The rows of each outage, in order.
fn outages(sheet: &Sheet) -> Vec<Vec<&Row>> {
    let mut outages: Vec<Vec<&Row>> = Vec::new();
    for row in &sheet.rows {
        match outages.last_mut() {
            Some(rows) if rows.first().is_some_and(|first| first.outage == row.outage) => {
                rows.push(row);
            }
            _ => outages.push(vec![row]),
        }
    }
    outages
}

fn story(out: &mut String, rows: &[&Row], picture: &dyn Fn(&str) -> Option<String>) {
    let Some(first) = rows.first() else { return };
    let _ = writeln!(out, "## {}: {}\n", first.outage, first.title);
    if let (Some(report), Some(reported)) = (&first.report, &first.reported) {
        let _ = writeln!(out, "Report {report}: {reported}.\n");
    }
    if let Some(picture) = picture(&first.outage) {
        let _ = writeln!(out, "![{}]({picture})\n", first.title);
    }
    for row in rows {
        let _ = writeln!(out, "**{}**: {}.", row.column.title(), row.word());
        if let Some(void) = &row.void {
            let _ = writeln!(out, "- {void}");
        }
        for (at_s, line) in happened(row) {
            let _ = writeln!(out, "- {:+.1} s {line}", at_s - row.blow_s);
        }
        if row.unsent > 0 {
            let _ = writeln!(out, "- {} requests could not be sent in time.", row.unsent);
        }
        out.push('\n');
    }
}

/// What was done and said, in order.
fn happened(row: &Row) -> Vec<(f64, String)> {
    let done = row.done.iter().map(|done| {
        let who = if done.by_person { "a person: " } else { "" };
        let failed = done
            .failed
            .as_ref()
            .map(|why| format!(" (it failed: {why})"));
        (
            done.at_s,
            format!("{who}{}{}", done.does, failed.unwrap_or_default()),
        )
    });
    let said = row
        .said
        .iter()
        .map(|said| (said.at_s, format!("Plimsoll: {}", said.text)));
    let well = row
        .figures
        .well_from_s
        .map(|at| (at, "all is well again".to_owned()));
    let mut all: Vec<(f64, String)> = done.chain(said).chain(well).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

/// A row for a terminal, as it ends.
pub fn text(row: &Row) -> String {
    let figures = &row.figures;
    let named = match (&row.named, row.named_s) {
        (Some(named), Some(at)) => format!(", named {named} after {:.1} s", at - row.blow_s),
        _ => String::new(),
    };
    if let Some(void) = &row.void {
        return format!("no measurement: {void}");
    }
    format!(
        "{}: {} of requests failed, {} of users out, {} s hurt{named}",
        row.word(),
        percent(figures.failed_share()),
        percent(figures.out_share()),
        figures.hurt_s
    )
}

impl Sheet {
    /// Puts these rows in place of the same ones, or beside them: so that the lab can run in parts.
    pub fn merge(&mut self, newer: Sheet) {
        let same = |a: &Row, b: &Row| a.outage == b.outage && a.column == b.column;
        self.rows
            .retain(|old| !newer.rows.iter().any(|new| same(old, new)));
        self.in_parts = !self.rows.is_empty();
        self.rows.extend(newer.rows);
        let order = |column: &Column| match column {
            Column::Own => (0, String::new()),
            Column::Pooler(name) if name == Column::PGBOUNCER => (1, String::new()),
            Column::Pooler(name) if name == Column::PLIMSOLL => (3, String::new()),
            Column::Pooler(name) => (2, name.clone()),
        };
        self.rows
            .sort_by_key(|row| (row.outage.clone(), order(&row.column)));
        let same = |a: &Gated, b: &Gated| a.outage == b.outage && a.gate == b.gate;
        self.gates
            .retain(|old| !newer.gates.iter().any(|new| same(old, new)));
        self.gates.extend(newer.gates);
        self.gates.sort_by_key(|gate| gate.outage.clone());
        (self.command, self.machine, self.absent) = (newer.command, newer.machine, newer.absent);
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::super::row::{Done, Said};
    use super::*;

    fn sheet() -> Sheet {
        let mut plimsoll = row("plimsoll");
        plimsoll.alert_s = Some(3.2);
        plimsoll.named_s = Some(3.4);
        plimsoll.named = Some("upstream_pool_too_small".to_owned());
        plimsoll.said = vec![Said {
            at_s: 3.4,
            text: "The application's own pool is at its ceiling.".to_owned(),
        }];
        plimsoll.done.push(Done {
            at_s: 3.6,
            does: "roll back".to_owned(),
            by_person: true,
            failed: None,
        });
        let mut own = row("own");
        own.figures.well_from_s = None;
        let void = Row {
            void: Some("the steady state did not hold before it began".to_owned()),
            ..row("pgbouncer")
        };
        Sheet {
            command: "plimsoll lab".to_owned(),
            in_parts: false,
            machine: vec!["2 cores".to_owned()],
            rows: vec![own, void, plimsoll],
            gates: vec![Gated {
                outage: "000-app".to_owned(),
                gate: "check".to_owned(),
                command: "plimsoll check settings.py".to_owned(),
                broken: Some(1),
                mended: Some(0),
            }],
            absent: vec!["pgdog: not installed".to_owned()],
        }
    }

    #[test]
    fn the_page_tells_each_row_and_what_happened() {
        let told = markdown(&sheet(), &|outage| Some(format!("lab/{outage}.svg")));
        let golden = include_str!("golden/lab.golden");
        if std::env::var_os("PLIMSOLL_BLESS").is_some() {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/outage/golden/lab.golden");
            std::fs::write(place, &told).unwrap();
            return;
        }
        assert_eq!(told, golden);
    }

    #[test]
    fn a_part_of_the_lab_replaces_its_rows_and_leaves_the_others() {
        let mut all = sheet();
        let mut again = row("pgbouncer");
        again.figures.failed = 7;
        let other = Row {
            outage: "000-a".to_owned(),
            ..row("own")
        };
        all.merge(Sheet {
            rows: vec![again, other],
            ..Sheet::default()
        });
        let names: Vec<String> = (all.rows.iter())
            .map(|row| {
                format!(
                    "{} {} {}",
                    row.outage,
                    row.column.label(),
                    row.figures.failed
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                "000-a own 90",
                "000-app own 90",
                "000-app pgbouncer 7",
                "000-app plimsoll 90"
            ]
        );
        assert_eq!(all.gates.len(), 1);
        assert!(all.in_parts);
    }

    #[test]
    fn a_gate_holds_when_it_tells_them_apart() {
        let gate = |broken, mended| Gated {
            broken,
            mended,
            ..sheet().gates[0].clone()
        };
        assert!(gate(Some(1), Some(0)).holds());
        for (broken, mended) in [
            (Some(1), Some(1)),
            (Some(0), Some(0)),
            (Some(2), Some(0)),
            (None, Some(0)),
        ] {
            assert!(!gate(broken, mended).holds());
        }
    }
}
