//! See `vitalsign::fuzz::headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::headers(bytes));
