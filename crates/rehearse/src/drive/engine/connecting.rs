//! Connections of a run: opened before it, lost, and opened anew.

use super::{Alarm, Engine, LOGIN_PAUSES};
use crate::drive::book::micros;
use crate::drive::link::Link;
use crate::drive::logins::Login;
use crate::drive::session::Session;
use crate::drive::{DriveError, Glance, Go};
use crate::measured::Failure;
use crate::scenario::Connect;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use wire::front;

/// Longest time until all connections stand.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// How often a person is asked meanwhile whether it goes on.
const LOOK: Duration = Duration::from_millis(100);

impl Engine {
    /// Opens every connection before the first request is due. Where each request has one
    /// of its own, a single one is opened: whether one can be is known before the load.
    pub(super) fn connect_all(
        &mut self,
        watch: &mut dyn FnMut(&Glance<'_>) -> Go,
    ) -> Result<(), DriveError> {
        let (many, wanted) = match self.plan.connect {
            Connect::Once => (self.seats.len(), self.plan.connections),
            Connect::Each => (1, 1),
        };
        for seat in 0..many {
            self.logins.ask(seat);
        }
        while self.connections.opened < many as u64 {
            let refused = match self.logins.ended.recv_timeout(LOOK) {
                Ok(login) => self.logged_in(login, Duration::ZERO).err(),
                Err(_)
                    if self.plan.stop.load(Ordering::Relaxed)
                        || self.glance(Duration::ZERO, watch) != Go::On =>
                {
                    Some("a person ended it".to_owned())
                }
                Err(_) if self.now() < CONNECT_MAX => None,
                Err(_) => Some(format!("it takes longer than {} s", CONNECT_MAX.as_secs())),
            };
            if let Some(why) = refused {
                return Err(DriveError::Connections {
                    opened: u32::try_from(self.connected).unwrap_or(wanted),
                    wanted,
                    why,
                });
            }
        }
        for seat in many..self.seats.len() {
            self.desk.freed(seat, Duration::ZERO);
        }
        Ok(())
    }

    /// The connection of one request has had its time: it says good-bye.
    pub(super) fn hang_up(&mut self, number: usize) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        if let Some(mut link) = seat.link.take() {
            front::terminate(&mut seat.session.out);
            // A good-bye that cannot be said is none that must be.
            link.write(&mut seat.session.out).ok();
            self.forget(&link);
        }
        self.desk.freed(number, now);
    }

    fn forget(&mut self, link: &Link) {
        let registry = self.poll.registry();
        registry.deregister(&mut SourceFd(&link.fd())).ok();
        self.connected -= 1;
    }

    /// A connection is no more; another is asked for.
    pub(super) fn close(&mut self, number: usize, why: Option<Failure>) {
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let running = seat.running.is_some();
        let Some(link) = seat.link.take() else {
            // It is still logging in. The seat is free when that has ended.
            if running {
                self.over(number, Err(why.unwrap_or(Failure::Lost)));
            }
            return;
        };
        let failed = seat.session.closed();
        self.forget(&link);
        drop(link);
        self.connections.lost += 1;
        let now = self.now();
        match running {
            true => self.over(number, Err(why.or(failed).unwrap_or(Failure::Lost))),
            false => self.desk.gone(number),
        }
        if self.plan.connect == Connect::Each {
            return self.desk.freed(number, now);
        }
        if self.connected == 0 {
            self.alone = Some(now);
        }
        self.alarms
            .insert((now + self.pause, number, Alarm::Reopen));
    }

    pub(super) fn logins_ended(&mut self) {
        while let Ok(login) = self.logins.ended.try_recv() {
            let now = self.now();
            let number = login.seat;
            match self.logged_in(login, now) {
                Ok(()) => self.pause = LOGIN_PAUSES.0,
                Err(why) => {
                    let failure = refused(&why);
                    self.connections.refused += 1;
                    self.connections.refusal = Some(why);
                    let known = self.connections.refused_between;
                    let from = known.map_or(now, |(from, _)| from);
                    self.connections.refused_between = Some((from, now));
                    if self.plan.connect == Connect::Each {
                        self.over(number, Err(failure));
                        self.desk.freed(number, now);
                        continue;
                    }
                    self.alarms
                        .insert((now + self.pause, number, Alarm::Reopen));
                    self.pause = (self.pause * 2).min(LOGIN_PAUSES.1);
                }
            }
        }
    }

    /// A login ended well: the connection takes its seat.
    fn logged_in(&mut self, login: Login, now: Duration) -> Result<(), String> {
        let link = login.link?;
        let watched = |link: &Link| -> io::Result<()> {
            link.unblock()?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(login.seat);
            self.poll
                .registry()
                .register(&mut SourceFd(&link.fd()), token, interest)
        };
        watched(&link).map_err(|error| error.to_string())?;
        let Some(seat) = self.seats.get_mut(login.seat) else {
            return Ok(());
        };
        seat.session = Session::new(login.seat, self.plan.seed ^ self.connections.opened);
        seat.link = Some(link);
        let waited_for = seat.running.is_some();
        self.connected += 1;
        self.alone = None;
        self.connections.opened += 1;
        self.opened_us += micros(login.took);
        let connected = u32::try_from(self.connected).unwrap_or(u32::MAX);
        self.connections.most = self.connections.most.max(connected);
        match (self.plan.connect, waited_for) {
            (Connect::Once, _) => self.desk.freed(login.seat, now),
            (Connect::Each, true) => self.begin(login.seat),
            // Its request gave up meanwhile, or it was only to see whether one can be opened.
            (Connect::Each, false) => self.hang_up(login.seat),
        }
        Ok(())
    }
}

/// Why a request failed whose login was refused: the SQLSTATE, where words begin with one.
fn refused(words: &str) -> Failure {
    let code = words.split(' ').next().unwrap_or_default();
    let is_code = code.len() == 5
        && code
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    match is_code {
        true => Failure::Server(code.to_owned()),
        false => Failure::Lost,
    }
}
