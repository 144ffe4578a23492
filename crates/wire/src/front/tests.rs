//! Messages of the client: built, parsed, and broken on purpose.

use super::*;
use crate::frame::{self, HEADER};
use crate::startup::{Startup, parse as parse_startup};
use WireError::*;
use proptest::prelude::*;

/// The body of the one message that `build` appends, its frame checked.
fn body(tag: u8, build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    let frame = frame::peek(&out).unwrap().unwrap();
    assert_eq!((frame.tag, frame.len), (tag, out.len()));
    out.split_off(HEADER)
}

#[test]
fn messages_without_body() {
    type Build = fn(&mut Vec<u8>);
    let cases: [(u8, Build); 4] = [
        (b'S', sync),
        (b'H', flush),
        (b'X', terminate),
        (b'c', copy_done),
    ];
    for (tag, build) in cases {
        assert_eq!(body(tag, build), b"");
    }
}

#[test]
fn builders_append() {
    let mut out = b"before".to_vec();
    sync(&mut out);
    query(&mut out, b"x");
    assert_eq!(out, b"beforeS\0\0\0\x04Q\0\0\0\x06x\0");
}

#[test]
fn passwords_and_copy() {
    let sent = body(b'p', |out| password(out, b"md5abc"));
    assert_eq!(Password::parse(&sent).unwrap().password, b"md5abc");
    let sent = body(b'p', |out| sasl_initial(out, "SCRAM-SHA-256", b"n,,n=,r=x"));
    let initial = SaslInitial::parse(&sent).unwrap();
    assert_eq!(initial.mechanism, "SCRAM-SHA-256");
    assert_eq!(initial.data, Some(&b"n,,n=,r=x"[..]));
    assert_eq!(
        SaslInitial::parse(b"X\0\xff\xff\xff\xff").unwrap().data,
        None
    );
    assert_eq!(body(b'p', |out| sasl_response(out, b"c=biws")), b"c=biws");
    assert_eq!(body(b'f', |out| copy_fail(out, "no")), b"no\0");
    assert_eq!(body(b'd', |out| copy_data(out, b"1\0")), b"1\0");
}

#[test]
fn wrong_bodies() {
    assert_eq!(Query::parse(b""), Err(Unterminated));
    assert_eq!(Query::parse(b"select"), Err(Unterminated));
    assert_eq!(Query::parse(b"a\0b\0"), Err(Trailing));
    assert_eq!(Parse::parse(b"n\0text"), Err(Unterminated));
    assert_eq!(Parse::parse(b"n\0t\0"), Err(Truncated));
    assert_eq!(Parse::parse(b"n\0t\0\0\x01\0\0\0"), Err(Truncated));
    assert_eq!(Parse::parse(b"n\0t\0\0\0\0"), Err(Trailing));
    assert_eq!(Parse::parse(b"n\0t\0\xff\xff"), Err(Truncated));
    assert_eq!(Bind::parse(b"p\0s"), Err(Unterminated));
    assert_eq!(Describe::parse(b""), Err(Truncated));
    assert_eq!(
        Describe::parse(b"X\0"),
        Err(Value("kind of Describe or Close"))
    );
    assert_eq!(Describe::parse(b"Sx"), Err(Unterminated));
    assert_eq!(Close::parse(b"Px\0y"), Err(Trailing));
    assert_eq!(Execute::parse(b"\0\0\0\0"), Err(Truncated));
    assert_eq!(Execute::parse(b"\0\0\0\0\0\0"), Err(Trailing));
    assert_eq!(Password::parse(b"x\0y"), Err(Trailing));
    assert_eq!(SaslInitial::parse(b"X\0\0\0\0\x02a"), Err(Truncated));
    assert_eq!(SaslInitial::parse(b"X\0\0\0\0\x00a"), Err(Trailing));
    assert_eq!(
        SaslInitial::parse(b"X\0\xff\xff\xff\xfe"),
        Err(Value("length of SASL data"))
    );
    assert_eq!(
        SaslInitial::parse(b"\xff\0\0\0\0\0"),
        Err(Value("SASL mechanism"))
    );
}

#[test]
fn a_zero_byte_cannot_smuggle_a_field() {
    let sent = body(b'Q', |out| query(out, b"a\0b"));
    assert_eq!(Query::parse(&sent).unwrap().text, b"a");
    let mut out = Vec::new();
    startup(
        &mut out,
        0,
        [("a", "x\0user\0root"), ("", "y"), ("\0z", "y"), ("b", "c")],
    );
    let Ok(Some((Startup::Start { params, .. }, _))) = parse_startup(&out, 100) else {
        panic!("refused");
    };
    assert_eq!(params.iter().collect::<Vec<_>>(), [("a", "x"), ("b", "c")]);
}

#[test]
fn debug_shows_no_text() {
    let marker = b"MARKER";
    let types = b"\0\0";
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        Query { text: marker },
        Parse {
            name: b"",
            text: marker,
            types
        },
        Bind {
            portal: b"",
            statement: b"",
            rest: marker
        },
        Password { password: marker },
        SaslInitial {
            mechanism: "M",
            data: Some(marker)
        },
    );
    assert_eq!(
        shown,
        "Query(6 bytes) Parse(6 bytes) Bind(6 bytes) Password(…) SaslInitial(M, …)"
    );
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=u8::MAX, 0..40)
}

proptest! {
    #[test]
    fn views_read_what_builders_write(
        a in text(),
        b in text(),
        oids in prop::collection::vec(any::<u32>(), 0..9),
        rest in prop::collection::vec(any::<u8>(), 0..40),
        max_rows: i32,
    ) {
        let (name, text) = (&a[..], &b[..]);
        let mut types = (oids.len() as u16).to_be_bytes().to_vec();
        types.extend(oids.iter().flat_map(|oid| oid.to_be_bytes()));

        let sent = body(b'Q', |out| query(out, text));
        prop_assert_eq!(Query::parse(&sent), Ok(Query { text }));
        let sent = body(b'P', |out| parse(out, name, text, &types));
        prop_assert_eq!(Parse::parse(&sent), Ok(Parse { name, text, types: &types }));
        let sent = body(b'B', |out| bind_renamed(out, name, text, &rest));
        let bind = Bind { portal: name, statement: text, rest: &rest };
        prop_assert_eq!(Bind::parse(&sent), Ok(bind));
        let sent = body(b'D', |out| describe(out, STATEMENT, name));
        prop_assert_eq!(Describe::parse(&sent), Ok(Describe { kind: b'S', name }));
        let sent = body(b'C', |out| close(out, PORTAL, name));
        prop_assert_eq!(Close::parse(&sent), Ok(Close { kind: b'P', name }));
        let sent = body(b'E', |out| execute(out, name, max_rows));
        prop_assert_eq!(Execute::parse(&sent), Ok(Execute { portal: name, max_rows }));
    }
}
