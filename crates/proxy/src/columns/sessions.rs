//! SHOW CLIENTS and SHOW SERVERS, and what shows both: SOCKETS, ACTIVE_SOCKETS, FDS.

use super::{INT4, INT8, TEXT, Table, address, text, utc};
use crate::admin::Figures;
use events::Time;
use events::snapshot::{Address, ClientRow, ServerRow};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Columns that SHOW CLIENTS and SHOW SERVERS share.
const SESSION: [(&str, i32); 21] = [
    ("type", TEXT),
    ("user", TEXT),
    ("database", TEXT),
    ("replication", TEXT),
    ("state", TEXT),
    ("addr", TEXT),
    ("port", INT4),
    ("local_addr", TEXT),
    ("local_port", INT4),
    ("connect_time", TEXT),
    ("request_time", TEXT),
    ("wait", INT4),
    ("wait_us", INT4),
    ("close_needed", INT4),
    ("ptr", TEXT),
    ("link", TEXT),
    ("remote_pid", INT4),
    ("tls", TEXT),
    ("application_name", TEXT),
    ("prepared_statements", INT4),
    ("id", INT8),
];

fn pointer(id: u64) -> Option<String> {
    Some(if id == 0 {
        String::new()
    } else {
        format!("0x{id:x}")
    })
}

/// UTC, as PgBouncer prints it.
fn wall(figures: &Figures, at: Time) -> Option<String> {
    let ago = figures.snapshot.at.since(at);
    let when = SystemTime::now()
        .checked_sub(ago)?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(utc(when.as_secs()))
}

pub(crate) fn clients(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&SESSION);
    for c in &figures.snapshot.clients {
        table.row(&client(figures, c));
    }
    table.finish("SHOW")
}

fn client(figures: &Figures, c: &ClientRow) -> Vec<Option<String>> {
    let ((addr, port), (local, local_port)) = (address(&c.addr), address(&c.local_addr));
    vec![
        text("C"),
        text(&c.user),
        text(&c.database),
        text(c.replication),
        text(c.state),
        addr,
        port,
        local,
        local_port,
        wall(figures, c.connected_at),
        wall(figures, c.request_at),
        text(c.wait_us / 1_000_000),
        text(c.wait_us % 1_000_000),
        text(0),
        pointer(c.id),
        pointer(c.link),
        text(0),
        text(&c.tls),
        text(&c.application_name),
        text(c.prepared_statements),
        text(c.id),
    ]
}

pub(crate) fn servers(figures: &Figures) -> Vec<u8> {
    let mut table = Table::new(&SESSION);
    for s in &figures.snapshot.servers {
        table.row(&server(figures, s));
    }
    table.finish("SHOW")
}

fn server(figures: &Figures, s: &ServerRow) -> Vec<Option<String>> {
    let ((addr, port), (local, local_port)) = (address(&s.addr), address(&s.local_addr));
    vec![
        text("S"),
        text(&s.user),
        text(&s.database),
        text(s.replication),
        text(s.state),
        addr,
        port,
        local,
        local_port,
        wall(figures, s.connected_at),
        wall(figures, s.request_at),
        text(0),
        text(0),
        text(u8::from(s.close_needed)),
        pointer(s.id),
        pointer(s.link),
        text(s.remote_pid),
        text(&s.tls),
        text(&s.application_name),
        text(s.prepared_statements),
        text(s.id),
    ]
}

/// What SHOW SOCKETS has beyond them: PgBouncer's places in a socket's buffer. There
/// is no such buffer here, and its places are 0.
const BUFFER: [&str; 7] = [
    "recv_pos",
    "pkt_pos",
    "pkt_remain",
    "send_pos",
    "send_remain",
    "pkt_avail",
    "send_avail",
];

/// SHOW SOCKETS, and of these the ones that are linked to another for a request.
pub(crate) fn sockets(figures: &Figures, active: bool) -> Vec<u8> {
    let mut columns = SESSION.to_vec();
    columns.extend(BUFFER.map(|name| (name, INT4)));
    let mut table = Table::new(&columns);
    let mut add = |mut row: Vec<Option<String>>| {
        row.extend(BUFFER.map(|_| text(0)));
        table.row(&row);
    };
    for c in &figures.snapshot.clients {
        if !active || c.link != 0 {
            add(client(figures, c));
        }
    }
    for s in &figures.snapshot.servers {
        if !active || s.link != 0 {
            add(server(figures, s));
        }
    }
    table.finish("SHOW")
}

/// SHOW FDS: what PgBouncer hands to a process that takes over. None is handed out
/// here, so files have no number; and whatever is secret is NULL, the keys of cancel
/// requests too.
pub(crate) fn files(figures: &Figures, listen: &[SocketAddr], unix: usize) -> Vec<u8> {
    let mut table = Table::new(&[
        ("fd", INT4),
        ("task", TEXT),
        ("user", TEXT),
        ("database", TEXT),
        ("addr", TEXT),
        ("port", INT4),
        ("cancel", INT8),
        ("link", INT4),
        ("client_encoding", TEXT),
        ("std_strings", TEXT),
        ("datestyle", TEXT),
        ("timezone", TEXT),
        ("password", TEXT),
        ("scram_client_key", TEXT),
        ("scram_server_key", TEXT),
    ]);
    let mut add = |task: &str, who: Option<(&str, &str)>, at: &Address| {
        let (addr, port) = address(at);
        let (user, database) = who.unzip();
        let mut row = vec![None, text(task)];
        row.extend([user.and_then(text), database.and_then(text), addr, port]);
        row.resize(15, None);
        table.row(&row);
    };
    for address in listen {
        add("pooler", None, &Address::Tcp(*address));
    }
    for _ in 0..unix {
        add("pooler", None, &Address::Unix);
    }
    for c in &figures.snapshot.clients {
        add("client", Some((&c.user, &c.database)), &c.addr);
    }
    for s in &figures.snapshot.servers {
        add("server", Some((&s.user, &s.database)), &s.addr);
    }
    table.finish("SHOW")
}
