//! The fuzzer's entry to `fuzz_bodies::relay_ops`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::relay_ops(data));
