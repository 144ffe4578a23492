//! What traffic looked like: sampled requests for connections, without a word of
//! what was asked.
//!
//! A pool records short windows: in each, every request with the moment at
//! which it came, who asked (a number), how long it waited, how long it held its
//! connection and how many were lent then. Between the windows only sums are
//! kept. That is enough to play the hour again with other settings, and it holds
//! no literal and no secret: names of databases, users and applications, and
//! statements with their literals taken out, are all the text there is.
//!
//! [`Shape::to_text`] is stable: versions 1 and 2 will be read by every later
//! version ([what version 2 added](../../../docs/decisions/traffic-shape-2.md)).
//!
//! ```
//! use events::shape::Shape;
//! let shape = Shape::default();
//! assert_eq!(Shape::from_text(&shape.to_text()).unwrap(), shape);
//! ```

mod stands;
mod text;

use std::time::Duration;

pub use stands::Stand;
pub use text::{ShapeError, VERSION};

/// Longest text of a shape, bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Requests in a shape, over all servers; fewer where their lines are long.
pub const REQUESTS_MAX: usize = 32_768;
/// Pools of one server in a shape; those with the most clients are kept.
pub const POOLS_MAX: usize = 64;
/// Flows of one pool that are told apart; others count as the first.
pub const FLOWS_MAX: usize = 64;
/// Classes of one server that are told apart; others count as the first.
pub const CLASSES_MAX: usize = 256;
/// Classes of one window that are told apart; others count as the first.
pub const WINDOW_CLASSES_MAX: usize = 64;
/// Longest text of a class, bytes.
pub const CLASS_TEXT_MAX: usize = 512;
/// Five minutes each: the slots of a day.
pub const SLOTS: u16 = 288;

/// The traffic of some time: at most an hour, or as long as a capture lasted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shape {
    /// How it was captured; `None`: a pooler told it by itself.
    pub capture: Option<Capture>,
    /// By database server.
    pub servers: Vec<ServerShape>,
}

/// When a shape was captured, and what was counted meanwhile.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture {
    /// Its begin, UTC, seconds since 1970. Moments in the shape count from here.
    pub began_s: u64,
    /// How long it lasted, seconds.
    pub lasted_s: u32,
    /// It lasted as long as it was meant to.
    pub whole: bool,
    /// All traffic by the time of day; slots in which nothing was counted are left out.
    pub slots: Vec<Slot>,
}

/// Five minutes of the day, over all days of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// Which, from midnight UTC; below [`SLOTS`].
    pub of_day: u16,
    /// Seconds that were counted.
    pub seconds: u32,
    /// Requests that were granted.
    pub granted: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Sum of the holds that ended, milliseconds.
    pub held_ms: u64,
    /// Logins of clients.
    pub logins: u64,
    /// Most clients that were connected.
    pub clients: u32,
}

/// What one database server was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerShape {
    /// The most connections that this pooler might open there.
    pub line: u32,
    /// Mean time to open one, microseconds; 0 when none was opened.
    pub open_us: u32,
    /// Requests up to `until_us`, recorded or not; 0 where that is not known.
    pub asked: u64,
    /// When this was read, on the clock of [`Window::at_us`].
    pub until_us: u64,
    /// What requests are for, by number; the first is what is not known, and all others.
    pub classes: Vec<ClassShape>,
    /// Its pools.
    pub pools: Vec<PoolShape>,
    /// What was recorded closely, oldest first.
    pub windows: Vec<Window>,
}

/// Requests whose last statement differs in literals only.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClassShape {
    /// What people call it: made by the pooler, and free to be edited.
    pub name: String,
    /// The statement's fingerprint; 0 for what is not known.
    pub fingerprint: u64,
    /// The statement without literals; empty where the settings do not show it.
    pub text: String,
}

/// One pool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PoolShape {
    /// The name that clients use.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// Most connections when this was taken.
    pub size: u32,
    /// Clients that were connected then.
    pub clients: u32,
    /// `user NUL application` by number; the first is all others.
    pub flows: Vec<String>,
    /// The last hour, ten seconds each, oldest first; time without traffic is left out.
    pub rows: Vec<Row>,
}

/// Ten seconds of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// Leases that ended.
    pub leases: u32,
    /// Connections lent on average, in thousandths.
    pub held_milli: u32,
    /// Clients waiting on average, in thousandths.
    pub queued_milli: u32,
    /// Most connections lent at one moment.
    pub peak: u32,
    /// The size of the pool.
    pub size: u32,
}

/// Some time in which each request was recorded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// When it began, microseconds since the pooler (or a capture) started.
    pub at_us: u64,
    /// How long it was, microseconds.
    pub span_us: u32,
    /// Requests that came before it, recorded or not, as [`ServerShape::asked`] counts them.
    pub before: u64,
    /// The pools that had clients when it began.
    pub starts: Vec<Start>,
    /// The requests, by the time at which they came.
    pub requests: Vec<Request>,
}

/// One pool when a window began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Start {
    /// Its number in [`ServerShape::pools`].
    pub pool: u16,
    /// Its size.
    pub size: u32,
    /// Connected clients.
    pub clients: u32,
    /// Connections lent.
    pub lent: u32,
    /// Clients that waited.
    pub waiting: u32,
}

/// One request for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// When it came, microseconds from the start of the window.
    pub asked_us: u32,
    /// The pool's number in [`ServerShape::pools`].
    pub pool: u16,
    /// The flow's number in [`PoolShape::flows`].
    pub flow: u16,
    /// Who asked: a number that is the client's own, in all windows of a server.
    pub client: u32,
    /// Time in the queue, microseconds.
    pub wait_us: u32,
    /// Time that the connection was held, microseconds.
    pub hold_us: u32,
    /// Connections of the pool that were lent once this one was.
    pub in_use: u16,
    /// What became of it.
    pub end: End,
    /// Its class's number in [`ServerShape::classes`].
    pub class: u16,
    /// How much of the hold the server waited for the client, inside a transaction, microseconds.
    pub idle_us: u32,
    /// How often the client sent something and was answered in it; 0: not known.
    pub rounds: u16,
}

impl Request {
    /// It got a connection.
    pub fn granted(&self) -> bool {
        matches!(self.end, End::Returned | End::Held)
    }

    /// When it was answered with a connection or a refusal, from the start of the window.
    pub fn granted_us(&self) -> u64 {
        u64::from(self.asked_us) + u64::from(self.wait_us)
    }

    /// When it was over, from the start of the window.
    pub fn ended_us(&self) -> u64 {
        self.granted_us() + u64::from(self.hold_us)
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum End {
    /// It held a connection and gave it back.
    #[default]
    Returned,
    /// It still held one when the shape was taken.
    Held,
    /// It still waited then.
    Waiting,
    /// Its deadline came.
    TimedOut,
    /// It was refused for another reason.
    Refused,
    /// It left without an answer.
    Left,
}

impl End {
    /// All, in the order of their letters in the text.
    pub const ALL: [End; 6] = [
        End::Returned,
        End::Held,
        End::Waiting,
        End::TimedOut,
        End::Refused,
        End::Left,
    ];

    /// Its letter in the text.
    pub const fn letter(self) -> &'static str {
        match self {
            End::Returned => "r",
            End::Held => "h",
            End::Waiting => "w",
            End::TimedOut => "t",
            End::Refused => "x",
            End::Left => "l",
        }
    }
}

impl Shape {
    /// Requests that were recorded.
    pub fn requests(&self) -> usize {
        let windows = self.servers.iter().flat_map(|s| &s.windows);
        windows.map(|window| window.requests.len()).sum()
    }

    /// Keeps the latest windows of each server, so that at most `most` requests are left.
    pub fn bound(&mut self, most: usize) {
        let share = most / self.servers.len().max(1);
        for server in &mut self.servers {
            let mut left = share;
            let mut first = server.windows.len();
            for (at, window) in server.windows.iter().enumerate().rev() {
                let Some(rest) = left.checked_sub(window.requests.len()) else {
                    break;
                };
                left = rest;
                first = at;
            }
            server.windows.drain(..first);
        }
    }
}

/// What one server was asked for, in the words of a queue.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Demand {
    /// Requests per second.
    pub rate: f64,
    /// Mean time that each holds a connection.
    pub hold: Duration,
    /// Mean of the variances of arrivals (in tenths of a second, over their mean)
    /// and of holds (over the square of theirs): 1 for random ones.
    pub spread: f64,
}

impl Demand {
    /// Connections in use on average.
    pub fn load(&self) -> f64 {
        self.rate * self.hold.as_secs_f64()
    }
}

impl ServerShape {
    /// The window with the most connections in use, of those with enough requests.
    pub fn busiest(&self) -> Option<Demand> {
        let demands = self.windows.iter().filter_map(Window::demand);
        demands.max_by(|a, b| a.load().total_cmp(&b.load()))
    }
}

/// Fewer requests than these are no load.
const DEMAND_REQUESTS: usize = 20;

impl Window {
    fn demand(&self) -> Option<Demand> {
        let leases: Vec<f64> = (self.requests.iter().filter(|r| r.granted()))
            .map(|r| f64::from(r.hold_us))
            .collect();
        if leases.len() < DEMAND_REQUESTS {
            return None;
        }
        let n = leases.len() as f64;
        let hold = leases.iter().sum::<f64>() / n;
        let squares: f64 = leases.iter().map(|us| (us - hold).powi(2)).sum();
        // A tenth of a second, or of the window where that is short.
        let piece = (self.span_us / 10).clamp(1, 100_000);
        let mut counts = vec![0.0; (self.span_us / piece).max(1) as usize];
        for r in &self.requests {
            if let Some(count) = counts.get_mut((r.asked_us / piece) as usize) {
                *count += 1.0;
            }
        }
        let pieces = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / pieces;
        let off: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum();
        let spread = (off / pieces / mean.max(1e-9) + squares / n / hold.max(1.0).powi(2)) / 2.0;
        Some(Demand {
            rate: self.requests.len() as f64 * 1e6 / f64::from(self.span_us.max(1)),
            hold: Duration::from_secs_f64(hold / 1e6),
            // More digits than the measurement has would only look like knowledge.
            spread: ((spread * 10.0).round() / 10.0).max(0.1),
        })
    }
}

#[cfg(test)]
mod tests;
