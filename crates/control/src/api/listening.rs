//! Listeners and connections, each bounded in every direction.
//!
//! One request per connection. When more peers come than fit, the oldest one
//! that has not got its turn gives way: slow ones lock nobody out.

use super::answering::{Peer, Shared, answer};
use super::figures::Refused;
use super::streaming::Standing;
use super::{CONNECTIONS_MAX, REQUEST_TIME_MAX};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Request line and headers, bytes (hyper's smallest is 8 KiB).
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Header lines.
const HEADERS_MAX: usize = 64;
/// For the request's head to arrive.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// After an accept that failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the unix socket. One that a dead process left is replaced; one that
/// answers is left alone.
pub(super) fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let what = format!("another process listens on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves the unix socket until `stop` changes.
pub(super) async fn local(
    listener: UnixListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<()>,
) {
    let mut places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted.map(|(socket, _)| (trusted(&socket), socket)) {
            Ok((Some(uid), socket)) => places.take(socket, Peer::Local { uid }, &shared),
            Ok((None, _)) => {
                shared.figures.refuse(Refused::Uid);
                tracing::warn!("a connection to the API was refused: its user is another");
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves TCP until `stop` changes.
pub(super) async fn remote(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<()>,
) {
    let mut places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((socket, address)) => places.take(socket, Peer::Remote(address), &shared),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// The peer is who the pooler runs as, or root: its number.
fn trusted(socket: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let uid = socket.peer_cred().ok()?.uid();
    (uid == own || uid == 0).then_some(uid)
}

/// The connections of one listener, the oldest first.
#[derive(Default)]
struct Places {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<(AbortHandle, Arc<Standing>)>,
}

impl Places {
    /// Serves a connection, at the cost of the oldest that waits where all
    /// places are taken; where all work, the new one goes.
    fn take<S>(&mut self, socket: S, peer: Peer, shared: &Arc<Shared>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.oldest_first.retain(|(task, _)| !task.is_finished());
        // Streams have places of their own: they last, and are few.
        let streams = |(_, standing): &&(AbortHandle, Arc<Standing>)| {
            standing.streaming.load(Ordering::Relaxed)
        };
        let streaming = self.oldest_first.iter().filter(streams).count();
        if self.oldest_first.len() - streaming >= CONNECTIONS_MAX {
            let waits = |(_, standing): &(AbortHandle, Arc<Standing>)| {
                !standing.working.load(Ordering::Relaxed)
            };
            let waiting = self.oldest_first.iter().position(waits);
            shared.figures.refuse(Refused::Connections);
            let Some((task, _)) = waiting.and_then(|at| self.oldest_first.remove(at)) else {
                return;
            };
            task.abort();
        }
        let standing = Arc::new(Standing::default());
        let conversation = converse(socket, peer, Arc::clone(shared), Arc::clone(&standing));
        let task = self.tasks.spawn(conversation);
        self.oldest_first.push_back((task, standing));
    }
}

async fn converse<S>(socket: S, peer: Peer, shared: Arc<Shared>, standing: Arc<Standing>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let answered = answer(Arc::clone(&shared), peer, request, Arc::clone(&standing));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let begun = Instant::now();
    let mut taken = 0;
    // Whatever went wrong is the peer's loss: it sees its connection end.
    loop {
        let streams = standing.streaming.load(Ordering::Relaxed);
        let left = match streams {
            true => shared.bounds.stalled,
            // It may begin to stream meanwhile: then other bounds hold.
            false => REQUEST_TIME_MAX
                .saturating_sub(begun.elapsed())
                .min(shared.bounds.stalled),
        };
        if tokio::time::timeout(left, &mut connection).await.is_ok() {
            return;
        }
        let more = standing.taken.load(Ordering::Relaxed);
        let over = match standing.streaming.load(Ordering::Relaxed) {
            // It has its own end; only who takes nothing is let go here.
            true => streams && more == taken,
            false => begun.elapsed() >= REQUEST_TIME_MAX,
        };
        if over {
            return;
        }
        taken = more;
    }
}
