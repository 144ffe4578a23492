//! `plimsoll capture --statements`: who may, what is in the file, and that a replay of it
//! does what the clients did.

use crate::common::{database, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, signal, until};
use plimsoll_e2e::server::{PASSWORD, program};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A value that clients send.
const MARKER: &str = "marker90125577";
const VIEWER: &str = "a viewer's token of the tests";
const ADMIN: &str = "an admin's token of the tests";

fn skipped() -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip("statements", "PgBouncer has none");
    }
    pgbouncer
}

/// Sections that let the API's roles in, and perhaps captures.
fn sections(dir: &Dir, api: u16, allow: bool) -> String {
    let at = dir.path().display();
    let allowed = if allow { "allow" } else { "off" };
    format!(
        "[capture]\nstatements = \"{allowed}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n\
         [api.tokens]\nviewer_file = \"{at}/viewer\"\nadmin_file = \"{at}/admin\"\n"
    )
}

/// A pooler with passwords, and its API on TCP.
fn start(dir: &Dir, allow: bool) -> (Pooler, u16) {
    for (name, token) in [("viewer", VIEWER), ("admin", ADMIN)] {
        dir.write(name, token, RunAs::myself(), 0o644);
    }
    let api = free_port();
    let settings = Settings::for_server(server())
        .native(server())
        .own("auth_type", "scram-sha-256")
        .set("default_pool_size", "10")
        .sections(&sections(dir, api, allow));
    (Pooler::start(settings), api)
}

fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::find().path);
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("PLIMSOLL_TOKEN");
    command
}

fn ran(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn login(pooler: &Pooler, database: &str) -> Client {
    let target = pooler.target(database, "app").password(PASSWORD);
    Client::login(&target).expect("login")
}

fn console(pooler: &Pooler) -> Client {
    let target = pooler.target("pgbouncer", "admin").password(PASSWORD);
    Client::login(&target).expect("login")
}

/// A capture that runs.
fn begin(pooler: &Pooler, file: &Path) -> Child {
    let (socket, file) = (pooler.dir().display().to_string(), file.display());
    let child = plimsoll(&[
        "capture",
        "--statements",
        "--for",
        "10m",
        "--socket",
        &socket,
    ])
    .args(["--output", &file.to_string()])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("it runs");
    until("a capture that is told", || {
        let log = pooler.log();
        log.contains("statements are captured with every value")
            .then_some(())
    });
    child
}

/// Its exit code, and what it said.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn metric(pooler: &Pooler) -> String {
    let (_, page) = crate::http::get(pooler, "/metrics");
    let line = page
        .lines()
        .find(|l| l.starts_with("plimsoll_statement_capture "));
    line.unwrap_or_default().to_owned()
}

#[test]
fn nobody_captures_statements_unless_the_settings_and_the_role_allow_it() {
    if skipped() {
        return;
    }
    let dir = Dir::new("statements-off", RunAs::myself());
    let (pooler, api) = start(&dir, false);
    let file = dir.path().join("a.statements");
    let (path, url) = (
        file.display().to_string(),
        format!("http://127.0.0.1:{api}"),
    );
    let socket = pooler.dir().display().to_string();
    let by_token = |role: &str| {
        let token = dir.path().join(role).display().to_string();
        let place = ["--api", &url, "--token-file", &token, "--output", &path];
        ran(plimsoll(&["capture", "--statements"]).args(place))
    };
    let (code, said) = by_token("viewer");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it needs admin"), "{said}");
    let (code, said) = ran(&mut plimsoll(&[
        "capture",
        "--statements",
        "--api",
        &url,
        "-o",
        &path,
    ]));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("needs a token"), "{said}");
    // Who may is told what else is needed.
    let local = ["--socket", &socket, "--output", &path];
    for (code, said) in [
        by_token("admin"),
        ran(plimsoll(&["capture", "--statements"]).args(local)),
    ] {
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("statements = \"allow\"` in [capture]"),
            "{said}"
        );
    }
    // Not in the console either.
    let told = console(&pooler).query("set capture_statements = 'allow'");
    let told = told.expect("an answer");
    assert!(told.iter().any(|message| message.tag == b'E'), "{told:?}");
    let left = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 2, "the tokens, and no file");
    assert!(pooler.log().contains("a capture of statements was refused"));
    let (code, said) = ran(plimsoll(&["capture", "--stop", "--socket", &socket]).args([""; 0]));
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "no capture of statements runs\n")
    );
    let (code, said) = ran(plimsoll(&["capture", "--statements", "--for", "2h"]).args(local));
    assert_eq!(code, Some(2), "{said}");
}

/// A client that is there before the capture: it has prepared and set something.
fn early(pooler: &Pooler, database: &str) -> Client {
    let mut client = login(pooler, database);
    client.query("set search_path = kept").expect("set");
    let insert = "insert into notes values ($1)";
    client
        .send(&message::parse("old", insert, &[]))
        .expect("sent");
    client.send(&message::empty(b'S')).expect("sent");
    client.read_to_ready().expect("prepared");
    client
}

/// What the clients did, in figures.
fn effects(database: &str) -> Vec<Vec<String>> {
    server().sql(
        database,
        "select (select sum(abalance) from pgbench_accounts), (select sum(delta) from pgbench_history),
                (select count(*) from pgbench_history), (select string_agg(note, ',' order by note) from kept.notes),
                (select sum(n) from copied)",
    )
}

/// Statements in every protocol, COPY, an error, and a literal.
fn traffic(pooler: &Pooler, database: &str, early: &mut Client) {
    let url = pooler.target(database, "app").url();
    for protocol in ["simple", "extended", "prepared"] {
        let mut command = Command::new(program("pgbench"));
        command.args(["-n", "-c", "2", "-t", "40", "-M", protocol, &url]);
        let (code, said) = ran(command.env("PGPASSWORD", PASSWORD));
        assert_eq!(code, Some(0), "{said}");
    }
    for n in 0..3 {
        let value = format!("{MARKER}-{n}");
        let bound = message::bind("", "old", &[], &[Some(value.into_bytes())], &[]);
        let batch = [bound, message::execute("", 0), message::empty(b'S')].concat();
        early.send(&batch).expect("sent");
        early.read_to_ready().expect("inserted");
    }
    let mut psql = Command::new(program("psql"));
    psql.args(["-X", "-q", &url, "-c", "select * from nowhere"])
        .args(["-c", "insert into kept.notes values ('late'); select 1"])
        .args(["-c", "\\copy copied from program 'seq 1 100'"]);
    ran(psql.env("PGPASSWORD", PASSWORD));
}

#[test]
fn what_clients_sent_is_captured_and_a_replay_does_the_same() {
    if skipped() {
        return;
    }
    let database = database("statements");
    let url = server().target(&database, "app").url();
    let mut init = Command::new(program("pgbench"));
    let (code, said) = ran(init.args(["-q", "-i", &url]).env("PGPASSWORD", PASSWORD));
    assert_eq!(code, Some(0), "{said}");
    let mut owner = Client::login(&server().target(&database, "app")).expect("login");
    owner
        .query(
            "create schema kept; create table kept.notes (note text); create table copied (n int)",
        )
        .expect("tables");
    owner.terminate();
    until("nobody in the template", || {
        (server().connections(&database) == 0).then_some(())
    });
    server().sql(
        "postgres",
        &format!("create database statements_copy template {database} owner app"),
    );
    let dir = Dir::new("statements", RunAs::myself());
    let (pooler, _) = start(&dir, true);
    let mut there_before = early(&pooler, &database);
    let file = dir.path().join("a.statements");
    let child = begin(&pooler, &file);
    assert_eq!(metric(&pooler), "plimsoll_statement_capture 1");
    let part = dir.path().join("a.statements.part");
    assert_eq!(
        std::fs::metadata(&part).expect("a file").mode() & 0o777,
        0o600
    );
    // One at a time.
    let socket = pooler.dir().display().to_string();
    let other = dir.path().join("b").display().to_string();
    let (code, said) =
        ran(plimsoll(&["capture", "--statements", "--socket", &socket]).args(["-o", &other]));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("another capture of statements runs"),
        "{said}"
    );
    traffic(&pooler, &database, &mut there_before);
    let (code, said) = ran(&mut plimsoll(&["capture", "--stop", "--socket", &socket]));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ended(child);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("a person stopped it") && said.contains("EVERY VALUE"),
        "{said}"
    );
    let metadata = std::fs::metadata(&file).expect("a file");
    assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 1));
    assert!(!part.exists());
    let text = std::fs::read_to_string(&file).expect("a text");
    assert!(text.contains(MARKER) && !text.contains(PASSWORD), "{said}");
    assert!(
        text.contains("\"left_out\":{}"),
        "{}",
        text.lines().last().unwrap_or_default()
    );
    let log = pooler.log();
    for part in [
        "undo=\"plimsoll capture --stop\"",
        "the capture of statements has ended",
        "reason=\"stopped\"",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(metric(&pooler), "plimsoll_statement_capture 0");
    replay(&file, &database);
}

/// Plays the file on the copy, and compares what it did.
fn replay(file: &Path, database: &str) {
    let path = file.display().to_string();
    let (code, said) = ran(&mut plimsoll(&["rehearse", &path]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("name the copy of the database"), "{said}");
    let (code, said) = ran(&mut plimsoll(&["rehearse", &path, "--dry-run"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("UPDATE pgbench_accounts SET abalance"),
        "{said}"
    );
    let url = server().target("statements_copy", "app").url();
    let limited = ["rehearse", &path, "--on", &url, "-c", "1"];
    let (code, said) = ran(plimsoll(&limited).env("PGPASSWORD", PASSWORD));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("sessions were there at a time"), "{said}");
    let whole = [
        "rehearse", &path, "--on", &url, "--scale", "2", "--quiet", "--format", "json",
    ];
    let (_, said) = ran(plimsoll(&whole).env("PGPASSWORD", PASSWORD));
    assert_eq!(effects("statements_copy"), effects(database), "{said}");
    assert!(
        said.contains("42P01") && said.contains("session-set-up"),
        "{said}"
    );
}

#[test]
fn a_reader_that_stands_still_holds_no_query_up_and_costs_whole_sessions() {
    if skipped() {
        return;
    }
    let database = database("statements_slow");
    let dir = Dir::new("statements-slow", RunAs::myself());
    let (mut pooler, api) = start(&dir, true);
    let mut busy = login(&pooler, &database);
    let file = dir.path().join("a.statements");
    let child = begin(&pooler, &file);
    busy.query("select 'before it stands still'")
        .expect("a query");
    signal(child.id(), "STOP");
    let text = "x".repeat(1 << 20);
    let mut longest = Duration::ZERO;
    for _ in 0..60 {
        let begun = Instant::now();
        busy.query(&format!("select length('{text}{MARKER}')"))
            .expect("a query");
        longest = longest.max(begun.elapsed());
    }
    signal(child.id(), "CONT");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    // The queue is empty again; who comes now is there from the begin.
    until("a session that is captured", || {
        login(&pooler, &database)
            .query("select 'afterwards'")
            .expect("a query");
        let part = std::fs::read_to_string(dir.path().join("a.statements.part"));
        part.is_ok_and(|text| text.contains("afterwards"))
            .then_some(())
    });
    // Taken back in the file, it ends.
    pooler.rewrite_sections(&sections(&dir, api, false));
    let _ = console(&pooler).query("reload");
    let (code, said) = ended(child);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("capture.statements is off again"), "{said}");
    assert!(said.contains("Left out: "), "{said}");
    let text = std::fs::read_to_string(&file).expect("a text");
    assert!(text.contains("\"left_out\":{\"overrun\":"), "{said}");
    assert!(text.contains("afterwards"), "{said}");
    assert!(
        !text.contains(MARKER) && !text.contains("before it stands still"),
        "{said}"
    );
    let left = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 3, "two tokens and the file");
}
