//! Tables of what is inside, and the rows of the console's own database.

use super::client;
use crate::common::{pooler_with, server};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::raw::message::Reader;

const SOCKETS: &str = "type user database replication state addr port local_addr local_port connect_time request_time \
    wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id recv_pos pkt_pos pkt_remain \
    send_pos send_remain pkt_avail send_avail";
const FDS: &str = "fd task user database addr port cancel link client_encoding std_strings datestyle timezone password \
    scram_client_key scram_server_key";

#[test]
fn inner_tables_have_pgbouncers_columns() {
    let pooler = pooler_with(|settings| {
        settings.databases(&[
            "by_name = host=localhost dbname=postgres",
            "* = host=127.0.0.1",
        ])
    });
    if pooler.is_pgbouncer() {
        return; // Older ones lack columns.
    }
    let mut console = pooler.console();
    for (sql, columns) in [
        ("show sockets", SOCKETS),
        ("show active_sockets", SOCKETS),
        ("show mem", "name size used free memtotal"),
        ("show fds", FDS),
        (
            "show peer_pools",
            "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login",
        ),
        ("show dns_hosts", "hostname ttl addrs"),
        ("show dns_zones", "zonename serial count"),
        ("show totals", "name value"),
        ("show state", "key value"),
    ] {
        let messages = console.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let description = messages.iter().find(|m| m.tag == b'T').expect("rows");
        let mut reader = Reader(&description.body);
        let seen: Vec<String> = (0..reader.u16())
            .map(|_| {
                let name = reader.text();
                reader.bytes(18);
                name
            })
            .collect();
        let columns: Vec<&str> = columns.split_whitespace().collect();
        assert_eq!(seen, columns, "{sql}");
    }
}

#[test]
fn inner_tables_tell_what_is_there_and_no_secret() {
    let port = server().port();
    let named = format!("by_name = host=localhost port={port} dbname=postgres password=geheim");
    let any = format!("* = host=127.0.0.1 port={port}");
    let pooler = pooler_with(|settings| settings.databases(&[&named, &any]));
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    let mut busy = client(&pooler, "by_name");
    busy.query("begin").expect("begin");
    let hosts = console.rows("show dns_hosts").expect("hosts");
    assert_eq!(hosts[0][0], "localhost");
    assert!(hosts[0][2].contains("127.0.0.1"), "{hosts:?}");
    let files = console.query("show fds").expect("files");
    let mut tasks = Vec::new();
    for row in files.iter().filter(|m| m.tag == b'D') {
        let row = row.columns();
        tasks.push(row[1].clone());
        for secret in [6, 12, 13, 14] {
            assert!(row[secret] == "∅", "{row:?}");
        }
    }
    for task in ["pooler", "client", "server"] {
        assert!(tasks.iter().any(|seen| seen == task), "{tasks:?}");
    }
    let sockets = console.rows("show sockets").expect("sockets");
    assert!(
        sockets
            .iter()
            .any(|row| row[0] == "S" && row[2] == "by_name")
    );
    let active = console.rows("show active_sockets").expect("sockets");
    assert_eq!(active.len(), 2, "{active:?}");
    let memory = console.rows("show mem").expect("memory");
    let resident = memory.iter().find(|row| row[0] == "resident").expect("it");
    assert!(
        resident[4].parse::<u64>().expect("bytes") > 1 << 20,
        "{memory:?}"
    );
    let own = |console: &mut Client, sql: &str| {
        let rows = console.rows(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let row = rows.into_iter().find(|row| row[0] == "pgbouncer");
        row.unwrap_or_else(|| panic!("{sql}"))
    };
    assert_eq!(own(&mut console, "show pools")[1..3], ["pgbouncer", "1"]);
    assert_eq!(own(&mut console, "show databases")[3], "pgbouncer");
    assert_eq!(own(&mut console, "show stats").len(), 25);
    let totals = console.rows("show totals").expect("totals");
    let names: Vec<&str> = totals.iter().map(|row| row[0].as_str()).collect();
    for name in [
        "total_client_bytes",
        "avg_server_bytes",
        "total_ps_bind_count",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}
