//! Recorded sessions, played: each on a connection of its own, each message when it is
//! due and the request before it was answered.
//!
//! ```text
//!   Steps (a thread reads ahead) ─► player of a session ─► its link ─► PostgreSQL
//!                                          └─► book: what was measured
//! ```
//!
//! A request counts from the moment at which its client was done with it; that one of the
//! same session was not answered yet is part of its latency, as it would be for that
//! client. It has failed when no answer comes in time, counted from its sending. A session
//! whose connection is lost stays lost: what it had set up is gone, so all that it would
//! have sent has failed.

mod connecting;
mod player;

use super::book::{Book, Took};
use super::lateness::Lateness;
use super::link::{Connector, Link};
use super::load::{Cpu, Precedence, make_room_for};
use super::logins::Logins;
use super::timer::Timer;
use super::{DriveError, Glance, Go};
use crate::measured::{Connections, Ended, Failure, Generator, Run};
use crate::scenario::Connect;
use crate::statements::{Does, Step};
use mio::{Events, Poll, Token, Waker};
use player::{Next, Outcome, Player};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::iter::Peekable;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A session's connection is opened so long before its first message.
pub const LEAD: Duration = Duration::from_secs(1);
/// The generator's own clock: how late it ticks tells whether it has a CPU.
const BEAT: Duration = Duration::from_millis(5);
/// How often a person is told.
const GLANCE: Duration = Duration::from_secs(1);
/// Bytes taken in one read.
const READ_BYTES: usize = 64 << 10;
/// Events taken at once.
const EVENTS: usize = 256;
/// Bytes of messages that wait for an answer before them. Beyond that no more are read,
/// and what is due is late by that, which makes the run invalid.
const WAITING_BYTES_MAX: usize = 256 << 20;

const TIMER: Token = Token(usize::MAX - 1);
const LOGINS: Token = Token(usize::MAX - 2);

type Work<'a> = Peekable<&'a mut dyn Iterator<Item = Result<Step, String>>>;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Where to, as a person named it, without secrets.
    pub target: String,
    /// When it begins: seconds since 1970, UTC.
    pub began_unix_s: u64,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The sessions, and when each says its first word.
    pub sessions: Vec<(u32, Duration)>,
    /// Most of them that are there at a time.
    pub open_max: u32,
    /// A request that is not answered so long after it was sent has failed.
    pub timeout: Duration,
    /// When the last message is due.
    pub planned: Duration,
}

/// Plays a recording: opens connections as sessions come, sends what is due, and waits
/// for the answers.
///
/// # Errors
/// It could not begin, or the steps ended with an error. What goes wrong otherwise is
/// part of what was measured.
pub fn play(
    recording: Recording,
    steps: &mut dyn Iterator<Item = Result<Step, String>>,
    connector: &Arc<dyn Connector>,
    watch: &mut dyn FnMut(&Glance<'_>) -> Go,
) -> Result<Run, DriveError> {
    let mut stage = Stage::new(recording, connector)?;
    stage.connect_first(watch)?;
    let _precedence = Precedence::take();
    stage.begun = Instant::now();
    let before = Cpu::of_this_thread();
    let ended = stage.run(&mut steps.peekable(), watch)?;
    let lasted = stage.now();
    let after = Cpu::of_this_thread();
    let shares = (before.zip(after)).map(|(before, after)| after.shares(before, lasted));
    Ok(stage.finish(ended, lasted, shares))
}

/// One session.
#[derive(Default)]
struct Seat {
    link: Option<Link>,
    player: Player,
    out: Vec<u8>,
    stands: Stands,
    /// Until when its request is to be answered.
    deadline: Option<Duration>,
}

/// Whether a session has its connection.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Stands {
    /// Not yet.
    #[default]
    Absent,
    /// It is asked for.
    Opening,
    /// It has it.
    Open,
    /// It had it.
    Gone,
}

struct Stage {
    recording: Recording,
    begun: Instant,
    poll: Poll,
    timer: Timer,
    logins: Logins,
    book: Book,
    seats: Vec<Seat>,
    /// Which seat a session has.
    places: BTreeMap<u32, usize>,
    /// Sessions that are still to come, the last one first.
    to_come: Vec<(Duration, usize)>,
    deadlines: BTreeSet<(Duration, usize)>,
    /// Logins that failed and are tried again.
    again: BTreeSet<(Duration, usize)>,
    busy: usize,
    connected: usize,
    opening: usize,
    waiting: usize,
    waiting_bytes: usize,
    lateness: Lateness,
    connections: Connections,
    opened_us: u64,
    buffer: Vec<u8>,
}

impl Stage {
    fn new(recording: Recording, connector: &Arc<dyn Connector>) -> Result<Stage, DriveError> {
        make_room_for(recording.open_max);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), LOGINS)?);
        let sessions = recording.sessions.iter().enumerate();
        let places = sessions
            .clone()
            .map(|(seat, (session, _))| (*session, seat));
        let places = places.collect();
        let mut to_come: Vec<_> = sessions.map(|(seat, (_, from))| (*from, seat)).collect();
        to_come.sort_by(|a, b| b.cmp(a));
        let seats = recording.sessions.iter().map(|_| Seat::default());
        Ok(Stage {
            begun: Instant::now(),
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            // Each session logs in when it did, however many do at once.
            logins: Logins::start(recording.open_max.max(1), Connect::Each, connector, &waker)?,
            book: Book::new(&recording.classes, recording.planned),
            seats: seats.collect(),
            places,
            to_come,
            deadlines: BTreeSet::new(),
            again: BTreeSet::new(),
            busy: 0,
            connected: 0,
            opening: 0,
            waiting: 0,
            waiting_bytes: 0,
            lateness: Lateness::new(),
            connections: Connections::default(),
            opened_us: 0,
            buffer: vec![0; READ_BYTES],
            recording,
        })
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn run(
        &mut self,
        work: &mut Work<'_>,
        watch: &mut dyn FnMut(&Glance<'_>) -> Go,
    ) -> Result<Ended, DriveError> {
        let mut events = Events::with_capacity(EVENTS);
        let (mut beat, mut glance) = (BEAT, GLANCE);
        let mut all_read = false;
        loop {
            let now = self.now();
            if now >= beat {
                self.lateness.ticked(now - beat);
                beat = now + BEAT;
            }
            self.open_due(now);
            all_read |= self.feed(work)?;
            self.alarms(now);
            if now >= glance {
                glance = now + GLANCE;
                match self.glance(now, watch) {
                    Go::On => {}
                    Go::Stop => return Ok(Ended::Interrupted),
                    Go::Abort(why) => return Ok(Ended::Aborted(why)),
                }
            }
            if all_read && self.connected == 0 && self.opening == 0 && self.to_come.is_empty() {
                return Ok(Ended::Whole);
            }
            let wakes = [
                self.due(work),
                self.to_come
                    .last()
                    .map(|(from, _)| from.saturating_sub(LEAD)),
                self.deadlines.first().map(|(at, _)| *at),
                self.again.first().map(|(at, _)| *at),
                Some(beat),
            ];
            let next = wakes.into_iter().flatten().min().unwrap_or(beat);
            let wait = self.timer.arm(next.saturating_sub(self.now()))?;
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    TIMER => {}
                    LOGINS => self.logins_ended(),
                    Token(seat) => self.ready(seat, event.is_readable() || event.is_error()),
                }
            }
        }
    }

    /// When the next step is due; `None`: there is none, or no room for it.
    fn due(&self, work: &mut Work<'_>) -> Option<Duration> {
        match work.peek() {
            Some(Ok(step)) if self.waiting_bytes < WAITING_BYTES_MAX => Some(step.at),
            _ => None,
        }
    }

    /// Takes the steps that are due; whether that were all.
    fn feed(&mut self, work: &mut Work<'_>) -> Result<bool, DriveError> {
        while let Some(at) = self.due(work) {
            if at > self.now() {
                return Ok(false);
            }
            if let Some(Ok(step)) = work.next()
                && let Some(seat) = self.places.get(&step.session).copied()
            {
                self.step(seat, step);
            }
        }
        match work.peek() {
            Some(Ok(_)) => Ok(false),
            Some(Err(why)) => Err(io::Error::other(why.clone()).into()),
            None => {
                // Whoever was there at the end of the capture leaves with it.
                let at = self.now();
                for (session, seat) in self.places.clone() {
                    let does = Does::Leave;
                    self.step(seat, Step { at, session, does });
                }
                self.places.clear();
                Ok(true)
            }
        }
    }

    fn step(&mut self, number: usize, step: Step) {
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        if seat.stands == Stands::Gone {
            if let Does::Send {
                ends: Some(ends), ..
            } = step.does
            {
                self.book.due(ends.class, step.at);
                self.book.failed(ends.class, step.at, &Failure::Lost);
            }
            return;
        }
        let before = seat.player.waiting();
        seat.player.push(step);
        self.count(number, before);
        self.pump(number);
    }

    /// What waits has changed.
    fn count(&mut self, number: usize, before: (usize, usize)) {
        if let Some(seat) = self.seats.get(number) {
            let after = seat.player.waiting();
            self.waiting = self.waiting + after.0 - before.0;
            self.waiting_bytes = self.waiting_bytes + after.1 - before.1;
        }
    }

    /// Sends what a session may send now.
    fn pump(&mut self, number: usize) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number).filter(|s| s.link.is_some()) else {
            return;
        };
        let (before, had) = (seat.player.waiting(), seat.out.len());
        let next = loop {
            match seat.player.next(now, &mut seat.out) {
                Next::Began(request) => {
                    let deadline = now + self.recording.timeout;
                    seat.deadline = Some(deadline);
                    self.deadlines.insert((deadline, number));
                    self.busy += 1;
                    self.lateness.sent(request.lag);
                    self.book.due(request.ends.class, request.due);
                }
                other => break other,
            }
        };
        // Rows that go on are no silence of the server's.
        if seat.out.len() > had
            && let Some(old) = seat.deadline
        {
            self.deadlines.remove(&(old, number));
            let deadline = now + self.recording.timeout;
            seat.deadline = Some(deadline);
            self.deadlines.insert((deadline, number));
        }
        self.count(number, before);
        if next == Next::Leaves {
            return self.leave(number);
        }
        self.write(number);
        self.book.level(now, self.busy, self.waiting);
    }

    fn write(&mut self, number: usize) {
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let Some(link) = &mut seat.link else { return };
        if link.write(&mut seat.out).is_err() {
            // What the other side said last is still there to be read.
            self.read(number);
            self.lose(number, None);
        }
    }

    /// The socket can be read or written.
    fn ready(&mut self, number: usize, readable: bool) {
        self.write(number);
        if readable {
            self.read(number);
        }
    }

    fn read(&mut self, number: usize) {
        loop {
            let Some(seat) = self.seats.get_mut(number) else {
                return;
            };
            let Some(link) = &mut seat.link else { return };
            match link.read(&mut self.buffer) {
                Ok(0) => return self.lose(number, None),
                Ok(many) => {
                    let now = self.begun.elapsed();
                    let bytes = self.buffer.get(..many).unwrap_or_default();
                    let mut outcomes = Vec::new();
                    seat.player
                        .hear(bytes, now, &mut |outcome| outcomes.push(outcome));
                    for outcome in outcomes {
                        self.heard(number, outcome, now);
                    }
                    self.pump(number);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    _ => return self.lose(number, None),
                },
            }
        }
    }

    fn heard(&mut self, number: usize, outcome: Outcome, now: Duration) {
        let (request, result) = match outcome {
            Outcome::Broken => return self.lose(number, None),
            Outcome::Done(request, result) => (request, result),
        };
        self.answered(number);
        let class = request.ends.class;
        match result {
            Ok(()) => {
                let took = Took {
                    due: request.due,
                    sent: request.sent,
                    done: now,
                };
                self.book.answered(class, took);
            }
            Err(why) => self.book.failed(class, request.due, &why),
        }
    }

    /// No request of this session runs any more.
    fn answered(&mut self, number: usize) {
        let seat = self.seats.get_mut(number);
        if let Some(deadline) = seat.and_then(|seat| seat.deadline.take()) {
            self.deadlines.remove(&(deadline, number));
            self.busy -= 1;
        }
    }

    fn alarms(&mut self, now: Duration) {
        while let Some((_, number)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            // Drivers close a connection whose answer did not come.
            self.lose(number, Some(Failure::NoAnswer));
        }
        while let Some((at, number)) = self.again.first().copied().filter(|(at, _)| *at <= now) {
            self.again.remove(&(at, number));
            self.logins.ask(number);
        }
    }

    fn glance(&mut self, now: Duration, watch: &mut dyn FnMut(&Glance<'_>) -> Go) -> Go {
        self.book
            .close_before(now.saturating_sub(self.recording.timeout));
        let second = self.book.last(now);
        watch(&Glance {
            elapsed: now,
            planned: self.recording.planned,
            all: &self.book.all,
            second,
            busy: self.busy,
            queued: self.waiting,
            connected: self.connected,
            lag_p99_us: self.lateness.p99_us(),
        })
    }

    fn finish(mut self, ended: Ended, lasted: Duration, shares: Option<(f64, f64)>) -> Run {
        for number in 0..self.seats.len() {
            self.give_up(number, Failure::Unfinished, None);
        }
        self.connections.open_mean_us = self.opened_us / self.connections.opened.max(1);
        // Answers that came after the last message are no proof of its rate.
        let over = match ended {
            Ended::Whole => self.recording.planned.max(lasted),
            _ => lasted,
        };
        let (all, classes, seconds) = self.book.finish(over);
        Run {
            target: self.recording.target,
            began_unix_s: self.recording.began_unix_s,
            planned: self.recording.planned,
            lasted,
            all,
            classes,
            seconds,
            generator: Generator {
                lag: self.lateness.worse(),
                starved: shares.map(|(_, waited)| waited),
                cpu: shares.map(|(ran, _)| ran),
                stand_ins: None,
            },
            connections: self.connections,
            ended,
        }
    }
}
