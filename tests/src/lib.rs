//! The harness of the tests in `tests/`: what looks at vitalsign from outside.
//!
//! - [`otlp::Receiver`] takes OTLP over HTTP/protobuf and gRPC and decodes it with `opentelemetry-proto`.
//! - [`http::get`] asks the admin server.
//! - [`page::parse`] reads a metrics page with the `prometheus-parse` crate.
//! - [`span::Span`] and [`span::Trace`] are what a test asserts on: names, parents, outcomes, attributes.
//! - [`process::Process`] runs a program of the workspace and ends it.
//! - [`lines::Lines`] is a log output that can be read.
//! - [`live::live`] is vitalsign installed in the test's process.
//! - [`own_process!`] runs a test in a process of its own.
//! - [`server`] finds real servers, and fails where CI says that they must be there.

pub mod http;
pub mod lines;
pub mod live;
pub mod otlp;
pub mod own_process;
pub mod page;
pub mod process;
pub mod server;
pub mod span;

use std::time::{Duration, Instant};

/// Asks until there is an answer, at most for `limit`.
///
/// # Panics
/// With `what` when the time is over.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Compiles the Rust blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
