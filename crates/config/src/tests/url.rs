//! Connection strings: what each part means, and which are refused.

use super::warned;
use crate::*;

fn problem(url: &str) -> String {
    from_url(url).map_or_else(
        |e| e.list()[0].message.clone(),
        |_| String::from("no error"),
    )
}

#[test]
fn a_url_is_a_whole_plan() {
    let plan = from_url("postgresql://an%40n:p%3A%2Fw@[::1]:5433/sh%20op?sslmode=verify-full&sslrootcert=/ca&application_name=x&connect_timeout=3&gssencmode=disable").unwrap();
    let database = &plan.databases[0];
    assert_eq!((database.name.as_str(), database.port), ("sh op", 5433));
    assert_eq!(database.host, Host::Tcp("::1".into()));
    assert_eq!(database.user.as_deref(), Some("an@n"));
    assert_eq!(database.password, Some(Secret("p:/w".into())));
    assert_eq!(plan.users["an@n"].secret, database.password);
    assert_eq!(plan.auth_type, AuthType::Scram);
    assert_eq!(plan.server_tls.mode, SslMode::VerifyFull);
    assert_eq!(plan.server_connect_timeout.as_secs(), 3);
    assert_eq!(
        plan.listen,
        [ListenAddress {
            host: "127.0.0.1".into(),
            port: 6432
        }]
    );
    assert!(warned(&plan, "gssencmode has no effect here"));
}

#[test]
fn unix_sockets_and_defaults() {
    for url in [
        "postgres://u:p@%2Ftmp/d",
        "postgres://u:p@/d?host=/tmp",
        "postgres:///d?host=/tmp&user=u&password=p",
    ] {
        let plan = from_url(url).unwrap();
        assert_eq!(
            plan.databases[0].host,
            Host::UnixDir("/tmp".into()),
            "{url}"
        );
        assert_eq!(plan.databases[0].port, 5432);
    }
    assert_eq!(from_url("postgres://u:p@h").unwrap().databases[0].name, "u");
    assert_eq!(
        from_url("postgres://u:p@h/d").unwrap().server_tls.mode,
        SslMode::Prefer
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    assert_eq!(problem("postgres://u@h/d"), "the URL has no password");
    assert_eq!(problem("postgres://u:@h/d"), "the URL has no password");
    assert_eq!(problem("postgres://:p@h/d"), "the URL names no user");
    assert_eq!(problem("postgres://u:p@/d"), "the URL names no host");
    assert_eq!(problem("mysql://u:p@h/d"), "this is no postgres:// URL");
    assert_eq!(problem("postgres://u:p@h:0/d"), "the URL's port is no port");
    assert_eq!(
        problem("postgres://u:%zz@h/d"),
        "a % in the URL is not followed by two hexadecimal digits"
    );
    assert_eq!(problem("postgres://u:p@a,b/d"), "a URL names one host here");
    assert_eq!(
        problem("postgres://u:p@[::1/d"),
        "the URL's IPv6 address is not closed"
    );
    assert_eq!(
        problem("postgres://u:p@h/d?sslmod=x"),
        "the URL has a parameter that libpq does not know"
    );
    assert_eq!(
        problem("postgres://u:p@h/d?options=-cx=1"),
        "options in the URL is not supported yet"
    );
    assert_eq!(
        problem("postgres://u:p@h/d?sslmode=maybe"),
        "sslmode in the URL must be one of disable, allow, prefer, require, verify-ca, verify-full"
    );
}

#[test]
fn only_loopback_listens() {
    let listen = |host: &str| UrlOptions {
        listen: vec![ListenAddress {
            host: host.into(),
            port: 0,
        }],
        ..UrlOptions::default()
    };
    for (host, good) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("localhost", true),
        ("*", false),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("h", false),
    ] {
        assert_eq!(
            from_url_with("postgres://u:p@h/d", &listen(host)).is_ok(),
            good,
            "{host}"
        );
    }
    let unix = UrlOptions {
        listen: vec![],
        unix_socket_dir: Some("/tmp".into()),
        ..UrlOptions::default()
    };
    assert!(from_url_with("postgres://u:p@h/d", &unix).is_ok());
    let none = UrlOptions {
        listen: vec![],
        ..UrlOptions::default()
    };
    assert!(from_url_with("postgres://u:p@h/d", &none).is_err());
}

#[test]
fn a_server_to_ask_needs_no_password_in_its_url() {
    let server = crate::server_from_url("postgres://u@h:7000/d", None).unwrap();
    assert_eq!(server.database.port, 7000);
    assert_eq!(server.database.user.as_deref(), Some("u"));
    assert_eq!(server.tls.mode, SslMode::Prefer);
    assert!(server.connect_timeout >= std::time::Duration::from_secs(1));
    let password = |url: &str, other| {
        let server = crate::server_from_url(url, other).unwrap();
        server.database.password.map(|p| p.0).unwrap_or_default()
    };
    assert_eq!(
        password("postgres://u@h/d", Some("from outside")),
        "from outside"
    );
    assert_eq!(
        password("postgres://u:own@h/d", Some("from outside")),
        "own"
    );
    let wrong = crate::server_from_url("postgres://u:s3cret@h:x/d", None);
    assert!(!wrong.unwrap_err().render().contains("s3cret"));
}
