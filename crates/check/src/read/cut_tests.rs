//! Files that end anywhere, and files with a byte changed: no panic, and every
//! place stays inside the text.

use super::read;
use crate::facts::Facts;
use crate::files::Kind;
use crate::place::{FileId, Place};
use std::path::Path;

const COMPOSE: &str = "services:\n  db:\n    image: postgres:16\n    command: [postgres, -c, max_connections=200]\n    environment: {POSTGRES_PASSWORD: \"hünter2\"}\n  web: &w\n    command: 'gunicorn -w 4 --threads ${T:-8} app'\n    environment:\n      - DATABASE_URL=postgres://a:b1@db/x?pool=5\n    deploy: {replicas: 3, update_config: {order: start-first}}\n  other:\n    <<: *w\n";
const KUBERNETES: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: wéb\nspec:\n  replicas: {{ .Values.n | default 3 }}\n  strategy: {rollingUpdate: {maxSurge: 30%}}\n  template:\n    spec:\n      containers:\n        - name: a\n          args: [\"-w\", \"4\"]\n          env:\n            - {name: DB_POOL, value: \"7\"}\n---\napiVersion: v1\nkind: ConfigMap\ndata:\n  pgbouncer.ini: |\n    [databases]\n    x = host=db password=s3cret pool_size=5\n    [pgbouncer]\n    pool_mode = transaction\n";
const RAILS: &str = "default: &default\n  adapter: postgresql\n  pool: <%= ENV.fetch(\"RAILS_MAX_THREADS\") { 5 } %>\nproduction:\n  <<: *default\n  password: 'pässword'\n  url: \"postgres://a:b1@h/d?pool=7\"\n  variables: {statement_timeout: 30}\n";
const SPRING: &str = "spring:\n  datasource:\n    url: jdbc:postgresql://db/x?options=-c%20statement_timeout=5&password=b1\n    hikari:\n      maximum-pool-size: ${N:10}\n      connection-timeout: 30\n      connection-init-sql: \"SET statement_timeout = '5s'\"\n---\nspring.config.activate.on-profile: prod\nspring.datasource.hikari.maximum-pool-size: 20\n";
const PROPERTIES: &str = "spring.datasource.url=jdbc:postgresql://db/x\nspring.datasource.hikari.max-pool-size = 5\n#---\nspring.datasource.maximum-pool-size: zwölf\n";
const ENVIRONMENT: &str = "export DATABASE_URL=\"postgres://ä:b1@h/d?connection_limit=5\"\nWEB_CONCURRENCY=2 # two\nGUNICORN_CMD_ARGS='-w 3'\nSECRET_KEY=äbc\n";
const PGCAT: &str = "[general]\nidle_timeout = 30\n[pools.a]\npool_mode = \"session\"\n[pools.a.users.0]\nusername = \"ü\"\npassword = \"s3cret\"\npool_size = 5\n[pools.a.shards.0]\nservers = [[\"h\", 5432, \"primary\"]]\n";
const PGDOG: &str = "[general]\ndefault_pool_size = 5\n[[databases]]\nname = \"ü\"\nhost = \"h\"\ncheckout_timeout = 5\n[[users]]\npassword = '''s3cret'''\npool_size = 3\n";
const ODYSSEY: &str = "storage \"pg\" {\n host \"h\"\n}\ndatabase \"ü\" {\n user default {\n  storage \"pg\"\n  password \"s3crét\"\n  pool \"transaction\"\n  pool_size 5\n  pool_timeout 40\n }\n}\n";

const ALL: &[(Kind, &str, &str)] = &[
    (Kind::Compose, "compose.yml", COMPOSE),
    (Kind::Kubernetes, "web.yaml", KUBERNETES),
    (Kind::RailsDatabase, "database.yml", RAILS),
    (Kind::SpringYaml, "application.yml", SPRING),
    (Kind::SpringProperties, "application.properties", PROPERTIES),
    (Kind::Environment, ".env", ENVIRONMENT),
    (Kind::PgCat, "pgcat.toml", PGCAT),
    (Kind::PgDog, "pgdog.toml", PGDOG),
    (Kind::Odyssey, "odyssey.conf", ODYSSEY),
];

fn facts(kind: Kind, path: &str, text: &str) -> Facts {
    let mut facts = Facts::default();
    read(kind, FileId(0), Path::new(path), text, &mut facts);
    super::settle(&mut facts);
    facts
}

/// All places of the facts.
fn places(facts: &Facts) -> Vec<&Place> {
    let mut all: Vec<&Place> = Vec::new();
    for pool in &facts.pools {
        all.push(&pool.place);
        all.extend(pool.size.place());
        all.extend(pool.needs.iter().map(|(_, place)| place));
        all.extend(pool.timeouts.wait.as_ref().and_then(|v| v.place()));
        all.extend(pool.timeouts.statement.as_ref().and_then(|v| v.place()));
    }
    all.extend(facts.secrets.iter().map(|s| &s.place));
    all.extend(facts.odd.iter().map(|o| &o.place));
    all.extend(facts.unread.iter().map(|u| &u.place));
    all.extend(facts.broken.iter().map(|(place, _)| place));
    for workload in &facts.workloads {
        all.push(&workload.place);
        all.extend(workload.environment.iter().map(|v| &v.place));
    }
    all
}

#[test]
fn the_whole_files_say_something_and_no_secret() {
    for (kind, path, text) in ALL {
        let facts = facts(*kind, path, text);
        assert!(facts.broken.is_empty(), "{path}: {:?}", facts.broken);
        assert!(!facts.pools.is_empty(), "{path}");
        let shown = format!("{facts:?}");
        for secret in ["hünter2", "s3cret", "s3crét", "pässword", ":b1@", "äbc"] {
            assert!(!shown.contains(secret), "{path}: {secret}");
        }
    }
}

#[test]
fn a_file_may_end_anywhere() {
    for (kind, path, text) in ALL {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let cut = &text[..end];
            let facts = facts(*kind, path, cut);
            for place in places(&facts) {
                let found = cut.get(place.range.clone());
                assert!(found.is_some(), "{path} cut at {end}: {:?}", place.range);
            }
        }
    }
}

#[test]
fn any_character_may_be_another() {
    let all = [
        "\u{0}", "\"", "'", "{", "}", "[", ":", "\t", "\n", "&", "*", "|", "%", "ß", "-",
    ];
    let mut others = all.iter().cycle();
    for (kind, path, text) in ALL {
        for (at, c) in text.char_indices() {
            // In turn: all of them everywhere takes a dozen seconds.
            for other in others.by_ref().take(2) {
                let changed = format!("{}{other}{}", &text[..at], &text[at + c.len_utf8()..]);
                let facts = facts(*kind, path, &changed);
                for place in places(&facts) {
                    let found = changed.get(place.range.clone());
                    assert!(found.is_some(), "{path} {at} {other:?}: {:?}", place.range);
                }
            }
        }
    }
}
