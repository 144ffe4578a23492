//! One request as a handler sees it, and what it gives back.

use super::table::{Kind, Route};
use crate::live::feed::Frame;
use crate::settings::keeper::AskError;
use bytes::Bytes;
use config::ApiRole;
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

/// The type of server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
/// Most parameters of one query.
const PARAMETERS_MAX: usize = 32;
/// Longest name that a caller gives itself.
const CLAIM_CHARS: usize = 200;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// What they may do.
    pub role: ApiRole,
    /// `uid 0` on the unix socket, `admin@127.0.0.1` with a token.
    pub name: String,
    /// The system vouches for them: they are who the pooler runs as, or root.
    pub local: bool,
    /// They came without a token, and the settings let them read.
    pub anonymous: bool,
}

impl Actor {
    /// The name for logs and histories, with what they say of themselves.
    /// Beside a token that is a claim, and is shown as one.
    pub fn claiming(&self, claim: &str) -> String {
        let clean = |c: char| if c.is_control() { '?' } else { c };
        let claim: String = claim.chars().map(clean).take(CLAIM_CHARS).collect();
        match (claim.is_empty(), self.local) {
            (true, _) => self.name.clone(),
            (false, true) => claim,
            (false, false) => format!("{} ({claim})", self.name),
        }
    }
}

/// A request that may be answered: its role fits, its parameters are checked.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Call {
    /// A parameter, of the path or of the query.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut found = self.values.iter().filter(|(n, _)| *n == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The body.
    ///
    /// # Errors
    /// It is not what the route takes. The text is not repeated: it may hold a secret.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = format!(
                "not the JSON expected: line {}, column {}",
                error.line(),
                error.column()
            );
            Failure::bad_request(&what, "GET /v1/openapi.json says what it must be")
        })
    }
}

/// A good answer: 200 with this.
#[derive(Debug)]
pub struct Answer {
    pub(super) content_type: &'static str,
    pub(super) payload: Payload,
}

/// What it holds.
#[derive(Debug)]
pub(super) enum Payload {
    /// All of it.
    Whole(Bytes),
    /// A piece for each second.
    Stream(watch::Receiver<Frame>),
    /// Pieces, as they come.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Answer {
    /// A value as JSON.
    pub fn json<T: Serialize>(value: &T) -> Answer {
        Answer {
            content_type: "application/json",
            payload: Payload::Whole(serde_json::to_vec(value).unwrap_or_default().into()),
        }
    }

    /// Bytes of another type: what `Shape::Media` promised.
    pub fn media(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        Answer {
            content_type,
            payload: Payload::Whole(body.into()),
        }
    }

    /// Pieces, as they come, until nobody sends any more.
    pub(super) fn pieces(content_type: &'static str, pieces: mpsc::Receiver<Bytes>) -> Answer {
        Answer {
            content_type,
            payload: Payload::Pieces(pieces),
        }
    }

    /// Server-sent events, one for each second.
    pub(super) fn events(frames: watch::Receiver<Frame>) -> Answer {
        Answer {
            content_type: EVENTS,
            payload: Payload::Stream(frames),
        }
    }
}

/// Why there is no good answer. It goes to the caller: it must hold no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: AskError,
}

impl Failure {
    /// With a status of 400 or above, a word for programs, a line for people,
    /// and what to do.
    pub fn new(status: u16, kind: &str, line: impl Into<String>, help: &str) -> Failure {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Failure {
            status,
            error: AskError {
                kind: kind.to_owned(),
                lines: vec![line.into()],
                help: help.to_owned(),
                shown: String::new(),
            },
        }
    }

    /// 400.
    pub fn bad_request(line: &str, help: &str) -> Failure {
        Failure::new(400, "bad_request", line, help)
    }

    /// 404 with what is not there.
    pub fn not_found(line: impl Into<String>, help: &str) -> Failure {
        Failure::new(404, "not_found", line, help)
    }

    /// 503: this pooler runs without the part that would answer.
    pub fn absent(what: &str, help: &str) -> Failure {
        Failure::new(503, "absent", format!("there is no {what} here"), help)
    }
}

/// The values of a request, each of its kind, or 400.
pub(super) fn values(
    route: &Route,
    mut found: Vec<(&'static str, String)>,
    query: Option<&str>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let pairs = query.unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decoded(name).zip(decoded(value));
        let (name, value) = decoded
            .ok_or_else(|| Failure::bad_request("the query is not well encoded", "use %XX"))?;
        let known = route.parameters.iter().map(|p| p.name);
        let known: Vec<&'static str> = known.filter(|n| !route.path.contains(n)).collect();
        let Some(name) = known.iter().copied().find(|n| *n == name) else {
            let help = match known.is_empty() {
                true => "this route takes none".to_owned(),
                false => format!("this route takes: {}", known.join(", ")),
            };
            return Err(Failure::bad_request("an unknown parameter", &help));
        };
        if found.iter().any(|(n, _)| *n == name) || found.len() >= PARAMETERS_MAX {
            return Err(Failure::bad_request("a parameter is given twice", ""));
        }
        found.push((name, value));
    }
    for (name, value) in &found {
        let kind = route.parameters.iter().find(|p| p.name == *name);
        if let Some(fault) = kind.and_then(|p| fault(p.kind, value)) {
            return Err(Failure::bad_request(&format!("{name}: {fault}"), ""));
        }
    }
    Ok(found)
}

fn fault(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Number { min, max } => {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let number = value.parse::<u64>().ok().filter(|_| digits);
            let good = number.is_some_and(|n| n >= min && n <= max);
            (!good).then(|| format!("write a whole number from {min} to {max}"))
        }
        Kind::Text { max } => {
            let good =
                !value.is_empty() && value.len() <= max && !value.chars().any(char::is_control);
            (!good).then(|| format!("write 1 to {max} bytes of text on one line"))
        }
        Kind::Word(words) => {
            (!words.contains(&value)).then(|| format!("write one of: {}", words.join(", ")))
        }
    }
}

/// Percent-encoded UTF-8 without control characters.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    let text = String::from_utf8(out).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::table::{Found, Verb, find, routes};

    #[test]
    fn parameters_are_checked_before_a_handler_sees_them() {
        let routes = routes();
        let Found::Route(route, _) = find(&routes, Some(Verb::Get), "/v1/settings/history") else {
            panic!("no such route");
        };
        let of = |query: &str| match values(route, Vec::new(), Some(query)) {
            Ok(values) => format!("{values:?}"),
            Err(failure) => failure.error.lines.join(" "),
        };
        assert_eq!(of(""), "[]");
        assert_eq!(of("most=7"), "[(\"most\", \"7\")]");
        assert_eq!(of("m%6Fst=%37"), "[(\"most\", \"7\")]");
        for (query, said) in [
            ("most=-1", "most: write a whole number"),
            ("most=%2B7", "most: write a whole number"),
            ("most=", "most: write a whole number"),
            ("most=99999999999999999999999", "most: write a whole number"),
            ("most=7&most=8", "given twice"),
            ("least=7", "unknown parameter"),
            ("most=%zz", "not well encoded"),
            ("most=%0", "not well encoded"),
            ("most=%00", "not well encoded"),
            ("most=%ff", "not well encoded"),
        ] {
            assert!(of(query).contains(said), "{query}: {}", of(query));
        }
    }

    #[test]
    fn a_claim_stays_a_claim() {
        let actor = |local| Actor {
            role: ApiRole::Admin,
            name: "admin@127.0.0.1".to_owned(),
            anonymous: false,
            local,
        };
        assert_eq!(
            actor(false).claiming("anna@shop\x1b[2J"),
            "admin@127.0.0.1 (anna@shop?[2J)"
        );
        assert_eq!(actor(true).claiming("anna@shop"), "anna@shop");
        assert_eq!(actor(true).claiming(""), "admin@127.0.0.1");
        assert!(actor(false).claiming(&"a".repeat(9999)).len() < 300);
    }
}
