//! The watch: alerts in time with their cause, incidents with their reports, and
//! a data plane that outlives all of it (promise 6).

mod outages;
mod page;

use crate::common::{alone, server, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, free_port, until, until_deadline};
use plimsoll_e2e::server::PASSWORD;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Alerts are silent for so many seconds after a pooler's start: all clients come anew.
const SETTLED_S: usize = 12;
/// An alert about what is used up comes within ten seconds; one more is this test's.
const IN_TIME: Duration = Duration::from_secs(11);
const TOKEN: &str = "an operator's token of the tests";

/// A pooler that is watched, with a state directory and the API on TCP.
struct Watched {
    process: Process,
    dir: Dir,
    port: u16,
    api: u16,
}

impl Watched {
    /// None before PgBouncer.
    fn start(size: u32, more: &str) -> Option<Watched> {
        Watched::start_as(size, more, None, &[])
    }

    /// With its state somewhere, and parts of the settings replaced by others.
    fn start_as(
        size: u32,
        more: &str,
        state: Option<&Path>,
        other: &[(&str, &str)],
    ) -> Option<Watched> {
        let binary = Binary::find();
        if binary.is_pgbouncer {
            skip("watch", "PgBouncer does not watch itself");
            return None;
        }
        let dir = Dir::new("watch", RunAs::myself());
        let (port, api) = (free_port(), free_port());
        std::fs::write(dir.path().join("pw"), PASSWORD).expect("written");
        std::fs::write(dir.path().join("token"), TOKEN).expect("written");
        let at = dir.path().display();
        let state = state.map_or_else(|| dir.path().join("state"), Path::to_owned);
        let state = state.display();
        let mut text = format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{at}\"\n[auth]\ntype = \"trust\"\n\
             admin_users = [\"admin\"]\n[state]\ndirectory = \"{state}\"\n\
             [settings]\nsource = \"store\"\n\
             [api]\nlisten = \"127.0.0.1:{api}\"\n[api.tokens]\noperator_file = \"{at}/token\"\n\
             [server]\nline = 60\nmonitor_user = \"postgres\"\nmonitor_interval = \"1s\"\n\
             [alerts]\ngrace = \"2s\"\n[pool]\nsize = {size}\n{more}\
             [database.app]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\npassword_file = \"{at}/pw\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n[[user]]\nname = \"postgres\"\npassword_file = \"{at}/pw\"\n",
            server().port(),
        );
        for (from, to) in other {
            assert!(text.contains(from), "{from}: {text}");
            text = text.replace(from, to);
        }
        let file = dir.path().join("plimsoll.toml");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(&binary.path);
        command.arg("run").arg(&file);
        let process = Process::start(&mut command, &dir.path().join("log"), Some(dir.path()));
        let process = process.expect("it starts");
        let watched = Watched {
            process,
            dir,
            port,
            api,
        };
        until("a pooler that serves", || {
            Client::login(&watched.target("probe")).ok()
        });
        Some(watched)
    }

    fn target(&self, application: &str) -> Target {
        Target::tcp("127.0.0.1", self.port, "app", "app").parameter("application_name", application)
    }

    fn client(&self, application: &str) -> Client {
        let client = Client::login(&self.target(application));
        client.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A command of ours; its exit code and what it printed.
    fn say(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(Binary::find().path)
            .args(arguments)
            .args(["--socket", self.dir.path().to_str().expect("text")])
            .env_remove("PLIMSOLL_SOCKET")
            .output()
            .expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap_or(-1);
        (code, String::from_utf8_lossy(&text).into_owned())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let all = [arguments, &["--format", "json"]].concat();
        let (_, text) = self.say(&all);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Seconds that were measured so far.
    fn seconds(&self) -> usize {
        let answer = self.get("/v1/series");
        answer["samples"].as_array().map_or(0, Vec::len)
    }

    /// Waits until the start is so long ago that alerts may fire.
    fn settles(&self) {
        until_deadline(Duration::from_secs(60), &mut || {
            (self.seconds() >= SETTLED_S).then_some(())
        })
        .unwrap_or_else(|| panic!("not settled after {} s\n{}", self.seconds(), self.log()));
    }

    /// The first alert that fires, which must be in time.
    fn fires(&self) -> serde_json::Value {
        let begun = Instant::now();
        let alert = until("an alert", || {
            let alerts = self.get("/v1/alerts");
            let fires = |a: &&serde_json::Value| a["state"] == "firing";
            alerts.as_array()?.iter().find(fires).cloned()
        });
        let after = begun.elapsed();
        assert!(after <= IN_TIME, "{after:?}: {alert}");
        alert
    }

    fn get(&self, path: &str) -> serde_json::Value {
        let text = self.http(path).expect("an answer");
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn http(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Clients that ask all the time; they count what was answered, and how late.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    worst_ms: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(watched: &Watched, clients: usize) -> Load {
        Load::with(watched, clients, "select 1")
    }

    fn with(watched: &Watched, clients: usize, sql: &'static str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, worst_ms) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let threads = (0..clients).map(|_| {
            let mut client = watched.client("shop-web");
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let worst = Arc::clone(&worst_ms);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    client.value(sql).expect("an answer");
                    let ms = asked.elapsed().as_millis() as u64;
                    worst.fetch_max(ms, Ordering::Relaxed);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let threads = threads.collect();
        Load {
            stop,
            done,
            worst_ms,
            threads,
        }
    }

    /// Waits until so many more were answered.
    fn more(&self, count: u64) {
        let wanted = self.done.load(Ordering::Relaxed) + count;
        until("answers", || {
            (self.done.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// The longest answer took so long. Each client had every answer.
    fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("every query was answered");
        }
        Duration::from_millis(self.worst_ms.load(Ordering::Relaxed))
    }
}

/// 004 and 000 in small: a release holds all connections; who waits is told of in
/// time, the cause is named, and the incident writes its own report.
#[test]
fn exhaustion_is_told_within_ten_seconds_with_cause_incident_and_report() {
    let _alone = alone();
    let Some(watched) = Watched::start(
        4,
        "[guards]\nreclaim = \"observe\"\n[owners.app]\nteam = \"payments\"\n",
    ) else {
        return;
    };
    // Usual traffic first.
    let load = Load::start(&watched, 2);
    watched.settles();
    let (code, text) = watched.say(&["mark", "release", "basket", "2.4.1"]);
    assert_eq!(code, 0, "{text}");
    let mut leaking: Vec<Client> = (0..4)
        .map(|n| watched.client(&format!("basket-{n}")))
        .collect();
    for client in &mut leaking {
        client
            .query("begin; select 'a literal that must not leak'")
            .expect("served");
    }
    let alert = watched.fires();
    assert!(
        !alert["runbook"].as_str().unwrap_or("").is_empty(),
        "{alert}"
    );
    assert_eq!(alert["owner"]["team"], "payments", "{alert}");
    let (code, text) = watched.say(&["alerts"]);
    assert!(code == 1 && text.contains("payments"), "{text}");
    let verdict = watched.json(&["diagnose"]);
    assert_eq!(verdict["findings"][0]["cause"], "leak", "{verdict:#}");
    for rejected in verdict["ruled_out"].as_array().expect("a list") {
        assert!(rejected["figure"]["value"].is_number(), "{rejected}");
    }
    let incident = until("an incident", || {
        let list = watched.json(&["incident", "list"]);
        list.as_array()?.first().cloned()
    });
    let id = incident["id"].as_str().expect("an id").to_owned();
    let noted = [
        "incident",
        "note",
        &id,
        "is it the network?",
        "--path",
        "network",
    ];
    let (code, text) = watched.say(&noted);
    assert_eq!(code, 0, "{text}");
    let (code, text) = watched.say(&["playbook", "PlimsollPoolExhausted"]);
    assert!(code == 0 && text.contains("app"), "{text}");
    let mut admin = Client::login(&Target::tcp(
        "127.0.0.1",
        watched.port,
        "pgbouncer",
        "admin",
    ));
    let admin = admin.as_mut().expect("the console");
    admin.query("reconnect app").expect("done");
    leaking.clear();
    load.more(50);
    load.end();
    // What was done is part of the story, with who did it.
    until("the action in the timeline", || {
        let incident = watched.json(&["incident", "show", &id]);
        let timeline = incident["timeline"].as_array()?;
        let acted = timeline.iter().find(|e| e["kind"] == "action")?;
        let told = ["text", "subject", "actor"].map(|key| acted[key].as_str());
        assert_eq!(told, [Some("RECONNECT"), Some("app"), Some("admin")]);
        Some(())
    });
    let asked = Instant::now();
    let (code, report) = watched.say(&["incident", "report", &id]);
    assert_eq!(code, 0, "{report}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    for section in [
        "Issue Summary",
        "Timeline",
        "Root Cause",
        "Corrective and Preventative Measures",
        "Misleading",
    ] {
        assert!(report.contains(section), "{section}: {report}");
    }
    assert!(report.contains("RECONNECT"), "{report}");
    assert!(report.contains("2.4.1"), "{report}");
    let bundle = watched.dir.path().join("bundle");
    let file = bundle.to_str().expect("text");
    let (code, text) = watched.say(&["bundle", "-o", file]);
    assert_eq!(code, 0, "{text}");
    let (_, again) = watched.say(&["diagnose", "--bundle", file]);
    assert!(again.contains("snapshot"), "{again}");
    for text in [report, watched.log(), verdict.to_string()] {
        assert!(!text.contains("must not leak"), "{text}");
    }
}

/// The state directory goes, comes back as a file, is full: queries flow.
#[test]
fn a_state_directory_that_is_lost_costs_no_query() {
    let Some(watched) = Watched::start(4, "") else {
        return;
    };
    let load = Load::start(&watched, 4);
    until("a second", || (watched.seconds() >= 2).then_some(()));
    std::fs::remove_dir_all(watched.state()).expect("removed");
    until("two more", || (watched.seconds() >= 4).then_some(()));
    std::fs::write(watched.state(), "no directory").expect("written");
    let before = watched.seconds();
    until("two more", || {
        (watched.seconds() >= before + 2).then_some(())
    });
    load.more(200);
    let worst = load.end();
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    assert!(
        watched.log().contains("in memory only"),
        "{}",
        watched.log()
    );
}

/// A file system that is full, or read-only: made with mount, so as root only.
#[test]
fn a_full_or_read_only_disk_costs_no_query() {
    if Binary::find().is_pgbouncer {
        return skip("full disk", "PgBouncer keeps no state");
    }
    let disk = Dir::new("disk", RunAs::myself());
    let Some(mounted) = Mounted::at(disk.path()) else {
        return skip("full disk", "only root may mount a file system");
    };
    let state = disk.path().join("state");
    let Some(watched) = Watched::start_as(4, "", Some(&state), &[]) else {
        return;
    };
    let load = Load::start(&watched, 4);
    until("a second", || (watched.seconds() >= 2).then_some(()));
    // Until nothing more fits.
    let mut filler = std::fs::File::create(disk.path().join("filler")).expect("created");
    while filler.write_all(&[0; 4096]).is_ok() {}
    let before = watched.seconds();
    until("two more", || {
        (watched.seconds() >= before + 2).then_some(())
    });
    mounted.read_only();
    let before = watched.seconds();
    until("two more", || {
        (watched.seconds() >= before + 2).then_some(())
    });
    load.more(200);
    let worst = load.end();
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    drop(watched);
    drop(mounted);
}

/// A small file system of memory.
struct Mounted(PathBuf);

impl Mounted {
    fn at(place: &Path) -> Option<Mounted> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m", "plimsoll-test"])
            .arg(place);
        let done = mount.stderr(Stdio::null()).status().ok()?.success();
        done.then(|| Mounted(place.to_owned()))
    }

    fn read_only(&self) {
        let mut mount = Command::new("mount");
        // Files that are open for writing keep it from being so: then it stays full.
        let _ = mount
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let _ = umount.arg("-l").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// A notifier that takes the connection and says nothing.
#[test]
fn a_notifier_that_hangs_costs_no_query_and_no_alert() {
    let hole = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = hole.local_addr().expect("an address");
    let more = format!(
        "[notify.hole]\nkind = \"webhook\"\nurl = \"http://{address}/\"\nmin_severity = \"info\"\n"
    );
    let Some(watched) = Watched::start(2, &more) else {
        return;
    };
    watched.settles();
    let mut holders: Vec<Client> = (0..2).map(|_| watched.client("holder")).collect();
    for client in &mut holders {
        client.query("begin").expect("served");
    }
    let target = watched.target("waiter");
    let waiter =
        std::thread::spawn(move || Client::login(&target).map(|mut c| c.value("select 42")));
    watched.fires();
    let taken = until("the notifier to be asked", || {
        hole.set_nonblocking(true).expect("set");
        hole.accept().ok()
    });
    holders.clear();
    let answer = waiter
        .join()
        .expect("it ends")
        .expect("login")
        .expect("an answer");
    assert_eq!(answer, "42");
    let load = Load::start(&watched, 4);
    load.more(200);
    assert!(load.end() < Duration::from_secs(3));
    let before = watched.seconds();
    until("measuring goes on", || {
        (watched.seconds() > before).then_some(())
    });
    drop(taken);
}

/// Many callers of the API at once, slow ones among them.
#[test]
fn an_api_under_load_costs_no_query() {
    let Some(watched) = Watched::start(4, "") else {
        return;
    };
    until("a second", || (watched.seconds() >= 2).then_some(()));
    let quiet = Load::start(&watched, 4);
    quiet.more(500);
    quiet.end();
    let load = Load::start(&watched, 4);
    // Some that never finish their request, and many that do.
    let slow: Vec<TcpStream> = (0..60)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", watched.api)).ok()?;
            stream
                .write_all(b"GET /v1/series HTTP/1.1\r\nHost: loc")
                .ok()?;
            Some(stream)
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    // Refused or answered, it ends.
                    let _ = watched.http("/v1/bundle");
                    let _ = watched.http("/v1/diagnosis");
                }
            });
        }
    });
    load.more(200);
    let worst = load.end();
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    drop(slow);
    until("the API answers again", || {
        watched
            .http("/v1/status")
            .ok()
            .filter(|t| t.contains(" 200 "))
    });
}

/// Every thread but the workers' is stopped dead: a debugger holds it.
#[test]
fn a_control_plane_that_stands_still_costs_no_query() {
    let Some(mut watched) = Watched::start(4, "") else {
        return;
    };
    let load = Load::start(&watched, 4);
    until("a second", || (watched.seconds() >= 2).then_some(()));
    let Some(mut held) = Held::of(watched.process.pid()) else {
        load.end();
        return skip(
            "a control plane that stands still",
            "no thread may be held here",
        );
    };
    load.more(2_000);
    // New clients come in too.
    let mut client = watched.client("late");
    assert_eq!(client.value("select 42").expect("served"), "42");
    held.release();
    let worst = load.end();
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    until("it measures again", || {
        watched
            .http("/v1/status")
            .ok()
            .filter(|t| t.contains(" 200 "))
    });
    assert!(watched.process.exited().is_none());
}

/// Holds threads of a process by ptrace, from a program of its own.
struct Held(Child);

const HOLD: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid, names = int(sys.argv[1]), sys.argv[2].split(',')
held = []
for tid in map(int, os.listdir(f'/proc/{pid}/task')):
    name = open(f'/proc/{pid}/task/{tid}/comm').read().strip()
    if name in names:
        if libc.ptrace(16, tid, 0, 0) != 0:
            sys.exit(3)
        os.waitpid(tid, 0x40000000)
        held.append((tid, name))
print(','.join(sorted(n for _, n in held)), flush=True)
sys.stdin.read()
for tid, _ in held:
    libc.ptrace(17, tid, 0, 0)
"#;

impl Held {
    fn of(pid: u32) -> Option<Held> {
        let mut python = Command::new("python3");
        python.args([
            "-c",
            HOLD,
            &pid.to_string(),
            "measure,api,notify,settings,control,incidents,log,secret-watch",
        ]);
        let piped = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = piped.spawn().ok()?;
        let mut line = String::new();
        let out = child.stdout.as_mut()?;
        let mut byte = [0];
        while out.read(&mut byte).ok()? == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        match line.contains("measure") && line.contains("api") {
            true => Some(Held(child)),
            false => {
                let _ = child.kill();
                let _ = child.wait();
                None
            }
        }
    }

    fn release(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
