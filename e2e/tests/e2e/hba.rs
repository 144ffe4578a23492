//! Host-based rules and ident maps: who gets in from where, and what it is told.

use crate::common::{pooler_with, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings, user_line};
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs};
use plimsoll_e2e::server::{PASSWORD, program};
use std::process::Command;

/// A pooler with rules and maps in files of the directory.
fn ruled(rules: &str, maps: &str, change: impl FnOnce(Settings) -> Settings) -> (Pooler, Dir) {
    let dir = Dir::new("hba", RunAs::myself());
    let write = |name: &str, text: &str| {
        let path = dir.write(name, text, RunAs::myself(), 0o644);
        path.to_string_lossy().into_owned()
    };
    let (hba, ident) = (write("hba.conf", rules), write("ident.conf", maps));
    write("names", "app, scram_user # two of them\n");
    let pooler = pooler_with(|settings| {
        let settings = settings.set("auth_type", "hba").set("auth_hba_file", &hba);
        let settings = match maps {
            "" => settings,
            _ => settings.set("auth_ident_file", &ident),
        };
        change(settings)
    });
    (pooler, dir)
}

/// Debian's PgBouncer 1.18 knows neither SCRAM nor `all` addresses nor maps in its rules.
fn is_old() -> bool {
    let old = Binary::find().is_pgbouncer;
    if old {
        skip("host-based rules", "PgBouncer 1.18 reads few of these");
    }
    old
}

/// Logs in with the password: in, or the text and code that refuse it.
fn login(target: &Target, password: &str) -> Result<(), (String, String)> {
    match Client::login(&target.clone().password(password)) {
        Ok(mut client) => {
            assert_eq!(client.value("select 1").as_deref().ok(), Some("1"));
            Ok(())
        }
        Err(error) => Err((error.to_string(), error.code().to_owned())),
    }
}

const RULES: &str = "\
# TYPE  DATABASE   USER           ADDRESS              METHOD
host    pgbouncer  stats          all                  reject
host    all        admin          127.0.0.1/32         trust
host    all        nobody_special all                  reject
host    all        @names         127.0.0.0 255.0.0.0  scram-sha-256
host    app        postgres       ::1/128              trust
hostssl all        all            0.0.0.0/0            trust
local   all        \"Odd 'name\"  password
local   app        app            md5
";

#[test]
fn the_first_rule_that_fits_decides_and_the_refusal_says_which_way() {
    if is_old() {
        return;
    }
    let (pooler, _files) = ruled(RULES, "", |settings| settings);
    let tcp = |database, user| pooler.target(database, user);
    let unix = |database, user| pooler.unix_target(database, user);
    let over_v6 = |user| Target::tcp("::1", pooler.port(), "app", user);
    let no_rule = "no authentication method is found";
    // Who, with which password, and what it is told if it is not let in.
    let rows = [
        (tcp("app", "app"), PASSWORD, ""),
        (tcp("app", "app"), "wrong", "SASL authentication failed"),
        (tcp("app", "scram_user"), PASSWORD, ""),
        (tcp("app", "nobody_special"), PASSWORD, "login rejected"),
        // Over TLS alone.
        (tcp("app", "md5_user"), PASSWORD, no_rule),
        (tcp("app", "no_such_user"), PASSWORD, no_rule),
        (over_v6("postgres"), "", ""),
        (over_v6("app"), PASSWORD, no_rule),
        (tcp("app", "postgres"), PASSWORD, no_rule),
        (unix("app", "Odd 'name"), PASSWORD, ""),
        (
            unix("app", "Odd 'name"),
            "wrong",
            "password authentication failed",
        ),
        (unix("app", "app"), PASSWORD, ""),
        (unix("postgres", "app"), PASSWORD, no_rule),
    ];
    for (target, password, told) in rows {
        let answer = login(&target, password);
        match answer {
            Ok(()) => assert_eq!(told, "", "{target:?}: let in"),
            Err((text, code)) => {
                assert!(
                    !told.is_empty() && text.contains(told),
                    "{target:?}: {text}"
                );
                let codes = if told == no_rule {
                    ["08P01"; 2]
                } else {
                    ["08P01", "28P01"]
                };
                assert!(codes.contains(&code.as_str()), "{target:?}: {code}");
            }
        }
    }
    let told = |user| {
        Client::login(&tcp("pgbouncer", user))
            .map(drop)
            .map_err(|e| e.to_string())
    };
    assert_eq!(
        told("admin"),
        Ok(()),
        "the console stands under the rules too"
    );
    assert!(told("stats").is_err_and(|e| e.contains("login rejected")));
}

#[test]
fn rules_are_read_again_with_reload_all_or_none() {
    if is_old() {
        return;
    }
    let (pooler, files) = ruled("host all all all trust\n", "", |settings| settings);
    let target = pooler.target("app", "app");
    let mut console = pooler.console();
    let mut rewrite = |text: &str| {
        files.write("hba.conf", text, RunAs::myself(), 0o644);
        console.rows("reload").map(drop)
    };
    assert_eq!(login(&target, ""), Ok(()));
    // PgBouncer leaves the bad lines out and goes on with the rest.
    for (bad, line) in [
        (
            "host all all all trust\nhost all all 10.0.0.0/99 md5\n",
            ":2:",
        ),
        ("\n\nhots all all all reject\n", ":3:"),
        ("host all all all trust map=gone\n", ":1:"),
    ] {
        let error = rewrite(bad).expect_err(bad).to_string();
        let said = format!("{error}{}", pooler.log());
        assert!(said.contains(&format!("hba.conf{line}")), "{bad}: {said}");
        assert_eq!(login(&target, ""), Ok(()), "{bad}: the old rules serve");
    }
    let rules = "host all admin all trust\nhost all app all reject\nhost all all all trust\n";
    rewrite(rules).expect("good rules");
    let (text, _) = login(&target, "").expect_err("rejected by now");
    assert!(text.contains("login rejected"), "{text}");
    rewrite("host all all all trust\n").expect("good rules");
    assert_eq!(login(&target, ""), Ok(()));
}

#[test]
fn a_unix_socket_tells_who_of_the_system_is_there() {
    if is_old() {
        return;
    }
    let who = Command::new("id").arg("-un").output().expect("run id");
    let me = String::from_utf8_lossy(&who.stdout).trim().to_owned();
    let rules = "local app app peer map=staff\nlocal app postgres peer map=staff\n\
                 local app stats peer map=others\nlocal app all peer\n";
    let maps = format!("staff {me} app # me\nstaff nobody postgres\nothers {me} all\n");
    let (pooler, _files) = ruled(rules, &maps, |settings| {
        let line = format!("app = host=127.0.0.1 port={} user=app", server().port());
        let users = [me.as_str(), "app", "postgres", "stats", "admin"];
        let users: Vec<String> = users.iter().map(|user| user_line(user, "")).collect();
        settings.databases(&[&line]).userlist(&users)
    });
    let told = |user: &str| match login(&pooler.unix_target("app", user), "") {
        Ok(()) => String::new(),
        Err((text, _)) => text,
    };
    for user in ["app", "stats", me.as_str()] {
        assert_eq!(told(user), "", "{user}: {}", pooler.log());
    }
    for user in ["postgres", "admin", "no_such_user"] {
        let text = told(user);
        assert!(
            text.contains("unix socket login rejected"),
            "{user}: {text}"
        );
    }
}

#[test]
fn a_certificate_lets_in_as_whom_the_map_says() {
    if is_old() {
        return;
    }
    let certificates = server().certificates();
    let rules =
        "hostssl all app all cert map=certs\nhostssl all all all cert\nhost all all all reject\n";
    let (pooler, _files) = ruled(rules, "certs tls_user app\ncerts other all\n", |settings| {
        let line = format!("app = host=127.0.0.1 port={} user=app", server().port());
        let users = ["tls_user", "app", "postgres"].map(|user| user_line(user, ""));
        let settings = settings.client_tls("prefer", certificates);
        settings.databases(&[&line]).userlist(&users)
    });
    let own = format!(
        "sslcert={} sslkey={}",
        certificates.client_cert.display(),
        certificates.client_key.display()
    );
    let psql = |user: &str, options: &str| {
        let conninfo = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=app user={user} {options}",
            pooler.port()
        );
        let out = Command::new(program("psql"))
            .args(["-XAtq", "-d", &conninfo, "-c", "select 'in'"])
            .env("PGSSLCERT", "/nonexistent")
            .output()
            .expect("run psql");
        let text = if out.status.success() {
            &out.stdout
        } else {
            &out.stderr
        };
        String::from_utf8_lossy(text).trim().to_owned()
    };
    let tls = format!("sslmode=require {own}");
    assert_eq!(psql("app", &tls), "in", "{}", pooler.log());
    assert_eq!(psql("tls_user", &tls), "in");
    let refused = "certificate authentication failed";
    assert!(psql("postgres", &tls).contains(refused));
    assert!(
        psql("app", "sslmode=require").contains(refused),
        "it showed none"
    );
    assert!(psql("app", "sslmode=disable").contains("login rejected"));
}
