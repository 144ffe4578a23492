//! `plimsoll guard` as a person or a supervisor runs it.
#![allow(clippy::disallowed_methods)] // Threads and time: a test of IO.

use plimsoll::sandbox::wait_until;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// What DESIGN promises, and what starting a look may cost on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-guard-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("etc")).expect("a directory");
        Place(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join("etc").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join("etc").join(name)).expect("a file")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command
            .arg("guard")
            .args(arguments)
            .arg("--state")
            .arg(self.0.join("state"))
            .current_dir(self.0.join("etc"))
            .stdin(Stdio::null());
        command
    }

    /// Exit code and what was said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap_or(-1);
        (code, String::from_utf8(text).expect("text"))
    }

    fn guard(&self, arguments: &[&str]) -> Running {
        let log = self.0.join("log");
        let child = self
            .command(arguments)
            .stderr(fs::File::create(&log).expect("a log"))
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let running = Running { child, log };
        running.until("guarding");
        running
    }

    fn leaks(&self, secret: &str) -> bool {
        fs::read_dir(self.0.join("state"))
            .expect("a state directory")
            .flatten()
            .any(|file| {
                let bytes = fs::read(file.path()).expect("read");
                bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
            })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn until(&self, words: &str) {
        assert!(
            wait_until(SOON, || self.log().contains(words)),
            "{words}: {}",
            self.log()
        );
    }

    /// Ends it as a supervisor would.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_drift_is_named_with_its_lines_and_the_way_on() {
    let place = Place::new("drift");
    let path = place.write("app.conf", "workers = 4\nlog = on\n");
    let guard = place.guard(&["app.conf", "--log-format", "json"]);
    place.write("app.conf", "workers = 400\nlog = on\n");
    let begun = Instant::now();
    guard.until("drift: it says other than what was accepted");
    assert!(begun.elapsed() < SEEN_WITHIN, "{:?}", begun.elapsed());
    let log = guard.log();
    let line = log.lines().find(|l| l.contains("drift:")).expect("a line");
    for part in [
        "\"changes\":\"-1 workers = 4; +1 workers = 400\"",
        &format!("plimsoll guard diff {}", path.display()),
        "\"level\":\"WARN\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // Beside the guard: what differs, and that it is meant.
    let (code, out) = place.run(&["diff", "app.conf"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("+   1  workers = 400"), "{out}");
    let (code, out) = place.run(&["--once", "app.conf"]);
    assert_eq!(code, 1, "{out}");
    let (code, out) = place.run(&["accept", "app.conf", "--reason", "ticket 7"]);
    assert_eq!(code, 0, "{out}");
    guard.until("it is as accepted");
    let (code, out) = place.run(&["--once", "app.conf"]);
    assert_eq!(code, 0, "{out}");
    let (code, out) = place.run(&["history", "app.conf"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("“ticket 7”") && out.contains("adopted"),
        "{out}"
    );
    let (_, out) = place.run(&["history", "--format", "json"]);
    assert!(out.starts_with("{\"versions\":[{"), "{out}");
    assert!(guard.end().contains("the guard ends"));
}

#[test]
fn a_configmap_s_swap_is_seen_in_two_seconds_and_never_written_back() {
    let place = Place::new("swap");
    place.write("..1/app.conf", "a = 1\n");
    let etc = place.0.join("etc");
    symlink("..1", etc.join("..data")).expect("linked");
    symlink("..data/app.conf", etc.join("app.conf")).expect("linked");
    let guard = place.guard(&[".", "--restore"]);
    place.write("..2/app.conf", "a = 2\n");
    symlink("..2", etc.join("..new")).expect("linked");
    fs::rename(etc.join("..new"), etc.join("..data")).expect("swapped");
    let begun = Instant::now();
    guard.until("-1 a = 1; +1 a = 2");
    assert!(begun.elapsed() < SEEN_WITHIN, "{:?}", begun.elapsed());
    guard.until("it is not written back: it is a symlink");
    assert_eq!(place.read("app.conf"), "a = 2\n");
    let (code, out) = place.run(&["restore", "app.conf", "--yes"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("it is a symlink"), "{out}");
}

#[test]
fn restore_writes_the_accepted_content_back_and_gives_up_in_time() {
    let place = Place::new("restore");
    let path = place.write("app.conf", "a = 1\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
    let guard = place.guard(&["app.conf", "--restore", "--metrics", "127.0.0.1:0"]);
    for n in 2..5 {
        place.write("app.conf", &format!("a = {n}\n"));
        assert!(
            wait_until(SOON, || place.read("app.conf") == "a = 1\n"),
            "{n}"
        );
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
    place.write("app.conf", "a = 5\n");
    guard.until("it was written back 3 times in 10 minutes");
    assert_eq!(place.read("app.conf"), "a = 5\n");
    let log = guard.log();
    let address = log.lines().find_map(|l| l.split("address=").nth(1));
    let page = scrape(address.expect("an address").trim());
    for line in [
        "plimsoll_guard_files 1",
        "plimsoll_guard_restores_total 3",
        "plimsoll_guard_restores_refused_total 1",
        &format!("plimsoll_guard_drift{{file=\"{}\"}} 1", path.display()),
    ] {
        assert!(page.lines().any(|l| l == line), "{line}: {page}");
    }
    // By hand it still goes, to the accepted content and to an older one.
    let (code, out) = place.run(&["restore", "app.conf"]);
    assert_eq!(code, 1, "nobody is there to be asked: {out}");
    let (code, out) = place.run(&["restore", "app.conf", "--yes", "--format", "json"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("\"what\":\"restored\""), "{out}");
    assert_eq!(place.read("app.conf"), "a = 1\n");
    let (code, out) = place.run(&["restore", "app.conf", "2", "--yes"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(place.read("app.conf"), "a = 2\n");
    let (code, out) = place.run(&["--once", "app.conf"]);
    assert_eq!(code, 0, "an older version is the accepted one now: {out}");
    let (code, out) = place.run(&["restore", "app.conf", "99", "--yes"]);
    assert_eq!(code, 1, "{out}");
}

fn scrape(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("asked");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("answered");
    page
}

#[test]
fn no_secret_reaches_the_state_directory_the_log_or_an_answer() {
    const SECRET: &str = "hunter2hunter2";
    let place = Place::new("secrets");
    let files = |secret: &str, size: u32| {
        place.write("pgbouncer.ini", &format!("[databases]\na = host=h password={secret}\n[pgbouncer]\ndefault_pool_size = {size}\n"));
        place.write(
            "app.env",
            &format!(
                "DATABASE_URL=postgres://app:{secret}@db/shop\nAPI_TOKEN={secret}\nPOOL={size}\n"
            ),
        );
        place.write("app.conf", &format!("password = {secret}\npool = {size}\n"));
        place.write(
            "userlist.txt",
            &format!("\"a\" \"{secret}\"\n\"b\" \"{size}\"\n"),
        );
        place.write(
            "postgresql.conf",
            &format!("max_connections = {size}\n#primary_conninfo = 'password={secret}'\n"),
        );
        place.write(
            "settings.py",
            &format!("SECRET_KEY = '{secret}'\nPOOL = {size}\n"),
        );
        place.write(
            "database.yml",
            &format!("production:\n  adapter: postgresql\n  password: {secret}\n  pool: {size}\n"),
        );
    };
    files(SECRET, 10);
    let guard = place.guard(&[".", "--log-format", "json"]);
    files(&SECRET.replace('2', "3"), 10);
    guard.until("only its secrets changed");
    files(SECRET, 4_000);
    let seen = || {
        place
            .run(&["history", "-n", "1000"])
            .1
            .matches(" drift ")
            .count()
            >= 7
    };
    assert!(wait_until(SOON, seen), "{}", place.run(&["history"]).1);
    let mut said = guard.end();
    for arguments in [
        &["history", "--format", "json"] as &[&str],
        &["diff", "pgbouncer.ini"],
        &["diff", "app.conf"],
        &["accept", "app.env"],
        &["restore", "pgbouncer.ini", "--yes"],
        &["restore", "app.conf", "--yes"],
        &["--once", "."],
    ] {
        said.push_str(&place.run(arguments).1);
    }
    assert!(!said.contains("hunter"), "{said}");
    assert!(!place.leaks("hunter"), "in the state directory");
    for words in [
        "+4 default_pool_size = 4000",
        "line 1 may hold a secret",
        "it is made to hold secrets",
        "is not whole: its secrets are left out",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_cannot_be_guarded_is_said_and_the_rest_is_guarded() {
    let place = Place::new("bad");
    place.write("good.conf", "a = 1\n");
    fs::write(place.0.join("etc/binary"), b"a\0b").expect("a file");
    let huge = fs::File::create(place.0.join("etc/huge")).expect("a file");
    huge.set_len(65 << 20).expect("sparse");
    let fifo = place.0.join("etc/fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    place.write("loop.conf", "include 'loop.conf'\n");
    let (code, out) = place.run(&["--once", ".", "gone.conf"]);
    assert_eq!(code, 2, "{out}");
    for words in [
        "(it is no regular file)",
        "(it is larger than 64 MiB)",
        "binary: only its hash is kept: it is not text",
        "vanished    ",
        "loop.conf includes itself",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.contains("good.conf"), "{out}");
    fs::remove_file(&fifo).expect("removed");
    fs::remove_file(place.0.join("etc/huge")).expect("removed");
    fs::write(place.0.join("etc/binary"), b"a\0c").expect("a file");
    let (code, out) = place.run(&["diff", "binary"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("only its hash is kept"), "{out}");
    let (code, out) = place.run(&["restore", "binary", "--yes"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("is not whole"), "{out}");
}

#[test]
fn one_guard_a_state_directory_and_clear_words_where_there_is_none() {
    let place = Place::new("state");
    place.write("a.conf", "a = 1\n");
    let guard = place.guard(&["a.conf"]);
    let (code, out) = place.run(&["a.conf"]);
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("another process keeps its history in"),
        "{out}"
    );
    guard.end();
    fs::write(place.0.join("state/guard.db"), "garbage ".repeat(2_000)).expect("damaged");
    let (code, out) = place.run(&["a.conf"]);
    assert_eq!(code, 2, "{out}");
    fs::remove_dir_all(place.0.join("state")).expect("removed");
    fs::write(place.0.join("state"), "a file").expect("in the way");
    for arguments in [
        &["a.conf"] as &[&str],
        &["--once", "a.conf"],
        &["history"],
        &["diff", "a.conf"],
    ] {
        let (code, out) = place.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}");
        assert!(out.contains("state"), "{out}");
    }
}

#[test]
fn a_history_that_cannot_be_written_does_not_silence_the_alert() {
    let place = Place::new("full");
    place.write("a.conf", "a = 1\n");
    let guard = place.guard(&["a.conf"]);
    let state = place.0.join("state");
    // Nobody may write there any more, the guard included.
    let holder = hold(&state.join("guard.db"));
    place.write("a.conf", "a = 2\n");
    guard.until("the guard's history cannot be written; alerts go on");
    guard.until("-1 a = 1; +1 a = 2");
    drop(holder);
    place.write("a.conf", "a = 3\n");
    guard.until("+1 a = 3");
    let gap = || {
        place
            .run(&["history", "a.conf"])
            .1
            .contains("could not be written down")
    };
    assert!(wait_until(SOON, gap), "{}", place.run(&["history"]).1);
}

/// Holds the history's write lock, as long as it lives.
fn hold(path: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(path).expect("opened");
    db.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    db
}
