//! The task of one notifier: takes what waits, sends it, tries again.

use super::http::{self, Post};
use super::{Target, command, lock, message};
use config::SecretRef;
use diagnose::alert::Alert;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Attempts of one message.
const ATTEMPTS_MAX: u32 = 7;
/// Pause after the first failure; it doubles.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Alertmanager hears what still fires this often.
const REPEAT: Duration = Duration::from_secs(4 * 60);
/// Of a file that holds a key or an address.
const SECRET_MAX: u64 = 4_096;
/// PagerDuty's own service.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Why a message was not taken. It holds no secret: no address, key or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In words.
    pub text: String,
    /// Trying again may help.
    pub passing: bool,
}

impl Fault {
    pub(super) fn passing(text: &str) -> Fault {
        Fault {
            text: text.to_owned(),
            passing: true,
        }
    }

    pub(super) fn lasting(text: &str) -> Fault {
        Fault {
            text: text.to_owned(),
            passing: false,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// Until it is aborted.
pub(super) async fn serve(target: Arc<Target>) {
    loop {
        if lock(&target.queue).is_empty() {
            let repeats = target.kind() == "alertmanager";
            let rung = target.bell.notified();
            if tokio::time::timeout(REPEAT, rung).await.is_err() {
                let told = lock(&target.queue).told();
                if repeats && !told.is_empty() {
                    let _ = attempt(&target, &told).await;
                }
                continue;
            }
        }
        tokio::time::sleep(target.group_window).await;
        let alerts = lock(&target.queue).take();
        if !alerts.is_empty() {
            deliver(&target, &alerts).await;
        }
    }
}

/// With retries. What cannot be told in the end is counted and logged.
async fn deliver(target: &Arc<Target>, alerts: &[Alert]) {
    let mut pause = PAUSE;
    for n in 1..=ATTEMPTS_MAX {
        let Err(fault) = attempt(target, alerts).await else {
            return;
        };
        if !fault.passing || n == ATTEMPTS_MAX {
            let lost = u64::try_from(alerts.len()).unwrap_or(u64::MAX);
            target.given_up.fetch_add(lost, Ordering::Relaxed);
            let (name, alerts) = (&target.name, alerts.len());
            tracing::error!(notifier = %name, alerts, error = %fault, "alerts could not be sent");
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn attempt(target: &Arc<Target>, alerts: &[Alert]) -> Result<(), Fault> {
    let result = once(target, alerts).await;
    match &result {
        Ok(()) => {
            target.sent.fetch_add(1, Ordering::Relaxed);
            lock(&target.last_error).clear();
        }
        Err(fault) => {
            target.failed.fetch_add(1, Ordering::Relaxed);
            lock(&target.last_error).clone_from(&fault.text);
            let name = &target.name;
            tracing::warn!(notifier = %name, error = %fault, "a notifier failed");
        }
    }
    result
}

/// One attempt.
pub(super) async fn once(target: &Arc<Target>, alerts: &[Alert]) -> Result<(), Fault> {
    let settings = &target.settings;
    let key = settings.key_from().map(|from| secret(&from)).transpose()?;
    let kind = target.kind();
    let key_text = key.as_deref().unwrap_or_default();
    let bodies = message::bodies(kind, target.from(), key_text, alerts);
    if kind == "command" {
        let argv = settings.command.clone().unwrap_or_default();
        let input: String = bodies.iter().map(|b| format!("{b}\n")).collect();
        let task = tokio::task::spawn_blocking(move || command::run(&argv, &input));
        let broken = |_| Fault::passing("it could not be run");
        return task.await.map_err(broken)?;
    }
    let url = match (&settings.url, settings.url_from(), kind) {
        (_, Some(from), _) => secret(&from)?,
        (Some(url), None, _) => url.clone(),
        (None, None, "pagerduty") => PAGERDUTY.to_owned(),
        (None, None, _) => return Err(Fault::lasting("it has no address")),
    };
    let url = match kind {
        "alertmanager" if !url.contains("/api/") => {
            format!("{}/api/v2/alerts", url.trim_end_matches('/'))
        }
        _ => url,
    };
    for body in bodies {
        http::post(Post {
            url: &url,
            body: body.to_string(),
            bearer: key.as_deref().filter(|_| kind != "pagerduty"),
            ca_file: settings.ca_file.as_deref(),
        })
        .await?;
    }
    Ok(())
}

/// Read anew each time: a rotated key is the next message's.
fn secret(from: &SecretRef) -> Result<String, Fault> {
    let text = match from {
        SecretRef::File(path) => file(path)?,
        SecretRef::Env(name) => std::env::var(name)
            .map_err(|_| Fault::lasting("the variable that its settings name is not set"))?,
        _ => return Err(Fault::lasting("its key is kept where it cannot be read")),
    };
    let text = text.trim();
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(Fault::lasting(
            "the file or variable that its settings name holds no key",
        )),
        false => Ok(text.to_owned()),
    }
}

fn file(path: &Path) -> Result<String, Fault> {
    let fault = |_| Fault::lasting("the file that its settings name cannot be read");
    if !std::fs::metadata(path).map_err(fault)?.is_file() {
        return Err(Fault::lasting("what its settings name is no file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(SECRET_MAX)
        .read_to_string(&mut text)
        .map_err(fault)?;
    Ok(text)
}
