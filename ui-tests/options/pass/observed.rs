//! Every option of `observed`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::observed;

#[observed(name = "checkout", traced(kind = server, args), counted(in_flight, labels(express = express)), timed(busy, native))]
async fn checkout(express: bool) -> Result<bool, String> {
    Ok(express)
}

#[observed(traced(name = "other"), counted(name = "others"), timed(), crate = ::vitalsign)]
fn nested() {}

#[observed(ok_if = |n| *n > 0)]
fn ok_if() -> u8 {
    1
}

#[observed(error_if = |n| *n > 0)]
fn error_if() -> u8 {
    1
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(checkout(true).await, Ok(true));
    nested();
    assert_eq!(ok_if() + error_if(), 2);
}
