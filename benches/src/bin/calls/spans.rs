//! Spans. A root, and a root with 99 children; what is exported is encoded as OTLP protobuf and thrown away.

use crate::{body, consume, ours, ready};
use benches::measure::{Case, case};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use prost::Message as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use tracing_subscriber::layer::SubscriberExt as _;

pub(crate) const CASES: [Case; 16] = [
    case("span: #[traced]", ours::root)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[traced] async", ours::root_async).setup(ours::init),
    case("span: #[traced] 1 + 99", ours::tree)
        .setup(ours::init)
        .per_iteration(100),
    case("span: #[traced] unsampled", ours::root).setup(ours::init_unsampled),
    case("span: #[traced] before init", ours::root),
    case("span: #[instrument] without subscriber", instrumented_root),
    case("span: #[instrument] + Registry, no-op layer", instrumented_root).setup(registry),
    case("span: #[instrument] + Registry, async", |n| {
        for i in 0..n {
            ready(instrumented_async(i));
        }
    })
    .setup(registry),
    case("span: #[instrument] + tracing-opentelemetry", instrumented_root)
        .setup(tracing_opentelemetry)
        .check(exported),
    case("span: #[instrument] + t-otel, 1 + 99", instrumented_tree)
        .setup(tracing_opentelemetry)
        .per_iteration(100),
    case("span: #[instrument] + t-otel, sampled 1 %", instrumented_root).setup(tracing_opentelemetry_sampled),
    case("span: OTel API, start and attach", |n| {
        for i in 0..n {
            OTEL.1.in_span("body", |_| consume(body(i)));
        }
    })
    .check(exported),
    case("span: fastrace root", |n| {
        for i in 0..n {
            let root = fastrace::Span::root("body", fastrace::collector::SpanContext::random());
            let _guard = root.set_local_parent();
            consume(body(i));
        }
    })
    .setup(fastrace_reporter)
    .check(reported),
    case("span: fastrace 1 + 99", |n| {
        for i in 0..n {
            let root = fastrace::Span::root("root", fastrace::collector::SpanContext::random());
            let _guard = root.set_local_parent();
            for _ in 0..99 {
                consume(fastraced(i));
            }
        }
    })
    .setup(fastrace_reporter)
    .per_iteration(100),
    case("span: fastrace #[trace] without a parent", |n| {
        for i in 0..n {
            consume(fastraced(i));
        }
    })
    .setup(fastrace_reporter),
    case("span: bare async", |n| {
        for i in 0..n {
            ready(async { body(i) });
        }
    }),
];

#[tracing::instrument(skip_all)]
fn instrumented(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

#[tracing::instrument(skip_all)]
async fn instrumented_async(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

fn instrumented_root(n: u64) {
    for i in 0..n {
        consume(instrumented(i));
    }
}

#[tracing::instrument(skip_all)]
fn instrumented_parent(i: u64) {
    for _ in 0..99 {
        consume(instrumented(i));
    }
}

fn instrumented_tree(n: u64) {
    for i in 0..n {
        instrumented_parent(i);
    }
}

#[fastrace::trace]
fn fastraced(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

struct NoOp;
impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for NoOp {}

fn registry() {
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(NoOp));
}

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Encodes as OTLP does and throws the bytes away.
#[derive(Debug)]
struct Encode(opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema);

impl SpanExporter for Encode {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        EXPORTED.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.0);
        std::hint::black_box(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        Ok(())
    }
}

fn provider(sampler: Sampler) -> SdkTracerProvider {
    // A queue that is never full: a dropped span would be a cheap one.
    let batch = BatchConfigBuilder::default()
        .with_max_queue_size(16_000_000)
        .with_max_export_batch_size(4096)
        .build();
    let exporter = Encode((&opentelemetry_sdk::Resource::builder().build()).into());
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler)
        .build();
    let _ = PROVIDER.set(provider.clone());
    provider
}

pub(crate) fn tracing_opentelemetry() {
    let tracer = provider(Sampler::AlwaysOn).tracer("bench");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

pub(crate) fn tracing_opentelemetry_sampled() {
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01)));
    let layer = tracing_opentelemetry::layer().with_tracer(provider(sampler).tracer("bench"));
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

pub(crate) fn exported(n: u64) {
    PROVIDER.get().expect("a provider").force_flush().expect("flushed");
    assert_eq!(EXPORTED.load(Ordering::Relaxed), n, "spans lost");
}

static OTEL: LazyLock<(SdkTracerProvider, SdkTracer)> = LazyLock::new(|| {
    let provider = provider(Sampler::AlwaysOn);
    let tracer = provider.tracer("bench");
    (provider, tracer)
});

static REPORTED: AtomicU64 = AtomicU64::new(0);

struct Count;

impl fastrace::collector::Reporter for Count {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        REPORTED.fetch_add(spans.len() as u64, Ordering::Relaxed);
        std::hint::black_box(spans);
    }
}

fn fastrace_reporter() {
    fastrace::set_reporter(Count, fastrace::collector::Config::default());
}

/// It drops spans when it is outrun, without counting them, so all that can be asked is that there were many.
fn reported(n: u64) {
    fastrace::flush();
    let reported = REPORTED.load(Ordering::Relaxed);
    assert!(reported * 2 > n, "{reported} of {n}");
}
