//! Kubernetes manifests: workloads and their autoscalers, secrets, settings
//! files inside ConfigMaps, and the operators' own PostgreSQL clusters.

mod copies;
mod embedded;
mod operators;

use super::around::Around;
use super::container::{self, Container};
use super::env::{self, Scene, Setting, VARIABLES_MAX};
use super::url;
use super::value::Word;
use super::yaml::{self, Node, Yaml};
use crate::facts::{Facts, Secret, Tool};
use crate::place::FileId;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Objects of one file.
const OBJECTS_MAX: usize = 1_000;
/// Containers of one pod.
const CONTAINERS_MAX: usize = 20;
/// Settings files in one file: each is read with all that stands in front of it.
const EMBEDDED_MAX: usize = 32;

/// What Secrets hold beside secrets.
const PUBLIC: &[&str] = &[
    "username",
    "user",
    "host",
    "hostname",
    "port",
    "database",
    "dbname",
    "db_name",
    "db_user",
    "db_host",
    "db_port",
    "postgres_user",
    "postgres_db",
    "pguser",
    "pghost",
    "pgport",
    "pgdatabase",
    "type",
    "engine",
    "sslmode",
    "ca.crt",
    "tls.crt",
];

/// One file: its objects, and what they refer to.
struct Manifests<'a> {
    file: FileId,
    text: &'a str,
    /// What other files say.
    around: &'a Around<'a>,
    /// Data of ConfigMaps and Secrets, by kind and name.
    data: BTreeMap<(String, String), Vec<Setting>>,
    /// ConfigMaps that containers of this file refer to.
    used: BTreeSet<String>,
    /// Settings files that were read.
    embedded: Cell<usize>,
}

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, text: &str, around: &Around<'_>, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    facts.broken.extend(tree.mistake);
    // What is laid over another file's object is read with that.
    if around.overlays.is_patch(file) {
        return;
    }
    let objects = objects(&tree.documents);
    let mut manifests = Manifests {
        file,
        text,
        around,
        data: BTreeMap::new(),
        used: BTreeSet::new(),
        embedded: Cell::new(0),
    };
    // What others refer to comes first, wherever it stands.
    for object in &objects {
        match kind(object) {
            "ConfigMap" | "Secret" => manifests.data(object),
            _ if pod(object).is_some() => manifests.uses(object),
            "HorizontalPodAutoscaler" => copies::scale(object, "maxReplicas", None, facts),
            "ScaledObject" => copies::scale(object, "maxReplicaCount", Some(100), facts),
            _ => {}
        }
    }
    for object in &objects {
        manifests.object(object, facts);
    }
    copies::apply_scales(facts);
}

/// What other files may refer to, and what this one refers to.
pub(crate) struct Outline {
    /// By kind and name.
    pub data: Vec<((String, String), Vec<Setting>)>,
    /// ConfigMaps.
    pub used: BTreeSet<String>,
}

/// Reads only that.
pub(crate) fn outline(file: FileId, text: &str) -> Outline {
    let tree = yaml::parse(file, text);
    let around = Around::default();
    let mut manifests = Manifests {
        file,
        text,
        around: &around,
        data: BTreeMap::new(),
        used: BTreeSet::new(),
        embedded: Cell::new(0),
    };
    for object in objects(&tree.documents) {
        match kind(object) {
            "ConfigMap" | "Secret" => manifests.data(object),
            _ if pod(object).is_some() => manifests.uses(object),
            _ => {}
        }
    }
    Outline {
        data: manifests.data.into_iter().collect(),
        used: manifests.used,
    }
}

/// A settings file inside another manifest.
pub(crate) fn embedded_file(name: &str, node: &Node, text: &str, facts: &mut Facts) {
    embedded::read(name, node, text, facts);
}

/// All objects, those of a `List` too.
fn objects(documents: &[Node]) -> Vec<&Node> {
    let mut all = Vec::new();
    for document in documents {
        match document.get("items") {
            Some(items) if kind(document).ends_with("List") => all.extend(items.items()),
            _ => all.push(document),
        }
    }
    all.truncate(OBJECTS_MAX);
    all
}

fn kind(object: &Node) -> &str {
    object.get("kind").and_then(Node::text).unwrap_or("")
}

fn name(object: &Node) -> String {
    let name = object.at(&["metadata", "name"]).and_then(Node::text);
    readable(name.unwrap_or(""))
}

/// Names that a template fills in later, for people: `…-web`.
fn readable(name: &str) -> String {
    let mut out = String::new();
    for part in name.split('$').enumerate() {
        match part {
            (0, text) => out.push_str(text),
            (_, text) => {
                out.push('…');
                out.push_str(text.trim_start_matches('_'));
            }
        }
    }
    out
}

impl Manifests<'_> {
    fn data(&mut self, object: &Node) {
        let mut all = Vec::new();
        for section in ["data", "stringData"] {
            let Some(node) = object.get(section) else {
                continue;
            };
            for (key, value) in node.entries() {
                // What a Secret holds is not a setting to read.
                let word = (kind(object) == "ConfigMap")
                    .then(|| value.word())
                    .flatten();
                all.push(Setting {
                    name: key.text().unwrap_or("").to_owned(),
                    key: key.place.clone(),
                    word,
                });
            }
        }
        let kind = kind(object).to_owned();
        self.data.insert((kind, name(object)), all);
    }

    fn uses(&mut self, object: &Node) {
        let containers = pod(object).and_then(|pod| pod.get("containers"));
        for container in containers.map(Node::items).unwrap_or_default() {
            let list = |key: &str| container.get(key).map(Node::items).unwrap_or_default();
            let whole = list("envFrom").iter();
            let whole = whole.filter_map(|from| from.at(&["configMapRef", "name"]));
            let single = list("env").iter();
            let single = single.filter_map(|v| v.at(&["valueFrom", "configMapKeyRef", "name"]));
            let names = whole.chain(single).filter_map(Node::text);
            self.used.extend(names.map(str::to_owned));
        }
    }

    fn object(&self, object: &Node, facts: &mut Facts) {
        let group = object.get("apiVersion").and_then(Node::text).unwrap_or("");
        match kind(object) {
            "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "Rollout"
            | "ReplicationController"
            | "Job"
            | "CronJob"
            | "Pod" => self.workload(object, facts),
            "ConfigMap" => self.config_map(object, facts),
            "Secret" => self.secret(object, facts),
            "Cluster" if group.contains("cnpg") => operators::cnpg_cluster(object, facts),
            "Pooler" if group.contains("cnpg") => operators::cnpg_pooler(object, facts),
            "postgresql" if group.contains("zalan") => operators::zalando(object, facts),
            _ => {}
        }
    }

    fn embedded(&self, name: &str, value: &Node, facts: &mut Facts) -> bool {
        if self.embedded.get() >= EMBEDDED_MAX {
            return false;
        }
        let read = embedded::read(name, value, self.text, facts);
        self.embedded.set(self.embedded.get() + usize::from(read));
        read
    }

    /// Settings files; and variables, where no workload of the file takes them.
    fn config_map(&self, object: &Node, facts: &mut Facts) {
        let own = name(object);
        let settings = self.data.get(&("ConfigMap".to_owned(), own.clone()));
        let used = self.used.contains(&own) || self.around.is_used(&own);
        if let (false, Some(settings)) = (used, settings) {
            let place = object.at(&["metadata", "name"]);
            let scene = Scene {
                tool: Tool::Kubernetes,
                name: &own,
                place: place.map_or(&object.place, |n| &n.place),
                image: "",
            };
            env::variables(&scene, settings, facts);
        }
        let Some(data) = object.get("data") else {
            return;
        };
        for (key, value) in data.entries() {
            if let Yaml::Literal(_) = value.value {
                self.embedded(key.text().unwrap_or(""), value, facts);
            }
        }
    }

    fn secret(&self, object: &Node, facts: &mut Facts) {
        for section in ["stringData", "data"] {
            let Some(node) = object.get(section) else {
                continue;
            };
            for (key, value) in node.entries() {
                let name = key.text().unwrap_or("");
                let file =
                    matches!(value.value, Yaml::Literal(_)) && self.embedded(name, value, facts);
                if PUBLIC.contains(&name.to_ascii_lowercase().as_str()) {
                    continue;
                }
                if let Some(word) = value.word().filter(|_| !file)
                    && url::is_secret(&word.text)
                    && word.variable.is_none()
                {
                    secret(&word, name, facts);
                }
            }
        }
    }

    fn workload(&self, object: &Node, facts: &mut Facts) {
        let Some((key, _)) = object
            .pair("metadata")
            .and_then(|(_, m)| m.pair("name"))
            .or(object.pair("kind"))
        else {
            return;
        };
        let spec = pod(object);
        let Some(containers) = spec.and_then(|spec| spec.get("containers")) else {
            return;
        };
        let deployment = name(object);
        let overlaid = self.around.overlays.count(&deployment);
        let (replicas, surge) = copies::copies(object, &deployment, overlaid, facts);
        let place = object
            .at(&["metadata", "name"])
            .map_or(&key.place, |n| &n.place);
        let several = containers.items().len() > 1;
        for node in containers.items().iter().take(CONTAINERS_MAX) {
            let own = readable(node.get("name").and_then(Node::text).unwrap_or(""));
            let mut words = container::words(node.get("command"));
            words.extend(container::words(node.get("args")));
            let container = Container {
                tool: Tool::Kubernetes,
                name: match several && own != deployment {
                    true => format!("{deployment}/{own}"),
                    false => deployment.clone(),
                },
                place: place.clone(),
                image: node.get("image"),
                words,
                settings: self.settings(node, &deployment),
            };
            container::read(container, replicas.clone(), surge.clone(), facts);
        }
    }

    /// Its environment, with what overlays lay over it.
    fn settings(&self, node: &Node, workload: &str) -> Vec<Setting> {
        let mut all = self.environment(node);
        let name = node.get("name").and_then(Node::text).unwrap_or("");
        for patch in self.around.overlays.containers(workload, name) {
            for setting in self.environment(&patch) {
                all.retain(|s| s.name != setting.name);
                all.push(setting);
            }
        }
        all
    }

    /// Of this file, or of another.
    fn find(&self, kind: &str, name: &str) -> Option<&[Setting]> {
        let own = self.data.get(&(kind.to_owned(), name.to_owned()));
        own.map(Vec::as_slice)
            .or_else(|| self.around.map(self.file, kind, name))
    }

    /// `env` stands above `envFrom`.
    fn environment(&self, container: &Node) -> Vec<Setting> {
        let mut all = Vec::new();
        for from in container
            .get("envFrom")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .take(CONTAINERS_MAX)
        {
            let prefix = from.get("prefix").and_then(Node::text).unwrap_or("");
            for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                let name = from.at(&[field, "name"]).and_then(Node::text);
                let found = name.and_then(|n| self.find(kind, n));
                let found = found.into_iter().flatten().take(VARIABLES_MAX);
                all.extend(found.map(|setting| Setting {
                    name: format!("{prefix}{}", setting.name),
                    ..setting.clone()
                }));
            }
        }
        for node in container.get("env").map(Node::items).unwrap_or_default() {
            let Some(name) = node.get("name") else {
                continue;
            };
            let from = node.at(&["valueFrom", "configMapKeyRef"]);
            let from = from.and_then(|from| {
                let key = from.get("key")?.text()?;
                let data = self.find("ConfigMap", from.get("name")?.text()?)?;
                data.iter().find(|s| s.name == key)?.word.clone()
            });
            all.push(Setting {
                name: name.text().unwrap_or("").to_owned(),
                key: name.place.clone(),
                word: node.get("value").and_then(Node::word).or(from),
            });
        }
        all
    }
}

fn secret(word: &Word, name: &str, facts: &mut Facts) {
    facts.secrets.push(Secret {
        place: word.place.clone(),
        what: format!("`{name}`"),
    });
}

/// The pod that an object runs.
fn pod(object: &Node) -> Option<&Node> {
    match kind(object) {
        "Pod" => object.get("spec"),
        "CronJob" => object.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => object.at(&["spec", "template", "spec"]),
    }
}

#[cfg(test)]
#[path = "kubernetes_tests.rs"]
mod tests;
