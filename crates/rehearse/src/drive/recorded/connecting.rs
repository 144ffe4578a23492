//! Connections of recorded sessions: opened as they come, closed as they go, and lost.

use super::{LEAD, Seat, Stage, Stands};
use crate::drive::book::micros;
use crate::drive::link::Link;
use crate::drive::logins::Login;
use crate::drive::{DriveError, Glance, Go};
use crate::measured::Failure;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::io;
use std::time::Duration;

/// Longest time until the connections of those stand who are there at the begin.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// How often a person is asked meanwhile whether it goes on.
const LOOK: Duration = Duration::from_millis(100);
/// Pause after a login failed.
const LOGIN_PAUSE: Duration = Duration::from_millis(250);

impl Stage {
    /// Opens the connections of those who are there at the begin.
    pub(super) fn connect_first(
        &mut self,
        watch: &mut dyn FnMut(&Glance<'_>) -> Go,
    ) -> Result<(), DriveError> {
        self.open_due(Duration::ZERO);
        let wanted = self.opening;
        while self.opening > 0 {
            let refused = match self.logins.ended.recv_timeout(LOOK) {
                Ok(login) => self.logged_in(login, Duration::ZERO).err(),
                Err(_) if self.glance(Duration::ZERO, watch) != Go::On => {
                    Some("a person ended it".to_owned())
                }
                Err(_) if self.now() < CONNECT_MAX => None,
                Err(_) => Some(format!("it takes longer than {} s", CONNECT_MAX.as_secs())),
            };
            if let Some(why) = refused {
                return Err(DriveError::Connections {
                    opened: u32::try_from(self.connected).unwrap_or(u32::MAX),
                    wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
                    why,
                });
            }
        }
        Ok(())
    }

    /// Asks for the connections of those who come soon.
    pub(super) fn open_due(&mut self, now: Duration) {
        while let Some((from, number)) = self.to_come.last().copied() {
            if from > now + LEAD {
                return;
            }
            self.to_come.pop();
            if let Some(seat) = self.seats.get_mut(number) {
                seat.stands = Stands::Opening;
                self.opening += 1;
                self.logins.ask(number);
            }
        }
    }

    pub(super) fn logins_ended(&mut self) {
        while let Ok(login) = self.logins.ended.try_recv() {
            let now = self.now();
            let number = login.seat;
            let Err(why) = self.logged_in(login, now) else {
                self.pump(number);
                continue;
            };
            let came = self.recording.sessions.get(number).map(|(_, from)| *from);
            self.connections.refused += 1;
            self.connections.refusal = Some(why);
            let between = self.connections.refused_between;
            let from = between.map_or(now, |(from, _)| from);
            self.connections.refused_between = Some((from, now));
            match now < came.unwrap_or_default() + self.recording.timeout {
                true => drop(self.again.insert((now + LOGIN_PAUSE, number))),
                false => {
                    self.opening -= 1;
                    self.give_up(number, Failure::NeverSent, None);
                }
            }
        }
    }

    /// A login ended well: the session has its connection.
    fn logged_in(&mut self, login: Login, now: Duration) -> Result<(), String> {
        let link = login.link?;
        let watched = |link: &Link| -> io::Result<()> {
            link.unblock()?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(login.seat);
            let registry = self.poll.registry();
            registry.register(&mut SourceFd(&link.fd()), token, interest)
        };
        watched(&link).map_err(|error| error.to_string())?;
        let Some(seat) = self.seats.get_mut(login.seat) else {
            return Ok(());
        };
        seat.link = Some(link);
        seat.stands = Stands::Open;
        seat.player.opened(now);
        self.opening -= 1;
        self.connected += 1;
        self.connections.opened += 1;
        self.opened_us += micros(login.took);
        let connected = u32::try_from(self.connected).unwrap_or(u32::MAX);
        self.connections.most = self.connections.most.max(connected);
        Ok(())
    }

    /// A session says good-bye.
    pub(super) fn leave(&mut self, number: usize) {
        // One that left in the middle of its COPY did not finish that.
        self.give_up(number, Failure::Unfinished, None);
    }

    /// A session's connection is no more.
    pub(super) fn lose(&mut self, number: usize, why: Option<Failure>) {
        let stood = self.seats.get(number).is_some_and(|s| s.link.is_some());
        if stood {
            self.connections.lost += 1;
            self.give_up(number, Failure::Lost, why);
        }
    }

    /// What a session would still have sent fails; so does what runs, for `running`.
    pub(super) fn give_up(&mut self, number: usize, left: Failure, running: Option<Failure>) {
        self.answered(number);
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let before = seat.player.waiting();
        let running = running.or((left == Failure::Unfinished).then_some(Failure::Unfinished));
        if let Some((request, failure)) = seat.player.closed(running) {
            let class = request.ends.class;
            self.book.failed(class, request.due, &failure);
        }
        for (at, ends) in seat.player.left() {
            self.book.due(ends.class, at);
            self.book.failed(ends.class, at, &left);
        }
        wire::front::terminate(&mut seat.out);
        self.count(number, before);
        self.drop_link(number);
    }

    fn drop_link(&mut self, number: usize) {
        let Some(Seat {
            link, out, stands, ..
        }) = self.seats.get_mut(number)
        else {
            return;
        };
        *stands = Stands::Gone;
        if let Some(mut link) = link.take() {
            // A good-bye that cannot be said is none that must be.
            link.write(out).ok();
            let registry = self.poll.registry();
            registry.deregister(&mut SourceFd(&link.fd())).ok();
            self.connected -= 1;
        }
    }
}
