//! Promise: what a call costs, vitalsign beside its peers, all in the same run.
//!
//! `cargo run --release -p benches --features peers --bin calls` (some minutes; `-- span:` for the cases with that in their
//! name). The method is in `measure`. Every adapter asserts that what it was given was recorded.

mod metrics;
mod ours;
mod spans;
mod together;

use benches::measure::{Case, case};
pub(crate) use benches::wrapped::{body, consume, ready};

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

/// The call that nothing was put on.
#[inline(never)]
fn bare(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}
