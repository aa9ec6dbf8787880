//! The function that the cases of the benches wrap, each in its own way, and what takes its result.

#![allow(clippy::inline_always)] // A bench measures what is around it.

use std::hint::black_box;

/// The function that every case wraps in its own way.
#[inline(always)]
pub fn body(i: u64) -> Result<u64, std::fmt::Error> {
    if black_box(i) == u64::MAX {
        Err(std::fmt::Error)
    } else {
        Ok(i)
    }
}

/// Field by field: a whole `Result` through `black_box` costs 5 ns that are not the call's.
#[inline(always)]
pub fn consume(result: Result<u64, std::fmt::Error>) {
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
pub fn ready<F: Future<Output = Result<u64, std::fmt::Error>>>(future: F) {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    if let std::task::Poll::Ready(result) = future.as_mut().poll(&mut cx) {
        consume(result);
    }
}
