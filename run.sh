rustfmt --edition 2024 crates/sim/src/lib.rs crates/sim/examples/settings.rs crates/config/src/lib.rs
(CARGO_INCREMENTAL=0 CARGO_BUILD_JOBS=2 cargo build --release -p plimsoll-sim --example settings 2>&1 | grep -E "^(error|warning)|-->|^  *\|" | head -60)
timeout 300 ./target/release/examples/settings "$@"
date
