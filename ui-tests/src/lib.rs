//! The cases lie in `TOPIC/{pass,fail}`, one mistake per file; `tests/ui.rs` runs them.
