//! What is kept in memory: an hour of seconds, the minute under way, markers.

use events::sample::{Marker, Name, Record, Sample};

/// Seconds in memory: an hour.
pub const SECONDS_MAX: usize = 3_600;
/// Minutes in memory: a day; older ones are in the state directory only.
pub const MINUTES_MAX: usize = 1_440;
/// Markers in memory.
pub const MARKERS_MAX: usize = 2_000;
const MINUTE_MS: i64 = 60_000;

/// Seconds, minutes and markers, bounded.
pub struct Series {
    record: Record,
    /// The minute under way, and which it is.
    minute: Option<(i64, Sample)>,
}

impl Series {
    /// Empty, of an instance with this name.
    pub fn new(instance: &str, version: &str) -> Series {
        Series {
            record: Record {
                instance: Name::from(instance),
                version: Name::from(version),
                ..Record::default()
            },
            minute: None,
        }
    }

    /// What a diagnosis reads. The minute under way is not among the minutes.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Minutes and markers of before.
    pub fn restore(&mut self, minutes: Vec<Sample>, markers: Vec<Marker>) {
        self.record.minutes.extend(minutes);
        self.record.markers.splice(0..0, markers);
        self.bound();
    }

    /// One more second. Returns the minute that it belongs to, as it stands now.
    pub fn push(&mut self, second: Sample) -> &Sample {
        let minute = second.at_ms.div_euclid(MINUTE_MS);
        // A clock that was set back begins a minute of its own.
        if let Some((_, whole)) = self.minute.take_if(|(at, _)| *at != minute) {
            self.record.minutes.push_back(whole);
            let over = self.record.minutes.len().saturating_sub(MINUTES_MAX);
            self.record.minutes.drain(..over);
        }
        let (_, sum) = self
            .minute
            .get_or_insert_with(|| (minute, Sample::default()));
        sum.merge(&second);
        self.record.seconds.push_back(second);
        let over = self.record.seconds.len().saturating_sub(SECONDS_MAX);
        self.record.seconds.drain(..over);
        sum
    }

    /// Something changed.
    pub fn mark(&mut self, marker: Marker) {
        self.record.markers.push(marker);
        self.bound();
    }

    /// The settings that serve, for verdicts that name them.
    pub fn settings(&mut self, settings: Vec<(Name, String)>) {
        self.record.settings = settings;
    }

    fn bound(&mut self) {
        let record = &mut self.record;
        let over = record.seconds.len().saturating_sub(SECONDS_MAX);
        record.seconds.drain(..over);
        let over = record.minutes.len().saturating_sub(MINUTES_MAX);
        record.minutes.drain(..over);
        let over = record.markers.len().saturating_sub(MARKERS_MAX);
        record.markers.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at_ms: i64) -> Sample {
        Sample {
            at_ms,
            span_ms: 1_000,
            ..Sample::default()
        }
    }

    #[test]
    fn seconds_become_minutes_and_both_are_bounded() {
        let mut series = Series::new("a", "1");
        for n in 0..(SECONDS_MAX as i64 + 120) {
            let minute = series.push(second(n * 1_000)).span_ms;
            assert_eq!(i64::from(minute), (n % 60 + 1) * 1_000);
        }
        let record = series.record();
        assert_eq!(record.seconds.len(), SECONDS_MAX);
        assert_eq!(record.minutes.len(), 61);
        assert!(record.minutes.iter().all(|m| m.span_ms == 60_000));
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let mut series = Series::new("a", "1");
        for at in [600_000, 601_000, 5_000, 6_000] {
            series.push(second(at));
        }
        assert_eq!(series.record().seconds.len(), 4);
        assert_eq!(series.record().minutes.len(), 1);
    }
}
