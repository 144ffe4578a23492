//! Cancel: exact, or nothing.

use crate::common::{full, pooler_with, server};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::raw::{Client, Error, cancel, message};
use plimsoll_e2e::sandbox::until;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn client(pooler: &Pooler) -> Client {
    Client::login(&pooler.target("app", "app")).unwrap_or_else(|e| panic!("{e}"))
}

fn wait_until_running(tag: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where state = 'active' and query like '%{tag}%' and pid <> pg_backend_pid()"
    );
    until("the statement to run", || {
        (server().sql("postgres", &sql)[0][0] != "0").then_some(())
    });
}

#[test]
fn a_running_statement_is_cancelled() {
    let pooler = pooler_with(|settings| settings);
    let mut a = client(&pooler);
    a.send(&message::query("select pg_sleep(60) /* running_one */"))
        .expect("send");
    wait_until_running("running_one");
    cancel(&pooler.target("app", "app"), &a.cancel_request()).expect("cancel");
    let error = plimsoll_e2e::raw::rows(a.read_to_ready().expect("answer")).expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
    assert_eq!(a.value("select 1").expect("usable"), "1");
}

/// PostgreSQL 18 gives such keys itself; before it, only the pooler does.
#[test]
fn the_long_key_of_protocol_3_2_cancels_straight_and_pooled() {
    let pooler = pooler_with(|settings| settings);
    let straight = server().target("app", "app");
    let newest = server().sql(
        "app",
        "select current_setting('server_version_num')::int >= 180000",
    );
    let ways = [
        (straight, newest[0][0] == "t"),
        (pooler.target("app", "app"), true),
    ];
    for (target, _) in ways.into_iter().filter(|(_, long)| *long) {
        let target = target.version(3, 2);
        let mut a = Client::login(&target).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(a.key.as_ref().map(|(_, secret)| secret.len()), Some(32));
        a.send(&message::query("select pg_sleep(60) /* long_key */"))
            .expect("send");
        wait_until_running("long_key");
        cancel(&target, &a.cancel_request()).expect("cancel");
        let answer = plimsoll_e2e::raw::rows(a.read_to_ready().expect("answer"));
        assert_eq!(answer.expect_err("cancelled").code(), "57014");
    }
}

#[test]
fn a_wrong_key_does_nothing() {
    let pooler = pooler_with(|settings| settings);
    let mut a = client(&pooler);
    a.send(&message::query(
        "select pg_sleep(0.7), 'done' /* wrong_key */",
    ))
    .expect("send");
    wait_until_running("wrong_key");
    let (pid, secret) = a.key.clone().expect("key");
    let mut other = secret.clone();
    other[0] ^= 1;
    for (pid, secret) in [
        (pid, other),
        (pid ^ 1, secret.clone()),
        (pid, Vec::new()),
        (0, vec![0; 300]),
    ] {
        let _ = cancel(&pooler.target("app", "app"), &message::cancel(pid, &secret));
    }
    let rows = plimsoll_e2e::raw::rows(a.read_to_ready().expect("answer"));
    assert_eq!(rows.expect("not cancelled")[0][1], "done");
}

#[test]
fn a_waiting_client_is_taken_out_of_the_queue() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "1"));
    let mut holder = client(&pooler);
    holder.query("begin").expect("begin");
    let mut waiter = client(&pooler);
    waiter
        .send(&message::query("insert into never values (1)"))
        .expect("send");
    let mut console = pooler.console();
    until("the client to wait", || {
        let rows = console.rows("show pools").expect("pools");
        rows.iter()
            .any(|row| row[0] == "app" && row[3] == "1")
            .then_some(())
    });
    cancel(&pooler.target("app", "app"), &waiter.cancel_request()).expect("cancel");
    // The answer comes while the holder still holds; PgBouncer closes, we answer and keep the session.
    match waiter.read_to_ready() {
        Ok(messages) => {
            let error = plimsoll_e2e::raw::rows(messages).expect_err("an error");
            assert_eq!(error.code(), "57014", "{error}");
            holder.query("commit").expect("commit");
            assert_eq!(waiter.value("select 2").expect("usable"), "2");
        }
        Err(error) => {
            assert!(pooler.is_pgbouncer() && !error.timed_out(), "{error}");
        }
    }
}

#[test]
fn a_cancel_of_an_idle_client_does_nothing() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "1"));
    let mut idle = client(&pooler);
    assert_eq!(idle.value("select 1").expect("select"), "1");
    let mut busy = client(&pooler);
    busy.send(&message::query(
        "select pg_sleep(0.7), 'mine' /* others_query */",
    ))
    .expect("send");
    wait_until_running("others_query");
    for _ in 0..5 {
        cancel(&pooler.target("app", "app"), &idle.cancel_request()).expect("cancel");
    }
    let rows = plimsoll_e2e::raw::rows(busy.read_to_ready().expect("answer"));
    assert_eq!(rows.expect("not cancelled")[0][1], "mine");
    assert_eq!(idle.value("select 3").expect("select"), "3");
}

/// Many victims send short statements and cancels of themselves at any moment, late ones included; the bystanders on
/// the same server connection must never be hit, and every answer must be the asker's own.
#[test]
fn late_cancels_never_hit_another_client() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "1"));
    let stop = AtomicBool::new(false);
    let (hits, served) = (AtomicU32::new(0), AtomicU32::new(0));
    let time = Duration::from_secs(if full() { 60 } else { 3 });
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (pooler, stop, hits) = (&pooler, &stop, &hits);
            scope.spawn(move || victim(pooler, n, stop, hits));
        }
        let bystanders: Vec<_> = (0..4)
            .map(|n| {
                let (pooler, stop, served) = (&pooler, &stop, &served);
                scope.spawn(move || bystander(pooler, n, stop, served))
            })
            .collect();
        let over = || bystanders.iter().any(|b| b.is_finished());
        plimsoll_e2e::sandbox::until_deadline(time, &mut || over().then_some(()));
        stop.store(true, Ordering::Relaxed);
    });
    let (hits, served) = (hits.into_inner(), served.into_inner());
    eprintln!("cancels that hit their own statement: {hits}; bystanders' statements: {served}");
    assert!(served > 20, "bystanders starve: {served}");
}

fn victim(pooler: &Pooler, n: u32, stop: &AtomicBool, hits: &AtomicU32) {
    let mut me = client(pooler);
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let nap = [0.0, 0.001, 0.02][round % 3];
        me.send(&message::query(&format!(
            "select 'victim {n} {round}', pg_sleep({nap})"
        )))
        .expect("send");
        let request = me.cancel_request();
        let target = pooler.target("app", "app");
        std::thread::scope(|scope| {
            scope.spawn(|| cancel(&target, &request));
            match plimsoll_e2e::raw::rows(me.read_to_ready().expect("an answer")) {
                Ok(rows) => assert_eq!(rows[0][0], format!("victim {n} {round}")),
                Err(error) => {
                    assert_eq!(error.code(), "57014", "{error}");
                    hits.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

fn bystander(pooler: &Pooler, n: u32, stop: &AtomicBool, served: &AtomicU32) {
    let mut me = client(pooler);
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let mine = format!("bystander {n} {round}");
        match me.value(&format!("select '{mine}', pg_sleep(0.002)")) {
            Ok(value) => assert_eq!(value, mine),
            Err(error @ Error::Server(_)) => panic!("a bystander was hit: {error}"),
            Err(error) => panic!("{error}"),
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pooler that passes cancels on to these ports.
fn with_peers(ports: &[u16]) -> Pooler {
    let peers: Vec<String> = ports.iter().map(|p| format!("\"127.0.0.1:{p}\"")).collect();
    let sections = format!("[fleet]\ncancel_peers = [{}]\n", peers.join(", "));
    pooler_with(|settings| settings.native(server()).sections(&sections))
}

#[test]
fn a_cancel_that_reaches_another_instance_is_passed_on() {
    let one = pooler_with(|settings| settings);
    let mut a = client(&one);
    a.send(&message::query("select pg_sleep(60) /* elsewhere_one */"))
        .expect("send");
    wait_until_running("elsewhere_one");
    // Nobody listens at the first peer.
    let two = with_peers(&[plimsoll_e2e::sandbox::free_port(), one.port()]);
    cancel(&two.target("app", "app"), &a.cancel_request()).expect("cancel");
    let error = plimsoll_e2e::raw::rows(a.read_to_ready().expect("answer")).expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
    // What the other instance knows nothing of either hurts nobody.
    cancel(
        &two.target("app", "app"),
        &message::cancel(77, &[1, 2, 3, 4]),
    )
    .expect("ends");
    assert_eq!(a.value("select 1").expect("usable"), "1");
}

/// The code of a cancel request that was passed on.
const FORWARDED: [u8; 4] = *b"PLIM";

#[test]
fn a_cancel_is_passed_on_once_and_a_silent_peer_takes_no_more_than_its_share() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let pooler = with_peers(&[listener.local_addr().expect("bound").port()]);
    let target = pooler.target("app", "app");
    let unknown = message::cancel(77, &[1, 2, 3, 4]);
    // Passed on by another instance: it ends here. Would it go on, it came first to the listener.
    let mut forwarded = unknown.clone();
    forwarded[4..8].copy_from_slice(&FORWARDED);
    cancel(&target, &forwarded).expect("ends at once");
    let arrived = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&arrived);
    // Who listens here never answers, and keeps what came until the test ends.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut packet = [0; 16];
            (&stream).read_exact(&mut packet).expect("a whole packet");
            assert_eq!(packet[4..8], FORWARDED);
            assert_eq!(packet[8..], [0, 0, 0, 77, 1, 2, 3, 4]);
            count.fetch_add(1, Ordering::Relaxed);
            kept.push(stream);
        }
    });
    let ended = Arc::new(AtomicU32::new(0));
    for _ in 0..40 {
        let (target, unknown, ended) = (target.clone(), unknown.clone(), Arc::clone(&ended));
        std::thread::spawn(move || {
            let _ = cancel(&target, &unknown);
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    until("those beyond the bound are let go", || {
        (ended.load(Ordering::Relaxed) >= 40 - MOST_UNDER_WAY).then_some(())
    });
    until("the others arrive", || {
        (arrived.load(Ordering::Relaxed) > 0).then_some(())
    });
    assert!(arrived.load(Ordering::Relaxed) <= MOST_UNDER_WAY);
    // Those that hang hold up no cancel of a client here.
    let mut here = client(&pooler);
    here.send(&message::query("select pg_sleep(60) /* not_held_up */"))
        .expect("send");
    wait_until_running("not_held_up");
    let begun = Instant::now();
    cancel(&target, &here.cancel_request()).expect("cancel");
    let error =
        plimsoll_e2e::raw::rows(here.read_to_ready().expect("answer")).expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
    assert!(begun.elapsed() < PEER_SILENT / 2, "{:?}", begun.elapsed());
    assert_eq!(client(&pooler).value("select 1").expect("it serves"), "1");
}

/// A peer that is silent for so long is given up.
const PEER_SILENT: Duration = Duration::from_secs(10);

/// Cancels that are being passed on at a time by a worker, and workers.
const MOST_UNDER_WAY: u32 = 16 * 2;
