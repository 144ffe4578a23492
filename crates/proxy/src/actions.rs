//! What people do to the data plane, for whoever writes the timeline.
//!
//! A bounded list of this process. Whoever measures takes it once a second; if
//! nobody does, or somebody does very much at once, the rest is counted and told
//! as one line.

use crate::admin::Handle;
use events::sample::{Marker, MarkerKind, Name};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Actions that wait to be taken.
const HELD_MAX: usize = 64;
/// Characters kept of each text and name.
const TEXT_MAX: usize = 200;

/// What was done and not yet taken; beside it, what servers did that no look at
/// figures would tell. Locked by who acts and by who takes it.
#[derive(Default)]
pub(crate) struct Actions {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    markers: Vec<Marker>,
    /// Not held, since the last time that it was taken.
    lost: u64,
}

impl Actions {
    /// A server did this.
    pub(crate) fn note_server(&self, server: &str, text: &str) {
        self.push(marker(now_ms(), MarkerKind::Server, server, text, ""));
    }

    fn push(&self, marker: Marker) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.markers.len() < HELD_MAX {
            true => held.markers.push(marker),
            false => held.lost += 1,
        }
    }

    fn take(&self, at_ms: i64) -> Vec<Marker> {
        let held = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        let mut markers = held.markers;
        if held.lost > 0 {
            let text = format!("{} actions more at once, not noted one by one", held.lost);
            markers.push(marker(at_ms, MarkerKind::Action, "", &text, ""));
        }
        markers
    }
}

impl Handle {
    /// A person did this. `subject` is what it was done to, empty for all; names
    /// that others chose belong there and not into `text`.
    pub fn note_action(&self, actor: &str, text: &str, subject: &str) {
        let action = marker(now_ms(), MarkerKind::Action, subject, text, actor);
        self.actions().push(action);
    }

    /// The switch of the guards was thrown or taken back.
    pub(crate) fn note_guards(&self, actor: &str, text: &str) {
        let thrown = marker(now_ms(), MarkerKind::Guard, "", text, actor);
        self.actions().push(thrown);
    }

    /// What people did since this was called last, oldest first. For one caller:
    /// it is handed out once.
    pub fn take_actions(&self) -> Vec<Marker> {
        self.actions().take(now_ms())
    }
}

fn marker(at_ms: i64, kind: MarkerKind, subject: &str, text: &str, actor: &str) -> Marker {
    Marker {
        at_ms,
        kind,
        subject: Name::from(one_line(subject)),
        text: one_line(text),
        actor: Name::from(one_line(actor)),
    }
}

/// A text of somebody else's as it may stand in a line of the log.
pub(crate) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(clean).take(TEXT_MAX).collect();
    text.trim().to_owned()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_counted_and_everything_is_taken_once() {
        let actions = Actions::default();
        for n in 0..HELD_MAX + 3 {
            let text = format!("KILL_CLIENT {n}");
            actions.push(marker(1, MarkerKind::Action, "", &text, "anna"));
        }
        let taken = actions.take(9);
        assert_eq!(taken.len(), HELD_MAX + 1);
        assert_eq!(taken[0].text, "KILL_CLIENT 0");
        let last = &taken[HELD_MAX];
        assert_eq!(last.text, "3 actions more at once, not noted one by one");
        assert_eq!(last.at_ms, 9);
        assert_eq!(actions.take(10), []);
    }

    #[test]
    fn a_name_cannot_write_a_line_of_its_own() {
        let made = marker(
            1,
            MarkerKind::Action,
            "shop\nx",
            "PAUSE\x1b[0m",
            "anna\r\nroot",
        );
        assert_eq!(&*made.subject, "shop x");
        assert_eq!(made.text, "PAUSE [0m");
        assert_eq!(&*made.actor, "anna  root");
        assert_eq!(one_line(&"x".repeat(1_000)).len(), TEXT_MAX);
    }
}
