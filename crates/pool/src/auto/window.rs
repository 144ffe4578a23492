//! What was measured at one size, and how sure it is.

use super::Sample;

/// Samples are joined until so many leases ended: a rate of one or two is noise.
const CELL_DONE: f64 = 8.0;
/// From so many cells on their spread is believed; before, counting noise is assumed.
const CELLS_KNOWN: f64 = 5.0;
/// Counting noise that remains however even the cells look.
const NOISE_FLOOR: f64 = 0.3;
/// A window counts as saturated when this share of its samples was.
const MOSTLY: f64 = 0.8;

/// More clients than chance brings.
const MORE_CAME: f64 = 1.15;

/// Mean and spread of a series (Welford's update).
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    n: f64,
    mean: f64,
    m2: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.n += 1.0;
        let off = value - self.mean;
        self.mean += off / self.n;
        self.m2 += off * (value - self.mean);
    }

    /// Standard error of the mean, relative to it, given `done` counted ends.
    fn error(&self, done: f64) -> f64 {
        let counting = 1.0 / done.max(1.0).sqrt();
        if self.n < CELLS_KNOWN || self.mean <= 0.0 {
            return counting;
        }
        let seen = (self.m2 / (self.n - 1.0) / self.n).sqrt() / self.mean;
        seen.max(NOISE_FLOOR * counting)
    }
}

/// Samples of one size, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// How many samples.
    pub ticks: u32,
    saturated: u32,
    secs: f64,
    done: f64,
    /// Client-seconds in the queue.
    queued: f64,
    /// Connection-seconds lent.
    held: f64,
    /// The cell under way: seconds, ends, client-seconds.
    cell: (f64, f64, f64),
    rate: Spread,
    response: Spread,
}

impl Window {
    pub fn add(&mut self, s: &Sample, saturated: bool) {
        let secs = s.span.as_secs_f64();
        self.ticks += 1;
        self.saturated += u32::from(saturated);
        self.secs += secs;
        self.done += s.done;
        self.queued += s.queued * secs;
        self.held += s.held * secs;
        self.cell.0 += secs;
        self.cell.1 += s.done;
        self.cell.2 += (s.queued + s.held) * secs;
        if self.cell.1 >= CELL_DONE {
            self.rate.add(self.cell.1 / self.cell.0);
            self.response.add(self.cell.2 / self.cell.1);
            self.cell = (0.0, 0.0, 0.0);
        }
    }

    /// Leases that ended well, per second.
    pub fn rate(&self) -> f64 {
        match self.secs > 0.0 {
            true => self.done / self.secs,
            false => 0.0,
        }
    }

    /// Mean time that a client spends here, waiting and holding, by Little's
    /// law; in seconds.
    pub fn response(&self) -> f64 {
        (self.queued + self.held) / self.done.max(0.5)
    }

    /// Clients in the queue, on average.
    pub fn queued(&self) -> f64 {
        self.queued / self.secs.max(1e-6)
    }

    /// Connections lent, on average.
    pub fn held(&self) -> f64 {
        self.held / self.secs.max(1e-6)
    }

    /// Clients that waited or held, on average.
    fn clients(&self) -> f64 {
        self.queued() + self.held()
    }

    pub fn is_saturated(&self) -> bool {
        f64::from(self.saturated) >= MOSTLY * f64::from(self.ticks)
    }

    /// Relative standard error of the rate.
    fn error(&self) -> f64 {
        self.rate.error(self.done)
    }
}

/// How much better one size was than another, as a share, and how sure that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gain {
    pub value: f64,
    pub error: f64,
}

impl Gain {
    /// Between two windows. Where clients waited all the time, the rate is what
    /// a size brings. Where they did not, the rate is theirs, not the size's:
    /// then the time that a client spends here is compared, unless more clients
    /// came meanwhile, who would have made that longer at any size.
    pub fn of(probe: &Window, base: &Window) -> Gain {
        let more_came = probe.clients() > MORE_CAME * base.clients();
        match probe.is_saturated() || more_came {
            true => Gain::by_rate(probe, base),
            false => Gain::by_response(probe, base),
        }
    }

    fn by_rate(probe: &Window, base: &Window) -> Gain {
        let value = probe.rate() / base.rate().max(1e-9) - 1.0;
        Gain::new(value, probe.error(), base.error())
    }

    /// By the time that a client spends here.
    pub fn by_response(probe: &Window, base: &Window) -> Gain {
        let value = base.response() / probe.response().max(1e-9) - 1.0;
        let error = |w: &Window| w.response.error(w.done);
        Gain::new(value, error(probe), error(base))
    }

    fn new(value: f64, probe_error: f64, base_error: f64) -> Gain {
        Gain {
            value,
            error: probe_error.hypot(base_error) * (1.0 + value).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn window(ticks: u32, done: f64, queued: f64, held: f64, saturated: bool) -> Window {
        let mut window = Window::default();
        let s = Sample {
            span: Duration::from_millis(500),
            done,
            queued,
            held,
            ..Sample::default()
        };
        for _ in 0..ticks {
            window.add(&s, saturated);
        }
        window
    }

    #[test]
    fn saturated_windows_compare_throughput() {
        let base = window(10, 100.0, 40.0, 10.0, true);
        let probe = window(10, 110.0, 60.0, 20.0, true);
        let gain = Gain::of(&probe, &base);
        assert!((gain.value - 0.10).abs() < 1e-9, "{gain:?}");
        assert!(gain.error < 0.03, "{gain:?}");
    }

    #[test]
    fn others_compare_the_time_that_clients_spend() {
        // The same arrivals; without the queue each is done in half the time.
        let base = window(10, 100.0, 10.0, 10.0, true);
        let probe = window(10, 100.0, 0.0, 10.0, false);
        assert!((Gain::of(&probe, &base).value - 1.0).abs() < 1e-9);
    }

    #[test]
    fn few_ends_make_few_claims() {
        let base = window(2, 4.0, 10.0, 10.0, true);
        let probe = window(2, 6.0, 10.0, 12.0, true);
        let gain = Gain::of(&probe, &base);
        assert!(gain.value > 0.4 && gain.error > 0.5, "{gain:?}");
    }
}
