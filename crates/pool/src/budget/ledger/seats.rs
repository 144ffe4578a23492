//! Who reads the server's figures: three seats, of which the first acts.
//!
//! Whoever finds an empty one sits down, opens a monitor session, and leaves when
//! it cannot read. The first seat is taken only by one that sits and reads.

use super::keeper::Figures;
use super::rows::{Op, SEATS, Seat, Sent, rank};
use super::{SEAT_LEASE, STORE_ANSWER_MAX};
use events::Time;
use std::time::Duration;

/// Who sits renews its seat, and looks at the others, at this pace.
const RENEW: Duration = Duration::from_millis(700);
/// The whole fleet together looks so often for an empty seat,
const LOOKS_A_SECOND: u32 = 16;
/// and each instance at this pace at the most,
const LOOK_MIN: Duration = Duration::from_secs(1);
/// and at the least.
const LOOK_MAX: Duration = Duration::from_secs(600);
/// Who reads nothing for so long leaves its seat,
const SIGHT_MAX: Duration = Duration::from_secs(6);
/// and lets others try for so long.
const AWAY: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Look,
    Sit(usize),
    Rise,
}

#[derive(Clone, Copy, Debug)]
struct Seated {
    seat: usize,
    version: u64,
    since: Time,
    renewed: Time,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    instance: u32,
    seated: Option<Seated>,
    /// The last that was seen of them.
    seen: [Option<Seat>; SEATS],
    asked: Option<(Sent, Asked)>,
    look_at: Time,
    saw: Option<Time>,
    /// Left, but perhaps not empty yet.
    leaves: Option<usize>,
    /// The last reading, until a keeper takes it.
    pub(super) figures: Option<Figures>,
}

impl Seats {
    pub(super) fn new(now: Time, instance: u32) -> Seats {
        let turn = rank(instance, 1) >> 22;
        Seats {
            instance,
            seated: None,
            seen: [None; SEATS],
            asked: None,
            look_at: now.after(LOOK_MIN * turn / 1024),
            saw: None,
            leaves: None,
            figures: None,
        }
    }

    /// The store has confirmed it: who only tries has no session.
    pub(super) fn seated(&self) -> bool {
        self.seated.is_some_and(|seated| seated.version > 0)
    }

    /// The version of the first seat, while it is held.
    pub(super) fn keeper(&self) -> Option<u64> {
        let seated = self.seated.filter(|seated| seated.seat == 0)?;
        Some(seated.version)
    }

    /// The server's figures were read.
    pub(super) fn saw(&mut self, now: Time) {
        self.saw = Some(now);
    }

    /// Who sat there is not known any more.
    pub(super) fn forgotten(&mut self, now: Time) {
        (self.asked, self.leaves) = (None, None);
        self.seen = [None; SEATS];
        self.rise(now, LOOK_MIN);
    }

    pub(super) fn follow(&mut self, now: Time) {
        if self
            .asked
            .is_some_and(|(sent, _)| now.since(sent.at) >= STORE_ANSWER_MAX)
        {
            self.asked = None;
        }
        if self
            .seated
            .is_some_and(|seated| now.since(seated.renewed) >= SEAT_LEASE)
        {
            // Somebody else may sit there.
            self.rise(now, LOOK_MIN);
        }
    }

    fn rise(&mut self, now: Time, away: Duration) {
        self.seated = None;
        self.saw = None;
        self.look_at = now.after(away);
    }

    fn sees(&self, now: Time) -> bool {
        self.saw.is_some_and(|saw| now.since(saw) < SIGHT_MAX)
    }

    pub(super) fn step(&mut self, sent: Sent, members: u32, leaving: bool) -> Option<Op> {
        let now = sent.at;
        if self.asked.is_some() {
            return None;
        }
        let op = match self.seated {
            _ if self.leaves.is_some() => Op::Rise {
                seat: self.leaves.take()?,
            },
            Some(seated) if leaving || !self.sees(now) && now.since(seated.since) >= SIGHT_MAX => {
                self.rise(now, AWAY);
                Op::Rise { seat: seated.seat }
            }
            Some(_) if now < self.look_at => return None,
            Some(seated) => {
                self.look_at = now.after(RENEW);
                let first = self.seen[0].is_none() && seated.seat != 0 && self.sees(now);
                Op::Sit {
                    seat: if first { 0 } else { seated.seat },
                }
            }
            None if leaving || now < self.look_at => return None,
            None => {
                // From now on at any time alike, also when all began at once.
                let turn = rank(self.instance, now.as_micros() as u32) >> 21;
                let pace = Duration::from_secs(1) * members / LOOKS_A_SECOND;
                let pace = pace.clamp(LOOK_MIN, LOOK_MAX);
                self.look_at = now.after(pace * turn / 1024);
                Op::Look
            }
        };
        let asked = match op {
            Op::Sit { seat } => Asked::Sit(seat),
            Op::Rise { .. } => Asked::Rise,
            _ => Asked::Look,
        };
        self.asked = Some((sent, asked));
        Some(op)
    }

    pub(super) fn heard(&mut self, now: Time, seq: u32, seats: &[Option<Seat>; SEATS]) {
        let Some((sent, asked)) = self.asked.take_if(|(sent, _)| sent.seq == seq) else {
            return;
        };
        self.seen = *seats;
        let mine = |seat: usize| seats[seat].filter(|s| s.instance == self.instance);
        match asked {
            Asked::Sit(seat) => match mine(seat) {
                Some(own) => self.sits(now, sent, seat, own.version),
                // Another was faster, or the seat was lost. The one that is held
                // already is renewed next.
                None if self.seated.is_some_and(|s| mine(s.seat).is_some()) => {}
                None => self.rise(now, LOOK_MIN),
            },
            Asked::Look if self.seated.is_none() => self.choose(now, seats),
            Asked::Look | Asked::Rise => {}
        }
    }

    fn sits(&mut self, now: Time, sent: Sent, seat: usize, version: u64) {
        let before = self.seated.filter(|seated| seated.version == version);
        let moved = self.seated.filter(|old| old.seat != seat);
        self.leaves = moved.map(|old| old.seat).or(self.leaves);
        self.seated = Some(Seated {
            seat,
            version,
            since: before.map_or(now, |seated| seated.since),
            renewed: sent.at,
        });
    }

    /// Takes an empty seat with the next question. Not the first: that one is for
    /// those who read already.
    fn choose(&mut self, now: Time, seats: &[Option<Seat>; SEATS]) {
        let empty = (1..SEATS).find(|seat| seats[*seat].is_none());
        if let Some(seat) = empty {
            self.seated = Some(Seated {
                seat,
                version: 0,
                since: now,
                renewed: now,
            });
            self.look_at = now;
        }
    }
}
