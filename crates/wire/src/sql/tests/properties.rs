//! For any text: no panic, no literal that leaks, bounded time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const MARKER: &str = "77340177";

/// Pieces that meet all corners of the lexer when thrown together.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "SELECT",
            "SET",
            "x",
            "=",
            "TO",
            "set_config",
            "pg_advisory_lock",
            "temp",
            "INTO",
            "CREATE",
            "FUNCTION",
            "BEGIN",
            "ATOMIC",
            "CASE",
            "END",
            "ROLE",
            "COPY",
            "FROM",
            "LOCAL",
            "SESSION",
            "UPDATE",
            "WITH",
            "U&",
            "E",
            "$",
            "$$",
            "$a$",
            "$1",
            "'",
            "\"",
            "\\",
            "/*",
            "*/",
            "--",
            "\n",
            " ",
            ";",
            ",",
            "(",
            ")",
            "[",
            "]",
            "::",
            ".",
            "-",
            "?",
            "1",
            "0x",
            "1e",
            "é",
            "\u{1}",
            "…",
            "EXPLAIN",
            "ANALYZE",
            "ALTER",
            "USER",
            "TABLE",
            "pg_temp",
            "DROP",
            "VALUES",
            "(1,2)",
            "/*app:",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,3}",
    ]
}

fn jumble() -> impl Strategy<Value = String> {
    prop::collection::vec((piece(), any::<bool>()), 0..40).prop_map(|pieces| {
        let join = |(text, gap): (String, bool)| if gap { text + " " } else { text };
        pieces.into_iter().map(join).collect()
    })
}

/// A literal that holds the marker, in one of the forms of SQL.
fn literal() -> impl Strategy<Value = String> {
    let body = prop::sample::select(vec![
        "", " ", "''", ";", "/*", "--", "\n", "\"", "é", "(1,2)", "$x",
    ]);
    let form = 0..11usize;
    (body.clone(), body, form).prop_map(|(before, after, form)| {
        let text = format!("{before}{MARKER}{after}");
        match form {
            0 => format!("'{text}'"),
            1 => format!("E'\\'{text}\\\\'"),
            2 => format!("U&'{text}'"),
            3 => format!("N'{text}'"),
            4 => format!("$t${text}$t$"),
            5 => format!("'a'\n'{text}'"),
            6 => format!("X'{MARKER}'"),
            7 => format!("b'{MARKER}'"),
            8 => MARKER.to_owned(),
            9 => format!("1.{MARKER}e5"),
            _ => format!("-0x{MARKER}"),
        }
    })
}

fn statement() -> impl Strategy<Value = String> {
    let frame = prop::sample::select(vec![
        ("SELECT ", ""),
        ("SELECT f(", ", 1)"),
        ("INSERT INTO t VALUES (1, ", "), (2, 3)"),
        ("/*app:x*/ SELECT a=", ""),
        ("SET x = ", ""),
        ("SET x TO a, ", ""),
        ("SET ROLE ", ""),
        ("SET TIME ZONE ", ""),
        ("ALTER USER x PASSWORD ", ""),
        ("CREATE TABLE t (a int DEFAULT ", ")"),
        ("DO ", ""),
        ("COPY t FROM ", " (DELIMITER 'x')"),
        ("COMMENT ON TABLE x IS ", ""),
        ("SELECT set_config('a', ", ", false)"),
        ("SELECT pg_advisory_lock(", ")"),
        ("EXPLAIN SELECT ", ""),
        ("PREPARE TRANSACTION ", ""),
        ("NOTIFY x, ", ""),
        ("SELECT ARRAY[1, ", "]"),
        ("SELECT 1 /* ", " */"),
        ("SELECT (\n", "::text)"),
        ("UPDATE t SET a = ", " WHERE \"b\" > 1"),
        ("SELECT 'open ", ""),
        ("SELECT \"open ", ""),
        ("SELECT /* ", ""),
        ("SELECT $a$ ", ""),
        ("CREATE SERVER s OPTIONS (a ", ")"),
        ("EXECUTE p(", ")"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION ", ""),
    ]);
    (frame, literal()).prop_map(|((head, tail), literal)| format!("{head}{literal}{tail}"))
}

fn everything(text: &[u8], quoting: Quoting) -> String {
    let mut out = String::new();
    normalise(text, quoting, 1 << 20, &mut out);
    let script = read(text, quoting);
    let pieces = statements(text, quoting).count();
    if !is_plain(text) {
        assert_eq!(script.statements as usize, pieces);
    }
    fingerprint(text, quoting);
    format!("{out} {script:?} {:?}", tags(text))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..200), on in any::<bool>()) {
        everything(&text, Quoting { standard_conforming_strings: on });
    }

    #[test]
    fn no_jumble_panics(text in jumble(), on in any::<bool>()) {
        everything(text.as_bytes(), Quoting { standard_conforming_strings: on });
    }

    #[test]
    fn plain_is_a_promise(text in jumble(), on in any::<bool>(), verb in prop::sample::select(vec!["", "SELECT ", "WITH ", "INSERT ", "(TABLE "])) {
        let text = format!("{verb}{text}");
        if is_plain(text.as_bytes()) {
            let quoting = Quoting { standard_conforming_strings: on };
            let slow = reader::read(text.as_bytes(), quoting);
            prop_assert!(slow.statements <= 1, "{text}");
            prop_assert_eq!(&slow.effects, &[], "{}", text);
            prop_assert_eq!(slow.first, read(text.as_bytes(), quoting).first, "{}", text);
        }
    }

    #[test]
    fn normalising_twice_changes_nothing(text in jumble()) {
        let mut once = String::new();
        normalise(text.as_bytes(), ON, 1 << 20, &mut once);
        let mut twice = String::new();
        normalise(once.as_bytes(), ON, 1 << 20, &mut twice);
        prop_assert_eq!(&once, &twice, "{}", text);
    }

    #[test]
    fn no_literal_shows(texts in prop::collection::vec(statement(), 1..4), max in 0..200usize) {
        let text = texts.join("; ");
        prop_assert!(text.contains(MARKER));
        // An identifier that was opened and is closed by a later quote is one: a name, not a literal.
        prop_assume!(!text.contains("\"open ") || text.matches('"').count() == 1);
        let shown = everything(text.as_bytes(), ON);
        prop_assert!(!shown.contains(MARKER), "{text}\n{shown}");
        let mut cut = String::new();
        normalise(text.as_bytes(), ON, max, &mut cut);
        prop_assert!(cut.len() <= max && !cut.contains(MARKER), "{text}\n{cut}");
        let part = text.as_bytes().get(..max).unwrap_or(text.as_bytes());
        normalise(whole_tokens(part, ON), ON, 1 << 20, &mut cut);
        prop_assert!(!cut.contains(MARKER), "{text}\n{cut}");
    }

    #[test]
    fn quoted_values_read_back(text in "[a-z'\\\\\n\"é ;$]{0,20}") {
        let mut sql = String::from("SET x = ");
        super::super::literal::quote(&text, &mut sql);
        for quoting in [ON, OFF] {
            let mut at = cursor::Cursor::new(&sql.as_bytes()[8..], quoting);
            let back = at.string();
            prop_assert_eq!(back.as_deref(), Some(text.as_str()));
            prop_assert!(at.at_end());
        }
    }
}

/// Much of each; anything quadratic would take minutes.
#[test]
#[allow(clippy::disallowed_methods)] // A measurement of time is the point.
fn adversarial_texts_take_linear_time() {
    let units = [
        "/*",
        "*/",
        "/* */",
        "'",
        "''",
        "'a'\n",
        "'a'--\n",
        "$a$",
        "$a",
        "$$",
        "$",
        "(",
        "((1,",
        "[1,",
        "(1,2),",
        "(1,2)",
        "set_config(",
        "set_config('a',",
        "set_config('a',(",
        "pg_advisory_lock(",
        "pg_advisory_lock('a',",
        ";",
        "SET a=1;",
        "\"",
        "\"\"",
        "U&\"a\"(",
        "a.",
        "into temp ",
        "CREATE FUNCTION BEGIN ATOMIC ",
        "--\n",
        "--",
        "-",
        "a",
        "1",
        "1e",
        "\\",
        "EXPLAIN ",
        "ON COMMIT ",
        "/*app:",
        ",",
        "'a',",
        "drop table a,",
    ];
    let heads = [
        "",
        "SET x = ",
        "SELECT temp set_config ",
        "CREATE TEMP TABLE t ",
        "COPY ",
        "DROP TABLE a,",
        "SELECT '",
    ];
    let start = Instant::now();
    for unit in units {
        for head in heads {
            let text = format!("{head}{}", unit.repeat((1 << 20) / 8 / unit.len()));
            let text = text.as_bytes();
            let mut out = String::new();
            normalise(text, ON, 2000, &mut out);
            read(text, ON);
            read(text, OFF);
            tags(text);
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{unit}");
    }
}

/// `cargo test --release -p plimsoll-wire -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
#[allow(clippy::print_stdout)]
fn speed() {
    let json = format!(
        "INSERT INTO t VALUES ('{}')",
        "{\"a\": \"b\"}, ".repeat(1000)
    );
    let stop = format!(
        "INSERT INTO t VALUES ('{}')",
        "<b>&nbsp;</b> it''s ".repeat(1000)
    );
    let texts = [
        "SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
        "UPDATE pgbench_accounts SET abalance = abalance + -2410 WHERE aid = 64325;",
        "BEGIN;",
        "SET application_name = 'x'",
        "SELECT attempts FROM max_temp WHERE id = 5 AND x = 'y' ORDER BY a",
        json.as_str(),
        stop.as_str(),
    ];
    for text in texts {
        let bytes = text.as_bytes();
        let rounds = 1 + 400_000 / (bytes.len() + 100);
        // The best of many short runs: others use the machine too.
        let time = |run: &dyn Fn(&[u8])| {
            let once = |_| {
                let start = Instant::now();
                for _ in 0..rounds {
                    run(std::hint::black_box(bytes));
                }
                start.elapsed().as_nanos() as f64 / rounds as f64
            };
            (0..300).map(once).fold(f64::INFINITY, f64::min)
        };
        let plain = time(&|text| {
            std::hint::black_box(is_plain(text));
        });
        let whole = time(&|text| drop(std::hint::black_box(read(text, ON))));
        let head: String = text.chars().take(30).collect();
        println!(
            "{:6} bytes  is_plain {plain:9.1} ns  read {whole:9.1} ns  {head}",
            bytes.len()
        );
    }
}
