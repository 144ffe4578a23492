//! The checklist of `drivers/checklist/README.md`: connected with TLS and SCRAM, one driver after the other.

use super::output;
use crate::common::{database, pooler_with, server, skip};
use plimsoll_e2e::checklist::{libpq, php, postgres_js, ruby, rust_drivers};
use plimsoll_e2e::pooler::Pooler;
use plimsoll_e2e::server::PASSWORD;
use plimsoll_e2e::toolchain::programs;
use std::path::PathBuf;
use std::process::Command;

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
    let [direct, pooled] =
        [("direct", server().port()), ("pooled", pooler.port())].map(|(way, port)| {
            let mut command = command();
            command
                .env("PGHOST", "localhost")
                // Both listen there; ::1 has another port's listener, if any.
                .env("PGHOSTADDR", "127.0.0.1")
                .env("PGPORT", port.to_string())
                .env("PGDATABASE", &database)
                .env("PGUSER", "scram_user")
                .env("PGPASSWORD", PASSWORD)
                .env("PGSSLMODE", "verify-full")
                .env("PGSSLROOTCERT", &server().certificates().ca);
            output(&mut command, &format!("{name}, {way}"))
        });
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
fn postgres_js_of_npm() {
    program("postgres_js", postgres_js(), |modules| {
        let mut command = Command::new("node");
        command
            .arg(file("postgres.mjs"))
            .env("NODE_PATH", modules.join("node_modules"));
        command
    });
}

#[test]
fn sqlx() {
    program("sqlx", rust_drivers(), |path| {
        let mut command = Command::new(path);
        command.arg("sqlx");
        command
    });
}

#[test]
fn diesel() {
    program("diesel", rust_drivers(), |path| {
        let mut command = Command::new(path);
        command.arg("diesel");
        command
    });
}
