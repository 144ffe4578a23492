//! Where one statement of a text ends and the next begins.

use super::*;

/// Texts and how many statements they hold. Checked against PostgreSQL 15: it completes as many
/// commands (or, where `false`, refuses the whole text).
pub(super) const TEXTS: &[(&str, u32, bool)] = &[
    ("", 0, true),
    (" ; ;; -- x\n /* ; */ ", 0, true),
    ("select 1", 1, true),
    ("select 1;", 1, true),
    ("select 1; ; select 2", 2, true),
    ("select ';'; select 1", 2, true),
    ("select 'a'';'';b'; select 1", 2, true),
    (r"select 'a\'; select 1", 2, true),
    (r"select E'a\';'; select 1", 2, true),
    (r"select e'\\'; select 1", 2, true),
    (r"select U&'\0041;'; select 1", 2, true),
    (r"select U&'!0041;\' uescape '!'; select 1", 2, true),
    (r"select b'0101', x'1f'; select 1", 2, true),
    ("select N'a;b'; select 1", 2, true),
    ("select 'a'\n';b'; select 1", 2, true),
    ("select 'a' -- ';'\n ';b'; select 1", 2, true),
    ("select E'a'\n'\\';b'; select 1", 2, true),
    ("select 'a' ';b'; select 1", 2, false),
    ("select 'a' /* \n */ 'b'; select 1", 2, false),
    (
        "select \"a;b\" from (select 1 as \"a;b\") x; select 1",
        2,
        true,
    ),
    ("select 1 as \"a\"\";\"; select 1", 2, true),
    ("select $$;$$; select 1", 2, true),
    ("select $a$;$b$;$$;$a$; select 1", 2, true),
    ("select $a$ $a $ $$a$; select 1", 2, true),
    ("select $é$;$é$; select 1", 2, true),
    ("select 1 as a$b$; select 2 as a$b$", 2, true),
    ("select 1 as a$$; select '$$;'", 2, true),
    ("prepare p1 as select $1::int; deallocate p1", 2, true),
    ("select /* a /* ; */ ; */ 1; select 2", 2, true),
    ("select /*/* */*/ 1; select 2", 2, true),
    ("select /*/ */ 1; select 2 /**/", 2, true),
    ("select /***/ 1; select 2", 2, true),
    ("select /* ' */ 1; select 2 /* ' */", 2, true),
    ("select 1 --; select 2\n; select 3", 2, true),
    ("select 1 --; select 2\r; select 3", 2, true),
    ("select 2*/*x;*/3; select 1", 2, true),
    ("select 2 +--;\n3; select 1", 2, true),
    ("select 1 - -1; select 2 ---;\n", 2, true),
    ("select 1e5, .5, 1., 1.5e-3; select 1", 2, true),
    ("select '1'::int::text; select 1", 2, true),
    ("select (array[1,2,3])[1:2]; select 1", 2, true),
    ("begin; select 1; commit", 3, true),
    (
        "create temp table r(a int); create rule x as on insert to r do also (select 1; select 2); select 3",
        3,
        true,
    ),
    (
        "create function pg_temp.f() returns int language sql begin atomic select 1; select case when true then 1 else 2 end; end; select 1",
        2,
        true,
    ),
    (
        "create or replace procedure pg_temp.p() begin atomic select 1; select 2; end; select 1",
        2,
        true,
    ),
    (
        "create function pg_temp.g() returns int language sql return 1; select 1",
        2,
        true,
    ),
    (
        "create function pg_temp.\"begin\"(\"end\" int) returns int language sql as 'select 1;'; select 1",
        2,
        true,
    ),
    (
        "create function pg_temp.begin(atomic int) returns int language sql as 'select 1;'; select 1",
        2,
        true,
    ),
    ("select 1 as begin; select 2 as atomic", 2, true),
    ("do $$ begin perform 1; end $$; select 1", 2, true),
    ("select (1; select 2", 1, false),
    ("select 1); select 2", 2, false),
    ("select 'a", 1, false),
    ("select 1; select \"a", 2, false),
    ("select 1 /* /* */", 1, false),
    ("select $a$ $A$", 1, false),
    ("select 1 as é; select 2", 2, true),
];

#[test]
fn counts_statements_as_the_server_does() {
    for (text, expected, _) in TEXTS {
        let script = read(text.as_bytes(), ON);
        assert_eq!(script.statements, *expected, "for {text}");
        let split = statements(text.as_bytes(), ON).count();
        assert_eq!(split as u32, *expected, "for {text}");
    }
}

#[test]
fn statements_come_without_blanks_and_comments_around() {
    let text = b" /* a */ SELECT 1 /* b */ + 1 -- c\n; ;\n COMMIT ;";
    let parts: Vec<_> = statements(text, ON).collect();
    assert_eq!(parts, [&b"SELECT 1 /* b */ + 1"[..], b"COMMIT"]);
}

#[test]
fn broken_texts() {
    for text in [
        "SELECT 'a",
        "BEGIN 'a",
        "SELECT 1; \"a",
        "BEGIN /* ",
        "BEGIN $a$ x",
        "BEGIN \x01",
    ] {
        let script = read(text.as_bytes(), ON);
        assert!(script.broken || is_plain(text.as_bytes()), "{text}");
    }
}

/// Prints the table for a comparison with a real server.
#[test]
#[ignore = "prints a table"]
#[allow(clippy::print_stdout)]
fn print_texts() {
    for (text, count, runs) in TEXTS {
        println!("TEXT\t{count}\t{runs}\t{text:?}");
    }
}
