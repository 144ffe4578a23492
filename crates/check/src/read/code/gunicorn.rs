//! gunicorn.conf.py: processes and threads.

use super::options::whole;
use super::times::{Unit, Zero, odd_time, wait};
use super::{Code, Found};
use crate::facts::{Facts, Tool, Value, Workload};
use crate::place::Place;
use std::path::Path;

const DEFAULT: &str = "Gunicorn's default";

/// Reads the file, if that is what it is.
pub(super) fn read(code: &Code<'_>, path: &Path, facts: &mut Facts) {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    if !name.to_ascii_lowercase().contains("gunicorn") {
        return;
    }
    let setting = |key: &str| {
        let mut all = code.assignments.iter();
        let found = all.find(|a| a.scope == 0 && a.path == [key])?;
        Some((found.place.clone(), code.scalar(&found.value)))
    };
    let telling = ["workers", "threads", "timeout", "bind", "worker_class"];
    let Some(first) = telling.iter().find_map(|key| setting(key)) else {
        return;
    };
    let class = setting("worker_class").and_then(|(_, found)| found.text().cloned());
    let class = class.map_or(String::new(), |text| text.text);
    // One of them per request, each with a connection of its own.
    let greenlets = class.contains("gevent") || class.contains("eventlet");
    let (key, default) = match greenlets {
        true => ("worker_connections", 1_000),
        false => ("threads", 1),
    };
    let is_async = class.contains("uvicorn") || class.contains("tornado");
    let threads = count(setting(key), default);
    let timeout = setting("timeout").map(|(_, found)| found);
    if let Some(found) = &timeout
        && let Some(seconds) = found.number()
    {
        odd_time(
            Tool::Gunicorn,
            "timeout",
            seconds,
            Unit::Seconds,
            &found.place,
            facts,
        );
        let value = wait(seconds, Unit::Seconds, Zero::Forever);
        // Only where a worker serves one request at a time is it the request's.
        let several = threads.as_ref().is_some_and(|t| t.value > 1);
        if (class.is_empty() || class == "sync") && !several {
            facts
                .requests
                .push((Tool::Gunicorn, Value::stated(value, found.place.clone())));
        }
    }
    facts.workloads.push(Workload {
        tool: Tool::Gunicorn,
        runs: Some("gunicorn"),
        name: "gunicorn".to_owned(),
        place: first.0,
        replicas: Value::default(1, "one copy"),
        surge: Value::default(0, "one copy"),
        processes: count(setting("workers"), 1),
        threads: threads.filter(|_| !is_async),
        environment: Vec::new(),
    });
}

/// `None`: computed, so not known here.
fn count(setting: Option<(Place, Found)>, default: u64) -> Option<Value<u64>> {
    let Some((_, found)) = setting else {
        return Some(Value::default(default, DEFAULT));
    };
    let number = found.number().filter(|n| *n >= 1.0)?;
    Some(Value::stated(whole(number), found.place))
}
