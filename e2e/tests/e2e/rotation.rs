//! Secrets and certificates are rotated under load, and no client notices.
//! PgBouncer reads neither without a reload.

use crate::common::skip;
use crate::http::get;
use plimsoll_e2e::pooler::{Pooler, Settings, user_line};
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::{PASSWORD, Server, program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A change of a watched file is in service within this.
const SEEN: Duration = Duration::from_secs(2);

/// A pooler in our own format before a server of its own, or `None` for PgBouncer.
fn pooler(server: &Server, auth: &str, sections: &str) -> Option<Pooler> {
    let settings = Settings::for_server(server)
        .native(server)
        .own("auth_type", auth)
        .set("default_pool_size", "4")
        // Connections end soon, so that new ones are opened all the time.
        .sections(&format!(
            "[timeouts]\nserver_lifetime = \"500ms\"\n{sections}"
        ));
    let pooler = Pooler::start(settings);
    if pooler.is_pgbouncer() {
        skip("rotation", "PgBouncer reads secrets at reloads only");
        return None;
    }
    Some(pooler)
}

/// The sum of a counter's samples whose labels hold `label`.
fn counted(pooler: &Pooler, family: &str, label: &str) -> u64 {
    let (_, text) = get(pooler, "/metrics");
    text.lines()
        .filter(|l| l.starts_with(family) && l.contains(label))
        .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Logins that the server refused for good, or until the file changes.
fn refused_logins(pooler: &Pooler) -> u64 {
    counted(
        pooler,
        "plimsoll_connections_closed_total",
        "server_login_failed",
    )
}

fn rotations(pooler: &Pooler, kind: &str) -> u64 {
    counted(pooler, "plimsoll_secret_rotations_total", kind)
}

fn refusals(pooler: &Pooler, reason: &str) -> u64 {
    counted(pooler, "plimsoll_secret_refusals_total", reason)
}

/// Waits for a figure, and asserts that it came in time.
fn soon(what: &str, mut look: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    until(what, || look().then_some(()));
    let took = begun.elapsed();
    assert!(took <= SEEN, "{what} took {took:?}");
    took
}

/// As a careful writer does: whole, and at once.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("write");
    std::fs::rename(&new, path).expect("rename");
}

/// What the clients of a load saw.
#[derive(Default)]
struct Seen {
    logins: AtomicU64,
    transactions: AtomicU64,
    slowest_us: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Seen {
    fn failed(&self, what: &str, error: &Error) {
        let mut failures = self.failures.lock().expect("not poisoned");
        failures.push(format!("{what}: {error}"));
    }

    fn good(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// There was load enough to say that nobody noticed.
    fn is_load(&self) -> bool {
        self.logins.load(Ordering::Relaxed) > 50 && self.good() > 100
    }
}

/// Lets the load end, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Half of the clients connect for each transaction, half stay; `during` runs
/// meanwhile and is given the counts.
fn under_load(target: &Target, clients: u32, during: impl FnOnce(&Seen)) -> Seen {
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|scope| {
        let _end = StopAtEnd(&stop);
        for n in 0..clients {
            let (stop, seen) = (&stop, &seen);
            scope.spawn(move || {
                let mut session: Option<Client> = None;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let mut client = match session.take() {
                        Some(client) => client,
                        None => match Client::login(target) {
                            Ok(client) => {
                                seen.logins.fetch_add(1, Ordering::Relaxed);
                                client
                            }
                            Err(error) => {
                                seen.failed("login", &error);
                                continue;
                            }
                        },
                    };
                    let mut step = |sql: &str| client.query(sql).and_then(plimsoll_e2e::raw::rows);
                    let done = step("begin")
                        .and_then(|_| step("select 1"))
                        .and_then(|_| step("commit"));
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    seen.slowest_us.fetch_max(took, Ordering::Relaxed);
                    match done {
                        Ok(_) if n % 2 == 0 => {
                            seen.transactions.fetch_add(1, Ordering::Relaxed);
                            client.terminate();
                        }
                        Ok(_) => {
                            seen.transactions.fetch_add(1, Ordering::Relaxed);
                            session = Some(client);
                        }
                        Err(error) => seen.failed("transaction", &error),
                    }
                }
            });
        }
        during(&seen);
        // Sessions that stay are quicker than those that log in: under load
        // both must have had their turns, or one failed.
        until("enough of the load", || {
            let failed = !seen.failures.lock().expect("not poisoned").is_empty();
            (failed || seen.is_load()).then_some(())
        });
    });
    seen
}

/// All went well, and there was load.
fn nobody_noticed(what: &str, seen: &Seen, pooler: &Pooler) {
    let failures = seen.failures.lock().expect("not poisoned");
    let shown: Vec<&String> = failures.iter().take(5).collect();
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let (logins, transactions) = (count(&seen.logins), count(&seen.transactions));
    eprintln!(
        "{what}: {logins} logins, {transactions} transactions, {} failed, slowest {} ms",
        failures.len(),
        count(&seen.slowest_us) / 1000
    );
    assert!(
        failures.is_empty(),
        "{}: {shown:?}\n{}",
        failures.len(),
        pooler.log()
    );
    assert!(seen.is_load(), "{logins} {transactions}");
}

fn never_logged(pooler: &Pooler, secrets: &[&str]) {
    let log = pooler.log();
    let (_, metrics) = get(pooler, "/metrics");
    for secret in secrets {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{secret}"
        );
    }
}

/// The load goes on for so many transactions.
fn go_on(seen: &Seen, transactions: u64) {
    let goal = seen.good() + transactions;
    until("transactions to go on", || {
        (seen.good() >= goal).then_some(())
    });
}

fn set_password(server: &Server, password: &str) {
    let sql = format!("alter role scram_user password '{password}'");
    server.sql("postgres", &sql);
}

fn rotated_database(server: &Server, how: &str) -> String {
    let port = server.port();
    format!(
        "[database.rot]\nhost = \"127.0.0.1\"\nport = {port}\ndbname = \"app\"\nuser = \"scram_user\"\n{how}\n"
    )
}

#[test]
fn a_roles_password_in_either_order() {
    let server = Server::start();
    let file = server.dir().join("rot.password");
    set_password(&server, "Marker-pw-0");
    std::fs::write(&file, "Marker-pw-0\n").expect("write");
    let how = format!("password_file = \"{}\"", file.display());
    let Some(mut pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
        return;
    };
    let mut slowest = Duration::ZERO;
    let seen = under_load(&pooler.target("rot", "app"), 8, |seen| {
        go_on(seen, 50);
        for round in 1..=3u64 {
            let (first, second) = (format!("Marker-pw-{round}a"), format!("Marker-pw-{round}b"));
            // The role first: for a while the server refuses what the file says.
            set_password(&server, &first);
            let before = refused_logins(&pooler);
            until("the server's refusal", || {
                (refused_logins(&pooler) > before).then_some(())
            });
            replace(&file, &format!("{first}\n"));
            let what = "the file's change to be seen";
            slowest = slowest.max(soon(what, || {
                rotations(&pooler, "password") >= 2 * round - 1
            }));
            go_on(seen, 50);
            // The file first: for a while the server knows the old one only.
            replace(&file, &format!("{second}\n"));
            slowest = slowest.max(soon(what, || rotations(&pooler, "password") >= 2 * round));
            go_on(seen, 50);
            set_password(&server, &second);
            go_on(seen, 50);
        }
    });
    nobody_noticed("role's password, both orders, three times", &seen, &pooler);
    eprintln!("a changed file was in service within {slowest:?}");
    // What cannot be a password stays out; the one in service goes on.
    for (bad, reason) in [
        ("", "empty"),
        ("two\nlines\n", "malformed"),
        ("\u{0}", "malformed"),
    ] {
        let before = refusals(&pooler, reason);
        replace(&file, bad);
        soon("a refusal", || refusals(&pooler, reason) > before);
    }
    std::fs::remove_file(&file).expect("remove");
    let refused = "a refusal of a file that vanished";
    until(refused, || {
        (refusals(&pooler, "unreadable") > 0).then_some(())
    });
    let seen = under_load(&pooler.target("rot", "app"), 4, |seen| go_on(seen, 200));
    nobody_noticed("after bad files", &seen, &pooler);
    // A reload with a bad secret is refused, as ever.
    pooler.signal("HUP");
    until("the reload's refusal", || {
        pooler.log().contains("were not reloaded").then_some(())
    });
    never_logged(&pooler, &["Marker-pw", "two\nlines"]);
}

#[test]
fn a_refused_password_is_read_again_before_any_client_sees_it() {
    let server = Server::start();
    let file = server.dir().join("rot.password");
    for (how, pause) in [
        (format!("password_file = \"{}\"", file.display()), 0),
        (
            format!("password_command = \"cat {}\"", file.display()),
            1100,
        ),
        (
            format!(
                "password_command = [\"cat\", \"{}\"]\npassword_ttl = \"1h\"",
                file.display()
            ),
            1100,
        ),
    ] {
        set_password(&server, "Marker-old");
        std::fs::write(&file, "Marker-old\n").expect("write");
        let Some(pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
            return;
        };
        // What a command has just printed is not asked for again at once.
        let begun = Instant::now();
        let pause = Duration::from_millis(pause);
        until("the answer to be older", || {
            (begun.elapsed() >= pause).then_some(())
        });
        // Nobody has logged in there yet, and the watch has not looked yet.
        set_password(&server, "Marker-new");
        std::fs::write(&file, "Marker-new\n").expect("write");
        let mut client = Client::login(&pooler.target("rot", "app"))
            .unwrap_or_else(|error| panic!("{how}: {error}\n{}", pooler.log()));
        assert_eq!(client.value("select 1").expect("served"), "1", "{how}");
        assert_eq!(rotations(&pooler, "password"), 1, "{how}");
        never_logged(&pooler, &["Marker-"]);
    }
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let server = Server::start();
    let file = server.dir().join("rot.password");
    set_password(&server, "Marker-old");
    std::fs::write(&file, "Marker-old\n").expect("write");
    let how = format!(
        "password_command = \"cat {}\"\npassword_ttl = \"10s\"",
        file.display()
    );
    let Some(pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
        return;
    };
    let begun = Instant::now();
    std::fs::write(&file, "Marker-new\n").expect("write");
    until("the renewal", || {
        (rotations(&pooler, "password") == 1).then_some(())
    });
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    set_password(&server, "Marker-new");
    let mut client = Client::login(&pooler.target("rot", "app")).expect("login");
    assert_eq!(client.value("select 1").expect("served"), "1");
    assert_eq!(refused_logins(&pooler), 0);
    never_logged(&pooler, &["Marker-"]);
}

/// As tokens of a provider's identity service: each is another password, and none
/// is good for long. Here the one before ends as soon as there is a new one, which
/// is harder than what providers do.
#[test]
fn tokens_that_end_are_read_anew_under_load() {
    let server = Server::start();
    let script = server.dir().join("token.sh");
    let text = format!(
        "#!/bin/sh\ntoken=Marker-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \\n')\n\
         {psql} -qX -h {dir} -p {port} -U postgres -d postgres \
         -c \"alter role scram_user password '$token'\" >&2 && echo $token\n",
        psql = program("psql").display(),
        dir = server.dir().display(),
        port = server.port()
    );
    std::fs::write(&script, text).expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("chmod");
    let how = format!(
        "password_command = [\"{}\"]\npassword_ttl = \"10s\"",
        script.display()
    );
    let Some(pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
        return;
    };
    let tokens = if crate::common::full() { 3 } else { 2 };
    let seen = under_load(&pooler.target("rot", "app"), 8, |seen| {
        until("tokens to be renewed", || {
            let failed = !seen.failures.lock().expect("not poisoned").is_empty();
            (failed || rotations(&pooler, "password") >= tokens).then_some(())
        });
        go_on(seen, 100);
    });
    nobody_noticed("tokens that end", &seen, &pooler);
    assert_eq!(refused_logins(&pooler), 0, "{}", pooler.log());
    never_logged(&pooler, &["Marker-"]);
}

#[test]
fn a_wrong_password_is_said_at_once_where_none_ever_fitted() {
    let server = Server::start();
    let file = server.dir().join("rot.password");
    set_password(&server, "Marker-right");
    std::fs::write(&file, "Marker-wrong\n").expect("write");
    let how = format!("password_file = \"{}\"", file.display());
    let Some(pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
        return;
    };
    let begun = Instant::now();
    let error = Client::login(&pooler.target("rot", "app"))
        .err()
        .expect("refused");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        error.to_string().contains("password authentication failed"),
        "{error}"
    );
    // The file is mended: the pause after the refusal does not hold it up.
    replace(&file, "Marker-right\n");
    soon("the mended file", || rotations(&pooler, "password") == 1);
    let mut client = Client::login(&pooler.target("rot", "app")).expect("served");
    assert_eq!(client.value("select 1").expect("served"), "1");
    never_logged(&pooler, &["Marker-"]);
}

#[test]
fn clients_wait_while_only_the_role_has_the_new_password() {
    let server = Server::start();
    let file = server.dir().join("rot.password");
    set_password(&server, "Marker-one");
    std::fs::write(&file, "Marker-one\n").expect("write");
    let how = format!("password_file = \"{}\"", file.display());
    let Some(pooler) = pooler(&server, "trust", &rotated_database(&server, &how)) else {
        return;
    };
    let mut client = Client::login(&pooler.target("rot", "app")).expect("login");
    assert_eq!(client.value("select 1").expect("served"), "1");
    set_password(&server, "Marker-two");
    pooler.console().query("reconnect rot").expect("reconnect");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let begun = Instant::now();
            (client.value("select 2"), begun.elapsed())
        });
        until("several refusals", || {
            (refused_logins(&pooler) >= 4).then_some(())
        });
        let waits = begun.elapsed();
        assert!(!waiter.is_finished(), "it waits, and sees no error");
        replace(&file, "Marker-two\n");
        let (answer, took) = waiter.join().expect("no panic");
        assert_eq!(answer.expect("served"), "2");
        eprintln!("waited {took:?} for a file that came after {waits:?}");
        assert!(took < waits + SEEN, "{took:?}");
    });
}

/// An authority of the test's own.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("certificate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let names = &mut params.distinguished_name;
    names.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("sign")
}

/// A certificate for localhost, and its key.
fn leaf(ca: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).expect("certificate");
    let key = KeyPair::generate().expect("key");
    let cert = params.signed_by(&key, ca).expect("sign");
    (cert.pem(), key.serialize_pem())
}

/// One login with psql, which verifies the certificate and binds the channel.
fn psql(pooler: &Pooler, roots: &Path) -> Result<String, String> {
    let mut conninfo = format!(
        "host=localhost hostaddr=127.0.0.1 port={} dbname=app user=app connect_timeout=20 ",
        pooler.port()
    );
    let _ = write!(
        conninfo,
        "sslmode=verify-full channel_binding=require sslrootcert={}",
        roots.display()
    );
    let out = Command::new(program("psql"))
        .args(["-XAtq", "-d", &conninfo, "-c", "begin; select 'in'; commit"])
        .env("PGPASSWORD", PASSWORD)
        .env("PGSSLCERT", "/nonexistent")
        .output()
        .expect("run psql");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

/// psql after psql until `during` is over; how many, and what failed.
fn psql_load(pooler: &Pooler, roots: &Path, during: impl FnOnce(&AtomicU64)) -> (u64, Vec<String>) {
    let (stop, good, bad) = (
        AtomicBool::new(false),
        AtomicU64::new(0),
        Mutex::new(Vec::new()),
    );
    std::thread::scope(|scope| {
        let _end = StopAtEnd(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    match psql(pooler, roots) {
                        Ok(answer) if answer == "in" => drop(good.fetch_add(1, Ordering::Relaxed)),
                        other => bad.lock().expect("not poisoned").push(format!("{other:?}")),
                    }
                }
            });
        }
        during(&good);
    });
    (good.into_inner(), bad.into_inner().expect("not poisoned"))
}

fn more(good: &AtomicU64, count: u64) {
    let goal = good.load(Ordering::Relaxed) + count;
    until("logins to go on", || {
        (good.load(Ordering::Relaxed) >= goal).then_some(())
    });
}

#[test]
fn the_certificate_that_clients_see() {
    let server = Server::start();
    let (old, new) = (authority("old authority"), authority("new authority"));
    let path = |name: &str| server.dir().join(name);
    let write = |name: &str, text: &str| -> PathBuf {
        std::fs::write(path(name), text).expect("write");
        path(name)
    };
    let (cert, key) = leaf(&old);
    let (cert_file, key_file) = (write("own.pem", &cert), write("own.key", &key));
    let both = write("both.pem", &format!("{}{}", old.pem(), new.pem()));
    let (only_old, only_new) = (write("old.pem", &old.pem()), write("new.pem", &new.pem()));
    let sections = format!(
        "[tls.client]\nmode = \"require\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        cert_file.display(),
        key_file.display()
    );
    let Some(mut pooler) = pooler(&server, "scram-sha-256", &sections) else {
        return;
    };
    assert_eq!(
        psql(&pooler, &only_old).as_deref(),
        Ok("in"),
        "{}",
        pooler.log()
    );
    let (good, bad) = psql_load(&pooler, &both, |good| {
        more(good, 10);
        for round in 1..=4 {
            let (cert, key) = leaf(if round == 4 { &new } else { &old });
            // Two files cannot change at once: between them the pair does not fit.
            replace(&cert_file, &cert);
            if round == 2 {
                let what = "the pair to be refused";
                until(what, || {
                    (refusals(&pooler, "key_mismatch") > 0).then_some(())
                });
            }
            replace(&key_file, &key);
            soon("the new certificate", || {
                rotations(&pooler, "certificate") >= round
            });
            more(good, 10);
        }
        assert!(
            refusals(&pooler, "key_mismatch") > 0,
            "the pair that did not fit"
        );
        // What cannot be used changes nothing.
        let (_, stranger) = leaf(&new);
        let good_key = std::fs::read_to_string(&key_file).expect("read");
        let good_cert = std::fs::read_to_string(&cert_file).expect("read");
        let count = || refusals(&pooler, "");
        for (file, bad) in [
            (&cert_file, "garbage\n"),
            (&cert_file, ""),
            (&key_file, "garbage\n"),
            (&key_file, stranger.as_str()),
            (&key_file, ""),
        ] {
            let before = count();
            replace(file, bad);
            soon("a refusal", || count() > before);
            more(good, 5);
            replace(&cert_file, &good_cert);
            replace(&key_file, &good_key);
        }
    });
    eprintln!(
        "client-facing certificate: {good} logins with channel binding, {} failed",
        bad.len()
    );
    assert!(bad.is_empty(), "{:?}\n{}", bad.first(), pooler.log());
    assert_eq!(rotations(&pooler, "certificate"), 4);
    assert_eq!(psql(&pooler, &only_new).as_deref(), Ok("in"));
    assert!(
        psql(&pooler, &only_old).is_err(),
        "the old certificate is gone"
    );
    let (_, metrics) = get(&pooler, "/metrics");
    assert!(
        metrics
            .contains("plimsoll_certificate_expiry_timestamp_seconds{side=\"client\",role=\"own\"")
    );
    // The settings are untouched: a reload finds nothing to change.
    pooler.signal("HUP");
    until("the reload", || {
        pooler.log().contains("settings reloaded").then_some(())
    });
    assert_eq!(psql(&pooler, &only_new).as_deref(), Ok("in"));
    // A line from the middle of the key in service.
    let key = std::fs::read_to_string(&key_file).expect("read");
    let secret = key.lines().nth(1).expect("a line of the key");
    never_logged(&pooler, &[secret, PASSWORD]);
}

#[test]
fn the_authority_of_servers() {
    let server = Server::start();
    let new = authority("new authority");
    let files = server.certificates().clone();
    let old_ca = std::fs::read_to_string(&files.ca).expect("read");
    let ca_file = server.dir().join("pooler-ca.pem");
    std::fs::write(&ca_file, &old_ca).expect("write");
    let sections = format!(
        "[tls.server]\nmode = \"verify-full\"\nca_file = \"{}\"\n",
        ca_file.display()
    );
    let Some(pooler) = pooler(&server, "trust", &sections) else {
        return;
    };
    let seen = under_load(&pooler.target("app", "app"), 6, |seen| {
        go_on(seen, 50);
        replace(&ca_file, &format!("{old_ca}{}", new.pem()));
        soon("both authorities", || {
            rotations(&pooler, "certificate") == 1
        });
        go_on(seen, 50);
        // The server gets its new certificate. Written in place: it keeps its owner.
        let (cert, key) = leaf(&new);
        std::fs::write(&files.key, &key).expect("write");
        std::fs::write(&files.cert, &cert).expect("write");
        server.sql("postgres", "select pg_reload_conf()");
        go_on(seen, 200);
        replace(&ca_file, &new.pem());
        soon("the new authority alone", || {
            rotations(&pooler, "certificate") == 2
        });
        go_on(seen, 200);
        for (bad, reason) in [("garbage\n", "malformed"), ("", "empty")] {
            replace(&ca_file, bad);
            soon("a refusal", || refusals(&pooler, reason) == 1);
            go_on(seen, 100);
        }
    });
    nobody_noticed("authority of servers", &seen, &pooler);
    let tls = server.sql(
        "postgres",
        "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.datname = 'app' and not s.ssl",
    );
    assert_eq!(tls, [["0"]], "all of them by TLS");
}

#[test]
fn the_user_file() {
    let server = Server::start();
    let Some(pooler) = pooler(&server, "scram-sha-256", "") else {
        return;
    };
    let file = pooler.dir().join("userlist.txt");
    let login = |password: &str| {
        Client::login(&pooler.target("app", "app").password(password)).map(Client::terminate)
    };
    assert!(login(PASSWORD).is_ok());
    replace(&file, &(user_line("app", "Marker-new") + "\n"));
    soon("the new user file", || rotations(&pooler, "password") == 1);
    assert!(login("Marker-new").is_ok());
    assert!(login(PASSWORD).is_err());
    for (bad, reason) in [("", "empty"), ("app Marker-bad\n", "malformed")] {
        replace(&file, bad);
        soon("a refusal", || refusals(&pooler, reason) == 1);
        assert!(login("Marker-new").is_ok(), "the old one stays: {reason}");
    }
    never_logged(&pooler, &["Marker-"]);
}

/// A version of a Secret's directory, and the swap that makes it the one of now,
/// as a kubelet does it.
fn mount(dir: &Path, version: u32, files: &[(&str, &str)]) {
    let name = format!("..version_{version}");
    std::fs::create_dir_all(dir.join(&name)).expect("a directory");
    for (file, text) in files {
        std::fs::write(dir.join(&name).join(file), text).expect("write");
        let link = dir.join(file);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(file), link).expect("link");
        }
    }
    std::os::unix::fs::symlink(&name, dir.join("..data_tmp")).expect("link");
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("swap");
}

#[test]
fn a_rollback_of_settings_touches_no_secret() {
    let server = Server::start();
    let ca = authority("authority");
    let dir = server.dir().join("secrets");
    let roots = server.dir().join("roots.pem");
    std::fs::write(&roots, ca.pem()).expect("write");
    let version = |n: u32| {
        let ((cert, key), password) = (leaf(&ca), format!("Marker-pw-{n}"));
        let files = [
            ("password", &password),
            ("tls.crt", &cert),
            ("tls.key", &key),
        ];
        mount(&dir, n, &files.map(|(name, text)| (name, text.as_str())));
        password
    };
    let first = version(1);
    set_password(&server, &first);
    let sections = format!(
        "[tls.client]\nmode = \"prefer\"\ncert_file = \"{dir}/tls.crt\"\nkey_file = \"{dir}/tls.key\"\n{}",
        rotated_database(
            &server,
            &format!("password_file = \"{}/password\"", dir.display())
        ),
        dir = dir.display(),
    );
    let Some(pooler) = pooler(&server, "scram-sha-256", &sections) else {
        return;
    };
    let say = |arguments: &[&str]| {
        let mut command = Command::new(plimsoll_e2e::pooler::Binary::find().path);
        let socket = pooler.dir().display().to_string();
        command.args(arguments).args(["--socket", &socket]);
        let out = command.output().expect("it runs");
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            out.status.success(),
            "{arguments:?}: {text}\n{}",
            pooler.log()
        );
        assert!(!text.contains("Marker-"), "{text}");
    };
    let text = std::fs::read_to_string(pooler.settings_path()).expect("read");
    let larger = pooler.dir().join("larger.toml");
    std::fs::write(&larger, text.replace("size = 4", "size = 6")).expect("write");
    let larger = larger.to_str().expect("text").to_owned();
    let target = pooler.target("rot", "app").password(PASSWORD);
    let mut by_tls = (0, Vec::new());
    let seen = under_load(&target, 6, |seen| {
        by_tls = psql_load(&pooler, &roots, |good| {
            go_on(seen, 50);
            say(&["apply", &larger, "--yes"]);
            go_on(seen, 50);
            let password = version(2);
            soon("both rotations", || {
                rotations(&pooler, "password") == 1 && rotations(&pooler, "certificate") == 1
            });
            set_password(&server, &password);
            go_on(seen, 50);
            say(&["rollback", "--reason", "a test"]);
            go_on(seen, 200);
            more(good, 10);
        });
    });
    eprintln!(
        "meanwhile by TLS: {} logins, {} failed",
        by_tls.0,
        by_tls.1.len()
    );
    assert!(
        by_tls.1.is_empty(),
        "{:?}\n{}",
        by_tls.1.first(),
        pooler.log()
    );
    nobody_noticed("rotation of both, then a rollback", &seen, &pooler);
    // The new ones serve on: nothing was rotated back.
    assert_eq!(rotations(&pooler, ""), 2);
    let mut client = Client::login(&target).expect("login");
    let console = pooler.target("pgbouncer", "admin").password(PASSWORD);
    let mut console = Client::login(&console).expect("console");
    console.query("reconnect rot").expect("reconnect");
    assert_eq!(client.value("select 1").expect("served"), "1");
    never_logged(&pooler, &["Marker-"]);
}
