//! The rows of `[guards]`.

use crate::plan::Plan;
use crate::table::Access;
use crate::value::Value;
use events::{Guard, GuardMode};

/// The words that may be written.
pub(crate) const GUARD_MODES: &[&str] = &["off", "observe", "enforce"];

macro_rules! guard {
    ($name:ident, $guard:ident) => {
        pub(crate) const $name: Access = Access {
            field: "guards",
            get: |plan| get(plan, Guard::$guard),
            set: |plan, value| set(plan, Guard::$guard, value),
        };
    };
}

guard!(RECLAIM, Reclaim);
guard!(SHED, Shed);
guard!(AUTO_SIZE, AutoSize);
guard!(AUTO_REVERT, AutoRevert);
guard!(DRIFT, Drift);
guard!(PIN, Pin);

fn get(plan: &Plan, guard: Guard) -> Value {
    Value::Text(plan.guards.mode(guard).label().to_owned())
}

fn set(plan: &mut Plan, guard: Guard, value: Value) {
    if let Value::Text(word) = value
        && let Some(mode) = GuardMode::from_word(&word)
    {
        plan.guards.set(guard, mode);
    }
}
