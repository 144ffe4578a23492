//! The fuzzer's entry to `fuzz_bodies::sql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::sql(data));
