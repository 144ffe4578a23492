//! Reads what the gateway answers: fields that are zero are left out, numbers of
//! 64 bits are strings, bytes are base64.

use crate::Error;
use crate::messages::{Answer, Done, Event, Header, KeyValue, Lease, Ranged};
use crate::watch::News;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::time::Duration;

/// Of a message that is passed on.
const MESSAGE_MAX: usize = 300;

pub(crate) fn json(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|_| Error::nonsense("it is no JSON"))
}

/// The `error` of an answer that is none.
pub(crate) fn refusal(status: u16, body: &[u8]) -> Error {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    match error_in(&value) {
        Some(error) => error,
        None => Error::nonsense(format!("HTTP status {status}")),
    }
}

fn error_in(value: &Value) -> Option<Error> {
    // A stream has it one level deeper.
    let at = match value.get("error") {
        Some(inner) if inner.is_object() => inner,
        _ => value,
    };
    let code = at.get("code").or_else(|| at.get("grpc_code"))?.as_u64()?;
    let message = at.get("message").or_else(|| at.get("error"));
    let message = message.and_then(Value::as_str).unwrap_or("no reason given");
    let message: String = message.chars().filter(|c| !c.is_control()).collect();
    let message = message.chars().take(MESSAGE_MAX).collect();
    Some(match code {
        // A deadline, or no leader: it may have been proposed already.
        1 | 4 | 14 => Error::Lost(message),
        _ => Error::Refused {
            code: code as u32,
            message,
        },
    })
}

/// What a stream's piece holds.
pub(crate) fn result(mut piece: Value) -> Result<Value, Error> {
    match piece.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(error_in(&piece).unwrap_or_else(|| Error::nonsense("a piece without result"))),
    }
}

fn signed(value: &Value, name: &str) -> Result<i64, Error> {
    let wrong = || Error::nonsense(format!("{name} is no number"));
    match value.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
        Some(other) => other.as_i64().ok_or_else(wrong),
    }
}

fn unsigned(value: &Value, name: &str) -> Result<u64, Error> {
    let wrong = || Error::nonsense(format!("{name} is no number"));
    match value.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
        Some(other) => other.as_u64().ok_or_else(wrong),
    }
}

fn bytes(value: &Value, name: &str) -> Result<Vec<u8>, Error> {
    let wrong = || Error::nonsense(format!("{name} is not base64"));
    match value.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => BASE64_STANDARD.decode(text).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn header(value: &Value) -> Result<Header, Error> {
    let none = Value::Null;
    let header = value.get("header").unwrap_or(&none);
    Ok(Header {
        cluster: unsigned(header, "cluster_id")?,
        revision: unsigned(header, "revision")?,
    })
}

fn key_value(value: &Value) -> Result<KeyValue, Error> {
    Ok(KeyValue {
        key: bytes(value, "key")?,
        value: bytes(value, "value")?,
        create_revision: unsigned(value, "create_revision")?,
        mod_revision: unsigned(value, "mod_revision")?,
        version: unsigned(value, "version")?,
        lease: signed(value, "lease")?,
    })
}

pub(crate) fn ranged(value: &Value) -> Result<Ranged, Error> {
    Ok(Ranged {
        header: header(value)?,
        kvs: list(value, "kvs")
            .iter()
            .map(key_value)
            .collect::<Result<_, _>>()?,
        count: unsigned(value, "count")?,
        more: flag(value, "more"),
    })
}

pub(crate) fn done(value: &Value) -> Result<Done, Error> {
    Ok(Done {
        header: header(value)?,
        succeeded: flag(value, "succeeded"),
        answers: list(value, "responses")
            .iter()
            .map(answer)
            .collect::<Result<_, _>>()?,
    })
}

fn answer(value: &Value) -> Result<Answer, Error> {
    let of = |name| value.get(name);
    if let Some(range) = of("response_range") {
        return Ok(Answer::Range(ranged(range)?));
    }
    if let Some(inner) = of("response_txn") {
        return Ok(Answer::Txn(done(inner)?));
    }
    match of("response_put") {
        Some(_) => Ok(Answer::Put),
        None => Err(Error::nonsense("a step without an answer")),
    }
}

pub(crate) fn lease(value: &Value) -> Result<Lease, Error> {
    Ok(Lease {
        id: signed(value, "ID")?,
        ttl: Duration::from_secs(signed(value, "TTL")?.max(0) as u64),
    })
}

pub(crate) fn token(value: &Value) -> Result<String, Error> {
    let token = value.get("token").and_then(Value::as_str);
    let token = token.filter(|token| !token.is_empty());
    token
        .map(str::to_owned)
        .ok_or_else(|| Error::nonsense("no token"))
}

/// A piece of a watch.
pub(crate) fn news(value: &Value) -> Result<News, Error> {
    let compacted = unsigned(value, "compact_revision")?;
    if compacted > 0 {
        return Err(Error::Refused {
            code: 11,
            message: format!("the revision is gone; the oldest is {compacted}"),
        });
    }
    if flag(value, "canceled") {
        let reason = value.get("cancel_reason").and_then(Value::as_str);
        let reason = reason.unwrap_or("no reason given");
        return Err(Error::Refused {
            code: 1,
            message: reason.chars().take(MESSAGE_MAX).collect(),
        });
    }
    Ok(News {
        header: header(value)?,
        created: flag(value, "created"),
        events: list(value, "events")
            .iter()
            .map(event)
            .collect::<Result<_, _>>()?,
    })
}

fn event(value: &Value) -> Result<Event, Error> {
    let kv = value
        .get("kv")
        .ok_or_else(|| Error::nonsense("an event without a key"))?;
    Ok(Event {
        deleted: value.get("type").and_then(Value::as_str) == Some("DELETE"),
        kv: key_value(kv)?,
        before: value.get("prev_kv").map(key_value).transpose()?,
    })
}
