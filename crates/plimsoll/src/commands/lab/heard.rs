//! What Plimsoll says during a run: alerts, diagnosis, and what becomes of settings.

use control::api::Client;
use control::measure::now_ms;
use control::settings::keeper::HistoryLine;
use diagnose::alert::{Alert, AlertState};
use diagnose::{Cause, Verdict};
use practice::outage::Said;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one question to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most sentences of one run.
const SAID_MAX: usize = 40;
/// Most that is remembered to have been said.
const KNOWN_MAX: usize = 1_000;
/// Versions of the settings that are looked at: a run makes a few.
const NEWEST: u32 = 6;

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) alert_s: Option<f64>,
    pub(super) named: Option<(f64, Cause)>,
    pub(super) said: Vec<Said>,
    known: BTreeSet<String>,
}

/// A thread that asks. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Ear {
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// From when on what counts.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) began: Instant,
    pub(super) blow: Duration,
    pub(super) causes: Vec<Cause>,
}

impl Ear {
    pub(super) fn open(socket: &Path, question: Question) -> Ear {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client::new(socket).with_patience(PATIENCE);
        let (into, until) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                listen(&client, &question, &into);
                std::thread::sleep(PAUSE);
            }
        });
        Ear {
            heard,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn listen(client: &Client, question: &Question, into: &Mutex<Heard>) {
    let alerts = client.get::<Vec<Alert>>("/v1/alerts").unwrap_or_default();
    let verdict = client.get::<Verdict>("/v1/diagnosis").ok();
    let history = client.history(NEWEST).unwrap_or_default();
    let drift = client.status().ok().and_then(|status| status.drift);
    let now = question.began.elapsed();
    let mut heard = into.lock().unwrap_or_else(PoisonError::into_inner);
    let mut say = |key: String, text: String| heard.say(question, now, key, &text);
    let undone = |line: &HistoryLine| ["refused", "rolled_back"].contains(&line.state.as_str());
    let undone = history.iter().any(undone);
    for line in history {
        let (version, state, detail) = (line.version, line.state, line.detail);
        say(
            format!("settings {version} {state} {detail}"),
            format!(
                "settings: version {version} {state} {detail}: {}",
                line.note
            ),
        );
    }
    if let Some(drift) = drift {
        say("drift".to_owned(), format!("settings: {drift}"));
    }
    for alert in alerts
        .iter()
        .filter(|alert| alert.state == AlertState::Firing)
    {
        say(
            format!("alert {}", alert.key),
            format!("alert: {}", alert.summary),
        );
    }
    let first = verdict
        .as_ref()
        .and_then(|verdict| verdict.findings.first());
    if let Some(first) = first {
        let label = first.cause.label();
        say(
            label.to_owned(),
            format!("cause {label}, {} % sure: {}", first.sure, first.text),
        );
    }
    // Who refuses a change, or takes it back, has named it.
    let change = undone.then_some(Cause::SettingsChange);
    let causes = [first.map(|finding| finding.cause), change];
    heard.time(question, now, &alerts, causes);
}

impl Heard {
    /// Notes when the first alert since the blow fired, and when a right cause was named.
    fn time(
        &mut self,
        question: &Question,
        now: Duration,
        alerts: &[Alert],
        causes: [Option<Cause>; 2],
    ) {
        let began_ms = now_ms() - i64::try_from(now.as_millis()).unwrap_or(0);
        let blow_ms = began_ms + i64::try_from(question.blow.as_millis()).unwrap_or(0);
        let fired = alerts.iter().filter_map(|alert| alert.fired_ms);
        let first = fired.filter(|fired| *fired >= blow_ms).min();
        if let (None, Some(fired)) = (self.alert_s, first) {
            self.alert_s = Some((fired - began_ms) as f64 / 1e3);
        }
        let mut causes = causes.into_iter().flatten();
        let right = causes.find(|cause| question.causes.contains(cause));
        if let (None, Some(cause), true) = (self.named, right, now >= question.blow) {
            self.named = Some((now.as_secs_f64(), cause));
        }
    }

    /// Notes a sentence the first time: the figures in it change each second. What was said
    /// before the blow is no news.
    fn say(&mut self, question: &Question, now: Duration, key: String, text: &str) {
        let room = self.said.len() < SAID_MAX && self.known.len() < KNOWN_MAX;
        if !room || !self.known.insert(key) || now < question.blow {
            return;
        }
        let text = text.trim_end_matches([':', ' ']);
        self.said.push(Said {
            at_s: now.as_secs_f64(),
            text: diagnose::clean(text),
        });
    }
}
