//! How a pod ends: what happens when, from SIGTERM to the end of the process, and never later.

use super::{Pod, probe};
use crate::common::{server, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, until};
use plimsoll_e2e::server::PASSWORD;
use std::process::Command;
use std::time::{Duration, Instant};

/// `timeouts.drain_delay` and `timeouts.drain` of this test.
const DELAY: Duration = Duration::from_millis(1500);
const DRAIN: Duration = Duration::from_millis(2500);
/// A loaded machine's lateness, far below what the manifests leave (20 s).
const LATE: Duration = Duration::from_secs(3);

fn start(dir: &Dir) -> Pod {
    let ports = (free_port(), free_port());
    let text = format!(
        "[listen]\ntcp = [\"127.0.0.1:{}\"]\n[metrics]\nlisten = \"127.0.0.1:{}\"\n\
         [auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n[server]\nline = 40\n[pool]\nsize = 8\n\
         [timeouts]\ndrain_delay = \"1500ms\"\ndrain = \"2500ms\"\n\
         [database.app]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"postgres\"\npassword = \"{PASSWORD}\"\n\
         [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n",
        ports.0,
        ports.1,
        server().port(),
    );
    let file = dir.write("plimsoll.toml", &text, RunAs::myself(), 0o644);
    let mut command = Command::new(Binary::find().path);
    command.arg("run").arg(file);
    let mut pod = Pod::start(command, &dir.path().join("log"), ports);
    pod.wait_until_ready();
    pod
}

fn login(pod: &Pod) -> Client {
    let target = Target::tcp("127.0.0.1", pod.port, "app", "app");
    Client::login(&target).unwrap_or_else(|error| panic!("{error}\n{}", pod.said()))
}

/// The last thing that a client is told.
fn farewell(client: &mut Client) -> String {
    let said = client.read_to_end().expect("it is told");
    let last = said
        .last()
        .map(|message| message.fields().code().to_owned());
    last.unwrap_or_default()
}

#[test]
fn sigterm_withdraws_readiness_first_and_closes_last() {
    if Binary::find().is_pgbouncer {
        skip(
            "sigterm_withdraws_readiness_first_and_closes_last",
            "PgBouncer has no such delay",
        );
        return;
    }
    let dir = Dir::new("ending", RunAs::myself());
    let mut pod = start(&dir);
    // An application's pool keeps idle connections for ever; another client is in a transaction that ends, the
    // third in one that does not, the fourth is pinned.
    let [mut idle, mut busy, mut stuck, mut pinned] = [(); 4].map(|()| login(&pod));
    assert_eq!(idle.value("select 1").expect("served"), "1");
    busy.query("begin").expect("begun");
    stuck.query("begin").expect("begun");
    pinned.query("listen news").expect("listening");
    pod.process.signal("TERM");
    let told = Instant::now();
    until("readiness withdrawn", || {
        let (code, body) = probe(pod.metrics, "/readyz")?;
        (code == 503 && body.contains("draining")).then_some(())
    });
    let unready = told.elapsed();
    // Nodes that have not heard of it yet still send clients here.
    let mut late = login(&pod);
    assert_eq!(late.value("select 'late'").expect("served"), "late");
    assert_eq!(idle.value("select 'idle'").expect("served"), "idle");
    let served = told.elapsed();
    assert!(served < DELAY, "too slow to tell anything: {served:?}");
    for client in [&mut idle, &mut late] {
        assert_eq!(farewell(client), "57P01");
        let told = told.elapsed();
        assert!(
            told >= DELAY && told < DELAY + LATE,
            "closed after {told:?}"
        );
    }
    let target = Target::tcp("127.0.0.1", pod.port, "app", "app");
    until("nobody who listens", || {
        Client::connect(&target).is_err().then_some(())
    });
    assert_eq!(
        probe(pod.metrics, "/livez").map(|(code, _)| code),
        Some(200)
    );
    assert_eq!(busy.value("select 'on'").expect("it goes on"), "on");
    busy.query("commit").expect("committed");
    assert_eq!(farewell(&mut busy), "57P01");
    let ended = told.elapsed();
    assert!(
        ended < DELAY + DRAIN,
        "before the end of the drain: {ended:?}"
    );
    for client in [&mut stuck, &mut pinned] {
        assert_eq!(farewell(client), "57P01");
    }
    let end = pod.process.wait("its end");
    let all = told.elapsed();
    assert_eq!(end.code(), Some(0), "{}", pod.said());
    assert!(
        all >= DELAY + DRAIN && all < DELAY + DRAIN + LATE,
        "{all:?}"
    );
    eprintln!(
        "not ready after {unready:?}, gone after {all:?} of {:?}",
        DELAY + DRAIN
    );
}

/// Nobody is in a transaction: there is nothing to wait for, however many they are.
#[test]
fn a_pod_with_idle_clients_only_ends_with_the_delay() {
    if Binary::find().is_pgbouncer {
        skip(
            "a_pod_with_idle_clients_only_ends_with_the_delay",
            "PgBouncer has no such delay",
        );
        return;
    }
    let dir = Dir::new("ending", RunAs::myself());
    for clients in [0, 1, 40] {
        let mut pod = start(&dir);
        let mut idle: Vec<Client> = (0..clients).map(|_| login(&pod)).collect();
        for client in &mut idle {
            assert_eq!(client.value("select 1").expect("served"), "1");
        }
        pod.process.signal("TERM");
        let told = Instant::now();
        for client in &mut idle {
            assert_eq!(farewell(client), "57P01");
        }
        drop(idle);
        assert_eq!(pod.process.wait("its end").code(), Some(0));
        let all = told.elapsed();
        assert!(
            all >= DELAY && all < DELAY + DRAIN,
            "{clients} clients: {all:?}\n{}",
            pod.said()
        );
    }
}
