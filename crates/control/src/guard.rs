//! Guards settings files that are not Plimsoll's own.
//!
//! Each file has one accepted content. What differs from it is drift: told
//! once, kept in the history, and written back where that is asked for and
//! allowed. Nothing here reloads or restarts anything. The one invariant: only
//! a person accepts a change, and no secret is kept.
//!
//! ```text
//!   paths ─► files (directories, includes) ─► Watch (content hashes, 1 s)
//!                                                │ what changed
//!   guard.db: accepted ──► judge (one table) ◄───┘ observe: what may be kept
//!        ▲                    │
//!        └── history ◄────────┴──► News: log, metrics ──► restore (3 in 10 min)
//! ```

mod asking;
mod difference;
mod figures;
mod files;
mod judge;
mod keeping;
mod mask;
mod news;
mod observe;
mod server;
mod store;
mod told;
mod writing;

pub use asking::is_server;
pub use difference::{Difference, Line, difference};
pub use figures::{Figures, Page, metrics};
pub use files::{FILES_MAX, Found, find};
pub use judge::{Verdict, judge};
pub use mask::{Kept, Lacks, TEXT_BYTES_MAX, keep};
pub use news::News;
pub use observe::{Observed, Unseen, observe};
pub use server::{For, Running, Server, Waiting, Written, changed_names, same_value};
pub use store::{Event, Known, Record, Store, Version};
pub use told::{findings, is_grave, tell};
pub use writing::{Limit, NotWritten, RESTORES_IN, RESTORES_MAX, Wanted, managed, restore};

use crate::settings::store::{StoreError, now_ms};
use crate::watch::{Hash, Kind, Watch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two looks for new files in directories and includes.
const SCAN_PERIOD: Duration = Duration::from_secs(5);
/// Who acts when nobody asked.
const ACTOR: &str = "plimsoll guard";

/// What is to be guarded.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files and directories, absolute.
    pub given: Vec<PathBuf>,
    /// Write accepted contents back.
    pub restore: bool,
}

/// A file under guard.
struct Guarded {
    root: Option<PathBuf>,
    known: Known,
    /// Its last content. Only here: secrets could be tried against it.
    raw: Option<Hash>,
    verdict: Option<Verdict>,
    /// The content that was told as drift.
    told: Option<String>,
    limit: Limit,
}

/// Files under guard, and what is known of them.
pub struct Guard {
    options: Options,
    store: Store,
    watch: Watch,
    files: BTreeMap<PathBuf, Guarded>,
    remarks: BTreeSet<String>,
    scanned: Instant,
    written_by_others: i64,
    unrecorded: Option<(u64, String)>,
    waiting: BTreeMap<Waiting, u8>,
    server_fault: Option<String>,
    server_files_told: bool,
    figures: Arc<Mutex<Figures>>,
}

impl Guard {
    /// Begins to guard: looks at every file once, and adopts what was never
    /// seen. Returns what there is to tell.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn start(options: Options, store: Store) -> Result<(Guard, Vec<News>), StoreError> {
        let mut guard = Guard {
            written_by_others: store.written_by_others(),
            options,
            store,
            watch: Watch::new([]),
            files: BTreeMap::new(),
            remarks: BTreeSet::new(),
            scanned: now(),
            unrecorded: None,
            waiting: BTreeMap::new(),
            server_fault: None,
            server_files_told: false,
            figures: Arc::default(),
        };
        let news = guard.scan()?;
        guard.count(&news);
        Ok((guard, news))
    }

    /// The figures, for whoever shows them.
    pub fn figures(&self) -> Arc<Mutex<Figures>> {
        self.figures.clone()
    }

    /// The history.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Each file, and how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (&Path, &Verdict)> {
        let all = self.files.iter();
        all.filter_map(|(path, file)| Some((path.as_path(), file.verdict.as_ref()?)))
    }

    /// Settings of the server that wait for something.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.keys()
    }

    /// How long until the next look.
    pub fn pause(&self) -> Duration {
        self.watch.pause()
    }

    /// Looks at every file once. Call it each [`Guard::pause`].
    pub fn look(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let written = self.store.written_by_others();
        if written != self.written_by_others {
            self.written_by_others = written;
            news.extend(self.learn());
        }
        for change in self.watch.poll() {
            news.extend(self.evaluate(&change.path, Some(change.kind)));
        }
        if now().duration_since(self.scanned) >= SCAN_PERIOD {
            match self.scan() {
                Ok(more) => news.extend(more),
                Err(error) => self.lost(1, &error),
            }
        }
        self.count(&news);
        news
    }

    /// Finds the files anew, and looks at those that are new.
    fn scan(&mut self) -> Result<Vec<News>, StoreError> {
        self.scanned = now();
        let found = find(&self.options.given);
        let mut news: Vec<News> = found
            .remarks
            .difference(&self.remarks)
            .map(|words| News::Remark(words.clone()))
            .collect();
        self.remarks.clone_from(&found.remarks);
        let mut roots = found.files;
        // The history itself is no settings file.
        let own = self.store.directory().and_then(|d| d.canonicalize().ok());
        let is_own = |path: &Path| {
            let around = path.parent().and_then(|d| d.canonicalize().ok());
            own.is_some() && around == own
        };
        roots.retain(|path, _| !is_own(path));
        // What was there once is missed, also after a restart.
        for path in self.store.paths()? {
            let inside = path.parent().filter(|p| found.directories.contains(*p));
            if let Some(root) = inside.map(Path::to_owned)
                && roots.len() < FILES_MAX
            {
                roots.entry(path).or_insert(Some(root));
            }
        }
        let before: Vec<&PathBuf> = self.files.keys().collect();
        let all: BTreeSet<PathBuf> = before.into_iter().chain(roots.keys()).cloned().collect();
        // Watched first, looked at then: a write in between is seen.
        let on_disk = all.iter().filter(|path| !is_server(path));
        self.watch.set_paths(on_disk.take(FILES_MAX).cloned());
        for (path, root) in &roots {
            if !self.files.contains_key(path) {
                let file = self.begin(path, root.clone())?;
                self.files.insert(path.clone(), file);
                news.extend(self.evaluate(path, None));
            }
        }
        let owners = roots.values().flatten().chain(&found.directories);
        for root in owners.collect::<BTreeSet<_>>() {
            if let Err(error) = self.store.adopt(root) {
                self.lost(0, &error);
            }
        }
        Ok(news)
    }

    fn begin(&self, path: &Path, root: Option<PathBuf>) -> Result<Guarded, StoreError> {
        let mut limit = Limit::default();
        for event in self.store.events(Some(path), RESTORES_MAX as u32 * 4)? {
            let age = u64::try_from(now_ms() - event.at_ms).unwrap_or(0);
            let at = now().checked_sub(Duration::from_millis(age));
            if let (true, Some(at)) = (event.what == "restored" && event.actor == ACTOR, at) {
                limit.remember(at);
            }
        }
        Ok(Guarded {
            root,
            known: self.store.known(path)?,
            raw: None,
            verdict: None,
            told: None,
            limit,
        })
    }

    /// Another process accepted or restored something.
    fn learn(&mut self) -> Vec<News> {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let mut news = Vec::new();
        for path in paths {
            let Ok(known) = self.store.known(&path) else {
                continue;
            };
            let Some(file) = self.files.get_mut(&path) else {
                continue;
            };
            if accepted(&file.known) != accepted(&known) && known != Known::Never {
                file.known = known;
                file.told = None;
                if is_server(&path) {
                    continue;
                }
                news.extend(self.evaluate(&path, None));
            }
        }
        news
    }

    /// Looks at one file, and does what follows.
    fn evaluate(&mut self, path: &Path, kind: Option<Kind>) -> Vec<News> {
        let seen = observe(path, self.store.key());
        let Some(file) = self.files.get_mut(path) else {
            return Vec::new();
        };
        let known_root = match &file.root {
            Some(root) => self.store.is_adopted(root).unwrap_or(true),
            None => false,
        };
        let verdict = judge(&file.known, &seen, known_root);
        let before = file.verdict.replace(verdict.clone());
        let raw_before = std::mem::replace(&mut file.raw, seen.as_ref().ok().map(|s| s.raw));
        let path = path.to_owned();
        match (verdict, seen) {
            (Verdict::Adopt, Ok(seen)) => self.adopt(&path, &seen),
            (Verdict::Same, seen) => {
                file.told = None;
                let rotated = seen.is_ok_and(|s| raw_before.is_some_and(|raw| raw != s.raw));
                match before {
                    Some(Verdict::Same | Verdict::Adopt) if rotated => vec![News::Rotated { path }],
                    None | Some(Verdict::Same | Verdict::Adopt) => Vec::new(),
                    Some(_) => {
                        self.record(&Record {
                            what: "same",
                            ..Record::of(&path)
                        });
                        vec![News::Same { path }]
                    }
                }
            }
            (Verdict::Drift | Verdict::Appeared, Ok(seen)) => self.drift(&path, &seen),
            (Verdict::Unreadable(why), _) => {
                if before == Some(Verdict::Unreadable(why.clone())) {
                    return Vec::new();
                }
                self.record(&Record {
                    what: "unreadable",
                    reason: &why,
                    ..Record::of(&path)
                });
                vec![News::Unreadable { path, why }]
            }
            (Verdict::Vanished, _) => {
                // A rename over it takes a moment; the watch has waited for that.
                if before == Some(Verdict::Vanished) && kind.is_none() {
                    return Vec::new();
                }
                self.record(&Record {
                    what: "vanished",
                    ..Record::of(&path)
                });
                let mut news = vec![News::Vanished { path: path.clone() }];
                news.extend(self.write_back(&path, None));
                news
            }
            _ => Vec::new(),
        }
    }

    fn adopt(&mut self, path: &Path, seen: &Observed) -> Vec<News> {
        let number = self.record(&Record {
            seen: Some(seen),
            what: "adopted",
            actor: ACTOR,
            accept: true,
            ..Record::of(path)
        });
        let version = version_of(path, seen, number.unwrap_or(0));
        let news = News::Adopted(version.clone());
        if let Some(file) = self.files.get_mut(path) {
            file.known = Known::Accepted(Box::new(version));
        }
        vec![news]
    }

    fn drift(&mut self, path: &Path, seen: &Observed) -> Vec<News> {
        let Some(file) = self.files.get_mut(path) else {
            return Vec::new();
        };
        if file.told.as_ref() == Some(&seen.hash) {
            return Vec::new();
        }
        file.told = Some(seen.hash.clone());
        let accepted = match &file.known {
            Known::Accepted(version) => Some(version.as_ref().clone()),
            _ => None,
        };
        let old = accepted.as_ref().map(|v| v.text.as_deref());
        let difference = match (old, seen.kept.text()) {
            (Some(Some(old)), Some(new)) => difference(old, new),
            (None, Some(new)) => difference("", new),
            _ => Difference::default(),
        };
        let findings = findings(path, old.flatten(), seen.kept.text());
        let what = match accepted {
            Some(_) => "drift",
            None => "appeared",
        };
        let number = self.record(&Record {
            seen: Some(seen),
            difference: Some(&difference),
            findings: &findings,
            what,
            ..Record::of(path)
        });
        let mut version = version_of(path, seen, number.unwrap_or(0));
        (version.difference, version.findings) = (difference, findings);
        let mut news = vec![News::Drift {
            accepted: accepted.map(|v| v.hash),
            version,
        }];
        news.extend(self.write_back(path, Some(seen.raw)));
        news
    }

    /// Writes the accepted content back, where that is wanted and wise.
    fn write_back(&mut self, path: &Path, before: Option<Hash>) -> Option<News> {
        if !self.options.restore {
            return None;
        }
        let file = self.files.get_mut(path)?;
        let done = match &file.known {
            Known::Accepted(version) => match (version.whole, managed(path)) {
                (_, Some(why)) => Err(why),
                (false, None) => Err(NotWritten::NotWhole),
                (true, None) if !file.limit.take(now()) => Err(NotWritten::TooOften),
                (true, None) => restore(
                    path,
                    &Wanted {
                        text: version.text.as_deref().unwrap_or_default(),
                        before,
                        made: (version.mode, version.uid, version.gid),
                    },
                )
                .map(|()| version.as_ref().clone()),
            },
            _ => Err(NotWritten::NothingAccepted),
        };
        let path = path.to_owned();
        Some(match done {
            Ok(version) => {
                (file.verdict, file.told) = (Some(Verdict::Same), None);
                file.raw = version
                    .text
                    .as_ref()
                    .map(|t| crate::watch::hash(t.as_bytes()));
                // Number 0: the history could not take it when it was adopted.
                if version.version > 0
                    && let Err(error) = self.store.accept(&version, "restored", ACTOR, "")
                {
                    self.lost(1, &error);
                }
                News::Restored { version }
            }
            Err(why) => {
                let reason = why.to_string();
                self.record(&Record {
                    what: "not restored",
                    reason: &reason,
                    ..Record::of(&path)
                });
                News::NotRestored { path, why }
            }
        })
    }
}

fn accepted(known: &Known) -> Option<u64> {
    match known {
        Known::Accepted(version) => Some(version.version),
        _ => None,
    }
}

/// A version as the history has it, or would have.
fn version_of(path: &Path, seen: &Observed, number: u64) -> Version {
    Version {
        version: number,
        path: path.to_owned(),
        hash: seen.hash.clone(),
        at_ms: now_ms(),
        size: seen.size,
        mode: seen.mode,
        uid: seen.uid,
        gid: seen.gid,
        modified_ms: seen.modified_ms,
        text: seen.kept.text().map(str::to_owned),
        whole: matches!(seen.kept, Kept::Whole(_)),
        lacks: store::lacks(path, &seen.kept),
        difference: Difference::default(),
        findings: Vec::new(),
        accepted: false,
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell: the time of a look")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
