//! From files to a report.

use crate::facts::Facts;
use crate::files::{File, Files, Kind};
use crate::finding::{Finding, Severity};
use crate::place::{FileId, Place, Position, position};
use crate::{read, rules, suppress};
use std::collections::BTreeMap;

/// Keys and values of one file that are kept as wrong: more are one mistake.
const WRONG_MAX: usize = 2_000;
/// Pools of all files. Rules compare them with each other.
const POOLS_MAX: usize = 2_000;
/// Findings of one rule in one file.
const SAME_MAX: usize = 100;

/// What the caller states beside the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `max_connections` of the server that all pools lead to, where no file
    /// and no live server says it.
    pub max_connections: Option<u64>,
    /// Connections that something else uses.
    pub others: u64,
    /// Connections that the application needs at its peak, where known.
    pub demand: Option<u64>,
    /// What the settings that serve now say; see [`Report::facts`].
    pub before: Option<Facts>,
}

/// What was found, in the order of files and lines.
#[derive(Clone, Debug)]
pub struct Report {
    files: Files,
    kinds: Vec<Kind>,
    facts: Facts,
    findings: Vec<Finding>,
}

/// Checks all files together.
pub fn check(files: &Files, options: &Options) -> Report {
    let mut facts = Facts::default();
    let kinds: Vec<Kind> = files.iter().map(|(_, file)| kind(file)).collect();
    let around = read::Around::of(files, &kinds);
    for ((id, file), kind) in files.iter().zip(&kinds) {
        match (&file.text, &file.live) {
            (Err(why), _) => facts.broken.push((Place::whole(id), why.clone())),
            (Ok(text), Some(live)) => read::live(id, text, live, &mut facts),
            (Ok(text), None) => {
                let before = (facts.unread.len(), facts.odd.len());
                read::read_among(*kind, id, &file.path, text, &around, &mut facts);
                bound(id, before, &mut facts);
            }
        }
    }
    read::settle(&mut facts);
    let mut findings = rules::run(files, &facts, options);
    few(&mut findings);
    suppress::apply(files, &mut findings);
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.place.file, f.place.range.start);
        key(a).cmp(&key(b)).then(a.rule.id.cmp(b.rule.id))
    });
    findings
        .dedup_by(|a, b| a.rule.id == b.rule.id && a.place == b.place && a.message == b.message);
    Report {
        files: files.clone(),
        kinds,
        facts,
        findings,
    }
}

/// Keeps what one file brought within bounds.
fn bound(file: FileId, (unread, odd): (usize, usize), facts: &mut Facts) {
    facts.unread.truncate(unread + WRONG_MAX);
    facts.odd.truncate(odd + WRONG_MAX);
    if facts.pools.len() > POOLS_MAX {
        facts.pools.truncate(POOLS_MAX);
        facts.within.retain(|(pool, _)| *pool < POOLS_MAX);
        let words = format!("more than {POOLS_MAX} pools in all: the rest is not checked");
        facts.broken.push((Place::whole(file), words));
    }
}

/// Leaves out what repeats itself, and says so.
fn few(findings: &mut Vec<Finding>) {
    let mut counts: BTreeMap<(&str, FileId), usize> = BTreeMap::new();
    findings.retain(|f| {
        let count = counts.entry((f.rule.id, f.place.file)).or_insert(0);
        *count += 1;
        *count <= SAME_MAX
    });
    for rule in rules::RULES {
        let of = counts.iter().filter(|((id, _), _)| *id == rule.id);
        for ((_, file), count) in of.filter(|(_, count)| **count > SAME_MAX) {
            let more = count - SAME_MAX;
            let words = format!("at least {more} more of these in this file");
            findings.push(Finding::new(rule, Place::whole(*file), words));
        }
    }
}

fn kind(file: &File) -> Kind {
    match (&file.text, &file.live) {
        (_, Some(_)) => Kind::LiveServer,
        (Ok(text), None) => Kind::of(&file.path, text),
        (Err(_), None) => Kind::Unknown,
    }
}

impl Report {
    /// All findings, the suppressed ones too.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Those that nobody accepted.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.suppressed.is_none())
    }

    /// The worst open finding.
    pub fn worst(&self) -> Option<Severity> {
        self.open().map(|f| f.severity).max()
    }

    /// What the files say.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What was read.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// What a file is.
    pub fn kind(&self, file: FileId) -> Kind {
        let kind = self.kinds.get(file.0 as usize);
        kind.copied().unwrap_or(Kind::Unknown)
    }

    /// Where a place is; `None` when the file as a whole is meant. Secrets in
    /// the source line are masked.
    pub fn position(&self, place: &Place) -> Option<Position> {
        if place.range.is_empty() && place.range.start == 0 {
            return None;
        }
        let text = self.files.text(place.file)?;
        let mut position = position(text, &place.range);
        self.mask(place, text, &mut position);
        Some(position)
    }

    /// Puts `…` in place of each secret on the line.
    fn mask(&self, place: &Place, text: &str, shown: &mut Position) {
        let before = text.get(..place.range.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let line_end = line_start + rest.find('\n').unwrap_or(rest.len());
        for secret in self
            .facts
            .secrets
            .iter()
            .filter(|s| s.place.file == place.file)
        {
            let Some(word) = text.get(secret.place.range.clone()) else {
                continue;
            };
            let (at, here) = (&secret.place.range, &place.range);
            let touches = at.start <= line_end && at.end >= line_start;
            if !touches || word.is_empty() {
                continue;
            }
            if word.contains('\n') {
                (shown.source, shown.before, shown.length) = ("…".to_owned(), 0, 1);
                continue;
            }
            shown.source = shown.source.replace(word, "…");
            // The line is shorter now, and how long a secret is, is one too.
            if at.end <= here.start && at.start >= line_start {
                let gone = word.chars().count().saturating_sub(1);
                shown.before = shown.before.saturating_sub(gone);
            } else if at.start < here.end && here.start < at.end {
                shown.length = 1;
            }
        }
    }
}
