//! The keeper before a data plane of one line, with a real directory.

mod upgrades;

use super::*;
use config::rollout::Verdict;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;

/// A data plane that serves what it is given.
struct Plane {
    plan: Mutex<Arc<Plan>>,
    sizes: Mutex<Vec<config::PoolSize>>,
    begun: Instant,
    held_back: Mutex<Option<String>>,
    refuses: Mutex<Option<String>>,
    /// What this instance states to its peers, and what they state.
    stated: Mutex<Option<u32>>,
    peers: Mutex<Vec<u32>>,
    predicted: Verdict,
}

impl DataPlane for Plane {
    fn snapshot(&self) -> Arc<Snapshot> {
        let micros = self.begun.elapsed().as_micros() as u64;
        Arc::new(Snapshot {
            at: Time::from_micros(micros.max(1)),
            closes: vec![0; events::CloseReason::COUNT],
            refusals: vec![0; events::RefuseReason::COUNT],
            budgets: vec![events::snapshot::BudgetRow {
                peers_rejected: self.peers.lock().expect("lock").clone(),
                ..Default::default()
            }],
            ..Snapshot::default()
        })
    }

    fn adopt(&self, plan: Plan) -> Result<Vec<String>, String> {
        if let Some(why) = &*self.refuses.lock().expect("lock") {
            return Err(why.clone());
        }
        self.sizes
            .lock()
            .expect("lock")
            .push(plan.default_pool_size);
        *self.plan.lock().expect("lock") = Arc::new(plan);
        Ok(Vec::new())
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().expect("lock"))
    }

    fn probe(&self, _: &Plan, _: &Plan) -> Result<String, String> {
        Ok(String::new())
    }

    fn predict(&self, _: &Plan, _: &Plan) -> Prediction {
        Prediction {
            verdict: self.predicted,
            text: "as the test says".to_owned(),
        }
    }

    fn hold_back(&self, reason: Option<String>) {
        *self.held_back.lock().expect("lock") = reason;
    }

    fn state_rejected(&self, hash: Option<u32>) {
        *self.stated.lock().expect("lock") = hash;
    }

    fn note_decision(&self, _: Guard, _: GuardMode) {}
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let name = format!("plimsoll-keeper-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("made");
        Dir(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("plimsoll.toml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("written");
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(size: u32, more: &str) -> String {
    format!("{more}\n[pool]\nsize = {size}\n[server]\nline = 90\n[database.app]\nhost = \"db\"\n")
}

const DEPLOY: &str = "[settings]\nsource = \"deploy\"";
const STORE: &str = "[settings]\nsource = \"store\"";

fn options(dir: &Dir) -> Options {
    let secrets = |path: &Path| std::fs::read(path);
    Options {
        path: dir.file(),
        overrides: Overrides::default(),
        secrets: Arc::new(secrets),
        state: StateDirectory::At(dir.0.join("state")),
        baseline: None,
        container: false,
    }
}

fn prepared(dir: &Dir) -> Prepared {
    match prepare(options(dir)) {
        Ok(prepared) => prepared,
        Err(BootError::Mistakes(errors, note)) => panic!("{} {note:?}", errors.render()),
        Err(BootError::Store(error)) => panic!("{error}"),
    }
}

struct World {
    plane: Arc<Plane>,
    running: Running,
}

fn start(prepared: Prepared, predicted: Verdict) -> World {
    let plane = Arc::new(Plane {
        plan: Mutex::new(Arc::new(prepared.plan().clone())),
        sizes: Mutex::default(),
        begun: Instant::now(),
        held_back: Mutex::default(),
        refuses: Mutex::default(),
        stated: Mutex::default(),
        peers: Mutex::default(),
        predicted,
    });
    let data: Arc<dyn DataPlane> = Arc::clone(&plane) as Arc<dyn DataPlane>;
    let running = prepared.start(data).expect("a thread");
    World { plane, running }
}

impl World {
    fn ask<T: Send + 'static>(&self, make: impl FnOnce(Reply<T>) -> Ask) -> Result<T, AskError> {
        let (tell, told) = channel();
        let reply: Reply<T> = Box::new(move |answer| drop(tell.send(answer)));
        let command = Command::Ask(make(reply));
        self.running.commands().send(command).expect("it runs");
        told.recv_timeout(Duration::from_secs(20))
            .expect("an answer")
    }

    fn status(&self) -> Status {
        self.ask(Ask::Status).expect("a status")
    }

    fn apply(&self, text: String, now: bool) -> Result<Applied, AskError> {
        let ask = ApplyAsk {
            text: Some(text),
            actor: "anna".to_owned(),
            reason: "a test".to_owned(),
            now,
            ..ApplyAsk::default()
        };
        self.ask(|reply| Ask::Apply(ask, reply))
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what}: {status:?}"
            );
            std::thread::yield_now();
        }
    }

    fn until_some<T>(&self, what: &str, mut look: impl FnMut(&World) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::yield_now();
        }
    }

    fn size(&self) -> config::PoolSize {
        self.plane.plan().default_pool_size
    }
}

use config::PoolSize::Fixed;

#[test]
fn a_full_disk_refuses_a_change_and_leaves_the_history_whole() {
    let dir = Dir::new("full");
    dir.write(&text(20, STORE));
    let mut prepared = prepared(&dir);
    prepared.store_for_tests().fill_up();
    let world = start(prepared, Verdict::Fine);
    // Larger than what is left of any page.
    let large = |size| format!("{}# {}\n", text(size, STORE), "x".repeat(20_000));
    let error = world.apply(large(30), false).expect_err("no room");
    assert_eq!(error.kind, "history");
    assert!(error.lines[0].contains("full"), "{error}");
    assert_eq!(world.size(), Fixed(20));
    // A person in an emergency is faster than a full disk.
    world.apply(large(40), true).expect("made all the same");
    assert_eq!(world.size(), Fixed(40));
    world.running.stop();
    let world = start(self::prepared(&dir), Verdict::Fine);
    assert_eq!(world.size(), Fixed(20), "what was written last serves");
    assert_eq!(world.ask(|r| Ask::History(9, r)).expect("read").len(), 1);
    world.running.stop();
}

/// The marks of charts and reports say who it was.
#[test]
fn the_news_of_a_change_names_who_brought_it() {
    let dir = Dir::new("whose");
    dir.write(&text(20, STORE));
    let world = start(prepared(&dir), Verdict::Fine);
    world.apply(text(30, STORE), true).expect("made");
    let figures = world.running.figures();
    let told = world.until_some("news", |_| figures.take_news().into_iter().next());
    assert_eq!(told.actor, "anna");
    assert_eq!(told.text, "version 2: pool.size: 20 → 30");
    world.running.stop();
    let dir = Dir::new("whose-file");
    dir.write(&text(20, DEPLOY));
    let world = start(prepared(&dir), Verdict::Fine);
    dir.write(&text(30, DEPLOY));
    let figures = world.running.figures();
    let told = world.until_some("news", |_| figures.take_news().into_iter().next());
    assert_eq!(told.actor, "the settings file");
    world.running.stop();
}

#[test]
fn what_the_prediction_calls_worse_is_refused_and_a_file_of_it_is_held() {
    let dir = Dir::new("worse");
    dir.write(&text(50, DEPLOY));
    let world = start(prepared(&dir), Verdict::Worse);
    dir.write(&text(20, DEPLOY));
    let status = world.until("held", |s| s.drift.is_some());
    let drift = status.drift.unwrap_or_default();
    assert!(
        drift.contains("refused as version 2 (prediction)"),
        "{drift}"
    );
    assert_eq!(world.size(), Fixed(50));
    world.running.stop();
    // A restart does not try it again.
    let world = start(prepared(&dir), Verdict::Fine);
    assert!(
        world
            .status()
            .drift
            .unwrap_or_default()
            .contains("prediction")
    );
    assert_eq!((world.size(), world.status().open), (Fixed(50), None));
    assert_eq!(
        *world.plane.held_back.lock().expect("lock"),
        None,
        "it serves well"
    );
    world.running.stop();
}

#[test]
fn a_first_start_that_fails_the_check_serves_and_is_not_ready() {
    let dir = Dir::new("unready");
    dir.write(&text(20, "").replace("size = 20", "size = 20\nmin = 30"));
    let world = start(prepared(&dir), Verdict::Fine);
    let held = world.status().held_back.expect("not ready");
    assert!(held.contains("min-above-max"), "{held}");
    assert_eq!(*world.plane.held_back.lock().expect("lock"), Some(held));
    assert_eq!(world.size(), Fixed(20), "and it serves");
    // The mended settings make it ready.
    world.apply(text(20, ""), false).expect("begun");
    world.until("ready", |s| s.held_back.is_none());
    world.running.stop();
}

#[test]
fn a_file_that_is_overwritten_is_written_back_three_times_and_no_more() {
    let dir = Dir::new("restore");
    let good = text(20, "[settings]\nsource = \"store\"\nrestore = true");
    dir.write(&good);
    let world = start(prepared(&dir), Verdict::Fine);
    for round in 1..=4 {
        dir.write(&text(round, STORE));
        if round <= 3 {
            let begun = Instant::now();
            while std::fs::read_to_string(dir.file()).expect("read") != good {
                assert!(begun.elapsed() < Duration::from_secs(10), "round {round}");
                std::thread::yield_now();
            }
        } else {
            world.until("held", |s| s.drift.is_some());
            assert_ne!(std::fs::read_to_string(dir.file()).expect("read"), good);
        }
    }
    assert_eq!(world.size(), Fixed(20));
    world.running.stop();
}

#[test]
fn a_baseline_makes_the_first_file_a_change() {
    let dir = Dir::new("baseline");
    dir.write(&text(2, DEPLOY));
    let baseline = dir.0.join("baseline.toml");
    std::fs::write(&baseline, text(50, DEPLOY)).expect("written");
    let options = Options {
        baseline: Some(baseline),
        ..options(&dir)
    };
    let Ok(prepared) = prepare(options) else {
        panic!("it serves the baseline");
    };
    assert_eq!(prepared.plan().default_pool_size, Fixed(50));
    let world = start(prepared, Verdict::Worse);
    world.until("held", |s| s.drift.is_some());
    assert_eq!(world.size(), Fixed(50));
    world.running.stop();
}

#[test]
fn a_data_plane_that_refuses_leaves_the_old_version() {
    let dir = Dir::new("refuses");
    dir.write(&text(20, STORE));
    let world = start(prepared(&dir), Verdict::Fine);
    *world.plane.refuses.lock().expect("lock") = Some("no such certificate".to_owned());
    world.apply(text(30, STORE), false).expect("begun");
    // The way back is refused as well, and is tried until it serves.
    world.until("reverting", |s| {
        s.open.as_ref().is_some_and(|o| o.state == "reverting")
    });
    *world.plane.refuses.lock().expect("lock") = None;
    world.until("the end", |s| s.open.is_none());
    assert_eq!(world.size(), Fixed(20));
    let history = world.ask(|r| Ask::History(9, r)).expect("read");
    assert_eq!(
        (history[0].state.as_str(), history[0].detail.as_str()),
        ("rolled_back", "not_served")
    );
    world.running.stop();
}

#[test]
fn bad_files_are_told_and_the_old_settings_serve() {
    let dir = Dir::new("bad");
    dir.write(&text(20, DEPLOY));
    let world = start(prepared(&dir), Verdict::Fine);
    let huge = vec![b'#'; 17 << 20];
    let cases: [(&str, &[u8]); 4] = [
        ("NUL", b"\x7fELF\0\0\0"),
        ("UTF-8", &[0xff, 0xfe, b'a']),
        ("larger than", &huge),
        ("no database", b""),
    ];
    for (expected, bytes) in cases {
        std::fs::write(dir.file(), bytes).expect("written");
        let says = |s: &Status| s.drift.as_deref().is_some_and(|d| d.contains(expected));
        world.until(expected, says);
        assert_eq!(world.size(), Fixed(20));
    }
    std::fs::remove_file(dir.file()).expect("removed");
    world.until("gone", |s| {
        s.drift.as_deref().is_some_and(|d| d.contains("is gone"))
    });
    dir.write(&text(20, DEPLOY));
    world.until("well again", |s| s.drift.is_none());
    world.running.stop();
}

#[test]
fn what_one_instance_turned_down_another_does_not_take() {
    let dir = Dir::new("peers");
    dir.write(&text(50, DEPLOY));
    let world = start(prepared(&dir), Verdict::Worse);
    dir.write(&text(20, DEPLOY));
    world.until("held", |s| s.drift.is_some());
    // It says so to its peers with the next look.
    let stated = world.until_some("stated", |w| *w.plane.stated.lock().expect("lock"));
    world.running.stop();

    // A peer with the old settings does not take them either.
    let other = Dir::new("peers-2");
    other.write(&text(50, DEPLOY));
    let world = start(prepared(&other), Verdict::Fine);
    world.plane.peers.lock().expect("lock").push(stated);
    other.write(&text(20, DEPLOY));
    let status = world.until("held", |s| s.drift.is_some());
    assert!(
        status
            .drift
            .unwrap_or_default()
            .contains("another instance")
    );
    assert_eq!(world.size(), Fixed(50));
    world.running.stop();

    // One that starts with them, and knows nothing else, is not ready.
    let third = Dir::new("peers-3");
    third.write(&text(20, DEPLOY));
    let world = start(prepared(&third), Verdict::Fine);
    world.plane.peers.lock().expect("lock").push(stated);
    world.until("held back", |s| s.held_back.is_some());
    world.plane.peers.lock().expect("lock").clear();
    world.until("ready", |s| s.held_back.is_none());
    world.running.stop();
}

/// The first change is still watched when the second one comes.
#[test]
fn a_file_that_changes_twice_in_a_row_is_no_drift() {
    let dir = Dir::new("twice");
    dir.write(&text(20, DEPLOY));
    let world = start(prepared(&dir), Verdict::Fine);
    for size in [24, 26] {
        dir.write(&text(size, DEPLOY));
        world.until_some("the new size", |w| (w.size() == Fixed(size)).then_some(()));
    }
    let status = world.status();
    assert!(status.open.is_some(), "it is watched");
    assert_eq!(status.drift, None);
    world.running.stop();
    // Nor did anybody pass the file over: a restart takes it.
    let world = start(prepared(&dir), Verdict::Fine);
    world.until_some("the file's", |w| (w.size() == Fixed(26)).then_some(()));
    assert_eq!(world.status().drift, None);
    world.running.stop();
}

impl World {
    fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        let (reply, answer) = channel();
        let command = Command::Reload {
            actor: "SIGHUP".to_owned(),
            reply,
        };
        self.running.commands().send(command).expect("it runs");
        answer
            .recv_timeout(Duration::from_secs(20))
            .expect("an answer")
    }
}

#[test]
fn what_needs_a_restart_is_taken_by_the_restart() {
    let dir = Dir::new("restart");
    dir.write(&text(20, DEPLOY));
    let world = start(prepared(&dir), Verdict::Fine);
    let mixed = format!("{}[process]\nworkers = 3\n", text(25, DEPLOY));
    dir.write(&mixed);
    let status = world.until("held", |s| s.drift.is_some());
    let drift = status.drift.unwrap_or_default();
    assert!(drift.contains("a restart takes it"), "{drift}");
    world.running.stop();
    let prepared = prepared(&dir);
    assert_eq!(prepared.plan().workers, Some(3), "at once");
    let world = start(prepared, Verdict::Fine);
    world.until("the rest", |s| s.version > 1 && s.drift.is_none());
    assert_eq!(world.size(), Fixed(25));
    world.running.stop();
}

#[test]
fn a_file_that_is_put_back_takes_its_change_back() {
    let dir = Dir::new("back");
    dir.write(&text(20, DEPLOY));
    let world = start(prepared(&dir), Verdict::Fine);
    dir.write(&text(25, DEPLOY));
    world.until("serves", |s| s.version == 2);
    dir.write(&text(20, DEPLOY));
    world.until("back", |s| s.version == 1 && s.open.is_none());
    assert_eq!(world.size(), Fixed(20));
    // It was no fault of the texts: the same file is taken another day.
    dir.write(&text(25, DEPLOY));
    world.until("again", |s| s.version == 3);
    assert_eq!(world.size(), Fixed(25));
    world.running.stop();
}

#[test]
fn a_stray_signal_undoes_neither_an_apply_nor_a_rollback() {
    let dir = Dir::new("signal");
    dir.write(&text(20, STORE));
    let world = start(prepared(&dir), Verdict::Fine);
    world.apply(text(25, STORE), false).expect("begun");
    world.until("serves", |s| s.version == 2);
    world.reload().expect("the file says the same");
    assert_eq!(world.size(), Fixed(25));
    let ask = RollbackAsk {
        actor: "anna".to_owned(),
        ..RollbackAsk::default()
    };
    world.ask(|r| Ask::Rollback(ask, r)).expect("begun");
    world.until("back", |s| s.open.is_none());
    assert_eq!(world.size(), Fixed(20));
    assert!(
        std::fs::read_to_string(dir.file())
            .expect("read")
            .contains("size = 20")
    );
    world.reload().expect("the file says the same");
    assert_eq!(world.size(), Fixed(20));
    world.running.stop();
}

#[test]
fn a_rescue_outlives_a_restart_with_the_old_file() {
    let dir = Dir::new("rescue");
    let quick = "[settings]\nsource = \"deploy\"\nwatch = \"1s\"";
    dir.write(&text(15, quick));
    let world = start(prepared(&dir), Verdict::Fine);
    world.apply(text(20, quick), true).expect("begun");
    world.until("applied", |s| s.version == 2 && s.open.is_none());
    world.running.stop();
    let world = start(prepared(&dir), Verdict::Fine);
    let status = world.status();
    assert_eq!((status.version, status.open), (2, None));
    assert_eq!(world.size(), Fixed(20));
    assert!(
        status
            .drift
            .unwrap_or_default()
            .contains("the next change there")
    );
    dir.write(&text(22, quick));
    world.until("the file's next change", |s| s.version == 3);
    world.running.stop();
}

#[test]
fn a_history_that_cannot_be_used_does_not_keep_anybody_from_serving() {
    let dir = Dir::new("damaged");
    dir.write(&text(20, STORE));
    start(prepared(&dir), Verdict::Fine).running.stop();
    let db = rusqlite::Connection::open(dir.0.join("state/settings.db")).expect("opened");
    db.execute_batch("DROP TABLE meta").expect("damaged");
    drop(db);
    let first = prepared(&dir);
    assert_eq!(first.directory(), None, "in memory");
    assert_eq!(first.plan().default_pool_size, Fixed(20));

    // Another pooler's history is not ours, while its file is there.
    let ours = Dir::new("borrowed");
    ours.write(&text(30, STORE));
    let theirs = Dir::new("lender");
    theirs.write(&text(20, STORE));
    start(prepared(&theirs), Verdict::Fine).running.stop();
    let borrowed = Options {
        state: StateDirectory::At(theirs.0.join("state")),
        ..options(&ours)
    };
    let Ok(second) = prepare(borrowed) else {
        panic!("it serves");
    };
    assert_eq!(second.plan().default_pool_size, Fixed(30));
    assert_eq!(second.directory(), None);

    // A directory that others may write is nobody's own, and is left as it is.
    use std::os::unix::fs::PermissionsExt;
    let shared = Dir::new("shared");
    shared.write(&text(20, STORE));
    let open = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(&shared.0, open).expect("set");
    let there = Options {
        state: StateDirectory::At(shared.0.clone()),
        ..options(&shared)
    };
    let Ok(third) = prepare(there) else {
        panic!("it serves");
    };
    assert_eq!(third.directory(), None);
    let mode = std::fs::metadata(&shared.0)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o1777);
}

#[test]
fn a_person_can_make_an_instance_ready() {
    let dir = Dir::new("ready");
    dir.write(&text(20, STORE).replace("size = 20", "size = 20\nmin = 30"));
    let world = start(prepared(&dir), Verdict::Fine);
    assert!(world.status().held_back.is_some());
    let same = std::fs::read_to_string(dir.file()).expect("read");
    let error = world.apply(same, true).expect_err("it serves already");
    assert_eq!(error.kind, "same");
    assert_eq!(world.status().held_back, None);
    world.running.stop();
}

mod following;
