//! Durations, sizes and the other values: both sides of each rule.

use super::*;

fn time(text: &str) -> Option<Duration> {
    duration(text).ok()
}

#[test]
fn durations_carry_their_unit() {
    assert_eq!(time("30s"), Some(Duration::from_secs(30)));
    assert_eq!(time("1.5s"), Some(Duration::from_millis(1500)));
    assert_eq!(time("250 ms"), Some(Duration::from_millis(250)));
    assert_eq!(time("5min"), Some(Duration::from_secs(300)));
    assert_eq!(time("1d"), Some(Duration::from_secs(86_400)));
    for wrong in [
        "30",
        "",
        "s",
        "1e3s",
        "-1s",
        "30 seconds",
        "99999999999999999999s",
        "1.2.3s",
        "40d",
    ] {
        assert_eq!(time(wrong), None, "{wrong}");
    }
}

#[test]
fn pgbouncer_seconds_may_have_a_fraction_but_no_unit() {
    assert_eq!(seconds("120"), Ok(Duration::from_secs(120)));
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    assert_eq!(
        seconds("15s").unwrap_err().help,
        "write `15`: pgbouncer.ini has no units"
    );
    assert!(seconds("-1").is_err());
    assert!(seconds("").is_err());
}

#[test]
fn pgbouncer_integers_follow_strtol() {
    for (text, n) in [
        ("20", 20),
        ("020", 16),
        ("0x14", 20),
        ("-3", -3),
        ("0", 0),
        ("+7", 7),
    ] {
        assert_eq!(ini_integer(text), Some(n), "{text}");
    }
    for text in [
        "abc",
        "",
        "20x",
        "08",
        "0x",
        "0x-1",
        "--1",
        "99999999999999999999",
        "1_0",
    ] {
        assert_eq!(ini_integer(text), None, "{text}");
    }
}

#[test]
fn durations_round_trip_in_words() {
    for text in [
        "30s", "5s", "10min", "1h", "250ms", "1500ms", "0s", "1d", "90s",
    ] {
        assert_eq!(duration_words(duration(text).unwrap()), text);
    }
}

#[test]
fn listen_addresses() {
    let host = |text: &str| listen_address(text).map(|a| (a.host, a.port)).ok();
    assert_eq!(host("127.0.0.1:6432"), Some(("127.0.0.1".into(), 6432)));
    assert_eq!(host("[::1]:0"), Some(("::1".into(), 0)));
    assert_eq!(host("*:6432"), Some(("*".into(), 6432)));
    for wrong in [
        "6432", "::1", "::1:6432", "a b:1", ":6432", "h:65536", "h:-1", "h:",
    ] {
        assert_eq!(host(wrong), None, "{wrong}");
    }
}
