//! Every reader of protocol messages against arbitrary bytes.

use wire::scram::{ChannelBinding, Keys, Verifier, client, server};
use wire::{back, frame, front, md5, startup};

/// Largest start-up packet that the body accepts, bytes.
const STARTUP_MAX: usize = 10_000;

/// Frames, start-up packets, views of both directions, rows and both sides of SCRAM.
pub fn wire(data: &[u8]) {
    stream(data);
    start_up(data);
    front_views(data);
    back_views(data);
    scram(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<Verifier>();
        for option in startup::options(text) {
            let _ = option.map_err(|e| e.to_string());
        }
        assert!(!(md5::is_stored(text) && text.len() != 35));
    }
    assert!(!md5::verify(data, "md5", [0; 4]));
    let _ = wire::scram::binding::end_point(data);
}

/// Walks frames as a session does: each step goes forward, and a whole body is read by its tag.
fn stream(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(head)) = frame::peek(rest) {
        assert!(head.len >= frame::HEADER);
        let Some(message) = rest.get(..head.len) else {
            break;
        };
        let body = &message[frame::HEADER..];
        front_views(body);
        back_views(body);
        rest = &rest[head.len..];
    }
}

fn start_up(data: &[u8]) {
    let Ok(Some((packet, len))) = startup::parse(data, STARTUP_MAX) else {
        return;
    };
    assert!(len <= data.len() && len <= STARTUP_MAX);
    match packet {
        startup::Startup::Start { minor, params } => {
            let pairs: usize = params.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
            assert_eq!(8 + pairs + 1, len, "parameters are read to the end");
            let mut again = Vec::new();
            front::startup(&mut again, minor, params.iter());
            assert_eq!(again, data[..len], "a packet is written as it was read");
        }
        startup::Startup::Cancel {
            pid,
            key,
            forwarded,
        } => {
            let mut again = Vec::new();
            match forwarded {
                true => front::forwarded_cancel(&mut again, pid, key),
                false => front::cancel_request(&mut again, pid, key),
            }
            assert_eq!(again, data[..len]);
        }
        _ => {}
    }
}

fn front_views(body: &[u8]) {
    if let Ok(query) = front::Query::parse(body) {
        let mut again = Vec::new();
        front::query(&mut again, query.text);
        assert_eq!(&again[frame::HEADER..], body);
    }
    if let Ok(parse) = front::Parse::parse(body) {
        let mut again = Vec::new();
        front::parse(&mut again, parse.name, parse.text, parse.types);
        assert_eq!(&again[frame::HEADER..], body);
    }
    if let Ok(bind) = front::Bind::parse(body) {
        assert!(bind.portal.len() + bind.statement.len() + 2 <= body.len());
        let mut again = Vec::new();
        front::bind_renamed(&mut again, bind.portal, bind.statement, bind.rest);
        assert_eq!(&again[frame::HEADER..], body);
    }
    let _ = front::Describe::parse(body);
    let _ = front::Close::parse(body);
    let _ = front::Execute::parse(body);
    let _ = front::Password::parse(body);
    let _ = front::SaslInitial::parse(body);
}

fn back_views(body: &[u8]) {
    let _ = back::ready_status(body).map(back::Status::byte);
    let _ = back::BackendKey::parse(body).map(|key| key.key.len());
    assert!(back::command_tag(body).len() <= body.len());
    if let Ok(status) = back::ParameterStatus::parse(body) {
        let mut again = Vec::new();
        back::parameter_status(&mut again, status.name, status.value);
        assert_eq!(&again[frame::HEADER..], body);
    }
    if let Ok(fields) = back::ErrorFields::parse(body) {
        let size: usize = fields.iter().map(|field| field.1.len() + 2).sum();
        assert_eq!(size + 1, body.len(), "fields are read to the end");
        let _ = (fields.severity(), fields.code(), fields.message());
        let _ = (fields.detail(), fields.hint(), fields.constraint());
        let _ = format!("{fields:?}");
    }
    match back::Authentication::parse(body) {
        Ok(back::Authentication::Sasl(mechanisms)) => {
            let size: usize = mechanisms.map(|name| name.len() + 1).sum();
            assert_eq!(4 + size + 1, body.len());
        }
        Ok(other) => drop(format!("{other:?}")),
        Err(_) => {}
    }
    if let Ok(values) = back::data_row_values(body) {
        let mut again = Vec::new();
        back::data_row(&mut again, &values);
        assert_eq!(
            &again[frame::HEADER..],
            body,
            "a row is written as it was read"
        );
    }
    if let Ok(negotiated) = back::NegotiateProtocolVersion::parse(body) {
        let size: usize = negotiated.options().map(|name| name.len() + 1).sum();
        assert_eq!(8 + size, body.len());
    }
}

/// Both sides of SCRAM: no bytes are taken for a proof.
fn scram(data: &[u8]) {
    let keys = Keys::from_bytes([1; 32], [2; 32]);
    let verifier = Verifier::from_keys(&keys, b"salt", 1);
    let bindings = [
        ChannelBinding::Unavailable,
        ChannelBinding::Unused,
        ChannelBinding::EndPoint(b"x"),
    ];
    for binding in bindings {
        if let Ok(first) = server::ServerFirst::start(data, &verifier, "s", binding) {
            assert!(first.finish(data).is_err(), "a first message proved");
        }
    }
    let none = ChannelBinding::Unavailable;
    if let Ok(first) = server::ServerFirst::start(b"n,,n=,r=c", &verifier, "s", none) {
        assert!(first.finish(data).is_err(), "a client without keys proved");
    }
    if let Ok(first) = client::ClientFirst::start("c", none)
        && let Ok(need) = first.server_first(data)
    {
        assert!(need.prove(&keys).finish(data).is_err());
    }
    if let Ok(first) = client::ClientFirst::start("c", none)
        && let Ok(need) = first.server_first(b"r=cs,s=c2FsdA==,i=1")
    {
        assert!(
            need.prove(&keys).finish(data).is_err(),
            "a server without keys proved"
        );
    }
}
