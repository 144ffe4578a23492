//! `plimsoll incident`: what happened, and what people noted.

use super::print;
use super::settings::{actor, pooler};
use crate::cli::{
    IncidentAction, IncidentArgs, IncidentCloseArgs, IncidentListArgs, IncidentNoteArgs,
    IncidentReportArgs, IncidentShowArgs, LogFormat,
};
use anyhow::Context;
use control::api::{CloseAsk, IncidentLine, NoteAsk};
use diagnose::incident::Incident;
use diagnose::{safe, utc};
use serde::Serialize;
use std::process::ExitCode;

/// Does what is asked.
pub fn run(args: &IncidentArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        IncidentAction::List(args) => list(args),
        IncidentAction::Show(args) => show(args),
        IncidentAction::Note(args) => note(args),
        IncidentAction::Close(args) => close(args),
        IncidentAction::Report(args) => report(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn output<T: Serialize>(
    format: LogFormat,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(value)?)),
        LogFormat::Text => print(&text()),
    }
}

fn list(args: &IncidentListArgs) -> anyhow::Result<()> {
    let client = pooler(&args.pooler)?;
    let lines: Vec<IncidentLine> = client.get(&format!("/v1/incidents?most={}", args.limit))?;
    output(args.pooler.format, &lines, || match lines.is_empty() {
        true => "No incident is known.\n".to_owned(),
        false => lines.iter().map(line).collect(),
    })
}

fn line(line: &IncidentLine) -> String {
    format!(
        "{:<14}{}  {:>10}  {:<11}{:<9}{:<24}{}\n",
        line.id,
        utc::moment(line.onset_ms),
        utc::length(line.duration_ms),
        line.standing.label(),
        line.severity.label(),
        line.cause.map_or("cause unknown", |c| c.label()),
        safe::line(&line.title, safe::LINE_CHARS_MAX)
    )
}

fn show(args: &IncidentShowArgs) -> anyhow::Result<()> {
    let client = pooler(&args.pooler)?;
    let incident: Incident = client.get(&format!("/v1/incidents/{}", args.id))?;
    output(args.pooler.format, &incident, || shown(&incident))
}

fn shown(incident: &Incident) -> String {
    let mut out = line(&IncidentLine::from(incident));
    out.push('\n');
    for entry in &incident.timeline {
        let subject = match entry.subject.is_empty() {
            true => String::new(),
            false => format!("{}: ", safe::name(&entry.subject)),
        };
        let actor = match entry.actor.is_empty() || entry.actor == "plimsoll" {
            true => String::new(),
            false => format!(" ({})", safe::name(&entry.actor)),
        };
        out.push_str(&format!(
            "{}  {:<10}{subject}{}{actor}\n",
            utc::time(entry.at_ms),
            entry.kind.label(),
            safe::line(&entry.text, safe::LINE_CHARS_MAX)
        ));
    }
    let rejected = incident.hypotheses.iter();
    let rejected = rejected.filter_map(|h| Some((h.cause, h.rejected.as_ref()?)));
    for (cause, (at_ms, why)) in rejected {
        out.push_str(&format!(
            "not {:<22}since {}: {} ({})\n",
            cause.label(),
            utc::time(*at_ms),
            safe::line(&why.text, safe::LINE_CHARS_MAX),
            why.figure
        ));
    }
    out.push_str(&format!(
        "\nplimsoll incident note {0} TEXT --path CAUSE   |   plimsoll incident report {0}\n",
        incident.id
    ));
    out
}

fn note(args: &IncidentNoteArgs) -> anyhow::Result<()> {
    let client = pooler(&args.pooler)?;
    let ask = NoteAsk {
        text: args.text.clone(),
        path: args.path,
        actor: args.actor.clone().unwrap_or_else(actor),
    };
    let noted: IncidentLine = client.post(&format!("/v1/incidents/{}/notes", args.id), &ask)?;
    output(args.pooler.format, &noted, || {
        format!("Noted in {}.\n", noted.id)
    })
}

fn close(args: &IncidentCloseArgs) -> anyhow::Result<()> {
    let client = pooler(&args.pooler)?;
    let ask = CloseAsk {
        reason: args.reason.clone(),
        actor: args.actor.clone().unwrap_or_else(actor),
    };
    let closed: IncidentLine = client.post(&format!("/v1/incidents/{}/close", args.id), &ask)?;
    output(args.pooler.format, &closed, || {
        format!("{} is closed.\n", closed.id)
    })
}

fn report(args: &IncidentReportArgs) -> anyhow::Result<()> {
    let client = pooler(&args.pooler)?;
    let what = match args.pooler.format {
        LogFormat::Json => "report",
        LogFormat::Text => "markdown",
    };
    let bytes = client.bytes(&format!("/v1/incidents/{}/{what}", args.id))?;
    let Some(path) = &args.output else {
        return print(&String::from_utf8_lossy(&bytes));
    };
    std::fs::write(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!("{}\n", path.display()))
}
