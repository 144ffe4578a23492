//! What etcd is for beside the ledger: instances find each other, and settings come from a key.

use super::{Instance, wait};
use crate::common::{full, skip};
use etcd::{Client, Put, Range, Settings};
use plimsoll_e2e::etcd::Etcd;
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::Target;
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port};
use std::future::Future;
use std::path::Path;

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn started(test: &str) -> Option<Etcd> {
    if Binary::find().is_pgbouncer {
        skip(test, "PgBouncer knows no etcd");
        return None;
    }
    Etcd::start().map_err(|why| skip(test, &why)).ok()
}

fn client(etcd: &Etcd) -> Client {
    Client::new(Settings::at([etcd.url()])).expect("settings")
}

fn section(etcd: &Etcd) -> String {
    format!("[etcd]\nendpoints = [\"{}\"]\n[server]\n", etcd.url())
}

#[test]
fn instances_find_each_other_in_etcd_and_go_on_without_it() {
    let Some(mut etcd) = started("instances that find each other in etcd") else {
        return;
    };
    let shared = Dir::new("fleet-etcd", RunAs::myself());
    std::fs::write(shared.path().join("key"), "a key of all instances").expect("written");
    let section = section(&etcd);
    let start = || {
        let listen = format!("127.0.0.1:{}", free_port());
        let other = [("[server]\n", section.as_str())];
        let found = "discover = \"etcd\"";
        Instance::with_other(&listen, found, "etcd-test", shared.path(), &other)
    };
    let fleet = [start(), start()];
    wait("both to hear each other", || {
        fleet.iter().all(|i| i.sees("ok") == 1)
    });
    let seats = run(async {
        client(&etcd)
            .range(&Range::prefix("plimsoll/fleet/etcd-test/"))
            .await
    });
    let seats = seats.expect("a range").kvs;
    assert!(
        seats.len() == 2 && seats.iter().all(|kv| kv.lease != 0),
        "{seats:?}"
    );
    if !full() {
        return;
    }
    // What etcd said last holds, and that is said.
    etcd.kill();
    let problem = |i: &Instance| i.json()["fleet"]["problem"].as_str().map(str::to_owned);
    wait("it to be said that etcd is away", || {
        fleet
            .iter()
            .all(|i| problem(i).is_some_and(|p| p.contains("etcd")))
    });
    assert!(fleet.iter().all(|i| i.sees("ok") == 1));
    etcd.start_again();
    let third = start();
    wait("the third one to be found by all", || {
        third.sees("ok") == 2
            && fleet
                .iter()
                .all(|i| i.sees("ok") == 2 && problem(i).is_none())
    });
}

/// The settings of an instance, with other ones in them, as somebody puts them there.
fn text(of: &Path, size: u32) -> String {
    let own = std::fs::read_to_string(of.join("plimsoll.toml")).expect("settings");
    own.replace("[pool]\nsize = 1\n", &format!("[pool]\nsize = {size}\n"))
}

fn put(etcd: &Etcd, value: &str) {
    let put = Put::new("plimsoll/settings", value);
    run(async { client(etcd).put(&put).await }).expect("put");
}

fn serves(instance: &Instance, size: &str) -> bool {
    let target = Target::tcp("127.0.0.1", instance.port, "pgbouncer", "admin");
    let mut console = plimsoll_e2e::raw::Client::login(&target).expect("a console");
    let rows = plimsoll_e2e::raw::rows(console.query("SHOW CONFIG").expect("answered"));
    let rows = rows.expect("rows");
    let found = rows.iter().find(|row| row[0] == "default_pool_size");
    found.expect("the setting")[1] == size
}

fn settings(instance: &Instance, key: &str) -> String {
    let status = instance.json();
    status[key].as_str().unwrap_or_default().to_owned()
}

#[test]
fn settings_come_from_a_key_in_etcd_and_a_bad_text_or_none_changes_nothing() {
    let Some(mut etcd) = started("settings in etcd") else {
        return;
    };
    let shared = Dir::new("fleet-etcd-settings", RunAs::myself());
    std::fs::write(shared.path().join("key"), "a key of all instances").expect("written");
    let section = section(&etcd);
    let ports = [free_port(), free_port()];
    let peers = ports.map(|p| format!("\"127.0.0.1:{p}\"")).join(", ");
    let start = |n: usize| {
        let listen = format!("127.0.0.1:{}", ports[n]);
        let other = [
            ("[server]\n", section.as_str()),
            ("source = \"store\"", "source = \"etcd\"\nwatch = \"1s\""),
        ];
        let peers = format!("peers = [{peers}]");
        Instance::with_other(&listen, &peers, "etcd-settings", shared.path(), &other)
    };
    let mut fleet = vec![start(0), start(1)];
    wait("that the key is missing", || {
        fleet
            .iter()
            .all(|i| settings(i, "drift").contains("is not in etcd"))
    });
    put(&etcd, &text(fleet[0].dir.path(), 3));
    wait("both to serve it", || fleet.iter().all(|i| serves(i, "3")));
    assert!(
        fleet
            .iter()
            .all(|i| i.client().value("select 7").expect("served") == "7")
    );
    wait("it to be applied", || {
        fleet.iter().all(|i| i.json()["open"].is_null())
    });
    // Half a text, and then none at all.
    let whole = text(fleet[0].dir.path(), 4);
    put(&etcd, &whole[..whole.len() / 2]);
    wait("that it is half a text", || {
        fleet
            .iter()
            .all(|i| settings(i, "drift").contains("half a text"))
    });
    if let Err(why) = etcd.control(&["del", "plimsoll/settings"]) {
        return skip("settings that are gone", &why);
    }
    wait("that it is gone", || {
        fleet
            .iter()
            .all(|i| settings(i, "drift").contains("is not in etcd"))
    });
    assert!(fleet.iter().all(|i| serves(i, "3")));
    if full() {
        without_etcd(&mut etcd, &mut fleet);
    }
}

fn without_etcd(etcd: &mut Etcd, fleet: &mut Vec<Instance>) {
    put(etcd, &text(fleet[0].dir.path(), 3));
    wait("the text again", || {
        fleet.iter().all(|i| settings(i, "drift").is_empty())
    });
    etcd.kill();
    wait("that etcd is away", || {
        fleet
            .iter()
            .all(|i| settings(i, "etcd").contains("not heard"))
    });
    // A restart serves what came last.
    let Instance {
        mut process,
        dir,
        port,
    } = fleet.remove(0);
    process.signal("TERM");
    process.wait("its end");
    let again = Instance::run(dir, port);
    assert!(serves(&again, "3"));
    etcd.start_again();
    put(etcd, &text(again.dir.path(), 5));
    wait("both to follow again", || {
        serves(&again, "5") && serves(&fleet[0], "5")
    });
    // Instances that serve the same text are alike, whatever is their own.
    wait("one version everywhere", || {
        let status = again.json();
        status["fleet"]["settings"]
            .as_array()
            .is_some_and(|s| s.len() == 1)
    });
}
