//! Measuring against a stand-in for the data plane, and what is kept on disk.

use super::*;
use crate::Health;
use std::path::Path;
use std::sync::atomic::AtomicU32;

/// A data plane that counts who asks.
#[derive(Default)]
struct Counting(AtomicU64, std::sync::Mutex<Vec<Marker>>);

impl Source for Counting {
    fn snapshot(&self, _detail: bool) -> Arc<Snapshot> {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        Arc::new(Snapshot {
            version: n,
            at: events::Time::from_micros(n * 1_000_000),
            ..Snapshot::default()
        })
    }

    fn take_actions(&self) -> Vec<Marker> {
        std::mem::take(&mut self.1.lock().expect("whole"))
    }

    fn live(&self) -> Health {
        Health::Good
    }

    fn ready(&self) -> Health {
        Health::Good
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-measure-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes turns without the clock's pace.
fn work(directory: Option<&Path>, listeners: Vec<Box<dyn Listener>>) -> (Work, Measures) {
    let options = Options {
        instance: "one".into(),
        directory: directory.map(Path::to_owned),
        ..Options::default()
    };
    let measures = Measures::new(&options);
    let (mark, marked) = channel();
    *measures.shared.marked.write().expect("whole") = Some(mark);
    let work = Work {
        fold: Fold::new(WAIT_OBJECTIVE),
        plan: None,
        noticing: Noticing::default(),
        measures: measures.clone(),
        store: None,
        retry_at: Instant::now(),
        tidy_at: Instant::now() + TIDY,
        restored: false,
        marked,
        options,
        source: Arc::new(Counting::default()),
        listeners,
    };
    (work, measures)
}

fn released() -> Marker {
    Marker {
        at_ms: now_ms(),
        kind: MarkerKind::Release,
        subject: "web".into(),
        text: "web 2.4.1".into(),
        actor: "ci".into(),
    }
}

#[test]
fn the_next_process_knows_minutes_and_markers() {
    let dir = Dir::new();
    let (mut first, measures) = work(Some(&dir.0), Vec::new());
    first.turn();
    measures.mark(released());
    first.turn();
    drop(first);
    let (mut second, measures) = work(Some(&dir.0), Vec::new());
    second.turn();
    let (minutes, markers) = measures.look(|r| (r.minutes.len(), r.markers.clone()));
    assert_eq!((minutes, &*markers[0].subject), (1, "web"));
}

#[test]
fn a_lost_directory_costs_figures_on_disk_and_nothing_else() {
    let dir = Dir::new();
    let (mut work, measures) = work(Some(&dir.0), Vec::new());
    work.turn();
    work.turn();
    assert!(work.store.is_some());
    std::fs::remove_dir_all(&dir.0).expect("removed");
    for _ in 0..3 {
        work.turn();
    }
    assert!(work.store.is_none());
    assert!(measures.store_failures() > 0);
    assert_eq!(measures.look(|r| r.seconds.len()), 4);
    // It comes back as soon as it can be used again.
    std::fs::create_dir_all(&dir.0).expect("made again");
    work.retry_at = Instant::now();
    work.turn();
    assert!(work.store.is_some());
}

#[test]
fn a_listener_that_panics_costs_the_others_nothing() {
    struct Bad;
    impl Listener for Bad {
        fn second(&mut self, _: &Record, _: &Arc<Snapshot>) -> Vec<Marker> {
            panic!("a bug of this test's");
        }
    }
    struct Good;
    impl Listener for Good {
        fn second(&mut self, record: &Record, _: &Arc<Snapshot>) -> Vec<Marker> {
            assert!(!record.seconds.is_empty());
            vec![released()]
        }
    }
    let (mut work, measures) = work(None, vec![Box::new(Bad), Box::new(Good)]);
    for _ in 0..3 {
        work.turn();
    }
    assert_eq!(measures.panics(), 2);
    assert_eq!(
        measures.look(|r| (r.seconds.len(), r.markers.len())),
        (2, 2)
    );
}

#[test]
fn a_look_that_had_to_wait_delays_none_after_it() {
    // A disk that hangs, or a processor that others have.
    const HANGS: Duration = Duration::from_millis(300);
    struct Hanging(Receiver<()>);
    impl Listener for Hanging {
        fn second(&mut self, _: &Record, _: &Arc<Snapshot>) -> Vec<Marker> {
            assert_eq!(self.0.recv_timeout(HANGS), Err(RecvTimeoutError::Timeout));
            Vec::new()
        }
    }
    let (_never, hangs) = channel();
    let (mut work, _measures) = work(None, vec![Box::new(Hanging(hangs))]);
    work.turn();
    let begun = Instant::now();
    let cost = work.turn();
    assert!(begun.elapsed() >= HANGS);
    assert!(cost < HANGS / 10, "{cost:?}");
}

#[test]
fn the_thread_measures_and_ends() {
    let options = Options::default();
    let measures = Measures::new(&options);
    let source = Arc::new(Counting::default());
    let running = start(&measures, options, source, Vec::new()).expect("a thread");
    let deadline = Instant::now() + Duration::from_secs(20);
    while measures.look(|r| r.seconds.is_empty()) {
        assert!(Instant::now() < deadline, "nothing was measured");
        std::thread::yield_now();
    }
    running.stop();
    assert!(measures.look(|r| r.markers.iter().any(|m| m.kind == MarkerKind::Started)));
}

#[test]
fn what_a_person_did_is_marked_once_also_while_it_ends() {
    let acted = |text: &str| Marker {
        kind: MarkerKind::Action,
        text: text.to_owned(),
        ..released()
    };
    let source = Arc::new(Counting::default());
    let (mut work, measures) = work(None, Vec::new());
    work.source = Arc::clone(&source) as Arc<dyn Source>;
    source.1.lock().expect("whole").push(acted("PAUSE"));
    work.turn();
    work.turn();
    source.1.lock().expect("whole").push(acted("SHUTDOWN"));
    let (stop, stopped) = channel::<()>();
    drop(stop);
    work.run(&stopped);
    let told = |r: &Record| r.markers.iter().map(|m| m.text.clone()).collect::<Vec<_>>();
    assert_eq!(measures.look(told), ["PAUSE", "SHUTDOWN"]);
}

#[test]
fn a_part_of_the_record_is_asked_for_by_its_time() {
    let (mut work, measures) = work(None, Vec::new());
    for _ in 0..4 {
        work.turn();
    }
    let all = measures.record(i64::MIN, i64::MAX);
    assert_eq!(all.seconds.len(), 3);
    assert_eq!(measures.record(0, 1).seconds.len(), 0);
    assert_eq!(&*all.instance, "one");
}
