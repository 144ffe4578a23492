//! Real-looking compose files, and what they say.

use super::*;
use crate::facts::{Limit, Mode};

fn facts(text: &str) -> Facts {
    let mut facts = Facts::default();
    read(FileId(0), text, &Around::default(), &mut facts);
    facts
}

const SHOP: &str = "\
x-env: &env
  DATABASE_URL: postgres://app:s3cret@pgbouncer:6432/shop
services:
  db:
    image: postgres:16-alpine
    command: postgres -c max_connections=200 -c statement_timeout=30s
    environment:
      POSTGRES_PASSWORD: hunter2
  cache:
    image: redis:7
  pgbouncer:
    image: edoburu/pgbouncer:1.23
    environment:
      - DB_HOST=db
      - POOL_MODE=transaction
      - DEFAULT_POOL_SIZE=40
      - MAX_CLIENT_CONN=1000
  web:
    build: .
    command: [\"gunicorn\", \"-w\", \"4\", \"--threads\", \"8\", \"shop.wsgi\"]
    environment:
      <<: *env
      DB_POOL_SIZE: \"12\"
    deploy:
      replicas: 3
      update_config:
        order: start-first
        parallelism: 2
  worker:
    build: .
    command: bundle exec sidekiq -c ${SIDEKIQ:-25}
    scale: 2
";

#[test]
fn services_are_servers_pools_and_workloads() {
    let facts = facts(SHOP);
    assert!(facts.broken.is_empty());
    let [server] = &facts.servers[..] else {
        panic!("{:?}", facts.servers)
    };
    assert_eq!(server.max_connections.value, 200);
    let place = server.max_connections.place().unwrap();
    assert_eq!(&SHOP[place.range.clone()], "200");
    assert!(server.statement.is_stated());
    let names: Vec<_> = facts.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["pgbouncer", "web", "worker"]);
    let web = &facts.workloads[1];
    assert_eq!((web.replicas.value, web.surge.value), (3, 2));
    assert_eq!(web.processes.as_ref().unwrap().value, 4);
    assert_eq!(web.threads.as_ref().unwrap().value, 8);
    let worker = &facts.workloads[2];
    assert_eq!((worker.replicas.value, worker.surge.value), (2, 0));
    assert_eq!(worker.threads.as_ref().unwrap().value, 25);
    let pooler = &facts.pools[0];
    assert_eq!(pooler.size.value, Limit::Of(40));
    assert_eq!(pooler.mode.as_ref().unwrap().value, Mode::Transaction);
    let pool = &facts.pools[1];
    assert_eq!(pool.size.value, Limit::Of(12));
    assert_eq!(&SHOP[pool.size.place().unwrap().range.clone()], "12");
    assert_eq!(pool.target.host.as_deref(), Some("pgbouncer"));
    assert_eq!(facts.within, [(0, 0), (1, 1)]);
    let secrets: Vec<_> = facts
        .secrets
        .iter()
        .map(|s| &SHOP[s.place.range.clone()])
        .collect();
    assert_eq!(secrets, ["hunter2", "s3cret"]);
}

#[test]
fn defaults_and_what_is_kept_elsewhere() {
    let facts = facts(
        "services:\n  web:\n    image: shop\n    environment:\n      - DB_PASSWORD\n      - DB_POOL_SIZE=${DB_POOL:-15}\n  db:\n    image: docker.io/library/postgres\n    environment:\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?}\n",
    );
    assert_eq!(facts.workloads[0].replicas, Value::default(1, DEFAULT));
    assert_eq!(facts.pools[0].size.value, Limit::Of(15));
    assert_eq!(facts.variables[0].1, "DB_POOL");
    assert!(facts.secrets.is_empty());
    assert_eq!(facts.servers[0].max_connections.value, 100);
    let own = super::tests::facts(
        "services:\n  db:\n    image: postgres\n    command: postgres -c config_file=/etc/pg.conf\n",
    );
    assert!(own.servers.is_empty());
}

#[test]
fn surge_follows_the_order() {
    for (update, surge) in [
        ("{}", 0),
        ("{order: stop-first, parallelism: 2}", 0),
        ("{order: start-first}", 1),
        ("{order: start-first, parallelism: 0}", 5),
        ("{order: start-first, parallelism: 9}", 5),
    ] {
        let text =
            format!("services:\n  a:\n    deploy: {{replicas: 5, update_config: {update}}}\n");
        assert_eq!(facts(&text).workloads[0].surge.value, surge, "{update}");
    }
    let odd = facts("services:\n  a:\n    deploy: {replicas: three}\n");
    assert_eq!(odd.odd.len(), 1);
}

#[test]
fn other_files_say_nothing() {
    for text in [
        "",
        "services:",
        "services: [a, b]",
        "services:\n  a: 5",
        "services:\n- name: x",
        "jobs:\n  test:\n    services: {}",
    ] {
        let facts = facts(text);
        assert!(
            facts.workloads.is_empty() && facts.broken.is_empty(),
            "{text}"
        );
    }
    assert_eq!(facts("services: {").broken.len(), 1);
}
