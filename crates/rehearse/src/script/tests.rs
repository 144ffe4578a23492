//! Scripts as people have them, and what is said of those that are none.

use super::*;
use crate::expression::Value;

/// As pgbench's own, but for the function of time.
const TPCB: &str = "\
\\set aid random(1, 100000 * :scale)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
END;
";

fn statements(text: &str) -> Vec<String> {
    let script = Script::parse("test.sql", text, &["scale", "n"]).unwrap_or_else(|e| panic!("{e}"));
    let variables = Variables::from([
        ("scale".to_owned(), Value::Int(1)),
        ("n".to_owned(), Value::Int(7)),
        ("aid".to_owned(), Value::Int(42)),
        ("delta".to_owned(), Value::Int(-5)),
    ]);
    let text = |step: &Step| match step {
        Step::Statement(statement) => Some(statement.text(&variables).expect("values")),
        _ => None,
    };
    script.steps.iter().filter_map(text).collect()
}

fn error(text: &str) -> String {
    Script::parse("test.sql", text, &[])
        .expect_err(text)
        .to_string()
}

#[test]
fn pgbench_s_own_script_is_read() {
    assert_eq!(
        statements(TPCB),
        [
            "BEGIN",
            "UPDATE pgbench_accounts SET abalance = abalance + -5 WHERE aid = 42",
            "SELECT abalance FROM pgbench_accounts WHERE aid = 42",
            "END",
        ]
    );
    let script = Script::parse("tpcb", TPCB, &["scale"]).expect("sound");
    assert_eq!(script.steps.len(), 6);
    assert!(matches!(&script.steps[1], Step::Set { name, line: 2, .. } if name == "delta"));
    assert!(matches!(&script.steps[3], Step::Statement(s) if s.line == 4));
}

#[test]
fn a_statement_ends_where_postgresql_ends_it() {
    for (text, expected) in [
        ("select 1; select 2;", vec!["select 1", "select 2"]),
        ("select\n 1\n;\n", vec!["select\n 1"]),
        ("select 1", vec!["select 1"]),
        ("select ';'; select 2", vec!["select ';'", "select 2"]),
        (
            "select 'it''s; so'; select 2",
            vec!["select 'it''s; so'", "select 2"],
        ),
        (
            "select E'\\';'; select 2",
            vec!["select E'\\';'", "select 2"],
        ),
        ("select '\\'; select 2", vec!["select '\\'", "select 2"]),
        (
            "select date'\\'; select 2",
            vec!["select date'\\'", "select 2"],
        ),
        (
            "select \"a;b\"; select 2",
            vec!["select \"a;b\"", "select 2"],
        ),
        (
            "do $$begin; end$$; select 2",
            vec!["do $$begin; end$$", "select 2"],
        ),
        (
            "do $x$ a; $$ b; $x$; select 2",
            vec!["do $x$ a; $$ b; $x$", "select 2"],
        ),
        ("select $1; select 2", vec!["select $1", "select 2"]),
        (
            "select 1 /* a; /* b; */ c; */; select 2",
            vec!["select 1 /* a; /* b; */ c; */", "select 2"],
        ),
        ("select 1 -- so; it\n, 2;", vec!["select 1 \n, 2"]),
        ("-- a comment\n\n;;select 1;;", vec!["select 1"]),
        (
            "select 'ü;ö'; select 'ß'",
            vec!["select 'ü;ö'", "select 'ß'"],
        ),
    ] {
        assert_eq!(statements(text), expected, "{text}");
    }
}

#[test]
fn variables_are_put_where_pgbench_puts_them() {
    for (text, expected) in [
        ("select :n", "select 7"),
        ("select :n::int", "select 7::int"),
        ("select 5::text", "select 5::text"),
        ("select ':n'", "select '7'"),
        ("select time '12:30'", "select time '12:30'"),
        ("select 'a:b'", "select 'a:b'"),
        ("select a[1:2]", "select a[1:2]"),
        ("select :n:n", "select 77"),
    ] {
        assert_eq!(statements(text), [expected], "{text}");
    }
}

#[test]
fn sleeps_have_units() {
    for (text, expected) in [
        ("10 ms", Duration::from_millis(10)),
        ("10ms", Duration::from_millis(10)),
        ("250 us", Duration::from_micros(250)),
        ("2 s", Duration::from_secs(2)),
        ("2", Duration::from_secs(2)),
        (":n ms", Duration::from_millis(7)),
        ("random(3, 3) ms", Duration::from_millis(3)),
        ("0.5 s", Duration::from_millis(500)),
    ] {
        let script = Script::parse("x", &format!("\\sleep {text}\nselect 1"), &["n"]).expect(text);
        let variables = Variables::from([("n".to_owned(), Value::Int(7))]);
        let sleep = script.steps[0].sleep(&variables, &mut Rng::new(1));
        assert_eq!(sleep, Ok(Some(expected)), "{text}");
        assert_eq!(
            script.steps[1].sleep(&variables, &mut Rng::new(1)),
            Ok(None)
        );
    }
    let script = Script::parse("x", "\\sleep -1 s\nselect 1", &[]).expect("read");
    let error = script.steps[0]
        .sleep(&Variables::new(), &mut Rng::new(1))
        .expect_err("negative");
    assert_eq!(error, "a sleep of -1 s is outside 0 to 3600 s");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, said) in [
        ("", "test.sql: there is no statement in it"),
        (
            "\\set a 1\n-- nothing\n",
            "test.sql: there is no statement in it",
        ),
        (
            "select 1;\n\\if true\n",
            "test.sql:2: `\\if` is not known here; `\\set` and `\\sleep` are",
        ),
        (
            "\\shell rm -rf x\n",
            "test.sql:1: `\\shell` is not known here; `\\set` and `\\sleep` are",
        ),
        ("\\set x\n", "test.sql:1: write `\\set NAME EXPRESSION`"),
        (
            "\\set a-b 1\n",
            "test.sql:1: a variable's name is letters, digits and `_`",
        ),
        (
            "\\set a :b\n",
            "test.sql:1: the variable `b` has no value at this place",
        ),
        (
            "select 1;\nselect :nobody;",
            "test.sql:2: the variable `nobody` has no value at this place",
        ),
        (
            "select 1;\nselect 'open\n;\n",
            "test.sql:2: the statement that begins here has no end: a quote or comment is open",
        ),
        (
            "select 1 /* open",
            "test.sql:1: the statement that begins here has no end: a quote or comment is open",
        ),
    ] {
        assert_eq!(error(text), said);
    }
    let large = "select 1;\n".repeat(200_000);
    assert!(error(&large).starts_with("test.sql: a script is at most"));
    let many = "select 1;".repeat(20_000);
    assert!(error(&many).contains("at most 10000 steps"));
}

#[test]
fn a_nul_byte_would_end_the_statement_for_the_server() {
    let error = Script::parse("a", "select 1;\nselect 1\0 from nosuch;", &[]).unwrap_err();
    assert_eq!(error.to_string(), "a:2: there is a NUL byte in it");
}
