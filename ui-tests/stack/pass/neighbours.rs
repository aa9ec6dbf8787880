//! Aliases, foreign attributes between and below, conditions.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::timed as stopwatch;
use vitalsign::{counted, observed, traced};

#[traced]
#[stopwatch]
#[counted]
async fn aliased(n: &mut u8) -> &mut u8 {
    n
}

#[stopwatch]
#[traced]
fn aliased_above(n: &mut u8) -> &mut u8 {
    n
}

#[traced]
#[tracing::instrument(skip_all)]
#[counted]
async fn between(n: u8) -> Result<u8, std::num::ParseIntError> {
    let m: u8 = "1".parse()?;
    Ok(n + m)
}

#[tracing::instrument]
#[observed]
async fn below(n: u8) -> u8 {
    n
}

#[cfg_attr(all(), traced)]
#[counted]
#[cfg_attr(all(), stopwatch)]
fn conditional() {}

#[counted]
#[must_use]
#[deprecated = "kept"]
#[inline(always)]
#[allow(clippy::inline_always)]
fn inert() -> u8 {
    1
}

#[observed]
#[tokio::main(flavor = "current_thread")]
async fn runtime_below() -> u8 {
    std::future::ready(1).await
}

#[tokio::main(flavor = "current_thread")]
#[traced]
#[counted]
async fn main() {
    assert_eq!(*aliased(&mut 1).await, 1);
    assert_eq!(*aliased_above(&mut 1), 1);
    assert_eq!(between(1).await, Ok(2));
    assert_eq!(below(1).await, 1);
    conditional();
    #[allow(deprecated)]
    {
        assert_eq!(inert(), 1);
    }
    std::thread::spawn(|| assert_eq!(runtime_below(), 1)).join().unwrap();
}
