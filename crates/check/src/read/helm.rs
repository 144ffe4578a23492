//! A chart's values: copies, autoscaling and environment, where they are
//! written out. What the templates make of them is convention, so only the
//! names that charts commonly use are read.

use super::container::{self, Container};
use super::env::Setting;
use super::kubernetes;
use super::yaml::{self, Node, Yaml};
use crate::facts::{Facts, Tool, Value};
use crate::place::FileId;

const DEFAULT: &str = "the chart's values say no number";
const SURGE: &str = "Kubernetes' default: maxSurge 25%";
/// Where charts keep the variables of a container.
const ENVIRONMENTS: [&str; 7] = [
    "env",
    "extraEnv",
    "extraEnvVars",
    "envVars",
    "environment",
    "environmentVariables",
    "envs",
];
/// Levels of parts: `web:`, `services: web:`.
const PARTS_MAX: usize = 2;

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    for root in &tree.documents {
        part(root, "the chart", 0, text, facts);
    }
}

/// A part of the values that describes a workload, or holds some that do.
fn part(node: &Node, name: &str, depth: usize, text: &str, facts: &mut Facts) {
    let settings = environment(node);
    let copies = copies(node);
    // A dependency's values say how often something else runs.
    let tells = settings.iter().any(|s| is_database(&s.name));
    if let Some(copies) = copies.filter(|_| depth == 0 || tells) {
        workload(node, name, copies, settings, facts);
    }
    for (key, value) in node.entries() {
        let name = key.text().unwrap_or("");
        if let ("extendedConfiguration", Yaml::Literal(_)) = (name, &value.value) {
            kubernetes::embedded_file("postgresql.conf", value, text, facts);
        }
        let below = value.is_map() && depth < PARTS_MAX;
        if below && !ENVIRONMENTS.contains(&name) && name != "autoscaling" {
            part(value, name, depth + 1, text, facts);
        }
    }
}

fn is_database(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["DATABASE", "DATASOURCE", "POSTGRES", "PGHOST", "DB_"];
    words.iter().any(|word| name.contains(word))
}

/// `replicaCount` or `replicas`; with autoscaling its most.
fn copies(node: &Node) -> Option<Value<u64>> {
    let count = |node: &Node| {
        let word = node.word()?.literal()?;
        let number = super::value::number(&word.text)?;
        Some(Value::stated(number, word.place))
    };
    let stated = node.get("replicaCount").or(node.get("replicas"));
    let stated = stated.and_then(count);
    let scaling = node.get("autoscaling").or(node.get("hpa"));
    let enabled = scaling.and_then(|s| s.get("enabled")?.word()?.switch());
    let most = scaling.and_then(|s| count(s.get("maxReplicas")?));
    match enabled.is_some_and(|e| e.value) {
        true => most.or(stated),
        false => stated,
    }
}

fn environment(node: &Node) -> Vec<Setting> {
    let mut all = Vec::new();
    for key in ENVIRONMENTS {
        let Some(env) = node.get(key) else { continue };
        all.extend(env.entries().into_iter().filter_map(|(key, value)| {
            Some(Setting {
                name: key.text()?.to_owned(),
                key: key.place.clone(),
                word: value.word(),
            })
        }));
        all.extend(env.items().iter().filter_map(|item| {
            let name = item.get("name")?;
            Some(Setting {
                name: name.text()?.to_owned(),
                key: name.place.clone(),
                word: item.get("value").and_then(Node::word),
            })
        }));
    }
    all
}

fn workload(
    node: &Node,
    name: &str,
    copies: Value<u64>,
    settings: Vec<Setting>,
    facts: &mut Facts,
) {
    let surge = match node.at(&["strategy", "type"]).and_then(Node::text) {
        Some("Recreate") => Value::default(0, DEFAULT),
        _ => Value::default(copies.value.saturating_mul(25).div_ceil(100), SURGE),
    };
    let mut words = container::words(node.get("command"));
    words.extend(container::words(node.get("args")));
    let place = copies.place().unwrap_or(&node.place).clone();
    let container = Container {
        tool: Tool::Kubernetes,
        name: name.to_owned(),
        place,
        image: node.at(&["image", "repository"]).or(node.get("image")),
        words,
        settings,
    };
    container::read(container, copies, surge, facts);
}
