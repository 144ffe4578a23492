//! TLS on both sides, as libpq sees it.

use crate::common::{pooler_with, server};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::server::program;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connects with psql; the answer to a question, or its error.
fn psql(port: u16, user: &str, options: &str) -> Result<String, String> {
    let conninfo = format!(
        "host=localhost hostaddr=127.0.0.1 port={port} dbname=app user={user} connect_timeout=10 {options}"
    );
    let out = Command::new(program("psql"))
        .args(["-XAtq", "-d", &conninfo, "-c", "select 'in'"])
        .env("PGSSLCERT", "/nonexistent")
        .output()
        .expect("run psql");
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

#[test]
fn towards_clients_in_every_mode() {
    let files = server().certificates();
    let ca = format!("sslrootcert={}", files.ca.display());
    let foreign = format!("sslrootcert={}", files.foreign_ca.display());
    let own = format!(
        "sslcert={} sslkey={}",
        files.client_cert.display(),
        files.client_key.display()
    );
    // The pooler's mode; libpq's words; who gets in.
    let rows = [
        ("disable", "sslmode=disable".to_owned(), true),
        ("disable", "sslmode=prefer".to_owned(), true),
        ("disable", "sslmode=require".to_owned(), false),
        ("allow", "sslmode=disable".to_owned(), true),
        ("prefer", "sslmode=disable".to_owned(), true),
        ("prefer", "sslmode=require".to_owned(), true),
        ("prefer", format!("sslmode=verify-full {ca}"), true),
        ("prefer", format!("sslmode=verify-ca {foreign}"), false),
        ("require", "sslmode=disable".to_owned(), false),
        ("require", "sslmode=allow".to_owned(), true),
        ("require", "sslmode=require".to_owned(), true),
        ("require", format!("sslmode=verify-full {ca}"), true),
        ("verify-ca", "sslmode=require".to_owned(), false),
        ("verify-ca", format!("sslmode=require {own}"), true),
        (
            "verify-full",
            format!("sslmode=verify-full {ca} {own}"),
            true,
        ),
        ("verify-full", "sslmode=disable".to_owned(), false),
    ];
    let mut last: Option<(&str, plimsoll_e2e::pooler::Pooler)> = None;
    for (mode, options, serves) in rows {
        if last.as_ref().is_none_or(|(m, _)| *m != mode) {
            last = Some((mode, pooler_with(|settings| with_tls(settings, mode))));
        }
        let pooler = &last.as_ref().expect("started").1;
        let answer = psql(pooler.port(), "app", &options);
        assert_eq!(
            answer.is_ok(),
            serves,
            "client_tls_sslmode={mode}, psql {options}: {answer:?}\n{}",
            pooler.log()
        );
    }
}

/// PgBouncer runs as another user and needs key files that it can read.
fn with_tls(
    settings: plimsoll_e2e::pooler::Settings,
    mode: &str,
) -> plimsoll_e2e::pooler::Settings {
    if mode == "disable" {
        return settings;
    }
    settings.client_tls(mode, server().certificates())
}

#[test]
fn a_unix_socket_needs_no_tls_in_any_mode() {
    for mode in ["require", "verify-full"] {
        let pooler = pooler_with(|settings| with_tls(settings, mode));
        let login = |target| Client::login(&target).and_then(|mut c| c.value("select 'in'"));
        let near = login(pooler.unix_target("app", "app"));
        assert_eq!(near.as_deref().ok(), Some("in"), "{mode}: {near:?}");
        let far = login(pooler.target("app", "app")).expect_err("no TLS");
        let said = ["SSL required", "only TLS"];
        assert!(
            said.iter().any(|text| far.to_string().contains(text)),
            "{far}"
        );
    }
}

#[test]
fn a_client_certificate_is_a_login() {
    let files = server().certificates();
    let pooler = pooler_with(|settings| {
        let line = format!("app = host=127.0.0.1 port={} user=app", server().port());
        let users = ["tls_user", "app"].map(|user| plimsoll_e2e::pooler::user_line(user, ""));
        with_tls(settings, "verify-full")
            .set("auth_type", "cert")
            .databases(&[&line])
            .userlist(&users)
    });
    let own = format!(
        "sslmode=require sslcert={} sslkey={}",
        files.client_cert.display(),
        files.client_key.display()
    );
    let answer = psql(pooler.port(), "tls_user", &own);
    assert_eq!(answer.as_deref(), Ok("in"), "{}", pooler.log());
    assert!(
        psql(pooler.port(), "app", &own).is_err(),
        "another's certificate"
    );
    assert!(
        psql(pooler.port(), "tls_user", "sslmode=require").is_err(),
        "no certificate"
    );
    assert!(
        Client::login(&pooler.unix_target("app", "tls_user")).is_err(),
        "nor at the unix socket, where there is no TLS to show one"
    );
}

#[test]
fn towards_servers_in_every_mode() {
    let files = server().certificates();
    let ca = |path: &Path| path.to_string_lossy().into_owned();
    // Mode, authority, host, and whether the connection must come about; and with TLS?
    let rows = [
        ("disable", None, "127.0.0.1", Some(false)),
        ("allow", None, "127.0.0.1", None),
        ("prefer", None, "127.0.0.1", Some(true)),
        ("require", None, "127.0.0.1", Some(true)),
        ("verify-ca", Some(ca(&files.ca)), "127.0.0.1", Some(true)),
        ("verify-full", Some(ca(&files.ca)), "localhost", Some(true)),
    ];
    for (mode, authority, host, encrypted) in rows {
        let (answer, log) = ask(mode, authority.as_deref(), host);
        let seen = answer.unwrap_or_else(|e| panic!("{mode}: {e}\n{log}"));
        if let Some(encrypted) = encrypted {
            assert_eq!(seen == "t", encrypted, "{mode}: ssl = {seen}");
        }
    }
    let foreign = ca(&files.foreign_ca);
    for (mode, authority, host) in [
        ("verify-ca", Some(foreign.as_str()), "127.0.0.1"),
        ("verify-full", Some(foreign.as_str()), "localhost"),
    ] {
        let (answer, _) = ask(mode, authority, host);
        assert!(
            answer.is_err(),
            "{mode} with a foreign authority: {answer:?}"
        );
    }
}

/// libpq's rules: allow begins without TLS, prefer with it, and both try the other way once a login was refused.
#[test]
fn a_refused_login_is_tried_the_other_way() {
    let rows = [
        ("disable", "tls_only", None),
        ("allow", "tls_only", Some("t")),
        ("prefer", "tls_only", Some("t")),
        ("require", "tls_only", Some("t")),
        ("disable", "plain_only", Some("f")),
        ("allow", "plain_only", Some("f")),
        ("prefer", "plain_only", Some("f")),
        ("require", "plain_only", None),
    ];
    for (mode, user, expected) in rows {
        let (answer, log) = ask_as(user, mode, None, "127.0.0.1", server().port());
        match expected {
            Some(ssl) => assert_eq!(answer.as_deref(), Ok(ssl), "{mode} as {user}\n{log}"),
            None => assert!(answer.is_err(), "{mode} as {user}: {answer:?}"),
        }
    }
    let (answer, _) = ask_as("refused", "allow", None, "127.0.0.1", server().port());
    let error = answer.expect_err("both ways are refused");
    assert!(
        error.contains("pg_hba.conf rejects connection") && error.contains("other way"),
        "{error}"
    );
}

/// A server that agrees to TLS and cannot do it: prefer goes on without, once; stricter modes never do.
#[test]
fn a_failed_handshake_is_tried_without_tls_by_prefer_alone() {
    for (mode, served) in [("prefer", true), ("require", false)] {
        let broken = BrokenTls::before(server().port());
        let (answer, log) = ask_as("app", mode, None, "127.0.0.1", broken.port);
        assert_eq!(answer.is_ok(), served, "{mode}: {answer:?}\n{log}");
        let (tls, plain) = broken.seen();
        if served {
            assert_eq!((tls, plain), (1, 1), "one attempt each way");
        } else {
            assert!(
                tls > 0 && plain == 0,
                "{mode} went without TLS: {tls}, {plain}"
            );
        }
    }
}

/// In front of PostgreSQL: answers SSLRequest with 'S' and nonsense, and passes on what is in the clear.
struct BrokenTls {
    port: u16,
    tls: Arc<AtomicUsize>,
    plain: Arc<AtomicUsize>,
}

impl BrokenTls {
    fn before(server: u16) -> BrokenTls {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (tls, plain) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&tls), Arc::clone(&plain));
        // Ends with the test's process; it waits for connections only.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counts = counts.clone();
                std::thread::spawn(move || broken_tls_client(client, server, &counts));
            }
        });
        BrokenTls { port, tls, plain }
    }

    fn seen(&self) -> (usize, usize) {
        (
            self.tls.load(Ordering::Relaxed),
            self.plain.load(Ordering::Relaxed),
        )
    }
}

type Counts = (Arc<AtomicUsize>, Arc<AtomicUsize>);

fn broken_tls_client(mut client: TcpStream, server: u16, (tls, plain): &Counts) {
    let mut first = [0; 8];
    if client.read_exact(&mut first).is_err() {
        return;
    }
    if first[..] == message::ssl_request()[..] {
        tls.fetch_add(1, Ordering::Relaxed);
        let _ = client.write_all(b"S");
        let _ = client.write_all(b"this is no TLS record at all, whatever was promised");
        return;
    }
    plain.fetch_add(1, Ordering::Relaxed);
    let Ok(mut upstream) = TcpStream::connect(("127.0.0.1", server)) else {
        return;
    };
    let _ = upstream.write_all(&first);
    let (mut from, mut to) = (
        upstream.try_clone().expect("clone"),
        client.try_clone().expect("clone"),
    );
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut client, &mut upstream);
}

fn ask(mode: &str, authority: Option<&str>, host: &str) -> (Result<String, String>, String) {
    ask_as("app", mode, authority, host, server().port())
}

/// Whether PostgreSQL sees TLS, as `user`; and what the pooler logged.
fn ask_as(
    user: &str,
    mode: &str,
    authority: Option<&str>,
    host: &str,
    port: u16,
) -> (Result<String, String>, String) {
    let line = format!("app = host={host} port={port}");
    let pooler = pooler_with(|settings| {
        let settings = settings
            .databases(&[&line])
            .set("server_tls_sslmode", mode)
            .set("query_wait_timeout", "3");
        match authority {
            Some(path) => settings.set("server_tls_ca_file", path),
            None => settings,
        }
    });
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let answer = Client::login(&pooler.target("app", user))
        .and_then(|mut client| client.value(sql))
        .map_err(|error| error.to_string());
    (answer, pooler.log())
}

/// Bytes sent in the clear behind SSLRequest must never be taken for the encrypted session's.
#[test]
fn nothing_may_follow_an_ssl_request_in_the_clear() {
    let pooler = pooler_with(|settings| with_tls(settings, "prefer"));
    let target = pooler.target("app", "app");
    let mut client = Client::connect(&target).expect("connect");
    let mut bytes = message::ssl_request();
    bytes.extend(message::startup(3 << 16, &target.parameters));
    client.send(&bytes).expect("send");
    client.finish_sending();
    let mut answer = Vec::new();
    while let Ok(byte) = client.read_byte() {
        answer.push(byte);
    }
    assert!(
        !answer.windows(5).any(|w| w == b"Z\0\0\0\x05"),
        "logged in by injected bytes"
    );
}
