//! Kustomize overlays: how many copies they make of a workload, and what they
//! patch in it. Literal ones only; nothing is built.

use super::around::Around;
use super::env::Setting;
use super::url::is_secret;
use super::value::number;
use super::yaml::{self, Node, Yaml};
use crate::facts::{Facts, Secret, Value};
use crate::files::Kind;
use crate::place::FileId;
use std::collections::BTreeSet;
use std::path::Path;

/// Patches of all overlays.
const PATCHES_MAX: usize = 1_000;

/// One overlay's say over a workload.
struct Patch {
    /// The overlay is one for production.
    production: bool,
    name: String,
    /// Copies, where it says so.
    count: Option<Value<u64>>,
    /// The object that is laid over, where it is one.
    object: Option<Node>,
}

/// What all overlays say.
#[derive(Default)]
pub(crate) struct Overlays {
    patches: Vec<Patch>,
    /// Files that are patches, and no manifests of their own.
    files: BTreeSet<FileId>,
}

impl Overlays {
    /// Whether a file is only a patch.
    pub fn is_patch(&self, file: FileId) -> bool {
        self.files.contains(&file)
    }

    /// Those for production where there are any, else all.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Patch> {
        let named = move |p: &&Patch| p.name == name;
        let production = self.patches.iter().filter(named).any(|p| p.production);
        let all = self.patches.iter().filter(named);
        all.filter(move |p| p.production == production)
    }

    /// The copies that overlays make of a workload: the most of them.
    pub fn count(&self, name: &str) -> Option<Value<u64>> {
        let counts = self.of(name).filter_map(|p| p.count.clone());
        counts.max_by_key(|count| count.value)
    }

    /// A container of that name in a workload's patches.
    pub fn containers(&self, name: &str, container: &str) -> Vec<Node> {
        let objects = self.of(name).filter_map(|p| p.object.as_ref());
        let pods = objects.filter_map(|o| o.at(&["spec", "template", "spec", "containers"]));
        let all = pods.flat_map(|containers| containers.items());
        let own = |c: &&Node| c.get("name").and_then(Node::text) == Some(container);
        all.filter(own).cloned().collect()
    }
}

/// What a path says of where it is meant for.
fn is_production(path: &Path) -> bool {
    let words = ["prod", "production", "live"];
    let mut parts = path.components().filter_map(|c| c.as_os_str().to_str());
    parts.any(|part| {
        part.split(['-', '_', '.'])
            .any(|word| words.contains(&word))
    })
}

/// Gathers an overlay's `replicas`, `patches` and generated ConfigMaps.
pub(crate) fn gather(file: FileId, text: &str, around: &mut Around<'_>) {
    let production = is_production(&around.path(file));
    for root in &yaml::parse(file, text).documents {
        let list = |key: &str| root.get(key).map(Node::items).unwrap_or_default();
        for entry in list("replicas") {
            let count = entry.get("count").and_then(count);
            if let (Some(name), Some(count)) = (entry.get("name").and_then(Node::text), count) {
                push(around, production, name, Some(count), None);
            }
        }
        for key in ["patches", "patchesStrategicMerge", "patchesJson6902"] {
            for entry in list(key) {
                patch(file, text, entry, production, around);
            }
        }
        for generator in list("configMapGenerator") {
            generated(file, generator, around);
        }
    }
}

fn push(
    around: &mut Around<'_>,
    production: bool,
    name: &str,
    count: Option<Value<u64>>,
    object: Option<Node>,
) {
    let all = &mut around.overlays.patches;
    if all.len() < PATCHES_MAX {
        all.push(Patch {
            production,
            name: name.to_owned(),
            count,
            object,
        });
    }
}

fn count(node: &Node) -> Option<Value<u64>> {
    let word = node.word()?.literal()?;
    Some(Value::stated(number(&word.text)?, word.place))
}

/// A patch by path or in place: an object to lay over, or a list of operations.
fn patch(file: FileId, text: &str, entry: &Node, production: bool, around: &mut Around<'_>) {
    let target = entry.at(&["target", "name"]).and_then(Node::text);
    let inline = entry.get("patch").or(match &entry.value {
        Yaml::Literal(_) => Some(entry),
        _ => None,
    });
    let documents = if let Some(inline) = inline {
        within(file, text, inline)
    } else {
        let path = entry.get("path").unwrap_or(entry).text().unwrap_or("");
        let Some(other) = around.beside(file, path) else {
            return;
        };
        if around.kind(other) == Kind::Kubernetes {
            around.overlays.files.insert(other);
        }
        around.documents(other)
    };
    for document in documents {
        for operation in document.items() {
            let path = operation.get("path").and_then(Node::text);
            let count = operation.get("value").and_then(count);
            if let (Some("/spec/replicas"), Some(target)) = (path, target) {
                push(around, production, target, count, None);
            }
        }
        let named = document.at(&["metadata", "name"]).and_then(Node::text);
        if let Some(name) = target.or(named).filter(|_| document.is_map()) {
            let count = document.at(&["spec", "replicas"]).and_then(count);
            push(around, production, name, count, Some(document.clone()));
        }
    }
}

/// A block's own YAML, at its place in the file.
fn within(file: FileId, text: &str, node: &Node) -> Vec<Node> {
    let mut range = node.place.range.clone();
    // The first line's indentation is the others' too.
    let before = text.get(..range.start).unwrap_or_default();
    range.start = before.rfind('\n').map_or(0, |n| n + 1);
    let Some(body) = text.get(range.clone()) else {
        return Vec::new();
    };
    let mut alone = " ".repeat(range.start.saturating_sub(1));
    if range.start > 0 {
        alone.push('\n');
    }
    alone.push_str(body);
    yaml::parse(file, &alone).documents
}

/// `literals` and `envs` of a generated ConfigMap.
fn generated(file: FileId, generator: &Node, around: &mut Around<'_>) {
    let Some(name) = generator.get("name").and_then(Node::text) else {
        return;
    };
    let mut settings: Vec<Setting> = literals(generator);
    let envs = generator.get("envs").map(Node::items).unwrap_or_default();
    for path in envs
        .iter()
        .chain(generator.get("env"))
        .filter_map(Node::text)
    {
        if let Some(other) = around.beside(file, path) {
            settings.extend(around.variables(other));
            around.use_env_file(other);
        }
    }
    around.add_map(file, name, settings);
}

/// `NAME=value` in a list.
fn literals(generator: &Node) -> Vec<Setting> {
    let items = generator
        .get("literals")
        .map(Node::items)
        .unwrap_or_default();
    let one = |item: &Node| {
        let word = item.word()?;
        let (name, value) = word.text.split_once('=')?;
        Some(Setting {
            name: name.to_owned(),
            key: word.part(0..name.len()),
            word: word.sub(word.text.len() - value.len()..word.text.len()),
        })
    };
    items.iter().filter_map(one).collect()
}

/// Secrets in a generator's literals: they stand in the file in the clear.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    for root in &tree.documents {
        let generators = root.get("secretGenerator").map(Node::items);
        for setting in generators.unwrap_or_default().iter().flat_map(literals) {
            let telling = super::env::secret_name(&setting.name);
            if let (Some(what), Some(word)) = (telling, &setting.word)
                && is_secret(&word.text)
            {
                facts.secrets.push(Secret {
                    place: word.place.clone(),
                    what: what.to_owned(),
                });
            }
        }
    }
}
