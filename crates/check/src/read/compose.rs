//! docker-compose files.

use super::around::Around;
use super::container::{self, Container};
use super::env::Setting;
use super::yaml::{self, Node};
use crate::facts::{Facts, Tool, Unread, Value};
use crate::place::FileId;

const DEFAULT: &str = "Docker Compose's default";
/// Services of one file.
const SERVICES_MAX: usize = 500;
/// Services that extend each other.
const EXTENDS_MAX: usize = 8;

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, around: &Around<'_>, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    for root in &tree.documents {
        let Some(services) = root.get("services") else {
            continue;
        };
        for (key, node) in services.entries().into_iter().take(SERVICES_MAX) {
            // Whoever extends it, runs.
            if around.is_extended(file, key.text().unwrap_or("")) {
                continue;
            }
            let layers = layers(file, root, node, around);
            service(key, &layers, around, facts);
        }
    }
}

/// Notes which environment files are read here, and which services of other
/// files are extended.
pub(crate) fn outline(file: FileId, text: &str, around: &mut Around<'_>) {
    for root in &yaml::parse(file, text).documents {
        let services = root.get("services").map(Node::entries);
        for (_, node) in services.unwrap_or_default().into_iter().take(SERVICES_MAX) {
            for path in env_files(node) {
                if let Some(other) = around.beside(file, &path) {
                    around.use_env_file(other);
                }
            }
            let (path, service) = extended(node);
            let other = path.and_then(|path| around.beside(file, path));
            if let (Some(other), Some(service)) = (other, service)
                && other != file
            {
                around.extend(other, service);
            }
        }
    }
}

/// `extends: base`, or `extends: {file, service}`.
fn extended(node: &Node) -> (Option<&str>, Option<&str>) {
    let Some(extends) = node.get("extends") else {
        return (None, None);
    };
    let text = |key: &str| extends.get(key).and_then(Node::text);
    (text("file"), text("service").or(extends.text()))
}

/// A service, and those that it extends, nearest first, each with its file.
fn layers(file: FileId, root: &Node, node: &Node, around: &Around<'_>) -> Vec<(FileId, Node)> {
    let mut all = vec![(file, node.clone())];
    let mut root = root.clone();
    // A circle ends here too.
    while let Some((from, last)) = all.last().filter(|_| all.len() < EXTENDS_MAX) {
        let (path, service) = extended(last);
        let Some(service) = service else { break };
        let mut at = *from;
        if let Some(path) = path {
            let Some(other) = around.beside(at, path) else {
                break;
            };
            let documents = around.documents(other);
            let Some(first) = documents.into_iter().find(|d| d.get("services").is_some()) else {
                break;
            };
            (at, root) = (other, first);
        }
        let Some(found) = root.at(&["services", service]) else {
            break;
        };
        all.push((at, found.clone()));
    }
    all
}

fn service(key: &Node, layers: &[(FileId, Node)], around: &Around<'_>, facts: &mut Facts) {
    let Some((_, node)) = layers.first().filter(|(_, node)| node.is_map()) else {
        return;
    };
    let nearest = |key: &str| layers.iter().find_map(|(_, layer)| layer.get(key));
    let mut words = container::words(nearest("entrypoint"));
    words.extend(container::words(nearest("command")));
    let copies = layers.iter().map(|(_, layer)| layer);
    let copies = copies
        .clone()
        .find(|l| l.get("deploy").is_some() || l.get("scale").is_some())
        .unwrap_or(node);
    let replicas = replicas(copies, facts);
    let surge = surge(copies, &replicas, facts);
    let mut all: Vec<Setting> = Vec::new();
    for (file, layer) in layers.iter().rev() {
        let files = env_files(layer);
        let files = files.iter().filter_map(|path| around.beside(*file, path));
        let from_files = files.flat_map(|other| around.variables(other));
        let own = settings(layer.get("environment"));
        for setting in from_files.chain(own) {
            all.retain(|s| s.name != setting.name);
            all.push(setting);
        }
    }
    let container = Container {
        tool: Tool::Compose,
        name: key.text().unwrap_or("").to_owned(),
        place: key.place.clone(),
        image: nearest("image"),
        words,
        settings: all,
    };
    container::read(container, replicas, surge, facts);
}

/// `env_file:` as one path, a list of paths, or a list of `{path, required}`.
fn env_files(node: &Node) -> Vec<String> {
    let Some(found) = node.get("env_file") else {
        return Vec::new();
    };
    let path = |n: &Node| n.get("path").unwrap_or(n).text().map(str::to_owned);
    let single = found.text().map(str::to_owned);
    single
        .into_iter()
        .chain(found.items().iter().filter_map(path))
        .collect()
}

fn replicas(node: &Node, facts: &mut Facts) -> Value<u64> {
    if let Some((key, _)) = node.pair("replicas") {
        facts.unread.push(Unread {
            tool: Tool::Compose,
            place: key.place.clone(),
            key: "replicas".to_owned(),
            why: "a service has no such key; Compose refuses it, or runs one copy".to_owned(),
            help: "put it under `deploy:`".to_owned(),
        });
    }
    let stated = node
        .at(&["deploy", "replicas"])
        .or_else(|| node.get("scale"));
    let count = stated
        .and_then(Node::word)
        .and_then(|w| w.count(Tool::Compose, facts));
    count.unwrap_or(Value::default(1, DEFAULT))
}

/// With `order: start-first` new copies stand beside the old, so many at once
/// as `parallelism` says; 0 means all.
fn surge(node: &Node, replicas: &Value<u64>, facts: &mut Facts) -> Value<u64> {
    let order = node.at(&["deploy", "update_config", "order"]);
    let Some(order) = order.filter(|n| n.text() == Some("start-first")) else {
        return Value::default(0, "Docker stops a copy before it starts the next");
    };
    let at_once = node.at(&["deploy", "update_config", "parallelism"]);
    let at_once = at_once
        .and_then(Node::word)
        .and_then(|w| w.count(Tool::Compose, facts));
    let surge = match at_once.map_or(1, |n| n.value) {
        0 => replicas.value,
        n => n.min(replicas.value),
    };
    Value::stated(surge, order.place.clone())
}

/// `environment:` as a mapping, or as a list of `NAME=value`.
fn settings(node: Option<&Node>) -> Vec<Setting> {
    let Some(node) = node else { return Vec::new() };
    let pairs = node.entries().into_iter().filter_map(|(key, value)| {
        Some(Setting {
            name: key.text()?.to_owned(),
            key: key.place.clone(),
            word: value.word(),
        })
    });
    let lines = node.items().iter().filter_map(|item| {
        let word = item.word()?;
        let (name, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
        let value = word.text.len() - value.len()..word.text.len();
        Some(Setting {
            name: name.to_owned(),
            key: word.part(0..name.len()),
            word: word.text.contains('=').then(|| word.sub(value)).flatten(),
        })
    });
    pairs.chain(lines).collect()
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
