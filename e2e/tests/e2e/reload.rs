//! Settings change all at once or not at all.

use crate::common::pooler_with;
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::Server;

fn setting(console: &mut Client, key: &str) -> String {
    let rows = console.rows("show config").expect("config");
    rows.into_iter()
        .find(|row| row[0] == key)
        .map_or_else(|| "(absent)".into(), |row| row[1].clone())
}

fn start() -> Pooler {
    pooler_with(|settings| {
        settings
            .set("default_pool_size", "7")
            .set("max_client_conn", "345")
            .set("query_wait_timeout", "33")
    })
}

fn serving(pooler: &Pooler) -> (String, String, String) {
    let mut console = pooler.console();
    let config = ["default_pool_size", "max_client_conn", "query_wait_timeout"]
        .map(|key| setting(&mut console, key));
    let [a, b, c] = config;
    (a, b, c)
}

#[test]
fn reload_takes_a_good_file() {
    let mut pooler = start();
    pooler.rewrite(|settings: &mut Settings| {
        settings.keys.insert("default_pool_size".into(), "9".into());
    });
    pooler
        .console()
        .rows("reload")
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(serving(&pooler).0, "9");
    pooler.rewrite(|settings: &mut Settings| {
        settings.keys.insert("default_pool_size".into(), "8".into());
    });
    pooler.signal("HUP");
    until("the new size", || (serving(&pooler).0 == "8").then_some(()));
}

#[test]
fn a_broken_file_changes_nothing_and_the_error_names_the_line() {
    // The text that replaces the line of default_pool_size, and a word that the error must contain.
    let mistakes = [
        (
            "unknown key",
            "default_pool_size = 3\nno_such_key = 1",
            "no_such_key",
        ),
        (
            "not a number",
            "default_pool_size = many",
            "default_pool_size",
        ),
        ("negative", "default_pool_size = -3", "default_pool_size"),
        ("no equals sign", "default_pool_size 3", "default_pool_size"),
        (
            "unknown mode",
            "pool_mode = transactional\ndefault_pool_size = 3",
            "pool_mode",
        ),
        (
            "unknown section",
            "[pgbuoncer]\ndefault_pool_size = 3",
            "pgbuoncer",
        ),
        ("missing include", "%include /no/such/file.ini", "file.ini"),
    ];
    let mut pooler = start();
    let client_target = pooler.target("app", "app");
    let mut session = Client::login(&client_target).expect("login");
    session.query("begin").expect("begin");
    let good = pooler.text();
    for (what, replacement, word) in mistakes {
        let broken = good.replace("default_pool_size = 7", replacement);
        assert_ne!(good, broken);
        let line = broken
            .lines()
            .position(|l| l.contains(word))
            .expect("the line")
            + 1;
        pooler.write_raw(&broken);
        let error = pooler.console().rows("reload").expect_err(what).to_string();
        let log = pooler.log();
        if !pooler.is_pgbouncer() {
            let readable = |text: &str| !text.contains("\\n") && !text.contains("error: ");
            assert!(readable(&error), "{what}: {error}");
            assert!(readable(&log), "{what}: {log}");
        }
        let told = format!("{error}\n{log}");
        assert!(told.contains(word), "{what}: {error}");
        assert!(
            told.contains(&format!(":{line}")) || told.contains(&format!("line {line}")),
            "{what}: no line {line} in {error}"
        );
        assert_eq!(
            serving(&pooler),
            ("7".into(), "345".into(), "33".into()),
            "{what}"
        );
        pooler.signal("HUP");
        assert_eq!(
            serving(&pooler),
            ("7".into(), "345".into(), "33".into()),
            "{what}, by signal"
        );
        assert!(
            Client::login(&client_target).is_ok(),
            "{what}: new clients are served"
        );
    }
    for (what, text) in [
        ("empty", ""),
        (
            "truncated",
            &good[..good.find("max_client_conn").expect("the key") + 5],
        ),
    ] {
        pooler.write_raw(text);
        let _ = pooler.console().rows("reload").expect_err(what);
        assert_eq!(serving(&pooler).1, "345", "{what}");
    }
    std::fs::remove_file(pooler.settings_path()).expect("remove");
    let error = pooler.console().rows("reload").expect_err("a missing file");
    assert!(
        error.to_string().contains("pgbouncer.ini") || pooler.log().contains("pgbouncer.ini"),
        "{error}"
    );
    assert_eq!(serving(&pooler).1, "345");
    assert_eq!(
        session
            .value("select 1")
            .expect("the open transaction goes on"),
        "1"
    );
}

#[test]
fn a_broken_user_file_keeps_every_user() {
    let mut pooler = pooler_with(|settings| settings.set("auth_type", "plain"));
    let login = |pooler: &Pooler| {
        let target = pooler
            .target("app", "app")
            .password(plimsoll_e2e::server::PASSWORD);
        Client::login(&target).map(|_| ())
    };
    login(&pooler).unwrap_or_else(|e| panic!("{e}"));
    pooler.rewrite(|settings| settings.userlist.insert(0, "\"half a line".into()));
    let console = pooler
        .target("pgbouncer", "admin")
        .password(plimsoll_e2e::server::PASSWORD);
    let mut console = Client::login(&console).unwrap_or_else(|e| panic!("{e}"));
    let _ = console.rows("reload");
    login(&pooler).unwrap_or_else(|e| panic!("after the broken file: {e}"));
    until("the file's name in the log", || {
        pooler.log().contains("userlist.txt").then_some(())
    });
}

#[test]
fn a_broken_file_at_the_start_is_a_clear_end() {
    let server = crate::common::server();
    let broken = Settings::for_server(server).set("no_such_key", "1");
    let failure = Pooler::try_start(broken).expect_err("an unknown key");
    assert!(failure.contains("no_such_key"), "{failure}");
    assert!(!failure.contains("panicked"), "{failure}");
}

#[test]
fn a_smaller_pool_converges() {
    let own = Server::start();
    let mut pooler = Pooler::start(Settings::for_server(&own).set("default_pool_size", "6"));
    let target = pooler.target("app", "app");
    let mut clients: Vec<Client> = (0..6)
        .map(|_| Client::login(&target).expect("login"))
        .collect();
    for client in &mut clients {
        client.query("begin").expect("begin");
    }
    assert_eq!(own.connections("app"), 6);
    pooler.rewrite(|settings| {
        settings.keys.insert("default_pool_size".into(), "2".into());
    });
    pooler
        .console()
        .rows("reload")
        .unwrap_or_else(|e| panic!("{e}"));
    for client in &mut clients {
        assert_eq!(client.value("select 1").expect("transactions go on"), "1");
        client.query("commit").expect("commit");
    }
    own.wait_for_connections("app", 2);
}
