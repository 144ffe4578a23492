//! Starts of an older and of a newer binary with the same directory.

use super::*;

/// A change is called applied after a second.
const QUICK: &str = "[settings]\nsource = \"store\"\nwatch = \"1s\"";

/// As the next release may leave it.
fn plant_a_newer_schema(state: &Path, file: &str) {
    let db = rusqlite::Connection::open(state.join(file)).expect("opened");
    db.execute_batch("CREATE TABLE of_next_year (x); PRAGMA user_version = 99;")
        .expect("planted");
}

fn as_the_old_one_knows_it(state: &Path) {
    let db = rusqlite::Connection::open(state.join("settings.db")).expect("opened");
    db.execute_batch("PRAGMA user_version = 1;").expect("back");
}

#[test]
fn an_older_binary_serves_without_the_history_and_leaves_it_for_the_newer_one() {
    let dir = Dir::new("older");
    dir.write(&text(20, QUICK));
    let world = start(prepared(&dir), Verdict::Fine);
    world.apply(text(30, QUICK), true).expect("begun");
    world.until("version 2 serves", |s| s.version == 2 && s.open.is_none());
    world.running.stop();

    // The newer one was here. This one goes on with the file.
    let state = dir.0.join("state");
    plant_a_newer_schema(&state, "settings.db");
    let before = std::fs::read(state.join("settings.db")).expect("read");
    let old = prepared(&dir);
    assert_eq!(old.plan().default_pool_size, config::PoolSize::Fixed(30));
    // What has a number of its own is kept all the same, and nobody else may use it.
    assert_eq!(old.directory(), Some(state.as_path()));
    assert!(matches!(
        crate::settings::store::Store::beside(&state),
        Err(crate::settings::store::StoreError::Locked(_))
    ));
    let world = start(old, Verdict::Fine);
    let status = world.status();
    assert_eq!((status.version, status.directory), (1, None));
    assert_eq!(status.without.len(), 1, "{:?}", status.without);
    assert!(
        status.without[0].contains("schema 99"),
        "{:?}",
        status.without
    );
    world.apply(text(40, QUICK), true).expect("begun");
    world.until("it serves", |s| s.version == 2 && s.open.is_none());
    world.running.stop();
    assert_eq!(
        std::fs::read(state.join("settings.db")).expect("read"),
        before
    );

    // Forward again: its two versions are there, and the file says something else.
    as_the_old_one_knows_it(&state);
    let world = start(prepared(&dir), Verdict::Fine);
    let status = world.status();
    assert_eq!((status.version, status.without), (2, Vec::new()));
    assert_eq!(status.directory, Some(state));
    assert!(status.drift.is_some(), "the file was changed meanwhile");
    world.running.stop();
}

#[test]
fn files_beside_the_history_that_are_ahead_are_told_and_the_history_serves() {
    let dir = Dir::new("ahead");
    dir.write(&text(20, ""));
    drop(prepared(&dir));
    let state = dir.0.join("state");
    plant_a_newer_schema(&state, "incidents.db");
    let world = start(prepared(&dir), Verdict::Fine);
    let status = world.status();
    assert_eq!(status.directory, Some(state));
    assert_eq!(status.without.len(), 1);
    assert!(
        status.without[0].contains("incidents"),
        "{:?}",
        status.without
    );
    world.running.stop();
}

/// Keys of a newer version in the settings file.
#[test]
fn a_file_with_keys_of_a_newer_version_starts_the_last_good_version() {
    let dir = Dir::new("keys");
    dir.write(&text(20, DEPLOY));
    drop(prepared(&dir));
    dir.write(&text(30, &format!("{DEPLOY}\nof_next_year = 7")));
    let world = start(prepared(&dir), Verdict::Fine);
    let status = world.status();
    assert_eq!(status.version, 1);
    let drift = status.drift.expect("told");
    assert!(
        drift.contains("version 1 serves") && drift.contains("settings.of_next_year"),
        "{drift}"
    );
    let refused = world.apply(text(30, "of_next_year = 7"), true);
    let refused = refused.expect_err("mistakes");
    assert_eq!(refused.kind, "mistakes");
    assert!(
        refused.lines[0].contains("unknown key"),
        "{:?}",
        refused.lines
    );
    world.running.stop();
    // Without a history there is nothing to serve instead.
    std::fs::remove_dir_all(dir.0.join("state")).expect("removed");
    assert!(matches!(
        prepare(options(&dir)),
        Err(BootError::Mistakes(..))
    ));
}

/// The guards that a version which knew fewer wrote down.
fn knew(state: &Path, labels: &str) {
    let db = rusqlite::Connection::open(state.join("settings.db")).expect("opened");
    let sql = "INSERT INTO meta (key, value) VALUES ('guards', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1";
    db.execute(sql, [labels]).expect("planted");
}

fn known(state: &Path) -> String {
    let db = rusqlite::Connection::open(state.join("settings.db")).expect("opened");
    let sql = "SELECT value FROM meta WHERE key = 'guards'";
    db.query_row(sql, [], |row| row.get(0)).expect("written")
}

#[test]
fn a_guard_that_an_upgrade_brings_only_watches_until_a_person_lets_it_act() {
    let dir = Dir::new("guards");
    let state = dir.0.join("state");
    let all = "reclaim shed auto_size auto_revert drift pin";
    dir.write(&text(20, QUICK));
    // Where nothing served before, none is new.
    let first = prepared(&dir);
    assert_eq!(first.plan().guards, events::Guards::all(GuardMode::Enforce));
    drop(first);
    assert_eq!(known(&state), all);

    knew(&state, "reclaim auto_size auto_revert drift of_next_year");
    // A restart is no switch.
    for _ in 0..2 {
        let next = prepared(&dir);
        assert_eq!(next.plan().guards.mode(Guard::Shed), GuardMode::Observe);
        assert_eq!(next.plan().guards.mode(Guard::Reclaim), GuardMode::Enforce);
    }
    let world = start(prepared(&dir), Verdict::Fine);
    assert_eq!(world.status().new_guards, ["shed"]);
    // Another change of the settings does not switch it on either.
    world.apply(text(30, QUICK), true).expect("begun");
    let status = world.until("version 2 serves", |s| s.version == 2 && s.open.is_none());
    assert_eq!(status.new_guards, ["shed"]);
    let on = |size| text(size, &format!("{QUICK}\n[guards]\nshed = \"enforce\""));
    world.apply(on(30), true).expect("begun");
    let status = world.until("version 3 serves", |s| s.version == 3 && s.open.is_none());
    assert_eq!(status.new_guards, Vec::<String>::new());
    let serves = world.plane.plan.lock().expect("lock").guards;
    assert_eq!(serves.mode(Guard::Shed), GuardMode::Enforce);
    world.running.stop();

    // Known from the next start on; what a version in between knew stays known.
    drop(prepared(&dir));
    assert_eq!(
        known(&state),
        "reclaim auto_size auto_revert drift of_next_year pin shed"
    );
}

#[test]
fn a_history_without_guards_is_of_a_version_with_the_first_five() {
    let dir = Dir::new("first");
    dir.write(&text(20, QUICK));
    drop(prepared(&dir));
    let state = dir.0.join("state");
    let db = rusqlite::Connection::open(state.join("settings.db")).expect("opened");
    db.execute("DELETE FROM meta WHERE key = 'guards'", [])
        .expect("as before");
    drop(db);
    let next = prepared(&dir);
    assert_eq!(next.plan().guards, events::Guards::all(GuardMode::Enforce));
}
