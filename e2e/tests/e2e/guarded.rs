//! Guarded settings: what changes them, what is taken back, and what a restart finds.

mod figures;
mod outages;

use crate::common::server;
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, free_port, until};
use plimsoll_e2e::server::PASSWORD;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A pooler with a history.
struct Guarded {
    process: Process,
    binary: PathBuf,
    dir: Dir,
    port: u16,
    file: PathBuf,
}

/// Never in a log, a history or an answer.
const MARKER: &str = "Marker-7f3a";

/// Settings with this pool size, and further lines before the sections of databases.
fn text(dir: &Path, port: u16, size: &str, more: &str) -> String {
    std::fs::write(dir.join("pw"), PASSWORD).expect("written");
    // A secret that stands in the file itself, where a test asks for it.
    let inline = match more.contains("# inline") {
        true => format!("[[user]]\nname = \"carl\"\npassword = \"{MARKER}\"\n"),
        false => String::new(),
    };
    // The default differs in containers, and tests run in both.
    let source = match more.contains("[settings]") {
        true => "",
        false => "[settings]\nsource = \"store\"\n",
    };
    format!(
        "{source}[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{dir}\"\n[auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n\
         [server]\nline = 60\n{more}\n[pool]\nsize = {size}\n\
         [database.app]\nhost = \"127.0.0.1\"\nport = {server}\nuser = \"postgres\"\npassword_file = \"{dir}/pw\"\n\
         [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\npassword_file = \"{dir}/pw\"\n{inline}",
        dir = dir.display(),
        server = server().port(),
    )
}

impl Guarded {
    fn start(size: &str, more: &str) -> Guarded {
        let dir = Dir::new("guarded", RunAs::myself());
        let port = free_port();
        let file = dir.path().join("plimsoll.toml");
        std::fs::write(&file, text(dir.path(), port, size, more)).expect("written");
        Guarded::start_in(dir, port, file)
    }

    fn start_in(dir: Dir, port: u16, file: PathBuf) -> Guarded {
        let binary = Binary::find().path;
        let process = launch(&binary, &file, &dir);
        let guarded = Guarded {
            process,
            binary,
            dir,
            port,
            file,
        };
        guarded.wait_until_it_serves();
        guarded
    }

    fn wait_until_it_serves(&self) {
        until("a pooler that serves", || {
            let up = self.plimsoll(&["status", "--socket", self.socket()]);
            let listens = Client::login(&self.target(self.user())).is_ok();
            (listens && !up.stdout.is_empty()).then_some(())
        });
    }

    fn user(&self) -> &str {
        if self.port == 0 { "postgres" } else { "app" }
    }

    fn restart(&mut self, signal: &str) {
        self.process.signal(signal);
        self.process.wait("the pooler's end");
        self.process = launch(&self.binary, &self.file, &self.dir);
        self.wait_until_it_serves();
    }

    fn socket(&self) -> &str {
        self.dir.path().to_str().expect("text")
    }

    fn target(&self, user: &str) -> Target {
        self.at("app", user)
    }

    /// By TCP; without a port, by the socket beside the settings.
    fn at(&self, database: &str, user: &str) -> Target {
        match self.port {
            0 => Target::unix(self.dir.path().join(".s.PGSQL.6432"), database, user),
            port => Target::tcp("127.0.0.1", port, database, user),
        }
    }

    fn client(&self) -> Client {
        Client::login(&self.target(self.user())).unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    fn plimsoll(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("USER", "anna")
            .env_remove("PLIMSOLL_SOCKET");
        command.output().expect("it runs")
    }

    /// A command that names the pooler by its socket; what it printed, and whether it went well.
    fn say(&self, arguments: &[&str]) -> (bool, String) {
        let mut all = arguments.to_vec();
        all.extend(["--socket", self.socket()]);
        let output = self.plimsoll(&all);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(!text.contains(MARKER), "{text}");
        (output.status.success(), text)
    }

    /// The text of other settings, in a file of their own.
    fn new_file(&self, size: &str, more: &str) -> String {
        let path = self.dir.path().join("new.toml");
        std::fs::write(&path, text(self.dir.path(), self.port, size, more)).expect("written");
        path.to_str().expect("text").to_owned()
    }

    fn overwrite(&self, size: &str, more: &str) {
        let text = text(self.dir.path(), self.port, size, more);
        std::fs::write(&self.file, text).expect("written");
    }

    /// The size of the pool, as the data plane has it now.
    fn size(&self) -> String {
        let target = self.at("pgbouncer", "admin");
        let mut console = Client::login(&target).expect("console");
        let rows = console.rows("SHOW CONFIG").expect("rows");
        let row = rows.into_iter().find(|row| row[0] == "default_pool_size");
        row.expect("there")[1].clone()
    }

    fn wait_for_size(&self, size: &str) -> Duration {
        let begun = Instant::now();
        until(&format!("a pool of {size}"), || {
            (self.size() == size).then_some(())
        });
        begun.elapsed()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// State and reason of a version.
    fn state(&self, version: u64) -> (String, String) {
        let (_, text) = self.say(&["history", &version.to_string(), "--format", "json"]);
        let value: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let of = |key: &str| value["line"][key].as_str().unwrap_or_default().to_owned();
        (of("state"), of("detail"))
    }
}

fn launch(binary: &Path, file: &Path, dir: &Dir) -> Process {
    let mut command = Command::new(binary);
    let state = dir.path().join("state");
    command.arg("run").arg(file).arg("--state").arg(state);
    Process::start(&mut command, &dir.path().join("log"), None).expect("it starts")
}

/// Clients that ask all the time, each with a statement of some milliseconds.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    late: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// A transaction that takes so long is late.
const LATE: Duration = Duration::from_millis(150);

impl Load {
    fn start(guarded: &Guarded, clients: usize) -> Load {
        let load = Load {
            stop: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            late: Arc::default(),
            threads: Vec::new(),
        };
        let target = guarded.target("app");
        let threads = (0..clients).map(|_| {
            let (target, stop) = (target.clone(), Arc::clone(&load.stop));
            let counts = [&load.done, &load.failed, &load.late].map(Arc::clone);
            std::thread::spawn(move || ask(&target, &stop, &counts))
        });
        let threads = threads.collect();
        Load { threads, ..load }
    }

    fn wait_for(&self, done: u64) {
        until("so many transactions", || {
            (self.done.load(Ordering::Relaxed) >= done).then_some(())
        });
    }

    fn end(mut self) -> (u64, u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no panic");
        }
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (count(&self.done), count(&self.failed), count(&self.late))
    }
}

fn ask(target: &Target, stop: &AtomicBool, [done, failed, late]: &[Arc<AtomicU64>; 3]) {
    let Ok(mut client) = Client::login(target) else {
        failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        // Eight milliseconds with a connection, four without: the client's thinking.
        match client.value("select pg_sleep(0.008)") {
            Ok(_) => done.fetch_add(1, Ordering::Relaxed),
            Err(_) => failed.fetch_add(1, Ordering::Relaxed),
        };
        if begun.elapsed() > LATE {
            late.fetch_add(1, Ordering::Relaxed);
        }
        let _ = client.read_within(Duration::from_millis(4));
    }
}

#[test]
fn a_limit_cut_to_a_tenth_is_refused_or_taken_back() {
    let guarded = Guarded::start("30", "");
    let load = Load::start(&guarded, 12);
    load.wait_for(4_000);
    let file = guarded.new_file("3", "");
    let (good, text) = guarded.say(&["apply", &file, "--yes", "--reason", "a mistake"]);
    assert!(
        !good,
        "it is refused by the check or the prediction, or taken back:\n{text}"
    );
    let (good, text) = guarded.say(&[
        "apply",
        &file,
        "--yes",
        "--force",
        "--wait",
        "--reason",
        "I know better",
    ]);
    assert!(!good, "{text}");
    assert!(text.contains("rolled back (hurts)"), "{text}");
    assert_eq!(guarded.size(), "30");
    let (done, failed, late) = load.end();
    assert_eq!(failed, 0);
    assert!(late * 100 <= done, "{late} of {done} were late");
    assert!(guarded.log().contains("undo="), "the act names its undo");
}

#[test]
fn more_room_during_an_outage_serves_at_once() {
    let guarded = Guarded::start("1", "");
    let mut holder = guarded.client();
    holder.query("begin").expect("begun");
    let target = guarded.target("app");
    let waiter = std::thread::spawn(move || {
        let mut client = Client::login(&target).expect("a login");
        client.value("select 42").expect("served");
        Instant::now()
    });
    until("somebody who waits", || {
        let target = Target::tcp("127.0.0.1", guarded.port, "pgbouncer", "admin");
        let rows = Client::login(&target).ok()?.rows("SHOW POOLS").ok()?;
        rows.iter()
            .any(|row| row[0] == "app" && row[3] == "1")
            .then_some(())
    });
    assert!(!waiter.is_finished(), "nobody else is served");
    let file = guarded.new_file("5", "");
    let asked = Instant::now();
    let (good, text) = guarded.say(&["apply", &file, "--yes"]);
    assert!(good, "{text}");
    let served = waiter.join().expect("no panic");
    let took = served.duration_since(asked);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_deployed_file_goes_through_the_gate_by_itself_and_a_refused_one_is_held() {
    let deploy = "[settings]\nsource = \"deploy\"";
    let mut guarded = Guarded::start("20", deploy);
    guarded.overwrite("25", deploy);
    let took = guarded.wait_for_size("25");
    assert!(took < Duration::from_secs(2), "{took:?}");
    std::fs::write(&guarded.file, "[pool]\nszie = 3\n").expect("written");
    let text = until("drift", || {
        let (good, text) = guarded.say(&["status"]);
        (!good).then_some(text)
    });
    assert!(text.contains("has mistakes, version 2 serves on"), "{text}");
    assert!(text.contains("did you mean `size`"), "{text}");
    assert_eq!(guarded.size(), "25");
    // A restart finds the broken file, and serves from the history.
    guarded.restart("TERM");
    assert_eq!(guarded.size(), "25");
    assert!(!guarded.say(&["status"]).0);
    // The file is mended: all is well without anybody's doing.
    guarded.overwrite("25", deploy);
    until("no drift", || guarded.say(&["status"]).0.then_some(()));
}

#[test]
fn a_config_map_s_swap_is_seen() {
    let dir = Dir::new("guarded", RunAs::myself());
    let port = free_port();
    let more = "[settings]\nsource = \"deploy\"";
    let put = |name: &str, size: &str| {
        let at = dir.path().join(name);
        std::fs::create_dir_all(&at).expect("made");
        std::fs::write(at.join("plimsoll.toml"), text(dir.path(), port, size, more))
            .expect("written");
        let new = dir.path().join("..data_tmp");
        std::os::unix::fs::symlink(name, &new).expect("linked");
        std::fs::rename(&new, dir.path().join("..data")).expect("swapped");
    };
    put("..2026_01", "20");
    let file = dir.path().join("plimsoll.toml");
    std::os::unix::fs::symlink("..data/plimsoll.toml", &file).expect("linked");
    let path = dir.path().to_owned();
    let guarded = Guarded::start_in(dir, port, file);
    let at = path.join("..2026_02");
    std::fs::create_dir_all(&at).expect("made");
    std::fs::write(at.join("plimsoll.toml"), text(&path, port, "24", more)).expect("written");
    std::os::unix::fs::symlink("..2026_02", path.join("..data_tmp")).expect("linked");
    std::fs::rename(path.join("..data_tmp"), path.join("..data")).expect("swapped");
    let took = guarded.wait_for_size("24");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn an_overwritten_file_is_held_and_only_apply_changes_it() {
    let store = "[settings]\nsource = \"store\"";
    let mut guarded = Guarded::start("20", store);
    guarded.overwrite("4", store);
    until("drift", || (!guarded.say(&["status"]).0).then_some(()));
    assert_eq!(guarded.size(), "20");
    guarded.restart("TERM");
    assert_eq!(
        guarded.size(),
        "20",
        "the history serves, not the overwritten file"
    );
    assert!(!guarded.say(&["status"]).0);
    // What is applied is written to the file once it has proved itself.
    let file = guarded.new_file("22", "[settings]\nsource = \"store\"\nwatch = \"2s\"");
    let (good, text) = guarded.say(&["apply", &file, "--yes"]);
    assert!(good, "{text}");
    guarded.wait_for_size("22");
    let (good, text) = guarded.say(&["apply", &file, "--yes"]);
    assert!(good && text.contains("serve already"), "{text}");
}

#[test]
fn the_way_back_is_short_and_drops_nobody() {
    let guarded = Guarded::start("20", "# inline");
    let mut client = guarded.client();
    client.query("set application_name = 'kept'").expect("set");
    let file = guarded.new_file("40", "# inline");
    assert!(guarded.say(&["apply", &file, "--yes"]).0);
    assert_eq!(guarded.size(), "40");
    let asked = Instant::now();
    let (good, text) = guarded.say(&["rollback", "--reason", "ticket 8"]);
    assert!(good, "{text}");
    assert_eq!(guarded.size(), "20");
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(
        client.value("show application_name").expect("served"),
        "kept"
    );
    let (_, text) = guarded.say(&["history"]);
    assert!(
        text.contains("ticket 8") && text.contains("by anna@"),
        "{text}"
    );
    // Nothing that is kept holds a secret.
    for name in ["settings.db", "settings.db-wal"] {
        let bytes = std::fs::read(guarded.dir.path().join("state").join(name)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(MARKER), "{name}");
    }
    assert!(!guarded.log().contains(MARKER));
}

#[test]
fn a_kill_in_the_middle_of_a_change_leaves_the_old_settings() {
    let mut guarded = Guarded::start("40", "");
    let load = Load::start(&guarded, 2);
    let file = guarded.new_file("20", "");
    let arguments = [
        "apply",
        &file,
        "--yes",
        "--force",
        "--timeout",
        "1s",
        "--reason",
        "less",
    ];
    let _ = guarded.say(&arguments);
    let staged = until("a step", || {
        let size = guarded.size();
        (size != "40").then_some(size)
    });
    assert_ne!(staged, "20", "only a step of it");
    let _ = load.end();
    guarded.restart("KILL");
    assert_eq!(guarded.size(), "40");
    until("its end", || {
        (guarded.state(2) == ("rolled_back".to_owned(), "killed".to_owned())).then_some(())
    });
}

#[test]
fn reload_and_set_are_changes_like_any_other() {
    let guarded = Guarded::start("20", "[settings]\nsource = \"store\"");
    let target = Target::tcp("127.0.0.1", guarded.port, "pgbouncer", "admin");
    let mut console = Client::login(&target).expect("console");
    guarded.overwrite("31", "[settings]\nsource = \"store\"");
    console
        .query("RELOAD")
        .expect("it serves when RELOAD returns");
    assert_eq!(guarded.size(), "31");
    std::fs::write(&guarded.file, b"\x7fELF\0\0").expect("written");
    let error = console.rows("RELOAD").expect_err("no settings");
    assert!(error.to_string().contains("NUL byte"), "{error}");
    assert_eq!(guarded.size(), "31");
    let (_, text) = guarded.say(&["history"]);
    assert!(text.contains("reload"), "{text}");
}

#[test]
fn one_change_at_a_time() {
    let guarded = Guarded::start("40", "");
    let load = Load::start(&guarded, 2);
    let file = guarded.new_file("20", "");
    let first = [
        "apply",
        &file,
        "--yes",
        "--force",
        "--timeout",
        "1s",
        "--reason",
        "less",
    ];
    let _ = guarded.say(&first);
    let file = guarded.new_file("15", "");
    let (good, text) = guarded.say(&["apply", &file, "--yes", "--force", "--reason", "even less"]);
    assert!(!good && text.contains("version 2 is on its way"), "{text}");
    let _ = load.end();
}
