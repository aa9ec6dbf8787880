//! Compiled twice by the bin `identity`, with the feature `annotated` and without.

#![allow(unexpected_cfgs, unused_imports, missing_docs)]

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use vitalsign::{counted, observed, timed, traced};

#[unsafe(no_mangle)]
#[cfg_attr(feature = "annotated", traced(fields(x)))]
#[cfg_attr(feature = "annotated", counted)]
#[cfg_attr(feature = "annotated", timed)]
pub fn compared_plain(x: u32) -> u32 {
    x.wrapping_mul(3) ^ 0x55
}

#[unsafe(no_mangle)]
#[cfg_attr(feature = "annotated", observed(name = "parse"))]
pub fn compared_fallible(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number: u32 = text.trim().parse()?;
    Ok(number + 1)
}

#[unsafe(no_mangle)]
#[cfg_attr(feature = "annotated", traced)]
#[cfg_attr(feature = "annotated", timed)]
#[track_caller]
pub fn compared_panicking(list: &[u32], at: usize) -> u32 {
    list[at]
}

#[cfg_attr(feature = "annotated", traced(fields(%name)))]
#[cfg_attr(feature = "annotated", counted)]
#[cfg_attr(feature = "annotated", timed)]
async fn asynchronous(name: String, mut count: u64) -> Result<u64, String> {
    for _ in 0..3 {
        count += later(name.len() as u64).await;
    }
    if count > 1_000 { Err(name) } else { Ok(count) }
}

#[cfg_attr(feature = "annotated", counted)]
fn later(value: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { black_box(value) })
}

#[unsafe(no_mangle)]
pub fn compared_async(count: u64) -> bool {
    let mut future = std::pin::pin!(asynchronous(String::from("a"), count));
    matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_)))
}

pub struct Counter(u64);

#[cfg_attr(feature = "annotated", traced)]
impl Counter {
    pub fn add(&mut self, amount: u64) -> &mut u64 {
        self.0 += amount;
        &mut self.0
    }
}

#[unsafe(no_mangle)]
pub fn compared_method(counter: &mut Counter) -> u64 {
    *counter.add(2)
}
