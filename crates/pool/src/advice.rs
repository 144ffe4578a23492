//! What size would have served the last hour: advice for fixed sizes.
//!
//! Each ten seconds of the last hour are one row: how many leases, how many
//! connections they held, the most at one moment. For a size `c` and a row with
//! load `a`, Erlang's formula says which share of the leases waits longer than
//! the target; where arrivals came in bursts, Hayward's approximation stretches
//! both. The advice is the smallest size whose share over all rows is within
//! the target. What the formula says about the present size is compared with
//! what was measured there: that is the confidence.

use crate::auto::Sample;
use events::{Histogram, Time};
use std::time::Duration;

/// The wait that [`Advice`] is about.
pub const ADVICE_WAIT: Duration = Duration::from_millis(5);
/// This share of the leases may wait longer.
pub const ADVICE_SHARE: f64 = 0.01;
/// Fewer leases than these say nothing.
pub const ADVICE_LEASES_MIN: u64 = 1000;
/// Nor do fewer rows with traffic: five minutes.
pub const ADVICE_ROWS_MIN: usize = 30;

/// Rows kept: an hour.
const ROWS: usize = 360;
const ROW: Duration = Duration::from_secs(10);
/// Above this, a peak is more than chance makes of independent arrivals.
const PEAK_SPREAD: f64 = 3.5;

/// Ten seconds of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// Leases that ended.
    pub leases: f64,
    /// Connections lent, on average.
    pub held: f64,
    /// Clients that waited, on average.
    pub queued: f64,
    /// Most connections lent at one moment.
    pub peak: u32,
    /// Clients that had waited longer than [`ADVICE_WAIT`].
    pub late: u64,
    /// The size of the pool.
    pub size: u32,
    secs: f64,
}

/// The last hour of a pool, ten seconds a row.
#[derive(Clone, Debug, Default)]
pub struct Record {
    rows: Vec<Row>,
    /// Where the next row goes once all are in use.
    next: usize,
    now: Row,
    /// Late clients, counted since the start.
    late: u64,
}

impl Record {
    /// One sample. `waits` is the pool's histogram since the start.
    pub(crate) fn add(&mut self, _now: Time, s: &Sample, size: u32, waits: &Histogram) {
        let target = u64::try_from(ADVICE_WAIT.as_micros()).unwrap_or(u64::MAX);
        let late = waits.count() - waits.count_at_most(target);
        let secs = s.span.as_secs_f64();
        let row = &mut self.now;
        // Time without samples, of a pool that slept, is no traffic.
        row.secs += secs.min(ROW.as_secs_f64());
        row.leases += s.done;
        row.held += s.held * secs;
        row.queued += s.queued * secs;
        row.peak = row.peak.max(s.peak);
        row.late += late.saturating_sub(self.late);
        row.size = size;
        self.late = late;
        if row.secs >= ROW.as_secs_f64() {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut row = std::mem::take(&mut self.now);
        row.held /= row.secs;
        row.queued /= row.secs;
        if row.leases <= 0.0 && row.held <= 0.0 {
            return;
        }
        self.push(row);
    }

    /// A further row; the oldest of an hour goes.
    pub fn push(&mut self, row: Row) {
        let row = Row {
            secs: ROW.as_secs_f64(),
            ..row
        };
        match self.rows.get_mut(self.next) {
            Some(oldest) => *oldest = row,
            None => self.rows.push(row),
        }
        self.next = (self.next + 1) % ROWS;
    }

    /// The rows that had traffic, oldest first.
    pub fn in_order(&self) -> impl Iterator<Item = &Row> {
        let at = self.next.min(self.rows.len());
        let (later, earlier) = self.rows.split_at(at);
        earlier.iter().chain(later)
    }

    /// The rows that had traffic, in no order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// How far advice can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confidence {
    /// Not enough traffic: no advice.
    Unknown,
    /// The formula does not fit what was measured, or clients waited most of
    /// the time: with another size the server itself may be slower or faster.
    Low,
    /// The formula says of the present size what was measured there.
    Good,
}

impl Confidence {
    /// The word in console, metric and page.
    pub const fn label(self) -> &'static str {
        match self {
            Confidence::Unknown => "unknown",
            Confidence::Low => "low",
            Confidence::Good => "good",
        }
    }
}

/// Which size would have served the recorded time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Advice {
    /// The smallest size with at most [`ADVICE_SHARE`] of the leases waiting
    /// longer than [`ADVICE_WAIT`]; 0 when unknown.
    pub size: u32,
    /// How sure that is.
    pub confidence: Confidence,
    /// Time recorded with traffic.
    pub span: Duration,
    /// Leases in it.
    pub leases: u64,
    /// Share of the clients that waited longer than the target, as measured.
    pub late: f64,
    /// The same for the present size, as the formula has it.
    pub late_by_formula: f64,
}

/// Advice from a record; `size` is the present one, `most` the largest that
/// makes sense (the line).
pub fn advise(record: &Record, size: u32, most: u32) -> Advice {
    let rows = record.rows();
    let leases: f64 = rows.iter().map(|row| row.leases).sum();
    let late: u64 = rows.iter().map(|row| row.late).sum();
    let mut advice = Advice {
        size: 0,
        confidence: Confidence::Unknown,
        span: ROW * u32::try_from(rows.len()).unwrap_or(u32::MAX),
        leases: leases as u64,
        late: late as f64 / leases.max(1.0),
        late_by_formula: 0.0,
    };
    if advice.leases < ADVICE_LEASES_MIN || rows.len() < ADVICE_ROWS_MIN {
        return advice;
    }
    advice.late_by_formula = late_share(rows, size);
    let (mut low, mut high) = (1, most.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match late_share(rows, middle) <= ADVICE_SHARE {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    advice.size = low;
    let fits = (advice.late - advice.late_by_formula).abs() <= 0.02;
    let waited_little = advice.late <= 0.1;
    advice.confidence = match fits && waited_little && late_share(rows, low) <= ADVICE_SHARE {
        true => Confidence::Good,
        false => Confidence::Low,
    };
    advice
}

/// Share of the leases of all rows that waits longer than the target with `c` connections.
fn late_share(rows: &[Row], c: u32) -> f64 {
    let (mut late, mut all) = (0.0, 0.0);
    for row in rows {
        all += row.leases;
        late += row.leases * late_in(row, f64::from(c));
    }
    late / f64::max(all, 1.0)
}

fn late_in(row: &Row, c: f64) -> f64 {
    if row.leases <= 0.0 {
        return 0.0;
    }
    // Whoever waited would have held a connection, had there been one.
    let load = (row.held + row.queued).max(1e-6);
    let lease = row.held * row.secs / row.leases;
    let by_chance = load + PEAK_SPREAD * load.sqrt();
    let peak = f64::from(row.peak);
    // Peakedness: how much wider than by chance the load swings.
    let swing = match peak > by_chance {
        true => ((peak - load) / (PEAK_SPREAD * load.sqrt())).powi(2),
        false => 1.0,
    };
    let wait = ADVICE_WAIT.as_secs_f64();
    let waits = erlang_c(c / swing, load / swing);
    let longer = match lease > 0.0 {
        true => (-(c - load) / swing * wait / lease).min(0.0).exp(),
        false => 0.0,
    };
    waits * longer
}

/// Erlang's C: the share that waits with `c` servers under the load `a`. For
/// `c` between whole numbers, between the values of its neighbours.
fn erlang_c(c: f64, a: f64) -> f64 {
    if c <= a {
        return 1.0;
    }
    let (below, above) = (c.floor().max(1.0), c.ceil().max(1.0));
    let part = c - below;
    let whole = |n: f64| match n <= a {
        true => 1.0,
        false => {
            let mut blocked = 1.0;
            for k in 1..=(n as u32) {
                blocked = a * blocked / (f64::from(k) + a * blocked);
            }
            n * blocked / (n - a * (1.0 - blocked))
        }
    };
    let (low, high) = (whole(below), whole(above));
    (low + (high - low) * part.clamp(0.0, 1.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rows: usize, row: Row) -> Record {
        let mut record = Record::default();
        for _ in 0..rows {
            record.push(row);
        }
        record
    }

    /// 800 leases a second of 10 ms each.
    const EVEN: Row = Row {
        leases: 8000.0,
        held: 8.0,
        queued: 0.0,
        peak: 17,
        late: 0,
        size: 40,
        secs: 0.0,
    };

    #[test]
    fn erlangs_formula_gives_its_known_values() {
        // From the tables: two agents at one erlang, a third of the calls wait.
        assert!((erlang_c(2.0, 1.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!((erlang_c(1.0, 0.5) - 0.5).abs() < 1e-9);
        assert!((erlang_c(10.0, 8.0) - 0.4092).abs() < 1e-3);
        assert_eq!(erlang_c(4.0, 8.0), 1.0);
        let between = erlang_c(10.5, 8.0);
        assert!(between < erlang_c(10.0, 8.0) && between > erlang_c(11.0, 8.0));
    }

    #[test]
    fn an_oversized_pool_is_told_what_would_do() {
        let advice = advise(&record(360, EVEN), 40, 90);
        assert_eq!(advice.confidence, Confidence::Good);
        assert!((12..=16).contains(&advice.size), "{advice:?}");
        assert_eq!(advice.span, Duration::from_secs(3600));
    }

    #[test]
    fn bursts_need_more_than_their_mean() {
        let bursty = Row { peak: 38, ..EVEN };
        let advice = advise(&record(360, bursty), 40, 90);
        let even = advise(&record(360, EVEN), 40, 90);
        assert!(advice.size >= even.size + 6, "{advice:?} beside {even:?}");
    }

    #[test]
    fn the_busiest_minutes_count() {
        let mut record = record(300, EVEN);
        let rush = Row {
            leases: 32_000.0,
            held: 32.0,
            peak: 38,
            ..EVEN
        };
        for _ in 0..60 {
            record.push(rush);
        }
        assert!(advise(&record, 40, 90).size >= 38);
    }

    #[test]
    fn little_traffic_makes_no_advice() {
        let few = Row {
            leases: 1.0,
            ..EVEN
        };
        let advice = advise(&record(360, few), 40, 90);
        assert_eq!((advice.size, advice.confidence), (0, Confidence::Unknown));
        let short = advise(&record(10, EVEN), 40, 90);
        assert_eq!(short.confidence, Confidence::Unknown);
    }

    #[test]
    fn what_the_formula_does_not_explain_is_of_low_confidence() {
        // 20 % waited although the formula says nobody had to: something else holds them up.
        let late = Row { late: 1600, ..EVEN };
        let advice = advise(&record(360, late), 40, 90);
        assert_eq!(advice.confidence, Confidence::Low, "{advice:?}");
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut record = record(360, EVEN);
        for _ in 0..360 {
            record.push(Row { held: 1.0, ..EVEN });
        }
        assert_eq!(record.rows().len(), 360);
        assert!(record.rows().iter().all(|row| row.held == 1.0));
    }
}
