//! The event loop: sockets, moments and the clock. What is decided is decided in
//! `desk`, `session` and `book`.

mod connecting;

use super::book::{Book, Took};
use super::desk::{Desk, Request, Start};
use super::lateness::Lateness;
use super::link::{Connector, Link};
use super::load::{Cpu, Precedence, make_room_for};
use super::logins::Logins;
use super::pace::Pace;
use super::session::{Common, Next, Session};
use super::timer::Timer;
use super::{DriveError, Glance, Go, Plan};
use crate::measured::{Connections, Ended, Failure, Generator, Run};
use crate::scenario::Connect;
use crate::workload::Due;
use mio::{Events, Poll, Token, Waker};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A run without any connection for as long as a request may take is given up; but not sooner.
const NO_CONNECTION_MIN: Duration = Duration::from_secs(5);
/// The generator's own clock: how late it ticks tells whether it has a CPU.
const BEAT: Duration = Duration::from_millis(5);
/// How often a person is told.
const GLANCE: Duration = Duration::from_secs(1);
/// First and longest pause after a login failed.
const LOGIN_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bytes taken in one read.
const READ_BYTES: usize = 64 << 10;
/// Events taken at once; requests that are due are looked at after each.
const EVENTS: usize = 256;
/// Requests that may wait for a connection: 100 MB. Others fail at once.
const QUEUE_MAX: usize = 1_000_000;

const TIMER: Token = Token(usize::MAX - 1);
const LOGINS: Token = Token(usize::MAX - 2);

/// Runs a plan: opens its connections, sends what is due, and waits for the answers.
///
/// # Errors
/// It could not begin. What goes wrong later is part of what was measured.
pub fn run(
    plan: Plan,
    work: &mut dyn Iterator<Item = Due>,
    connector: &Arc<dyn Connector>,
    watch: &mut dyn FnMut(&Glance<'_>) -> Go,
) -> Result<Run, DriveError> {
    let mut engine = Engine::new(plan, connector)?;
    engine.connect_all(watch)?;
    let _precedence = Precedence::take();
    engine.begun = Instant::now();
    let before = Cpu::of_this_thread();
    let mut work = work.peekable();
    let ended = engine.run(&mut work, watch)?;
    let lasted = engine.now();
    let after = Cpu::of_this_thread();
    let shares = (before.zip(after)).map(|(before, after)| after.shares(before, lasted));
    Ok(engine.finish(ended, lasted, shares))
}

/// One connection.
struct Seat {
    link: Option<Link>,
    session: Session,
    running: Option<Running>,
    /// The moment at which its session is to be woken.
    wake: Option<Duration>,
}

/// The request on a connection.
#[derive(Clone, Copy)]
struct Running {
    request: Request,
    sent: Duration,
}

/// What happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Wake,
    Deadline,
    Reopen,
}

struct Engine {
    plan: Plan,
    begun: Instant,
    poll: Poll,
    timer: Timer,
    logins: Logins,
    common: Common,
    desk: Desk,
    book: Book,
    seats: Vec<Seat>,
    alarms: BTreeSet<(Duration, usize, Alarm)>,
    /// Requests on connections; connections that stand.
    busy: usize,
    connected: usize,
    /// How late requests left, and how late the clock ticked.
    lateness: Lateness,
    connections: Connections,
    opened_us: u64,
    /// Since when there is no connection.
    alone: Option<Duration>,
    pause: Duration,
    buffer: Vec<u8>,
}

impl Engine {
    fn new(mut plan: Plan, connector: &Arc<dyn Connector>) -> Result<Engine, DriveError> {
        make_room_for(plan.connections);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), LOGINS)?);
        let (names, plays): (Vec<_>, Vec<_>) =
            std::mem::take(&mut plan.classes).into_iter().unzip();
        let seats = (0..plan.connections as usize).map(|number| Seat {
            link: None,
            session: Session::new(number, plan.seed),
            running: None,
            wake: None,
        });
        Ok(Engine {
            begun: Instant::now(),
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            logins: Logins::start(plan.connections, plan.connect, connector, &waker)?,
            common: Common {
                plays,
                protocol: plan.protocol,
                variables: std::mem::take(&mut plan.variables),
                pace: Pace::default(),
                trial: plan.trial,
            },
            desk: Desk::new(plan.timeout),
            book: Book::new(&names, plan.planned),
            seats: seats.collect(),
            alarms: BTreeSet::new(),
            busy: 0,
            connected: 0,
            lateness: Lateness::new(),
            connections: Connections::default(),
            opened_us: 0,
            alone: None,
            pause: LOGIN_PAUSES.0,
            buffer: vec![0; READ_BYTES],
            plan,
        })
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn run(
        &mut self,
        work: &mut Peekable<&mut dyn Iterator<Item = Due>>,
        watch: &mut dyn FnMut(&Glance<'_>) -> Go,
    ) -> Result<Ended, DriveError> {
        let mut events = Events::with_capacity(EVENTS);
        let mut beat = BEAT;
        let mut glance = GLANCE;
        loop {
            let now = self.now();
            if now >= beat {
                self.lateness.ticked(now - beat);
                beat = now + BEAT;
                if self.plan.stop.load(Ordering::Relaxed) {
                    return Ok(Ended::Interrupted);
                }
            }
            self.send_due(work);
            self.alarms_of(self.now());
            if now >= glance {
                glance = now + GLANCE;
                match self.glance(now, watch) {
                    Go::On => {}
                    Go::Stop => return Ok(Ended::Interrupted),
                    Go::Abort(why) => return Ok(Ended::Aborted(why)),
                }
            }
            if work.peek().is_none()
                && self.desk.is_empty()
                && self.busy == 0
                && now >= self.plan.planned
            {
                return Ok(Ended::Whole);
            }
            if let Some(since) = self.alone
                && now.saturating_sub(since) > self.plan.timeout.max(NO_CONNECTION_MIN)
            {
                let why = self.connections.refusal.clone();
                return Ok(Ended::NoConnection(why.unwrap_or_default()));
            }
            let wakes = [
                work.peek().map(|due| due.at),
                self.desk.wakes(),
                self.alarms.first().map(|(at, ..)| *at),
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
                self.send_due(work);
            }
        }
    }

    /// Sends what is due, as far as connections are free.
    fn send_due(&mut self, work: &mut Peekable<&mut dyn Iterator<Item = Due>>) {
        let now = self.now();
        while let Some(due) = work.next_if(|due| due.at <= now) {
            self.book.due(due.class, due.at);
            match self.desk.queued() < QUEUE_MAX {
                true => self.desk.arrive(due),
                false => self.book.failed(due.class, due.at, &Failure::NeverSent),
            }
        }
        self.desk.wake(now);
        while let Some(request) = self.desk.expired(now) {
            self.book
                .failed(request.due.class, request.due.at, &Failure::NeverSent);
        }
        while let Some(start) = self.desk.next() {
            self.start(start);
        }
        self.book.level(now, self.busy, self.desk.queued());
    }

    fn start(&mut self, start: Start) {
        let now = self.now();
        let Start {
            seat: number,
            request,
            could,
        } = start;
        self.lateness.sent(now.saturating_sub(could));
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        seat.running = Some(Running { request, sent: now });
        self.busy += 1;
        self.alarms
            .insert((self.desk.deadline(&request), number, Alarm::Deadline));
        match self.plan.connect {
            Connect::Once => self.begin(number),
            // It begins when it is logged in.
            Connect::Each => self.logins.ask(number),
        }
    }

    /// A connection begins the request of its seat.
    fn begin(&mut self, number: usize) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let Some(Running { request, .. }) = seat.running else {
            return;
        };
        let due = request.due;
        let next = seat
            .session
            .begin(due.class, due.hold, now, &mut self.common);
        self.follow(number, next);
    }

    /// Does what a session asks for.
    fn follow(&mut self, number: usize, next: Next) {
        match next {
            Next::Hear => {}
            Next::At(at) => {
                self.alarms.insert((at, number, Alarm::Wake));
                if let Some(seat) = self.seats.get_mut(number) {
                    seat.wake = Some(at);
                }
            }
            Next::Done(result) => {
                self.over(number, result);
                match self.plan.connect {
                    Connect::Once => self.desk.freed(number, self.begun.elapsed()),
                    Connect::Each => self.hang_up(number),
                }
            }
            Next::Broken(why) => return self.close(number, Some(why)),
        }
        self.write(number);
    }

    fn write(&mut self, number: usize) {
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let Some(link) = &mut seat.link else { return };
        if link.write(&mut seat.session.out).is_err() {
            // What the other side said last is still there to be read.
            self.read(number);
            self.close(number, None);
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
                Ok(0) => return self.close(number, None),
                Ok(many) => {
                    let now = self.begun.elapsed();
                    let bytes = self.buffer.get(..many).unwrap_or_default();
                    let next = seat.session.hear(bytes, now, &mut self.common);
                    self.follow(number, next);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    _ => return self.close(number, None),
                },
            }
        }
    }

    /// The request on a connection is over.
    fn over(&mut self, number: usize, result: Result<(), Failure>) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let Some(Running { request, sent }) = seat.running.take() else {
            return;
        };
        if let Some(at) = seat.wake.take() {
            self.alarms.remove(&(at, number, Alarm::Wake));
        }
        let deadline = self.desk.deadline(&request);
        self.alarms.remove(&(deadline, number, Alarm::Deadline));
        self.busy -= 1;
        let due = request.due;
        match result {
            Ok(()) => {
                let took = Took {
                    due: due.at,
                    sent,
                    done: now,
                };
                self.book.answered(due.class, took);
            }
            Err(why) => {
                let again = now + self.plan.retry_after;
                let may = request.retries < self.plan.retries && again < deadline;
                match may && why.is_worth_a_retry() {
                    true => self.desk.again(request, again),
                    false => self.book.failed(due.class, due.at, &why),
                }
            }
        }
    }

    fn alarms_of(&mut self, now: Duration) {
        while let Some((at, number, alarm)) = self.alarms.first().copied() {
            if at > now {
                return;
            }
            self.alarms.pop_first();
            match alarm {
                Alarm::Wake => {
                    let Some(seat) = self.seats.get_mut(number) else {
                        continue;
                    };
                    seat.wake = None;
                    let now = self.begun.elapsed();
                    self.lateness.sent(now.saturating_sub(at));
                    let next = seat.session.wake(now, &self.common);
                    self.follow(number, next);
                }
                // Drivers close a connection whose answer did not come.
                Alarm::Deadline => self.close(number, Some(Failure::NoAnswer)),
                Alarm::Reopen => self.logins.ask(number),
            }
        }
    }

    fn glance(&mut self, now: Duration, watch: &mut dyn FnMut(&Glance<'_>) -> Go) -> Go {
        self.book
            .close_before(now.saturating_sub(self.plan.timeout));
        let second = self.book.last(now);
        watch(&Glance {
            elapsed: now,
            planned: self.plan.planned,
            all: &self.book.all,
            second,
            busy: self.busy,
            queued: self.desk.queued(),
            connected: self.connected,
            lag_p99_us: self.lateness.p99_us(),
        })
    }

    fn finish(mut self, ended: Ended, lasted: Duration, shares: Option<(f64, f64)>) -> Run {
        for request in self.desk.clear() {
            self.book
                .failed(request.due.class, request.due.at, &Failure::Unfinished);
        }
        for seat in &mut self.seats {
            if let Some(Running { request, .. }) = seat.running.take() {
                self.book
                    .failed(request.due.class, request.due.at, &Failure::Unfinished);
            }
            if let Some(link) = &mut seat.link {
                wire::front::terminate(&mut seat.session.out);
                // A good-bye that cannot be said is none that must be.
                link.write(&mut seat.session.out).ok();
            }
        }
        self.connections.open_mean_us = self.opened_us / self.connections.opened.max(1);
        // Answers that came after the schedule are no proof of its rate.
        let over = match ended {
            Ended::Whole => self.plan.planned.max(lasted),
            _ => lasted,
        };
        let (all, classes, seconds) = self.book.finish(over);
        Run {
            target: self.plan.target,
            began_unix_s: self.plan.began_unix_s,
            planned: self.plan.planned,
            lasted,
            all,
            classes,
            seconds,
            generator: Generator {
                lag: self.lateness.worse(),
                starved: shares.map(|(_, waited)| waited),
                cpu: shares.map(|(ran, _)| ran),
                stand_ins: self.common.pace.played(),
            },
            connections: self.connections,
            ended,
        }
    }
}

#[cfg(test)]
mod tests;
