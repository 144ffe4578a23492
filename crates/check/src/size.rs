//! How many connections: from rates and times, with the reasoning.
//!
//! Demand is arrivals × the time that a connection is *held* (Little's law), not
//! the time of the statement. Above it, Erlang's delay formula says how many
//! connections keep the wait within a target; bursts and uneven times stretch it
//! as Allen and Cunneen do. A pool per process needs more in all than one pool
//! for everybody: each of them must bear its own bursts.

use std::fmt::Write as _;
use std::time::Duration;

/// What the traffic asks for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Need {
    /// Transactions per second at the peak, over all copies.
    pub rate: f64,
    /// How long each holds its connection, on average: from borrowing to return.
    pub hold: Duration,
    /// Variance of arrivals and of hold times over the square of their means:
    /// 1 for random ones, more for bursts.
    pub spread: f64,
    /// 99 of 100 transactions wait no longer than this for a connection.
    pub wait: Duration,
    /// Processes that each have a pool of their own.
    pub processes: u64,
    /// Further copies while a new version rolls out.
    pub surge: u64,
    /// Growth to be ready for: 1.5 is half more traffic.
    pub growth: f64,
    /// The server's `max_connections`, where known.
    pub max_connections: Option<u64>,
    /// What others use of it, migrations and people included.
    pub others: u64,
    /// The server's processor cores, where known.
    pub cores: Option<u64>,
}

/// The answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Sizing {
    /// Connections in use on average.
    pub demand: f64,
    /// One pool for all.
    pub shared: u64,
    /// Each process's own pool.
    pub each: u64,
    /// All of those together, with the surge.
    pub separate: u64,
    /// What ordinary users of the server can have; `None`: not stated.
    pub usable: Option<u64>,
    /// How it was found, a line each.
    pub reasons: Vec<String>,
    /// What does not fit, a line each.
    pub warnings: Vec<String>,
}

/// Slots that PostgreSQL keeps for superusers unless told otherwise.
const SUPERUSERS: u64 = 3;
/// Left for whoever logs in: an administrator, a migration.
const HEADROOM: u64 = 5;
/// Above this many per core more connections bring mostly latency; the knee was
/// seen between twice and ten times the cores.
const PER_CORE: u64 = 10;
/// Most connections that are computed.
const SIZE_MAX: u64 = 100_000;

/// How many connections.
pub fn size(need: &Need) -> Sizing {
    let rate = need.rate * need.growth;
    let hold = need.hold.as_secs_f64();
    let demand = rate * hold;
    let shared = smallest(rate, hold, need);
    let processes = need.processes.max(1);
    let each = smallest(rate / processes as f64, hold, need);
    let separate = each.saturating_mul(processes.saturating_add(need.surge));
    let usable = need.max_connections.map(|max| {
        max.saturating_sub(SUPERUSERS + HEADROOM)
            .saturating_sub(need.others)
    });
    let mut sizing = Sizing {
        demand,
        shared,
        each,
        separate,
        usable,
        reasons: Vec::new(),
        warnings: Vec::new(),
    };
    sizing.reasons = reasons(need, &sizing);
    sizing.warnings = warnings(need, &sizing);
    sizing
}

/// The smallest size that keeps one of 100 from waiting longer than the target.
fn smallest(rate: f64, hold: f64, need: &Need) -> u64 {
    let load = rate * hold;
    if !load.is_finite() || load <= 0.0 {
        return 1;
    }
    let mut c = (load.floor() as u64).saturating_add(1);
    while c < SIZE_MAX && late(c, load, hold, need) > 0.01 {
        c += (c / 200).max(1);
    }
    c
}

/// The share that waits longer than the target with `c` connections.
fn late(c: u64, load: f64, hold: f64, need: &Need) -> f64 {
    let c = c as f64;
    if c <= load {
        return 1.0;
    }
    // Allen and Cunneen: the wait's mean stretches with the spread.
    let stretch = need.spread.max(0.1);
    let wait = need.wait.as_secs_f64();
    erlang_c(c, load) * (-(c - load) * wait / (hold * stretch)).exp()
}

/// Erlang's delay formula: the share that waits at all, `c` > `load` ≥ 0.
fn erlang_c(c: f64, load: f64) -> f64 {
    // The loss formula by its recursion, which no number of servers overflows.
    let mut loss = 1.0;
    for n in 1..=(c as u64) {
        loss = load * loss / (n as f64 + load * loss);
    }
    let busy = load / c;
    loss / (1.0 - busy * (1.0 - loss))
}

fn reasons(need: &Need, s: &Sizing) -> Vec<String> {
    let mut all = vec![format!(
        "demand: {:.0}/s × {} held{} = {:.1} connections in use on average (Little's law)",
        need.rate,
        ms(need.hold),
        match need.growth {
            1.0 => String::new(),
            g => format!(" × {g} for growth"),
        },
        s.demand
    )];
    all.push(format!(
        "{} connections keep 99 of 100 waits within {} (Erlang C{}); {:.0} % are busy on average",
        s.shared,
        ms(need.wait),
        match need.spread {
            1.0 => String::new(),
            x => format!(", spread {x}"),
        },
        100.0 * s.demand / s.shared as f64
    ));
    if need.processes > 1 || need.surge > 0 {
        all.push(format!(
            "with a pool in each of {} processes: {} each, {} in all{}; each pool bears its own bursts",
            need.processes,
            s.each,
            s.separate,
            match need.surge {
                0 => String::new(),
                n => format!(" with {n} more while rolling out"),
            }
        ));
    }
    if let (Some(usable), Some(max)) = (s.usable, need.max_connections) {
        all.push(format!(
            "the server has {usable}: {max} − {SUPERUSERS} for superusers − {} others − {HEADROOM} left free",
            need.others
        ));
    }
    all
}

fn warnings(need: &Need, s: &Sizing) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(usable) = s.usable {
        if s.shared > usable {
            all.push(format!(
                "the demand does not fit: {} are needed, {usable} can be had; shorten the time that connections are held, or raise max_connections on a server that can bear it",
                s.shared
            ));
        } else if s.separate > usable {
            all.push(format!(
                "pools in the processes do not fit ({} of {usable}); one pooler for all of them does ({})",
                s.separate, s.shared
            ));
        }
    }
    if let Some(cores) = need.cores.filter(|c| s.shared > c.saturating_mul(PER_CORE)) {
        all.push(format!(
            "{} connections on {cores} cores: more than {PER_CORE} per core rarely bring more throughput; measure before you serve with it",
            s.shared
        ));
    }
    if s.shared >= SIZE_MAX {
        all.push("no size within reason keeps that wait".to_owned());
    }
    all
}

fn ms(time: Duration) -> String {
    // Stated times are shown as written, measured ones to a hundredth.
    let ms = (time.as_secs_f64() * 100_000.0).round() / 100.0;
    let mut text = String::new();
    let _ = match ms >= 1000.0 {
        true => write!(text, "{} s", ms / 1000.0),
        false => write!(text, "{ms} ms"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need() -> Need {
        Need {
            rate: 400.0,
            hold: Duration::from_millis(20),
            spread: 1.0,
            wait: Duration::from_millis(5),
            processes: 1,
            surge: 0,
            growth: 1.0,
            max_connections: None,
            others: 0,
            cores: None,
        }
    }

    #[test]
    fn erlangs_formula_gives_its_known_values() {
        assert!((erlang_c(2.0, 1.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!((erlang_c(10.0, 8.0) - 0.4092).abs() < 1e-3);
    }

    #[test]
    fn the_smallest_size_that_keeps_the_wait() {
        let s = size(&need());
        assert!((s.demand - 8.0).abs() < 1e-9);
        assert!((13..=15).contains(&s.shared), "{}", s.shared);
        let one_less = late(s.shared - 1, 8.0, 0.02, &need());
        assert!(one_less > 0.01 && late(s.shared, 8.0, 0.02, &need()) <= 0.01);
    }

    #[test]
    fn separate_pools_and_bursts_need_more() {
        let apart = size(&Need {
            processes: 8,
            surge: 2,
            ..need()
        });
        assert_eq!(apart.separate, apart.each * 10);
        assert!(apart.separate > apart.shared * 2, "{apart:?}");
        let bursts = size(&Need {
            spread: 4.0,
            ..need()
        });
        assert!(bursts.shared > size(&need()).shared);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let s = size(&Need {
            max_connections: Some(20),
            processes: 8,
            ..need()
        });
        assert_eq!(s.usable, Some(12));
        assert!(s.warnings[0].contains("does not fit"), "{:?}", s.warnings);
    }

    #[test]
    fn nonsense_ends() {
        for (rate, hold) in [(0.0, 1), (1e12, 3_600_000), (f64::NAN, 5)] {
            let s = size(&Need {
                rate,
                hold: Duration::from_millis(hold),
                ..need()
            });
            assert!(s.shared >= 1);
        }
    }
}
