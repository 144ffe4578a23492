//! `plimsoll demo` as a person or a script runs it.

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
