//! How a stand-in comes to hold as long as it should: what its parts take, learned
//! while it plays. No socket, no clock.
//!
//! A pooler counts a hold from the grant of a connection to its return. The client
//! sees more: the way to the pooler and back. So a hold of `h` is over at the client
//! after `h` and that way.
//!
//! ```text
//!   client ──── way ───► pooler ─┐
//!                                │ hold: the server, and what the client waits in it
//!   client ◄─── way ──── pooler ─┘
//! ```
//!
//! Of each part the median of the last measurements counts. Each is measured by
//! itself and none is corrected by what came of it, so nothing can swing.

use crate::measured::StandIns;
use std::time::Duration;

/// Measurements of which the median is taken: of so many it is off by a sixth of
/// their spread.
const RECENT: usize = 64;
/// What a part takes before it was measured.
const FIRST: Duration = Duration::from_micros(100);
/// A character of work before one was measured, picoseconds.
const CHARACTER_PS: u64 = 2_000;
/// No server takes less or more: what was measured beside it was wrong.
const CHARACTER_PS_MIN: u64 = 300;
const CHARACTER_PS_MAX: u64 = 50_000;
/// Longest work that a server is given to burn: what is longer is waited for.
const WORK_MAX: Duration = Duration::from_millis(1);
/// Most characters of it; each is a byte of the server's memory for that time.
const CHARACTERS_MAX: u64 = 1 << 20;
/// Shorter work says little of what a character takes.
const WORK_MIN: Duration = Duration::from_micros(30);
/// Between two measurements of the way: each delays a request by that.
const ASK: Duration = Duration::from_millis(40);

/// The last measurements of one thing.
#[derive(Clone, Debug, Default)]
struct Recent {
    /// In a ring, the next place at `next`.
    all: Vec<u64>,
    next: usize,
    median: Option<u64>,
}

impl Recent {
    fn add(&mut self, value: u64) {
        match self.all.get_mut(self.next) {
            Some(oldest) => *oldest = value,
            None => self.all.push(value),
        }
        self.next = (self.next + 1) % RECENT;
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        self.median = sorted.get(sorted.len() / 2).copied();
    }

    fn took(&mut self, took: Duration) {
        self.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn time(&self) -> Option<Duration> {
        self.median.map(Duration::from_nanos)
    }

    fn or_first(&self) -> Duration {
        self.time().unwrap_or(FIRST)
    }
}

/// How a hold is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// A statement that does nothing, sent whole: nothing holds for less.
    Shortest,
    /// A statement that works on so many characters, sent whole.
    Work {
        /// How many.
        characters: u32,
    },
    /// In two parts, the second when the time has come.
    Wait,
}

/// What a batch's parts take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// To the pooler and back.
    way: Recent,
    /// A statement that does nothing, whole.
    shortest: Recent,
    /// One that works, beside its work.
    beside_work: Recent,
    /// A character of work, picoseconds.
    character: Recent,
    /// From the moment at which the last message was to leave to the answer.
    sync: Recent,
    commit: Recent,
    /// When the way was measured last.
    asked: Option<Duration>,
    /// Holds that were played, and those that could only come out too long.
    played: u64,
    too_short: u64,
}

impl Pace {
    /// To the pooler and back. A pooler that hands a lone Sync on to its server makes
    /// this too long; most of a whole batch is the most that is believed.
    pub(crate) fn way(&self) -> Duration {
        let most = self.shortest.or_first() / 8 * 7;
        self.way.time().unwrap_or_default().min(most)
    }

    /// The shortest hold that can be played.
    pub(crate) fn floor(&self) -> Duration {
        self.shortest.or_first().saturating_sub(self.way())
    }

    /// How to play a hold: as a batch, since its client does not keep a transaction open.
    pub(crate) fn choose(&mut self, hold: Duration) -> Way {
        self.played += 1;
        self.too_short += u64::from(hold < self.floor() * 19 / 20);
        let seen = hold + self.way();
        let (shortest, sync) = (self.shortest.or_first(), self.sync.or_first());
        let beside = self.beside_work();
        let work = seen.saturating_sub(beside);
        // In two parts there are two ways to the server, and a timer between them.
        if seen >= (shortest + sync) / 4 * 5 || work > WORK_MAX {
            return Way::Wait;
        }
        if seen < (shortest + beside) / 2 {
            return Way::Shortest;
        }
        let ps = u64::try_from(work.as_nanos()).unwrap_or(u64::MAX);
        let characters = ps.saturating_mul(1_000) / self.character_ps();
        Way::Work {
            characters: characters.min(CHARACTERS_MAX) as u32,
        }
    }

    /// One that was measured on a bad moment would keep all work from being tried, and so
    /// from being measured again: no more than half as long again is believed.
    fn beside_work(&self) -> Duration {
        let shortest = self.shortest.or_first();
        let known = self.beside_work.time().unwrap_or(shortest);
        known.min(shortest * 3 / 2)
    }

    fn character_ps(&self) -> u64 {
        self.character.median.unwrap_or(CHARACTER_PS)
    }

    /// A hold is played in an open transaction.
    pub(crate) fn chose_transaction(&mut self) {
        self.played += 1;
    }

    /// How long before the answer the last message is to leave.
    pub(crate) fn tail(&self, transaction: bool) -> Duration {
        match transaction {
            true => self.commit.or_first(),
            false => self.sync.or_first(),
        }
    }

    /// From the moment at which the last message was to leave to the answer.
    pub(crate) fn learn_tail(&mut self, transaction: bool, took: Duration) {
        match transaction {
            true => self.commit.took(took),
            false => self.sync.took(took),
        }
    }

    /// What a batch took that was sent whole.
    pub(crate) fn learn_whole(&mut self, way: Way, took: Duration) {
        let Way::Work { characters } = way else {
            return self.shortest.took(took);
        };
        let work = Duration::from_nanos(u64::from(characters) * self.character_ps() / 1_000);
        if work < WORK_MIN {
            return self.beside_work.took(took.saturating_sub(work));
        }
        let work = took.saturating_sub(self.beside_work()).as_nanos() * 1_000;
        let each = work / u128::from(characters.max(1));
        let each = u64::try_from(each).unwrap_or(u64::MAX);
        self.character
            .add(each.clamp(CHARACTER_PS_MIN, CHARACTER_PS_MAX));
    }

    /// Whether the way is to be measured now.
    pub(crate) fn asks(&mut self, now: Duration) -> bool {
        let due = self.asked.is_none_or(|last| now >= last + ASK);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// What a Sync took that no connection was lent for.
    pub(crate) fn learn_way(&mut self, took: Duration) {
        self.way.took(took);
    }

    /// What was played so far, and how much of it came out too long.
    pub(crate) fn played(&self) -> Option<StandIns> {
        (self.played > 0).then(|| StandIns {
            played: self.played,
            too_short: self.too_short,
            shortest_us: u64::try_from(self.floor().as_micros()).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    /// A server behind a pooler: what each part truly takes.
    struct World {
        way: u64,
        shortest: u64,
        beside: u64,
        character_ps: u64,
        /// Every so many-th measurement is late by this.
        late: (u64, u64),
        /// The pooler answers a lone Sync by itself.
        answers: bool,
        turn: u64,
    }

    impl World {
        fn local() -> World {
            World {
                way: 40,
                shortest: 25,
                beside: 45,
                character_ps: 1_300,
                late: (u64::MAX, 0),
                answers: true,
                turn: 0,
            }
        }

        fn noise(&mut self) -> u64 {
            self.turn += 1;
            let late = self.turn.is_multiple_of(self.late.0);
            // Up and down by a few microseconds.
            self.turn * 7 % 11 + u64::from(late) * self.late.1
        }

        /// Plays a hold, and says how long the pooler saw it.
        fn play(&mut self, pace: &mut Pace, hold: u64) -> u64 {
            let noise = self.noise();
            let way = pace.choose(us(hold));
            let held = match way {
                Way::Shortest => self.shortest + noise,
                Way::Work { characters } => {
                    let work = u64::from(characters) * self.character_ps / 1_000_000;
                    self.beside + work + noise
                }
                Way::Wait => {
                    let leaves = (us(hold) + pace.way()).saturating_sub(pace.tail(false));
                    // The second part goes the way that the first one went.
                    let leaves = leaves.max(us(self.way + self.beside));
                    let tail = us(self.way + self.shortest / 2 + noise);
                    pace.learn_tail(false, tail);
                    let held = leaves + tail - us(self.way);
                    return held.as_micros() as u64;
                }
            };
            pace.learn_whole(way, us(self.way + held));
            let asked = match self.answers {
                true => self.way,
                false => self.way + self.shortest - 3,
            };
            let noise = self.noise();
            pace.learn_way(us(asked + noise / 2));
            held
        }

        /// The median of what comes of this hold, once some were played.
        fn median(&mut self, pace: &mut Pace, hold: u64) -> u64 {
            for n in 0..400 {
                self.play(pace, 30 + n * 37 % 400);
            }
            let mut all: Vec<u64> = (0..101).map(|_| self.play(pace, hold)).collect();
            all.sort_unstable();
            all[50]
        }
    }

    /// Within a twentieth, or three microseconds.
    fn is_near(found: u64, wanted: u64) -> bool {
        found.abs_diff(wanted) <= (wanted / 20).max(3)
    }

    #[test]
    fn holds_come_out_as_long_as_is_wanted() {
        for (name, mut world) in [
            ("quiet", World::local()),
            (
                "one in five is late by a millisecond",
                World {
                    late: (5, 1_000),
                    ..World::local()
                },
            ),
            (
                "a slow server",
                World {
                    shortest: 90,
                    beside: 95,
                    character_ps: 9_000,
                    ..World::local()
                },
            ),
            (
                "a pooler far away",
                World {
                    way: 300,
                    shortest: 60,
                    ..World::local()
                },
            ),
        ] {
            let mut pace = Pace::default();
            for hold in [100, 115, 150, 250, 400, 900, 1_400, 20_000] {
                let found = world.median(&mut pace, hold);
                assert!(is_near(found, hold), "{name}: {hold} came out as {found}");
            }
        }
    }

    #[test]
    fn one_bad_measurement_at_the_begin_does_not_stay() {
        let (mut world, mut pace) = (World::local(), Pace::default());
        let late = Duration::from_millis(3);
        pace.learn_whole(Way::Work { characters: 1 }, late);
        pace.learn_whole(Way::Work { characters: 50_000 }, late);
        pace.learn_whole(Way::Shortest, late);
        pace.learn_tail(false, late);
        pace.learn_way(late);
        for hold in [100, 250, 900] {
            let found = world.median(&mut pace, hold);
            assert!(is_near(found, hold), "{hold} came out as {found}");
        }
    }

    #[test]
    fn a_hold_shorter_than_any_is_played_as_the_shortest_and_counted() {
        let (mut world, mut pace) = (World::local(), Pace::default());
        let found = world.median(&mut pace, 200);
        assert!(is_near(found, 200), "{found}");
        let before = pace.played().expect("some were played");
        assert!(is_near(before.shortest_us, 27), "{before:?}");
        for _ in 0..10 {
            assert_eq!(pace.choose(us(10)), Way::Shortest);
        }
        let after = StandIns {
            played: before.played + 10,
            too_short: before.too_short + 10,
            ..before
        };
        assert_eq!(pace.played(), Some(after));
    }

    #[test]
    fn a_pooler_that_hands_a_lone_sync_on_is_not_believed_all() {
        let mut pace = Pace::default();
        let mut world = World {
            answers: false,
            ..World::local()
        };
        let found = world.median(&mut pace, 300);
        // Too long by most of the way to the server, and by no more.
        assert!((300..=330).contains(&found), "{found}");
    }

    #[test]
    fn the_server_is_never_given_much_to_do() {
        let mut pace = Pace::default();
        // Nonsense was measured: a character takes no time, the way is endless.
        for _ in 0..RECENT {
            let way = Way::Work {
                characters: u32::MAX,
            };
            pace.learn_whole(way, Duration::ZERO);
            pace.learn_way(Duration::MAX);
            pace.learn_tail(false, Duration::from_secs(9));
        }
        for hold in [0, 1, 100, 1_000, 5_000, 10_000_000] {
            match pace.choose(us(hold)) {
                Way::Work { characters } => assert!(u64::from(characters) <= CHARACTERS_MAX),
                Way::Wait => assert!(hold > 900, "{hold}"),
                Way::Shortest => assert!(hold < 100, "{hold}"),
            }
        }
    }

    #[test]
    fn the_way_is_measured_now_and_then() {
        let mut pace = Pace::default();
        assert_eq!(pace.way(), Duration::ZERO);
        let asked = (0..100).filter(|ms| pace.asks(Duration::from_millis(*ms)));
        assert_eq!(asked.count(), 3);
    }
}
