//! The listener: one path, one method, one message a connection, each bounded in
//! every direction.

use super::{EXCHANGE_MAX, Fleet, PATH, Taken};
use ::fleet::{MESSAGE_MAX, Refused};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Connections at a time; the next one takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// Request line and headers, bytes (hyper's smallest).
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 32;
/// For all of a connection: TLS, the head, the body, the answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);
/// After an accept that failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Until it is dropped.
pub(super) async fn serve(fleet: Fleet, listener: TcpListener) {
    let mut tasks = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, remote)) => {
                    make_room(&fleet, &mut oldest_first);
                    let served = tasks.spawn(serve_one(fleet.clone(), socket, remote));
                    oldest_first.push_back(served);
                }
                Err(error) => {
                    tracing::warn!(%error, "the fleet's channel cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Leaves at most one less than the limit, at the cost of the oldest: who answers
/// within the second is never it, unless somebody floods.
fn make_room(fleet: &Fleet, oldest_first: &mut VecDeque<AbortHandle>) {
    oldest_first.retain(|task| !task.is_finished());
    while oldest_first.len() >= CONNECTIONS_MAX {
        if let Some(task) = oldest_first.pop_front() {
            fleet.count(Refused::Connections);
            task.abort();
        }
    }
}

async fn serve_one(fleet: Fleet, socket: TcpStream, remote: SocketAddr) {
    let conversation = async {
        match fleet.tls() {
            None => converse(fleet, socket, remote).await,
            Some(tls) => match tls.accept(socket).await {
                Ok(stream) => converse(fleet, stream, remote).await,
                Err(_) => fleet.count(Refused::Seal),
            },
        }
    };
    // Whatever went wrong is the peer's loss: it sees its connection end.
    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, conversation).await;
}

async fn converse<S>(fleet: Fleet, stream: S, remote: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let fleet = fleet.clone();
        async move { Ok::<_, Infallible>(answer(fleet, remote, request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(EXCHANGE_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    fleet: Fleet,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return status(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let too_large = || {
        fleet.count(Refused::Malformed);
        status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let stated = request.body().size_hint().lower();
    if usize::try_from(stated).map_or(true, |stated| stated > MESSAGE_MAX) {
        return too_large();
    }
    let collected = Limited::new(request.into_body(), MESSAGE_MAX).collect();
    let message = match tokio::time::timeout(EXCHANGE_MAX, collected).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_large(),
        Ok(Err(_)) => {
            fleet.count(Refused::Malformed);
            return status(StatusCode::BAD_REQUEST);
        }
        Err(_) => {
            fleet.count(Refused::Slow);
            return status(StatusCode::REQUEST_TIMEOUT);
        }
    };
    match fleet.take(remote, &message) {
        Taken::Answer(bytes) => {
            let mut response = Response::new(Full::new(Bytes::from(bytes)));
            let kind = header::HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        // One word for every reason: whoever tries learns nothing from it.
        Taken::Refused => status(StatusCode::UNAUTHORIZED),
        Taken::Nonsense => status(StatusCode::BAD_REQUEST),
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
