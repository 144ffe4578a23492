//! Threads that log in, so that the event loop never waits for a handshake.

use super::link::{Connector, Link};
use crate::scenario::Connect;
use mio::Waker;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most logins at the same time; and where each request has one of its own.
const THREADS_MAX: u32 = 8;
const THREADS_EACH_MAX: u32 = 64;

/// A login that ended.
pub(crate) struct Login {
    /// Which connection it is for.
    pub(crate) seat: usize,
    /// How long it took.
    pub(crate) took: Duration,
    /// The connection, or why there is none.
    pub(crate) link: Result<Link, String>,
}

/// The threads. They end when this is dropped and their last login is over.
pub(crate) struct Logins {
    asks: Sender<usize>,
    pub(crate) ended: Receiver<Login>,
}

impl Logins {
    pub(crate) fn start(
        connections: u32,
        connect: Connect,
        connector: &Arc<dyn Connector>,
        waker: &Arc<Waker>,
    ) -> std::io::Result<Logins> {
        let (asks, asked) = channel::<usize>();
        let (tell, ended) = channel();
        let asked = Arc::new(Mutex::new(asked));
        let most = match connect {
            Connect::Once => THREADS_MAX,
            Connect::Each => THREADS_EACH_MAX,
        };
        for _ in 0..connections.min(most) {
            let (asked, tell) = (asked.clone(), tell.clone());
            let (connector, waker) = (connector.clone(), waker.clone());
            let threads = thread::Builder::new().name("rehearse-login".to_owned());
            threads.spawn(move || {
                loop {
                    let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(seat) = next else { return };
                    let begun = Instant::now();
                    let link = connector.connect();
                    let took = begun.elapsed();
                    if tell.send(Login { seat, took, link }).is_err() {
                        return;
                    }
                    // A loop that cannot be woken looks at its next tick.
                    waker.wake().ok();
                }
            })?;
        }
        Ok(Logins { asks, ended })
    }

    /// Asks for a connection.
    pub(crate) fn ask(&self, seat: usize) {
        // It fails only when all threads are gone, and they end with us.
        self.asks.send(seat).ok();
    }
}
