//! What a statement leaves behind in its session.

use super::*;

#[test]
fn set_follows_the_client() {
    check(&[
        ("SET application_name = 'x'", "set application_name='x'"),
        (
            "set Session STATEMENT_TIMEOUT to 5000",
            "set statement_timeout=5000",
        ),
        ("SET statement_timeout = -1", "set statement_timeout=-1"),
        ("SET x = +1.5e3", "set x=1.5e3"),
        ("SET LOCAL x TO 'a'", "set local x='a'"),
        (
            "SET search_path = App, \"My \"\"S\", 'p'",
            "set search_path=app, \"My \"\"S\", 'p'",
        ),
        ("SET x = ON;", "set x=on"),
        ("SET x = off -- why", "set x=off"),
        ("/* c */ SET x /* = */ = /* d */ 'a'", "set x='a'"),
        ("SET x = 'it''s'", "set x='it''s'"),
        (r"SET x = 'a\b'", r"set x=E'a\\b'"),
        (r"SET x = E'a\'b\\\x41\101\u00e9'", r"set x=E'a''b\\AAé'"),
        (r"SET x = U&'d\0061t\+000061'", "set x='data'"),
        ("SET x = $q$it's$q$", "set x='it''s'"),
        ("SET x = 'a'\n -- c\n 'b'", "set x='ab'"),
        ("SET app.user = 'u'", "set app.user='u'"),
        ("SET app.\"User\" = 'u'", "set app.user='u'"),
        ("SET session = 1", "set session=1"),
        ("SET local.x = 1", "set local.x=1"),
        ("SET sort_mem = 64", "set work_mem=64"),
        ("SET x = 'a' 'b'", "opaque x"),
        ("SET x = U&'d!0061' UESCAPE '!'", "opaque x"),
        ("SET x = a || b", "opaque x"),
        ("SET x = B'1'", "opaque x"),
        ("SET x FROM CURRENT", "opaque x"),
        (r"SET x = E'\xff'", "opaque x"),
        (r"SET x = E'a\000'", "opaque x"),
        ("SET LOCAL x = a || b", "opaque local x"),
        ("SET", "opaque "),
    ]);
}

#[test]
fn special_forms_of_set() {
    check(&[
        ("SET ROLE bob", "set role=bob"),
        ("SET LOCAL ROLE bob", "set local role=bob"),
        ("SET ROLE NONE", "set role=none"),
        ("SET role TO 'Bob'", "set role='Bob'"),
        ("SET ROLE \"Bob\"", "set role=\"Bob\""),
        ("SET role = a, b", "opaque role"),
        (
            "SET SESSION AUTHORIZATION bob",
            "set session_authorization=bob",
        ),
        (
            "SET SESSION SESSION AUTHORIZATION bob",
            "set session_authorization=bob",
        ),
        (
            "SET LOCAL SESSION AUTHORIZATION bob",
            "set local session_authorization=bob",
        ),
        (
            "SET SESSION AUTHORIZATION DEFAULT",
            "Reset name: session_authorization",
        ),
        ("SET TIME ZONE 'UTC'", "set timezone='UTC'"),
        ("SET TIME ZONE utc", "set timezone=utc"),
        ("SET TIME ZONE -5.5", "set timezone=-5.5"),
        (
            "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
            "set timezone=INTERVAL '-08:00' hour to minute",
        ),
        (
            "SET TIME ZONE INTERVAL(2) '1'",
            "set timezone=INTERVAL(2) '1'",
        ),
        ("SET TIME ZONE LOCAL", "Reset name: timezone"),
        ("SET TIME ZONE DEFAULT", "Reset name: timezone"),
        ("SET timezone TO Zulu", "set timezone='zulu'"),
        ("SET LOCAL TIME ZONE 'UTC'", "set local timezone='UTC'"),
        ("SET NAMES 'utf8'", "set client_encoding='utf8'"),
        ("SET NAMES", "Reset name: client_encoding"),
        ("SET NAMES DEFAULT", "Reset name: client_encoding"),
        ("SET SCHEMA 'a'", "set search_path='a'"),
        ("SET XML OPTION DOCUMENT", "set xmloption=document"),
        ("SET x TO DEFAULT", "Reset name: x"),
        ("SET LOCAL x TO DEFAULT", "set local x=DEFAULT"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", ""),
        ("SET LOCAL TRANSACTION READ ONLY", ""),
        (
            "SET transaction_isolation = 'serializable'",
            "set local transaction_isolation='serializable'",
        ),
        ("SET CONSTRAINTS ALL DEFERRED", ""),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY NOT DEFERRABLE",
            "set default_transaction_isolation='repeatable read'; set default_transaction_read_only=on; set default_transaction_deferrable=off",
        ),
        ("RESET x", "Reset name: x"),
        ("RESET ALL", "ResetAll"),
        ("RESET TIME ZONE", "Reset name: timezone"),
        (
            "RESET SESSION AUTHORIZATION",
            "Reset name: session_authorization",
        ),
        ("RESET TRANSACTION ISOLATION LEVEL", ""),
        ("UPDATE t SET x = 1", ""),
    ]);
}

#[test]
fn set_config_anywhere() {
    check(&[
        (
            "SELECT set_config('search_path', '', false)",
            "set search_path=guc:",
        ),
        (
            "SELECT pg_catalog.Set_Config('A.b', 'v''w', true)",
            "set local a.b=guc:v'w",
        ),
        (
            "SELECT \"set_config\" ( 'a' , E'\\n' , 'f' )",
            "set a=guc:\n",
        ),
        (
            r#"SELECT U&"set\005fconfig"('a', 'b', false)"#,
            "set a=guc:b",
        ),
        (
            "SELECT set_config('a'::text, 'b'::varchar, false::bool)",
            "set a=guc:b",
        ),
        ("SELECT set_config('a', NULL, false)", "Reset name: a"),
        ("SELECT set_config('a', NULL, true)", "opaque local a"),
        ("SELECT set_config('a', $1, false)", "opaque a"),
        ("SELECT set_config('a', $1, true)", "opaque local a"),
        ("SELECT set_config('a', f(1, (2)), true)", "opaque local a"),
        ("SELECT set_config('a', 'b', $1)", "opaque a"),
        ("SELECT set_config($1, $2, $3)", "opaque "),
        (
            "SELECT set_config(setting_name => 'a', new_value => 'b', is_local => true)",
            "opaque ",
        ),
        ("SELECT set_config('a', 'b' || 'c', false)", "opaque a"),
        (
            "WITH x AS (SELECT set_config('a','b',false)) SELECT * FROM x",
            "set a=guc:b",
        ),
        (
            "EXPLAIN ANALYZE SELECT set_config('a','b',false)",
            "set a=guc:b",
        ),
        (
            "EXPLAIN (VERBOSE, ANALYZE) SELECT set_config('a','b',false)",
            "set a=guc:b",
        ),
        ("EXPLAIN SELECT set_config('a','b',false)", ""),
        ("EXPLAIN (ANALYZE off) SELECT set_config('a','b',false)", ""),
        (
            "COPY (SELECT set_config('a','b',false)) TO STDOUT",
            "Copy; set a=guc:b",
        ),
        ("SELECT mine.set_config('a','b',false)", ""),
        ("SELECT 'set_config(''a'',''b'',false)'", ""),
        ("SELECT 1 -- set_config('a','b',false)", ""),
        ("SELECT set_config FROM t", ""),
        ("DO $$ BEGIN PERFORM set_config('a','b',false); END $$", ""),
        (
            "CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT set_config('a','b',false); END",
            "Ddl",
        ),
        (
            "CREATE TABLE x AS SELECT set_config('a','b',false)",
            "Ddl; set a=guc:b",
        ),
    ]);
}

#[test]
fn transactions() {
    check(&[
        ("BEGIN", "Begin"),
        ("begin work isolation level serializable", "Begin"),
        ("START TRANSACTION READ ONLY", "Begin"),
        ("COMMIT", "Commit chain: false"),
        ("COMMIT WORK AND CHAIN", "Commit chain: true"),
        ("END TRANSACTION AND NO CHAIN", "Commit chain: false"),
        ("ROLLBACK", "Rollback chain: false"),
        ("ABORT AND CHAIN", "Rollback chain: true"),
        ("SAVEPOINT A", "Savepoint name: a"),
        ("RELEASE SAVEPOINT a", "Release name: a"),
        ("RELEASE savepoint", "Release name: savepoint"),
        ("ROLLBACK TO a", "RollbackTo name: a"),
        ("ROLLBACK WORK TO SAVEPOINT \"A\"", "RollbackTo name: A"),
        ("PREPARE TRANSACTION 'gid'", "PrepareTransaction"),
        ("COMMIT PREPARED 'gid'", ""),
        ("ROLLBACK PREPARED 'gid'", ""),
        (
            "BEGIN; SET x = 1; COMMIT",
            "Begin; set x=1; Commit chain: false",
        ),
    ]);
    let script = read(b";BEGIN;; SELECT ';'; COMMIT", ON);
    let places: Vec<_> = script.effects.iter().map(|e| e.statement).collect();
    assert_eq!(
        (script.statements, script.first, places),
        (3, Verb::Begin, vec![0, 2])
    );
}

#[test]
fn state_that_pins() {
    check(&[
        ("LISTEN Jobs", "Listen channel: jobs"),
        ("UNLISTEN jobs", "Unlisten channel: jobs"),
        ("UNLISTEN *", "UnlistenAll"),
        ("NOTIFY jobs, 'x'", ""),
        ("PREPARE p (int) AS SELECT $1", "Prepare name: p"),
        (
            "PREPARE transaction AS SELECT 1",
            "Prepare name: transaction",
        ),
        ("EXECUTE p(1)", ""),
        ("DEALLOCATE p", "Deallocate name: p"),
        ("DEALLOCATE PREPARE p", "Deallocate name: p"),
        ("DEALLOCATE prepare", "Deallocate name: prepare"),
        ("DEALLOCATE PREPARE ALL", "DeallocateAll"),
        (
            "DECLARE c BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
            "DeclareHold name: c",
        ),
        ("DECLARE c SCROLL CURSOR WITHOUT HOLD FOR SELECT 1", ""),
        (
            "DECLARE c CURSOR FOR WITH hold AS (SELECT 1) SELECT * FROM hold",
            "",
        ),
        ("CLOSE c", "CloseCursor name: c"),
        ("CLOSE ALL", "CloseAllCursors"),
        ("DISCARD ALL", "Discard(All)"),
        ("DISCARD TEMPORARY", "Discard(Temp)"),
        ("DISCARD PLANS", "Discard(Plans)"),
        ("DISCARD SEQUENCES", "Discard(Sequences)"),
        ("LOAD 'auto_explain'", "Load"),
        ("COPY t FROM STDIN", "Copy"),
        ("VACUUM t", ""),
    ]);
}

#[test]
fn objects() {
    check(&[
        ("CREATE TEMP TABLE T (a int)", "CreateTemp name: t"),
        (
            "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS t AS SELECT 1",
            "CreateTemp name: t",
        ),
        (
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
            "CreateTemp name: v",
        ),
        (
            "CREATE TEMP RECURSIVE VIEW v (n) AS SELECT 1",
            "CreateTemp name: v",
        ),
        ("CREATE TEMP SEQUENCE s", "CreateTemp name: s"),
        ("CREATE TABLE pg_temp.\"T\" (a int)", "CreateTemp name: T"),
        (
            "CREATE STATISTICS IF NOT EXISTS pg_temp.s ON a, b FROM t",
            "CreateTemp name: s",
        ),
        ("CREATE STATISTICS public.s ON a, b FROM t", "Ddl"),
        (
            "CREATE FOREIGN TABLE pg_temp.f (a int) SERVER s",
            "CreateTemp name: f",
        ),
        ("CREATE FOREIGN DATA WRAPPER w", "Ddl"),
        (
            "CREATE FUNCTION pg_temp.f() RETURNS int AS 'x' LANGUAGE sql",
            "CreateTemp name: f",
        ),
        (
            "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
            "CreateTransient",
        ),
        (
            "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1",
            "CreateTransient",
        ),
        (
            "CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS",
            "CreateTemp name: t",
        ),
        (
            "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1",
            "CreateTemp name: t",
        ),
        ("SELECT a INTO TEMP t FROM x", "CreateTemp name: t"),
        (
            "WITH x AS (SELECT 1) SELECT a INTO LOCAL TEMPORARY TABLE t FROM x",
            "CreateTemp name: t",
        ),
        ("SELECT a INTO pg_temp.t FROM x", "CreateTemp name: t"),
        ("SELECT a INTO t FROM x", ""),
        ("SELECT a INTO temp FROM x", ""),
        ("INSERT INTO temp VALUES (1)", ""),
        ("WITH x AS (INSERT INTO temp (a) VALUES (1)) SELECT 1", ""),
        ("SELECT temperature, attempt FROM temp", ""),
        ("CREATE TABLE t (a int)", "Ddl"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "Ddl"),
        ("ALTER TABLE t ADD b int", "Ddl"),
        (
            "DROP TABLE IF EXISTS A, pg_temp.b, public.c CASCADE",
            "Drop a b public.c; Ddl",
        ),
        ("DROP VIEW v", "Drop v; Ddl"),
        ("DROP TYPE v", "Ddl"),
        ("CREATE ROLE r PASSWORD 'x'", ""),
        ("ALTER SYSTEM SET x = 1", ""),
        ("DROP DATABASE d", ""),
    ]);
}

#[test]
fn advisory_locks() {
    check(&[
        ("SELECT pg_advisory_lock(42)", "lock 42"),
        (
            "SELECT pg_catalog.PG_TRY_ADVISORY_LOCK( 1 , -2 )",
            "lock 1,-2",
        ),
        (
            "SELECT pg_advisory_lock_shared('007'::bigint)",
            "lock shared 7",
        ),
        (
            "SELECT pg_try_advisory_lock_shared(HashText('a b'))",
            "lock shared hashtext('a b')",
        ),
        ("SELECT pg_advisory_unlock(42 /* x */)", "unlock 42"),
        ("SELECT pg_advisory_unlock_shared($1)", "unlock shared $1"),
        ("SELECT pg_advisory_unlock_all()", "AdvisoryUnlockAll"),
        ("SELECT pg_advisory_xact_lock(1)", ""),
        ("SELECT pg_try_advisory_xact_lock_shared(1)", ""),
        (
            "UPDATE t SET a = 1 WHERE pg_try_advisory_lock(id)",
            "lock id",
        ),
        ("SELECT 'pg_advisory_lock(1)'", ""),
        ("SELECT pg_export_snapshot()", "ExportSnapshot"),
        ("SELECT txid_current_snapshot(), 'pg_export_snapshot()'", ""),
        ("SELECT x.pg_advisory_lock(1)", ""),
    ]);
    let long = format!("SELECT pg_advisory_lock('{}')", "x".repeat(1000));
    assert_eq!(effects(&long), "lock …");
    let constant = |text: &str| LockKey(text.into()).is_constant();
    assert!(constant("1") && constant("1,-2"));
    assert!(!constant("$1") && !constant("a") && !constant("") && !constant("…"));
}

#[test]
fn quoting_follows_the_session() {
    let text = r"SET x = 'a\'; SET y = 'b'";
    assert_eq!(effects_with(text, ON), r"set x=E'a\\'; set y='b'");
    assert!(read(text.as_bytes(), OFF).broken);
    assert_eq!(effects_with(r"SET x = 'a\'b\n'", OFF), "set x='a''b\n'");
}

#[test]
fn plain_texts() {
    let plain = [
        "",
        "  ;; ",
        "-- nothing",
        "/* a */ -- b",
        "SELECT 1",
        "select 1;",
        " ( (SELECT 1) )",
        "/* app:x */ SELECT 1",
        "INSERT INTO t VALUES (1) RETURNING \"Id\";  ",
        "WITH x AS (SELECT 1) DELETE FROM t",
        "FETCH 10 FROM c",
        "SHOW search_path",
        "SELECT attempts FROM email_templates WHERE temperature > 1",
        "SELECT * FROM app_config WHERE unit_conversion = 1",
    ];
    for text in plain {
        assert!(is_plain(text.as_bytes()), "{text}");
    }
    let not = [
        "BEGIN",
        "COMMIT",
        "SELECT 1; SELECT 2",
        "SELECTED",
        "(",
        "/* open",
        "SET x = 1",
        "SELECT set_config('a','b',true)",
        "SELECT 1 INTO TEMP t",
        "EXPLAIN SELECT 1",
    ];
    for text in not {
        assert!(!is_plain(text.as_bytes()), "{text}");
    }
    // Wherever a piece stands relative to the vector windows, it is seen.
    for pad in 0..70 {
        let pad = "x".repeat(pad);
        assert!(!is_plain(
            format!("SELECT {pad} set_config('a','b',false) {pad}").as_bytes()
        ));
        assert!(!is_plain(
            format!("SELECT {pad} PG_ADVISORY_LOCK(1){pad}").as_bytes()
        ));
        assert!(!is_plain(
            format!("SELECT {pad} INTO TEMP t {pad}").as_bytes()
        ));
        assert!(!is_plain(format!("SELECT {pad};SELECT {pad}").as_bytes()));
        assert!(!is_plain(format!("SELECT {pad} U&\"x\"{pad}").as_bytes()));
    }
}

#[test]
fn replay_writes_what_was_set() {
    let table = [
        ("SET search_path = A, b", "SET search_path = a, b"),
        ("SET app.user = 'x'", "SET \"app.user\" = 'x'"),
        ("SET role = 'x'", "SET ROLE 'x'"),
        ("SET SESSION AUTHORIZATION x", "SET SESSION AUTHORIZATION x"),
        ("SET timezone = 'UTC'", "SET TIME ZONE 'UTC'"),
        (
            r"SELECT set_config('a.b', 'c\d''e', false)",
            r"SELECT pg_catalog.set_config('a.b', E'c\\d''e', false)",
        ),
        ("RESET app.user", "RESET \"app.user\""),
        ("RESET TIME ZONE", "RESET TIME ZONE"),
        ("RESET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION"),
        ("SET role TO DEFAULT", "RESET role"),
    ];
    for (text, expected) in table {
        let mut out = Vec::new();
        for effect in read(text.as_bytes(), ON).effects {
            match effect.change {
                Change::Set { name, value, .. } => replay(&name, &value, &mut out),
                Change::Reset { name } => reset(&name, &mut out),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

#[test]
fn bounds() {
    let many = "SET a=1;".repeat(EFFECTS_MAX + 1);
    let script = read(many.as_bytes(), ON);
    assert_eq!(script.effects.len(), EFFECTS_MAX);
    assert!(script.truncated && script.statements as usize == EFFECTS_MAX + 1);
    let long = format!("SET a = '{}'", "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(effects(&long), "opaque a");
    let name = "n".repeat(70);
    assert_eq!(
        effects(&format!("LISTEN {name}")),
        format!("Listen channel: {}", &name[..63])
    );
}

#[test]
fn debug_shows_no_values() {
    let texts = [
        "SET x = 'MARKER'",
        "SELECT set_config('x','MARKER',false)",
        "SELECT pg_advisory_lock('MARKER')",
    ];
    for text in texts {
        let script = read(text.as_bytes(), ON);
        assert_eq!(script.effects.len(), 1);
        assert!(!format!("{script:?}").contains("MARKER"));
    }
}

/// Prints settings and their replays for a comparison with a real server.
#[test]
#[ignore = "prints a table"]
#[allow(clippy::print_stdout)]
fn print_replays() {
    let texts = [
        "SET search_path = App, \"My \"\"S\", 'p q', public",
        "SELECT set_config('search_path', 'a, \"B c\"', false)",
        "SET application_name = 'it''s \\ x'",
        "SET application_name = E'a\\'b\\\\\\x41\\101\\u00e9'",
        "SET application_name = U&'d\\0061t\\+000061'",
        "SET application_name = $q$it's$q$",
        "SET application_name = 'a'\n -- c\n 'b'",
        "SET application_name = Foo",
        "SET application_name = \"Foo bar\"",
        "SET app.\"User\" = 'u'",
        "SELECT set_config('app.user', 'x\\''y', false)",
        "SET session characteristics as transaction isolation level repeatable read, read only, deferrable",
        "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
        "SET TIME ZONE INTERVAL(2) '1:30'",
        "SET TIME ZONE -5.5",
        "SET TIME ZONE utc",
        "SET timezone TO Zulu",
        "SET timezone = 7",
        "SET statement_timeout = -0",
        "SET statement_timeout TO '5s'",
        "SET DateStyle = sql, 'dmy'",
        "SET NAMES 'latin1'",
        "SET SCHEMA 'Abc d'",
        "SET ROLE pg_monitor",
        "SET role TO 'pg_monitor'",
        "SET role = NONE",
        "SET SESSION AUTHORIZATION 'postgres'",
        "SET XML OPTION DOCUMENT",
        "SET enable_seqscan = OFF",
        "SET seq_page_cost = 1.5e0",
    ];
    for text in texts {
        for effect in read(text.as_bytes(), ON).effects {
            let Change::Set { name, value, .. } = effect.change else {
                panic!("{text}");
            };
            let mut out = Vec::new();
            replay(&name, &value, &mut out);
            println!("SET\t{name}\t{text:?}\t{:?}", String::from_utf8_lossy(&out));
        }
    }
}
