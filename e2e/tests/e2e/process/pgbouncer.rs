//! Started as PgBouncer is started: by its name, with its options.

use super::Home;
use crate::common::skip;
use plimsoll_e2e::sandbox::{free_port, until};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A link to the program under PgBouncer's name.
fn linked(home: &Home) -> PathBuf {
    let link = home.at("pgbouncer");
    symlink(&home.program, &link).expect("a link");
    link
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process in the background: ended with the test.
struct Background(u32);

impl Background {
    /// The one that the PID file names.
    fn of(home: &Home) -> Background {
        let pid = home.read("pid").trim().parse().expect("a PID file");
        Background(pid)
    }

    fn lives(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.0));
        // What nobody waits for stays as a zombie.
        state.is_ok_and(|text| !text.contains(") Z "))
    }

    fn ends(&self, signal: &str) {
        plimsoll_e2e::sandbox::signal(self.0, signal);
        until("its end", || (!self.lives()).then_some(()));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.lives() {
            plimsoll_e2e::sandbox::signal(self.0, "KILL");
        }
    }
}

#[test]
fn in_the_background_it_serves_when_its_parent_ends() {
    let Some(home) = Home::new("a daemon") else {
        return;
    };
    let (link, port) = (linked(&home), free_port());
    let started = run(Command::new(&link).arg("-d").arg(home.settings(port)));
    assert!(started.status.success(), "{}", said(&started));
    let first = Background::of(&home);
    TcpStream::connect(("127.0.0.1", port)).expect("it listens already");
    home.is_served(port);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", first.0)).expect("it lives");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    // State, parent, group, session, terminal.
    assert_eq!((fields[4], fields[5]), (&*first.0.to_string(), "0"));

    // An online restart, as its scripts do it.
    let settings = home.with(
        port,
        &format!("unix_socket_dir = {}", home.dir.path().display()),
    );
    first.ends("INT");
    let started = run(Command::new(&link).arg("-d").arg(&settings));
    assert!(started.status.success(), "{}", said(&started));
    let old = Background::of(&home);
    let taken = run(Command::new(&link).args(["-R", "-d", "-q"]).arg(&settings));
    assert!(taken.status.success(), "{}", said(&taken));
    until("the old one's end", || (!old.lives()).then_some(()));
    let new = Background::of(&home);
    assert_ne!(old.0, new.0);
    home.is_served(port);
    new.ends("TERM");
    assert!(!home.at("pid").exists());
}

#[test]
fn what_keeps_it_from_serving_is_told_with_pgbouncers_exit_code() {
    let Some(home) = Home::new("a daemon's mistakes") else {
        return;
    };
    let (link, port) = (linked(&home), free_port());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let busy = taken.local_addr().expect("bound").port();
    // Each writes the same file, so each has a name of its own.
    let written = |name: &str, more: &str| {
        let file = home.at(name);
        std::fs::rename(home.with(port, more), &file).expect("renamed");
        file
    };
    let plain = written("plain.ini", "pidfile =");
    let unknown = written("unknown.ini", "no_such_key = 1");
    let table: Vec<(Vec<&str>, &Path, &str)> = vec![
        (vec!["-d"], &unknown, "no_such_key"),
        (vec!["-d"], &plain, "daemon needs pidfile configured"),
        (vec!["-x"], &plain, "-x"),
        (vec!["-u", "nobody of this name"], &plain, "no user"),
    ];
    for (options, file, text) in table {
        let failed = run(Command::new(&link).args(&options).arg(file));
        assert_eq!(failed.status.code(), Some(1), "{options:?}");
        assert!(
            said(&failed).contains(text),
            "{options:?}: {}",
            said(&failed)
        );
    }
    // Found out by the process in the background.
    let failed = run(Command::new(&link).arg("-d").arg(home.settings(busy)));
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        said(&failed).contains("another process listens there"),
        "{}",
        said(&failed)
    );
    let nothing = run(&mut Command::new(&link));
    assert_eq!(nothing.status.code(), Some(1));
    assert!(said(&nothing).contains("no configuration file specified"));
    let version = run(Command::new(&link).arg("--version"));
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("PgBouncer 1."));
}

#[test]
fn root_becomes_the_user_of_the_settings_or_of_the_command_line() {
    let Some(home) = Home::new("another user") else {
        return;
    };
    let entry = std::fs::read_to_string("/etc/passwd").expect("users");
    let entry = entry.lines().find(|line| line.starts_with("nobody:"));
    let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.contains("Uid:\t0\t0"));
    let (Some(entry), true) = (entry, root) else {
        return skip("another user", "only root becomes somebody else");
    };
    let uid = entry.split(':').nth(2).expect("a number");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(home.dir.path(), open).expect("set");
    let link = linked(&home);
    for (more, options) in [
        ("user = nobody", vec!["-q"]),
        ("user = root", vec!["-unobody"]),
    ] {
        let port = free_port();
        let _ = std::fs::remove_file(home.at("log"));
        let mut command = Command::new(&link);
        command.args(options).arg(home.with(port, more));
        let mut process = home.start(&mut command);
        home.is_served(port);
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
        let status = status.expect("it lives");
        assert!(
            status.contains(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}")),
            "{status}"
        );
        assert!(
            !status
                .lines()
                .any(|l| l.starts_with("Groups:") && l.contains(" 0 ")),
            "{status}"
        );
        process.signal("TERM");
        process.wait("its end");
    }
}

#[test]
fn several_processes_serve_one_port() {
    let Some(home) = Home::new("so_reuseport") else {
        return;
    };
    let port = free_port();
    let settings = |n: u32| {
        let file = home.with(port, "so_reuseport = 1");
        let text = std::fs::read_to_string(&file).expect("written");
        let own = home.at(&format!("reuse-{n}.ini"));
        let pid = format!("pidfile = {}", home.at("pid").display());
        std::fs::write(&own, text.replace(&pid, &format!("{pid}-{n}"))).expect("written");
        own
    };
    let start = |n: u32| {
        let mut command = Command::new(&home.program);
        command.arg("run").arg(settings(n));
        let process = home.start(&mut command);
        let pid = home.at(&format!("pid-{n}"));
        until("the process", || pid.exists().then_some(()));
        process
    };
    let (mut one, mut two) = (start(1), start(2));
    for _ in 0..20 {
        home.is_served(port);
    }
    // A rolling restart: one goes when the next is there.
    one.signal("TERM");
    one.wait("its end");
    home.is_served(port);
    let mut three = start(3);
    two.signal("TERM");
    two.wait("its end");
    home.is_served(port);
    three.signal("TERM");
    three.wait("its end");
}
