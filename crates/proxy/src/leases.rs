//! `SHOW LEASES`: who holds server connections, the oldest lease first.

use crate::admin::Figures;
use crate::columns::{INT4, INT8, TEXT, Table, address, text};
use events::{LeaseRow, Time};

pub(crate) fn table(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&[
        ("client_id", INT8),
        ("addr", TEXT),
        ("port", INT4),
        ("user", TEXT),
        ("database", TEXT),
        ("application_name", TEXT),
        ("release", TEXT),
        ("state", TEXT),
        ("held_ms", INT8),
        ("silent_ms", INT8),
        ("statement", TEXT),
        ("tags", TEXT),
        ("remote_pid", INT4),
        ("exempt", TEXT),
        ("suspicion", TEXT),
        ("sure_percent", INT4),
    ]);
    for lease in &figures.snapshot.leases {
        table.row(&row(figures.snapshot.at, lease));
    }
    table.finish("SHOW")
}

fn row(now: Time, lease: &LeaseRow) -> Vec<Option<String>> {
    let ms = |since: Time| now.since(since).as_millis();
    let (addr, port) = address(&lease.addr);
    vec![
        text(lease.client),
        addr,
        port,
        text(&lease.user),
        text(&lease.database),
        text(&lease.application),
        text(&lease.release),
        text(lease.state.label()),
        text(ms(lease.since)),
        lease.silent_since.map(|since| ms(since).to_string()),
        text(&lease.statement),
        text(&lease.tags),
        text(lease.remote_pid),
        lease.exempt.map(|reason| reason.to_string()),
        lease.suspicion.map(|s| s.reason.to_string()),
        lease.suspicion.map(|s| s.sure.to_string()),
    ]
}
