//! Keys of a pgbouncer.ini that no other topic names: what each does, with PgBouncer's texts and codes.

use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::{Backend, Client, Error, cancel, message, rows};
use plimsoll_e2e::sandbox::until;
use std::io::{Read as _, Write as _, copy};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

fn login(pooler: &Pooler, database: &str, user: &str) -> Client {
    Client::login(&pooler.target(database, user))
        .unwrap_or_else(|e| panic!("{e}\n{}", pooler.log()))
}

/// Code and text of the error with which a session ended.
fn end_of(client: &mut Client) -> String {
    let messages = client.read_to_end().expect("the session ends");
    let told = messages.iter().rev().find(|m| m.tag == b'E');
    told.map_or("no error".to_owned(), said)
}

fn said(error: &Backend) -> String {
    format!("{} {}", error.fields().code(), error.fields().message())
}

fn refusal(result: Result<Vec<Backend>, Error>) -> String {
    match result.and_then(rows) {
        Err(Error::Server(fields)) => format!("{} {}", fields.code(), fields.message()),
        other => format!("{other:?}"),
    }
}

#[test]
fn timeouts_of_clients_in_general_and_of_one_user() {
    // The key; what the client does before it is silent; the error.
    let table = [
        (
            "query_timeout",
            vec!["select pg_sleep(60)"],
            "query timeout",
        ),
        (
            "idle_transaction_timeout",
            vec!["begin"],
            "idle transaction timeout",
        ),
        (
            "transaction_timeout",
            vec!["begin", "select pg_sleep(60)"],
            "transaction timeout",
        ),
        ("client_idle_timeout", vec![], "client_idle_timeout"),
    ];
    for (key, statements, text) in table {
        for of_user in [false, true] {
            let pooler = pooler_with(|mut settings| match of_user {
                false => settings.set(key, "1"),
                true => {
                    settings.users = vec![format!("app = {key}=1")];
                    settings.set(key, "100")
                }
            });
            let mut other = login(&pooler, "app", "postgres");
            if of_user {
                other.query("begin").expect("another user");
            }
            let mut client = login(&pooler, "app", "app");
            for sql in &statements {
                client.send(&message::query(sql)).expect("send");
                if *sql == "begin" {
                    client.read_to_ready().expect("begin");
                }
            }
            let end = end_of(&mut client);
            assert_eq!(end, format!("08P01 {text}"), "{key}, of a user: {of_user}");
            if of_user {
                other
                    .query("commit")
                    .expect("the general timeout holds for others");
            }
        }
    }
}

#[test]
fn a_lifetime_of_zero_is_one_use() {
    let name = database("settings_once");
    let line = |alias: &str, more: &str| {
        format!(
            "{alias} = host=127.0.0.1 port={} dbname={name} {more}",
            server().port()
        )
    };
    let pids = |pooler: &Pooler, database: &str| {
        let mut client = login(pooler, database, "app");
        let mut pids: Vec<String> = (0..3)
            .map(|_| client.value("select pg_backend_pid()").expect("pid"))
            .collect();
        pids.dedup();
        pids.len()
    };
    let one = pooler_with(|settings| {
        settings.databases(&[&line("once", "server_lifetime=0"), &line("kept", "")])
    });
    assert_eq!(pids(&one, "once"), 3, "of one database");
    assert_eq!(pids(&one, "kept"), 1);
    drop(one);
    let all = pooler_with(|settings| {
        settings
            .set("server_lifetime", "0")
            .databases(&[&line("once", ""), &line("kept", "server_lifetime=60")])
    });
    assert_eq!(pids(&all, "once"), 3, "of all");
    assert_eq!(pids(&all, "kept"), 1);
}

#[test]
fn server_connections_end_by_age_and_when_idle() {
    let name = database("settings_ends");
    for key in ["server_lifetime", "server_idle_timeout"] {
        let pooler = pooler_with(|settings| settings.set(key, "1"));
        let mut client = login(&pooler, &name, "app");
        client.query("select 1").expect("served");
        until(key, || (server().connections(&name) == 0).then_some(()));
        assert_eq!(client.value("select 2").expect("served again"), "2");
    }
}

#[test]
fn connections_are_kept_open_up_to_the_minimum() {
    let name = database("settings_min");
    let pooler = pooler_with(|settings| {
        settings
            .set("default_pool_size", "5")
            .set("min_pool_size", "3")
    });
    let mut client = login(&pooler, &name, "app");
    client.query("select 1").expect("served");
    until("three connections", || {
        (server().connections(&name) == 3).then_some(())
    });
}

#[test]
fn a_reserve_serves_who_waited_long_enough() {
    let pooler = pooler_with(|settings| {
        settings
            .set("default_pool_size", "1")
            .set("reserve_pool_size", "1")
            .set("reserve_pool_timeout", "1")
    });
    let mut holder = login(&pooler, "app", "app");
    holder.query("begin").expect("begin");
    let mut waiter = login(&pooler, "app", "app");
    let start = Instant::now();
    assert_eq!(
        waiter.value("select 1").expect("served by the reserve"),
        "1"
    );
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(700), "{waited:?}");
    holder.query("commit").expect("commit");
}

#[test]
fn limits_over_all_users_and_over_all_databases() {
    let (one, two) = (database("settings_cap_a"), database("settings_cap_b"));
    // The limit; who holds the one connection, and who finds none.
    let table = [
        (
            "max_db_connections",
            (one.as_str(), "app"),
            (one.as_str(), "postgres"),
        ),
        (
            "max_user_connections",
            (one.as_str(), "app"),
            (two.as_str(), "app"),
        ),
    ];
    for (key, holds, waits) in table {
        let pooler = pooler_with(|settings| settings.set(key, "1").set("query_wait_timeout", "1"));
        // Both logins come before either holds anything.
        let mut holder = login(&pooler, holds.0, holds.1);
        holder.query("select 1").expect("served");
        let mut waiter = login(&pooler, waits.0, waits.1);
        waiter
            .query("select 1")
            .expect("the idle connection makes room");
        holder.query("begin").expect("begin");
        let refused = refusal(waiter.query("select 1"));
        assert_eq!(refused, "08P01 query_wait_timeout", "{key}");
        holder.query("commit").expect("the holder is undisturbed");
    }
}

#[test]
fn a_session_may_end_with_its_transaction_where_its_server_is_to_be_replaced() {
    for fast in [true, false] {
        let pooler = pooler_with(|settings| {
            settings
                .set("pool_mode", "session")
                .set("server_fast_close", if fast { "1" } else { "0" })
        });
        let mut client = login(&pooler, "app", "app");
        client.query("begin").expect("served");
        pooler.console().query("reconnect").expect("an answer");
        assert_eq!(client.value("select 1").expect("goes on"), "1");
        client.query("commit").expect("commit");
        if fast {
            assert_eq!(end_of(&mut client), "08P01 database configuration changed");
        } else {
            let quiet = client.read_within(Duration::from_millis(1500));
            assert!(quiet.expect("no end").is_none());
            assert_eq!(client.value("select 2").expect("stays"), "2");
        }
    }
}

#[test]
fn simple_queries_can_be_forbidden() {
    let pooler = pooler_with(|settings| settings.set("disable_pqexec", "1"));
    let mut client = login(&pooler, "app", "app");
    let mut batch = message::parse("", "select 1", &[]);
    batch.extend(message::bind("", "", &[], &[], &[]));
    batch.extend(message::execute("", 0));
    batch.extend(message::empty(b'S'));
    client.send(&batch).expect("send");
    client.read_to_ready().expect("served");
    assert_eq!(
        refusal(client.query("select 1; drop table users")),
        "08P01 PQexec disallowed"
    );
    if !pooler.is_pgbouncer() {
        assert!(pooler.console().rows("show version").is_ok());
    }
}

#[test]
fn who_waits_is_told_once() {
    let pooler = pooler_with(|settings| {
        settings
            .set("default_pool_size", "1")
            .set("query_wait_notify", "1")
    });
    let mut holder = login(&pooler, "app", "app");
    holder.query("begin").expect("begin");
    let mut waiter = login(&pooler, "app", "app");
    waiter.send(&message::query("select 1")).expect("send");
    let notice = waiter.read().expect("a notice");
    assert_eq!(notice.tag, b'N');
    let text = "No server connection available in postgres backend, client being queued";
    assert_eq!(notice.fields().message(), text);
    holder.query("commit").expect("commit");
    waiter.read_to_ready().expect("served");
}

#[test]
fn queries_of_our_own_at_servers_run_when_they_should() {
    let name = database("settings_own_queries");
    let mut direct = Client::login(&server().target(&name, "app")).expect("login");
    direct
        .query("create sequence checks; create sequence connects")
        .expect("sequences");
    let line = format!(
        "shop = host=127.0.0.1 port={} dbname={name} connect_query='select nextval(''connects'')'",
        server().port()
    );
    let pooler = pooler_with(|settings| {
        settings
            .set("server_check_delay", "0")
            .set("server_check_query", "select nextval('checks')")
            .databases(&[&line])
    });
    let mut client = login(&pooler, "shop", "app");
    for _ in 0..3 {
        client.query("select 1").expect("served");
    }
    let mut value = |of: &str| {
        let text = direct
            .value(&format!("select last_value from {of}"))
            .expect("value");
        text.parse::<u32>().expect("a number")
    };
    assert_eq!(value("connects"), 1, "once for the one connection");
    assert!(value("checks") >= 2, "{}", value("checks"));
}

#[test]
fn an_application_name_says_where_it_comes_from() {
    let pooler = pooler_with(|settings| settings.set("application_name_add_host", "1"));
    for (given, shown) in [(Some("shop"), "shop"), (None, "app")] {
        let mut target = pooler.target("app", "app");
        if let Some(name) = given {
            target = target.parameter("application_name", name);
        }
        let mut client = Client::login(&target).expect("login");
        let name = client.value("show application_name").expect("name");
        let port = name.strip_prefix(&format!("{shown} - 127.0.0.1:"));
        let port = port.unwrap_or_else(|| panic!("{name}"));
        let clients = pooler.console().rows("show clients").expect("clients");
        assert!(
            clients.iter().any(|row| row.contains(&port.to_owned())),
            "{name}: {clients:?}"
        );
    }
}

#[test]
fn further_start_up_parameters_are_let_in_where_they_are_tracked() {
    let strict = |settings: Settings| settings.set("ignore_startup_parameters", "");
    let tracked = pooler_with(|settings| {
        strict(settings).set("track_extra_parameters", "search_path, IntervalStyle")
    });
    let untracked = pooler_with(strict);
    for (name, value, what) in [
        (
            "search_path",
            "pg_catalog",
            "unsupported startup parameter: search_path",
        ),
        (
            "options",
            "-c search_path=pg_catalog",
            "unsupported startup parameter in options: search_path",
        ),
    ] {
        let mut client = Client::login(&tracked.target("app", "app").parameter(name, value))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            client.value("show search_path").expect("value"),
            "pg_catalog"
        );
        let refused = Client::login(&untracked.target("app", "app").parameter(name, value));
        let refused = refused.err().expect("refused");
        assert_eq!(refused.code(), "08P01");
        assert!(refused.to_string().contains(what), "{refused}");
    }
    let style = untracked
        .target("app", "app")
        .parameter("IntervalStyle", "iso_8601");
    let mut client = Client::login(&style).expect("it is tracked anyway");
    assert_eq!(
        client.value("show intervalstyle").expect("value"),
        "iso_8601"
    );
}

#[test]
fn the_log_has_statistics_and_the_poolers_errors() {
    let line = format!("app = host=127.0.0.1 port={}", server().port());
    for (on, key) in [("1", true), ("0", false)] {
        let pooler = pooler_with(|settings| {
            settings
                .set("log_stats", on)
                .set("log_pooler_errors", on)
                .set("stats_period", "1")
                .databases(&[&line])
        });
        let mut client = login(&pooler, "app", "app");
        let missing = Client::login(&pooler.target("missing", "app"));
        assert!(missing.is_err(), "there is no such database");
        // Two periods pass: the averages of the second are those of the first.
        let mut console = pooler.console();
        until("a transaction in the averages", || {
            client.query("select 1").expect("served");
            let rows = console.rows("show stats_averages").expect("averages");
            rows.iter()
                .any(|r| r[0] == "app" && r[2] != "0")
                .then_some(())
        });
        if key {
            until("both lines", || {
                let log = pooler.log();
                let stats = log.contains("stats: ") && log.contains(" xacts/s, ");
                (stats && log.contains("pooler error: no such database: missing")).then_some(())
            });
        } else {
            let log = pooler.log();
            assert!(
                !log.contains("xacts/s") && !log.contains("pooler error"),
                "{log}"
            );
        }
    }
}

/// A way to the shared server on which cancel requests are never answered.
fn without_cancels() -> u16 {
    const CANCEL: u32 = 80_877_102;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for client in listener.incoming().take(16) {
            let mut client = client.expect("accept");
            let mut head = [0; 8];
            if client.read_exact(&mut head).is_err() {
                continue;
            }
            if head[4..] == CANCEL.to_be_bytes() {
                kept.push(client);
                continue;
            }
            let mut server = TcpStream::connect(("127.0.0.1", server().port())).expect("connect");
            server.write_all(&head).expect("pass on");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().expect("a"), to.try_clone().expect("b"));
                std::thread::spawn(move || copy(&mut from, &mut to));
            }
        }
    });
    port
}

#[test]
fn a_cancel_request_that_nobody_takes_is_given_up() {
    let line = format!("app = host=127.0.0.1 port={}", without_cancels());
    let pooler = pooler_with(|settings| {
        settings
            .databases(&[&line])
            .set("default_pool_size", "1")
            .set("server_tls_sslmode", "disable")
            .set("cancel_wait_timeout", "1")
    });
    let mut client = login(&pooler, "app", "app");
    let request = client.cancel_request();
    client
        .send(&message::query("select pg_sleep(4)"))
        .expect("send");
    until("the query runs", || {
        let rows = pooler.console().rows("show servers").expect("servers");
        rows.iter()
            .any(|row| row.contains(&"active".to_owned()))
            .then_some(())
    });
    let start = Instant::now();
    cancel(&pooler.target("app", "app"), &request).expect("closed");
    let waited = start.elapsed();
    assert!(
        (Duration::from_millis(500)..Duration::from_secs(6)).contains(&waited),
        "{waited:?}"
    );
    client.read_to_ready().expect("the query is undisturbed");
}

#[test]
fn the_unix_socket_has_the_group_of_the_settings() {
    if !we_are_root() {
        return skip("unix_socket_group", "only root gives files to any group");
    }
    let pooler = pooler_with(|settings| settings.set("unix_socket_group", "daemon"));
    let groups = std::fs::read_to_string("/etc/group").expect("groups");
    let daemon = groups
        .lines()
        .find_map(|l| l.strip_prefix("daemon:x:")?.split(':').next());
    let socket = std::fs::metadata(pooler.socket_path()).expect("the socket");
    assert_eq!(Some(socket.gid().to_string().as_str()), daemon);
    let failure =
        Pooler::try_start(Settings::for_server(server()).set("unix_socket_group", "no_such_group"));
    let failure = failure.expect_err("it does not start");
    assert!(failure.contains("no group \"no_such_group\""), "{failure}");
}

fn we_are_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}
