//! A request that only holds a connection, as long as a recorded one did.
//!
//! `pg_sleep` counts in whole milliseconds, so it cannot stand for short work. The
//! client keeps time instead: the server does the whole milliseconds, and the last
//! message, which lets go of the connection, leaves when the rest has passed.
//!
//! ```text
//!   batch         Parse Bind Execute Flush ── hold ──────────── Sync ─► ready
//!   transaction   BEGIN ─► work ─► (idle in transaction) ────── COMMIT ─► ready
//! ```

use crate::workload::Hold;
use std::time::Duration;
use wire::front;

/// Idle time from which on a request is played as an open transaction.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// How much a new measurement of the overhead counts.
const NEWS: u32 = 32;
/// Overhead before one was measured.
const FIRST: Duration = Duration::from_micros(100);

/// What the last message takes until the server is ready: by so much it leaves sooner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overhead {
    sync: Duration,
    commit: Duration,
    /// What a batch takes that is sent whole.
    whole: Duration,
}

impl Default for Overhead {
    fn default() -> Overhead {
        Overhead {
            sync: FIRST,
            commit: FIRST,
            whole: FIRST,
        }
    }
}

impl Overhead {
    fn of(&mut self, form: Ends) -> &mut Duration {
        match form {
            Ends::Whole => &mut self.whole,
            Ends::Commit => &mut self.commit,
            Ends::Sync => &mut self.sync,
        }
    }

    /// A batch in two parts takes this and a Sync's way at least: a hold that is nearer
    /// to one that is sent whole is played as that.
    fn whole_up_to(&self) -> Duration {
        self.whole + self.sync / 2
    }

    fn learn(&mut self, form: Ends, took: Duration) {
        let known = self.of(form);
        // One slow answer says little: it counts as at most twice what is known.
        let took = took.min(*known * 2);
        *known = (*known * (NEWS - 1) + took) / NEWS;
    }
}

/// What its last message was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    /// Sent with all others.
    Whole,
    Sync,
    Commit,
}

/// What became of it when the server was ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// It goes on: wake it at this moment, or it waits for the server.
    GoesOn(Option<Duration>),
    /// The connection is let go.
    Over,
}

/// A stand-in that plays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    begun: Duration,
    hold: Hold,
    transaction: bool,
    /// The batch was sent with its end.
    whole: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// BEGIN was sent.
    Begin,
    /// The work was sent.
    Work,
    /// It only holds.
    Idle,
    /// The last message was sent then.
    Ending(Duration),
}

impl Holding {
    /// Sends its first message.
    pub(crate) fn begin(
        hold: Hold,
        now: Duration,
        out: &mut Vec<u8>,
        overhead: &Overhead,
    ) -> Holding {
        let transaction = hold.idle >= IDLE_MIN;
        let mut holding = Holding {
            begun: now,
            hold,
            transaction,
            whole: false,
            state: State::Begin,
        };
        if transaction {
            front::query(out, b"BEGIN");
            return holding;
        }
        holding.state = State::Work;
        front::parse(out, b"", holding.work().as_bytes(), &[0, 0]);
        front::bind_renamed(out, b"", b"", &[0; 6]);
        front::execute(out, b"", 0);
        if holding.hold.busy + holding.hold.idle <= overhead.whole_up_to() {
            holding.whole = true;
            holding.state = State::Ending(now);
            front::sync(out);
        } else {
            front::flush(out);
        }
        holding
    }

    /// What the server does: sleep the whole milliseconds but one, or almost nothing.
    fn work(&self) -> String {
        match self.hold.busy.as_millis().saturating_sub(1) {
            0 => "select 1".to_owned(),
            ms => format!("select pg_sleep({}.{:03})", ms / 1_000, ms % 1_000),
        }
    }

    /// The work of a batch is done: when to let go.
    pub(crate) fn complete(&mut self, overhead: &Overhead) -> Option<Duration> {
        if self.transaction || self.state != State::Work {
            return None;
        }
        self.state = State::Idle;
        Some(self.ends(overhead.sync))
    }

    fn ends(&self, overhead: Duration) -> Duration {
        let hold = (self.hold.busy + self.hold.idle).saturating_sub(overhead);
        self.begun + hold
    }

    /// The server is ready.
    pub(crate) fn ready(
        &mut self,
        now: Duration,
        out: &mut Vec<u8>,
        overhead: &mut Overhead,
    ) -> Form {
        match self.state {
            State::Begin => {
                self.state = State::Work;
                front::query(out, self.work().as_bytes());
                Form::GoesOn(None)
            }
            State::Work => {
                self.state = State::Idle;
                Form::GoesOn(Some(self.ends(overhead.commit)))
            }
            // A moment was asked for, and nothing else was sent since.
            State::Idle => Form::GoesOn(None),
            State::Ending(sent) => {
                let form = match (self.transaction, self.whole) {
                    (true, _) => Ends::Commit,
                    (_, true) => Ends::Whole,
                    (_, false) => Ends::Sync,
                };
                overhead.learn(form, now.saturating_sub(sent));
                Form::Over
            }
        }
    }

    /// Lets go.
    pub(crate) fn end(&mut self, now: Duration, out: &mut Vec<u8>) {
        if self.state != State::Idle {
            return;
        }
        self.state = State::Ending(now);
        match self.transaction {
            true => front::query(out, b"COMMIT"),
            false => front::sync(out),
        }
    }

    /// The server answered with an error: a batch skips up to its Sync.
    pub(crate) fn failed(&mut self, out: &mut Vec<u8>) {
        if !self.transaction && !matches!(self.state, State::Ending(_)) {
            self.state = State::Ending(self.begun);
            front::sync(out);
        }
    }
}
