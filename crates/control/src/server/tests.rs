//! The HTTP listener over loopback: routes, limits, slow and rude clients.

use super::*;
use std::io::{Read, Write};
use std::sync::Mutex;

struct Fake {
    live: Mutex<Health>,
    ready: Mutex<Health>,
}

impl Source for Fake {
    fn snapshot(&self, detail: bool) -> Arc<Snapshot> {
        assert!(!detail, "a scrape needs no rows of clients");
        Arc::new(Snapshot {
            version: 7,
            ..Snapshot::default()
        })
    }

    fn live(&self) -> Health {
        self.live.lock().unwrap().clone()
    }

    fn ready(&self) -> Health {
        let health = self.ready.lock().unwrap().clone();
        assert_ne!(health, Health::Bad("panic now".into()));
        health
    }
}

fn fake() -> (Control, Arc<Fake>) {
    let source = Arc::new(Fake {
        live: Mutex::new(Health::Good),
        ready: Mutex::new(Health::Good),
    });
    (
        start(([127, 0, 0, 1], 0).into(), source.clone()).unwrap(),
        source,
    )
}

fn connect(control: &Control) -> std::net::TcpStream {
    let socket = std::net::TcpStream::connect(control.local_addr()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
}

/// The whole answer to `head`; empty when the connection just ended.
fn ask(control: &Control, head: &str) -> String {
    let mut socket = connect(control);
    let mut answer = Vec::new();
    let _ = socket.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes());
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn each_page_has_its_answer() {
    let (control, source) = fake();
    for (head, status, part) in [
        ("GET /livez HTTP/1.1", "200 OK", "{\"status\":\"ok\"}"),
        ("GET /readyz HTTP/1.1", "200 OK", "{\"status\":\"ok\"}"),
        (
            "GET /metrics HTTP/1.1",
            "200 OK",
            "plimsoll_snapshot_version 7\n",
        ),
        ("GET /metrics HTTP/1.1", "200 OK", "# EOF\n"),
        (
            "GET /metrics HTTP/1.1",
            "200 OK",
            "content-type: application/openmetrics-text",
        ),
        (
            "GET /metrics HTTP/1.1\r\nAccept: text/plain",
            "200 OK",
            "content-type: text/plain; version=0.0.4",
        ),
        ("GET / HTTP/1.1", "404 Not Found", "not found"),
        (
            "GET /metrics/../livez HTTP/1.1",
            "404 Not Found",
            "not found",
        ),
        (
            "POST /metrics HTTP/1.1",
            "405 Method Not Allowed",
            "allow: GET,HEAD",
        ),
    ] {
        let answer = ask(&control, head);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{head}: {answer}"
        );
        assert!(
            answer.contains(part) && answer.contains("connection: close"),
            "{head}: {answer}"
        );
    }
    *source.ready.lock().unwrap() = Health::Bad("draining \"now\"".into());
    let answer = ask(&control, "GET /readyz HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with("{\"reason\":\"draining \\\"now\\\"\",\"status\":\"failing\"}\n"),
        "{answer}"
    );
    control.stop();
}

#[test]
fn a_panic_in_the_source_ends_one_connection_only() {
    let (control, source) = fake();
    *source.ready.lock().unwrap() = Health::Bad("panic now".into());
    assert_eq!(ask(&control, "GET /readyz HTTP/1.1"), "");
    *source
        .ready
        .lock()
        .unwrap_or_else(|poison| poison.into_inner()) = Health::Good;
    assert!(ask(&control, "GET /livez HTTP/1.1").starts_with("HTTP/1.1 200 "));
}

#[test]
fn peers_that_say_nothing_cannot_lock_out_a_probe() {
    let (control, _source) = fake();
    let silent: Vec<_> = (0..CONNECTIONS_MAX + 10)
        .map(|_| connect(&control))
        .collect();
    assert!(ask(&control, "GET /livez HTTP/1.1").starts_with("HTTP/1.1 200 "));
    // The first ones were closed to make room, long before their time was over.
    assert!(matches!((&silent[0]).read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn an_endless_head_is_refused() {
    let (control, _source) = fake();
    let many = (0..2 * HEADERS_MAX)
        .map(|i| format!("\r\nA{i}: b"))
        .collect::<String>();
    let long = format!("\r\nA: {}", "b".repeat(2 * HEAD_BYTES_MAX));
    for extra in [many, long] {
        let answer = ask(&control, &format!("GET /livez HTTP/1.1{extra}"));
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{answer}"
        );
    }
    assert!(ask(&control, "GET /livez HTTP/1.1").starts_with("HTTP/1.1 200 "));
}

#[test]
fn stopping_closes_the_listener() {
    let (control, _source) = fake();
    let address = control.local_addr();
    control.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_taken_address_is_an_error_at_start() {
    let (control, source) = fake();
    assert!(start(control.local_addr(), source).is_err());
}
