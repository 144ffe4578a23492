//! Waiting, and its end.

use crate::common::{pooler_with, server};
use plimsoll_e2e::raw::{Client, Error, rows};
use std::time::{Duration, Instant};

#[test]
fn a_waiter_gets_an_error_at_its_deadline() {
    let pooler = pooler_with(|settings| {
        settings
            .set("default_pool_size", "1")
            .set("query_wait_timeout", "1")
    });
    let mut holder = Client::login(&pooler.target("app", "app")).expect("login");
    holder.query("begin").expect("begin");
    let mut waiter = Client::login(&pooler.target("app", "app")).expect("login");
    let start = Instant::now();
    let answer = waiter.query("select 1").and_then(rows);
    let waited = start.elapsed();
    let error = answer.expect_err("an error");
    assert!(matches!(error, Error::Server(_)), "{error}");
    assert!(error.to_string().contains("query_wait_timeout"), "{error}");
    assert!(
        (Duration::from_millis(700)..Duration::from_secs(10)).contains(&waited),
        "{waited:?}"
    );
    holder.query("commit").expect("the holder is undisturbed");
    // A pgbouncer.ini keeps PgBouncer's FATAL: the session is over.
    assert!(waiter.value("select 2").is_err(), "the session goes on");
}

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "1"));
    let mut holder = Client::login(&pooler.target("app", "app")).expect("login");
    holder.query("begin").expect("begin");
    server().sql(
        "app",
        "create table if not exists arrivals (at serial, who int)",
    );
    server().sql("app", "truncate arrivals");
    let mut console = pooler.console();
    let mut waiters = Vec::new();
    for n in 0..8 {
        let mut waiter = Client::login(&pooler.target("app", "app")).expect("login");
        let sql = format!("insert into arrivals (who) values ({n})");
        waiter
            .send(&plimsoll_e2e::raw::message::query(&sql))
            .expect("send");
        plimsoll_e2e::sandbox::until("one more waiter", || {
            let pools = console.rows("show pools").expect("pools");
            pools
                .iter()
                .any(|row| row[0] == "app" && row[3] == (n + 1).to_string())
                .then_some(())
        });
        waiters.push(waiter);
    }
    holder.query("commit").expect("commit");
    for waiter in &mut waiters {
        waiter.read_to_ready().expect("served");
    }
    let order = server().sql(
        "app",
        "select string_agg(who::text, ',' order by at) from arrivals",
    );
    assert_eq!(order[0][0], "0,1,2,3,4,5,6,7");
}

#[test]
fn the_client_limit_refuses_with_its_name() {
    let pooler = pooler_with(|settings| settings.set("max_client_conn", "5"));
    let mut clients = Vec::new();
    let refused = loop {
        match Client::login(&pooler.target("app", "app")) {
            Ok(client) if clients.len() < 6 => clients.push(client),
            Ok(_) => panic!("six clients at a limit of five"),
            Err(error) => break error,
        }
    };
    assert!(clients.len() >= 4, "{} clients", clients.len());
    assert!(refused.to_string().contains("max_client_conn"), "{refused}");
    assert_eq!(
        clients[0].value("select 1").expect("others are served"),
        "1"
    );
    clients.pop();
    plimsoll_e2e::sandbox::until("a free place", || {
        Client::login(&pooler.target("app", "app")).ok()
    });
}

#[test]
fn the_pool_size_is_never_exceeded() {
    let database = crate::common::database("limit_size");
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "3"));
    let target = pooler.target(&database, "app");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = Client::login(&target).expect("login");
                for _ in 0..20 {
                    let sql = "select count(*) from pg_stat_activity where datname = current_database() and pg_sleep(0.001) is not null";
                    let seen: u32 = client.value(sql).expect("served").parse().expect("number");
                    assert!(seen <= 3, "{seen} server connections");
                }
            });
        }
    });
}

#[test]
fn statement_mode_refuses_transactions_of_several_statements() {
    let pooler = pooler_with(|settings| settings.set("pool_mode", "statement"));
    let mut client = Client::login(&pooler.target("app", "app")).expect("login");
    assert_eq!(client.value("select 1").expect("served"), "1");
    let refused = client.query("begin").and_then(rows);
    assert!(refused.is_err(), "begin was accepted");
}

#[test]
fn session_mode_keeps_the_server_connection() {
    let pooler = pooler_with(|settings| {
        settings
            .set("pool_mode", "session")
            .set("default_pool_size", "3")
    });
    let mut a = Client::login(&pooler.target("app", "app")).expect("login");
    let mut b = Client::login(&pooler.target("app", "app")).expect("login");
    let pid = a.value("select pg_backend_pid()").expect("pid");
    for _ in 0..5 {
        assert_ne!(b.value("select pg_backend_pid()").expect("pid"), pid);
        assert_eq!(a.value("select pg_backend_pid()").expect("pid"), pid);
    }
    a.query("create temp table only_mine (a int); set work_mem = '5MB'")
        .expect("state");
    a.terminate();
    for _ in 0..3 {
        let mut next = Client::login(&pooler.target("app", "app")).expect("login");
        assert_eq!(next.value("show work_mem").expect("show"), "4MB");
        let gone = next
            .value("select to_regclass('only_mine') is null")
            .expect("regclass");
        assert_eq!(gone, "t", "the session's state was not reset");
    }
}
