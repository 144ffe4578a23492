//! A scenario as a person writes it.

mod steps;

use super::scenario::{
    Database, Fault, Gate, LASTS_MAX, LIST_MAX, Load, Person, RATE_MAX, RETRIES_MAX, Request,
    Scenario, ScenarioError, Service, Steady, TIMEOUT_MAX, USERS_MAX,
};
use diagnose::Cause;
use rehearse::schedule::Phase;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;
use steps::{WrittenStep, steps};

/// Where nothing else is written.
const CALM: Duration = Duration::from_secs(15);
const LASTS: Duration = Duration::from_secs(90);
const TIMEOUT: Duration = Duration::from_secs(5);
const SERVED: f64 = 0.99;
const P99: Duration = Duration::from_secs(1);
const MAX_CONNECTIONS: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    title: String,
    report: Option<String>,
    fault: Fault,
    #[serde(default)]
    cause: Vec<CauseWord>,
    reported: Option<String>,
    database: WrittenDatabase,
    #[serde(default)]
    pooler: BTreeMap<String, String>,
    #[serde(default)]
    service: Vec<WrittenService>,
    load: WrittenLoad,
    #[serde(default)]
    steady: WrittenSteady,
    #[serde(default)]
    method: Vec<WrittenStep>,
    #[serde(default)]
    person: WrittenPerson,
    #[serde(default)]
    run: WrittenRun,
    #[serde(default)]
    gate: Vec<WrittenGate>,
}

/// A cause by its label.
struct CauseWord(Cause);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDatabase {
    max_connections: Option<u32>,
    cores: Option<u32>,
    #[serde(default)]
    settings: Vec<String>,
    schema: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenService {
    name: String,
    files: String,
    command: Vec<String>,
    ready: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLoad {
    users: u32,
    rate: f64,
    timeout: Option<Span>,
    #[serde(default)]
    retries: u32,
    seed: Option<u64>,
    #[serde(default)]
    phase: Vec<WrittenPhase>,
    #[serde(default)]
    request: Vec<WrittenRequest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPhase {
    at: Span,
    times: f64,
    over: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequest {
    name: String,
    weight: Option<u32>,
    method: Option<String>,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSteady {
    served: Option<f64>,
    p99: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPerson {
    minutes_per_second: Option<f64>,
    cause_min: Option<f64>,
    #[serde(default)]
    suspected: Vec<String>,
    #[serde(default)]
    repair: Vec<WrittenStep>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRun {
    calm: Option<Span>,
    lasts: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGate {
    name: String,
    command: Vec<String>,
    mended: Vec<String>,
    r#in: Option<String>,
    mended_in: Option<String>,
}

/// A time with its unit: "250ms", "20s", "2min".
#[derive(Clone, Copy)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        let text = String::deserialize(from)?;
        let span = span(&text);
        span.map(Span).ok_or_else(|| {
            serde::de::Error::custom(
                "a time is written with its unit: \"250ms\", \"20s\", \"2min\"",
            )
        })
    }
}

impl<'de> Deserialize<'de> for CauseWord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<CauseWord, D::Error> {
        let text = String::deserialize(from)?;
        let cause = Cause::of_label(&text);
        cause.map(CauseWord).ok_or_else(|| {
            let all: Vec<&str> = Cause::ALL.iter().map(|cause| cause.label()).collect();
            serde::de::Error::custom(format!(
                "there is no such cause; there are {}",
                all.join(", ")
            ))
        })
    }
}

/// A time of at most [`LASTS_MAX`].
fn span(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("min", 60.0), ("s", 1.0)];
    let (digits, each) = units.iter().find_map(|(unit, each)| {
        let digits = text.strip_suffix(unit)?.trim_end();
        digits
            .ends_with(|c: char| c.is_ascii_digit())
            .then_some((digits, each))
    })?;
    let seconds = digits.parse::<f64>().ok()? * each;
    let sound = (0.0..=LASTS_MAX.as_secs_f64()).contains(&seconds);
    sound.then(|| Duration::from_secs_f64(seconds))
}

impl Written {
    pub(super) fn read(text: &str) -> Result<Written, ScenarioError> {
        toml_edit::de::from_str(text).map_err(|error| ScenarioError {
            lines: (error.to_string().trim_end().lines())
                .map(str::to_owned)
                .collect(),
        })
    }

    pub(super) fn checked(self) -> Result<Scenario, ScenarioError> {
        let mut wrong = Wrong::default();
        let calm = self.run.calm.map_or(CALM, |span| span.0);
        let lasts = self.run.lasts.map_or(LASTS, |span| span.0);
        wrong.unless(calm < lasts, "run.calm: the calm ends before the run does");
        let minutes = self.person.minutes_per_second.unwrap_or(1.0);
        let sound = minutes.is_finite() && minutes > 0.0;
        wrong.unless(sound, "person.minutes_per_second: a number above 0");
        let names: Vec<String> = self.service.iter().map(|s| s.name.clone()).collect();
        wrong.unless(!names.is_empty(), "name at least one [[service]]");
        let mut steps = |written: Vec<WrittenStep>, place, per_s| {
            steps(written, place, per_s, &names, &mut wrong)
        };
        let method = steps(self.method, "method", None);
        let repair = steps(self.person.repair, "person.repair", Some(minutes));
        let steady = steady(&self.steady, &mut wrong);
        let load = load(self.load, calm, lasts, &mut wrong);
        for (list, len) in [
            ("service", names.len()),
            ("method", method.len()),
            ("person.repair", repair.len()),
            ("gate", self.gate.len()),
        ] {
            wrong.unless(len <= LIST_MAX, &format!("{list}: at most {LIST_MAX}"));
        }
        let scenario = Scenario {
            title: self.title,
            report: self.report,
            fault: self.fault,
            causes: self.cause.into_iter().map(|word| word.0).collect(),
            reported: self.reported,
            database: database(self.database, &mut wrong),
            poolers: self.pooler,
            services: services(self.service, &mut wrong),
            load,
            steady,
            method,
            person: Person {
                minutes_per_second: minutes,
                cause_min: self.person.cause_min,
                suspected: self.person.suspected,
                repair,
            },
            calm,
            lasts,
            gates: self.gate.into_iter().map(gate).collect(),
        };
        wrong.or(scenario)
    }
}

/// What is wrong so far.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, says: &str) {
        if !holds {
            self.0.push(says.to_owned());
        }
    }

    fn or(self, scenario: Scenario) -> Result<Scenario, ScenarioError> {
        match self.0.is_empty() {
            true => Ok(scenario),
            false => Err(ScenarioError { lines: self.0 }),
        }
    }
}

fn database(written: WrittenDatabase, wrong: &mut Wrong) -> Database {
    let most = written.max_connections.unwrap_or(MAX_CONNECTIONS);
    let sound = (10..=5_000).contains(&most);
    wrong.unless(sound, "database.max_connections: from 10 to 5000");
    wrong.unless(written.cores != Some(0), "database.cores: at least 1");
    Database {
        max_connections: most,
        cores: written.cores,
        settings: written.settings,
        schema: written.schema,
    }
}

fn services(written: Vec<WrittenService>, wrong: &mut Wrong) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for one in written {
        let name = &one.name;
        let twice = services.iter().any(|other| other.name == *name) || name == "pooler";
        wrong.unless(!twice, &format!("service {name}: the name is taken"));
        let sound = !one.command.is_empty() && one.ready.starts_with('/');
        let says = format!("service {name}: a command, and a path that begins with / for `ready`");
        wrong.unless(sound, &says);
        services.push(Service {
            name: one.name,
            files: one.files,
            command: one.command,
            ready: one.ready,
            env: one.env,
        });
    }
    services
}

fn steady(written: &WrittenSteady, wrong: &mut Wrong) -> Steady {
    let served = written.served.unwrap_or(SERVED);
    let sound = served > 0.0 && served <= 1.0;
    wrong.unless(sound, "steady.served: a share above 0 and up to 1");
    Steady {
        served,
        p99: written.p99.map_or(P99, |span| span.0),
    }
}

fn load(written: WrittenLoad, calm: Duration, lasts: Duration, wrong: &mut Wrong) -> Load {
    let users = written.users;
    let sound = (1..=USERS_MAX).contains(&users);
    wrong.unless(sound, &format!("load.users: from 1 to {USERS_MAX}"));
    let timeout = written.timeout.map_or(TIMEOUT, |span| span.0);
    let sound = !timeout.is_zero() && timeout <= TIMEOUT_MAX;
    wrong.unless(sound, "load.timeout: above 0 and up to 60s");
    let retries = written.retries;
    let says = format!("load.retries: at most {RETRIES_MAX}");
    wrong.unless(retries <= RETRIES_MAX, &says);
    let some = (1..=LIST_MAX).contains(&written.request.len());
    wrong.unless(
        some,
        &format!("load: from 1 to {LIST_MAX} of [[load.request]]"),
    );
    let phases = phases(written.rate, &written.phase, calm, lasts, wrong);
    Load {
        users,
        phases,
        timeout,
        retries,
        seed: written.seed.unwrap_or(1),
        requests: requests(written.request, wrong),
    }
}

fn requests(written: Vec<WrittenRequest>, wrong: &mut Wrong) -> Vec<Request> {
    let mut requests = Vec::new();
    for one in written {
        let method = one.method.unwrap_or_else(|| "GET".to_owned());
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        let word = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        let sound = one.path.starts_with('/') && plain(&one.path) && word;
        let name = &one.name;
        let says =
            format!("request {name}: a method in capitals, and a path from / on without blanks");
        wrong.unless(sound, &says);
        let weight = one.weight.unwrap_or(1);
        let sound = (1..=1_000_000).contains(&weight);
        wrong.unless(
            sound,
            &format!("request {name}: a weight from 1 to 1000000"),
        );
        requests.push(Request {
            name: one.name,
            weight,
            method,
            path: one.path,
        });
    }
    requests
}

/// Rates over the whole run: from `at` on the rate is `times` the rate, reached in a line.
fn phases(
    rate: f64,
    written: &[WrittenPhase],
    calm: Duration,
    lasts: Duration,
    wrong: &mut Wrong,
) -> Vec<Phase> {
    let most = written.iter().map(|phase| phase.times).fold(1.0, f64::max);
    let sound = rate.is_finite() && rate > 0.0 && most.is_finite() && rate * most <= RATE_MAX;
    wrong.unless(
        sound,
        &format!("load.rate: above 0, and times its phases at most {RATE_MAX}"),
    );
    let mut phases = Vec::new();
    let (mut now, mut at) = (rate, Duration::ZERO);
    for phase in written {
        let over = phase.over.map_or(Duration::ZERO, |span| span.0);
        let from = phase.at.0;
        let sound = from >= at.max(calm) && from + over <= lasts && phase.times >= 0.0;
        if !sound {
            let says = "load.phase: one after the other, after the calm and within the run";
            wrong.unless(false, says);
            continue;
        }
        phases.push(Phase::hold(now, from - at));
        let to = rate * phase.times;
        let ramp = Phase {
            from: now,
            to,
            lasts: over,
        };
        phases.push(ramp);
        (now, at) = (to, from + over);
    }
    phases.push(Phase::hold(now, lasts.saturating_sub(at)));
    phases.retain(|phase| !phase.lasts.is_zero());
    phases
}

fn gate(written: WrittenGate) -> Gate {
    Gate {
        name: written.name,
        command: written.command,
        mended: written.mended,
        mended_within: written.mended_in.or_else(|| written.r#in.clone()),
        within: written.r#in,
    }
}
