//! The part of [`Guard`] that judges what a database server said.

use super::observe;
use super::{For, Guard, News, Record, Server, Verdict, Waiting, judge};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A server's place in the history: no path of the disk.
const PREFIX: &str = "server:";

/// Whether a path names a server.
pub fn is_server(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.starts_with(PREFIX))
}

impl Guard {
    /// What the server said, or why it cannot be asked.
    pub fn server(&mut self, answer: Result<Server, String>) -> Vec<News> {
        let news = match answer {
            Err(why) => {
                let before = self.server_fault.replace(why.clone());
                match before.as_ref() == Some(&why) {
                    true => Vec::new(),
                    false => vec![News::ServerSilent(why)],
                }
            }
            Ok(server) => {
                let mut news = Vec::new();
                if self.server_fault.take().is_some() {
                    news.push(News::ServerAnswers(server.label.clone()));
                }
                news.extend(self.server_said(&server));
                news
            }
        };
        self.count(&news);
        news
    }

    fn server_said(&mut self, server: &Server) -> Vec<News> {
        let path = PathBuf::from(format!("{PREFIX}{}", server.label));
        let mut news: Vec<News> = self.server_files(server).into_iter().collect();
        if !self.files.contains_key(&path) {
            match self.begin(&path, None) {
                Ok(file) => {
                    self.files.insert(path.clone(), file);
                }
                Err(error) => self.lost(1, &error),
            }
        }
        let text = server.listing();
        let seen = observe::listed(&text);
        if let Some(file) = self.files.get_mut(&path) {
            let verdict = judge(&file.known, &Ok(seen.clone()), false);
            let before = file.verdict.replace(verdict.clone());
            news.extend(match verdict {
                Verdict::Adopt => self.adopt(&path, &seen),
                Verdict::Drift => self.drift(&path, &seen).into_iter().take(1).collect(),
                _ if matches!(before, Some(Verdict::Drift)) => {
                    file.told = None;
                    self.record(&Record {
                        what: "same",
                        ..Record::of(&path)
                    });
                    vec![News::Same { path }]
                }
                _ => Vec::new(),
            });
        }
        let waiting: BTreeSet<Waiting> = server.waiting().into_iter().collect();
        let gone: Vec<Waiting> = self
            .waiting
            .keys()
            .filter(|w| !waiting.contains(w))
            .cloned()
            .collect();
        for over in gone {
            // A reload that came before it was told is no news.
            if self
                .waiting
                .remove(&over)
                .is_some_and(|times| times >= times_until_told(&over))
            {
                news.push(News::WaitIsOver(over));
            }
        }
        for one in waiting {
            let times = self.waiting.entry(one.clone()).or_insert(0);
            *times = times.saturating_add(1);
            if *times == times_until_told(&one) {
                news.push(News::Waits(one));
            }
        }
        news
    }

    /// Files that the server reads, that are here, and that nobody guards.
    fn server_files(&mut self, server: &Server) -> Option<News> {
        if std::mem::replace(&mut self.server_files_told, true) {
            return None;
        }
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let guarded: BTreeSet<PathBuf> = self.files.keys().filter_map(|p| real(p)).collect();
        let missing: Vec<String> = server
            .files()
            .into_iter()
            .filter(|file| real(Path::new(file)).is_some_and(|file| !guarded.contains(&file)))
            .collect();
        (!missing.is_empty()).then(|| {
            News::Remark(format!(
                "the server also reads {}, not guarded here",
                missing.join(", ")
            ))
        })
    }
}

/// A file that is written a moment before its reload waits for nothing.
fn times_until_told(waiting: &Waiting) -> u8 {
    match waiting.waits_for {
        For::Reload => 2,
        For::Restart | For::Correction => 1,
    }
}
