//! Every option of `timed`.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::timed;

const SLOW: f64 = 10.0;

#[timed(name = "orders.latency", help = "Time to place an order.", buckets = [0.01, 0.1, 1, SLOW], busy)]
async fn named() {}

#[timed(exponential(0.001, 2, 12), exemplars = off)]
fn exponential() {}

#[timed(native, crate = ::vitalsign)]
fn native() {}

#[timed(labels(flag = flag, ok: bool = |ret| *ret))]
fn labelled(flag: bool) -> bool {
    flag
}

#[timed(ok_if = |n| *n > 0)]
fn ok_if() -> u8 {
    1
}

#[timed(error_if = |n| *n > 0)]
fn error_if() -> u8 {
    1
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    named().await;
    exponential();
    native();
    assert!(labelled(true));
    assert_eq!(ok_if() + error_if(), 2);
}
