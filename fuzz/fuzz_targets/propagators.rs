//! See `vitalsign::fuzz::propagators`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::propagators(bytes));
