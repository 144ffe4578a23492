//! Input that is broken on purpose: an error with a place, never a panic.

use std::io;
use std::path::Path;

use proptest::prelude::*;

use super::{ini, rendered, toml};
use crate::*;

const GOOD: &str = "[databases]\na = host=h\n[pgbouncer]\n";

fn from(path: &str, bytes: &[u8]) -> Result<Plan, Errors> {
    load(path.as_ref(), &Memory::default().file(path, bytes))
}

#[test]
fn a_missing_or_unreadable_file() {
    assert_eq!(
        rendered(load("gone.ini".as_ref(), &Memory::default())),
        "error: cannot read the settings file gone.ini: it does not exist\n  --> gone.ini\n  \
         = why: nothing is read in its place, and no default takes over\n  \
         = help: check the path, and that it is mounted\n"
    );
    let denied = |_: &Path| -> io::Result<Vec<u8>> { Err(io::ErrorKind::PermissionDenied.into()) };
    assert!(rendered(load("p.toml".as_ref(), &denied)).contains("permission denied"));
    let user_file = rendered(ini(&format!("{GOOD}auth_file = gone.txt\n")));
    assert!(
        user_file
            .contains("cannot read the user file gone.txt: it does not exist\n  --> p.ini:4:13"),
        "{user_file}"
    );
}

#[test]
fn each_error_fits_on_a_line_for_logs() {
    let errors = ini(&format!("{GOOD}pool_mode = x\nno_such_key = 1\n")).expect_err("two mistakes");
    let lines = errors.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("p.ini:4:13: "), "{lines:?}");
    assert!(lines[0].contains(", in `pool_mode = x`"), "{lines:?}");
    assert!(lines[1].starts_with("p.ini:5:1: "), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
}

#[test]
fn encodings_and_line_ends() {
    assert!(ini(&GOOD.replace('\n', "\r\n")).is_ok());
    assert!(ini(&format!("\u{feff}{GOOD}")).is_ok());
    assert!(toml("\u{feff}[database.a]\r\nhost = \"h\"\r\n").is_ok());
    for path in ["p.ini", "p.toml", "settings"] {
        let latin = rendered(from(path, b"[x]\nab\xe9 = 1\n"));
        assert!(
            latin.contains(&format!("is not UTF-8 text\n  --> {path}:2:3")),
            "{latin}"
        );
        let nul = rendered(from(path, b"[x]\na\0b"));
        assert!(
            nul.contains(&format!("holds a NUL byte\n  --> {path}:2:2")),
            "{nul}"
        );
    }
}

#[test]
fn the_content_decides_where_the_name_does_not() {
    assert!(from("conf", GOOD.as_bytes()).is_ok_and(|p| p.error_style == ErrorStyle::Pgbouncer));
    assert!(
        from("conf", b"[database.a]\nhost='h'")
            .is_ok_and(|p| p.error_style == ErrorStyle::Plimsoll)
    );
}

/// A file cut anywhere gives a plan or an error, never a panic; and never a plan with a cut value of a kind that shows it.
#[test]
fn truncated_anywhere() {
    let ini_text = include_str!("../../../../docs/examples/pgbouncer.ini");
    let toml_text = include_str!("../../../../docs/examples/plimsoll.toml");
    for text in [ini_text, toml_text] {
        for end in (0..text.len()).filter(|e| text.is_char_boundary(*e)) {
            let cut = &text[..end];
            let _ = (ini(cut), toml(cut));
        }
    }
    assert!(ini("[databases]\na = host=h password='abc").is_err());
    assert!(toml("[database.a]\nhost = \"h").is_err());
}

#[test]
fn ten_megabytes_are_read_and_more_is_refused() {
    let comment = ";".repeat(99) + "\n";
    let ten = format!("{}{GOOD}", comment.repeat(100_000));
    assert!(ten.len() > 10_000_000 && ini(&ten).is_ok());
    let wrong = format!("{GOOD}{}", "nonsense = 1\n".repeat(800_000));
    let errors = ini(&wrong).unwrap_err();
    assert_eq!((errors.list().len(), errors.omitted()), (ERRORS_MAX, 1));
    let twenty = comment.repeat(200_000);
    assert!(rendered(ini(&twenty)).contains("is larger than 16384 KiB"));
}

#[test]
fn includes_are_bounded() {
    assert!(
        rendered(ini(&format!("{GOOD}%include p.ini\n")))
            .contains("this file includes itself\n  --> p.ini:4:1")
    );
    let mut deep = Memory::default().file("p.ini", format!("{GOOD}%include 0.ini"));
    for n in 0..20 {
        deep = deep.file(format!("{n}.ini"), format!("%include {}.ini\n", n + 1));
    }
    assert!(rendered(load("p.ini".as_ref(), &deep)).contains("more than 10 nested includes"));
    let many = format!("{GOOD}{}", "%include e.ini\n".repeat(1000));
    let files = Memory::default().file("p.ini", many).file("e.ini", "");
    assert!(rendered(load("p.ini".as_ref(), &files)).contains("more than 200 files are included"));
    for line in ["%include", "%include ", "%includex", "%include gone.ini"] {
        assert!(ini(&format!("{GOOD}{line}\n")).is_err(), "{line}");
    }
}

#[test]
fn deep_toml_does_not_overflow_the_stack() {
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(toml(&deep).is_err());
    let dotted = format!("{} = 1", vec!["a"; 50_000].join("."));
    assert!(toml(&dotted).is_err());
}

fn lines() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[databases]\n".to_owned()),
        Just("[pgbouncer]\n".to_owned()),
        Just("[users]\n".to_owned()),
        Just("[database.a]\n".to_owned()),
        Just("[[user]]\n".to_owned()),
        Just("host = ".to_owned()),
        Just("a = host=".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just(" = ".to_owned()),
        Just("%include p.ini\n".to_owned()),
        Just("pool_size=".to_owned()),
        Just("[timeouts]\nquery = ".to_owned()),
        Just("listen_addr = ".to_owned()),
        "\\PC{0,6}",
        "[0-9.-]{0,22}[a-z]{0,3}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|p| p.concat())
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for path in ["p.ini", "p.toml", "conf"] {
            let _ = from(path, &bytes).map_err(|e| (e.render(), e.json()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse_user_file(&text, "u".as_ref()).map_err(|e| e.render());
        let _ = from_url(&text);
        let _ = from_url(&format!("postgres://{text}"));
    }

    #[test]
    fn random_pieces_never_panic(text in lines()) {
        for path in ["p.ini", "p.toml"] {
            let _ = from(path, text.as_bytes()).map_err(|e| (e.render(), e.json()));
        }
    }
}
