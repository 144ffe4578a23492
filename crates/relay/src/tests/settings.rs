//! Settings that change what clients get: at their login, by their user, in the log.

use super::*;
use crate::{Settings, UserLimits};
use std::net::SocketAddr;

/// What a login with these parameters comes to, by PgBouncer's rules.
fn login(track: &[&str], params: &[(&str, &str)]) -> String {
    let settings = Settings {
        strict_startup: true,
        track_startup: track.iter().map(|n| (*n).into()).collect(),
        ..Settings::default()
    };
    let mut s = Stage::with(1, PoolMode::Transaction, settings);
    let slot = s.hub.accept(s.now, by_tcp());
    let mut hello = Vec::new();
    let own = [("user", "u"), ("database", "d")];
    front::startup(&mut hello, 0, own.iter().chain(params).copied());
    s.client_bytes(slot, &hello);
    match s.client_got(slot).contains("Z I") {
        true => "in".to_owned(),
        false => s.closed.join(", "),
    }
}

fn by_tcp() -> PeerInfo {
    let addr: SocketAddr = "10.1.2.3:4567".parse().expect("an address");
    PeerInfo {
        addr: Address::Tcp(addr),
        local_addr: Address::Unix,
    }
}

#[test]
fn extra_parameters_are_tracked_where_the_settings_say_so() {
    let path = ("search_path", "a");
    let in_options = ("options", "-c search_path=a");
    assert_eq!(login(&["search_path"], &[path]), "in");
    assert_eq!(login(&["search_path"], &[("Search_Path", "a")]), "in");
    assert_eq!(login(&["search_path"], &[in_options]), "in");
    let refused = "c0 client_refused";
    assert_eq!(login(&["intervalstyle"], &[path]), refused);
    assert_eq!(login(&["intervalstyle"], &[in_options]), refused);
    let style = ("IntervalStyle", "iso_8601");
    assert_eq!(login(&["intervalstyle"], &[style]), "in");
    assert_eq!(login(&[], &[style]), refused);
    assert_eq!(login(&[], &[("TimeZone", "CET")]), "in");
}

#[test]
fn where_a_client_comes_from_stands_in_its_name_and_not_in_its_applications() {
    for (given, shown, own) in [
        (Some("shop"), "shop - 10.1.2.3:4567", "shop"),
        (None, "app - 10.1.2.3:4567", "app"),
    ] {
        let settings = Settings {
            add_host: true,
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let slot = s.hub.accept(s.now, by_tcp());
        let mut hello = Vec::new();
        let params = [("user", "u"), ("database", "d")];
        let given = given.map(|name| ("application_name", name));
        front::startup(&mut hello, 0, params.into_iter().chain(given));
        s.client_bytes(slot, &hello);
        assert!(
            s.client_got(slot)
                .contains(&format!("S application_name={shown}"))
        );
        let client = s.hub.clients.get(slot).expect("logged in");
        assert_eq!(client.params.text("application_name"), Some(shown));
        assert_eq!(client.without_origin(shown), own);
    }
}

#[test]
fn a_users_timeouts_go_before_the_general_ones() {
    let second = Some(std::time::Duration::from_secs(1));
    // Of user u, whom the settings name, or of somebody else.
    let run = |named: &str, limits: UserLimits, messages: &str, answer: &str| {
        let settings = Settings {
            query_timeout: Some(std::time::Duration::from_secs(20)),
            user_limits: [(named.into(), limits)].into(),
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let c = s.client(&[]);
        s.send(c, messages);
        if !answer.is_empty() {
            s.answer(0, answer);
        }
        s.pass(2);
        s.closed.join(", ")
    };
    let limits = [
        (
            "query_timeout",
            UserLimits {
                query: Some(second),
                ..UserLimits::default()
            },
            "Q one",
            "",
        ),
        (
            "idle_transaction_timeout",
            UserLimits {
                idle_transaction: Some(second),
                ..UserLimits::default()
            },
            "Q BEGIN",
            "C BEGIN / Z T",
        ),
        (
            "transaction_timeout",
            UserLimits {
                transaction: Some(second),
                ..UserLimits::default()
            },
            "Q BEGIN",
            "C BEGIN / Z T",
        ),
        (
            "client_idle_timeout",
            UserLimits {
                client_idle: Some(second),
                ..UserLimits::default()
            },
            "Q one",
            "C SELECT 1 / Z I",
        ),
    ];
    for (name, limits, messages, answer) in limits {
        let closed = run("u", limits, messages, answer);
        assert!(closed.contains(&format!("c0 {name}")), "{name}: {closed:?}");
        assert_eq!(run("other", limits, messages, answer), "", "{name}");
    }
    let settings = Settings {
        query_timeout: second,
        user_limits: [(
            "u".into(),
            UserLimits {
                query: Some(None),
                ..UserLimits::default()
            },
        )]
        .into(),
        ..Settings::default()
    };
    assert_eq!(
        (settings.limits("u").query, settings.limits("v").query),
        (None, second)
    );
}

#[test]
fn the_log_is_told_of_errors_where_the_settings_say_so() {
    for log_errors in [false, true] {
        let settings = Settings {
            log_errors,
            ..Settings::default()
        };
        let mut s = Stage::with(1, PoolMode::Transaction, settings);
        let c = s.client(&[]);
        s.ports.refuse = Some(events::RefuseReason::QueueFull);
        s.send(c, "Q one");
        assert_eq!(s.client_got(c), "E 53300 / Z I");
        assert_eq!(s.told.len(), usize::from(log_errors), "{:?}", s.told);
    }
}
