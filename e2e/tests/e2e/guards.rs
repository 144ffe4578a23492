//! The guards' switch: the command, the console, the log, the metrics.

use crate::common::server;
use crate::http::get;
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::until;
use std::process::{Command, Output};

fn native(more: &str) -> Option<Pooler> {
    if Binary::find().is_pgbouncer {
        crate::common::skip("guards", "PgBouncer has none");
        return None;
    }
    let settings = Settings::for_server(server())
        .native(server())
        .sections(more);
    Some(Pooler::start(settings))
}

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(Binary::find().path)
        .arg("guards")
        .args(arguments)
        .output()
        .expect("run plimsoll guards")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The mode of the guard that sheds, as metrics tell it.
fn mode_in_metrics(pooler: &Pooler) -> String {
    let (_, text) = get(pooler, "/metrics");
    let line = text
        .lines()
        .find(|l| l.starts_with("plimsoll_guard_mode{guard=\"shed\"") && l.ends_with(" 1"));
    line.unwrap_or_default().to_owned()
}

#[test]
fn one_command_switches_them_to_watching_and_back() {
    let Some(mut pooler) = native("") else { return };
    let file = pooler.settings_path();
    let file = file.to_str().expect("a path");
    let shown = plimsoll(&[file]);
    assert!(shown.status.success(), "{}", said(&shown));
    assert!(
        said(&shown).contains("shed         enforce  enforce"),
        "{}",
        said(&shown)
    );
    assert!(mode_in_metrics(&pooler).contains("\"enforce\""));

    let reason = "the fix of 'ticket 7'";
    let off = plimsoll(&["off", file, "--for", "30m", "--reason", reason]);
    assert!(off.status.success(), "{}", said(&off));
    assert!(
        said(&off).contains("shed         enforce  observe"),
        "{}",
        said(&off)
    );
    assert!(said(&off).contains(reason), "{}", said(&off));
    assert!(mode_in_metrics(&pooler).contains("\"observe\""));
    let log = pooler.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("the guards are off"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in [
        "pgbouncer (plimsoll guards",
        "unix socket",
        "ticket 7",
        "until=",
        "plimsoll guards on",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }

    // A reload in between, and a pool that is made meanwhile, change nothing.
    pooler.rewrite_sections("[guards]\nreclaim = \"off\"\n");
    let mut console = pooler.console();
    console.query("reload").expect("reload");
    let mut client = Client::login(&pooler.target("app", "app")).expect("login");
    client.value("select 1").expect("served");
    let rows = console.rows("show guards").expect("rows");
    assert_eq!(rows[0][..3], ["reclaim", "off", "off"]);
    assert_eq!(rows[1][..3], ["shed", "enforce", "observe"]);

    let on = plimsoll(&[
        "on",
        "--socket",
        pooler.socket_path().to_str().expect("a path"),
    ]);
    assert!(
        said(&on).contains("shed         enforce  enforce"),
        "{}",
        said(&on)
    );
    assert!(pooler.log().contains("the guards are on again"));
}

#[test]
fn the_switch_ends_by_itself() {
    let Some(pooler) = native("") else { return };
    let mut console = pooler.console();
    console
        .query("GUARDS OFF FOR '1s' REASON 'a look'")
        .expect("off");
    until("the end of the switch", || {
        let rows = console.rows("show guards").expect("rows");
        (rows[1][2] == "enforce").then_some(())
    });
    until("a line in the log", || {
        pooler.log().contains("its time is up").then_some(())
    });
}

#[test]
fn what_the_switch_does_not_take_is_said() {
    let Some(pooler) = native("") else { return };
    let mut console = pooler.console();
    for (statement, part) in [
        ("GUARDS OFF FOR '25h' REASON 'x'", "24 hours"),
        ("GUARDS OFF FOR '30m'", "the reason is missing"),
        ("GUARDS OFF FOR '30m' REASON ' '", "a reason is needed"),
    ] {
        let error = console.query(statement).and_then(plimsoll_e2e::raw::rows);
        let error = error.expect_err(statement).to_string();
        assert!(error.contains(part), "{statement}: {error}");
    }
    let wrong = plimsoll(&["--socket", "/nonexistent/socket"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).contains("no console answers"),
        "{}",
        said(&wrong)
    );
    // By TCP the owner of the process is nobody special.
    let port = pooler.port().to_string();
    let tcp = plimsoll(&["--host", "127.0.0.1", "--port", &port]);
    assert_eq!(tcp.status.code(), Some(1), "{}", said(&tcp));
    let admin = plimsoll(&[
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--user",
        "admin",
        "--format",
        "json",
    ]);
    assert!(
        said(&admin).starts_with("{\"guards\":[{\"guard\":\"reclaim\""),
        "{}",
        said(&admin)
    );
    let reader = plimsoll(&[
        "off",
        "--for",
        "1m",
        "--reason",
        "x",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--user",
        "stats",
    ]);
    assert_eq!(reader.status.code(), Some(1), "{}", said(&reader));
}

#[test]
fn an_imported_file_only_watches() {
    if Binary::find().is_pgbouncer {
        return;
    }
    let pooler = Pooler::start(Settings::for_server(server()));
    for row in pooler.console().rows("show guards").expect("rows") {
        assert_eq!(row[1..3], ["observe", "observe"], "{row:?}");
    }
}

/// The file of somebody who tries it: transaction pools of three connections.
fn trial() -> Settings {
    Settings::for_server(server())
        .set("pool_mode", "transaction")
        .set("default_pool_size", "3")
}

#[test]
fn a_trial_refuses_nobody_for_session_state_and_says_who_asked() {
    if Binary::find().is_pgbouncer {
        return;
    }
    let pooler = Pooler::start(trial());
    let mut clients: Vec<Client> = (0..6)
        .map(|_| Client::login(&pooler.target("app", "app")).expect("login"))
        .collect();
    for client in &mut clients {
        client.query("listen news").expect("as PgBouncer takes it");
    }
    // Nobody is starved: one connection is kept, the others serve on.
    for client in &mut clients {
        client.value("select 1").expect("served");
    }
    let mut console = pooler.console();
    let row = |rows: Vec<Vec<String>>, guard: &str| {
        let row = rows.into_iter().find(|row| row[0] == guard);
        row.unwrap_or_else(|| panic!("no row of {guard}"))
    };
    let guard = row(console.rows("show guards").expect("rows"), "pin");
    assert_eq!(guard[1..5], ["observe", "observe", "0", "5"]);
    let pins = console.rows("show pins").expect("rows");
    assert_eq!(pins.len(), 1, "{pins:?}");
    assert_eq!(pins[0][..2], ["app", "app"]);
    assert_eq!(pins[0][3..], ["listen", "1", "5", "0"]);
    let (_, text) = get(&pooler, "/metrics");
    let counted = text.lines().find(|l| {
        l.starts_with("plimsoll_application_pins_total")
            && l.contains("result=\"unkept\"")
            && l.contains("state=\"listen\"")
    });
    assert!(counted.is_some_and(|l| l.ends_with(" 5")), "{counted:?}");
    assert!(
        text.contains("plimsoll_guard_actions_total{guard=\"pin\",result=\"would\"} 5"),
        "{text}"
    );
}

#[test]
fn the_guard_over_pins_refuses_and_the_switch_stops_it() {
    if Binary::find().is_pgbouncer {
        return;
    }
    let pooler = Pooler::start(trial().own("guard_pin", "enforce"));
    let mut first = Client::login(&pooler.target("app", "app")).expect("login");
    let mut second = Client::login(&pooler.target("app", "app")).expect("login");
    first.query("listen news").expect("within the share");
    let refused = second
        .query("listen news")
        .and_then(plimsoll_e2e::raw::rows)
        .expect_err("beyond the share");
    assert!(refused.to_string().contains("LISTEN"), "{refused}");
    second.value("select 1").expect("the session goes on");
    pooler
        .console()
        .query("GUARDS OFF FOR '1min' REASON 'a look'")
        .expect("off");
    let listened = second.query("listen news").expect("sent");
    plimsoll_e2e::raw::rows(listened).expect("the guard only watches");
}
