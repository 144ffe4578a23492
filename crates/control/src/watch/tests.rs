//! The decision as a table, and looks at real files.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell's test: waits have an end"
)]

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

const A: Hash = [1; 32];
const B: Hash = [2; 32];

fn settled(hash: Hash) -> Seen {
    Seen::Content {
        hash,
        settled: true,
    }
}

fn fresh(hash: Hash) -> Seen {
    Seen::Content {
        hash,
        settled: false,
    }
}

/// The looks one after the other, and the reports that they made.
fn reports(first: Seen, looks: &[Seen]) -> Vec<Option<Kind>> {
    let mut state = State::at_first(first);
    looks.iter().map(|seen| state.decide(*seen)).collect()
}

#[test]
fn what_is_told_and_when() {
    let denied = Seen::Unreadable(Fault::Permission);
    let (to_a, to_b) = (Some(Kind::Content(A)), Some(Kind::Content(B)));
    let gone = Some(Kind::Vanished);
    let unreadable = Some(Kind::Unreadable(Fault::Permission));
    type Row<'a> = (&'a str, Seen, &'a [Seen], &'a [Option<Kind>]);
    let table: &[Row<'_>] = &[
        (
            "nothing new",
            settled(A),
            &[settled(A), fresh(A)],
            &[None, None],
        ),
        (
            "a settled change at once",
            settled(A),
            &[settled(B), settled(B)],
            &[to_b, None],
        ),
        (
            "a fresh one at the second look",
            settled(A),
            &[fresh(B), fresh(B)],
            &[None, to_b],
        ),
        (
            "a fresh one that then settles",
            settled(A),
            &[fresh(B), settled(B)],
            &[None, to_b],
        ),
        (
            "still being written",
            settled(A),
            &[fresh([3; 32]), fresh([4; 32]), settled(B)],
            &[None, None, to_b],
        ),
        (
            "written and put back",
            settled(A),
            &[fresh(B), settled(A)],
            &[None, None],
        ),
        (
            "away for a moment",
            settled(A),
            &[Seen::Absent, settled(A)],
            &[None, None],
        ),
        (
            "replaced by deleting first",
            settled(A),
            &[Seen::Absent, settled(B)],
            &[None, to_b],
        ),
        (
            "vanished, told once",
            settled(A),
            &[Seen::Absent, Seen::Absent, Seen::Absent],
            &[None, gone, None],
        ),
        (
            "back as it was",
            settled(A),
            &[Seen::Absent, Seen::Absent, settled(A)],
            &[None, gone, to_a],
        ),
        (
            "unreadable for a moment",
            settled(A),
            &[denied, settled(A)],
            &[None, None],
        ),
        (
            "unreadable",
            settled(A),
            &[denied, denied, denied],
            &[None, unreadable, None],
        ),
        (
            "two troubles in turn are neither",
            settled(A),
            &[denied, Seen::Absent, denied],
            &[None, None, None],
        ),
        (
            "absent at first, then there",
            Seen::Absent,
            &[Seen::Absent, settled(A)],
            &[None, to_a],
        ),
    ];
    for (name, first, looks, told) in table {
        assert_eq!(reports(*first, looks), *told, "{name}");
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir =
            std::env::temp_dir().join(format!("plimsoll-watch-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Polls without a pause until something is told.
fn next(watch: &mut Watch) -> Change {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(change) = watch.poll().pop() {
            return change;
        }
        assert!(Instant::now() < end, "nothing was told");
        std::thread::yield_now();
    }
}

fn content(text: &str) -> Kind {
    Kind::Content(hash(text.as_bytes()))
}

#[test]
fn a_write_a_rename_and_a_touch() {
    let dir = Dir::new("write");
    let file = dir.write("f", "one");
    let mut watch = Watch::new([file.clone()]);
    assert_eq!(watch.known(&file), Some(content("one")));
    dir.write("f", "two");
    assert_eq!(next(&mut watch).kind, content("two"));
    fs::rename(dir.write("new", "three"), &file).expect("renamed");
    assert_eq!(next(&mut watch).kind, content("three"));
    // The same bytes again are no change, whatever the times say.
    dir.write("f", "three");
    assert!(watch.poll().is_empty() && watch.poll().is_empty());
}

#[test]
fn a_config_map_is_swapped_by_its_symlink() {
    let dir = Dir::new("configmap");
    for (version, text) in [("..2026_01", "one"), ("..2026_02", "two")] {
        fs::create_dir(dir.path(version)).expect("a directory");
        fs::write(dir.path(version).join("p.toml"), text).expect("written");
    }
    symlink("..2026_01", dir.path("..data")).expect("linked");
    symlink("..data/p.toml", dir.path("p.toml")).expect("linked");
    let mut watch = Watch::new([dir.path("p.toml")]);
    symlink("..2026_02", dir.path("..data_tmp")).expect("linked");
    fs::rename(dir.path("..data_tmp"), dir.path("..data")).expect("swapped");
    fs::remove_dir_all(dir.path("..2026_01")).expect("the old one is removed");
    let change = next(&mut watch);
    assert_eq!(change.path, dir.path("p.toml"));
    assert_eq!(change.kind, content("two"));
}

#[test]
fn vanish_and_return() {
    let dir = Dir::new("vanish");
    let file = dir.write("f", "one");
    let mut watch = Watch::new([file.clone()]);
    fs::remove_file(&file).expect("removed");
    assert_eq!(watch.poll(), [], "it may be back soon");
    assert_eq!(watch.poll().first().map(|c| c.kind), Some(Kind::Vanished));
    assert_eq!(watch.poll(), [], "told once");
    dir.write("f", "one");
    assert_eq!(next(&mut watch).kind, content("one"));
}

#[test]
fn what_is_no_file_is_a_fault_and_never_a_wait() {
    let dir = Dir::new("faults");
    let fifo = dir.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|s| s.success()));
    let directory = dir.path("dir");
    fs::create_dir(&directory).expect("a directory");
    let circle = dir.path("circle");
    symlink(&circle, &circle).expect("linked");
    let huge = dir.path("huge");
    let sparse = fs::File::create(&huge).expect("a file");
    sparse.set_len(BYTES_MAX + 1).expect("sparse");
    let under_a_file = dir.write("f", "x").join("below");
    let device = PathBuf::from("/dev/zero");
    let paths = [&fifo, &directory, &circle, &huge, &under_a_file, &device];
    let begun = Instant::now();
    let watch = Watch::new(paths.map(Clone::clone));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let known = |path: &Path| watch.known(path).expect("under watch");
    assert_eq!(known(&fifo), Kind::Unreadable(Fault::NotAFile));
    assert_eq!(known(&device), Kind::Unreadable(Fault::NotAFile));
    assert_eq!(known(&directory), Kind::Unreadable(Fault::Directory));
    assert_eq!(known(&huge), Kind::Unreadable(Fault::TooLarge));
    assert!(matches!(known(&circle), Kind::Unreadable(Fault::Other(_))));
    assert_eq!(known(&under_a_file), Kind::Vanished);
    assert!(read_bounded(&fifo, 10).is_err());
    assert!(read_bounded(&huge, 10).is_err());
}

#[test]
fn a_file_without_permission_is_told_where_that_holds() {
    let dir = Dir::new("permission");
    let file = dir.write("f", "one");
    let mut watch = Watch::new([file.clone()]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).expect("changed");
    // The superuser reads it all the same.
    if fs::read(&file).is_err() {
        assert_eq!(next(&mut watch).kind, Kind::Unreadable(Fault::Permission));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
        assert_eq!(next(&mut watch).kind, content("one"));
    }
}

#[test]
fn a_file_in_the_making_is_looked_at_sooner() {
    let dir = Dir::new("fresh");
    let file = dir.write("f", "one");
    let mut watch = Watch::new([file.clone()]);
    assert_eq!(watch.pause(), PERIOD);
    dir.write("f", "tw");
    // A slow machine may find it settled already; then it is told at once.
    if watch.poll().is_empty() {
        assert_eq!(watch.pause(), SETTLE);
        dir.write("f", "two");
        assert_eq!(next(&mut watch).kind, content("two"));
    }
}

#[test]
fn paths_are_set_anew() {
    let dir = Dir::new("paths");
    let (a, b) = (dir.write("a", "one"), dir.write("b", "one"));
    let mut watch = Watch::new([a.clone()]);
    dir.write("a", "two");
    watch.set_paths([a.clone(), b.clone()]);
    assert_eq!(watch.paths().count(), 2);
    assert_eq!(
        next(&mut watch).path,
        a,
        "what was under watch keeps its state"
    );
    watch.set_paths([b.clone()]);
    dir.write("a", "three");
    dir.write("b", "two");
    assert_eq!(next(&mut watch).path, b);
}
