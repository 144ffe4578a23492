//! `plimsoll alerts`: what needs a person now, and what did lately.

use super::print;
use super::settings::pooler;
use crate::cli::{AlertsArgs, LogFormat};
use diagnose::alert::{Alert, AlertState};
use diagnose::{safe, utc};
use events::sample::{Marker, MarkerKind};
use serde::Serialize;
use std::cmp::Reverse;
use std::fmt::Write;
use std::process::ExitCode;

/// Lines of what began or ended, the newest.
const RECENT_MAX: usize = 50;

/// What is printed for programs.
#[derive(Serialize)]
struct Told {
    /// Firing and pending, the worst first.
    alerts: Vec<Alert>,
    /// What began or ended, the newest first.
    recent: Vec<Marker>,
}

/// Shows them.
pub fn run(args: &AlertsArgs) -> anyhow::Result<ExitCode> {
    let client = pooler(&args.pooler)?;
    let last = i64::try_from(args.last.as_millis()).unwrap_or(i64::MAX);
    let from = control::measure::now_ms().saturating_sub(last).max(0);
    let told = Told::of(
        client.get("/v1/alerts")?,
        client.get(&format!("/v1/markers?from_ms={from}"))?,
    );
    match args.pooler.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&told)?))?,
        LogFormat::Text => print(&told.text())?,
    }
    Ok(match told.fires() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

impl Told {
    fn of(mut alerts: Vec<Alert>, markers: Vec<Marker>) -> Told {
        alerts.sort_by_key(|a| {
            (
                a.state != AlertState::Firing,
                Reverse(a.severity),
                a.since_ms,
            )
        });
        let recent = markers.into_iter().rev();
        let recent = recent.filter(|m| m.kind == MarkerKind::Alert);
        Told {
            alerts,
            recent: recent.take(RECENT_MAX).collect(),
        }
    }

    fn fires(&self) -> bool {
        self.alerts.iter().any(|a| a.state == AlertState::Firing)
    }

    fn text(&self) -> String {
        let mut out = match self.alerts.is_empty() {
            true => "No alert stands.\n".to_owned(),
            false => self.alerts.iter().map(standing).collect(),
        };
        if !self.recent.is_empty() {
            out.push_str("\nLately:\n");
        }
        for marker in &self.recent {
            let text = safe::line(&marker.text, safe::LINE_CHARS_MAX);
            let _ = writeln!(out, "{}  {text}", utc::moment(marker.at_ms));
        }
        out
    }
}

fn standing(alert: &Alert) -> String {
    let state = match alert.state {
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
        AlertState::Resolved => "resolved",
    };
    let clean = |text: &str| safe::line(text, safe::LINE_CHARS_MAX);
    let mut out = format!(
        "{state:<9}{:<10}{}  {:<31}{}\n",
        alert.severity.label(),
        utc::moment(alert.fired_ms.unwrap_or(alert.since_ms)),
        alert.name.label(),
        clean(&alert.summary)
    );
    if let Some((cause, why)) = &alert.cause {
        let _ = writeln!(out, "         cause: {}: {}", cause.label(), clean(why));
    }
    if let Some(step) = alert.next.first() {
        let how = match step.command.is_empty() {
            true => clean(&step.text),
            false => clean(&step.command),
        };
        let _ = writeln!(out, "         next:  {how}");
    }
    if let Some(owner) = &alert.owner {
        let parts = [&owner.team, &owner.channel, &owner.escalation];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|p| !p.is_empty())
            .map(|p| safe::name(p))
            .collect();
        let _ = writeln!(out, "         owner: {}", parts.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use diagnose::alert::{AlertName, Owner, Severity};
    use diagnose::{Cause, Step, Subject};

    fn alert(name: AlertName, state: AlertState, severity: Severity) -> Alert {
        Alert {
            name,
            key: String::new(),
            subject: Subject::default(),
            state,
            severity,
            since_ms: 1_000,
            fired_ms: None,
            resolved_ms: None,
            summary: "clients wait\x1b[2J".to_owned(),
            figures: Vec::new(),
            cause: Some((Cause::Leak, "held".to_owned())),
            forecast: None,
            next: vec![Step {
                text: "Look".to_owned(),
                command: "plimsoll diagnose".to_owned(),
            }],
            runbook: String::new(),
            owner: Some(Owner {
                team: "payments".to_owned(),
                escalation: "+1 555".to_owned(),
                ..Owner::default()
            }),
        }
    }

    #[test]
    fn what_fires_stands_before_what_may_and_controls_are_gone() {
        let marker = |at_ms, kind, text: &str| Marker {
            at_ms,
            kind,
            subject: "".into(),
            text: text.to_owned(),
            actor: "".into(),
        };
        let told = Told::of(
            vec![
                alert(AlertName::Leak, AlertState::Pending, Severity::Error),
                alert(
                    AlertName::PoolTooSmall,
                    AlertState::Firing,
                    Severity::Warning,
                ),
                alert(
                    AlertName::PoolExhausted,
                    AlertState::Firing,
                    Severity::Critical,
                ),
            ],
            vec![
                marker(0, MarkerKind::Alert, "PlimsollLeak fires: it leaks"),
                marker(1_000, MarkerKind::Release, "shop 2"),
                marker(2_000, MarkerKind::Alert, "PlimsollLeak over: it leaks"),
            ],
        );
        assert!(told.fires());
        let text = told.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0]
                .starts_with("firing   critical  1970-01-01 00:00:01 UTC  PlimsollPoolExhausted")
        );
        assert_eq!(lines[1], "         cause: leak: held");
        assert_eq!(lines[2], "         next:  plimsoll diagnose");
        assert_eq!(lines[3], "         owner: payments, +1 555");
        assert!(lines[4].contains("PlimsollPoolTooSmall"));
        assert!(lines[8].starts_with("pending  error"));
        assert_eq!(lines[13], "Lately:");
        assert_eq!(
            lines[14],
            "1970-01-01 00:00:02 UTC  PlimsollLeak over: it leaks"
        );
        assert_eq!(lines.len(), 16);
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn silence_says_so() {
        let told = Told::of(Vec::new(), Vec::new());
        assert!(!told.fires());
        assert_eq!(told.text(), "No alert stands.\n");
    }
}
