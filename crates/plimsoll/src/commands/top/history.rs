//! The last minutes in memory, for the curves. Bounded.

use control::live::{Chart, Live};
use std::collections::VecDeque;

/// How far back it goes.
pub const SPAN_MS: i64 = 5 * 60_000;
/// Moments that are kept: more than one a second of the span nobody asks for.
const MOMENTS_MAX: usize = 1_200;

#[derive(Clone, Copy, Debug)]
struct Moment {
    at_ms: i64,
    waiting: u32,
    used: u32,
}

/// What is drawn: the most of each column's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curves {
    /// Clients that waited.
    pub waiting: Vec<Option<u32>>,
    /// Connections that were lent.
    pub used: Vec<Option<u32>>,
}

/// Moments in their order.
#[derive(Clone, Debug, Default)]
pub struct History {
    moments: VecDeque<Moment>,
}

impl History {
    /// Nothing is known any more: another moment is looked at.
    pub fn clear(&mut self) {
        self.moments.clear();
    }

    /// One more second.
    pub fn add(&mut self, live: &Live) {
        self.insert(Moment {
            at_ms: live.at_ms,
            waiting: live.totals.waiting,
            used: live.totals.used,
        });
    }

    /// What was before, as the pooler recorded it.
    pub fn fill(&mut self, chart: &Chart) {
        for (at, at_ms) in chart.at_ms.iter().enumerate() {
            let one = |values: &[Option<u32>]| values.get(at).copied().flatten();
            if let (Some(waiting), Some(used)) = (one(&chart.waiting), one(&chart.used)) {
                self.insert(Moment {
                    at_ms: *at_ms,
                    waiting,
                    used,
                });
            }
        }
    }

    fn insert(&mut self, moment: Moment) {
        let at = self.moments.partition_point(|m| m.at_ms < moment.at_ms);
        match self.moments.get_mut(at) {
            Some(same) if same.at_ms == moment.at_ms => *same = moment,
            _ => self.moments.insert(at, moment),
        }
        let newest = self.moments.back().map_or(0, |m| m.at_ms);
        let old = |m: &Moment| newest.saturating_sub(m.at_ms) > 2 * SPAN_MS;
        while self.moments.len() > MOMENTS_MAX || self.moments.front().is_some_and(old) {
            self.moments.pop_front();
        }
    }

    /// The span before `until_ms` in `columns`. A column is never narrower than
    /// the time between two looks: else every other one would be a gap.
    pub fn curves(&self, until_ms: i64, columns: usize, pace_ms: i64) -> Curves {
        let columns = columns.clamp(1, 400);
        let wide = SPAN_MS / i64::try_from(columns).unwrap_or(1);
        let pace_ms = pace_ms.clamp(1, SPAN_MS);
        // Columns stand still while time goes on: they begin at whole multiples.
        let step = wide.max(pace_ms.saturating_add(500)).div_euclid(500).max(1) * 500;
        let last = until_ms.div_euclid(step);
        let mut curves = Curves {
            waiting: vec![None; columns],
            used: vec![None; columns],
        };
        for moment in &self.moments {
            let back = last.saturating_sub(moment.at_ms.div_euclid(step));
            let at = usize::try_from(back)
                .ok()
                .and_then(|back| columns.checked_sub(back + 1));
            let Some(at) = at else { continue };
            if let (Some(w), Some(u)) = (curves.waiting.get_mut(at), curves.used.get_mut(at)) {
                *w = Some(w.unwrap_or(0).max(moment.waiting));
                *u = Some(u.unwrap_or(0).max(moment.used));
            }
        }
        curves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(at_ms: i64, waiting: u32) -> Live {
        let mut live = Live {
            at_ms,
            ..Live::default()
        };
        live.totals.waiting = waiting;
        live
    }

    #[test]
    fn a_column_shows_the_most_of_its_time() {
        let mut history = History::default();
        for (s, waiting) in [(0, 3), (3, 9), (7, 1), (12, 4)] {
            history.add(&live(600_000 + s * 1_000, waiting));
        }
        // 60 columns of 5 s.
        let curves = history.curves(612_000, 60, 1_000);
        assert_eq!(curves.waiting[57..], [Some(9), Some(1), Some(4)]);
        assert_eq!(curves.waiting[56], None, "nothing was measured");
    }

    #[test]
    fn it_is_bounded_and_takes_moments_in_any_order() {
        let mut history = History::default();
        for s in 0..10_000 {
            history.add(&live(s * 100, 1));
        }
        assert!(history.moments.len() <= MOMENTS_MAX);
        let chart = Chart {
            at_ms: vec![999_000, 999_950],
            waiting: vec![Some(7), None],
            used: vec![Some(1), Some(1)],
            ..Chart::default()
        };
        history.fill(&chart);
        assert_eq!(
            history.curves(999_900, 300, 1_000).waiting.last(),
            Some(&Some(7))
        );
        // A clock that leaps takes nothing with it but what is old.
        history.add(&live(i64::MAX, 1));
        history.add(&live(i64::MIN, 1));
        assert!(history.moments.len() <= 2);
        history.curves(i64::MIN, 0, i64::MAX);
    }
}
