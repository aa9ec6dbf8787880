//! See `vitalsign::fuzz::resource`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::resource(bytes));
