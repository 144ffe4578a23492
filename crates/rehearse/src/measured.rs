//! What a run measured: times, failures, what each second was like, and whether
//! the generator itself kept its promises.
//!
//! The generator fills these; thresholds, comparison and reports read them. So
//! they cannot disagree.

use crate::threshold::{Measured, Of, Span};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Longest time that is told apart, microseconds: an hour.
const TIME_US_MAX: u64 = 3_600_000_000;
/// Digits that are kept of a time: one part in a thousand.
const DIGITS: u8 = 3;
/// A request is to leave within this after it could: else the generator lagged,
/// and what was measured would be its own slowness.
pub const LAG_US_MAX: u64 = 1_000;
/// Kinds of failures that are told apart in one run; others count as [`Failure::Other`].
const FAILURES_MAX: usize = 64;

/// What a run measured.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it was sent, as a person named it, without secrets.
    pub target: String,
    /// When it began: seconds since 1970, UTC.
    pub began_unix_s: u64,
    /// How long the schedule was.
    pub planned: Duration,
    /// How long it took, until the last answer.
    pub lasted: Duration,
    /// All requests.
    pub all: Tally,
    /// By class, in the order of the scenario.
    pub classes: Vec<ClassTally>,
    /// Second by second, by the moment at which requests were due.
    pub seconds: Vec<Second>,
    /// How the generator itself did.
    pub generator: Generator,
    /// What became of its connections.
    pub connections: Connections,
    /// How it ended.
    pub ended: Ended,
}

/// One class of requests.
#[derive(Clone, Debug)]
pub struct ClassTally {
    /// Its name.
    pub name: String,
    /// What was measured.
    pub tally: Tally,
}

/// Requests and their times. All times are in microseconds.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests that were due.
    pub due: u64,
    /// Of these, answered without an error.
    pub answered: u64,
    /// Of these, failed, and why.
    pub failed: BTreeMap<Failure, u64>,
    /// From the moment at which a request was due to its last byte; of those answered.
    pub latency: Histogram<u64>,
    /// Of that, until a connection of the generator was free for it; of those answered.
    pub wait: Histogram<u64>,
    /// Of that, from the first byte sent to the last received: what a closed loop calls latency.
    pub service: Histogram<u64>,
    /// The schedule's length, for rates.
    pub over: Duration,
}

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Failure {
    /// The server or the pooler answered with an error: its SQLSTATE.
    Server(String),
    /// It was sent, and no answer came in time.
    NoAnswer,
    /// No connection was free for it in time.
    NeverSent,
    /// Its connection ended before the answer was whole.
    Lost,
    /// Its script could not be carried out: why.
    Script(String),
    /// The run was ended before it was answered.
    Unfinished,
    /// Another, beyond the bound of those that are told apart.
    Other,
}

/// One second of a run.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Second {
    /// Requests that were due in it.
    pub due: u64,
    /// Of these, answered, whenever that was.
    pub answered: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Median latency of these, microseconds; 0 where none was answered.
    pub latency_p50_us: u64,
    /// 99th percentile.
    pub latency_p99_us: u64,
    /// Longest.
    pub latency_max_us: u64,
    /// 99th percentile of the wait for a connection.
    pub wait_p99_us: u64,
    /// Answers that came in this second, whenever their requests were due.
    pub goodput: u64,
    /// Most connections with a request on them.
    pub busy_max: u32,
    /// Most requests that waited for a connection.
    pub queued_max: u32,
}

/// How the generator itself did.
#[derive(Clone, Debug)]
pub struct Generator {
    /// From the moment at which a request could be sent (it was due, and a
    /// connection was free) to the moment at which it was, microseconds; and how
    /// late the generator's own clock ticked.
    pub lag: Histogram<u64>,
    /// Share of the time in which it wanted a CPU and had none; `None`: not known here.
    pub starved: Option<f64>,
    /// Share of one CPU that it used; `None`: not known here.
    pub cpu: Option<f64>,
    /// Holds that were played in place of captured requests; `None`: none.
    pub stand_ins: Option<StandIns>,
}

/// Requests that only held a connection, as long as captured ones did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StandIns {
    /// How many.
    pub played: u64,
    /// Of these, to be held for less than the shortest time that one can be.
    pub too_short: u64,
    /// That time, microseconds: of a statement that does nothing.
    pub shortest_us: u64,
}

impl StandIns {
    /// Share of those that came out too long.
    pub fn too_short_share(&self) -> f64 {
        self.too_short as f64 / self.played.max(1) as f64
    }
}

/// What became of the generator's connections.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Connections {
    /// Most at one moment.
    pub most: u32,
    /// Logins that succeeded.
    pub opened: u64,
    /// Mean time of a login, microseconds; 0 where there was none.
    pub open_mean_us: u64,
    /// Connections that the other side ended, or that broke.
    pub lost: u64,
    /// Logins that failed.
    pub refused: u64,
    /// Why the last one failed, without secrets.
    pub refusal: Option<String>,
    /// From when to when logins failed, from the start of the run.
    pub refused_between: Option<(Duration, Duration)>,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// As planned.
    Whole,
    /// A person ended it.
    Interrupted,
    /// No connection could be had for too long: the last reason.
    NoConnection(String),
    /// A threshold that ends the run was broken for good: its text.
    Aborted(String),
}

/// Why the figures of a run are worth nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// The generator sent later than it should have.
    Lagged {
        /// 99th percentile of its lag.
        p99_us: u64,
    },
    /// Nothing was due or sent.
    Nothing,
}

impl Run {
    /// Why the figures are worth nothing; `None`: they hold.
    pub fn invalid(&self) -> Option<Invalid> {
        let p99_us = self.generator.lag_p99_us();
        if self.all.due == 0 {
            return Some(Invalid::Nothing);
        }
        (p99_us > LAG_US_MAX).then_some(Invalid::Lagged { p99_us })
    }

    /// Answers per second while the schedule ran. Those that came after it are left
    /// out: they tell of a queue that had grown, not of what is carried.
    pub fn goodput(&self) -> f64 {
        let planned = (self.planned.as_secs() as usize).min(self.seconds.len());
        let answers: u64 = self.seconds[..planned].iter().map(|s| s.goodput).sum();
        match planned {
            0 => self.all.answered as f64 / self.lasted.as_secs_f64().max(1e-9),
            _ => answers as f64 / planned as f64,
        }
    }

    /// Requests that were due per second, while the schedule ran.
    pub fn offered(&self) -> f64 {
        let ran = self.planned.min(self.lasted).as_secs_f64();
        self.all.due as f64 / ran.max(1e-9)
    }

    /// The tally of a class, or of all.
    pub fn tally(&self, class: Option<&str>) -> Option<&Tally> {
        match class {
            None => Some(&self.all),
            Some(name) => {
                let found = self.classes.iter().find(|class| class.name == name);
                found.map(|class| &class.tally)
            }
        }
    }
}

impl Generator {
    /// 99th percentile of its lag, microseconds.
    pub fn lag_p99_us(&self) -> u64 {
        self.lag.value_at_quantile(0.99)
    }
}

impl Tally {
    /// Nothing yet, over this time.
    pub fn new(over: Duration) -> Tally {
        Tally {
            due: 0,
            answered: 0,
            failed: BTreeMap::new(),
            latency: times(),
            wait: times(),
            service: times(),
            over,
        }
    }

    /// One more that failed.
    pub fn fail(&mut self, why: &Failure) {
        if let Some(count) = self.failed.get_mut(why) {
            *count += 1;
            return;
        }
        let kind = match self.failed.len() < FAILURES_MAX {
            true => why.clone(),
            false => Failure::Other,
        };
        *self.failed.entry(kind).or_default() += 1;
    }

    /// One more that was answered.
    pub fn answer(&mut self, latency_us: u64, wait_us: u64, service_us: u64) {
        self.answered += 1;
        self.latency.saturating_record(latency_us);
        self.wait.saturating_record(wait_us);
        self.service.saturating_record(service_us);
    }

    /// A percentile of the latency, 0 to 100, microseconds; `None`: nothing was answered.
    pub fn latency_us(&self, percent: f64) -> Option<u64> {
        let some = !self.latency.is_empty();
        some.then(|| self.latency.value_at_quantile(percent / 100.0))
    }
}

impl Measured for Tally {
    fn time_us(&self, span: Span, of: Of) -> Option<f64> {
        let times = match span {
            Span::Latency => &self.latency,
            Span::Wait => &self.wait,
        };
        if times.is_empty() {
            return None;
        }
        Some(match of {
            Of::Percentile(share) => times.value_at_quantile(share / 100.0) as f64,
            Of::Mean => times.mean(),
            Of::Least => times.min() as f64,
            Of::Most => times.max() as f64,
        })
    }

    fn requests(&self) -> u64 {
        self.due
    }

    fn errors(&self) -> u64 {
        self.failed.values().sum()
    }

    fn rate(&self) -> f64 {
        self.answered as f64 / self.over.as_secs_f64().max(1e-9)
    }
}

/// An empty histogram of times, microseconds.
pub fn times() -> Histogram<u64> {
    // These bounds are constants for which the library has a histogram.
    #[expect(clippy::expect_used, reason = "constant bounds, which a test builds")]
    Histogram::new_with_bounds(1, TIME_US_MAX, DIGITS).expect("constant bounds")
}

impl Failure {
    /// An application would try again: it was refused, or the connection broke.
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Failure::Lost => true,
            Failure::Server(code) => ["08", "53", "57P", "40001", "40P01"]
                .iter()
                .any(|class| code.starts_with(class)),
            _ => false,
        }
    }

    /// No load and no other attempt changes it: the script is wrong, or the database is
    /// not the one that it was written for.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Failure::Script(_) => true,
            Failure::Server(code) => ["0A", "25001", "28", "3D", "3F", "42"]
                .iter()
                .any(|class| code.starts_with(class)),
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Server(code) => match condition(code) {
                Some(name) => write!(f, "{code} {name}"),
                None => f.write_str(code),
            },
            Failure::NoAnswer => f.write_str("no answer in time"),
            Failure::NeverSent => f.write_str("no connection was free in time"),
            Failure::Lost => f.write_str("connection lost before the answer"),
            Failure::Script(why) => write!(f, "script: {why}"),
            Failure::Unfinished => f.write_str("the run ended before the answer"),
            Failure::Other => f.write_str("others"),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Lagged { p99_us } => write!(
                f,
                "the generator lagged: one request in a hundred left {:.1} ms or more late (limit {:.0} ms), \
                 so these times are its own and not the database's",
                *p99_us as f64 / 1e3,
                LAG_US_MAX as f64 / 1e3
            ),
            Invalid::Nothing => f.write_str("no request was due, so nothing was measured"),
        }
    }
}

/// Names of the conditions that load brings about (PostgreSQL's appendix A).
fn condition(code: &str) -> Option<&'static str> {
    Some(match code {
        "08000" => "connection_exception",
        "08006" => "connection_failure",
        "08P01" => "protocol_violation",
        "22012" => "division_by_zero",
        "22P02" => "invalid_text_representation",
        "23502" => "not_null_violation",
        "23503" => "foreign_key_violation",
        "23505" => "unique_violation",
        "25006" => "read_only_sql_transaction",
        "25P02" => "in_failed_sql_transaction",
        "25P03" => "idle_in_transaction_session_timeout",
        "28000" => "invalid_authorization_specification",
        "28P01" => "invalid_password",
        "3D000" => "invalid_catalog_name",
        "40001" => "serialization_failure",
        "40P01" => "deadlock_detected",
        "42501" => "insufficient_privilege",
        "42601" => "syntax_error",
        "42703" => "undefined_column",
        "42883" => "undefined_function",
        "42P01" => "undefined_table",
        "53100" => "disk_full",
        "53200" => "out_of_memory",
        "53300" => "too_many_connections",
        "55P03" => "lock_not_available",
        "57014" => "query_canceled",
        "57P01" => "admin_shutdown",
        "57P02" => "crash_shutdown",
        "57P03" => "cannot_connect_now",
        "57P05" => "idle_session_timeout",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_answers_what_thresholds_ask() {
        let mut tally = Tally::new(Duration::from_secs(10));
        for ms in 1..=100 {
            tally.due += 1;
            tally.answer(ms * 1_000, 0, ms * 1_000);
        }
        tally.due += 1;
        tally.fail(&Failure::Server("53300".to_owned()));
        let p99 = tally.time_us(Span::Latency, Of::Percentile(99.0)).unwrap();
        assert!((p99 - 99_000.0).abs() < 99.0, "{p99}");
        assert_eq!(tally.time_us(Span::Wait, Of::Most), Some(0.0));
        assert_eq!((tally.requests(), tally.errors()), (101, 1));
        assert_eq!(tally.rate(), 10.0);
    }

    #[test]
    fn nothing_answered_has_no_times() {
        let tally = Tally::new(Duration::from_secs(1));
        assert_eq!(tally.time_us(Span::Latency, Of::Mean), None);
        assert_eq!(tally.latency_us(50.0), None);
    }

    #[test]
    fn kinds_of_failures_are_bounded() {
        let mut tally = Tally::new(Duration::from_secs(1));
        for n in 0..1_000 {
            tally.fail(&Failure::Server(format!("{n:05}")));
        }
        assert_eq!(tally.failed.len(), FAILURES_MAX + 1);
        assert_eq!(tally.errors(), 1_000);
    }

    #[test]
    fn what_is_tried_again_is_never_hopeless() {
        for (code, again, hopeless) in [
            ("53300", true, false),
            ("57P01", true, false),
            ("08006", true, false),
            ("40001", true, false),
            ("42P01", false, true),
            ("28P01", false, true),
            ("22012", false, false),
            ("57014", false, false),
        ] {
            let why = Failure::Server(code.to_owned());
            assert_eq!(
                (why.is_worth_a_retry(), why.is_hopeless()),
                (again, hopeless),
                "{code}"
            );
        }
        assert!(Failure::Lost.is_worth_a_retry() && !Failure::NoAnswer.is_worth_a_retry());
        assert!(Failure::Script(String::new()).is_hopeless());
    }

    #[test]
    fn a_known_code_has_its_name_beside_it() {
        let shown = Failure::Server("53300".to_owned()).to_string();
        assert_eq!(shown, "53300 too_many_connections");
        assert_eq!(Failure::Server("XX999".to_owned()).to_string(), "XX999");
    }
}
