//! Asking a peer: one POST over a connection of its own, bounded in time and bytes.

use super::{EXCHANGE_MAX, Fleet, PATH, tls};
use ::fleet::{Ask, Failure, MESSAGE_MAX};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Of an answer's head (hyper's smallest).
const HEAD_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 32;

/// Asks, and notes what came of it.
pub(super) async fn ask(fleet: Fleet, ask: Ask) {
    let (message, nonce) = fleet.question(ask.receiver.as_deref(), ask.refused);
    let exchange = exchange(fleet.tls(), ask.address, message);
    match tokio::time::timeout(EXCHANGE_MAX, exchange).await {
        Ok(Ok(answer)) => fleet.answered(ask.address, &answer, nonce),
        Ok(Err(failure)) => fleet.failed(ask.address, failure),
        Err(_) => fleet.failed(ask.address, Failure::Late),
    }
}

async fn exchange(
    tls: Option<tls::Material>,
    address: SocketAddr,
    message: Vec<u8>,
) -> Result<Bytes, Failure> {
    let socket = TcpStream::connect(address).await;
    let socket = socket.map_err(|_| Failure::Unreachable)?;
    match tls {
        None => converse(socket, address, message).await,
        Some(tls) => {
            let stream = tls.connect(address, socket).await;
            // Its certificate is not ours, or it refuses ours.
            let stream = stream.map_err(|_| Failure::Refused)?;
            // In TLS 1.3 that is seen only when something is to be read.
            let refused = |failure| match failure {
                Failure::Nonsense => Failure::Refused,
                other => other,
            };
            converse(stream, address, message).await.map_err(refused)
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    address: SocketAddr,
    message: Vec<u8>,
) -> Result<Bytes, Failure> {
    let nonsense = |_| Failure::Nonsense;
    let request = Request::post(PATH)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(message)))
        .map_err(|_| Failure::Nonsense)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(nonsense)?;
    // It ends with this exchange, whatever the other side does.
    let _driven = Driven(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await.map_err(nonsense)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(Failure::Refused),
        _ => return Err(Failure::Nonsense),
    }
    let body = Limited::new(response.into_body(), MESSAGE_MAX).collect();
    let body = body.await.map_err(|_| Failure::Nonsense)?;
    Ok(body.to_bytes())
}

struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}
