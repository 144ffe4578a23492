//! `plimsoll rehearse` against a real server and real poolers: what it counts is what
//! happened, and where nothing can be known it says so.

use crate::common::{database, full, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::{self, Dir, RunAs, until};
use plimsoll_e2e::server::{PASSWORD, Server};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Requests of two classes for two seconds; one of them writes a row each time.
const SCENARIO: &str = r#"
    seed = 5
    thresholds = ["p(99) < 5s", "errors < 0.1%", "write: rate > 5"]
    [load]
    phases = [{ from = "20/s", to = "100/s", for = "1s" }, { rate = "100/s", for = "1s" }]
    connections = 4
    timeout = "10s"
    [[class]]
    name = "read"
    weight = 3
    sql = "select 1"
    [[class]]
    name = "write"
    script = "write.sql"
"#;
const WRITE: &str = "\\set n random(1, 1000)\nbegin;\ninsert into written values (:n);\ncommit;\n";

fn skipped() -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip("rehearse", "PgBouncer has none");
    }
    pgbouncer
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::find().path);
    command
        .args(["rehearse", "--format", "json", "--quiet"])
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("DATABASE_URL")
        .env_remove("PGHOST")
        .stdin(Stdio::null());
    command
}

fn rehearse(arguments: &[&str]) -> Output {
    command(arguments).output().expect("it runs")
}

/// Exit code, what a program reads, what a person reads.
fn told(output: &Output) -> (i32, Value, String) {
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), value, text)
}

/// The first of some runs in which the generator had the CPU that it needed.
fn valid(arguments: &[&str]) -> (i32, Value, String) {
    until("a valid run", || {
        Some(told(&rehearse(arguments))).filter(|run| run.0 != 3)
    })
}

/// A scenario and its script, in a folder of its own.
fn files(scenario: &str) -> (Dir, String) {
    let dir = Dir::new("rehearse", RunAs::myself());
    dir.write("write.sql", WRITE, RunAs::myself(), 0o644);
    let path = dir.write("a.toml", scenario, RunAs::myself(), 0o644);
    (dir, path.display().to_string())
}

/// A database of its own, with the table that the scenario's script writes to.
fn with_table(name: &str) -> String {
    let database = database(name);
    let table = "create table written (n int); alter table written owner to app";
    server().sql(&database, table);
    database
}

/// A number of what was measured, also where a machine without a CPU to spare made it worth nothing.
fn number(value: &Value, path: &str) -> u64 {
    let all = [value, &value["result"], &value["not_a_result"]];
    let found = all.iter().find_map(|part| part.pointer(path)?.as_u64());
    found.unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[test]
fn what_it_counts_is_what_happened_through_a_pooler_and_by_settings() {
    if skipped() {
        return;
    }
    let database = with_table("rehearse_counts");
    let (dir, scenario) = files(SCENARIO);
    let pooler = Pooler::start(Settings::for_server(server()));
    let url = pooler.target(&database, "app").url();
    let settings = format!(
        "[databases]\n{database} = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = 1\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
        server().port(),
        dir.write("users.txt", "\"app\" \"secret\"\n", RunAs::myself(), 0o600)
            .display()
    );
    let settings = dir.write("pgbouncer.ini", &settings, RunAs::myself(), 0o644);
    let mut written = 0;
    for (place, protocol) in [
        (url.as_str(), "simple"),
        (url.as_str(), "prepared"),
        (&*settings.display().to_string(), "extended"),
    ] {
        let output = rehearse(&[&scenario, "--on", place, "-M", protocol]);
        let (code, value, text) = told(&output);
        assert!(matches!(code, 0 | 3), "{protocol}: {value} {text}");
        let due = number(&value, "/all/requests");
        // 160 on average; four standard deviations of a Poisson count.
        assert!((110..=210).contains(&due), "{due}");
        assert_eq!(number(&value, "/all/answered"), due);
        // The trial wrote one.
        written += number(&value, "/classes/1/answered") + 1;
        let rows = server().sql(&database, "select count(*) from written");
        assert_eq!(rows[0][0], written.to_string(), "{protocol}");
    }
    let wait = ["/all/latency/p50_us", "/all/wait/p50_us"];
    let (_, value, _) = valid(&[&scenario, "--on", &url, "--threshold", "p(50) < 1us"]);
    assert!(number(&value, wait[0]) >= number(&value, wait[1]));
    assert_eq!(
        (&value["outcome"], &value["exit_code"]),
        (&"broken".into(), &1.into())
    );
}

#[test]
fn each_request_may_have_a_connection_of_its_own() {
    if skipped() {
        return;
    }
    let database = with_table("rehearse_each");
    let (_dir, scenario) = files(SCENARIO);
    let pooler = Pooler::start(Settings::for_server(server()));
    let url = pooler.target(&database, "app").url();
    let (_, value, text) = told(&rehearse(&[&scenario, "--on", &url, "--connect"]));
    let due = number(&value, "/all/requests");
    assert_eq!(number(&value, "/all/answered"), due, "{value} {text}");
    // One more shows before the load that one can be had.
    assert_eq!(number(&value, "/connections/opened"), due + 1, "{value}");
    assert_eq!(number(&value, "/connections/lost"), 0);
    // A login is part of what a user waits for.
    let login = number(&value, "/connections/open_mean_us");
    let mean = number(&value, "/all/latency/mean_us");
    assert!(mean > login / 2, "{mean} {login}");
}

#[test]
fn a_stall_is_in_the_latency_of_every_request_that_was_due_in_it() {
    if skipped() {
        return;
    }
    let database = with_table("rehearse_stall");
    let (_dir, scenario) = files(SCENARIO);
    let url = server().target(&database, "app").url();
    let mut blocker = Client::login(&server().target(&database, "app")).expect("login");
    let run = command(&[&scenario, "--on", &url, "-c", "1", "--no-trial"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    until("a row", || {
        let rows = server().sql(&database, "select count(*) from written");
        (rows[0][0] != "0").then_some(())
    });
    // One connection, and a lock before it for most of a second.
    let stalled = "begin; lock table written; select pg_sleep(0.8); commit";
    blocker.query(stalled).expect("a stall");
    let (_, value, _) = told(&run.wait_with_output().expect("it ends"));
    let latency = number(&value, "/all/latency/p90_us");
    let service = number(&value, "/all/service/p90_us");
    // A closed loop would have seen one slow request; of those due, more than a tenth were slow.
    assert!(
        latency > 300_000 && service < 100_000,
        "{latency} {service}"
    );
    assert!(number(&value, "/all/wait/p90_us") > 300_000);
}

#[test]
fn what_cannot_run_as_written_is_known_before_the_load() {
    if skipped() {
        return;
    }
    let database = database("rehearse_cannot");
    let (_dir, scenario) = files(SCENARIO);
    let url = server().target(&database, "app").url();
    // There is no table.
    let (code, _, text) = told(&rehearse(&[&scenario, "--on", &url]));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("class write: write.sql:3: 42P01 undefined_table: relation \"written\""),
        "{text}"
    );
    // Nobody listens; fewer connections than are asked for; a password is never told.
    let nobody = format!(
        "postgres://app:hunter2@127.0.0.1:{}/app",
        sandbox::free_port()
    );
    let (code, _, text) = told(&rehearse(&[&scenario, "--on", &nobody]));
    assert_eq!(code, 2);
    assert!(
        text.contains("no connection could be opened") && !text.contains("hunter2"),
        "{text}"
    );
    server().sql(
        "postgres",
        &format!("alter database {database} connection limit 3"),
    );
    let few = server().target(&database, "nobody_special").url();
    let (code, _, text) = told(&rehearse(&[
        &scenario,
        "--on",
        &few,
        "--no-trial",
        "-c",
        "10",
    ]));
    assert_eq!(code, 2);
    assert!(
        text.contains("of 10 connections could be opened: 53300"),
        "{text}"
    );
    // The scenario itself: every mistake, with the file's name.
    let (_dir, wrong) = files(&SCENARIO.replace("write.sql", "none.sql").replace("5s", "5"));
    let (code, _, text) = told(&rehearse(&[&wrong, "--on", &url]));
    assert_eq!(code, 2);
    assert!(
        text.contains("a.toml") && text.contains("none.sql"),
        "{text}"
    );
    assert!(text.contains("no time with a unit"), "{text}");
    let (code, value, text) = told(&rehearse(&[&scenario]));
    assert_eq!((code, &value["outcome"]), (2, &"could_not".into()));
    assert!(text.contains("--on postgres://"), "{text}");
    // What nearly is a URL may hold a password; a search needs time; a file may have no end.
    for odd in [
        "postgres:/app:hunter2@h/app",
        "host=h password=hunter2",
        "app:hunter2@h",
    ] {
        let (code, value, text) = told(&rehearse(&[&scenario, "--on", odd]));
        assert!(
            code == 2 && !format!("{value}{text}").contains("hunter2"),
            "{odd}: {text}"
        );
    }
    let (code, _, text) = told(&rehearse(&[
        &scenario,
        "--on",
        &few,
        "--no-trial",
        "--find-limit",
        "--for",
        "1s",
    ]));
    assert!(code == 2 && text.contains("at least 3 s"), "{text}");
    let (code, _, text) = told(&rehearse(&["/dev/zero", "--on", &url]));
    assert!(code == 2 && text.contains("more than"), "{text}");
}

#[test]
fn connections_that_end_are_counted_and_opened_anew() {
    if skipped() {
        return;
    }
    let database = with_table("rehearse_dies");
    let (_dir, scenario) = files(SCENARIO);
    let url = server().target(&database, "app").url();
    let run = command(&[&scenario, "--on", &url, "--threshold", "errors < 50%"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    until("some rows", || {
        let rows = server().sql(&database, "select count(*) > 5 from written");
        (rows[0][0] == "t").then_some(())
    });
    let end = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
    );
    server().sql("postgres", &end);
    let (_, value, _) = told(&run.wait_with_output().expect("it ends"));
    let due = number(&value, "/all/requests");
    let answered = number(&value, "/all/answered");
    assert_eq!(due, answered + number(&value, "/all/failed"), "{value}");
    assert_eq!(number(&value, "/connections/lost"), 4, "{value}");
    assert_eq!(number(&value, "/connections/opened"), 8, "{value}");
    // Those that were told say so, and the rest was answered.
    let failed = value.to_string();
    let told = failed.contains("57P01 admin_shutdown");
    assert!(due == answered || told, "{failed}");
    assert!(answered * 10 > due * 8, "{value}");
}

#[test]
fn a_server_that_goes_away_is_no_measurement() {
    // A server of its own, and the seconds until a run gives up.
    if skipped() {
        return;
    }
    if !full() {
        return skip("a server that goes away", "only with E2E_FULL");
    }
    let mut server = Server::start();
    let (_dir, scenario) = files(
        &SCENARIO
            .replace("for = \"1s\" }]", "for = \"60s\" }]")
            .replace("\"10s\"", "\"1s\"")
            .replace("script = \"write.sql\"", "sql = \"select 2\""),
    );
    let url = server.target("app", "app").url();
    let run = command(&[&scenario, "--on", &url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    until("it is connected", || {
        (server.connections("app") >= 4).then_some(())
    });
    server.stop("INT");
    let (code, value, _) = told(&run.wait_with_output().expect("it ends by itself"));
    assert_eq!(
        (code, &value["outcome"]),
        (2, &"could_not".into()),
        "{value}"
    );
    let reason = value["reason"].to_string();
    assert!(reason.contains("no connection"), "{reason}");
}

#[test]
fn a_generator_that_was_held_up_measured_nothing() {
    if skipped() {
        return;
    }
    let database = with_table("rehearse_stopped");
    let (_dir, scenario) = files(SCENARIO);
    let url = server().target(&database, "app").url();
    let run = command(&[&scenario, "--on", &url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    // Stopped for a part of the run, as by a machine without a CPU to spare.
    until("some rows", || {
        let rows = server().sql(&database, "select count(*) > 5 from written");
        (rows[0][0] == "t").then_some(())
    });
    sandbox::signal(run.id(), "STOP");
    server().sql("app", "select pg_sleep(0.5)");
    sandbox::signal(run.id(), "CONT");
    let (code, value, _) = told(&run.wait_with_output().expect("it ends"));
    assert_eq!((code, &value["outcome"]), (3, &"invalid".into()), "{value}");
    assert!(value["reason"].to_string().contains("lagged"), "{value}");
    assert_eq!(value["result"], Value::Null, "no figures are results");
}

#[test]
fn a_person_ends_it_and_loses_nothing() {
    if skipped() {
        return;
    }
    let database = database("rehearse_ended");
    let long = SCENARIO.replace("for = \"1s\" }]", "for = \"60s\" }]");
    let (dir, scenario) = files(&long.replace("script = \"write.sql\"", "sql = \"select 2\""));
    let page = dir.path().join("last.json").display().to_string();
    let url = server().target(&database, "app").url();
    let run = command(&[&scenario, "--on", &url, "--report", &page])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    until("it runs", || {
        (server().connections(&database) >= 4).then_some(())
    });
    sandbox::signal(run.id(), "INT");
    let (code, value, _) = told(&run.wait_with_output().expect("it ends"));
    assert_eq!(value["ended"], "interrupted", "{value}");
    assert!(matches!(code, 2 | 3), "{code}");
    let written = std::fs::read(Path::new(&page)).expect("a report");
    let written: Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(written, value);
}

#[test]
fn it_logs_in_as_drivers_do() {
    if skipped() {
        return;
    }
    let (_dir, scenario) = files(
        "[load]\nphases = [{ rate = \"50/s\", for = \"1s\" }]\nconnections = 3\n\
         [[class]]\nname = \"rows\"\nsql = \"select repeat('x', 100000) from generate_series(1, 20)\"\n",
    );
    let port = server().port();
    let socket = server().dir().display();
    for url in [
        format!("postgres://scram_user@127.0.0.1:{port}/app?sslmode=disable"),
        format!("postgres://md5_user@127.0.0.1:{port}/app"),
        format!("postgres://tls_only@127.0.0.1:{port}/app?sslmode=require"),
        format!("postgres://app@/app?host={socket}&port={port}"),
    ] {
        let mut command = command(&[&scenario, "--on", &url]);
        let output = command.env("PGPASSWORD", PASSWORD).output();
        let (code, value, text) = told(&output.expect("it runs"));
        assert!(matches!(code, 0 | 3), "{url}: {text}");
        // Two megabytes each, over TLS too.
        let due = number(&value, "/all/requests");
        assert!(
            due > 20 && due == number(&value, "/all/answered"),
            "{url}: {value}"
        );
    }
}
