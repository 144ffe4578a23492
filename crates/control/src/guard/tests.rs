//! Stories of guarded files, without a process.

use super::*;
use std::os::unix::fs::symlink;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let name = format!("plimsoll-guard-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("made");
        Place(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(given: &[PathBuf], restore: bool, store: Store) -> (Guard, Vec<News>) {
    let options = Options {
        given: given.to_vec(),
        restore,
    };
    Guard::start(options, store).expect("it starts")
}

/// Looks until there is news.
fn until(guard: &mut Guard) -> Vec<News> {
    for _ in 0..100_000 {
        let news = guard.look();
        if !news.is_empty() {
            return news;
        }
        std::thread::yield_now();
    }
    panic!("no news");
}

#[test]
fn one_table_says_how_a_file_stands() {
    let seen = |text: &str| Ok(observe::of(Path::new("a"), text.as_bytes(), &[0; 32]));
    let version = |text: &str| {
        let seen = observe::of(Path::new("a"), text.as_bytes(), &[0; 32]);
        Known::Accepted(Box::new(version_of(Path::new("a"), &seen, 1)))
    };
    let bad = || Err(Unseen::Unreadable("x".into()));
    for (known, seen, root, verdict) in [
        (Known::Never, seen("a b\n"), false, Verdict::Adopt),
        (Known::Never, seen("a b\n"), true, Verdict::Appeared),
        (Known::Never, Err(Unseen::Absent), true, Verdict::Vanished),
        (Known::Absent, seen("a b\n"), false, Verdict::Appeared),
        (Known::Absent, Err(Unseen::Absent), false, Verdict::Same),
        (version("a b\n"), seen("a b\n"), true, Verdict::Same),
        (version("a b\n"), seen("a c\n"), true, Verdict::Drift),
        (
            version("a b\n"),
            Err(Unseen::Absent),
            true,
            Verdict::Vanished,
        ),
        (
            version("a b\n"),
            bad(),
            true,
            Verdict::Unreadable("x".into()),
        ),
        (Known::Never, bad(), false, Verdict::Unreadable("x".into())),
    ] {
        assert_eq!(judge(&known, &seen, root), verdict, "{known:?}");
    }
}

#[test]
fn a_drift_is_told_once_and_is_over_when_it_is_over() {
    let place = Place::new("drift");
    let path = place.write("app.conf", "workers = 4\nlog = on\n");
    let (mut guard, news) = start(
        std::slice::from_ref(&path),
        false,
        Store::in_memory().expect("opened"),
    );
    assert!(matches!(news.as_slice(), [News::Adopted(v)] if v.whole && v.version == 1));
    assert!(guard.look().is_empty());
    place.write("app.conf", "workers = 400\nlog = on\n");
    let news = until(&mut guard);
    let [
        News::Drift {
            version,
            accepted: Some(_),
        },
    ] = news.as_slice()
    else {
        panic!("{news:?}")
    };
    assert_eq!(
        version.difference.words(),
        "-1 workers = 4; +1 workers = 400"
    );
    assert!(guard.look().is_empty(), "once");
    place.write("app.conf", "workers = 4\nlog = on\n");
    assert!(matches!(until(&mut guard).as_slice(), [News::Same { .. }]));
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(
        until(&mut guard).as_slice(),
        [News::Vanished { .. }]
    ));
    std::fs::create_dir(&path).expect("made");
    assert!(matches!(
        until(&mut guard).as_slice(),
        [News::Unreadable { .. }]
    ));
    let whats: Vec<String> = guard
        .store()
        .events(None, 10)
        .expect("read")
        .into_iter()
        .map(|e| e.what)
        .collect();
    assert_eq!(
        whats,
        ["unreadable", "vanished", "same", "drift", "adopted"]
    );
}

#[test]
fn a_configmap_s_swap_is_drift_and_is_never_written_back() {
    let place = Place::new("configmap");
    let generation = |name: &str, text: &str| {
        std::fs::create_dir_all(place.0.join(name)).expect("made");
        place.write(&format!("{name}/app.conf"), text);
    };
    generation("..1", "a = 1\n");
    symlink("..1", place.0.join("..data")).expect("linked");
    symlink("..data/app.conf", place.0.join("app.conf")).expect("linked");
    let (mut guard, _) = start(
        std::slice::from_ref(&place.0),
        true,
        Store::in_memory().expect("opened"),
    );
    generation("..2", "a = 2\n");
    symlink("..2", place.0.join("..new")).expect("linked");
    std::fs::rename(place.0.join("..new"), place.0.join("..data")).expect("swapped");
    let news = until(&mut guard);
    assert!(
        matches!(
            news.as_slice(),
            [
                News::Drift { .. },
                News::NotRestored {
                    why: NotWritten::Symlink,
                    ..
                }
            ]
        ),
        "{news:?}"
    );
}

#[test]
fn it_is_written_back_three_times_and_no_more_also_by_the_next_process() {
    let place = Place::new("restore");
    let state = place.0.join("state");
    let path = place.write("app.conf", "a = 1\n");
    let all = std::slice::from_ref(&place.0);
    let (_, news) = start(all, false, Store::open(&state).expect("opened"));
    assert_eq!(news.len(), 1, "the history is none of them: {news:?}");
    let (mut guard, _) = start(
        std::slice::from_ref(&path),
        true,
        Store::open_to_guard(&state).expect("opened"),
    );
    for n in 2..5 {
        place.write("app.conf", &format!("a = {n}\n"));
        let news = until(&mut guard);
        assert!(
            matches!(news.as_slice(), [News::Drift { .. }, News::Restored { .. }]),
            "{news:?}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "a = 1\n");
    }
    place.write("app.conf", "a = 5\n");
    let news = until(&mut guard);
    assert!(
        matches!(
            news.as_slice(),
            [
                News::Drift { .. },
                News::NotRestored {
                    why: NotWritten::TooOften,
                    ..
                }
            ]
        ),
        "{news:?}"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "a = 5\n");
    assert_eq!(guard.figures().lock().expect("figures").restores, 3);
    drop(guard);
    let (_, news) = start(
        std::slice::from_ref(&path),
        true,
        Store::open_to_guard(&state).expect("opened"),
    );
    assert!(
        matches!(
            news.as_slice(),
            [
                News::Drift { .. },
                News::NotRestored {
                    why: NotWritten::TooOften,
                    ..
                }
            ]
        ),
        "{news:?}"
    );
}

#[test]
fn a_new_file_in_a_guarded_directory_is_drift_and_a_missing_one_too() {
    let place = Place::new("directory");
    let state = Place::new("directory-state");
    place.write("a.conf", "a = 1\n");
    let given = [place.0.clone()];
    let (guard, news) = start(&given, false, Store::open(&state.0).expect("opened"));
    assert_eq!(news.len(), 1);
    drop(guard);
    place.write("b.conf", "b = 1\n");
    std::fs::remove_file(place.0.join("a.conf")).expect("removed");
    let (guard, news) = start(&given, false, Store::open(&state.0).expect("opened"));
    assert!(
        matches!(
            news.as_slice(),
            [News::Vanished { .. }, News::Drift { accepted: None, .. }]
        ),
        "{news:?}"
    );
    drop(guard);
}

#[test]
fn only_secrets_changed_is_a_rotation() {
    let place = Place::new("rotation");
    let ini = |password: &str| {
        format!("[databases]\na = host=h password={password}\n[pgbouncer]\npool_mode = session\n")
    };
    let path = place.write("pgbouncer.ini", &ini("hunter2"));
    let (mut guard, news) = start(
        std::slice::from_ref(&path),
        true,
        Store::in_memory().expect("opened"),
    );
    assert!(matches!(news.as_slice(), [News::Adopted(v)] if !v.whole));
    place.write("pgbouncer.ini", &ini("hunter3"));
    assert!(matches!(
        until(&mut guard).as_slice(),
        [News::Rotated { .. }]
    ));
    place.write(
        "pgbouncer.ini",
        &ini("hunter3").replace("session", "statement"),
    );
    let news = until(&mut guard);
    assert!(
        matches!(
            news.as_slice(),
            [
                News::Drift { .. },
                News::NotRestored {
                    why: NotWritten::NotWhole,
                    ..
                }
            ]
        ),
        "{news:?}"
    );
    assert!(!format!("{news:?}").contains("hunter"), "{news:?}");
}

#[test]
fn what_another_process_accepts_is_known_at_the_next_look() {
    let place = Place::new("accept");
    let state = Place::new("accept-state");
    let path = place.write("app.conf", "a = 1\n");
    let (mut guard, _) = start(
        std::slice::from_ref(&path),
        false,
        Store::open_to_guard(&state.0).expect("opened"),
    );
    place.write("app.conf", "a = 2\n");
    let news = until(&mut guard);
    let Some(News::Drift { version, .. }) = news.first() else {
        panic!("{news:?}")
    };
    let mut other = Store::open(&state.0).expect("opened");
    other
        .accept(version, "accepted", "anna", "ticket 7")
        .expect("accepted");
    assert!(matches!(until(&mut guard).as_slice(), [News::Same { .. }]));
}

#[test]
fn a_server_is_judged_as_a_file_and_says_what_waits() {
    let (mut guard, _) = start(&[], false, Store::in_memory().expect("opened"));
    let server = |running: &str, written: &str, pending: bool| Server {
        label: "h:5432/d".into(),
        running: vec![Running {
            name: "max_connections".into(),
            setting: running.into(),
            vartype: "integer".into(),
            context: "postmaster".into(),
            source: "configuration file".into(),
            pending_restart: pending,
            ..Running::default()
        }],
        written: Some(vec![Written {
            name: "max_connections".into(),
            setting: written.into(),
            applied: !pending,
            ..Written::default()
        }]),
    };
    assert!(matches!(
        guard.server(Ok(server("100", "100", false))).as_slice(),
        [News::Adopted(_)]
    ));
    assert!(guard.server(Ok(server("100", "100", false))).is_empty());
    let news = guard.server(Ok(server("100", "300", true)));
    assert!(
        matches!(news.as_slice(), [News::Waits(w)] if w.waits_for == For::Restart),
        "{news:?}"
    );
    assert!(
        guard.server(Ok(server("100", "300", true))).is_empty(),
        "once"
    );
    assert!(matches!(
        guard.server(Err("gone".into())).as_slice(),
        [News::ServerSilent(_)]
    ));
    assert!(guard.server(Err("gone".into())).is_empty(), "once");
    let news = guard.server(Ok(server("300", "300", false)));
    assert!(
        matches!(
            news.as_slice(),
            [
                News::ServerAnswers(_),
                News::Drift { .. },
                News::WaitIsOver(_)
            ]
        ),
        "{news:?}"
    );
    assert!(guard.look().is_empty(), "a server is no file");
}
