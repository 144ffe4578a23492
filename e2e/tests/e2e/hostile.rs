//! Bytes that no honest client or server sends. The sender gets an error or the door; the others notice nothing.

use crate::common::{pooler_with, server};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::raw::{Client, Error, message};
use plimsoll_e2e::sandbox::{resident_kib, until};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn undisturbed(pooler: &mut Pooler, bystander: &mut Client, what: &str) {
    assert_eq!(
        bystander
            .value("select 'well'")
            .unwrap_or_else(|e| panic!("{what}: {e}")),
        "well"
    );
    assert!(pooler.exited().is_none(), "{what}: the pooler ended");
    assert!(
        !pooler.log().contains("panicked"),
        "{what}: a panic\n{}",
        pooler.log()
    );
}

/// What may be sent instead of a start-up packet.
fn before_login() -> Vec<(&'static str, Vec<u8>)> {
    let startup = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        message::startup(3 << 16, &pairs)
    };
    let mut unterminated = startup(&[("user", "app")]);
    let end = unterminated.len() - 2;
    unterminated[end] = b'x';
    vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0]),
        ("length 0", vec![0; 4]),
        ("length 3", vec![0, 0, 0, 3, 0, 3, 0, 0]),
        ("length 4", vec![0, 0, 0, 4]),
        ("length of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        ("negative length", vec![0xff; 64]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        (
            "TLS without request",
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        ),
        ("version 2", message::startup(2 << 16, &[])),
        ("version 9", message::startup(9 << 16, &[])),
        ("no user", startup(&[("database", "app")])),
        ("empty", startup(&[])),
        ("unterminated", unterminated),
        (
            "odd number of texts",
            message::untyped(b"\0\x03\0\0user\0app\0database\0"),
        ),
        ("a cancel too short", message::untyped(&[4, 210, 22, 46, 0])),
        ("a cancel of nobody", message::cancel(1, &[1, 2, 3, 4])),
        ("SSLRequest many times", message::ssl_request().repeat(1000)),
        (
            "GSSENCRequest many times",
            message::gss_request().repeat(1000),
        ),
        (
            "a large start-up packet",
            startup(&[("user", &"u".repeat(60_000))]),
        ),
        ("many parameters", {
            let pair = ("application_name".to_owned(), "x".to_owned());
            message::startup(3 << 16, &vec![pair; 2000])
        }),
        (
            "a name that is not UTF-8",
            message::untyped(b"\0\x03\0\0user\0\xff\xfe\0database\0app\0\0"),
        ),
    ]
}

#[test]
fn nonsense_before_the_login() {
    let mut pooler = pooler_with(|settings| settings.set("client_login_timeout", "5"));
    let target = pooler.target("app", "app");
    let mut bystander = Client::login(&target).expect("login");
    for (what, bytes) in before_login() {
        let mut client = Client::connect(&target).expect("connect");
        let _ = client.send(&bytes);
        client.finish_sending();
        // Whatever the answer is, it ends.
        let mut answered = 0;
        loop {
            match client.read_byte() {
                Ok(_) => answered += 1,
                Err(error) => {
                    assert!(!error.timed_out(), "{what}: kept open");
                    break;
                }
            }
            assert!(answered < 1 << 20, "{what}: endless answer");
        }
        undisturbed(&mut pooler, &mut bystander, what);
    }
}

/// What may be sent after the login.
fn after_login() -> Vec<(&'static str, Vec<u8>)> {
    let lying = |tag: u8, length: u32, body: &[u8]| {
        let mut bytes = vec![tag];
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    };
    let sync = message::empty(b'S');
    let with_sync = |mut bytes: Vec<u8>| {
        bytes.extend_from_slice(&sync);
        bytes
    };
    vec![
        ("an unknown type", lying(b'!', 4, &[])),
        ("type zero", vec![0; 64]),
        ("length 0", lying(b'Q', 0, b"select 1\0")),
        ("length 3", lying(b'Q', 3, b"select 1\0")),
        ("negative length", lying(b'Q', 0xffff_fff0, b"select 1\0")),
        ("length of 2 GiB", lying(b'Q', 0x7fff_ffff, b"select 1\0")),
        ("half a message", lying(b'Q', 1000, b"select 1\0")),
        ("a query without its end", message::frame(b'Q', b"select 1")),
        (
            "a Parse that is cut",
            with_sync(message::frame(b'P', b"name")),
        ),
        (
            "a Parse with types missing",
            with_sync(message::frame(b'P', b"\0select 1\0\0\x09")),
        ),
        ("a Bind that is cut", with_sync(message::frame(b'B', b"\0"))),
        (
            "a Bind whose counts lie",
            with_sync(message::frame(b'B', b"\0\0\xff\xff\xff\xff")),
        ),
        (
            "a Describe of nothing",
            with_sync(message::frame(b'D', b"")),
        ),
        (
            "a Describe of an unknown kind",
            with_sync(message::frame(b'D', b"Xname\0")),
        ),
        (
            "a Close without its end",
            with_sync(message::frame(b'C', b"Sname")),
        ),
        (
            "an Execute that is cut",
            with_sync(message::frame(b'E', b"\0\0")),
        ),
        ("a Sync with a body", message::frame(b'S', b"body")),
        ("a FunctionCall that is cut", message::frame(b'F', b"\0")),
        (
            "a password out of turn",
            with_sync(message::password(b"secret")),
        ),
        ("a server's message", with_sync(message::frame(b'Z', b"I"))),
        ("a start-up packet again", message::startup(3 << 16, &[])),
        (
            "a name of 100 KB",
            with_sync(message::parse(&"n".repeat(100_000), "select 1", &[])),
        ),
    ]
}

#[test]
fn nonsense_after_the_login() {
    let mut pooler = pooler_with(|settings| settings.set("default_pool_size", "1"));
    let target = pooler.target("app", "app");
    let mut bystander = Client::login(&target).expect("login");
    for in_transaction in [false, true] {
        for (what, bytes) in after_login() {
            let mut client = Client::login(&target).unwrap_or_else(|e| panic!("{what}: {e}"));
            if in_transaction {
                client.query("begin").expect("begin");
            }
            let _ = client.send(&bytes);
            client.finish_sending();
            match client.read_to_end() {
                Ok(_) | Err(Error::Unexpected(_)) => {}
                Err(error) => panic!("{what}: not ended: {error}"),
            }
            undisturbed(&mut pooler, &mut bystander, what);
        }
    }
}

#[test]
fn random_bytes() {
    let mut pooler = pooler_with(|settings| settings.set("client_login_timeout", "5"));
    let target = pooler.target("app", "app");
    let mut bystander = Client::login(&target).expect("login");
    let mut numbers = plimsoll_e2e::generate::Numbers(1);
    for round in 0..200 {
        let length = numbers.below(600);
        let bytes: Vec<u8> = (0..length)
            .map(|_| numbers.draw().to_le_bytes()[0])
            .collect();
        let mut client = if round % 2 == 0 {
            Client::connect(&target).expect("connect")
        } else {
            Client::login(&target).expect("login")
        };
        let _ = client.send(&bytes);
        drop(client);
    }
    undisturbed(&mut pooler, &mut bystander, "random bytes");
}

#[test]
fn a_login_that_never_ends_is_ended() {
    let mut pooler = pooler_with(|settings| settings.set("client_login_timeout", "1"));
    let target = pooler.target("app", "app");
    let mut bystander = Client::login(&target).expect("login");
    let silent = Client::connect(&target).expect("connect");
    let mut slow = Client::connect(&target).expect("connect");
    slow.send(&message::startup(3 << 16, &target.parameters)[..5])
        .expect("a part");
    for mut client in [silent, slow] {
        match client.read_to_end() {
            Ok(_) | Err(Error::Unexpected(_)) => {}
            Err(error) => panic!("not ended: {error}"),
        }
    }
    undisturbed(&mut pooler, &mut bystander, "slow logins");
}

#[test]
fn an_endless_startup_packet_takes_no_memory() {
    let mut pooler = pooler_with(|settings| settings);
    let target = pooler.target("app", "app");
    let mut bystander = Client::login(&target).expect("login");
    let before = resident_kib(pooler.pid());
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client =
            Client::connect(&target.clone().patience(Duration::from_millis(200))).expect("connect");
        let _ = client.send(&[0x3f, 0xff, 0xff, 0xff, 0, 3, 0, 0]);
        for _ in 0..64 {
            if client.send(&[b'x'; 64 << 10]).is_err() {
                break;
            }
        }
        clients.push(client);
    }
    let grown = resident_kib(pooler.pid()).saturating_sub(before);
    assert!(grown < 16 << 10, "grew by {grown} KiB");
    undisturbed(&mut pooler, &mut bystander, "endless packets");
}

/// A server that answers every connection with these bytes.
fn false_server(bytes: Vec<u8>) -> (u16, &'static AtomicUsize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let port = listener.local_addr().expect("address").port();
    let visits: &'static AtomicUsize = Box::leak(Box::default());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            visits.fetch_add(1, Ordering::Relaxed);
            let bytes = bytes.clone();
            std::thread::spawn(move || speak(&mut stream, &bytes));
        }
    });
    (port, visits)
}

fn speak(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut chunk = [0; 1024];
    let _ = stream.read(&mut chunk);
    let _ = stream.write_all(bytes);
    while matches!(stream.read(&mut chunk), Ok(n) if n > 0) {}
}

#[test]
fn servers_that_talk_nonsense() {
    let ready = [message::frame(b'R', &[0; 4]), message::frame(b'Z', b"I")].concat();
    let speeches: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", vec![0xa5; 4096]),
        ("zeroes", vec![0; 4096]),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        (
            "a length of 2 GiB",
            vec![b'R', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ),
        (
            "an unknown authentication",
            message::frame(b'R', &99u32.to_be_bytes()),
        ),
        (
            "SASL with nothing offered",
            message::frame(b'R', &[0, 0, 0, 10, 0]),
        ),
        ("rows before the login", message::frame(b'D', &[0, 0])),
        ("an error without fields", message::frame(b'E', &[])),
        (
            "an error",
            message::frame(
                b'E',
                b"SFATAL\0C57P03\0Mthe database system is starting up\0\0",
            ),
        ),
        (
            "ready, then garbage",
            [ready.clone(), vec![0xff; 200]].concat(),
        ),
        ("ready twice", [ready.clone(), ready.clone()].concat()),
        (
            "ready, then rows that nobody asked for",
            [ready, message::frame(b'D', &[0, 0])].concat(),
        ),
    ];
    let servers: Vec<_> = speeches
        .iter()
        .map(|(what, bytes)| (*what, false_server(bytes.clone())))
        .collect();
    let mut lines: Vec<String> = servers
        .iter()
        .enumerate()
        .map(|(n, (_, (port, _)))| format!("false{n} = host=127.0.0.1 port={port}"))
        .collect();
    lines.push(format!("app = host=127.0.0.1 port={}", server().port()));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut pooler = pooler_with(|settings| {
        settings
            .databases(&lines)
            .set("query_wait_timeout", "3")
            .set("server_connect_timeout", "2")
    });
    let mut bystander = Client::login(&pooler.target("app", "app")).expect("login");
    for (n, (what, (_, visits))) in servers.iter().enumerate() {
        let answer = Client::login(&pooler.target(&format!("false{n}"), "app"))
            .and_then(|mut c| c.value("select 1"));
        let error = answer.expect_err(what);
        assert!(!error.timed_out(), "{what}: the client hangs");
        until("the false server to be asked", || {
            (visits.load(Ordering::Relaxed) > 0).then_some(())
        });
        undisturbed(&mut pooler, &mut bystander, what);
    }
}

/// One answer for TLS, one for GSSAPI, as PostgreSQL; not a byte for each eight.
#[test]
fn requests_before_the_login_are_bounded() {
    let pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut client = Client::connect(&pooler.target("app", "app")).expect("connect");
    for request in [message::gss_request(), message::ssl_request()] {
        client.send(&request).expect("send");
        assert_eq!(client.read_byte().expect("an answer"), b'N');
    }
    client.send(&message::ssl_request()).expect("send");
    let end = client.read_to_end().expect("an end");
    assert_eq!(end.len(), 1, "{end:?}");
    assert_eq!(end[0].fields().code(), "08P01");
}

/// A client that leaves while its login waits for a server is forgotten at once.
#[test]
fn a_login_that_waits_for_a_server_may_leave() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let line = format!(
        "app = host=127.0.0.1 port={}",
        silent.local_addr().expect("bound").port()
    );
    let pooler = pooler_with(|settings| {
        settings
            .databases(&[&line])
            .set("server_tls_sslmode", "disable")
            .set("server_connect_timeout", "300")
            .set("query_wait_timeout", "300")
    });
    if pooler.is_pgbouncer() {
        return;
    }
    let mut console = pooler.console();
    let mut waiting = |count: usize| {
        until("the waiting clients", || {
            let rows = console.rows("show clients").expect("clients");
            let there = rows.iter().filter(|row| row[2] == "app").count();
            (there == count).then_some(())
        });
    };
    let target = pooler.target("app", "app");
    let clients: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = Client::connect(&target).expect("connect");
            let startup = message::startup(3 << 16, &target.parameters);
            client.send(&startup).expect("send");
            client
        })
        .collect();
    waiting(5);
    drop(clients);
    waiting(0);
}

fn open_files(pooler: &Pooler) -> usize {
    let dir = format!("/proc/{}/fd", pooler.pid());
    std::fs::read_dir(dir).expect("its files").count()
}

/// Those who are turned away cannot use up the files that others need.
#[test]
fn a_flood_beyond_max_client_conn_takes_few_files() {
    let pooler = pooler_with(|settings| settings.set("max_client_conn", "10"));
    if pooler.is_pgbouncer() {
        return;
    }
    let flood: Vec<TcpStream> = (0..600)
        .map(|_| TcpStream::connect(("127.0.0.1", pooler.port())).expect("connect"))
        .collect();
    // The last one was told, or closed without a word: all before it were seen.
    let mut last = flood.last().expect("some");
    let _ = last.set_read_timeout(Some(Duration::from_secs(20)));
    let mut end = Vec::new();
    let _ = last.read_to_end(&mut end);
    let files = open_files(&pooler);
    assert!(files < 400, "{files} files");
}

fn cpu_ticks(pooler: &Pooler) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pooler.pid())).expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    fields[11..13]
        .iter()
        .map(|n| n.parse::<u64>().expect("a number"))
        .sum()
}

/// Out of files: the pooler waits, says so once, serves on, and accepts again when there are some.
#[test]
fn no_file_left_for_a_client_is_waited_out() {
    let mut pooler = pooler_with(|settings| settings);
    if pooler.is_pgbouncer() {
        return;
    }
    let mut bystander = Client::login(&pooler.target("app", "app")).expect("login");
    let limit = |files: usize| {
        let status = std::process::Command::new("prlimit")
            .args(["--pid", &pooler.pid().to_string()])
            .arg(format!("--nofile={files}:"))
            .status();
        status.is_ok_and(|status| status.success())
    };
    let before = open_files(&pooler);
    if !limit(before + 3) {
        crate::common::skip("no_file_left_for_a_client_is_waited_out", "no prlimit here");
        return;
    }
    let more: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(("127.0.0.1", pooler.port())).expect("connect"))
        .collect();
    until("the line in the log", || {
        pooler.log().contains("cannot accept clients").then_some(())
    });
    // Some seconds' worth of queries while it cannot accept: no spinning, no flood of lines.
    let cpu = cpu_ticks(&pooler);
    for _ in 0..20 {
        assert_eq!(
            bystander.value("select pg_sleep(0.1), 1").expect("served"),
            ""
        );
    }
    let used = cpu_ticks(&pooler) - cpu;
    assert!(
        used < 100,
        "{used} hundredths of a second of CPU in two seconds"
    );
    assert_eq!(pooler.log().matches("cannot accept clients").count(), 1);
    assert!(limit(before + 500));
    drop(more);
    let target = pooler.target("app", "app");
    let mut after = Client::login(&target).expect("it accepts again");
    undisturbed(&mut pooler, &mut after, "out of files");
}
