//! A time of watching: what the guards would have done is told after restarts too.

use crate::common::{database, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::{Dir, RunAs, until};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A pgbouncer.ini that PgBouncer reads as well: what it lacks stands in comments.
fn settings(state: &Path) -> Settings {
    let directory = format!(";plimsoll: state_directory = {}", state.display());
    let all = format!("* = host=127.0.0.1 port={}", server().port());
    Settings::for_server(server())
        .set("pool_mode", "transaction")
        .set("default_pool_size", "8")
        .databases(&[
            &all,
            ";plimsoll: line = 8",
            ";plimsoll: reclaim_after = 1s",
            &directory,
        ])
}

fn client(pooler: &Pooler, database: &str, application: &str) -> Client {
    let target = pooler
        .target(database, "app")
        .parameter("application_name", application);
    Client::login(&target).expect("login")
}

fn guards(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(Binary::find().path)
        .arg("guards")
        .args(arguments)
        .output()
        .expect("run plimsoll guards");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), said)
}

/// The summary, once there is one.
fn summary(pooler: &Pooler) -> Value {
    let file = pooler.settings_path();
    let file = file.to_str().expect("a path");
    let (_, said) = guards(&[file, "--since", "1h", "--format", "json"]);
    serde_json::from_str(&said).unwrap_or(Value::Null)
}

fn of<'a>(summary: &'a Value, guard: &str) -> &'a Value {
    let rows = summary["guards"].as_array();
    let found = rows.and_then(|rows| rows.iter().find(|g| g["guard"] == guard));
    found.unwrap_or(&Value::Null)
}

/// Four clients that listen: a quarter of the pool is kept for two of them.
fn listen(pooler: &Pooler, database: &str) -> Vec<Client> {
    let all = (0..4).map(|_| {
        let mut listener = client(pooler, database, "news-reader");
        listener.query("listen news").expect("nobody is refused");
        listener
    });
    all.collect()
}

#[test]
fn a_time_of_watching_names_who_leaks_and_who_pins_and_survives_a_kill() {
    if Binary::find().is_pgbouncer {
        return skip("trial", "PgBouncer has no guards");
    }
    let database = database("trial_week");
    let state = Dir::new("trial", RunAs::myself());
    let mut pooler = Pooler::start(settings(state.path()));
    let listeners = listen(&pooler, &database);
    let mut leakers: Vec<Client> = (0..6)
        .map(|_| {
            let mut leaker = client(&pooler, &database, "leaky-web/2.0.1");
            leaker.query("begin").expect("begun");
            leaker.query("select 1").expect("lent");
            leaker
        })
        .collect();
    let mut waiting: Vec<Client> = (0..6)
        .map(|_| {
            let mut waiter = client(&pooler, &database, "waiter");
            waiter.send(&message::query("select 1")).expect("sent");
            waiter
        })
        .collect();
    until("the leak and the line are in the summary", || {
        let seen = summary(&pooler);
        let leaked = of(&seen, "reclaim")["would"].as_u64() >= Some(5);
        let held = seen["servers"][0]["held_ms"].as_u64() > Some(0);
        (leaked && held).then_some(())
    });
    // Nothing was done to anybody.
    for leaker in &mut leakers {
        leaker.query("commit").expect("nobody took its lease");
    }
    for waiter in &mut waiting {
        waiter.read_to_ready().expect("served at last");
    }
    drop(listeners);
    pooler.signal("KILL");
    pooler.wait();
    pooler.restart();
    let _listeners = listen(&pooler, &database);
    let seen = until("both processes are in the summary", || {
        let seen = summary(&pooler);
        let both = of(&seen, "pin")["would"] == 4 && seen["starts"] == 2;
        both.then_some(seen)
    });
    let pin = of(&seen, "pin");
    assert_eq!(pin["verdict"], "mend first", "{pin}");
    assert_eq!(pin["who"][0]["application"], "news-reader", "{pin}");
    assert_eq!(pin["who"][0]["database"], database.as_str(), "{pin}");
    assert_eq!(pin["who"][0]["user"], "app", "{pin}");
    assert_eq!(pin["who"][0]["why"], "listen", "{pin}");
    assert_eq!(
        (&pin["who"][0]["kept"], &pin["who"][0]["would"]),
        (&4.into(), &4.into())
    );
    let reclaim = of(&seen, "reclaim");
    assert_eq!(reclaim["who"][0]["application"], "leaky-web", "{reclaim}");
    assert!(reclaim["worst"]["times"].as_u64() >= Some(1), "{reclaim}");
    assert_eq!(seen["servers"][0]["used_most"], 8, "{seen}");
    for row in seen["guards"].as_array().expect("rows") {
        assert_eq!(
            (&row["mode"], &row["done"]),
            (&"observe".into(), &0.into()),
            "{row}"
        );
    }
    let directory = state.path().to_str().expect("a path");
    let (good, text) = guards(&["--since", "7d", "--state", directory]);
    assert!(good, "{text}");
    for part in [
        "leaky-web",
        "news-reader",
        "for listen",
        "mend first",
        "2 starts",
        "clients waited at the line",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let (good, text) = guards(&["--since", "7d", "--state", "/nonexistent"]);
    assert!(!good && text.contains("no history"), "{text}");
}

#[test]
fn a_file_for_both_poolers_is_read_here_with_its_comments() {
    if Binary::find().is_pgbouncer {
        return skip("trial", "the comments are for Plimsoll");
    }
    let state = Dir::new("trial", RunAs::myself());
    let mut pooler = Pooler::start(settings(state.path()));
    let value = |pooler: &Pooler, key: &str| {
        let rows = pooler.console().rows("show config").expect("rows");
        let row = rows.into_iter().find(|row| row[0] == key);
        row.expect("a row")[1].clone()
    };
    assert_eq!(value(&pooler, "line"), "8");
    // A mistake in such a comment is as loud as any other, and the old value serves.
    let text = pooler.text();
    pooler.write_raw(&text.replace("plimsoll: line = 8", "plimsoll: lien = 8"));
    let error = pooler.console().query("reload");
    let error = error
        .and_then(plimsoll_e2e::raw::rows)
        .expect_err("refused");
    assert!(error.to_string().contains("line"), "{error}");
    pooler.write_raw(&text.replace("plimsoll: line = 8", "plimsoll: line = 7"));
    pooler.console().query("reload").expect("reload");
    assert_eq!(value(&pooler, "line"), "7");
    pooler.signal("TERM");
    pooler.wait();
}
