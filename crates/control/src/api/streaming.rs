//! Answers that go on: one event for each second, until a bound is reached.
//!
//! The bytes of a second are shared by all who listen, and a stream holds at most
//! those of one second beside what the system's socket takes. Who reads slowly
//! misses seconds; who reads nothing for a while is let go.

use crate::live::feed::Frame;
use bytes::Bytes;
use hyper::body::{Body, Frame as BodyFrame};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

/// Streams of one listener at a time. A flood on TCP leaves the unix socket its own.
pub(super) const STREAMS_MAX: usize = 16;
/// When a caller without a place may try again, seconds.
pub(super) const TRY_AGAIN_S: u32 = 5;

const END: &[u8] = b"event: end\ndata: {}\n\n";
const STILL_HERE: &[u8] = b": still here\n\n";

/// The bounds of streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// After so long it ends, and the client comes again.
    pub most: Duration,
    /// When nothing happens, a sign of life comes so often.
    pub quiet: Duration,
    /// Who takes nothing for so long is let go.
    pub stalled: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            most: Duration::from_secs(600),
            quiet: Duration::from_secs(15),
            stalled: Duration::from_secs(45),
        }
    }
}

/// How a connection stands, for those who bound connections.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Its handler has, or had, its turn.
    pub working: AtomicBool,
    /// Its answer goes on.
    pub streaming: AtomicBool,
    /// Pieces of it that the connection has taken.
    pub taken: AtomicU64,
}

/// The body of such an answer.
pub(super) struct Stream {
    next: Next,
    standing: Arc<Standing>,
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Listening)>> + Send>>;

/// Whether the caller may still read: a token may be revoked meanwhile.
pub(super) type StillMay = Box<dyn Fn() -> bool + Send>;

/// What a stream waits for.
struct Listening {
    frames: watch::Receiver<Frame>,
    bounds: Bounds,
    end: Instant,
    ended: bool,
    still: StillMay,
    /// Its place among the streams.
    _place: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(
        frames: watch::Receiver<Frame>,
        bounds: Bounds,
        place: OwnedSemaphorePermit,
        standing: Arc<Standing>,
        still: StillMay,
    ) -> Stream {
        standing.streaming.store(true, Ordering::Relaxed);
        let listening = Listening {
            frames,
            bounds,
            end: Instant::now() + bounds.most,
            ended: false,
            still,
            _place: place,
        };
        Stream {
            next: Box::pin(listening.next()),
            standing,
        }
    }
}

impl Listening {
    /// The next piece; `None`: that was all.
    async fn next(mut self) -> Option<(Bytes, Listening)> {
        if self.ended {
            return None;
        }
        let bytes = tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.end) => {
                self.ended = true;
                Bytes::from_static(END)
            }
            changed = self.frames.changed() => match changed {
                // Only the newest: what came before it is gone.
                Ok(()) => self.frames.borrow_and_update().bytes.clone(),
                Err(_) => {
                    self.ended = true;
                    Bytes::from_static(END)
                }
            },
            () = tokio::time::sleep(self.bounds.quiet) => Bytes::from_static(STILL_HERE),
        };
        if !(self.still)() {
            self.ended = true;
            return Some((Bytes::from_static(END), self));
        }
        Some((bytes, self))
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        match self.next.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                // It may not be asked again: an ended future must not be.
                self.next = Box::pin(std::future::ready(None));
                Poll::Ready(None)
            }
            Poll::Ready(Some((bytes, listening))) => {
                self.standing.taken.fetch_add(1, Ordering::Relaxed);
                self.next = Box::pin(listening.next());
                Poll::Ready(Some(Ok(BodyFrame::data(bytes))))
            }
        }
    }
}

/// The body of an answer that comes in pieces.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    standing: Arc<Standing>,
    still: StillMay,
    /// Its place among the streams.
    _place: OwnedSemaphorePermit,
}

impl Pieces {
    pub(super) fn new(
        pieces: mpsc::Receiver<Bytes>,
        place: OwnedSemaphorePermit,
        standing: Arc<Standing>,
        still: StillMay,
    ) -> Pieces {
        standing.streaming.store(true, Ordering::Relaxed);
        Pieces {
            pieces,
            standing,
            still,
            _place: place,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let next = self.pieces.poll_recv(cx);
        next.map(|piece| {
            let piece = piece.filter(|_| (self.still)())?;
            self.standing.taken.fetch_add(1, Ordering::Relaxed);
            Some(Ok(BodyFrame::data(piece)))
        })
    }
}

/// One second as an event.
pub(super) fn event(snapshot: u64, json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 64);
    out.extend_from_slice(format!("id: {snapshot}\nevent: live\ndata: ").as_bytes());
    // JSON of one line: serde escapes line ends within texts.
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
    out.into()
}
