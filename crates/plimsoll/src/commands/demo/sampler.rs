//! Counts the pooler's connections at the server, as PostgreSQL itself sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::client::{Address, Client, Target};
use crate::sandbox::Sandbox;

/// From one count to the next.
const EVERY: Duration = Duration::from_millis(100);

/// Running counts. Dropping it ends them.
pub struct Sampler {
    counts: Arc<Counts>,
    /// Its end is the signal to end.
    running: Sender<()>,
    thread: JoinHandle<()>,
}

/// Written by the sampler's thread alone.
#[derive(Default)]
struct Counts {
    now: AtomicU32,
    most: AtomicU32,
    samples: AtomicU64,
}

impl Sampler {
    /// Counts connections of these users, through the superuser's unix socket.
    pub fn start(sandbox: &Sandbox, users: &[&str]) -> anyhow::Result<Sampler> {
        let socket = format!(".s.PGSQL.{}", sandbox.port());
        let target = Target {
            address: Address::Unix(sandbox.socket_dir().join(socket)),
            user: "postgres",
            password: "",
            database: "postgres",
        };
        let mut client = Client::connect(&target, "plimsoll demo sampler")
            .map_err(|e| anyhow::anyhow!("cannot ask PostgreSQL for its connections: {e}"))?;
        let sql = format!(
            "select count(*) from pg_stat_activity where usename in ('{}')",
            users.join("', '")
        );
        let counts = Arc::new(Counts::default());
        let (running, ended) = channel();
        let for_thread = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                // Ends with its owner, or with the server: then no sample is added.
                while matches!(ended.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                    let Ok(answer) = client.query(&sql) else {
                        return;
                    };
                    if let Some(n) = answer.and_then(|n| n.parse().ok()) {
                        for_thread.now.store(n, Ordering::Relaxed);
                        for_thread.most.fetch_max(n, Ordering::Relaxed);
                        for_thread.samples.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
            .context("cannot start a thread")?;
        Ok(Sampler {
            counts,
            running,
            thread,
        })
    }

    /// Connections at the last count.
    pub fn now(&self) -> u32 {
        self.counts.now.load(Ordering::Relaxed)
    }

    /// Most connections at any count.
    pub fn most(&self) -> u32 {
        self.counts.most.load(Ordering::Relaxed)
    }

    /// How often was counted.
    pub fn samples(&self) -> u64 {
        self.counts.samples.load(Ordering::Relaxed)
    }

    /// Ends the counting and waits for it.
    pub fn stop(self) {
        drop(self.running);
        self.thread.join().ok();
    }
}
