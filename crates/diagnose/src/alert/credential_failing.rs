//! A certificate ends soon, or a password is refused.

use super::engine::{Condition, Seen, clean};
use super::server_refusing::refuses_credentials;
use super::{AlertName, CertificateFact, Severity};
use crate::{Figure, Subject, Unit};
use events::sample::ServerSample;

const DAY_MS: i64 = 86_400_000;
/// Days left, and how soon a person is needed.
const STEPS: [(i64, Severity); 3] = [
    (2, Severity::Critical),
    (7, Severity::Error),
    (21, Severity::Warning),
];

pub(super) fn look(seen: &Seen<'_>, found: &mut Vec<Condition>) {
    for certificate in seen.facts.certificates {
        let left_ms = certificate.expires_ms.saturating_sub(seen.now_ms);
        let step = STEPS.iter().find(|(days, _)| left_ms <= days * DAY_MS);
        if let Some((_, severity)) = step {
            found.push(certificate_ends(certificate, left_ms, *severity));
        }
    }
    for server in &seen.sample.servers {
        if server.login_failed > 0 && refuses_credentials(server) {
            found.push(password_refused(server));
        }
    }
    if seen.facts.secrets_refused > 0 {
        found.push(rotation_refused(seen.facts.secrets_refused));
    }
}

fn certificate_ends(row: &CertificateFact, left_ms: i64, severity: Severity) -> Condition {
    let file = clean(&row.file);
    let days = left_ms as f64 / DAY_MS as f64;
    let summary = match left_ms {
        ms if ms <= 0 => format!("The certificate {file} has ended"),
        _ => format!("The certificate {file} ends in {days:.1} days"),
    };
    let subject = Subject {
        setting: file.clone(),
        ..Subject::default()
    };
    let left = Figure::new("ends_in", left_ms as f64 / 1e3, Unit::Seconds);
    let mut condition = Condition::new(AlertName::CredentialFailing, subject, summary)
        .lasting(0, 15_000)
        .figure(left.of(&format!("{} {} {file}", clean(&row.side), clean(&row.role))))
        .step(
            "Put the new certificate in the place of the old; it is taken into service by itself",
            "",
        );
    condition.severity = severity;
    with_playbook(condition)
}

fn password_refused(server: &ServerSample) -> Condition {
    let name = clean(&server.upstream);
    let code = clean(&server.last_error);
    let subject = Subject {
        server: name.clone(),
        ..Subject::default()
    };
    let summary = format!("{name} refuses our password (SQLSTATE {code})");
    let failed = Figure::new("login_failed", server.login_failed as f64, Unit::Count);
    let mut condition = Condition::new(AlertName::CredentialFailing, subject, summary)
        .lasting(0, 60_000)
        .figure(failed.of(&name))
        .step(
            "Put the password that the server knows where the settings say",
            "",
        );
    condition.severity = Severity::Critical;
    with_playbook(condition)
}

fn rotation_refused(count: u64) -> Condition {
    let subject = Subject {
        setting: String::from("secrets"),
        ..Subject::default()
    };
    let summary = String::from("A new secret or certificate could not be used; the old one serves");
    with_playbook(
        Condition::new(AlertName::CredentialFailing, subject, summary)
            .lasting(0, 15_000)
            .figure(Figure::new("refused", count as f64, Unit::Count))
            .step("Read in the log which one and why", ""),
    )
}

fn with_playbook(condition: Condition) -> Condition {
    condition.step(
        "Follow the steps for this alert",
        "plimsoll playbook PlimsollCredentialFailing",
    )
}
