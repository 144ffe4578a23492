//! Watches the server itself while poolers work: its connections, and whether others still get in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use crate::{DATABASE, Failure, USER};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);
/// Between two logins past the pooler.
const LOGIN_PERIOD: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Most client connections at one moment, the watcher's own left out.
    pub most: u32,
    /// Looks.
    pub looks: u32,
    /// Logins tried past the pooler, as an ordinary user.
    pub logins: u32,
    /// Of these, refused.
    pub refused: u32,
}

/// Somebody who looks.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen, String>>,
}

/// An ordinary user who comes past the pooler; must exist.
pub const ORDINARY: &str = "ordinary";

impl Watch {
    /// Begins to look at the server at `address`.
    pub fn start(address: SocketAddr) -> Result<Watch, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut own =
            Client::login(address, USER, DATABASE, "watch").map_err(|t| format!("{t:?}"))?;
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut next_login = Instant::now();
            while !flag.load(Ordering::Relaxed) {
                let count = own
                    .query(
                        "SELECT count(*) FROM pg_stat_activity \
                         WHERE backend_type = 'client backend' AND application_name NOT IN ('watch', 'visitor')",
                    )
                    .map_err(|t| format!("the watcher's question: {t:?}"))?;
                seen.most = seen.most.max(count.parse().unwrap_or(0));
                seen.looks += 1;
                if Instant::now() >= next_login {
                    next_login = Instant::now() + LOGIN_PERIOD;
                    seen.logins += 1;
                    if Client::login(address, ORDINARY, DATABASE, "visitor").is_err() {
                        seen.refused += 1;
                    }
                }
                std::thread::sleep(PERIOD);
            }
            Ok(seen)
        });
        Ok(Watch { stop, thread })
    }

    /// What was seen.
    pub fn stop(self) -> Result<Seen, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().map_err(|_| "the watcher panicked")?;
        Ok(seen?)
    }
}
