//! docker-compose files.

use super::container::{self, Container};
use super::env::Setting;
use super::yaml::{self, Node};
use crate::facts::{Facts, Tool, Unread, Value};
use crate::place::FileId;

const DEFAULT: &str = "Docker Compose's default";
/// Services of one file.
const SERVICES_MAX: usize = 500;

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    for root in &tree.documents {
        let Some(services) = root.get("services") else {
            continue;
        };
        for (key, node) in services.entries().into_iter().take(SERVICES_MAX) {
            service(key, node, facts);
        }
    }
}

fn service(key: &Node, node: &Node, facts: &mut Facts) {
    if !node.is_map() {
        return;
    }
    let mut words = container::words(node.get("entrypoint"));
    words.extend(container::words(node.get("command")));
    let replicas = replicas(node, facts);
    let surge = surge(node, &replicas, facts);
    let container = Container {
        tool: Tool::Compose,
        name: key.text().unwrap_or("").to_owned(),
        place: key.place.clone(),
        image: node.get("image"),
        words,
        settings: settings(node.get("environment")),
    };
    container::read(container, replicas, surge, facts);
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
