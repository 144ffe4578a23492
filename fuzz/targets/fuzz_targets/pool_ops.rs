//! The fuzzer's entry to `fuzz_bodies::pool_ops`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::pool_ops(data));
