//! SUSPEND: nothing moves, nothing is lost.

use super::{QUIET, client, done, is_held, is_served, knock, state, tag};
use crate::common::{database, pooler_with, server};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::until;

/// Clients with a query under way.
const CLIENTS: usize = 20;

/// Puts a COPY's next line together.
fn line(n: u32) -> Vec<u8> {
    message::frame(b'd', format!("{n}\n").as_bytes())
}

/// Waits until no statement of this database runs at the server any more.
fn wait_for_rest(name: &str) {
    until("the server to be done", || {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{name}' and state = 'active' \
             and query like '%pg_sleep%'"
        );
        (server().sql("postgres", &sql)[0][0] == "0").then_some(())
    });
}

fn copier(pooler: &Pooler, name: &str) -> Client {
    let mut copier = client(pooler, name);
    copier.query("create table lines (n int)").expect("create");
    copier
        .send(&message::query("copy lines from stdin"))
        .expect("copy");
    assert_eq!(copier.read().expect("CopyInResponse").tag, b'G');
    copier.send(&line(1)).expect("a line");
    copier
}

#[test]
fn nothing_moves_and_nothing_is_lost() {
    let name = database("suspend_all");
    let pooler = pooler_with(|settings| {
        // Each of them would end somebody if the time of the suspension counted.
        settings
            .set("default_pool_size", "21")
            .set("query_timeout", "2")
            .set("idle_transaction_timeout", "2")
            .set("query_wait_timeout", "2")
            .set("client_login_timeout", "2")
            .set("server_idle_timeout", "2")
    });
    if pooler.is_pgbouncer() {
        // It serves whoever waits for a connection first, and closes them in the end.
        return;
    }
    let (mut console, mut other) = (pooler.console(), pooler.console());
    let mut busy: Vec<Client> = (0..CLIENTS).map(|_| client(&pooler, &name)).collect();
    let mut copier = copier(&pooler, &name);
    for (n, client) in busy.iter_mut().enumerate() {
        let sql = format!("begin; select pg_sleep(0.5), {n}");
        client.send(&message::query(&sql)).expect("send");
    }
    // The pool is full: this one waits for a connection.
    let mut waiter = client(&pooler, &name);
    waiter.send(&message::query("select 42")).expect("send");
    assert_eq!(tag(&mut console, "suspend"), "SUSPEND");
    assert_eq!(state(&mut other), ["no", "no", "yes"]);
    let mut later = knock(&pooler.target(&name, "app"));
    // The server answers; it takes longer than every limit.
    wait_for_rest(&name);
    server().sql("postgres", "select pg_sleep(3)");
    for n in 2..=1000 {
        copier.send(&line(n)).expect("a line");
    }
    copier.send(&message::frame(b'c', b"")).expect("CopyDone");
    for client in &mut busy {
        assert!(client.read_within(QUIET / 20).expect("no end").is_none());
    }
    assert!(is_held(&mut later) && is_held(&mut copier) && is_held(&mut waiter));
    assert!(other.rows("show clients").expect("clients").len() > CLIENTS);
    assert_eq!(tag(&mut other, "resume"), "RESUME");
    assert_eq!(state(&mut other), ["yes", "no", "no"]);
    for (n, client) in busy.iter_mut().enumerate() {
        let rows = plimsoll_e2e::raw::rows(client.read_to_ready().expect("an answer"));
        assert_eq!(rows.expect("rows")[0][1], n.to_string());
        assert_eq!(client.value("select 7").expect("it goes on"), "7");
        client.query("commit").expect("commit");
    }
    let copied = copier.read_to_ready().expect("the COPY's end");
    assert_eq!(done(&copied), Ok("COPY 1000".into()));
    is_served(&mut waiter);
    is_served(&mut later);
    let mut after = client(&pooler, &name);
    assert_eq!(
        after.value("select count(*) from lines").expect("rows"),
        "1000"
    );
}

#[test]
fn it_is_answered_when_the_bytes_are_out() {
    let name = database("suspend_flush");
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return; // It reads a message to its end.
    }
    let mut console = pooler.console();
    let mut reader = slow_reader(&pooler, &name);
    console.send(&message::query("suspend")).expect("send");
    assert!(is_held(&mut console), "answered with bytes left");
    // It reads now; the rest of its rows stays with the server until RESUME.
    let mut reader = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            reader.read_to_ready().expect("all rows");
            reader
        });
        let answer = done(&console.read_to_ready().expect("an answer"));
        assert_eq!(answer, Ok("SUSPEND".into()));
        assert!(!reading.is_finished(), "rows came while suspended");
        assert_eq!(tag(&mut console, "resume"), "RESUME");
        reading.join().expect("the reader")
    });
    assert_eq!(reader.value("select 1").expect("it goes on"), "1");
}

#[test]
fn who_takes_no_bytes_is_closed_after_suspend_timeout() {
    let name = database("suspend_timeout");
    let pooler = pooler_with(|settings| settings.set("suspend_timeout", "1"));
    let mut console = pooler.console();
    let mut reader = slow_reader(&pooler, &name);
    let mut idle = client(&pooler, &name);
    idle.value("select 1").expect("served");
    assert_eq!(tag(&mut console, "suspend"), "SUSPEND");
    assert_eq!(tag(&mut console, "resume"), "RESUME");
    assert_eq!(idle.value("select 2").expect("others go on"), "2");
    let end = std::iter::repeat_with(|| reader.read()).find(Result::is_err);
    assert!(end.is_some());
    if !pooler.is_pgbouncer() {
        assert_eq!(closes(&pooler), 1);
    }
}

/// Connections that the metrics count as closed for this reason.
fn closes(pooler: &Pooler) -> u64 {
    let (_, text) = crate::http::get(pooler, "/metrics");
    let line = text.lines().find(|l| l.contains("suspend_timeout"));
    let value = line.and_then(|l| l.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_default()
}

/// A client that asks for more than all buffers hold, and reads nothing.
fn slow_reader(pooler: &Pooler, name: &str) -> Client {
    let mut reader = client(pooler, name);
    let sql = "select repeat('x', 100000) from generate_series(1, 500)";
    reader.send(&message::query(sql)).expect("send");
    // The server cannot go on: everything between is full.
    until("full buffers", || {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = '{name}' \
             and wait_event = 'ClientWrite'"
        );
        (server().sql("postgres", &sql)[0][0] == "1").then_some(())
    });
    reader
}

#[test]
fn it_ends_with_its_last_console_and_by_usr2() {
    let name = database("suspend_ends");
    let mut pooler = pooler_with(|settings| settings);
    let mut served = client(&pooler, &name);
    for how in ["console", "USR2"] {
        let mut console = pooler.console();
        assert_eq!(tag(&mut console, "suspend"), "SUSPEND");
        served.send(&message::query("select 42")).expect("send");
        let mut later = knock(&pooler.target(&name, "app"));
        assert!(is_held(&mut served) && is_held(&mut later), "{how}");
        match how {
            "console" => console.terminate(),
            signal => pooler.signal(signal),
        }
        is_served(&mut served);
        served.read_to_ready().expect("ready");
        is_served(&mut later);
    }
}

#[test]
fn an_end_while_suspended_comes_at_once() {
    for how in ["TERM", "INT", "shutdown"] {
        let mut pooler = pooler_with(|settings| settings);
        let mut open = client(&pooler, "postgres");
        open.query("begin").expect("begin");
        let mut console = pooler.console();
        assert_eq!(tag(&mut console, "suspend"), "SUSPEND");
        match how {
            "shutdown" => console.send(&message::query("shutdown")).expect("send"),
            signal => pooler.signal(signal),
        }
        pooler.wait();
    }
}

#[test]
fn a_pooler_that_ends_is_not_suspended_and_one_that_is_suspended_goes_on_to_end() {
    let mut pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return; // Older ones lack the SHUTDOWNs that wait.
    }
    let mut console = pooler.console();
    let mut open = client(&pooler, "postgres");
    open.query("begin").expect("begin");
    assert_eq!(tag(&mut console, "suspend"), "SUSPEND");
    assert_eq!(tag(&mut console, "shutdown wait_for_clients"), "SHUTDOWN");
    // Its transaction goes on: nobody waits for what stands still.
    assert_eq!(open.value("select 1").expect("served"), "1");
    let late = done(&console.query("suspend").expect("an answer"));
    assert_eq!(late, Err("08P01 already suspended/paused".into()));
    open.terminate();
    pooler.wait();
}
