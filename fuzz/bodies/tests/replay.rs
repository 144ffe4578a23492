//! Every committed input runs through its target's body on the stable toolchain.

use fuzz_bodies::TARGETS;
use std::panic::catch_unwind;
use std::path::Path;

/// A target whose corpus was forgotten would pass silently.
const INPUTS_MIN: usize = 10;

#[test]
fn every_committed_input_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut failed = Vec::new();
    for (name, body) in TARGETS {
        let mut count = 0;
        let entries = std::fs::read_dir(corpus.join(name)).expect("a corpus for each target");
        for entry in entries {
            let path = entry.expect("readable").path();
            let data = std::fs::read(&path).expect("readable");
            count += 1;
            if catch_unwind(|| body(&data)).is_err() {
                failed.push(path.display().to_string());
            }
        }
        assert!(count >= INPUTS_MIN, "{name}: {count} inputs");
    }
    assert!(failed.is_empty(), "inputs that fail: {failed:#?}");
}

#[test]
fn each_target_has_its_entry_for_the_fuzzer() {
    let manifest = include_str!("../../targets/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is missing in fuzz/targets/Cargo.toml"
        );
    }
}
