//! Promise: what a call costs, vitalsign beside its peers, all in the same run.
//!
//! `cargo run --release -p benches --features peers --bin calls` (some minutes; `-- span:` for the cases with that in their
//! name). The method is in `measure`. Every adapter asserts that what it was given was recorded.

mod metrics;
mod ours;
mod spans;
mod together;

use benches::measure::{Case, case};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: benches::allocations::Counting = benches::allocations::Counting;

fn main() {
    let mut cases: Vec<Case> = vec![case("bare call", |n| {
        for i in 0..n {
            consume(bare(i));
        }
    })];
    cases.extend(metrics::CASES);
    cases.extend(spans::CASES);
    cases.extend(together::CASES);
    benches::measure::main("What a call costs", &cases);
}

/// The function that every case wraps in its own way.
#[inline(always)]
pub(crate) fn body(i: u64) -> Result<u64, std::fmt::Error> {
    if black_box(i) == u64::MAX {
        Err(std::fmt::Error)
    } else {
        Ok(i)
    }
}

#[inline(never)]
fn bare(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

/// Field by field: a whole `Result` through `black_box` costs 5 ns that are not the call's.
#[inline(always)]
pub(crate) fn consume(result: Result<u64, std::fmt::Error>) {
    match result {
        Ok(value) => {
            black_box(value);
        }
        Err(_) => {
            black_box(0);
        }
    }
}

/// Polls a future that is ready at once.
#[inline(always)]
pub(crate) fn ready<F: Future<Output = Result<u64, std::fmt::Error>>>(future: F) {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    if let std::task::Poll::Ready(result) = future.as_mut().poll(&mut cx) {
        consume(result);
    }
}
