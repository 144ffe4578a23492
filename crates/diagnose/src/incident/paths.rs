//! What people looked into, for how long, and what ended each path.
//!
//! A note may name the cause that is being looked into; some actions say so
//! without a note (who restarts the database thinks that it is the database).
//! Each person follows one path at a time; the minutes of several people on one
//! path count once.

use super::{EntryKind, Incident};
use crate::{Cause, Rejection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// What was suspected.
    pub cause: Cause,
    /// When somebody first followed it.
    pub first_ms: i64,
    /// When the last one left it.
    pub last_ms: i64,
    /// How long it was followed, milliseconds.
    pub spent_ms: i64,
    /// Who followed it.
    pub actors: Vec<String>,
    /// What ended it.
    pub end: PathEnd,
}

/// What ended a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathEnd {
    /// It was the cause.
    Confirmed,
    /// A figure contradicts it, since that moment.
    RuledOut(i64, Rejection),
    /// It was left for another; no figure contradicts it.
    Left(Cause),
    /// Nobody left it.
    Open,
}

/// Most people that a path names.
const ACTORS_MAX: usize = 8;

/// The paths of an incident, the longest first.
pub(super) fn of(incident: &Incident, now_ms: i64) -> Vec<Path> {
    let until = incident.until_ms(now_ms);
    let steps = steps(incident);
    let answer = incident.cause().map(|h| h.cause);
    let right = steps.iter().find(|(.., path)| Some(*path) == answer);
    let right = right.map(|(at, _, path)| (*at, *path));
    let mut spans: Vec<(Cause, i64, i64, &str, Option<Cause>)> = Vec::new();
    for (index, (at, actor, cause)) in steps.iter().enumerate() {
        let next = steps
            .iter()
            .skip(index + 1)
            .find(|(_, other, path)| other == actor && path != cause);
        let mut next = next.map(|(at, _, path)| (*at, *path));
        // Somebody else's step ends nobody's path, but for the one to the cause;
        // the incident's end ends all.
        if let Some((found, right)) = right.filter(|(found, right)| right != cause && found > at)
            && next.is_none_or(|(left, _)| left > found)
        {
            next = Some((found, right));
        }
        let end = next.map_or(until, |(at, _)| at).min(until.max(*at));
        spans.push((*cause, *at, end, actor, next.map(|(_, path)| path)));
    }
    let mut paths: Vec<Path> = Vec::new();
    for cause in Cause::ALL.iter().copied() {
        let own: Vec<_> = spans.iter().filter(|s| s.0 == cause).collect();
        let Some(first_ms) = own.iter().map(|s| s.1).min() else {
            continue;
        };
        let last = own.iter().max_by_key(|s| s.2);
        let last_ms = last.map_or(first_ms, |s| s.2);
        let mut actors: Vec<String> = Vec::new();
        for (.., actor, _) in &own {
            if actors.len() < ACTORS_MAX && !actors.iter().any(|a| a == actor) {
                actors.push((*actor).to_owned());
            }
        }
        let rejected = incident.hypotheses.iter().find(|h| h.cause == cause);
        let rejected = rejected.and_then(|h| h.rejected.clone());
        let left = last.and_then(|s| s.4);
        let end = match (answer == Some(cause), rejected, left) {
            (true, _, _) => PathEnd::Confirmed,
            (false, Some((at, why)), _) => PathEnd::RuledOut(at, why),
            (false, None, Some(next)) => PathEnd::Left(next),
            (false, None, None) => PathEnd::Open,
        };
        let mut ranges: Vec<(i64, i64)> = own.iter().map(|s| (s.1, s.2)).collect();
        paths.push(Path {
            cause,
            first_ms,
            last_ms,
            spent_ms: union(&mut ranges),
            actors,
            end,
        });
    }
    paths.sort_by_key(|p| (std::cmp::Reverse(p.spent_ms), p.first_ms));
    paths
}

/// Who turned to what, oldest first.
fn steps(incident: &Incident) -> Vec<(i64, &str, Cause)> {
    let notes = incident.notes.iter();
    let notes = notes.filter_map(|n| Some((n.at_ms, n.actor.as_str(), n.path?)));
    let actions = incident.timeline.iter().filter_map(|e| {
        let acted = e.kind == EntryKind::Action && e.at_ms >= incident.onset_ms;
        let path = acted.then(|| suspected(&e.text)).flatten()?;
        Some((e.at_ms, e.actor.as_str(), path))
    });
    let mut steps: Vec<_> = notes.chain(actions).collect();
    steps.sort_by_key(|(at, ..)| *at);
    steps
}

/// What somebody suspects who does this.
fn suspected(action: &str) -> Option<Cause> {
    let action = action.to_lowercase();
    let table: [(&[&str], Cause); 6] = [
        (&["restart", "failover"], Cause::DatabaseDown),
        (
            &["cache", "vacuum", "analyze", "reindex"],
            Cause::SlowStatements,
        ),
        (&["firewall", "ddos", "block"], Cause::AbusiveSource),
        (&["traceroute", "ping", "network"], Cause::Network),
        (&["terminate", "lock"], Cause::Locks),
        (&["password", "secret"], Cause::Credentials),
    ];
    let mut found = table.into_iter();
    found
        .find(|(words, _)| words.iter().any(|word| action.contains(word)))
        .map(|(_, cause)| cause)
}

/// How much the ranges cover together.
fn union(ranges: &mut [(i64, i64)]) -> i64 {
    ranges.sort_unstable();
    let (mut covered, mut until) = (0, i64::MIN);
    for (from, to) in ranges.iter() {
        let from = (*from).max(until);
        if *to > from {
            covered += to - from;
            until = *to;
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Entry, Note};

    fn note(at_s: i64, actor: &str, path: Cause) -> Note {
        Note {
            at_ms: at_s * 1_000,
            actor: actor.to_owned(),
            text: String::new(),
            path: Some(path),
        }
    }

    #[test]
    fn minutes_of_two_people_on_one_path_count_once() {
        let mut incident = Incident {
            recovered_ms: Some(600_000),
            notes: vec![
                note(0, "anna", Cause::Network),
                note(60, "ben", Cause::Network),
                note(120, "anna", Cause::Leak),
                note(180, "ben", Cause::Leak),
            ],
            ..Incident::default()
        };
        incident.enter(Entry {
            actor: "cleo".to_owned(),
            ..Entry::new(300_000, EntryKind::Action, "database restarted")
        });
        let paths = of(&incident, 999_000);
        let told: Vec<_> = paths
            .iter()
            .map(|p| (p.cause, p.spent_ms / 1_000))
            .collect();
        assert_eq!(
            told,
            [
                (Cause::Leak, 480),
                (Cause::DatabaseDown, 300),
                (Cause::Network, 180)
            ]
        );
        assert_eq!(paths[2].end, PathEnd::Left(Cause::Leak));
        assert_eq!(paths[2].actors, ["anna", "ben"]);
        assert_eq!(paths[0].end, PathEnd::Open);
    }
}
