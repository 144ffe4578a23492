//! Messages of the server: built, parsed, and broken on purpose.

use super::*;
use crate::frame::{self, HEADER};
use WireError::*;

fn body(tag: u8, build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    let frame = frame::peek(&out).unwrap().unwrap();
    assert_eq!((frame.tag, frame.len), (tag, out.len()));
    out.split_off(HEADER)
}

#[test]
fn status() {
    for status in [Status::Idle, Status::Transaction, Status::Failed] {
        assert_eq!(
            ready_status(&body(b'Z', |out| ready(out, status))),
            Ok(status)
        );
    }
    assert_eq!(ready_status(b""), Err(Truncated));
    assert_eq!(ready_status(b"II"), Err(Trailing));
    assert_eq!(ready_status(b"X"), Err(Value("transaction status")));
}

#[test]
fn errors_come_back() {
    let report = ErrorReport {
        severity: "FATAL",
        code: "53300",
        message: "line reached",
        detail: Some("20 of 20"),
        hint: Some("wait"),
    };
    let sent = body(b'E', |out| error(out, &report));
    let fields = ErrorFields::parse(&sent).unwrap();
    assert_eq!((fields.severity(), fields.code()), ("FATAL", "53300"));
    assert_eq!(fields.message(), "line reached");
    assert_eq!(fields.detail().as_deref(), Some("20 of 20"));
    assert_eq!(fields.hint().as_deref(), Some("wait"));
    assert_eq!(fields.constraint(), None);
    let codes: Vec<_> = fields.iter().map(|field| field.0).collect();
    assert_eq!(codes, b"SVCMDH");
    let bare = ErrorReport {
        detail: None,
        hint: None,
        ..report
    };
    let sent = body(b'N', |out| notice(out, &bare));
    let fields = ErrorFields::parse(&sent).unwrap();
    assert_eq!((fields.detail(), fields.hint()), (None, None));
}

#[test]
fn errors_of_others() {
    let old = ErrorFields::parse(b"SFEHLER\0C23505\0Mdoppelt \xfc\0nuser_pkey\0\0").unwrap();
    assert_eq!(old.severity(), "FEHLER");
    assert_eq!(old.message(), "doppelt \u{fffd}");
    assert_eq!(old.constraint().as_deref(), Some("user_pkey"));
    assert_eq!(
        format!("{old:?}"),
        r#"ErrorFields { severity: "FEHLER", code: "23505", constraint: Some("user_pkey"), .. }"#
    );
    let new = ErrorFields::parse(b"SFEHLER\0VERROR\0\0").unwrap();
    assert_eq!((new.severity(), new.code()), ("ERROR", ""));
    assert_eq!(new.message(), "");
    assert_eq!(ErrorFields::parse(b"\0").unwrap().iter().count(), 0);
}

#[test]
fn wrong_errors() {
    for (bytes, error) in [
        (&b""[..], Unterminated),
        (b"SERROR\0", Unterminated),
        (b"SERROR", Unterminated),
        (b"\0\0", Trailing),
        (b"SERROR\0\0Cx\0\0", Trailing),
    ] {
        assert_eq!(
            ErrorFields::parse(bytes),
            Err(error),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn authentication() {
    let parsed = |sent: &[u8]| format!("{:?}", Authentication::parse(sent).unwrap());
    assert_eq!(parsed(&body(b'R', auth_ok)), "Ok");
    assert_eq!(parsed(&body(b'R', auth_cleartext)), "Cleartext");
    let salted = body(b'R', |out| auth_md5(out, [1, 2, 3, 4]));
    assert_eq!(
        Authentication::parse(&salted),
        Ok(Authentication::Md5([1, 2, 3, 4]))
    );
    let offered = body(b'R', |out| auth_sasl(out, ["A-PLUS", "A"]));
    assert_eq!(parsed(&offered), r#"Sasl(["A-PLUS", "A"])"#);
    let sent = body(b'R', |out| auth_sasl_continue(out, b"r=x"));
    assert_eq!(
        Authentication::parse(&sent),
        Ok(Authentication::SaslContinue(b"r=x"))
    );
    let sent = body(b'R', |out| auth_sasl_final(out, b"v=x"));
    assert_eq!(
        Authentication::parse(&sent),
        Ok(Authentication::SaslFinal(b"v=x"))
    );
    assert_eq!(parsed(&[0, 0, 0, 7]), "Other(7)");
    for (bytes, error) in [
        (&[0, 0, 0][..], Truncated),
        (&[0, 0, 0, 0, 0], Trailing),
        (&[0, 0, 0, 5, 1, 2, 3], Truncated),
        (&[0, 0, 0, 5, 1, 2, 3, 4, 5], Trailing),
        (&[0, 0, 0, 10], Unterminated),
        (&[0, 0, 0, 10, b'A', 0], Unterminated),
        (&[0, 0, 0, 10, 0, 0], Trailing),
        (&[0, 0, 0, 10, 0xff, 0, 0], Value("SASL mechanism")),
    ] {
        assert_eq!(Authentication::parse(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn negotiation() {
    let sent = body(b'v', |out| negotiate_version(out, 2, ["_pq_.a", "_pq_.b"]));
    assert_eq!(sent[..8], [0, 3, 0, 2, 0, 0, 0, 2]);
    let negotiated = NegotiateProtocolVersion::parse(&sent).unwrap();
    assert_eq!(negotiated.minor, 2);
    assert_eq!(
        negotiated.options().collect::<Vec<_>>(),
        ["_pq_.a", "_pq_.b"]
    );
    let bare = NegotiateProtocolVersion::parse(&[0, 0, 0, 1, 0, 0, 0, 0]).unwrap();
    assert_eq!((bare.minor, bare.options().count()), (1, 0));
    for (bytes, error) in [
        (&[0, 2, 0, 0, 0, 0, 0, 0][..], Value("negotiated version")),
        (&[0, 3, 0, 0, 0, 0, 0], Truncated),
        (&[0, 3, 0, 0, 0x7f, 0xff, 0xff, 0xff], Unterminated),
        (&[0, 3, 0, 0, 0, 0, 0, 0, b'x', 0], Trailing),
        (&[0, 3, 0, 0, 0xff, 0xff, 0xff, 0xff, 1], Trailing),
    ] {
        assert_eq!(
            NegotiateProtocolVersion::parse(bytes),
            Err(error),
            "{bytes:?}"
        );
    }
}

#[test]
fn parameters_keys_and_tags() {
    let sent = body(b'S', |out| parameter_status(out, "TimeZone", b"UTC"));
    let status = ParameterStatus::parse(&sent).unwrap();
    assert_eq!((status.name, status.value), (&b"TimeZone"[..], &b"UTC"[..]));
    assert_eq!(format!("{status:?}"), "ParameterStatus(TimeZone)");
    assert_eq!(ParameterStatus::parse(b"a\0"), Err(Unterminated));
    assert_eq!(ParameterStatus::parse(b"a\0b\0c"), Err(Trailing));

    let sent = body(b'K', |out| backend_key(out, 7, &[9; 32]));
    let key = BackendKey::parse(&sent).unwrap();
    assert_eq!((key.pid, key.key), (7, &[9; 32][..]));
    assert_eq!(format!("{key:?}"), "BackendKey(7, …)");
    assert_eq!(BackendKey::parse(&[0; 7]), Err(Truncated));
    assert_eq!(BackendKey::parse(&[0; 4 + 257]), Err(Trailing));

    assert_eq!(
        command_tag(&body(b'C', |out| command_complete(out, "INSERT 0 1"))),
        b"INSERT 0 1"
    );
    assert_eq!(command_tag(b"COPY 5"), b"COPY 5");
    assert_eq!(command_tag(b""), b"");
}

#[test]
fn rows() {
    let sent = body(b'T', |out| {
        row_description(out, &[("a", INT4), ("b", TEXT)])
    });
    let expected = b"\0\x02\
        a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
        b\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
    assert_eq!(sent, expected);
    let sent = body(b'D', |out| {
        data_row(out, &[Some(b"1\x002"), None, Some(b"")])
    });
    assert_eq!(sent, b"\0\x03\0\0\0\x031\x002\xff\xff\xff\xff\0\0\0\0");
    let sent = body(b't', |out| parameter_description(out, &[TEXT]));
    assert_eq!(sent, b"\0\x01\0\0\0\x19");
}

#[test]
fn wrong_rows() {
    assert_eq!(
        data_row_values(b"\0\x02\xff\xff\xff\xff\0\0\0\x01x"),
        Ok(vec![None, Some(&b"x"[..])])
    );
    for (bytes, error) in [
        (&b"\0"[..], Truncated),
        (b"\0\x01\0\0\0\x02x", Truncated),
        (b"\0\0\0\xe8", Trailing),
        (b"\0\x01\xff\xff\xff\xfe", Value("length of a value")),
    ] {
        assert_eq!(
            data_row_values(bytes),
            Err(error),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn the_small_ones() {
    type Build = fn(&mut Vec<u8>);
    let cases: [(u8, Build); 7] = [
        (b'1', parse_complete),
        (b'2', bind_complete),
        (b'3', close_complete),
        (b'n', no_data),
        (b'I', empty_query),
        (b's', portal_suspended),
        (b'c', copy_done),
    ];
    for (tag, build) in cases {
        assert_eq!(body(tag, build), b"");
    }
    assert_eq!(
        body(b'G', |out| copy_in_response(out, false, 2)),
        b"\0\0\x02\0\0\0\0"
    );
    assert_eq!(
        body(b'H', |out| copy_out_response(out, true, 1)),
        b"\x01\0\x01\0\x01"
    );
    assert_eq!(body(b'd', |out| copy_data(out, b"x")), b"x");
    assert_eq!(
        body(b'A', |out| notification(out, 1, "c", "p")),
        b"\0\0\0\x01c\0p\0"
    );
}
