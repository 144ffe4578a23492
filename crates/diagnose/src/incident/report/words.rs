//! The sentences of a report.

use super::super::{EndedBy, Entry, EntryKind, Incident, Path, PathEnd};
use super::{Considered, RootCause};
use crate::alert::AlertName;
use crate::{Cause, Figure, Unit, utc};

/// Most applications that the summary names.
const NAMED_MAX: usize = 8;
/// A cause that was named later than this after the onset took long.
const SLOW_CAUSE_MS: i64 = 60_000;
/// The first alert and the first client that suffers belong to one moment within this.
const AT_ONCE_MS: i64 = 10_000;
/// So many figures are cited in one sentence.
const CITED_MAX: usize = 3;

/// What clients felt.
pub(super) fn impact(incident: &Incident) -> Vec<String> {
    let impact = &incident.impact;
    let mut said = Vec::new();
    if let (Some(first), Some(last)) = (impact.hurt_first_ms, impact.hurt_last_ms) {
        said.push(format!(
            "Clients suffered from {} to {}, {} from the first to the last.",
            utc::time(first),
            utc::time(last),
            utc::length(last - first)
        ));
    }
    let (hit, of, at) = impact.worst_clients;
    if hit > 0 && of > 0 {
        let percent = f64::from(hit) * 100.0 / f64::from(of);
        said.push(format!(
            "At the worst moment ({}) {hit} of {of} clients ({percent:.0} %) waited or were refused.",
            utc::time(at)
        ));
    }
    let share = |n: u64, what: &str| {
        let percent = impact.share(n)?;
        (n > 0).then(|| format!("{n} of {} requests ({percent:.1} %) {what}.", impact.asked))
    };
    let reasons = impact.refusals.iter().filter(|(_, n)| *n > 0);
    let reasons: Vec<String> = reasons.map(|(r, n)| format!("{r} {n}")).collect();
    let refused = format!("were refused ({})", reasons.join(", "));
    said.extend(share(impact.refused, &refused));
    said.extend(share(impact.delayed, "waited longer than the objective"));
    if impact.failed > 0 {
        said.push(format!(
            "Clients got {} errors of the server's condition (SQLSTATE classes 08, 53, 57, 58, XX).",
            impact.failed
        ));
    }
    if impact.login_failures > 0 {
        said.push(format!(
            "{} logins of clients failed.",
            impact.login_failures
        ));
    }
    if impact.wait_most_us > 0 {
        let span = |name: &str, us: u64| Figure::new(name, us as f64, Unit::Micros).to_string();
        said.push(format!(
            "{}; {}.",
            span("Longest wait:", impact.wait_most_us),
            span(
                "99 % of waits in the worst second were below",
                impact.wait_p99_us
            )
        ));
    }
    said.extend(applications(incident));
    match (said.is_empty(), impact.measured_ms) {
        (true, 0) => said.push("Unknown: nothing was measured.".to_owned()),
        (true, _) => said.push(
            "No client waited beyond the objective, was refused or failed at Plimsoll.".to_owned(),
        ),
        (false, _) => {}
    }
    said
}

fn applications(incident: &Incident) -> Option<String> {
    let mut rows = incident.impact.applications.clone();
    rows.sort_by(|a, b| b.wait_us.cmp(&a.wait_us).then(a.name.cmp(&b.name)));
    let mut names: Vec<String> = rows
        .iter()
        .map(|row| {
            let release = match row.release.is_empty() {
                true => String::new(),
                false => format!(" {}", row.release),
            };
            format!(
                "{}{release} (up to {} of {} clients waiting, for {} in all)",
                or_unnamed(&row.name),
                row.waiting_most,
                row.clients_most,
                utc::length(i64::try_from(row.waited_ms).unwrap_or(i64::MAX))
            )
        })
        .collect();
    for alert in &incident.alerts {
        let name = &alert.subject.application;
        if !name.is_empty() && !rows.iter().any(|r| r.name == *name) {
            let told = format!("{name} (named by {})", alert.name.label());
            if !names.contains(&told) {
                names.push(told);
            }
        }
    }
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    (!names.is_empty()).then(|| format!("Applications: {}.", names.join(", ")))
}

fn or_unnamed(name: &str) -> &str {
    match name.is_empty() {
        true => "without a name",
        false => name,
    }
}

/// Who did what, where that is known.
pub(super) fn change(entry: &Entry) -> String {
    let subject = match entry.subject.is_empty() {
        true => String::new(),
        false => format!("{}: ", entry.subject),
    };
    let actor = match entry.actor.is_empty() {
        true => String::new(),
        false => format!(" (by {})", entry.actor),
    };
    format!("{subject}{}{actor}", entry.text)
}

/// What ended it.
pub(super) fn resolution(incident: &Incident) -> Vec<String> {
    let mut said = Vec::new();
    match (&incident.ended, incident.is_live()) {
        (None, _) => said.push("It is not over yet.".to_owned()),
        (Some(ended), _) => {
            let at = utc::moment(ended.recovered_ms);
            said.push(match (ended.by, &ended.change) {
                (EndedBy::Change, Some(entry)) => format!(
                    "Clients were well again at {at}, after this change at {}: {}.",
                    utc::time(entry.at_ms),
                    change(entry)
                ),
                (EndedBy::Perhaps, Some(entry)) => format!(
                    "Clients were well again at {at}. The last change before was at {}: {}. Nothing shows that it mattered.",
                    utc::time(entry.at_ms),
                    change(entry)
                ),
                _ => format!(
                    "Clients were well again at {at} by itself: no change was seen that could have ended it."
                ),
            });
        }
    }
    let impact = &incident.impact;
    if impact.reclaimed > 0 {
        said.push(format!(
            "{} leases were taken back meanwhile, or counted where the guard only watched.",
            impact.reclaimed
        ));
    }
    if incident.reopened > 0 {
        said.push(format!("It came back {} times.", incident.reopened));
    }
    let (actor, reason) = &incident.closed_by;
    if !actor.is_empty() {
        let reason = match reason.is_empty() {
            true => String::new(),
            false => format!(": {reason}"),
        };
        said.push(format!("Closed by {actor}{reason}."));
    }
    said
}

/// What made it possible or worse, as far as was seen.
pub(super) fn factors(incident: &Incident, cause: Option<&RootCause>) -> Vec<String> {
    let mut said = Vec::new();
    let last = incident.verdicts.iter().rev().find(|v| v.cause().is_some());
    for finding in last.iter().flat_map(|v| &v.findings) {
        if cause.is_none_or(|c| c.cause != finding.cause) {
            said.push(format!(
                "Supported by figures too: {} ({} % sure). {}",
                finding.cause.title(),
                finding.sure,
                finding.text
            ));
        }
    }
    let blamed = cause.and_then(|c| c.change.as_ref());
    let recent = |e: &&Entry| e.kind.is_change() && e.at_ms <= incident.onset_ms;
    for entry in incident.timeline.iter().filter(recent) {
        if Some(entry) != blamed {
            said.push(format!(
                "{} before the onset, not shown to matter: {}.",
                utc::length(incident.onset_ms - entry.at_ms),
                change(entry)
            ));
        }
    }
    let watching = |e: &&Entry| e.kind == EntryKind::Guard && e.text.contains("only watch");
    if let Some(entry) = incident.timeline.iter().find(watching) {
        said.push(format!(
            "Guards only watched: {} at {}.",
            change(entry),
            utc::time(entry.at_ms)
        ));
    }
    said.truncate(12);
    said
}

/// Each hypothesis and what ended it: the cause first, then what was suspected,
/// then what was ruled out without anybody suspecting it.
pub(super) fn hypotheses(incident: &Incident, paths: &[Path]) -> Vec<Considered> {
    let answer = incident.cause().map(|h| h.cause);
    let mut rows: Vec<(u8, Considered)> = Vec::new();
    for cause in Cause::ALL.iter().copied() {
        let row = incident.hypotheses.iter().find(|h| h.cause == cause);
        let path = paths.iter().find(|p| p.cause == cause);
        if row.is_none() && path.is_none() {
            continue;
        }
        let named = row.and_then(|h| h.named_ms);
        let rejected = row.and_then(|h| h.rejected.as_ref());
        let lacks = row.and_then(|h| h.lacks.as_ref());
        let outcome = match (answer == Some(cause), rejected, lacks) {
            (true, _, _) => format!(
                "the cause: {}",
                cited(row.map_or(&[][..], |h| &h.figures))
            ),
            (_, Some((at, why)), _) => format!(
                "ruled out at {}: {} ({})",
                utc::time(*at),
                why.text.trim_end_matches('.'),
                why.figure
            ),
            (_, _, Some(lacks)) => format!("can be neither supported nor ruled out: {lacks}"),
            (_, None, None) => match named {
                Some(_) => "supported by figures for a while, and not the first answer at last; no figure rules it out".to_owned(),
                None => "no measurement for or against it was kept".to_owned(),
            },
        };
        let mut by: Vec<String> = Vec::new();
        if named.is_some() {
            by.push("plimsoll".to_owned());
        }
        by.extend(path.iter().flat_map(|p| p.actors.iter().cloned()));
        let first = [named, path.map(|p| p.first_ms)]
            .into_iter()
            .flatten()
            .min();
        let rank = match (answer == Some(cause), by.is_empty(), lacks.is_some()) {
            (true, _, _) => 0,
            (_, false, _) => 1,
            (_, true, false) => 2,
            (_, true, true) => 3,
        };
        rows.push((
            rank,
            Considered {
                cause,
                by,
                since_ms: first,
                outcome,
            },
        ));
    }
    rows.sort_by_key(|(rank, row)| (*rank, row.since_ms.unwrap_or(i64::MAX)));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Figures, as one text.
pub(super) fn cited(figures: &[Figure]) -> String {
    let cited: Vec<String> = figures
        .iter()
        .take(CITED_MAX)
        .map(Figure::to_string)
        .collect();
    match cited.is_empty() {
        true => "no figure was kept".to_owned(),
        false => cited.join("; "),
    }
}

/// What could be better, as far as figures show it.
pub(super) fn improvements(incident: &Incident, paths: &[Path]) -> Vec<String> {
    let mut said = Vec::new();
    let fired = incident.alerts.iter().filter_map(|a| a.fired_ms).min();
    if let Some(first) = incident.impact.hurt_first_ms
        && let Some(fired) = fired
    {
        let gap = fired - first;
        said.push(match gap {
            gap if gap > AT_ONCE_MS => format!(
                "Detection: the first alert came {} after the first client waited too long or was refused.",
                utc::length(gap)
            ),
            gap if gap < -AT_ONCE_MS => format!(
                "Detection: the first alert came {} before the first client suffered. See that somebody acts on it.",
                utc::length(-gap)
            ),
            _ => "Detection: the first alert came within seconds of the first client that suffered."
                .to_owned(),
        });
    }
    let forecast = incident
        .alerts
        .iter()
        .any(|a| a.name == AlertName::PoolExhaustionForecast);
    let full = incident
        .alerts
        .iter()
        .any(|a| a.name == AlertName::PoolExhausted);
    if full && !forecast {
        said.push("Early warning: it came as a step; nothing could be forecast from slopes. What can warn is the check of the change itself.".to_owned());
    }
    let named = incident.cause().and_then(|h| h.named_ms);
    match named.map(|at| at - incident.onset_ms) {
        Some(took) if took > SLOW_CAUSE_MS => said.push(format!(
            "Diagnosis: the cause was named {} after the onset.",
            utc::length(took)
        )),
        Some(_) => {}
        None => said.push(
            "Diagnosis: no cause was named; the list of hypotheses says what was not measured."
                .to_owned(),
        ),
    }
    let astray: Vec<&Path> = paths
        .iter()
        .filter(|p| p.end != PathEnd::Confirmed)
        .collect();
    let minutes: i64 = astray.iter().map(|p| p.spent_ms).sum();
    if let Some(path) = astray.first() {
        said.push(format!(
            "Investigation: {} went into paths that were not the cause, most into “{}”. Look at what the diagnosis rules out first.",
            utc::length(minutes),
            path.cause.title()
        ));
    }
    if incident.notes.is_empty() {
        said.push("Record: nobody noted anything, so that misleading paths are unknown. `plimsoll incident note ID TEXT --path CAUSE` takes seconds.".to_owned());
    }
    said
}
