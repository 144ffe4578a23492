//! The debrief as text.

use super::Debrief;

/// The debrief, for people.
pub fn text(d: &Debrief) -> String {
    let mut out = format!("\nDEBRIEF  {} ({}, {})\n", d.title, d.drill, d.difficulty);
    out.push_str(&format!(
        "{} after {}\n\n",
        d.ending.words(),
        span(d.seconds)
    ));
    out.push_str(&format!("It was     {}\n", d.causes.join(" or ")));
    out.push_str(&format!("What       {}\nMending    {}\n", d.done, d.cure));
    out.push_str(&format!(
        "You        the cause after {}; {} wrong answers, {} actions that did not help, {} hints\n",
        d.first_right_s.map_or("no answer".to_owned(), span),
        d.wrong_hypotheses,
        d.wrong_actions,
        d.hints.len()
    ));
    let compared = match (d.is_the_reports_outage, d.report_minutes_to_cause) {
        (true, Some(minutes)) => format!("report {}: the cause after {minutes} min", d.report),
        (true, None) => format!("report {}: it does not say after how long", d.report),
        (false, _) => format!("it only looks like report {}", d.report),
    };
    out.push_str(&format!("Compare    {compared}\n"));
    what_was_done(&mut out, d);
    out.push_str(&format!(
        "\nWhat the figures showed\n  usual  {}\n  worst  {}\n",
        d.usual, d.worst
    ));
    match d.diagnosis.is_empty() {
        true => out.push_str("  the diagnosis named nothing while it hurt\n"),
        false => out.push_str(&format!("  the diagnosis: {}\n", d.diagnosis)),
    }
    if let Some(at) = d.diagnosis_right_s {
        out.push_str(&format!(
            "  it named the cause {} after the pager\n",
            span(at)
        ));
    }
    for figure in &d.figures {
        out.push_str(&format!("  - {figure}\n"));
    }
    out.push_str("\nWhat misleads\n");
    for path in &d.misleading {
        let taken = if path.taken { " (you went there)" } else { "" };
        out.push_str(&format!("  {}{taken}: {}\n", path.what, path.why));
    }
    out.push_str(&format!("\nIn report {}\n", d.report));
    for (when, what) in &d.in_the_report {
        out.push_str(&format!("  {when}  {what}\n"));
    }
    out.push_str(&format!("\nRead on: plimsoll playbook {}\n", d.chapter));
    out
}

/// Answers, actions and hints in the order of time.
fn what_was_done(out: &mut String, d: &Debrief) {
    out.push_str("\nWhat you did\n");
    let mut lines: Vec<(f64, String)> = Vec::new();
    for h in &d.hypotheses {
        let figure = match h.figure.is_empty() {
            true => String::new(),
            false => format!(": {}", h.figure),
        };
        lines.push((
            h.at_s,
            format!("suspected {}, {}{figure}", h.cause, h.verdict),
        ));
    }
    for a in &d.actions {
        lines.push((a.at_s, format!("did {}: {}", a.action, a.effect.words())));
    }
    for h in &d.hints {
        lines.push((h.at_s, format!("took a hint: {}", h.text)));
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    if lines.is_empty() {
        out.push_str("  nothing\n");
    }
    for (at, line) in lines {
        out.push_str(&format!("  {:>6}  {line}\n", span(at)));
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.1} min", s / 60.0),
    }
}
