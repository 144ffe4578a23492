//! Clusters that an operator runs: CloudNativePG and Zalando's.

use super::super::container;
use super::super::pooler;
use super::super::value::{self, Word};
use super::super::yaml::Node;
use super::name;
use crate::facts::{Facts, Limit, Mode, Target, Tool, Value, Workload};

/// CloudNativePG's `Cluster`: `spec.postgresql.parameters`.
pub(super) fn cnpg_cluster(object: &Node, facts: &mut Facts) {
    server(object, &["spec", "postgresql", "parameters"], facts);
}

/// Zalando's `postgresql`, with its pooler.
pub(super) fn zalando(object: &Node, facts: &mut Facts) {
    server(object, &["spec", "postgresql", "parameters"], facts);
    let enabled = object.at(&["spec", "enableConnectionPooler"]);
    let enabled = enabled.and_then(Node::text) == Some("true");
    let Some((key, node)) = object.get("spec").and_then(|s| s.pair("connectionPooler")) else {
        return;
    };
    if !enabled && !node.is_map() {
        return;
    }
    let default = "the operator's default";
    let word = |key: &str| node.get(key).and_then(Node::word);
    let instances = word("numberOfInstances").and_then(|w| w.count(Tool::Kubernetes, facts));
    let instances = instances.unwrap_or(Value::default(2, default));
    // The limit is divided among the instances.
    let cap = word("maxDBConnections").and_then(|w| w.count(Tool::PgBouncer, facts));
    let mut cap = cap.unwrap_or(Value::default(60, default));
    cap.value /= instances.value.max(1);
    let mode = word("mode").and_then(|w| w.literal());
    let mode = mode.and_then(|w| Some(Value::stated(pooler::named(&w.text)?, w.place)));
    let size = value::at_most(cap);
    let title = format!("{}-pooler", name(object));
    let mut pool = value::pool(
        Tool::PgBouncer,
        title.clone(),
        key.place.clone(),
        size.clone(),
    );
    pool.cap = Some(size);
    pool.mode = Some(mode.unwrap_or(Value::default(Mode::Transaction, default)));
    pool.clients = Some(Value::default(Limit::Of(10_000), default));
    pool.target = target(name(object));
    push(pool, title, instances, facts);
}

/// CloudNativePG's `Pooler`: PgBouncer with its keys as parameters.
pub(super) fn cnpg_pooler(object: &Node, facts: &mut Facts) {
    let Some((key, node)) = object.get("spec").and_then(|s| s.pair("pgbouncer")) else {
        return;
    };
    let parameters = node.get("parameters").map(words).unwrap_or_default();
    let mode = node.get("poolMode").and_then(Node::word);
    let pairs = parameters.iter().map(|(key, word)| (key.clone(), word));
    let keys = pooler::Keys(
        pairs
            .chain(mode.iter().map(|w| ("pool_mode".to_owned(), w)))
            .collect(),
    );
    let mut pool = pooler::pool(&name(object), &key.place, &keys, facts);
    let cluster = object.at(&["spec", "cluster", "name"]).and_then(Node::text);
    pool.target = target(cluster.unwrap_or("").to_owned());
    let instances = object.at(&["spec", "instances"]).and_then(Node::word);
    let instances = instances.and_then(|w| w.count(Tool::Kubernetes, facts));
    let instances = instances.unwrap_or(Value::default(1, "CloudNativePG's default"));
    push(pool, name(object), instances, facts);
}

fn target(cluster: String) -> Target {
    Target {
        host: (!cluster.is_empty()).then_some(cluster),
        ..Target::default()
    }
}

/// A pool that exists once in each instance.
fn push(pool: crate::facts::Pool, name: String, instances: Value<u64>, facts: &mut Facts) {
    facts
        .within
        .push((facts.pools.len(), facts.workloads.len()));
    facts.workloads.push(Workload {
        runs: None,
        tool: Tool::Kubernetes,
        name,
        place: pool.place.clone(),
        replicas: instances,
        surge: Value::default(0, "not said in the manifest"),
        processes: Some(Value::default(1, "PgBouncer is one process")),
        threads: None,
        environment: Vec::new(),
    });
    facts.pools.push(pool);
}

fn server(object: &Node, path: &[&str], facts: &mut Facts) {
    let settings = object.at(path).map(words).unwrap_or_default();
    let place = object
        .at(&["metadata", "name"])
        .map_or(&object.place, |n| &n.place);
    let server = container::server(place, &settings, facts);
    facts.servers.extend(server);
}

fn words(node: &Node) -> Vec<(String, Word)> {
    let pairs = node.entries().into_iter();
    pairs
        .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.word()?)))
        .collect()
}
