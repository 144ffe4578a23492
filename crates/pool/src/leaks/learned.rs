//! How long clients of a kind hold connections, and how long they are silent meanwhile.
//!
//! Bounded: the names and the statements are chosen by clients, so only so many
//! are kept, and the one that was not seen for longest makes room.

use super::{LeaseClass, Lesson};
use events::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Applications kept per pool.
const APPLICATIONS_MAX: usize = 64;
/// Statements of all applications kept per pool.
const CLASSES_MAX: usize = 256;
/// Releases kept per application.
const RELEASES_MAX: usize = 8;
/// What was seen within this time is not pushed out by something new.
const KEPT: Duration = Duration::from_secs(600);
/// So many leases must have been seen before a kind counts as known,
const LEASES_MIN: u32 = 20;
/// over at least this time.
const TIME_MIN: Duration = Duration::from_secs(10);
/// What begins so long after a new release is not its doing.
const ONSET: Duration = Duration::from_secs(3600);
/// An application must have been there before a release of it is new.
const BEFORE: Duration = Duration::from_secs(60);

/// Shorter silences and leases are not told apart.
pub const NOTABLE: Duration = Duration::from_millis(50);

/// Durations by powers of two above [`NOTABLE`].
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    counts: [u16; TAIL_BUCKETS],
    total: u32,
}

/// Up to about 14 hours.
const TAIL_BUCKETS: usize = 20;
/// After so many, old ones count half: what was the rule once is not for ever.
const TAIL_TOTAL_MAX: u32 = 2048;

impl Tail {
    pub fn record(&mut self, span: Duration) {
        let times = span.as_millis() / NOTABLE.as_millis();
        let bucket = (u128::BITS - times.leading_zeros()) as usize;
        if let Some(count) = self.counts.get_mut(bucket.min(TAIL_BUCKETS - 1)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
        if self.total >= TAIL_TOTAL_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// Longer than all that were recorded, as far as they are remembered.
    pub fn top(&self) -> Duration {
        let last = self.counts.iter().rposition(|count| *count > 0);
        last.map_or(NOTABLE, |bucket| NOTABLE * (1 << bucket))
    }
}

/// What was seen of one statement, or of a whole application.
#[derive(Clone, Debug)]
pub(super) struct Habit {
    leases: u32,
    first: Time,
    last: Time,
    pub silences: Tail,
    pub holds: Tail,
}

impl Habit {
    fn new(now: Time) -> Habit {
        Habit {
            leases: 0,
            first: now,
            last: now,
            silences: Tail::default(),
            holds: Tail::default(),
        }
    }

    fn learn(&mut self, now: Time, lesson: &Lesson) {
        self.last = now;
        if let Some(held) = lesson.held {
            self.leases = self.leases.saturating_add(1);
            if held >= NOTABLE {
                self.holds.record(held);
            }
        }
        if let Some(silent) = lesson.silent {
            self.silences.record(silent);
        }
    }

    /// Enough was seen to know what is usual.
    pub fn is_known(&self, now: Time) -> bool {
        self.leases >= LEASES_MIN && now.since(self.first) >= TIME_MIN
    }
}

#[derive(Clone, Debug)]
struct Application {
    habit: Habit,
    /// Releases, and when each was seen first.
    releases: Vec<(Arc<str>, Time)>,
}

type Who = (Arc<str>, Arc<str>);

/// All that one pool has learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    applications: BTreeMap<Who, Application>,
    classes: BTreeMap<(Who, u64), Habit>,
    /// Releases that a person marked: application, version, when.
    marked: Vec<(Box<str>, Time)>,
}

impl Learned {
    pub fn learn(&mut self, now: Time, lesson: &Lesson) {
        let who = lesson.class.who();
        make_room(now, &mut self.applications, &who, APPLICATIONS_MAX, |a| {
            a.habit.last
        });
        if self.applications.len() < APPLICATIONS_MAX || self.applications.contains_key(&who) {
            let application = self
                .applications
                .entry(who.clone())
                .or_insert_with(|| Application {
                    habit: Habit::new(now),
                    releases: Vec::new(),
                });
            application.habit.learn(now, lesson);
            if let Some(release) = &lesson.class.release {
                application.see_release(now, release);
            }
        }
        let key = (who, lesson.class.statement);
        make_room(now, &mut self.classes, &key, CLASSES_MAX, |c| c.last);
        if self.classes.len() < CLASSES_MAX || self.classes.contains_key(&key) {
            let habit = self.classes.entry(key).or_insert_with(|| Habit::new(now));
            habit.learn(now, lesson);
        }
    }

    /// A silent lease shows its release too.
    pub fn see(&mut self, now: Time, class: &LeaseClass) {
        if let Some(release) = &class.release
            && let Some(application) = self.applications.get_mut(&class.who())
        {
            application.see_release(now, release);
        }
    }

    pub fn mark_release(&mut self, now: Time, application: &str) {
        self.marked
            .retain(|(name, at)| **name != *application && now.since(*at) < ONSET);
        self.marked.truncate(RELEASES_MAX);
        self.marked.push((application.into(), now));
    }

    /// The longest silences of a statement's leases, if it is known.
    pub fn of_class(&self, now: Time, class: &LeaseClass) -> Option<Duration> {
        let habit = self.classes.get(&(class.who(), class.statement))?;
        habit.is_known(now).then(|| habit.silences.top())
    }

    /// Those of the whole application, whatever the statement.
    pub fn of_application(&self, class: &LeaseClass) -> Option<Duration> {
        let application = self.applications.get(&class.who())?;
        Some(application.habit.silences.top())
    }

    /// Something that fell silent at `since` began with a release of its application.
    pub fn began_with_release(&self, since: Time, class: &LeaseClass) -> bool {
        let after = |at: Time| since >= at && since.since(at) < ONSET;
        let marked = |(name, at): &(Box<str>, Time)| **name == *class.kind && after(*at);
        if self.marked.iter().any(marked) {
            return true;
        }
        let (Some(release), Some(application)) =
            (&class.release, self.applications.get(&class.who()))
        else {
            return false;
        };
        let known = application.habit.first.after(BEFORE);
        application
            .releases
            .iter()
            .any(|(name, at)| name == release && *at >= known && after(*at))
    }
}

impl Application {
    fn see_release(&mut self, now: Time, release: &Arc<str>) {
        if self.releases.iter().any(|(name, _)| name == release) {
            return;
        }
        if self.releases.len() >= RELEASES_MAX {
            self.releases.remove(0);
        }
        self.releases.push((Arc::clone(release), now));
    }
}

/// Where a map is full and `key` is new, the one not seen for longest goes, if
/// it was not seen for long enough.
fn make_room<K: Ord + Clone, V>(
    now: Time,
    map: &mut BTreeMap<K, V>,
    key: &K,
    max: usize,
    last: impl Fn(&V) -> Time,
) {
    if map.len() < max || map.contains_key(key) {
        return;
    }
    let oldest = map.iter().min_by_key(|(_, value)| last(value));
    if let Some((key, value)) = oldest
        && now.since(last(value)) > KEPT
    {
        let key = key.clone();
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_longer_than_all_that_it_was_told() {
        for ms in [0, 49, 50, 99, 100, 3_000, 60_000, 3_600_000] {
            let mut tail = Tail::default();
            let span = Duration::from_millis(ms);
            tail.record(span);
            assert!(tail.top() > span, "{ms} ms: {:?}", tail.top());
            assert!(
                tail.top() <= (span * 2).max(NOTABLE),
                "{ms} ms: {:?}",
                tail.top()
            );
        }
    }

    #[test]
    fn a_tail_forgets_what_was_once() {
        let mut tail = Tail::default();
        tail.record(Duration::from_secs(600));
        for _ in 0..TAIL_TOTAL_MAX {
            tail.record(Duration::from_millis(60));
        }
        assert_eq!(tail.top(), Duration::from_millis(100));
    }

    #[test]
    fn names_of_clients_choosing_do_not_fill_the_memory() {
        let mut learned = Learned::default();
        let mut now = Time::from_micros(1);
        let class = |n: u64| {
            Arc::new(LeaseClass {
                user: "u".into(),
                kind: format!("app{n}").into(),
                release: Some(format!("{n}").into()),
                statement: n,
            })
        };
        let lesson = |n| Lesson {
            class: class(n),
            held: Some(NOTABLE),
            silent: None,
        };
        for n in 0..1000 {
            now = now.after(Duration::from_millis(10));
            learned.learn(now, &lesson(n));
        }
        assert_eq!(learned.applications.len(), APPLICATIONS_MAX);
        assert_eq!(learned.classes.len(), CLASSES_MAX);
        // Something new finds room once the old was not seen for long.
        now = now.after(KEPT * 2);
        learned.learn(now, &lesson(5000));
        assert!(learned.of_application(&class(5000)).is_some());
        assert_eq!(learned.applications.len(), APPLICATIONS_MAX);
    }
}
