//! `plimsoll run` without a file, as a stranger types it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use plimsoll::sandbox::Places;

fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("run").args(arguments).stdin(Stdio::null());
    command
}

/// Ends it as a supervisor would, and says whether it ended well.
fn end(mut child: Child) -> bool {
    let sent = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    sent.expect("kill runs").success() && child.wait().expect("it ends").success()
}

#[test]
fn the_sandbox_says_how_to_connect_and_that_works() {
    let mut child = plimsoll(&["--sandbox", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut url = |name: &str| {
        let line = lines.next().expect("a line").expect("text");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.first(), Some(&name), "{line}");
        words.get(2).copied().unwrap_or_default().to_owned()
    };
    let (database, console) = (url("Connect"), url("Console"));
    let psql = Places::from_env().find().expect("PostgreSQL").psql;
    for (url, sql, expected) in [
        (&database, "select current_user", "sandbox"),
        (&console, "show version", "Plimsoll"),
    ] {
        let output = Command::new(&psql)
            .args(["-X", "-A", "-t", "-c", sql, url])
            .output()
            .expect("psql runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.to_lowercase().contains(&expected.to_lowercase()),
            "{sql}: {text}{error}"
        );
    }
    assert!(end(child));
}

#[test]
fn what_is_wrong_is_said_before_anything_serves_and_no_password_with_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let good = "postgres://anna:geheim@127.0.0.1:1/shop";
    let table: [(&str, &str, &str); 4] = [
        (
            "postgres://anna@127.0.0.1/shop",
            "127.0.0.1:0",
            "the URL has no password",
        ),
        (good, "0.0.0.0:0", "is not a loopback address"),
        (good, "6432", "write an address and a port"),
        ("geheim", "127.0.0.1:0", "this is no postgres:// URL"),
    ];
    let fails = |url: &str, listen: &str, expected: &str| {
        let output = plimsoll(&["--database", url, "--listen", listen])
            .output()
            .expect("it ends");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{url} {listen}");
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("geheim"), "{error}");
        assert!(output.stdout.is_empty(), "{expected}");
    };
    for (url, listen, expected) in table {
        fails(url, listen, expected);
    }
    fails(good, &address, "another process listens there already");
    drop(taken);
}
