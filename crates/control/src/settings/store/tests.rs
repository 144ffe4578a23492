//! The history on a real disk.

use super::*;
use config::rollout::Why;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let name = format!("plimsoll-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn add(store: &mut Store, hash: &str) -> u64 {
    let files = [(PathBuf::from("/etc/p.toml"), format!("# {hash}\n"))];
    store
        .add_version(&NewVersion {
            hash,
            origin: Origin::Apply,
            actor: "anna@shop",
            reason: "ticket 7",
            temporary: false,
            files: &files,
            above: 0,
        })
        .expect("written")
}

fn enter(store: &mut Store, version: u64, from: u64, state: State) {
    let nature = Nature {
        tightens: true,
        ..Nature::default()
    };
    store
        .enter(version, from, nature, state, "why")
        .expect("written");
}

const HALF: State = State::Staging {
    step: 2,
    of: 4,
    serves: true,
};

#[test]
fn what_was_written_is_there_for_the_next_process() {
    let dir = Dir::new("next");
    let mut store = Store::open(&dir.0).expect("begun");
    let first = add(&mut store, "aa");
    store.adopt(first, "no history").expect("written");
    let second = add(&mut store, "bb");
    enter(&mut store, second, first, State::Checking);
    enter(&mut store, second, first, HALF);
    drop(store);
    let store = Store::open(&dir.0).expect("opened");
    assert_eq!(store.current().expect("read"), Some(first));
    let open = store.open_changes().expect("read").remove(0);
    assert_eq!((open.version, open.from, open.state), (second, first, HALF));
    assert!(open.nature.tightens && !open.nature.now);
    let row = store.version(second).expect("read").expect("there");
    assert_eq!(
        row.files,
        [(PathBuf::from("/etc/p.toml"), "# bb\n".to_owned())]
    );
    assert_eq!(
        (row.actor.as_str(), row.reason.as_str()),
        ("anna@shop", "ticket 7")
    );
    let events: Vec<String> = store
        .events(second)
        .expect("read")
        .into_iter()
        .map(|e| e.what)
        .collect();
    assert_eq!(events, ["checking", "staging 2/4 serves"]);
}

#[test]
fn every_state_reads_as_it_was_written() {
    let mut all = vec![
        State::Checking,
        State::Predicting,
        State::Probing,
        HALF,
        State::Staging {
            step: 1,
            of: 1,
            serves: false,
        },
        State::Watching,
        State::Applied,
    ];
    for why in Why::ALL {
        all.extend([
            State::Reverting(why),
            State::RolledBack(why),
            State::Refused(why),
        ]);
    }
    for state in all {
        let (word, detail) = state_words(state);
        assert_eq!(state_from(word, &detail), Some(state), "{word} {detail}");
    }
    assert_eq!(state_from("soaring", ""), None);
}

#[test]
fn a_version_that_was_turned_down_is_known_until_it_is_applied() {
    let mut store = Store::in_memory().expect("begun");
    let first = add(&mut store, "aa");
    store.adopt(first, "").expect("written");
    let bad = add(&mut store, "bb");
    enter(&mut store, bad, first, State::RolledBack(Why::Hurts));
    let found = store.rejected("bb").expect("read");
    assert_eq!(found, Some((bad, State::RolledBack(Why::Hurts))));
    let killed = add(&mut store, "cc");
    enter(&mut store, killed, first, State::RolledBack(Why::Killed));
    assert_eq!(
        store.rejected("cc").expect("read"),
        None,
        "not its own fault"
    );
    let again = add(&mut store, "bb");
    enter(&mut store, again, first, State::Applied);
    assert_eq!(store.rejected("bb").expect("read"), None);
    assert_eq!(store.current().expect("read"), Some(again));
    assert_eq!(store.before(again).expect("read"), Some(first));
}

#[test]
fn two_processes_do_not_share_a_history() {
    let dir = Dir::new("two");
    let _first = Store::open(&dir.0).expect("begun");
    let Err(error) = Store::open(&dir.0) else {
        panic!("two writers");
    };
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(Store::read_only(&dir.0).is_ok(), "reading beside it works");
}

#[test]
fn what_cannot_be_understood_is_left_alone() {
    let dir = Dir::new("newer");
    drop(Store::open(&dir.0).expect("begun"));
    let path = dir.0.join(KEPT_FILE.file);
    let db = Connection::open(&path).expect("opened");
    db.execute_batch("PRAGMA user_version = 99")
        .expect("written");
    drop(db);
    let Err(error) = Store::open(&dir.0) else {
        panic!("a newer schema");
    };
    assert!(error.to_string().contains("newer plimsoll"), "{error}");

    let dir = Dir::new("noise");
    std::fs::create_dir_all(&dir.0).expect("made");
    let noise = vec![7; 9_000];
    std::fs::write(dir.0.join(KEPT_FILE.file), &noise).expect("written");
    assert!(Store::open(&dir.0).is_err());
    assert_eq!(
        std::fs::read(dir.0.join(KEPT_FILE.file)).expect("read"),
        noise
    );
}

#[test]
fn the_directory_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("mode");
    drop(Store::open(&dir.0).expect("begun"));
    let mode = std::fs::metadata(&dir.0)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_number_is_given_once_and_no_change_is_left_behind() {
    let dir = Dir::new("numbers");
    let mut store = Store::open(&dir.0).expect("begun");
    let first = add(&mut store, "aa");
    let files = [(PathBuf::from("/etc/p.toml"), "# bb\n".to_owned())];
    let new = NewVersion {
        hash: "bb",
        origin: Origin::Apply,
        actor: "anna@shop",
        reason: "",
        temporary: false,
        files: &files,
        above: first + 3,
    };
    let second = store.add_version(&new).expect("written");
    assert_eq!(
        (second, store.last().expect("read")),
        (first + 4, first + 4)
    );
    let unknown = store.enter(first + 2, first, Nature::default(), State::Checking, "");
    assert!(unknown.is_err_and(|error| error.is_lasting()));
    enter(&mut store, first, first, State::Watching);
    enter(&mut store, second, first, State::Checking);
    let open = store.open_changes().expect("read");
    assert_eq!([open[0].version, open[1].version], [second, first]);
}

#[test]
fn what_gives_way_does_not_make_good_what_was_turned_down() {
    let dir = Dir::new("turned-down");
    let mut store = Store::open(&dir.0).expect("begun");
    let (bad, again, good) = (
        add(&mut store, "aa"),
        add(&mut store, "aa"),
        add(&mut store, "aa"),
    );
    let rejected = |store: &Store| {
        store
            .rejected("aa")
            .expect("read")
            .map(|(version, _)| version)
    };
    enter(&mut store, bad, 0, State::RolledBack(Why::Hurts));
    enter(&mut store, again, 0, State::RolledBack(Why::Superseded));
    assert_eq!(rejected(&store), Some(bad));
    enter(&mut store, good, 0, State::Applied);
    assert_eq!(rejected(&store), None);
}

impl Store {
    /// As if the disk had no room for another page.
    pub(crate) fn fill_up(&mut self) {
        let pages: i64 = self
            .db
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .expect("a number");
        let _: i64 = self
            .db
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                row.get(0)
            })
            .expect("set");
        // What is left of the last page, and pages that were freed.
        let filled = (0..10_000).any(|n| {
            let text = format!("{n:0>4000}");
            self.db
                .execute(
                    "INSERT INTO event (version, at, what, text) VALUES (0, 0, '', ?1)",
                    [text],
                )
                .is_err()
        });
        assert!(filled, "no end of the room");
    }
}
