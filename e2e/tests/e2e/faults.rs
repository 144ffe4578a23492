//! Killed backends, restarted servers, a pooler that is told to go.

use crate::common::{pooler_with, server};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::{Client, Error, message, rows};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn client(pooler: &Pooler) -> Client {
    Client::login(&pooler.target("app", "app")).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_terminated_backend_is_one_clients_error() {
    let pooler = pooler_with(|settings| settings);
    let mut victim = client(&pooler);
    let pid = victim.value("begin; select pg_backend_pid()").expect("pid");
    let mut other = client(&pooler);
    assert_eq!(other.value("select 1").expect("served"), "1");
    server().sql("postgres", &format!("select pg_terminate_backend({pid})"));
    until("the backend's end", || {
        let sql = format!("select count(*) from pg_stat_activity where pid = {pid}");
        (server().sql("postgres", &sql)[0][0] == "0").then_some(())
    });
    let answer = victim.query("select 1").and_then(rows);
    assert!(
        answer.is_err(),
        "the transaction's backend is gone, yet: {answer:?}"
    );
    assert_eq!(other.value("select 2").expect("undisturbed"), "2");
    let mut next = client(&pooler);
    assert_eq!(next.value("select 3").expect("served"), "3");
}

#[test]
fn idle_backends_killed_are_noticed_before_they_are_lent() {
    let pooler = pooler_with(|settings| settings);
    let mut a = client(&pooler);
    for _ in 0..5 {
        let pid = a.value("select pg_backend_pid()").expect("served");
        server().sql("postgres", &format!("select pg_terminate_backend({pid})"));
        until("the backend's end", || {
            let sql = format!("select count(*) from pg_stat_activity where pid = {pid}");
            (server().sql("postgres", &sql)[0][0] == "0").then_some(())
        });
        // The pooler reads the server's farewell while it is idle; wait until its console shows that.
        let mut console = pooler.console();
        until("the pooler to notice", || {
            let servers = console.rows("show servers").expect("servers");
            servers
                .iter()
                .all(|row| row.iter().all(|column| *column != pid))
                .then_some(())
        });
        assert_eq!(a.value("select 1").expect("served by another"), "1");
    }
}

/// Lets the load end, also when the test fails: scoped threads are waited for.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clients under load; each failure must be an error, and after the trouble all is as before.
fn load_through(
    trouble: impl FnOnce(&mut Server),
    pooler: &Pooler,
    own: &mut Server,
) -> (u64, u64) {
    let stop = AtomicBool::new(false);
    let (good, bad) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (stop, good, bad) = (&stop, &good, &bad);
            scope.spawn(move || {
                let mut session: Option<Client> = None;
                let mut round = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    let mut me = match session.take() {
                        Some(client) => client,
                        None => match Client::login(&pooler.target("app", "app")) {
                            Ok(client) => client,
                            Err(_) => {
                                bad.fetch_add(1, Ordering::Relaxed);
                                continue;
                            }
                        },
                    };
                    let mine = format!("{n} {round}");
                    match me.value(&format!("select '{mine}'")) {
                        Ok(value) => {
                            assert_eq!(value, mine, "another's answer");
                            good.fetch_add(1, Ordering::Relaxed);
                            session = Some(me);
                        }
                        Err(error) => {
                            assert!(!error.timed_out(), "a client hangs");
                            bad.fetch_add(1, Ordering::Relaxed);
                            if matches!(&error, Error::Server(fields) if fields.field(b'S') == "ERROR") {
                                session = Some(me);
                            }
                        }
                    }
                }
            });
        }
        let _stop = StopAtEnd(&stop);
        until("load", || {
            (good.load(Ordering::Relaxed) > 100).then_some(())
        });
        trouble(own);
        let before = good.load(Ordering::Relaxed);
        until("all is normal again", || {
            (good.load(Ordering::Relaxed) > before + 500).then_some(())
        });
    });
    (good.into_inner(), bad.into_inner())
}

#[test]
fn a_server_restart_under_load() {
    let mut own = Server::start();
    let settings = Settings::for_server(&own).set("query_wait_timeout", "15");
    let pooler = Pooler::start(settings.set("default_pool_size", "4"));
    let (good, bad) = load_through(
        |own| {
            own.stop("INT");
            own.start_again();
        },
        &pooler,
        &mut own,
    );
    eprintln!("restart: {good} served, {bad} errors");
    for _ in 0..20 {
        assert_eq!(client(&pooler).value("select 1").expect("normal"), "1");
    }
}

#[test]
fn a_crash_of_the_server_under_load() {
    let mut own = Server::start();
    let settings = Settings::for_server(&own).set("query_wait_timeout", "15");
    let pooler = Pooler::start(settings.set("default_pool_size", "4"));
    let (good, bad) = load_through(
        |own| {
            let pid = own.sql("app", "select pid from pg_stat_activity where usename = 'app' and datname = 'app' limit 1");
            // PostgreSQL answers the violent end of one backend by ending all and recovering.
            own.signal_backend(pid[0][0].parse().expect("pid"), "KILL");
        },
        &pooler,
        &mut own,
    );
    eprintln!("kill -9 of a backend: {good} served, {bad} errors");
    // Whether a client sees it depends on who was in the middle of a statement; that it happened must be sure.
    // The server writes it down in its own time.
    until("the server to tell of the backend that was killed", || {
        let told = own.log().contains("was terminated by signal 9");
        told.then_some(())
    });
}

#[test]
fn the_pooler_starts_while_the_database_is_down() {
    let mut own = Server::start();
    own.stop("INT");
    let pooler = Pooler::start(
        Settings::for_server(&own)
            .set("query_wait_timeout", "20")
            .set("server_login_retry", "1"),
    );
    let mut console = pooler.console();
    assert!(console.rows("show databases").is_ok());
    let begin = Instant::now();
    let early = Client::login(
        &pooler
            .target("app", "app")
            .patience(Duration::from_secs(40)),
    )
    .and_then(|mut client| client.value("select 1"));
    let error = early.expect_err("the database is down");
    assert!(
        matches!(error, Error::Server(_)),
        "not told what is wrong: {error}"
    );
    if !pooler.is_pgbouncer() {
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "it waited: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("server login has been failing, cached error: 127.0.0.1:"),
            "{text}"
        );
        until("both lines of the log", || {
            let log = pooler.log();
            let line = |what: &str, reason: &str| {
                log.lines().any(|l| l.contains(what) && l.contains(reason))
            };
            (line("cannot open a server connection", "server_connect_failed")
                && line("clients were refused", "server_down"))
            .then_some(())
        });
    }
    own.start_again();
    until("service", || {
        Client::login(&pooler.target("app", "app"))
            .ok()?
            .value("select 1")
            .ok()
    });
}

/// In our own words, to a client that keeps its session.
#[test]
fn a_server_that_stays_away_is_told_with_when_and_what_to_do() {
    let mut own = Server::start();
    let pooler = Pooler::start(Settings::for_server(&own).native(&own));
    if pooler.is_pgbouncer() {
        return;
    }
    let port = own.port();
    own.stop("INT");
    let error = Client::login(&pooler.target("app", "app"))
        .map(|_| ())
        .expect_err("nobody listens");
    let text = error.to_string();
    assert_eq!(error.code(), "08006", "{text}");
    for part in [
        "the database server cannot be reached",
        &format!("Last error, just now: 127.0.0.1:{port}: Connection refused"),
        "server_login_retry",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// A restart is no error: who asks meanwhile waits, and for not much longer than it takes.
#[test]
fn a_short_restart_is_waited_out() {
    let mut own = Server::start();
    let pooler = Pooler::start(
        Settings::for_server(&own)
            .set("server_login_retry", "60")
            .set("query_wait_timeout", "100"),
    );
    if pooler.is_pgbouncer() {
        return;
    }
    let mut waiting = client(&pooler);
    assert_eq!(waiting.value("select 1").expect("served"), "1");
    own.stop("INT");
    waiting
        .send(&message::query("select 'after'"))
        .expect("send");
    until("an attempt to fail", || {
        let log = pooler.log();
        log.contains("cannot open a server connection")
            .then_some(())
    });
    own.start_again();
    let begin = Instant::now();
    let answer = rows(waiting.read_to_ready().expect("an answer")).expect("no error");
    assert_eq!(answer[0][0], "after");
    // The pause between attempts has not grown to server_login_retry.
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
}

/// TERM as our own settings have it; what PgBouncer does is in `console_commands`.
fn draining(settings: Settings) -> Settings {
    match Binary::find().is_pgbouncer {
        true => settings,
        false => settings.own("signals", "drain"),
    }
}

#[test]
fn sigterm_lets_transactions_end() {
    let mut pooler = pooler_with(draining);
    if pooler.is_pgbouncer() {
        // Older ones exit at once on TERM and end gracefully on INT.
        pooler.signal("INT");
    } else {
        let mut busy = client(&pooler);
        busy.query("begin").expect("begin");
        let mut idle = client(&pooler);
        assert_eq!(idle.value("select 1").expect("served"), "1");
        pooler.signal("TERM");
        let farewell = idle.read_to_end().expect("the idle one is told");
        let codes: Vec<String> = farewell
            .iter()
            .map(|m| m.fields().code().to_owned())
            .collect();
        assert_eq!(codes, ["08P01"]);
        assert_eq!(
            busy.value("select 'still here'")
                .expect("the transaction goes on"),
            "still here"
        );
        busy.query("commit").expect("commit");
        let farewell = busy.read_to_end().expect("then it is told");
        assert_eq!(
            farewell
                .last()
                .map(|m| m.fields().code().to_owned())
                .as_deref(),
            Some("08P01")
        );
    }
    let end = pooler.wait();
    assert_eq!(end.code(), Some(0), "{}", pooler.log());
}

#[test]
fn sigterm_while_a_statement_runs() {
    let mut pooler = pooler_with(draining);
    if pooler.is_pgbouncer() {
        crate::common::skip(
            "sigterm_while_a_statement_runs",
            "this PgBouncer ends at once on TERM",
        );
        return;
    }
    let mut busy = client(&pooler);
    busy.send(&message::query(
        "select pg_sleep(0.5), 'finished' /* term_runs */",
    ))
    .expect("send");
    until("the statement to run", || {
        let sql = "select count(*) from pg_stat_activity where query like '%term_runs%' and pid <> pg_backend_pid()";
        (server().sql("postgres", sql)[0][0] != "0").then_some(())
    });
    pooler.signal("TERM");
    let answer = rows(busy.read_to_ready().expect("the answer comes"));
    assert_eq!(answer.expect("a row")[0][1], "finished");
    assert_eq!(pooler.wait().code(), Some(0));
}
