#![no_main]

#[path = "../src/context.rs"]
mod context;

libfuzzer_sys::fuzz_target!(|data: &[u8]| context::check(data));
