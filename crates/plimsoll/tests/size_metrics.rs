//! `plimsoll size --metrics` against a pooler with known traffic, and against
//! what is none.
#![allow(clippy::disallowed_methods)] // Processes, sockets and time: a test of IO.

use plimsoll::sandbox::{Options, Sandbox, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Ended with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn size(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("size")
        .args(arguments)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

fn figure(json: &str, key: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{key}\":")).expect(key);
    let end = rest.find([',', '}']).expect("an end");
    rest[..end]
        .parse()
        .unwrap_or_else(|_| panic!("{key} in {json}"))
}

fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

#[test]
fn a_running_pooler_s_traffic_is_measured() {
    let mut options = Options::from_env();
    options.max_connections = 60;
    let server = Sandbox::start(options).unwrap_or_else(|error| panic!("{error}"));
    server.create_user("app", "pw", "").expect("a user");
    server.create_database("shop", "app").expect("a database");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let mut pooler = Running(
        Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["run", "--listen", "127.0.0.1:0", "--metrics"])
            .arg(format!("127.0.0.1:{port}"))
            .args(["--database", &server.url("app", "pw", "shop")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts"),
    );
    let mut line = String::new();
    let out = pooler.0.stdout.take().expect("piped");
    // It writes more lines; the pipe stays open.
    let mut out = BufReader::new(out);
    out.read_line(&mut line).expect("a line");
    let url = line
        .split_whitespace()
        .nth(2)
        .expect("a URL")
        .replace("app@", "app:pw@");
    assert!(wait_until(SOON, || page(port).is_some()));

    // 100 transactions a second, each 20 ms and a little: two connections busy.
    let script = server.socket_dir().join("held.sql");
    fs::write(&script, "select pg_sleep(0.02);\n").expect("written");
    let bench = server.programs().psql.with_file_name("pgbench");
    let bench = if bench.exists() {
        bench
    } else {
        Path::new("pgbench").to_owned()
    };
    let mut traffic = Running(
        Command::new(bench)
            .args(["-n", "-c", "8", "-R", "100", "-T", "12", "-f"])
            .arg(&script)
            .arg(&url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbench"),
    );
    let counted = || {
        page(port).is_some_and(|p| {
            p.contains("plimsoll_pool_hold_seconds_count")
                && !p.contains("hold_seconds_count{database=\"shop\",user=\"app\"} 0\n")
        })
    };
    assert!(wait_until(SOON, counted));
    let before = page(port).expect("a page");
    let metrics = format!("http://127.0.0.1:{port}/metrics");
    let (code, json, err) = size(&["--metrics", &metrics, "--for", "5s", "--format", "json"]);
    assert_eq!(code, 0, "{json}{err}");
    let (rate, hold) = (figure(&json, "rate"), figure(&json, "hold_seconds"));
    assert!((80.0..120.0).contains(&rate), "{json}");
    assert!((0.020..0.040).contains(&hold), "{json}");
    let shared = figure(&json, "shared");
    assert!((4.0..12.0).contains(&shared), "{json}");

    // The same from saved pages, and from one since the start.
    let place = server.socket_dir();
    let (first, second) = (place.join("before.txt"), place.join("after.txt"));
    fs::write(&first, before).expect("written");
    fs::write(&second, page(port).expect("a page")).expect("written");
    let (first, second) = (first.to_string_lossy(), second.to_string_lossy());
    let (code, out, err) = size(&["--metrics", &first, "--metrics", &second]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("shop/app: "), "{out}");
    assert!(out.contains("borrows in"), "{out}");
    let (code, out, _) = size(&["--metrics", &second, "--max-connections", "60"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("since the pooler's start"), "{out}");
    assert!(out.contains("the server has 52"), "{out}");
    let (code, _, err) = size(&["--metrics", &second, "--metrics", &first]);
    assert_eq!((code, err.contains("started anew")), (1, true), "{err}");
    let _ = traffic.0.wait();
}

#[test]
fn what_is_no_pooler_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answers = [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        ("HTTP/1.1 200 OK\r\n\r\nup 1\n", "not Plimsoll's metrics"),
        ("+PONG\r\n", "no HTTP server"),
    ];
    let peer = std::thread::spawn(move || {
        for (answer, _) in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    for (_, words) in answers {
        let (code, out, err) = size(&[
            "--metrics",
            &format!("http://127.0.0.1:{port}/metrics"),
            "--for",
            "1s",
        ]);
        assert_eq!(code, 1, "{out}");
        assert!(err.contains(words), "{words}: {err}");
    }
    peer.join().expect("it ends");
    for (arguments, code, words) in [
        (vec!["--metrics", "https://127.0.0.1/"], 1, "only http://"),
        (vec!["--metrics", "/no/such/file"], 1, "No such file"),
        (vec!["--metrics", "/dev/zero"], 1, "not a regular file"),
        (
            vec!["--metrics", "a", "--rate", "5", "--hold", "1s"],
            2,
            "cannot be used",
        ),
        (vec!["--rate", "5"], 2, "--hold"),
        (vec![], 2, "--rate"),
    ] {
        let (found, _, err) = size(&arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}
