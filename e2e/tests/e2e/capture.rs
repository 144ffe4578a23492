//! `plimsoll capture`: what it writes is what came, and a replay of it comes to the same.

use crate::common::{database, full, server, skip};
use events::shape::Shape;
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::{Dir, RunAs, until};
use rehearse::captured::{Figures, compare};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Hides in the literals of clients; no file may hold it.
const MARKER: &str = "marker55120984";
/// The demonstration's traffic, as it was captured.
const DEMO: &str = include_str!("../../../docs/examples/demo.shape");

fn skipped() -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip("capture", "PgBouncer has none");
    }
    pgbouncer
}

fn capture(pooler: &Pooler, arguments: &[&str]) -> Command {
    let mut command = Command::new(Binary::find().path);
    command
        .arg("capture")
        .arg("--socket")
        .arg(pooler.dir())
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn read(path: &Path) -> (Shape, String) {
    let text = std::fs::read_to_string(path).expect("a file");
    (Shape::from_text(&text).expect("a shape"), text)
}

/// Transactions of one client until it is told to end.
fn traffic(pooler: &Pooler, database: &str, end: &AtomicBool) {
    let target = pooler
        .target(database, "app")
        .parameter("application_name", "taken");
    let mut client = Client::login(&target).expect("login");
    let mut elsewhere = Client::login(&server().target("postgres", "app")).expect("login");
    while !end.load(Ordering::Relaxed) {
        client.query("begin").expect("begin");
        let sql = format!("select '{MARKER}', pg_sleep(0.002)");
        client.query(&sql).expect("a query");
        // The server waits for the client, which is busy elsewhere.
        elsewhere.query("select pg_sleep(0.003)").expect("a query");
        client.query("commit").expect("commit");
        client.query("select 1").expect("a query");
    }
}

/// Runs `during` while a client sends.
fn beside<T>(pooler: &Pooler, database: &str, during: impl FnOnce() -> T) -> T {
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| traffic(pooler, database, &end));
        let result = during();
        end.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_capture_tells_classes_holds_and_silence_and_no_literal() {
    if skipped() {
        return;
    }
    let database = database("captured");
    let pooler = Pooler::start(Settings::for_server(server()));
    let dir = Dir::new("capture", RunAs::myself());
    let path = dir.path().join("a.shape");
    let file = path.display().to_string();
    let arguments = ["--for", "3s", "--output", &file];
    let output = beside(&pooler, &database, || capture(&pooler, &arguments).output());
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("requests recorded"), "{said}");
    let (shape, text) = read(&path);
    assert!(!text.contains(MARKER), "{text}");
    let figures = Figures::of(&shape).expect("figures");
    let class = |part: &str| {
        let found = figures.classes.iter().find(|c| c.text.contains(part));
        found
            .unwrap_or_else(|| panic!("no class {part}: {text}"))
            .clone()
    };
    let slept = class("pg_sleep");
    assert!(slept.hold_p50.as_millis() >= 5, "{slept:?}");
    assert!((slept.share - 0.5).abs() < 0.1, "{slept:?}");
    let long = shape.servers[0].windows.iter().flat_map(|w| &w.requests);
    // A single statement may take as long on a busy machine, but not three of them.
    let long: Vec<_> = (long.filter(|r| r.granted() && r.hold_us > 5_000))
        .filter(|r| r.rounds > 1)
        .collect();
    assert!(long.len() > 20, "{text}");
    assert!(
        long.iter()
            .all(|r| r.rounds == 3 && r.idle_us >= 3_000 && r.idle_us < r.hold_us)
    );
    let slots = &shape.capture.as_ref().expect("a capture").slots;
    assert!(
        slots.iter().map(|s| s.granted).sum::<u64>() > 100,
        "{slots:?}"
    );
    // It is there, and stays.
    let again = capture(&pooler, &arguments).output().expect("it runs");
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("--force"),
        "{again:?}"
    );
    assert_eq!(std::fs::metadata(&path).expect("a file").nlink(), 1);
}

#[test]
fn where_there_is_nothing_to_capture_it_says_so() {
    if skipped() {
        return;
    }
    let pooler = Pooler::start(Settings::for_server(server()));
    let dir = Dir::new("capture-none", RunAs::myself());
    let file = dir.path().join("a.shape").display().to_string();
    let output = capture(&pooler, &["--for", "1s", "--output", &file]).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("no request came"), "{said}");
    assert!(!Path::new(&file).exists());
    drop(pooler);
    let nobody = Command::new(Binary::find().path)
        .args([
            "capture",
            "--socket",
            &format!("{}/nobody.sock", dir.path().display()),
        ])
        .args(["--output", &file])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(said.contains("no pooler"), "{said}");
}

#[test]
fn what_was_gathered_is_kept_when_a_person_ends_it() {
    if skipped() {
        return;
    }
    let database = database("capture_ended");
    let pooler = Pooler::start(Settings::for_server(server()));
    let dir = Dir::new("capture-ended", RunAs::myself());
    let path = dir.path().join("a.shape");
    let file = path.display().to_string();
    let code = beside(&pooler, &database, || {
        let mut child = capture(&pooler, &["--for", "1h", "--output", &file])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line)
            .expect("it says that it has begun");
        assert!(line.starts_with("capturing for 3600 s"), "{line}");
        // As soon as there is something to write.
        let requests = || {
            let mut console = pooler.console();
            let rows = console.rows("show shape").expect("the shape");
            let lines: Vec<&str> = rows.iter().flatten().map(String::as_str).collect();
            let shape = Shape::from_text(&lines.join("\n")).expect("a shape");
            shape.requests()
        };
        let first = requests();
        until("some recorded requests", || {
            (requests() > first + 300).then_some(())
        });
        end(&mut child)
    });
    assert_eq!(code, Some(3));
    let (shape, text) = read(&path);
    assert!(!shape.capture.expect("a capture").whole);
    assert!(text.contains("PARTIAL"), "{text}");
}

/// As Ctrl-C does.
fn end(child: &mut Child) -> Option<i32> {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill runs").success());
    child.wait().expect("it ends").code()
}

/// The demonstration's traffic is played through a pooler, and captured again.
///
/// The pooler's own figures are compared, so a busy machine shows in them: run it alone.
#[test]
fn the_demonstration_s_traffic_is_replayed() {
    if skipped() {
        return;
    }
    if !full() {
        return skip("the demonstration's replay", "only with E2E_FULL");
    }
    let database = database("replayed");
    let settings = Settings::for_server(server()).set("default_pool_size", "60");
    let pooler = Pooler::start(settings);
    let dir = Dir::new("replay", RunAs::myself());
    let shape = dir.write("demo.shape", DEMO, RunAs::myself(), 0o644);
    let captured = Shape::from_text(DEMO).expect("a shape");
    let period = Figures::of(&captured).expect("figures").over.as_secs() + 1;
    let url = pooler.target(&database, "app").url();
    let mut replay = Command::new(Binary::find().path)
        .arg("rehearse")
        .arg(&shape)
        .args(["--on", &url, "-c", "60", "--quiet", "--no-trial", "--for"])
        .arg(format!("{}s", period + 15))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .expect("it runs");
    // From anywhere on, one turn through the shape is as good as another.
    until("the replay begins", || {
        let mut console = pooler.console();
        let rows = console.rows("show shape").expect("the shape");
        (rows.len() > 500).then_some(())
    });
    let back: PathBuf = dir.path().join("back.shape");
    let file = back.display().to_string();
    let span = format!("{period}s");
    let arguments = ["--for", &span, "--size", "1024", "--output", &file];
    let output = capture(&pooler, &arguments).output().expect("it runs");
    // What is left of it tells nothing more.
    plimsoll_e2e::sandbox::signal(replay.id(), "INT");
    replay.wait().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (replayed, _) = read(&back);
    let difference = compare(&captured, &replayed).expect("both hold requests");
    let told = format!(
        "{difference:?}\n{:?}\n{:?}",
        Figures::of(&captured),
        Figures::of(&replayed)
    );
    assert!(difference.rate.abs() < 0.05, "{told}");
    assert!(difference.hold_p99.abs() < 0.05, "{told}");
    assert!(difference.concurrency.abs() < 0.05, "{told}");
    assert!(difference.hold_p50.abs() < 0.05, "{told}");
}
