//! What one notifier still has to tell. Pure.

use diagnose::alert::{Alert, AlertState};
use std::collections::{BTreeMap, VecDeque};

/// Alerts that wait for one notifier.
pub(super) const QUEUE_MAX: usize = 256;
/// Alerts in one message.
pub(super) const GROUP_MAX: usize = 50;
/// Alerts told and not yet over that are remembered.
const TOLD_MAX: usize = 1_024;

/// Alerts in the order in which they came; of each, the newest word only.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Alert>,
    /// Those that were told and are not over, by key.
    told: BTreeMap<String, Alert>,
    dropped: u64,
}

impl Queue {
    /// One more. What says nothing new is left out: the end of what was never told.
    pub fn push(&mut self, alert: Alert) {
        let over = alert.state == AlertState::Resolved;
        if let Some(at) = self.waiting.iter().position(|a| a.key == alert.key) {
            self.waiting.remove(at);
        }
        if over && !self.told.contains_key(&alert.key) {
            return;
        }
        if self.waiting.len() >= QUEUE_MAX {
            // The end of an alert is worth more than its beginning: a person waits for it.
            let firing = |a: &Alert| a.state != AlertState::Resolved;
            let at = self.waiting.iter().position(firing).unwrap_or(0);
            self.waiting.remove(at);
            self.dropped = self.dropped.saturating_add(1);
        }
        self.waiting.push_back(alert);
    }

    /// The next message's alerts. They count as told: what fails is put back.
    pub fn take(&mut self) -> Vec<Alert> {
        let n = self.waiting.len().min(GROUP_MAX);
        let alerts: Vec<Alert> = self.waiting.drain(..n).collect();
        for alert in &alerts {
            if alert.state == AlertState::Resolved {
                self.told.remove(&alert.key);
            } else if self.told.len() < TOLD_MAX {
                self.told.insert(alert.key.clone(), alert.clone());
            }
        }
        alerts
    }

    /// What was told and is not over, for those who must hear it again and again.
    pub fn told(&self) -> Vec<Alert> {
        self.told.values().take(GROUP_MAX).cloned().collect()
    }

    /// Another instance told of it; it counts as told here.
    pub fn adopt(&mut self, alert: &Alert) {
        if self.told.len() < TOLD_MAX {
            self.told.insert(alert.key.clone(), alert.clone());
        }
    }

    /// Another instance tells of it: nothing of it waits here, and nothing is repeated.
    pub fn forget(&mut self, key: &str) {
        self.told.remove(key);
        self.waiting.retain(|alert| alert.key != key);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
