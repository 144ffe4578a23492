//! `plimsoll demo` as a person or a script runs it.
// Tests of a shell: threads and the environment.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A directory for the demonstration's temporary files: empty again when it has ended.
fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("plimsoll-demo-{name}-{}", std::process::id()));
    std::fs::create_dir(&path).expect("a directory of our own");
    // The server may run as another user.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

fn demo(scratch: &PathBuf, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demonstration starts")
}

/// What follows a word that begins a line of the summary.
fn line_of<'a>(text: &'a str, name: &str) -> &'a str {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    rest.unwrap_or_else(|| panic!("no `{name}` in:\n{text}"))
}

/// The number there.
fn figure(text: &str, name: &str) -> u64 {
    let rest = line_of(text, name);
    let digits = rest.split_whitespace().next().unwrap_or_default();
    let digits = digits.trim_end_matches(':');
    digits
        .parse()
        .unwrap_or_else(|_| panic!("`{digits}` in:\n{text}"))
}

fn is_empty(scratch: &PathBuf) -> bool {
    std::fs::read_dir(scratch)
        .expect("readable")
        .next()
        .is_none()
}

#[test]
fn a_large_pool_is_held_at_the_line_and_a_leak_is_named_and_taken_back() {
    let scratch = scratch("seconds");
    // The first leak begins after 11 s, and others wait for it from 15 s on.
    let output = demo(&scratch, &["--seconds", "24"])
        .wait_with_output()
        .expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{error}");
    assert!(figure(&text, "transactions") > 0, "{text}");
    assert_eq!(figure(&text, "errors"), 0, "{text}");
    let (most, line) = (figure(&text, "server connections"), figure(&text, "line"));
    // All clients were served, by as many server connections as the line allows.
    assert!(most > 0 && most <= line, "{text}");
    assert!(line < figure(&text, "clients"), "{text}");
    for told in [
        "Connect    psql postgres://",
        "Console    psql",
        "/metrics",
        "waiting=",
        ": held; pool shop asked for 50",
        "= max_connections 20 - reserved 3 - ",
        "taken back from coupons/2.4.1, silent for ",
        ": insert into redeemed (code, customer) values (?",
        "others refused 0",
        "rows left by leaks  0",
    ] {
        assert!(text.contains(told), "no `{told}` in:\n{text}");
    }
    let leaks = line_of(&text, "leaks ");
    assert!(!leaks.contains("named 0,"), "{text}");
    assert!(!leaks.contains("taken back 0,"), "{text}");
    // Words of the statements' literals.
    for literal in ["LOST", "SAVE"] {
        let everything = format!("{text}{error}");
        assert!(!everything.contains(literal), "{everything}");
    }
    assert!(
        !text.contains('\x1b'),
        "no terminal, no control codes:\n{text}"
    );
    assert!(is_empty(&scratch), "something is left behind");
    std::fs::remove_dir(&scratch).ok();
}

#[test]
fn ctrl_c_ends_it_with_its_summary() {
    let scratch = scratch("interrupt");
    let mut child = demo(&scratch, &[]);
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("at_server=") {
        assert!(out.read_line(&mut text).expect("text") > 0, "{text}");
    }
    let sent = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    out.read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("it ends").success(), "{text}");
    assert_eq!(figure(&text, "errors"), 0, "{text}");
    assert!(is_empty(&scratch), "something is left behind");
    std::fs::remove_dir(&scratch).ok();
}

/// A request to the demonstration's API; the body of a good answer.
fn ask(page: &str, verb: &str, body: &str) -> serde_json::Value {
    use std::io::Write;
    let host = page.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(host).expect("the page is there");
    let request = format!(
        "{verb} /v1/demo HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Authorization: Bearer demo-operator-token\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

#[test]
fn an_outage_is_begun_by_a_button_stopped_and_told() {
    let scratch = scratch("buttons");
    let mut child = demo(&scratch, &[]);
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("at_server=") {
        assert!(out.read_line(&mut text).expect("text") > 0, "{text}");
    }
    let page = line_of(&text, "Live page  ");
    let page = page.split(' ').next().expect("an address").to_owned();
    let reading = std::thread::spawn(move || {
        out.read_to_string(&mut text).expect("text");
        text
    });

    let offered = ask(&page, "GET", "");
    assert_eq!(offered["outages"].as_array().map(Vec::len), Some(5));
    assert_eq!(offered["running"], "");
    let begun = ask(&page, "POST", r#"{"number":"000","guarded":false}"#);
    assert_eq!(begun["running"], "000");
    // One at a time.
    let second = ask(&page, "POST", r#"{"number":"004","guarded":true}"#);
    assert!(
        second["lines"][0]
            .as_str()
            .is_some_and(|l| l.contains("one at a time")),
        "{second}"
    );
    let told = |state: &serde_json::Value, what: &str| {
        let lines = state["told"].as_array().cloned().unwrap_or_default();
        let line = lines.into_iter().find(|line| line[0] == what);
        line.map_or(String::new(), |line| {
            line[1].as_str().unwrap_or_default().to_owned()
        })
    };
    // The cut limit serves, for somebody counts what clients feel.
    let mut state = offered;
    let until = |state: &mut serde_json::Value, good: &dyn Fn(&serde_json::Value) -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(40);
        while !good(state) {
            assert!(std::time::Instant::now() < deadline, "{state}");
            *state = ask(&page, "GET", "");
        }
    };
    until(&mut state, &|s| {
        told(s, "What Plimsoll does").contains("version 2 serves")
    });
    ask(&page, "POST", r#"{"number":""}"#);
    until(&mut state, &|s| s["running"] == "");
    assert!(
        told(&state, "How it ended").contains("the settings are as before"),
        "{state}"
    );
    assert!(
        told(&state, "How it ended").contains("clients were well"),
        "{state}"
    );
    assert!(
        told(&state, "What clients felt").starts_with("Of "),
        "{state}"
    );

    let sent = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    let text = reading.join().expect("read");
    assert!(child.wait().expect("it ends").success(), "{text}");
    assert!(
        text.contains("Outage 000  An update cuts the limit (guards observe)"),
        "{text}"
    );
    assert!(is_empty(&scratch), "something is left behind");
    std::fs::remove_dir(&scratch).ok();
}

#[test]
fn a_script_asks_for_an_outage_and_reads_what_happened() {
    let scratch = scratch("script");
    let arguments = ["--outage", "001", "--guard", "on", "--seconds", "14"];
    let output = demo(&scratch, &arguments)
        .wait_with_output()
        .expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for told in [
        "Outage 001  A script overwrites the settings (guards enforce)",
        "It did not take the file; version 1 serves on.",
        "none failed",
        "the demonstration ended; the file is as before",
    ] {
        assert!(text.contains(told), "no `{told}` in:\n{text}");
    }
    assert!(is_empty(&scratch), "something is left behind");
    std::fs::remove_dir(&scratch).ok();
}
