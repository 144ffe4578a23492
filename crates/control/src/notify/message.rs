//! What is sent to whom, in each one's own form and with its own escapes.

use crate::measure::now_ms;
use diagnose::alert::{Alert, AlertState, Severity};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// PagerDuty's limits.
const DEDUP_MAX: usize = 255;
const SUMMARY_MAX: usize = 1_024;
/// Longest text of a chat message, characters.
const CHAT_MAX: usize = 3_000;
/// Alertmanager forgets an alert that is not told again before this.
const ALERTMANAGER_LASTS_MS: i64 = 15 * 60_000;

/// Who sends it.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    /// This instance.
    pub instance: &'a str,
    /// What an alert is one of: of this instance, or of a fleet whose instances leave
    /// it to one of them. One of them may tell the beginning and another the end.
    pub identity: &'a str,
}

/// The bodies to send, one after the other.
pub(super) fn bodies(kind: &str, from: From<'_>, key: &str, alerts: &[Alert]) -> Vec<Value> {
    let instance = from.instance;
    match kind {
        "pagerduty" => {
            let event = |a| pagerduty(from, key, a);
            alerts.iter().map(event).collect()
        }
        "alertmanager" => {
            let posted = |a| alertmanager(from.identity, a);
            vec![alerts.iter().map(posted).collect()]
        }
        "slack" => vec![slack(instance, alerts)],
        _ => vec![webhook(instance, alerts)],
    }
}

/// Plimsoll's own form, for webhooks and commands; described in docs/alerts.md.
fn webhook(instance: &str, alerts: &[Alert]) -> Value {
    json!({
        "version": 1,
        "instance": instance,
        "sent_at": rfc3339(now_ms()),
        "alerts": alerts.iter().map(own).collect::<Vec<_>>(),
    })
}

fn own(alert: &Alert) -> Value {
    let mut value = serde_json::to_value(alert).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("name".into(), title(alert).into());
        object.insert("since".into(), rfc3339(alert.since_ms).into());
    }
    value
}

/// The alert's name; a test's is none of them.
fn title(alert: &Alert) -> &str {
    match alert.key.as_str() {
        "PlimsollTest" => "PlimsollTest",
        _ => alert.name.label(),
    }
}

/// Events v2: <https://developer.pagerduty.com/docs/events-api-v2>.
fn pagerduty(from: From<'_>, key: &str, alert: &Alert) -> Value {
    let over = alert.state == AlertState::Resolved;
    let mut event = json!({
        "routing_key": key,
        "event_action": if over { "resolve" } else { "trigger" },
        "dedup_key": dedup_key(&format!("{}/{}", from.identity, alert.key)),
    });
    if over {
        return event;
    }
    let details: serde_json::Map<String, Value> = alert
        .figures
        .iter()
        .map(|f| (f.name.clone(), f.to_string().into()))
        .chain(next(alert).map(|text| ("next".to_owned(), text.into())))
        .collect();
    let subject = &alert.subject;
    event["client"] = "Plimsoll".into();
    event["payload"] = json!({
        "summary": cut(&text(alert), SUMMARY_MAX),
        "source": from.instance,
        "severity": alert.severity.label(),
        "timestamp": rfc3339(alert.since_ms),
        "component": if subject.database.is_empty() { &subject.server } else { &subject.database },
        "group": subject.application,
        "class": title(alert),
        "custom_details": details,
    });
    if is_link(&alert.runbook) {
        event["links"] = json!([{ "href": alert.runbook, "text": "Playbook" }]);
    }
    event
}

/// API v2: <https://prometheus.io/docs/alerting/latest/alerts_api/>.
fn alertmanager(instance: &str, alert: &Alert) -> Value {
    let subject = &alert.subject;
    let mut labels = serde_json::Map::new();
    let team = alert.owner.as_ref().map_or("", |o| o.team.as_str());
    for (name, value) in [
        ("alertname", title(alert)),
        ("severity", alert.severity.label()),
        ("instance", instance),
        ("database", &subject.database),
        ("user", &subject.user),
        ("application", &subject.application),
        ("server", &subject.server),
        ("setting", &subject.setting),
        ("team", team),
    ] {
        if !value.is_empty() {
            labels.insert(name.into(), value.into());
        }
    }
    // The severity of an alert may grow; its identity is that of its labels.
    let mut annotations = json!({ "summary": text(alert) });
    if let Some(next) = next(alert) {
        annotations["next"] = next.into();
    }
    if !alert.runbook.is_empty() {
        annotations["runbook_url"] = alert.runbook.clone().into();
    }
    let ends = alert
        .resolved_ms
        .unwrap_or_else(|| now_ms().saturating_add(ALERTMANAGER_LASTS_MS));
    json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339(alert.since_ms),
        "endsAt": rfc3339(ends),
    })
}

/// One text for all. Slack and those like it read markup: it is turned off, and
/// what cannot be turned off is escaped.
fn slack(instance: &str, alerts: &[Alert]) -> Value {
    let mut lines = Vec::new();
    for alert in alerts {
        let mark = match (alert.state, alert.severity) {
            (AlertState::Resolved, _) => "[over]",
            (_, Severity::Critical) => "[critical]",
            (_, Severity::Error) => "[error]",
            (_, Severity::Warning) => "[warning]",
            (_, Severity::Info) => "[info]",
        };
        lines.push(format!("{mark} {}: {}", title(alert), text(alert)));
        if alert.state != AlertState::Resolved {
            lines.extend(next(alert).map(|next| format!("    next: {next}")));
            if let Some(owner) = alert.owner.as_ref().filter(|o| !o.team.is_empty()) {
                lines.push(format!("    owner: {} {}", owner.team, owner.channel));
            }
            if !alert.runbook.is_empty() {
                lines.push(format!("    {}", alert.runbook));
            }
        }
    }
    let text = format!("Plimsoll {instance}\n{}", lines.join("\n"));
    json!({
        "text": escaped(&cut(&text, CHAT_MAX)),
        "mrkdwn": false,
        "link_names": false,
    })
}

/// Slack's three characters, and mentions that others like it would read.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Not followed by the name at once, it mentions nobody.
            '@' => out.push_str("@\u{200b}"),
            c => out.push(c),
        }
    }
    out
}

/// The sentence, and the cause where it is known.
fn text(alert: &Alert) -> String {
    let text = match (&alert.cause, alert.state) {
        (Some((cause, why)), AlertState::Firing | AlertState::Pending) => {
            format!("{}. Cause: {} ({why})", alert.summary, cause.title())
        }
        _ => alert.summary.clone(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The next step, with its command.
fn next(alert: &Alert) -> Option<String> {
    let step = alert.next.first()?;
    Some(match step.command.as_str() {
        "" => step.text.clone(),
        command => format!("{}: {command}", step.text),
    })
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{start}…")
}

/// The key, or its hash where it is too long.
fn dedup_key(key: &str) -> String {
    if key.len() <= DEDUP_MAX {
        return key.to_owned();
    }
    let hash = Sha256::digest(key.as_bytes());
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    let start: String = key.chars().take(40).filter(char::is_ascii).collect();
    format!("{start}-{hex}")
}

/// A moment as RFC 3339 writes it, UTC. Days to dates after Howard Hinnant's
/// description of the civil calendar.
pub(super) fn rfc3339(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (second, ms) = (of_day / 1_000, of_day % 1_000);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}
