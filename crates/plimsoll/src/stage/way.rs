//! The way to the server: a TCP relay that can make it longer.
//!
//! It needs no rights: bytes wait in a queue until they are due, in each direction.

use anyhow::Context;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Chunks that wait in one direction; a full queue holds the sender up.
const CHUNKS_MAX: usize = 256;
const CHUNK_BYTES: usize = 16 << 10;

/// A relay on a port of its own. Dropping it closes what it carries.
pub struct Way {
    port: u16,
    delay_us: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Way {
    /// To this port of this machine.
    pub fn to(server: u16) -> anyhow::Result<Way> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for the way")?;
        let port = listener.local_addr().context("no port for the way")?.port();
        let way = Way {
            port,
            delay_us: Arc::default(),
            ended: Arc::default(),
        };
        let (delay, ended) = (Arc::clone(&way.delay_us), Arc::clone(&way.ended));
        thread(move || {
            for near in listener.incoming() {
                if ended.load(Relaxed) {
                    return;
                }
                let far = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server)));
                if let (Ok(near), Ok(far)) = (near, far) {
                    // Without a thread the connection ends: that is a failure that clients see.
                    carry(near, far, &delay).ok();
                }
            }
        })?;
        Ok(way)
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Each chunk takes so much longer from now on, each way.
    pub fn delay(&self, span: Duration) {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.delay_us.store(us, Relaxed);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // Wakes the listener; what it carries ends with its two sides.
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).ok();
    }
}

fn thread(body: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let builder = std::thread::Builder::new().name("way".into());
    let started = builder.stack_size(128 << 10).spawn(body);
    started.map(drop).context("cannot start a thread")
}

/// Both directions, each with a thread that reads and one that writes when it is time.
fn carry(near: TcpStream, far: TcpStream, delay: &Arc<AtomicU64>) -> anyhow::Result<()> {
    let pairs = [(near.try_clone()?, far.try_clone()?), (far, near)];
    for (from, to) in pairs {
        to.set_nodelay(true)?;
        let (send, queue) = sync_channel(CHUNKS_MAX);
        let delay = Arc::clone(delay);
        thread(move || read(from, &send, &delay))?;
        thread(move || write(to, &queue))?;
    }
    Ok(())
}

type Chunk = (Instant, Vec<u8>);

fn read(mut from: TcpStream, queue: &SyncSender<Chunk>, delay: &AtomicU64) {
    let mut bytes = vec![0; CHUNK_BYTES];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        let due = Instant::now() + Duration::from_micros(delay.load(Relaxed));
        if queue.send((due, bytes[..n].to_vec())).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, queue: &Receiver<Chunk>) {
    while let Ok((due, bytes)) = queue.recv() {
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
