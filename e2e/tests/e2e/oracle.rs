//! The differential oracle: written cases, one file per topic, and random ones.

use crate::common::{database, full, number, pool_mode, server};
use plimsoll_e2e::generate::{Features, script};
use plimsoll_e2e::oracle::compare;
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::script::parse;

/// Steps of a random script.
const STEPS: u32 = 15;

fn pooler() -> Pooler {
    let mode = pool_mode();
    // In session mode the script's client and both others need a connection each.
    let size = if mode == "session" { "3" } else { "2" };
    let settings = Settings::for_server(server())
        .native(server())
        .set("pool_mode", &mode)
        .set("default_pool_size", size);
    Pooler::start(settings)
}

fn run_file(name: &str, text: &str) {
    let database = database(format!("oracle_{name}"));
    let pooler = pooler();
    let cases = parse(text).unwrap_or_else(|error| panic!("cases/{name}.txt: {error}"));
    assert!(!cases.is_empty());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| compare(server(), &pooler, &database, case).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases differ\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

macro_rules! files {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            run_file(stringify!($name), include_str!(concat!("../../cases/", stringify!($name), ".txt")));
        }
    )*};
}

files! { simple extended prepared copy settings pinned large startup }

#[test]
fn random_scripts() {
    let database = database("oracle_random");
    let pooler = pooler();
    let features = Features {
        prepared: true,
        settings: true,
        pins: true,
    };
    let seeds = number("PLIMSOLL_E2E_SEEDS", if full() { 2000 } else { 60 });
    let start = number("PLIMSOLL_E2E_SEED", 0);
    let count = if std::env::var_os("PLIMSOLL_E2E_SEED").is_some() {
        1
    } else {
        seeds
    };
    let mut failed = Vec::new();
    for seed in start..start + count {
        let text = script(seed, STEPS, features);
        let case = parse(&text).expect("a script that can be read").remove(0);
        if let Err(difference) = compare(server(), &pooler, &database, &case) {
            eprintln!(
                "{difference}\nagain: PLIMSOLL_E2E_SEED={seed} cargo test -p plimsoll-e2e oracle::random"
            );
            failed.push(seed);
            if failed.len() >= 5 {
                break;
            }
        }
    }
    assert!(failed.is_empty(), "seeds that differ: {failed:?}");
}
