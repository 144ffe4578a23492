//! The console's commands: what they hold back, what they wait for, how they end the process.

mod ending;
mod suspending;
mod tables;

use crate::common::{database, pooler_with, server};
use plimsoll_e2e::pooler::{Binary, Pooler};
use plimsoll_e2e::raw::{Client, Target, cancel, message};
use plimsoll_e2e::sandbox::until;
use std::time::Duration;

/// So long nothing must come where something is held back.
const QUIET: Duration = Duration::from_millis(300);

fn client(pooler: &Pooler, database: &str) -> Client {
    Client::login(&pooler.target(database, "app")).expect("login")
}

/// Logs in and asks for one number, all in one, so that it may be held back anywhere.
fn knock(target: &Target) -> Client {
    let mut client = Client::connect(target).expect("connects");
    let mut bytes = message::startup(target.version, &target.parameters);
    bytes.extend(message::query("select 42"));
    client.send(&bytes).expect("sends");
    client
}

/// Whether no row comes for a while.
fn is_held(client: &mut Client) -> bool {
    while let Some(message) = client.read_within(QUIET).expect("no end") {
        assert_ne!(message.tag, b'E', "{}", message.fields());
        if message.tag == b'D' {
            return false;
        }
    }
    true
}

fn is_served(client: &mut Client) {
    loop {
        let message = client.read().expect("a row");
        assert_ne!(message.tag, b'E', "{}", message.fields());
        if message.tag == b'D' {
            assert_eq!(message.columns()[0], "42");
            return;
        }
    }
}

/// The tag of a command that succeeds.
fn tag(console: &mut Client, sql: &str) -> String {
    let messages = console.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    done(&messages).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

fn done(messages: &[message::Backend]) -> Result<String, String> {
    for message in messages {
        match message.tag {
            b'C' => {
                let text = String::from_utf8_lossy(&message.body);
                return Ok(text.trim_end_matches('\0').to_owned());
            }
            b'E' => {
                let fields = message.fields();
                return Err(format!("{} {}", fields.code(), fields.message()));
            }
            _ => {}
        }
    }
    Err("no end".into())
}

fn is_paused(console: &mut Client, name: &str) -> bool {
    let rows = console.rows("show databases").expect("databases");
    let row = rows.iter().find(|row| row[0] == name);
    row.is_some_and(|row| row[row.len() - 2] == "1")
}

fn state(console: &mut Client) -> Vec<String> {
    let rows = console.rows("show state").expect("state");
    rows.into_iter().map(|row| row[1].clone()).collect()
}

#[test]
fn a_pause_of_all_holds_for_who_comes_later() {
    let name = database("pause_all");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    assert_eq!(tag(&mut console, "pause;"), "PAUSE");
    let mut later = knock(&pooler.target(&name, "app"));
    let mut another = knock(&pooler.target("postgres", "nobody_special"));
    assert!(is_held(&mut later) && is_held(&mut another));
    assert_eq!(server().connections(&name), 0);
    if !pooler.is_pgbouncer() {
        assert_eq!(state(&mut console), ["no", "yes", "no"]);
        assert!(is_paused(&mut console, &name));
    }
    assert_eq!(tag(&mut console, "RESUME"), "RESUME");
    is_served(&mut later);
    is_served(&mut another);
    if !pooler.is_pgbouncer() {
        assert_eq!(state(&mut console), ["yes", "no", "no"]);
        assert!(!is_paused(&mut console, &name));
    }
}

#[test]
fn a_pause_by_name_holds_for_one_that_nobody_used() {
    let name = database("pause_one");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    // Only the any-database serves it, and a quoted name is the same name.
    assert_eq!(tag(&mut console, "pause \"pause_one\""), "PAUSE");
    let mut held = knock(&pooler.target(&name, "app"));
    is_served(&mut knock(&pooler.target("postgres", "app")));
    assert!(is_held(&mut held));
    assert!(is_paused(&mut console, &name) && !is_paused(&mut console, "postgres"));
    // All and one are two: each needs its own RESUME.
    assert_eq!(tag(&mut console, "pause"), "PAUSE");
    assert_eq!(tag(&mut console, "resume"), "RESUME");
    assert!(is_held(&mut held));
    assert_eq!(tag(&mut console, "resume pause_one"), "RESUME");
    is_served(&mut held);
}

#[test]
fn usr1_and_usr2_are_pause_and_resume() {
    let name = database("pause_usr");
    let mut pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let mut early = client(&pooler, &name);
    assert_eq!(early.value("select 1").expect("served"), "1");
    pooler.signal("USR1");
    until("the pause to close what is idle", || {
        (server().connections(&name) == 0).then_some(())
    });
    let mut later = knock(&pooler.target(&name, "app"));
    assert!(is_held(&mut later));
    let again = done(&console.query("pause").expect("an answer"));
    assert!(again.is_err_and(|e| e.ends_with("already suspended/paused")));
    pooler.signal("USR2");
    is_served(&mut later);
}

#[test]
fn pause_waits_for_the_last_transaction_and_for_nobody_else() {
    let name = database("pause_waits");
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        // Up to 1.18 it answers at once.
        return;
    }
    let (mut console, mut other) = (pooler.console(), pooler.console());
    let mut busy = client(&pooler, &name);
    busy.query("begin").expect("begin");
    console.send(&message::query("pause")).expect("send");
    assert!(console.read_within(QUIET).expect("no end").is_none());
    assert!(other.rows("show pools").is_ok(), "others are answered");
    let by_name = format!("pause {name}");
    other.send(&message::query(&by_name)).expect("send");
    assert!(other.read_within(QUIET).expect("no end").is_none());
    assert_eq!(busy.value("select 7").expect("goes on"), "7");
    busy.query("commit").expect("commit");
    for console in [&mut console, &mut other] {
        let answer = console.read_to_ready().expect("an answer");
        assert_eq!(done(&answer).as_deref(), Ok("PAUSE"));
    }
    server().wait_for_connections(&name, 0);
    busy.send(&message::query("select 42")).expect("send");
    assert!(is_held(&mut busy));
    tag(&mut console, "resume");
    tag(&mut console, &format!("resume {name}"));
    is_served(&mut busy);
}

/// Nothing is connected in a pause of all, so that the server can be stopped or a template copied.
#[test]
fn a_pause_of_all_ends_the_monitor_session() {
    let name = database("pause_monitor");
    if Binary::find().is_pgbouncer {
        return;
    }
    let pooler = pooler_with(|settings| settings.own("monitor_user", "app"));
    let mut console = pooler.console();
    let mut early = client(&pooler, &name);
    assert_eq!(early.value("select 1").expect("served"), "1");
    let both = |least: usize| {
        until("the monitor session", || {
            (server().connections(&name) >= least).then_some(())
        });
    };
    both(2);
    assert_eq!(tag(&mut console, "pause"), "PAUSE");
    server().wait_for_connections(&name, 0);
    assert_eq!(tag(&mut console, "resume"), "RESUME");
    assert_eq!(early.value("select 1").expect("served"), "1");
    both(2);
}

#[test]
fn a_pause_under_way_ends_with_resume_with_a_cancel_or_with_its_console() {
    let name = database("pause_ends");
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    let mut busy = client(&pooler, &name);
    busy.query("begin").expect("begin");
    let waits = || {
        let mut console = pooler.console();
        console.send(&message::query("pause")).expect("send");
        assert!(console.read_within(QUIET).expect("no end").is_none());
        console
    };
    let mut first = waits();
    assert_eq!(tag(&mut console, "resume"), "RESUME");
    let answer = done(&first.read_to_ready().expect("an answer"));
    assert!(answer.is_err_and(|e| e.starts_with("08P01 PAUSE was ended by RESUME")));

    let mut second = waits();
    let target = pooler.target("pgbouncer", "admin");
    cancel(&target, &second.cancel_request()).expect("cancels");
    let answer = done(&second.read_to_ready().expect("an answer"));
    assert!(answer.is_err_and(|e| e.ends_with("user request: resumed")));
    assert_eq!(state(&mut console), ["yes", "no", "no"]);

    // Who leaves does not wait any more, and what it asked for holds.
    drop(waits());
    assert_eq!(state(&mut console), ["no", "yes", "no"]);
    busy.query("commit").expect("commit");
    assert_eq!(tag(&mut console, "resume"), "RESUME");
}

#[test]
fn wait_close_waits_for_what_reconnect_marked() {
    let name = database("wait_close");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    assert_eq!(tag(&mut console, "wait_close"), "WAIT_CLOSE");
    let mut busy = client(&pooler, &name);
    busy.query("begin").expect("begin");
    let before = busy.value("select pg_backend_pid()").expect("its process");
    // What serves goes on serving, and is not waited for.
    assert_eq!(tag(&mut console, "wait_close wait_close"), "WAIT_CLOSE");
    assert_eq!(tag(&mut console, "reconnect wait_close"), "RECONNECT");
    console
        .send(&message::query("wait_close wait_close"))
        .expect("send");
    assert!(console.read_within(QUIET).expect("no end").is_none());
    busy.query("commit").expect("commit");
    let answer = console.read_to_ready().expect("an answer");
    assert_eq!(done(&answer).as_deref(), Ok("WAIT_CLOSE"));
    let after = busy.value("select pg_backend_pid()").expect("its process");
    assert_ne!(before, after);
}

#[test]
fn kill_closes_and_holds_until_resume() {
    let name = database("kill_one");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let mut busy = client(&pooler, &name);
    busy.query("begin").expect("begin");
    let mut spared = client(&pooler, "postgres");
    assert_eq!(tag(&mut console, "kill kill_one"), "KILL");
    let farewell = busy.read_to_end().expect("it is told");
    assert_eq!(farewell.first().map(|m| m.tag), Some(b'E'));
    server().wait_for_connections(&name, 0);
    assert_eq!(spared.value("select 1").expect("served"), "1");
    let mut later = knock(&pooler.target(&name, "nobody_special"));
    assert!(is_held(&mut later));
    assert_eq!(tag(&mut console, "resume kill_one"), "RESUME");
    is_served(&mut later);
    if pooler.is_pgbouncer() {
        return; // Older ones need a name.
    }
    assert_eq!(tag(&mut console, "kill"), "KILL");
    assert!(spared.read_to_end().is_ok());
    let mut later = knock(&pooler.target("postgres", "app"));
    assert!(is_held(&mut later));
    assert_eq!(tag(&mut console, "resume"), "RESUME");
    is_served(&mut later);
}

#[test]
fn kill_client_closes_one() {
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    let named = |name: &str| {
        pooler
            .target("postgres", "app")
            .parameter("application_name", name)
    };
    let mut one = Client::login(&named("kill_me")).expect("login");
    let mut two = Client::login(&named("spare_me")).expect("login");
    let clients = console.rows("show clients").expect("clients");
    let row = clients
        .iter()
        .find(|row| row.iter().any(|c| c == "kill_me"));
    let id = row.and_then(|row| row.last()).expect("an id").clone();
    assert_eq!(
        tag(&mut console, &format!("kill_client {id}")),
        "KILL_CLIENT"
    );
    assert!(one.read_to_end().is_ok());
    assert_eq!(two.value("select 1").expect("served"), "1");
    let again = done(
        &console
            .query(&format!("kill_client {id}"))
            .expect("an answer"),
    );
    assert_eq!(again, Err("08P01 client not found".into()));
}

#[test]
fn disable_refuses_who_comes_and_enable_lets_in() {
    let name = database("disabled_db");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let mut early = client(&pooler, &name);
    assert_eq!(tag(&mut console, "disable disabled_db"), "DISABLE");
    let refused = Client::login(&pooler.target(&name, "nobody_special"));
    let refused = refused.map(|_| ()).expect_err("disabled");
    assert!(refused.to_string().contains("disabled"), "{refused}");
    assert_eq!(early.value("select 1").expect("who is in stays"), "1");
    assert_eq!(tag(&mut console, "enable disabled_db"), "ENABLE");
    is_served(&mut knock(&pooler.target(&name, "nobody_special")));
}

/// Texts and codes are those of PgBouncer 1.18, of which the same test can be run.
#[test]
fn answers_are_pgbouncers() {
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let long = "x".repeat(60_000);
    for (sql, answer) in [
        ("", Err("invalid command '', use SHOW HELP;")),
        ("foo", Err("invalid command 'foo', use SHOW HELP;")),
        (
            "show foo",
            Err("invalid command 'show foo', use SHOW HELP;"),
        ),
        (
            "show pools x",
            Err("invalid command 'show pools x', use SHOW HELP;"),
        ),
        (
            "pause a b",
            Err("invalid command 'pause a b', use SHOW HELP;"),
        ),
        (
            "pause; resume",
            Err("invalid command 'pause; resume', use SHOW HELP;"),
        ),
        (
            "reload x",
            Err("invalid command 'reload x', use SHOW HELP;"),
        ),
        (
            "shutdown foo",
            Err("invalid command 'shutdown foo', use SHOW HELP;"),
        ),
        ("resume", Err("pooler is not paused/suspended")),
        ("pause app", Ok("PAUSE")),
        ("suspend", Err("cannot suspend with paused databases")),
        ("pause app", Ok("PAUSE")),
        ("resume", Err("pooler is not paused/suspended")),
        ("resume \"app\"", Ok("RESUME")),
        ("resume app", Err("database app is not paused")),
        ("pause", Ok("PAUSE")),
        ("pause", Err("already suspended/paused")),
        ("suspend", Err("already suspended/paused")),
        ("resume", Ok("RESUME")),
        (
            "suspend app",
            Err("invalid command 'suspend app', use SHOW HELP;"),
        ),
        ("suspend;", Ok("SUSPEND")),
        ("suspend", Err("already suspended/paused")),
        ("pause", Err("already suspended/paused")),
        ("pause app", Err("already suspended/paused")),
        ("kill app", Err("already suspended/paused")),
        ("resume app", Err("database app is not paused")),
        ("resume", Ok("RESUME")),
        ("resume", Err("pooler is not paused/suspended")),
        ("pause pgbouncer", Err("cannot pause admin db: pgbouncer")),
        ("kill pgbouncer", Err("cannot kill admin db: pgbouncer")),
        (
            "disable pgbouncer",
            Err("cannot disable admin db: pgbouncer"),
        ),
        (
            "enable pgbouncer",
            Err("cannot disable admin db: pgbouncer"),
        ),
        (
            "reconnect pgbouncer",
            Err("cannot reconnect admin db: pgbouncer"),
        ),
        (
            "wait_close pgbouncer",
            Err("cannot wait in admin db: pgbouncer"),
        ),
        ("disable", Err("a database is required")),
        ("enable", Err("a database is required")),
        ("wait_close", Ok("WAIT_CLOSE")),
        ("reconnect", Ok("RECONNECT")),
    ] {
        let seen = done(&console.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")));
        let answer = answer
            .map(str::to_owned)
            .map_err(|text| format!("08P01 {text}"));
        assert_eq!(seen, answer, "{sql}");
    }
    // What nobody should send is an error, not repeated at length, and changes nothing.
    for sql in [
        format!("pause {long}"),
        format!("kill \"{long}\""),
        format!("show {long}"),
        format!("set {long} = 1"),
        "pause \"a\u{1b}[2Jb\"".into(),
        "disable \"open".into(),
        "kill_client 99999999999999999999999".into(),
        "kill_client -1".into(),
        "kill_client 0x12".into(),
        "kill_client".into(),
        "reload; shutdown".into(),
        "pause shop; drop database shop; --".into(),
        "shutdown wait_for_servers wait_for_clients".into(),
    ] {
        if pooler.is_pgbouncer() {
            break;
        }
        let shown: String = sql.chars().take(40).collect();
        let seen = done(
            &console
                .query(&sql)
                .unwrap_or_else(|e| panic!("{shown}: {e}")),
        );
        let error = seen.expect_err(&shown);
        assert!(
            error.starts_with("08P01 ") && error.len() < 700,
            "{shown}: {error}"
        );
        assert!(!error.contains('\u{1b}'), "{error}");
    }
    assert_eq!(
        client(&pooler, "postgres")
            .value("select 1")
            .expect("served"),
        "1"
    );
    assert!(console.rows("show version").is_ok());
}

#[test]
fn statistics_users_may_not_command() {
    let pooler = pooler_with(|settings| settings);
    let mut stats = Client::login(&pooler.target("pgbouncer", "stats")).expect("login");
    for sql in [
        "pause",
        "resume",
        "kill postgres",
        "wait_close",
        "shutdown",
        "show fds",
        "suspend",
    ] {
        let seen = done(&stats.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")));
        assert_eq!(seen, Err("08P01 admin access needed".into()), "{sql}");
    }
}
