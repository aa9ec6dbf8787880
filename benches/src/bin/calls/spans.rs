//! Spans. A root, and a root with 99 children; what is exported is encoded as OTLP protobuf and thrown away.

use crate::{body, consume, ours, ready};
use benches::measure::{Case, case};
use fastrace::collector::SpanContext;
use fastrace::future::FutureExt as _;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use prost::Message as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_subscriber::layer::SubscriberExt as _;

pub(crate) const CASES: [Case; 36] = [
    case("span: #[traced]", ours::root)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[traced] two fields", ours::root_fields)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[traced] an owned string", ours::root_owned)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[traced] async", ours::root_async)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[traced], otel_context(true)", ours::root)
        .setup(ours::init_attaching)
        .check(ours::check_spans),
    case("span: #[traced] 1 + 99", ours::tree)
        .setup(ours::init)
        .per_iteration(100)
        .check(|n| ours::check_spans(n * 100)),
    case("span: #[traced] 1 + 99, async", ours::tree_async)
        .setup(ours::init)
        .per_iteration(100)
        .check(|n| ours::check_spans(n * 100)),
    case("span: #[traced] unsampled", ours::root).setup(ours::init_unsampled),
    case("span: #[traced] 1 + 99, unsampled", ours::tree)
        .setup(ours::init_unsampled)
        .per_iteration(100),
    case("span: #[traced] sampled 1 %", ours::root).setup(ours::init_sampled),
    case("span: #[traced] before init", ours::root),
    case("span: #[traced] before init, async", ours::root_async),
    case("span: #[traced] at a level that is off", ours::root_off)
        .setup(ours::init)
        .check(ours::check_none),
    case("span: #[traced] at a level that is off, async", ours::root_off_async)
        .setup(ours::init)
        .check(ours::check_none),
    case("span: #[instrument], vitalsign", instrumented_root)
        .setup(ours::init)
        .check(ours::check_spans),
    case("span: #[instrument], vitalsign, unsampled", instrumented_root).setup(ours::init_unsampled),
    case("span: #[instrument], vitalsign::layer()", instrumented_root)
        .setup(ours::init_layer)
        .check(ours::check_spans),
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
        .per_iteration(100)
        .check(|n| exported(n * 100)),
    case("span: #[instrument] + t-otel, lean", instrumented_root)
        .setup(tracing_opentelemetry_lean)
        .check(exported),
    case("span: #[instrument] + t-otel, sampled 1 %", instrumented_root).setup(tracing_opentelemetry_sampled),
    case("span: OTel API, start and attach", otel_root)
        .setup(|| otel(Sampler::AlwaysOn))
        .check(exported),
    case("span: OTel API, sampled 1 %", otel_root).setup(|| otel(one_percent())),
    case("span: fastrace root", fastrace_root)
        .setup(fastrace_reporter)
        .check(reported),
    case("span: fastrace root, encoded", fastrace_root)
        .setup(fastrace_encoder)
        .check(|n| reported_encoded(n, 1)),
    case("span: fastrace root, unsampled", |n| {
        for i in 0..n {
            let root = fastrace::Span::root("body", SpanContext::random().sampled(false));
            let _guard = root.set_local_parent();
            consume(body(i));
        }
    })
    .setup(fastrace_reporter),
    case("span: fastrace 1 + 99", fastrace_tree)
        .setup(fastrace_reporter)
        .per_iteration(100),
    case("span: fastrace 1 + 99, encoded", fastrace_tree)
        .setup(fastrace_encoder)
        .per_iteration(100)
        .check(|n| reported_encoded(n, 100)),
    case("span: fastrace 1 + 99, a property", |n| {
        for i in 0..n {
            let root = fastrace::Span::root("root", SpanContext::random());
            let _guard = root.set_local_parent();
            for _ in 0..99 {
                consume(fastraced_property(i));
            }
        }
    })
    .setup(fastrace_reporter)
    .per_iteration(100),
    case("span: fastrace 1 + 99, async", |n| {
        for i in 0..n {
            let root = fastrace::Span::root("root", SpanContext::random());
            ready(
                async move {
                    for _ in 0..99 {
                        let result = fastraced_later(i).await;
                        consume(result);
                    }
                    body(i)
                }
                .in_span(root),
            );
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
    case("span: emit, an emitter that does nothing", |n| {
        for i in 0..n {
            consume(emitted(i));
        }
    })
    .setup(|| {
        let _ = emit::setup()
            .emit_to(emit::emitter::from_fn(|_| {
                EXPORTED.fetch_add(1, Ordering::Relaxed);
            }))
            .init();
    })
    .check(|n| assert_eq!(EXPORTED.load(Ordering::Relaxed), n, "spans lost")),
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

#[fastrace::trace]
async fn fastraced_later(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

#[fastrace::trace(properties = { "channel": "web" })]
fn fastraced_property(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

fn fastrace_root(n: u64) {
    for i in 0..n {
        let root = fastrace::Span::root("body", SpanContext::random());
        let _guard = root.set_local_parent();
        consume(body(i));
    }
}

fn fastrace_tree(n: u64) {
    for i in 0..n {
        let root = fastrace::Span::root("root", SpanContext::random());
        let _guard = root.set_local_parent();
        for _ in 0..99 {
            consume(fastraced(i));
        }
    }
}

#[emit::span("body")]
fn emitted(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

fn otel_root(n: u64) {
    let tracer = TRACER.get().expect("a tracer");
    for i in 0..n {
        tracer.in_span("body", |_| consume(body(i)));
    }
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

/// With all that can be switched off switched off.
fn tracing_opentelemetry_lean() {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider(Sampler::AlwaysOn).tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

pub(crate) fn tracing_opentelemetry_sampled() {
    let layer = tracing_opentelemetry::layer().with_tracer(provider(one_percent()).tracer("bench"));
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

fn one_percent() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01)))
}

pub(crate) fn exported(n: u64) {
    PROVIDER.get().expect("a provider").force_flush().expect("flushed");
    assert_eq!(EXPORTED.load(Ordering::Relaxed), n, "spans lost");
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

fn otel(sampler: Sampler) {
    let _ = TRACER.set(provider(sampler).tracer("bench"));
}

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

/// As fastrace's book has it for OpenTelemetry, with the exporter that encodes and throws away.
fn fastrace_encoder() {
    let resource = opentelemetry_sdk::Resource::builder().build();
    let reporter = fastrace_opentelemetry::OpenTelemetryReporter::new(
        Encode((&resource).into()),
        std::borrow::Cow::Owned(resource),
        opentelemetry::InstrumentationScope::builder("bench").build(),
    );
    fastrace::set_reporter(reporter, fastrace::collector::Config::default());
}

fn reported_encoded(n: u64, per_iteration: u64) {
    fastrace::flush();
    let (reported, n) = (EXPORTED.load(Ordering::Relaxed), n * per_iteration);
    if reported < n {
        println!("\nnote {}% of the spans dropped", (n - reported) * 100 / n);
    }
    assert!(reported > 0, "nothing reported");
}

/// It drops spans when it is outrun, without counting them, so all that can be asked is that there were many.
fn reported(n: u64) {
    fastrace::flush();
    let reported = REPORTED.load(Ordering::Relaxed);
    assert!(reported * 10 > n, "{reported} of {n}");
}
