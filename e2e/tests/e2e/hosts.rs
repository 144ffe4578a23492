//! Databases with several hosts: which of them serves, by what each is.

use crate::common::skip;
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;
use std::time::Duration;

const PRIMARY: &str = "127.0.0.2";
const STANDBY: &str = "127.0.0.3";
const ATTRS: [&str; 5] = ["any", "read-write", "read-only", "primary", "standby"];

/// A pooler with a database for each kind of server, of the same two hosts.
fn pooler(primary: &Server, order: &str) -> Pooler {
    let port = primary.port();
    let line = |attrs: &&str| {
        format!(
            "{} = host={order} port={port} dbname=app target_session_attrs={attrs}",
            attrs.replace('-', "_")
        )
    };
    let lines: Vec<String> = ATTRS.iter().map(line).collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let stays = format!("stays = host={order} port={port} dbname=app load_balance_hosts=disable");
    lines.push(&stays);
    Pooler::start(
        Settings::for_server(primary)
            .databases(&lines)
            .set("server_login_retry", "15")
            .set("query_wait_timeout", "30"),
    )
}

/// Whether the server that serves this database is a standby; or why nobody serves it.
fn recovers(pooler: &Pooler, database: &str) -> Result<bool, String> {
    let target = pooler.target(database, "app");
    let asked = Client::login(&target)
        .and_then(|mut client| client.value("select pg_is_in_recovery()"))
        .map_err(|error| error.to_string())?;
    Ok(asked == "t")
}

fn renew(pooler: &Pooler) {
    pooler.console().rows("reconnect").expect("reconnect");
}

#[test]
fn a_database_is_served_by_the_kind_of_server_that_it_asks_for() {
    let mut primary = Server::start_at(PRIMARY, &[]);
    let standby = primary.standby_at(STANDBY);
    // The wrong one first, whatever is asked for.
    for order in [[PRIMARY, STANDBY], [STANDBY, PRIMARY]] {
        let pooler = pooler(&primary, &order.join(","));
        if pooler.is_pgbouncer() {
            return skip("kinds of servers", "since PgBouncer 1.26");
        }
        for _ in 0..4 {
            for (database, standby) in [
                ("read_write", false),
                ("primary", false),
                ("read_only", true),
                ("standby", true),
            ] {
                assert_eq!(
                    recovers(&pooler, database),
                    Ok(standby),
                    "{order:?}: {database}"
                );
            }
            renew(&pooler);
        }
        let found: Vec<bool> = (0..4)
            .map(|_| {
                renew(&pooler);
                recovers(&pooler, "any").expect("served")
            })
            .collect();
        assert!(
            found.contains(&true) && found.contains(&false),
            "{order:?}: each in its turn"
        );
        let rows = pooler.console().rows("show databases").expect("databases");
        for row in rows.iter().filter(|row| row[3] == "app") {
            let word = if row[0] == "stays" {
                "disable"
            } else {
                "round-robin"
            };
            assert_eq!(row[10], word, "{row:?}");
        }
    }
    // The primary goes, and the standby takes its place.
    let pooler = pooler(&primary, &format!("{PRIMARY},{STANDBY}"));
    assert_eq!(recovers(&pooler, "primary"), Ok(false));
    assert_eq!(recovers(&pooler, "stays"), Ok(false));
    let mut waits = Client::login(&pooler.target("primary", "app")).expect("login");
    primary.stop("QUIT");
    waits
        .send(&plimsoll_e2e::raw::message::query(
            "select pg_is_in_recovery()",
        ))
        .expect("sent");
    // Nobody serves it now: who waits goes on waiting.
    let early = waits
        .read_within(Duration::from_millis(1500))
        .expect("open");
    assert!(early.is_none(), "{early:?}");
    standby.promote();
    let answer = plimsoll_e2e::raw::rows(waits.read_to_ready().expect("served"));
    assert_eq!(answer.expect("an answer"), [["f"]]);
    until("the other host to serve", || {
        recovers(&pooler, "stays").ok()
    });
    assert_eq!(recovers(&pooler, "read_write"), Ok(false));
    // No standby is left: who asks for one is told, and told why.
    // Each host in its turn: the other one is down.
    until("the reason", || {
        let error = recovers(&pooler, "standby").expect_err("no standby");
        error.contains("target_session_attrs=standby").then_some(())
    });
    assert!(pooler.log().contains("server_unfit"), "{}", pooler.log());
}
