//! A subscription whose publisher is reached by the pooler, from its first copy to its end.

use super::{console, is_old};
use crate::common::{database, pooler_with, server};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::{PASSWORD, Server};

/// The subscriber's connection for changes, and one for each table whose first copy is under way: two, as PostgreSQL has it.
const CONNECTIONS: &str = "3";

const TABLES: &str = "create table a (id int primary key, word text); create table b (id int primary key, word text);
    create table c (id int primary key, word text)";

/// With TLS and SCRAM, as over a network.
fn pooler() -> Pooler {
    pooler_with(|settings| {
        settings
            .client_tls("require", server().certificates())
            .set("auth_type", "scram-sha-256")
            .set("default_pool_size", CONNECTIONS)
    })
}

fn conninfo(pooler: &Pooler, database: &str) -> String {
    format!(
        "host=localhost hostaddr=127.0.0.1 port={} dbname={database} user=app password='{}' sslmode=verify-full sslrootcert={}",
        pooler.port(),
        PASSWORD.replace('\\', "\\\\").replace('\'', "\\'"),
        server().certificates().ca.display(),
    )
}

/// The rows of the three tables, in a few words.
fn sums(of: &Server, database: &str) -> Vec<Vec<String>> {
    let each = ["a", "b", "c"].map(|table| {
        format!("select '{table}', count(*), sum(id), md5(string_agg(word, ',' order by id)) from {table}")
    });
    of.sql(database, &each.join(" union all "))
}

/// Waits until the subscriber has what the publisher has.
fn follows(what: &str, subscriber: &Server, name: &str) {
    until(what, || {
        (sums(server(), name) == sums(subscriber, "app")).then_some(())
    });
}

fn change(name: &str, n: u32) {
    server().sql(
        name,
        &format!(
            "insert into a values ({n}, 'new'); update b set word = 'changed {n}' where id <= {n} % 100; \
             delete from c where id = {n} % 100"
        ),
    );
}

/// The backend that sends changes to the subscription; another one than `before`.
fn sender(name: &str, before: &str) -> String {
    until("a backend that sends changes", || {
        let sql = format!(
            "select active_pid from pg_replication_slots where database = '{name}' and active and slot_name = 'words'"
        );
        let pid = server().sql("postgres", &sql).pop()?.pop()?;
        (pid != before).then_some(pid)
    })
}

#[test]
fn a_subscription_copies_follows_comes_back_and_ends() {
    if is_old() {
        return;
    }
    let name = database("repl_subscribed");
    let fill = "insert into a select n, 'a ' || n from generate_series(1, 20000) n; \
        insert into b select n, repeat('b', 1000) from generate_series(1, 5000) n; \
        insert into c select n, 'c ' || n from generate_series(1, 1000) n";
    server().sql(
        &name,
        &format!("{TABLES}; {fill}; create publication words for all tables"),
    );
    let subscriber = Server::start_with(&["wal_retrieve_retry_interval = 100ms"]);
    subscriber.sql("app", TABLES);
    let mut pooler = pooler();
    let create = format!(
        "create subscription words connection '{}' publication words",
        conninfo(&pooler, &name).replace('\'', "''")
    );
    subscriber.sql("app", &create);
    until("the first copy", || {
        let waits = "select 1 from pg_subscription_rel where srsubstate <> 'r'";
        subscriber.sql("app", waits).is_empty().then_some(())
    });
    assert_eq!(
        sums(server(), &name),
        sums(&subscriber, "app"),
        "{}",
        pooler.log()
    );
    change(&name, 30_001);
    follows("a change", &subscriber, &name);
    let mut first = sender(&name, "");

    // Each way in which the connection can go; what is changed meanwhile comes later.
    let end = format!("select pg_terminate_backend({first})");
    server().sql("postgres", &end);
    change(&name, 30_002);
    follows(
        "a change after the server closed the connection",
        &subscriber,
        &name,
    );
    first = sender(&name, &first);
    let mut console = console(&pooler);
    let clients = console.rows("show clients").expect("clients");
    let ours = |row: &&Vec<String>| row[2] == name && row[3] == "logical";
    let ours = clients.iter().find(ours).expect("the subscription");
    let id = ours.last().expect("an id");
    console.query(&format!("kill_client {id}")).expect("killed");
    change(&name, 30_003);
    follows(
        "a change after the pooler closed the connection",
        &subscriber,
        &name,
    );
    first = sender(&name, &first);
    pooler.signal("KILL");
    pooler.wait();
    change(&name, 30_004);
    pooler.restart();
    follows("a change after the pooler died", &subscriber, &name);
    sender(&name, &first);

    // A table more, and another form of the stream.
    server().sql(
        &name,
        "create table d (id int primary key); insert into d select generate_series(1, 100)",
    );
    subscriber.sql("app", "create table d (id int primary key)");
    subscriber.sql("app", "alter subscription words refresh publication");
    subscriber.sql(
        "app",
        "alter subscription words set (binary = true, streaming = true)",
    );
    until("the new table", || {
        (subscriber.sql("app", "select count(*) from d") == [["100"]]).then_some(())
    });
    // More than logical_decoding_work_mem, so that it is sent before it is committed.
    server().sql(&name, "set logical_decoding_work_mem = '64kB'; insert into a select n, repeat('x', 100) from generate_series(40001, 60000) n");
    server().sql(&name, "truncate c");
    follows("a long transaction", &subscriber, &name);

    subscriber.sql("app", "drop subscription words");
    let slots = format!("select slot_name from pg_replication_slots where database = '{name}'");
    assert!(
        server().sql("postgres", &slots).is_empty(),
        "a slot is left"
    );
    server().wait_for_connections(&name, 0);
}
