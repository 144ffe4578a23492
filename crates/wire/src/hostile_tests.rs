//! Every parser against bytes that nobody would send in good faith. The assertion is mostly that
//! the call returns; where a view comes back, it is walked to its end.

use proptest::prelude::*;

use crate::scram::{ChannelBinding, Keys, Verifier, binding, client, server};
use crate::{back, frame, front, md5, startup};

const NONE: ChannelBinding<'_> = ChannelBinding::Unavailable;

fn feed(bytes: &[u8]) {
    if let Ok(Some(frame)) = frame::peek(bytes) {
        assert!(frame.len >= frame::HEADER);
    }
    if let Ok(Some((packet, len))) = startup::parse(bytes, 1000) {
        assert!(len <= bytes.len() && len <= 1000);
        if let startup::Startup::Start { params, .. } = packet {
            // Each pair and the final byte are accounted for: the iterator stops nowhere early.
            let pairs: usize = params.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
            assert_eq!(8 + pairs + 1, len);
        }
    }
    let _ = front::Query::parse(bytes);
    let _ = front::Parse::parse(bytes);
    let _ = front::Bind::parse(bytes);
    let _ = front::Describe::parse(bytes);
    let _ = front::Close::parse(bytes);
    let _ = front::Execute::parse(bytes);
    let _ = front::Password::parse(bytes);
    let _ = front::SaslInitial::parse(bytes);
    let _ = back::ready_status(bytes);
    let _ = back::ParameterStatus::parse(bytes);
    let _ = back::BackendKey::parse(bytes);
    assert!(back::command_tag(bytes).len() <= bytes.len());
    if let Ok(fields) = back::ErrorFields::parse(bytes) {
        let size: usize = fields.iter().map(|field| field.1.len() + 2).sum();
        assert_eq!(size + 1, bytes.len());
        let _ = (fields.severity(), fields.message(), format!("{fields:?}"));
    }
    if let Ok(back::Authentication::Sasl(mechanisms)) = back::Authentication::parse(bytes) {
        let size: usize = mechanisms.map(|name| name.len() + 1).sum();
        assert_eq!(4 + size + 1, bytes.len());
    }
    if let Ok(negotiated) = back::NegotiateProtocolVersion::parse(bytes) {
        let size: usize = negotiated.options().map(|name| name.len() + 1).sum();
        assert_eq!(8 + size, bytes.len());
    }
    let _ = binding::end_point(bytes);
    assert!(!md5::verify(bytes, "md5", [0; 4]));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<Verifier>();
        let _ = startup::options(text).count();
        let _ = md5::is_stored(text);
    }
    feed_scram(bytes);
}

fn feed_scram(bytes: &[u8]) {
    let keys = Keys::from_bytes([1; 32], [2; 32]);
    let verifier = Verifier::from_keys(&keys, b"salt", 1);
    for binding in [NONE, ChannelBinding::Unused, ChannelBinding::EndPoint(b"x")] {
        let _ = server::ServerFirst::start(bytes, &verifier, "s", binding);
    }
    let first = server::ServerFirst::start(b"n,,n=,r=c", &verifier, "s", NONE).unwrap();
    assert!(first.finish(bytes).is_err());
    let challenged = client::ClientFirst::start("c", NONE).unwrap();
    let _ = challenged.server_first(bytes);
    let first = client::ClientFirst::start("c", NONE).unwrap();
    let need = first.server_first(b"r=cs,s=c2FsdA==,i=1").unwrap();
    assert!(need.prove(&keys).finish(bytes).is_err());
}

/// Good messages of every kind, to be damaged.
fn good() -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut add = |skip: usize, build: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        build(&mut out);
        packets.push(out.split_off(skip));
    };
    let report = back::ErrorReport {
        severity: "ERROR",
        code: "42601",
        message: "m",
        detail: Some("d"),
        hint: None,
    };
    add(0, &|out| {
        front::startup(out, 2, [("user", "joe"), ("_pq_.x", "y")])
    });
    add(0, &|out| front::cancel_request(out, 1, &[1; 32]));
    add(0, &|out| front::query(out, b"select 1"));
    add(5, &|out| {
        front::parse(out, b"s", b"select $1", b"\0\x01\0\0\0\x17")
    });
    add(5, &|out| {
        front::bind_renamed(out, b"p", b"s", b"\0\0\0\0\0\0")
    });
    add(5, &|out| front::close(out, b'S', b"s"));
    add(5, &|out| front::execute(out, b"p", 1));
    add(5, &|out| {
        front::sasl_initial(out, "SCRAM-SHA-256", b"n,,n=,r=c")
    });
    add(5, &|out| back::error(out, &report));
    add(5, &|out| {
        back::auth_sasl(out, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
    });
    add(5, &|out| back::auth_md5(out, [1; 4]));
    add(5, &|out| back::negotiate_version(out, 0, ["_pq_.x"]));
    add(5, &|out| back::parameter_status(out, "a", "b"));
    add(5, &|out| back::backend_key(out, 1, &[1; 4]));
    packets.push(b"n,,n=,r=c".to_vec());
    packets.push(b"p=tls-server-end-point,,n=,r=c".to_vec());
    packets.push(b"r=cs,s=c2FsdA==,i=1".to_vec());
    packets.push(b"c=biws,r=cs,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec());
    packets.push(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec());
    packets.push(Verifier::mock("joe", b"seed").to_string().into_bytes());
    packets.push(b"-c a=b --c-d=e\\ f".to_vec());
    packets.push(include_bytes!("scram/testdata/pss.der").to_vec());
    packets.push(include_bytes!("scram/testdata/ec256.der").to_vec());
    packets
}

#[test]
fn every_prefix_of_every_message() {
    for packet in good() {
        for end in 0..=packet.len() {
            feed(&packet[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        feed(&bytes);
    }

    #[test]
    fn bytes_that_are_almost_right(bytes in prop::collection::vec(
        prop::sample::select(&b"\0\x01\x03\x04\x08\xffASVCMnpyr=,scivp$:-\\ "[..]), 0..60,
    )) {
        feed(&bytes);
    }

    #[test]
    fn damaged_messages(
        packet in prop::sample::select(good()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packet = packet;
        for (at, byte) in damage {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        feed(&packet);
        feed(&packet[..cut.index(packet.len())]);
    }
}
