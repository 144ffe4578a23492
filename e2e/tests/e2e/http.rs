//! /metrics, /livez and /readyz. PgBouncer has none of them.

use crate::common::{pooler_with, skip};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::raw::Client;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) fn get(pooler: &Pooler, path: &str) -> (u16, String) {
    let mut stream =
        TcpStream::connect(("127.0.0.1", pooler.metrics_port())).expect("connect to the listener");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("timeout");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("send");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let code = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    (code, body.to_owned())
}

fn plimsoll() -> Option<Pooler> {
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        skip("http", "PgBouncer has no such listener");
        return None;
    }
    Some(pooler)
}

#[test]
fn metrics_are_openmetrics_and_count() {
    let Some(pooler) = plimsoll() else { return };
    let mut client = Client::login(&pooler.target("app", "app")).expect("login");
    client
        .query("select 'a literal that must not leak'")
        .expect("query");
    let (code, text) = get(&pooler, "/metrics");
    assert_eq!(code, 200);
    assert!(text.trim_end().ends_with("# EOF"), "no # EOF at the end");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap_or("");
        assert!(value.parse::<f64>().is_ok(), "not a sample: {line}");
    }
    assert!(
        text.contains("# TYPE") && text.contains("histogram"),
        "{text}"
    );
    assert!(!text.contains("must not leak"));
}

#[test]
fn alive_and_ready() {
    let Some(pooler) = plimsoll() else { return };
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&pooler, path).0, 200, "{path}");
    }
    assert_eq!(get(&pooler, "/no/such/page").0, 404);
}

#[test]
fn hostile_requests_do_no_harm() {
    let Some(pooler) = plimsoll() else { return };
    for request in ["", "GET", "\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = TcpStream::connect(("127.0.0.1", pooler.metrics_port())).expect("connect");
        let _ = stream.write_all(request.as_bytes());
    }
    assert_eq!(get(&pooler, "/livez").0, 200);
}
