//! The smallest program: one annotated function.

fn main() {}
