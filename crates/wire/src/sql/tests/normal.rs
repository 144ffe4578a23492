//! Statement text without its literals.

use super::*;

fn normal(text: &str) -> String {
    let mut out = String::from("left over");
    normalise(text.as_bytes(), ON, 10_000, &mut out);
    out
}

#[test]
fn literals_go_and_names_stay() {
    let table = [
        ("", ""),
        ("SELECT 1", "SELECT ?"),
        (
            "SELECT  'a' ,\n\"B c\" -- x\n FROM t;",
            "SELECT ? , \"B c\" FROM t",
        ),
        ("SELECT/**/1/*x*/-/**/-1", "SELECT ? - -?"),
        (
            "SELECT a FROM t WHERE b IN (1, 2, -3)",
            "SELECT a FROM t WHERE b IN (?, …)",
        ),
        ("SELECT f(1)", "SELECT f(?)"),
        ("SELECT f(1, a)", "SELECT f(?, a)"),
        (
            "INSERT INTO t VALUES (1,'a'), (2,'b'), (3,'c') RETURNING x",
            "INSERT INTO t VALUES (?, …), … RETURNING x",
        ),
        (
            "SELECT * FROM t WHERE a IN ($1,$2,$3) AND b = $4",
            "SELECT * FROM t WHERE a IN ($1, …) AND b = $4",
        ),
        ("SELECT ARRAY[1,2]", "SELECT ARRAY[?, …]"),
        (
            "SELECT E'a\\'b', U&'x', B'1', X'f', N'n', $$d$$, 1e5, 0x1F, 1_000, .5",
            "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
        ),
        ("SELECT 'a'\n'b'", "SELECT ?"),
        (
            "SELECT a->>'k', a ? 'k', b::text",
            "SELECT a->>?, a ? ?, b::text",
        ),
        ("BEGIN; UPDATE t SET a=1", "BEGIN; UPDATE t SET a=?"),
        ("SELECT \"a\nb\"", "SELECT …"),
        ("SELECT \"a'b\", x", "SELECT …"),
        ("SELECT 'it's x'", "SELECT …"),
        ("SELECT date'2020-01-01'", "SELECT date?"),
        ("SELECT 'open", "SELECT …"),
        ("it's 'x' broken'", "…"),
        ("ALTER ROLE bob PASSWORD 'x'", "ALTER ROLE …"),
        (
            "create user mapping for x server y options (a 'b')",
            "CREATE USER MAPPING …",
        ),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'x'",
            "CREATE SUBSCRIPTION …",
        ),
        (
            "CREATE TABLE t (a int DEFAULT 5)",
            "CREATE TABLE t (a int DEFAULT ?)",
        ),
        ("DO $$ x $$", "DO …"),
        ("COMMENT ON TABLE t IS 'x'", "COMMENT …"),
        ("SECURITY LABEL ON TABLE t IS 'x'", "SECURITY …"),
        (
            "COPY t (a, b) FROM '/x' WITH (FORMAT csv)",
            "COPY t (a, b) FROM …",
        ),
        (
            "COPY (SELECT 1 FROM t) TO PROGRAM 'x'",
            "COPY (SELECT ? FROM t) TO …",
        ),
        ("SET a.b=secret", "SET a.b = ?"),
        ("SET LOCAL x TO a, b", "SET LOCAL x = ?"),
        ("SET ROLE bob", "SET ROLE ?"),
        (
            "SET SESSION AUTHORIZATION bob",
            "SET SESSION AUTHORIZATION ?",
        ),
        ("SET TIME ZONE 'UTC'", "SET TIME ZONE ?"),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(normal(text), expected, "for {text}");
        assert_eq!(normal(expected), expected, "again");
    }
}

#[test]
fn output_is_bounded() {
    let text = "SELECT alpha, beta, gamma FROM delta";
    for max in 0..60 {
        let mut out = String::new();
        normalise(text.as_bytes(), ON, max, &mut out);
        assert!(out.len() <= max, "{max}: {out}");
        assert_eq!(out == text, max >= text.len(), "{max}: {out}");
        assert!(out == text || max < 3 || out.ends_with('…'), "{max}: {out}");
    }
}

#[test]
fn fingerprints() {
    let same = |a: &str, b: &str| fingerprint(a.as_bytes(), ON) == fingerprint(b.as_bytes(), ON);
    assert!(same("SELECT 1", "select /* x */  'two';"));
    assert!(same("SELECT a IN (1,2)", "SELECT a IN (1,2,3)"));
    assert!(same("SET x = 1", "set X to two"));
    assert!(!same("SELECT a", "SELECT b"));
    assert!(!same("SELECT a b", "SELECT ab"));
    assert!(!same("SELECT \"A\"", "SELECT \"a\""));
    assert!(!same("SELECT 1", "SELECT 1; SELECT 1"));
    // Written down: a change of the hash would split every class that is stored.
    assert_eq!(fingerprint(b"SELECT 1", ON), 16895025428059311415);
}

#[test]
fn a_text_that_is_cut_off_shows_its_whole_tokens() {
    let table = [
        ("SELECT a, b FROM tab", "SELECT a, b FROM"),
        ("SELECT a FROM t WHERE b = 'sec", "SELECT a FROM t WHERE b"),
        (
            "SELECT a FROM t WHERE b = 'x' AND",
            "SELECT a FROM t WHERE b = ?",
        ),
        ("SELECT $q$ sec", ""),
        ("SELECT /* sec", ""),
        ("", ""),
    ];
    for (text, wanted) in table {
        let mut shown = String::new();
        normalise(whole_tokens(text.as_bytes(), ON), ON, 1000, &mut shown);
        assert_eq!(shown, wanted, "{text}");
    }
}
