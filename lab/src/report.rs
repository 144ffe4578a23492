//! The report: what docs/diagnosis-evaluation.md says.

use crate::judge::{CALM, Row, UNKNOWN, wilson};
use diagnose::Cause;
use std::fmt::Write;

/// How a case goes, in the report.
const METHOD: &str = "\
## How a case goes

A private PostgreSQL with its own data, the real `plimsoll` with a state directory of its own, and two to
five applications whose clients think, read, write and run short transactions. After some ten seconds of
calm the trouble is done to the system itself: packets are delayed or lost on a wire between two network
namespaces, a cgroup takes the processor away, a session holds a lock, a password is rotated, an
application forgets to commit. A case counts only if clients then feel it: a 90th percentile four times
the usual one and 30 ms above it, or one unit of work in twenty failing; what the harmful application
itself feels does not count. The verdict is asked for every two seconds, and the one that counts is the
last of the first eight seconds of hurt. Where nothing is wrong, every one counts.

Beside it, drawn for each case: a monitor without rights or none at all, an innocent release one to five
minutes before (a minute is a second and a half here), a batch, guards that act or only watch, a Plimsoll
that was started after the blow and has seen no calm, and, in every fourteenth case, a second cause; then
either may come first. \"Unknown\" is taken as right only where evidence truly lacks: for locks, a
saturated server and a limit that is too large without a monitor's rights, for slow statements without
those or without a calm, for the network behind a proxy and for a squeezed budget without a monitor.
A host from which nothing comes back may be called down or cut off: from here both look the same.

";

/// The whole report.
pub fn markdown(rows: &[Row], command: &str) -> String {
    let counted: Vec<&Row> = rows.iter().filter(|row| row.void.is_none()).collect();
    let mut out = String::from("# How often the diagnosis is right\n\n");
    let _ = writeln!(
        out,
        "{} cases on real PostgreSQL, {} of them counted; written by `{command}`.\n\
         The generator knows nothing of the rules: each case is a trouble done to a real system.\n",
        rows.len(),
        counted.len()
    );
    figures(&mut out, &counted);
    out.push_str(METHOD);
    recall(&mut out, &counted);
    confusion(&mut out, &counted);
    troubles(&mut out, &counted);
    wrong(&mut out, &counted);
    void(&mut out, rows);
    out
}

fn share(hits: usize, of: usize) -> String {
    let (p, low, high) = wilson(hits, of);
    format!("{hits} of {of} | {p:.1} % | {low:.1} to {high:.1} %")
}

fn figures(out: &mut String, rows: &[&Row]) {
    let n = rows.len();
    let count = |f: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| f(row)).count();
    let _ = writeln!(
        out,
        "| figure | cases | share | 95 % interval (Wilson) |\n|---|---|---|---|"
    );
    let _ = writeln!(
        out,
        "| first answer right | {} |",
        share(count(&|r| r.right), n)
    );
    let _ = writeln!(
        out,
        "| of these, an honest \"unknown\" where evidence lacks | {} |",
        share(count(&|r| r.honest_unknown), n)
    );
    let _ = writeln!(
        out,
        "| a true cause ruled out | {} |",
        share(count(&|r| r.ruled_out_truth), n)
    );
    let quiet = count(&|r| r.truths.is_empty());
    let _ = writeln!(
        out,
        "| nothing wrong, and a cause named | {} |",
        share(count(&|r| r.truths.is_empty() && !r.right), quiet)
    );
    let pairs = count(&|r| r.truths.len() > 1);
    let _ = writeln!(
        out,
        "| two causes, both named | {} |",
        share(count(&|r| r.both), pairs)
    );
    let plain = count(&|r| r.plain.is_some());
    if plain > 0 {
        let hit = count(&|r| {
            r.plain
                .as_ref()
                .is_some_and(|p| r.truths.contains(p) || (r.truths.is_empty() && p == CALM))
        });
        let _ = writeln!(
            out,
            "| plain baseline: first answer right | {} |",
            share(hit, plain)
        );
    }
    let rejections: u32 = rows.iter().map(|r| r.rejections).sum();
    let bare: u32 = rows.iter().map(|r| r.without_figure).sum();
    let _ = writeln!(out, "\nRejections: {rejections}, without a figure: {bare}.");
    let mut after: Vec<f64> = rows.iter().filter_map(|r| r.right_after_s).collect();
    after.sort_by(f64::total_cmp);
    let at = |q: f64| {
        after
            .get(((after.len() as f64 - 1.0) * q) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let took = rows.iter().map(|r| r.took_ms).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "From the hurt, as clients feel it, to the right answer: median {:.1} s, 95th percentile {:.1} s, \
         asked every two seconds. Slowest question: {took} ms.\n",
        at(0.5),
        at(0.95)
    );
}

/// Rows of the tables: every cause, then nothing, two causes.
fn truth_of(row: &Row) -> String {
    match row.truths.as_slice() {
        [] => CALM.to_owned(),
        [one] => one.clone(),
        _ => "two causes".to_owned(),
    }
}

fn labels() -> Vec<String> {
    let causes = Cause::ALL.iter().map(|cause| cause.label().to_owned());
    causes
        .chain([CALM.to_owned(), "two causes".to_owned()])
        .collect()
}

fn recall(out: &mut String, rows: &[&Row]) {
    let _ = writeln!(
        out,
        "## By cause\n\n| true cause | right | share | 95 % interval |\n|---|---|---|---|"
    );
    for label in labels() {
        let of: Vec<&&Row> = rows.iter().filter(|row| truth_of(row) == label).collect();
        if !of.is_empty() {
            let hits = of.iter().filter(|row| row.right).count();
            let _ = writeln!(out, "| {label} | {} |", share(hits, of.len()));
        }
    }
    out.push('\n');
}

fn confusion(out: &mut String, rows: &[&Row]) {
    let _ = writeln!(
        out,
        "## Confusion\n\nRows: what was done. Columns: first answers.\n"
    );
    let answers: Vec<String> = labels()
        .into_iter()
        .chain([UNKNOWN.to_owned()])
        .filter(|label| rows.iter().any(|row| row.first == *label))
        .collect();
    let _ = writeln!(
        out,
        "| | {} |\n|---|{}",
        answers.join(" | "),
        "---|".repeat(answers.len())
    );
    for label in labels() {
        let of: Vec<&&Row> = rows.iter().filter(|row| truth_of(row) == label).collect();
        if of.is_empty() {
            continue;
        }
        let cells: Vec<String> = answers
            .iter()
            .map(
                |answer| match of.iter().filter(|row| row.first == *answer).count() {
                    0 => String::new(),
                    n if *answer == label => format!("**{n}**"),
                    n => n.to_string(),
                },
            )
            .collect();
        let _ = writeln!(out, "| {label} | {} |", cells.join(" | "));
    }
    out.push('\n');
}

/// What was done, in words.
fn troubles(out: &mut String, rows: &[&Row]) {
    let _ = writeln!(
        out,
        "## What was done\n\n| trouble | what | cases | right |\n|---|---|---|---|"
    );
    for kind in crate::kinds::all() {
        let of: Vec<&&Row> = rows.iter().filter(|row| row.name == kind.name).collect();
        let right = of.iter().filter(|row| row.right).count();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {right} |",
            kind.name,
            kind.what,
            of.len()
        );
    }
    out.push('\n');
}

fn wrong(out: &mut String, rows: &[&Row]) {
    let of: Vec<&&Row> = rows
        .iter()
        .filter(|row| !row.right || row.ruled_out_truth)
        .collect();
    if of.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## What was wrong\n\n| case | trouble | beside it | first answer | ruled out the truth |\n|---|---|---|---|---|"
    );
    for row in of {
        let ruled = if row.ruled_out_truth { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {ruled} |",
            row.number, row.name, row.beside, row.first
        );
    }
    out.push('\n');
}

fn void(out: &mut String, rows: &[Row]) {
    let of: Vec<&Row> = rows.iter().filter(|row| row.void.is_some()).collect();
    if of.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## Not counted\n\n| case | trouble | why |\n|---|---|---|"
    );
    for row in of {
        let why = row
            .void
            .as_deref()
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let _ = writeln!(out, "| {} | {} | {why} |", row.number, row.name);
    }
}
