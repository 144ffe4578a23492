//! Questions and answers as JSON.

use super::{PoolAnswer, Request};
use config::rollout::Verdict;
use events::shape::Shape;
use serde_json::{Value, json};
use sim::predict::{
    Choice, Figures, Part, PoolChoice, PoolPrediction, Ranged, Recorded, Rule, Verdict as Told,
};
use std::time::Duration;

pub(super) fn request_text(request: &Request) -> String {
    let list = |all: &[Choice]| all.iter().map(choice_json).collect::<Vec<_>>();
    json!({
        "version": 1,
        "shape": request.shape.to_text(),
        "old": list(&request.old),
        "new": list(&request.new),
        "requests": request.requests,
    })
    .to_string()
}

pub(super) fn request(text: &str) -> Option<Request> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("version")?.as_u64()? != 1 {
        return None;
    }
    let list = |key: &str| -> Option<Vec<Choice>> {
        value.get(key)?.as_array()?.iter().map(choice).collect()
    };
    let request = Request {
        shape: Shape::from_text(value.get("shape")?.as_str()?).ok()?,
        old: list("old")?,
        new: list("new")?,
        requests: value.get("requests")?.as_u64()?,
    };
    let servers = request.shape.servers.len();
    let fits = |choices: &[Choice]| {
        let pools = request.shape.servers.iter().map(|s| s.pools.len());
        choices.len() == servers && choices.iter().map(|c| c.pools.len()).eq(pools)
    };
    (fits(&request.old) && fits(&request.new)).then_some(request)
}

pub(super) fn answer_text(pools: &[PoolPrediction]) -> String {
    let pools: Vec<Value> = pools.iter().map(pool_json).collect();
    json!({ "version": 1, "pools": pools }).to_string()
}

pub(super) fn pools(text: &str) -> Option<Vec<PoolAnswer>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("version")?.as_u64()? != 1 {
        return None;
    }
    let pools = value.get("pools")?.as_array()?;
    pools.iter().map(pool).collect()
}

// --- settings ---

fn choice_json(choice: &Choice) -> Value {
    let pools: Vec<Value> = choice
        .pools
        .iter()
        .map(|pool| pool.as_ref().map_or(Value::Null, pool_choice_json))
        .collect();
    json!({ "line": choice.line, "connects_max": choice.connects_max, "pools": pools })
}

fn choice(value: &Value) -> Option<Choice> {
    let pools = value.get("pools")?.as_array()?.iter();
    Some(Choice {
        line: number(value, "line")?,
        connects_max: number(value, "connects_max")?,
        pools: pools
            .map(|pool| match pool.is_null() {
                true => Some(None),
                false => pool_choice(pool).map(Some),
            })
            .collect::<Option<_>>()?,
    })
}

fn pool_choice_json(p: &PoolChoice) -> Value {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let flows: Vec<Value> = p
        .flows
        .iter()
        .map(|rule| {
            json!({
                "weight": rule.weight,
                // Absent: the pool's; null: for ever.
                "wait_ms": rule.wait_timeout.map(|wait| vec![wait.map(ms)]),
            })
        })
        .collect();
    json!({
        "size": p.size,
        "auto": p.auto,
        "min": p.min,
        "reserve": p.reserve,
        "reserve_after_ms": ms(p.reserve_after),
        "wait_timeout_ms": p.wait_timeout.map(ms),
        "queue_max": p.queue_max,
        "idle_timeout_ms": p.idle_timeout.map(ms),
        "lifetime_ms": p.lifetime.map(ms),
        "database_max": p.database_max,
        "user_max": p.user_max,
        "shed": p.shed,
        "session": p.session,
        "flows": flows,
    })
}

fn pool_choice(v: &Value) -> Option<PoolChoice> {
    let flows = v.get("flows")?.as_array()?.iter();
    Some(PoolChoice {
        size: number(v, "size")?,
        auto: v.get("auto")?.as_bool()?,
        min: number(v, "min")?,
        reserve: number(v, "reserve")?,
        reserve_after: span(v, "reserve_after_ms")?,
        wait_timeout: span(v, "wait_timeout_ms"),
        queue_max: number(v, "queue_max")?,
        idle_timeout: span(v, "idle_timeout_ms"),
        lifetime: span(v, "lifetime_ms"),
        database_max: number(v, "database_max"),
        user_max: number(v, "user_max"),
        shed: v.get("shed")?.as_bool()?,
        session: v.get("session")?.as_bool()?,
        flows: flows
            .map(|rule| Rule {
                weight: number(rule, "weight"),
                wait_timeout: rule.get("wait_ms").and_then(Value::as_array).map(|wait| {
                    let ms = wait.first().and_then(Value::as_u64);
                    ms.map(Duration::from_millis)
                }),
            })
            .collect(),
    })
}

fn number(value: &Value, key: &str) -> Option<u32> {
    value.get(key)?.as_u64()?.try_into().ok()
}

fn span(value: &Value, key: &str) -> Option<Duration> {
    value.get(key)?.as_u64().map(Duration::from_millis)
}

// --- answers ---

fn pool_json(pool: &PoolPrediction) -> Value {
    let word = match pool.verdict {
        Told::Fine => "fine",
        Told::Worse(_) => "worse",
        Told::Inconclusive(_) => "inconclusive",
    };
    let parts: Vec<Value> = pool.parts.iter().map(part_json).collect();
    json!({
        "database": pool.database,
        "user": pool.user,
        "verdict": word,
        "text": pool.verdict.to_string(),
        "parts": parts,
    })
}

fn pool(value: &Value) -> Option<PoolAnswer> {
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let parts = value.get("parts")?.as_array()?;
    Some(PoolAnswer {
        database: text("database")?,
        user: text("user")?,
        verdict: match value.get("verdict")?.as_str()? {
            "fine" => Verdict::Fine,
            "worse" => Verdict::Worse,
            "inconclusive" => Verdict::Unknown,
            _ => return None,
        },
        text: text("text")?,
        parts: parts.iter().map(part).collect::<Option<_>>()?,
    })
}

fn part_json(p: &Part) -> Value {
    let r = &p.recorded;
    json!({
        "share": p.share,
        "unknown": p.unknown,
        "in_use_max": [p.in_use_max.0, p.in_use_max.1],
        "recorded": {
            "requests": r.requests,
            "seconds": r.seconds,
            "wait_p50_ms": r.wait_p50_ms,
            "wait_p99_ms": r.wait_p99_ms,
            "refused": r.refused,
            "exhausted": r.exhausted,
            "in_use_max": r.in_use_max,
            "wait_p95_ms": [r.wait_p95_ms.0, r.wait_p95_ms.1],
        },
        "old": figures_json(&p.old),
        "new": figures_json(&p.new),
    })
}

fn part(value: &Value) -> Option<Part> {
    let r = value.get("recorded")?;
    let real = |key: &str| r.get(key)?.as_f64();
    Some(Part {
        share: value.get("share")?.as_f64()?,
        unknown: value.get("unknown")?.as_bool()?,
        in_use_max: {
            let most = value.get("in_use_max")?.as_array()?;
            let most = |at: usize| most.get(at)?.as_u64()?.try_into().ok();
            (most(0)?, most(1)?)
        },
        recorded: Recorded {
            requests: r.get("requests")?.as_u64()?,
            seconds: real("seconds")?,
            wait_p50_ms: real("wait_p50_ms")?,
            wait_p99_ms: real("wait_p99_ms")?,
            refused: real("refused")?,
            exhausted: real("exhausted")?,
            in_use_max: number(r, "in_use_max")?,
            wait_p95_ms: {
                let both = r.get("wait_p95_ms")?.as_array()?;
                let ms = |at: usize| both.get(at)?.as_f64();
                (ms(0)?, ms(1)?)
            },
        },
        old: figures(value.get("old")?)?,
        new: figures(value.get("new")?)?,
    })
}

fn figures_json(f: &Figures) -> Value {
    let ranged = |r: Ranged| json!([r.value, r.low, r.high]);
    json!({
        "wait_p50_ms": ranged(f.wait_p50_ms),
        "wait_p99_ms": ranged(f.wait_p99_ms),
        "refused": ranged(f.refused),
        "used": ranged(f.used),
        "rate": ranged(f.rate),
    })
}

fn figures(value: &Value) -> Option<Figures> {
    let ranged = |key: &str| {
        let all = value.get(key)?.as_array()?;
        Some(Ranged {
            value: all.first()?.as_f64()?,
            low: all.get(1)?.as_f64()?,
            high: all.get(2)?.as_f64()?,
        })
    };
    Some(Figures {
        wait_p50_ms: ranged("wait_p50_ms")?,
        wait_p99_ms: ranged("wait_p99_ms")?,
        refused: ranged("refused")?,
        used: ranged("used")?,
        rate: ranged("rate")?,
    })
}
