//! The example service as a user and an orchestrator see it.

mod end_to_end;
mod health;
mod worker;
