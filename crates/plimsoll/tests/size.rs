//! `plimsoll size` and `plimsoll template`, as typed.

use std::process::Command;

fn plimsoll(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments)
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(text).expect("text"),
    )
}

#[test]
fn a_size_comes_with_its_reasons() {
    let (code, out) = plimsoll(&["size", "--rate", "400", "--hold", "20ms"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("14 connections"), "{out}");
    assert!(out.contains("8.0 connections in use on average"), "{out}");
    let few = [
        "size",
        "--rate",
        "400",
        "--hold",
        "1s",
        "--max-connections",
        "100",
    ];
    let (code, out) = plimsoll(&few);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the demand does not fit"), "{out}");
    assert_eq!(plimsoll(&["size", "--rate", "-1", "--hold", "20ms"]).0, 2);
}

#[test]
fn a_template_is_filled_in_and_an_unknown_one_names_the_others() {
    let (code, out) = plimsoll(&[
        "template",
        "pgbouncer",
        "--size",
        "30",
        "--max-connections",
        "200",
    ]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("default_pool_size = 30"), "{out}");
    assert!(!out.contains('@'), "{out}");
    let (code, out) = plimsoll(&["template", "oracle"]);
    assert_eq!(code, 1);
    assert!(out.contains("pgbouncer, postgresql, django"), "{out}");
    let (_, list) = plimsoll(&["template"]);
    assert_eq!(list.lines().count(), 9, "{list}");
}
