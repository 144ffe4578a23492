//! Rates and times of pools, from Plimsoll's own metrics: one scrape since the
//! start, or the difference of two.
//!
//! ```text
//!   text ─► Scrape ──► between(a, b), since_start(a) ─► Traffic of each pool ─► size
//! ```
//!
//! A recorded shape of traffic may become [`Traffic`] in the same way.

use std::collections::BTreeMap;
use std::time::Duration;

/// Longer texts are no metrics of one pooler.
pub const SCRAPE_BYTES_MAX: usize = 32 << 20;
/// Pools of one scrape; the encoder folds far fewer.
const POOLS_MAX: usize = 10_000;
/// Buckets of one histogram.
const BUCKETS_MAX: usize = 200;

/// A histogram: how many up to each bound, in all, and their sum.
#[derive(Clone, PartialEq, Debug, Default)]
struct Histogram {
    /// Bound in seconds and the count up to it, rising.
    buckets: Vec<(f64, f64)>,
    count: f64,
    sum: f64,
}

/// One pool's figures.
#[derive(Clone, PartialEq, Debug, Default)]
struct Figures {
    hold: Histogram,
    wait: Histogram,
    size: f64,
    waiting: f64,
    upstream: String,
}

/// What one reading of the metrics says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scrape {
    /// On the pooler's own clock, which begins with it.
    at: f64,
    pools: BTreeMap<(String, String), Figures>,
    /// By server: its `max_connections`, and what others hold.
    servers: BTreeMap<String, (f64, f64)>,
}

/// What one pool's clients did.
#[derive(Clone, PartialEq, Debug)]
pub struct Traffic {
    /// Database and user, as the pooler knows them.
    pub database: String,
    /// See above.
    pub user: String,
    /// The server behind it; empty: not known.
    pub upstream: String,
    /// Over which time.
    pub span: Duration,
    /// Connections that were borrowed and returned.
    pub borrows: u64,
    /// Of them in a second.
    pub rate: f64,
    /// How long each was held, on average.
    pub hold: Duration,
    /// Variance of the hold times over their squared mean, from the buckets.
    pub hold_spread: f64,
    /// 99 of 100 waited no longer; `None`: longer than the last bucket.
    pub wait_p99: Option<Duration>,
    /// The pool's size when it was read.
    pub size: u64,
    /// Clients waited when it was read.
    pub waiting: u64,
    /// The server's `max_connections`, and what others hold of it.
    pub server: Option<(u64, u64)>,
}

/// Why metrics say nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// They are not Plimsoll's.
    NotOurs,
    /// No time passed between them.
    NoTime,
    /// The pooler was started anew in between.
    Restarted,
    /// Nothing was borrowed and returned.
    NoTraffic,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Silence::NotOurs => "these are not Plimsoll's metrics",
            Silence::NoTime => "no time passed between the two readings",
            Silence::Restarted => "the pooler was started anew between the two readings",
            Silence::NoTraffic => "no connection was borrowed and returned in that time",
        })
    }
}

impl Scrape {
    /// Reads the text format of OpenMetrics or Prometheus.
    ///
    /// # Errors
    /// The text is none of Plimsoll's.
    pub fn read(text: &str) -> Result<Scrape, Silence> {
        let mut scrape = Scrape::default();
        let mut ours = false;
        for line in text.lines().filter(|l| l.starts_with("plimsoll_")) {
            let Some((name, labels, value)) = sample(line) else {
                continue;
            };
            ours |= name == "plimsoll_snapshot_monotonic_seconds";
            scrape.take(name, &labels, value);
        }
        match ours {
            true => Ok(scrape),
            false => Err(Silence::NotOurs),
        }
    }

    fn take(&mut self, name: &str, labels: &[(String, String)], value: f64) {
        let label = |key: &str| {
            let found = labels.iter().find(|(k, _)| k == key);
            found.map_or(String::new(), |(_, v)| v.clone())
        };
        match name {
            "plimsoll_snapshot_monotonic_seconds" => self.at = value,
            "plimsoll_budget_max_connections" => {
                self.servers.entry(label("upstream")).or_default().0 = value;
            }
            "plimsoll_budget_others_connections" => {
                self.servers.entry(label("upstream")).or_default().1 = value;
            }
            _ => {}
        }
        let Some(figure) = name.strip_prefix("plimsoll_pool_") else {
            return;
        };
        let key = (label("database"), label("user"));
        if self.pools.len() >= POOLS_MAX && !self.pools.contains_key(&key) {
            return;
        }
        let pool = self.pools.entry(key).or_default();
        if let Some(part) = figure.strip_prefix("hold_seconds_") {
            pool.hold.take(part, &label("le"), value);
        } else if let Some(part) = figure.strip_prefix("wait_seconds_") {
            pool.wait.take(part, &label("le"), value);
        } else if figure == "size" {
            pool.size = value;
        } else if figure == "clients" && label("state").starts_with("waiting") {
            pool.waiting += value;
        } else if figure == "info" {
            pool.upstream = label("upstream");
        }
    }
}

impl Histogram {
    fn take(&mut self, part: &str, bound: &str, value: f64) {
        match part {
            "count" => self.count = value,
            "sum" => self.sum = value,
            "bucket" if self.buckets.len() < BUCKETS_MAX => {
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                self.buckets.push((bound, value));
            }
            _ => {}
        }
    }

    /// What came after `earlier`; `None`: the counters went back.
    fn since(&self, earlier: &Histogram) -> Option<Histogram> {
        let before = |bound: f64| {
            let mut all = earlier.buckets.iter();
            all.find(|(b, _)| *b == bound).map_or(0.0, |(_, n)| *n)
        };
        let buckets = self.buckets.iter();
        let new = Histogram {
            buckets: buckets.map(|(b, n)| (*b, n - before(*b))).collect(),
            count: self.count - earlier.count,
            sum: self.sum - earlier.sum,
        };
        (new.count >= 0.0 && new.sum >= -1e-6).then_some(new)
    }

    /// The bound below which a share of them lies.
    fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = self.count * share;
        let found = self.buckets.iter().find(|(_, n)| *n >= wanted);
        found.map(|(bound, _)| *bound).filter(|b| b.is_finite())
    }

    /// Variance over squared mean, each bucket at its middle.
    fn spread(&self) -> f64 {
        let mean = self.sum / self.count;
        let (mut low, mut below, mut squares) = (0.0, 0.0, 0.0);
        for (bound, n) in &self.buckets {
            let middle = match bound.is_finite() {
                true => (low + bound) / 2.0,
                // Nobody knows how far beyond the last bound.
                false => low * 1.5,
            };
            squares += (n - below).max(0.0) * middle * middle;
            (low, below) = (if bound.is_finite() { *bound } else { low }, *n);
        }
        let spread = squares / self.count / (mean * mean) - 1.0;
        if spread.is_finite() {
            spread.clamp(0.0, 100.0)
        } else {
            1.0
        }
    }
}

/// What happened between two readings.
///
/// # Errors
/// They say nothing together.
pub fn between(first: &Scrape, second: &Scrape) -> Result<Vec<Traffic>, Silence> {
    let span = second.at - first.at;
    if span < 0.0 {
        return Err(Silence::Restarted);
    }
    if span < 0.001 {
        return Err(Silence::NoTime);
    }
    let nothing = Figures::default();
    let mut all = Vec::new();
    for (key, now) in &second.pools {
        let before = first.pools.get(key).unwrap_or(&nothing);
        let hold = now.hold.since(&before.hold).ok_or(Silence::Restarted)?;
        let wait = now.wait.since(&before.wait).ok_or(Silence::Restarted)?;
        all.extend(traffic(key, now, &hold, &wait, span, second));
    }
    match all.is_empty() {
        true => Err(Silence::NoTraffic),
        false => Ok(all),
    }
}

/// What happened since the pooler started: an average over quiet hours too.
///
/// # Errors
/// Nothing happened.
pub fn since_start(scrape: &Scrape) -> Result<Vec<Traffic>, Silence> {
    between(&Scrape::default(), scrape)
}

fn traffic(
    (database, user): &(String, String),
    now: &Figures,
    hold: &Histogram,
    wait: &Histogram,
    span: f64,
    scrape: &Scrape,
) -> Option<Traffic> {
    if hold.count < 1.0 {
        return None;
    }
    let mean = Duration::try_from_secs_f64((hold.sum / hold.count).max(1e-6)).ok()?;
    let span_time = Duration::try_from_secs_f64(span).ok()?;
    let server = scrape.servers.get(&now.upstream);
    let p99 = wait.quantile(0.99);
    Some(Traffic {
        database: database.clone(),
        user: user.clone(),
        upstream: now.upstream.clone(),
        span: span_time,
        borrows: hold.count as u64,
        rate: hold.count / span,
        hold: mean,
        hold_spread: hold.spread(),
        wait_p99: p99.and_then(|s| Duration::try_from_secs_f64(s).ok()),
        size: now.size as u64,
        waiting: now.waiting as u64,
        server: server
            .filter(|(max, _)| *max > 0.0)
            .map(|(max, others)| (*max as u64, *others as u64)),
    })
}

type Labels = Vec<(String, String)>;

/// `name{label="value",…} number`, with or without labels.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let name = line.get(..end)?;
    let mut rest = line.get(end..)?;
    let mut labels = Vec::new();
    if let Some(body) = rest.strip_prefix('{') {
        rest = body;
        loop {
            rest = rest.trim_start_matches(',');
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (key, after) = rest.split_once("=\"")?;
            let (value, length) = unescaped(after)?;
            labels.push((key.to_owned(), value));
            rest = after.get(length..)?;
        }
    }
    let value = rest.split_whitespace().next()?.parse::<f64>().ok()?;
    value.is_finite().then_some((name, labels, value))
}

/// Up to the closing quote, and how many bytes that took.
fn unescaped(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, at + 1)),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at: f64, count: u32, sum: f64) -> String {
        format!(
            "# TYPE x gauge\nplimsoll_snapshot_monotonic_seconds {at}\n\
             plimsoll_budget_max_connections{{upstream=\"db:5432\"}} 100\n\
             plimsoll_budget_others_connections{{upstream=\"db:5432\"}} 7\n\
             plimsoll_pool_info{{database=\"we\\\"ird\\\\,\",user=\"u\",mode=\"transaction\",upstream=\"db:5432\"}} 1\n\
             plimsoll_pool_size{{database=\"we\\\"ird\\\\,\",user=\"u\"}} 20\n\
             plimsoll_pool_clients{{database=\"we\\\"ird\\\\,\",user=\"u\",state=\"waiting\"}} 3\n\
             plimsoll_pool_hold_seconds_bucket{{database=\"we\\\"ird\\\\,\",user=\"u\",le=\"0.01\"}} {half}\n\
             plimsoll_pool_hold_seconds_bucket{{database=\"we\\\"ird\\\\,\",user=\"u\",le=\"0.05\"}} {count}\n\
             plimsoll_pool_hold_seconds_bucket{{database=\"we\\\"ird\\\\,\",user=\"u\",le=\"+Inf\"}} {count}\n\
             plimsoll_pool_hold_seconds_count{{database=\"we\\\"ird\\\\,\",user=\"u\"}} {count}\n\
             plimsoll_pool_hold_seconds_sum{{database=\"we\\\"ird\\\\,\",user=\"u\"}} {sum}\n\
             plimsoll_pool_wait_seconds_bucket{{database=\"we\\\"ird\\\\,\",user=\"u\",le=\"0.005\"}} {count}\n\
             plimsoll_pool_wait_seconds_count{{database=\"we\\\"ird\\\\,\",user=\"u\"}} {count}\n",
            half = count / 2
        )
    }

    #[test]
    fn two_readings_give_rates_and_times() {
        let first = Scrape::read(&text(10.0, 1000, 20.0)).unwrap();
        let second = Scrape::read(&text(20.0, 5000, 100.0)).unwrap();
        let all = between(&first, &second).unwrap();
        let one = &all[0];
        assert_eq!(
            (one.database.as_str(), one.user.as_str()),
            ("we\"ird\\,", "u")
        );
        assert_eq!(one.borrows, 4000);
        assert!((one.rate - 400.0).abs() < 1e-6);
        assert!((one.hold.as_secs_f64() - 0.02).abs() < 1e-6);
        assert_eq!(one.wait_p99, Some(Duration::from_millis(5)));
        assert_eq!((one.size, one.waiting, one.server), (20, 3, Some((100, 7))));
        assert!(
            one.hold_spread > 0.0 && one.hold_spread < 2.0,
            "{}",
            one.hold_spread
        );
        let alone = since_start(&second).unwrap();
        assert!((alone[0].rate - 250.0).abs() < 1e-6);
    }

    #[test]
    fn what_says_nothing_says_why() {
        let read = |at, count, sum| Scrape::read(&text(at, count, sum)).unwrap();
        let (a, b) = (read(10.0, 1000, 20.0), read(20.0, 1000, 20.0));
        assert_eq!(between(&a, &b), Err(Silence::NoTraffic));
        assert_eq!(between(&a, &a), Err(Silence::NoTime));
        assert_eq!(between(&b, &a), Err(Silence::Restarted));
        assert_eq!(between(&a, &read(30.0, 10, 1.0)), Err(Silence::Restarted));
        for text in [
            "",
            "up 1\n",
            "<html>",
            "plimsoll_pool_size{ 1\n",
            "\u{0}plimsoll_",
        ] {
            assert_eq!(Scrape::read(text), Err(Silence::NotOurs), "{text:?}");
        }
    }

    #[test]
    fn lines_cut_off_anywhere_are_no_panic() {
        let text = text(10.0, 1000, 20.0);
        for end in (0..text.len()).filter(|n| text.is_char_boundary(*n)) {
            let _ = Scrape::read(&text[..end]).and_then(|s| since_start(&s));
        }
        let odd = "plimsoll_snapshot_monotonic_seconds NaN\nplimsoll_snapshot_monotonic_seconds 1e999\nplimsoll_pool_size{database=\"\\";
        let _ = Scrape::read(odd);
    }
}
