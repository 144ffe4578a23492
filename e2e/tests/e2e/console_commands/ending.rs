//! How the console and signals end the process.

use super::{client, done, is_held, knock, tag};
use crate::common::pooler_with;
use plimsoll_e2e::raw::{Client, Error, message};
use plimsoll_e2e::sandbox::until;

#[test]
fn shutdown_wait_for_clients_serves_on_until_they_are_gone() {
    let mut pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return; // Older ones lack it.
    }
    let mut console = pooler.console();
    let mut idle = client(&pooler, "postgres");
    assert_eq!(tag(&mut console, "shutdown wait_for_clients"), "SHUTDOWN");
    let again = done(
        &console
            .query("shutdown wait_for_clients")
            .expect("an answer"),
    );
    assert_eq!(again, Err("08P01 already shutting down".into()));
    until("the listener to be closed", || {
        Client::login(&pooler.target("postgres", "app"))
            .is_err()
            .then_some(())
    });
    assert_eq!(idle.value("select 1").expect("still served"), "1");
    assert!(pooler.exited().is_none());
    idle.terminate();
    // The console does not keep it.
    assert_eq!(pooler.wait().code(), Some(0), "{}", pooler.log());
}

#[test]
fn shutdown_wait_for_servers_ends_with_the_last_transaction() {
    let mut pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    let mut busy = client(&pooler, "postgres");
    busy.query("begin").expect("begin");
    let mut idle = client(&pooler, "postgres");
    assert_eq!(tag(&mut console, "shutdown wait_for_servers"), "SHUTDOWN");
    assert!(idle.read_to_end().is_ok(), "nothing runs for it");
    assert_eq!(busy.value("select 1").expect("goes on"), "1");
    assert!(pooler.exited().is_none());
    busy.query("commit").expect("commit");
    assert!(busy.read_to_end().is_ok());
    assert_eq!(pooler.wait().code(), Some(0), "{}", pooler.log());
}

#[test]
fn who_waits_in_a_pause_does_not_hold_up_the_end() {
    let mut pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    assert_eq!(tag(&mut console, "pause"), "PAUSE");
    let mut held = knock(&pooler.target("postgres", "app"));
    assert!(is_held(&mut held));
    assert_eq!(tag(&mut console, "shutdown wait_for_servers"), "SHUTDOWN");
    assert!(held.read_to_end().is_ok(), "it is told");
    assert_eq!(pooler.wait().code(), Some(0), "{}", pooler.log());
}

/// What TERM and INT mean to PgBouncer from 1.23 on, and with a pgbouncer.ini to us.
#[test]
fn term_waits_for_all_clients_and_int_for_all_servers() {
    for signal in ["TERM", "INT"] {
        let mut pooler = pooler_with(|settings| settings);
        if pooler.is_pgbouncer() {
            return; // Older ones end at once on TERM.
        }
        let mut busy = client(&pooler, "postgres");
        busy.query("begin").expect("begin");
        let mut idle = client(&pooler, "postgres");
        pooler.signal(signal);
        until("the listener to be closed", || {
            Client::login(&pooler.target("postgres", "app"))
                .is_err()
                .then_some(())
        });
        assert_eq!(busy.value("select 1").expect("goes on"), "1");
        if signal == "TERM" {
            assert_eq!(idle.value("select 2").expect("served"), "2");
            busy.query("commit").expect("commit");
            assert_eq!(busy.value("select 3").expect("stays"), "3");
            busy.terminate();
            assert!(pooler.exited().is_none());
            idle.terminate();
        } else {
            assert!(idle.read_to_end().is_ok(), "nothing runs for it");
            assert!(pooler.exited().is_none());
            busy.query("commit").expect("commit");
            assert!(busy.read_to_end().is_ok());
        }
        assert_eq!(pooler.wait().code(), Some(0), "{signal}: {}", pooler.log());
    }
}

#[test]
fn a_second_word_ends_at_once() {
    for (first, second) in [
        ("shutdown wait_for_clients", "TERM"),
        ("shutdown wait_for_servers", "INT"),
        ("shutdown wait_for_clients", "QUIT"),
        ("shutdown wait_for_clients", "shutdown"),
        ("TERM", "TERM"),
        ("TERM", "INT"),
        ("INT", "TERM"),
    ] {
        let mut pooler = pooler_with(|settings| settings);
        if pooler.is_pgbouncer() {
            return;
        }
        let mut console = pooler.console();
        let mut busy = client(&pooler, "postgres");
        busy.query("begin").expect("begin");
        match first {
            "TERM" | "INT" => {
                pooler.signal(first);
                until("it to be heard", || {
                    pooler.log().contains("no further client").then_some(())
                });
            }
            sql => assert_eq!(tag(&mut console, sql), "SHUTDOWN"),
        }
        match second {
            "shutdown" => console.send(&message::query("shutdown")).expect("send"),
            signal => pooler.signal(signal),
        }
        assert!(busy.read_to_end().is_ok());
        let end = pooler.wait();
        assert_eq!(end.code(), Some(0), "{first}, {second}: {}", pooler.log());
    }
}

#[test]
fn shutdown_and_quit_end_at_once() {
    for how in ["shutdown", "QUIT"] {
        let mut pooler = pooler_with(|settings| settings);
        let mut console = pooler.console();
        let mut busy = client(&pooler, "postgres");
        busy.query("begin").expect("begin");
        match how {
            "QUIT" => pooler.signal("QUIT"),
            _ => console.send(&message::query(how)).expect("send"),
        }
        let end = console.read_to_end();
        assert!(!matches!(end, Err(Error::Unexpected(_))));
        assert!(busy.read_to_end().is_ok());
        let status = pooler.wait();
        assert!(
            status.code() == Some(0) || pooler.is_pgbouncer(),
            "{how}: {}",
            pooler.log()
        );
    }
}
