//! From a request to its answer: each check in its order, then the handler.
//!
//! ```text
//!   host ─► origin ─► method, path ─► token ─► role ─► parameters ─► body ─► handler
//!   421     403       404, 405        401,429  403     400           413,415 its own
//!                       └► a file of the page: no token, no turn
//! ```

use super::call::{self, Actor, Answer, Call, Failure, Payload};
use super::door::{self, Named, Token, Tries};
use super::figures::{Figures, Refused};
use super::streaming::{Bounds, Pieces, STREAMS_MAX, Standing, StillMay, Stream, TRY_AGAIN_S};
use super::table::{Body, Found, Route, Verb, find};
use super::{Access, BODY_TIME_MAX, HANDLERS_MAX, Parts};
use crate::page;
use bytes::Bytes;
use config::{Anonymous, Api, ApiRole};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait for a handler's turn.
const TURN_MAX: Duration = Duration::from_secs(10);
/// An unknown token that is one too many waits so long for its answer.
const SLOWED: Duration = Duration::from_secs(1);

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// The unix socket, and the user that the system names.
    Local { uid: u32 },
    /// TCP.
    Remote(SocketAddr),
}

/// What all connections of one listener share.
pub(super) struct Shared {
    pub routes: Arc<Vec<Route>>,
    pub parts: Parts,
    pub access: Access,
    pub figures: Arc<Figures>,
    /// Each listener has its own: a flood on TCP takes no turn from the unix socket.
    pub turns: Arc<Semaphore>,
    /// Places of answers that go on.
    pub streams: Arc<Semaphore>,
    pub bounds: Bounds,
    pub tries: Mutex<Tries>,
}

impl Shared {
    pub(super) fn new(options: &super::Options, routes: Arc<Vec<Route>>, bounds: Bounds) -> Shared {
        Shared {
            routes,
            parts: options.parts.clone(),
            access: Arc::clone(&options.access),
            figures: Arc::clone(&options.figures),
            turns: Arc::new(Semaphore::new(HANDLERS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            bounds,
            tries: Mutex::default(),
        }
    }
}

/// A refusal with its reason, and headers of its own.
struct No {
    reason: Option<Refused>,
    failure: Box<Failure>,
    headers: Vec<(HeaderName, String)>,
}

impl No {
    fn new(reason: Refused, failure: Failure) -> No {
        No {
            reason: Some(reason),
            failure: Box::new(failure),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: String) -> No {
        self.headers.push((name, value));
        self
    }
}

impl From<Failure> for No {
    fn from(failure: Failure) -> No {
        No {
            reason: None,
            failure: Box::new(failure),
            headers: Vec::new(),
        }
    }
}

/// A body of any kind.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, Infallible>;

/// Answers one request, whatever it is. `standing` says how far it is.
pub(super) async fn answer(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    standing: Arc<Standing>,
) -> Response<AnyBody> {
    let response = match decide(&shared, peer, request, &standing).await {
        Ok(response) => response,
        Err(no) => {
            if let Some(reason) = no.reason {
                shared.figures.refuse(reason);
            }
            let json = serde_json::to_vec(&no.failure.error).unwrap_or_default();
            let mut response = whole(no.failure.status, "application/json", json.into());
            for (name, value) in no.headers {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
    };
    shared.figures.answered(response.status().as_u16());
    response
}

async fn decide(
    shared: &Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    standing: &Arc<Standing>,
) -> Result<Response<AnyBody>, No> {
    let settings = (shared.access)();
    let asset = page::find(request.uri().path());
    // A link to the page may stand anywhere; the page itself holds nothing.
    let linked = asset.is_some_and(page::Asset::is_page) && door::is_visit(&request);
    from_us(peer, &request, &settings, linked)?;
    if let Some(asset) = asset {
        return file(asset, &request);
    }
    let (route, in_path) = route(shared, &request)?;
    let actor = actor(shared, peer, request.headers(), &settings, route).await?;
    may(&actor, route)?;
    let given = (!actor.local).then(|| request.headers().get(header::AUTHORIZATION).cloned());
    let values = call::values(route, in_path, request.uri().query())?;
    let body = match &route.body {
        Some(body) => read(request, body).await?,
        None => Bytes::new(),
    };
    let call = Call {
        actor,
        values,
        body,
    };
    let role = route.role;
    let answer = handle(shared, *route, call, &standing.working).await?;
    let body = match answer.payload {
        Payload::Whole(bytes) => {
            return Ok(whole(StatusCode::OK, answer.content_type, bytes));
        }
        Payload::Stream(frames) => {
            let place = place(shared)?;
            let (standing, still) = (Arc::clone(standing), still_may(shared, given, role));
            Stream::new(frames, shared.bounds, place, standing, still).boxed_unsync()
        }
        Payload::Pieces(pieces) => {
            let place = place(shared)?;
            let (standing, still) = (Arc::clone(standing), still_may(shared, given, role));
            Pieces::new(pieces, place, standing, still).boxed_unsync()
        }
    };
    Ok(response(StatusCode::OK, answer.content_type, body))
}

/// A place among the streams.
fn place(shared: &Arc<Shared>) -> Result<OwnedSemaphorePermit, No> {
    Arc::clone(&shared.streams)
        .try_acquire_owned()
        .map_err(|_| {
            let line = "too many listen already";
            let failure = Failure::new(503, "busy", line, "try again, or ask /v1/live");
            let no = No::new(Refused::Busy, failure);
            no.with(header::RETRY_AFTER, TRY_AGAIN_S.to_string())
        })
}

/// Asks again for each piece of a stream what was asked at its start. `given`: the
/// token's header of who came by TCP; the system vouches for the others.
fn still_may(shared: &Arc<Shared>, given: Option<Option<HeaderValue>>, needs: ApiRole) -> StillMay {
    let Some(given) = given else {
        return Box::new(|| true);
    };
    let mut headers = HeaderMap::new();
    headers.extend(given.map(|token| (header::AUTHORIZATION, token)));
    let access = Arc::clone(&shared.access);
    Box::new(move || {
        let settings = access();
        match door::token(&headers, &settings) {
            Token::Of(role) => role >= needs,
            Token::Missing => needs == ApiRole::Viewer && settings.anonymous == Anonymous::Viewer,
            Token::Unknown => false,
        }
    })
}

/// A file of the page. It is the same for all, and no handler runs for it.
fn file(asset: &page::Asset, request: &Request<Incoming>) -> Result<Response<AnyBody>, No> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let failure = Failure::new(405, "method", "use GET, HEAD", "");
        let no = No::new(Refused::Method, failure);
        return Err(no.with(header::ALLOW, "GET, HEAD".to_owned()));
    }
    let mut response = asset.answer(request.headers()).map(BodyExt::boxed_unsync);
    for (name, value) in HEADERS {
        let headers = response.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The request means us, and no page of another site sent it.
fn from_us(
    peer: Peer,
    request: &Request<Incoming>,
    settings: &Api,
    linked: bool,
) -> Result<(), No> {
    if matches!(peer, Peer::Remote(_)) {
        let absolute = request.uri().scheme().is_some() || request.uri().authority().is_some();
        let named = door::named(request.headers(), settings);
        if named == Named::Unclear {
            let line = "a request needs one Host header";
            return Err(No::new(Refused::Host, Failure::bad_request(line, "")));
        }
        if absolute && request.method() != Method::CONNECT || named == Named::Another {
            let line = "this is not the host that the request names";
            let help = "use http://127.0.0.1:PORT, or add the name to `hosts` in [api]";
            return Err(No::new(
                Refused::Host,
                Failure::new(421, "host", line, help),
            ));
        }
    }
    if door::is_foreign(request.headers()) && !linked {
        let line = "pages of other sites may not ask";
        let failure = Failure::new(403, "origin", line, "");
        return Err(No::new(Refused::Origin, failure));
    }
    Ok(())
}

type Routed<'a> = (&'a Route, Vec<(&'static str, String)>);

fn route<'a>(shared: &'a Shared, request: &Request<Incoming>) -> Result<Routed<'a>, No> {
    let verb = match *request.method() {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        _ => None,
    };
    let verbs = match find(&shared.routes, verb, request.uri().path()) {
        Found::Route(route, values) => return Ok((route, values)),
        Found::Methods(verbs) => verbs,
        // A method that no route has is none here, wherever it points.
        Found::Nothing if verb.is_none() => vec![Verb::Get, Verb::Post],
        Found::Nothing => {
            let help = "GET /v1/openapi.json lists what there is";
            let failure = Failure::not_found("there is nothing at this path", help);
            return Err(No::new(Refused::Path, failure));
        }
    };
    let words = verbs.iter().map(|verb| match verb {
        Verb::Get => "GET, HEAD",
        Verb::Post => "POST",
    });
    let allowed = words.collect::<Vec<_>>().join(", ");
    let failure = Failure::new(405, "method", format!("use {allowed}"), "");
    Err(No::new(Refused::Method, failure).with(header::ALLOW, allowed))
}

/// Who asks: by the system's word, or by a token.
async fn actor(
    shared: &Shared,
    peer: Peer,
    headers: &HeaderMap,
    settings: &Api,
    route: &Route,
) -> Result<Actor, No> {
    let address = match peer {
        Peer::Local { uid } => {
            return Ok(Actor {
                role: ApiRole::Admin,
                name: format!("uid {uid}"),
                local: true,
                anonymous: false,
            });
        }
        Peer::Remote(address) => address,
    };
    let help =
        "send `Authorization: Bearer TOKEN`; the command line takes --token-file or PLIMSOLL_TOKEN";
    let challenge = match door::token(headers, settings) {
        Token::Of(role) => {
            return Ok(Actor {
                role,
                name: format!("{}@{}", role.word(), address.ip()),
                local: false,
                anonymous: false,
            });
        }
        Token::Missing
            if settings.anonymous == Anonymous::Viewer && route.role == ApiRole::Viewer =>
        {
            return Ok(Actor {
                role: ApiRole::Viewer,
                name: format!("anonymous@{}", address.ip()),
                local: false,
                anonymous: true,
            });
        }
        Token::Missing => {
            let failure = Failure::new(401, "token", "this needs a token", help);
            let no = No::new(Refused::Token, failure);
            return Err(no.with(header::WWW_AUTHENTICATE, CHALLENGE.to_owned()));
        }
        Token::Unknown => format!("{CHALLENGE}, error=\"invalid_token\""),
    };
    let within = {
        let mut tries = shared.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.one_more(address.ip(), Instant::now())
    };
    if within {
        tracing::warn!(peer = %address, "a request to the API came with an unknown token");
        let failure = Failure::new(401, "token", "this token is not known", help);
        return Err(No::new(Refused::Token, failure).with(header::WWW_AUTHENTICATE, challenge));
    }
    tokio::time::sleep(SLOWED).await;
    let line = "too many unknown tokens came from this address";
    let failure = Failure::new(429, "throttled", line, help);
    Err(No::new(Refused::Throttled, failure).with(header::RETRY_AFTER, door::retry_after()))
}

const CHALLENGE: &str = "Bearer realm=\"plimsoll\"";

fn may(actor: &Actor, route: &Route) -> Result<(), No> {
    if actor.role >= route.role {
        return Ok(());
    }
    let line = format!(
        "{} may not do this: it needs {}",
        actor.role.word(),
        route.role.word()
    );
    let failure = Failure::new(403, "role", line, "use that role's token");
    Err(No::new(Refused::Role, failure))
}

/// The body, within its bounds of size and time.
async fn read(request: Request<Incoming>, body: &Body) -> Result<Bytes, No> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        // A form of another site's page cannot say so.
        let help = "send `Content-Type: application/json`";
        let failure = Failure::new(415, "content_type", "the body must be JSON", help);
        return Err(No::new(Refused::ContentType, failure));
    }
    let too_large = || {
        let line = format!("the body is larger than {} KiB", body.bytes_max >> 10);
        No::new(Refused::TooLarge, Failure::new(413, "too_large", line, ""))
    };
    let stated = request.body().size_hint().lower();
    if usize::try_from(stated).map_or(true, |stated| stated > body.bytes_max) {
        return Err(too_large());
    }
    let collected = Limited::new(request.into_body(), body.bytes_max).collect();
    match tokio::time::timeout(BODY_TIME_MAX, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Failure::bad_request("the body ends too early", "").into()),
        Err(_) => {
            let line = format!("the body took more than {} s", BODY_TIME_MAX.as_secs());
            let failure = Failure::new(408, "slow_body", line, "");
            Err(No::new(Refused::SlowBody, failure))
        }
    }
}

/// Runs a handler on a thread where it may wait. A panic ends this request only.
async fn handle(
    shared: &Arc<Shared>,
    route: Route,
    call: Call,
    working: &std::sync::atomic::AtomicBool,
) -> Result<Answer, No> {
    let turn = Arc::clone(&shared.turns).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(TURN_MAX, turn).await else {
        let failure = Failure::new(
            503,
            "busy",
            "too many requests are being answered",
            "try again",
        );
        let no = No::new(Refused::Busy, failure);
        return Err(no.with(header::RETRY_AFTER, "1".to_owned()));
    };
    working.store(true, Ordering::Relaxed);
    let parts = shared.parts.clone();
    let work = move || {
        let outcome = (route.handle)(&parts, &call);
        // The thread counts until it is done, even when nobody waits any more.
        drop(turn);
        outcome
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => {
            let reason = error.try_into_panic().map_or_else(|e| e.to_string(), said);
            tracing::error!(
                path = route.path,
                reason,
                "a panic was contained in the API"
            );
            let line = "the pooler failed at this; its log says how";
            Err(Failure::new(500, "failed", line, "").into())
        }
    }
}

fn said(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it says nothing".to_owned())
}

/// Headers of every answer: no browser shall keep, guess or frame it.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnyBody> {
    response(status, content_type, Full::new(body).boxed_unsync())
}

fn response(status: StatusCode, content_type: &'static str, body: AnyBody) -> Response<AnyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
