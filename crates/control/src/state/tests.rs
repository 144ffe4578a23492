//! Files that an older or a newer binary wrote.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-state-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Dir(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("x.db")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FIRST: &str = "CREATE TABLE word (text TEXT NOT NULL) STRICT;";
const SECOND: &str = "ALTER TABLE word ADD COLUMN at INTEGER NOT NULL DEFAULT 7;";
const THIRD: &str = "CREATE INDEX word_at ON word (at); UPDATE word SET at = at + 1;";

const fn kept(steps: &'static [&'static str]) -> Kept {
    Kept {
        file: "x.db",
        what: "words",
        without: "no word is kept",
        steps,
    }
}

const ONE: Kept = kept(&[FIRST]);
const TWO: Kept = kept(&[FIRST, SECOND]);
const THREE: Kept = kept(&[FIRST, SECOND, THIRD]);
/// Its last step fails after its first statement did its work.
const BROKEN: Kept = kept(&[FIRST, SECOND, "UPDATE word SET at = 0; SELECT nothing;"]);

fn open(kept: &Kept, dir: &Dir) -> Stored<Connection> {
    kept.open(&dir.file(), LOOK)
}

fn write(kept: &Kept, dir: &Dir, text: &str) {
    let db = open(kept, dir).expect("opened");
    let sql = "INSERT INTO word (text) VALUES (?1)";
    db.execute(sql, [text]).expect("written");
}

fn texts(path: &Path) -> Vec<String> {
    let db = look_only(path, LOOK).expect("opened");
    let mut all = db
        .prepare("SELECT text FROM word ORDER BY rowid")
        .expect("read");
    let all = all.query_map([], |row| row.get(0)).expect("read");
    all.collect::<Result<_, _>>().expect("text")
}

#[test]
fn an_older_schema_is_migrated_over_all_steps_and_the_old_file_is_kept() {
    for (from, to) in [(&ONE, &TWO), (&ONE, &THREE), (&TWO, &THREE)] {
        let dir = Dir::new();
        write(from, &dir, "before");
        write(to, &dir, "after");
        let db = open(to, &dir).expect("opened again");
        assert_eq!(number(&db).expect("read"), to.schema());
        drop(db);
        assert_eq!(texts(&dir.file()), ["before", "after"]);
        let copy = dir.0.join(format!("x.db.schema-{}", from.schema()));
        assert_eq!(texts(&copy), ["before"]);
        let db = look_only(&copy, LOOK).expect("opened");
        assert_eq!(number(&db).expect("read"), from.schema());
    }
}

#[test]
fn a_step_that_fails_leaves_all_as_it_was_and_the_next_start_tries_again() {
    let dir = Dir::new();
    write(&ONE, &dir, "before");
    for _ in 0..2 {
        assert!(open(&BROKEN, &dir).is_err());
        assert_eq!(
            number(&open(&ONE, &dir).expect("as it was")).expect("read"),
            1
        );
    }
    write(&THREE, &dir, "after");
    assert_eq!(texts(&dir.file()), ["before", "after"]);
}

#[test]
fn an_earlier_copy_and_half_a_copy_are_in_nobodys_way() {
    let dir = Dir::new();
    write(&ONE, &dir, "before");
    std::fs::write(dir.0.join("x.db.schema-1"), "an earlier one").expect("written");
    std::fs::write(dir.0.join("x.db.schema-1.new"), "half").expect("written");
    write(&TWO, &dir, "after");
    assert_eq!(texts(&dir.0.join("x.db.schema-1")), ["before"]);
    assert!(!dir.0.join("x.db.schema-1.new").exists());
}

#[test]
fn a_newer_schema_is_refused_told_and_not_written_to() {
    for (newer, older) in [(&TWO, &ONE), (&THREE, &ONE), (&THREE, &TWO)] {
        let dir = Dir::new();
        write(newer, &dir, "before");
        let before = std::fs::read(dir.file()).expect("read");
        let Err(StoreError::Newer(ahead)) = open(older, &dir) else {
            panic!("a newer schema")
        };
        let (found, known) = (newer.schema(), older.schema());
        let expected = format!(
            "a newer plimsoll wrote words (schema {found}, this one knows {known}): it is left alone; no word is kept"
        );
        assert_eq!(ahead.to_string(), expected);
        assert!(matches!(
            older.read(&dir.file(), LOOK),
            Err(StoreError::Newer(_))
        ));
        assert_eq!(std::fs::read(dir.file()).expect("read"), before);
        // Forward again: nothing is lost.
        write(newer, &dir, "after");
        assert_eq!(texts(&dir.file()), ["before", "after"]);
    }
}

#[test]
fn what_a_killed_newer_process_had_in_its_log_stays_there() {
    let dir = Dir::new();
    write(&TWO, &dir, "in the file");
    // A copy of both files while they are open is what a kill leaves.
    let killed = Dir::new();
    let db = open(&TWO, &dir).expect("opened");
    db.execute("INSERT INTO word (text) VALUES ('in the log')", [])
        .expect("written");
    for name in ["x.db", "x.db-wal"] {
        std::fs::copy(dir.0.join(name), killed.0.join(name)).expect("copied");
    }
    let log = std::fs::read(killed.0.join("x.db-wal")).expect("read");
    assert!(!log.is_empty());
    assert!(matches!(open(&ONE, &killed), Err(StoreError::Newer(_))));
    assert_eq!(std::fs::read(killed.0.join("x.db-wal")).expect("read"), log);
    assert_eq!(texts(&killed.file()), ["in the file", "in the log"]);
}

#[test]
fn columns_of_a_newer_binary_with_the_same_number_are_in_nobodys_way() {
    // A column with a default may come without a new number; whoever does not know it
    // names its own columns and leaves the other.
    let dir = Dir::new();
    write(&ONE, &dir, "before");
    let db = Connection::open(dir.file()).expect("opened");
    db.execute_batch("ALTER TABLE word ADD COLUMN colour TEXT DEFAULT 'red';")
        .expect("altered");
    drop(db);
    write(&ONE, &dir, "after");
    let db = open(&ONE, &dir).expect("opened");
    let sql = "SELECT count(*) FROM word WHERE colour = 'red'";
    let red: i64 = db.query_row(sql, [], |row| row.get(0)).expect("read");
    assert_eq!(red, 2);
}

/// Every file of a running pooler, with a number of next year's.
#[test]
fn each_file_of_the_directory_that_is_ahead_is_named_with_what_is_missing() {
    let dir = Dir::new();
    assert_eq!(ahead(&dir.0), Vec::<String>::new());
    for kept in POOLERS {
        let db = kept.open(&dir.0.join(kept.file), LOOK).expect("begun");
        assert_eq!(number(&db).expect("read"), kept.schema());
        assert_eq!(ahead(&dir.0), Vec::<String>::new(), "{}", kept.file);
        db.pragma_update(None, "user_version", kept.schema() + 1)
            .expect("planted");
        drop(db);
        let told = ahead(&dir.0);
        assert_eq!(told.len(), 1, "{}", kept.file);
        assert!(
            told[0].contains(kept.what) && told[0].contains(kept.without),
            "{told:?}"
        );
        std::fs::remove_file(dir.0.join(kept.file)).expect("removed");
    }
}
