//! Real drivers and a real application, straight and through the pooler: the same output.

mod checklist;

use crate::common::{database, full, pool_mode, pooler_with, server, skip};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::Target;
use plimsoll_e2e::sandbox::signal;
use plimsoll_e2e::server::{PASSWORD, program};
use plimsoll_e2e::toolchain::{active_record, go_program, jdbc, node, programs, python};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longest run of one program; they take one to five seconds.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(60);

/// Fewer than the programs' clients, so that they must share.
const POOL_SIZE: &str = "3";

fn sized(settings: Settings, size: &str) -> Settings {
    let mode = pool_mode();
    let size = if mode == "session" { "10" } else { size };
    let settings = settings.native(server()).set("pool_mode", &mode);
    settings.set("default_pool_size", size)
}

/// Without TLS, and it trusts.
fn pooler() -> Pooler {
    pooler_with(|settings| sized(settings, POOL_SIZE))
}

/// With TLS and SCRAM for everybody.
fn secured(size: &str) -> Pooler {
    let files = server().certificates();
    let (cert, key) = (&files.cert, &files.key);
    let tls =
        format!("[tls.client]\nmode = \"require\"\ncert_file = {cert:?}\nkey_file = {key:?}\n");
    pooler_with(|settings| {
        let settings = sized(settings, size).sections(&tls);
        let settings = settings.client_tls("require", files);
        let settings = settings.set("auth_type", "scram-sha-256");
        settings.own("auth_type", "scram-sha-256")
    })
}

/// What libpq and the drivers like it are told by, beside a URL.
fn tell_security(command: &mut Command) {
    let authority = &server().certificates().ca;
    command
        .env("PGPASSWORD", PASSWORD)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", authority)
        .env("NODE_EXTRA_CA_CERTS", authority);
}

/// Standard output of a program that must succeed, and end within [`PROGRAM_PATIENCE`].
fn output(command: &mut Command, what: &str) -> String {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || sender.send(child.wait_with_output()));
    let out = match receiver.recv_timeout(PROGRAM_PATIENCE) {
        Ok(out) => out.unwrap_or_else(|error| panic!("{what}: {error}")),
        Err(_) => {
            signal(pid, "KILL");
            panic!("{what}: hangs, no end after {PROGRAM_PATIENCE:?}");
        }
    };
    let _ = reader.join();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{what}: {}\n{text}\n{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    text
}

/// Runs a program both ways, with TLS and a password; `command` gets the target.
fn both_ways(name: &str, command: impl Fn(&Target) -> Command) {
    both_ways_over(POOL_SIZE, name, command);
}

fn both_ways_over(size: &str, name: &str, command: impl Fn(&Target) -> Command) {
    let database = database(format!("driver_{name}"));
    let run = |target: Target, way: &str| {
        let mut command = command(&target);
        tell_security(&mut command);
        output(&mut command, &format!("{name}, {way}"))
    };
    let direct = run(server().target(&database, "app"), "direct");
    let pooler = secured(size);
    let pooled = run(pooler.target(&database, "app"), "pooled");
    assert_eq!(direct, pooled, "{name}");
    assert!(!direct.trim().is_empty(), "{name} says nothing");
}

fn python_program(name: &str, file: &str) {
    python_program_over(POOL_SIZE, name, file);
}

fn python_program_over(size: &str, name: &str, file: &str) {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return skip(name, &why),
    };
    both_ways_over(size, name, |target| {
        let mut command = Command::new(&python);
        command
            .arg(programs().join(file))
            .env("DATABASE_URL", target.url())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
}

#[test]
fn psycopg3() {
    python_program("psycopg3", "psycopg3.py");
}

#[test]
fn psycopg2() {
    python_program("psycopg2", "psycopg2.py");
}

#[test]
fn asyncpg() {
    python_program("asyncpg", "asyncpg_.py");
}

#[test]
fn sqlalchemy() {
    python_program("sqlalchemy", "sqlalchemy_.py");
}

#[test]
fn django() {
    // Six threads, each with a cursor WITH HOLD at its end: each needs a connection that it keeps for a while.
    python_program_over("8", "django", "django/app.py");
}

#[test]
fn node_pg() {
    let modules = match node() {
        Ok(modules) => modules,
        Err(why) => return skip("node_pg", &why),
    };
    both_ways("node", |target| {
        let mut command = Command::new("node");
        command
            .arg(programs().join("node.js"))
            .env("NODE_PATH", modules.join("node_modules"))
            .env("DATABASE_URL", target.url());
        command
    });
}

#[test]
fn pgjdbc() {
    let archive = match jdbc() {
        Ok(archive) => archive,
        Err(why) => return skip("pgjdbc", &why),
    };
    both_ways("jdbc", |target| {
        let url = target.url();
        let place = url.rsplit_once('@').expect("a user").1;
        let mut command = Command::new("java");
        command
            .args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(&archive)
            .arg(programs().join("Jdbc.java"))
            .env("JDBC_URL", format!("jdbc:postgresql://{place}?user=app"));
        command
    });
}

#[test]
fn go_lib_pq_and_pgx() {
    let program = match go_program("go") {
        Ok(program) => program,
        Err(why) => return skip("go_lib_pq_and_pgx", &why),
    };
    both_ways("go", |target| {
        let mut command = Command::new(&program);
        command.env("DATABASE_URL", target.url());
        command
    });
}

#[test]
fn ruby_active_record() {
    if let Err(why) = active_record() {
        return skip("ruby_active_record", &why);
    }
    both_ways("active_record", |target| {
        let mut command = Command::new("ruby");
        command
            .arg(programs().join("active_record.rb"))
            .env("DATABASE_URL", target.url());
        command
    });
}

#[test]
fn psql() {
    both_ways("psql", |target| {
        // psql reads the data of \copy from its own standard input; the script is sent that way too.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" -X -d \"$1\" < \"$2\" 2>&1"])
            .arg(program("psql"))
            .arg(target.url())
            .arg(programs().join("script.sql"));
        command
    });
}

#[test]
fn pgbench_in_every_protocol() {
    let database = database("driver_pgbench");
    let init = server().target(&database, "app").url();
    output(
        Command::new(program("pgbench")).args(["-q", "-i", "-s", "1", &init]),
        "pgbench -i",
    );
    let pooler = pooler();
    let transactions = if full() { "2000" } else { "60" };
    for protocol in ["simple", "extended", "prepared"] {
        for script in [&["-N"][..], &["-S"], &["-b", "tpcb-like"]] {
            let url = pooler.target(&database, "app").url();
            let what = format!("pgbench -M {protocol} {script:?}");
            let mut command = Command::new(program("pgbench"));
            command.args([
                "-n",
                "-M",
                protocol,
                "-c",
                "8",
                // pgbench prepares with a call that blocks its thread: a client
                // that waits there must not keep others from their COMMIT.
                "-j",
                "8",
                "-t",
                transactions,
            ]);
            let text = output(command.args(script).arg(&url), &what);
            assert!(text.contains("failed transactions: 0"), "{what}: {text}");
        }
    }
    let sums = server().sql(
        &database,
        "select (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts)",
    );
    assert_eq!(sums, [["t"]], "balances");
}

mod tokio_postgres_driver {
    use super::{both_or, pooler};
    use crate::common::{database, server};
    use tokio_postgres::{Client, Error, NoTls};

    type Parameter<'a> = &'a (dyn tokio_postgres::types::ToSql + Sync);

    async fn connect(url: &str) -> Result<Client, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn work(url: String, worker: i32) -> Result<i32, Error> {
        let mut client = connect(&url).await?;
        let put = client
            .prepare("insert into items (id, name) values ($1, $2)")
            .await?;
        let get = client
            .prepare("select name from items where id = $1")
            .await?;
        for n in 0..20 {
            let key = worker * 100 + n;
            let name = format!("{worker}/{n}");
            let transaction = client.transaction().await?;
            transaction.execute(&put, &[&key, &name]).await?;
            // Several statements in flight on one connection.
            let (keys, numbers): ([Parameter<'_>; 1], [Parameter<'_>; 1]) = ([&key], [&n]);
            let (a, b) = tokio::join!(
                transaction.query_one(&get, &keys),
                transaction.query_one("select $1::int4", &numbers),
            );
            assert_eq!(a?.get::<_, String>(0), name);
            assert_eq!(b?.get::<_, i32>(0), n);
            if n % 4 == 3 {
                transaction.rollback().await?;
            } else {
                transaction.commit().await?;
            }
            let failed = client
                .query_one("select 1 / $1::int4", &[&0])
                .await
                .expect_err("division by zero");
            assert_eq!(
                failed.code().map(|code| code.code().to_owned()).as_deref(),
                Some("22012")
            );
        }
        Ok(worker)
    }

    async fn program(url: String) -> Result<String, Error> {
        let client = connect(&url).await?;
        client
            .batch_execute(
                "drop table if exists items; create table items (id int primary key, name text)",
            )
            .await?;
        let tasks: Vec<_> = (0..8)
            .map(|worker| tokio::spawn(work(url.clone(), worker)))
            .collect();
        let mut workers = Vec::new();
        for task in tasks {
            workers.push(task.await.expect("no panic")?);
        }
        let row = client
            .query_one("select count(*), sum(id) from items", &[])
            .await?;
        Ok(format!(
            "{workers:?} {} {}",
            row.get::<_, i64>(0),
            row.get::<_, i64>(1)
        ))
    }

    #[test]
    fn concurrent_transactions_with_prepared_statements() {
        let database = database("driver_tokio");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime");
        let pooler = pooler();
        let direct = runtime.block_on(program(server().target(&database, "app").url()));
        let pooled = runtime.block_on(program(pooler.target(&database, "app").url()));
        both_or(
            direct.map_err(|e| e.to_string()),
            pooled.map_err(|e| e.to_string()),
        );
    }
}

fn both_or(direct: Result<String, String>, pooled: Result<String, String>) {
    let direct = direct.unwrap_or_else(|error| panic!("direct: {error}"));
    let pooled = pooled.unwrap_or_else(|error| panic!("pooled: {error}"));
    assert_eq!(direct, pooled);
}
