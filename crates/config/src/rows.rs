//! The rows of the table of settings.

mod beyond;
mod own;
mod pgbouncer;

use crate::table::Setting;
use crate::value::Kind::{self, Count};

/// A setting of PgBouncer's that the plan carries.
macro_rules! row {
    ($key:literal, $toml:literal, $kind:expr, $ini:expr, $new:expr, $class:expr, ($($a:tt)+), $meaning:expr) => {
        Setting { key: $key, toml: $toml, kind: $kind, default_ini: $ini, default_toml: $new,
            class: $class, in_pgbouncer: true, support: Honoured, meaning: $meaning, access: Some(access!($($a)+)) }
    };
}
/// A setting that PgBouncer lacks.
macro_rules! ours {
    ($key:literal, $toml:literal, $kind:expr, $ini:expr, $new:expr, $class:expr, ($($a:tt)+), $meaning:expr) => {
        Setting { in_pgbouncer: false, ..row!($key, $toml, $kind, $ini, $new, $class, ($($a)+), $meaning) }
    };
}
/// A setting of PgBouncer's that does nothing here.
macro_rules! bare {
    ($key:literal, $kind:expr, $default:expr, $support:expr, $meaning:expr) => {
        Setting {
            key: $key,
            toml: "",
            kind: $kind,
            default_ini: $default,
            default_toml: $default,
            class: PerCheckout,
            in_pgbouncer: true,
            support: $support,
            meaning: $meaning,
            access: None,
        }
    };
}
use {bare, ours, row};

/// Most that the line may be stated as.
pub const LINE_MAX: u32 = 100_000;
const CLIENTS: Kind = Count {
    min: 1,
    max: 1_000_000,
};
const CONNECTIONS: Kind = Count {
    min: 0,
    max: 1_000_000,
};

/// PgBouncer's keys, then ours.
pub(crate) static SETTINGS: &[Setting] = &{
    let (first, second) = (pgbouncer::ROWS, beyond::ROWS);
    let mut all = [first[0]; pgbouncer::ROWS.len() + beyond::ROWS.len()];
    let mut i = 1;
    while i < all.len() {
        all[i] = match i < first.len() {
            true => first[i],
            false => second[i - first.len()],
        };
        i += 1;
    }
    all
};
