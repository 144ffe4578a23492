//! Replication through the pooler: PostgreSQL's own tools, and what is left when they go.

mod standby;
mod subscription;

use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler};
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, until};
use plimsoll_e2e::server::{PASSWORD, program};
use std::process::Command;

/// Replication came with PgBouncer 1.23; Debian's is 1.18.
fn is_old() -> bool {
    let old = Binary::find().is_pgbouncer;
    if old {
        skip("replication", "PgBouncer 1.18 has none");
    }
    old
}

/// Transaction mode: replication keeps its connection all the same.
fn pooler() -> Pooler {
    pooler_with(|settings| settings.set("query_wait_timeout", "2"))
}

fn conninfo(pooler: &Pooler, database: &str, more: &str) -> String {
    let port = pooler.port();
    format!("host=127.0.0.1 port={port} user=postgres dbname={database} {more}")
}

/// The console of a pooler that wants TLS and passwords from afar.
fn console(pooler: &Pooler) -> Client {
    let target = pooler.unix_target("pgbouncer", "admin").password(PASSWORD);
    Client::login(&target).unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()))
}

/// Runs one of PostgreSQL's programs; what it says, or its error.
fn run(name: &str, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program(name));
    let out = command.args(words).output().expect("run a program");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
    }
}

fn psql(conninfo: &str, sql: &str) -> Result<String, String> {
    run("psql", &["-XAtq", "-d", conninfo, "-c", sql])
}

/// Backends of the server that send its log on behalf of this application.
fn senders(application: &str) -> usize {
    let rows = server().sql(
        "postgres",
        &format!(
            "select pid from pg_stat_activity where backend_type = 'walsender' \
             and application_name = '{application}'"
        ),
    );
    rows.len()
}

#[test]
fn a_session_begins_with_what_its_client_asked_for() {
    if is_old() {
        return;
    }
    let (pooler, name) = (pooler(), database("repl_begin"));
    let more = "application_name=abc options='-c enable_seqscan=off'";
    for (kind, sql, answer) in [
        ("database", "show application_name", Ok("abc")),
        ("database", "show enable_seqscan", Ok("off")),
        ("database", "select current_database()", Ok("repl_begin")),
        ("yes", "SHOW application_name", Ok("abc")),
        ("1", "SHOW enable_seqscan", Ok("off")),
        (
            "true",
            "select 1",
            Err("cannot execute SQL commands in WAL sender"),
        ),
        ("off", "select 1", Ok("1")),
        ("nonsense", "select 1", Err("invalid value for parameter")),
    ] {
        let options = match kind {
            "off" => "replication=off".to_owned(),
            kind => format!("replication={kind} {more}"),
        };
        let got = psql(&conninfo(&pooler, &name, &options), sql);
        let fits = match (&got, answer) {
            (Ok(got), Ok(answer)) => got == answer,
            (Err(got), Err(answer)) => got.contains(answer),
            _ => false,
        };
        assert!(fits, "replication={kind}: {sql}: {got:?}\n{}", pooler.log());
    }
    for kind in ["database", "yes"] {
        let options = format!("replication={kind}");
        let system = psql(&conninfo(&pooler, &name, &options), "IDENTIFY_SYSTEM");
        let system = system.unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!(system.split('|').count(), 4, "{kind}: {system}");
    }
}

#[test]
fn a_backup_and_the_log_come_through() {
    if is_old() {
        return;
    }
    let (pooler, dir) = (pooler(), Dir::new("repl", RunAs::myself()));
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let to = conninfo(&pooler, "postgres", "application_name=backup");
    let (base, wal) = (path("base"), path("wal"));
    // It opens a second connection for the log.
    let words = ["-d", &to, "-D", &base, "-c", "fast", "-X", "stream", "-N"];
    run("pg_basebackup", &words).unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    assert!(dir.path().join("base/PG_VERSION").exists());
    assert!(dir.path().join("base/global/pg_control").exists());
    std::fs::create_dir(dir.path().join("wal")).expect("a directory");
    // It begins with the segment that is written now, wherever other tests have brought the log.
    let mut receives = Command::new(program("pg_receivewal"))
        .args(["-d", &to, "-D", &wal, "--no-loop"])
        .spawn()
        .expect("pg_receivewal");
    until("the log to come", || {
        server().sql(
            "postgres",
            "select pg_logical_emit_message(false, 'repl', 'x')",
        );
        let mut files = std::fs::read_dir(&wal).expect("the directory");
        files.next().map(drop)
    });
    receives.kill().expect("ended");
    receives.wait().expect("ended");
    until("its backends are gone", || {
        (senders("backup") == 0).then_some(())
    });
}

#[test]
fn changes_stream_and_the_console_tells_it() {
    if is_old() {
        return;
    }
    let (pooler, name) = (pooler(), database("repl_stream"));
    let dir = Dir::new("repl", RunAs::myself());
    let to = conninfo(&pooler, &name, "application_name=stream");
    server().sql(&name, "create table t (a int)");
    let create = [
        "-d",
        &to,
        "-S",
        "plimsoll_stream",
        "--create-slot",
        "-P",
        "test_decoding",
    ];
    run("pg_recvlogical", &create).unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    let (out, log) = (dir.path().join("out"), dir.path().join("log"));
    let mut command = Command::new(program("pg_recvlogical"));
    command.args([
        "-d",
        &to,
        "-S",
        "plimsoll_stream",
        "--start",
        "-F",
        "0",
        "-s",
        "1",
        "-f",
    ]);
    let mut stream = Process::start(command.arg(&out), &log, None).expect("start");
    server().sql(&name, "insert into t values (7)");
    until("the change comes through", || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        text.contains("table public.t: INSERT: a[integer]:7")
            .then_some(())
    });
    let mut console = pooler.console();
    let mut kinds = |what: &str, of: &str| -> Vec<String> {
        let rows = console.rows(&format!("show {what}")).expect("a table");
        let mine = rows
            .into_iter()
            .filter(|row| row[2] == name && row[0] == of);
        mine.map(|row| row[3].clone()).collect()
    };
    assert_eq!(kinds("clients", "C"), ["logical"]);
    assert_eq!(kinds("servers", "S"), ["logical"]);
    // An ordinary client beside it: its own connection, and one row for both.
    let ordinary = conninfo(&pooler, &name, "");
    assert_eq!(
        psql(&ordinary, "select count(*) from t").as_deref(),
        Ok("1")
    );
    let rows = pooler.console().rows("show pools").expect("a table");
    let rows: Vec<_> = rows.iter().filter(|row| row[0] == name).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0][2].as_str(), rows[0][6].as_str()),
        ("1", "1"),
        "{rows:?}"
    );
    stream.signal("INT");
    assert!(
        stream.wait("pg_recvlogical").success(),
        "{}",
        std::fs::read_to_string(&log).unwrap_or_default()
    );
    until("its backend is gone", || {
        (senders("stream") == 0).then_some(())
    });
    let end = ["-d", &to, "-S", "plimsoll_stream", "--drop-slot"];
    run("pg_recvlogical", &end).unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    assert_eq!(psql(&ordinary, "select 1").as_deref(), Ok("1"));
}

#[test]
fn as_many_as_the_pool_has_connections_and_none_is_used_again() {
    if is_old() {
        return;
    }
    let (pooler, name) = (pooler(), database("repl_limit"));
    let target = |application: &str| -> Target {
        let target = pooler.target(&name, "postgres");
        let target = target.parameter("replication", "database");
        target.parameter("application_name", application)
    };
    let login = |application: &str| Client::login(&target(application));
    let pid = |client: &mut Client| client.value("select pg_backend_pid()").expect("a pid");
    let mut first = login("first").unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    let mut second = login("second").unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    let before = pid(&mut first);
    assert_ne!(before, pid(&mut second));
    assert_eq!((senders("first"), senders("second")), (1, 1));
    let error = login("third")
        .map(drop)
        .expect_err("two are the pool's size");
    assert!(error.to_string().contains("query_wait_timeout"), "{error}");
    first.terminate();
    let mut third = login("third").unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()));
    assert_ne!(pid(&mut third), before, "a connection of its own");
    assert_eq!(
        third.value("show application_name").as_deref().ok(),
        Some("third")
    );
    // Cut off in the middle: nothing stays.
    drop((second, third));
    until("all are gone", || {
        (senders("second") + senders("third") == 0).then_some(())
    });
    let unfit = pooler
        .target(&name, "nobody_special")
        .parameter("replication", "database");
    let error = Client::login(&unfit)
        .map(drop)
        .expect_err("it may not replicate")
        .to_string();
    assert!(error.contains("replication role"), "{error}");
    assert!(
        Client::login(&pooler.target(&name, "nobody_special")).is_ok(),
        "it may query"
    );
}
