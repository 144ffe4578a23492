//! The fuzzer's entry to `fuzz_bodies::console`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::console(data));
