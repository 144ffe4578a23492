//! Where PgBouncer and its like are known to fail unsafe, and what holds here.

use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::until;
use std::time::{Duration, Instant};

fn ours(test: &str) -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip(test, "known to differ there");
    }
    !pgbouncer
}

/// The cell of the first row of a SHOW that `picks` finds.
fn cell(pooler: &Pooler, what: &str, picks: impl Fn(&[String]) -> bool, column: &str) -> String {
    let messages = pooler.console().query(&format!("show {what}")).expect("it");
    let described = messages.iter().find(|m| m.tag == b'T').expect("columns");
    let names = described.column_names();
    let at = names.iter().position(|name| name == column).expect(column);
    let rows = plimsoll_e2e::raw::rows(messages).expect("rows");
    let row = rows.into_iter().find(|row| picks(row));
    row.map_or_else(String::new, |row| row[at].clone())
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

#[test]
fn a_size_that_is_no_number_in_a_database_line_changes_nothing() {
    if !ours("pool_size=abc") {
        return;
    }
    let line = |size: &str| {
        format!(
            "sized = host=127.0.0.1 port={} dbname=app pool_size={size}",
            server().port()
        )
    };
    let good = line("3");
    let mut pooler = pooler_with(|settings| settings.databases(&[&good]));
    let size = |pooler: &Pooler| cell(pooler, "databases", |row| row[0] == "sized", "pool_size");
    assert_eq!(size(&pooler), "3");
    for wrong in ["abc", "-5", "3x", "1e3", "''", "99999999999"] {
        let text = line(wrong);
        pooler.rewrite(|settings: &mut Settings| {
            *settings = settings.clone().databases(&[&text]);
        });
        let error = pooler
            .console()
            .rows("reload")
            .expect_err(wrong)
            .to_string();
        let told = error.clone() + &pooler.log();
        assert!(
            told.contains("pool_size") || told.contains(":2"),
            "{wrong}: {error}"
        );
        assert_eq!(size(&pooler), "3", "{wrong}");
        pooler.signal("HUP");
        let mut client = Client::login(&pooler.target("sized", "app")).expect("login");
        client.value("select 1").expect("served");
        assert_eq!(size(&pooler), "3", "{wrong}, by signal");
    }
}

#[test]
fn late_copy_messages_cost_no_connection() {
    let database = database("unsafe_copy");
    server().sql(&database, "create table t (n int); grant all on t to app");
    let pooler = pooler_with(|settings| {
        settings
            .set("pool_mode", "transaction")
            .set("default_pool_size", "2")
    });
    for round in 0..60 {
        let mut client = Client::login(&pooler.target(&database, "app")).expect("login");
        let mut bytes = message::query("copy t from stdin");
        bytes.extend(message::frame(b'd', b"no number\n"));
        bytes.extend(message::frame(b'c', b""));
        // The COPY has failed by then: these come late.
        for _ in 0..round % 5 {
            bytes.extend(message::frame(b'd', b"1\n"));
        }
        bytes.extend(message::empty(if round % 2 == 0 { b'c' } else { b'H' }));
        client.send(&bytes).expect("sent");
        client.read_to_ready().expect("the error, and ready");
        if round % 3 == 0 {
            // Some leave without another word.
            continue;
        }
        assert_eq!(client.value("select 1").expect("served"), "1", "{round}");
    }
    let pool = |column: &str| number(&cell(&pooler, "pools", |row| row[0] == database, column));
    until("the pool is whole", || {
        (pool("sv_active") == 0 && pool("cl_waiting") == 0).then_some(())
    });
    assert!(pool("sv_idle") <= 2);
    let mut both: Vec<Client> = (0..2)
        .map(|_| Client::login(&pooler.target(&database, "app")).expect("login"))
        .collect();
    for client in &mut both {
        client.query("begin").expect("a connection for each");
        client.value("select 1").expect("served");
    }
}

#[test]
fn the_longest_wait_counts_from_queueing() {
    let pooler = pooler_with(|settings| {
        settings
            .set("pool_mode", "transaction")
            .set("default_pool_size", "1")
    });
    let login = || Client::login(&pooler.target("app", "app")).expect("login");
    let (mut holder, mut waiter) = (login(), login());
    waiter.value("select 1").expect("served");
    holder.query("begin").expect("it has the connection");
    let waited_us = || {
        let at = |column: &str| number(&cell(&pooler, "pools", |row| row[0] == "app", column));
        at("maxwait") * 1_000_000 + at("maxwait_us")
    };
    let idle = Instant::now();
    until("it has been idle for a while", || {
        (idle.elapsed() > Duration::from_millis(1_500)).then_some(())
    });
    assert_eq!(waited_us(), 0, "who asks for nothing waits for nothing");
    let begun = Instant::now();
    waiter.send(&message::query("select 1")).expect("sent");
    let first = until("it waits", || Some(waited_us()).filter(|us| *us > 0));
    let most = begun.elapsed().as_micros() as u64;
    assert!(first <= most, "{first} µs of at most {most}");
    until("it has waited for a second", || {
        (waited_us() > 1_000_000).then_some(())
    });
    assert!(waited_us() <= begun.elapsed().as_micros() as u64 + 1_000);
    holder.query("commit").expect("committed");
    waiter.read_to_ready().expect("served");
    until("nobody waits", || (waited_us() == 0).then_some(()));
}

#[test]
fn hostile_arguments_are_refused_and_the_console_lives_on() {
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let long = "x".repeat(60_000);
    let mut texts: Vec<String> = [
        "set",
        "set =",
        "set = 1",
        "set default_pool_size",
        "set default_pool_size =",
        "set default_pool_size = -1",
        "set default_pool_size = 99999999999999999999",
        "set default_pool_size = '",
        "set default_pool_size = ''; shutdown",
        "set no_such_key = 1",
        "set default_pool_size to",
        "set é = 1",
        "se\u{301}t x = 1",
        "set listen_port = 1",
        "set auth_type = pam",
        "kill_client",
        "kill_client -1",
        "kill_client 99999999999999999999",
        "kill_client 'x'",
        "pause \"no such",
        "kill \"",
        "disable",
        "enable",
        "reconnect no_such_database",
        "show",
        "show no_such_table",
        "show pools; shutdown",
        "reload; shutdown",
        "shutdown now",
        "shutdown wait_for_nobody",
        "guards off for '30m'",
        "guards off for 'x' reason 'y'",
        "guards",
        "wait_close no_such",
        "select pg_sleep(1)",
        "\u{a0}",
        "\u{feff}set x = 1",
        "-- set",
        "/* */",
    ]
    .map(str::to_owned)
    .into();
    texts.extend([
        format!("set {long} = 1"),
        format!("set default_pool_size = {long}"),
        format!("kill_client {long}"),
        format!("pause \"{long}\""),
        format!("show {long}"),
        long,
    ]);
    for text in &texts {
        let begin: String = text.chars().take(40).collect();
        let answer = console.query(text);
        // SHOW alone lists what there is, as GUARDS does; the rest is an error.
        if let Ok(messages) = answer.and_then(plimsoll_e2e::raw::rows) {
            let harmless = ["show", "guards", "set default_pool_size = ''; s"];
            let empty = messages.is_empty();
            assert!(
                empty || harmless.iter().any(|h| text.starts_with(h)),
                "{begin}: {messages:?}"
            );
        }
        let alive = console.rows("show version");
        assert_eq!(alive.map(|rows| rows.len()).ok(), Some(1), "after {begin}");
    }
    let mut client = Client::login(&pooler.target("app", "app")).expect("login");
    client.value("select 1").expect("served");
    let size = cell(
        &pooler,
        "config",
        |row| row[0] == "default_pool_size",
        "value",
    );
    let started = pooler.settings().keys.get("default_pool_size");
    assert_eq!(Some(&size), started);
}

#[test]
fn minimums_above_the_line_neither_starve_nor_set_off_a_war() {
    if !ours("min_pool_size above the limit") {
        return;
    }
    let database = database("unsafe_minimum");
    let names = ["first", "second", "third"];
    let port = server().port();
    let lines = names.map(|name| format!("{name} = host=127.0.0.1 port={port} dbname={database}"));
    let pooler = pooler_with(|settings| {
        settings
            .databases(&lines.each_ref().map(String::as_str))
            .set("pool_mode", "transaction")
            .set("default_pool_size", "20")
            .set("min_pool_size", "500")
            .own("line", "4")
    });
    let mut clients = Vec::new();
    for name in names {
        let mut client = Client::login(&pooler.target(name, "app")).expect(name);
        assert_eq!(client.value("select 1").expect(name), "1");
        clients.push(client);
        // The first one's minimum takes all that there is.
        until("the line to be full", || {
            (server().connections(&database) == 4).then_some(())
        });
    }
    // Each is served from now on, and nobody's connections are closed for another's minimum.
    let before = backends(&database);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        for client in &mut clients {
            assert_eq!(client.value("select 1").expect("served"), "1");
        }
    }
    assert_eq!(backends(&database), before, "{}", pooler.log());
}

/// The processes of the server's connections to a database.
fn backends(database: &str) -> Vec<String> {
    let sql = format!("select pid from pg_stat_activity where datname = '{database}' order by pid");
    let rows = server().sql("postgres", &sql);
    rows.into_iter().flatten().collect()
}
