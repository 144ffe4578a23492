//! `plimsoll top` in a pseudo-terminal, before a pooler's API that is made up.
// Processes, threads and waits are what is tested.
#![allow(clippy::disallowed_methods)]

#[path = "top/api.rs"]
mod api;
#[path = "top/terminal.rs"]
mod terminal;

use api::Api;
use std::process::{Command, Stdio};
use terminal::Terminal;

fn top(api: &Api, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command
        .args(["top", "--socket"])
        .arg(api.socket())
        .args(arguments)
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .env("USER", "anna")
        .env_remove("SUDO_USER")
        .env_remove("NO_COLOR")
        .env_remove("PLIMSOLL_API");
    command
}

#[test]
fn keys_change_the_view_and_an_action_asks_first() {
    let api = Api::start("keys");
    let mut terminal = Terminal::start(top(&api, &["--interval", "200ms"]), 24, 80);
    terminal.until("CLIENTS SUFFER");
    terminal.until("a change of settings, 93 % sure");
    terminal.keys("2");
    terminal.until("[2 pools]");
    terminal.until("by trouble");
    terminal.keys("s");
    terminal.until("by name");
    terminal.keys("3j");
    terminal.until("▸ shop-web");
    terminal.keys("\r");
    terminal.until("SELECT * FROM orders");
    terminal.keys("c");
    terminal.until("Cancel the statement of shop-web in shop (client 1a20)?");
    assert_eq!(api.actions(), [""; 0], "nothing is done before the answer");
    terminal.keys("n");
    terminal.until("Nothing was done");
    terminal.keys("cy");
    terminal.until("Done: The statement of shop-web was cancelled.");
    let actions = api.actions();
    assert_eq!(actions.len(), 1);
    assert!(
        actions[0].starts_with("/v1/leases/1a20/cancel {"),
        "{actions:?}"
    );
    assert!(actions[0].contains("\"actor\":\"anna@"), "{actions:?}");
    assert!(!actions[0].contains("database"), "{actions:?}");
    terminal.keys("\x1b");
    terminal.until("WHO HOLDS");
    terminal.keys("/work\r");
    terminal.until("WHO HOLDS 1/2");
    terminal.keys("q");
    assert_eq!(terminal.end(), Some(0));
    assert!(terminal.is_restored());
}

#[test]
fn who_may_not_is_told_what_it_takes() {
    let api = Api::start("role");
    api.refuse();
    let mut terminal = Terminal::start(top(&api, &["--view", "pools"]), 24, 80);
    terminal.until("shop/app");
    terminal.keys("jP");
    terminal.until("Pause database shop?");
    terminal.keys("y");
    terminal.until("Not permitted: actions need an operator's token");
    terminal.keys("\x03");
    assert_eq!(terminal.end(), Some(0));
    assert!(terminal.is_restored());
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in ["TERM", "HUP", "INT"] {
        let api = Api::start(signal);
        let mut terminal = Terminal::start(top(&api, &[]), 24, 80);
        terminal.until("CLIENTS SUFFER");
        assert!(!terminal.is_restored());
        terminal.signal(signal);
        assert_eq!(terminal.end(), Some(0), "{signal}");
        assert!(terminal.is_restored(), "{signal}");
    }
}

#[test]
fn in_the_background_the_terminal_is_the_shells() {
    let api = Api::start("background");
    let mut terminal = Terminal::start(top(&api, &[]), 24, 80);
    for stop in ["\x1a", "TSTP"] {
        terminal.until("CLIENTS SUFFER");
        match stop {
            "TSTP" => terminal.signal(stop),
            key => terminal.keys(key),
        }
        terminal.until_stopped();
        assert!(terminal.is_restored(), "{stop:?}");
        terminal.forget();
        terminal.signal("CONT");
    }
    terminal.until("CLIENTS SUFFER");
    terminal.keys("q");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn another_size_is_another_screen() {
    let api = Api::start("size");
    let mut terminal = Terminal::start(top(&api, &[]), 24, 80);
    terminal.until("CLIENTS SUFFER");
    assert!(!terminal.text().contains("silent leaks"));
    terminal.resize(60, 200);
    terminal.until("silent leaks");
    terminal.resize(3, 12);
    terminal.until("too small");
    terminal.resize(24, 80);
    terminal.until("CLIENTS SUFFER");
    terminal.keys("q");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn a_pooler_that_goes_away_is_told_and_looked_for() {
    let mut api = Api::start("lost");
    let mut terminal = Terminal::start(top(&api, &["--interval", "100ms"]), 24, 80);
    terminal.until("CLIENTS SUFFER");
    api.stop();
    terminal.until("NO CONNECTION for");
    // The keyboard does not wait for the network, and what was known stays.
    terminal.keys("2");
    terminal.until("[2 pools]");
    terminal.until("shop/app");
    api.again();
    terminal.until_not("NO CONNECTION");
    terminal.keys("q");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn a_pooler_that_does_not_answer_stops_no_key() {
    let api = Api::start("hangs");
    api.hang();
    let mut terminal = Terminal::start(top(&api, &[]), 24, 80);
    terminal.until("Waiting for the pooler");
    terminal.keys("?");
    terminal.until("cancel the chosen lease's statement");
    terminal.keys("q");
    assert_eq!(terminal.end(), Some(0));
    assert!(terminal.is_restored());
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_gets_one_frame() {
    let api = Api::start("dumb");
    let mut command = top(&api, &[]);
    command.env("TERM", "dumb").env("LC_ALL", "C");
    let mut terminal = Terminal::start(command, 50, 120);
    assert_eq!(terminal.end(), Some(0));
    terminal.until("as with --once");
    terminal.until("CLIENTS SUFFER");
    assert!(terminal.raw().is_ascii() && !terminal.raw().contains('\x1b'));
}

#[test]
fn scripts_get_text_or_json() {
    let api = Api::start("once");
    let run = |arguments: &[&str]| {
        let output = top(&api, arguments).stdin(Stdio::null()).output();
        let output = output.expect("it ends");
        let text = String::from_utf8(output.stdout).expect("text");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text, error)
    };
    let (code, text, error) = run(&["--once"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(
        text.contains("CLIENTS SUFFER") && !text.contains('\x1b'),
        "{text}"
    );
    assert!(!text.contains("q: leave"), "a script presses no keys");
    let (code, text, _) = run(&["--once", "--view", "leases", "--filter", "worker"]);
    assert!(
        code == Some(0) && text.contains("shop-worker") && !text.contains("shop-web"),
        "{text}"
    );
    let (code, text, _) = run(&["--once", "--at", "2026-11-21T14:10:00Z"]);
    assert!(
        code == Some(0) && text.contains("THE PAST: 2026-11-21 14:10:00 UTC"),
        "{text}"
    );
    let (code, text, _) = run(&["--once", "--format", "json"]);
    let live: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (code, &live["totals"]["waiting"]),
        (Some(0), &serde_json::json!(12))
    );
    let (code, _, error) = run(&[]);
    assert!(
        code == Some(0) && error.contains("this is no terminal"),
        "{error}"
    );
    let (code, text, error) = run(&["--once", "--sort", "size"]);
    assert!(
        code == Some(1) && text.is_empty() && error.contains("held, silent"),
        "{error}"
    );
    drop(api);
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["top", "--once", "--socket", "/nonexistent/api.sock"])
        .stdin(Stdio::null())
        .output()
        .expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no pooler answers"));
}
