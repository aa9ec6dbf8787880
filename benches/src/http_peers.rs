//! The layers that ours is measured against, set up as their documentation has it.

use axum_prometheus::metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt as _;

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
static PAGE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Counts them and throws them away: what their encoding and sending would cost is not theirs to pay here.
#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        EXPORTED.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// For axum-tracing-opentelemetry.
pub fn otel() {
    opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
    let batch = opentelemetry_sdk::trace::BatchConfigBuilder::default()
        .with_max_queue_size(16_000_000)
        .with_max_export_batch_size(4096)
        .build();
    let processor = opentelemetry_sdk::trace::BatchSpanProcessor::builder(Discard)
        .with_batch_config(batch)
        .build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let _ = PROVIDER.set(provider.clone());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    let filter = tracing_subscriber::filter::Targets::new().with_default(tracing::Level::TRACE);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(layer));
}

/// Spans that came out at its end.
///
/// # Panics
/// Before [`otel`].
pub fn exported() -> u64 {
    PROVIDER.get().expect("a provider").force_flush().expect("flushed");
    EXPORTED.load(Ordering::Relaxed)
}

/// For axum-prometheus, its upkeep on a thread instead of a task.
///
/// # Panics
/// When there is one already.
pub fn recorder() {
    use axum_prometheus::metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    let duration = Matcher::Full("axum_http_requests_duration_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(duration, axum_prometheus::utils::SECONDS_DURATION_BUCKETS)
        .expect("buckets")
        .install_recorder()
        .expect("a recorder");
    let _ = PAGE.set(handle.clone());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(5));
            handle.run_upkeep();
        }
    });
}

/// Requests that its page counts.
///
/// # Panics
/// Before [`recorder`], and where the page has no such counter.
pub fn counted() -> u64 {
    let page = PAGE.get().expect("a recorder").render();
    let mut totals = page
        .lines()
        .filter(|line| line.starts_with("axum_http_requests_total"))
        .peekable();
    assert!(totals.peek().is_some(), "no counter in {page}");
    totals
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}
