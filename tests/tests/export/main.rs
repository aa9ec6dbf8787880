//! What leaves a program, what it says where something is wrong, and what it reads from others.

mod abort;
mod bad_input;
mod fuzz_corpora;
mod log_account;
mod no_loop;
mod program;
mod spool;
mod start_checks;
