//! The history on disk: bounds, two writers, what is damaged.

use super::rows::{DROPPED, TEXT_BYTES_MAX, VERSIONS_MAX};
use super::*;
use crate::guard::observe;

fn place(name: &str) -> PathBuf {
    let name = format!("plimsoll-guard-store-{}-{name}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn seen(text: &str) -> Observed {
    observe::of(Path::new("a.conf"), text.as_bytes(), &[7; 32])
}

#[test]
fn versions_are_numbered_by_content_and_the_accepted_one_stays() {
    let mut store = Store::in_memory().expect("opened");
    let path = Path::new("/e/a.conf");
    let first = seen("a = 1\n");
    let record = Record {
        seen: Some(&first),
        what: "adopted",
        accept: true,
        ..Record::of(path)
    };
    let one = store.record(&record).expect("written");
    for n in 0..VERSIONS_MAX + 20 {
        let next = seen(&format!("a = {n} b\n"));
        let record = Record {
            seen: Some(&next),
            what: "drift",
            ..Record::of(path)
        };
        let two = store.record(&record).expect("written");
        let again = store.record(&record).expect("written");
        assert_eq!(again, two, "the same content is no other version");
    }
    let all = store.versions(Some(path), 10_000).expect("read");
    assert_eq!(all.len() as i64, VERSIONS_MAX + 1);
    assert!(all.last().is_some_and(|v| v.version == one && v.accepted));
    assert_eq!(store.events(Some(path), 3).expect("read").len(), 3);
}

#[test]
fn another_process_sees_it_at_once_and_its_writing_is_seen() {
    let dir = place("another");
    let mut store = Store::open_to_guard(&dir).expect("opened");
    let path = Path::new("/e/a.conf");
    for (text, accept) in [("a = 1\n", true), ("a = 2\n", false)] {
        let seen = seen(text);
        let record = Record {
            seen: Some(&seen),
            accept,
            ..Record::of(path)
        };
        store.record(&record).expect("written");
    }
    let before = store.written_by_others();
    let mut other = Store::open(&dir).expect("opened");
    let newest = other.versions(Some(path), 1).expect("read").remove(0);
    other
        .accept(&newest, "accepted", "anna@h", "ticket 7")
        .expect("accepted");
    assert_ne!(store.written_by_others(), before);
    let Known::Accepted(now) = store.known(path).expect("read") else {
        panic!("accepted")
    };
    assert_eq!(now.version, newest.version);
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn texts_have_a_bound() {
    let mut store = Store::in_memory().expect("opened");
    let path = Path::new("/e/a.conf");
    for n in 0..20 {
        let next = seen(&format!("a = {n}\n{}", "# word word\n".repeat(85_000)));
        let record = Record {
            seen: Some(&next),
            what: "drift",
            accept: n == 0,
            ..Record::of(path)
        };
        store.record(&record).expect("written");
    }
    let all = store.versions(Some(path), 100).expect("read");
    let with: Vec<_> = all.iter().filter(|v| v.text.is_some()).collect();
    let bytes: u64 = with.iter().map(|v| v.size).sum();
    assert!(
        bytes <= TEXT_BYTES_MAX as u64 + (1 << 20) && with.len() > 10,
        "{bytes}"
    );
    assert!(
        with.iter().any(|v| v.accepted),
        "what is accepted keeps its text"
    );
    assert!(all.iter().any(|v| v.lacks == DROPPED && !v.whole));
}

#[test]
fn two_guards_a_newer_schema_and_damage_are_refused() {
    let dir = place("refused");
    let first = Store::open_to_guard(&dir).expect("opened");
    assert!(matches!(
        Store::open_to_guard(&dir),
        Err(StoreError::Locked(_))
    ));
    Store::open(&dir).expect("who only accepts may write beside it");
    first
        .db
        .execute_batch("PRAGMA user_version = 9")
        .expect("set");
    drop(first);
    assert!(matches!(Store::open(&dir), Err(StoreError::Newer(ahead)) if ahead.found == 9));
    std::fs::write(
        dir.join(KEPT_FILE.file),
        "no database at all, but long enough to be looked at".repeat(40),
    )
    .expect("written");
    assert!(Store::open(&dir).is_err());
    let mode = std::fs::metadata(dir.join(KEY))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_dir_all(&dir).expect("removed");
    // A file where the directory should be.
    std::fs::write(&dir, "").expect("written");
    assert!(matches!(Store::open(&dir), Err(StoreError::Io(..))));
    std::fs::remove_file(&dir).expect("removed");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_what_was() {
    let mut store = Store::in_memory().expect("opened");
    let path = Path::new("/e/a.conf");
    let small = seen("a = 1\n");
    let record = Record {
        seen: Some(&small),
        accept: true,
        ..Record::of(path)
    };
    store.record(&record).expect("written");
    store
        .db
        .query_row("PRAGMA max_page_count = 12", [], |row| row.get::<_, i64>(0))
        .expect("bounded");
    let large = seen(&"# word word\n".repeat(20_000));
    let record = Record {
        seen: Some(&large),
        accept: true,
        ..Record::of(path)
    };
    let error = store.record(&record).expect_err("full");
    assert!(error.to_string().contains("full"), "{error}");
    let Known::Accepted(now) = store.known(path).expect("read") else {
        panic!("accepted")
    };
    assert_eq!(now.text.as_deref(), Some("a = 1\n"));
}
