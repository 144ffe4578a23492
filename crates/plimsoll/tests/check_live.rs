//! `plimsoll check --database` against a real PostgreSQL, and against hosts
//! that are none.
#![allow(clippy::disallowed_methods)] // Threads and time: a test of IO.

use plimsoll::sandbox::{Options, Sandbox, ServerTls, wait_until};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const PASSWORD: &str = "geheim4711";
const SOON: Duration = Duration::from_secs(30);

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-live-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn pgbouncer(&self, size: u32) {
        let text = format!(
            "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = {size}\ndefault_pool_size = {size}\n"
        );
        fs::write(self.0.join("pgbouncer.ini"), text).expect("a file");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code, standard output, standard error; never the password in them.
fn check(place: &Place, password: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("check").args(arguments).current_dir(&place.0);
    match password {
        Some(password) => command.env("PGPASSWORD", password),
        None => command.env_remove("PGPASSWORD"),
    };
    let output = command.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(
        !out.contains(PASSWORD) && !err.contains(PASSWORD),
        "{out}{err}"
    );
    (output.status.code().unwrap_or(-1), out, err)
}

fn server(options: Options) -> Sandbox {
    let server = Sandbox::start(options).unwrap_or_else(|error| panic!("{error}"));
    server.create_user("app", PASSWORD, "").expect("a user");
    server.create_database("shop", "app").expect("a database");
    server
}

#[test]
fn the_running_server_is_the_measure() {
    let mut options = Options::from_env();
    options.max_connections = 30;
    let server = server(options);
    let place = Place::new("measure");
    place.pgbouncer(40);
    let url = server.url("app", PASSWORD, "shop");
    let (code, out, err) = check(&place, None, &["--database", &url, "pgbouncer.ini"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("error[size-over-server]"), "{out}");
    assert!(
        out.contains("may open 40 connections; the server has 27"),
        "{out}"
    );
    assert!(
        out.contains(&format!("127.0.0.1:{}/shop (pg_settings):", server.port())),
        "{out}"
    );
    assert!(out.contains("max_connections = 30"), "{out}");
    place.pgbouncer(20);
    // Alone, and with the password from the environment; only notes are left.
    let bare = server.url("app", "", "shop").replace("app:@", "app@");
    let (code, out, err) = check(
        &place,
        Some(PASSWORD),
        &["--database", &bare, "pgbouncer.ini"],
    );
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = check(&place, Some(PASSWORD), &["--database", &bare]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("note[idle-transaction-unbounded]"), "{out}");

    // The role's own limit, and a timeout that is switched off for it.
    server
        .psql("shop", "alter role app connection limit 9")
        .expect("a limit");
    server
        .psql(
            "shop",
            "alter role app set idle_in_transaction_session_timeout = 0",
        )
        .expect("off");
    let (code, out, _) = check(&place, None, &["--database", &url, "pgbouncer.ini"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("may open 20 connections; the server has 9"),
        "{out}"
    );
    assert!(out.contains("warning[idle-transaction-unbounded]"), "{out}");
}

#[test]
fn what_others_hold_is_taken_off() {
    let mut options = Options::from_env();
    options.max_connections = 30;
    let server = server(options);
    server.create_user("other", "x", "").expect("a user");
    let place = Place::new("others");
    place.pgbouncer(25);
    let url = server.url("app", PASSWORD, "shop");
    let (code, out, _) = check(&place, None, &["--database", &url, "pgbouncer.ini"]);
    assert_eq!(code, 0, "{out}");
    // Five of another user, asleep until they are ended.
    let mut asleep: Vec<_> = (0..5)
        .map(|_| {
            server
                .command(&server.programs().psql)
                .args(["-X", "-c", "select pg_sleep(60)"])
                .arg(server.url("other", "x", "postgres"))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("psql")
        })
        .collect();
    let held = || {
        let n = server.psql(
            "postgres",
            "select count(*) from pg_stat_activity where usename = 'other'",
        );
        n.is_ok_and(|n| n == "5")
    };
    assert!(wait_until(SOON, held));
    let (code, out, _) = check(&place, None, &["--database", &url, "pgbouncer.ini"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("the server has 22 for ordinary users"),
        "{out}"
    );
    // Somebody who knows says otherwise.
    let (code, out, _) = check(
        &place,
        None,
        &["--others", "1", "--database", &url, "pgbouncer.ini"],
    );
    assert_eq!(code, 0, "{out}");
    for child in &mut asleep {
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn its_files_are_compared_with_what_runs() {
    let server = server(Options::from_env());
    let place = Place::new("files");
    let url = server.url("app", PASSWORD, "shop");
    server
        .psql("postgres", "alter system set max_connections = 7")
        .expect("written");
    // Written, and not even reloaded: only who may read the files sees it.
    let (code, out, err) = check(&place, None, &["--database", &url]);
    assert_eq!(code, 0, "{out}{err}");
    server
        .psql(
            "shop",
            "grant execute on function pg_show_all_file_settings() to app",
        )
        .expect("granted");
    server
        .psql("shop", "grant select on pg_file_settings to app")
        .expect("granted");
    let (code, out, _) = check(&place, None, &["--database", &url]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains(
            "`max_connections` was changed in a file; the server takes it at its next restart"
        ),
        "{out}"
    );
    // Reloaded, every user sees it.
    server
        .psql("postgres", "select pg_reload_conf()")
        .expect("reloaded");
    server
        .psql("shop", "revoke all on pg_file_settings from app")
        .expect("revoked");
    let pending = || {
        let (code, out, _) = check(&place, None, &["--database", &url]);
        code == 1 && out.contains("another value waits for a restart")
    };
    assert!(wait_until(SOON, pending));
    server
        .psql("postgres", "alter system reset max_connections")
        .expect("written");
    // A line that the server refuses.
    let file = server.data_dir().join("postgresql.auto.conf");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(file)
        .expect("its file");
    writeln!(file, "no_such_thing = 1").expect("written");
    server
        .psql("shop", "grant select on pg_file_settings to app")
        .expect("granted");
    let (code, out, _) = check(&place, None, &["--database", &url]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("error[server-differs]: the server cannot apply `no_such_thing`"),
        "{out}"
    );
}

#[test]
fn tls_is_spoken_as_the_url_says() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut options = Options::from_env();
    options.tls = Some(ServerTls {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        client_ca: None,
    });
    let secure = server(options);
    let place = Place::new("tls");
    fs::write(place.0.join("ca.pem"), made.cert.pem()).expect("a file");
    let url = secure.url("app", PASSWORD, "shop");
    for (mode, expected) in [
        ("sslmode=require", 0),
        ("sslmode=disable", 0),
        ("sslmode=verify-full&sslrootcert=ca.pem", 2),
        ("sslmode=verify-ca&sslrootcert=ca.pem", 0),
    ] {
        let (code, out, err) = check(&place, None, &["--database", &format!("{url}?{mode}")]);
        assert_eq!(code, expected, "{mode}: {out}{err}");
    }
    let named = url.replace("127.0.0.1", "localhost");
    let whole = format!("{named}?sslmode=verify-full&sslrootcert=ca.pem");
    let (code, out, err) = check(&place, None, &["--database", &whole]);
    assert_eq!(code, 0, "{out}{err}");
    let plain = server(Options::from_env());
    let url = format!("{}?sslmode=require", plain.url("app", PASSWORD, "shop"));
    let (code, _, err) = check(&place, None, &["--database", &url]);
    assert_eq!(
        (code, err.contains("TLS: the server offers none")),
        (2, true),
        "{err}"
    );
}

#[test]
fn md5_and_clear_passwords_are_answered() {
    for method in ["md5", "password"] {
        let mut options = Options::from_env();
        options
            .settings
            .push("password_encryption = 'md5'".to_owned());
        let server = server(options);
        let hba = server.data_dir().join("pg_hba.conf");
        let text = fs::read_to_string(&hba).expect("its file");
        fs::write(&hba, text.replace("scram-sha-256", method)).expect("written");
        server
            .psql("postgres", "select pg_reload_conf()")
            .expect("reloaded");
        let place = Place::new(method);
        let url = server.url("app", PASSWORD, "shop");
        let (code, out, err) = check(&place, None, &["--database", &url]);
        assert_eq!(code, 0, "{method}: {out}{err}");
    }
}

#[test]
fn what_cannot_be_asked_is_said_and_is_no_verdict() {
    let server = server(Options::from_env());
    server
        .psql("postgres", "create database closed")
        .expect("a database");
    server
        .psql("postgres", "revoke connect on database closed from public")
        .expect("closed");
    let place = Place::new("errors");
    let port = server.port();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = free.local_addr().expect("an address").port();
    drop(free);
    let at = |port: u16, user: &str, database: &str| {
        format!("postgres://{user}@127.0.0.1:{port}/{database}")
    };
    let cases = [
        (
            at(port, &format!("app:{PASSWORD}x"), "shop"),
            "password authentication failed for user \"app\"",
        ),
        (at(port, "app", "shop"), "PGPASSWORD"),
        (at(port, &format!("app:{PASSWORD}"), "nowhere"), "3D000"),
        (
            at(port, &format!("app:{PASSWORD}"), "closed"),
            "GRANT CONNECT",
        ),
        (
            at(dead, &format!("app:{PASSWORD}"), "shop"),
            "cannot be reached",
        ),
        (
            format!("postgres://app:{PASSWORD}@no-such-host.invalid/shop"),
            "has no address",
        ),
        (
            format!("postgres://app:{PASSWORD}@127.0.0.1:{port}/shop?sslmode=maybe"),
            "sslmode",
        ),
        (
            format!("mysql://app:{PASSWORD}@127.0.0.1/shop"),
            "postgres://",
        ),
    ];
    for (url, words) in cases {
        let (code, out, err) = check(&place, None, &["--database", &url]);
        assert_eq!(code, 2, "{words}: {out}{err}");
        assert!(err.contains(words), "{words}: {err}");
        assert_eq!(out, "");
    }
}

/// Peers that say nothing, or something else.
#[test]
fn a_host_that_is_no_postgresql_is_given_up_in_time() {
    let place = Place::new("silent");
    for answer in ["", "N", "HTTP/1.1 400 Bad Request\r\n\r\n", "S"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.write_all(answer.as_bytes());
            // It stays silent until the other side leaves.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{port}/shop?connect_timeout=1");
        let begun = Instant::now();
        let (code, _, err) = check(&place, None, &["--database", &url]);
        assert_eq!(code, 2, "{answer:?}: {err}");
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{answer:?}: {err}"
        );
        peer.join().expect("it ends");
    }
}
