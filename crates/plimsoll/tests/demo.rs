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

/// The number behind a word that begins a line of the summary.
fn figure(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let rest = line.and_then(|line| line.strip_prefix(name));
    let rest = rest.unwrap_or_else(|| panic!("no `{name}` in:\n{text}"));
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
fn four_seconds_of_traffic_without_an_error_and_below_the_line() {
    let scratch = scratch("seconds");
    let output = demo(&scratch, &["--seconds", "4"])
        .wait_with_output()
        .expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{error}");
    assert!(figure(&text, "transactions") > 0, "{text}");
    assert_eq!(figure(&text, "errors"), 0, "{text}");
    let (most, line) = (figure(&text, "server connections"), figure(&text, "line"));
    // All 74 clients were served, by ten server connections at most.
    assert!(most > 0 && most <= line, "{text}");
    assert!(line < figure(&text, "clients"), "{text}");
    for told in [
        "Connect    psql postgres://",
        "Console    psql",
        "/metrics",
        "waiting=",
    ] {
        assert!(text.contains(told), "no `{told}` in:\n{text}");
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
