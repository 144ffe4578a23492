//! Stories over whole files.
mod alerting;
mod api;
mod bad_input;
mod etcd;
mod fleet;
mod guards;
mod hba;
mod import;
mod meanings;
mod passwords;
mod pgbouncer;
mod read;
mod renamed;
mod secrets;
mod toml;
mod url;

use crate::{Errors, Memory, Plan, load};

/// Reads one pgbouncer.ini.
fn ini(text: &str) -> Result<Plan, Errors> {
    load("p.ini".as_ref(), &Memory::default().file("p.ini", text))
}

/// Reads one plimsoll.toml.
fn toml(text: &str) -> Result<Plan, Errors> {
    load("p.toml".as_ref(), &Memory::default().file("p.toml", text))
}

/// The errors as a person reads them.
fn rendered(result: Result<Plan, Errors>) -> String {
    match result {
        Ok(_) => String::from("no error"),
        Err(errors) => errors.render(),
    }
}

/// What SHOW CONFIG says.
fn shown<'a>(plan: &'a Plan, key: &str) -> &'a str {
    let row = plan.shown.iter().find(|s| s.key == key);
    row.map_or("(missing)", |s| s.value.as_str())
}

fn warned(plan: &Plan, words: &str) -> bool {
    plan.warnings.iter().any(|w| w.contains(words))
}
