//! What the files of one check say of each other: a manifest's ConfigMaps in
//! another file, a compose file's `env_file` and `extends`, an overlay's patches.
//! It is gathered before any file is read for its settings.

use super::env::{self, Setting};
use super::yaml::{self, Node};
use super::{compose, kubernetes, kustomize};
use crate::files::{Files, Kind};
use crate::place::FileId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// A ConfigMap or Secret of some file.
struct Map {
    file: FileId,
    settings: Vec<Setting>,
}

/// All of that; empty where there is one file only.
#[derive(Default)]
pub(crate) struct Around<'a> {
    files: Option<&'a Files>,
    by_path: BTreeMap<PathBuf, FileId>,
    kinds: Vec<Kind>,
    /// By kind and name.
    maps: BTreeMap<(String, String), Vec<Map>>,
    /// ConfigMaps that some workload takes its variables from.
    used: BTreeSet<String>,
    /// Environment files that a compose service reads.
    env_files: BTreeSet<FileId>,
    /// Services that only stand for others to extend.
    extended: BTreeSet<(FileId, String)>,
    /// What overlays make of workloads.
    pub overlays: kustomize::Overlays,
}

impl<'a> Around<'a> {
    /// Gathers it.
    pub fn of(files: &'a Files, kinds: &[Kind]) -> Around<'a> {
        let mut around = Around {
            files: Some(files),
            kinds: kinds.to_vec(),
            ..Around::default()
        };
        for (id, file) in files.iter() {
            around.by_path.insert(normal(&file.path), id);
        }
        for (id, file) in files.iter() {
            let Ok(text) = &file.text else { continue };
            match around.kind(id) {
                Kind::Kubernetes => around.manifests(id, text),
                Kind::Compose => compose::outline(id, text, &mut around),
                Kind::Kustomize => kustomize::gather(id, text, &mut around),
                _ => {}
            }
        }
        around
    }

    fn manifests(&mut self, file: FileId, text: &str) {
        let outline = kubernetes::outline(file, text);
        for (key, settings) in outline.data {
            let map = Map { file, settings };
            self.maps.entry(key).or_default().push(map);
        }
        self.used.extend(outline.used);
    }

    /// An overlay's generated ConfigMap.
    pub fn add_map(&mut self, file: FileId, name: &str, settings: Vec<Setting>) {
        let key = ("ConfigMap".to_owned(), name.to_owned());
        let map = Map { file, settings };
        self.maps.entry(key).or_default().push(map);
    }

    pub fn kind(&self, file: FileId) -> Kind {
        let kind = self.kinds.get(file.0 as usize);
        kind.copied().unwrap_or(Kind::Unknown)
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> PathBuf {
        self.files
            .map_or(PathBuf::new(), |f| f.path(file).to_owned())
    }

    /// The file that a path in another file means, where it was given too.
    pub fn beside(&self, file: FileId, path: &str) -> Option<FileId> {
        let own = self.path(file);
        let directory = own.parent().unwrap_or(Path::new(""));
        self.by_path.get(&normal(&directory.join(path))).copied()
    }

    /// Its text.
    pub fn text(&self, file: FileId) -> Option<&'a str> {
        self.files?.text(file)
    }

    /// Its documents.
    pub fn documents(&self, file: FileId) -> Vec<Node> {
        let text = self.text(file);
        text.map_or(Vec::new(), |text| yaml::parse(file, text).documents)
    }

    /// The variables of an environment file.
    pub fn variables(&self, file: FileId) -> Vec<Setting> {
        let text = self.text(file);
        text.map_or(Vec::new(), |text| env::lines(file, text))
    }

    /// A ConfigMap's or Secret's data that another file holds: the only one of
    /// that name, or the only one nearest to the file that asks.
    pub fn map(&self, asking: FileId, kind: &str, name: &str) -> Option<&[Setting]> {
        let all = self.maps.get(&(kind.to_owned(), name.to_owned()))?;
        let near = |map: &&Map| shared(&self.path(asking), &self.path(map.file));
        let best = all.iter().map(|map| near(&map)).max()?;
        let mut nearest = all.iter().filter(|map| near(map) == best);
        match (nearest.next(), nearest.next()) {
            (Some(one), None) => Some(&one.settings),
            _ => None,
        }
    }

    pub fn is_used(&self, config_map: &str) -> bool {
        self.used.contains(config_map)
    }

    pub fn use_env_file(&mut self, file: FileId) {
        self.env_files.insert(file);
    }

    pub fn is_used_env(&self, file: FileId) -> bool {
        self.env_files.contains(&file)
    }

    pub fn extend(&mut self, file: FileId, service: &str) {
        self.extended.insert((file, service.to_owned()));
    }

    pub fn is_extended(&self, file: FileId, service: &str) -> bool {
        self.extended.contains(&(file, service.to_owned()))
    }
}

/// How many directories two files share.
fn shared(a: &Path, b: &Path) -> usize {
    let (a, b) = (normal(a), normal(b));
    let pairs = a.components().zip(b.components());
    pairs.take_while(|(a, b)| a == b).count()
}

/// Without `.` and `..`, by the words alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests;
