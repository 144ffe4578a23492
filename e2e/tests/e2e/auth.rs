//! Who may come in: every way to prove it, and the same answer to every way of failing.

use crate::common::{pooler_with, server};
use plimsoll_e2e::pooler::{Pooler, user_line};
use plimsoll_e2e::raw::{Client, Error, Target, message};
use plimsoll_e2e::server::PASSWORD;

fn md5_secret(user: &str) -> String {
    // The hash that follows is what PostgreSQL itself stores for the user.
    server().sql(
        "postgres",
        &format!(
            "select 'md5' || md5('{}' || '{user}')",
            PASSWORD.replace('\'', "''")
        ),
    )[0][0]
        .clone()
}

fn login(target: &Target) -> Result<String, Error> {
    Client::login(target)?.value("select current_user")
}

struct Row {
    auth_type: &'static str,
    secret: Secret,
    /// The pooler can log in at the server with what it knows.
    serves: bool,
}

enum Secret {
    Plain,
    Md5,
    Verifier,
}

#[test]
fn every_stored_secret_with_every_auth_type() {
    use Secret::{Md5, Plain, Verifier};
    let row = |auth_type, secret, serves| Row {
        auth_type,
        secret,
        serves,
    };
    let rows = [
        row("scram-sha-256", Plain, true),
        row("scram-sha-256", Verifier, true),
        row("md5", Plain, true),
        row("md5", Md5, true),
        row("md5", Verifier, true),
        row("plain", Plain, true),
        row("plain", Md5, true),
        row("trust", Plain, true),
    ];
    for Row {
        auth_type,
        secret,
        serves,
    } in rows
    {
        let user = if matches!(secret, Md5) {
            "md5_user"
        } else {
            "scram_user"
        };
        let (kind, stored) = match secret {
            Plain => ("plain", PASSWORD.to_owned()),
            Md5 => ("md5", md5_secret(user)),
            Verifier => ("verifier", server().stored_secret(user)),
        };
        let pooler = pooler_with(|settings| {
            settings
                .set("auth_type", auth_type)
                .userlist(&[user_line(user, &stored), user_line("Odd 'name", "x\"y")])
        });
        let what = format!("auth_type {auth_type}, stored {kind}");
        let target = pooler.target("app", user);
        for target in [target.clone(), pooler.unix_target("app", user)] {
            let answer = login(&target.password(PASSWORD));
            match (answer, serves) {
                (Ok(name), true) => assert_eq!(name, user, "{what}"),
                (Err(error), _) => panic!("{what}: {error}\n{}", pooler.log()),
                (Ok(_), false) => panic!("{what}: served"),
            }
        }
        if auth_type == "trust" {
            continue;
        }
        // Twice, so that a cached derivation is asked too.
        for wrong in ["wrong", "", PASSWORD.trim_end_matches('"'), "wrong"] {
            let error = login(&target.clone().password(wrong)).expect_err(&what);
            assert!(
                matches!(error, Error::Server(_)),
                "{what}, password {wrong:?}: {error}"
            );
        }
        assert!(
            login(&target.password(PASSWORD)).is_ok(),
            "{what}: after failures"
        );
        assert!(
            !pooler.log().contains(PASSWORD),
            "{what}: the password is in the log"
        );
    }
}

#[test]
fn unknown_user_and_wrong_password_look_the_same() {
    for auth_type in ["scram-sha-256", "md5", "plain"] {
        let pooler = pooler_with(|settings| {
            settings
                .set("auth_type", auth_type)
                .userlist(&[user_line("scram_user", PASSWORD)])
        });
        let answer = |user: &str| match login(&pooler.target("app", user).password("wrong")) {
            Err(Error::Server(fields)) => (
                fields.code().to_owned(),
                fields.message().replace(user, "USER"),
            ),
            other => panic!("{auth_type}, {user}: {other:?}"),
        };
        assert_eq!(answer("scram_user"), answer("no_such_user"), "{auth_type}");
    }
}

#[test]
fn an_empty_stored_password_lets_nobody_in() {
    for auth_type in ["scram-sha-256", "md5", "plain"] {
        let pooler = pooler_with(|settings| {
            settings
                .set("auth_type", auth_type)
                .userlist(&[user_line("app", "")])
        });
        for password in ["", "x"] {
            assert!(
                login(&pooler.target("app", "app").password(password)).is_err(),
                "{auth_type}: {password:?}"
            );
        }
    }
}

#[test]
fn odd_names_and_passwords_survive_quoting() {
    let pooler = pooler_with(|settings| {
        settings
            .set("auth_type", "scram-sha-256")
            .userlist(&[user_line("Odd 'name", "a\"b c;#%ü")])
    });
    let target = pooler.target("app", "Odd 'name");
    let name = login(&target.password("a\"b c;#%ü")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(name, "Odd 'name");
}

#[test]
fn users_by_query() {
    server().sql(
        "app",
        "create schema if not exists auth; create or replace function auth.lookup(n text) returns table (u name, p text)
         language sql security definer as 'select usename, passwd from pg_shadow where usename = n'",
    );
    let pooler = pooler_with(|settings| {
        settings
            .set("auth_type", "scram-sha-256")
            .set("auth_user", "app")
            .set("auth_query", "select u, p from auth.lookup($1)")
            .userlist(&[user_line("app", PASSWORD)])
    });
    let target = pooler.target("app", "scram_user");
    let name = login(&target.clone().password(PASSWORD)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(name, "scram_user");
    assert!(login(&target.password("wrong")).is_err());
    let unknown = pooler.target("app", "no' or true --").password(PASSWORD);
    assert!(login(&unknown).is_err());
}

#[test]
fn unknown_database_is_refused_with_its_name() {
    let pooler = pooler_with(|settings| {
        let line = format!("known = host=127.0.0.1 port={} dbname=app", server().port());
        settings.databases(&[&line])
    });
    assert!(login(&pooler.target("known", "app")).is_ok());
    match Client::login(&pooler.target("unknown_one", "app")) {
        Err(Error::Server(fields)) => {
            assert_eq!(fields.field(b'S'), "FATAL");
            assert!(fields.message().contains("unknown_one"), "{fields}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("served"),
    }
}

#[test]
fn a_database_missing_at_the_server_gives_the_servers_error() {
    let pooler = pooler_with(|settings| settings);
    let mut answer = Client::login(&pooler.target("not_there", "app")).map(|_| ());
    if answer.is_ok() {
        answer = login(&pooler.target("not_there", "app")).map(|_| ());
    }
    let error = answer.expect_err("an error");
    assert!(error.to_string().contains("not_there"), "{error}");
}

/// The rounds that the pooler names to this user.
fn rounds(pooler: &Pooler, user: &str) -> String {
    let target = pooler.target("app", user);
    let mut client = Client::connect(&target).expect("connects");
    let start = message::startup(target.version, &target.parameters);
    client.send(&start).expect("start-up");
    assert_eq!(client.read().expect("mechanisms").tag, b'R');
    let first = message::sasl_initial("SCRAM-SHA-256", b"n,,n=,r=abcdefghijklmnopqr");
    client.send(&first).expect("the first message");
    let answer = client.read().expect("salt and rounds").body;
    let text = String::from_utf8_lossy(&answer[4..]).into_owned();
    let rounds = text.split(',').find_map(|part| part.strip_prefix("i="));
    rounds.expect("rounds").to_owned()
}

#[test]
fn rounds_of_plain_passwords_are_as_stated_and_the_same_for_unknown_users() {
    let pooler = pooler_with(|settings| {
        settings
            .set("auth_type", "scram-sha-256")
            .set("scram_iterations", "5000")
    });
    if pooler.is_pgbouncer() {
        return; // Newer than Debian's.
    }
    let target = pooler.target("app", "app").password(PASSWORD);
    let admin = pooler.target("pgbouncer", "admin").password(PASSWORD);
    let mut console = Client::login(&admin).expect("console");
    for wanted in ["5000", "6000"] {
        let set = format!("set scram_iterations = {wanted}");
        console.rows(&set).expect("set");
        assert!(Client::login(&target).is_ok(), "{wanted}");
        assert_eq!(rounds(&pooler, "app"), wanted);
        assert_eq!(rounds(&pooler, "not_there"), wanted);
    }
}
