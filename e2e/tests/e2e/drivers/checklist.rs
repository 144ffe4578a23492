//! The checklist of `drivers/checklist/README.md`: connected with TLS and SCRAM, one driver after the other.

use super::{output, tell_security};
use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::checklist::{go, libpq, php, postgres_js, ruby, rust_drivers};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::server;
use plimsoll_e2e::toolchain::{jdbc, node, programs, python};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// TLS, SCRAM, and fewer connections than a program with a pool of its own has.
fn pooler() -> Pooler {
    pooler_with(|settings| {
        settings
            .client_tls("require", server().certificates())
            .set("auth_type", "scram-sha-256")
            .set("default_pool_size", "3")
            .own("pin_share_percent", "100")
    })
}

/// Runs a program straight and pooled: the same output.
fn check(name: &str, command: impl Fn() -> Command) {
    let database = database(format!("checklist_{name}"));
    server().sql(&database, "grant all on schema public to public");
    let pooler = pooler();
    let told = |port: u16| {
        let mut command = command();
        command
            .env("PGHOST", "localhost")
            // Both listen there; ::1 has another port's listener, if any.
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGPORT", port.to_string())
            .env("PGDATABASE", &database)
            .env("PGUSER", "scram_user");
        tell_security(&mut command);
        command
    };
    let direct = output(&mut told(server().port()), &format!("{name}, direct"));
    let pooled = output(&mut told(pooler.port()), &format!("{name}, pooled"));
    assert_eq!(direct, pooled, "{name}");
    for line in [
        "connected as scram_user",
        "prepared ",
        "error ",
        "large 64 rows 16777216 bytes",
    ] {
        assert!(
            direct.contains(line),
            "{name} does not say `{line}`:\n{direct}"
        );
    }
    // It does look at the certificate.
    let mut foreign = told(pooler.port());
    foreign.env("PGSSLROOTCERT", &server().certificates().foreign_ca);
    let said = foreign.stderr(Stdio::null()).output().expect("run it");
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(!said.contains("connected"), "{name}, foreign: {said}");
}

fn program(name: &str, path: Result<PathBuf, String>, command: impl Fn(&PathBuf) -> Command) {
    match path {
        Ok(path) => check(name, || command(&path)),
        Err(why) => skip(name, &why),
    }
}

fn file(name: &str) -> PathBuf {
    programs().join("checklist").join(name)
}

#[test]
fn libpq_in_c() {
    program("libpq", libpq(), |path| Command::new(path));
}

#[test]
fn php_pgsql() {
    program("php", php(), |path| {
        let mut command = Command::new(path);
        command.arg(file("php.php"));
        command
    });
}

#[test]
fn ruby_pg() {
    program("ruby_pg", ruby(), |path| {
        let mut command = Command::new(path);
        command.arg(file("ruby_pg.rb"));
        command
    });
}

#[test]
fn psql() {
    check("psql", || {
        let mut command = Command::new("sh");
        command.arg(file("psql.sh")).arg(server::program("psql"));
        command
    });
}

fn python_program(name: &str, of: &str) {
    program(name, python(), |path| {
        let mut command = Command::new(path);
        command.arg(file(of)).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
}

#[test]
fn psycopg3() {
    python_program("psycopg3", "psycopg3.py");
}

#[test]
fn asyncpg() {
    python_program("asyncpg", "asyncpg_.py");
}

#[test]
fn sqlalchemy() {
    python_program("sqlalchemy", "sqlalchemy_.py");
}

fn node_program(name: &str, modules: Result<PathBuf, String>, of: &str) {
    program(name, modules, |modules| {
        let mut command = Command::new("node");
        let modules = modules.join("node_modules");
        command.arg(file(of)).env("NODE_PATH", modules);
        command
    });
}

#[test]
fn node_pg() {
    node_program("node_pg", node(), "node_pg.mjs");
}

#[test]
fn postgres_js_of_npm() {
    node_program("postgres_js", postgres_js(), "postgres.mjs");
}

#[test]
fn pgjdbc() {
    program("pgjdbc", jdbc(), |archive| {
        let mut command = Command::new("java");
        command
            .args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp"])
            .args([archive, &file("Jdbc.java")]);
        command
    });
}

/// One of several drivers in one program.
fn one_of(name: &str, path: Result<PathBuf, String>, word: &str) {
    program(name, path, |path| {
        let mut command = Command::new(path);
        command.arg(word);
        command
    });
}

#[test]
fn go_lib_pq() {
    one_of("go_lib_pq", go(), "pq");
}

#[test]
fn go_pgx() {
    one_of("go_pgx", go(), "pgx");
}

#[test]
fn sqlx() {
    one_of("sqlx", rust_drivers(), "sqlx");
}

#[test]
fn diesel() {
    one_of("diesel", rust_drivers(), "diesel");
}

#[test]
fn tokio_postgres() {
    one_of("tokio_postgres", rust_drivers(), "tokio-postgres");
}
