//! Environment files and variables, and what they say.

use super::*;
use crate::facts::{Limit, Mode};

fn facts(text: &str) -> Facts {
    let mut facts = Facts::default();
    read(FileId(0), Path::new(".env"), text, &mut facts);
    facts
}

#[test]
fn a_rails_environment_says_pool_processes_and_threads() {
    let text = "# production\nexport DATABASE_URL=\"postgres://app:s3cret@db:5432/shop\"\nWEB_CONCURRENCY=3   # processes\nRAILS_MAX_THREADS='10'\nSECRET_KEY_BASE=0123456789abcdef\n";
    let facts = facts(text);
    let [workload] = &facts.workloads[..] else {
        panic!("{:?}", facts.workloads)
    };
    assert_eq!(workload.processes.as_ref().unwrap().value, 3);
    let threads = workload.threads.as_ref().unwrap();
    assert_eq!(&text[threads.place().unwrap().range.clone()], "10");
    let [pool] = &facts.pools[..] else {
        panic!("{:?}", facts.pools)
    };
    assert_eq!((pool.tool, pool.size.value), (Tool::Rails, Limit::Of(10)));
    assert_eq!(pool.target.host.as_deref(), Some("db"));
    assert_eq!(facts.within, [(0, 0)]);
    let secrets: Vec<_> = facts
        .secrets
        .iter()
        .map(|s| &text[s.place.range.clone()])
        .collect();
    assert_eq!(secrets, ["s3cret", "0123456789abcdef"]);
    assert!(!format!("{facts:?}").contains("s3cret"));
    assert!(!format!("{facts:?}").contains("0123456789abcdef"));
}

#[test]
fn pools_have_many_names() {
    for (text, tool, size) in [
        ("DB_POOL_SIZE=20", Tool::Environment, 20),
        ("DB_MAX_OPEN_CONNS=20\nDB_HOST=db", Tool::Environment, 20),
        ("DATABASE_URL=postgres://u@h/d?pool=7", Tool::Rails, 7),
        (
            "DATABASE_URL=postgres://u@h/d?connection_limit=3",
            Tool::Prisma,
            3,
        ),
        (
            "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE=40",
            Tool::Hikari,
            40,
        ),
        (
            "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE=40",
            Tool::Hikari,
            40,
        ),
        (
            "SPRING_DATASOURCE_URL=jdbc:postgresql://db/x",
            Tool::Hikari,
            10,
        ),
        (
            "PGBOUNCER_POOL_MODE=transaction\nPGBOUNCER_DEFAULT_POOL_SIZE=25",
            Tool::PgBouncer,
            25,
        ),
        (
            "POOL_MODE=transaction\nMAX_CLIENT_CONN=500",
            Tool::PgBouncer,
            20,
        ),
    ] {
        let facts = facts(text);
        assert_eq!(facts.pools.len(), 1, "{text}");
        let pool = &facts.pools[0];
        assert_eq!(
            (pool.tool, pool.size.value),
            (tool, Limit::Of(size)),
            "{text}"
        );
        assert!(facts.odd.is_empty() && facts.unread.is_empty(), "{text}");
    }
    for text in [
        "DATABASE_URL=postgres://u@h/d",
        "RAILS_MAX_THREADS=5",
        "POOL_MODE=x",
        "PORT=1",
        "A",
    ] {
        assert!(facts(text).pools.is_empty(), "{text}");
    }
}

#[test]
fn a_pooler_has_its_limits() {
    let facts = facts(
        "POOL_MODE=transaction\nMAX_CLIENT_CONN=1000\nDEFAULT_POOL_SIZE=0\nMAX_DB_CONNECTIONS=50\nQUERY_WAIT_TIMEOUT=30\nDB_HOST=pg\n",
    );
    let pool = &facts.pools[0];
    assert_eq!(pool.size.value, Limit::Unlimited);
    assert_eq!(pool.cap.as_ref().unwrap().value, Limit::Of(50));
    assert_eq!(pool.clients.as_ref().unwrap().value, Limit::Of(1000));
    assert_eq!(pool.mode.as_ref().unwrap().value, Mode::Transaction);
    assert_eq!(pool.target.host.as_deref(), Some("pg"));
    let wait = pool.timeouts.wait.as_ref().unwrap();
    assert!(wait.is_stated());
}

#[test]
fn gunicorn_takes_switches_from_a_variable() {
    let facts = facts("GUNICORN_CMD_ARGS=\"--workers=4 --threads 2\"\nDB_POOL=many\n");
    let workload = &facts.workloads[0];
    assert_eq!(workload.processes.as_ref().unwrap().value, 4);
    assert_eq!(workload.threads.as_ref().unwrap().value, 2);
    assert_eq!(facts.odd.len(), 1);
}

#[test]
fn what_is_kept_elsewhere_or_asked_for_is_no_secret() {
    for (text, secrets) in [
        ("DB_PASSWORD=hunter2", 1),
        ("DB_PASSWORD=${DB_PASSWORD}", 0),
        ("DB_PASSWORD=", 0),
        ("DB_PASSWORD=changeme", 0),
        ("DB_PASSWORD=<password>", 0),
        ("POSTGRES_PASSWORD_FILE=/run/secrets/pg", 0),
        ("PWD=/srv", 0),
        ("STRIPE_API_KEY=sk_live_1", 1),
        ("DATABASE_URL=postgres://u:${PW:-x}@h/d", 0),
        ("SPRING_DATASOURCE_URL=jdbc:postgresql://h/d?password=x1", 1),
    ] {
        assert_eq!(facts(text).secrets.len(), secrets, "{text}");
    }
    let server = facts("POSTGRESQL_MAX_CONNECTIONS=300");
    assert_eq!(server.servers[0].max_connections.value, 300);
}

#[test]
fn an_example_holds_fillers_and_sometimes_a_secret() {
    for (name, text, secrets) in [
        (
            ".env.example",
            "DATABASE_URL=postgres://user:password@h/d",
            0,
        ),
        (
            ".env.example",
            "DATABASE_URL=postgres://user:Zu8aeGh1@h/d",
            1,
        ),
        (".env", "DATABASE_URL=postgres://user:password@h/d", 1),
    ] {
        let mut facts = Facts::default();
        read(FileId(0), Path::new(name), text, &mut facts);
        assert_eq!(facts.secrets.len(), secrets, "{name} {text}");
    }
}

#[test]
fn any_text_is_read_without_panic() {
    for text in [
        "", "=", "==", "export ", "export =", "A=\"", "A='x", "ü=ä #", "\r\n\r\n", "A = b",
    ] {
        let _ = facts(text);
    }
}
