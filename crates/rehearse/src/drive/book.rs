//! Keeps the books of a run: each request once, in its class, in all, and in the
//! second in which it was due.

use crate::measured::{ClassTally, Failure, Second, Tally};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Digits kept of the times within a second: there are many seconds.
const SECOND_DIGITS: u8 = 2;
/// Longest time that is told apart within a second, microseconds.
const SECOND_US_MAX: u64 = 3_600_000_000;

/// How long a request took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Took {
    /// When it was due.
    pub(crate) due: Duration,
    /// When its first byte was sent.
    pub(crate) sent: Duration,
    /// When its last byte was received.
    pub(crate) done: Duration,
}

/// The books.
pub(crate) struct Book {
    pub(crate) all: Tally,
    pub(crate) classes: Vec<ClassTally>,
    seconds: Vec<Second>,
    /// Times of seconds that may still get answers.
    open: BTreeMap<usize, Times>,
}

struct Times {
    latency: Histogram<u64>,
    wait: Histogram<u64>,
}

impl Book {
    /// Empty books over a schedule of this length.
    pub(crate) fn new(classes: &[String], planned: Duration) -> Book {
        Book {
            all: Tally::new(planned),
            classes: (classes.iter())
                .map(|name| ClassTally {
                    name: name.clone(),
                    tally: Tally::new(planned),
                })
                .collect(),
            seconds: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// A request is due.
    pub(crate) fn due(&mut self, class: u16, at: Duration) {
        self.second(at).due += 1;
        for tally in self.tallies(class) {
            tally.due += 1;
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, class: u16, took: Took) {
        let latency = micros(took.done.saturating_sub(took.due));
        let wait = micros(took.sent.saturating_sub(took.due));
        let service = micros(took.done.saturating_sub(took.sent));
        for tally in self.tallies(class) {
            tally.answer(latency, wait, service);
        }
        self.second(took.done).goodput += 1;
        self.second(took.due).answered += 1;
        let times = self.open.entry(place(took.due)).or_insert_with(Times::new);
        times.latency.saturating_record(latency);
        times.wait.saturating_record(wait);
    }

    /// A request failed.
    pub(crate) fn failed(&mut self, class: u16, due: Duration, why: &Failure) {
        for tally in self.tallies(class) {
            tally.fail(why);
        }
        self.second(due).failed += 1;
    }

    /// How much goes on now.
    pub(crate) fn level(&mut self, now: Duration, busy: usize, queued: usize) {
        let second = self.second(now);
        let many = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        second.busy_max = second.busy_max.max(many(busy));
        second.queued_max = second.queued_max.max(many(queued));
    }

    /// Seconds before this moment get no more answers.
    pub(crate) fn close_before(&mut self, moment: Duration) {
        while let Some(first) = self.open.first_entry() {
            if *first.key() >= place(moment) {
                return;
            }
            let at = *first.key();
            let times = first.remove();
            self.close(at, &times);
        }
    }

    /// The newest second that is over, as far as it is known.
    pub(crate) fn last(&mut self, now: Duration) -> Second {
        let Some(at) = place(now).checked_sub(1) else {
            return Second::default();
        };
        if let Some(times) = self.open.remove(&at) {
            self.close(at, &times);
            self.open.insert(at, times);
        }
        self.seconds.get(at).copied().unwrap_or_default()
    }

    /// All seconds, once nothing more comes. `over`: the time that rates are of.
    pub(crate) fn finish(mut self, over: Duration) -> (Tally, Vec<ClassTally>, Vec<Second>) {
        self.all.over = over;
        for class in &mut self.classes {
            class.tally.over = over;
        }
        for (at, times) in std::mem::take(&mut self.open) {
            self.close(at, &times);
        }
        (self.all, self.classes, self.seconds)
    }

    fn close(&mut self, at: usize, times: &Times) {
        if let Some(second) = self.seconds.get_mut(at) {
            second.latency_p50_us = times.latency.value_at_quantile(0.5);
            second.latency_p99_us = times.latency.value_at_quantile(0.99);
            second.latency_max_us = times.latency.max();
            second.wait_p99_us = times.wait.value_at_quantile(0.99);
        }
    }

    fn tallies(&mut self, class: u16) -> impl Iterator<Item = &mut Tally> {
        let class = self.classes.get_mut(usize::from(class));
        let class = class.map(|class| &mut class.tally);
        [Some(&mut self.all), class].into_iter().flatten()
    }

    fn second(&mut self, at: Duration) -> &mut Second {
        let place = place(at);
        if self.seconds.len() <= place {
            self.seconds.resize(place + 1, Second::default());
        }
        &mut self.seconds[place]
    }
}

impl Times {
    fn new() -> Times {
        #[expect(clippy::expect_used, reason = "constant bounds, which a test builds")]
        let empty =
            Histogram::new_with_bounds(1, SECOND_US_MAX, SECOND_DIGITS).expect("constant bounds");
        Times {
            latency: empty.clone(),
            wait: empty,
        }
    }
}

fn place(at: Duration) -> usize {
    usize::try_from(at.as_secs()).unwrap_or(usize::MAX)
}

/// Microseconds, rounded.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from((span.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_request_counts_in_the_second_in_which_it_was_due() {
        let mut book = Book::new(&["a".to_owned(), "b".to_owned()], ms(3_000));
        for at in [500, 900] {
            book.due(0, ms(at));
        }
        book.due(1, ms(1_100));
        book.answered(
            0,
            Took {
                due: ms(500),
                sent: ms(501),
                done: ms(600),
            },
        );
        // Due in the first second, answered in the third.
        book.answered(
            0,
            Took {
                due: ms(900),
                sent: ms(2_000),
                done: ms(2_100),
            },
        );
        book.failed(1, ms(1_100), &Failure::NoAnswer);
        book.level(ms(1_500), 3, 7);
        let (all, classes, seconds) = book.finish(ms(1_000));
        assert_eq!((all.due, all.answered), (3, 2));
        assert_eq!(
            (
                classes[0].tally.answered,
                classes[1].tally.failed[&Failure::NoAnswer]
            ),
            (2, 1)
        );
        let first = seconds[0];
        assert_eq!((first.due, first.answered, first.goodput), (2, 2, 1));
        assert!((1_190_000..=1_210_000).contains(&first.latency_max_us));
        assert!((1_090_000..=1_110_000).contains(&first.wait_p99_us));
        assert_eq!(
            (
                seconds[1].failed,
                seconds[1].busy_max,
                seconds[1].queued_max
            ),
            (1, 3, 7)
        );
        assert_eq!(seconds[2].goodput, 1);
        // What a closed loop would have told: 100 ms.
        assert!(all.service.max() <= 100_100 && all.latency.max() >= 1_199_000);
    }
}
