//! Errors of the pooler itself, in PgBouncer's words: the same test can be run of PgBouncer.
//!
//! `PLIMSOLL_E2E_POOLER=/usr/sbin/pgbouncer cargo test … error_texts`

use crate::common::{database, pooler_with, server};
use plimsoll_e2e::pooler::Settings;
use plimsoll_e2e::raw::{Client, Error, Target, message, rows};

/// Code and text of an error.
fn said(result: Result<(), Error>) -> String {
    match result {
        Err(Error::Server(fields)) => format!("{} {}", fields.code(), fields.message()),
        other => format!("{other:?}"),
    }
}

fn login(target: &Target) -> String {
    said(Client::login(target).map(drop))
}

fn query(client: &mut Client, sql: &str) -> String {
    said(client.query(sql).and_then(rows).map(drop))
}

/// How a session that nothing was asked of ended.
fn end_of(client: &mut Client) -> String {
    let messages = client.read_to_end().expect("the session ends");
    let told = messages.iter().rev().find(|m| m.tag == b'E');
    told.map_or("no error".into(), |m| {
        format!("{} {}", m.fields().code(), m.fields().message())
    })
}

#[test]
fn of_a_login() {
    // The method; what is wrong; the error.
    let table = [
        ("md5", "md5_user", "08P01 password authentication failed"),
        ("plain", "md5_user", "08P01 password authentication failed"),
        (
            "scram-sha-256",
            "scram_user",
            "08P01 SASL authentication failed",
        ),
        // Who does not exist is told the same.
        ("md5", "who_is_this", "08P01 password authentication failed"),
        (
            "scram-sha-256",
            "who_is_this",
            "08P01 SASL authentication failed",
        ),
    ];
    for (method, user, error) in table {
        let pooler = pooler_with(|settings| settings.set("auth_type", method));
        let target = pooler.target("app", user).password("wrong");
        assert_eq!(login(&target), error, "{method} {user}");
    }
}

#[test]
fn of_a_start_up_packet() {
    let strict = |settings: Settings| {
        settings
            .set("ignore_startup_parameters", "extra_float_digits")
            .databases(&[&format!("app = host=127.0.0.1 port={}", server().port())])
    };
    let pooler = pooler_with(strict);
    let app = || pooler.target("app", "app");
    let mut unnamed = app();
    unnamed.parameters.retain(|(name, _)| name != "user");
    let mut table = vec![
        (unnamed, "08P01 no username supplied"),
        (
            app().parameter("work_mem", "1MB"),
            "08P01 unsupported startup parameter: work_mem",
        ),
        (
            pooler.target("other", "app"),
            "08P01 no such database: other",
        ),
        (pooler.target("pgbouncer", "app"), "08P01 not allowed"),
    ];
    if !pooler.is_pgbouncer() {
        // Older ones know nothing in them.
        table.push((
            app().parameter("options", "-c work_mem=1MB"),
            "08P01 unsupported startup parameter in options: work_mem",
        ));
        table.push((
            app().parameter("options", "-x"),
            "08P01 unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
        ));
    }
    for (target, error) in table {
        assert_eq!(login(&target), error);
    }
}

#[test]
fn of_a_session() {
    let name = database("error_texts");
    let pooler = pooler_with(|settings| settings.set("pool_mode", "statement"));
    let mut client = Client::login(&pooler.target(&name, "app")).expect("login");
    assert_eq!(
        query(&mut client, "begin"),
        "08P01 transaction blocks not allowed in statement pooling mode"
    );
    let pooler = pooler_with(|settings| {
        settings
            .set("default_pool_size", "1")
            .set("query_timeout", "1")
    });
    let mut holder = Client::login(&pooler.target(&name, "app")).expect("login");
    holder.query("begin").expect("begin");
    let mut waiter = Client::login(&pooler.target(&name, "app")).expect("login");
    assert_eq!(query(&mut waiter, "select 1"), "08P01 query_timeout");
    if pooler.is_pgbouncer() {
        return; // Older ones end who is idle in a transaction, too.
    }
    holder.query("commit").expect("it was idle, and no query");
    assert_eq!(
        query(&mut holder, "select pg_sleep(9)"),
        "08P01 query timeout"
    );
}

#[test]
fn of_an_administrators_command() {
    let name = database("error_texts_kill");
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    let mut killed = Client::login(&pooler.target(&name, "app")).expect("login");
    killed.query("select 1").expect("served");
    console.query(&format!("kill {name}")).expect("an answer");
    assert_eq!(end_of(&mut killed), "08P01 database removed");
    if pooler.is_pgbouncer() {
        return; // Older ones lack what follows.
    }
    console.query(&format!("resume {name}")).expect("an answer");
    let mut one = Client::login(&pooler.target(&name, "app")).expect("login");
    let clients = console.rows("show clients").expect("clients");
    let row = clients.iter().find(|row| row.contains(&name));
    let id = row.and_then(|row| row.last()).expect("an id");
    console
        .query(&format!("kill_client {id}"))
        .expect("an answer");
    assert_eq!(end_of(&mut one), "08P01 admin forced disconnect");
    console
        .query(&format!("disable {name}"))
        .expect("an answer");
    assert_eq!(
        login(&pooler.target(&name, "app")),
        format!("08P01 database \"{name}\" is disabled")
    );
    console.query("enable error_texts_kill").expect("an answer");
    let mut last = Client::login(&pooler.target(&name, "app")).expect("login");
    console.send(&message::query("shutdown")).expect("sends");
    // PgBouncer just closes: drivers know that better than its 08P01.
    assert_eq!(end_of(&mut last), "no error");
}
