//! A request that only holds a connection, as long as a recorded one did.
//!
//! `pg_sleep` counts in whole milliseconds, so it cannot stand for short work. The
//! client keeps time instead: the server does the whole milliseconds, and the last
//! message, which lets go of the connection, leaves when the rest has passed. What is
//! too short for a second message the server spends on work of that length.
//!
//! ```text
//!   whole         Parse Bind Execute Sync ─► ready
//!   in two parts  Parse Bind Execute Flush ── hold ──────────── Sync ─► ready
//!   transaction   BEGIN ─► work ─► (idle in transaction) ────── COMMIT ─► ready
//! ```
//!
//! Which it is, and when the last message leaves, [`Pace`] says.

use super::pace::{Pace, Way};
use crate::workload::Hold;
use std::time::Duration;
use wire::front;

/// Idle time from which on a request is played as an open transaction.
const IDLE_MIN: Duration = Duration::from_millis(1);
/// Work of so many characters: they are made one by one and counted. Its text is the
/// same for any number, so it is one statement to whoever remembers statements.
const WORK: &str = "select length(repeat('x', $1))";

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
    form: Played,
    state: State,
    /// Its times are as those of others: nothing else was asked with it.
    teaches: bool,
}

/// How it is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Played {
    Transaction,
    Batch(Way),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// BEGIN was sent.
    Begin,
    /// The work was sent.
    Work,
    /// It only holds, and lets go then.
    Idle(Duration),
    /// The last message was sent, or should have been then.
    Ending(Duration),
}

impl Holding {
    /// Sends its first message.
    pub(crate) fn begin(
        hold: Hold,
        now: Duration,
        out: &mut Vec<u8>,
        pace: &mut Pace,
        teaches: bool,
    ) -> Holding {
        let mut holding = Holding {
            begun: now,
            hold,
            form: Played::Transaction,
            state: State::Begin,
            teaches,
        };
        if hold.idle >= IDLE_MIN {
            pace.chose_transaction();
            front::query(out, b"BEGIN");
            return holding;
        }
        let way = pace.choose(hold.busy + hold.idle);
        holding.form = Played::Batch(way);
        match way {
            Way::Work { characters } => {
                let number = characters.to_string();
                front::parse(out, b"", WORK.as_bytes(), &[0, 0]);
                front::bind_renamed(out, b"", b"", &one_value(number.as_bytes()));
            }
            Way::Shortest | Way::Wait => {
                front::parse(out, b"", holding.work().as_bytes(), &[0, 0]);
                front::bind_renamed(out, b"", b"", &[0; 6]);
            }
        }
        front::execute(out, b"", 0);
        if way == Way::Wait {
            holding.state = State::Work;
            front::flush(out);
        } else {
            holding.state = State::Ending(now);
            front::sync(out);
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
    pub(crate) fn complete(&mut self, now: Duration, pace: &Pace) -> Option<Duration> {
        match (self.form, self.state) {
            (Played::Batch(_), State::Work) => Some(self.rest(now, pace)),
            _ => None,
        }
    }

    /// Only holds from now on: until when.
    fn rest(&mut self, now: Duration, pace: &Pace) -> Duration {
        let tail = pace.tail(self.form == Played::Transaction);
        let seen = self.hold.busy + self.hold.idle + pace.way();
        let until = (self.begun + seen.saturating_sub(tail)).max(now);
        self.state = State::Idle(until);
        until
    }

    /// The server is ready.
    pub(crate) fn ready(&mut self, now: Duration, out: &mut Vec<u8>, pace: &mut Pace) -> Form {
        match self.state {
            State::Begin => {
                self.state = State::Work;
                front::query(out, self.work().as_bytes());
                Form::GoesOn(None)
            }
            State::Work => Form::GoesOn(Some(self.rest(now, pace))),
            // A moment was asked for, and nothing else was sent since.
            State::Idle(_) => Form::GoesOn(None),
            State::Ending(since) => {
                let took = now.saturating_sub(since);
                match self.form {
                    Played::Transaction => pace.learn_tail(true, took),
                    Played::Batch(Way::Wait) => pace.learn_tail(false, took),
                    Played::Batch(whole) if self.teaches => pace.learn_whole(whole, took),
                    Played::Batch(_) => {}
                }
                Form::Over
            }
        }
    }

    /// Lets go. How late it does so is part of what letting go takes.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        let State::Idle(until) = self.state else {
            return;
        };
        self.state = State::Ending(until);
        match self.form {
            Played::Transaction => front::query(out, b"COMMIT"),
            Played::Batch(_) => front::sync(out),
        }
    }

    /// The server answered with an error: a batch skips up to its Sync.
    pub(crate) fn failed(&mut self, out: &mut Vec<u8>) {
        let transaction = self.form == Played::Transaction;
        if !transaction && !matches!(self.state, State::Ending(_)) {
            self.state = State::Ending(self.begun);
            front::sync(out);
        }
    }
}

/// What a Bind says of one value, as text: no formats, the value, results as text.
fn one_value(value: &[u8]) -> Vec<u8> {
    let mut rest = vec![0, 0, 0, 1];
    rest.extend_from_slice(&(value.len() as i32).to_be_bytes());
    rest.extend_from_slice(value);
    rest.extend_from_slice(&[0, 0]);
    rest
}
