//! What a rehearsal does, as a person writes it: who sends what, how often, for
//! how long, and what must hold.
//!
//! ```toml
//! seed = 7
//! thresholds = ["p(99) < 50ms", "errors < 0.1%", "pay: p(95) < 20ms"]
//!
//! [load]
//! connections = 50
//! timeout = "5s"
//! phases = [
//!   { rate = "100/s", for = "30s" },
//!   { from = "100/s", to = "400/s", for = "1min" },
//! ]
//!
//! [[class]]
//! name = "browse"
//! weight = 9
//! sql = "select 1"
//!
//! [[class]]
//! name = "pay"
//! script = "pay.sql"
//! ```
//!
//! In place of `phases`, captured traffic can be sent again. Its classes then are
//! those of the shape, each played by a stand-in, which holds a
//! connection for as long as was captured, unless a `[[class]]` of the same name has a
//! script for it:
//!
//! ```toml
//! [load]
//! shape = "traffic.shape"
//! scale = 1.5
//! for = "10min"
//! ```

mod captured;
mod given;
mod sending;

use crate::expression::{Value, Variables};
use crate::replay::Replay;
use crate::schedule::{Arrivals, Phase, RATE_MAX, Schedule};
use crate::script::Script;
use crate::text::{head, with_unit};
use crate::threshold::Threshold;
use events::shape::Shape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use given::Given;
pub use sending::{Connect, Protocol};

/// Largest file, bytes.
pub const FILE_MAX: usize = 1 << 20;
/// Most connections of one generator: beyond that its own threads are what is measured.
const CONNECTIONS_MAX: u32 = 10_000;
/// Most classes of requests.
const CLASSES_MAX: usize = 100;
/// Longest run.
const LASTS_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A request fails after this, where nothing else is written.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause before a request is tried again, where nothing else is written.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Most retries of one request.
const RETRIES_MAX: u32 = 100;
/// Most requests of a run: each costs the generator some bytes.
const REQUESTS_MAX: f64 = 1e9;

/// A scenario that can run as it is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// Decides when requests come, which they are, and what chance draws in them.
    pub seed: u64,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    /// Rates, one after the other; none where captured traffic is sent again.
    pub phases: Vec<Phase>,
    /// The captured traffic that is sent again.
    pub captured: Option<Captured>,
    /// How requests come within them.
    pub arrivals: Arrivals,
    /// Most connections at a time.
    pub connections: u32,
    /// When they are opened.
    pub connect: Connect,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// How statements are sent.
    pub protocol: Protocol,
    /// How often a request that was refused, or whose connection broke, is tried again.
    pub retries: u32,
    /// How long after.
    pub retry_after: Duration,
    /// What is sent; at least one.
    pub classes: Vec<Class>,
    /// Variables that every script begins with.
    pub variables: Variables,
}

/// Captured traffic, and how it is sent again.
#[derive(Clone, PartialEq, Debug)]
pub struct Captured {
    /// What was captured.
    pub shape: Shape,
    /// How many times its rate.
    pub scale: f64,
    /// For how long.
    pub lasts: Duration,
}

/// A kind of request.
#[derive(Clone, PartialEq, Debug)]
pub struct Class {
    /// How often it is sent, beside the others; at least 1.
    pub weight: u32,
    /// Its name, and what it does: nothing where it is a stand-in.
    pub script: Script,
    /// It stands in for a class of captured traffic: each request says how long it
    /// holds its connection.
    pub stand_in: bool,
}

/// Why a file is no scenario. All that is wrong, each with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// One line for each mistake, or the several lines of one that points into the text.
    pub lines: Vec<String>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ScenarioError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seed: Option<u64>,
    #[serde(default)]
    thresholds: Vec<String>,
    load: WrittenLoad,
    #[serde(default)]
    class: Vec<WrittenClass>,
    #[serde(default)]
    variables: BTreeMap<String, WrittenValue>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLoad {
    phases: Option<Vec<WrittenPhase>>,
    shape: Option<String>,
    scale: Option<f64>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    arrivals: Option<WrittenArrivals>,
    connections: Option<u32>,
    connect: Option<Connect>,
    timeout: Option<String>,
    protocol: Option<Protocol>,
    retries: Option<u32>,
    retry_after: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenArrivals {
    Poisson,
    Even,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPhase {
    rate: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(rename = "for")]
    lasts: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClass {
    name: String,
    weight: Option<u32>,
    sql: Option<String>,
    script: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenValue {
    Int(i64),
    Double(f64),
}

impl Scenario {
    /// Reads a scenario. `read` gives the text of a script's file, as it is named there.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        text: &str,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Scenario, ScenarioError> {
        Given::default().scenario(Some(text), read)
    }

    /// When requests are due.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(self.phases.clone(), self.arrivals, self.seed)
    }

    /// How long it lasts.
    pub fn lasts(&self) -> Duration {
        match &self.captured {
            Some(captured) => captured.lasts,
            None => self.schedule().lasts(),
        }
    }

    /// How many requests are to be expected in all.
    pub fn expected(&self) -> f64 {
        match self.replay() {
            Some(replay) => replay.expected(),
            None => self.schedule().expected(),
        }
    }

    /// The captured traffic, ready to be sent again.
    pub fn replay(&self) -> Option<Replay> {
        let c = self.captured.as_ref()?;
        Replay::new(&c.shape, c.scale, c.lasts, self.seed).ok()
    }
}

impl Written {
    fn read(text: &str) -> Result<Written, ScenarioError> {
        toml_edit::de::from_str(text).map_err(|error| ScenarioError {
            lines: (error.to_string().trim_end().lines())
                .map(str::to_owned)
                .collect(),
        })
    }

    fn scenario(
        self,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Scenario, ScenarioError> {
        let mut wrong = Vec::new();
        let scenario = self.checked(read, &mut wrong);
        match wrong.is_empty() {
            true => Ok(scenario),
            false => Err(ScenarioError { lines: wrong }),
        }
    }

    fn checked(
        self,
        read: &dyn Fn(&str) -> Result<String, String>,
        wrong: &mut Vec<String>,
    ) -> Scenario {
        let variables = variables(self.variables, wrong);
        let mut known: Vec<&str> = variables.keys().map(String::as_str).collect();
        // Each connection has a number, as in pgbench.
        known.push("client_id");
        let seed = self.seed.unwrap_or(1);
        let captured = captured::captured(&self.load, read, wrong);
        let mut classes = classes(self.class, captured.is_some(), &known, read, wrong);
        if let Some(captured) = &captured {
            classes = captured::classes(captured, seed, classes, wrong);
        }
        let scenario = Scenario {
            seed,
            thresholds: thresholds(&self.thresholds, &classes, wrong),
            phases: phases(self.load.phases.as_deref().unwrap_or_default(), wrong),
            captured,
            arrivals: match self.load.arrivals {
                Some(WrittenArrivals::Even) => Arrivals::Even,
                Some(WrittenArrivals::Poisson) | None => Arrivals::Poisson,
            },
            connections: self.load.connections.unwrap_or(50),
            connect: self.load.connect.unwrap_or_default(),
            timeout: span("timeout", self.load.timeout.as_deref(), TIMEOUT, wrong),
            protocol: self.load.protocol.unwrap_or_default(),
            retries: self.load.retries.unwrap_or(0),
            retry_after: span(
                "retry_after",
                self.load.retry_after.as_deref(),
                RETRY_AFTER,
                wrong,
            ),
            classes,
            variables,
        };
        if scenario.retries > RETRIES_MAX {
            wrong.push(format!("load.retries: at most {RETRIES_MAX}"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&scenario.connections) {
            wrong.push(format!("load.connections: between 1 and {CONNECTIONS_MAX}"));
        }
        let what = match scenario.captured {
            Some(_) => "load.shape",
            None => "load.phases",
        };
        if scenario.lasts() > LASTS_MAX {
            wrong.push(format!("{what}: a run lasts at most a week"));
        }
        let expected = scenario.expected();
        if wrong.is_empty() && !(1.0..=REQUESTS_MAX).contains(&expected) {
            wrong.push(format!(
                "{what}: they come to {:.1} requests; between 1 and {REQUESTS_MAX:.0} can be sent",
                expected.abs()
            ));
        }
        scenario
    }
}

fn variables(written: BTreeMap<String, WrittenValue>, wrong: &mut Vec<String>) -> Variables {
    let mut value = |(name, value)| match value {
        WrittenValue::Int(n) => (name, Value::Int(n)),
        WrittenValue::Double(n) => {
            if !n.is_finite() {
                wrong.push(format!("variables.{name}: {n} is no number to be sent"));
            }
            (name, Value::Double(n))
        }
    };
    written.into_iter().map(&mut value).collect()
}

/// A time of the section `load`.
fn span(name: &str, text: Option<&str>, default: Duration, wrong: &mut Vec<String>) -> Duration {
    match text.map(duration) {
        None => default,
        Some(Ok(span)) => span,
        Some(Err(error)) => {
            wrong.push(format!("load.{name}: {error}"));
            default
        }
    }
}

fn classes(
    written: Vec<WrittenClass>,
    captured: bool,
    known: &[&str],
    read: &dyn Fn(&str) -> Result<String, String>,
    wrong: &mut Vec<String>,
) -> Vec<Class> {
    if written.is_empty() && !captured || written.len() > CLASSES_MAX {
        wrong.push(format!(
            "class: between 1 and {CLASSES_MAX} [[class]] are needed"
        ));
    }
    let mut classes: Vec<Class> = Vec::new();
    for class in written {
        let name = class.name.as_str();
        let sound = (1..=63).contains(&name.len())
            && !name.contains([':', '<', '>'])
            && !name.chars().any(char::is_control);
        if !sound {
            wrong.push(
                "class.name: 1 to 63 bytes, without `:`, `<`, `>` and control characters"
                    .to_owned(),
            );
            continue;
        }
        if classes.iter().any(|c| c.script.name == name) {
            wrong.push(format!("class {name}: there are two of this name"));
        }
        if captured && class.weight.is_some() {
            wrong.push(format!(
                "class {name}: how often it is sent, the shape says; leave `weight` out"
            ));
        }
        let weight = class.weight.unwrap_or(1);
        if weight == 0 {
            wrong.push(format!(
                "class {name}: a weight is at least 1; leave the class out instead"
            ));
        }
        let text = match (&class.sql, &class.script) {
            (Some(sql), None) => Ok(sql.clone()),
            (None, Some(file)) => read(file).map_err(|error| format!("{file}: {error}")),
            _ => Err("name one of `sql` and `script`".to_owned()),
        };
        // In a file the file's name tells more than the class's.
        let place = class.script.as_deref().unwrap_or(name);
        let script =
            text.and_then(|text| Script::parse(place, &text, known).map_err(|e| e.to_string()));
        match script {
            Ok(script) => classes.push(Class {
                weight,
                script: Script {
                    name: name.to_owned(),
                    ..script
                },
                stand_in: false,
            }),
            Err(error) => wrong.push(format!("class {name}: {error}")),
        }
    }
    classes
}

fn thresholds(written: &[String], classes: &[Class], wrong: &mut Vec<String>) -> Vec<Threshold> {
    let mut all = Vec::new();
    for text in written {
        match Threshold::parse(text) {
            Ok(threshold) => {
                let named = threshold.class.as_deref();
                let there = named.is_none_or(|name| classes.iter().any(|c| c.script.name == name));
                if !there {
                    wrong.push(format!(
                        "thresholds: `{text}` names no [[class]] of this scenario"
                    ));
                }
                all.push(threshold);
            }
            Err(error) => wrong.push(format!("thresholds: {error}")),
        }
    }
    all
}

fn phases(written: &[WrittenPhase], wrong: &mut Vec<String>) -> Vec<Phase> {
    let mut all = Vec::new();
    for (at, phase) in written.iter().enumerate() {
        let rates = match (&phase.rate, &phase.from, &phase.to) {
            (Some(hold), None, None) => rate(hold).map(|rate| (rate, rate)),
            (None, Some(from), Some(to)) => rate(from).and_then(|from| Ok((from, rate(to)?))),
            _ => Err("write `rate`, or `from` and `to`".to_owned()),
        };
        match rates.and_then(|rates| Ok((rates, duration(&phase.lasts)?))) {
            Ok(((from, to), lasts)) => all.push(Phase { from, to, lasts }),
            Err(error) => wrong.push(format!("load.phases, the {}. of them: {error}", at + 1)),
        }
    }
    all
}

/// `300`, `300/s`, `90/min`: per second.
fn rate(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let (digits, seconds) = match trimmed.split_once('/') {
        None => (trimmed, 1.0),
        Some((digits, "s")) => (digits, 1.0),
        Some((digits, "min")) => (digits, 60.0),
        Some((digits, "h")) => (digits, 3_600.0),
        Some(_) => {
            return Err(format!(
                "`{}` is no rate; write 300/s, 90/min or 10/h",
                head(text)
            ));
        }
    };
    let number = digits.trim().parse::<f64>().ok().map(|n| n / seconds);
    let number = number.filter(|n| (0.0..=RATE_MAX).contains(n));
    number.ok_or_else(|| {
        format!(
            "`{}` is no rate up to {RATE_MAX:.0}/s; write, for example, 300/s",
            head(text)
        )
    })
}

/// `500ms`, `30s`, `5min`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let units = [("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3_600.0)];
    let found = with_unit(trimmed, &units);
    let seconds = found.and_then(|(digits, each)| Some(digits.parse::<f64>().ok()? * each));
    let seconds = seconds.filter(|s| *s > 0.0 && *s <= LASTS_MAX.as_secs_f64());
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        format!(
            "`{}` is no time up to a week; write, for example, 500ms, 30s, 5min or 2h",
            head(text)
        )
    })
}

#[cfg(test)]
mod tests;
