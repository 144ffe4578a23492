//! What can be typed, and what cannot.

use super::*;
use clap::CommandFactory;
use clap::error::ErrorKind;

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn run_takes_exactly_one_source() {
    let table: [(&[&str], Option<ErrorKind>); 6] = [
        (&["run"], Some(ErrorKind::MissingRequiredArgument)),
        (&["run", "plimsoll.toml"], None),
        (&["run", "--sandbox"], None),
        (&["run", "--database", "postgres://localhost/x"], None),
        (
            &["run", "plimsoll.toml", "--sandbox"],
            Some(ErrorKind::ArgumentConflict),
        ),
        (
            &["run", "--sandbox", "--database", "x"],
            Some(ErrorKind::ArgumentConflict),
        ),
    ];
    for (arguments, expected) in table {
        let parsed = Cli::try_parse_from([&["plimsoll"], arguments].concat());
        assert_eq!(parsed.err().map(|e| e.kind()), expected, "{arguments:?}");
    }
}

#[test]
fn the_switch_needs_a_time_and_a_reason() {
    let table: [(&[&str], Option<ErrorKind>); 9] = [
        (&[], None),
        (&["plimsoll.toml"], None),
        (&["show", "--socket", "/tmp"], None),
        (&["on", "plimsoll.toml"], None),
        (&["off", "--for", "30m", "--reason", "a fix"], None),
        (
            &["off", "--for", "30m"],
            Some(ErrorKind::MissingRequiredArgument),
        ),
        (
            &["off", "--for", "30m", "--reason", ""],
            Some(ErrorKind::InvalidValue),
        ),
        (
            &["off", "--for", "30", "--reason", "x"],
            Some(ErrorKind::ValueValidation),
        ),
        (
            &["p.toml", "--host", "h"],
            Some(ErrorKind::ArgumentConflict),
        ),
    ];
    for (arguments, expected) in table {
        let parsed = Cli::try_parse_from([&["plimsoll", "guards"], arguments].concat());
        assert_eq!(parsed.err().map(|e| e.kind()), expected, "{arguments:?}");
    }
}

#[test]
fn an_address_to_listen_on_has_a_port() {
    let table = [
        ("127.0.0.1:6432", Some("127.0.0.1:6432")),
        ("localhost:7000", Some("127.0.0.1:7000")),
        ("[::1]:0", Some("[::1]:0")),
        ("127.0.0.1", None),
        (":6432", None),
        ("::1:6432", None),
        ("db.internal:6432", None),
    ];
    for (text, expected) in table {
        let address = listen_address(text).ok().map(|a| a.to_string());
        assert_eq!(address.as_deref(), expected, "{text}");
    }
}

#[test]
fn a_url_does_not_show_in_debug_output() {
    let cli = Cli::try_parse_from(["plimsoll", "run", "--database", "postgres://a:geheim@h/d"])
        .expect("valid");
    assert!(!format!("{cli:?}").contains("geheim"));
}

#[test]
fn guard_takes_files_or_a_server_or_says_what_to_do_with_one() {
    let table: [(&[&str], Option<ErrorKind>); 11] = [
        (&[], Some(ErrorKind::MissingRequiredArgument)),
        (&["a.conf", "b/"], None),
        (&["--database", "postgres://u@h/d"], None),
        (&["--once", "a.conf"], None),
        (
            &["--once", "--restore", "a.conf"],
            Some(ErrorKind::ArgumentConflict),
        ),
        (&["accept", "a.conf", "--reason", "x"], None),
        (&["accept"], Some(ErrorKind::MissingRequiredArgument)),
        (&["restore", "a.conf", "7", "--yes"], None),
        (
            &["restore", "a.conf", "x"],
            Some(ErrorKind::ValueValidation),
        ),
        (&["history"], None),
        (&["--state", "s", "history", "--format", "json"], None),
    ];
    for (arguments, expected) in table {
        let parsed = Cli::try_parse_from([&["plimsoll", "guard"], arguments].concat());
        assert_eq!(parsed.err().map(|e| e.kind()), expected, "{arguments:?}");
    }
}
