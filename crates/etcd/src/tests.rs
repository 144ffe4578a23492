//! What is written and read, and a door whose other side misbehaves. A real etcd
//! is asked in e2e.

use crate::messages::{Compare, Op, Put, Range, Txn, Watch, prefix_end};
use crate::{Client, Error, Settings, read};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[test]
fn a_transaction_is_written_as_the_gateway_wants_it() {
    let txn = Txn {
        compare: vec![Compare::changed_at("k", 7), Compare::created_at("n", 0)],
        then: vec![Op::Put(Put::new("k", "v").under(5))],
        otherwise: vec![Op::Range(Range::prefix("k").serializable())],
    };
    let expected = json!({
        "compare": [
            { "key": "aw==", "target": "MOD", "result": "EQUAL", "mod_revision": "7" },
            { "key": "bg==", "target": "CREATE", "result": "EQUAL", "create_revision": "0" },
        ],
        "success": [{ "request_put": { "key": "aw==", "value": "dg==", "lease": "5" } }],
        "failure": [{ "request_range": {
            "key": "aw==", "range_end": "bA==", "serializable": true } }],
    });
    assert_eq!(txn.json(), expected);
    let watch = Watch::prefix("k", 12).json();
    let created = json!({ "key": "aw==", "range_end": "bA==", "start_revision": "12" });
    assert_eq!(watch, json!({ "create_request": created }));
}

#[test]
fn a_prefix_ends_before_what_does_not_begin_so() {
    assert_eq!(prefix_end(b"ab"), b"ac");
    assert_eq!(prefix_end(b"a\xff"), b"b");
    assert_eq!(prefix_end(b"\xff\xff"), b"\0");
    assert_eq!(prefix_end(b""), b"\0");
}

#[test]
fn zeros_are_left_out_and_numbers_are_text() {
    let answer = json!({ "header": { "cluster_id": "14841639068965178418", "revision": "3" },
        "kvs": [{ "key": "aw==", "create_revision": "2", "mod_revision": "3", "version": "2" }],
        "count": "1" });
    let ranged = read::ranged(&answer).unwrap();
    assert_eq!(ranged.header.cluster, 14_841_639_068_965_178_418);
    assert_eq!(ranged.kvs[0].key, b"k");
    assert_eq!(ranged.kvs[0].value, b"");
    assert_eq!((ranged.kvs[0].lease, ranged.count), (0, 1));
    let wrong = json!({ "header": { "revision": "many" } });
    assert!(matches!(read::ranged(&wrong), Err(Error::Nonsense(_))));
}

#[test]
fn a_refusal_says_whether_it_may_be_done() {
    let refusal = |body: &str| read::refusal(500, body.as_bytes());
    let no = refusal(r#"{"error":"x","code":7,"message":"etcdserver: permission denied"}"#);
    assert!(!no.may_be_done());
    assert_eq!(
        no.to_string(),
        "etcd refused it: etcdserver: permission denied"
    );
    let late = refusal(r#"{"code":14,"message":"etcdserver: request timed out"}"#);
    assert!(late.may_be_done());
    assert!(refusal("<html>").may_be_done());
    let gone = json!({ "compact_revision": "9" });
    let gone = read::news(&gone).unwrap_err();
    assert!(matches!(gone, Error::Refused { code: 11, .. }), "{gone}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn the_next_endpoint_is_asked_when_one_cannot_be_reached_or_is_silent() {
    runtime().block_on(async {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = dead.local_addr().unwrap();
        drop(dead);
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let mut settings = Settings::at([format!("http://{gone}"), at(&silent), at(&good)]);
        settings.answer_max = Duration::from_millis(400);
        let client = Client::new(settings).unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = good.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await.unwrap();
            let answer =
                "HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{\"header\":{\"revision\":\"17\"}}\n";
            socket.write_all(answer.as_bytes()).await.unwrap();
            let _ = socket.read(&mut head).await;
        });
        // Asked, and silent: what was asked for may be done.
        let first = client.put(&Put::new("k", "v")).await;
        assert!(first.as_ref().unwrap_err().may_be_done(), "{first:?}");
        assert_eq!(client.put(&Put::new("k", "v")).await, Ok(17));
    });
}

/// A silent one, one slot, and two calls: the second has waited for the first, and that
/// counts.
#[test]
fn the_wait_for_a_slot_is_a_part_of_the_time() {
    runtime().block_on(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::at([format!("http://{}", silent.local_addr().unwrap())]);
        settings.answer_max = Duration::from_millis(500);
        settings.questions_max = 1;
        let client = Client::new(settings).unwrap();
        let began = std::time::Instant::now();
        let put = Put::new("k", "v");
        let (first, second) = tokio::join!(client.put(&put), client.put(&put));
        let took = began.elapsed();
        assert!(took < Duration::from_millis(900), "{took:?}");
        assert!(first.as_ref().unwrap_err().may_be_done(), "{first:?}");
        assert!(!second.as_ref().unwrap_err().may_be_done(), "{second:?}");
    });
}

#[test]
fn nobody_there_means_that_nothing_was_asked() {
    runtime().block_on(async {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = dead.local_addr().unwrap();
        drop(dead);
        let client = Client::new(Settings::at([format!("http://{gone}")])).unwrap();
        let error = client.range(&Range::key("k")).await.unwrap_err();
        assert!(!error.may_be_done(), "{error}");
        assert!(error.to_string().starts_with("etcd cannot be reached"));
    });
}

#[test]
fn a_flood_is_not_read() {
    runtime().block_on(async {
        let flood = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", flood.local_addr().unwrap());
        let client = Client::new(Settings::at([url])).unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = flood.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await.unwrap();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b' '; 1 << 20];
            while socket.write_all(&piece).await.is_ok() {}
        });
        let error = client.range(&Range::key("k")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "not an answer of etcd: the answer is too large"
        );
    });
}

#[test]
fn what_is_no_endpoint_is_the_operators() {
    for url in [
        "etcd:2379",
        "http://u:p@etcd:2379",
        "http://etcd/path",
        "ftp://etcd:1",
    ] {
        let error = Client::new(Settings::at([url])).unwrap_err();
        assert!(matches!(error, Error::Settings(_)), "{url}");
    }
    assert!(Client::new(Settings::at(Vec::<String>::new())).is_err());
}
