//! A container of a manifest: what its image, command and environment say.

use super::command;
use super::env::{self, Scene, Setting};
use super::value::{self, Word};
use super::yaml::Node;
use crate::facts::{Facts, Server, Tool, Value, Wait, Workload};
use crate::place::Place;

/// A container, whichever manifest it stands in.
pub(crate) struct Container<'a> {
    pub tool: Tool,
    pub name: String,
    pub place: Place,
    pub image: Option<&'a Node>,
    /// The words of its command.
    pub words: Vec<Word>,
    pub settings: Vec<Setting>,
}

/// Reads it, as one of `replicas` copies.
pub(crate) fn read(
    container: Container<'_>,
    replicas: Value<u64>,
    surge: Value<u64>,
    facts: &mut Facts,
) {
    let image = container.image.and_then(Node::text).unwrap_or("");
    let image_name = image_name(image);
    let scene = Scene {
        tool: container.tool,
        name: &container.name,
        place: &container.place,
        image,
    };
    let servers = facts.servers.len();
    let found = env::variables(&scene, &container.settings, facts);
    let command = command::read(&container.words, container.tool, facts);
    if is_postgres(&image_name) {
        if facts.servers.len() == servers {
            let place = container.image.map_or(&container.place, |node| &node.place);
            let server = server(place, &command.settings, facts);
            facts.servers.extend(server);
        }
        return;
    }
    if is_bystander(&image_name) {
        return;
    }
    let workload = facts.workloads.len();
    facts
        .within
        .extend(found.pools.iter().map(|pool| (*pool, workload)));
    let stated = |v: &Option<Value<u64>>| v.as_ref().is_some_and(Value::is_stated);
    // A switch stands above a variable, a variable above a default.
    let or = |switch: Option<Value<u64>>, variable: Option<Value<u64>>| match stated(&switch) {
        true => switch,
        false => variable.or(switch),
    };
    facts
        .requests
        .extend(command.request.map(|time| (Tool::Gunicorn, time)));
    facts.workloads.push(Workload {
        runs: command.program,
        tool: container.tool,
        name: container.name,
        place: container.place,
        replicas,
        surge,
        processes: or(command.processes, found.processes),
        threads: or(command.threads, found.threads),
        environment: found.environment,
    });
}

/// The server that `postgres -c …` starts. With a file of its own and no limit
/// on the command line, its limit is not known here.
pub(crate) fn server(
    place: &Place,
    settings: &[(String, Word)],
    facts: &mut Facts,
) -> Option<Server> {
    let word = |key: &str| {
        let found = settings.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, word)| word)
    };
    let max = word("max_connections").and_then(|w| w.count(Tool::Postgres, facts));
    if max.is_none() && word("config_file").is_some() {
        return None;
    }
    let mut server = env::database_server(place.clone(), max);
    if let Some(n) =
        word("superuser_reserved_connections").and_then(|w| w.count(Tool::Postgres, facts))
    {
        server.superuser_reserved = n;
    }
    if let Some(n) = word("reserved_connections").and_then(|w| w.count(Tool::Postgres, facts)) {
        server.reserved = n;
    }
    let mut time = |key: &str, slot: &mut Value<Wait>| {
        if let Some(found) =
            word(key).and_then(|w| value::postgres_timeout(w, Tool::Postgres, facts))
        {
            *slot = found;
        }
    };
    time("statement_timeout", &mut server.statement);
    time(
        "idle_in_transaction_session_timeout",
        &mut server.idle_in_transaction,
    );
    Some(server)
}

/// The words of a command: a list, or one line for the shell.
pub(crate) fn words(node: Option<&Node>) -> Vec<Word> {
    let Some(node) = node else { return Vec::new() };
    let mut all = node.word().map(|w| command::split(&w)).unwrap_or_default();
    for item in node.items() {
        all.extend(item.word().iter().flat_map(command::split));
    }
    all
}

/// `docker.io/bitnami/postgresql:16@sha256:…` → `postgresql`.
fn image_name(image: &str) -> String {
    let last = image.split('@').next().unwrap_or(image);
    let last = last.rsplit('/').next().unwrap_or(last);
    last.split(':').next().unwrap_or(last).to_ascii_lowercase()
}

fn is_postgres(name: &str) -> bool {
    let names = [
        "postgres",
        "postgresql",
        "postgis",
        "timescaledb",
        "timescaledb-ha",
        "pgvector",
        "postgresql-repmgr",
        "citus",
    ];
    names.contains(&name) || name.starts_with("spilo")
}

/// Images that ask PostgreSQL for nothing, or for next to nothing.
fn is_bystander(name: &str) -> bool {
    let names = [
        "redis",
        "valkey",
        "memcached",
        "nginx",
        "httpd",
        "traefik",
        "caddy",
        "haproxy",
        "envoy",
        "mysql",
        "mariadb",
        "mongo",
        "mongodb",
        "rabbitmq",
        "kafka",
        "zookeeper",
        "elasticsearch",
        "opensearch",
        "kibana",
        "logstash",
        "prometheus",
        "alertmanager",
        "loki",
        "promtail",
        "jaeger",
        "otel",
        "opentelemetry-collector",
        "minio",
        "mailhog",
        "mailpit",
        "adminer",
        "pgadmin4",
        "vault",
        "consul",
        "etcd",
        "busybox",
        "alpine",
        "localstack",
        "node-exporter",
        "postgres-exporter",
        "postgres_exporter",
        "pgbouncer-exporter",
        "redis-exporter",
        "fluent-bit",
        "fluentd",
        "cadvisor",
        "selenium",
        "varnish",
        "nats",
    ];
    names.contains(&name)
}
