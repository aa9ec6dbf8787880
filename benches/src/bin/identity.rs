//! Promise: built without the feature `record`, the emitted machine code equals the bare function's.
//!
//! `cargo run -p benches --bin identity`

fn main() {}
