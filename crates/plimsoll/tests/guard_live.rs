//! `plimsoll guard --database` beside a real PostgreSQL.
#![allow(clippy::disallowed_methods)] // Threads and time: a test of IO.

use plimsoll::sandbox::{Options, Sandbox, wait_until};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PASSWORD: &str = "geheim4711";
/// Two questions, ten seconds apart, on a busy machine.
const SOON: Duration = Duration::from_secs(90);

struct Guarding {
    child: Child,
    place: PathBuf,
}

impl Guarding {
    fn start(server: &Sandbox, url: &str) -> Guarding {
        let name = format!("plimsoll-guard-live-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).expect("a directory");
        let child = command(&place)
            .arg(server.data_dir().join("postgresql.conf"))
            .args(["--database", url])
            .stderr(fs::File::create(place.join("log")).expect("a log"))
            .spawn()
            .expect("it starts");
        Guarding { child, place }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.join("log")).unwrap_or_default()
    }

    fn until(&self, words: &str) {
        let said = || self.log().contains(words);
        assert!(wait_until(SOON, said), "{words}: {}", self.log());
    }

    /// Exit code and what was said; never the password.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = command(&self.place)
            .args(arguments)
            .output()
            .expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        assert!(!text.contains(PASSWORD), "{text}");
        (output.status.code().unwrap_or(-1), text)
    }
}

impl Drop for Guarding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn command(place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command
        .args(["guard", "--state"])
        .arg(place.join("state"))
        .env_remove("PGPASSWORD")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_server_s_own_changes_are_named_with_what_they_wait_for() {
    if std::env::var_os("E2E_FULL").is_none() {
        // Not `eprintln!`: the test runner would keep that to itself when the test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED guard_live: only with E2E_FULL");
        return;
    }
    let server = Sandbox::start(Options::from_env()).unwrap_or_else(|error| panic!("{error}"));
    server
        .create_user("guard", PASSWORD, "IN ROLE pg_read_all_settings")
        .expect("a user");
    let sql = |sql: &str| server.psql("postgres", sql).expect("done");
    sql("grant select on pg_file_settings to guard");
    sql("grant execute on function pg_show_all_file_settings() to guard");
    let url = server.url("guard", PASSWORD, "postgres");
    let file = server.data_dir().join("postgresql.conf");
    let path = file.to_str().expect("a path");
    let guard = Guarding::start(&server, &url);
    let label = format!("server:127.0.0.1:{}/postgres", server.port());
    guard.until(&label);

    // Written by ALTER SYSTEM, and not reloaded.
    sql("alter system set work_mem = '8MB'");
    guard.until("+3 work_mem = '8MB'");
    guard.until("is written, work_mem = '4096kB' runs: SELECT pg_reload_conf() brings it");
    // Reloaded: the server itself says other than what was accepted.
    sql("select pg_reload_conf()");
    guard.until("file and server agree again");
    guard.until(" work_mem = '8192kB' # configuration file");

    // Edited by hand: only a restart brings it, reloaded or not.
    let before = fs::read_to_string(&file).expect("read");
    fs::write(
        &file,
        before.replace("max_connections = 100", "max_connections = 300"),
    )
    .expect("written");
    guard.until("+4 max_connections = 300");
    guard.until("is written, max_connections = '100' runs: a restart of the server brings it");
    sql("select pg_reload_conf()");
    assert_eq!(
        sql("select count(*) from pg_settings where pending_restart"),
        "1"
    );
    let (code, out) = guard.run(&["--once", path, "--database", &url]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("max_connections = '300'") && out.contains("a restart of the server"),
        "{out}"
    );

    // Back again, with what that needs; nothing is reloaded by itself.
    let (code, out) = guard.run(&["restore", path, "--yes", "--database", &url]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("max_connections runs after a restart of the server"),
        "{out}"
    );
    assert!(out.contains("Nothing was reloaded or restarted."), "{out}");
    assert_eq!(fs::read_to_string(&file).expect("read"), before);
    assert_eq!(
        sql("select count(*) from pg_settings where pending_restart"),
        "1"
    );
    let auto = server.data_dir().join("postgresql.auto.conf");
    let (code, out) = guard.run(&["restore", auto.to_str().expect("a path"), "--yes"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("ALTER SYSTEM RESET"), "{out}");
    // It is meant: files and server.
    for name in [auto.to_str().expect("a path"), &label] {
        let (code, out) = guard.run(&["accept", name, "--reason", "ticket 9"]);
        assert_eq!(code, 0, "{out}");
    }
    sql("select pg_reload_conf()");
    let well = || {
        let (code, _) = guard.run(&["--once", path, "--database", &url]);
        code == 0
    };
    assert!(
        wait_until(SOON, well),
        "{}",
        guard.run(&["--once", path, "--database", &url]).1
    );
    assert!(!guard.log().contains(PASSWORD), "{}", guard.log());
}

#[test]
fn the_file_that_postgresql_ships_is_kept_whole() {
    let server = Sandbox::start(Options::from_env()).unwrap_or_else(|error| panic!("{error}"));
    let sample = server
        .psql(
            "postgres",
            "select setting || '/postgresql.conf.sample' from pg_config where name = 'SHAREDIR'",
        )
        .expect("asked");
    let text = fs::read(sample.trim()).expect("read");
    let kept = control::guard::keep(Path::new("postgresql.conf"), &text);
    assert!(matches!(kept, control::guard::Kept::Whole(_)), "{kept:?}");
}
