//! Spans: outcomes, parents, streams, limits, and that a function does what the bare one does.

mod levels;
mod like_bare;
mod open;
mod outcomes;
mod parents;
mod streams;
mod w3c;
