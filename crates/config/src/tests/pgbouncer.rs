//! Whole pgbouncer.ini files: what is taken over, and what is warned about.

use std::time::Duration;

use super::{ini, rendered, shown, warned};
use crate::*;

const MINIMAL: &str = "[databases]\n* = host=127.0.0.1\n[pgbouncer]\n";

fn with(lines: &str) -> Result<Plan, Errors> {
    ini(&format!("{MINIMAL}{lines}\n"))
}

#[test]
fn defaults_are_pgbouncers() {
    let plan = with("").unwrap();
    assert_eq!(plan.pool_mode, PoolMode::Session);
    assert_eq!(plan.default_pool_size, PoolSize::Fixed(20));
    assert_eq!(plan.max_client_conn, 100);
    assert_eq!(plan.query_wait_timeout, Some(Duration::from_secs(120)));
    assert_eq!(plan.auth_type, AuthType::Md5);
    assert_eq!(plan.error_style, ErrorStyle::Pgbouncer);
    assert!(plan.start_up.strict);
    assert!(plan.listen.is_empty());
    assert_eq!(plan.unix_socket_dir.as_deref(), Some("/tmp".as_ref()));
    assert_eq!(
        (plan.unix_socket_port, plan.unix_socket_mode),
        (6432, 0o777)
    );
    assert_eq!(plan.server_tls.mode, SslMode::Prefer);
    assert_eq!(plan.client_tls.mode, SslMode::Disable);
    assert_eq!(plan.server_reset_query, "DISCARD ALL");
    assert_eq!(plan.server_lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(plan.server_idle_timeout, Some(Duration::from_secs(600)));
    assert_eq!(plan.max_prepared_statements, 200);
    assert_eq!((plan.transaction_timeout, plan.query_timeout), (None, None));
    assert_eq!(plan.server_check_delay, Some(Duration::from_secs(30)));
    assert_eq!(plan.server_check_query, "");
    assert_eq!((plan.line, plan.queue_max), (90, 100));
}

/// The table's defaults, read back, are what SHOW CONFIG calls the default.
#[test]
fn an_empty_file_shows_every_default() {
    for (plan, own) in [
        (with("").unwrap(), "listen_port"),
        (super::toml("[database.a]\nhost='h'").unwrap(), ""),
    ] {
        for row in &plan.shown {
            let computed = ["conffile", "queue_max", own].contains(&row.key.as_str());
            assert!(computed || row.value == row.default, "{row:?}");
        }
    }
}

#[test]
fn show_config_is_in_pgbouncers_order() {
    let plan = with("").unwrap();
    let keys: Vec<&str> = plan
        .shown
        .iter()
        .map(|s| s.key.as_str())
        .take_while(|k| *k != "line")
        .collect();
    assert_eq!(keys.len(), 98);
    assert_eq!(
        (keys.first(), keys.last()),
        (Some(&"admin_users"), Some(&"verbose"))
    );
    assert!(
        !plan
            .shown
            .iter()
            .find(|s| s.key == "listen_port")
            .unwrap()
            .changeable
    );
}

#[test]
fn every_default_may_be_written_out() {
    for setting in settings()
        .iter()
        .filter(|s| s.in_pgbouncer && s.key != "conffile")
    {
        let plan = with(&format!("{} = {}", setting.key, setting.default_ini));
        assert!(plan.is_ok(), "{}: {}", setting.key, rendered(plan));
    }
}

#[test]
fn databases_and_users() {
    let plan = ini("[databases]\n\
        * = host=10.0.0.1\n\
        app = host=db.example port=5433 dbname=real user=u password='it''s' pool_size=7 reserve_pool=2 \
        pool_mode=Transaction server_lifetime=60 timezone=UTC connect_query='SELECT 1'\n\
        \"odd \"\"name\" = dbname=x\n\
        [users]\nann = pool_size=3 max_user_connections=5 query_timeout=9\n\
        [pgbouncer]\nunix_socket_dir = /run\nauth_dbname = postgres\n")
    .unwrap();
    let names: Vec<&str> = plan.databases.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["app", "odd \"name", "*"]);
    let app = &plan.databases[0];
    assert_eq!(
        (&app.host, app.port),
        (&Host::Tcp("db.example".into()), 5433)
    );
    assert_eq!(app.password, Some(Secret("it's".into())));
    assert_eq!(
        (app.pool_size, app.reserve_pool_size),
        (Some(PoolSize::Fixed(7)), Some(2))
    );
    assert_eq!(app.pool_mode, Some(PoolMode::Transaction));
    assert_eq!(app.server_lifetime, Some(Some(Duration::from_secs(60))));
    assert_eq!(app.parameters["timezone"], "UTC");
    assert_eq!(
        (app.auth_dbname.as_deref(), plan.auth_dbname.as_deref()),
        (None, Some("postgres"))
    );
    assert_eq!(plan.databases[1].host, Host::UnixDir("/run".into()));
    assert_eq!(plan.users["ann"].max_user_connections, Some(5));
    let limit = plan.users["ann"].query_timeout;
    assert_eq!(limit, Some(Some(Duration::from_secs(9))));
}

#[test]
fn listen_takes_a_star_and_lists() {
    let plan = with("listen_addr = *\nlisten_port = 7000\nunix_socket_dir =").unwrap();
    assert_eq!(
        plan.listen,
        [ListenAddress {
            host: "*".into(),
            port: 7000
        }]
    );
    assert_eq!(plan.unix_socket_dir, None);
    let plan = with("listen_addr = 127.0.0.1, ::1 ,localhost").unwrap();
    let all: Vec<(&str, u16)> = plan
        .listen
        .iter()
        .map(|a| (a.host.as_str(), a.port))
        .collect();
    assert_eq!(
        all,
        [("127.0.0.1", 6432), ("::1", 6432), ("localhost", 6432)]
    );
    assert_eq!(shown(&plan, "listen_addr"), "127.0.0.1,::1,localhost");
}

#[test]
fn unlimited_is_bounded_and_said() {
    let plan = ini("[databases]\na = host=h pool_size=0 max_db_connections=0\n[pgbouncer]\ndefault_pool_size = 0\nclient_login_timeout = 0\n").unwrap();
    assert_eq!(plan.default_pool_size, PoolSize::Fixed(90));
    assert_eq!(plan.databases[0].pool_size, Some(PoolSize::Fixed(90)));
    assert_eq!(plan.databases[0].max_db_connections, Some(90));
    assert_eq!(plan.client_login_timeout, Duration::from_secs(60));
    assert!(warned(
        &plan,
        "database a: pool_size = 0 is \"unlimited\" in PgBouncer; here the line is the bound: 90"
    ));
    assert!(warned(&plan, "p.ini:4: default_pool_size = 0"));
    assert!(warned(
        &plan,
        "max_db_connections, max_user_connections set no limit (0)"
    ));
    assert!(warned(
        &plan,
        "timeouts that are off: client_idle_timeout, idle_transaction_timeout, query_timeout, transaction_timeout"
    ));
    assert!(warned(
        &plan,
        "p.ini:5: client_login_timeout = 0 is \"no limit\""
    ));
    assert!(warned(&plan, "line unknown: 90"));
    let known = Overrides {
        line: Some(40),
        ..Overrides::default()
    };
    let files = Memory::default().file("p.ini", MINIMAL);
    let plan = load_with("p.ini".as_ref(), &files, &known).unwrap();
    assert!(plan.line == 40 && !warned(&plan, "line unknown"));
}

#[test]
fn what_pgbouncer_has_and_this_lacks_is_named() {
    let plan = with("pkt_buf = 8192\ndns_zone_check_period = 60\ndns_max_ttl = 15\nmax_client_conn = 5\nmax_client_conn = 010").unwrap();
    assert!(warned(&plan, "p.ini:4: pkt_buf has no effect here: "));
    assert!(warned(
        &plan,
        "p.ini:5: dns_zone_check_period is not supported yet: "
    ));
    assert!(!warned(&plan, "dns_max_ttl"));
    assert!(warned(&plan, "p.ini:8: max_client_conn is set twice"));
    assert!(warned(
        &plan,
        "p.ini:8: max_client_conn = 010 is read in octal, as PgBouncer does: 8"
    ));
    assert_eq!(shown(&plan, "pkt_buf"), "8192");
}

#[test]
fn what_is_unsafe_to_ignore_is_refused() {
    for line in [
        "auth_type = hba",
        "auth_type = pam",
        "client_tls_protocols = tlsv1.1",
        "client_tls_protocols = tlsv1.4",
        "auth_type = any",
        "client_tls_sslmode = require",
        "auth_type = cert",
        "max_client_conn = 0",
        "max_client_conn = -1",
        "pool_mode = sesion",
        "listen_port = 70000",
        "log_connections = yes",
        "query_timeout = 5s",
        "tcp_keepidle = -1",
        "line = 3",
    ] {
        assert!(with(line).is_err(), "{line}");
    }
    for value in [
        "host=a,",
        "port=abc",
        "port=0",
        "pool_size=abc",
        "pool_size=5x",
        "target_session_attrs=prefer-standby",
        "pool_mode=x",
        "hots=a",
        "host",
        "host=",
        "password='x",
    ] {
        assert!(
            ini(&format!("[databases]\na = {value}\n[pgbouncer]\n")).is_err(),
            "{value}"
        );
    }
    assert!(with("disable_pqexec = 0\nclient_tls_protocols = tlsv1.2, tlsv1.3\nserver_tls_protocols = secure").is_ok());
}

#[test]
fn all_errors_of_a_file_are_reported_at_once() {
    let text = "[databases]\n\
        app = host=h pool_size=abc\n\
        other = host=h pasword=hunter2 port=1\n\
        [pgbouncer]\n\
        default_pool_szie = 20\n\
        query_timeout = 30s\n\
        max_client_conn 100\n\
        auth_type = pam\n\
        [pgbounecr]\n";
    let expected = "\
error: expected `=` after `max_client_conn`
  --> p.ini:7:17
  = help: write `key = value`; a comment starts with `;` or `#`; a name with other characters than letters, digits, `_`, `.`, `-` stands in double quotes

error: expected a whole number, found `abc`
  --> p.ini:2:24
  |
2 | app = host=h pool_size=abc
  |                        ^^^
  = help: write a number, or auto: it then finds the size

error: unknown key `pasword`
  --> p.ini:3:16
  |
3 | other = host=h pasword=…
  |                ^^^^^^^
  = help: did you mean `password`?

error: unknown key `default_pool_szie`
  --> p.ini:5:1
  |
5 | default_pool_szie = …
  | ^^^^^^^^^^^^^^^^^
  = help: did you mean `default_pool_size`?

error: expected a number of seconds, found `30s`
  --> p.ini:6:17
  |
6 | query_timeout = 30s
  |                 ^^^
  = help: write `30`: pgbouncer.ini has no units

error: auth_type pam is not supported yet
  --> p.ini:8:13
  |
8 | auth_type = pam
  |             ^^^
  = why: any other way to log in would let in whom your rules keep out
  = help: use scram-sha-256, md5, plain, cert, hba, trust or any

error: unknown section `pgbounecr`
  --> p.ini:9:1
  |
9 | [pgbounecr]
  | ^^^^^^^^^^^
  = help: did you mean `[pgbouncer]`?
";
    assert_eq!(rendered(ini(text)), expected);
}

#[test]
fn a_second_header_that_would_reset_keys_is_refused() {
    assert!(
        rendered(with("max_client_conn = 9\n[users]\n[pgbouncer]"))
            .contains("a second [pgbouncer] section")
    );
    assert!(ini("[pgbouncer]\n[databases]\na=host=h\n[pgbouncer]\n").is_ok());
}

#[test]
fn includes_keep_the_section_and_name_their_file() {
    let files = Memory::default()
        .file(
            "p.ini",
            "[databases]\n%include db.ini\n[pgbouncer]\n%include main.ini\n",
        )
        .file("db.ini", "a = host=h\r\n")
        .file("main.ini", "max_client_conn = 7\nauth_file = users\n")
        .file("users", "\"ann\" \"x\"\n");
    let plan = load("p.ini".as_ref(), &files).unwrap();
    assert_eq!(
        (plan.max_client_conn, plan.databases.len(), plan.users.len()),
        (7, 1, 1)
    );
    let broken = files.file("main.ini", "max_client_con = 7\n");
    assert!(rendered(load("p.ini".as_ref(), &broken)).contains("--> main.ini:1:1"));
}

#[test]
fn a_check_query_of_no_text_turns_the_check_off() {
    assert_eq!(
        with("server_check_query =").unwrap().server_check_delay,
        None
    );
    let plan = with("server_check_query = select 1\nserver_check_delay = 0").unwrap();
    assert_eq!(plan.server_check_delay, Some(Duration::ZERO));
    assert_eq!(plan.server_check_query, "select 1");
}

#[test]
fn the_example_is_read() {
    let files = Memory::default()
        .file(
            "pgbouncer.ini",
            include_str!("../../../../docs/examples/pgbouncer.ini"),
        )
        .file(
            "userlist.txt",
            include_str!("../../../../docs/examples/userlist.txt"),
        );
    let plan = load("pgbouncer.ini".as_ref(), &files).unwrap();
    assert_eq!(plan.databases.len(), 3);
    assert_eq!(
        plan.databases[1].password,
        Some(Secret("it's secret".into()))
    );
    assert_eq!(plan.users.len(), 3);
}

#[test]
fn several_hosts_are_a_list() {
    let plan = ini("[databases]\na = host=one,::1,/run/pg load_balance_hosts=disable\nb = host=x,y\n[pgbouncer]\n").unwrap();
    let hosts = |at: usize| -> Vec<String> {
        let singles = plan.databases[at].host.singles();
        singles.iter().map(ToString::to_string).collect()
    };
    assert_eq!(hosts(0), ["one", "::1", "/run/pg"]);
    assert!(plan.databases[0].hosts_in_order);
    assert_eq!(hosts(1), ["x", "y"]);
    assert!(!plan.databases[1].hosts_in_order);
    assert_eq!(plan.databases[0].host.to_string(), "one,::1,/run/pg");
}

#[test]
fn a_reload_keeps_what_only_a_restart_changes() {
    let old = with("listen_port = 7000\ndefault_pool_size = 3").unwrap();
    let mut new = with("listen_port = 7001\ndefault_pool_size = 4").unwrap();
    let kept = keep_fixed(&old, &mut new);
    let words: Vec<String> = kept
        .iter()
        .map(|c| format!("{} {}", c.key, c.old))
        .collect();
    assert!(words.iter().any(|w| w.contains("7000")), "{words:?}");
    assert_eq!(
        (new.unix_socket_port, new.default_pool_size),
        (7000, PoolSize::Fixed(4))
    );
    assert_eq!(new.listen, old.listen);
    assert!(
        new.shown
            .iter()
            .any(|s| s.key == "listen_port" && s.value == "7000")
    );
    let left: Vec<String> = diff(&old, &new).into_iter().map(|c| c.key).collect();
    assert_eq!(left, ["pool.size"]);
}

#[test]
fn one_key_can_be_changed_in_a_running_plan() {
    let old = with("default_pool_size = 3\nmax_client_conn = 50").unwrap();
    let (new, said) = with_key(&old, "query_timeout", "4").unwrap();
    assert_eq!(new.query_timeout, Some(Duration::from_secs(4)));
    assert_eq!(
        (new.default_pool_size, new.max_client_conn),
        (PoolSize::Fixed(3), 50)
    );
    assert_eq!(said, Vec::<String>::new());
    assert!(
        new.shown
            .iter()
            .any(|s| s.key == "query_timeout" && s.value == "4")
    );
    let (_, said) = with_key(&old, "sbuf_loopcnt", "3").unwrap();
    assert!(said[0].contains("has no effect"), "{said:?}");
    for (key, value, expected) in [
        ("query_timout", "4", "did you mean `query_timeout`?"),
        ("query_timeout", "soon", "query_timeout"),
        ("listen_port", "7000", "restart only"),
        ("auth_file", "/x", "read with the file"),
    ] {
        let error = with_key(&old, key, value).unwrap_err().render();
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn a_size_may_be_automatic() {
    let plan = ini("[databases]\na = host=h pool_size=auto\nb = host=h\n[users]\nann = pool_size=auto\n[pgbouncer]\ndefault_pool_size = 12\n").unwrap();
    assert_eq!(plan.databases[0].pool_size, Some(PoolSize::Auto));
    assert_eq!(plan.databases[1].pool_size, None);
    assert_eq!(plan.users["ann"].pool_size, Some(PoolSize::Auto));
    assert_eq!(plan.default_pool_size, PoolSize::Fixed(12));
    let plan = with("default_pool_size = auto").unwrap();
    assert_eq!(plan.default_pool_size, PoolSize::Auto);
    assert_eq!((plan.auto.floor, plan.auto.ceiling), (4, None));
    assert_eq!(shown(&plan, "default_pool_size"), "auto");
}

/// What PgBouncer lacks stands in a section of its own, with units.
#[test]
fn the_section_plimsoll_takes_what_pgbouncer_lacks() {
    let text = |own: &str| {
        format!(
            "[databases]\na = host=h pool_size=0\n[pgbouncer]\nlisten_addr = *\nauth_type = trust\n\
             default_pool_size = 0\n[plimsoll]\n{own}"
        )
    };
    let load = |own: &str| {
        let files = crate::Memory::default().file("p.ini", text(own).as_str());
        crate::load("p.ini".as_ref(), &files)
    };
    let plan = load("monitor_user = watcher\nmonitor_interval = 500ms\nheadroom = 9\nfleet = eu-1");
    let plan = plan.unwrap_or_else(|e| panic!("{}", e.render()));
    assert_eq!(plan.monitor.user.as_deref(), Some("watcher"));
    assert_eq!(
        (plan.monitor.interval.as_millis(), plan.monitor.headroom),
        (500, 9)
    );
    assert!(!plan.line_stated);
    // "Unlimited" is what the server has.
    let most = PoolSize::Fixed(100_000);
    assert_eq!(plan.default_pool_size, most);
    assert_eq!(plan.databases[0].pool_size, Some(most));
    let plan = load("line = 40").unwrap_or_else(|e| panic!("{}", e.render()));
    assert_eq!((plan.line, plan.line_stated), (40, true));
    assert_eq!(
        (plan.default_pool_size, plan.databases[0].pool_size),
        (PoolSize::Fixed(40), Some(PoolSize::Fixed(40)))
    );
    for (own, said) in [
        ("monitor_usr = x", "did you mean `monitor_user`?"),
        ("default_pool_size = 3", "unknown key"),
        ("monitor_interval = 10ms", "250ms"),
        ("fleet = a/b", "no name of a fleet"),
        ("headroom = many", "expected a whole number"),
    ] {
        let error = load(own).expect_err(own).render();
        assert!(error.contains(said), "{own}: {error}");
    }
}

#[test]
fn peers_are_read_and_their_mistakes_told() {
    let with = |lines: &str| {
        ini(&format!(
            "[databases]\na = host=h\n[pgbouncer]\npeer_id = 2\n[peers]\n{lines}\n"
        ))
    };
    let plan = with("1 = host=10.0.0.1 port=6433\n2 = host=/tmp/two\n3 = host=c pool_size=5")
        .expect("good");
    let read: Vec<(Option<u32>, Host, u16)> = plan
        .fleet
        .cancel
        .peers
        .iter()
        .map(|p| (p.id, p.host.clone(), p.port))
        .collect();
    let tcp = |name: &str| Host::Tcp(name.to_owned());
    assert_eq!(
        read,
        [
            (Some(1), tcp("10.0.0.1"), 6433),
            (Some(2), Host::UnixDir("/tmp/two".into()), 6432),
            (Some(3), tcp("c"), 6432),
        ]
    );
    assert_eq!(plan.fleet.cancel.own, 2);
    for (lines, told) in [
        ("one = host=a", "is no number of a peer"),
        ("0 = host=a", "is no number of a peer"),
        ("16384 = host=a", "is no number of a peer"),
        ("1 = port=6432", "peer 1 has no host"),
        ("1 = host=a,b", "a peer has one host"),
        ("1 = host=a port=0", "0"),
        ("1 = host=a password=x", "password"),
    ] {
        let error = rendered(with(lines));
        assert!(error.contains(told), "{lines}: {error}");
    }
    let many: String = (1..=65).map(|n| format!("{n} = host=a\n")).collect();
    assert!(rendered(with(&many)).contains("more than 64 peers"));
}

#[test]
fn an_abstract_socket_is_a_name_and_no_directory() {
    let files = Memory::default().file(
        "p.ini",
        "[databases]\na = host=@server\nb = host=@one,/run/two\nc =\n[pgbouncer]\nunix_socket_dir = @pool\n",
    );
    let plan = load("p.ini".as_ref(), &files).unwrap();
    assert_eq!(plan.unix_socket_dir, Some("@pool".into()));
    assert_eq!(plan.socket_directory(), None, "nothing can stand beside it");
    let hosts: Vec<String> = plan.databases.iter().map(|d| d.host.to_string()).collect();
    assert_eq!(hosts, ["@server", "@one,/run/two", "@pool"]);
    assert_eq!(plan.databases[0].host, Host::UnixDir("@server".into()));
}

#[test]
fn rounds_and_times_of_pgbouncer_are_taken() {
    let plan = with("scram_iterations = 5000\ndns_nxdomain_ttl = 3\nsuspend_timeout = 4").unwrap();
    assert_eq!(plan.scram_iterations, 5000);
    assert_eq!(plan.monitor.dns_nxdomain_ttl, Some(Duration::from_secs(3)));
    assert_eq!(plan.suspend_timeout, Some(Duration::from_secs(4)));
    let plan = with("dns_nxdomain_ttl = 0\nsuspend_timeout = 0").unwrap();
    assert_eq!(plan.monitor.dns_nxdomain_ttl, None);
    assert_eq!(plan.suspend_timeout, None);
    assert_eq!(plan.scram_iterations, 4096);
    for bad in ["scram_iterations = 0", "scram_iterations = 2000000"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}
