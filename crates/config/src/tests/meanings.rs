//! Keys of pgbouncer.ini whose values mean something of their own.

use super::{ini, rendered, shown, toml, warned};
use crate::{TlsVersions, settings};
use std::time::Duration;

#[test]
fn a_lifetime_of_zero_is_one_use_in_an_ini_and_never_in_toml() {
    let text = "[databases]\na = host=h\nb = host=h server_lifetime=0\n\
                [pgbouncer]\nserver_lifetime = 60\n";
    let plan = ini(text).unwrap();
    let of = |name: &str| plan.effective(plan.database(name).unwrap(), "u").lifetime;
    assert_eq!(of("a"), Some(Duration::from_secs(60)));
    assert_eq!(of("b"), Some(Duration::ZERO));
    let general = ini("[databases]\na = host=h\n[pgbouncer]\nserver_lifetime = 0\n").unwrap();
    assert_eq!(general.server_lifetime, Some(Duration::ZERO));
    assert_eq!(shown(&general, "server_lifetime"), "0");
    assert!(
        !warned(&general, "server_lifetime"),
        "{:?}",
        general.warnings
    );
    let row = settings()
        .iter()
        .find(|s| s.key == "server_lifetime")
        .unwrap();
    assert_eq!(row.words(&general).as_deref(), Some("once"));

    let with = |value: &str| {
        toml(&format!(
            "[timeouts]\nserver_lifetime = {value}\n[database.a]\nhost = \"h\"\n"
        ))
    };
    assert_eq!(with("\"off\"").unwrap().server_lifetime, None);
    assert_eq!(
        with("\"once\"").unwrap().server_lifetime,
        Some(Duration::ZERO)
    );
    let zero = rendered(with("\"0s\""));
    assert!(zero.contains("write \"off\" to have none"), "{zero}");
}

#[test]
fn timeouts_of_a_user_override_and_a_zero_says_nothing() {
    let plan = ini("[databases]\na = host=h\n[users]\n\
        slow = query_timeout=2.5 idle_transaction_timeout=3 transaction_timeout=4 client_idle_timeout=0\n\
        [pgbouncer]\nquery_timeout = 60\n").unwrap();
    let slow = &plan.users["slow"];
    assert_eq!(slow.query_timeout, Some(Some(Duration::from_millis(2500))));
    assert_eq!(
        slow.idle_transaction_timeout,
        Some(Some(Duration::from_secs(3)))
    );
    assert_eq!(slow.transaction_timeout, Some(Some(Duration::from_secs(4))));
    assert_eq!(slow.client_idle_timeout, None);
    assert!(!warned(&plan, "slow"), "{:?}", plan.warnings);
    let own =
        toml("[[user]]\nname = \"slow\"\nquery_timeout = \"off\"\n[database.a]\nhost = \"h\"\n")
            .unwrap();
    assert_eq!(own.users["slow"].query_timeout, Some(None));
}

#[test]
fn tls_versions_are_those_of_the_list() {
    let with = |value: &str| {
        ini(&format!(
            "[databases]\na = host=h\n[pgbouncer]\nserver_tls_protocols = {value}\n"
        ))
    };
    for (value, versions) in [
        ("secure", TlsVersions::Secure),
        ("all", TlsVersions::Secure),
        ("tlsv1.2,tlsv1.3", TlsVersions::Secure),
        ("TLSv1.3", TlsVersions::Tls13),
        ("tlsv1.1, tlsv1.2", TlsVersions::Tls12),
    ] {
        let plan = with(value).unwrap();
        assert_eq!(plan.server_tls.versions, versions, "{value}");
        assert_eq!(
            warned(&plan, "TLS 1.0 and 1.1"),
            value.contains("1.1") || value == "all"
        );
        assert_eq!(plan.client_tls.versions, TlsVersions::Secure);
    }
    assert!(rendered(with("tlsv1.1")).contains("TLS 1.0 and 1.1 are not spoken here"));
    let text = "[tls.client]\nprotocols = \"tlsv1.3\"\n[database.a]\nhost = \"h\"\n";
    assert_eq!(toml(text).unwrap().client_tls.versions, TlsVersions::Tls13);
}
