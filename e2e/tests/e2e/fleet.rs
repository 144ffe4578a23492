//! Instances that know of each other: who is there, who is silent, who tells people.

mod etcd;
mod keys;

use crate::common::{full, server, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target, cancel, message, rows};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, free_port, until, until_deadline};
use plimsoll_e2e::server::PASSWORD;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Alerts are silent after a start, fire after seven seconds of waiting, and are
/// told four seconds later.
const ALERT_MAX: Duration = Duration::from_secs(60);

/// One of the fleet.
struct Instance {
    process: Process,
    dir: Dir,
    port: u16,
}

impl Instance {
    fn start(fleet: &[u16], own: u16, shared: &Path) -> Instance {
        let peers: Vec<String> = fleet.iter().map(|p| format!("\"127.0.0.1:{p}\"")).collect();
        let peers = format!("peers = [{}]", peers.join(", "));
        Instance::with(&format!("127.0.0.1:{own}"), &peers, "fleet-test", shared)
    }

    /// `others`: how they are found.
    fn with(listen: &str, others: &str, fleet: &str, shared: &Path) -> Instance {
        Instance::with_other(listen, others, fleet, shared, &[])
    }

    /// With parts of the settings replaced by others.
    fn with_other(
        listen: &str,
        others: &str,
        fleet: &str,
        shared: &Path,
        other: &[(&str, &str)],
    ) -> Instance {
        let dir = Dir::new("fleet", RunAs::myself());
        let port = free_port();
        let at = dir.path().display();
        std::fs::write(dir.path().join("pw"), PASSWORD).expect("written");
        let (key, told) = (shared.join("key"), shared.join("told"));
        let mut text = format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{at}\"\n\
             [auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n\
             [state]\ndirectory = \"{at}/state\"\n[settings]\nsource = \"store\"\n\
             [fleet]\nlisten = \"{listen}\"\n{others}\nkey_file = \"{}\"\n\
             [server]\nline = 60\nmonitor_user = \"postgres\"\nfleet = \"{fleet}\"\n\
             [guards]\nreclaim = \"observe\"\n\
             [alerts]\ngrace = \"1s\"\ngroup_window = \"1s\"\n\
             [notify.oncall]\nkind = \"command\"\n\
             command = [\"/bin/sh\", \"-c\", \"cat >> {told}; echo >> {told}\"]\n\
             [pool]\nsize = 1\n\
             [database.app]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\npassword_file = \"{at}/pw\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n[[user]]\nname = \"postgres\"\npassword_file = \"{at}/pw\"\n",
            key.display(),
            server().port(),
            told = told.display(),
        );
        for (from, to) in other {
            assert!(text.contains(from), "{from}: {text}");
            text = text.replace(from, to);
        }
        std::fs::write(dir.path().join("plimsoll.toml"), text).expect("written");
        Instance::run(dir, port)
    }

    /// With the settings and the history that are in a directory.
    fn run(dir: Dir, port: u16) -> Instance {
        let mut command = Command::new(Binary::find().path);
        command.arg("run").arg(dir.path().join("plimsoll.toml"));
        let log = dir.path().join("log");
        let process = Process::start(&mut command, &log, Some(dir.path())).expect("it starts");
        let instance = Instance { process, dir, port };
        until("a pooler that serves", || {
            Client::login(&instance.target()).ok()
        });
        instance
    }

    fn target(&self) -> Target {
        Target::tcp("127.0.0.1", self.port, "app", "app").parameter("application_name", "shop")
    }

    fn client(&self) -> Client {
        let client = Client::login(&self.target());
        client.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn status(&self, format: &str) -> String {
        let output = Command::new(Binary::find().path)
            .args(["status", "--format", format, "--socket"])
            .arg(self.dir.path())
            .env_remove("PLIMSOLL_SOCKET")
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.status("json")).unwrap_or_default()
    }

    /// States of the others: how many are in each.
    fn sees(&self, state: &str) -> usize {
        let status = self.json();
        let peers = status["fleet"]["peers"].as_array().cloned();
        let of = |p: &&serde_json::Value| p["state"] == state;
        peers.unwrap_or_default().iter().filter(of).count()
    }

    fn name(&self) -> String {
        let text = self.status("json");
        let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        status["fleet"]["instance"].as_str().expect("a name").into()
    }
}

/// What the command was told: alerts by state and sentence.
fn told(shared: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(shared.join("told")).unwrap_or_default();
    let messages = text.lines().filter(|line| !line.trim().is_empty());
    let messages = messages.filter_map(|line| serde_json::from_str(line).ok());
    let mut out = Vec::new();
    for message in messages {
        let message: serde_json::Value = message;
        for alert in message["alerts"].as_array().into_iter().flatten() {
            let word = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
            if word("name") == "PlimsollPoolExhausted" {
                out.push((word("state"), word("summary")));
            }
        }
    }
    out
}

fn count(shared: &Path, state: &str) -> usize {
    told(shared).iter().filter(|(s, _)| s == state).count()
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let found = until_deadline(ALERT_MAX, &mut || holds().then_some(()));
    found.unwrap_or_else(|| panic!("{what} did not come"));
}

#[test]
fn three_instances_know_of_each_other_and_one_tells() {
    if Binary::find().is_pgbouncer {
        return skip("fleet", "PgBouncer instances do not know of each other");
    }
    let shared = Dir::new("fleet-shared", RunAs::myself());
    std::fs::write(shared.path().join("key"), "a key of all three instances").expect("written");
    let ports = [free_port(), free_port(), free_port()];
    let mut fleet: Vec<Instance> = ports
        .iter()
        .map(|own| Instance::start(&ports, *own, shared.path()))
        .collect();
    wait("all to hear each other", || {
        fleet.iter().all(|i| i.sees("ok") == 2)
    });
    let text = fleet[0].status("text");
    assert!(
        text.contains("SHARE/HELD") && text.contains("fleet-test"),
        "{text}"
    );

    // One is stopped in the middle of what it does: the others serve on.
    fleet[2].process.signal("STOP");
    wait("it to be silent", || {
        fleet[..2].iter().all(|i| i.sees("silent") == 1)
    });
    for instance in &fleet[..2] {
        assert_eq!(instance.client().value("select 7").expect("served"), "7");
        assert_eq!(instance.sees("ok"), 1);
    }
    fleet[2].process.signal("CONT");
    wait("it to be back", || fleet.iter().all(|i| i.sees("ok") == 2));

    if full() {
        one_alert(&mut fleet, shared.path());
    }
    for instance in &fleet {
        let log = instance.log();
        assert!(!log.contains("panic"), "{log}");
    }
}

/// All have the same alert, for a minute.
fn one_alert(fleet: &mut [Instance], shared: &Path) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut holders: Vec<Client> = fleet.iter().map(Instance::client).collect();
        for holder in &mut holders {
            holder.query("begin; select 1").expect("served");
        }
        for instance in fleet.iter() {
            let (target, stop) = (instance.target(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // It waits in vain, and is told so.
                    let _ = Client::login(&target).and_then(|mut c| c.value("select 1"));
                }
            });
        }
        let end = EndAll(&stop);
        alert_is_told_once(fleet, shared);
        drop(end);
        holders.clear();
    });
    wait("the end to be told", || count(shared, "resolved") > 0);
    // It fired once, was taken over once, and ended once.
    let told = told(shared);
    assert_eq!(told.len(), 3, "{told:#?}");
}

/// Ends the waiters also when the test fails: scoped threads are waited for.
struct EndAll<'a>(&'a AtomicBool);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn alert_is_told_once(fleet: &mut [Instance], shared: &Path) {
    let tells = |i: &Instance| i.log().contains("told by");
    wait("the alert to be told", || count(shared, "firing") == 1);
    wait("the others to leave it to that one", || {
        fleet.iter().filter(|i| tells(i)).count() == 2
    });
    assert_eq!(count(shared, "firing"), 1, "{:#?}", told(shared));
    // Who tells falls silent: another one takes over, and says so.
    let teller = fleet.iter().position(|i| !tells(i)).expect("one tells");
    let name = fleet[teller].name();
    fleet[teller].process.signal("STOP");
    let taken = format!("{name} told of this before");
    wait("another one to take over", || {
        told(shared).iter().any(|(_, text)| text.contains(&taken))
    });
    fleet[teller].process.signal("CONT");
    wait("all to hear each other again", || {
        fleet.iter().all(|i| i.sees("ok") == 2)
    });
    // One of the two that told goes on alone.
    let telling = |i: &Instance| {
        let text = i.status("json");
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        status["fleet"]["telling"].as_u64().unwrap_or(0)
    };
    wait("one of them to tell", || {
        fleet.iter().map(telling).sum::<u64>() == 1
    });
}

#[test]
fn instances_find_each_other_by_their_sessions_at_the_server() {
    if Binary::find().is_pgbouncer {
        return skip("fleet", "PgBouncer instances do not know of each other");
    }
    let shared = Dir::new("fleet-view", RunAs::myself());
    std::fs::write(shared.path().join("key"), "a key of both instances").expect("written");
    // One port, as in a deployment; the server sees both come from 127.0.0.1.
    let port = free_port();
    let by_view = |at: &str| {
        let listen = format!("{at}:{port}");
        Instance::with(&listen, "discover = \"view\"", "view-test", shared.path())
    };
    let (first, second) = (by_view("127.0.0.1"), by_view("127.0.0.2"));
    // A client of each, so that it needs the server and looks at its view.
    for instance in [&first, &second] {
        assert_eq!(instance.client().value("select 7").expect("served"), "7");
    }
    wait(
        "the second to find the first, and that one to hear it",
        || first.sees("ok") == 1 && second.sees("ok") == 1,
    );
}

/// Cancels a statement of `of` by way of `by` until it ends: how it ended.
fn cancelled_by(of: &Instance, by: &Instance) -> String {
    let mut client = of.client();
    let sql = "select pg_sleep(60)";
    client.send(&message::query(sql)).expect("sent");
    let (request, target) = (client.cancel_request(), by.target());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // What comes before the two hear each other is for nobody.
            while !stop.load(Ordering::Relaxed) {
                let _ = cancel(&target, &request);
            }
        });
        let _end = EndAll(&stop);
        let ended = rows(client.read_to_ready().expect("an answer"));
        ended.expect_err("cancelled").code().to_owned()
    })
}

#[test]
fn a_cancel_finds_the_instance_that_is_heard_wherever_it_listens() {
    if Binary::find().is_pgbouncer {
        return skip("fleet", "PgBouncer instances do not know of each other");
    }
    let shared = Dir::new("fleet-cancel", RunAs::myself());
    std::fs::write(shared.path().join("key"), "a key of both instances").expect("written");
    let ports = [free_port(), free_port(), free_port()];
    let start = |own: u16| Instance::start(&ports, own, shared.path());
    let (one, two) = (start(ports[0]), start(ports[1]));
    assert_eq!(cancelled_by(&one, &two), "57014");
    // It comes again elsewhere, as a pod does: no setting says where.
    let before = one.port;
    drop(one);
    let one = start(ports[2]);
    assert_ne!(one.port, before);
    assert_eq!(cancelled_by(&one, &two), "57014");
    assert_eq!(cancelled_by(&two, &one), "57014");
    // A stranger's number hurts nobody, and is not passed back and forth.
    let unknown = message::cancel(77, &[1, 2, 3, 4]);
    cancel(&one.target(), &unknown).expect("ends");
    assert_eq!(two.client().value("select 7").expect("served"), "7");
}
