//! The sandbox against the real PostgreSQL of this machine. Where there is
//! none these tests fail, with the name of the package to install.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll::sandbox::{Options, Sandbox, SandboxError, ServerTls, wait_until};

/// Longer than any healthy wait here, shorter than the patience of CI.
const SOON: Duration = Duration::from_secs(30);

const WHO_AM_I: &str = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()";

fn start(options: Options) -> Sandbox {
    match Sandbox::start(options) {
        Ok(sandbox) => sandbox,
        Err(error) => panic!("{error}"),
    }
}

/// `psql` by TCP, as an application would: with a user, a password and a TLS mode.
fn by_tcp(server: &Sandbox, user: &str, password: &str, more: &str) -> Result<String, String> {
    let connection = format!(
        "host=127.0.0.1 port={} dbname=postgres user={user} password={password} {more}",
        server.port()
    );
    let output = server
        .command(&server.programs().psql)
        .args(["-X", "-A", "-t", "-c", WHO_AM_I])
        .arg(connection)
        .stdin(Stdio::null())
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[test]
fn it_serves_its_users_and_nobody_else() {
    let mut options = Options::from_env();
    options.max_connections = 17;
    options.settings.push("work_mem = '7MB'".to_owned());
    let server = start(options);

    server
        .create_user("anna", "it's \\ \"secret\"", "connection limit 3")
        .expect("a user");
    server
        .create_database("an \"odd\" name", "anna")
        .expect("a database");
    assert_eq!(
        server
            .psql("an \"odd\" name", "show max_connections")
            .as_deref()
            .ok(),
        Some("17")
    );
    assert_eq!(
        server.psql("postgres", "show work_mem").as_deref().ok(),
        Some("7MB")
    );

    server.create_user("bert", "right", "").expect("a user");
    assert_eq!(
        by_tcp(&server, "bert", "right", ""),
        Ok("bert|f".to_owned())
    );
    let refused = by_tcp(&server, "bert", "wrong", "").expect_err("a wrong password");
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    let refused = by_tcp(&server, "postgres", "x", "").expect_err("no password was ever set");
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
}

#[test]
fn an_sql_error_is_an_error_and_two_servers_do_not_meet() {
    let (one, two) = (start(Options::from_env()), start(Options::from_env()));
    assert_ne!(one.port(), two.port());
    one.psql(
        "postgres",
        "create table t(i int); insert into t values (1)",
    )
    .expect("a table");
    let error = two
        .psql("postgres", "select * from t")
        .expect_err("no such table there");
    assert!(
        matches!(&error, SandboxError::Psql(text) if text.contains("does not exist")),
        "{error}"
    );
}

#[test]
fn what_was_committed_is_there_after_a_stop_and_after_a_kill() {
    let mut server = start(Options::from_env());
    let port = server.port();
    server
        .psql("postgres", "create table t(i int)")
        .expect("a table");

    for (round, kill) in [(1, false), (2, true), (3, true)] {
        server
            .psql("postgres", &format!("insert into t values ({round})"))
            .expect("a row");
        if kill {
            server.kill()
        } else {
            server.stop()
        }
        assert!(!server.is_running());
        assert!(
            server.psql("postgres", "select 1").is_err(),
            "it still answers"
        );
        server.restart().expect("a restart");
        assert_eq!(server.port(), port);
        let rows = server
            .psql("postgres", "select count(*) from t")
            .expect("an answer");
        assert_eq!(rows, round.to_string());
    }
}

#[test]
fn dropping_it_leaves_nothing() {
    let server = start(Options::from_env());
    let (directory, port) = (server.socket_dir().to_path_buf(), server.port());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(server);
    assert!(!directory.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_setting_that_postgresql_refuses_is_shown_with_the_servers_own_words() {
    let mut options = Options::from_env();
    let base = Base::new("refused");
    options.base = Some(base.0.clone());
    options.settings.push("no_such_setting = 1".to_owned());
    let error = Sandbox::start(options).expect_err("an unknown setting");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    assert_eq!(base.entries(), 0, "a failed start left its directory");
}

#[test]
fn without_postgresql_the_message_says_what_to_install() {
    let mut options = Options::from_env();
    options.places.pgbin = Some("/nonexistent/bin".into());
    let error = Sandbox::start(options).expect_err("nothing there");
    assert!(matches!(error, SandboxError::NotFound(_)));
    assert!(
        error.to_string().contains("apt-get install postgresql"),
        "{error}"
    );
}

#[test]
fn tls_is_on_when_a_certificate_is_given() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut options = Options::from_env();
    options.tls = Some(ServerTls {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        client_ca: Some(made.cert.pem()),
    });
    let server = start(options);
    server.create_user("anna", "pw", "").expect("a user");
    assert_eq!(
        by_tcp(&server, "anna", "pw", "sslmode=require"),
        Ok("anna|t".to_owned())
    );
    assert_eq!(
        by_tcp(&server, "anna", "pw", "sslmode=disable"),
        Ok("anna|f".to_owned())
    );
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[expect(clippy::print_stdout, reason = "the next test reads it")]
fn held_until_killed() {
    let Some(base) = std::env::var_os("PLIMSOLL_TEST_HOLD_SANDBOX") else {
        return;
    };
    let mut options = Options::from_env();
    options.base = Some(base.into());
    let server = start(options);
    println!(
        "\nholding {} {}",
        server.port(),
        server.pid().expect("it runs")
    );
    // The other side never writes: this returns only when it ends before us.
    std::io::stdin().read_line(&mut String::new()).ok();
}

#[test]
fn a_killed_owner_leaves_neither_server_nor_directory() {
    let base = Base::new("killed");
    let mut owner = Command::new(std::env::current_exe().expect("our own path"))
        .args([
            "--exact",
            "held_until_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("PLIMSOLL_TEST_HOLD_SANDBOX", &base.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a second process");
    let output = BufReader::new(owner.stdout.take().expect("piped"));
    let line = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("holding ").map(str::to_owned))
        .expect("the owner reports its server");
    let port = line
        .split(' ')
        .next()
        .and_then(|p| p.parse::<u16>().ok())
        .expect("a port");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(base.entries(), 1);

    owner.kill().expect("kill -9");
    owner.wait().expect("it ended");

    assert!(
        wait_until(SOON, || base.entries() == 0),
        "the directory stayed"
    );
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "the server stayed"
    );
}

/// A parent directory for sandboxes, in which leftovers can be counted.
struct Base(PathBuf);

impl Base {
    fn new(name: &str) -> Base {
        let path = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        // The server may run as another user: it must be able to pass through.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, open).expect("a mode");
        Base(path)
    }

    fn entries(&self) -> usize {
        count(&self.0)
    }
}

fn count(path: &Path) -> usize {
    std::fs::read_dir(path).map(Iterator::count).unwrap_or(0)
}

impl Drop for Base {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
