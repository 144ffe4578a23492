//! The process among its neighbours: systemd, a rotation of logs, another one with the same PID file.

mod pgbouncer;

use crate::common::{server, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, PATIENCE, Process, RunAs, free_port, until};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where processes serve one database.
struct Home {
    dir: Dir,
    program: PathBuf,
}

impl Home {
    /// `None` where another pooler stands in.
    fn new(test: &str) -> Option<Home> {
        let binary = Binary::find();
        if binary.is_pgbouncer {
            skip(test, "Plimsoll's own process");
            return None;
        }
        Some(Home {
            dir: Dir::new("process", RunAs::myself()),
            program: binary.path,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A pgbouncer.ini at this port; both its log and its PID file are named.
    fn settings(&self, port: u16) -> PathBuf {
        let file = self.at(&format!("{port}.ini"));
        let text = format!(
            "[databases]\napp = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nadmin_users = app\nauth_type = trust\nauth_file = {users}\n\
             logfile = {log}\npidfile = {pid}\n",
            server = server().port(),
            users = self.at("users").display(),
            log = self.at("log").display(),
            pid = self.at("pid").display(),
        );
        std::fs::write(self.at("users"), "\"app\" \"\"\n").expect("written");
        std::fs::write(&file, text).expect("written");
        file
    }

    /// The same with a further line, which comes before an earlier one of its key.
    fn with(&self, port: u16, more: &str) -> PathBuf {
        let file = self.settings(port);
        let text = std::fs::read_to_string(&file).expect("written");
        let key = more.split(' ').next().unwrap_or_default();
        let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with(key)).collect();
        std::fs::write(&file, format!("{}\n{more}\n", kept.join("\n"))).expect("written");
        file
    }

    fn command(&self, port: u16) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("run").arg(self.settings(port));
        command
    }

    fn start(&self, command: &mut Command) -> Process {
        Process::start(command, &self.at("said"), None).expect("it starts")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn is_served(&self, port: u16) {
        until("a client to be served", || {
            let target = Target::tcp("127.0.0.1", port, "app", "app");
            Client::login(&target).ok()?.value("select 1").ok()
        });
    }
}

#[test]
fn a_rotated_log_goes_on_in_a_new_file() {
    let Some(home) = Home::new("a rotated log") else {
        return;
    };
    let port = free_port();
    let mut process = home.start(&mut home.command(port));
    home.is_served(port);
    until("a line", || {
        home.read("log").contains("listening").then_some(())
    });
    std::fs::rename(home.at("log"), home.at("log.1")).expect("rotated");
    process.signal("HUP");
    until("a line in the new file", || {
        home.read("log").contains("settings reloaded").then_some(())
    });
    assert!(!home.read("log.1").contains("settings reloaded"));
    process.signal("TERM");
    process.wait("its end");
    assert!(home.read("log").contains("stopped"), "{}", home.read("log"));
}

#[test]
fn a_second_process_leaves_the_pid_file_of_the_first_alone() {
    let Some(home) = Home::new("one PID file") else {
        return;
    };
    let (first, second) = (free_port(), free_port());
    let mut serves = home.start(&mut home.command(first));
    home.is_served(first);
    let named = format!("{}\n", serves.pid());
    until("the PID file", || (home.read("pid") == named).then_some(()));
    let refused = home.command(second).stdin(Stdio::null()).output();
    let refused = refused.expect("it runs");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("names process") && said.contains("--takeover"),
        "{said}"
    );
    assert_eq!(home.read("pid"), named, "the first one's");
    serves.signal("TERM");
    serves.wait("its end");
    assert!(!home.at("pid").exists());
    // What a killed one leaves is in nobody's way.
    let mut killed = home.start(&mut home.command(first));
    home.is_served(first);
    killed.signal("KILL");
    killed.wait("its end");
    assert!(home.at("pid").exists());
    let mut again = home.start(&mut home.command(second));
    home.is_served(second);
    again.signal("TERM");
    again.wait("its end");
}

#[test]
fn systemd_hears_how_it_stands() {
    let Some(home) = Home::new("systemd's notices") else {
        return;
    };
    let heard = UnixDatagram::bind(home.at("notify")).expect("bound");
    heard.set_read_timeout(Some(PATIENCE)).expect("set");
    let next = || {
        let mut text = [0; 4096];
        let length = heard.recv(&mut text).expect("a notice");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let port = free_port();
    let mut command = home.command(port);
    command.env("NOTIFY_SOCKET", home.at("notify"));
    let mut process = home.start(&mut command);
    let ready = next();
    assert!(ready.contains("READY=1\n"), "{ready}");
    assert!(
        ready.contains(&format!("MAINPID={}", process.pid())),
        "{ready}"
    );
    // Who is told so may connect at once.
    let target = Target::tcp("127.0.0.1", port, "app", "app");
    Client::login(&target).expect("served");
    process.signal("HUP");
    let reloading = next();
    assert!(
        reloading.contains("RELOADING=1\n") && reloading.contains("MONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(next().contains("READY=1\n"));
    process.signal("TERM");
    assert!(next().contains("STOPPING=1\n"));
    process.wait("its end");
    // The console's ways to end it are told too, while it still waits.
    let mut command = home.command(port);
    command.env("NOTIFY_SOCKET", home.at("notify"));
    let mut process = home.start(&mut command);
    assert!(next().contains("READY=1\n"));
    let mut stays = Client::login(&target).expect("served");
    let mut console = Client::login(&Target::tcp("127.0.0.1", port, "pgbouncer", "app"));
    let console = console.as_mut().expect("a console");
    console.query("shutdown wait_for_clients").expect("begins");
    assert!(next().contains("STOPPING=1\n"));
    assert_eq!(stays.value("select 1").expect("served on"), "1");
    stays.terminate();
    process.wait("its end");
}

#[test]
fn a_socket_that_is_passed_stands_in_place_of_the_settings_address() {
    let Some(home) = Home::new("a passed socket") else {
        return;
    };
    let passed = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = passed.local_addr().expect("bound").port();
    let named = free_port();
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run \"$1\" 3<&0 </dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&home.program);
    command.arg(home.settings(named));
    let again = passed.try_clone().expect("a second hold");
    let input = Stdio::from(OwnedFd::from(again));
    let said = home.at("said");
    let process = Process::start_reading(&mut command, input, &said, None);
    let mut process = process.expect("it starts");
    home.is_served(port);
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", named)).is_err(),
        "the settings' address is not opened"
    );
    process.signal("TERM");
    process.wait("its end");
    // The supervisor has it still: the next one serves who came meanwhile.
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}
