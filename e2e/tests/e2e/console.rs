//! The console: what exporters and dashboards read.

use crate::common::pooler_with;
use plimsoll_e2e::raw::message::Reader;
use plimsoll_e2e::raw::{Client, Error, message};

const POOLS: &str = "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active \
    sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts";
const STATS: &str = "database total_server_assignment_count total_xact_count total_query_count total_received total_sent \
    total_xact_time total_query_time total_wait_time total_client_parse_count total_server_parse_count total_bind_count \
    avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time avg_query_time \
    avg_wait_time avg_client_parse_count avg_server_parse_count avg_bind_count";
const CLIENTS: &str = "type user database replication state addr port local_addr local_port connect_time request_time wait \
    wait_us close_needed ptr link remote_pid tls application_name prepared_statements id";
const DATABASES: &str = "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime \
    pool_mode load_balance_hosts max_connections current_connections max_client_connections current_client_connections \
    paused disabled";

fn columns(client: &mut Client, sql: &str) -> Vec<String> {
    let messages = client.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let description = messages
        .iter()
        .find(|message| message.tag == b'T')
        .unwrap_or_else(|| panic!("{sql}: no rows"));
    let mut reader = Reader(&description.body);
    (0..reader.u16())
        .map(|_| {
            let name = reader.text();
            reader.bytes(18);
            name
        })
        .collect()
}

#[test]
fn columns_are_as_exporters_know_them() {
    let pooler = pooler_with(|settings| settings);
    let mut traffic = Client::login(&pooler.target("app", "app")).expect("login");
    traffic.query("select 1").expect("traffic");
    let mut console = pooler.console();
    for (sql, expected) in [
        ("show pools", POOLS),
        ("show stats", STATS),
        ("show clients", CLIENTS),
        ("show servers", CLIENTS),
        ("show databases", DATABASES),
        ("show config", "key value default changeable"),
        ("show version", "version"),
        ("SHOW  Pools ;", POOLS),
        ("select pools", POOLS),
    ] {
        if pooler.is_pgbouncer() && sql == "select pools" {
            continue;
        }
        let expected: Vec<&str> = expected.split_whitespace().collect();
        let seen = columns(&mut console, sql);
        // A newer PgBouncer appends total_client_login_count and its average.
        let seen: Vec<&str> = seen
            .iter()
            .map(String::as_str)
            .filter(|name| !name.ends_with("client_login_count"))
            .collect();
        assert_eq!(seen, expected, "{sql}");
    }
}

#[test]
fn figures_follow_the_traffic() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "3"));
    let mut console = pooler.console();
    let mut client = Client::login(
        &pooler
            .target("app", "app")
            .parameter("application_name", "figures"),
    )
    .expect("login");
    for _ in 0..10 {
        client.query("select 1").expect("query");
    }
    client.query("begin").expect("begin");
    let pool = |console: &mut Client| {
        let rows = console.rows("show pools").expect("pools");
        rows.into_iter()
            .find(|row| row[0] == "app")
            .expect("the pool")
    };
    let busy = pool(&mut console);
    assert_eq!((busy[2].as_str(), busy[6].as_str()), ("1", "1"), "{busy:?}");
    client.query("commit").expect("commit");
    let idle = pool(&mut console);
    assert_eq!(idle[6], "0", "{idle:?}");
    plimsoll_e2e::sandbox::until("eleven transactions in SHOW STATS", || {
        let rows = console.rows("show stats").expect("stats");
        let row = rows.into_iter().find(|row| row[0] == "app")?;
        let total = |n: usize| row[n].parse::<u64>().unwrap_or(0);
        let xacts = if row.len() > 20 { total(2) } else { total(1) };
        (xacts >= 11).then_some(())
    });
    let clients = console.rows("show clients").expect("clients");
    let named = clients
        .iter()
        .find(|row| row.iter().any(|column| column == "figures"));
    assert!(named.is_some(), "{clients:?}");
    let servers = console.rows("show servers").expect("servers");
    assert_eq!(
        servers.iter().filter(|row| row[2] == "app").count(),
        1,
        "{servers:?}"
    );
}

#[test]
fn rights_differ() {
    let pooler = pooler_with(|settings| settings);
    let mut stats = Client::login(&pooler.target("pgbouncer", "stats")).expect("stats user");
    assert!(stats.rows("show pools").is_ok());
    let error = stats.rows("reload").expect_err("a stats user reloads");
    assert!(hint(&error).contains("admin_users") || pooler.is_pgbouncer());
    let error = Client::login(&pooler.target("pgbouncer", "app"))
        .map(|_| ())
        .expect_err("no console user");
    assert!(matches!(error, Error::Server(_)), "{error}");
    assert!(hint(&error).contains("stats_users") || pooler.is_pgbouncer());
}

fn hint(error: &Error) -> String {
    match error {
        Error::Server(fields) => fields.field(b'H').to_owned(),
        _ => String::new(),
    }
}

/// One name for a client: the log's is the `id` of SHOW CLIENTS, at login and at the end.
#[test]
fn the_log_calls_clients_as_show_clients_does() {
    let pooler = pooler_with(|settings| {
        settings
            .own("log_style", "plimsoll")
            .set("log_connections", "1")
            .set("log_disconnections", "1")
    });
    if pooler.is_pgbouncer() {
        return;
    }
    let client = Client::login(&pooler.target("app", "app")).expect("login");
    let clients = pooler.console().rows("show clients").expect("clients");
    let row = clients.iter().find(|row| row[2] == "app").expect("the row");
    let name = format!("client={} database=app user=app ", row.last().expect("id"));
    client.terminate();
    plimsoll_e2e::sandbox::until("both lines", || {
        let log = pooler.log();
        let line = |what: &str| log.lines().any(|l| l.contains(what) && l.contains(&name));
        (line("client logged in") && line("client closed")).then_some(())
    });
}

#[test]
fn drivers_can_connect_and_mistakes_are_errors() {
    let pooler = pooler_with(|settings| settings);
    let mut console = pooler.console();
    for sql in [
        "set client_encoding = 'UTF8'",
        "show client_encoding",
        "show timezone",
        "show datestyle",
        "show standard_conforming_strings",
    ] {
        console.rows(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    for sql in [
        "select 1 from t",
        "show nonsense",
        "drop database app",
        "set no_such_key = 1",
    ] {
        let error = console.rows(sql).expect_err(sql);
        assert!(matches!(error, Error::Server(_)), "{sql}: {error}");
    }
    assert!(console.rows("show version").is_ok(), "the session lives on");
    let mut batch = message::parse("", "show pools", &[]);
    batch.extend(message::bind("", "", &[], &[], &[]));
    batch.extend(message::execute("", 0));
    batch.extend(message::empty(b'S'));
    console.send(&batch).expect("send");
    let first = console.read().expect("an answer");
    assert_eq!(first.tag, b'E');
    assert!(
        first
            .fields()
            .message()
            .contains("extended query protocol not supported"),
        "{}",
        first.fields()
    );
}
