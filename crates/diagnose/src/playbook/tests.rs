//! Every alert and cause has its chapter; names of others stay harmless.

use super::*;
use crate::alert::Owner;

fn context() -> Context {
    Context {
        live: true,
        instance: "pooler-1".into(),
        pools: vec![PoolNow {
            database: "shop".into(),
            user: "web".into(),
            server: "db.internal:5433".into(),
            size: 20,
            used: 20,
            waiting: 7,
            oldest_wait_us: 2_500_000,
        }],
        servers: vec![ServerNow {
            label: "db.internal:5433".into(),
            line: 80,
            used: 41,
            others: Some(12),
            max_connections: 100,
        }],
        applications: vec!["coupons".into()],
        owners: vec![(
            "*".into(),
            Owner {
                team: "platform".into(),
                channel: "#platform".into(),
                escalation: "+1 555 0100".into(),
            },
        )],
        settings: "/etc/plimsoll/plimsoll.toml".into(),
        version: 12,
        previous: Some(11),
        admin: "anna".into(),
        incident: Some("2026-11-21-1".into()),
        ..Context::default()
    }
}

#[test]
fn every_alert_and_every_cause_has_a_chapter() {
    let labels: Vec<&str> = chapters().map(|c| c.label).collect();
    let alerts = AlertName::ALL.iter().map(|a| a.label());
    let causes = Cause::ALL.iter().map(|c| c.label());
    for label in alerts.chain(causes) {
        let chapter = of_label(label).unwrap_or_else(|| panic!("{label} has no chapter"));
        assert!(!chapter.before.is_empty(), "{label}");
        assert!(!chapter.during.is_empty(), "{label}");
        assert!(!chapter.verify.is_empty(), "{label}");
        assert!(!chapter.after.is_empty(), "{label}");
        assert!(!chapter.never.is_empty(), "{label}");
        for see in chapter.see {
            assert!(of_label(see).is_some(), "{label} leads to {see}");
        }
    }
    assert_eq!(labels.len(), AlertName::ALL.len() + Cause::ALL.len());
    for cause in Cause::ALL {
        assert_eq!(of_cause(*cause).map(|c| c.title), Some(cause.title()));
    }
    for alert in AlertName::ALL {
        assert!(of_alert(*alert).is_some());
    }
}

#[test]
fn words_that_people_type_lead_to_chapters() {
    let first = |words: &str| find(words).first().map_or("", |c| c.label);
    for (words, label) in [
        ("timeouts", "PlimsollPoolExhausted"),
        ("503", "PlimsollPoolExhausted"),
        ("too many connections", "budget_squeezed"),
        ("FATAL: sorry, too many clients already", "budget_squeezed"),
        ("slow", "PlimsollWaitObjective"),
        ("cannot log in", "credentials"),
        ("connection refused", "database_down"),
        ("idle in transaction", "leak"),
        ("deadlocks", "locks"),
        ("high cpu", "server_saturated"),
        ("DDoS", "abusive_source"),
        ("leak", "leak"),
        ("plimsollleak", "PlimsollLeak"),
        ("settings change", "settings_change"),
    ] {
        assert_eq!(first(words), label, "{words}");
    }
    assert!(find("gremlins in the tea").is_empty());
    assert!(find("").is_empty());
    assert!(find(&"slow ".repeat(10_000)).len() <= 5);
    for symptom in symptoms() {
        for label in symptom.chapters {
            assert!(of_label(&label).is_some(), "{label}");
        }
    }
}

#[test]
fn names_and_values_are_filled_in() {
    let page = Page::of(of_label("leak").expect("a chapter"), &context());
    let text = text(&page);
    assert!(text.contains("Pool shop/web at db.internal:5433: 20 of 20 connections lent"));
    assert!(page.now[1].ends_with("7 clients wait, the longest for 2.5 s."));
    assert!(text.contains("psql -h 127.0.0.1 -p 6432 -U anna pgbouncer -c 'SHOW LEASES'"));
    assert!(text.contains("plimsoll mark release coupons VERSION"));
    assert!(text.contains("all others: team platform, channel #platform, escalation +1 555 0100"));
    assert!(text.contains("Incident 2026-11-21-1"));
    let page = Page::of(of_label("locks").expect("a chapter"), &context());
    let first = &page.during[0].command;
    assert!(first.starts_with("psql -h db.internal -p 5433 -d shop -c"));
}

#[test]
fn every_placeholder_is_known_and_every_command_is_ours() {
    let commands = [
        "diagnose", "playbook", "incident", "check", "size", "template", "plan", "apply",
        "history", "rollback", "status", "guard", "guards", "mark",
    ];
    for context in [context(), Context::default()] {
        for chapter in chapters() {
            let page = Page::of(chapter, &context);
            let all = text(&page) + &markdown(&page);
            assert!(!all.contains('{') && !all.contains('}'), "{all}");
            let steps = [&page.before, &page.during, &page.verify, &page.after];
            for step in steps.into_iter().flatten() {
                let mut words = step.command.split(' ');
                match words.next().unwrap_or_default() {
                    "plimsoll" => {
                        let word = words.next().unwrap_or_default();
                        assert!(commands.contains(&word), "{}", step.command);
                    }
                    "" | "psql" | "ss" | "top" => {}
                    other => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn hostile_names_stay_words() {
    let mut hostile = context();
    hostile.applications = vec!["x; rm -rf / #\u{1b}[2J`id`".into()];
    hostile.pools[0].database = "a'b$(id)".into();
    hostile.servers[0].label = "h; reboot:5432".into();
    hostile.settings = "/tmp/a b.toml".into();
    for chapter in chapters() {
        let page = Page::of(chapter, &hostile);
        let said = text(&page) + &markdown(&page);
        assert!(!said.contains('\u{1b}'));
        for step in page.during.iter().chain(&page.before) {
            let command = &step.command;
            for (name, quoted) in [
                ("rm -rf", "'x; rm -rf / #?[2J`id`'"),
                ("$(id)", "'a'\\''b$(id)'"),
                ("reboot", "'h; reboot'"),
                ("a b.toml", "'/tmp/a b.toml'"),
            ] {
                assert!(
                    !command.contains(name) || command.contains(quoted),
                    "{command}"
                );
            }
        }
    }
}

#[test]
fn the_docs_hold_the_same_text() {
    let path = format!("{}/../../docs/playbook.md", env!("CARGO_MANIFEST_DIR"));
    let text = document();
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{path} differs; PLIMSOLL_BLESS=1 writes it anew"
    );
    for label in chapters().map(|c| c.label) {
        // A heading's anchor is its text in small letters: what the alerts link to.
        assert!(text.contains(&format!("\n### {label}\n")));
    }
}
