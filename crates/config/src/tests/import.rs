//! A pgbouncer.ini becomes a plimsoll.toml that says the same.

use super::rendered;
use crate::*;
use events::{Guard, GuardMode};
use std::path::{Path, PathBuf};

const BASE: &str = "/etc/pgbouncer";

fn options(observe: bool) -> ImportOptions {
    ImportOptions {
        observe,
        base: BASE.into(),
        secrets: "/secrets".into(),
    }
}

/// Both plans, of files that stand where PgBouncer runs.
fn both(text: &str, files: &Memory, observe: bool) -> Result<(Plan, Plan, Imported), Errors> {
    let files = files.clone().file("p.ini", text);
    let ini = load("p.ini".as_ref(), &files)?;
    let imported = import(
        "p.ini".as_ref(),
        &files,
        &Overrides::default(),
        &options(observe),
    )?;
    let mut there = Memory::default().file("/new/p.toml", imported.text.as_str());
    for (path, secret) in &imported.passwords {
        there = there.file(path.clone(), secret.0.as_str());
    }
    if let Some(users) = &ini.auth_file {
        let text = files.read(users).expect("it was read");
        there = there.file(Path::new(BASE).join(users), text);
    }
    let toml = load("/new/p.toml".as_ref(), &there)
        .unwrap_or_else(|e| panic!("{}\n{}", e.render(), imported.text));
    Ok((ini, toml, imported))
}

/// Without what the import says differs: where secrets are kept, where paths
/// start, numbers of peers, and how a file is read again.
fn comparable(mut plan: Plan) -> Plan {
    for database in &mut plan.databases {
        database.password_from = None;
        if let Host::UnixDir(directory) = &mut database.host {
            *directory = Path::new(BASE).join(&*directory);
        }
    }
    for peer in &mut plan.fleet.cancel.peers {
        peer.id = None;
    }
    plan.fleet.cancel.own = 0;
    let base = Path::new(BASE);
    let paths = [
        &mut plan.auth_file,
        &mut plan.hba.file,
        &mut plan.hba.ident_file,
        &mut plan.unix_socket_dir,
        &mut plan.log_file,
        &mut plan.pid_file,
        &mut plan.client_tls.ca_file,
        &mut plan.client_tls.cert_file,
        &mut plan.client_tls.key_file,
        &mut plan.server_tls.ca_file,
        &mut plan.server_tls.cert_file,
        &mut plan.server_tls.key_file,
    ];
    for path in paths.into_iter().flatten() {
        *path = base.join(&*path);
    }
    plan.process.verbose = 0;
    plan.shown = Vec::new();
    plan.warnings = Vec::new();
    plan.outdated = Vec::new();
    plan.drop_in = false;
    plan
}

fn same(text: &str, files: &Memory) -> Imported {
    let (ini, toml, imported) =
        both(text, files, true).unwrap_or_else(|e| panic!("{}\n{text}", e.render()));
    let changes: Vec<String> = diff(&comparable(ini.clone()), &comparable(toml.clone()))
        .iter()
        .map(|c| format!("{}: {} → {}", c.key, c.old, c.new))
        .collect();
    assert!(
        changes.is_empty(),
        "{changes:#?}\n{text}\n{}",
        imported.text
    );
    assert!(
        comparable(ini.clone()) == comparable(toml.clone()),
        "{:#?}\n{:#?}\n{}",
        comparable(ini),
        comparable(toml),
        imported.text
    );
    imported
}

/// Every pgbouncer.ini of the tree, by hand or of an outage.
fn found(directory: &Path, all: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            found(&path, all);
        } else if name == "pgbouncer.ini" {
            all.push(path);
        }
    }
}

#[test]
fn every_file_of_the_tree_says_the_same_in_the_other_dialect() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    for part in [
        "lab",
        "docs",
        "crates/check/corpus",
        "e2e",
        "deploy",
        "bench",
    ] {
        found(&root.join(part), &mut all);
    }
    let mut compared = 0;
    for path in &all {
        let text = std::fs::read_to_string(path).expect("readable");
        // Whatever user file a fixture names has these users.
        let mut files = Memory::default();
        for line in text.lines() {
            if let Some(("auth_file", file)) = line.split_once('=').map(|(k, v)| (k.trim(), v)) {
                files = files.file(file.trim(), "\"anna\" \"pw\"\n\"bert\" \"\"\n");
            }
        }
        let readable = files.clone().file("p.ini", text.as_str());
        // Some are there because they have mistakes.
        if load("p.ini".as_ref(), &readable).is_ok() {
            same(&text, &files);
            compared += 1;
        }
    }
    assert!(compared >= 40, "{compared} of {} files", all.len());
}

const MINIMAL: &str = "[databases]\n* = host=db\n[pgbouncer]\nlisten_addr = 127.0.0.1\n";

/// Each key of PgBouncer in turn, with values that its kind allows.
#[test]
fn every_key_survives_with_every_kind_of_value() {
    let files = Memory::default().file("f", "\"anna\" \"pw\"\n");
    let mut tried = 0;
    for setting in settings().iter().filter(|s| s.in_pgbouncer) {
        for value in [
            "0",
            "1",
            "7",
            "33",
            "120",
            "4096",
            "0644",
            "x",
            "anna, bert",
            "transaction",
            "session",
            "statement",
            "require",
            "prefer",
            "disable",
            "any",
            "trust",
            "plain",
            "md5",
            "scram-sha-256",
            "f",
            "/var/run/x",
            "a \"quoted\" \\ text",
            "*",
            "tlsv1.3",
            "select 1",
            "10.0.0.1,::1",
        ] {
            let text = format!("{MINIMAL}{} = {value}\n", setting.key);
            let readable = files.clone().file("p.ini", text.as_str());
            if load("p.ini".as_ref(), &readable).is_ok() {
                same(&text, &files);
                tried += 1;
            }
        }
    }
    assert!(tried > 700, "{tried}");
}

#[test]
fn keys_of_databases_and_users_survive() {
    let files = Memory::default().file("users.txt", "\"anna\" \"pw\"\n\"zoe\" \"x\"\n");
    let text = "[databases]\n\
        shop = host=a,b port=5433 dbname=s user=u auth_user=au auth_query='select $1, ''x''' pool_mode=session pool_size=7 \
        min_pool_size=1 reserve_pool=3 max_db_connections=0 max_db_client_connections=9 server_lifetime=0 \
        connect_query='set a = ''b''' client_encoding=UTF8 datestyle=ISO timezone='Europe/Berlin' application_name='x y' \
        load_balance_hosts=disable query_wait_timeout=0\n\
        \"odd.name \"\"x\"\"\" = host=/run/postgresql\n\
        local = dbname=l\n\
        zero = host=h pool_size=0\n\
        * = host=::1\n\
        [users]\n\
        anna = pool_mode=session pool_size=4 reserve_pool_size=1 max_user_connections=0 query_wait_timeout=5 query_timeout=9\n\
        \"b c\" = max_user_client_connections=3 idle_transaction_timeout=60 transaction_timeout=61 client_idle_timeout=62\n\
        zoe = pool_size=-1\n\
        [peers]\n\
        1 = host=other port=6433\n\
        2 = host=third\n\
        [pgbouncer]\n\
        listen_addr = *, ::1\nlisten_port = 7000\nauth_file = users.txt\nauth_dbname = shop\npeer_id = 3\n\
        server_check_query =\nreserve_pool_timeout = 0\nunix_socket_dir = run\nserver_lifetime = 0\ndefault_pool_size = 0\n";
    let imported = same(text, &files);
    assert!(imported.passwords.is_empty() && imported.to_do.is_empty());
    assert!(imported.text.contains("unix = \"/etc/pgbouncer/run\""));
    assert!(
        imported.text.contains("# p.ini:2\n[database.shop]"),
        "{}",
        imported.text
    );
}

#[test]
fn a_peer_behind_a_socket_is_said_to_be_missing() {
    let text = format!("{MINIMAL}peer_id = 1\n[peers]\n2 = host=/run/other\n3 = host=third\n");
    let (_, toml, imported) = both(&text, &Memory::default(), true).expect("readable");
    assert_eq!(toml.fleet.cancel.peers.len(), 1);
    assert!(
        imported.text.contains("behind a unix socket"),
        "{}",
        imported.text
    );
}

#[test]
fn no_password_is_written_and_each_has_a_file() {
    let text = "[databases]\n\
        shop = host=h user=u password='s3cr3t one'\n\
        * = host=h user=u password=s3cr3t2\n\
        any = host=h user=u password=s3cr3t3 connect_query='select set_config(''x.password'', ''s3cr3t4'', false)'\n\
        q = host=h connect_query='set app.password = ''s3cr3t5'''\n\
        [pgbouncer]\nlisten_addr = *\n";
    let (_, toml, imported) = both(text, &Memory::default(), true).expect("readable");
    assert!(!imported.text.contains("s3cr3t5"), "{}", imported.text);
    for n in ["s3cr3t one", "s3cr3t2", "s3cr3t3"] {
        assert!(!imported.text.contains(n), "{}", imported.text);
        assert!(!imported.to_do.concat().contains(n));
    }
    let files: Vec<String> = imported
        .passwords
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(
        files,
        [
            "/secrets/shop.password",
            "/secrets/any.password",
            "/secrets/any-2.password"
        ]
    );
    let of = |name: &str| {
        let found = toml.databases.iter().find(|d| d.name == name).unwrap();
        found.password.clone().unwrap().0
    };
    assert_eq!(
        (of("shop").as_str(), of("*").as_str()),
        ("s3cr3t one", "s3cr3t2")
    );
    assert_eq!(imported.to_do.len(), 4, "{:?}", imported.to_do);
}

#[test]
fn without_observe_the_guards_and_errors_are_as_in_a_new_file() {
    let (ini, toml, imported) = both(MINIMAL, &Memory::default(), false).expect("readable");
    for guard in Guard::ALL {
        assert_eq!(ini.guards.mode(guard), GuardMode::Observe);
        assert_eq!(toml.guards.mode(guard), GuardMode::Enforce);
    }
    assert_eq!(toml.error_style, ErrorStyle::Plimsoll);
    assert!(
        imported.text.contains("import --observe"),
        "{}",
        imported.text
    );
    let (_, watching, imported) = both(MINIMAL, &Memory::default(), true).expect("readable");
    assert_eq!(watching.error_style, ErrorStyle::Pgbouncer);
    for guard in Guard::ALL {
        let line = format!("{} = \"observe\"", guard.label());
        assert!(imported.text.contains(&line), "{}", imported.text);
    }
    // What the ini itself says of a guard stays.
    let text = format!("{MINIMAL};plimsoll: guard_shed = off\n");
    for observe in [true, false] {
        let (_, plan, _) = both(&text, &Memory::default(), observe).expect("readable");
        assert_eq!(plan.guards.mode(Guard::Shed), GuardMode::Off);
    }
}

#[test]
fn what_is_not_taken_over_is_named_with_its_reason() {
    let text = format!("{MINIMAL}conffile = x\nverbose = 2\njob_name = x\n");
    let imported = same(&text, &Memory::default());
    for part in [
        "Not taken over",
        "# - conffile (p.ini:5):",
        "# - verbose (p.ini:6): the command line sets how much is logged",
        "# - job_name (p.ini:7):",
    ] {
        assert!(imported.text.contains(part), "{part}\n{}", imported.text);
    }
}

#[test]
fn a_comment_for_us_is_a_setting_in_any_section() {
    let plan = super::ini(
        ";plimsoll: line = 60\n[databases]\n; plimsoll: monitor_user = watcher\n* = host=db\n\
         [pgbouncer]\nlisten_addr = *\n#plimsoll: monitor_interval = 5s\n; a plimsoll: comment\n\
         # plimsoll: allow(limit-missing) a reason\n",
    )
    .unwrap_or_else(|e| panic!("{}", e.render()));
    assert_eq!((plan.line, plan.line_stated), (60, true));
    assert_eq!(plan.monitor.user.as_deref(), Some("watcher"));
    assert_eq!(plan.monitor.interval, std::time::Duration::from_secs(5));
    let text = format!("{MINIMAL};plimsoll: line = 60\n");
    assert!(
        same(&text, &Memory::default())
            .text
            .contains("line = 60  # line, p.ini:5")
    );
    for (line, said) in [
        (";plimsoll: lien = 60", "did you mean `line`"),
        (";plimsoll: see the wiki", "is a setting"),
        (";plimsoll: line = many", "p.ini:5"),
    ] {
        let error = rendered(super::ini(&format!("{MINIMAL}{line}\n")));
        assert!(
            error.contains(said) && error.contains("p.ini:5"),
            "{line}: {error}"
        );
    }
}

#[test]
fn comments_for_us_hide_nothing_that_follows_in_a_masked_text() {
    let text = "[databases]\n;plimsoll: line = 60\na = host=h password=x\n";
    let masked = masked("p.ini".as_ref(), text);
    assert_eq!(masked, text.replace("=x", "=(secret)"));
}

#[test]
fn names_cannot_write_lines_of_their_own() {
    let text = "[databases]\n\"a\u{b}b\" = host=h\n* = host=h\n[pgbouncer]\nlisten_addr = *\n";
    same(text, &Memory::default());
}
