//! Which alerts this instance tells people of, where others have them too.

use super::Fleet;
use ::fleet::{Over, Says};
use diagnose::alert::{Alert, AlertChange, AlertState};
use std::collections::BTreeMap;

/// Decides each second, on the thread that measures.
pub struct Deciding {
    fleet: Fleet,
    /// Over here, and not decided yet who says so.
    ended: BTreeMap<String, Alert>,
    /// Who tells of what, as it was logged.
    told_by: BTreeMap<String, String>,
}

/// What a second came to.
#[derive(Debug, Default)]
pub struct Decided {
    /// To be told.
    pub tell: Vec<Alert>,
    /// Another one told of these so far; their end is told from here.
    pub adopt: Vec<Alert>,
    /// Another one tells of these: their keys.
    pub forget: Vec<String>,
}

impl Deciding {
    pub(super) fn new(fleet: Fleet) -> Deciding {
        Deciding {
            fleet,
            ended: BTreeMap::new(),
            told_by: BTreeMap::new(),
        }
    }

    /// `alerts` are all that are seen, `changes` those that began, grew worse or
    /// ended. `mute`: this instance has nobody to tell, and leaves it to others.
    pub fn second(&mut self, alerts: &[Alert], changes: &[AlertChange], mute: bool) -> Decided {
        let mut decided = Decided::default();
        if mute {
            return decided;
        }
        let fires = |a: &&Alert| a.state == AlertState::Firing;
        for alert in alerts.iter().filter(fires) {
            self.ended.remove(&alert.key);
            self.fires(alert, changes, &mut decided);
        }
        let over = |c: &&AlertChange| c.state == AlertState::Resolved;
        for change in changes.iter().filter(over) {
            self.ended.insert(change.key.clone(), change.clone());
        }
        self.ends(&mut decided);
        let known = |key: &str| alerts.iter().any(|a| a.key == key);
        let ended = &self.ended;
        let mut state = self.fleet.state();
        state
            .duties
            .keep(|key| known(key) || ended.contains_key(key));
        self.told_by.retain(|key, _| known(key));
        decided
    }

    fn fires(&mut self, alert: &Alert, changes: &[AlertChange], decided: &mut Decided) {
        let now = self.fleet.now();
        let key = alert.key.as_str();
        let mut state = self.fleet.state();
        let state = &mut *state;
        match state.duties.who_says(now, key, &state.book) {
            Says::Wait => {}
            Says::Begin(before) => {
                let own = &state.own.instance;
                let mut alert = alert.clone();
                if let Some(before) = before {
                    tracing::warn!(
                        alert = alert.name.label(),
                        key,
                        before,
                        "{before} told of this alert and does not any more: told by this instance from now on"
                    );
                    alert.summary = format!(
                        "{} ({before} told of this before; {own} tells from now on)",
                        alert.summary
                    );
                }
                self.told_by.remove(key);
                decided.tell.push(alert);
            }
            Says::Us => {
                let same = |c: &&AlertChange| c.key == alert.key;
                decided.tell.extend(changes.iter().find(same).cloned());
            }
            Says::Peer(peer) => {
                let known = self.told_by.insert(key.to_owned(), peer.clone());
                if known.as_ref() != Some(&peer) {
                    decided.forget.push(key.to_owned());
                    tracing::info!(alert = alert.name.label(), key, "told by {peer}");
                }
            }
        }
    }

    fn ends(&mut self, decided: &mut Decided) {
        let now = self.fleet.now();
        let mut state = self.fleet.state();
        let state = &mut *state;
        self.ended.retain(|key, alert| {
            match state.duties.over(now, key, &state.book) {
                Over::Wait => return true,
                Over::Tell => decided.tell.push(alert.clone()),
                Over::TellForAnother => {
                    decided.adopt.push(alert.clone());
                    decided.tell.push(alert.clone());
                }
                Over::Quiet => decided.forget.push(key.clone()),
            }
            false
        });
    }
}
