//! Log lines and records of whole programs, and beside a registry of the program's own.

mod layer;
mod lines;
mod sinks;
