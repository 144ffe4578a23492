//! PgBouncer's words in the log, where Plimsoll reads a pgbouncer.ini: the same test can be run of PgBouncer.
//!
//! `PLIMSOLL_E2E_POOLER=/usr/sbin/pgbouncer cargo test … log_style`

use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::PASSWORD;
use std::process::Command;

/// Logins by md5 to `app`, which leads to a database of this test; every kind of line is asked for.
fn pooler(name: &str) -> Pooler {
    let line = format!(
        "app = host=127.0.0.1 port={} dbname={} user=app",
        server().port(),
        database(name)
    );
    let settings = |settings: Settings| {
        settings
            .databases(&[&line])
            .set("auth_type", "md5")
            .set("log_connections", "1")
            .set("log_disconnections", "1")
    };
    pooler_with(settings)
}

fn login(pooler: &Pooler) -> Client {
    let target = pooler.target("app", "app").password(PASSWORD);
    Client::login(&target).unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()))
}

fn console(pooler: &Pooler) -> Client {
    let target = pooler.target("pgbouncer", "admin").password(PASSWORD);
    Client::login(&target).expect("the console")
}

/// Level and message of a line without what differs between two runs: pointers, ports and ages.
fn told(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(" [")?;
    let well_timed = time.len() >= "2026-11-23 03:42:49.123 UTC".len() && time.starts_with("20");
    assert!(well_timed, "the time: {line}");
    let (pid, rest) = rest.split_once("] ")?;
    assert!(
        pid.bytes().all(|b| b.is_ascii_digit()),
        "the process: {line}"
    );
    let words = rest.split(' ').map(|word| {
        let whose = word.strip_suffix(':').and_then(|w| w.split_once("-0x"));
        if let Some((kind @ ("C" | "S"), id)) = whose {
            assert!(id.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
            return format!("{kind}:");
        }
        match (word.split_once("127.0.0.1:"), word.starts_with("(age=")) {
            (Some((before, after)), _) => {
                let end = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}HOST{end}")
            }
            (None, true) => "(age)".to_owned(),
            (None, false) => word.to_owned(),
        }
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

fn lines(pooler: &Pooler) -> Vec<String> {
    pooler.log().lines().filter_map(told).collect()
}

/// Waits for a line that begins so.
fn wait_for(pooler: &Pooler, beginning: &str) {
    until(beginning, || {
        let found = lines(pooler).iter().any(|line| line.starts_with(beginning));
        found.then_some(())
    });
}

/// What everybody's log has, what is done, and the beginnings of lines that follow.
#[test]
fn lines_are_pgbouncers() {
    let mut pooler = pooler("log_style_lines");
    let mut client = login(&pooler);
    client.query("select 1").expect("served");
    client.terminate();
    for line in [
        "LOG listening on HOST",
        "LOG process up: PgBouncer 1.",
        "LOG C: app/app@HOST login attempt: db=app user=app tls=no",
        "LOG S: app/app@HOST new connection to server (from HOST)",
        "LOG C: app/app@HOST closing because: client close request (age)",
    ] {
        wait_for(&pooler, line);
    }

    let wrong = pooler.target("app", "app").password("wrong");
    assert!(Client::login(&wrong).is_err());
    let line = "LOG C: app/app@HOST closing because: password authentication failed (age)";
    wait_for(&pooler, line);
    wait_for(
        &pooler,
        "WARNING C: app/app@HOST pooler error: password authentication failed",
    );
    let unknown = pooler.target("nowhere", "app").password(PASSWORD);
    assert!(Client::login(&unknown).is_err());
    until("the unknown database", || {
        let end = "/app@HOST closing because: no such database: nowhere (age)";
        lines(&pooler)
            .iter()
            .any(|l| l.ends_with(end))
            .then_some(())
    });

    // As one that was killed: its socket ends without a word.
    drop(login(&pooler));
    wait_for(
        &pooler,
        "LOG C: app/app@HOST closing because: client unexpected eof (age)",
    );

    let mut client = login(&pooler);
    let pid = client.value("select pg_backend_pid()").expect("served");
    server().sql("postgres", &format!("select pg_terminate_backend({pid})"));
    wait_for(
        &pooler,
        "LOG S: app/app@HOST closing because: server conn crashed? (age)",
    );

    let mut console = console(&pooler);
    for (sql, line) in [
        ("reload", "LOG RELOAD command issued"),
        ("pause app", "LOG PAUSE 'app' command issued"),
        ("resume app", "LOG RESUME 'app' command issued"),
        ("pause", "LOG PAUSE command issued"),
        ("resume", "LOG RESUME command issued"),
    ] {
        console.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        wait_for(&pooler, line);
    }
    client.value("select 1").expect("a new connection");
    console.query("reconnect app").expect("an answer");
    let line = "LOG S: app/app@HOST closing because: database configuration changed (age)";
    wait_for(&pooler, line);
    pooler.signal("HUP");
    wait_for(&pooler, "LOG got SIGHUP, re-reading config");
    pooler.signal("USR1");
    wait_for(&pooler, "LOG got SIGUSR1, pausing all activity");
    pooler.signal("USR2");
    wait_for(&pooler, "LOG got SIGUSR2, continuing from PAUSE");
}

#[test]
fn a_server_that_refuses_and_one_that_is_away() {
    let gone = plimsoll_e2e::sandbox::free_port();
    let lines = [
        format!("missing = host=127.0.0.1 port={}", server().port()),
        format!("away = host=127.0.0.1 port={gone}"),
    ];
    let pooler = pooler_with(|settings| {
        settings
            .databases(&[&lines[0], &lines[1]])
            .set("log_connections", "1")
            .set("log_disconnections", "1")
            .set("query_wait_timeout", "5")
    });
    let missing = pooler.target("missing", "app");
    assert!(Client::login(&missing).is_err());
    let text = "database \"missing\" does not exist";
    wait_for(
        &pooler,
        &format!("WARNING server login failed: FATAL {text}"),
    );
    // Older ones say so of the client alone.
    let closed = match pooler.is_pgbouncer() {
        true => format!("LOG C: missing/app@HOST closing because: {text} (age)"),
        false => format!("LOG S: missing/app@HOST closing because: {text} (age)"),
    };
    wait_for(&pooler, &closed);
    assert!(Client::login(&pooler.target("away", "app")).is_err());
    wait_for(
        &pooler,
        "LOG S: away/app@HOST closing because: connect failed (age)",
    );
    if !pooler.is_pgbouncer() {
        // What its lines do not say stands beside them.
        wait_for(
            &pooler,
            "LOG cannot open a server connection server=HOST database=away user=app",
        );
        assert!(
            pooler.log().contains("Connection refused"),
            "{}",
            pooler.log()
        );
    }
}

#[test]
fn no_name_makes_a_line_and_no_secret_is_in_one() {
    let pooler = pooler("log_style_names");
    if pooler.is_pgbouncer() {
        return; // It writes names as they came, with their line ends.
    }
    let name = "x\n2026-11-23 03:42:49.123 UTC [1] FATAL forged\r\u{1b}[2J";
    let target = pooler.target("app", name).password("s3cr3t word");
    assert!(Client::login(&target).is_err());
    let long = "n".repeat(4000);
    let _ = Client::login(&pooler.target("app", &long).password("s3cr3t word"));
    login(&pooler).terminate();
    wait_for(
        &pooler,
        "LOG C: app/app@HOST closing because: client close request",
    );
    let log = pooler.log();
    assert!(
        !log.contains("s3cr3t word") && !log.contains(PASSWORD),
        "{log}"
    );
    assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log}");
    assert!(
        log.lines()
            .all(|l| !l.contains("] FATAL forged") || l.contains("\\n2026")),
        "{log}"
    );
    assert!(log.contains("no such user: x\\n2026-11-23"), "{log}");
    assert!(log.lines().all(|l| l.len() < 1000), "{log}");
}

#[test]
fn our_own_style_can_be_had() {
    if Binary::find().is_pgbouncer {
        return;
    }
    let pooler = pooler_with(|settings| {
        settings
            .own("log_style", "plimsoll")
            .set("log_connections", "1")
            .set("log_disconnections", "1")
    });
    Client::login(&pooler.target("app", "app"))
        .expect("login")
        .terminate();
    until("the line", || {
        pooler.log().contains("client_terminate").then_some(())
    });
    let log = pooler.log();
    let line = log
        .lines()
        .find(|l| l.contains("client closed") && l.contains("database=app"))
        .expect("the line");
    for part in [
        " INFO ",
        "addr=127.0.0.1:",
        "age_s=0",
        "reason=\"client_terminate\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!log.contains("login attempt"), "{log}");
}

/// What pgbadger makes of a log.
fn counted(pooler: &Pooler, log: &str) -> serde_json::Value {
    let (from, to) = (
        pooler.dir().join("read.log"),
        pooler.dir().join("read.json"),
    );
    std::fs::write(&from, log).expect("written");
    // Its third format is that of PgBouncer from 1.8 on.
    let run = Command::new("pgbadger")
        .args(["--quiet", "-f", "pgbouncer3", "-x", "json", "-o"])
        .args([&to, &from])
        .output()
        .expect("it runs");
    assert!(run.status.success(), "{run:?}");
    let report = std::fs::read_to_string(&to).expect("a report");
    serde_json::from_str(&report).expect("JSON")
}

/// A reader of PgBouncer's logs counts the same, whoever wrote them.
#[test]
fn pgbadger_counts_what_happened() {
    if Command::new("pgbadger").arg("--version").output().is_err() {
        return skip("pgbadger", "it is not installed");
    }
    let pooler = pooler("log_style_pgbadger");
    for _ in 0..7 {
        let mut client = login(&pooler);
        client.query("select 1").expect("served");
        client.terminate();
    }
    let wrong = pooler.target("app", "app").password("wrong");
    for _ in 0..3 {
        assert!(Client::login(&wrong).is_err());
    }
    drop(login(&pooler));
    until("all lines", || {
        let ends = pooler.log().matches("app/app@127.0.0.1").count() > 11 + 11 + 3;
        ends.then_some(())
    });
    let log = pooler.log();
    let report = counted(&pooler, &log);
    let connections = &report["pgb_connection_info"];
    assert_eq!(connections["count"], 11, "{connections:#}\n{log}");
    for (by, name) in [("user", "app"), ("database", "app"), ("host", "127.0.0.1")] {
        assert_eq!(connections[by][name], 11, "{connections:#}");
    }
    let errors = &report["pgb_error_info"];
    let refused = &errors["WARNING:  pooler error: password authentication failed"];
    assert_eq!(refused["count"], 3, "{errors:#}");
    assert_eq!(refused["user"][0], "app", "{errors:#}");
    // It looks for an age without its unit, which PgBouncer writes since 1.9: nobody's sessions are counted.
    assert_eq!(report["pgb_session_info"]["count"], 0);
    let older = counted(&pooler, &log.replace("(age=0s)", "(age=0)"));
    let sessions = &older["pgb_session_info"];
    assert_eq!(sessions["database"]["app"]["count"], 11, "{sessions:#}");
}
