//! Habits of PgBouncer that its own test suite relies on, and so do people.

use crate::common::{alone, database, pooler_with, server};
use plimsoll_e2e::pooler::{Pooler, user_line};
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::PASSWORD;
use std::time::{Duration, Instant};

fn said(result: Result<Client, Error>) -> String {
    match result {
        Ok(_) => "in".into(),
        Err(Error::Server(fields)) => format!("{} {}", fields.code(), fields.message()),
        Err(other) => format!("{other:?}"),
    }
}

fn login(target: &Target) -> String {
    said(Client::login(target))
}

/// The column of that name, by the first row that has `of` in it.
fn cell(console: &mut Client, table: &str, of: &str, column: &str) -> String {
    let messages = console.query(&format!("show {table}")).expect("a table");
    let names = messages
        .iter()
        .find(|m| m.tag == b'T')
        .map(|m| m.column_names())
        .expect("columns");
    let at = names.iter().position(|name| name == column).expect(column);
    let rows = plimsoll_e2e::raw::rows(messages).expect("rows");
    let row = rows.iter().find(|row| row.iter().any(|cell| cell == of));
    row.unwrap_or_else(|| panic!("{of} in {rows:?}"))[at].clone()
}

#[test]
fn a_later_connection_has_the_larger_number() {
    let name = database("in_place_ids");
    let pooler = pooler_with(|s| s);
    let mut console = pooler.console();
    let first: u64 = cell(&mut console, "clients", "admin", "id")
        .parse()
        .expect("a number");
    for n in 0..2 {
        let mut client = Client::login(&pooler.target(&name, "app")).expect("login");
        client.query("select 1").expect("served");
        // The client, and with the first of them the server connection.
        let id: u64 = cell(&mut console, "clients", &name, "id")
            .parse()
            .expect("a number");
        assert_eq!(id, first + 1 + 2 * n);
        let server: u64 = cell(&mut console, "servers", &name, "id")
            .parse()
            .expect("a number");
        assert_eq!(server, first + 2);
        drop(client);
        until("the client has left", || {
            let rows = console.rows("show clients").expect("clients");
            (!rows.iter().any(|row| row.contains(&name))).then_some(())
        });
    }
}

#[test]
fn who_is_in_users_alone_is_nobody() {
    let line = format!(
        "app = host=127.0.0.1 port={} dbname=postgres",
        server().port()
    );
    let look_ups = format!("{line} auth_user=postgres");
    let pooler = pooler_with(|s| {
        let mut s = s
            .set(
                "auth_query",
                "select usename, 'md5' from pg_user where usename = $1",
            )
            .databases(&[&line, &look_ups.replacen("app", "asked", 1)])
            .userlist(&[
                user_line("postgres", PASSWORD),
                user_line("admin", PASSWORD),
            ]);
        s.users = vec!["app = pool_size=1".into()];
        s
    });
    assert_eq!(
        login(&pooler.target("app", "app")),
        "08P01 \"trust\" authentication failed"
    );
    assert_eq!(login(&pooler.target("asked", "app")), "in");
    assert_eq!(
        login(&pooler.target("asked", "who_is_this")),
        "08P01 no such user"
    );
}

#[test]
fn a_look_up_that_no_database_can_do_says_so() {
    let at = |name: &str, more: &str| {
        format!(
            "{name} = host=127.0.0.1 port={} dbname=postgres {more}",
            server().port()
        )
    };
    let pooler = pooler_with(|s| {
        s.set("auth_user", "postgres")
            .set("auth_type", "md5")
            .databases(&[
                &at("lost", "auth_dbname=nowhere"),
                &at("console", "auth_dbname=pgbouncer"),
                &at("other", "auth_dbname=users"),
                &at("users", ""),
                &at(
                    "broken",
                    "auth_query='select a, b from no_such_table where c = $1'",
                ),
            ])
    });
    let as_stranger = |database: &str| login(&pooler.target(database, "stranger").password("x"));
    assert_eq!(as_stranger("lost"), "08P01 bouncer config error");
    assert_eq!(as_stranger("console"), "08P01 bouncer config error");
    assert_eq!(as_stranger("pgbouncer"), "08P01 bouncer config error");
    assert_eq!(as_stranger("broken"), "08P01 bouncer config error");
    assert_eq!(as_stranger("other"), "08P01 no such user");
    let mut console = Client::login(&pooler.target("pgbouncer", "admin").password(PASSWORD))
        .expect("the console");
    console.query("disable users").expect("disabled");
    // Whose secret was just learned is not asked for again.
    assert_eq!(
        login(&pooler.target("other", "another").password("x")),
        "08P01 authentication database \"users\" is disabled"
    );
    let log = pooler.log();
    for line in [
        "authentication database \"nowhere\" is not configured",
        "cannot use the reserved \"pgbouncer\" database as an auth_dbname",
        "\"no_such_table\" does not exist",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    let refused = console.rows("set auth_dbname = pgbouncer");
    assert!(matches!(refused, Err(Error::Server(_))), "{refused:?}");
}

#[test]
fn limits_on_clients_hold_in_the_console_but_for_administrators() {
    let pooler = pooler_with(|s| s.set("max_db_client_connections", "2"));
    let stats = || Client::login(&pooler.target("pgbouncer", "stats"));
    let _one = stats().expect("the first");
    let two = stats().expect("the second");
    assert_eq!(
        said(stats()),
        "08P01 client connections exceeded (max_db_client_connections)"
    );
    let mut console = pooler.console();
    assert_eq!(
        cell(
            &mut console,
            "databases",
            "pgbouncer",
            "max_client_connections"
        ),
        "2"
    );
    drop((two, console));
    let again = until("there is room again", || stats().ok());
    drop(again);
}

#[test]
fn a_minimum_is_there_before_the_first_client_where_the_user_is_known() {
    let name = database("in_place_warm");
    let at = |key: &str, more: &str| {
        format!(
            "{key} = host=127.0.0.1 port={} dbname={name} min_pool_size=2 {more}",
            server().port()
        )
    };
    let _pooler = pooler_with(|s| {
        s.set("default_pool_size", "3").databases(&[
            &at("warm", "user=app"),
            // Whose connections would it keep?
            &at("cold", ""),
        ])
    });
    let count = format!("select count(*) from pg_stat_activity where datname = '{name}'");
    until("two connections", || {
        (server().sql("postgres", &count)[0][0] == "2").then_some(())
    });
}

#[test]
fn who_waits_for_a_refused_login_is_told_what_the_server_said() {
    let line = format!(
        "app = host=127.0.0.1 port={} dbname=in_place_is_missing",
        server().port()
    );
    let pooler = pooler_with(|s| s.set("server_login_retry", "15").databases(&[&line]));
    assert_eq!(
        login(&pooler.target("app", "app")),
        "3D000 database \"in_place_is_missing\" does not exist"
    );
    let later = login(&pooler.target("app", "app"));
    assert!(
        later.starts_with("08P01 server login has been failing, cached error: "),
        "{later}"
    );
    server().sql("postgres", "create database in_place_is_missing owner app");
    assert!(login(&pooler.target("app", "app")).starts_with("08P01 server login has been failing"));
    // Whoever changes a setting may have mended it: the next client finds out.
    pooler.console().query("reload").expect("reloaded");
    assert_eq!(login(&pooler.target("app", "app")), "in");
}

/// Whether the process has a listener for TCP still.
fn refused_at_the_door(pooler: &Pooler) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", pooler.port())).is_err()
}

#[test]
fn the_console_stays_by_the_unix_socket_until_the_end() {
    let name = database("in_place_end");
    for how in ["WAIT_FOR_CLIENTS", "WAIT_FOR_SERVERS"] {
        let mut pooler = pooler_with(|s| s);
        let mut client = Client::login(&pooler.target(&name, "app")).expect("login");
        client.query("begin").expect("begins");
        pooler
            .console()
            .query(&format!("shutdown {how}"))
            .expect("begun");
        until("TCP is closed", || {
            refused_at_the_door(&pooler).then_some(())
        });
        let mut console = Client::login(&pooler.unix_target("pgbouncer", "admin"))
            .unwrap_or_else(|e| panic!("{how}: {e:?}"));
        console.query("show pools").expect("pools");
        assert_eq!(
            login(&pooler.unix_target(&name, "app")),
            "08P01 pooler is shutting down"
        );
        let resumed = console.rows("resume").expect_err("it ends");
        assert_eq!(said(Err(resumed)), "08P01 pooler is shutting down", "{how}");
        client
            .query("commit")
            .expect("its transaction ends as it wants");
        client.terminate();
        assert!(pooler.wait().success());
    }
}

#[test]
fn sessions_keep_their_server_in_an_end_that_waits_for_servers() {
    let mut pooler = pooler_with(|s| s.set("pool_mode", "session"));
    let mut client = Client::login(&pooler.target("postgres", "app")).expect("login");
    client.query("select 1").expect("served");
    pooler.signal("INT");
    until("TCP is closed", || {
        refused_at_the_door(&pooler).then_some(())
    });
    client.query("select 2").expect("its session goes on");
    // A second signal ends at once, and says nothing: drivers know a connection that just closes.
    pooler.signal("INT");
    let left = client.read_to_end().expect("the end");
    assert!(left.is_empty(), "{left:?}");
    assert!(pooler.wait().success());
}

#[test]
fn known_options_are_followed_where_the_others_are_ignored() {
    let pooler = pooler_with(|s| s.set("ignore_startup_parameters", "options"));
    let target = pooler
        .target("postgres", "app")
        .parameter("options", "-c enable_seqscan=off -c timezone=Europe/Lisbon");
    let mut client = Client::login(&target).expect("login");
    assert_eq!(
        client.value("show timezone").expect("a value"),
        "Europe/Lisbon"
    );
    assert_eq!(client.value("show enable_seqscan").expect("a value"), "on");
}

#[test]
fn a_reload_that_fails_says_it_in_pgbouncer_s_words_with_the_place_beside_it() {
    let pooler = pooler_with(|s| s);
    let broken = pooler
        .text()
        .replace("default_pool_size = 2", "default_pool_size = many");
    pooler.write_raw(&broken);
    let mut console = pooler.console();
    let failed = console.rows("reload").expect_err("it fails");
    let Error::Server(fields) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(fields.code(), "F0000");
    assert_eq!(
        fields.message(),
        "RELOAD failed, see logs for additional details"
    );
    let detail = fields.field(b'D');
    assert!(detail.contains("default_pool_size = many"), "{detail}");
}

#[test]
fn small_buffers_do_not_stall_large_results() {
    let _alone = alone();
    let pooler = pooler_with(|s| s.set("tcp_socket_buffer", "4096"));
    let mut client = Client::login(&pooler.target("postgres", "app")).expect("login");
    let begun = Instant::now();
    let rows = client
        .rows("select repeat('x', 1000) from generate_series(1, 2000)")
        .expect("rows");
    assert_eq!(rows.len(), 2000);
    // With buffers that were set behind the connect, and writes of any size, 40 KB came in a second.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
