//! The one switch: for a while all guards only watch.
//!
//! It is memory of this process, thrown in the console. It needs no file, no
//! token and no restart, ends by itself, and a restart ends it too. The budget
//! is no guard: it always holds.

use crate::actions::one_line;
use crate::admin::Handle;
use crate::columns::{self, Table, utc};
use crate::registry::Registry;
use events::snapshot::{GuardsOff, GuardsRow};
use events::{Guard, Guards};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest time for which the switch may be thrown at once.
pub(crate) const OFF_MAX: Duration = Duration::from_secs(24 * 3600);
/// Shortest.
const OFF_MIN: Duration = Duration::from_secs(1);

const USAGE: &str = "write GUARDS OFF FOR '30m' REASON 'why', GUARDS ON, or SHOW GUARDS";

/// The switch. Locked by the console's thread, and by whoever takes a snapshot.
#[derive(Default)]
pub(crate) struct Switch {
    off: Mutex<Option<GuardsOff>>,
}

impl Switch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<GuardsOff>> {
        self.off.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// From now on, and for so long, guards that are on only watch. Thrown
    /// again, it begins anew.
    ///
    /// # Errors
    /// What is wrong with the time or the reason.
    pub fn guards_off(&self, span: Duration, actor: &str, reason: &str) -> Result<(), String> {
        if !(OFF_MIN..=OFF_MAX).contains(&span) {
            return Err("the guards can be off for one second to 24 hours".into());
        }
        let reason = one_line(reason);
        if reason.is_empty() {
            return Err("a reason is needed: it stands in the log and in SHOW GUARDS".into());
        }
        let now = self.clock_now();
        let off = GuardsOff {
            since: now,
            until: now.after(span),
            actor: one_line(actor),
            reason,
        };
        let mut held = self.switch().lock();
        *held = Some(off.clone());
        self.switch_guards(true);
        drop(held);
        let text = format!("all guards only watch: {}", off.reason);
        self.note_guards(&off.actor, &text);
        tracing::warn!(
            actor = off.actor,
            reason = off.reason,
            until = wall(span),
            undo = "plimsoll guards on",
            "the guards are off: they only watch; the budget holds"
        );
        Ok(())
    }

    /// Takes the switch back. False: it was not thrown.
    pub fn guards_on(&self, actor: &str) -> bool {
        self.end_guards_off(&one_line(actor))
    }

    fn end_guards_off(&self, actor: &str) -> bool {
        let mut held = self.switch().lock();
        let Some(off) = held.take() else {
            return false;
        };
        self.switch_guards(false);
        drop(held);
        self.note_guards(actor, "the guards act again");
        tracing::warn!(
            actor,
            lasted_s = self.clock_now().since(off.since).as_secs(),
            thrown_by = off.actor,
            reason = off.reason,
            "the guards are on again"
        );
        true
    }

    /// Ends the switch when its time is up; else how long it still lasts.
    pub(crate) fn guards_due(&self) -> Option<Duration> {
        let until = self.switch().lock().as_ref()?.until;
        let now = self.clock_now();
        if until > now {
            return Some(until.since(now));
        }
        self.end_guards_off("its time is up");
        None
    }

    /// The guards as a snapshot shows them.
    pub(crate) fn guards_row(&self) -> GuardsRow {
        let mut row = GuardsRow {
            set: self.plan().guards,
            off: self.switch().lock().clone(),
            ..GuardsRow::default()
        };
        for upstream in self.upstreams() {
            row.counts.add(&upstream.lock().counters().guards);
        }
        row.counts.add(&self.decisions());
        row
    }
}

impl Registry {
    /// The guards' modes as they hold now.
    pub(crate) fn guards(&self) -> Guards {
        match self.guards_off {
            true => self.plan.guards.observing(),
            false => self.plan.guards,
        }
    }

    /// Throws the switch, or takes it back; every pool follows at once.
    pub(crate) fn switch_guards(&mut self, off: bool) {
        self.guards_off = off;
        let guards = self.guards();
        for place in self.places() {
            place.upstream.lock().set_guards(place.pool, guards);
        }
    }
}

/// `GUARDS …` in the console. The text as sent: a reason keeps its case.
pub(crate) fn command(handle: &Handle, actor: &str, text: &str, out: &mut Vec<u8>) {
    let asked = match parse(text) {
        Ok(asked) => asked,
        Err(error) => return columns::error_with(out, ("42601", &error), None, Some(USAGE)),
    };
    match asked {
        Asked::Show => out.extend(table(&handle.guards_row(), handle.clock_now())),
        Asked::On => {
            handle.guards_on(actor);
            wire::back::command_complete(out, "GUARDS ON");
        }
        Asked::Off(span, reason) => match handle.guards_off(span, actor, &reason) {
            Ok(()) => wire::back::command_complete(out, "GUARDS OFF"),
            Err(error) => columns::error_with(out, ("22023", &error), None, Some(USAGE)),
        },
    }
}

/// SHOW GUARDS.
pub(crate) fn table(row: &GuardsRow, now: events::Time) -> Vec<u8> {
    let mut table = Table::new(&[
        ("guard", columns::TEXT),
        ("set", columns::TEXT),
        ("in_force", columns::TEXT),
        ("done", columns::INT8),
        ("would", columns::INT8),
        ("needless", columns::INT8),
        ("off_until", columns::TEXT),
        ("off_by", columns::TEXT),
        ("reason", columns::TEXT),
    ]);
    for guard in Guard::ALL {
        let off = row.off.as_ref();
        table.row(&[
            Some(guard.label().to_owned()),
            Some(row.set.mode(guard).label().to_owned()),
            Some(row.mode(guard).label().to_owned()),
            Some(row.counts.done(guard).to_string()),
            Some(row.counts.would(guard).to_string()),
            Some(row.counts.needless(guard).to_string()),
            off.map(|off| wall(off.until.since(now))),
            off.map(|off| off.actor.clone()),
            off.map(|off| off.reason.clone()),
        ]);
    }
    table.finish("SHOW")
}

/// What a statement asks for.
#[derive(PartialEq, Eq, Debug)]
enum Asked {
    Show,
    On,
    Off(Duration, String),
}

fn parse(text: &str) -> Result<Asked, String> {
    let words = words(text)?;
    let upper: Vec<String> = words.iter().map(|w| w.to_ascii_uppercase()).collect();
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    match (upper.as_slice(), words.as_slice()) {
        (["GUARDS"] | ["GUARDS", "SHOW"], _) => Ok(Asked::Show),
        (["GUARDS", "ON"], _) => Ok(Asked::On),
        (["GUARDS", "OFF", "FOR", _, "REASON", _], [.., span, _, reason]) => {
            let span = config::parse_duration(span)
                .ok_or_else(|| format!("{span:?} is no duration: write for example '30m'"))?;
            Ok(Asked::Off(span, reason.clone()))
        }
        (["GUARDS", "OFF", "FOR", _], _) => Err("the reason is missing".into()),
        (["GUARDS", "OFF", ..], _) => Err("how long, and why, is missing".into()),
        _ => Err("this is no command of the guards".into()),
    }
}

/// Words apart by blanks; what stands in single quotes is one word, a quote in it is doubled.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.trim().trim_end_matches(';').chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::new();
        if first == '\'' {
            loop {
                match chars.next() {
                    Some('\'') if chars.peek() == Some(&'\'') => {
                        chars.next();
                        word.push('\'');
                    }
                    Some('\'') => break,
                    Some(c) => word.push(c),
                    None => return Err("a quote is not closed".into()),
                }
            }
        } else {
            word.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
    Ok(words)
}

/// The date and time so long from now.
fn wall(ahead: Duration) -> String {
    let at = SystemTime::now() + ahead;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_as_a_person_writes_them() {
        let off =
            |seconds, reason: &str| Ok(Asked::Off(Duration::from_secs(seconds), reason.into()));
        let error = |text: &str| Err(text.to_owned());
        let table = [
            ("GUARDS", Ok(Asked::Show)),
            ("guards;", Ok(Asked::Show)),
            ("guards on;", Ok(Asked::On)),
            ("GUARDS OFF FOR '30m' REASON 'a fix'", off(1_800, "a fix")),
            ("guards off for 2h reason hurry ;", off(7_200, "hurry")),
            (
                "GUARDS OFF FOR '90s' REASON 'it''s down'",
                off(90, "it's down"),
            ),
            ("GUARDS OFF FOR '30m'", error("the reason is missing")),
            ("GUARDS OFF", error("how long, and why, is missing")),
            (
                "GUARDS OFF FOR '30' REASON 'x'",
                error("\"30\" is no duration: write for example '30m'"),
            ),
            (
                "GUARDS OFF FOR '1m' REASON 'x",
                error("a quote is not closed"),
            ),
            ("GUARDS AWAY", error("this is no command of the guards")),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_reason_cannot_write_a_line_of_the_log_of_its_own() {
        assert_eq!(
            one_line("down\n2026 forged line\x1b[0m "),
            "down 2026 forged line [0m"
        );
    }
}
