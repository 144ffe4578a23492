//! What a change does to the room that clients have, and the settings that hold
//! at each of its steps.
//!
//! Numbers that give less room move by equal factors, so that each step cuts as
//! much as the one before; what gives more room, and words, are new at the first
//! step ([why](../../../../docs/decisions/rollout-steps.md)).

use super::Nature;
use crate::diff::{Change, Direction};
use crate::entries::{APPLICATION_KEYS, DATABASE_KEYS, EntryKey, USER_KEYS};
use crate::plan::{Plan, PoolSize};
use crate::table::{Class, settings};
use crate::value::Value;
use std::time::Duration;

/// Steps from old to new where a change is staged.
pub const STEPS: u8 = 4;

/// Where a limit or a timeout was off before, its way begins at so many times
/// the new value.
const OFF: f64 = 8.0;

/// Timeouts of which more is more room; names as in plimsoll.toml, without the section.
const PATIENCE: [&str; 12] = [
    "query_wait",
    "wait_timeout",
    "query",
    "transaction",
    "idle_transaction",
    "client_idle",
    "client_login",
    "server_connect",
    "cancel_wait",
    "reclaim_after",
    "reclaim_single_after",
    "drain",
];

/// Capacities of which more is no room for clients.
const NO_ROOM: [&str; 5] = ["headroom", "fleet", "cores", "min", "min_pool_size"];

/// More of this setting is more room for clients.
fn gives_room(toml: &str, class: Class) -> bool {
    let (section, name) = toml.rsplit_once('.').unwrap_or(("", toml));
    match class {
        Class::Capacity => !NO_ROOM.contains(&name),
        // `session.pin` and others share words with no timeout.
        Class::PerCheckout => {
            matches!(section, "timeouts" | "leaks" | "") && PATIENCE.contains(&name)
        }
        Class::Identity | Class::RestartOnly => false,
    }
}

/// The room that a value gives; off is endless. `None`: it is no number.
fn room(value: &Value) -> Option<f64> {
    match value {
        Value::Count(n) | Value::PoolSize(PoolSize::Fixed(n)) | Value::Limit(Some(n)) => {
            Some(f64::from(*n))
        }
        Value::Time(Some(time)) => Some(time.as_secs_f64()),
        Value::Limit(None) | Value::Time(None) => Some(f64::INFINITY),
        Value::PoolSize(PoolSize::Auto)
        | Value::Flag(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Listen(_) => None,
    }
}

/// What going from `old` to `new` does. An automatic size that becomes a stated
/// one counts as less room: nobody knows beforehand how large it had grown.
pub(crate) fn direction(toml: &str, class: Class, old: &Value, new: &Value) -> Direction {
    if !gives_room(toml, class) {
        return Direction::Aside;
    }
    match (old, new) {
        (Value::PoolSize(PoolSize::Auto), Value::PoolSize(PoolSize::Fixed(_))) => {
            return Direction::Tightens;
        }
        (Value::PoolSize(_), Value::PoolSize(PoolSize::Auto)) => return Direction::Aside,
        _ => {}
    }
    match (room(old), room(new)) {
        (Some(old), Some(new)) if new < old => Direction::Tightens,
        (Some(old), Some(new)) if new > old => Direction::Loosens,
        _ => Direction::Aside,
    }
}

/// What these changes are, for the way that they take.
pub fn nature(changes: &[Change], now: bool, forced: bool) -> Nature {
    let any = |class| changes.iter().any(|c| c.class == class);
    Nature {
        restart_only: any(Class::RestartOnly),
        identity: any(Class::Identity),
        tightens: changes.iter().any(|c| c.direction == Direction::Tightens),
        now,
        forced,
    }
}

/// The settings that hold at `step` of `of` steps from `old` to `new`; the last
/// step is `new` itself.
pub fn between(old: &Plan, new: &Plan, step: u8, of: u8) -> Plan {
    let mut plan = new.clone();
    if step >= of {
        return plan;
    }
    let share = f64::from(step) / f64::from(of);
    for setting in settings() {
        let Some(access) = setting.access else {
            continue;
        };
        let (before, after) = ((access.get)(old), (access.get)(new));
        if direction(setting.toml, setting.class, &before, &after) == Direction::Tightens {
            (access.set)(&mut plan, mixed(&before, &after, share));
        }
        let value = setting.shown(&plan);
        let shown = plan.shown.iter_mut().find(|s| s.key == setting.key);
        if let (Some(shown), Some(value)) = (shown, value) {
            shown.value = value;
        }
    }
    for database in &mut plan.databases {
        let was = old.databases.iter().find(|d| d.name == database.name);
        if let Some(was) = was {
            entries(DATABASE_KEYS, (old, was), new, database, share);
        }
    }
    for (name, user) in &mut plan.users {
        if let Some(was) = old.users.get(name) {
            entries(USER_KEYS, (old, was), new, user, share);
        }
    }
    for (name, application) in &mut plan.applications {
        if let Some(was) = old.applications.get(name) {
            entries(APPLICATION_KEYS, (old, was), new, application, share);
        }
    }
    plan
}

fn entries<T>(
    keys: &[EntryKey<T>],
    (old_plan, old): (&Plan, &T),
    new_plan: &Plan,
    entry: &mut T,
    share: f64,
) {
    for key in keys.iter().filter(|k| !k.toml.is_empty()) {
        // Without a value of its own an entry has the general one.
        let before = (key.get)(old).or_else(|| general(key.toml, old_plan));
        let after = (key.get)(entry).or_else(|| general(key.toml, new_plan));
        if let (Some(before), Some(after)) = (before, after)
            && direction(key.toml, key.class, &before, &after) == Direction::Tightens
        {
            // A mixture of two good values is refused by no setter.
            let _ = (key.set)(entry, mixed(&before, &after, share));
        }
    }
}

/// The general setting that holds for an entry that does not say its own.
pub(crate) fn general(toml: &str, plan: &Plan) -> Option<Value> {
    Some(match toml {
        "pool_size" => Value::PoolSize(plan.default_pool_size),
        "min_pool_size" => Value::Count(plan.min_pool_size),
        "reserve_pool_size" => Value::Count(plan.reserve_pool_size),
        "wait_timeout" => Value::Time(plan.query_wait_timeout),
        "max_connections" => Value::Limit(Some(plan.line)),
        "max_clients" => Value::Limit(Some(plan.max_client_conn)),
        "weight" => Value::Count(1),
        _ => return None,
    })
}

/// `share` of the way from one to the other, never below the new value.
fn mixed(old: &Value, new: &Value, share: f64) -> Value {
    let (Some(to), from) = (room(new), room(old)) else {
        return new.clone();
    };
    let from = match from {
        Some(from) if from.is_finite() => from,
        Some(_) => to.max(1.0) * OFF,
        // An automatic size: it begins at the new one.
        None => return new.clone(),
    };
    let at = if to > 0.0 {
        from * (to / from).powf(share)
    } else {
        from * (1.0 - share)
    };
    // Half a connection is none; what is exact stays exact.
    let whole = (at - 1e-9).ceil().clamp(to, from.max(to)) as u32;
    match new {
        Value::Count(_) => Value::Count(whole),
        Value::PoolSize(_) => Value::PoolSize(PoolSize::Fixed(whole)),
        Value::Limit(_) => Value::Limit(Some(whole)),
        Value::Time(_) => {
            let millis = (at * 1000.0).ceil().max(1.0);
            Value::Time(Some(Duration::from_millis(millis as u64)))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, diff, load};

    fn plan(text: &str) -> Plan {
        let text = format!("{text}\n[database.app]\nhost = \"db\"\n");
        load("p.toml".as_ref(), &Memory::default().file("p.toml", text))
            .unwrap_or_else(|e| panic!("{}", e.render()))
    }

    #[test]
    fn less_room_comes_by_equal_factors_and_more_room_at_once() {
        let old = plan("[pool]\nsize = 50\nqueue_max = 100\n[timeouts]\nquery_wait = \"60s\"");
        let new = plan(
            "[pool]\nsize = 5\nqueue_max = 900\nmode = \"session\"\n[timeouts]\nquery_wait = \"6s\"\nquery = \"10s\"",
        );
        let sizes: Vec<PoolSize> = (1..=STEPS)
            .map(|step| between(&old, &new, step, STEPS).default_pool_size)
            .collect();
        assert_eq!(sizes, [29, 16, 9, 5].map(PoolSize::Fixed));
        let first = between(&old, &new, 1, STEPS);
        assert_eq!(first.queue_max, 900, "more room at once");
        assert_eq!(first.pool_mode, new.pool_mode, "a word at once");
        let wait = first.query_wait_timeout.expect("one");
        assert!(wait > Duration::from_secs(33) && wait < Duration::from_secs(34));
        let query = first.query_timeout.expect("it was off");
        assert!(query > Duration::from_secs(47) && query < Duration::from_secs(48));
        let shown = first.shown.iter().find(|s| s.key == "default_pool_size");
        assert_eq!(shown.map(|s| s.value.as_str()), Some("29"));
        assert_eq!(between(&old, &new, STEPS, STEPS), new);
    }

    #[test]
    fn an_entry_starts_from_the_general_value() {
        let old = plan("[pool]\nsize = 40");
        let text = "[pool]\nsize = 40\n[database.app]\nhost = \"db\"\npool_size = 4\n";
        let new = load("p.toml".as_ref(), &Memory::default().file("p.toml", text)).expect("good");
        let size = |step| between(&old, &new, step, STEPS).databases[0].pool_size;
        assert_eq!(size(1), Some(PoolSize::Fixed(23)));
        assert_eq!(size(STEPS), Some(PoolSize::Fixed(4)));
        assert!(nature(&diff(&old, &new), false, false).tightens);
    }

    #[test]
    fn what_a_change_does_is_told_by_its_values() {
        let base = "[pool]\nsize = 20\n[timeouts]\nquery_wait = \"30s\"";
        let table = [
            (
                "[pool]\nsize = 21\n[timeouts]\nquery_wait = \"30s\"",
                "loosens",
            ),
            (
                "[pool]\nsize = 19\n[timeouts]\nquery_wait = \"30s\"",
                "tightens",
            ),
            (
                "[pool]\nsize = 20\n[timeouts]\nquery_wait = \"off\"",
                "loosens",
            ),
            (
                "[pool]\nsize = 20\n[timeouts]\nquery_wait = \"5s\"",
                "tightens",
            ),
            (
                "[pool]\nsize = \"auto\"\n[timeouts]\nquery_wait = \"30s\"",
                "changes",
            ),
            (
                "[pool]\nsize = 20\nmode = \"session\"\n[timeouts]\nquery_wait = \"30s\"",
                "changes",
            ),
            (
                "[pool]\nsize = 20\n[server]\nheadroom = 9\n[timeouts]\nquery_wait = \"30s\"",
                "changes",
            ),
            (
                "[pool]\nsize = 20\n[server]\nline = 50\n[timeouts]\nquery_wait = \"30s\"",
                "tightens",
            ),
        ];
        for (text, expected) in table {
            let changes = diff(&plan(base), &plan(text));
            let words: Vec<&str> = changes.iter().map(|c| c.direction.label()).collect();
            assert_eq!(words, [expected], "{text}");
            let back = diff(&plan(text), &plan(base));
            let opposite = match expected {
                "loosens" => "tightens",
                "tightens" => "loosens",
                // Nobody knows how large an automatic size had grown.
                _ if text.contains("auto") => "tightens",
                other => other,
            };
            assert_eq!(back[0].direction.label(), opposite, "back from {text}");
        }
    }
}
