//! What a running server's answers become.

use crate::{Files, Live, LiveLine, LiveSetting, Options, Severity};

fn setting(name: &str, value: &str, source: &str) -> LiveSetting {
    LiveSetting {
        name: name.to_owned(),
        value: value.to_owned(),
        source: source.to_owned(),
        ..LiveSetting::default()
    }
}

fn server() -> Live {
    Live {
        label: "db:5432/shop".to_owned(),
        settings: vec![
            setting("max_connections", "100", "configuration file"),
            setting("superuser_reserved_connections", "3", "default"),
            setting("statement_timeout", "30s", "user"),
            setting("idle_in_transaction_session_timeout", "0", "default"),
        ],
        others: 20,
        others_are: "other users than app".to_owned(),
        ..Live::default()
    }
}

const POOL: &str = "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 78\ndefault_pool_size = 78\n";

fn check(live: Live, files: &[(&str, &str)]) -> Vec<(String, Severity, String, String)> {
    let mut all = Files::default();
    for (path, text) in files {
        all.add(*path, *text);
    }
    all.add_live(live);
    let report = crate::check(&all, &Options::default());
    let shown = |f: &crate::Finding| {
        let line = report
            .position(&f.place)
            .map_or(String::new(), |p| p.source);
        (f.rule.id.to_owned(), f.severity, f.message.clone(), line)
    };
    report.findings().iter().map(shown).collect()
}

#[test]
fn a_running_server_s_limit_and_the_others_bound_a_pool() {
    let found = check(server(), &[("pgbouncer.ini", POOL)]);
    let over = found
        .iter()
        .find(|f| f.0 == "size-over-server")
        .expect("it");
    assert!(
        over.2
            .contains("may open 78 connections; the server has 77"),
        "{over:?}"
    );
    let calm = check(
        Live {
            others: 0,
            ..server()
        },
        &[("pgbouncer.ini", POOL)],
    );
    assert!(calm.iter().all(|f| f.1 == Severity::Note), "{calm:?}");
    let own = Live {
        own_limit: Some((10, "of the role app".to_owned())),
        ..server()
    };
    let found = check(own, &[("pgbouncer.ini", POOL)]);
    let over = found
        .iter()
        .find(|f| f.0 == "size-over-server")
        .expect("it");
    assert!(over.2.contains("the server has 10"), "{over:?}");
}

#[test]
fn what_nobody_switched_on_is_a_note_and_what_somebody_switched_off_a_warning() {
    let found = check(server(), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].0.as_str(), found[0].1),
        ("idle-transaction-unbounded", Severity::Note)
    );
    let mut off = server();
    off.settings[3].source = "database".to_owned();
    let found = check(off, &[]);
    assert_eq!(found[0].1, Severity::Warning);
    assert!(
        found[0]
            .3
            .starts_with("idle_in_transaction_session_timeout = 0"),
        "{found:?}"
    );
}

#[test]
fn files_that_say_other_than_what_runs_are_named() {
    let line = |name: &str, value: &str, error: Option<&str>| LiveLine {
        written: ("/etc/postgresql.conf".to_owned(), 7),
        name: name.to_owned(),
        value: value.to_owned(),
        error: error.map(str::to_owned),
    };
    let mut live = server();
    live.settings[3].value = "5min".to_owned();
    live.settings[3].source = "configuration file".to_owned();
    let with = |lines: Vec<LiveLine>| {
        let found = check(
            Live {
                lines,
                ..live.clone()
            },
            &[],
        );
        found
            .into_iter()
            .map(|f| (f.0, f.1, f.2))
            .collect::<Vec<_>>()
    };
    assert_eq!(with(vec![line("max_connections", "100", None)]), []);
    assert_eq!(
        with(vec![line(
            "idle_in_transaction_session_timeout",
            "300s",
            None
        )]),
        []
    );
    // The role's own value stands above the file's.
    assert_eq!(with(vec![line("statement_timeout", "10s", None)]), []);
    let cases = [
        (
            line(
                "max_connections",
                "20",
                Some("setting could not be applied"),
            ),
            Severity::Warning,
            "next restart",
        ),
        (
            line("idle_in_transaction_session_timeout", "0", None),
            Severity::Warning,
            "runs with 5min",
        ),
        (
            line(
                "shared_bufers",
                "",
                Some("unrecognized configuration parameter"),
            ),
            Severity::Error,
            "cannot apply `shared_bufers`",
        ),
    ];
    for (line, severity, words) in cases {
        let found = with(vec![line]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].0.as_str(), found[0].1),
            ("server-differs", severity)
        );
        assert!(found[0].2.contains(words), "{found:?}");
    }
    live.settings[0].pending = true;
    let found = check(live, &[]);
    assert_eq!(found[0].0, "server-differs");
    assert!(found[0].3.contains("max_connections = 100"), "{found:?}");
}

#[test]
fn a_file_beside_the_server_is_compared_and_the_running_limit_counts() {
    let file = "max_connections = 500\nidle_in_transaction_session_timeout = 1min\n";
    let found = check(
        server(),
        &[("pgbouncer.ini", POOL), ("postgresql.conf", file)],
    );
    assert!(found.iter().any(|f| f.0 == "size-over-server"), "{found:?}");
    let differs: Vec<_> = found.iter().filter(|f| f.0 == "server-differs").collect();
    assert_eq!(differs.len(), 2, "{found:?}");
    assert!(differs[0].2.contains("has 100"), "{differs:?}");
}

#[test]
fn whatever_a_server_sends_stays_on_its_line() {
    let mut live = server();
    live.settings[0].source = "a\nmax_connections = 9".to_owned();
    live.label = "x\u{1b}[31m".to_owned();
    assert_eq!(live.text().matches("\nmax_connections").count(), 0);
    let _ = check(live, &[]);
}
