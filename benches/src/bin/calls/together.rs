//! Span, counter and histogram on one function.

use crate::metrics::{CALLS, DURATIONS, labels};
use crate::spans::{tracing_opentelemetry, tracing_opentelemetry_sampled};
use crate::{body, consume, ours};
use autometrics::autometrics;
use benches::measure::{Case, case};
use std::time::Instant;

pub(crate) const CASES: [Case; 9] = [
    case("all: #[traced] #[counted] #[timed]", ours::all)
        .setup(ours::init)
        .check(ours::check_all),
    case("all: #[traced] #[counted] #[timed] async", ours::all_async).setup(ours::init),
    case("all: #[traced] #[counted] #[timed] 1 + 99", ours::all_tree)
        .setup(ours::init)
        .per_iteration(100),
    case("all: #[traced] #[counted] #[timed] unsampled", ours::all).setup(ours::init_unsampled),
    case("all: #[traced] #[counted] #[timed] sampled 1 %", ours::all).setup(ours::init_sampled),
    case("all: #[traced] #[counted] #[timed] before init", ours::all),
    case("all: #[instrument] + t-otel + prometheus-client", by_hand_root).setup(tracing_opentelemetry),
    case("all: the same by hand, sampled 1 %", by_hand_root).setup(tracing_opentelemetry_sampled),
    case("all: #[autometrics] + #[instrument] + t-otel", |n| {
        for i in 0..n {
            consume(with_autometrics(i));
        }
    })
    .setup(|| {
        autometrics::settings::AutometricsSettings::builder().init();
        tracing_opentelemetry();
    }),
];

#[tracing::instrument(skip_all, err)]
fn by_hand(i: u64) -> Result<u64, std::fmt::Error> {
    let start = Instant::now();
    let result = body(i);
    let labels = labels(&result);
    CALLS.get_or_create(&labels).inc();
    DURATIONS.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    result
}

fn by_hand_root(n: u64) {
    for i in 0..n {
        consume(by_hand(i));
    }
}

#[autometrics]
#[tracing::instrument(skip_all)]
fn with_autometrics(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}
