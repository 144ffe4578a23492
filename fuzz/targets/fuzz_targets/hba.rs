//! The fuzzer's entry to `fuzz_bodies::hba`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::hba(data));
