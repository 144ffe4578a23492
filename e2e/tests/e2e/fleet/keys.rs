//! Two fleets of one name before one server, with different keys.

use super::{Instance, wait};
use crate::common::{full, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port};
use plimsoll_e2e::server::Server;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Connections that the server gives to anybody but in an emergency: 24, less 3.
const LINE: usize = 21;
/// More clients of each fleet than the half of that.
const CLIENTS: usize = 16;
const NAME: &str = "two_keys";

/// Connections of clients at the server, ours and the monitors' included.
fn held(server: &Server) -> usize {
    let sql = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    server.sql("postgres", sql)[0][0].parse().expect("a count")
}

fn crowd(instance: &Instance, served: &AtomicUsize, stop: &AtomicBool) {
    let target = Target::tcp("127.0.0.1", instance.port, "app", "app");
    let target = target.parameter("application_name", NAME);
    while !stop.load(Ordering::Relaxed) {
        let answer = Client::login(&target).and_then(|mut c| c.value("select pg_sleep(0.02)"));
        served.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
    }
}

#[test]
fn two_fleets_of_one_name_with_different_keys_share_the_line_and_believe_nothing() {
    if Binary::find().is_pgbouncer {
        return skip("fleet", "PgBouncer instances do not know of each other");
    }
    if !full() {
        return skip("fleet", "it starts a PostgreSQL of its own, with E2E_FULL");
    }
    let server = Server::start_with(&["max_connections = 24"]);
    let port = |of: &Server| format!("port = {}\n", of.port());
    let (shared_port, own_port) = (port(crate::common::server()), port(&server));
    let shared = ["one key of the first fleet", "another key of another fleet"].map(|key| {
        let dir = Dir::new("fleet-keys", RunAs::myself());
        std::fs::write(dir.path().join("key"), key).expect("written");
        dir
    });
    let ports = [free_port(), free_port()];
    let peers = format!(
        "peers = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]",
        ports[0], ports[1]
    );
    let start = |n: usize| {
        let listen = format!("127.0.0.1:{}", ports[n]);
        let other = [
            (shared_port.as_str(), own_port.as_str()),
            ("size = 1\n", "size = 16\n"),
        ];
        Instance::with_other(&listen, &peers, "two-keys", shared[n].path(), &other)
    };
    let fleets = [start(0), start(1)];
    wait("each to be refused by the other", || {
        fleets.iter().all(|i| i.sees("refused") == 1)
    });
    let (stop, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let served = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for (instance, served) in fleets.iter().zip(&served) {
            for _ in 0..CLIENTS {
                scope.spawn(|| crowd(instance, served, &stop));
            }
        }
        let _end = super::EndAll(&stop);
        // The view shares the line by the name, whoever has which key.
        wait("both to serve under load", || {
            most.fetch_max(held(&server), Ordering::Relaxed);
            served.iter().all(|n| n.load(Ordering::Relaxed) > 300)
        });
    });
    let most = most.into_inner();
    // Each fleet alone would take more than is left to it.
    assert!((12..=LINE).contains(&most), "{most} of a line of {LINE}");
    for instance in &fleets {
        let (status, log) = (instance.json(), instance.log());
        let fleet = &status["fleet"];
        assert_eq!(fleet["peers"][0]["instance"], "", "nobody's word is taken");
        assert_eq!(
            fleet["settings"].as_array().map(Vec::len),
            Some(1),
            "{fleet}"
        );
        let refused = &fleet["refused"][0];
        assert_eq!(refused["reason"], "seal", "{fleet}");
        // It is said in the log, with what to look at, and not with each message.
        let said = log
            .matches("a message of another instance was refused")
            .count();
        assert!((1..=2).contains(&said), "{said}: {log}");
        assert!(log.contains("another fleet of the same name"), "{log}");
        assert!(!log.contains("panic"), "{log}");
    }
}
