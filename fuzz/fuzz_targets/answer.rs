//! See `vitalsign::fuzz::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::answer(bytes));
