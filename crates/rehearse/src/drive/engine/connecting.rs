//! Connections of a run: opened before it, lost, and opened anew.

use super::{Alarm, Engine, LOGIN_PAUSES};
use crate::drive::book::micros;
use crate::drive::link::Link;
use crate::drive::logins::Login;
use crate::drive::session::Session;
use crate::drive::{DriveError, Glance, Go};
use crate::measured::Failure;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest time until all connections stand.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// How often a person is asked meanwhile whether it goes on.
const LOOK: Duration = Duration::from_millis(100);

impl Engine {
    /// Opens every connection before the first request is due.
    pub(super) fn connect_all(
        &mut self,
        watch: &mut dyn FnMut(&Glance<'_>) -> Go,
    ) -> Result<(), DriveError> {
        for seat in 0..self.seats.len() {
            self.logins.ask(seat);
        }
        let wanted = self.plan.connections;
        while self.connected < self.seats.len() {
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
        Ok(())
    }

    /// A connection is no more; another is asked for.
    pub(super) fn close(&mut self, number: usize, why: Option<Failure>) {
        let Some(seat) = self.seats.get_mut(number) else {
            return;
        };
        let Some(link) = seat.link.take() else { return };
        self.poll
            .registry()
            .deregister(&mut SourceFd(&link.fd()))
            .ok();
        drop(link);
        let failed = seat.session.closed();
        self.connections.lost += 1;
        self.connected -= 1;
        let now = self.now();
        if self.connected == 0 {
            self.alone = Some(now);
        }
        match self
            .seats
            .get(number)
            .is_some_and(|seat| seat.running.is_some())
        {
            true => self.over(number, Err(why.or(failed).unwrap_or(Failure::Lost))),
            false => self.desk.gone(number),
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
                    self.connections.refused += 1;
                    self.connections.refusal = Some(why);
                    let from = self
                        .connections
                        .refused_between
                        .map_or(now, |(from, _)| from);
                    self.connections.refused_between = Some((from, now));
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
        self.connected += 1;
        self.alone = None;
        self.connections.opened += 1;
        self.opened_us += micros(login.took);
        let connected = u32::try_from(self.connected).unwrap_or(u32::MAX);
        self.connections.most = self.connections.most.max(connected);
        self.desk.freed(login.seat, now);
        Ok(())
    }
}
