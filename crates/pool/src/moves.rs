//! Where a database server is, and whether it has moved.
//!
//! Managed databases fail over by name: after it the name leads to another
//! address, and the old one is gone, answers nothing, or comes back as a standby.
//! Here is what was seen of names and addresses, and what it means; what follows
//! for connections stands in `upstream::following`.
//!
//! | seen | means |
//! |---|---|
//! | the name leads elsewhere than before | the old addresses are left |
//! | it leads back within [`SWING`] | it goes to and fro: its changes mean nothing for [`SWING_REST`] |
//! | a login, or the monitor, finds a standby where a primary was | who writes is served there no more |
//! | a connection ends, an attempt fails or hangs | nothing yet: the name is asked again at once, then each second |
//!
//! A name that could not be looked up is no news: nobody tells of it here.

use events::Time;
use std::net::IpAddr;
use std::time::Duration;

/// A name that leads back to an address so soon after it had left it swings:
/// several addresses serve in turn, and none is left for good.
pub const SWING: Duration = Duration::from_secs(60);
/// So long changes of a name that swings mean nothing.
pub const SWING_REST: Duration = Duration::from_secs(600);
/// After a move nothing is learned for so long: waits and holds of a failover
/// are not those of any application.
pub const LEARN_AGAIN: Duration = Duration::from_secs(60);
/// Between two questions what a name leads to: while nobody is served, while
/// somebody is, and while something is wrong.
const ASK_IDLE: Duration = Duration::from_secs(5);
const ASK_BUSY: Duration = Duration::from_millis(1500);
const ASK_UNEASY: Duration = Duration::from_secs(1);
/// How long something counts as wrong.
const UNEASY: Duration = Duration::from_secs(60);
/// An answer of the resolver is used again for so long: while all is well, and
/// while something is wrong.
const AGE_MAX: Duration = Duration::from_secs(5);
const AGE_UNEASY_MAX: Duration = Duration::from_millis(200);
/// Addresses remembered of each kind: far more than a name has.
const ADDRESSES_MAX: usize = 32;
/// A standby that is to be promoted is tried again after so long, at most.
pub(crate) const PROMOTION_PAUSE: Duration = Duration::from_millis(500);

/// What a server is, as far as it said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
    /// It did not say: PostgreSQL before 14, without a monitor session.
    #[default]
    Unknown,
}

/// What showed that a server has moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Its name leads to another address.
    Name,
    /// A login found a standby.
    Login,
    /// The monitor session found a standby.
    Monitor,
    /// A statement was answered 25006 by a standby.
    ReadOnly,
}

impl Sign {
    /// The word in log and marker.
    pub const fn label(self) -> &'static str {
        match self {
            Sign::Name => "its name leads to another address",
            Sign::Login => "a login found a standby",
            Sign::Monitor => "the monitor session found a standby",
            Sign::ReadOnly => "a standby refused a write (25006)",
        }
    }
}

/// A server that has moved, for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// When it was known.
    pub at: Time,
    /// How.
    pub sign: Sign,
    /// Where it was; `None` is a unix socket.
    pub from: Vec<Place>,
    /// Where its name leads now; empty where no name was asked.
    pub to: Vec<IpAddr>,
    /// Connections that were closed at once.
    pub idle: u32,
    /// Connections that are closed when they come back.
    pub lent: u32,
}

/// Why a connection that has just logged in is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unwanted {
    /// The name leads elsewhere by now.
    Left,
    /// It is at a standby, and the pool writes.
    Standby,
}

impl Unwanted {
    /// What clients that wait are told in the end.
    pub const fn text(self) -> &'static str {
        match self {
            Unwanted::Left => "the server's name leads to another address by now",
            Unwanted::Standby => "the server is a standby, and a primary is awaited",
        }
    }
}

/// The address of a server; `None` is a unix socket.
pub type Place = Option<IpAddr>;

/// What was seen of one server's name and addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    /// What the name led to when it was asked last, sorted; empty before that.
    named: Vec<IpAddr>,
    /// Where it led before, and when it ceased to.
    left: Vec<(IpAddr, Time)>,
    /// Its changes mean nothing before.
    swings_until: Time,
    /// What each address was when that was said last.
    roles: Vec<(Place, Role)>,
    had_primary: bool,
    /// When the name was asked last; `None`: it is to be asked at once.
    asked_at: Option<Time>,
    uneasy_until: Time,
    /// A standby was found where a primary is awaited.
    awaited_at: Option<Time>,
    /// Nothing is learned before.
    learns_at: Time,
}

impl Moves {
    /// What the name leads to now. Gives the addresses that are left by that.
    pub(crate) fn named(&mut self, now: Time, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut found = addresses.to_vec();
        found.sort_unstable();
        found.dedup();
        found.truncate(ADDRESSES_MAX);
        if found.is_empty() || found == self.named {
            return Vec::new();
        }
        let back = |(at, when): &(IpAddr, Time)| found.contains(at) && now.since(*when) < SWING;
        if self.left.iter().any(back) {
            self.swings_until = now.after(SWING_REST);
        }
        self.left.retain(|(at, _)| !found.contains(at));
        let named = std::mem::replace(&mut self.named, found);
        let gone = named.into_iter().filter(|at| !self.named.contains(at));
        let gone: Vec<IpAddr> = gone.collect();
        self.left.extend(gone.iter().map(|at| (*at, now)));
        let excess = self.left.len().saturating_sub(ADDRESSES_MAX);
        self.left.drain(..excess);
        match self.swings(now) {
            true => Vec::new(),
            false => gone,
        }
    }

    /// Where the name leads, as far as it was asked.
    pub(crate) fn leads_to(&self) -> &[IpAddr] {
        &self.named
    }

    /// The name goes to and fro.
    pub(crate) fn swings(&self, now: Time) -> bool {
        now < self.swings_until
    }

    /// The name led there before, and leads elsewhere now.
    pub(crate) fn is_left(&self, now: Time, place: Place) -> bool {
        !self.swings(now) && place.is_some_and(|at| self.left.iter().any(|(left, _)| *left == at))
    }

    /// What the server at an address said of itself. True: it is a standby, and
    /// was not known to be one, and this server has been a primary.
    pub(crate) fn saw(&mut self, place: Place, role: Role) -> bool {
        if role == Role::Unknown {
            return false;
        }
        self.had_primary |= role == Role::Primary;
        let before = self.role_at(place);
        self.roles.retain(|(at, _)| *at != place);
        if self.roles.len() >= ADDRESSES_MAX {
            self.roles.remove(0);
        }
        self.roles.push((place, role));
        role == Role::Standby && before != Role::Standby && self.had_primary
    }

    pub(crate) fn role_at(&self, place: Place) -> Role {
        let known = self.roles.iter().find(|(at, _)| *at == place);
        known.map_or(Role::Unknown, |(_, role)| *role)
    }

    /// A primary was seen once: then its absence is a failover.
    pub(crate) fn had_primary(&self) -> bool {
        self.had_primary
    }

    /// Something is wrong, and the name may tell what.
    pub(crate) fn uneasy(&mut self, now: Time) {
        if now >= self.uneasy_until {
            self.asked_at = None;
        }
        self.uneasy_until = now.after(UNEASY);
    }

    /// Whether the name is to be asked now; if so, it is not again at once.
    pub(crate) fn is_due(&mut self, now: Time, busy: bool) -> bool {
        let pause = match (now < self.uneasy_until, busy) {
            (true, _) => ASK_UNEASY,
            (false, true) => ASK_BUSY,
            (false, false) => ASK_IDLE,
        };
        // By how it is now: who has just become busy does not wait as the idle do.
        let due = self.asked_at.is_none_or(|at| now >= at.after(pause));
        if due {
            self.asked_at = Some(now);
        }
        due
    }

    /// How old an answer of the resolver may be for the next connection.
    pub(crate) fn age_max(&self, now: Time) -> Duration {
        match now < self.uneasy_until {
            true => AGE_UNEASY_MAX,
            false => AGE_MAX,
        }
    }

    /// A standby was found where a primary is awaited.
    pub(crate) fn awaits_primary(&mut self, now: Time) {
        self.awaited_at = Some(now);
        self.uneasy(now);
    }

    /// The same, a moment ago: the next attempt follows soon.
    pub(crate) fn is_awaiting(&self, now: Time) -> bool {
        self.awaited_at
            .is_some_and(|at| now.since(at) < PROMOTION_PAUSE * 2)
    }

    /// It has moved: what is seen in the next minute is nobody's habit.
    pub(crate) fn moved(&mut self, now: Time) {
        self.learns_at = now.after(LEARN_AGAIN);
        self.uneasy(now);
    }

    pub(crate) fn learns(&self, now: Time) -> bool {
        now >= self.learns_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    /// What a name led to at which second, and which addresses are left by it.
    type Story = [(u64, &'static [u8], &'static [u8])];

    #[test]
    fn an_address_is_left_when_the_name_leads_elsewhere_for_good() {
        let stories: [(&str, &Story); 7] = [
            ("stands still", &[(1, &[1], &[]), (9, &[1], &[])]),
            (
                "fails over",
                &[(1, &[1], &[]), (9, &[2], &[1]), (11, &[2], &[])],
            ),
            (
                "grows",
                &[(1, &[1], &[]), (9, &[1, 2], &[]), (11, &[2], &[1])],
            ),
            ("is shuffled", &[(1, &[1, 2], &[]), (3, &[2, 1, 1], &[])]),
            (
                "says nothing",
                &[(1, &[1], &[]), (3, &[], &[]), (5, &[1], &[])],
            ),
            (
                "takes turns: the first turn is believed, the next ones are not",
                &[
                    (1, &[1], &[]),
                    (3, &[2], &[1]),
                    (5, &[1], &[]),
                    (7, &[2], &[]),
                ],
            ),
            (
                "fails back after a while",
                &[
                    (1, &[1], &[]),
                    (9, &[2], &[1]),
                    (200, &[1], &[2]),
                    (900, &[2], &[1]),
                ],
            ),
        ];
        for (what, story) in stories {
            let mut moves = Moves::default();
            for (second, found, left) in story {
                let found: Vec<IpAddr> = found.iter().copied().map(ip).collect();
                let left: Vec<IpAddr> = left.iter().copied().map(ip).collect();
                assert_eq!(moves.named(at(*second), &found), left, "{what} at {second}");
            }
        }
    }

    #[test]
    fn a_name_that_swings_means_nothing_until_it_rests() {
        let mut moves = Moves::default();
        for (second, n) in [(1, 1), (3, 2), (5, 1)] {
            moves.named(at(second), &[ip(n)]);
        }
        assert!(!moves.is_left(at(6), Some(ip(2))));
        assert_eq!(moves.named(at(700), &[ip(3)]), [ip(1)]);
        assert!(moves.is_left(at(701), Some(ip(1))));
        assert!(!moves.is_left(at(701), Some(ip(3))));
        assert!(!moves.is_left(at(701), None), "a unix socket has no name");
    }

    #[test]
    fn a_standby_is_news_only_where_a_primary_was() {
        use Role::*;
        let stories: [(&[(u8, Role)], bool); 6] = [
            (&[(1, Standby)], false),
            (&[(1, Primary), (1, Standby)], true),
            (&[(1, Primary), (2, Standby)], true),
            (&[(1, Primary), (1, Standby), (1, Standby)], false),
            (&[(1, Primary), (1, Unknown)], false),
            (&[(1, Primary), (1, Standby), (1, Primary)], false),
        ];
        for (seen, news) in stories {
            let mut moves = Moves::default();
            let last = seen.iter().map(|(n, role)| moves.saw(Some(ip(*n)), *role));
            assert_eq!(last.last(), Some(news), "{seen:?}");
        }
    }

    #[test]
    fn a_name_is_asked_more_often_while_something_is_wrong() {
        let asked = |busy: bool, uneasy: Option<u64>| -> usize {
            let mut moves = Moves::default();
            let turns = (0..200).filter(|turn| {
                let now = Time::from_micros(1_000_000 + turn * 100_000);
                if uneasy == Some(*turn) {
                    moves.uneasy(now);
                }
                moves.is_due(now, busy)
            });
            turns.count()
        };
        assert_eq!(asked(false, None), 4);
        assert_eq!(asked(true, None), 14);
        assert_eq!(asked(false, Some(0)), 20);
        // At once, not when it would be due.
        let mut moves = Moves::default();
        assert!(moves.is_due(at(10), true));
        assert!(!moves.is_due(at(11), true));
        moves.uneasy(at(11));
        assert!(moves.is_due(at(11), true));
        // Who becomes busy is not left to the pause of the idle.
        let mut moves = Moves::default();
        assert!(moves.is_due(at(10), false));
        assert!(!moves.is_due(at(12), false));
        assert!(moves.is_due(at(12), true));
        let mut moves = Moves::default();
        moves.uneasy(at(11));
        assert!(moves.age_max(at(11)) < moves.age_max(at(100)));
    }
}
