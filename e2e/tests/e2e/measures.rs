//! What is measured beside the pools: applications, addresses, waits, errors,
//! sockets, round trips, and what the server is seen to do.

use crate::common::{database, pooler_with, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings, user_line};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::{PASSWORD, Server};
use std::collections::BTreeMap;

fn stands_in(test: &str) -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip(test, "PgBouncer does not measure this");
    }
    pgbouncer
}

type Row = BTreeMap<String, String>;

/// The rows of a SHOW by column.
fn show(pooler: &Pooler, what: &str) -> Vec<Row> {
    let messages = pooler.console().query(&format!("show {what}"));
    let messages = messages.expect("the console answers");
    let described = messages.iter().find(|m| m.tag == b'T').expect("columns");
    let names = described.column_names();
    let rows = plimsoll_e2e::raw::rows(messages).expect("rows");
    let named = |row: Vec<String>| names.iter().cloned().zip(row).collect();
    rows.into_iter().map(named).collect()
}

fn number(row: &Row, column: &str) -> u64 {
    let value = row.get(column).expect("a column");
    value
        .parse()
        .unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

fn login(pooler: &Pooler, database: &str, application: &str) -> Client {
    let target = pooler.target(database, "app");
    Client::login(&target.parameter("application_name", application)).expect("login")
}

fn application(pooler: &Pooler, kind: &str) -> Option<Row> {
    let rows = show(pooler, "applications");
    rows.into_iter().find(|r| r["application"] == kind)
}

#[test]
fn who_asks_is_counted_by_application_and_by_address() {
    if stands_in("who_asks_is_counted_by_application_and_by_address") {
        return;
    }
    let database = database("measures_who");
    let pooler = pooler_with(|s| s.set("default_pool_size", "3"));
    let mut web = login(&pooler, &database, "shop-web-1");
    let mut other = login(&pooler, &database, "shop-web-2");
    for _ in 0..10 {
        web.value("select 1").expect("served");
        other.value("select 1").expect("served");
    }
    let row = application(&pooler, "shop-web").expect("a row");
    let told = |row: &Row, what: &[&str]| -> Vec<u64> {
        what.iter().map(|column| number(row, column)).collect()
    };
    assert_eq!((&*row["database"], &*row["user"]), (&*database, "app"));
    let columns = ["clients", "logins", "checkouts", "active", "waiting"];
    assert_eq!(told(&row, &columns), [2, 2, 20, 0, 0]);
    assert!(number(&row, "hold_us") > 0, "{row:?}");

    // A client that is silent inside its transaction.
    other.query("begin").expect("served");
    until("it is silent", || {
        let row = application(&pooler, "shop-web")?;
        let silent = told(&row, &["active", "silent"]) == [1, 1];
        (silent && number(&row, "oldest_hold_us") >= 1_000_000).then_some(())
    });
    other.query("commit").expect("served");

    // One that calls itself something else is counted there from then on.
    web.query("set application_name = 'report #7'")
        .expect("set");
    web.value("select 1").expect("served");
    let row = application(&pooler, "report").expect("a row");
    assert_eq!(told(&row, &["clients", "logins", "checkouts"]), [1, 0, 1]);
    let row = application(&pooler, "shop-web").expect("a row");
    assert_eq!(told(&row, &["clients", "logins"]), [1, 2]);
    // So is one that goes back.
    web.query("reset application_name").expect("reset");
    web.value("select 1").expect("served");
    let row = application(&pooler, "shop-web").expect("a row");
    assert_eq!(told(&row, &["clients", "active"]), [2, 0]);

    // Whoever is not let in is a failure of its address.
    let stranger = Client::login(&pooler.target(&database, "stranger"));
    assert!(stranger.is_err(), "nobody knows it");
    let home = |row: &Row| row["address"] == "127.0.0.1";
    let rows = show(&pooler, "sources");
    let row = rows.into_iter().find(home).expect("this machine");
    assert_eq!(number(&row, "login_failures"), 1, "{row:?}");
    assert!(number(&row, "clients") >= 2 && number(&row, "accepts") > number(&row, "clients"));

    // Sockets of both sides were asked.
    until("sockets were looked at", || {
        let rows = show(&pooler, "upstreams");
        let asked = |r: &Row| number(r, "tcp_sockets") > 0 && number(r, "tcp_rtt_us_max") > 0;
        (rows.len() == 2 && rows.iter().all(asked)).then_some(())
    });
    let rows = show(&pooler, "upstreams");
    assert_eq!(rows[0]["local"], "yes");
    assert!((1..=3).contains(&number(&rows[0], "opened")), "{rows:?}");
}

#[test]
fn a_wait_names_who_held_the_connection_and_errors_have_their_codes() {
    if stands_in("a_wait_names_who_held_the_connection_and_errors_have_their_codes") {
        return;
    }
    let database = database("measures_waits");
    let pooler = pooler_with(|s| s.set("default_pool_size", "1"));
    let mut holder = login(&pooler, &database, "batch-1");
    let mut waiter = login(&pooler, &database, "web-1");
    holder.query("begin; select 'marker5150'").expect("served");
    waiter.send(&message::query("select 1")).expect("send");
    until("it waits", || {
        let row = application(&pooler, "web")?;
        (number(&row, "waiting") == 1).then_some(())
    });
    let begin = std::time::Instant::now();
    until("it has waited", || {
        (begin.elapsed().as_millis() > 30).then_some(())
    });
    holder.query("commit").expect("served");
    waiter.read_to_ready().expect("served");
    let rows = show(&pooler, "waits");
    let row = rows
        .iter()
        .find(|r| r["application"] == "web")
        .expect("a wait");
    assert_eq!((&*row["holder"], &*row["granted"]), ("batch", "yes"));
    assert_eq!(
        (&*row["database"], &*row["addr"]),
        (&*database, "127.0.0.1")
    );
    assert!(number(row, "wait_us") >= 30_000, "{row:?}");
    assert!(number(row, "held_us") >= number(row, "wait_us"), "{row:?}");
    assert!(!format!("{rows:?}").contains("marker5150"));
    let row = application(&pooler, "web").expect("a row");
    assert!(number(&row, "wait_us") >= 30_000, "{row:?}");

    for _ in 0..3 {
        waiter.query("select 1/0").expect("an error is an answer");
    }
    waiter.query("select * from nowhere").expect("an answer");
    let errors = show(&pooler, "errors");
    let of = |code: &str| {
        let row = errors.iter().find(|r| r["sqlstate"] == code);
        row.map(|r| number(r, "errors"))
    };
    assert_eq!(
        (of("22012"), of("42P01"), of("57P01")),
        (Some(3), Some(1), None)
    );

    // FATAL is the server's last word, and no statement's error.
    waiter
        .query("select pg_terminate_backend(pg_backend_pid())")
        .ok();
    let row = show(&pooler, "upstreams").remove(0);
    assert_eq!(row["last_error"], "57P01");
    assert_eq!(number(&row, "last_error_count"), 1);
    assert_eq!(number(&row, "ended_by_server"), 1);
}

/// A server with a role for the monitor session, and a pooler that uses it.
fn watched(grants: &str) -> (Server, Pooler) {
    let server = Server::start();
    server.sql("postgres", "create role watcher login");
    if !grants.is_empty() {
        server.sql("postgres", &format!("grant {grants} to watcher"));
    }
    server.sql("app", "create table stock (id int, n int)");
    server.sql("app", "insert into stock values (1, 100)");
    server.sql("app", "grant all on stock to app");
    let mut settings = Settings::for_server(&server)
        .set("default_pool_size", "10")
        .own("monitor_user", "watcher");
    settings.userlist.push(user_line("watcher", PASSWORD));
    let pooler = Pooler::start(settings);
    (server, pooler)
}

#[test]
fn a_lock_convoy_is_seen_with_who_began_it() {
    if stands_in("a_lock_convoy_is_seen_with_who_began_it") {
        return;
    }
    let (server, pooler) = watched("pg_read_all_stats");
    let mut holder = login(&pooler, "app", "nightly");
    let update = "update stock set n = n - 1 where id = 1";
    holder.query("begin").expect("begins");
    holder.query(update).expect("updates");
    let mut blocked: Vec<Client> = (0..4).map(|_| login(&pooler, "app", "web")).collect();
    for client in &mut blocked {
        client.send(&message::query(update)).expect("send");
    }
    // Somebody who does not come through here.
    let mut stranger = Client::login(&server.target("app", "postgres")).expect("login");
    stranger
        .send(&message::query("select pg_sleep(120)"))
        .expect("send");
    let row = until("the convoy is seen", || {
        let row = show(&pooler, "activity").pop()?;
        let seen = number(&row, "blocked") == 4 && number(&row, "blockers") > 0;
        (seen && number(&row, "others_active") > 0).then_some(row)
    });
    assert_eq!(row["permitted"], "yes");
    assert_eq!(row["blocker_application"], "nightly", "{row:?}");
    assert_eq!(row["blocker_state"], "idle in transaction");
    assert!(number(&row, "blocker_blocks") >= 1, "{row:?}");
    assert_eq!(number(&row, "active"), 5, "{row:?}");
    assert_eq!(number(&row, "others_active"), 1, "{row:?}");
    assert_eq!(number(&row, "idle_in_transaction"), 1, "{row:?}");
    assert!(row["waiting"].contains("Lock=4"), "{row:?}");
    assert!(number(&row, "longest_xact_ms") > 0 && number(&row, "commits") > 0);
    assert!(number(&row, "started_at_unix") > 1_600_000_000);
    assert_eq!(row["in_recovery"], "no");

    // Its end is seen too.
    holder.query("rollback").expect("ends");
    for client in &mut blocked {
        client.read_to_ready().expect("served");
    }
    until("nobody is blocked", || {
        let row = show(&pooler, "activity").pop()?;
        (number(&row, "blocked") == 0 && number(&row, "blockers") == 0).then_some(())
    });
    // Meanwhile trivial queries were timed, and the line was read all the while.
    let row = show(&pooler, "upstreams").remove(0);
    assert!(number(&row, "probes") > 1, "{row:?}");
    let (last, age) = (number(&row, "probe_last_us"), number(&row, "probe_age_ms"));
    assert!(last > 0 && last < 5_000_000 && age < 10_000, "{row:?}");
    let row = show(&pooler, "budget").remove(0);
    assert_eq!(row["state"], "known");
    assert!(number(&row, "reading_age_ms") < 10_000, "{row:?}");
    assert!(!pooler.log().contains("line unknown"), "{}", pooler.log());
}

#[test]
fn a_monitor_without_rights_says_so() {
    if stands_in("a_monitor_without_rights_says_so") {
        return;
    }
    let (_server, pooler) = watched("");
    let mut client = login(&pooler, "app", "web");
    client
        .send(&message::query("select pg_sleep(120)"))
        .expect("send");
    let row = until("the server was looked at", || {
        show(&pooler, "activity").pop()
    });
    assert_eq!(row["permitted"], "no");
    assert_eq!(number(&row, "active"), 0, "{row:?}");
    assert!(number(&row, "commits") > 0, "{row:?}");
    until("a trivial query was timed", || {
        let row = show(&pooler, "upstreams").remove(0);
        (number(&row, "probes") > 0).then_some(())
    });
    assert_eq!(show(&pooler, "budget")[0]["state"], "known");
}
