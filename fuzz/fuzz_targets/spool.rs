//! See `vitalsign::fuzz::spool`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vitalsign::fuzz::spool(bytes));
