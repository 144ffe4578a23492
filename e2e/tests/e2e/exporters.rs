//! Exporters that read the console: prometheus-community's by the facts of its source, Debian's as it is.

use crate::common::{pooler_with, skip};
use plimsoll_e2e::checklist::debian_exporter;
use plimsoll_e2e::raw::message::Reader;
use plimsoll_e2e::raw::{Client, rows};
use plimsoll_e2e::toolchain::programs;
use std::process::Command;

/// Types that a label may have: the exporter's driver gives text and integers for them, and bytes for all others,
/// which become `<invalid>`.
const LABEL_TYPES: [u32; 4] = [25, 23, 20, 1043];

/// What prometheus-community's exporter asks for: statement, labels, figures.
const TABLES: [(&str, &str, &str); 3] = [
    (
        "SHOW databases;",
        "name host port database force_user pool_mode",
        "pool_size max_connections current_connections paused disabled",
    ),
    (
        "SHOW stats_totals;",
        "database",
        "query_count query_time bytes_received bytes_sent wait_time xact_count xact_time client_parse_count \
         server_parse_count bind_count",
    ),
    (
        "SHOW pools;",
        "database user",
        "cl_active cl_active_cancel_req cl_waiting cl_waiting_cancel_req sv_active sv_active_cancel \
         sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait",
    ),
];

/// Names and types of the columns, and the rows.
fn table(console: &mut Client, sql: &str) -> (Vec<(String, u32)>, Vec<Vec<String>>) {
    let messages = console.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let description = messages.iter().find(|message| message.tag == b'T');
    let mut reader = Reader(&description.expect("columns").body);
    let columns = (0..reader.u16())
        .map(|_| {
            let name = reader.text();
            let rest = reader.bytes(18);
            let oid = rest[6..10].try_into().expect("four bytes");
            (name, u32::from_be_bytes(oid))
        })
        .collect();
    (
        columns,
        rows(messages).unwrap_or_else(|e| panic!("{sql}: {e}")),
    )
}

#[test]
fn prometheus_communitys_finds_what_it_scans() {
    let pooler = pooler_with(|settings| settings);
    let mut traffic = Client::login(&pooler.target("app", "app")).expect("login");
    traffic.query("select 1").expect("traffic");
    let mut console = pooler.console();
    for (sql, labels, figures) in TABLES {
        let (columns, rows) = table(&mut console, sql);
        assert!(!rows.is_empty(), "{sql}");
        let at = |name: &str| {
            let found = columns.iter().position(|(column, _)| column == name);
            found.unwrap_or_else(|| panic!("{sql} has no {name}"))
        };
        for label in labels.split_whitespace() {
            let (_, oid) = columns[at(label)];
            assert!(LABEL_TYPES.contains(&oid), "{sql} {label}: type {oid}");
        }
        for figure in figures.split_whitespace() {
            for row in &rows {
                let value = &row[at(figure)];
                assert!(value.parse::<f64>().is_ok(), "{sql} {figure}: {value:?}");
            }
        }
    }
    let (columns, rows) = table(&mut console, "SHOW LISTS;");
    assert_eq!(columns.len(), 2);
    assert!(
        rows.iter().all(|row| row[1].parse::<f64>().is_ok()),
        "{rows:?}"
    );
    let (columns, rows) = table(&mut console, "SHOW CONFIG;");
    assert_eq!(columns.len(), 4);
    for key in ["max_client_conn", "max_user_connections"] {
        let row = rows.iter().find(|row| row[0] == key).expect("a key");
        assert!(row[1].parse::<f64>().is_ok(), "{row:?}");
    }
    assert!(!table(&mut console, "SHOW VERSION;").1[0][0].is_empty());
}

/// It wants `total_requests` of SHOW STATS, which PgBouncer dropped in 1.8, so that it fails at Debian's own PgBouncer
/// too; and `reserve_pool` of SHOW DATABASES, which newer ones call `reserve_pool_size`.
#[test]
fn debians_fails_at_columns_that_pgbouncer_dropped() {
    let (python, path) = match debian_exporter() {
        Ok(found) => found,
        Err(why) => return skip("debians_exporter", &why),
    };
    let pooler = pooler_with(|settings| settings);
    let out = Command::new(python)
        .arg(programs().join("exporters/debian.py"))
        .env("PYTHONPATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CONSOLE_PORT", pooler.port().to_string())
        .output()
        .expect("run it");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "stats KeyError('total_requests')\npools ok\ndatabases KeyError('reserve_pool')\nlists ok\n",
        "{errors}"
    );
}
