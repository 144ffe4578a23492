//! Start-up packets: plain, TLS, cancel, and broken on purpose.

use super::*;
use crate::front;
use proptest::prelude::*;

const MAX: usize = 10_000;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = (8 + body.len() as u32).to_be_bytes().to_vec();
    bytes.extend(code.to_be_bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn requests_without_parameters() {
    let mut out = Vec::new();
    front::ssl_request(&mut out);
    assert_eq!(parse(&out, MAX), Ok(Some((Startup::Ssl, 8))));
    // What follows belongs to the next packet.
    front::gss_request(&mut out);
    assert_eq!(parse(&out, MAX), Ok(Some((Startup::Ssl, 8))));
    assert_eq!(parse(&out[8..], MAX), Ok(Some((Startup::Gss, 8))));
}

#[test]
fn cancel_keys_have_4_to_256_bytes() {
    for (length, good) in [
        (0, false),
        (3, false),
        (4, true),
        (32, true),
        (256, true),
        (257, false),
    ] {
        let key = vec![7; length];
        let mut out = Vec::new();
        front::cancel_request(&mut out, -5, &key);
        let expected = if good {
            Ok(Some((
                Startup::Cancel {
                    pid: -5,
                    key: &key,
                    forwarded: false,
                },
                out.len(),
            )))
        } else {
            Err(StartupError::CancelKey(length))
        };
        assert_eq!(parse(&out, MAX), expected, "{length}");
    }
}

#[test]
fn parameters() {
    let mut out = Vec::new();
    let sent = [
        ("user", "joe"),
        ("options", "-c a=b"),
        ("_pq_.x", ""),
        ("user", "jim"),
    ];
    front::startup(&mut out, 2, sent);
    let Ok(Some((Startup::Start { minor: 2, params }, len))) = parse(&out, MAX) else {
        panic!("not a start-up packet");
    };
    assert_eq!(len, out.len());
    assert_eq!(params.iter().collect::<Vec<_>>(), sent);
    assert_eq!(params.value("user"), Some("jim"));
    assert_eq!(params.value("_pq_.x"), Some(""));
    assert_eq!(params.value("database"), None);
    assert_eq!(
        format!("{params:?}"),
        r#"["user", "options", "_pq_.x", "user"]"#
    );
}

#[test]
fn every_prefix_waits_for_more() {
    let mut start = Vec::new();
    front::startup(&mut start, 0, [("user", "joe")]);
    let mut cancel = Vec::new();
    front::cancel_request(&mut cancel, 1, &[0; 32]);
    for packet in [start, cancel] {
        for end in 0..packet.len() {
            assert_eq!(parse(&packet[..end], MAX), Ok(None), "{end}");
        }
        assert!(matches!(parse(&packet, MAX), Ok(Some(_))));
    }
}

#[test]
fn lies_are_refused() {
    use StartupError::*;
    let v3 = 3 << 16;
    let cases: &[(Vec<u8>, StartupError)] = &[
        (7_u32.to_be_bytes().to_vec(), TooShort(7)),
        (u32::MAX.to_be_bytes().to_vec(), TooShort(-1)),
        (10_001_u32.to_be_bytes().to_vec(), TooLong(10_001)),
        // A TLS hello, and an HTTP request.
        (vec![TLS_HANDSHAKE, 3, 1, 2], TooLong(0x1603_0102)),
        (b"GET / HTTP".to_vec(), TooLong(0x4745_5420)),
        (
            packet(2 << 16, b""),
            UnsupportedVersion { major: 2, minor: 0 },
        ),
        (
            packet(4 << 16 | 1, b""),
            UnsupportedVersion { major: 4, minor: 1 },
        ),
        (packet(0, b""), UnsupportedVersion { major: 0, minor: 0 }),
        (packet(SSL_CODE, b"x"), Trailing),
        (packet(GSS_CODE, b"x"), Trailing),
        (packet(v3, b""), Terminator),
        (packet(v3, b"user\0joe\0"), Terminator),
        (packet(v3, b"user\0joe"), Terminator),
        (packet(v3, b"user\0\0"), Terminator),
        (packet(v3, b"user\0joe\0\0x\0y\0\0"), Terminator),
        (packet(v3, b"\0\0"), Terminator),
        (packet(v3, b"user\0\xff\0\0"), Encoding),
        (packet(v3, b"us\xc3er\0a\0\0"), Encoding),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(bytes, MAX), Err(*error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_wrong_version_is_refused_before_its_body_arrives() {
    let head = &packet(9 << 16, &[0; 100])[..8];
    assert!(matches!(
        parse(head, MAX),
        Err(StartupError::UnsupportedVersion { major: 9, .. })
    ));
    // Any minor version of 3 is for the caller to negotiate.
    let grease = packet(3 << 16 | 9999, b"\0");
    assert!(matches!(
        parse(&grease, MAX),
        Ok(Some((Startup::Start { minor: 9999, .. }, 9)))
    ));
}

#[test]
fn no_cancel_key_in_debug() {
    let cancel = Startup::Cancel {
        pid: 7,
        key: b"secretkey",
        forwarded: false,
    };
    assert_eq!(format!("{cancel:?}"), "Cancel { pid: 7, .. }");
}

#[test]
fn options_table() {
    type Case<'a> = (&'a str, &'a [Result<(&'a str, &'a str), OptionError>]);
    let no_value = |name: &str| Err(OptionError::NoValue(name.into()));
    let unknown = |name: &str| Err(OptionError::Unknown(name.into()));
    let cases: &[Case<'_>] = &[
        ("", &[]),
        (" \t\n ", &[]),
        ("-c a=b", &[Ok(("a", "b"))]),
        ("-ca=b", &[Ok(("a", "b"))]),
        ("--a=b", &[Ok(("a", "b"))]),
        (
            "  -c   work_mem=1MB\t--x-y.z-a=c=d ",
            &[Ok(("work_mem", "1MB")), Ok(("x_y.z_a", "c=d"))],
        ),
        (
            r"-c search_path=a,\ b\\c",
            &[Ok(("search_path", r"a, b\c"))],
        ),
        (r"--a=\", &[Ok(("a", ""))]),
        ("--a=", &[Ok(("a", ""))]),
        ("-c", &[Err(OptionError::NoSetting)]),
        ("-c --a=b", &[Ok(("__a", "b"))]),
        ("--a", &[no_value("a")]),
        ("--", &[no_value("")]),
        ("--=b", &[no_value("")]),
        ("-d 5 -ca=b", &[unknown("-d"), unknown("5"), Ok(("a", "b"))]),
        ("x=secret", &[unknown("x")]),
        ("--ü=ö\u{a0}x", &[Ok(("ü", "ö\u{a0}x"))]),
    ];
    for (text, expected) in cases {
        let found: Vec<_> = options(text).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|item| {
                item.clone()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
    let Some(Err(OptionError::Unknown(shown))) = options(&"é".repeat(99)).next() else {
        panic!("not refused");
    };
    assert_eq!(shown, "é".repeat(32));
}

proptest! {
    #[test]
    fn any_parameters_come_back(
        minor: u16,
        sent in prop::collection::vec(("[^\0]{1,8}", "[^\0]{0,8}"), 0..8),
    ) {
        let mut out = Vec::new();
        front::startup(&mut out, minor, sent.iter().map(|(name, value)| (name, value)));
        let Ok(Some((Startup::Start { minor: found, params }, len))) = parse(&out, MAX) else {
            panic!("refused");
        };
        prop_assert_eq!((found, len), (minor, out.len()));
        let found: Vec<_> = params.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn any_options_end(text in ".{0,60}") {
        prop_assert!(options(&text).count() <= text.len());
    }

    #[test]
    fn escaped_options_come_back(name in "[a-z_.]{1,8}", value in "[^\0]{0,12}") {
        let escaped: String = value.chars().flat_map(|c| ['\\', c]).collect();
        let found: Vec<_> = options(&format!("-c {name}={escaped}")).collect();
        prop_assert_eq!(found, vec![Ok((name, value))]);
    }
}
