//! See `vitalsign::fuzz::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::json(bytes));
