//! What someone who puts Plimsoll in PgBouncer's place meets first.

use crate::common::{database, pool_mode, pooler_with, server, skip};
use plimsoll_e2e::pooler::user_line;
use plimsoll_e2e::raw::{Client, cancel, message};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::PASSWORD;

#[test]
fn the_owner_of_the_process_enters_the_console_by_unix_socket() {
    let pooler = pooler_with(|settings| settings.set("auth_type", "scram-sha-256"));
    if pooler.is_pgbouncer() {
        return skip("the owner", "PgBouncer may run as another user here");
    }
    let mut console = Client::login(&pooler.unix_target("pgbouncer", "pgbouncer"))
        .unwrap_or_else(|error| panic!("{error}"));
    console.rows("reload").expect("an administrator");
    // Not by TCP, not under another name, not to another database.
    for target in [
        pooler.target("pgbouncer", "pgbouncer"),
        pooler.unix_target("pgbouncer", "app"),
        pooler.unix_target("app", "pgbouncer"),
    ] {
        assert!(Client::login(&target).is_err(), "{target:?}");
    }
}

#[test]
fn a_client_too_many_is_told_why_after_its_ssl_request_and_may_still_cancel() {
    let pooler = pooler_with(|settings| settings.set("max_client_conn", "3"));
    if pooler.is_pgbouncer() {
        return skip("a client too many", "another count of clients");
    }
    let target = pooler.target("app", "app");
    let mut clients: Vec<Client> = (0..3)
        .map(|n| Client::login(&target).unwrap_or_else(|error| panic!("client {n}: {error}")))
        .collect();
    // libpq shows an error that comes in place of the answer to SSLRequest without its text.
    let mut fourth = Client::connect(&target).expect("connect");
    fourth.send(&message::ssl_request()).expect("send");
    assert_eq!(fourth.read_byte().expect("an answer"), b'N');
    let parameters = [("user", "app"), ("database", "app")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    fourth
        .send(&message::startup(3 << 16, &parameters))
        .expect("send");
    let refusal = fourth.read_to_end().expect("an error");
    let fields = refusal.first().expect("a message").fields();
    assert!(fields.message().contains("max_client_conn"), "{fields}");

    clients[0]
        .send(&message::query("select pg_sleep(60) /* one_too_many */"))
        .expect("send");
    until("the statement to run", || {
        let running = "select count(*) from pg_stat_activity where state = 'active' \
            and query like '%one_too_many%' and pid <> pg_backend_pid()";
        (server().sql("postgres", running)[0][0] != "0").then_some(())
    });
    cancel(&target, &clients[0].cancel_request()).expect("cancel");
    let answer = clients[0].read_to_ready().expect("answer");
    let error = plimsoll_e2e::raw::rows(answer).expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
    let console = Client::login(&pooler.target("pgbouncer", "admin"));
    assert!(console.is_ok(), "an administrator comes in");
}

#[test]
fn the_next_host_is_taken_where_one_does_not_answer() {
    let port = server().port();
    // Nothing listens at the first: PostgreSQL has 127.0.0.1 only.
    let lines = [
        format!("turns = host=127.0.0.77,127.0.0.1 port={port} dbname=app"),
        format!(
            "ordered = host=no-such-host.invalid,127.0.0.1 port={port} dbname=app load_balance_hosts=disable"
        ),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let pooler = pooler_with(|settings| settings.databases(&lines));
    for name in ["turns", "ordered"] {
        for _ in 0..2 {
            let mut client = Client::login(&pooler.target(name, "app"))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(client.value("select 1").expect(name), "1");
        }
    }
    // A cancel request goes to the host that the statement runs on.
    let target = pooler.target("turns", "app");
    let mut client = Client::login(&target).expect("login");
    client
        .send(&message::query("select pg_sleep(60) /* which_host */"))
        .expect("send");
    until("the statement to run", || {
        let running = "select count(*) from pg_stat_activity where state = 'active' \
            and query like '%which_host%' and pid <> pg_backend_pid()";
        (server().sql("postgres", running)[0][0] != "0").then_some(())
    });
    cancel(&target, &client.cancel_request()).expect("cancel");
    let answer = client.read_to_ready().expect("answer");
    let error = plimsoll_e2e::raw::rows(answer).expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
}

#[test]
fn a_database_has_its_own_auth_query_and_user() {
    server().sql(
        "app",
        "create schema if not exists own; create or replace function own.lookup(n text) returns table (u name, p text)
         language sql security definer as 'select usename, passwd from pg_shadow where usename = n'",
    );
    let base = format!("host=127.0.0.1 port={} dbname=app", server().port());
    let lines = [
        format!("asks = {base} auth_user=app auth_query='select u, p from own.lookup($1)'"),
        format!("other = {base} auth_user=app auth_query='select n, null from (values ($1)) t(n)'"),
        format!("silent = {base}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let pooler = pooler_with(|settings| {
        settings
            .set("auth_type", "scram-sha-256")
            .databases(&lines)
            .userlist(&[user_line("app", PASSWORD)])
    });
    let login = |database: &str| {
        let target = pooler.target(database, "scram_user").password(PASSWORD);
        Client::login(&target).and_then(|mut client| client.value("select current_user"))
    };
    assert_eq!(login("asks").expect("found"), "scram_user");
    // What one database's query says opens no other database.
    assert!(login("other").is_err());
    assert!(login("silent").is_err());
}

#[test]
fn set_in_the_console_lasts_until_the_file_is_read_again() {
    let mut pooler = pooler_with(|settings| settings.set("default_pool_size", "7"));
    let mut console = pooler.console();
    let size = |console: &mut Client| {
        let rows = console.rows("show config").expect("config");
        let row = rows.iter().find(|row| row[0] == "default_pool_size");
        row.expect("the key")[1].clone()
    };
    console.rows("SET default_pool_size = 5").expect("set");
    assert_eq!(size(&mut console), "5");
    for wrong in ["SET default_pool_size = many", "SET no_such_key = 1"] {
        console.rows(wrong).expect_err(wrong);
    }
    assert_eq!(size(&mut console), "5");
    if pooler.is_pgbouncer() {
        return;
    }
    // What only a restart changes is kept and named; the rest of the file holds.
    pooler.rewrite(|settings| {
        settings.keys.insert("listen_backlog".into(), "77".into());
        settings.keys.insert("default_pool_size".into(), "9".into());
    });
    let notes = console.query("reload").expect("reload");
    let note = notes.iter().find(|message| message.tag == b'N');
    let note = note.expect("a notice").fields();
    assert!(note.message().contains("listen.backlog"), "{note}");
    assert_eq!(size(&mut console), "9");
}

/// Drivers keep prepared statements, and what they were told of their results. After DDL they need the server's
/// 0A000, as often as there are clients, or they would read rows of another shape.
#[test]
fn every_client_learns_that_its_statement_has_other_columns_now() {
    if pool_mode() == "session" {
        return skip("other columns", "about sharing connections");
    }
    let name = database("takeover_ddl");
    server().sql(
        &name,
        "create table shapes (a int); insert into shapes values (1)",
    );
    let pooler = pooler_with(|settings| settings);
    let target = pooler.target(&name, "app");
    let run = |client: &mut Client, prepare: bool| -> Result<Vec<Vec<String>>, String> {
        let mut bytes = Vec::new();
        if prepare {
            bytes.extend(message::of_kind(b'C', b'S', "kept"));
            bytes.extend(message::parse("kept", "select * from shapes", &[]));
        }
        bytes.extend(message::bind("", "kept", &[], &[], &[]));
        bytes.extend(message::execute("", 0));
        bytes.extend(message::empty(b'S'));
        client.send(&bytes).expect("send");
        plimsoll_e2e::raw::rows(client.read_to_ready().expect("ready"))
            .map_err(|error| error.code().to_owned())
    };
    let mut clients: Vec<Client> = (0..4)
        .map(|_| Client::login(&target).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    for client in &mut clients {
        assert_eq!(run(client, true).expect("rows"), [["1"]]);
    }
    // By a client of ours; then past us, so that nothing but the server's error tells.
    clients[0]
        .query("alter table shapes add column b int default 2")
        .expect("alter");
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(run(client, false), Err("0A000".into()), "client {n}");
        assert_eq!(run(client, true).expect("rows"), [["1", "2"]], "client {n}");
    }
    server().sql(&name, "alter table shapes alter column a type text");
    for (n, client) in clients.iter_mut().enumerate() {
        let first = run(client, false);
        assert_eq!(first, Err("0A000".into()), "client {n}");
        assert_eq!(run(client, true).expect("rows"), [["1", "2"]], "client {n}");
    }
}
