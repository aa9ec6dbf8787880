//! vitalsign's side.

use crate::{body, consume, ready};
use tracing_subscriber::layer::SubscriberExt as _;
use vitalsign::__private::discard;
use vitalsign::{counted, timed, traced};

pub(crate) fn init() {
    discard::install(None);
}

pub(crate) fn init_unsampled() {
    discard::install(Some(0.0));
}

pub(crate) fn init_sampled() {
    discard::install(Some(0.01));
}

/// As under `otel_context(true)`.
pub(crate) fn init_attaching() {
    discard::install_attaching();
}

/// The store under a Registry of the user's.
pub(crate) fn init_layer() {
    let registry = tracing_subscriber::registry().with(vitalsign::layer());
    tracing::subscriber::set_global_default(registry).expect("the first subscriber");
    init();
}

pub(crate) fn check_counted(n: u64) {
    assert_eq!(discard::total("function.calls"), n, "calls lost");
}

pub(crate) fn check_timed(n: u64) {
    assert_eq!(discard::total("function.duration"), n, "samples lost");
}

/// On a machine whose other core is taken, one caller can outrun the encoder; what is dropped is counted. A run in which that is
/// more than a hundredth measures the dropping.
pub(crate) fn check_spans(n: u64) {
    let (encoded, dropped) = discard::spans();
    assert_eq!(encoded + dropped, n, "spans lost");
    if dropped * 100 > n {
        println!("\nnote {}% of the spans dropped", dropped * 100 / n);
    }
}

pub(crate) fn check_none(_: u64) {
    assert_eq!(discard::spans(), (0, 0), "a span below the level");
}

pub(crate) fn check_all(n: u64) {
    check_counted(n);
    check_timed(n);
    check_spans(n);
}

macro_rules! roots {
    ($($(#[$attribute:meta])* $name:ident $function:ident;)*) => {
        $(
            $(#[$attribute])*
            fn $function(i: u64) -> Result<u64, std::fmt::Error> {
                body(i)
            }

            pub(crate) fn $name(n: u64) {
                for i in 0..n {
                    consume($function(i));
                }
            }
        )*
    };
}

roots! {
    #[counted]
    counted counted_body;
    #[timed]
    timed timed_body;
    #[counted] #[timed]
    counted_and_timed counted_and_timed_body;
    #[traced]
    root traced_body;
    #[traced(level = "trace")]
    root_off traced_off_body;
    #[traced] #[counted] #[timed]
    all all_body;
}

#[traced(fields(order = i, channel = "web"))]
fn traced_fields(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn root_fields(n: u64) {
    for i in 0..n {
        consume(traced_fields(i));
    }
}

#[traced(fields(item = item.to_owned()))]
fn traced_owned(i: u64, item: &str) -> Result<u64, std::fmt::Error> {
    body(i + item.len() as u64)
}

pub(crate) fn root_owned(n: u64) {
    for i in 0..n {
        consume(traced_owned(i, std::hint::black_box("teapot")));
    }
}

#[traced]
async fn traced_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn root_async(n: u64) {
    for i in 0..n {
        ready(traced_later(i));
    }
}

#[traced(level = "trace")]
async fn traced_off_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn root_off_async(n: u64) {
    for i in 0..n {
        ready(traced_off_later(i));
    }
}

#[traced]
fn traced_parent(i: u64) {
    for _ in 0..99 {
        consume(traced_body(i));
    }
}

pub(crate) fn tree(n: u64) {
    for i in 0..n {
        traced_parent(i);
    }
}

#[traced]
async fn traced_parent_later(i: u64) -> Result<u64, std::fmt::Error> {
    for _ in 0..99 {
        let result = traced_later(i).await;
        consume(result);
    }
    body(i)
}

pub(crate) fn tree_async(n: u64) {
    for i in 0..n {
        ready(traced_parent_later(i));
    }
}

#[traced]
#[counted]
#[timed]
async fn all_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) fn all_async(n: u64) {
    for i in 0..n {
        ready(all_later(i));
    }
}

#[traced]
#[counted]
#[timed]
fn all_parent(i: u64) {
    for _ in 0..99 {
        consume(all_body(i));
    }
}

pub(crate) fn all_tree(n: u64) {
    for i in 0..n {
        all_parent(i);
    }
}
