//! How often a workload runs: its replicas, its autoscaler, and what a rolling
//! deploy puts beside them.

use super::kind;
use crate::facts::{Facts, Odd, Scale, Tool, Unread, Value};
use crate::read::yaml::Node;

const DEFAULT: &str = "Kubernetes' default";
const SURGE: &str = "Kubernetes' default: maxSurge 25%";

/// An autoscaler's most copies.
pub(super) fn scale(object: &Node, key: &str, default: Option<u64>, facts: &mut Facts) {
    let Some(of) = object
        .at(&["spec", "scaleTargetRef", "name"])
        .and_then(Node::text)
    else {
        return;
    };
    let max = object.at(&["spec", key]).and_then(Node::word);
    let max = max.and_then(|w| w.count(Tool::Kubernetes, facts));
    let max = max.or(default.map(|n| Value::default(n, "KEDA's default")));
    facts.scales.extend(max.map(|max| Scale {
        of: of.to_owned(),
        max,
    }));
}

/// Autoscalers of this file raise workloads that other files described. A
/// stated surge stays what it is there.
pub(super) fn apply_scales(facts: &mut Facts) {
    for scale in &facts.scales {
        for workload in &mut facts.workloads {
            let own = workload.name == scale.of
                || workload
                    .name
                    .strip_prefix(&scale.of)
                    .is_some_and(|rest| rest.starts_with('/'));
            if workload.tool != Tool::Kubernetes
                || !own
                || workload.replicas.value >= scale.max.value
            {
                continue;
            }
            workload.replicas = scale.max.clone();
            if workload.surge == Value::default(workload.surge.value, SURGE) {
                workload.surge.value = percent(25, scale.max.value);
            }
        }
    }
}

/// A share of the copies, rounded up.
fn percent(percent: u64, of: u64) -> u64 {
    of.saturating_mul(percent).div_ceil(100)
}

/// How many copies run, and how many more while a version rolls out.
pub(super) fn copies(
    object: &Node,
    name: &str,
    overlaid: Option<Value<u64>>,
    facts: &mut Facts,
) -> (Value<u64>, Value<u64>) {
    let kind = kind(object);
    let spec = match kind {
        "CronJob" => object.at(&["spec", "jobTemplate", "spec"]),
        _ => object.get("spec"),
    };
    let key = if kind.ends_with("Job") {
        "parallelism"
    } else {
        "replicas"
    };
    let word = spec.and_then(|s| s.get(key)).and_then(Node::word);
    let count = word.and_then(|w| w.count(Tool::Kubernetes, facts));
    let default = match kind {
        "DaemonSet" => "one on each node; how many nodes there are stands nowhere here",
        _ => DEFAULT,
    };
    let mut replicas = overlaid.or(count).unwrap_or(Value::default(1, default));
    let scaled = facts
        .scales
        .iter()
        .filter(|s| s.of == name)
        .max_by_key(|s| s.max.value);
    if let Some(scale) = scaled.filter(|s| s.max.value > replicas.value) {
        replicas = scale.max.clone();
    }
    let surge = surge(object, kind, replicas.value, facts);
    (replicas, surge)
}

/// `maxSurge` outside of `rollingUpdate`.
fn misplaced(object: &Node, kind: &str, facts: &mut Facts) {
    if kind != "Deployment" {
        return;
    }
    let places: [&[&str]; 2] = [&["spec", "strategy"], &["spec"]];
    let found = places
        .iter()
        .filter_map(|path| object.at(path)?.pair("maxSurge"));
    for (key, _) in found {
        facts.unread.push(Unread {
            tool: Tool::Kubernetes,
            place: key.place.clone(),
            key: "maxSurge".to_owned(),
            why: "a Deployment reads it under `rollingUpdate`; the default of 25% holds".to_owned(),
            help: "put it under `spec.strategy.rollingUpdate`".to_owned(),
        });
    }
}

fn surge(object: &Node, kind: &str, replicas: u64, facts: &mut Facts) -> Value<u64> {
    let rolls = ["Deployment", "Rollout"].contains(&kind);
    let update = match kind {
        "DaemonSet" => object.at(&["spec", "updateStrategy", "rollingUpdate"]),
        "Rollout" => object.at(&["spec", "strategy", "canary"]),
        _ => object.at(&["spec", "strategy", "rollingUpdate"]),
    };
    let strategy = object.at(&["spec", "strategy", "type"]);
    if let Some(node) = strategy.filter(|n| n.text() == Some("Recreate")) {
        return Value::stated(0, node.place.clone());
    }
    misplaced(object, kind, facts);
    let stated = update
        .and_then(|u| u.get("maxSurge"))
        .filter(|_| rolls || kind == "DaemonSet");
    if let Some(word) = stated.and_then(Node::word).and_then(|w| w.literal()) {
        let (text, share) = match word.text.strip_suffix('%') {
            Some(text) => (text, true),
            None => (word.text.as_str(), false),
        };
        match crate::read::value::number(text) {
            Some(n) if share => return Value::stated(percent(n, replicas), word.place),
            Some(n) => return Value::stated(n, word.place),
            None => facts.odd.push(Odd {
                tool: Tool::Kubernetes,
                place: word.place,
                what: "a count or a share like 25% is expected".to_owned(),
                help: String::new(),
            }),
        }
    }
    match rolls {
        true => Value::default(percent(25, replicas), SURGE),
        false => Value::default(0, "Kubernetes replaces these one by one"),
    }
}
